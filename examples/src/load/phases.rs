//! What the devices do, and what is measured meanwhile.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use jamsync_protocol::{
    id::Handle,
    identity::{friend_link::LinkSecret, join_code::JoinSecret},
    wire::coord::{Answer, CoordEvent, CoordReply, CoordRequest, EventNumber, NumberedEvent},
};
use tokio::time::sleep;

use super::{
    Device, Dialer, Events, Persona, Server, all,
    report::{Cost, Delivered, Idle, Latencies, Logins, Writes},
};

/// All devices, connected or not.
#[derive(Debug)]
pub(super) struct Crowd {
    pub(super) dialer: Arc<Dialer>,
    people: Vec<Arc<Persona>>,
}

/// A device that is connected and listens for events, as one does that has nothing else to do.
#[derive(Debug)]
pub(super) struct Online {
    pub(super) who: Arc<Persona>,
    pub(super) device: Device,
    pub(super) events: Events,
    /// The contact that it has made.
    pub(super) friend: Option<Handle>,
    /// The events that it was told of and has not acknowledged.
    pub(super) heard: Vec<NumberedEvent>,
}

/// Latencies of everything that is under way at once.
#[derive(Clone, Debug)]
pub(super) struct Times(Arc<Mutex<Histogram<u64>>>);

impl Crowd {
    pub(super) fn new(dialer: &Arc<Dialer>, count: u32) -> anyhow::Result<Self> {
        let people =
            (0..count).map(|number| Persona::new(0, number).map(Arc::new)).collect::<Result<_, _>>()?;
        Ok(Self { dialer: Arc::clone(dialer), people })
    }

    async fn connect(&self, in_flight: usize) -> anyhow::Result<Vec<Online>> {
        let mut online = all("connecting", self.people.iter().enumerate(), in_flight, |(place, who)| {
            let (dialer, who) = (Arc::clone(&self.dialer), Arc::clone(who));
            async move {
                let device = dialer.log_in(&who).await?;
                let events = device.events(EventNumber(0)).await?;
                Ok((place, Online { who, device, events, friend: None, heard: Vec::new() }))
            }
        })
        .await?;
        online.sort_by_key(|(place, _)| *place);
        Ok(online.into_iter().map(|(_, online)| online).collect())
    }
}

impl Times {
    /// From 1 µs to 60 s, to three digits.
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(Histogram::new_with_bounds(1, 60_000_000, 3)?))))
    }

    pub(super) fn note(&self, since: Instant) {
        let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
    }

    pub(super) fn read(&self) -> Latencies {
        Latencies::of(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the server spends between two moments.
pub(super) struct Meter<'a> {
    server: &'a Server,
    core_seconds: f64,
    commits: f64,
    begun: Instant,
}

impl<'a> Meter<'a> {
    pub(super) fn start(server: &'a Server) -> anyhow::Result<Self> {
        let counts = server.counts()?;
        let commits = counts.of(COMMITS);
        Ok(Self { server, core_seconds: counts.core_seconds(), commits, begun: Instant::now() })
    }

    pub(super) fn read(&self, count: usize) -> anyhow::Result<Cost> {
        let seconds = self.begun.elapsed().as_secs_f64();
        let counts = self.server.counts()?;
        let count = u32::try_from(count).context("fewer")?;
        Ok(Cost {
            count,
            seconds,
            per_second: f64::from(count) / seconds,
            server_core_seconds: counts.core_seconds() - self.core_seconds,
            per_core_second: f64::from(count) / (counts.core_seconds() - self.core_seconds),
            commits: counts.of(COMMITS) - self.commits,
        })
    }
}

const COMMITS: &str = "jamsync_store_commit_seconds_count";

/// Makes every account.
pub(super) async fn sign_up(crowd: &Arc<Crowd>, server: &Server, secret: JoinSecret) -> anyhow::Result<Cost> {
    let meter = Meter::start(server)?;
    let done = all("signing up", crowd.people.clone(), 64, |who| {
        let dialer = Arc::clone(&crowd.dialer);
        async move {
            let device = dialer.log_in(&who).await?;
            device.sign_up(&who, secret).await?;
            device.connection.close(0u8.into(), b"");
            Ok(())
        }
    });
    meter.read(done.await?.len())
}

/// Connects, says hello and goes, again and again.
pub(super) async fn logins(crowd: &Arc<Crowd>, server: &Server, time: Duration) -> anyhow::Result<Logins> {
    let (meter, times) = (Meter::start(server)?, Times::new()?);
    let until = Instant::now() + time;
    let lanes = crowd.people.len().min(32);
    let made = all("logging in", 0..lanes, lanes, |lane| {
        let (crowd, times) = (Arc::clone(crowd), times.clone());
        async move {
            let mut made = 0;
            for who in crowd.people.iter().skip(lane).step_by(lanes).cycle() {
                if Instant::now() >= until {
                    break;
                }
                let begun = Instant::now();
                let device = crowd.dialer.log_in(who).await?;
                times.note(begun);
                device.connection.close(0u8.into(), b"");
                made += 1;
            }
            Ok(made)
        }
    });
    let made: usize = made.await?.into_iter().sum();
    Ok(Logins { cost: meter.read(made)?, latency: times.read() })
}

/// Connects every device with its event stream, and lets all of them rest.
pub(super) async fn idle(crowd: &Arc<Crowd>, server: &Server) -> anyhow::Result<(Vec<Online>, Idle)> {
    // What the first connections need is not needed by each.
    for who in crowd.people.iter().take(50) {
        crowd.dialer.log_in(who).await?.connection.close(0u8.into(), b"");
    }
    sleep(REST).await;
    let before = server.counts()?.memory_kib();
    let online = crowd.connect(64).await?;
    sleep(REST).await;
    let counts = server.counts()?;
    let connections = u32::try_from(online.len()).context("fewer")?;
    ensure!(counts.of("jamsync_connections") >= f64::from(connections), "connections were lost");
    let idle = Idle {
        connections,
        server_memory_kib: counts.memory_kib(),
        kib_per_connection: (counts.memory_kib() - before) / f64::from(connections),
    };
    Ok((online, idle))
}

/// Every device makes friend links, each of them durable before it is acknowledged.
pub(super) async fn writes(
    online: &[Online],
    server: &Server,
    in_flight: usize,
    each: u32,
) -> anyhow::Result<Writes> {
    let (meter, times) = (Meter::start(server)?, Times::new()?);
    let what = format!("durable writes, {in_flight} at once");
    let made = all(&what, online.iter().map(|online| online.device.clone()), in_flight, |device| {
        let times = times.clone();
        async move {
            for _ in 0..each {
                let begun = Instant::now();
                let reply = device.ask(CoordRequest::CreateFriendLink).await?;
                ensure!(matches!(reply, CoordReply::FriendLink { .. }), "no link: {reply:?}");
                times.note(begun);
            }
            Ok(usize::try_from(each)?)
        }
    });
    let made: usize = made.await?.into_iter().sum();
    Ok(Writes { in_flight, cost: meter.read(made)?, latency: times.read() })
}

/// Pairs become friends and ask each other for Jams: what one does arrives at the other as an event.
pub(super) async fn events(
    online: Vec<Online>,
    server: &Server,
    pairs: u32,
) -> anyhow::Result<(Vec<Online>, Delivered)> {
    let (mut all_pairs, mut waiting) = (Vec::new(), online.into_iter());
    while let (Some(one), Some(other)) = (waiting.next(), waiting.next()) {
        all_pairs.push([one, other]);
    }
    let rest = all_pairs.split_off(usize::try_from(pairs)?.min(all_pairs.len()));
    let pairs = all("making friends", all_pairs, 64, befriend).await?;

    let (meter, times) = (Meter::start(server)?, Times::new()?);
    let done = all("asking and declining", pairs, 128, |two| {
        let times = times.clone();
        async move { ask_and_decline(two, &times).await }
    });
    let done = done.await?;
    let delivered = done.len() * 2 * ASKED_EACH;
    let live = meter.read(delivered)?;

    let meter = Meter::start(server)?;
    let again = all("events once more", done, 128, |[one, other]| async move {
        Ok([hear_again(one).await?, hear_again(other).await?])
    });
    let again = again.await?;
    let replayed = meter.read(again.len() * 2 * AGAIN * ASKED_EACH)?;
    let online = again.into_iter().chain(rest).flatten().collect();
    Ok((online, Delivered { live, replayed, latency: times.read() }))
}

async fn befriend(mut two: [Online; 2]) -> anyhow::Result<[Online; 2]> {
    let [one, other] = &mut two;
    let reply = one.device.ask(CoordRequest::CreateFriendLink).await?;
    let CoordReply::FriendLink { token, .. } = reply else { bail!("no link: {reply:?}") };
    let proof = LinkSecret([1; 16]).prove(one.who.log.account(), other.who.log.account());
    let reply = other.device.ask(CoordRequest::AcceptFriendLink { token, proof }).await?;
    ensure!(matches!(reply, CoordReply::Contact(_)), "no contact: {reply:?}");
    let added = one.events.next().await?;
    ensure!(matches!(added.event, CoordEvent::ContactAdded(_)), "{added:?}");
    one.events.acknowledge(added.number).await?;
    one.friend = Some(other.who.handle.clone());
    other.friend = Some(one.who.handle.clone());
    Ok(two)
}

/// One asks, the other declines, as often as the rules let them. Events are left unacknowledged, for the next phases.
async fn ask_and_decline(mut two: [Online; 2], times: &Times) -> anyhow::Result<[Online; 2]> {
    let [one, other] = &mut two;
    for _ in 0..ASKED_EACH {
        let begun = Instant::now();
        let asked = one.device.ask(CoordRequest::RequestJam { to: other.who.handle.clone() });
        let (asked, heard) = tokio::join!(asked, other.events.next());
        let CoordReply::Requested { request, .. } = asked? else { bail!("not asked") };
        let heard = heard?;
        ensure!(matches!(heard.event, CoordEvent::JamRequested(_)), "another event came first");
        other.heard.push(heard);
        times.note(begun);
        let begun = Instant::now();
        let answer = other.device.ask(CoordRequest::AnswerRequest { request, answer: Answer::Decline });
        let (answered, heard) = tokio::join!(answer, one.events.next());
        ensure!(answered? == CoordReply::Done, "not answered");
        let heard = heard?;
        ensure!(matches!(heard.event, CoordEvent::RequestDeclined { .. }), "another event came first");
        one.heard.push(heard);
        times.note(begun);
    }
    Ok(two)
}

/// Hears again and again of all that was never acknowledged.
async fn hear_again(mut online: Online) -> anyhow::Result<Online> {
    for _ in 0..AGAIN {
        // A connection has one event stream at a time.
        online.events.end().await?;
        online.events = online.device.events(EventNumber(0)).await?;
        for _ in 0..ASKED_EACH {
            online.events.next().await?;
        }
    }
    Ok(online)
}

/// How long everything is left alone before memory is read.
const REST: Duration = Duration::from_secs(3);
/// How often one asks the other: five at once is what the rules permit.
const ASKED_EACH: usize = 5;
/// How often kept events are sent once more.
const AGAIN: usize = 5;
