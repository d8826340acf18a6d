//! The processes of a run: a coordinator and two nodes, each with its own state, clock and sound card.

use std::{
    net::UdpSocket,
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

/// Everything that runs. Dropping it ends every process.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) coordinator: Child,
    pub(crate) join_code: String,
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
        let (coordinator, join_code) = coordinator(binaries, folder).await?;
        let jamsync = binaries.join("jamsync");
        let [ana, ben] = setups;
        let (ana, ben) = (Node::start(&jamsync, ana).await?, Node::start(&jamsync, ben).await?);
        Ok(Self { coordinator, join_code, ana, ben })
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
