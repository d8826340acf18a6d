//! The processes of a run: a coordinator and two nodes, each with its own state, clock and sound card.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use jamsync_protocol::time::Ppm;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::node::{Node, Setup, lines_of};
use crate::ports;

/// Everything that runs. Dropping it ends every process.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) coordinator: Coordinator,
    /// Asks for the Jam, and so becomes its guest.
    pub(crate) ana: Node,
    /// Accepts, and so becomes its host.
    pub(crate) ben: Node,
}

/// How fast the clocks of the two nodes run.
pub(crate) const CLOCK_RATES: [Ppm; 2] = [Ppm(30.0), Ppm(-20.0)];
/// The hours by which clocks are shifted.
pub(crate) const HOURS: std::ops::RangeInclusive<f64> = 1.0..=1_000.0;
/// The longest that the coordinator may take to be ready.
const READY_MAX: Duration = Duration::from_secs(15);

impl Stage {
    /// Starts everything, with the state of all in `folder`.
    pub(crate) async fn set(folder: &Path, binaries: &Path, setups: [Setup; 2]) -> anyhow::Result<Self> {
        let coordinator = Coordinator::start(binaries, folder).await?;
        let jamsync = binaries.join("jamsync");
        let [ana, ben] = setups;
        let (ana, ben) = (Node::start(&jamsync, ana).await?, Node::start(&jamsync, ben).await?);
        Ok(Self { coordinator, ana, ben })
    }

    /// The node called `name`.
    pub(crate) fn node(&mut self, name: &str) -> &mut Node {
        if name == self.ana.setup.name { &mut self.ana } else { &mut self.ben }
    }
}

/// The folder of the binaries: `chosen`, or that of this program.
pub(crate) fn binaries(chosen: Option<&Path>) -> anyhow::Result<PathBuf> {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.to_owned());
    let folder = chosen.map(Path::to_owned).or_else(beside).context("unknown where this program is")?;
    for name in ["jamsync", "jamsync-coordinator"] {
        anyhow::ensure!(
            folder.join(name).is_file(),
            "{} holds no {name}; build it first: cargo build --release --bins",
            folder.display()
        );
    }
    Ok(folder)
}

/// A running coordinator.
#[derive(Debug)]
pub(crate) struct Coordinator {
    binary: PathBuf,
    folder: PathBuf,
    port: u16,
    process: Child,
    pub(crate) join_code: String,
}

impl Coordinator {
    /// Starts it and makes a join code.
    async fn start(binaries: &Path, folder: &Path) -> anyhow::Result<Self> {
        let binary = binaries.join("jamsync-coordinator");
        let port = ports::lasting()?;
        let process = serve(&binary, folder, port).await?;
        let data = folder.join("coordinator");
        let made = Command::new(&binary).args(["join-code", "--data"]).arg(&data).output().await?;
        let join_code = String::from_utf8_lossy(&made.stdout).trim().to_owned();
        anyhow::ensure!(
            made.status.success() && !join_code.is_empty(),
            "no join code: {}",
            String::from_utf8_lossy(&made.stderr).trim()
        );
        Ok(Self { binary, folder: folder.to_owned(), port, process, join_code })
    }

    /// Ends it as `kill -9` does.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill().await.context("cannot kill the coordinator")
    }

    /// Starts it again after a kill, with the same data at the same port.
    pub(crate) async fn start_again(&mut self) -> anyhow::Result<()> {
        self.process = serve(&self.binary, &self.folder, self.port).await?;
        Ok(())
    }
}

/// A coordinator that is ready.
async fn serve(binary: &Path, folder: &Path, port: u16) -> anyhow::Result<Child> {
    let file = folder.join("coordinator.log");
    let log = std::fs::File::options().create(true).append(true).open(&file)?;
    let mut process = Command::new(binary)
        .args(["serve", "--json", "--listen"])
        .arg(format!("127.0.0.1:{port}"))
        .arg("--data")
        .arg(folder.join("coordinator"))
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
        let log = std::fs::read_to_string(file).unwrap_or_default();
        bail!("the coordinator ended at once; its log:\n{log}");
    }
    Ok(process)
}
