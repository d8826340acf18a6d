//! What a disturbance is: a click, a jump or a gap, with its place, side and size.

use jamsync_protocol::time::Span;
use serde::{Deserialize, Serialize};

use super::TrueTime;

/// A place where the two sides do not simply go on together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disturbance {
    /// When.
    #[serde(rename = "at_ns")]
    pub at: TrueTime,
    /// What.
    #[serde(flatten)]
    pub kind: DisturbanceKind,
}

/// What kind of disturbance it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum DisturbanceKind {
    /// The skew jumps: frames were lost, repeated, or cross-faded away on one side.
    Jump {
        /// By how much the second side falls behind; negative where it gains.
        #[serde(rename = "by_ns")]
        by: Span,
    },
    /// A sound of a moment on one side that the other does not have.
    Click {
        /// Where it is.
        side: Side,
        /// Its height, where full scale is 1.
        height: f64,
    },
    /// One side is silent while the other plays.
    Gap {
        /// Where it is.
        side: Side,
        /// How long.
        #[serde(rename = "length_ns")]
        length: Span,
    },
}

/// One of the two recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The first.
    First,
    /// The second.
    Second,
}

impl std::fmt::Display for Disturbance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = |side| if side == Side::First { "first" } else { "second" };
        match self.kind {
            DisturbanceKind::Jump { by } => write!(f, "the skew jumps by {by}"),
            DisturbanceKind::Click { side, height } => {
                write!(f, "a click of {height:.3} of full scale on the {} side", name(side))
            }
            DisturbanceKind::Gap { side, length } => {
                write!(f, "the {} side is silent for {length}", name(side))
            }
        }
    }
}
