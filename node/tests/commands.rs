//! The program as a person or a script runs it: real processes, real sockets, a state folder of its own per test.

use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A node with a state folder of its own, whose daemon ends with the test.
struct Node {
    folder: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jamsync"));
        // Settings of whoever runs the tests must not reach them.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("JAMSYNC_"))
        {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .env("JAMSYNC_HOME", self.home())
            .env("JAMSYNC_SINK", "null")
            .env("JAMSYNC_LISTEN", "127.0.0.1:0")
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("runs")
    }

    /// The one JSON object that a command prints.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(text.lines().count(), 1, "{text}{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&text).expect("JSON")
    }

    fn pid(&self) -> i64 {
        self.json(&["status", "--json"])["reply"]["pid"].as_i64().expect("a number")
    }

    /// A daemon in the foreground, and the first line that it says.
    fn daemon(&self) -> (Child, Value) {
        let mut child = self
            .command(&["daemon", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        (child, serde_json::from_str(&line).expect("JSON"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.command(&["stop"]).output();
    }
}

/// Asserts an exit status and one sentence on standard error, and returns the sentence.
fn failure(output: &Output, status: i32) -> String {
    let sentence = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{sentence}");
    assert!(sentence.starts_with("jamsync: ") && sentence.lines().count() == 1, "{sentence:?}");
    sentence
}

#[test]
fn the_first_command_starts_a_daemon_and_stop_ends_it() {
    let node = Node::new();
    let pid = node.pid();
    assert_eq!(node.pid(), pid, "the second command finds the same daemon");
    let stopped = node.run(&["stop"]);
    assert!(stopped.status.success(), "{stopped:?}");
    assert!(!node.home().join("control.sock").exists());
    assert_ne!(node.pid(), pid, "the next one starts another");
}

#[test]
fn a_relative_state_folder_is_the_one_it_names() {
    let node = Node::new();
    let output = node.command(&["status", "--json"]).env("JAMSYNC_HOME", "home").output().expect("runs");
    let reply: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(reply["reply"]["pid"].as_i64(), Some(node.pid()), "the same daemon by its whole name");
}

#[test]
fn commands_at_the_same_moment_share_one_daemon() {
    let node = Node::new();
    let start = || node.command(&["status", "--json"]).stdout(Stdio::piped()).spawn().expect("starts");
    let commands: Vec<Child> = (0..6).map(|_| start()).collect();
    let mut pids = std::collections::BTreeSet::new();
    for command in commands {
        let output = command.wait_with_output().expect("ends");
        let reply: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        pids.insert(reply["reply"]["pid"].to_string());
    }
    assert_eq!(pids.len(), 1, "{pids:?}");
}

#[test]
fn a_second_daemon_is_refused_and_names_the_first() {
    let node = Node::new();
    let pid = node.pid();
    let sentence = failure(&node.run(&["daemon"]), 13);
    assert!(sentence.contains(&format!("process {pid}")) && sentence.contains("jamsync stop"), "{sentence}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named_by_command_and_daemon() {
    let node = Node::new();
    std::fs::write(node.folder.path().join("file"), "").expect("writes");
    for command in ["status", "daemon"] {
        let output = node.command(&[command]).env("JAMSYNC_HOME", "file/below").output().expect("runs");
        let sentence = failure(&output, 12);
        assert!(sentence.contains("file/below") && sentence.contains("JAMSYNC_HOME"), "{sentence}");
    }
}

#[test]
fn what_is_not_understood_starts_nothing() {
    let node = Node::new();
    for line in [&["dance"][..], &["volume", "101"], &["seek", "soon"], &["--sink", "loud", "status"]] {
        assert_eq!(node.run(line).status.code(), Some(2), "{line:?}");
    }
    assert!(!node.home().exists());
}

#[test]
fn a_file_that_is_not_there_is_named_before_anything_is_asked() {
    let node = Node::new();
    let sentence = failure(&node.run(&["play", "nowhere.flac"]), 8);
    assert!(sentence.contains("nowhere.flac: no such file"), "{sentence}");
    assert!(!node.home().exists());
}

#[test]
fn with_json_a_failure_is_one_object_too() {
    let node = Node::new();
    let output = node.run(&["--json", "play", "nowhere.flac"]);
    failure(&output, 8);
    let error: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!((&error["version"], &error["error"]["code"]), (&Value::from(1), &Value::from("not_found")));
}

#[test]
fn a_daemon_says_when_it_is_ready_and_ends_cleanly_on_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let node = Node::new();
        let (mut daemon, ready) = node.daemon();
        assert_eq!(ready["ready"]["pid"], Value::from(daemon.id()));
        assert!(node.home().join("control.sock").exists());
        kill_process(Pid::from_child(&daemon), signal).expect("signals");
        assert_eq!(daemon.wait().expect("ends").code(), Some(0));
        assert!(!node.home().join("control.sock").exists());
    }
}

#[test]
fn a_daemon_that_was_killed_leaves_nothing_in_the_way() {
    let node = Node::new();
    let (mut daemon, _) = node.daemon();
    daemon.kill().expect("kills");
    daemon.wait().expect("ends");
    assert!(node.home().join("control.sock").exists(), "it had no chance to clean up");
    node.pid();
}

#[test]
fn a_mistake_in_the_configuration_is_shown_and_does_no_harm() {
    let node = Node::new();
    std::fs::create_dir(node.home()).expect("makes");
    std::fs::write(node.home().join("config.toml"), "listen = 4472\n\nvolum = 3\n").expect("writes");
    let status = node.json(&["status", "--json"]);
    let warning = status["reply"]["warnings"][0].as_str().expect("a warning");
    assert!(warning.contains("config.toml: line 3: `volum`"), "{warning}");
}

#[test]
fn a_watch_begins_with_the_state_and_ends_with_the_daemon() {
    let node = Node::new();
    let mut watch = node.command(&["watch", "--json"]).stdout(Stdio::piped()).spawn().expect("starts");
    let mut events = BufReader::new(watch.stdout.take().expect("piped"));
    let mut first = String::new();
    events.read_line(&mut first).expect("a line");
    let first: Value = serde_json::from_str(&first).expect("JSON");
    assert_eq!(first["event"]["event"], "snapshot");
    assert!(node.run(&["stop"]).status.success());
    events.read_to_string(&mut String::new()).expect("ends");
    assert_eq!(watch.wait().expect("ends").code(), Some(0));
}

#[test]
fn a_start_that_fails_says_why_to_the_command_that_needed_it() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
    let taken = taken.local_addr().expect("bound").to_string();
    for (flags, status, named) in
        [(["--listen", taken.as_str()], 10, taken.as_str()), (["--sink", "cpal"], 11, "no-such-card")]
    {
        for command in ["status", "daemon"] {
            let node = Node::new();
            let arguments = [&flags[..], &["--device", "no-such-card", command]].concat();
            let sentence = failure(&node.run(&arguments), status);
            assert!(sentence.contains(named), "{sentence}");
        }
    }
}

#[test]
fn numbers_mean_the_entries_that_are_shown() {
    let node = Node::new();
    for name in ["1", "2", "3", "4", "5"] {
        wav(&node.folder.path().join(format!("{name}.wav")), name.parse().expect("a number"));
    }
    std::fs::write(node.folder.path().join("6.mp3"), "no music").expect("writes");
    let queued = node.json(&["play", ".", "--json"]);
    assert_eq!(queued["reply"]["skipped"][0]["reason"].as_str().map(|why| &why[..11]), Some("a text file"));
    node.run(&["pause"]);
    let order = || {
        let status = node.json(&["queue", "--json"]);
        let queue = status["reply"]["queue"].as_array().expect("a list").clone();
        queue
            .iter()
            .map(|entry| entry["title"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
            .join("")
    };
    // A busy machine may answer `play` before all files are read.
    assert!((0..500).any(|_| order().len() >= 4), "{}", order());
    assert_eq!(order(), "2345");
    for (edit, expected) in [
        (&["queue", "move", "4", "1"][..], "5234"),
        (&["queue", "move", "1", "3"], "2354"),
        (&["queue", "move", "1", "99"], "3542"),
        (&["queue", "next", "3"], "4352"),
        (&["queue", "remove", "1", "4"], "35"),
        (&["queue", "undo"], "4352"),
        (&["queue", "next", "1.wav"], "14352"),
        (&["queue", "clear"], ""),
    ] {
        assert!(node.run(edit).status.success(), "{edit:?}");
        assert_eq!(order(), expected, "{edit:?}");
    }
    failure(&node.run(&["queue", "remove", "1"]), 8);
    failure(&node.run(&["leave"]), 4);
    failure(&node.run(&["link"]), 7);
    failure(&node.run(&["play", "6.mp3"]), 9);
}

#[test]
fn what_has_ended_says_how_it_plays_again_and_a_place_behind_the_end_is_refused() {
    let node = Node::new();
    wav(&node.folder.path().join("1.wav"), 1);
    assert!(node.run(&["play", "1.wav"]).status.success());
    let sentence = failure(&node.run(&["seek", "59:00"]), 2);
    assert!(sentence.contains("1:00 long"), "{sentence}");
    assert!(node.run(&["seek", "0:59.5"]).status.success());
    let status = || String::from_utf8(node.run(&["status"]).stdout).expect("UTF-8");
    assert!((0..1_000).any(|_| status().contains("Ended")), "{}", status());
    assert!(status().contains("`jamsync seek 0`"), "{}", status());
    for command in ["skip", "resume"] {
        let sentence = failure(&node.run(&[command]), 8);
        assert!(sentence.contains("`jamsync seek 0`") && !sentence.contains("both"), "{sentence}");
    }
    assert!(node.run(&["seek", "0"]).status.success());
    assert!((0..1_000).any(|_| status().contains("Playing")), "{}", status());
}

/// A minute of silence; `number` makes one differ from the next.
#[test]
fn what_is_left_out_of_the_library_is_named_with_its_reason_and_counted() {
    use std::os::unix::ffi::OsStrExt as _;
    let node = Node::new();
    let music = node.folder.path().join("music");
    std::fs::create_dir(&music).expect("a folder");
    // More than one request carries.
    for number in 0..24 {
        std::fs::write(music.join(format!("broken {number}.wav")), b"no music").expect("room");
    }
    let said = failure(&node.run(&["library", "add", "music"]), 9);
    assert!(said.contains("broken 0.wav: "), "{said}");
    wav(&music.join("whole.wav"), 1);
    wav(&music.join(std::ffi::OsStr::from_bytes(b"a caf\xe9.wav")), 2);
    let reply = node.json(&["library", "add", "music", "--json"]);
    let read = &reply["reply"];
    assert_eq!((read["added"].as_u64(), read["skipped_total"].as_u64()), (Some(1), Some(25)), "{read}");
    assert!(read["skipped"].to_string().contains("its name is not UTF-8; rename it"), "{read}");
}

fn wav(path: &std::path::Path, number: i16) {
    let sample_format = hound::SampleFormat::Int;
    let spec = hound::WavSpec { channels: 1, sample_rate: 8_000, bits_per_sample: 16, sample_format };
    let mut writer = hound::WavWriter::create(path, spec).expect("creates");
    for _ in 0..60 * 8_000 {
        writer.write_sample(number).expect("writes");
    }
    writer.finalize().expect("finishes");
}

#[test]
fn stop_is_content_where_nothing_runs() {
    let node = Node::new();
    let output = node.run(&["stop"]);
    assert!(output.status.success() && !node.home().exists(), "{output:?}");
}
