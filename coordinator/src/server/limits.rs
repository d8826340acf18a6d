//! How much anyone may take of the server, and the bucket that measures it.
//!
//! What the rules limit by what it means (Jam requests to one friend, links a day) stands with the rules; this is what
//! the server limits without knowing what is asked.

use jamsync_protocol::time::{NodeTime, Span};

/// What the operator can set. [`Config`](crate::config::Config) states ranges, and what the extremes harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. Count, 16 to 200,000, default 20,000.
    pub connections_max: u32,
    /// Connections of one origin. Count, 16 to 200,000, default 256.
    pub connections_per_origin_max: u32,
    /// Whether the limits of an origin hold for this machine's own addresses too; default false.
    pub loopback_limited: bool,
    /// Requests of one device in the long run. Count per second, 1 to 100,000, default 20.
    pub requests_per_second_max: u32,
    /// Requests of one device at once. Count, 16 to 100,000, default 120.
    pub requests_burst_max: u32,
    /// Writes of one device in the long run. Count per second, 1 to 100,000, default 1.
    pub writes_per_second_max: u32,
    /// Writes of one device at once. Count, 16 to 100,000, default 240.
    pub writes_burst_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            connections_per_origin_max: 256,
            loopback_limited: false,
            requests_per_second_max: 20,
            requests_burst_max: 120,
            writes_per_second_max: 1,
            writes_burst_max: 240,
        }
    }
}

/// A burst, and from then on so many a second: the generic cell rate algorithm (ITU-T I.371), which keeps one number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// When the bucket is full again.
    full_at: NodeTime,
}

/// How fast a [`Bucket`] fills, and how much it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// How long one takes to come back.
    pub(super) each: Span,
    pub(super) burst: u32,
}

impl Rate {
    pub(super) const fn per_second(count: u32, burst: u32) -> Self {
        let count = if count == 0 { 1 } else { count as i64 };
        Self { each: Span::from_nanos(1_000_000_000 / count), burst }
    }
}

impl Default for Bucket {
    fn default() -> Self {
        Self { full_at: NodeTime::ZERO }
    }
}

impl Bucket {
    /// Takes one.
    ///
    /// # Errors
    /// How long until there is one; nothing is taken then.
    pub(super) fn take(&mut self, rate: Rate, now: NodeTime) -> Result<(), Span> {
        let each = rate.each;
        let whole = Span::from_nanos(each.as_nanos().saturating_mul(i64::from(rate.burst.max(1))));
        // A rate that was lower before must not lock anyone out for longer than an empty bucket does.
        self.full_at = self.full_at.clamp(now, now + whole);
        let (after, most) = (self.full_at + each, now + whole);
        if after > most {
            return Err(after - most);
        }
        self.full_at = after;
        Ok(())
    }

    /// Whether it says no more than a new one.
    pub(super) fn is_full(&self, now: NodeTime) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate::per_second(10, 5);
    const NOW: NodeTime = NodeTime::from_nanos(3_600_000_000_000);

    fn emptied() -> Bucket {
        let mut bucket = Bucket::default();
        for _ in 0..5 {
            bucket.take(RATE, NOW).expect("the burst");
        }
        bucket
    }

    #[test]
    fn a_burst_passes_and_then_so_many_a_second() {
        let mut bucket = emptied();
        assert_eq!(bucket.take(RATE, NOW), Err(Span::from_millis(100)));
        let later = NOW + Span::from_millis(100);
        assert_eq!(bucket.take(RATE, later), Ok(()));
        assert_eq!(bucket.take(RATE, later), Err(Span::from_millis(100)));
        let passed =
            (0..1_000).filter(|ms| bucket.take(RATE, later + Span::from_millis(*ms)).is_ok()).count();
        assert_eq!(passed, 9);
        assert!(!bucket.is_full(later));
        assert!(bucket.is_full(later + Span::from_secs(2)));
    }

    #[test]
    fn what_is_refused_takes_nothing() {
        let mut bucket = emptied();
        for _ in 0..1_000 {
            assert!(bucket.take(RATE, NOW).is_err());
        }
        assert!(bucket.take(RATE, NOW + Span::from_millis(100)).is_ok());
    }

    #[test]
    fn whoever_was_held_to_a_lower_rate_is_not_locked_out_by_it() {
        let mut bucket = Bucket::default();
        let lower = Rate::per_second(1, 100);
        for _ in 0..100 {
            bucket.take(lower, NOW).expect("the burst");
        }
        assert_eq!(bucket.take(RATE, NOW), Err(Span::from_millis(100)));
        assert_eq!(bucket.take(RATE, NOW + Span::from_millis(100)), Ok(()));
    }
}
