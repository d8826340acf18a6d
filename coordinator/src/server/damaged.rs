//! The accounts whose device logs were found damaged, so that the operator is told of each once, and how many there are.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use jamsync_protocol::id::AccountId;

use crate::metrics::ServerMetrics;

/// Those that were met since the server started.
#[derive(Debug, Default)]
pub(super) struct Damaged(Mutex<BTreeSet<AccountId>>);

impl Damaged {
    /// Somebody asked for what stands in the log of each of these, and it cannot be read.
    pub(super) fn note(&self, accounts: &[AccountId], metrics: &ServerMetrics) {
        if accounts.is_empty() {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for account in accounts {
            if known.len() < KNOWN_MAX && known.insert(*account) {
                metrics.damaged_accounts.change(1);
                tracing::error!(
                    %account,
                    "the device log of an account is damaged: its friends see it as away and cannot begin a Jam with it; \
                     run `verify` over the newest backup and restore it"
                );
            }
        }
    }
}

/// How many are told of. Count, default 1,024: a disk that damages more has told enough.
const KNOWN_MAX: usize = 1_024;
