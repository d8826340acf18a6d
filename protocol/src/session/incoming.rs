//! What the peer says, and what of it is believed. A message of the wrong role or at the wrong moment has a
//! name and changes nothing.

use super::{Event, Session, SessionError, conductor::Target, peer::Link};
use crate::{
    id::Participant,
    queue::{QueueError, QueueMessage, Term},
    time::{NodeTime, Span},
    timeline::Timeline,
    wire::peer::{Announcement, ControlMessage, Datagram, Refusal, Verb, Welcome, Wish},
};

/// A wish for an entry that its guest has just added. Edits travel on a stream of their own, which the wish has
/// overtaken.
#[derive(Clone, Copy, Debug)]
pub(super) struct EarlyWish {
    from: Participant,
    wish: Wish,
    pub(super) gives_up: NodeTime,
}

impl Session {
    pub(super) fn handle_control(
        &mut self,
        message: ControlMessage,
        now: NodeTime,
    ) -> Result<(), SessionError> {
        let peer = self.peer.as_ref().ok_or(SessionError::Alone)?;
        let (from, welcomed) = (peer.id, peer.welcomed);
        match message {
            ControlMessage::Hello(_) => Err(SessionError::OutOfTurn("a second hello")),
            ControlMessage::Standing(standing) => self.handle_standing(standing, now),
            ControlMessage::Leaving => {
                self.handle_peer_left(now);
                self.events.push_back(Event::PeerLeft);
                self.progress(now)
            }
            _ if peer.link == Link::GreetingAgain => Ok(()),
            _ if peer.link != Link::Met => Err(SessionError::OutOfTurn("a message before its standing")),
            ControlMessage::HandOver { epoch } => self.handle_hand_over(epoch, now),
            ControlMessage::Welcome(welcome) => self.handle_welcome(&welcome, now),
            ControlMessage::Anchor(announcement) if !self.is_host() && welcomed => {
                self.handle_announcement(&announcement, now)
            }
            ControlMessage::Anchor(_) => Err(SessionError::OutOfTurn("an anchor")),
            ControlMessage::Wish(wish) if self.is_host() => self.handle_wish(from, wish, now),
            // It was under way while this side handed over; its sender carries it out as the host.
            ControlMessage::Wish(_) if peer.handed_over => Ok(()),
            ControlMessage::Wish(_) => Err(SessionError::OutOfTurn("a wish")),
            ControlMessage::WishRefused { number, reason } => {
                if self.conductor.handle_refusal(number) {
                    self.events.push_back(Event::WishFailed(Some(reason)));
                }
                Ok(())
            }
            ControlMessage::Availability(list) => {
                for (entry, availability) in list {
                    let known = |entry| self.replica.entry(entry).is_some();
                    if self.availabilities.set_theirs(entry, availability.clone(), known) {
                        self.events.push_back(Event::Availability { entry, of: from, availability });
                    }
                }
                self.progress(now)
            }
            ControlMessage::GuestControls { allowed } if !self.is_host() => {
                self.guest_controls = allowed;
                self.events.push_back(Event::GuestControls(allowed));
                Ok(())
            }
            ControlMessage::GuestControls { .. } => {
                Err(SessionError::OutOfTurn("a change of guest controls"))
            }
            ControlMessage::AnchorLate { by } => {
                self.lead.handle_late_anchor(by.max(Span::ZERO));
                Ok(())
            }
            ControlMessage::Volume { percent } => {
                if self.guest_controls || !self.is_host() {
                    self.events.push_back(Event::VolumeAsked { percent: percent.min(100) });
                }
                Ok(())
            }
        }
    }

    /// A message about the queue.
    pub(super) fn handle_queue(&mut self, message: QueueMessage, now: NodeTime) -> Result<(), SessionError> {
        let peer = self.peer.as_ref().ok_or(SessionError::Alone)?.id;
        if self.is_host() && self.proposing.spend(now).is_err() {
            return Err(SessionError::QueueFlooded);
        }
        let (QueueMessage::Resume { at, .. }
        | QueueMessage::Snapshot { at, .. }
        | QueueMessage::Ordered { at, .. }) = &message
        else {
            return self.hand_to_replica(peer, message, now);
        };
        if at.term.epoch > self.part.term.epoch {
            return Err(SessionError::NotGiven { known: self.part.term, claimed: at.term });
        }
        self.hand_to_replica(peer, message, now)
    }

    fn hand_to_replica(
        &mut self,
        peer: Participant,
        message: QueueMessage,
        now: NodeTime,
    ) -> Result<(), SessionError> {
        match self.replica.handle_message(peer, message) {
            // It was under way while the host changed, and is said again to the new one.
            Err(QueueError::NotFromHost { .. } | QueueError::NotHost { .. }) => Ok(()),
            outcome => {
                outcome?;
                self.take_queue_events(now)
            }
        }
    }

    fn handle_welcome(&mut self, welcome: &Welcome, now: NodeTime) -> Result<(), SessionError> {
        let out_of_turn = SessionError::OutOfTurn("a welcome");
        let peer = self.peer.as_mut().ok_or(SessionError::Alone)?;
        if self.conductor.is_host() || peer.welcomed {
            return Err(out_of_turn);
        }
        let expected = self.part.expected;
        let terms = welcome.anchors.iter().map(term_of).chain([welcome.term]);
        if let Some(actual) = terms.into_iter().find(|term| *term != expected) {
            return Err(SessionError::WrongTerm { expected, actual });
        }
        if !welcome.line.is_possible() {
            return Err(SessionError::BadClock { rate_ppb: welcome.line.rate_ppb });
        }
        (peer.welcomed, peer.handed_over) = (true, false);
        let (id, steady) = (peer.id, peer.clock.steady_estimate(now));
        // What a node played by before it was killed may be far off: it enters anew.
        self.jam_clock.follow(welcome.line, steady, !self.part.restored, now);
        self.part.handle_welcome();
        self.guest_controls = welcome.guest_controls;
        let newest = self.conductor.agreed().revision();
        let same =
            newest.is_some_and(|newest| (newest.epoch, newest.host) == (expected.epoch, expected.host));
        let replaced = if same { Timeline::new() } else { self.conductor.forget_agreed() };
        for announcement in welcome.anchors.iter() {
            let said = replaced.anchors().iter().any(|known| known.says_as(&announcement.anchor));
            self.take_announcement(announcement, !said, now);
        }
        self.forget_announced();
        self.replica.handle_connected(id);
        self.events.push_back(Event::Joined);
        Ok(())
    }

    fn handle_announcement(
        &mut self,
        announcement: &Announcement,
        now: NodeTime,
    ) -> Result<(), SessionError> {
        let (expected, actual) = (self.part.expected, term_of(announcement));
        if expected != actual {
            return Err(SessionError::WrongTerm { expected, actual });
        }
        let granted_to_me = announcement.by == self.me && announcement.answers.is_some();
        if let Ok(jam_now) = self.jam_now(now)
            && !matches!(announcement.verb, Verb::Pause | Verb::Wait)
            && !granted_to_me
        {
            let late = jam_now - announcement.anchor.at;
            if late > Span::ZERO {
                self.tell(ControlMessage::AnchorLate { by: late });
            } else {
                self.lead.handle_timely_anchor();
            }
        }
        self.take_announcement(announcement, true, now);
        Ok(())
    }

    /// Takes the host's word, and tells it where `news`. An anchor that is known is dropped without harm: streams
    /// repeat what a welcome said already.
    fn take_announcement(&mut self, announcement: &Announcement, news: bool, now: NodeTime) {
        // Before the first probe has come back the Jam time is unknown; the anchor's own time stands in, so
        // that only the order of anchors counts until then.
        let jam_now = self.jam_now(now).unwrap_or(announcement.anchor.at);
        if self.conductor.handle_announcement(announcement, jam_now).is_ok() {
            self.remember(*announcement);
            if news {
                self.events.push_back(Event::Moved(*announcement));
            }
        }
    }

    fn handle_wish(&mut self, from: Participant, wish: Wish, now: NodeTime) -> Result<(), SessionError> {
        // Only the newest wish of a guest counts, for the guest holds no other.
        self.early_wish = None;
        let unheard_of = wish.entry.author == from && self.replica.entry(wish.entry).is_none();
        if unheard_of && self.guest_controls {
            self.early_wish = Some(EarlyWish { from, wish, gives_up: now + EARLY_WISH_PATIENCE });
            return Ok(());
        }
        self.answer_wish(from, wish, now)
    }

    /// Answers a wish that came before the edit it builds on, once that is here or has not come in time.
    pub(super) fn answer_early_wish(&mut self, now: NodeTime) -> Result<(), SessionError> {
        let ripe = |early: &EarlyWish, session: &Self| {
            early.gives_up <= now || session.replica.entry(early.wish.entry).is_some()
        };
        match self.early_wish.take() {
            Some(early) if ripe(&early, self) => self.answer_wish(early.from, early.wish, now),
            waits => {
                self.early_wish = waits;
                Ok(())
            }
        }
    }

    fn answer_wish(&mut self, from: Participant, wish: Wish, now: NodeTime) -> Result<(), SessionError> {
        let jam_now = self.jam_now(now)?;
        let refused = match self.replica.entry(wish.entry) {
            _ if !self.guest_controls => Some(Refusal::GuestControlsOff),
            None => Some(Refusal::UnknownEntry),
            Some(_) if !self.availabilities.is_playable(wish.entry) => Some(Refusal::Unplayable),
            Some(entry) => {
                let far = (wish.at - jam_now).abs() > WISH_TIME_MAX;
                (far || wish.position > entry.track.length).then_some(Refusal::OutOfBounds)
            }
        };
        if let Some(reason) = refused {
            self.tell(ControlMessage::WishRefused { number: wish.number, reason });
            return Ok(());
        }
        if wish.at < jam_now && !matches!(wish.verb, Verb::Pause | Verb::Wait) {
            self.tell(ControlMessage::AnchorLate { by: jam_now - wish.at });
        }
        let Wish { number, verb, entry, position, at, playing } = wish;
        // A guest that asks quickly does not know yet how many of its wishes wait here.
        let lead = self.lead_time();
        let at = if at - jam_now > WISH_AHEAD_MAX { jam_now + lead } else { at };
        let at = self.timeline().place(at, lead, jam_now);
        let mut target = Target { verb, entry: Some(entry), position, at, playing };
        // Both sides resumed in the same moment: the music begins once, not again some milliseconds later.
        let last = self.timeline().last().copied();
        if let Some(last) =
            last.filter(|last| verb == Verb::Resume && last.playing && last.entry == target.entry)
        {
            target = Target { position: last.position, at: last.at, ..target };
        }
        match self.direct(target, from, Some(number), now) {
            // Too many changes are agreed already: that is no fault of the guest's.
            Err(SessionError::Timeline(_)) => {
                self.tell(ControlMessage::WishRefused { number, reason: Refusal::OutOfBounds });
                Ok(())
            }
            outcome => outcome,
        }
    }

    pub(super) fn handle_datagram(&mut self, datagram: Datagram, now: NodeTime) {
        let Some(peer) = &mut self.peer else { return };
        match datagram {
            Datagram::Probe(probe) => {
                if peer.handle_probe(&probe, now) {
                    self.events.push_back(Event::ClockDoubted);
                }
                self.jam_clock.handle_estimate(peer.clock.steady_estimate(now), now);
            }
            Datagram::Report(report) => peer.report = report,
        }
    }
}

/// The term in which an anchor was given.
fn term_of(announcement: &Announcement) -> Term {
    let revision = announcement.anchor.revision;
    Term { epoch: revision.epoch, host: revision.host }
}

/// How far from now a guest may place what it wishes for: the longest lead and the longest delay of a path.
const WISH_TIME_MAX: Span = Span::from_secs(10);
/// What is placed further ahead than by the longest lead and the error of a clock was placed by a Jam clock that has stood
/// still since, while this side's machine slept: it takes effect a lead from now, and not when that instant comes at last.
const WISH_AHEAD_MAX: Span = Span::from_millis(3_500);

/// How long a wish waits for the edit that it has overtaken: a few round trips with losses, and less than the
/// guest holds on to it.
const EARLY_WISH_PATIENCE: Span = Span::from_secs(3);
