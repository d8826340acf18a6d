//! The queue before the slowest hop, as a fluid: what others send flows in at their rate, everything flows out
//! at the hop's.

use jamsync_protocol::time::Span;

use super::config::{Bottleneck, Load};

/// A drop-tail queue at one instant.
#[derive(Clone, Debug)]
pub(super) struct BottleneckQueue {
    config: Bottleneck,
    /// Bytes that wait.
    waiting: f64,
    /// The instant that `waiting` belongs to.
    at: Span,
}

impl BottleneckQueue {
    pub(super) fn new(config: Bottleneck) -> Self {
        Self { config, waiting: 0.0, at: Span::ZERO }
    }

    /// How long a packet handed in at `now` waits and is sent; `None` where the queue has no room for it.
    /// `chance`, uniform in 0 to 1, decides who gets the room that comes free in a full queue.
    pub(super) fn handle_packet(&mut self, now: Span, bytes: usize, chance: f64) -> Option<Span> {
        self.advance(now);
        let size = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
        let limit = f64::from(self.config.queue_bytes);
        let inflow = self.config.load.map_or(0.0, |load| load.rate_at(now));
        if self.waiting + size > limit {
            // A full queue that others keep full admits as much as flows out, from each by its share.
            let admitted = inflow > self.config.rate && chance < self.config.rate / inflow;
            if !admitted {
                return None;
            }
            self.waiting = (limit - size).max(0.0);
        }
        self.waiting += size;
        Some(Span::from_secs_f64(self.waiting / bytes_per_second(self.config.rate)))
    }

    /// Lets time pass, change of load by change of load.
    fn advance(&mut self, now: Span) {
        while self.at < now {
            let change = self.config.load.and_then(|load| load.next_change(self.at));
            let until = change.map_or(now, |change| change.min(now));
            let inflow = self.config.load.map_or(0.0, |load| load.rate_at(self.at));
            let grows = bytes_per_second(inflow) - bytes_per_second(self.config.rate);
            let waiting = self.waiting + grows * (until - self.at).as_secs_f64();
            self.waiting = waiting.clamp(0.0, f64::from(self.config.queue_bytes));
            self.at = until;
        }
    }
}

impl Load {
    fn rate_at(&self, now: Span) -> f64 {
        let on = now >= self.from && self.phase(now) < self.on;
        if on { self.rate } else { 0.0 }
    }

    /// When it goes on or off next.
    fn next_change(&self, now: Span) -> Option<Span> {
        if now < self.from {
            return Some(self.from);
        }
        if self.on <= Span::ZERO || self.off <= Span::ZERO {
            return None;
        }
        let phase = self.phase(now);
        let left = if phase < self.on { self.on - phase } else { self.on + self.off - phase };
        Some(now + left)
    }

    fn phase(&self, now: Span) -> Span {
        let cycle = (self.on + self.off).as_nanos().max(1);
        Span::from_nanos((now - self.from).as_nanos().rem_euclid(cycle))
    }
}

fn bytes_per_second(kbit_per_s: f64) -> f64 {
    kbit_per_s * 1_000.0 / 8.0
}
