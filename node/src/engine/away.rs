//! While the friend is away the music goes on or waits, as the listener has chosen.
//!
//! A host that waits pauses the Jam. A guest cannot: the word of an absent host stands, so it holds its own sound only,
//! and where it comes to be the host meanwhile it pauses the Jam at the place where it held.

use jamsync_protocol::session::Command;

use super::Engine;
use crate::config::WhenAway;

impl Engine {
    /// The friend was lost just now. Whether the music waits for it.
    pub(super) fn begin_waiting(&mut self) -> bool {
        // What is announced and has not begun is lost as well as what plays, and so is what was held for this friend.
        let was_held = self.end_hold_for_good();
        let intended = self.stage.session().intended(self.stage.now());
        let heard = intended.filter(|heard| heard.playing || was_held);
        let wanted = self.settings.when_away == WhenAway::Wait;
        let (Some(jam), Some(heard)) = (&mut self.jam, heard.filter(|_| wanted)) else { return false };
        jam.waiting = true;
        self.stage.hold(heard);
        self.pause_as_host();
        true
    }

    /// The listener decides about the music, so that nothing waits any more.
    pub(super) fn end_waiting(&mut self) {
        if let Some(jam) = &mut self.jam {
            jam.waiting = false;
        }
        self.stage.release();
    }

    /// Goes on where what was waited for has come about.
    pub(super) fn look_after_waiting(&mut self) {
        let Some(jam) = self.jam.as_ref().filter(|jam| jam.waiting) else { return };
        let back = jam.link.is_some();
        self.pause_as_host();
        let session = self.stage.session();
        // A friend whose clock is not known could not enter in step yet.
        if !back || session.is_host() && session.sync_report(self.stage.now()).is_none() {
            return;
        }
        let paused_by_us = session.is_host();
        self.end_waiting();
        if paused_by_us && let Err(error) = self.stage.command(Command::Resume) {
            self.warn(format!("the music does not go on by itself: {error}; `jamsync resume` plays on"));
        }
    }

    /// As the host, turns a held sound into a pause of the Jam at the same place.
    fn pause_as_host(&mut self) {
        let Some(held) = self.stage.held().filter(|_| self.stage.session().is_host()) else { return };
        let paused = self.stage.command(Command::Pause);
        let moved_on = self.current() != Some(held.entry);
        let placed = if moved_on { Ok(()) } else { self.stage.command(Command::Seek(held.position)) };
        if let Err(error) = paused.and(placed) {
            tracing::warn!(%error, "the music could not be made to wait");
        }
        self.stage.release();
    }
}
