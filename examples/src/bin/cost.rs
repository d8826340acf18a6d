//! `cost`: what a node costs. Two nodes do nothing for a while, signed in at a coordinator; then they play the same
//! FLAC together, into nowhere but in real time. The system's own counters say what each of them used. Linux only.
//!
//! Run it from a release build: `cargo build --release --bins && target/release/cost`. Traffic is what passes the
//! loopback device, headers and all, shared between the two nodes by halves: exact where nothing else uses it, as in
//! `unshare --map-root-user --net sh -c 'ip link set lo up && target/release/cost'`, and too much anywhere else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use jamsync_examples::{ports, tones::Piece};
use jamsync_node::api::{Body, Peer, Reply, ServerLine, Snapshot};
use jamsync_protocol::media::SampleRate;
use serde::Serialize;

/// Measures CPU, memory, wake-ups and traffic of two nodes, idle and in a Jam.
#[derive(Debug, Parser)]
struct Options {
    /// For how long each, in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(5..=3_600))]
    seconds: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Folder of jamsync and jamsync-coordinator [default: this program's]
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Cost {
    file: &'static str,
    idle: Phase,
    jam: Phase,
    passed: bool,
}

/// What two nodes used for a while.
#[derive(Debug, Serialize)]
struct Phase {
    seconds: f64,
    nodes: Vec<NodeCost>,
    /// What one node sent, and as much received: by all that passed the loopback device, other programs included.
    kbit_per_s_each_way: f64,
}

#[derive(Debug, Serialize)]
struct NodeCost {
    name: &'static str,
    cpu_percent: f64,
    memory_kib: u64,
    wakeups_per_second: f64,
}

/// The most that a node may use.
struct Goal {
    /// Percent of one core; none where nothing is promised.
    cpu_percent: Option<f64>,
    memory_mb: f64,
    kbit_per_s_each_way: f64,
}

const IDLE: Goal = Goal { cpu_percent: None, memory_mb: 30.0, kbit_per_s_each_way: 1.0 };
const JAM: Goal = Goal { cpu_percent: Some(1.5), memory_mb: 30.0, kbit_per_s_each_way: 10.0 };
/// How long a step on the way to the Jam may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a start costs is over by then.
const SETTLED: Duration = Duration::from_secs(16);

fn main() -> ExitCode {
    let options = Options::parse();
    match measure(&options).and_then(|cost| show(&options, &cost)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cost: {error:#}");
            ExitCode::from(4)
        }
    }
}

fn show(options: &Options, cost: &Cost) -> anyhow::Result<bool> {
    if options.json {
        println!("{}", serde_json::to_string_pretty(cost)?);
        return Ok(cost.passed);
    }
    println!("Two nodes, 44.1 kHz stereo {}:", cost.file);
    for (name, phase, goal) in [("idle", &cost.idle, &IDLE), ("in a Jam", &cost.jam, &JAM)] {
        println!("{name}, {:.0} s", phase.seconds);
        for node in &phase.nodes {
            println!(
                "  {}: {:.2} % of a core, {:.1} MB, {:.0} wake-ups/s",
                node.name,
                node.cpu_percent,
                megabytes(node.memory_kib),
                node.wakeups_per_second
            );
        }
        println!("  each sends and receives at most {:.2} kbit/s", phase.kbit_per_s_each_way);
        let misses = phase.misses(goal);
        let verdict = if misses.is_empty() { "within its goals".to_owned() } else { misses.join("; ") };
        println!("  {verdict}");
    }
    Ok(cost.passed)
}

impl Phase {
    /// What is above the goal, in words.
    fn misses(&self, goal: &Goal) -> Vec<String> {
        let mut misses = Vec::new();
        for node in &self.nodes {
            if let Some(limit) = goal.cpu_percent.filter(|limit| node.cpu_percent > *limit) {
                misses.push(format!("{} uses more than {limit} % of a core", node.name));
            }
            if megabytes(node.memory_kib) > goal.memory_mb {
                misses.push(format!("{} holds more than {} MB", node.name, goal.memory_mb));
            }
        }
        if self.kbit_per_s_each_way > goal.kbit_per_s_each_way {
            misses.push(format!("more than {} kbit/s each way", goal.kbit_per_s_each_way));
        }
        misses
    }
}

fn measure(options: &Options) -> anyhow::Result<Cost> {
    let folder = tempfile::Builder::new().prefix("jamsync-cost-").tempdir()?;
    let beside = || Some(std::env::current_exe().ok()?.parent()?.to_owned());
    let binaries = options.binaries.clone().or_else(beside).context("unknown where this program is")?;
    let (music, file) = music(folder.path(), options.seconds + 90)?;
    let _coordinator = coordinator(&binaries, folder.path())?;
    let code = Command::new(binaries.join("jamsync-coordinator"))
        .args(["join-code", "--data"])
        .arg(folder.path().join("coordinator"))
        .output()?;
    let code = String::from_utf8(code.stdout)?.trim().to_owned();
    let nodes = ["ana", "ben"].map(|name| Node::start(&binaries, folder.path(), name));
    let [ana, ben] = nodes;
    let (ana, ben) = (ana?, ben?);
    for node in [&ana, &ben] {
        let name = node.name;
        node.run(&[
            "init",
            "--coordinator",
            &code,
            "--handle",
            name,
            "--birth",
            "1990-01-01",
            "--market",
            "DE",
        ])?;
        node.run(&["library", "add", &music.display().to_string()])?;
    }
    let nodes = [&ana, &ben];
    let idle = phase(nodes, options.seconds)?;
    let Reply::Link { link } = ana.run(&["link"])? else { bail!("no link") };
    ben.run(&["join", &link])?;
    ben.run(&["play", &music.display().to_string()])?;
    ana.run(&["request", "ben"])?;
    ben.until("the request", |status| !status.requests.is_empty())?;
    ben.run(&["accept"])?;
    for node in nodes {
        node.until("both play together", |status| {
            let connected = status.jam.as_ref().is_some_and(|jam| matches!(jam.peer, Peer::Connected { .. }));
            connected && status.sync.is_some() && status.now.as_ref().is_some_and(|now| now.playing)
        })?;
    }
    let jam = phase(nodes, options.seconds)?;
    for node in nodes {
        node.until("still playing", |status| status.now.as_ref().is_some_and(|now| now.playing))?;
    }
    let passed = idle.misses(&IDLE).is_empty() && jam.misses(&JAM).is_empty();
    Ok(Cost { file, idle, jam, passed })
}

/// What both use from now on, once what came before has settled.
fn phase(nodes: [&Node; 2], seconds: u32) -> anyhow::Result<Phase> {
    sleep(SETTLED);
    let (before, began) = ([nodes[0].counters()?, nodes[1].counters()?], Instant::now());
    let passed_before = loopback_bytes()?;
    sleep(Duration::from_secs(seconds.into()));
    let (after, seconds) = ([nodes[0].counters()?, nodes[1].counters()?], began.elapsed().as_secs_f64());
    // Every byte was sent by one and received by another; two nodes share them.
    let kbit_per_s_each_way = as_f64(loopback_bytes()? - passed_before) / seconds / 2.0 * 8.0 / 1_000.0;
    let cost = |node: &Node, before: &Counters, after: &Counters| NodeCost {
        name: node.name,
        cpu_percent: (after.cpu_seconds - before.cpu_seconds) / seconds * 100.0,
        memory_kib: after.memory_kib,
        wakeups_per_second: as_f64(after.wakeups.saturating_sub(before.wakeups)) / seconds,
    };
    let nodes = vec![cost(nodes[0], &before[0], &after[0]), cost(nodes[1], &before[1], &after[1])];
    Ok(Phase { seconds, nodes, kbit_per_s_each_way })
}

/// A running node, ended when dropped.
struct Node {
    name: &'static str,
    binary: PathBuf,
    home: PathBuf,
    daemon: Running,
}

/// A process that ends with this program.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the system has counted for a process.
struct Counters {
    cpu_seconds: f64,
    memory_kib: u64,
    wakeups: u64,
}

impl Node {
    fn start(binaries: &Path, folder: &Path, name: &'static str) -> anyhow::Result<Self> {
        let (binary, home) = (binaries.join("jamsync"), folder.join(name));
        fs::create_dir_all(&home)?;
        let daemon = Command::new(&binary)
            .args(["daemon", "--listen", "127.0.0.1:0", "--sink", "null"])
            .env("JAMSYNC_HOME", &home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let node = Self { name, binary, home, daemon: Running(daemon) };
        let socket = node.home.join("control.sock");
        until("the daemon is ready", || Ok(socket.exists()))?;
        Ok(node)
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<Reply> {
        let mut command = Command::new(&self.binary);
        let output = command.arg("--json").args(arguments).env("JAMSYNC_HOME", &self.home).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line: ServerLine = serde_json::from_str(text.lines().last().context("no answer")?)?;
        match line.body {
            Body::Reply(reply) => Ok(reply),
            other @ (Body::Error(_) | Body::Event(_) | Body::Ready { .. }) => {
                bail!("{}: {arguments:?}: {other:?}", self.name)
            }
        }
    }

    fn until(&self, what: &str, fits: impl Fn(&Snapshot) -> bool) -> anyhow::Result<()> {
        until(what, || Ok(matches!(self.run(&["status"])?, Reply::Status(status) if fits(&status))))
    }

    fn counters(&self) -> anyhow::Result<Counters> {
        let folder = PathBuf::from(format!("/proc/{}", self.daemon.0.id()));
        let stat = fs::read_to_string(folder.join("stat")).context("no /proc: this needs Linux")?;
        // The second field is the name in brackets; user and system time are the 14th and 15th.
        let (_, fields) = stat.rsplit_once(')').context("an odd /proc/PID/stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|ticks| ticks.parse::<u64>().ok());
        let ticks = ticks(11).zip(ticks(12)).context("an odd /proc/PID/stat")?;
        let memory_kib = number_after(&fs::read_to_string(folder.join("status"))?, "VmRSS:")?;
        let mut wakeups = 0;
        for task in fs::read_dir(folder.join("task"))? {
            // A thread may end meanwhile.
            let Ok(status) = fs::read_to_string(task?.path().join("status")) else { continue };
            wakeups += number_after(&status, "voluntary_ctxt_switches:")?;
        }
        Ok(Counters { cpu_seconds: as_f64(ticks.0 + ticks.1) / TICKS_PER_SECOND, memory_kib, wakeups })
    }
}

fn coordinator(binaries: &Path, folder: &Path) -> anyhow::Result<Running> {
    let port = ports::lasting()?;
    let data = folder.join("coordinator");
    let process = Command::new(binaries.join("jamsync-coordinator"))
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data"])
        .arg(&data)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start jamsync-coordinator")?;
    let running = Running(process);
    let ready = || {
        let mut code = Command::new(binaries.join("jamsync-coordinator"));
        Ok(code.args(["join-code", "--data"]).arg(&data).output()?.status.success())
    };
    until("the coordinator is ready", ready)?;
    Ok(running)
}

/// A FLAC where `flac` is installed, else a WAV, and which of them.
fn music(folder: &Path, seconds: u32) -> anyhow::Result<(PathBuf, &'static str)> {
    let (wav, flac) = (folder.join("music.wav"), folder.join("music.flac"));
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 44_100,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&wav, spec)?;
    for sample in Piece::new(1, seconds).render(SampleRate::HZ_44100, seconds, 0.0, 0.0).into_iter().flatten()
    {
        #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
        writer.write_sample((sample * 32_767.0) as i16)?;
    }
    writer.finalize()?;
    let encoded = Command::new("flac").args(["--silent", "-o"]).arg(&flac).arg(&wav).status();
    if encoded.is_ok_and(|status| status.success()) { Ok((flac, "FLAC")) } else { Ok((wav, "WAV")) }
}

/// Looks again and again until it is so.
fn until(what: &str, mut so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    while !so()? {
        ensure!(Instant::now() < until, "not so within {} s: {what}", PATIENCE.as_secs());
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// What the loopback device has sent.
fn loopback_bytes() -> anyhow::Result<u64> {
    let devices = fs::read_to_string("/proc/net/dev").context("no /proc: this needs Linux")?;
    number_after(&devices, "lo:")
}

fn number_after(text: &str, name: &str) -> anyhow::Result<u64> {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("the system does not tell {name}"))
}

fn megabytes(kibibytes: u64) -> f64 {
    as_f64(kibibytes) * 1_024.0 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "counters of a minute are far below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// What Linux counts processor time in, on every architecture of today.
const TICKS_PER_SECOND: f64 = 100.0;
