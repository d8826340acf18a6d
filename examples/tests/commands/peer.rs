//! `latency peer`: two processes over the loopback, recordings with a known shift.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Stdio},
};

use jamsync_node::clock::NodeClock;
use jamsync_protocol::time::{NodeTime, Span};
use serde_json::Value;

use super::stage::{RATE, latency, music, told, write_wav};

const SECONDS: u32 = 20;

/// Writes `NAME.stamps.csv`: the recording began at `began` by this machine's clock.
fn stamp(name: &Path, began: NodeTime) {
    let at = |second: u32| (began + Span::from_secs(second.into())).as_nanos();
    let stamps: String =
        (0..SECONDS).map(|second| format!("{},{}\n", second * RATE.hz(), at(second))).collect();
    std::fs::write(name.with_extension("stamps.csv"), stamps).unwrap();
}

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn two_processes_find_the_shift_of_their_recordings_and_claim_no_more_than_the_round_trip_allows() {
    let folder = tempfile::tempdir().unwrap();
    let [ana, ben] = ["ana", "ben"].map(|name| folder.path().join(name));
    let music = music(3, SECONDS);
    for name in [&ana, &ben] {
        write_wav(&name.with_extension("wav"), &[&music]);
    }
    // Ben's music is heard 7 ms later.
    let began = NodeClock::system().now() - Span::from_secs(1);
    stamp(&ana, began);
    stamp(&ben, began + Span::from_millis(7));

    let listener = latency()
        .args(["peer", "127.0.0.1:0", "--listen", "--seconds", "10", "--json"])
        .args([ana.with_extension("json"), ana.clone()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut listener = Running(listener);
    let mut lines = BufReader::new(listener.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let invitation = lines.next().unwrap();
    let words: Vec<&str> = invitation.split_whitespace().collect();
    let address = words.iter().find_map(|word| word.strip_prefix("THIS-MACHINE:")).unwrap();
    let code = words.last().unwrap();
    let output = latency()
        .args(["peer", &format!("127.0.0.1:{address}"), "--code", code, "--json"])
        .args([ben.with_extension("json"), ben.clone()])
        .output()
        .unwrap();
    let (status, printed, complaint) = told(&output);
    assert_eq!(status, Some(0), "{printed}{complaint}");
    let listened: Vec<String> = lines.collect();
    assert!(listener.0.wait().unwrap().success(), "{listened:#?}");

    for (name, late) in [(&ana, -7_000.0), (&ben, 7_000.0)] {
        let report = read(&name.with_extension("json"));
        let figure = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("{name}: {report}"));
        let (median, uncertainty) = (figure("median_us"), figure("uncertainty_us"));
        assert!((median - late).abs() <= uncertainty, "{median} us, known within {uncertainty} us");
        assert!(uncertainty >= figure("least_round_trip_us") / 2.0);
        assert!((figure("apart_at_least_us") - (median.abs() - uncertainty).max(0.0)).abs() < 1e-3);
    }
    assert!(printed.contains("finding"), "{printed}");
    let claims = printed.contains("in sync") || listened.iter().any(|line| line.contains("in sync"));
    assert!(!claims, "{printed}");
}

#[test]
fn a_side_that_cannot_take_part_says_why() {
    for (arguments, wanted) in [
        (
            &["peer", "127.0.0.1:1", "nowhere", "--code", "00112233445566778899"][..],
            "connecting to the other side failed",
        ),
        (&["peer", "127.0.0.1:1", "nowhere"], "--code"),
        (&["peer", "127.0.0.1:1", "nowhere", "--code", "12"], "expected the 20 digits"),
        (&["peer", "127.0.0.1:0", "nowhere", "--listen", "--seconds", "9"], "10..=300"),
        (&["peer", "nobody.invalid:4490", "nowhere", "--listen"], "listening by TCP failed"),
    ] {
        let (status, printed, complaint) = told(&latency().args(arguments).output().unwrap());
        assert!(matches!(status, Some(2 | 4)), "{arguments:?}: {status:?} {printed}");
        assert!(complaint.contains(wanted), "{arguments:?}: {complaint}");
    }
}
