//! Listening activity: accounts that change what they show once a second and renew it in between, and contacts that watch. What
//! is sealed is random bytes of the right length, which the coordinator cannot tell from an activity.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use jamsync_coordinator::{
    eligibility::AgeRecord,
    store::{Account, ContactRow, SqliteStore, Store, StoreError},
};
use jamsync_protocol::{
    activity::{ActivityNumber, Beat, BeatProof, Block, SlotGeneration},
    conversation::Epoch,
    id::AccountId,
    identity::Tier,
    text::List,
    time::UtcTime,
    wire::coord::{
        ActivityCall, ActivityKey, ActivityNews, CoordReply, CoordRequest, Publication, SealedActivity,
        VIEWERS_PER_CALL_MAX,
    },
};
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    Device, Dialer, News, Persona, Server, all,
    phases::{Meter, Times},
    report::ActivityMix,
};

/// What is measured of activities.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mix {
    /// How many contacts see each account.
    pub(super) fan_out: usize,
    /// Accounts that show what they play.
    pub(super) publishers: usize,
    /// For how long they change it.
    pub(super) time: Duration,
}

/// What all devices of a mix have in common.
struct Tally {
    begun: Instant,
    changes: Times,
    delivered: AtomicU64,
    renewed: AtomicU64,
    /// Of each publisher the newest state that it told, and who has it.
    newest: Mutex<BTreeMap<AccountId, (ActivityNumber, usize)>>,
    arrived: Notify,
}

/// Connects everybody, and measures from the first change on until the last is everywhere.
pub(super) async fn activities(
    dialer: &Arc<Dialer>,
    (server, data): (&Server, &Path),
    mix: Mix,
) -> anyhow::Result<ActivityMix> {
    let viewers = people(VIEWERS_RUN, VIEWERS)?;
    let publishers = people(PUBLISHERS_RUN, u32::try_from(mix.publishers)?)?;
    let seen_by = |place: usize| {
        let first = place * mix.fan_out;
        (first..first + mix.fan_out).filter_map(|at| viewers.get(at % viewers.len())).collect::<Vec<_>>()
    };
    let audiences: Vec<Vec<AccountId>> = (0..mix.publishers)
        .map(|place| seen_by(place).into_iter().map(|who| who.log.account()).collect())
        .collect();
    make_contacts(data, &viewers, &publishers, &audiences).await?;
    let tally = Arc::new(Tally::new()?);
    let watching = all("watching", viewers.iter().cloned(), 32, |who| {
        let dialer = Arc::clone(dialer);
        async move {
            let device = dialer.log_in(&who).await?;
            let news = device.watch().await?;
            Ok((device, news))
        }
    });
    let watching = watching.await?;
    let showing = all(
        "logging in",
        publishers.iter().cloned().zip(audiences).enumerate(),
        32,
        |(place, (who, to))| {
            let dialer = Arc::clone(dialer);
            async move { Ok(Publisher { place, device: dialer.log_in(&who).await?, me: who.log.account(), to }) }
        },
    );
    let showing = showing.await?;
    let watchers: Vec<_> = watching
        .into_iter()
        .map(|(device, news)| {
            let tally = Arc::clone(&tally);
            tokio::spawn(async move { tally.watch(device, news).await })
        })
        .collect();
    let meter = Meter::start(server)?;
    let what = format!("activities seen by {} each", mix.fan_out);
    let told = all(&what, showing, mix.publishers, |publisher| {
        let tally = Arc::clone(&tally);
        async move { publisher.show(mix, &tally).await }
    });
    let told: usize = told.await?.into_iter().sum();
    // The newest state has to be with everybody, whatever came between.
    let missing = tally.wait_for_all(mix.fan_out).await;
    let delivered = tally.delivered.load(Ordering::Relaxed);
    let cost = meter.read(usize::try_from(delivered)?)?;
    watchers.into_iter().for_each(|watcher| watcher.abort());
    let renewed = tally.renewed.load(Ordering::Relaxed);
    let Mix { fan_out, publishers, .. } = mix;
    Ok(ActivityMix { fan_out, publishers, told, cost, renewed, changes: tally.changes.read(), missing })
}

fn people(run: u32, count: u32) -> anyhow::Result<Vec<Arc<Persona>>> {
    (0..count).map(|number| Persona::new(run, number).map(Arc::new)).collect()
}

/// Writes accounts and contacts as sign-ups and friend links would, which a coordinator takes ten of a day.
async fn make_contacts(
    data: &Path,
    viewers: &[Arc<Persona>],
    publishers: &[Arc<Persona>],
    audiences: &[Vec<AccountId>],
) -> anyhow::Result<()> {
    let store = SqliteStore::open(&data.join(DATABASE_FILE))?;
    let accounts: Vec<Account> =
        viewers.iter().chain(publishers).map(|who| account(who)).collect::<Result<_, _>>()?;
    let pairs = publishers.iter().zip(audiences).flat_map(|(who, to)| {
        let me = who.log.account();
        to.iter().flat_map(move |viewer| [(me, *viewer), (*viewer, me)])
    });
    let contacts: Vec<ContactRow> = pairs.map(|(of, with)| contact(of, with)).collect();
    let written = store.write(move |tables| {
        for account in &accounts {
            tables.insert_account(account)?;
        }
        contacts.iter().try_for_each(|contact| tables.put_contact(contact))?;
        Ok::<_, StoreError>(())
    });
    Ok(written.await?)
}

fn account(who: &Persona) -> anyhow::Result<Account> {
    Ok(Account {
        id: who.log.account(),
        handle: who.handle.clone(),
        tier: Tier::Premium,
        age: AgeRecord { met: 16, birth_date: None },
        market: "DE".parse()?,
        created: UtcTime::ZERO,
        log: who.log.as_log().clone(),
        opted_out: false,
    })
}

fn contact(of: AccountId, with: AccountId) -> ContactRow {
    let (blocked, muted, removed, since) = (false, false, false, UtcTime::ZERO);
    ContactRow { of, with, accepted: None, vouch: None, blocked, muted, removed, since }
}

/// One account that shows what it plays.
struct Publisher {
    place: usize,
    device: Device,
    me: AccountId,
    to: Vec<AccountId>,
}

impl Publisher {
    /// Changes and renews in turn, and says how often it did either.
    async fn show(self, mix: Mix, tally: &Tally) -> anyhow::Result<usize> {
        // Not all at the same moment.
        tokio::time::sleep(EVERY * u32::try_from(self.place)? / u32::try_from(mix.publishers)?).await;
        let mut ticks = interval(EVERY / 2);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (begun, mut generation, mut number, mut told) = (Instant::now(), SlotGeneration(0), 0, 0);
        while begun.elapsed() < mix.time {
            ticks.tick().await;
            number += 1;
            generation = self.change(ActivityNumber(number), generation, tally).await?;
            ticks.tick().await;
            let beat = Beat { count: 1, proof: BeatProof(rand::random()) };
            self.tell(ActivityCall::Renew { generation, beat }).await?;
            told += 2;
        }
        Ok(told)
    }

    async fn change(
        &self,
        number: ActivityNumber,
        mut generation: SlotGeneration,
        tally: &Tally,
    ) -> anyhow::Result<SlotGeneration> {
        tally.newest.lock().unwrap_or_else(PoisonError::into_inner).insert(self.me, (number, 0));
        let sealed = tally.stamped()?;
        let parts = self.to.len().div_ceil(VIEWERS_PER_CALL_MAX);
        for (part, viewers) in self.to.chunks(VIEWERS_PER_CALL_MAX).enumerate() {
            let keys = viewers.iter().map(|viewer| {
                let sealed = random_block()?;
                Ok(ActivityKey { viewer: *viewer, epoch: Epoch::begun(1), sealed })
            });
            let publication = Publication {
                number,
                starts: number == ActivityNumber(1) && part == 0,
                generation,
                whole: part + 1 == parts,
                sealed: sealed.clone(),
                to: List::new(keys.collect::<anyhow::Result<_>>()?)?,
            };
            generation = self.tell(ActivityCall::Publish(publication)).await?;
        }
        Ok(generation)
    }

    async fn tell(&self, call: ActivityCall) -> anyhow::Result<SlotGeneration> {
        let reply = self.device.ask(CoordRequest::Activity(call)).await?;
        let CoordReply::ActivityHeld { generation } = reply else { bail!("not held: {reply:?}") };
        Ok(generation)
    }
}

impl Tally {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            begun: Instant::now(),
            changes: Times::new()?,
            delivered: AtomicU64::new(0),
            renewed: AtomicU64::new(0),
            newest: Mutex::default(),
            arrived: Notify::new(),
        })
    }

    /// A sealed activity, which bears when it was told.
    fn stamped(&self) -> anyhow::Result<SealedActivity> {
        let mut sealed = random_block::<{ jamsync_protocol::activity::SEALED_ACTIVITY_BYTES }>()?.to_vec();
        let micros = u64::try_from(self.begun.elapsed().as_micros())?;
        sealed.iter_mut().zip(micros.to_be_bytes()).for_each(|(to, from)| *to = from);
        Ok(Block::new(sealed)?)
    }

    /// Hears all that one viewer is told.
    async fn watch(&self, _connected: Device, mut news: News) -> anyhow::Result<()> {
        loop {
            match news.next().await? {
                ActivityNews::Shown(shown) => {
                    let stamp = shown.sealed.first_chunk().context("a stamp")?;
                    self.changes.note(self.begun + Duration::from_micros(u64::from_be_bytes(*stamp)));
                    self.delivered.fetch_add(1, Ordering::Relaxed);
                    self.note(shown.of, shown.number);
                }
                ActivityNews::Renewed { .. } => {
                    self.delivered.fetch_add(1, Ordering::Relaxed);
                    self.renewed.fetch_add(1, Ordering::Relaxed);
                }
                // What each viewer is told at first of who shows nothing.
                ActivityNews::Hidden { .. } => {}
                other @ (ActivityNews::Reacted { .. } | ActivityNews::Silenced { .. }) => {
                    bail!("nobody did this: {other:?}")
                }
            }
        }
    }

    fn note(&self, of: AccountId, number: ActivityNumber) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = newest.get_mut(&of).filter(|(newest, _)| *newest == number) {
            *count += 1;
        }
        self.arrived.notify_one();
    }

    /// How many newest states are missing with how many viewers, once all are there or no more come.
    async fn wait_for_all(&self, fan_out: usize) -> usize {
        let missing = || {
            let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            newest.values().map(|(_, count)| fan_out.saturating_sub(*count)).sum()
        };
        while missing() > 0 && timeout(PATIENCE, self.arrived.notified()).await.is_ok() {}
        missing()
    }
}

fn random_block<const N: usize>() -> anyhow::Result<Block<N>> {
    ensure!(N > 8, "room for a stamp");
    Ok(Block::new(std::iter::repeat_with(rand::random).take(N).collect())?)
}

/// How often each publisher changes what it shows: as often as a coordinator takes it.
const EVERY: Duration = Duration::from_secs(1);
/// Devices that watch.
const VIEWERS: u32 = 200;
/// How long nothing has to arrive until no more does.
const PATIENCE: Duration = Duration::from_secs(5);
/// Sets these accounts apart from those of the other phases.
const VIEWERS_RUN: u32 = 2_000;
const PUBLISHERS_RUN: u32 = 2_001;
/// The file in a coordinator's folder.
const DATABASE_FILE: &str = "coordinator.sqlite";
