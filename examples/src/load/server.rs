//! The coordinator under load: a process of its own, which tells its memory, its CPU time and what it counts.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use jamsync_protocol::identity::JoinCode;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

/// A running `jamsync-coordinator serve`, killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    operations: String,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What a server counts at one moment, by the names of its metrics.
#[derive(Clone, Debug, Default)]
pub struct Counts(BTreeMap<String, f64>);

/// The line that it prints when it is ready.
#[derive(Debug, Deserialize)]
struct Ready {
    address: SocketAddr,
    operations: String,
}

impl Server {
    /// Serves the folder `data` on `listen` by the program in the folder `binaries`, with `settings` as further flags, and
    /// returns when it is ready.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(binaries: &Path, data: &Path, listen: &str, settings: &[&str]) -> anyhow::Result<Self> {
        Self::start_with_log(binaries, data, listen, settings, Stdio::inherit())
    }

    /// As [`start`](Self::start), and its log goes to `log`.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start_with_log(
        binaries: &Path,
        data: &Path,
        listen: &str,
        settings: &[&str],
        log: Stdio,
    ) -> anyhow::Result<Self> {
        let program = program(binaries);
        let mut command = Command::new(&program);
        command.args(["serve", "--json", "--operations", "127.0.0.1:0", "--listen", listen]);
        command.arg("--data").arg(data).args(settings).env("JAMSYNC_LOG", "warn");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output")?).read_line(&mut line)?;
        let ready: Result<Ready, _> = serde_json::from_str(&line);
        match ready {
            Ok(Ready { address, operations }) => Ok(Self { child, operations, address }),
            Err(error) => {
                drop(child.kill());
                drop(child.wait());
                Err(error).with_context(|| format!("the coordinator did not get ready: {line:?}"))
            }
        }
    }

    /// A join code for `uses` sign-ups.
    ///
    /// # Errors
    /// Where the program refuses.
    pub fn join_code(binaries: &Path, data: &Path, uses: u32) -> anyhow::Result<JoinCode> {
        let mut command = Command::new(program(binaries));
        command.args(["join-code", "--uses", &uses.to_string(), "--data"]).arg(data);
        let output = command.output()?;
        ensure!(output.status.success(), "no join code: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    }

    /// What it counts now.
    ///
    /// # Errors
    /// Where it does not tell.
    pub fn counts(&self) -> anyhow::Result<Counts> {
        let mut stream = TcpStream::connect(&self.operations)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", self.operations)?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Ok(Counts(values.collect()))
    }

    /// Ends it without warning, as a crash does.
    ///
    /// # Errors
    /// Where it has ended already.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends it as a service manager does.
    ///
    /// # Errors
    /// Where it does not end well.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(pid, Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the coordinator ended with {status}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Counts {
    /// One of them; zero where it is not counted.
    #[must_use]
    pub fn of(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// CPU time so far, in seconds of one core.
    #[must_use]
    pub fn core_seconds(&self) -> f64 {
        self.of("process_cpu_seconds_total")
    }

    /// Memory in KiB.
    #[must_use]
    pub fn memory_kib(&self) -> f64 {
        self.of("process_resident_memory_bytes") / 1024.0
    }
}

fn program(binaries: &Path) -> PathBuf {
    binaries.join("jamsync-coordinator")
}
