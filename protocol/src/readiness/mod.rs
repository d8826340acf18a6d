//! Readiness: whether a side's sound is there, in the words that listeners read, told when it changes and not while
//! it flickers.
//!
//! What a side says of itself stands in its [`PlayoutReport`](crate::wire::peer::PlayoutReport); that it is away is
//! known from its connection. A [`ReadinessWatch`] takes what is so now and gives out a change once it has lasted.
//! It decides nothing: what is done about a side that is not ready is the shell's.

use serde::{Deserialize, Serialize};

use crate::time::{NodeTime, Span};

/// How a side's sound is doing, by its own word. Append-only, as all that is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PlayoutState {
    /// It plays, or could at once.
    #[default]
    Ready,
    /// It opens what is on or comes next, or does not know the host's clock yet.
    Buffering,
    /// It is silent although it should play: the computer is too busy, or the audio device is gone.
    Stalled,
}

/// How a side is doing, as the other sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Readiness {
    /// It plays, or could at once.
    Ready,
    /// It is not so far yet.
    Buffering,
    /// It is silent although it should play.
    Stalled,
    /// There is no connection to it.
    Away,
}

/// Tells of one side's changes.
#[derive(Clone, Copy, Debug)]
pub struct ReadinessWatch {
    told: Readiness,
    told_since: NodeTime,
    seen: Readiness,
    seen_since: NodeTime,
}

impl From<PlayoutState> for Readiness {
    fn from(state: PlayoutState) -> Self {
        match state {
            PlayoutState::Ready => Self::Ready,
            PlayoutState::Buffering => Self::Buffering,
            PlayoutState::Stalled => Self::Stalled,
        }
    }
}

impl ReadinessWatch {
    /// A side that is taken for ready until it is seen otherwise.
    #[must_use]
    pub const fn new(now: NodeTime) -> Self {
        Self { told: Readiness::Ready, told_since: now, seen: Readiness::Ready, seen_since: now }
    }

    /// What is so at `now`; the answer is what should be told, if that is news.
    #[must_use]
    pub fn handle(&mut self, seen: Readiness, now: NodeTime) -> Option<Readiness> {
        if seen != self.seen {
            (self.seen, self.seen_since) = (seen, now);
        }
        if seen == self.told || now - self.seen_since < patience(seen) {
            return None;
        }
        (self.told, self.told_since) = (seen, self.seen_since);
        Some(seen)
    }

    /// What was told last.
    #[must_use]
    pub const fn told(&self) -> Readiness {
        self.told
    }

    /// How long that has been so at `now`.
    #[must_use]
    pub fn since(&self, now: NodeTime) -> Span {
        now.since(self.told_since)
    }
}

/// How long something has to be so before it is told. Shorter tells of what is over when it is read, longer leaves
/// people wondering.
const fn patience(seen: Readiness) -> Span {
    match seen {
        // A side that comes and goes is not called ready in between.
        Readiness::Ready => Span::from_secs(2),
        // A file opens in milliseconds and a clock is learnt in a second, mostly.
        Readiness::Buffering => Span::from_millis(1_500),
        Readiness::Stalled => Span::from_millis(500),
        // A connection is lost after ten seconds of silence, which were patience enough.
        Readiness::Away => Span::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;
    use Readiness::{Away, Buffering, Ready, Stalled};

    /// What is told, and when, of a side that is seen so from these milliseconds on and looked at every 100 ms.
    fn told(seen: &[(i64, Readiness)], until: i64) -> Vec<(i64, Readiness)> {
        let start = NodeTime::from_nanos(77);
        let mut watch = ReadinessWatch::new(start);
        let mut told = vec![];
        for at in (0..=until).step_by(100) {
            let now_so = seen.iter().rev().find(|(from, _)| *from <= at).map_or(Ready, |(_, seen)| *seen);
            told.extend(watch.handle(now_so, start + Span::from_millis(at)).map(|what| (at, what)));
        }
        told
    }

    #[test]
    fn a_change_is_told_once_it_has_lasted_and_only_once() {
        assert_eq!(told(&[(1_000, Stalled)], 9_000), [(1_500, Stalled)]);
        assert_eq!(told(&[(1_000, Buffering), (4_000, Ready)], 9_000), [(2_500, Buffering), (6_000, Ready)]);
        assert_eq!(told(&[(1_000, Away)], 9_000), [(1_000, Away)]);
    }

    #[test]
    fn what_flickers_is_not_told() {
        let short: Vec<(i64, Readiness)> =
            (0..20).map(|n| (n * 400, if n % 2 == 0 { Stalled } else { Ready })).collect();
        assert_eq!(told(&short, 9_000), [], "stalls of 400 ms");
        let long: Vec<(i64, Readiness)> =
            (0..20).map(|n| (n * 800, if n % 2 == 0 { Stalled } else { Ready })).collect();
        assert_eq!(told(&long, 20_000), [(500, Stalled), (17_200, Ready)], "ready when it stays so");
    }

    #[test]
    fn how_long_it_has_been_so_counts_from_its_beginning() {
        let start = NodeTime::ZERO;
        let mut watch = ReadinessWatch::new(start);
        assert_eq!(watch.handle(Stalled, start + Span::from_secs(4)), None);
        assert_eq!(watch.handle(Stalled, start + Span::from_secs(5)), Some(Stalled));
        assert_eq!((watch.told(), watch.since(start + Span::from_secs(9))), (Stalled, Span::from_secs(5)));
    }
}
