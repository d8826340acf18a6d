//! The binaries under test, and processes that end with the test.

use std::{
    env,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{OnceLock, mpsc},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// The longest that a process may take to be ready, to answer or to end. Generous, because tests share two
/// cores with a build; what is right takes a small part of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running process, killed when it is dropped.
#[derive(Debug)]
pub(super) struct Process(Child);

impl Process {
    /// Starts `command` with its standard output piped.
    pub(super) fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        Self(child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")))
    }

    /// The lines of its standard output as they come; the channel ends with the process.
    pub(super) fn lines(&mut self) -> mpsc::Receiver<String> {
        let output: ChildStdout = self.0.stdout.take().expect("output is taken once");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        lines
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("the process lives");
    }

    /// Its number among the system's.
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it still runs.
    pub(super) fn runs(&mut self) -> bool {
        self.0.try_wait().expect("a child").is_none()
    }

    /// As `kill -9`.
    pub(super) fn kill(mut self) {
        self.0.kill().expect("the process lives");
        self.0.wait().expect("a child");
    }

    /// Waits for it to end by itself.
    pub(super) fn end(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < until, "the process does not end");
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How often a fact that has no event is looked at.
pub(super) const POLL: Duration = Duration::from_millis(20);

/// One of the binaries: from `JAMSYNC_BIN_DIR`, or else built as this test was.
pub(crate) fn binary(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let given = env::var_os("JAMSYNC_BIN_DIR").map(PathBuf::from);
        given.unwrap_or_else(built)
    });
    let path = folder.join(name);
    assert!(path.is_file(), "{} holds no {name}", folder.display());
    path
}

/// Lets cargo bring the binaries up to date, in the folder above this test's own.
fn built() -> PathBuf {
    let test = env::current_exe().expect("this test is a file");
    let folder = test.ancestors().nth(2).expect("it lies in the folder `deps` of its profile").to_owned();
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    build.args([
        "build",
        "--quiet",
        "--offline",
        "--bins",
        "-p",
        "jamsync-node",
        "-p",
        "jamsync-coordinator",
    ]);
    if folder.ends_with("release") {
        build.arg("--release");
    }
    build.env("CARGO_TARGET_DIR", folder.parent().expect("a target folder"));
    assert!(build.status().expect("cargo runs").success(), "the binaries do not build");
    folder
}
