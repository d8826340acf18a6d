//! Renewals that nobody can forge or hold in store: a chain of hashes.
//!
//! Whoever publishes a state draws a seed, hashes it [`BEATS_MAX`] times, and seals the last hash, the [`BeatProof`], into the state.
//! Each renewal reveals the hash before. It is the same for every viewer, names nothing, and takes 16 bytes; a coordinator can
//! pass it on, but can neither make the next one nor go on renewing a state whose end it keeps to itself.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::identity::keys::{Domain, digest};

/// How often one state can be renewed; then it is told anew. Count, default 1,024: more than an hour.
pub const BEATS_MAX: u16 = 1_024;

/// One hash of a chain.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BeatProof(pub [u8; 16]);

/// A renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// The how manieth of this state, from 1.
    pub count: u16,
    /// What proves it.
    pub proof: BeatProof,
}

/// The chain of one state, as its publisher has it.
#[derive(Clone)]
pub struct BeatChain {
    seed: [u8; 16],
}

impl BeatProof {
    /// The proof behind this one.
    #[must_use]
    fn next(self) -> Self {
        let hash = digest(Domain::ActivityBeat, &self.0);
        let mut next = [0; 16];
        next.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        Self(next)
    }

    /// The same, so many times.
    fn after(self, times: u16) -> Self {
        (0..times).fold(self, |proof, _| proof.next())
    }
}

impl BeatChain {
    /// The chain of 16 random bytes.
    #[must_use]
    pub const fn new(seed: [u8; 16]) -> Self {
        Self { seed }
    }

    /// What is sealed into the state.
    #[must_use]
    pub fn anchor(&self) -> BeatProof {
        BeatProof(self.seed).after(BEATS_MAX)
    }

    /// The `count`th renewal; none behind [`BEATS_MAX`] and before the first.
    #[must_use]
    pub fn beat(&self, count: u16) -> Option<Beat> {
        let left = BEATS_MAX.checked_sub(count).filter(|_| count > 0)?;
        Some(Beat { count, proof: BeatProof(self.seed).after(left) })
    }
}

impl Beat {
    /// Whether it comes of the chain of which `known` is the `at`th proof, and later. At most [`BEATS_MAX`] hashes are made.
    #[must_use]
    pub fn continues(self, at: u16, known: BeatProof) -> bool {
        let more = self.count.checked_sub(at).filter(|more| *more > 0 && self.count <= BEATS_MAX);
        more.is_some_and(|more| self.proof.after(more) == known)
    }
}

/// The seed stays out of logs.
impl fmt::Debug for BeatChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("chain of beats")
    }
}

impl fmt::Debug for BeatProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
