//! Decoding of generated files. WAV is written here; other formats come from the encoders of the system, and
//! a test says so where one is not installed.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use super::*;

/// A sweep with a different amplitude per channel, so that an offset or a swap cannot go unseen.
fn sweep(frames: usize) -> Vec<[i16; 2]> {
    (0..frames)
        .map(|frame| {
            let t = Frames(frame as u64).as_f64() / 44_100.0;
            let value = (std::f64::consts::TAU * (200.0 + 300.0 * t) * t).sin();
            #[expect(clippy::cast_possible_truncation, reason = "within 16 bits")]
            let level = |peak: f64| (value * peak).round() as i16;
            [level(20_000.0), level(-12_000.0)]
        })
        .collect()
}

fn write_wav(path: &Path, hz: u32, sound: &[[i16; 2]], channels: u16) {
    let spec = hound::WavSpec {
        channels,
        sample_rate: hz,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for frame in sound {
        for sample in frame.iter().cycle().take(usize::from(channels)) {
            writer.write_sample(*sample).unwrap();
        }
    }
    writer.finalize().unwrap();
}

fn read_all(path: &Path) -> Vec<Stereo> {
    let mut reader = TrackReader::open(path).unwrap();
    let mut sound = vec![[0.0; 2]; usize::try_from(reader.length().0).unwrap() + 10];
    let count = reader.read(&mut sound).unwrap();
    assert_eq!(Frames(count as u64), reader.length());
    assert_eq!(reader.take_damage(), None, "the file is whole");
    sound.truncate(count);
    sound
}

fn floats(sound: &[[i16; 2]]) -> Vec<Stereo> {
    sound.iter().map(|[l, r]| [f32::from(*l) / 32_768.0, f32::from(*r) / 32_768.0]).collect()
}

/// Runs an encoder of the system; `None`, and a line that says so, where it is not installed.
fn encode(program: &str, arguments: &[&str], from: &Path, to: &Path) -> Option<PathBuf> {
    let mut command = Command::new(program);
    for argument in arguments {
        match *argument {
            "IN" => command.arg(from),
            "OUT" => command.arg(to),
            other => command.arg(other),
        };
    }
    match command.output() {
        Ok(output) => {
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
            Some(to.to_owned())
        }
        Err(error) => {
            println!("skipped: {program} is not installed ({error})");
            None
        }
    }
}

/// Every way of one minute of sweep into a file: how it is called and where it is.
fn encoded(folder: &Path, sound: &[[i16; 2]]) -> Vec<(&'static str, PathBuf)> {
    let wav = folder.join("sweep.wav");
    write_wav(&wav, 44_100, sound, 2);
    let to = |name: &str| folder.join(name);
    let mut files = vec![("wav", Some(wav.clone()))];
    let mut add = |name, program, arguments: &[&str], file: &str| {
        files.push((name, encode(program, arguments, &wav, &to(file))));
    };
    add("flac", "flac", &["--silent", "--force", "-o", "OUT", "IN"], "sweep.flac");
    add("mp3 cbr", "lame", &["--silent", "-b", "192", "IN", "OUT"], "cbr.mp3");
    add("mp3 vbr", "lame", &["--silent", "-V", "2", "IN", "OUT"], "vbr.mp3");
    add("mp3 vbr without tag", "lame", &["--silent", "-t", "-V", "2", "IN", "OUT"], "bare.mp3");
    add("vorbis", "oggenc", &["--quiet", "-q", "6", "-o", "OUT", "IN"], "sweep.ogg");
    files.into_iter().filter_map(|(name, file)| Some((name, file?))).collect()
}

#[test]
fn a_wav_comes_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    let sound = sweep(10_000);
    write_wav(&path, 22_050, &sound, 2);
    assert_eq!(TrackReader::open(&path).unwrap().rate().hz(), 22_050);
    assert_eq!(read_all(&path), floats(&sound));
}

#[test]
fn mono_is_heard_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mono.wav");
    write_wav(&path, 8_000, &sweep(1_000), 1);
    assert!(read_all(&path).iter().all(|[left, right]| left.to_bits() == right.to_bits()));
}

#[test]
fn each_format_starts_and_ends_where_the_music_does() {
    let folder = tempfile::tempdir().unwrap();
    let sound = sweep(44_100 * 20);
    let original = floats(&sound);
    for (name, path) in encoded(folder.path(), &sound) {
        let decoded = read_all(&path);
        if name == "mp3 vbr without tag" {
            // Nothing in such a file tells the encoder's delay; all of the music must be there.
            assert!((0..=4_000).contains(&(decoded.len() - original.len())), "{name}: {}", decoded.len());
            continue;
        }
        assert_eq!(decoded.len(), original.len(), "{name}");
        let off = mean_difference(&decoded, &original);
        let shifted = mean_difference(&decoded[1..], &original);
        assert!(off < 0.02 && off < shifted / 2.0, "{name}: off by {off}, one frame later {shifted}");
    }
}

#[test]
fn a_seek_yields_the_same_frames_as_reading_up_to_there() {
    let folder = tempfile::tempdir().unwrap();
    for (name, path) in encoded(folder.path(), &sweep(44_100 * 12)) {
        let whole = read_all(&path);
        let mut reader = TrackReader::open(&path).unwrap();
        let last = whole.len() - 1;
        for target in [0, 1, 575, 1_152, 44_100, 300_001, 123_457, 2_000, last - 1_500, last, 4_000] {
            reader.seek(Frames(target as u64)).unwrap();
            let mut sound = vec![[0.0; 2]; 1_000];
            let count = reader.read(&mut sound).unwrap();
            assert_eq!(count, sound.len().min(whole.len() - target), "{name} at {target}");
            let differs = sound[..count].iter().zip(&whole[target..]).position(|(a, b)| bits(a) != bits(b));
            assert_eq!(differs, None, "{name} after a seek to {target}");
            assert_eq!(reader.take_damage(), None, "{name} is whole");
        }
    }
}

#[test]
fn files_that_are_no_music_are_refused_by_name_of_the_fault() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
        path
    };
    let mut module = b"Extended Module: ".to_vec();
    module.extend((0..100_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]));
    let refused = |path: PathBuf| TrackReader::open(&path).unwrap_err();
    assert_eq!(refused(put("empty.mp3", b"")), DecodeError::Empty);
    assert_eq!(refused(put("text.mp3", &b"not music at all\n".repeat(500))), DecodeError::UnknownFormat);
    assert!(matches!(
        refused(put("song.xm", &module)),
        DecodeError::UnknownFormat | DecodeError::Corrupt { .. }
    ));
    assert!(matches!(refused(folder.path().join("gone.wav")), DecodeError::Unreadable { .. }));
    assert!(matches!(refused(folder.path().to_owned()), DecodeError::Unreadable { .. }));
}

#[test]
fn a_file_that_was_cut_short_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, path) in encoded(folder.path(), &sweep(44_100 * 12)) {
        let bytes = std::fs::read(&path).unwrap();
        let cut = folder.path().join("cut");
        std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
        let result = TrackReader::open(&cut);
        // An MP3 without a tag does not say how long it should be: what is there is the track.
        if let Ok(reader) = result {
            assert_eq!(name, "mp3 vbr without tag");
            assert!(reader.length() < Frames(44_100 * 11), "{name}: {:?}", reader.length());
        }
    }
}

#[test]
fn a_damaged_packet_leaves_a_gap_and_nothing_moves() {
    let folder = tempfile::tempdir().unwrap();
    let sound = sweep(44_100 * 12);
    for (name, path) in encoded(folder.path(), &sound) {
        // Packets of an MP3 carry no time, so one that is lost cannot be told from one that never was.
        if name == "wav" || name.starts_with("mp3") {
            continue;
        }
        let whole = read_all(&path);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 300].fill(0x55);
        let hurt = folder.path().join("hurt");
        std::fs::write(&hurt, &bytes).unwrap();
        let Ok(mut reader) = TrackReader::open(&hurt) else { continue };
        assert_eq!(reader.take_damage(), None, "{name}: nothing of it was read");
        let mut decoded = vec![[0.0; 2]; whole.len()];
        if let Ok(count) = reader.read(&mut decoded) {
            let tail = 44_100;
            assert_eq!(
                decoded[count - tail..count]
                    .iter()
                    .zip(&whole[count - tail..])
                    .position(|(a, b)| bits(a) != bits(b)),
                None,
                "{name}: the end must be where it was"
            );
            let damage = reader.take_damage().expect("the gap is told");
            let differs = decoded.iter().zip(&whole).position(|(a, b)| bits(a) != bits(b)).unwrap();
            let off = damage.0.abs_diff(differs as u64);
            // A page of Vorbis is lost as a whole, and is more than a second.
            let near = if name == "vorbis" { 88_200 } else { 8_192 };
            assert!(off < near, "{name}: told at {damage:?}, and frame {differs} differs first");
            reader.seek(Frames::ZERO).unwrap();
            reader.read(&mut decoded).unwrap();
            assert_eq!(reader.take_damage(), None, "{name}: told once");
        }
    }
}

#[test]
fn noise_in_a_file_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    for (name, path) in encoded(folder.path(), &sweep(44_100)) {
        let bytes = std::fs::read(&path).unwrap();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        println!("{name}: seed {state:#x}");
        for _ in 0..40 {
            let mut noisy = bytes.clone();
            for _ in 0..20 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = usize::try_from(state >> 20).unwrap() % noisy.len().min(4_000);
                noisy[at] = state.to_le_bytes()[7];
            }
            let path = folder.path().join("noisy");
            std::fs::write(&path, &noisy).unwrap();
            if let Ok(mut reader) = TrackReader::open(&path) {
                let _ = reader.read(&mut vec![[0.0; 2]; 50_000]);
            }
        }
    }
}

/// Frames are compared bit by bit: both nodes must play the very same samples.
fn bits([left, right]: &Stereo) -> [u32; 2] {
    [left.to_bits(), right.to_bits()]
}

fn mean_difference(a: &[Stereo], b: &[Stereo]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from((a[0] - b[0]).abs() + (a[1] - b[1]).abs())).sum();
    sum / Frames(a.len().min(b.len()) as u64).as_f64()
}

#[test]
fn a_decoder_that_panics_has_met_a_damaged_file() {
    let outcome = guarded(|| -> Result<(), DecodeError> { panic!("attempt to subtract with overflow") });
    assert!(matches!(outcome, Err(DecodeError::Corrupt { .. })), "{outcome:?}");
}
