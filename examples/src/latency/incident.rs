//! What is done to the processes and the path of a live run: a process is killed and started again, a node gets a new
//! address.
//!
//! Nothing is left out of the score for a new address or for what the coordinator suffers: nobody is to hear of it. A
//! node that is killed is silent, so both cannot be compared until it is back.

use jamsync_protocol::time::Span;
use serde::{Deserialize, Serialize};

use super::{
    Case,
    case::Who,
    range::{Kept as _, ranged, shown},
    recovery::BACK_WITHIN,
};

/// A process is killed, as by `kill -9`, and started again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    /// When, counted from A's joining. 5 to 3,600 s.
    #[serde(deserialize_with = "at")]
    pub at_s: f64,
    /// Which: a, b or coordinator.
    pub of: Process,
    /// How long it stays away. 0 to 120 s.
    #[serde(deserialize_with = "away")]
    pub away_s: f64,
}

/// The node that dialled the other gets a new address: what it sends comes from another port from then on, and nothing that
/// is sent to the old one arrives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAddress {
    /// When, counted from A's joining. 5 to 3,600 s.
    #[serde(deserialize_with = "at")]
    pub at_s: f64,
}

/// One of the processes of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Process {
    /// The node of the guest.
    A,
    /// The node of the host.
    B,
    /// The coordinator.
    Coordinator,
}

/// What is to be done next to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Incident {
    Kill(Process),
    Start(Process),
    Move,
}

impl Case {
    /// What is done to the processes and the path in the time of the run, in order. Where both could not be in step again
    /// before its end, nothing is done.
    pub(super) fn incidents(&self) -> Vec<(Span, Incident)> {
        let after = Span::from_secs_f64;
        let end = Span::from_secs(i64::from(self.seconds));
        let in_time = |at_s: f64| after(at_s) + BACK_WITHIN < end;
        let mut all = Vec::new();
        for kill in self.kills.iter().filter(|kill| in_time(kill.at_s + kill.away_s)) {
            all.push((after(kill.at_s), Incident::Kill(kill.of)));
            all.push((after(kill.at_s + kill.away_s), Incident::Start(kill.of)));
        }
        let moves = self.new_addresses.iter().filter(|new| in_time(new.at_s));
        all.extend(moves.map(|new| (after(new.at_s), Incident::Move)));
        all.sort_by_key(|(at, _)| *at);
        all
    }
}

impl Process {
    /// Whose node it is; none for the coordinator.
    pub(super) const fn who(self) -> Option<Who> {
        match self {
            Self::A => Some(Who::A),
            Self::B => Some(Who::B),
            Self::Coordinator => None,
        }
    }
}

ranged!(at: f64, 5.0 to 3600.0 "s");
ranged!(away: f64, 0.0 to 120.0 "s");
