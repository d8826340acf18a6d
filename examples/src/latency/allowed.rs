//! How long a command may take until it is heard, by the goals in figures.
//!
//! A pause stops the initiator's sound within 20 ms and what its card holds, the other's within the path besides.
//! A play, a seek and a skip are heard on both sides a lead later, within 20 ms; the lead is what 95 % of the packets
//! need, the slower card, and 50 ms.

use jamsync_protocol::time::Span;

use super::{Case, CommandDelay, Deed, case::Who};
use crate::{
    link::{Link, LinkConfig},
    score::percentile,
};

/// What a case allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    /// 95 % and 99 % of the packets from A to B and back need at most this.
    ways: [[Span; 2]; 2],
    latencies: [Span; 2],
}

/// What every command may take beside path, card and lead.
const SLACK: Span = Span::from_millis(20);
/// What a lead has beside path and card.
const LEAD_MARGIN: Span = Span::from_millis(50);
/// Packets that are sent over the model of the link to learn its delays, and how far apart.
const PACKETS: u16 = 5_000;
const PACKETS_APART: Span = Span::from_millis(20);

impl Allowed {
    pub(super) fn by(case: &Case) -> Self {
        Self {
            ways: [&case.path.a_to_b, &case.path.b_to_a].map(delays),
            latencies: case.dac_latency_ms.map(|ms| Span::from_millis(i64::from(ms))),
        }
    }

    /// What 99 % of the packets need, on the slower way.
    pub(super) fn one_way_p99(&self) -> Span {
        let [there, back] = self.ways;
        there[1].max(back[1])
    }

    /// For the output of the one who gave `command`, and for the other's.
    pub(super) fn of(&self, command: &CommandDelay) -> [Span; 2] {
        let ([there, back], [a, b]) = (self.ways, self.latencies);
        let (way, own, other) = match command.by {
            Who::A => (there, a, b),
            Who::B => (back, b, a),
        };
        let lead = there[0].max(back[0]) + a.max(b) + LEAD_MARGIN;
        match command.deed {
            Deed::Pause => [own + SLACK, way[1] + other + SLACK],
            Deed::Resume | Deed::Seek | Deed::Skip => [lead + SLACK; 2],
        }
    }
}

fn delays(way: &LinkConfig) -> [Span; 2] {
    let mut link = Link::new(way.clone(), 0);
    let mut took = Vec::new();
    for number in 0..i64::from(PACKETS) {
        let now = Span::from_nanos(PACKETS_APART.as_nanos() * number);
        while let Some(arrives) = link.poll_timeout().filter(|at| *at <= now) {
            took.extend(link.poll_packet(arrives).map(|sent| arrives - sent));
        }
        link.handle_packet(now, 100, now);
    }
    took.sort();
    [0.95, 0.99].map(|share| percentile(&took, share).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::TrueTime;

    #[test]
    fn a_pause_may_take_its_way_and_a_skip_the_lead() {
        let allowed = Allowed::by(&Case::built_in("wan50").expect("known"));
        let command = |by, deed| {
            let command = CommandDelay {
                at_ns: TrueTime::default(),
                by,
                deed,
                by_s: 0,
                until_a_ms: None,
                until_b_ms: None,
            };
            allowed.of(&command).map(Span::as_millis)
        };
        // 25 ms and an exponential of 2 ms: 95 % within 31, 99 % within 34.2.
        assert_eq!(command(Who::A, Deed::Pause), [80, 144]);
        assert_eq!(command(Who::B, Deed::Pause), [110, 114]);
        assert_eq!(command(Who::B, Deed::Skip), [191, 191]);
    }
}
