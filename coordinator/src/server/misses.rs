//! How often each join code was tried with names that are taken.
//!
//! A sign-up has to say that a name is taken, and takes nothing of the code then, so whoever holds one code could go through
//! all the names there may be. From some misses on nobody signs up with that code for a while, be the name taken or free.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jamsync_protocol::time::{NodeTime, Span};

use super::limits::{Bucket, Rate};

/// The misses of late, by the fingerprint of the code's permit.
#[derive(Debug, Default)]
pub(super) struct Misses(Mutex<HashMap<[u8; 32], Bucket>>);

impl Misses {
    /// Whether somebody may sign up under this permit.
    ///
    /// # Errors
    /// How long to wait, where too many names were taken.
    pub(super) fn check(&self, permit: [u8; 32], now: NodeTime) -> Result<(), Span> {
        let Some(mut bucket) = self.lock().get(&permit).copied() else { return Ok(()) };
        bucket.take(RATE, now)
    }

    /// Notes that a name was taken. The permit holds, so there are no more of them than the operator has made.
    pub(super) fn note(&self, permit: [u8; 32], now: NodeTime) {
        let mut known = self.lock();
        if known.len() >= KNOWN_MAX {
            known.retain(|_, bucket| !bucket.is_full(now));
        }
        // It was checked before; nothing comes between the two.
        let _ = known.entry(permit).or_default().take(RATE, now);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Bucket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many names that are taken a code may be tried with. Count and time, default 20 and one more every 3 minutes: fewer
/// hold up a circle of friends who all want the same name, more let a stranger with a code learn who is there.
const RATE: Rate = Rate { each: Span::from_secs(180), burst: 20 };
/// Permits from which on those are forgotten that have no misses any more.
const KNOWN_MAX: usize = 1_024;
