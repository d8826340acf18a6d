//! Recordings that cannot be scored are refused with the reason, and no assertion holds of them.

use std::{path::Path, process::Command};

use super::stage::{latency, music, told, write_wav};

/// Both programs refuse the recording for `reason`, whatever is asserted of it, and print no figure.
#[track_caller]
fn assert_refused(path: &Path, reason: &str) {
    for (mut program, status) in [(latency(), 4), (Command::new(env!("CARGO_BIN_EXE_score")), 2)] {
        if status == 4 {
            program.arg("recording");
        }
        let output = program.arg(path).args(["--assert", "p99_us<=100000000"]).output().unwrap();
        let (code, printed, complaint) = told(&output);
        assert_eq!(code, Some(status), "{program:?}: {printed}{complaint}");
        assert!(complaint.contains(reason), "{program:?}: {complaint}");
        assert_eq!(printed, "", "{program:?}");
    }
}

#[test]
fn a_silent_recording_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.wav");
    let (music, silence) = (music(1, 5), vec![0.0; 240_000]);
    for (sides, reason) in [
        ([&silence, &silence], "both sides are silent"),
        ([&silence, &music], "the first side is silent"),
        ([&music, &silence], "the second side is silent"),
    ] {
        write_wav(&path, &sides.map(Vec::as_slice));
        assert_refused(&path, reason);
    }
}

#[test]
fn a_recording_of_other_music_is_refused_even_where_a_moment_fits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.wav");
    let (one, mut other) = (music(1, 8), music(2, 8));
    write_wav(&path, &[&one, &other]);
    assert_refused(&path, "no shift within half a second makes the two sides match");
    // A second and a half of the same jingle in eight seconds does not make them the same music.
    other[96_000..168_000].copy_from_slice(&one[96_000..168_000]);
    write_wav(&path, &[&one, &other]);
    assert_refused(&path, "no shift within half a second makes the two sides match");
}

#[test]
fn a_recording_that_is_too_short_is_refused_with_what_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.wav");
    let music = music(1, 2);
    write_wav(&path, &[&music[..40_000], &music[..40_000]]);
    assert_refused(&path, "too short: at least 1.000 s of both recordings are needed");
    write_wav(&path, &[&[], &[]]);
    assert_refused(&path, "at least one channel and 2 frames in each, found 0");
}

#[test]
fn what_is_no_recording_of_both_sides_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.wav");
    assert_refused(&path, "cannot read");
    write_wav(&path, &[&music(1, 2)]);
    assert_refused(&path, "1 channels where two or four are expected");
    std::fs::write(&path, b"RIFF\xff\xff\xff\xffWAVEfmt \x10\x00").unwrap();
    assert_refused(&path, "cannot read");
}

#[test]
fn a_recording_with_a_gap_on_one_side_is_scored_and_never_in_sync() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.wav");
    let whole = music(1, 10);
    let mut broken = whole.clone();
    broken[200_000..300_000].fill(0.0);
    write_wav(&path, &[&whole, &broken]);
    let output = latency().arg("recording").arg(&path).args(["--assert", "failures<=0"]).output().unwrap();
    let (code, printed, _) = told(&output);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("the second side is silent"), "{printed}");
}
