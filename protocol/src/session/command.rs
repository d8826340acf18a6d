//! What a person wants: carried out here, by the host's word, or refused in words for that person.

use super::{Command, Event, Session, SessionError, Target};
use crate::{
    id::EntryId,
    media::Frames,
    time::NodeTime,
    timeline::Heard,
    wire::peer::{ControlMessage, Verb},
};

impl Session {
    /// Carries out what a person wants.
    ///
    /// # Errors
    /// [`SessionError`], in words for that person; nothing was changed.
    pub fn handle_command(&mut self, command: Command, now: NodeTime) -> Result<(), SessionError> {
        match command {
            Command::Edit(intent) => {
                self.replica.edit(intent)?;
                self.take_queue_events(now)
            }
            Command::GuestControls(allowed) => self.set_guest_controls(allowed),
            Command::PeerVolume(percent) => {
                self.check_controls()?;
                self.peer.as_ref().filter(|peer| peer.is_connected()).ok_or(SessionError::Alone)?;
                self.tell(ControlMessage::Volume { percent: percent.min(100) });
                Ok(())
            }
            Command::Leave => {
                let peer = self.peer.as_ref().ok_or(SessionError::Alone)?;
                if peer.is_connected() {
                    self.transmits.push_back(ControlMessage::Leaving);
                }
                Ok(())
            }
            Command::HandOver => self.hand_over(now),
            Command::Play(_)
            | Command::Resume
            | Command::Pause
            | Command::Wait
            | Command::Seek(_)
            | Command::Skip => {
                self.check_controls()?;
                if self.is_so_already(&command, now) {
                    return Ok(());
                }
                let target = self.target_of(&command, now)?;
                self.direct(target, self.me, None, now)
            }
        }
    }

    /// What a person's command makes of the timeline.
    fn target_of(&self, command: &Command, now: NodeTime) -> Result<Target, SessionError> {
        let jam_now = self.jam_now(now)?;
        let lead = self.lead_time();
        let soon = self.timeline().place(jam_now + lead, lead, jam_now);
        let heard = self.intended(now);
        match *command {
            Command::Play(entry) => {
                if !self.replica.queue().contains(entry) {
                    return Err(SessionError::UnknownEntry);
                }
                if !self.availabilities.is_playable(entry) {
                    return Err(SessionError::Unplayable);
                }
                let verb = if self.timeline().last().is_none() { Verb::Start } else { Verb::Play };
                Ok(Target { verb, entry: Some(entry), position: Frames::ZERO, at: soon, playing: true })
            }
            Command::Pause | Command::Wait => {
                let heard = heard.ok_or(SessionError::NothingOn)?;
                let position = self.within(heard.entry, heard.position);
                Ok(Target {
                    verb: if *command == Command::Wait { Verb::Wait } else { Verb::Pause },
                    entry: Some(heard.entry),
                    position,
                    at: jam_now,
                    playing: false,
                })
            }
            Command::Resume => {
                let (entry, position) = self.resume_point(heard)?;
                let verb = if heard.is_some() { Verb::Resume } else { Verb::Start };
                Ok(Target { verb, entry: Some(entry), position, at: soon, playing: true })
            }
            Command::Seek(position) => {
                let heard = heard.ok_or(SessionError::NothingOn)?;
                // What has played to its end was not paused by anybody, so it plays again.
                let playing = heard.playing || self.has_ended(heard);
                let position = self.within(heard.entry, position);
                let at = if playing { soon } else { jam_now };
                Ok(Target { verb: Verb::Seek, entry: Some(heard.entry), position, at, playing })
            }
            Command::Skip => {
                let heard = heard.ok_or(SessionError::NothingOn)?;
                let next = self.playable_after(heard.entry).ok_or(SessionError::NothingNext)?;
                let at = if heard.playing { soon } else { jam_now };
                let (verb, position) = (Verb::Skip, Frames::ZERO);
                Ok(Target { verb, entry: Some(next), position, at, playing: heard.playing })
            }
            Command::Edit(_)
            | Command::GuestControls(_)
            | Command::PeerVolume(_)
            | Command::Leave
            | Command::HandOver => Err(SessionError::NothingOn),
        }
    }

    fn set_guest_controls(&mut self, allowed: bool) -> Result<(), SessionError> {
        if !self.is_host() {
            return Err(SessionError::HostOnly);
        }
        self.guest_controls = allowed;
        self.tell(ControlMessage::GuestControls { allowed });
        self.events.push_back(Event::GuestControls(allowed));
        Ok(())
    }

    fn check_controls(&self) -> Result<(), SessionError> {
        if self.is_host() || self.guest_controls { Ok(()) } else { Err(SessionError::GuestControlsOff) }
    }

    /// Whether a pause or a resume would change nothing.
    fn is_so_already(&self, command: &Command, now: NodeTime) -> bool {
        let intended = self.intended(now);
        let playing = intended.is_some_and(|heard| heard.playing);
        (*command == Command::Resume && playing)
            || (matches!(command, Command::Pause | Command::Wait) && intended.is_some() && !playing)
    }

    /// Where playing goes on: where it stands, or with the next entry where that one has ended.
    fn resume_point(&self, heard: Option<Heard>) -> Result<(EntryId, Frames), SessionError> {
        let Some(heard) = heard else {
            let first = self.replica.first().map(|entry| entry.id);
            return Ok((self.playable_from(first).ok_or(SessionError::NothingOn)?, Frames::ZERO));
        };
        if self.has_ended(heard) {
            return Ok((self.playable_after(heard.entry).ok_or(SessionError::NothingNext)?, Frames::ZERO));
        }
        Ok((heard.entry, heard.position))
    }

    fn has_ended(&self, heard: Heard) -> bool {
        self.replica.entry(heard.entry).is_some_and(|entry| heard.position >= entry.track.length)
    }

    fn within(&self, entry: EntryId, position: Frames) -> Frames {
        self.replica.entry(entry).map_or(position, |entry| position.min(entry.track.length))
    }
}
