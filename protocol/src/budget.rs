//! A budget: so much at once, then one more at a steady pace.

use crate::time::{NodeTime, Span};

/// What may still be spent. Nothing is counted down: one instant says it all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    burst: u32,
    every: Span,
    /// When the budget is whole again; none before the first spending.
    whole_at: Option<NodeTime>,
}

impl Budget {
    /// A whole budget of `burst`, which grows by one `every` so often up to that.
    pub(crate) const fn new(burst: u32, every: Span) -> Self {
        Self { burst, every, whole_at: None }
    }

    /// Spends one, or tells in how much time there is one to spend.
    pub(crate) fn spend(&mut self, now: NodeTime) -> Result<(), Span> {
        let whole_at = self.whole_at.map_or(now, |at| at.max(now)) + self.every;
        let most = Span::from_nanos(self.every.as_nanos().saturating_mul(i64::from(self.burst)));
        let over = (whole_at - now) - most;
        if over > Span::ZERO {
            return Err(over);
        }
        self.whole_at = Some(whole_at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_then_the_pace_counts() {
        let mut budget = Budget::new(3, Span::from_secs(1));
        let start = NodeTime::from_nanos(5);
        for _ in 0..3 {
            assert_eq!(budget.spend(start), Ok(()));
        }
        assert_eq!(budget.spend(start), Err(Span::from_secs(1)));
        let later = start + Span::from_millis(1_500);
        assert_eq!(budget.spend(later), Ok(()));
        assert_eq!(budget.spend(later), Err(Span::from_millis(500)));
        let rested = later + Span::from_secs(60);
        assert_eq!(
            (0..9).filter(|_| budget.spend(rested).is_ok()).count(),
            3,
            "rest makes no debt to itself"
        );
    }
}
