//! The conductor: turns what people do into anchors, on the host with authority, on a guest as a wish that
//! already holds for the guest itself.
//!
//! Latency decides this shape. A guest that pauses is silent at once and a guest that seeks knows the instant
//! at which both will be there, because it names that instant itself; the host keeps a feasible time as it is.
//! It never chooses what plays next and never looks at the queue.

use alloc::collections::VecDeque;

use crate::{
    id::{EntryId, Participant},
    media::Frames,
    queue::Term,
    time::{JamTime, NodeTime, Span},
    timeline::{Anchor, Revision, Timeline, TimelineError},
    wire::peer::{Announcement, Verb, Wish},
};

/// The timeline of one participant, with authority or without.
#[derive(Clone, Debug)]
pub(crate) struct Conductor {
    /// The term in which this side gives the order; `None` for a guest.
    term: Option<Term>,
    /// How many anchors it has given in that term.
    counter: u64,
    agreed: Timeline,
    /// `agreed` with the unanswered wishes laid over it: what this side plays.
    effective: Timeline,
    /// The wishes that wait for an answer, oldest first. A resume is worth what it says only upon the pause before it.
    unanswered: VecDeque<PendingWish>,
    /// The Jam time at which they were laid over it last.
    laid: JamTime,
    wishes: u32,
}

#[derive(Clone, Copy, Debug)]
struct PendingWish {
    wish: Wish,
    gives_up: NodeTime,
}

/// What somebody wants to be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) verb: Verb,
    pub(crate) entry: Option<EntryId>,
    pub(crate) position: Frames,
    pub(crate) at: JamTime,
    pub(crate) playing: bool,
}

/// What to send about a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Outcome {
    /// The host has decided: announce it to the guests.
    Announce(Announcement),
    /// A guest has to ask the host.
    Ask(Wish),
}

/// How long a guest holds on to a wish that the host does not answer.
const WISH_PATIENCE: Span = Span::from_secs(5);
/// The most wishes that wait. Who asks faster than the host answers has superseded the oldest long ago.
const UNANSWERED_MAX: usize = 8;

impl Conductor {
    /// A guest's, on whose timeline `agreed` stands.
    pub(crate) fn new(agreed: Timeline) -> Self {
        Self {
            term: None,
            counter: 0,
            effective: agreed.clone(),
            agreed,
            unanswered: VecDeque::new(),
            laid: JamTime::ZERO,
            wishes: 0,
        }
    }

    pub(crate) fn is_host(&self) -> bool {
        self.term.is_some()
    }

    /// Gives the order in `term` from now on. What this side plays is what is agreed, said again in that term; a wish
    /// that nobody answered is an order now. Returns the verb of the newest such wish.
    pub(crate) fn lead(&mut self, term: Term) -> Option<Verb> {
        self.term = Some(term);
        self.agreed = self.effective.clone();
        self.counter = self.agreed.restate(term.epoch, term.host);
        self.effective = self.agreed.clone();
        core::mem::take(&mut self.unanswered).back().map(|pending| pending.wish.verb)
    }

    /// Gives the order no more: what is agreed stands until the host speaks.
    pub(crate) fn follow(&mut self) {
        self.term = None;
    }

    /// Forgets what is agreed, for the word of a new host replaces all of it. Returns what was agreed.
    pub(crate) fn forget_agreed(&mut self) -> Timeline {
        self.effective = Timeline::new();
        core::mem::take(&mut self.agreed)
    }

    /// What this side plays.
    pub(crate) fn timeline(&self) -> &Timeline {
        &self.effective
    }

    /// What is agreed, without this side's unanswered wishes.
    pub(crate) fn agreed(&self) -> &Timeline {
        &self.agreed
    }

    /// Forgets what is no longer in force at `jam_now`.
    pub(crate) fn forget_past(&mut self, jam_now: JamTime) {
        self.agreed.forget_past(jam_now);
        self.effective.forget_past(jam_now);
    }

    /// Makes `target` so: on the host at once, on a guest for itself and as a wish. `by` and `answers` tell
    /// whose doing it is where the host acts for a guest.
    pub(crate) fn direct(
        &mut self,
        target: Target,
        by: Participant,
        answers: Option<u32>,
        jam_now: JamTime,
        now: NodeTime,
    ) -> Result<Outcome, TimelineError> {
        if let Some(Term { epoch, host }) = self.term {
            let counter = self.counter.saturating_add(1);
            let anchor = target.anchor(Revision { epoch, host, counter });
            self.agreed.handle_anchor(anchor, jam_now)?;
            self.counter = counter;
            self.effective = self.agreed.clone();
            return Ok(Outcome::Announce(Announcement { anchor, by, verb: target.verb, answers }));
        }
        let Some(entry) = target.entry else {
            // A guest never wishes for nothing: an empty queue is the host's fact.
            return Err(TimelineError::TooMany);
        };
        self.wishes += 1;
        let Target { verb, position, at, playing, .. } = target;
        let wish = Wish { number: self.wishes, verb, entry, position, at, playing };
        if self.unanswered.len() >= UNANSWERED_MAX {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back(PendingWish { wish, gives_up: now + WISH_PATIENCE });
        self.overlay(jam_now);
        Ok(Outcome::Ask(wish))
    }

    /// Takes the host's word for the timeline.
    pub(crate) fn handle_announcement(
        &mut self,
        announcement: &Announcement,
        jam_now: JamTime,
    ) -> Result<(), TimelineError> {
        self.agreed.handle_anchor(announcement.anchor, jam_now)?;
        if let Some(number) = announcement.answers {
            // The host answers in order, so the older ones will have no answer any more.
            self.unanswered.retain(|pending| pending.wish.number > number);
        }
        self.overlay(jam_now);
        Ok(())
    }

    /// The host refused wish `number`. Whether it was one that waits.
    pub(crate) fn handle_refusal(&mut self, number: u32) -> bool {
        self.take_back(|pending| pending.wish.number <= number)
    }

    /// Gives up the wishes that the host did not answer in time. Whether one was given up.
    pub(crate) fn handle_timeout(&mut self, now: NodeTime) -> bool {
        self.take_back(|pending| pending.gives_up <= now)
    }

    pub(crate) fn poll_timeout(&self) -> Option<NodeTime> {
        self.unanswered.front().map(|pending| pending.gives_up)
    }

    /// Forgets the wishes that are `over`: what is agreed holds again, and what is still wished. Whether there were any. The
    /// Jam's clock need not be known.
    fn take_back(&mut self, over: impl Fn(&PendingWish) -> bool) -> bool {
        let waited = self.unanswered.len();
        self.unanswered.retain(|pending| !over(pending));
        if self.unanswered.len() < waited {
            self.overlay(self.laid);
        }
        self.unanswered.len() < waited
    }

    /// Lays the unanswered wishes over what is agreed.
    fn overlay(&mut self, jam_now: JamTime) {
        self.laid = jam_now;
        self.effective = self.agreed.clone();
        let newest = self.agreed.revision().unwrap_or_default();
        for (PendingWish { wish, .. }, further) in self.unanswered.iter().zip(1..) {
            let Wish { verb, entry, position, at, playing, .. } = *wish;
            let target = Target { verb, entry: Some(entry), position, at, playing };
            let revision = Revision { counter: newest.counter.saturating_add(further), ..newest };
            // A wish too far ahead cannot be made: its time comes from the lead, which has a limit.
            let _ = self.effective.handle_anchor(target.anchor(revision), jam_now);
        }
    }
}

impl Target {
    fn anchor(self, revision: Revision) -> Anchor {
        let Self { entry, position, at, playing, .. } = self;
        Anchor { revision, entry, position, at, playing }
    }
}
