//! Music that cannot be played, on one side or on both: it is named and passed over, and the Jam goes on.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use jamsync_node::api::{ErrorCode, Event, Reply, Side};

use super::stage::{Friends, Stage, piece, titles};

#[test]
fn files_that_are_no_music_are_named_and_not_queued() {
    let stage = Stage::set();
    let mut ana = stage.node("ana");
    let folder = stage.subfolder("nonsense");
    let text = folder.join("shopping.mp3");
    fs::write(&text, "milk, bread, and a great many other things\n".repeat(400)).expect("written");
    let module = folder.join("chiptune.xm");
    fs::write(
        &module,
        [&b"Extended Module: tune                \x1aFastTracker v2.00   "[..], &[4; 4096]].concat(),
    )
    .expect("written");
    let empty = folder.join("empty.flac");
    fs::write(&empty, "").expect("written");
    let header = folder.join("header only.wav");
    let whole = fs::read(piece(&folder.join("whole.wav"), 1, 3)).expect("reads");
    fs::write(&header, &whole[..20]).expect("written");
    for broken in [&text, &module, &empty, &header] {
        let name = broken.file_name().and_then(|name| name.to_str()).expect("a name");
        let sentence = ana.fails(&[Path::new("play"), broken], ErrorCode::Unplayable);
        assert!(sentence.contains(name), "{name} is not named: {sentence}");
    }
    let silent = stage.subfolder("no music");
    fs::write(silent.join("notes.txt"), "nothing").expect("written");
    let sentence = ana.fails(&[Path::new("play"), &silent], ErrorCode::Unplayable);
    assert!(sentence.contains("no music"), "{sentence}");

    // Among others, they keep nothing from being played.
    let reply = ana.run(&[Path::new("play"), &text, &folder.join("whole.wav"), &empty]);
    let Reply::Queued(queued) = reply else { panic!("{reply:?}") };
    assert_eq!((queued.added, queued.skipped_total), (1, 2));
    assert!(queued.skipped[0].path.ends_with("shopping.mp3"), "{queued:?}");
    ana.until("the music plays", |ana| ana.status().now.is_some_and(|now| now.playing).then_some(()));
    ana.assert_sound();
}

#[test]
fn a_track_the_peer_lacks_is_named_on_both_sides_and_passed_over() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(3, 30);
    let common = [music[0].clone(), music[2].clone()];
    friends.ana.run(&[&[PathBuf::from("library"), "add".into()], &common[..]].concat());
    let marks = [friends.ana.mark(), friends.ben.mark()];
    friends.ben.run(&[&[PathBuf::from("play")], &music[..]].concat());
    friends.begin_jam();
    let missing = |wanted: Side| {
        move |event: &Event| match event {
            Event::TrackMissing { title, side, .. } => {
                (title.as_str() == "Piece 2" && *side == wanted).then_some(())
            }
            _ => None,
        }
    };
    friends.ana.event_since(marks[0], "what it lacks", missing(Side::Here));
    friends.ben.event_since(marks[1], "what its friend lacks", missing(Side::Peer));
    friends.hear("the host's music", |now| now.playing && now.title.as_str() == "Piece 1");
    friends.ana.run(&["skip"]);
    friends.hear("the track behind it", |now| now.playing && now.title.as_str() == "Piece 3");
    friends.assert_sound();
}

#[test]
fn a_file_that_breaks_after_it_was_queued_is_named_and_passed_over_on_both_sides() {
    let mut friends = Friends::meet();
    let mut music = friends.stage.music(3, 30);
    // Each side has a copy of its own of the second, so that only one of them breaks.
    let own = friends.stage.subfolder("ana's").join("Piece 2.wav");
    fs::copy(&music[1], &own).expect("copied");
    friends.ana.run(
        &[&[PathBuf::from("library"), "add".into()], &[music[0].clone(), own.clone(), music[2].clone()][..]]
            .concat(),
    );
    friends.ben.run(&[&[PathBuf::from("play")], &music[..]].concat());
    friends.begin_jam();
    friends.hear("the host's music", |now| now.playing && now.title.as_str() == "Piece 1");
    // One side removes what plays: it is open and plays on.
    let marks = [friends.ana.mark(), friends.ben.mark()];
    fs::remove_file(&own).expect("removed");
    friends.ben.run(&["skip"]);
    for (node, mark) in [&mut friends.ana, &mut friends.ben].into_iter().zip(marks) {
        node.event_since(mark, "the file that is gone", |event| match event {
            Event::TrackUnplayable { title, .. } => (title.as_str() == "Piece 2").then_some(()),
            Event::TrackMissing { title, .. } => (title.as_str() == "Piece 2").then_some(()),
            _ => None,
        });
    }
    friends.hear("the track behind it", |now| now.playing && now.title.as_str() == "Piece 3");
    let playing = music.remove(2);
    fs::remove_file(playing).expect("removed");
    friends.ana.run(&["seek", "20"]);
    friends.hear("an open file plays on", |now| now.playing && now.position.as_millis() >= 20_500);
    friends.assert_sound();
}

#[test]
fn a_file_that_ends_early_while_it_plays_is_named_and_passed_over() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(2, 30);
    friends.begin_jam_with(&music);
    let marks = [friends.ana.mark(), friends.ben.mark()];
    let file = fs::OpenOptions::new().write(true).open(&music[0]).expect("opens");
    file.set_len(1_000_000).expect("cut short");
    friends.ana.run(&["seek", "15"]);
    for (node, mark) in [&mut friends.ana, &mut friends.ben].into_iter().zip(marks) {
        node.event_since(mark, "the file that ends early", |event| match event {
            Event::TrackUnplayable { title, reason, side: Side::Here, .. } => {
                (title.as_str() == "Piece 1" && reason.as_str().starts_with("Piece 1.wav")).then_some(())
            }
            Event::TrackUnplayable { title, side: Side::Peer, .. } => {
                (title.as_str() == "Piece 1").then_some(())
            }
            _ => None,
        });
    }
    friends.hear("the track behind it", |now| now.playing && now.title.as_str() == "Piece 2");
    friends.assert_sound();
}

#[test]
fn damaged_and_odd_files_of_every_encoder_leave_the_jam_alive() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(1, 20);
    let folder = friends.stage.subfolder("encoded");
    let mut broken = Vec::new();
    if let Some(flac) = encode("flac", &["--silent", "-o"], &folder.join("Damaged.flac"), &music[0]) {
        let mut bytes = fs::read(&flac).expect("reads");
        let (from, until) = (bytes.len() / 3, bytes.len() / 3 + 30_000);
        bytes[from..until].fill(0xa5);
        fs::write(&flac, &bytes).expect("written");
        let short = folder.join("Truncated.flac");
        fs::write(&short, &bytes[..bytes.len() / 4]).expect("written");
        broken.extend([flac, short]);
    }
    if let Some(vorbis) = encode("oggenc", &["--quiet", "-o"], &folder.join("Truncated.ogg"), &music[0]) {
        let bytes = fs::read(&vorbis).expect("reads");
        fs::write(&vorbis, &bytes[..bytes.len() / 2]).expect("written");
        broken.push(vorbis);
    }
    let mp3 = lame_without_xing(&folder.join("No Xing.mp3"), &music[0]);
    broken.extend(mp3.clone());
    let last = piece(&folder.join("Last.wav"), 9, 20);

    friends.ana.run(
        &[&[PathBuf::from("library"), "add".into()], &broken[..], &[last.clone(), music[0].clone()]].concat(),
    );
    friends.ben.run(&[PathBuf::from("play"), music[0].clone()]);
    friends.begin_jam();
    friends.hear("the music", |now| now.playing);
    for file in &broken {
        // Refused with its name, or taken and passed over in its turn.
        if let Err(error) = friends.ben.try_run(&[Path::new("queue"), Path::new("add"), file]) {
            let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
            assert!(error.message.contains(name), "{error}");
        }
    }
    friends.ben.run(&[Path::new("queue"), Path::new("add"), &last]);
    let queue = friends.agree("what was taken", |queue| titles(queue).last() == Some(&"Last"));
    if mp3.is_some() {
        assert!(titles(&queue).contains(&"No Xing"), "an MP3 without a Xing tag plays: {queue:?}");
    }
    // Listening near the end of each finds what is wrong with it; then the next one follows.
    while friends.ben.status().now.is_none_or(|now| now.title.as_str() != "Last") {
        let before = friends.ben.status().now.expect("something is on").entry;
        let _ = friends.ben.try_run(&["seek", "8"]);
        let moved_by_itself = friends.ben.status().now.is_some_and(|now| now.entry != before);
        if !moved_by_itself {
            let _ = friends.ben.try_run(&["skip"]);
        }
        friends.ben.until("another track", |ben| {
            ben.status().now.is_some_and(|now| now.entry != before).then_some(())
        });
    }
    friends.hear("the last one", |now| now.playing && now.title.as_str() == "Last");
    friends.assert_sound();
}

/// `wav` encoded to `to`, or `None` with a word where the encoder is not installed.
fn encode(encoder: &str, flags: &[&str], to: &Path, wav: &Path) -> Option<PathBuf> {
    run_encoder(Command::new(encoder).args(flags).arg(to).arg(wav), encoder).then(|| to.to_owned())
}

/// An MP3 of variable rate whose length stands nowhere.
fn lame_without_xing(to: &Path, wav: &Path) -> Option<PathBuf> {
    run_encoder(Command::new("lame").args(["--quiet", "-V", "5", "-t"]).arg(wav).arg(to), "lame")
        .then(|| to.to_owned())
}

fn run_encoder(command: &mut Command, name: &str) -> bool {
    match command.stdin(Stdio::null()).status() {
        Ok(status) => {
            assert!(status.success(), "{name} fails");
            true
        }
        Err(error) => {
            eprintln!("skipped: what {name} would encode, because it cannot be run: {error}");
            false
        }
    }
}
