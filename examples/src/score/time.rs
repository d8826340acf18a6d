//! True time: the one clock by which both recordings are judged. No node sees it.

use std::ops::{Add, Sub};

use jamsync_protocol::time::Span;
use serde::{Deserialize, Serialize};

/// A reading of the unshifted monotonic clock of the machine that recorded, in nanoseconds. Where both
/// sides stand in one recording, its origin is that recording's first frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrueTime(i64);

/// A stretch of true time, its end not included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrueRange {
    /// The first instant.
    #[serde(rename = "from_ns")]
    pub from: TrueTime,
    /// The first instant after it.
    #[serde(rename = "until_ns")]
    pub until: TrueTime,
}

impl TrueTime {
    /// The reading `nanos` nanoseconds after the clock's origin.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's origin.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }
}

impl TrueRange {
    /// How long it lasts; negative where it ends before it begins.
    #[must_use]
    pub fn length(self) -> Span {
        self.until - self.from
    }

    /// Whether `other` lies wholly within it.
    #[must_use]
    pub fn holds(self, other: Self) -> bool {
        self.from <= other.from && other.until <= self.until
    }

    /// Whether the two have an instant in common; a range of no length has the one instant it names.
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        self.from <= other.until && other.from <= self.until
    }
}

impl Add<Span> for TrueTime {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.as_nanos()))
    }
}

impl Sub<Span> for TrueTime {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.as_nanos()))
    }
}

impl Sub for TrueTime {
    type Output = Span;
    fn sub(self, earlier: Self) -> Span {
        Span::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
