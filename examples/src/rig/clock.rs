//! The true time, and node's clocks as they were made wrong.

use jamsync_node::clock::ClockFaults;
use jamsync_protocol::time::{NodeTime, Ppm, Span};
use rustix::time::{ClockId, clock_gettime};

use crate::score::TrueTime;

/// A node's clock, as it was made wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SkewedClock {
    pub(crate) offset: Span,
    pub(crate) rate: Ppm,
    /// The instant from which the rate counts, to within the time that a process takes to start.
    pub(crate) started: TrueTime,
    pub(crate) faults: ClockFaults,
}

impl SkewedClock {
    /// What it reads at a true time.
    pub(crate) fn reading(self, at: TrueTime) -> NodeTime {
        let system = at - TrueTime::default();
        let awake = at - self.faults.slept_by(system);
        let shifted = awake + self.offset + self.faults.stepped_by(system);
        NodeTime::from_nanos((shifted + (awake - self.started).gained_at(self.rate)).as_nanos())
    }

    /// The true time at which it has this reading; where it has jumped back, one of the two.
    pub(crate) fn true_time(self, reading: NodeTime) -> TrueTime {
        let before = TrueTime::from_nanos(reading.as_nanos()) - self.offset;
        let slept = self.faults.sleep.map_or(Span::ZERO, |(_, length)| length);
        let stepped = self.faults.step.map_or(Span::ZERO, |(_, by)| by);
        // Reckoned from before all that happens to it and from after, of which one is right.
        let [before, after] = [before, before + slept - stepped].map(|guess| {
            // Each round leaves the rate's share of what the one before left.
            (0..ROUNDS).fold(guess, |at, _| at + (reading - self.reading(at)))
        });
        let off = |at| (reading - self.reading(at)).abs();
        if off(before) <= off(after) { before } else { after }
    }
}

/// Enough for any rate that a clock is given.
const ROUNDS: u32 = 6;

/// The true time now.
pub(crate) fn true_now() -> TrueTime {
    let reading = clock_gettime(TRUE_CLOCK);
    TrueTime::default() + Span::from_secs(reading.tv_sec) + Span::from_nanos(reading.tv_nsec)
}

/// Waits until the true time is `at`.
pub(crate) async fn sleep_until(at: TrueTime) {
    tokio::time::sleep((at - true_now()).as_duration()).await;
}

#[cfg(target_os = "linux")]
const TRUE_CLOCK: ClockId = ClockId::MonotonicRaw;
#[cfg(not(target_os = "linux"))]
const TRUE_CLOCK: ClockId = ClockId::Monotonic;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_leads_back_to_its_time_also_past_a_jump_and_a_sleep() {
        let at = |s: i64| Span::from_secs(s);
        let clock = SkewedClock {
            offset: at(3_600_000),
            rate: Ppm(30.0),
            started: TrueTime::default() + at(1_000),
            faults: ClockFaults {
                step: Some((at(1_030), Span::from_millis(700))),
                sleep: Some((at(1_060), at(6))),
            },
        };
        for s in [1_001, 1_029, 1_031, 1_059, 1_067, 5_000] {
            let true_time = TrueTime::default() + at(s);
            let off = clock.true_time(clock.reading(true_time)) - true_time;
            assert!(off.abs() <= Span::from_nanos(2), "{off} at {s} s");
        }
        let asleep = [1_061, 1_065].map(|s| clock.reading(TrueTime::default() + at(s)));
        assert_eq!(asleep[0], asleep[1]);
    }
}
