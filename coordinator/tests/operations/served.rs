//! The program as an operator runs it: started, asked over HTTP, told by signals, and ended with the test.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use jamsync_protocol::id::DeviceKey;
use rustix::process::{Pid, Signal, kill_process};

use crate::device::Device;

/// The longest that anything may take here; what is right takes a small part of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running `serve`.
#[derive(Debug)]
pub(crate) struct Served {
    child: Child,
    log: mpsc::Receiver<String>,
    heard: Vec<String>,
    operations: String,
    address: SocketAddr,
    key: DeviceKey,
}

/// A command of the program.
pub(crate) fn coordinator() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jamsync-coordinator"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    coordinator().args(arguments).output().expect("the program runs")
}

/// What a command says when all is well.
pub(crate) fn said(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in text")
}

impl Served {
    /// Serves `data` on ports of the system's choice, and returns once it is ready.
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        let mut command = coordinator();
        command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--operations", "127.0.0.1:0"]);
        command.arg("--data").arg(data).args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut ready = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        lines.read_line(&mut ready).expect("a line");
        let (sender, log) = mpsc::channel();
        let errors = BufReader::new(child.stderr.take().expect("piped"));
        std::thread::spawn(move || {
            errors.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let ready: serde_json::Value = serde_json::from_str(&ready).expect("the ready line");
        let told = |what: &str| ready[what].as_str().expect("told when it is ready").to_owned();
        let (address, key) =
            (told("address").parse().expect("an address"), told("key").parse().expect("a key"));
        Self { child, log, heard: Vec::new(), operations: told("operations"), address, key }
    }

    /// The device of this number, connected.
    pub(crate) async fn device(&self, number: u8) -> Device {
        Device::log_in(number, self.address, self.key).await
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("it runs");
    }

    /// Status line and body of a page.
    pub(crate) fn page(&self, path: &str) -> (String, String) {
        get(&self.operations, path)
    }

    /// Waits for a line of the log that holds `words`.
    pub(crate) fn hear(&mut self, words: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("no `{words}` in {:#?}", self.heard));
            self.heard.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Ends it as a service manager does, and returns its whole log.
    pub(crate) fn stop(mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        let status = self.child.wait().expect("it ends");
        self.heard.extend(self.log.iter());
        assert!(status.success(), "{status}: {:#?}", self.heard);
        std::mem::take(&mut self.heard)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One GET: status line and body.
pub(crate) fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("sets");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("asks");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}
