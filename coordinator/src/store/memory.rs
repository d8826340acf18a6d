//! The store as plain collections in memory: what [`View`] and [`Tables`] mean, said without a database, to be read
//! beside it and held against it. It keeps nothing beyond the test that made it, and bounds nothing.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use jamsync_protocol::{
    conversation::ConversationId,
    id::{AccountId, DeviceKey, JamId},
    identity::{CodeToken, LinkToken, SignedGrant},
    time::UtcTime,
    wire::coord::{CoordEvent, CoordReply, EventNumber, KeyPackage, RequestId, Sequence},
};

use super::{
    Account, ContactRow, Conversation, Device, DeviceCode, Jam, JamRequest, JoinPermit, Link, LogRow, Report,
    Store, StoreError, Tables, View,
};

mod changes;
mod conversations;
mod held;
mod looks;

/// The store in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryStore(Arc<Mutex<Rows>>);

/// Everything that is kept. A map's key is what there is at most one of.
#[derive(Clone, Debug, Default)]
struct Rows {
    accounts: BTreeMap<AccountId, Account>,
    devices: BTreeMap<DeviceKey, Known>,
    codes: BTreeMap<CodeToken, DeviceCode>,
    permits: BTreeMap<[u8; 32], JoinPermit>,
    links: BTreeMap<LinkToken, Link>,
    /// By whose contact it is, and who.
    contacts: BTreeMap<(AccountId, AccountId), ContactRow>,
    reports: BTreeMap<i64, Report>,
    /// How many complaints there ever were: a number is not given out twice.
    reports_made: i64,
    requests: BTreeMap<RequestId, JamRequest>,
    jams: BTreeMap<JamId, (Jam, SignedGrant)>,
    events: BTreeMap<(DeviceKey, EventNumber), CoordEvent>,
    /// By device and the key of what it asked.
    receipts: BTreeMap<(DeviceKey, [u8; 16]), Receipt>,
    conversations: BTreeMap<ConversationId, Conversation>,
    cursors: BTreeMap<(ConversationId, DeviceKey), Sequence>,
    log: BTreeMap<(ConversationId, Sequence), Kept>,
    /// The last resort has the number 0.
    key_packages: BTreeMap<(DeviceKey, u64), KeyPackage>,
    public_addresses: Vec<String>,
}

/// An entry of a log, and whether its content is still kept.
#[derive(Clone, Debug)]
struct Kept {
    row: LogRow,
    whole: bool,
}

/// A device, and the number of the newest event that it was given.
#[derive(Clone, Debug)]
struct Known {
    device: Device,
    newest: EventNumber,
}

/// The reply to a write.
#[derive(Clone, Debug)]
struct Receipt {
    digest: [u8; 32],
    reply: CoordReply,
    at: UtcTime,
}

impl Store for MemoryStore {
    async fn write<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        change: impl FnOnce(&mut dyn Tables) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = rows.clone();
        let outcome = change(&mut changed)?;
        *rows = changed;
        Ok(outcome)
    }

    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&dyn View) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        look(&*self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_writable(&self) -> bool {
        true
    }

    /// No other process can see it.
    async fn changed_by_others(&self) -> Result<bool, StoreError> {
        Ok(false)
    }
}

/// Adds what must not be there yet.
fn add<K: Ord, V>(rows: &mut BTreeMap<K, V>, key: K, value: V, what: &'static str) -> Result<(), StoreError> {
    match rows.entry(key) {
        Entry::Vacant(free) => {
            free.insert(value);
            Ok(())
        }
        Entry::Occupied(_) => Err(StoreError::Corrupt(what)),
    }
}

/// What must be there to be changed.
fn known<'a, K: Ord, V>(
    rows: &'a mut BTreeMap<K, V>,
    key: &K,
    what: &'static str,
) -> Result<&'a mut V, StoreError> {
    rows.get_mut(key).ok_or(StoreError::Corrupt(what))
}
