//! The load generator: many simulated devices on one coordinator over real QUIC, and what that costs the coordinator.
//!
//! The coordinator is a process of its own and tells its CPU time and memory by its metrics; latencies are taken on the
//! side of the devices, from the moment a request is made to the moment its answer or event has arrived. A simulated
//! device does what the wire asks of it and nothing else, so that one machine can be ten thousand of them. Nothing here is
//! needed by a node or a coordinator.

use std::{
    future::Future,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use tokio::{sync::Semaphore, task::JoinSet};

mod abuse;
mod activity;
mod device;
mod files;
mod messages;
mod phases;
mod report;
mod restart;
mod server;

pub use abuse::{ABUSERS, Abused, Abuser, Beside, P99_RATIO_MAX, abuse};
pub use device::{Device, Dialer, Events, News, Persona};
pub use files::raise_open_files;
pub use report::{
    Activities, ActivityMix, Cost, Delivered, Idle, Latencies, Logins, MessageMix, Messages, Report, Restart,
    Writes,
};
pub use server::{Counts, Server};

use crate::ports;
use messages::{Mix, messages};
use phases::{Crowd, events, idle, logins, sign_up, writes};
use restart::restart;

/// What is measured, and how hard.
#[derive(Clone, Debug)]
pub struct Load {
    /// Folder of the program jamsync-coordinator.
    pub binaries: PathBuf,
    /// Devices, each with an account of its own. Count, 2 to 100,000.
    pub devices: u32,
    /// How long logins are made.
    pub login_time: Duration,
    /// Pairs of devices that ask each other for Jams, at most half of the devices. Count.
    pub pairs: u32,
    /// Conversations, each between two accounts of several devices. Count.
    pub conversations: u32,
    /// How long activities change.
    pub activity_time: Duration,
}

/// Measures everything, one thing after the other, and says on standard error how far it is.
///
/// # Errors
/// Where the coordinator does not do what a device may expect of it.
pub async fn measure(load: &Load) -> anyhow::Result<Report> {
    ensure!(
        load.binaries.join("jamsync-coordinator").is_file(),
        "{} holds no jamsync-coordinator; build it first: cargo build --release --bins",
        load.binaries.display()
    );
    let folder = tempfile::Builder::new().prefix("jamsync-load-").tempdir()?;
    let data = folder.path().join("coordinator");
    let listen = format!("127.0.0.1:{}", ports::lasting()?);
    let server = Server::start(&load.binaries, &data, &listen, &UNLIMITED)?;
    let address = server.address;
    let code = Server::join_code(&load.binaries, &data, load.devices)?;
    let crowd = Arc::new(Crowd::new(&Dialer::new(address, code.coordinator, SOCKETS)?.into(), load.devices)?);

    let signed_up = sign_up(&crowd, &server, code.secret).await?;
    let logins = logins(&crowd, &server, load.login_time).await?;
    // A process that has just started, so that memory which earlier connections left behind does not count as free.
    server.stop()?;
    let binaries = load.binaries.clone();
    let again = move || Server::start(&binaries, &data, &listen, &UNLIMITED);
    let server = again()?;
    let (online, idle) = idle(&crowd, &server).await?;
    let calm = writes(&online, &server, CALM_IN_FLIGHT, LINKS_EACH).await?;
    let busy = writes(&online, &server, BUSY_IN_FLIGHT, LINKS_EACH).await?;
    let (online, events) = events(online, &server, load.pairs.min(load.devices / 2)).await?;
    let restart = restart(&crowd, online, server, again).await?;
    let messages = measure_messages(load).await?;
    let activities = measure_activities(load).await?;
    Ok(Report {
        devices: load.devices,
        signed_up,
        logins,
        idle,
        writes: [calm, busy],
        events,
        restart,
        messages,
        activities,
    })
}

/// Measures messages alone: between accounts of two devices, few and many at once, and of as many as an account may have.
///
/// # Errors
/// Where the coordinator does not do what a device may expect of it.
pub async fn measure_messages(load: &Load) -> anyhow::Result<Messages> {
    let mut mixes = Vec::new();
    for (devices, in_flight, pairs) in [
        (2, CALM_IN_FLIGHT, load.conversations.min(CALM_CONVERSATIONS)),
        (2, BUSY_IN_FLIGHT, load.conversations),
        (DEVICES_MAX, CALM_IN_FLIGHT, load.conversations.min(CALM_CONVERSATIONS)),
    ] {
        let folder = tempfile::Builder::new().prefix("jamsync-load-").tempdir()?;
        let data = folder.path().join("coordinator");
        let listen = format!("127.0.0.1:{}", ports::lasting()?);
        let server = Server::start(&load.binaries, &data, &listen, &UNLIMITED)?;
        let code = Server::join_code(&load.binaries, &data, 2 * pairs)?;
        let dialer = Dialer::new(server.address, code.coordinator, SOCKETS)?.into();
        mixes.push(messages(&dialer, &server, code.secret, Mix { devices, pairs, in_flight }).await?);
    }
    Ok(Messages(mixes))
}

/// Measures listening activity alone: seen by one, by ten and by two hundred.
///
/// # Errors
/// Where the coordinator does not do what a device may expect of it.
pub async fn measure_activities(load: &Load) -> anyhow::Result<Activities> {
    let mut mixes = Vec::new();
    for (fan_out, publishers) in FAN_OUTS {
        let folder = tempfile::Builder::new().prefix("jamsync-load-").tempdir()?;
        let data = folder.path().join("coordinator");
        let listen = format!("127.0.0.1:{}", ports::lasting()?);
        let server = Server::start(&load.binaries, &data, &listen, &UNLIMITED)?;
        let code = Server::join_code(&load.binaries, &data, 1)?;
        let dialer = Dialer::new(server.address, code.coordinator, SOCKETS)?.into();
        let publishers = publishers.min(usize::try_from(load.devices)?);
        let mix = activity::Mix { fan_out, publishers, time: load.activity_time };
        mixes.push(activity::activities(&dialer, (&server, &data), mix).await?);
    }
    Ok(Activities(mixes))
}

/// Does `work` for each of `items`, `in_flight` of them at once.
async fn all<T, O, F>(
    what: &str,
    items: impl IntoIterator<Item = T>,
    in_flight: usize,
    work: impl Fn(T) -> F,
) -> anyhow::Result<Vec<O>>
where
    O: Send + 'static,
    F: Future<Output = anyhow::Result<O>> + Send + 'static,
{
    all_within(PATIENCE, what, items, in_flight, work).await
}

/// The same, where each may take as long as `patience`.
async fn all_within<T, O, F>(
    patience: Duration,
    what: &str,
    items: impl IntoIterator<Item = T>,
    in_flight: usize,
    work: impl Fn(T) -> F,
) -> anyhow::Result<Vec<O>>
where
    O: Send + 'static,
    F: Future<Output = anyhow::Result<O>> + Send + 'static,
{
    let turns = Arc::new(Semaphore::new(in_flight));
    let mut tasks = JoinSet::new();
    for item in items {
        let (turns, work) = (Arc::clone(&turns), work(item));
        tasks.spawn(async move {
            let _turn = turns.acquire_owned().await?;
            tokio::time::timeout(patience, work).await.context("no answer in time")?
        });
    }
    let (count, mut done, mut told) = (tasks.len(), Vec::new(), Instant::now());
    while let Some(outcome) = tasks.join_next().await {
        done.push(outcome?.with_context(|| what.to_owned())?);
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            eprintln!("{what}: {} of {count}", done.len());
        }
    }
    eprintln!("{what}: {count} done");
    Ok(done)
}

/// A few devices do here what many would, so none of them is held back for it.
const UNLIMITED: [&str; 8] = [
    "--requests-per-second-max",
    "100000",
    "--requests-burst-max",
    "100000",
    "--writes-per-second-max",
    "100000",
    "--writes-burst-max",
    "100000",
];
/// Sockets of the devices: some, because a thousand devices on one would wait for each other.
const SOCKETS: usize = 64;
/// Writes under way at once: as many friends as may be busy at a time, and as many as fill the common commits.
const CALM_IN_FLIGHT: usize = 32;
const BUSY_IN_FLIGHT: usize = 512;
/// Conversations of a mix with few at once: enough for some seconds.
const CALM_CONVERSATIONS: u32 = 128;
/// By how many an activity is seen, and how many are shown once a second: to several thousand deliveries a second each.
const FAN_OUTS: [(usize, usize); 3] = [(1, 1_000), (10, 300), (200, 25)];
/// Devices that one account may have.
const DEVICES_MAX: u32 = 6;
/// Friend links that a device makes each time: an account may make 20 an hour.
const LINKS_EACH: u32 = 9;
/// The longest that one device may wait for one thing.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is said how far it is.
const TELL_EVERY: Duration = Duration::from_secs(2);
