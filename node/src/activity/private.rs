//! A private session: for so long nothing is shown, whatever becomes of the calendar meanwhile.

use jamsync_protocol::time::{NodeTime, Span, UtcTime};

/// When a private session ends. It goes by the node's clock, to which the sleep of its machine is added, and not by the calendar:
/// one that jumps ahead would show what was to be private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PrivateSession {
    end: NodeTime,
}

impl PrivateSession {
    /// One that ends at `until`, as far as that is away by the calendar of this moment; [`PRIVATE_SPAN_MAX`] at most.
    pub(crate) fn until(until: UtcTime, today: UtcTime, now: NodeTime) -> Self {
        Self { end: now + (until - today).clamp(Span::ZERO, PRIVATE_SPAN_MAX) }
    }

    /// Whether it is over.
    pub(crate) fn is_over(self, now: NodeTime) -> bool {
        now >= self.end
    }

    /// When it is over.
    pub(crate) const fn end(self) -> NodeTime {
        self.end
    }
}

/// The longest private session. Days, 30: whoever wants longer switches it off.
pub(crate) const PRIVATE_SPAN_MAX: Span = Span::from_secs(30 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_as_long_as_it_was_to_and_never_without_end() {
        let (today, now) = (UtcTime::from_nanos(1_795_219_500_000_000_000), NodeTime::from_nanos(1));
        let [hour, month] = [Span::from_secs(3_600), PRIVATE_SPAN_MAX];
        for (ahead, lasts) in [(hour, hour), (month + hour, month), (Span::ZERO - hour, Span::ZERO)] {
            let session = PrivateSession::until(today + ahead, today, now);
            assert!(session.is_over(now + lasts), "{ahead}");
            assert!(lasts == Span::ZERO || !session.is_over(now + lasts - Span::from_nanos(1)), "{ahead}");
        }
        // A calendar that was never set.
        let session = PrivateSession::until(today, UtcTime::ZERO, now);
        assert_eq!(session.end(), now + month);
    }
}
