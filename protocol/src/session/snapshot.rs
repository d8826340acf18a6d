//! A session for the disk, so that a node that was killed comes back into its Jam.
//!
//! What is saved holds all that was told to the listener or to the peer: place, queue, edits that wait, anchors, and
//! the Jam clock as a line over this node's clock. The shell writes it, puts a version beside it, and throws away what
//! it cannot read; it is bounded by the bounds of its parts.

use serde::{Deserialize, Serialize};

use super::{
    JamClock, Session, SessionError,
    jam_clock::{from_ppb, to_ppb},
    meeting::EPOCH_MAX,
    part::{Part, Role},
};
use crate::{
    id::Participant,
    queue::{Head, Replica, Saved, Term},
    text::List,
    time::{JamTime, NodeTime},
    timeline::{JamMap, Revision, Timeline},
    wire::peer::Announcement,
};

/// A session as it is kept on disk: see [`Session::restore`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSession {
    me: Participant,
    met: Option<Participant>,
    term: Term,
    given: Term,
    line: Option<SavedLine>,
    guest_controls: bool,
    anchors: List<Announcement, 8>,
    queue: Saved,
}

/// The Jam clock as a line over the clock of the node that saved it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedLine {
    node: NodeTime,
    jam: JamTime,
    rate_ppb: i32,
}

/// By what a snapshot is told from another without making either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    me: Participant,
    met: Option<Participant>,
    term: Term,
    given: Term,
    guest_controls: bool,
    anchors: Option<Revision>,
    queue: (Head, u32),
}

impl Session {
    /// The session for the disk at `now`.
    #[must_use]
    pub fn snapshot(&mut self, now: NodeTime) -> SavedSession {
        self.saved = Some(self.mark());
        let knows = self.jam_clock != JamClock::Unknown;
        let line = self.own_line(now);
        let jam = line.jam_at(now);
        SavedSession {
            me: self.me,
            met: self.met,
            term: self.part.term,
            given: self.part.given,
            line: knows.then(|| SavedLine { node: now, jam, rate_ppb: to_ppb(line.rate) }),
            guest_controls: self.guest_controls,
            anchors: List::new(self.announced.clone()).unwrap_or_default(),
            queue: self.replica.snapshot(),
        }
    }

    /// Whether the session holds what the newest [`snapshot`](Self::snapshot) does not. Write one then, before the
    /// listener has an answer and before the bytes that follow are sent: what anyone was told is never forgotten.
    #[must_use]
    pub fn is_unsaved(&self) -> bool {
        self.saved != Some(self.mark())
    }

    /// The session that was saved, on a node that began anew at `now`. It plays on from what it knew: in a Jam as a
    /// guest, whatever it was before, until it has met the other or that one stays silent; alone as the host. Where the
    /// node's clock began anew too, the Jam's goes on from where it was saved.
    ///
    /// # Errors
    /// [`SessionError::BadSnapshot`] and [`SessionError::Queue`] where what was saved contradicts itself.
    pub fn restore(saved: SavedSession, now: NodeTime) -> Result<Self, SessionError> {
        let SavedSession { me, met, term, given, line, guest_controls, anchors, queue } = saved;
        if met == Some(me) || queue.author() != me {
            return Err(SessionError::BadSnapshot("a queue or a peer of somebody else's"));
        }
        if queue.epoch().max(given.epoch) > term.epoch || term.epoch > EPOCH_MAX {
            return Err(SessionError::BadSnapshot("an order from a term to come"));
        }
        let replica = Replica::restore(queue)?;
        let jam_clock = line.map_or(JamClock::Unknown, |line| JamClock::Own(line.restored(now)));
        let mut agreed = Timeline::new();
        for announcement in anchors.iter() {
            // Each was taken once, at its own time at the latest.
            agreed
                .handle_anchor(announcement.anchor, announcement.anchor.at)
                .map_err(|_| SessionError::BadSnapshot("anchors out of order"))?;
        }
        let part = Part { term, given, restored: true, ..Part::guest(met.unwrap_or(me), now) };
        let mut session = Self::new(me, part, replica, jam_clock, agreed);
        session.announced = anchors.into_vec();
        session.forget_announced();
        session.met = met;
        session.guest_controls = guest_controls;
        match met {
            Some(peer) => session.replica.become_guest(peer),
            None => {
                let epoch = term.epoch.saturating_add(1);
                session.lead(Role::Host, Term { epoch, host: me }, now);
                session.guest_controls = guest_controls;
            }
        }
        session.events.clear();
        Ok(session)
    }

    fn mark(&self) -> Mark {
        Mark {
            me: self.me,
            met: self.met,
            term: self.part.term,
            given: self.part.given,
            guest_controls: self.guest_controls,
            anchors: self.conductor.agreed().revision(),
            queue: self.replica.mark(),
        }
    }
}

impl SavedLine {
    /// The line again. A clock that reads less than it did began anew: the Jam stood still meanwhile.
    fn restored(self, now: NodeTime) -> JamMap {
        JamMap { node: self.node.min(now), jam: self.jam, rate: from_ppb(self.rate_ppb) }
    }
}
