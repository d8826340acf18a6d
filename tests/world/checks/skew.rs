//! How far apart both outputs are, and how far they may be.

use jamsync_examples::link::{Jitter, LinkConfig};
use jamsync_protocol::{media::Frames, time::Span};

use super::Checks;
use crate::world::{dac::nanos, player::Sound, side::Side};

impl Checks {
    /// Judges what both sides heard at `at`.
    pub(super) fn judge_skew(&mut self, at: Span, sides: &[Side; 2]) -> Result<(), String> {
        let limit = self.allowed + self.limit(at);
        let heard = sides.each_ref().map(|side| side.sound_at(at));
        let skew = match heard {
            [None, None] => return Ok(()),
            [Some(here), Some(there)] => match skew(&here, &there, sides) {
                Some(skew) => skew,
                None => return Ok(()),
            },
            [Some(alone), None] | [None, Some(alone)] => {
                let Some((since, until)) = seconds(&alone, sides) else { return Ok(()) };
                let edge = limit.as_secs_f64() + 0.02;
                if since < edge || until < edge {
                    return Ok(());
                }
                let who = usize::from(heard[0].is_none());
                return Err(format!("only one side sounds: side {who}, {alone:?}, at {at}"));
            }
        };
        let settled = at - self.troubled > Span::from_secs(60);
        let beside = (skew - self.expected(at)).abs();
        let score = match (self.coarse, settled) {
            (true, _) => &mut self.score.coarse,
            (false, true) => &mut self.score.settled,
            (false, false) => &mut self.score.settling,
        };
        score.push(beside);
        let name = if settled { "apart in steady state" } else { "apart" };
        if skew.abs() > limit.as_secs_f64() {
            return Err(format!("{name}: {:.3} ms, more than {limit}, at {at}", skew * 1e3));
        }
        Ok(())
    }

    /// Scores without judging: at the beginning a guest may be on its way to the right place.
    pub(super) fn score_first(&mut self, at: Span, sides: &[Side; 2]) {
        if let [Some(here), Some(there)] = sides.each_ref().map(|side| side.sound_at(at))
            && here.entry == there.entry
            && let Some(skew) = skew(&here, &there, sides)
        {
            self.score.first.push((skew - self.expected(at)).abs());
        }
    }

    /// What no exchange of packets can see: half the path's asymmetry.
    fn expected(&self, at: Span) -> f64 {
        self.path.asymmetry_at(at).as_secs_f64() / 2.0
    }

    /// How far apart the outputs may be beside what the path's asymmetry hides.
    fn limit(&self, at: Span) -> Span {
        let coarse = if self.coarse { Span::from_millis(6) } else { Span::ZERO };
        let settled = at - self.troubled > Span::from_secs(60) && at - self.anchored > Span::from_secs(20);
        self.learning + coarse + if settled { self.settled() } else { Span::from_millis(4) }
    }

    /// How far apart they may be in steady state: 1 ms, or three times the goal of a path whose jitter is normal.
    fn settled(&self) -> Span {
        let restless = |link: &LinkConfig| matches!(link.jitter, Jitter::Normal(_));
        let either = restless(&self.path.a_to_b) || restless(&self.path.b_to_a);
        if either { Span::from_micros(1_500) } else { Span::from_millis(1) }
    }
}

/// How far `here` is ahead of `there` in seconds, also across the join of two entries.
fn skew(here: &Sound, there: &Sound, sides: &[Side; 2]) -> Option<f64> {
    let (a, b) = (seconds(here, sides)?, seconds(there, sides)?);
    Some(if here.entry == there.entry {
        a.0 - b.0
    } else if a.0 < b.0 {
        a.0 + b.1
    } else {
        -(a.1 + b.0)
    })
}

/// Seconds since the beginning of the entry, and until its end.
fn seconds(sound: &Sound, sides: &[Side; 2]) -> Option<(f64, f64)> {
    let track = &sides.iter().find_map(|side| side.session.queue().entry(sound.entry))?.track;
    let rate = track.rate.as_f64();
    Some((sound.position / rate, (track.length.as_f64() - sound.position) / rate))
}

impl Side {
    /// What was heard at a true time.
    fn sound_at(&self, at: Span) -> Option<Sound> {
        let at = nanos(at);
        let period = self.heard.iter().rev().find(|period| period.at <= at)?;
        let frame = Frames(period.first).as_f64() + (at - period.at) / period.frame_ns;
        let piece = period.pieces.iter().rev().find(|piece| Frames(piece.first).as_f64() <= frame)?;
        let sound = piece.sound?;
        let into = frame - Frames(piece.first).as_f64();
        Some(Sound { position: sound.position + sound.step * into, ..sound })
    }
}
