//! A change of host: what moves with the order, and when.
//!
//! Timeline, queue and Jam clock pass to the new host in one step and as they stand, so that the music does not move;
//! who wins where two meet stands in `meeting`.

use super::{
    Event, HostChange, Session, SessionError,
    jam_clock::JamClock,
    meeting::{self, Party},
    part::{Role, SILENCE},
    peer::Link,
};
use crate::{
    id::Participant,
    queue::Term,
    text::List,
    time::{JamTime, NodeTime, Ppm},
    timeline::JamMap,
    wire::peer::{Announcement, Claim, ControlMessage, JamLine, Standing, Verb, Welcome},
};

impl Session {
    /// Whom this side takes for the host, itself included.
    #[must_use]
    pub fn host(&self) -> Participant {
        self.part.host
    }

    /// Whether this side gives the order only until it has met the host that fell silent.
    #[must_use]
    pub fn is_provisional(&self) -> bool {
        self.part.role == Role::Provisional
    }

    /// The newest term that this side knows of. Where all is quiet both sides know the same.
    #[must_use]
    pub fn term(&self) -> Term {
        self.part.term
    }

    /// What the anchors that count were brought about by.
    #[must_use]
    pub fn announced(&self) -> &[Announcement] {
        &self.announced
    }

    /// The host makes its guest the host.
    pub(super) fn hand_over(&mut self, now: NodeTime) -> Result<(), SessionError> {
        if !self.is_host() {
            return Err(SessionError::HostOnly);
        }
        let host = self.peer.as_ref().filter(|peer| peer.link == Link::Met).ok_or(SessionError::Alone)?.id;
        let given = Term { epoch: self.part.term.epoch.saturating_add(1), host };
        // The last word of this host: what it said before is in force, what the guest says next is an order.
        self.tell(ControlMessage::HandOver { epoch: given.epoch });
        self.follow(given, now);
        if let Some(peer) = &mut self.peer {
            peer.handed_over = true;
        }
        (self.part.term, self.part.given) = (given, given);
        self.events.push_back(Event::HostChanged { host, why: HostChange::Agreed });
        Ok(())
    }

    /// The host has made this side the host.
    pub(super) fn handle_hand_over(&mut self, epoch: u32, now: NodeTime) -> Result<(), SessionError> {
        let known = self.part.term;
        let given = Term { epoch, host: self.me };
        if self.is_host() || !self.peer.as_ref().is_some_and(|peer| peer.welcomed) {
            return Err(SessionError::OutOfTurn("a handover"));
        }
        if known.epoch.checked_add(1) != Some(epoch) {
            return Err(SessionError::NotGiven { known, claimed: given });
        }
        self.lead(Role::Host, given, now);
        self.events.push_back(Event::HostChanged { host: self.me, why: HostChange::Agreed });
        self.welcome();
        self.progress(now)
    }

    /// Takes over where the host has been silent for too long.
    pub(super) fn heed_silence(&mut self, now: NodeTime) {
        if self.silence_ends().is_some_and(|ends| ends <= now) {
            self.take_over(HostChange::Silence, now);
            // On a connection that outlived the silence the other side still takes this one for its guest.
            if let Some(peer) = self.peer.as_mut().filter(|peer| peer.link == Link::Met) {
                peer.link = Link::GreetingAgain;
                self.transmits.clear();
                self.transmits.push_back(ControlMessage::Standing(self.standing()));
            }
        }
    }

    /// When this side takes over if it hears nothing until then.
    pub(super) fn silence_ends(&self) -> Option<NodeTime> {
        // What was said in a greeting has to stay true until it is answered.
        let greets =
            self.peer.as_ref().is_some_and(|peer| matches!(peer.link, Link::Greeting | Link::GreetingAgain));
        let can = !self.part.is_host() && self.met.is_some() && !greets && self.knows_the_jam();
        can.then(|| self.part.heard + SILENCE)
    }

    /// This side goes on without its host. A guest that knows nothing of the Jam has nothing to go on with.
    pub(super) fn take_over(&mut self, why: HostChange, now: NodeTime) {
        if self.part.is_host() || !self.knows_the_jam() {
            return;
        }
        let role = if why == HostChange::Silence { Role::Provisional } else { Role::Host };
        let term = Term { epoch: self.part.term.epoch.saturating_add(1), host: self.me };
        self.lead(role, term, now);
        self.events.push_back(Event::HostChanged { host: self.me, why });
    }

    /// What this side says it is in the Jam.
    pub(super) fn standing(&self) -> Standing {
        self.part.standing(self.knows_the_jam())
    }

    /// The peer says what it is in the Jam.
    pub(super) fn handle_standing(&mut self, theirs: Standing, now: NodeTime) -> Result<(), SessionError> {
        let mine = self.standing();
        let (me, given) = (Party { who: self.me, standing: mine }, self.part.given);
        let peer = self.peer.as_mut().ok_or(SessionError::Alone)?;
        let term = meeting::meet(me, given, Party { who: peer.id, standing: theirs })?;
        if peer.link == Link::Met {
            // It took over in a silence that the connection outlived, and waits for the answer.
            self.transmits.push_back(ControlMessage::Standing(mine));
        }
        peer.link = Link::Met;
        let was = self.part.term;
        self.availabilities.handle_connected();
        if term.host == self.me {
            if term == was {
                // What was taken in silence is this side's by right now.
                self.part.lead(Role::Host, term);
            } else {
                self.lead(Role::Host, term, now);
            }
            self.welcome();
        } else {
            self.follow(term, now);
        }
        if was.epoch > 0 && was.host != term.host {
            let why = why_changed(mine.claim, theirs.claim, term.host == self.me);
            self.events.push_back(Event::HostChanged { host: term.host, why });
        }
        self.progress(now)
    }

    /// Gives the order in `term` from now on: what this side plays, shows and reads as Jam time goes on as it is.
    pub(super) fn lead(&mut self, role: Role, term: Term, now: NodeTime) {
        let was_guest = !self.part.is_host();
        self.jam_clock = JamClock::Own(self.own_line(now));
        let taken = self.replica.become_host(term.epoch);
        debug_assert!(taken.is_ok(), "a new term is above all that the queue knows: {taken:?}");
        let before = self.conductor.timeline().anchors().to_vec();
        let wished = self.conductor.lead(term);
        let known = core::mem::take(&mut self.announced);
        for (was, anchor) in before.iter().zip(self.conductor.agreed().anchors()) {
            let known = known.iter().find(|known| known.anchor.revision == was.revision);
            let announcement = Announcement {
                anchor: *anchor,
                by: known.map_or(self.me, |known| known.by),
                verb: known.map_or(wished.unwrap_or(Verb::Resume), |known| known.verb),
                answers: None,
            };
            if known.is_none() {
                self.events.push_back(Event::Moved(announcement));
            }
            self.announced.push(announcement);
        }
        self.part.lead(role, term);
        self.early_wish = None;
        if was_guest && !self.guest_controls {
            // It was the other host's wish, and would lock that one out.
            self.guest_controls = true;
            self.events.push_back(Event::GuestControls(true));
        }
    }

    /// Follows the host of `expected` from now on; what this side plays stands until that host speaks.
    fn follow(&mut self, expected: Term, now: NodeTime) {
        self.part.follow(expected);
        self.part.heard = now;
        self.conductor.follow();
        self.early_wish = None;
        if let Some(peer) = &mut self.peer {
            (peer.welcomed, peer.handed_over) = (false, false);
            // The host's queue is asked once the host has said that it is one.
            self.replica.handle_disconnected(peer.id);
        }
        self.replica.become_guest(expected.host);
    }

    /// Tells the guest where the Jam stands, and opens the queue to it.
    fn welcome(&mut self) {
        let (Some(peer), JamClock::Own(map)) = (&self.peer, self.jam_clock) else { return };
        self.replica.handle_disconnected(peer.id);
        self.replica.handle_connected(peer.id);
        let anchors = List::new(self.announced.clone()).unwrap_or_default();
        let (term, line) = (self.part.term, JamLine::of(&map));
        self.tell(ControlMessage::Welcome(Welcome {
            term,
            line,
            guest_controls: self.guest_controls,
            anchors,
        }));
    }

    /// Whether this side has all that a host needs.
    fn knows_the_jam(&self) -> bool {
        self.jam_clock != JamClock::Unknown && self.replica.ordered_through().number > 0
    }

    /// The line over this node's clock by which the Jam goes on here. A side that never read the Jam time has played
    /// nothing: it begins where the timeline does.
    pub(super) fn own_line(&self, now: NodeTime) -> JamMap {
        let steady = self.peer.as_ref().and_then(|peer| peer.clock.steady_estimate(now));
        let rough = self.peer.as_ref().and_then(|peer| peer.clock.estimate(now));
        self.jam_clock.frozen(steady, now).or_else(|| self.jam_clock.frozen(rough, now)).unwrap_or_else(
            || {
                let jam = self.timeline().last().map_or(JamTime::ZERO, |anchor| anchor.at);
                JamMap { node: now, jam, rate: Ppm::ZERO }
            },
        )
    }
}

/// Why the Jam has another host than this side thought.
fn why_changed(mine: Claim, theirs: Claim, i_host: bool) -> HostChange {
    let loser = if i_host { theirs } else { mine };
    match loser {
        Claim::Nothing | Claim::Restored | Claim::Revived => HostChange::Restarted,
        // Neither gave the order: a handover that one of them never heard of.
        Claim::Guest if mine == theirs => HostChange::Agreed,
        Claim::Guest | Claim::Provisional | Claim::Host => HostChange::Returned,
    }
}
