//! The tunables of the clock.

use crate::time::{Ppm, Span};

/// Tunables of a [`Clock`](super::Clock). The defaults are measured in `docs/clock.md`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockConfig {
    /// Pairs in the opening burst, which gives the first estimate.
    /// Unit: pairs; range 1 to 64; default 16. Fewer: a rough first estimate. More: a burst that crowds a thin path.
    pub burst_pairs: u32,
    /// Distance between the pairs of a burst.
    /// Unit: span; range 15 ms to 200 ms; default 30 ms. Less: the burst queues behind itself. More: a slow start.
    pub burst_interval: Span,
    /// Distance between the two probes of a pair.
    /// Unit: span; range 1 ms to half of `burst_interval`; default 10 ms. Less: both probes meet the same queue.
    /// More: a radio stays awake for longer.
    pub pair_gap: Span,
    /// Distance between pairs after the burst.
    /// Unit: span; range 100 ms to 2 s; default 250 ms. Less: traffic. More: slow convergence over jitter.
    pub interval: Span,
    /// The least distance between pairs while the spread is above `urgent_spread`; it grows with the time since the
    /// beginning, in proportion, until it is `interval`.
    /// Unit: span; range twice `pair_gap` to `interval`; default 20 ms. Less: a burst that crowds a thin path. More: a
    /// slow start over jitter.
    pub urgent_interval: Span,
    /// The time since the beginning at which the distance is `interval` even over jitter. A new beginning, as at a change
    /// of path, is made no sooner than that after the last, so that nothing on the path can keep the rate high.
    /// Unit: span; range 1 s to 5 min; default 90 s. Less: a slow start over jitter. More: traffic where jitter is lasting.
    pub urgent_time: Span,
    /// The spread above which probing after a burst is hastened.
    /// Unit: span; range `stable_spread` to 5 ms; default 200 µs. Less: traffic. More: a slow start over jitter.
    pub urgent_spread: Span,
    /// Distance between pairs while the spread is below `stable_spread`.
    /// Unit: span; range `interval` to 5 s; default 500 ms. Less: traffic for nothing. More: slow to see a change.
    pub stable_interval: Span,
    /// Distance between pairs while nothing has arrived for `silence`.
    /// Unit: span; range `interval` to 10 s; default 1 s. Less: traffic into the void. More: slow after an outage.
    pub silent_interval: Span,
    /// A peer not heard of for this long counts as silent, and is met with a new burst when it returns.
    /// Unit: span; range 2 s to 60 s; default 5 s. Less: bursts after each hiccup. More: slow after an outage.
    pub silence: Span,
    /// The spread below which probing slows down.
    /// Unit: span; range 1 µs to 1 ms; default 40 µs. Less: always the fast rate. More: the slow rate over jitter
    /// that the fast rate would average out.
    pub stable_spread: Span,
    /// The spread below which an estimate counts as converged.
    /// Unit: span; range 100 µs to 10 ms; default 1 ms. Less: a late start of playback. More: a start out of sync.
    pub converged_spread: Span,
    /// The spread at which a guest begins to follow the estimate: what a fresh servo corrects without a jump.
    /// Unit: span; range 100 µs to `converged_spread`; default 500 µs. Less: a late entry. More: an entry out of sync.
    pub entry_spread: Span,
    /// How long after the first estimate a guest waits for that spread at most.
    /// Unit: span; range 0 to 10 s; default 3 s. Less: an entry out of sync over jitter. More: silence over jitter.
    pub entry_wait: Span,
    /// The fastest rate of the peer's clock against this one that is believed.
    /// Unit: ppm; range 100 to 1,000; default 500. Less: an honest bad crystal is refused. More: a liar bends time.
    pub drift_limit: Ppm,
    /// How far apart the rates of two clocks are expected to be, one standard deviation.
    /// Unit: ppm; range 5 to 200; default 30. Less: slow to learn a bad crystal. More: a wild slope in the first seconds.
    pub drift_prior: Ppm,
    /// How much the drift itself wanders, one standard deviation after one second, growing with the root of time.
    /// Unit: ppm; range 0.001 to 1; default 0.05. Less: follows warmth too slowly. More: forgets, and cannot average jitter.
    pub drift_wander: Ppm,
    /// How long after the last sample near the old floor a greater delay is accepted as the new one.
    /// Unit: span; range 10 s to 300 s; default 60 s. Less: a standing queue counts as distance. More: a new route
    /// is seen late.
    pub floor_hold: Span,
    /// A change of the least delay smaller than this is jitter, not a new route.
    /// Unit: span; range 100 µs to 5 ms; default 500 µs. Less: jitter restarts the estimate. More: small route changes
    /// bend the line.
    pub floor_step: Span,
    /// A correction larger than this is applied at once; a smaller one is slewed.
    /// Unit: span; range 0 to 10 ms; default 3 ms. Less: playback jumps. More: long off after a change of path.
    pub step_limit: Span,
    /// The rate at which corrections are slewed.
    /// Unit: ppm; range 10 to 300; default 100. Less: corrections lag. More: audible in pitch.
    pub slew_rate: Ppm,
    /// How wrong a stamp may be by the reading of the clock alone. A stamp taken too early before sending or too late
    /// after receiving is delay, and covered by the bound anyway.
    /// Unit: span; range 0 to 1 ms; default 5 µs. Less: a bound that lies on coarse clocks. More: a bound wider than needed.
    pub stamp_error: Span,
}

impl Default for ClockConfig {
    fn default() -> Self {
        Self {
            burst_pairs: 16,
            burst_interval: Span::from_millis(30),
            pair_gap: Span::from_millis(10),
            interval: Span::from_millis(250),
            urgent_interval: Span::from_millis(20),
            urgent_time: Span::from_secs(90),
            urgent_spread: Span::from_micros(200),
            stable_interval: Span::from_millis(500),
            silent_interval: Span::from_secs(1),
            silence: Span::from_secs(5),
            stable_spread: Span::from_micros(40),
            converged_spread: Span::from_millis(1),
            entry_spread: Span::from_micros(500),
            entry_wait: Span::from_secs(3),
            drift_limit: Ppm(500.0),
            drift_prior: Ppm(30.0),
            drift_wander: Ppm(0.05),
            floor_hold: Span::from_secs(60),
            floor_step: Span::from_micros(500),
            step_limit: Span::from_millis(3),
            slew_rate: Ppm(100.0),
            stamp_error: Span::from_micros(5),
        }
    }
}
