//! The canary of what is played: neither the title of a track nor a piece of its cover, as it stands in the file or as friends see
//! it, stands anywhere at the coordinator while it is shown there, nor after. The same search finds both at the two nodes.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use jamsync_node::api::{ActivityState, Event};

use super::{
    activity::{allow, play, plays, seen, told, until},
    canary::{assert_nowhere, holds, memory_of, places, serve_tapped},
    pictured::{noisy, pictured},
    stage::{Stage, befriend},
    tap::Tap,
};

const TITLE: &str = "the canary sings of an album that nobody else has";

/// All places where a picture or a part of it may stand, with what stands there.
type Places = Vec<(String, Vec<u8>)>;

/// The bytes of a picture, such that any piece of it is found.
struct Pieces {
    windows: HashSet<[u8; WINDOW]>,
    /// Which two bytes a window of it begins with, so that most places need no further look.
    begins: Vec<bool>,
}

/// Each run of [`PIECE`] bytes holds a whole window at a place that is a multiple of this, wherever it stands.
const WINDOW: usize = 16;
/// The shortest piece that is certainly found.
const PIECE: usize = 2 * WINDOW - 1;
/// A window of fewer different bytes is one that stands in anything.
const DIFFERENT_LEAST: usize = 10;

impl Pieces {
    fn of(picture: &[u8]) -> Self {
        let windows = picture.windows(WINDOW).filter_map(|window| <[u8; WINDOW]>::try_from(window).ok());
        let telling = |window: &[u8; WINDOW]| {
            let mut seen = [false; 256];
            window.iter().for_each(|byte| seen[usize::from(*byte)] = true);
            seen.iter().filter(|seen| **seen).count() >= DIFFERENT_LEAST
        };
        let windows: HashSet<[u8; WINDOW]> = windows.filter(telling).collect();
        let mut begins = vec![false; 1 << 16];
        windows.iter().for_each(|window| begins[begin(window)] = true);
        Self { windows, begins }
    }

    /// Whether a piece of the picture stands there.
    fn stand_in(&self, place: &[u8]) -> bool {
        let windows = place.chunks_exact(WINDOW);
        windows.into_iter().any(|window| self.begins[begin(window)] && self.windows.contains(window))
    }
}

fn begin(window: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([window[0], window[1]]))
}

/// What a JPEG has behind its tables, which are the same in many.
fn scan(jpeg: &[u8]) -> &[u8] {
    let at = jpeg.windows(2).position(|marker| marker == [0xff, 0xda]).expect("a picture");
    &jpeg[at + 14..]
}

/// The core dump of a process, which lives on; none where the system has no program for it.
fn core_of(process: u32, folder: &Path) -> Option<Vec<u8>> {
    let prefix = folder.join("core");
    let mut gcore = Command::new("gcore");
    gcore.arg("-o").arg(&prefix).arg(process.to_string());
    let done = gcore.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !done.is_ok_and(|status| status.success()) {
        println!("gcore makes no core dump here; the memory alone is searched");
        return None;
    }
    let file = prefix.with_extension(process.to_string());
    let dump = fs::read(&file).expect("the core dump");
    fs::remove_file(file).expect("removed");
    Some(dump)
}

fn all_places(stage: &Stage, tap: &Tap, backup: &str) -> Places {
    let mut all = places(stage, tap, backup);
    let dump = core_of(stage.coordinator_process(), stage.folder.path());
    all.extend(dump.map(|dump| ("a core dump".to_owned(), dump)));
    all
}

fn assert_no_piece(places: &Places, pieces: &Pieces, what: &str) {
    for (place, bytes) in places {
        assert!(!pieces.stand_in(bytes), "a piece of {what} stands in {place}");
    }
}

#[test]
fn what_is_played_and_its_cover_stand_nowhere_at_the_coordinator_and_not_on_the_wire() {
    let mut stage = Stage::set();
    let tap = Tap::start(stage.address());
    serve_tapped(&mut stage, &tap);
    let [mut ana, mut ben] = ["ana", "ben"].map(|name| stage.person(name, "1990-05-17"));
    befriend(&ana, &mut ben);
    allow(&mut ana, "ben");
    allow(&mut ben, "ana");
    let picture = noisy([192, 0, 0], 300, 9);
    let track = pictured(&stage.subfolder("canary").join("Track.wav"), 300, TITLE, &picture);
    ana.run(&["activity", "on"]);
    let (mark, before) = (ben.mark(), tap.by_devices().len());
    play(&ana, &[track]);
    let cover = ben.event_since(mark, "the cover", |event| match event {
        Event::ActivityCover { cover, .. } => Some(PathBuf::from(cover)),
        _ => None,
    });
    until(&mut ben, "ana", "the title", |shown| plays(shown, TITLE));
    let thumbnail = fs::read(&cover).expect("the cover");
    assert!(tap.by_devices().len() > before + thumbnail.len(), "it went over the wire that is looked at");
    let (original, shown) = (Pieces::of(&picture), Pieces::of(scan(&thumbnail)));
    assert!(shown.windows.len() > 1_000 && original.windows.len() > 100_000, "pictures full of noise");

    let while_shown = all_places(&stage, &tap, "while it is shown");
    assert_nowhere(&while_shown, TITLE);
    assert_no_piece(&while_shown, &original, "the picture");
    assert_no_piece(&while_shown, &shown, "the cover");

    // The search finds what is there: the title and the cover at both, and the smallest piece anywhere.
    for node in [&ana, &ben] {
        assert!(holds(&memory_of(node.process()), TITLE.as_bytes()), "{} knows the title", node.name);
    }
    assert!(shown.stand_in(&memory_of(ana.process())), "Ana has the cover in her memory");
    assert!(shown.stand_in(&thumbnail) && !shown.stand_in(&picture));
    for shift in 0..WINDOW {
        let piece = &scan(&thumbnail)[100..100 + PIECE];
        let hidden = [&vec![0; shift][..], piece, &[0; WINDOW]].concat();
        assert!(shown.stand_in(&hidden), "a piece at {shift}");
    }
    let key = ana.status().me.device.0;
    let knows = while_shown.iter().filter(|(_, bytes)| holds(bytes, &key)).map(|(place, _)| place.as_str());
    let knows: Vec<&str> = knows.collect();
    println!("the device's key stands in {knows:?}");
    assert!(knows.contains(&"its memory"), "the search finds what the coordinator knows: {knows:?}");
    assert_eq!(knows.contains(&"a core dump"), while_shown.iter().any(|(place, _)| place == "a core dump"));

    // Nor once it is hidden; and at Ben's nothing of the cover is left on the disk.
    let mark = ben.mark();
    ana.run(&["activity", "off"]);
    ben.event_since(mark, "that it is hidden", told(|shown| shown.state == ActivityState::Hidden));
    ben.until("the cover is gone", |_| (!cover.exists()).then_some(()));
    let hidden = all_places(&stage, &tap, "once it is hidden");
    assert_nowhere(&hidden, TITLE);
    assert_no_piece(&hidden, &original, "the picture");
    assert_no_piece(&hidden, &shown, "the cover");
    assert_eq!(seen(&ben, "ana").cover, None);
    for entry in fs::read_dir(&ben.home).expect("its home").map(|entry| entry.expect("an entry").path()) {
        let bytes = if entry.is_file() { fs::read(&entry).expect("a file") } else { Vec::new() };
        assert!(!shown.stand_in(&bytes), "a piece of the cover is left in {}", entry.display());
    }
}
