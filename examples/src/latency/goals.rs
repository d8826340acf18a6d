//! The goals in figures, by the names of the scenarios. A goal holds of the sound, less half the injected
//! asymmetry, which no protocol between two nodes can see.

use jamsync_protocol::time::Span;
use serde::{Deserialize, Serialize};

/// What a scenario should reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goal {
    /// Half of the windows within this, in microseconds.
    pub p50_us: u32,
    /// 99 % of the windows within this, in microseconds.
    pub p99_us: u32,
    /// 99 % of the windows after the first minute within this, where it is less.
    pub p99_after_60_s_us: Option<u32>,
}

impl Goal {
    /// The goal of the scenario called `name`, if it has one.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let (p50_us, p99_us, p99_after_60_s_us) = match name {
            "lan" => (25, 100, Some(30)),
            "wifi" => (60, 200, None),
            "wan50" | "asymmetric-40-1" | "asymmetric-30-15" => (60, 250, None),
            "wan50-jitter" => (120, 400, None),
            "wan-normal" => (150, 500, None),
            _ => return None,
        };
        Some(Self { p50_us, p99_us, p99_after_60_s_us })
    }
}

/// The steady state begins this long after the first sample.
pub(super) const SETTLED: Span = Span::from_secs(60);
