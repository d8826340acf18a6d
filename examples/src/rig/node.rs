//! One node as its user sees it: a daemon, commands, and the stream of events.

use std::{
    ffi::OsStr,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use jamsync_node::{
    api::{AnchorCause, Body, Event, Reply, ServerLine, Snapshot, client::Client},
    clock::ClockFaults,
};
use jamsync_protocol::time::{Ppm, Span};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::mpsc,
    time::timeout,
};

use super::clock::{SkewedClock, sleep_until, true_now};
use crate::score::TrueTime;

/// How one node is set up.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Its listener's name.
    pub(crate) name: &'static str,
    /// All its state.
    pub(crate) home: PathBuf,
    /// Where its daemon's log goes.
    pub(crate) log: PathBuf,
    /// The sound card, or the virtual one that records to this path.
    pub(crate) record: Option<PathBuf>,
    /// How fast its virtual sound card runs.
    pub(crate) dac_rate: Ppm,
    /// From a frame's being taken by the virtual sound card to its being heard.
    pub(crate) dac_latency: Span,
    /// By how much its clock is shifted.
    pub(crate) clock_offset: Span,
    /// How fast its clock runs.
    pub(crate) clock_rate: Ppm,
    /// What happens to its clock.
    pub(crate) clock_faults: ClockFaults,
    /// A fault to prove that the measurement notices, as a flag of the daemon.
    pub(crate) fault: Option<&'static str>,
    /// Where it listens; port 0 lets the system choose.
    pub(crate) listen: SocketAddr,
    /// Where it meets its friend instead of at the friend's own address.
    pub(crate) peer_via: Option<SocketAddr>,
}

/// A running node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) setup: Setup,
    binary: PathBuf,
    /// Of the local API.
    pub(crate) socket: PathBuf,
    daemon: Child,
    /// Just before the start, from which the injected rate counts.
    started: TrueTime,
    watch: Option<Watch>,
    /// The recordings of its virtual sound card, one for each time it was started.
    pub(crate) lives: Vec<PathBuf>,
    /// All events so far.
    pub(crate) seen: Vec<Event>,
}

/// An anchor that took effect at a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effect {
    pub(crate) cause: AnchorCause,
    /// Whether music plays after it.
    pub(crate) playing: bool,
    pub(crate) at: TrueTime,
}

/// The events of a node, for this program and, from a second process, in words for people.
#[derive(Debug)]
struct Watch {
    _processes: Vec<Child>,
    events: mpsc::UnboundedReceiver<Event>,
}

/// Where the lines of the story are told.
pub(crate) type Story = mpsc::UnboundedSender<String>;

/// Any port of this machine.
pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// The longest that any command may take.
const COMMAND_MAX: Duration = Duration::from_secs(20);
/// The longest that a process may take to be ready or to end.
const PROCESS_MAX: Duration = Duration::from_secs(15);

impl Node {
    /// Starts the daemon and waits until it is ready.
    pub(crate) async fn start(binary: &Path, setup: Setup) -> anyhow::Result<Self> {
        let mut command = jamsync(binary, &setup.home);
        command.args(["--json", "daemon", "--listen"]).arg(setup.listen.to_string());
        let flag = |name: &str, value: String| format!("--{name}={value}");
        match &setup.record {
            Some(prefix) => {
                command.arg("--sink=virtual").arg("--record").arg(prefix);
                command.arg(flag("dac-ppm", setup.dac_rate.0.to_string()));
                command.arg(flag("dac-latency-ms", setup.dac_latency.as_millis().to_string()));
            }
            None => _ = command.arg("--sink=cpal"),
        }
        command.arg(flag("clock-offset", format!("{}ns", setup.clock_offset.as_nanos())));
        command.arg(flag("clock-ppm", setup.clock_rate.0.to_string()));
        let both = |(at, of): (Span, Span)| format!("{}ns,{}ns", at.as_nanos(), of.as_nanos());
        command.args(setup.clock_faults.step.map(|step| flag("clock-step", both(step))));
        command.args(setup.clock_faults.sleep.map(|sleep| flag("test-sleep", both(sleep))));
        command.args(setup.fault);
        if let Some(via) = setup.peer_via {
            command.arg(flag("test-peer-via", via.to_string()));
        }
        let log = std::fs::File::options().create(true).append(true).open(&setup.log)?;
        let started = true_now();
        let mut daemon =
            command.stdout(Stdio::piped()).stderr(log).spawn().context("cannot start jamsync")?;
        let mut lines = lines_of(&mut daemon)?;
        let ready = timeout(PROCESS_MAX, lines.next_line()).await;
        let Some(line) = ready.context("the daemon is not ready in time")?? else {
            bail!("{}'s daemon ended at once; its log:\n{}", setup.name, log_of(&setup));
        };
        let Body::Ready { socket, .. } = parse(&line)? else { bail!("{}'s daemon says: {line}", setup.name) };
        let (binary, socket) = (binary.to_owned(), PathBuf::from(socket));
        let lives = setup.record.iter().cloned().collect();
        Ok(Self { setup, binary, socket, daemon, started, watch: None, lives, seen: Vec::new() })
    }

    /// Follows what happens from now on; `story`, if any, gets the same in words.
    pub(crate) async fn follow(&mut self, story: Option<Story>) -> anyhow::Result<()> {
        let mut processes = Vec::new();
        if let Some(story) = story {
            processes.push(self.follow_in_words(story)?);
        }
        let mut process = self.command(["--json", "watch"]).stdout(Stdio::piped()).spawn()?;
        let mut lines = lines_of(&mut process)?;
        processes.push(process);
        let (sender, mut events) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(Body::Event(event)) = parse(&line) else { continue };
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        let first = timeout(PROCESS_MAX, events.recv()).await.context("no snapshot in time")?;
        anyhow::ensure!(
            matches!(first, Some(Event::Snapshot(_))),
            "the watch does not begin with a snapshot"
        );
        self.watch = Some(Watch { _processes: processes, events });
        Ok(())
    }

    fn follow_in_words(&self, story: Story) -> anyhow::Result<Child> {
        let mut process = self.command(["watch"]).stdout(Stdio::piped()).spawn()?;
        let mut lines = lines_of(&mut process)?;
        let name = self.setup.name;
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if story.send(format!("{name}: {line}")).is_err() {
                    return;
                }
            }
        });
        Ok(process)
    }

    /// A connection to its local API, which is quicker than a command.
    pub(crate) async fn connect(&self) -> anyhow::Result<Client> {
        let failed = || format!("cannot reach {}'s daemon at {}", self.setup.name, self.socket.display());
        Client::connect(&self.socket).await.with_context(failed)
    }

    /// Runs one command as a user does and gives its answer.
    pub(crate) async fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> anyhow::Result<Reply> {
        let output = self.command(["--json"]).args(arguments).output();
        let output = timeout(COMMAND_MAX, output).await.context("no answer in time")??;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text
            .lines()
            .last()
            .with_context(|| format!("no answer, but {}", String::from_utf8_lossy(&output.stderr).trim()))?;
        match parse(line)? {
            Body::Reply(reply) => Ok(reply),
            Body::Error(error) => bail!("{error}"),
            other @ (Body::Event(_) | Body::Ready { .. }) => bail!("expected a reply, found {other:?}"),
        }
    }

    /// Everything the node says of itself.
    pub(crate) async fn status(&self) -> anyhow::Result<Box<Snapshot>> {
        let reply = self.run(&["status"]).await?;
        if let Reply::Status(snapshot) = reply { Ok(snapshot) } else { bail!("no status, but {reply:?}") }
    }

    /// Waits for an event that fits, among those after the first `from`.
    pub(crate) async fn wait(
        &mut self,
        from: usize,
        longest: Duration,
        fits: impl Fn(&Event) -> bool,
    ) -> anyhow::Result<()> {
        if self.seen.iter().skip(from).any(&fits) {
            return Ok(());
        }
        let Some(watch) = &mut self.watch else { bail!("{} is not followed", self.setup.name) };
        let wait = async {
            while let Some(event) = watch.events.recv().await {
                let found = fits(&event);
                self.seen.push(event);
                if found {
                    return true;
                }
            }
            false
        };
        match timeout(longest, wait).await {
            Ok(true) => Ok(()),
            Ok(false) => bail!("{}'s daemon has ended", self.setup.name),
            Err(_) => bail!("{} did not see it within {} s", self.setup.name, longest.as_secs()),
        }
    }

    /// Takes in what has happened up to now, and says how many events there were.
    pub(crate) fn catch_up(&mut self) -> usize {
        if let Some(watch) = &mut self.watch {
            while let Ok(event) = watch.events.try_recv() {
                self.seen.push(event);
            }
        }
        self.seen.len()
    }

    /// When an anchor took effect, if that is what the event tells.
    pub(crate) fn effect(&self, event: &Event) -> Option<Effect> {
        let Event::Anchor { cause, playing, node_time_ns, .. } = event else { return None };
        Some(Effect { cause: *cause, playing: *playing, at: self.clock().true_time(*node_time_ns) })
    }

    /// Its clock, as it was made wrong.
    pub(crate) const fn clock(&self) -> SkewedClock {
        SkewedClock {
            offset: self.setup.clock_offset,
            rate: self.setup.clock_rate,
            started: self.started,
            faults: self.setup.clock_faults,
        }
    }

    /// Stops the daemon's process at `from` and lets it go on at `until`, as if its machine slept.
    pub(crate) fn stopped(
        &self,
        from: TrueTime,
        until: TrueTime,
    ) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
        let id = self.daemon.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let id = id.context("the daemon has ended")?;
        Ok(async move {
            for (at, signal) in [(from, Signal::STOP), (until, Signal::CONT)] {
                sleep_until(at).await;
                // A process that has ended meanwhile is noticed by what it no longer answers.
                let _ = kill_process(id, signal);
            }
        })
    }

    /// Ends the daemon so that its recording is complete.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        self.run(&["stop"]).await?;
        let ended = timeout(PROCESS_MAX, self.daemon.wait()).await;
        ended.context("the daemon did not end in time")??;
        Ok(())
    }

    /// Ends the daemon as `kill -9` does.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.catch_up();
        self.setup.listen = self.status().await?.me.listen;
        self.daemon.kill().await.context("cannot kill the daemon")
    }

    /// Starts a daemon that was killed, at the same address, with the same clock, and with a recording of its own.
    pub(crate) async fn start_again(&mut self) -> anyhow::Result<()> {
        let clock = self.clock();
        let mut setup = self.setup.clone();
        setup.clock_offset = clock.offset + (true_now() - clock.started).scaled(clock.rate.0 * 1e-6);
        let recorded = self.lives.len();
        setup.record = self.lives.first().map(|first| first.with_added_extension((recorded + 1).to_string()));
        let again = Self::start(&self.binary, setup).await?;
        let before = std::mem::replace(self, again);
        self.seen = before.seen;
        self.lives = [before.lives, std::mem::take(&mut self.lives)].concat();
        self.follow(None).await
    }

    fn command<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = jamsync(&self.binary, &self.setup.home);
        command.args(arguments);
        command
    }
}

/// A command of jamsync on one state folder, which ends with this program.
fn jamsync(binary: &Path, home: &Path) -> Command {
    let mut command = Command::new(binary);
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| name.to_string_lossy().starts_with("JAMSYNC_")) {
        command.env_remove(name);
    }
    command.env("JAMSYNC_HOME", home).stdin(Stdio::null()).kill_on_drop(true);
    command
}

pub(crate) fn lines_of(process: &mut Child) -> anyhow::Result<Lines<BufReader<ChildStdout>>> {
    Ok(BufReader::new(process.stdout.take().context("standard output is not read")?).lines())
}

fn parse(line: &str) -> anyhow::Result<Body> {
    let line: ServerLine = serde_json::from_str(line).with_context(|| format!("not understood: {line}"))?;
    Ok(line.body)
}

/// The last lines of a daemon's log.
fn log_of(setup: &Setup) -> String {
    let text = std::fs::read_to_string(&setup.log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
