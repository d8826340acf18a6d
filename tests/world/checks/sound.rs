//! What one output plays: no jump but for a reason, no rate beyond the servo's, and nothing that grows.

use jamsync_protocol::time::Span;

use super::Checks;
use crate::world::{
    player::{Cause, Piece},
    side::Side,
};

impl Checks {
    /// What is in the frames that the card has taken.
    pub(crate) fn heard(&mut self, who: usize, now: Span, pieces: &[Piece]) -> Result<(), String> {
        for piece in pieces {
            if let (Some(before), Some(sound)) = (self.last[who], piece.sound)
                && before.entry == sound.entry
                && (before.position - sound.position).abs() > 0.01
            {
                let by = (sound.position - before.position) / 44.1;
                self.judge_jump(who, now, piece.cause, by)?;
            }
            self.last[who] = piece.end();
        }
        Ok(())
    }

    fn judge_jump(&self, who: usize, now: Span, cause: Cause, by_ms: f64) -> Result<(), String> {
        let quiet =
            now > self.disturbed.max(self.begun[who]) + Span::from_millis(500) && self.learning == Span::ZERO;
        let steady = quiet
            && now > self.troubled + Span::from_secs(60)
            && now > self.anchored + Span::from_secs(15)
            && !self.coarse;
        match cause {
            Cause::Continues => Err(format!("sound that should continue jumps: side {who} by {by_ms:.3} ms")),
            Cause::Reanchored if steady => {
                Err(format!("a re-anchor in steady state: side {who} by {by_ms:.3} ms"))
            }
            Cause::Due if quiet => Err(format!("sound jumps without an anchor: side {who} by {by_ms:.3} ms")),
            Cause::Due | Cause::Reanchored => Ok(()),
        }
    }

    pub(crate) fn stepped(&mut self, who: usize, side: &Side) -> Result<(), String> {
        let excess = side.player.rate_excess;
        if excess > 1e-6 {
            return Err(format!("a rate beyond the servo's limit: side {who} by {excess:.3} ppm"));
        }
        let (pieces, waiting) = (
            side.player.pieces(),
            side.streams.iter().map(crate::world::wire::Stream::waiting).sum::<usize>(),
        );
        let anchors = side.session.timeline().anchors().len();
        if pieces > 200 || waiting > 5_000 || anchors > 6 {
            return Err(format!(
                "memory grows: side {who}, {pieces} pieces, {waiting} segments, {anchors} anchors"
            ));
        }
        Ok(())
    }
}
