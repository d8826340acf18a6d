//! When to probe: a burst at first, then pairs at a rate that follows the need and falls with time.
//!
//! Late wake-ups are never made up for: after a stall one pair goes out, not all that were missed.

use super::ClockConfig;
use crate::time::{NodeTime, Span};

/// The timetable of one node's probes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    next: NodeTime,
    /// The pair that the next probe belongs to, and the probe's place in it.
    pair: u32,
    second: bool,
    burst_left: u32,
    burst_began: NodeTime,
    /// Since when a wide spread may cost more traffic.
    hastened: NodeTime,
    heard: Option<NodeTime>,
}

/// How eager the estimate is for probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// The spread is small.
    Stable,
    /// More probes make the estimate better.
    Eager,
    /// The spread is so wide that playback suffers.
    Urgent,
}

impl Schedule {
    pub(super) fn new(config: &ClockConfig, now: NodeTime) -> Self {
        Self {
            next: now,
            pair: 0,
            second: false,
            burst_left: config.burst_pairs,
            burst_began: now,
            hastened: now,
            heard: None,
        }
    }

    /// When the next probe is due.
    pub(super) fn due(&self) -> NodeTime {
        self.next
    }

    /// The pair and index of the probe due at `now`, if one is, and the timetable moved on.
    pub(super) fn take(&mut self, config: &ClockConfig, need: Need, now: NodeTime) -> Option<(u32, u8)> {
        if now < self.next {
            return None;
        }
        let place = (self.pair, u8::from(self.second));
        if self.second {
            self.second = false;
            self.pair = self.pair.wrapping_add(1);
            self.burst_left = self.burst_left.saturating_sub(1);
            self.next = now + self.pause(config, need, now) - config.pair_gap;
        } else {
            self.second = true;
            self.next = now + config.pair_gap;
        }
        Some(place)
    }

    /// Notes that the peer was heard; its first sign of life, or one after silence, is met with a burst.
    pub(super) fn heard(&mut self, config: &ClockConfig, now: NodeTime) {
        match self.heard {
            // Probes sent before the peer could answer are lost to the estimate.
            None => {
                self.start_burst(config, now);
                self.hastened = now;
            }
            Some(last) if now - last > config.silence => self.burst(config, now),
            Some(_) => {}
        }
        self.heard = Some(self.heard.map_or(now, |last| last.max(now)));
    }

    /// Starts a burst, unless one began so recently that a peer could make this node flood the path.
    pub(super) fn burst(&mut self, config: &ClockConfig, now: NodeTime) {
        if now - self.burst_began >= BURSTS_APART {
            self.start_burst(config, now);
        }
    }

    fn start_burst(&mut self, config: &ClockConfig, now: NodeTime) {
        self.burst_left = config.burst_pairs;
        self.burst_began = now;
        if now - self.hastened >= config.urgent_time {
            self.hastened = now;
        }
        self.next = self.next.min(now);
    }

    fn pause(&self, config: &ClockConfig, need: Need, now: NodeTime) -> Span {
        if self.burst_left > 0 {
            return config.burst_interval;
        }
        if self.heard.is_none_or(|last| now - last > config.silence) {
            return config.silent_interval;
        }
        let pause = match need {
            Need::Stable => config.stable_interval,
            Need::Urgent => self.urgent_interval(config, now),
            Need::Eager => config.interval,
        };
        // Dither of up to an eighth keeps the probes from locking to a periodic load on the path.
        let dither = f64::from(self.pair.wrapping_mul(DITHER) >> 16) / f64::from(u16::MAX) - 0.5;
        pause + pause.scaled(dither / 4.0)
    }

    /// Pairs are apart by a fixed part of the time since the beginning, so that each doubling of it brings as many: an
    /// offset that drifts is then known about as well at every age, for half the traffic of a fixed distance.
    fn urgent_interval(&self, config: &ClockConfig, now: NodeTime) -> Span {
        let age = (now - self.hastened).as_secs_f64() / config.urgent_time.as_secs_f64();
        config.interval.scaled(age.clamp(0.0, 1.0)).max(config.urgent_interval)
    }
}

/// The least distance between two bursts.
const BURSTS_APART: Span = Span::from_secs(2);
/// Knuth's multiplier for hashing: it spreads consecutive pair numbers evenly.
const DITHER: u32 = 2_654_435_761;

#[cfg(test)]
mod tests {
    use super::*;

    /// Probes a second in each of these stretches, in seconds, over jitter that never ends and with a `burst` asked for
    /// at every instant if so.
    fn rates<const N: usize>(stretches: [(i64, i64); N], burst: bool) -> [f64; N] {
        let config = ClockConfig::default();
        let begin = NodeTime::from_nanos(7_000_000_000);
        let mut schedule = Schedule::new(&config, begin);
        let mut sent = [0_u32; N];
        let mut now = begin;
        while now < begin + Span::from_secs(600) {
            now = schedule.due();
            schedule.heard(&config, now);
            if burst {
                schedule.burst(&config, now);
            }
            assert!(schedule.take(&config, Need::Urgent, now).is_some());
            for (sent, (from, to)) in sent.iter_mut().zip(stretches) {
                let age = now - begin;
                *sent += u32::from(Span::from_secs(from) <= age && age < Span::from_secs(to));
            }
        }
        core::array::from_fn(|n| {
            let (from, to) = stretches[n];
            f64::from(sent[n]) / Span::from_secs(to - from).as_secs_f64()
        })
    }

    #[test]
    fn jitter_that_lasts_costs_much_at_first_and_then_no_more_than_usual() {
        let [dense, minute, after, all] = rates([(0, 5), (5, 65), (90, 150), (0, 600)], false);
        assert!(dense > 80.0, "{dense} probes a second");
        assert!(minute < 32.0, "{minute} probes a second");
        assert!(after < 8.1, "{after} probes a second");
        assert!(all < 12.0, "{all} probes a second");
    }

    #[test]
    fn a_path_that_changes_all_the_time_does_not_keep_the_rate_high() {
        let [all] = rates([(0, 600)], true);
        assert!(all < 45.0, "{all} probes a second");
    }
}
