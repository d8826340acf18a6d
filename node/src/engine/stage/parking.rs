//! The listener's own music while a Jam is on that is somebody else's, and what of a Jam stays when it is over.

use std::collections::VecDeque;

use jamsync_protocol::{
    id::Participant,
    session::{Command, SavedSession, Session},
    wire::peer::Announcement,
};

use super::Stage;

/// A session that waits.
#[derive(Debug)]
pub(super) struct Parked {
    session: Session,
    announced: VecDeque<Announcement>,
}

impl Stage {
    /// The Jam begins with this node as host: its session goes on as it is, with a peer.
    /// As a guest: the listener's own session is parked and an empty one waits for the host.
    pub(in crate::engine) fn enter_jam(&mut self, me: Participant, host: Participant) {
        if me == host {
            return;
        }
        // A pause that fails had nothing to stop.
        let _ = self.command(Command::Pause);
        while self.session.poll_event().is_some() {}
        let session = std::mem::replace(&mut self.session, Session::guest(me, host));
        let announced = std::mem::take(&mut self.announced);
        // What an earlier Jam left behind gives way to the next; the own music waits on.
        self.parked.get_or_insert(Parked { session, announced });
        self.sought.clear();
        self.told = None;
    }

    /// Whether the listener's own music waits.
    pub(in crate::engine) fn has_parked(&self) -> bool {
        self.parked.is_some()
    }

    /// The listener leaves the Jam, or what the other left behind: who came as a guest gets the own music back, paused
    /// where it was; others keep the Jam's.
    pub(in crate::engine) fn leave_jam(&mut self) {
        match self.parked.take() {
            Some(own) => self.put_on(own),
            None => self.peer_left(),
        }
    }

    /// The Jam is over by the other's doing: its music goes on here, as a Jam of one. Where nothing of it is known yet,
    /// the own music comes back.
    pub(in crate::engine) fn peer_left(&mut self) {
        self.held = None;
        let now = self.now();
        self.session.handle_peer_left(now);
        if !self.session.is_host()
            && let Some(own) = self.parked.take()
        {
            self.put_on(own);
        }
    }

    /// What is on and what is parked, for the disk.
    pub(in crate::engine) fn save(&mut self) -> (SavedSession, Option<SavedSession>) {
        let now = self.now();
        (self.session.snapshot(now), self.parked.as_mut().map(|parked| parked.session.snapshot(now)))
    }

    /// Goes on with the sessions that were saved when this node was cut short.
    pub(in crate::engine) fn resume(&mut self, session: Session, parked: Option<Session>) {
        let announced = session.announced().iter().copied().collect();
        self.put_on(Parked { session, announced });
        self.parked = parked.map(|session| {
            let announced = session.announced().iter().copied().collect();
            Parked { session, announced }
        });
    }

    fn put_on(&mut self, Parked { session, announced }: Parked) {
        (self.session, self.announced) = (session, announced);
        self.sought.clear();
        (self.held, self.told) = (None, None);
    }
}
