//! One node as its user sees it: a daemon, commands, and the stream of events.

use std::{
    ffi::OsStr,
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use jamsync_node::api::{ApiError, Body, ErrorCode, Event, Reply, ServerLine, Snapshot};
use rustix::process::Signal;

use super::process::{PATIENCE, POLL, Process, binary};

/// A running node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) home: PathBuf,
    /// The time zone of whoever types the commands; none for this machine's own.
    pub(super) zone: Option<&'static str>,
    daemon: Process,
    _watch: Process,
    events: Receiver<String>,
    /// All events that were looked at.
    seen: Vec<Event>,
}

impl Node {
    /// Starts the daemon with its state in `home`, and follows it.
    pub(super) fn start(name: &str, home: PathBuf) -> Self {
        Self::start_with(name, home, &[])
    }

    /// The same, with more options of the daemon, perhaps another output than none.
    pub(super) fn start_with(name: &str, home: PathBuf, options: &[&str]) -> Self {
        fs::create_dir_all(&home).expect("a folder");
        let sink: &[&str] = if options.contains(&"--sink") { &[] } else { &["--sink", "null"] };
        let mut daemon = Process::start(
            jamsync(&home)
                .args(["--json", "daemon", "--listen", "127.0.0.1:0"])
                .args(sink)
                .args(options)
                .env("JAMSYNC_LOG", "info")
                .stderr(fs::File::create(home.join("daemon.log")).expect("a log")),
        );
        let ready = daemon.lines().recv_timeout(PATIENCE).expect("the daemon is ready in time");
        assert!(matches!(parse(&ready), Body::Ready { .. }), "{name}: {ready}");
        let mut watch = Process::start(jamsync(&home).args(["--json", "watch"]));
        let events = watch.lines();
        let mut node =
            Self { name: name.to_owned(), home, zone: None, daemon, _watch: watch, events, seen: Vec::new() };
        node.event("its first state", |event| matches!(event, Event::Snapshot(_)).then_some(()));
        node
    }

    /// Runs a command as a user does, which has to succeed.
    pub(super) fn run<S: AsRef<OsStr> + Debug>(&self, arguments: &[S]) -> Reply {
        match self.try_run(arguments) {
            Ok(reply) => reply,
            Err(error) => panic!("{}: {arguments:?}: {error}\n{}", self.name, self.log()),
        }
    }

    /// Runs a command, whose exit status has to fit what it says.
    pub(super) fn try_run<S: AsRef<OsStr> + Debug>(&self, arguments: &[S]) -> Result<Reply, ApiError> {
        try_run(self.command().arg("--json").args(arguments))
    }

    /// What a command that succeeds prints for people.
    pub(super) fn says<S: AsRef<OsStr> + Debug>(&self, arguments: &[S]) -> String {
        let output = self.command().args(arguments).output().expect("runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn command(&self) -> Command {
        let mut command = jamsync(&self.home);
        if let Some(zone) = self.zone {
            command.env("TZ", zone);
        }
        command
    }

    /// Runs a command that has to be refused, and gives the sentence.
    pub(super) fn fails<S: AsRef<OsStr> + Debug>(&self, arguments: &[S], code: ErrorCode) -> String {
        let error = self.try_run(arguments).expect_err("it is not to be done");
        assert_eq!(error.code, code, "{error}");
        error.to_string()
    }

    pub(super) fn status(&self) -> Box<Snapshot> {
        match self.run(&["status"]) {
            Reply::Status(snapshot) => snapshot,
            other => panic!("no status, but {other:?}"),
        }
    }

    /// Takes in what has happened up to now, so that [`event`](Self::event) finds only what comes later.
    pub(super) fn mark(&mut self) -> usize {
        self.seen.extend(self.events.try_iter().filter_map(|line| event_of(&line)));
        self.seen.len()
    }

    /// The first event from now on that fits.
    pub(super) fn event<T>(&mut self, what: &str, fits: impl Fn(&Event) -> Option<T>) -> T {
        self.event_since(self.seen.len(), what, fits)
    }

    /// The first event that fits, among those after the mark.
    pub(super) fn event_since<T>(
        &mut self,
        mark: usize,
        what: &str,
        fits: impl Fn(&Event) -> Option<T>,
    ) -> T {
        self.event_within(PATIENCE, mark, what, fits)
    }

    /// The same, where it takes long.
    pub(super) fn event_within<T>(
        &mut self,
        patience: Duration,
        mark: usize,
        what: &str,
        fits: impl Fn(&Event) -> Option<T>,
    ) -> T {
        let until = Instant::now() + patience;
        let mut at = mark;
        loop {
            if let Some(found) = self.seen.get(at..).and_then(|new| new.iter().find_map(&fits)) {
                return found;
            }
            at = self.seen.len();
            if !self.next_until(until) {
                panic!(
                    "{} does not tell of {what}; it told {:#?}\n{}",
                    self.name,
                    &self.seen[mark..],
                    self.log()
                );
            }
        }
    }

    /// The events after the mark up to now.
    pub(super) fn events_since(&mut self, mark: usize) -> &[Event] {
        self.mark();
        &self.seen[mark..]
    }

    /// Waits until `fact` gives something, looking again whenever something has happened.
    pub(super) fn until<T>(&mut self, what: &str, mut fact: impl FnMut(&Self) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = fact(self) {
                return found;
            }
            assert!(
                Instant::now() < until,
                "{}: not so in time: {what}; its state is {:#?}\n{}",
                self.name,
                self.status(),
                self.log()
            );
            self.next_until(Instant::now() + POLL * 5);
        }
    }

    pub(super) fn next_until(&mut self, until: Instant) -> bool {
        match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.seen.extend(event_of(&line));
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => panic!("{} has ended:\n{}", self.name, self.log()),
        }
    }

    /// Ends the daemon as `kill -9` does. Started again in the same home it is the same node.
    pub(super) fn kill(self) -> PathBuf {
        self.daemon.kill();
        self.home
    }

    /// As `kill -9`; it is away until it [starts again](Self::start_again).
    pub(super) fn strike(&mut self) {
        self.daemon.signal(Signal::KILL);
        self.daemon.end();
    }

    /// Starts the node again that was [struck](Self::strike); of what happened before it remembers no event.
    pub(super) fn start_again(&mut self) {
        let zone = self.zone;
        *self = Self { zone, ..Self::start(&self.name, self.home.clone()) };
    }

    /// Whether its daemon runs.
    pub(super) fn runs(&mut self) -> bool {
        self.daemon.runs()
    }

    /// The number of its process.
    pub(super) fn process(&self) -> u32 {
        self.daemon.id()
    }

    pub(super) fn signal(&self, signal: Signal) {
        self.daemon.signal(signal);
    }

    /// The daemon lives and its log tells of no panic of ours. A decoder that checks its sums in a debug build
    /// stops at a damaged file where the one that users run takes it for a wrong number.
    pub(super) fn assert_sound(&mut self) {
        assert!(self.daemon.runs(), "{} has ended:\n{}", self.name, self.log());
        let log = self.log();
        let ours = |line: &&str| line.contains("panicked at") && !line.contains("/symphonia");
        assert_eq!(log.lines().find(ours), None, "{log}");
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.home.join("daemon.log")).unwrap_or_default()
    }
}

/// A command of jamsync on one state folder, free of this process's own settings.
pub(super) fn jamsync(home: &Path) -> Command {
    let mut command = Command::new(binary("jamsync"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("JAMSYNC_") {
            command.env_remove(name);
        }
    }
    command.env("JAMSYNC_HOME", home).stdin(Stdio::null());
    command
}

/// Runs a command with `--json` to its end.
pub(super) fn try_run(command: &mut Command) -> Result<Reply, ApiError> {
    let mut process = Process::start(command.stderr(Stdio::null()));
    let lines = process.lines();
    let mut last = None;
    let until = Instant::now() + PATIENCE;
    loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => last = Some(line),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => panic!("no answer in time to {command:?}"),
        }
    }
    let status = process.end().code().expect("an exit status");
    let last = last.unwrap_or_else(|| panic!("no answer to {command:?}"));
    match parse(&last) {
        Body::Reply(reply) => {
            assert_eq!(status, 0, "{last}");
            Ok(reply)
        }
        Body::Error(error) => {
            assert_eq!(status, i32::from(error.code.exit_status()), "{last}");
            Err(error)
        }
        other => panic!("neither answer nor error: {other:?}"),
    }
}

fn parse(line: &str) -> Body {
    serde_json::from_str::<ServerLine>(line).unwrap_or_else(|error| panic!("{error}: {line}")).body
}

fn event_of(line: &str) -> Option<Event> {
    if let Body::Event(event) = parse(line) { Some(event) } else { None }
}
