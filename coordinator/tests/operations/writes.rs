//! Writes that can be told apart by a number, so that none can be lost unnoticed.

use jamsync_coordinator::store::{JoinPermit, SqliteStore, Store, StoreError};
use jamsync_protocol::time::UtcTime;

/// What a write leaves behind.
pub(crate) fn permit(number: u64) -> JoinPermit {
    let fingerprint = *blake3::hash(&number.to_be_bytes()).as_bytes();
    JoinPermit { fingerprint, uses_left: 1, expires: UtcTime::from_nanos(i64::MAX) }
}

pub(crate) async fn write(store: &SqliteStore, number: u64) -> Result<(), StoreError> {
    store.write(move |tables| tables.put_join_permit(permit(number))).await
}

/// Checks that every acknowledged write is there.
pub(crate) async fn are_there(store: &SqliteStore, acknowledged: &[u64]) {
    let expected = acknowledged.to_owned();
    let lost = store.read(move |view| {
        let mut lost = Vec::new();
        for number in expected {
            if view.join_permit(permit(number).fingerprint)?.is_none() {
                lost.push(number);
            }
        }
        Ok(lost)
    });
    assert_eq!(lost.await.expect("reads"), Vec::<u64>::new());
}
