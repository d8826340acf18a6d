//! The node's one clock reader.
//!
//! Everything that runs in node time reads a [`NodeClock`] and nothing else, so that a test can shift and
//! skew a whole node. It reads `CLOCK_MONOTONIC_RAW`, which no time daemon slews: a slewed clock changes its
//! rate by up to 500 ppm, more than the servo may correct. It never sets a clock and never reads a calendar.

use jamsync_protocol::time::{NodeTime, Ppm, Span};
use rustix::time::{ClockId, clock_gettime};

/// A handle to the node's clock, cheap to copy. All handles of one node must be copies of one original.
#[derive(Clone, Copy, Debug)]
pub struct NodeClock {
    /// Reading of the system's clock from which `rate` counts.
    base: Span,
    /// Added to every reading.
    offset: Span,
    /// How much faster than the system's clock this one runs.
    rate: Ppm,
    /// What happens to it, for tests.
    faults: ClockFaults,
}

/// What happens to a clock at a given reading of the system's, so that a test can show what a node does then. The
/// system's clock itself, and all that reads it past the node's, know nothing of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockFaults {
    /// It jumps, unnoticed: when, and by how much, backwards where that is negative.
    pub step: Option<(Span, Span)>,
    /// The machine sleeps: when, and for how long.
    pub sleep: Option<(Span, Span)>,
}

impl NodeClock {
    /// The system's clock as it is.
    #[must_use]
    pub fn system() -> Self {
        Self::skewed(Span::ZERO, Ppm::ZERO)
    }

    /// A clock that reads `offset` more than the system's at this moment and gains `rate` on it from now on:
    /// it lets two nodes on one machine disagree as two machines do.
    #[must_use]
    pub fn skewed(offset: Span, rate: Ppm) -> Self {
        Self { base: read(RAW), offset, rate, faults: ClockFaults::default() }
    }

    /// The same clock, to which `faults` happen.
    #[must_use]
    pub fn with_faults(self, faults: ClockFaults) -> Self {
        Self { faults, ..self }
    }

    /// The node time now.
    #[must_use]
    pub fn now(&self) -> NodeTime {
        let system = read(RAW);
        let elapsed = system - self.faults.slept_by(system) - self.base;
        let shift = self.offset + self.faults.stepped_by(system);
        NodeTime::ZERO + self.base + shift + elapsed + elapsed.gained_at(self.rate)
    }

    /// How long the machine has slept since it was started. While it sleeps node time stands still, so a
    /// greater answer than before means that everything learnt about other clocks is out of date.
    #[must_use]
    pub fn slept(&self) -> Span {
        // A thread that is held up between both readings only makes the answer too small.
        let slept = (0..READINGS).map(|_| read(BOOT) - read(ClockId::Monotonic)).max().unwrap_or_default();
        slept + self.faults.slept_by(read(RAW))
    }
}

impl ClockFaults {
    /// By how much the clock has jumped when the system's reads `system`.
    #[must_use]
    pub fn stepped_by(self, system: Span) -> Span {
        self.step.filter(|(at, _)| *at <= system).map_or(Span::ZERO, |(_, by)| by)
    }

    /// How long it has stood still by then.
    #[must_use]
    pub fn slept_by(self, system: Span) -> Span {
        self.sleep.map_or(Span::ZERO, |(at, length)| (system - at).max(Span::ZERO).min(length))
    }
}

/// Notices that the machine has slept, from what [`NodeClock::slept`] says.
#[derive(Clone, Copy, Debug)]
pub struct SleepWatch {
    slept: Span,
}

impl SleepWatch {
    /// From `slept` on.
    #[must_use]
    pub const fn new(slept: Span) -> Self {
        Self { slept }
    }

    /// Whether the machine has slept since the last call.
    pub fn handle_slept(&mut self, slept: Span) -> bool {
        let woken = slept - self.slept >= SLEEP_MIN;
        self.slept = self.slept.max(slept);
        woken
    }
}

/// Nanoseconds on the clock `id`.
fn read(id: ClockId) -> Span {
    let reading = clock_gettime(id);
    Span::from_secs(reading.tv_sec) + Span::from_nanos(reading.tv_nsec)
}

/// Readings of which the best counts.
const READINGS: u32 = 3;
/// Two clocks read one after the other may differ by a hiccup, but no sleep is as short as this.
const SLEEP_MIN: Span = Span::from_millis(50);

#[cfg(target_os = "linux")]
const RAW: ClockId = ClockId::MonotonicRaw;
#[cfg(not(target_os = "linux"))]
const RAW: ClockId = ClockId::Monotonic;

#[cfg(target_os = "linux")]
const BOOT: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const BOOT: ClockId = ClockId::Monotonic;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_reads_the_same_clock() {
        let clock = NodeClock::skewed(Span::from_secs(3_600_000), Ppm(300.0));
        let copy = clock;
        let (before, between, after) = (clock.now(), copy.now(), clock.now());
        assert!(before <= between && between <= after);
    }

    #[test]
    fn a_skewed_clock_is_off_by_what_was_asked() {
        let system = NodeClock::system();
        let skewed = NodeClock::skewed(Span::from_secs(7_200), Ppm(-30.0));
        let (before, reading, after) = (system.now(), skewed.now(), system.now());
        let off = Span::from_secs(7_200);
        let slack = Span::from_micros(10);
        assert!(reading - before >= off - slack, "{:?}", reading - before);
        assert!(reading - after <= off + slack, "{:?}", reading - after);
    }

    #[test]
    fn a_step_and_a_sleep_happen_at_their_time() {
        let plain = NodeClock::skewed(Span::from_secs(50), Ppm::ZERO);
        let hour = Span::from_secs(3_600);
        let (past, future) = (read(RAW) - hour, read(RAW) + hour);
        let off = |faults| {
            let faulty = plain.with_faults(faults);
            (faulty.now() - plain.now(), faulty.slept() - plain.slept())
        };
        let near = |found: Span, expected: Span| (found - expected).abs() < Span::from_millis(20);
        let (step, sleep) = (Span::from_millis(-400), Span::from_secs(6));
        let (shift, slept) = off(ClockFaults { step: Some((past, step)), sleep: None });
        assert!(near(shift, step) && near(slept, Span::ZERO), "{shift} {slept}");
        let (shift, slept) = off(ClockFaults { step: None, sleep: Some((past, sleep)) });
        assert!(near(shift, -sleep) && near(slept, sleep), "{shift} {slept}");
        let (shift, slept) = off(ClockFaults { step: Some((future, step)), sleep: Some((future, sleep)) });
        assert!(near(shift, Span::ZERO) && near(slept, Span::ZERO), "{shift} {slept}");
    }

    #[test]
    fn a_sleep_is_noticed_once_and_a_hiccup_is_none() {
        let mut watch = SleepWatch::new(Span::from_secs(5));
        assert!(!watch.handle_slept(Span::from_millis(4_990)));
        assert!(!watch.handle_slept(Span::from_millis(5_002)));
        assert!(watch.handle_slept(Span::from_secs(9)));
        assert!(!watch.handle_slept(Span::from_secs(9)));
    }

    #[test]
    fn a_machine_has_not_slept_backwards() {
        assert!(NodeClock::system().slept() >= Span::from_millis(-1));
    }
}
