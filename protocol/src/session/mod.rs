//! A session: one participant's whole part in a Jam, without IO.
//!
//! It joins the machines: the clock tells how the peer's time reads here, the conductor what plays when, the
//! replica what the queue holds. A node that listens alone runs a session too: it is the host of a Jam of one,
//! so that a friend who joins later finds everything as it stands and nothing is converted. The host may change while
//! the Jam goes on: by agreement, because it leaves, or because it falls silent (`docs/host.md`).
//!
//! The session never touches a network, a clock, a file or a thread. **The drain rule:** after every call that
//! takes `now`, call [`poll_transmit`](Session::poll_transmit) and [`poll_event`](Session::poll_event) until
//! both return `None`, then sleep until [`poll_timeout`](Session::poll_timeout) and call
//! [`handle_timeout`](Session::handle_timeout).

mod availability;
mod command;
mod conductor;
mod connection;
mod incoming;
mod jam_clock;
mod meeting;
mod message;
mod part;
mod peer;
mod progress;
mod snapshot;
mod takeover;
#[cfg(test)]
mod tests;

use alloc::{collections::VecDeque, vec::Vec};

use availability::Availabilities;
use conductor::{Conductor, Outcome, Target};
use incoming::EarlyWish;
use jam_clock::JamClock;
pub use message::{Channel, Command, Event, HostChange, SessionError, SyncReport, Transmit};
use part::{Part, Role};
use peer::{Link, Peer};
use serde::Serialize;
use snapshot::Mark;
pub use snapshot::SavedSession;

use crate::{
    budget::Budget,
    id::{EntryId, Participant},
    limits::{DATAGRAM_BYTES_MAX, PEER_FRAME_BYTES_MAX},
    queue::{Replica, Term},
    time::{JamTime, NodeTime, Span},
    timeline::{Heard, JamMap, Lead, LeadConfig, Timeline},
    wire::{
        codec,
        peer::{Announcement, Availability, ControlMessage, PlayoutReport, Verb},
    },
};

/// One participant's part in a Jam.
#[derive(Debug)]
pub struct Session {
    me: Participant,
    part: Part,
    /// With whom the Jam is; `None` alone.
    met: Option<Participant>,
    conductor: Conductor,
    replica: Replica,
    jam_clock: JamClock,
    availabilities: Availabilities,
    lead: Lead,
    guest_controls: bool,
    peer: Option<Peer>,
    early_wish: Option<EarlyWish>,
    /// What a guest may still say of the queue. It outlives a connection, or a flood would begin anew with each.
    proposing: Budget,
    /// What the last anchors were brought about by, so that a newcomer is told as well.
    announced: Vec<Announcement>,
    output_latency: Span,
    /// What the newest snapshot holds.
    saved: Option<Mark>,
    transmits: VecDeque<ControlMessage>,
    events: VecDeque<Event>,
}

/// The host epoch in which every Jam begins.
const FIRST_EPOCH: u32 = 1;

/// How many messages wait for the peer at most: more than people cause, little for a machine that floods.
const TRANSMITS_MAX: usize = 1_024;

/// How many messages about the queue a guest may send at once: all edits that may wait, after each of two outages. Fewer
/// would cut off a guest that comes back, more let a flood reach the disk for longer.
const QUEUE_BURST: u32 = 512;

/// And how often then. A listener that adds a thousand tracks sends 21.
const QUEUE_EVERY: Span = Span::from_millis(20);

/// How many anchors a newcomer is told at most: those that a timeline keeps.
const ANNOUNCED_MAX: usize = 8;

impl Session {
    /// A session alone with its music: the host of a Jam of one, ready for a friend to join.
    #[must_use]
    pub fn alone(now: NodeTime) -> Self {
        let me = Participant::FIRST;
        let part = Part::guest(me, now);
        let mut session = Self::new(me, part, Replica::new(me), JamClock::beginning(now), Timeline::new());
        session.lead(Role::Host, Term { epoch: FIRST_EPOCH, host: me }, now);
        session.events.clear();
        session
    }

    /// A guest's session with `host`, which knows nothing until the host's first messages come. Also for a node that
    /// comes back into its Jam and has kept nothing of it: whoever was the host then, the other is now.
    #[must_use]
    pub fn guest(me: Participant, host: Participant) -> Self {
        let mut replica = Replica::new(me);
        replica.become_guest(host);
        let part = Part::guest(host, NodeTime::ZERO);
        Self::new(me, part, replica, JamClock::Unknown, Timeline::new())
    }

    fn new(me: Participant, part: Part, replica: Replica, jam_clock: JamClock, agreed: Timeline) -> Self {
        Self {
            me,
            part,
            met: None,
            conductor: Conductor::new(agreed),
            replica,
            jam_clock,
            availabilities: Availabilities::default(),
            lead: Lead::new(LeadConfig::default()),
            guest_controls: true,
            peer: None,
            early_wish: None,
            proposing: Budget::new(QUEUE_BURST, QUEUE_EVERY),
            announced: Vec::new(),
            output_latency: Span::ZERO,
            saved: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The body of a frame or a datagram from the peer, which arrived at `now`.
    ///
    /// # Errors
    /// [`SessionError`] names what the peer did wrong. A malformed message means that the stream cannot be
    /// trusted any more: close the connection with the error's text as the reason. Nothing of the offending
    /// message has taken effect. Where datagrams are not authenticated, as over plain UDP, an error on
    /// [`Channel::Datagram`] proves nothing of the peer: drop it, or anybody ends the Jam by one packet.
    pub fn handle_bytes(
        &mut self,
        channel: Channel,
        bytes: &[u8],
        now: NodeTime,
    ) -> Result<(), SessionError> {
        if self.transmits.len() > TRANSMITS_MAX {
            return Err(SessionError::Flooded);
        }
        self.part.heard = now;
        let malformed = |error| SessionError::Codec { channel, error };
        match channel {
            Channel::Control => self.handle_control(codec::decode(bytes).map_err(malformed)?, now),
            Channel::Queue => self.handle_queue(codec::decode(bytes).map_err(malformed)?, now),
            Channel::Datagram => {
                self.handle_datagram(codec::decode(bytes).map_err(malformed)?, now);
                Ok(())
            }
        }
    }

    /// Notes whether this side can play `entry`, and tells the other side.
    ///
    /// # Errors
    /// [`SessionError::Timeline`] where passing over the entry failed.
    pub fn handle_availability(
        &mut self,
        entry: EntryId,
        availability: Availability,
        now: NodeTime,
    ) -> Result<(), SessionError> {
        let known = |entry| self.replica.entry(entry).is_some();
        if self.availabilities.set_mine(entry, availability.clone(), known) {
            self.events.push_back(Event::Availability { entry, of: self.me, availability });
        }
        self.progress(now)
    }

    /// Notes how this side's sound is doing; the latest is told to the peer about once a second.
    pub fn handle_playout(&mut self, report: PlayoutReport) {
        self.output_latency = report.output_latency;
        if let Some(peer) = &mut self.peer {
            peer.my_report = report;
        }
    }

    /// The machine slept: this node's clock jumped against the peer's. How a shell notices, and what else it tells then:
    /// [the clock](crate#the-clock).
    pub fn handle_suspend(&mut self, now: NodeTime) {
        // Nobody was silent: this side did not listen.
        self.part.heard = now;
        if let Some(peer) = &mut self.peer {
            peer.clock.handle_suspend(now);
        }
    }

    /// Does what is due. See the drain rule.
    ///
    /// # Errors
    /// [`SessionError::Timeline`] where the end of a track could not be agreed: nothing plays on.
    pub fn handle_timeout(&mut self, now: NodeTime) -> Result<(), SessionError> {
        if self.conductor.handle_timeout(now) {
            self.events.push_back(Event::WishFailed(None));
        }
        self.heed_silence(now);
        self.answer_early_wish(now)?;
        self.progress(now)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is wanted next.
    #[must_use]
    pub fn poll_timeout(&self, now: NodeTime) -> Option<NodeTime> {
        let peer = self.peer.as_ref().filter(|peer| peer.is_connected());
        let clock = peer.map(|peer| peer.clock.poll_timeout().min(peer.report_due));
        let wish = self.early_wish.as_ref().map(|early| early.gives_up);
        let due = [clock, self.conductor.poll_timeout(), wish, self.progress_due(now), self.silence_ends()];
        due.into_iter().flatten().min()
    }

    /// The next bytes for the peer, stamped with `now` where they carry a time.
    pub fn poll_transmit(&mut self, now: NodeTime) -> Option<Transmit> {
        let peer = self.peer.as_mut().filter(|peer| peer.is_connected())?;
        // Probes go first: every microsecond between stamp and socket is error.
        if let Some(datagram) = peer.poll_datagram(now) {
            return transmit(Channel::Datagram, &datagram, DATAGRAM_BYTES_MAX);
        }
        if let Some(control) = self.transmits.pop_front() {
            return transmit(Channel::Control, &control, PEER_FRAME_BYTES_MAX);
        }
        if peer.link != Link::Met {
            return None;
        }
        if let Some(news) = self.availabilities.poll_transmit() {
            return transmit(Channel::Control, &ControlMessage::Availability(news), PEER_FRAME_BYTES_MAX);
        }
        let queue = self.replica.poll_transmit()?;
        transmit(Channel::Queue, &queue.message, PEER_FRAME_BYTES_MAX)
    }

    /// The next thing that happened.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Who this side is.
    #[must_use]
    pub fn me(&self) -> Participant {
        self.me
    }

    /// Whether this side gives the order.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.conductor.is_host()
    }

    /// Whether guests may play, pause, seek and skip.
    #[must_use]
    pub fn guest_controls(&self) -> bool {
        self.guest_controls
    }

    /// What this side plays.
    #[must_use]
    pub fn timeline(&self) -> &Timeline {
        self.conductor.timeline()
    }

    /// The shared queue, as this side sees it.
    #[must_use]
    pub fn queue(&self) -> &Replica {
        &self.replica
    }

    /// How this node's clock reads as Jam time around `now`; `None` while a guest does not know.
    #[must_use]
    pub fn jam_map(&self, now: NodeTime) -> Option<JamMap> {
        self.jam_clock.map(self.peer.as_ref().and_then(|peer| peer.clock.steady_estimate(now)), now)
    }

    /// What is heard at `now`.
    #[must_use]
    pub fn heard_at(&self, now: NodeTime) -> Option<Heard> {
        let jam_now = self.jam_map(now)?.jam_at(now);
        self.timeline().heard_at(jam_now, |entry| self.replica.entry(entry).map(|entry| entry.track.rate))
    }

    /// Whether this side can play `entry`, as far as it has looked.
    #[must_use]
    pub fn availability_here(&self, entry: EntryId) -> Option<&Availability> {
        self.availabilities.mine(entry)
    }

    /// Whether the other side can play `entry`, as far as it has said.
    #[must_use]
    pub fn availability_there(&self, entry: EntryId) -> Option<&Availability> {
        self.availabilities.theirs(entry)
    }

    /// How well both sides are in step, as this side sees it.
    #[must_use]
    pub fn sync_report(&self, now: NodeTime) -> Option<SyncReport> {
        let clock = &self.peer.as_ref()?.clock;
        let estimate = clock.estimate(now)?;
        Some(SyncReport {
            offset: estimate.offset,
            bound: estimate.bound,
            spread: estimate.spread,
            round_trip: estimate.least_round_trip,
            drift: estimate.drift,
            loss: clock.path_report(now).loss,
        })
    }

    /// How far ahead play, seek and skip are scheduled at present.
    #[must_use]
    pub fn lead_time(&self) -> Span {
        let Some(peer) = &self.peer else { return self.lead.over(Span::ZERO, self.output_latency) };
        let latency = self.output_latency.max(peer.report.output_latency).min(Span::from_secs(3));
        self.lead.over(peer.clock.one_way_p95(), latency)
    }

    /// How the peer's sound is doing, by its own word.
    #[must_use]
    pub fn peer_report(&self) -> Option<PlayoutReport> {
        self.peer.as_ref().map(|peer| peer.report)
    }

    fn jam_now(&self, now: NodeTime) -> Result<JamTime, SessionError> {
        // A command may be some milliseconds off, so it need not wait for the clock that music waits for.
        let estimate = self.peer.as_ref().and_then(|peer| peer.clock.estimate(now));
        Ok(self.jam_clock.map(estimate, now).ok_or(SessionError::NotInStep)?.jam_at(now))
    }

    fn direct(
        &mut self,
        target: Target,
        by: Participant,
        answers: Option<u32>,
        now: NodeTime,
    ) -> Result<(), SessionError> {
        let jam_now = self.jam_now(now)?;
        match self.conductor.direct(target, by, answers, jam_now, now)? {
            Outcome::Announce(announcement) => self.announce(announcement),
            Outcome::Ask(wish) => self.tell(ControlMessage::Wish(wish)),
        }
        self.progress(now)
    }

    /// Tells everyone what the host has decided, and settles the queue up to the entry that plays.
    fn announce(&mut self, announcement: Announcement) {
        if let Some(entry) = announcement.anchor.entry {
            // An entry that was removed plays on unsettled: what follows it is found by its tombstone.
            let _ = self.replica.freeze(entry);
        }
        self.remember(announcement);
        self.tell(ControlMessage::Anchor(announcement));
        self.events.push_back(Event::Moved(announcement));
    }

    /// Says something to the peer once both know who is the host; a newcomer is told by its welcome instead.
    fn tell(&mut self, message: ControlMessage) {
        if self.peer.as_ref().is_some_and(|peer| peer.link == Link::Met) {
            self.transmits.push_back(message);
        }
    }

    /// Keeps what a newcomer has to be told: the announcements behind the anchors that still count.
    fn remember(&mut self, announcement: Announcement) {
        self.announced.push(announcement);
        self.forget_announced();
    }

    /// Forgets the announcements behind anchors that no longer count.
    fn forget_announced(&mut self) {
        let agreed = self.conductor.agreed().anchors();
        self.announced.retain(|known| agreed.iter().any(|anchor| anchor.revision == known.anchor.revision));
        let surplus = self.announced.len().saturating_sub(ANNOUNCED_MAX);
        self.announced.drain(..surplus);
    }

    fn take_queue_events(&mut self, now: NodeTime) -> Result<(), SessionError> {
        while let Some(event) = self.replica.poll_event() {
            self.events.push_back(Event::Queue(event));
        }
        self.answer_early_wish(now)?;
        self.progress(now)
    }
}

/// A message as bytes. Every message of ours fits its limit, so one that does not is a defect of this crate;
/// it is left out rather than sent in part.
fn transmit<T: Serialize>(channel: Channel, message: &T, limit: usize) -> Option<Transmit> {
    let encoded = codec::encode(message, limit);
    debug_assert!(encoded.is_ok(), "own message on {channel:?} does not fit: {encoded:?}");
    Some(Transmit { channel, bytes: encoded.ok()? })
}
