//! The peer comes, is away for a while, and leaves.
//!
//! A node that listens alone has a past that is nobody's business: it ends where a Jam begins.

use alloc::vec::Vec;

use super::{Event, HostChange, Peer, Session, jam_clock::JamClock, part::Role, peer::Link};
use crate::{
    id::{EntryId, Participant},
    queue::Term,
    time::NodeTime,
    wire::peer::ControlMessage,
};

impl Session {
    /// A connection to `peer` is up and both sides have shown their grants. Both sides pass the same
    /// `session_epoch`; it is the one of an earlier connection only if neither has begun anew since, and then
    /// what was learnt of the peer's clock is kept.
    ///
    /// With a participant that this session does not know yet a Jam begins: a host's queue begins it as it stands,
    /// and who joins is never told what was played or had left it before, nor can anyone take back an older edit.
    pub fn handle_connected(&mut self, peer: Participant, session_epoch: u32, now: NodeTime) {
        if self.met != Some(peer) {
            self.begin_jam(now);
            self.met = Some(peer);
        }
        // The clock goes on as it was where neither side began anew: a connection that was lost mostly comes back over
        // the same path, and a path that is new shows by its delays, which are weighed before they are believed.
        let is_known =
            self.peer.as_ref().is_some_and(|known| known.id == peer && known.session_epoch == session_epoch);
        if !is_known {
            if matches!(self.jam_clock, JamClock::Hosts { last: Some(_), .. }) {
                // The clock that it was read by is gone with the host's process; the music goes on.
                self.jam_clock = JamClock::Own(self.own_line(now));
            }
            self.peer = Some(Peer::new(peer, session_epoch, now));
        }
        if let Some(known) = &mut self.peer {
            (known.link, known.welcomed, known.handed_over) = (Link::Greeting, false, false);
        }
        self.part.heard = now;
        self.early_wish = None;
        self.replica.handle_disconnected(peer);
        self.transmits.clear();
        self.transmits.push_back(ControlMessage::Standing(self.standing()));
    }

    /// The connection is lost. This side plays on from what it knows.
    pub fn handle_disconnected(&mut self) {
        if let Some(peer) = &mut self.peer {
            peer.link = Link::Down;
            self.replica.handle_disconnected(peer.id);
        }
        self.early_wish = None;
        self.transmits.clear();
    }

    /// The Jam with the peer is over, by the shell's word: this side is alone again, and gives the order where it knows
    /// the Jam. That it became the host by this is told; the peer's own farewell is told as [`Event::PeerLeft`]. Also the
    /// last step of leaving by oneself, after [`Command::Leave`](super::Command::Leave) was drained and the connection
    /// closed: what had not been drained by then is lost.
    pub fn handle_peer_left(&mut self, now: NodeTime) {
        self.take_over(HostChange::Left, now);
        if self.part.role == Role::Provisional {
            self.part.lead(Role::Host, self.part.term);
        }
        self.met = None;
        if let Some(peer) = self.peer.take() {
            self.replica.handle_disconnected(peer.id);
            self.availabilities.handle_left();
            self.early_wish = None;
            self.transmits.clear();
        }
        // It was said of a Jam that is over, and must not end the next one.
        self.events.retain(|event| *event != Event::PeerLeft);
    }

    /// Forgets, as the host, what was before the Jam that begins.
    fn begin_jam(&mut self, now: NodeTime) {
        let Ok(jam_now) = self.jam_now(now) else { return };
        if !self.is_host() {
            return;
        }
        if self.me != Participant::FIRST {
            self.take_first_place(now);
        }
        self.conductor.forget_past(jam_now);
        self.forget_announced();
        let agreed = self.conductor.agreed().anchors();
        // What is heard at this moment is part of the Jam, even where it has just been removed.
        let heard: Vec<EntryId> = agreed.iter().filter_map(|anchor| anchor.entry).collect();
        self.replica.forget_history(&heard);
        self.availabilities.forget(|entry| self.replica.entry(entry).is_none());
    }

    /// The host of a Jam is the first in its grant. This side was a guest in the Jam before, took over there, and
    /// begins another as its host.
    fn take_first_place(&mut self, now: NodeTime) {
        self.me = Participant::FIRST;
        self.replica.take_place(self.me);
        let epoch = self.part.term.epoch.saturating_add(1);
        self.lead(Role::Host, Term { epoch, host: self.me }, now);
        self.announced.iter_mut().for_each(|announcement| announcement.by = self.me);
    }
}
