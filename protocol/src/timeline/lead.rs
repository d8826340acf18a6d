//! Lead: how far ahead a play, a seek or a skip is scheduled, so that both sides can be ready for it.

use crate::time::Span;

/// Tunables of [`Lead`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeadConfig {
    /// Time to prepare beyond the path and the output: decoding, waking, one period of the device. Shorter
    /// makes sides enter late on a busy machine, longer makes controls feel slow. Milliseconds, 10 to 500,
    /// default 50.
    pub margin: Span,
    /// What is added each time the peer reports that an anchor came too late. Smaller needs many late anchors
    /// to learn, larger makes one hiccup slow all controls. Milliseconds, 5 to 200, default 40.
    pub late_step: Span,
    /// The longest lead, whatever the path. Milliseconds, 200 to 10,000, default 3,000.
    pub limit: Span,
}

/// Learns the lead from the path and from anchors that came late.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lead {
    config: LeadConfig,
    learnt: Span,
}

impl Default for LeadConfig {
    fn default() -> Self {
        Self { margin: Span::from_millis(50), late_step: Span::from_millis(40), limit: Span::from_secs(3) }
    }
}

impl Lead {
    /// A lead that has learnt nothing yet.
    #[must_use]
    pub const fn new(config: LeadConfig) -> Self {
        Self { config, learnt: Span::ZERO }
    }

    /// An anchor arrived `late` after it should have taken effect: the next ones get more room.
    pub fn handle_late_anchor(&mut self, late: Span) {
        let step = self.config.late_step.max(late);
        self.learnt = (self.learnt + step).min(self.config.limit);
    }

    /// An anchor arrived in time: what was learnt fades by a tenth.
    pub fn handle_timely_anchor(&mut self) {
        self.learnt = self.learnt.scaled(0.9);
    }

    /// The lead over a path whose one-way delay is below `one_way_p95` in 95 of 100 cases, towards outputs
    /// of which the slower has `output_latency`.
    #[must_use]
    pub fn over(&self, one_way_p95: Span, output_latency: Span) -> Span {
        (one_way_p95 + output_latency + self.config.margin + self.learnt).min(self.config.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_anchors_lengthen_the_lead_and_timely_ones_shorten_it_again() {
        let mut lead = Lead::new(LeadConfig::default());
        let path = (Span::from_millis(30), Span::from_millis(20));
        assert_eq!(lead.over(path.0, path.1), Span::from_millis(100));
        lead.handle_late_anchor(Span::from_millis(120));
        assert_eq!(lead.over(path.0, path.1), Span::from_millis(220));
        (0..50).for_each(|_| lead.handle_timely_anchor());
        assert!(lead.over(path.0, path.1) < Span::from_millis(102));
    }

    #[test]
    fn the_lead_has_a_limit() {
        let mut lead = Lead::new(LeadConfig::default());
        (0..1_000).for_each(|_| lead.handle_late_anchor(Span::from_secs(1)));
        assert_eq!(lead.over(Span::MAX, Span::MAX), LeadConfig::default().limit);
    }
}
