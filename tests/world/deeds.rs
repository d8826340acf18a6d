//! What listeners do, as their plan says.

use jamsync_protocol::{
    session::{Command, SessionError},
    time::Span,
};

use super::{Deed, World};

/// How long a card that stood still may sound late: until it is found, and jumped over. What is too short for that is less
/// than anything is held to.
const CARD_FOUND: Span = Span::from_secs(2);
/// How long a card that reports in steps may take until its usual reports are known. Till then a stop of two steps looks like
/// a step or two, and passes for late that long at most.
const COARSE_CARD_KNOWN: Span = Span::from_secs(10);

impl World<'_> {
    pub(super) fn act_by_plan(&mut self) -> Result<(), String> {
        while let Some(action) =
            self.plan.actions.get(self.next_action).filter(|action| action.at <= self.now)
        {
            self.next_action += 1;
            if self.sides[action.side].is_awake() {
                self.act(action.side, action.deed)?;
            }
        }
        Ok(())
    }

    pub(super) fn act(&mut self, who: usize, deed: Deed) -> Result<(), String> {
        self.checks.acts(self.now);
        let side = &mut self.sides[who];
        match deed {
            Deed::Resume
            | Deed::Pause
            | Deed::Seek(_)
            | Deed::Skip
            | Deed::Play(_)
            | Deed::Append(_)
            | Deed::PlayNext(_)
            | Deed::Move(..)
            | Deed::Remove(_)
            | Deed::Clear
            | Deed::Shuffle(_)
            | Deed::Undo
            | Deed::GuestControls(_)
            | Deed::Volume => {
                // A node has its guest's session from the meeting on, and its own music until then.
                if !side.session.is_host() && side.session.timeline().last().is_none() {
                    return Ok(());
                }
                if let Some(command) = side.command(deed) {
                    self.command(who, &command)?;
                }
                Ok(())
            }
            Deed::Disconnect => {
                for side in &mut self.sides {
                    side.disconnect();
                }
                self.checks.disconnected(self.now);
                Ok(())
            }
            Deed::Suspend(lasts) => {
                side.asleep_until = Some(self.now + lasts);
                side.stepped = self.now;
                side.woken = self.now;
                self.checks.falls_asleep(who, self.now);
                Ok(())
            }
            Deed::ClockStep(by) => {
                side.clock.step(self.now, by);
                self.checks.clock_steps(self.now);
                Ok(())
            }
            Deed::CardStops(lasts) => {
                self.sides[who].dac.stand_still(lasts);
                let young = self.now < COARSE_CARD_KNOWN && self.plan.dacs[who].step > Span::ZERO;
                self.checks.card_stops(self.now, if young { COARSE_CARD_KNOWN } else { CARD_FOUND });
                Ok(())
            }
            Deed::Befalls(fate) => self.befall(who, fate),
            Deed::Lack(number) => {
                let outcome = side.lack(number, self.now);
                outcome.map_err(|error| format!("side {who} cannot pass over an entry: {error}"))?;
                self.drain(who)
            }
        }
    }

    pub(super) fn command(&mut self, who: usize, command: &Command) -> Result<(), String> {
        let side = &mut self.sides[who];
        let before = self.checks.entries(side);
        let moves = !matches!(
            command,
            Command::Edit(_)
                | Command::GuestControls(_)
                | Command::PeerVolume(_)
                | Command::Leave
                | Command::HandOver
        );
        let revision = side.session.timeline().revision();
        match side.session.handle_command(command.clone(), side.time(self.now)) {
            Ok(()) => {
                self.checks.accepted(who, command, &before, side);
                if moves && !side.session.is_host() && side.session.timeline().revision() != revision {
                    side.wishes = true;
                }
            }
            Err(SessionError::Timeline(error)) => self.checks.timeline_refused(&error),
            Err(_) => self.checks.refused(),
        }
        if moves {
            self.checks.disturb(self.now, Span::from_millis(1_500));
        }
        self.drain(who)
    }
}
