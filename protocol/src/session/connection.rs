//! The peer comes, is away for a while, and leaves.
//!
//! A node that listens alone has a past that is nobody's business: it ends where a Jam begins.

use alloc::vec::Vec;

use super::{Event, JamClock, Peer, Session};
use crate::{
    id::{EntryId, Participant},
    text::List,
    time::{NodeTime, PeerTime},
    wire::peer::{ControlMessage, Welcome},
};

impl Session {
    /// A connection to `peer` is up and both sides have shown their grants. Both sides pass the same
    /// `session_epoch`; it is the one of an earlier connection only if neither has begun anew since, and then
    /// what was learnt of the peer's clock is kept.
    ///
    /// With a participant that this session does not know yet a Jam begins: a host's queue begins it as it stands,
    /// and who joins is never told what was played or had left it before, nor can anyone take back an older edit.
    pub fn handle_connected(&mut self, peer: Participant, session_epoch: u32, now: NodeTime) {
        match &mut self.peer {
            Some(known) if known.id == peer && known.session_epoch == session_epoch => {
                // The clock goes on as it was: a connection that was lost mostly comes back over the same path,
                // and a path that is new shows by its delays, which are weighed before they are believed.
                known.connected = true;
                known.welcomed = false;
            }
            known => {
                if known.as_ref().is_none_or(|known| known.id != peer) {
                    self.begin_jam(now);
                }
                self.peer = Some(Peer::new(peer, session_epoch, now));
            }
        }
        self.availabilities.handle_connected();
        self.replica.handle_connected(peer);
        if let JamClock::Own { zero } = self.jam_clock {
            let anchors = List::new(self.announced.clone()).unwrap_or_default();
            let jam_zero = PeerTime::from_nanos(zero.as_nanos());
            let welcome = Welcome { jam_zero, guest_controls: self.guest_controls, anchors };
            self.tell(ControlMessage::Welcome(welcome));
        }
    }

    /// The connection is lost. This side plays on from what it knows.
    pub fn handle_disconnected(&mut self) {
        if let Some(peer) = &mut self.peer {
            peer.connected = false;
            self.replica.handle_disconnected(peer.id);
        }
        self.early_wish = None;
        self.transmits.clear();
    }

    /// The Jam with the peer is over, by the shell's word: this side is alone again. No event tells what the shell
    /// knows; the peer's own farewell is told as [`Event::PeerLeft`].
    pub fn handle_peer_left(&mut self) {
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
        self.conductor.forget_past(jam_now);
        let agreed = self.conductor.agreed().anchors();
        self.announced.retain(|known| agreed.iter().any(|anchor| anchor.revision == known.anchor.revision));
        // What is heard at this moment is part of the Jam, even where it has just been removed.
        let heard: Vec<EntryId> = agreed.iter().filter_map(|anchor| anchor.entry).collect();
        self.replica.forget_history(&heard);
        self.availabilities.forget(|entry| self.replica.entry(entry).is_none());
    }
}
