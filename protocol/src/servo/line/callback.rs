//! What a callback and a sink's report say together: which of them to believe, and whether the device has moved.

use super::AudibleLine;
use super::{LineEvent, SLOPE_SD_KNOWN};
use crate::{
    media::Frames,
    servo::{
        halt::{Halt, Sight},
        pace::{Move, Pace},
        settling::Turn,
        suspects::Suspects,
        window::{Stamp, nanos},
    },
    time::{NodeTime, Span},
};

impl AudibleLine {
    /// A callback that came at `entered`, and the sink's report that its first frame, `frame`, is heard `delay` later.
    /// Unlike [`handle_stamp`](Self::handle_stamp) this sees through reports that are wrong for seconds, as those of
    /// sound servers are, by the pace at which the callbacks come; and it knows a device that stood still within 0.3 s,
    /// one that reports in steps within a second.
    pub fn handle_callback(&mut self, frame: Frames, entered: NodeTime, delay: Span) -> LineEvent {
        let report = self.sight(Stamp { frame, audible: entered + delay });
        let rate = self.rate;
        let pace = self.pace.get_or_insert_with(|| Pace::new(rate));
        let callback = pace.sight(Stamp { frame, audible: entered });
        if self.coarse || report.is_none() || callback.is_none() {
            self.halt = Halt::default();
        }
        if let (Some(report), Some(callback), false) = (report, callback, self.coarse)
            && let Some([report, callback]) = self.halt.handle(rate, report, callback)
        {
            pace.follow(callback);
            self.follow(report);
            return LineEvent::Restarted;
        }
        let is_on_line = !self.coarse && report.is_some_and(|report| report.is_on_line());
        let audible = pace.audible(frame, entered, delay, is_on_line);
        let (moved, turn) = (pace.poll_move(), pace.poll_turn());
        match (turn, callback) {
            (Some(Turn::Begun), Some(callback)) => {
                self.follow_rate(Sight { stamp: Stamp { frame, audible }, ..callback });
                return LineEvent::Restarted;
            }
            (Some(Turn::On(by)), _) if self.move_on(Stamp { frame, audible }, nanos(by)) => {
                return LineEvent::Restarted;
            }
            _ => {}
        }
        let event = self.handle_stamp(frame, audible);
        if event == LineEvent::Restarted {
            if let Some(pace) = &mut self.pace {
                pace.drop_trial();
            }
            return event;
        }
        match moved.filter(|_| self.coarse) {
            Some(moved) => {
                self.move_by(moved);
                LineEvent::Restarted
            }
            None => event,
        }
    }

    /// How the line sees `stamp`; `None` before the first one, and of a frame that is not new.
    pub(in crate::servo) fn sight(&self, stamp: Stamp) -> Option<Sight> {
        let late = self.above(self.origin?, stamp);
        (stamp.frame > self.newest).then_some(Sight { stamp, late, fit: self.fit })
    }

    /// The device has moved to where `seen` is: the line begins anew there, with its slope of before.
    pub(in crate::servo) fn follow(&mut self, seen: Sight) {
        self.fit = seen.fit;
        self.restart(&[seen.stamp]);
    }

    /// The reports move: the line begins anew where `seen` is, with the rate of the callbacks, whatever it held for the rate.
    fn follow_rate(&mut self, seen: Sight) {
        self.prior.slope = seen.fit.slope;
        self.prior.slope_sd = seen.fit.slope_se.max(SLOPE_SD_KNOWN);
        self.slope_shown = false;
        self.follow(seen);
    }

    /// The reports have moved on by so much, to `stamp`. Whether the line was elsewhere then, as after callbacks that moved
    /// meanwhile: it is put there. Where it was not, it is left as it is, with its rate.
    fn move_on(&mut self, stamp: Stamp, by: Span) -> bool {
        self.move_by(Move { since: stamp.frame, by });
        let off = self.audible_at(stamp.frame).map_or(Span::ZERO, |foretold| stamp.audible - foretold);
        let is_astray = off.abs() > ASTRAY;
        if is_astray {
            self.move_by(Move { since: stamp.frame, by: off });
        }
        is_astray
    }

    /// The first frame that the window knows of.
    pub(in crate::servo) fn since(&self) -> Option<Frames> {
        self.window.since()
    }

    /// The device has moved, or what it reports: what was learnt before holds on, by so much later. Reports alone would take
    /// long to tell anew what they told on average.
    fn move_by(&mut self, moved: Move) {
        self.window.shift(moved.since, moved.by);
        self.suspects = Suspects::default();
        self.draw(true);
    }
}

/// How far the line may be from the newest reports while they move.
const ASTRAY: Span = Span::from_micros(300);
