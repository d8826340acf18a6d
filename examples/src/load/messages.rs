//! Messages between accounts of several devices: what one device hands over is delivered to all the others of both, each of
//! which reads along and says how far it is now and then, asking for one thing at a time as a node does. What is sealed is random bytes of the right
//! length, which the coordinator cannot tell from a message.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use jamsync_protocol::{
    conversation::{ConversationId, Epoch, Members, PostId},
    identity::{VerifiedLog, friend_link::LinkSecret, join_code::JoinSecret},
    text::List,
    wire::coord::{
        ConversationEntry, ConversationItem, CoordEvent, CoordReply, CoordRequest, EventNumber,
        NumberedEvent, Sequence,
    },
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::{
    Device, Dialer, Persona, Server, all,
    phases::{Meter, Times},
    report::MessageMix,
};

/// What is measured of messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mix {
    /// Devices of each account.
    pub(super) devices: u32,
    /// Conversations in all, each between two accounts.
    pub(super) pairs: u32,
    /// Devices that write at once: one of each account.
    pub(super) in_flight: usize,
}

/// Two accounts, and all of their devices, connected.
struct Pair {
    devices: Vec<Device>,
    members: Members,
}

/// What the devices of all pairs have in common.
struct Tally {
    begun: Instant,
    placed: Times,
    delivered: Times,
    deliveries: AtomicU64,
    fetches: AtomicU32,
    acknowledgements: AtomicU32,
}

/// Makes the accounts and their conversations, and measures.
pub(super) async fn messages(
    dialer: &Arc<Dialer>,
    server: &Server,
    secret: JoinSecret,
    mix: Mix,
) -> anyhow::Result<MessageMix> {
    let set_up = all("making conversations", 0..mix.pairs, 32, |number| {
        let dialer = Arc::clone(dialer);
        async move { Pair::meet(&dialer, secret, number, mix.devices).await }
    });
    let pairs = set_up.await?;
    let tally = Arc::new(Tally {
        begun: Instant::now(),
        placed: Times::new()?,
        delivered: Times::new()?,
        deliveries: AtomicU64::new(0),
        fetches: AtomicU32::new(0),
        acknowledgements: AtomicU32::new(0),
    });
    let meter = Meter::start(server)?;
    let what = format!("messages of {} devices each, {} at once", mix.devices, mix.in_flight);
    let said = all(&what, pairs, (mix.in_flight / 2).max(1), |pair| {
        let tally = Arc::clone(&tally);
        async move { pair.talk(&tally).await }
    });
    let said: usize = said.await?.into_iter().sum();
    let cost = meter.read(said)?;
    Ok(MessageMix {
        devices: mix.devices,
        in_flight: mix.in_flight,
        cost,
        placed: tally.placed.read(),
        delivered: tally.delivered.read(),
        deliveries: tally.deliveries.load(Ordering::Relaxed),
        fetches: tally.fetches.load(Ordering::Relaxed),
        acknowledgements: tally.acknowledgements.load(Ordering::Relaxed),
    })
}

impl Pair {
    /// Signs two accounts up with so many devices each, makes them contacts, and begins their conversation.
    async fn meet(dialer: &Dialer, secret: JoinSecret, number: u32, devices: u32) -> anyhow::Result<Self> {
        let (mut people, mut firsts, mut logs) = (Vec::new(), Vec::new(), Vec::new());
        for account in [2 * number, 2 * number + 1] {
            let (first, others, log) = account_of(dialer, secret, account, devices).await?;
            firsts.push(first);
            people.extend(others);
            logs.push(log);
        }
        let ([one, other], [mine, theirs]) = (&firsts[..], &logs[..]) else { bail!("two accounts") };
        let reply = one.ask(CoordRequest::CreateFriendLink).await?;
        let CoordReply::FriendLink { token, .. } = reply else { bail!("no link: {reply:?}") };
        let proof = LinkSecret([1; 16]).prove(mine.account(), theirs.account());
        let reply = other.ask(CoordRequest::AcceptFriendLink { token, proof }).await?;
        ensure!(matches!(reply, CoordReply::Contact(_)), "no contact: {reply:?}");
        let members = Members::new([mine.account(), theirs.account()])?;
        let welcome = List::new(vec![0; WELCOME_BYTES])?;
        let begin = CoordRequest::BeginConversation { members: members.clone(), generation: 1, welcome };
        let reply = one.ask(begin).await?;
        ensure!(matches!(reply, CoordReply::Placed { .. }), "no conversation: {reply:?}");
        firsts.iter().for_each(|device| device.connection.close(0u8.into(), b""));
        let mut devices = Vec::new();
        for who in people {
            devices.push(dialer.log_in(&who).await?);
        }
        Ok(Self { devices, members })
    }

    /// The first device of each account writes, and all read, until every message is everywhere.
    async fn talk(self, tally: &Arc<Tally>) -> anyhow::Result<usize> {
        let conversation = ConversationId::of(&self.members);
        let each = self.devices.len() / 2;
        let expected = Sequence(1 + 2 * u64::from(MESSAGES_EACH));
        let mut lives: Vec<JoinHandle<anyhow::Result<()>>> = Vec::new();
        for (place, device) in self.devices.into_iter().enumerate() {
            let to_say = if place % each == 0 { MESSAGES_EACH } else { 0 };
            let tally = Arc::clone(tally);
            lives.push(tokio::spawn(async move {
                let (read, acknowledged) = (Sequence(0), Sequence(0));
                // As a node finds when it asks for its conversations.
                let (newest, unsure) = (Sequence(1), true);
                let life = Life { device, conversation, newest, unsure, read, acknowledged, to_say };
                life.live(expected, &tally).await
            }));
        }
        for life in lives {
            life.await??;
        }
        Ok(usize::try_from(2 * MESSAGES_EACH)?)
    }
}

/// An account with so many devices, and the first of them connected.
async fn account_of(
    dialer: &Dialer,
    secret: JoinSecret,
    account: u32,
    devices: u32,
) -> anyhow::Result<(Device, Vec<Arc<Persona>>, VerifiedLog)> {
    let all: Vec<Persona> =
        (0..devices).map(|device| Persona::new(RUN + device, account)).collect::<Result<_, _>>()?;
    let first = all.first().context("a device")?;
    let connected = dialer.log_in(first).await?;
    connected.sign_up(first, secret).await?;
    let mut log = first.log.clone();
    for further in all.iter().skip(1) {
        let consent = log.consent(further.secret());
        log.add(first.secret(), further.secret().public(), consent)?;
        let entry = log.newest().context("an entry")?.clone();
        let extend = CoordRequest::ExtendLog { account: log.account(), entry, name: Default::default() };
        let reply = connected.ask(extend).await?;
        ensure!(reply == CoordReply::Done, "no further device: {reply:?}");
    }
    Ok((connected, all.into_iter().map(Arc::new).collect(), log))
}

/// One device while messages flow.
struct Life {
    device: Device,
    conversation: ConversationId,
    newest: Sequence,
    /// Whether that is all it knows.
    unsure: bool,
    read: Sequence,
    acknowledged: Sequence,
    to_say: u32,
}

impl Life {
    /// Reads, acknowledges and says, asking for one thing at a time, until everything is read.
    async fn live(mut self, expected: Sequence, tally: &Tally) -> anyhow::Result<()> {
        let mut heard = self.listen().await?;
        while self.acknowledged < expected {
            while let Ok(event) = heard.try_recv() {
                self.hear(event, tally)?;
            }
            let unsaid = self.read.0 - self.acknowledged.0;
            if self.newest > self.read {
                // What another has written at the same time is on its way.
                match timeout(if self.unsure { Duration::ZERO } else { MISSING_SPAN }, heard.recv()).await {
                    Ok(event) => self.hear(event.context("its events ended")?, tally)?,
                    Err(_) => self.fetch(tally).await?,
                }
            } else if unsaid >= ACKNOWLEDGED_TOGETHER || self.read == expected {
                self.acknowledge(tally).await?;
            } else if self.to_say > 0 {
                self.say(tally).await?;
            } else {
                let event = heard.recv().await.context("its events ended")?;
                self.hear(event, tally)?;
            }
        }
        self.device.connection.close(0u8.into(), b"");
        Ok(())
    }

    /// Hears whatever it is told.
    async fn listen(&self) -> anyhow::Result<mpsc::UnboundedReceiver<CoordEvent>> {
        let mut events = self.device.events(EventNumber(0)).await?;
        let (tell, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(NumberedEvent { number, event }) = events.next().await {
                let is_kept = !event.is_passing();
                if tell.send(event).is_err() || (is_kept && events.acknowledge(number).await.is_err()) {
                    return;
                }
            }
        });
        Ok(heard)
    }

    fn hear(&mut self, event: CoordEvent, tally: &Tally) -> anyhow::Result<()> {
        if let CoordEvent::ConversationGrew { .. } = event {
            self.newest = self.newest.max(Sequence(self.read.0 + 1));
            self.unsure = true;
        } else if let CoordEvent::ConversationWritten { entry, .. } = event {
            self.newest = self.newest.max(entry.sequence);
            if entry.sequence.0 == self.read.0 + 1 {
                self.take(&entry, tally)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, entry: &ConversationEntry, tally: &Tally) -> anyhow::Result<()> {
        self.read = entry.sequence;
        if let ConversationItem::Post { sealed, .. } = &entry.what {
            tally.note_delivery(sealed)?;
        }
        Ok(())
    }

    async fn fetch(&mut self, tally: &Tally) -> anyhow::Result<()> {
        tally.fetches.fetch_add(1, Ordering::Relaxed);
        let request = CoordRequest::ConversationLog { conversation: self.conversation, after: self.read };
        let reply = self.device.ask(request).await?;
        let CoordReply::Entries { entries, newest } = reply else { bail!("no log: {reply:?}") };
        for entry in entries.iter() {
            self.take(entry, tally)?;
        }
        (self.newest, self.unsure) = (newest.max(self.read), false);
        Ok(())
    }

    async fn acknowledge(&mut self, tally: &Tally) -> anyhow::Result<()> {
        tally.acknowledgements.fetch_add(1, Ordering::Relaxed);
        let request = CoordRequest::AcknowledgeLog { conversation: self.conversation, upto: self.read };
        let reply = self.device.ask(request).await?;
        let CoordReply::Conversation(state) = reply else { bail!("not acknowledged: {reply:?}") };
        self.acknowledged = state.acknowledged;
        self.newest = self.newest.max(state.newest);
        Ok(())
    }

    async fn say(&mut self, tally: &Tally) -> anyhow::Result<()> {
        let begun = Instant::now();
        let sealed = List::new(tally.stamped())?;
        let (conversation, epoch, id) = (self.conversation, Epoch::begun(1), PostId(rand::random()));
        let reply = self.device.ask(CoordRequest::Post { conversation, epoch, id, sealed }).await?;
        let CoordReply::Placed { sequence, .. } = reply else { bail!("not placed: {reply:?}") };
        tally.placed.note(begun);
        self.to_say -= 1;
        if sequence.0 == self.read.0 + 1 {
            self.read = sequence;
        }
        self.newest = self.newest.max(sequence);
        Ok(())
    }
}

impl Tally {
    /// A sealed message, which bears when it was sent.
    fn stamped(&self) -> Vec<u8> {
        let micros = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut sealed: Vec<u8> = std::iter::repeat_with(rand::random).take(SEALED_BYTES).collect();
        for (to, from) in sealed.iter_mut().zip(micros.to_be_bytes()) {
            *to = from;
        }
        sealed
    }

    fn note_delivery(&self, sealed: &[u8]) -> anyhow::Result<()> {
        let stamp = sealed.first_chunk().context("a stamp")?;
        let sent = self.begun + Duration::from_micros(u64::from_be_bytes(*stamp));
        self.delivered.note(sent);
        self.deliveries.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Messages that each writing device says: fewer than a coordinator takes of one at once.
const MESSAGES_EACH: u32 = 50;
/// How many entries a node acknowledges together.
const ACKNOWLEDGED_TOGETHER: u64 = 32;
/// How long a node waits for what it was not told yet.
const MISSING_SPAN: Duration = Duration::from_millis(100);
/// A short message as it is sealed.
const SEALED_BYTES: usize = 354;
/// What lets four devices in.
const WELCOME_BYTES: usize = 2_500;
/// Sets these accounts apart from those of the other phases; each further device counts from it.
const RUN: u32 = 1_000;
