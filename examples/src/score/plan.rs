//! The plan: what is to be scored, and which instants the driver of a run caused on purpose.

use jamsync_protocol::time::Span;
use serde::{Deserialize, Serialize};

use super::{Recording, ScoreError, TrueRange};

/// What is to be scored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The stretch in which both should play the same music.
    pub span: TrueRange,
    /// The anchors that took effect.
    #[serde(default)]
    pub anchors: Vec<Anchor>,
    /// When both should be silent, because the Jam was paused.
    #[serde(default)]
    pub pauses: Vec<TrueRange>,
}

/// An anchor: a play, pause, seek or skip that took effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// What it was, in a word.
    pub what: String,
    /// From the instant at which the first side can have obeyed until both have.
    #[serde(flatten)]
    pub effect: TrueRange,
    /// Whether music plays after it, so that its first 100 ms can be scored.
    pub sounds: bool,
}

impl Plan {
    /// The most that can be scored in one go: both recordings are held in memory, 50 MB a minute.
    pub const SPAN_MAX: Span = Span::from_secs(3_600);
    /// The least that can be scored: one window.
    pub const SPAN_MIN: Span = Span::from_secs(1);

    /// All that both recordings hold, without any anchor or pause.
    #[must_use]
    pub fn everything_in(a: &Recording, b: &Recording) -> Self {
        let (a, b) = (a.range(), b.range());
        let span = TrueRange { from: a.from.max(b.from), until: a.until.min(b.until) };
        Self { span, ..Self::default() }
    }

    /// Whether this much can be scored.
    pub(super) fn check(&self) -> Result<(), ScoreError> {
        let actual = self.span.length();
        if actual < Self::SPAN_MIN {
            return Err(ScoreError::TooShort { expected: Self::SPAN_MIN, actual });
        }
        if actual > Self::SPAN_MAX {
            return Err(ScoreError::TooLong { expected: Self::SPAN_MAX, actual });
        }
        Ok(())
    }

    /// Whether an anchor takes effect within `range`.
    pub(super) fn has_anchor_in(&self, range: TrueRange) -> bool {
        self.anchors.iter().any(|anchor| anchor.effect.meets(range))
    }

    /// Whether the Jam is paused throughout `range`.
    pub(super) fn is_paused_in(&self, range: TrueRange) -> bool {
        self.pauses.iter().any(|pause| pause.holds(range))
    }
}
