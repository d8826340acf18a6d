//! Which part a replica has in giving the order, and what it owes to each peer.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    image::Arriving,
    log::{Head, Term},
    message::Piece,
};
use crate::id::Participant;

/// The part of a replica; each owns what only it needs.
#[derive(Clone, Debug)]
pub(super) enum Role {
    /// No host is known: own edits wait.
    Alone,
    /// Gives the order.
    Host {
        term: Term,
        /// What each connected guest gets next.
        feeds: BTreeMap<Participant, Feed>,
    },
    /// Follows the order of `host`.
    Guest { host: Participant, link: Link },
}

/// What a host sends to one guest next.
#[derive(Clone, Debug)]
pub(super) enum Feed {
    /// Nothing: the guest has not said where it stands.
    Quiet,
    /// The answer to where it stands.
    Answer { question: u32, at: Head },
    /// The facts in order, from this number.
    Tail { question: u32, next: u64 },
    /// The rest of a snapshot, and then the facts behind it.
    Pieces { question: u32, at: Head, pieces: VecDeque<Piece> },
}

/// How a guest stands with its host.
#[derive(Clone, Debug)]
pub(super) enum Link {
    /// Not connected.
    Down,
    /// Connected, and the host must be told where the guest stands.
    Asking,
    /// The host was told.
    Asked {
        question: u32,
        /// The part of a snapshot that has arrived.
        arriving: Option<Arriving>,
        /// Own edits up to this number were sent; `None` until the host has answered in full.
        proposed: Option<u32>,
    },
}

impl Role {
    pub(super) fn host(term: Term, connected: &BTreeSet<Participant>) -> Self {
        Self::Host { term, feeds: connected.iter().map(|peer| (*peer, Feed::Quiet)).collect() }
    }

    pub(super) fn guest(host: Participant, connected: &BTreeSet<Participant>) -> Self {
        Self::Guest { host, link: if connected.contains(&host) { Link::Asking } else { Link::Down } }
    }

    /// Whom this replica takes for the host, itself included.
    pub(super) const fn host_of(&self, me: Participant) -> Option<Participant> {
        match self {
            Self::Alone => None,
            Self::Host { .. } => Some(me),
            Self::Guest { host, .. } => Some(*host),
        }
    }
}
