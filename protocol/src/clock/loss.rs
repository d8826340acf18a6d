//! How much of what the peer sends is lost on the way, by the numbers of its probes.
//!
//! A number that was passed over is lost unless it comes within a second or two. Where nothing at all came for a while,
//! the path was gone: that is told elsewhere, and what was sent meanwhile says nothing of the path that is there.

use alloc::collections::VecDeque;

use crate::time::{NodeTime, Span};

/// What has come of the peer's probes of late. Its memory is bounded by time.
#[derive(Clone, Debug, Default)]
pub(super) struct Losses {
    /// The newest number, and when anything came last.
    newest: Option<(u32, NodeTime)>,
    /// The oldest first.
    seconds: VecDeque<Second>,
}

/// What became known within a second.
#[derive(Clone, Copy, Debug)]
struct Second {
    from: NodeTime,
    expected: u64,
    arrived: u64,
}

impl Losses {
    /// Enters the probe `seq`, which came at `now` and had not come before.
    pub(super) fn handle_arrival(&mut self, seq: u32, now: NodeTime) {
        let expected = match self.newest {
            Some((newest, last)) if now - last <= OUTAGE => seq.saturating_sub(newest),
            // Out of turn: it was expected when a newer one came.
            Some((newest, _)) if seq <= newest => 0,
            // The first one, or the first after an outage.
            Some(_) | None => 1,
        };
        let (newest, last) = self.newest.unwrap_or((seq, now));
        self.newest = Some((newest.max(seq), last.max(now)));
        while self.seconds.front().is_some_and(|oldest| now - oldest.from > WINDOW) {
            self.seconds.pop_front();
        }
        if self.seconds.back().is_none_or(|second| now - second.from >= SECOND) {
            self.seconds.push_back(Second { from: now, expected: 0, arrived: 0 });
        }
        if let Some(second) = self.seconds.back_mut() {
            second.expected += u64::from(expected);
            second.arrived += 1;
        }
    }

    /// The part that is lost, 0 to 1; none while too few have come to tell, as where nearly all are lost.
    pub(super) fn share(&self, now: NodeTime) -> Option<f64> {
        let counts = |second: &&Second| (SETTLED..=WINDOW).contains(&(now - second.from));
        let (expected, arrived) = (self.seconds.iter().filter(counts))
            .fold((0, 0), |(expected, arrived), second| {
                (expected + second.expected, arrived + second.arrived)
            });
        if expected < EXPECTED_MIN {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of some seconds")]
        let share = 1.0 - arrived as f64 / expected as f64;
        Some(share.max(0.0))
    }

    /// The numbers go on after a time of which this node knows nothing.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// How far back losses count. 10 to 60 s, default 20 s: less takes a hiccup for the path, more tells late that it is
/// better. One gap that is too short for an outage is no more than a tenth of it.
const WINDOW: Span = Span::from_secs(20);

/// Nothing for longer than this is an outage. 1 to 5 s, default 2 s: less takes many losses in a row for an outage, more
/// an outage for losses.
const OUTAGE: Span = Span::from_secs(2);

/// What is counted together.
const SECOND: Span = Span::from_secs(1);

/// From then on a second counts: what it has passed over has had a second at least to come.
const SETTLED: Span = Span::from_secs(2);

/// Fewer probes than this prove nothing. 8 to 128, default 32: less takes one that is lost for many, more is slow to tell.
const EXPECTED_MIN: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is lost in the end where the probes that `comes` keeps come, four a second, from `begin` on for `seconds`.
    fn share(seconds: i64, comes: impl Fn(u32) -> bool) -> Option<f64> {
        let mut losses = Losses::default();
        let at = |n: u32| NodeTime::from_nanos(5) + Span::from_millis(250 * i64::from(n));
        let count = u32::try_from(4 * seconds).unwrap();
        (0..count).filter(|&n| comes(n)).for_each(|n| losses.handle_arrival(n, at(n)));
        assert!(losses.seconds.len() <= 22);
        losses.share(at(count))
    }

    #[test]
    fn what_is_passed_over_is_lost_and_what_was_lost_long_ago_is_forgotten() {
        let is = |share: Option<f64>, right: f64| share.is_some_and(|share| (share - right).abs() < 0.02);
        assert!(is(share(60, |_| true), 0.0));
        assert!(is(share(60, |n| n % 5 != 0), 0.2));
        assert!(is(share(60, |n| n > 150 || n % 2 == 0), 0.0));
        assert_eq!(share(5, |n| n % 2 == 0), None, "too few to tell");
        assert!(share(60, |n| n % 7 == 0).is_none_or(|share| share > 0.5), "nearly all are lost");
    }

    #[test]
    fn an_outage_is_no_loss_and_a_gap_too_short_for_one_is_no_more_than_a_tenth() {
        for gap in 1..40 {
            let lost = share(60, |n| !(200..200 + gap).contains(&n));
            let most = if gap < 8 { 0.11 } else { 1e-9 };
            assert!(lost.is_some_and(|lost| lost <= most), "{lost:?} over a gap of {gap} probes");
        }
    }

    #[test]
    fn what_comes_late_is_not_lost_and_what_is_on_its_way_is_not_counted() {
        let mut losses = Losses::default();
        let at = |millis: u32| NodeTime::from_nanos(5) + Span::from_millis(i64::from(millis));
        for n in (0..200).step_by(2) {
            losses.handle_arrival(n + 1, at(100 * n));
            assert!(losses.share(at(100 * n)).is_none_or(|share| share < 0.06));
            losses.handle_arrival(n, at(100 * n + 150));
        }
        assert!(losses.share(at(20_000)).is_some_and(|share| share < 0.06));
    }

    #[test]
    fn numbers_from_a_peer_that_lies_overflow_nothing() {
        let mut losses = Losses::default();
        let at = |n: i64| NodeTime::from_nanos(5) + Span::from_millis(300 * n);
        for (n, seq) in (0..).zip([u32::MAX, 0, u32::MAX - 1, 7, 1]) {
            losses.handle_arrival(seq, at(n));
        }
        for (n, seq) in (20..).zip([0, u32::MAX, 0, u32::MAX]) {
            losses.handle_arrival(seq, at(n));
        }
        assert!(losses.share(at(40)).is_none_or(|share| (0.0..=1.0).contains(&share)));
        losses.forget();
        assert_eq!(losses.share(at(40)), None);
    }
}
