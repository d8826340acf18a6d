//! The part of one side in giving the order: host, host for now, or guest; and by what right.
//!
//! ```text
//!            handed over, or the host left
//!        ┌──────────────────────────────────────────────┐
//!        │                                              ▼
//!      guest ── 10 s of silence ──▶ provisional ──▶ host, for the other began anew or left
//!        ▲                               │              │
//!        └── they met, the host lived on ┘              │
//!        └──────────────── hands over ──────────────────┘
//! ```

use crate::{
    id::Participant,
    queue::Term,
    time::{NodeTime, Span},
    wire::peer::{Claim, Standing},
};

/// The part of one side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) role: Role,
    /// Whom this side takes for the host, itself included.
    pub(super) host: Participant,
    /// The newest term that it knows of.
    pub(super) term: Term,
    /// The newest term that was given by the rules, and not taken in silence.
    pub(super) given: Term,
    /// The term that a guest's host has to give its order in.
    pub(super) expected: Term,
    /// Whether its process began anew since it last met the other.
    pub(super) restored: bool,
    /// When it last heard of the other.
    pub(super) heard: NodeTime,
}

/// What a side does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Gives the order by right.
    Host,
    /// Gives the order since the host fell silent, until the two meet.
    Provisional,
    /// Follows the host's order.
    Guest,
}

/// How long a guest does without a word of its host's before it takes over. As long as a connection is taken to live:
/// shorter and every hole in a wireless network changes the host, longer and a guest whose friend is gone can do
/// nothing. Ten seconds, as the connection's idle timeout (section 5 of `docs/wire.md`).
pub(super) const SILENCE: Span = Span::from_secs(10);

impl Part {
    /// A guest of `host`, who knows nothing yet.
    pub(super) const fn guest(host: Participant, now: NodeTime) -> Self {
        Self {
            role: Role::Guest,
            host,
            term: Term::NONE,
            given: Term::NONE,
            expected: Term::NONE,
            restored: false,
            heard: now,
        }
    }

    pub(super) fn is_host(&self) -> bool {
        self.role != Role::Guest
    }

    /// What this side says it is. One that `knows` nothing of the Jam claims nothing.
    pub(super) fn standing(&self, knows: bool) -> Standing {
        let claim = match (self.role, self.restored) {
            (Role::Guest, _) if !knows => Claim::Nothing,
            (Role::Guest, true) => Claim::Restored,
            (Role::Provisional, true) => Claim::Revived,
            (Role::Guest, false) => Claim::Guest,
            (Role::Provisional, false) => Claim::Provisional,
            (Role::Host, _) => Claim::Host,
        };
        Standing { claim, term: self.term }
    }

    /// Gives the order in `term`.
    pub(super) fn lead(&mut self, role: Role, term: Term) {
        (self.role, self.host, self.term, self.expected) = (role, term.host, term, term);
        if role == Role::Host {
            self.given = term;
            self.restored = false;
        }
    }

    /// Follows the host of `expected`, whose word has not come yet.
    pub(super) fn follow(&mut self, expected: Term) {
        (self.role, self.host, self.expected) = (Role::Guest, expected.host, expected);
    }

    /// The word of the host has come.
    pub(super) fn handle_welcome(&mut self) {
        (self.term, self.given, self.restored) = (self.expected, self.expected, false);
    }
}
