//! The processes of the demo: a coordinator and two nodes, each with its own state, clock and sound card.

use std::{
    net::UdpSocket,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use jamsync_protocol::time::{Ppm, Span};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::{
    Options,
    node::{Node, Setup, lines_of},
    options::Sabotage,
};

/// Everything that runs. Dropping it ends every process.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) coordinator: Child,
    pub(super) join_code: String,
    /// Asks for the Jam, and so becomes its guest.
    pub(super) ana: Node,
    /// Accepts, and so becomes its host.
    pub(super) ben: Node,
    /// What decided the clocks.
    pub(super) seed: u64,
}

/// How fast the clocks of the two nodes run.
const CLOCK_RATES: [Ppm; 2] = [Ppm(30.0), Ppm(-20.0)];
/// The latencies of the two virtual sound cards: long enough that a busy machine does not run them dry.
const DAC_LATENCIES: [Span; 2] = [Span::from_millis(60), Span::from_millis(90)];
/// The hours by which clocks are shifted.
const HOURS: std::ops::RangeInclusive<f64> = 1.0..=1_000.0;
/// The longest that the coordinator may take to be ready.
const READY_MAX: Duration = Duration::from_secs(15);

impl Stage {
    /// Starts everything.
    pub(super) async fn set(options: &Options, folder: &Path) -> anyhow::Result<Self> {
        let seed = options.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let binaries = binaries(options)?;
        let (coordinator, join_code) = coordinator(&binaries, folder).await?;
        let fault = options.sabotage.map(|sabotage| match sabotage {
            Sabotage::ZeroOffset => "--test-zero-offset",
            Sabotage::HoldRate => "--test-hold-rate",
        });
        let mut setup = |index: usize, name: &'static str| -> anyhow::Result<Setup> {
            let home = folder.join(name);
            std::fs::create_dir_all(&home)?;
            let recordings = options.keep.as_deref().unwrap_or(folder);
            std::fs::create_dir_all(recordings)?;
            Ok(Setup {
                name,
                home,
                log: recordings.join(format!("{name}.log")),
                record: (!options.audible).then(|| recordings.join(format!("{name}-recording"))),
                dac_rate: options.dac_ppm.get(index).copied().unwrap_or_default(),
                dac_latency: DAC_LATENCIES[index],
                clock_offset: Span::from_secs_f64(random.random_range(HOURS) * 3_600.0),
                clock_rate: CLOCK_RATES[index],
                fault: fault.filter(|_| index == 0),
            })
        };
        let (ana, ben) = (setup(0, "ana")?, setup(1, "ben")?);
        let jamsync = binaries.join("jamsync");
        let (ana, ben) = (Node::start(&jamsync, ana).await?, Node::start(&jamsync, ben).await?);
        Ok(Self { coordinator, join_code, ana, ben, seed })
    }

    /// The node called `name`.
    pub(super) fn node(&mut self, name: &str) -> &mut Node {
        if name == self.ana.setup.name { &mut self.ana } else { &mut self.ben }
    }
}

/// The folder of the binaries.
fn binaries(options: &Options) -> anyhow::Result<PathBuf> {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.to_owned());
    let folder = options.binaries.clone().or_else(beside).context("unknown where this program is")?;
    for name in ["jamsync", "jamsync-coordinator"] {
        anyhow::ensure!(
            folder.join(name).is_file(),
            "{} holds no {name}; build it first: cargo build --release --bins",
            folder.display()
        );
    }
    Ok(folder)
}

/// Starts the coordinator and makes a join code.
async fn coordinator(binaries: &Path, folder: &Path) -> anyhow::Result<(Child, String)> {
    let binary = binaries.join("jamsync-coordinator");
    let data = folder.join("coordinator");
    let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
    let log = std::fs::File::create(folder.join("coordinator.log"))?;
    let mut process = Command::new(&binary)
        .args(["serve", "--json", "--listen"])
        .arg(format!("127.0.0.1:{port}"))
        .arg("--data")
        .arg(&data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("cannot start jamsync-coordinator")?;
    let mut lines = lines_of(&mut process)?;
    let ready =
        timeout(READY_MAX, lines.next_line()).await.context("the coordinator is not ready in time")??;
    if ready.is_none() {
        let log = std::fs::read_to_string(folder.join("coordinator.log")).unwrap_or_default();
        bail!("the coordinator ended at once; its log:\n{log}");
    }
    let made = Command::new(&binary).args(["join-code", "--data"]).arg(&data).output().await?;
    let code = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    anyhow::ensure!(
        made.status.success() && !code.is_empty(),
        "no join code: {}",
        String::from_utf8_lossy(&made.stderr).trim()
    );
    Ok((process, code))
}
