//! A clock that jumped unnoticed: until both sides can have found that out, nothing is judged by clocks.

use jamsync_protocol::time::Span;

use super::Checks;
use crate::world::side::Side;

/// A jump, and when each side last could learn of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    at: Span,
    /// When the first probe was sent that each side has got since, and since both last heard nothing for a while.
    told: [Option<Span>; 2],
}

impl Step {
    /// `who` got a probe that was sent at `sent`.
    pub(super) fn handle_probe(&mut self, who: usize, sent: Span) {
        if sent >= self.at {
            self.told[who].get_or_insert(sent);
        }
    }

    /// Whether both have had time to learn what their clocks are to each other.
    fn is_over(&self, now: Span) -> bool {
        self.told.iter().all(|told| told.is_some_and(|sent| now - sent > FOUND_OUT))
    }
}

impl Checks {
    pub(in crate::world) fn clock_steps(&mut self, now: Span) {
        self.counters.steps += 1;
        self.step = Some(Step { at: now, told: [None; 2] });
        self.disturb(now, Span::from_secs(3));
    }

    /// Whether a jump may still be unknown to one of the sides. While it may, both play where they play.
    pub(super) fn is_stepping(&mut self, now: Span, sides: &[Side; 2]) -> bool {
        self.step = self.step.filter(|step| !step.is_over(now));
        if let Some(step) =
            self.step.as_mut().filter(|_| sides.iter().any(|side| now - side.probed > SILENCE))
        {
            step.told = [None; 2];
        }
        if self.step.is_some() {
            (self.troubled, self.learns) = (now, now);
            self.disturb(now, Span::from_secs(3));
        }
        self.step.is_some()
    }
}

/// What was learnt before so long a silence may have been too little to find it out.
const SILENCE: Span = Span::from_secs(2);
/// An echo that waits behind others for 3 s at most, the eight samples that an update may wait for, and as many for a new
/// line.
const FOUND_OUT: Span = Span::from_secs(8);
