//! Sealed bytes of one size.

use alloc::vec::Vec;
use core::{fmt, ops::Deref};

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::text::{List, TooLong};

/// Exactly `N` sealed bytes: a size that tells nothing of what is inside. On the wire a list.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Block<const N: usize>(Vec<u8>);

impl<const N: usize> Block<N> {
    /// These bytes, if they are so many.
    ///
    /// # Errors
    /// [`TooLong`] with what was offered, also where it is too short.
    pub fn new(bytes: Vec<u8>) -> Result<Self, TooLong> {
        if bytes.len() == N { Ok(Self(bytes)) } else { Err(TooLong { actual: bytes.len(), limit: N }) }
    }
}

impl<const N: usize> Deref for Block<N> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> fmt::Debug for Block<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} sealed bytes")
    }
}

impl<'de, const N: usize> Deserialize<'de> for Block<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(List::<u8, N>::deserialize(deserializer)?.into_vec()).map_err(D::Error::custom)
    }
}
