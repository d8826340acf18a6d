//! Where openmls keeps its state: one table of the conversations' database, so that what a key was used for and that it was
//! used are written together or not at all.
//!
//! Each value is one row, named by its kind, by what it belongs to, and, where there are several, by its own name. Values
//! are JSON, because openmls promises to read its own older forms in it.

use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};
use rusqlite::{Connection, OptionalExtension};
use serde::{Serialize, de::DeserializeOwned};

/// The version of the storage interface.
const V: u16 = CURRENT_VERSION;

/// The table, inside a transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shelf<'a>(pub(super) &'a Connection);

/// Why openmls cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShelfError {
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// A value cannot be written or read.
    #[error("a key that was kept cannot be read: {0}")]
    Value(#[from] serde_json::Error),
}

type Done<T = ()> = Result<T, ShelfError>;

impl Shelf<'_> {
    fn put(self, kind: &str, owner: &impl Serialize, item: &impl Serialize, value: &impl Serialize) -> Done {
        let sql = "INSERT OR REPLACE INTO mls (kind, owner, item, value) VALUES (?1, ?2, ?3, ?4)";
        let key = (kind, coded(owner)?, coded(item)?, coded(value)?);
        self.0.prepare_cached(sql)?.execute(key)?;
        Ok(())
    }

    fn get<T: DeserializeOwned>(
        self,
        kind: &str,
        owner: &impl Serialize,
        item: &impl Serialize,
    ) -> Done<Option<T>> {
        let sql = "SELECT value FROM mls WHERE kind = ?1 AND owner = ?2 AND item = ?3";
        let key = (kind, coded(owner)?, coded(item)?);
        let mut statement = self.0.prepare_cached(sql)?;
        let value = statement.query_row(key, |row| row.get::<_, Vec<u8>>(0)).optional()?;
        Ok(value.map(|value| serde_json::from_slice(&value)).transpose()?)
    }

    /// All values of a kind that belong to `owner`, with their names, in the order in which they came.
    fn all<N: DeserializeOwned, T: DeserializeOwned>(
        self,
        kind: &str,
        owner: &impl Serialize,
    ) -> Done<Vec<(N, T)>> {
        let sql = "SELECT item, value FROM mls WHERE kind = ?1 AND owner = ?2 ORDER BY rowid";
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query((kind, coded(owner)?))?;
        let mut values = Vec::new();
        while let Some(row) = rows.next()? {
            let (item, value): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
            values.push((serde_json::from_slice(&item)?, serde_json::from_slice(&value)?));
        }
        Ok(values)
    }

    fn drop_one(self, kind: &str, owner: &impl Serialize, item: &impl Serialize) -> Done {
        let sql = "DELETE FROM mls WHERE kind = ?1 AND owner = ?2 AND item = ?3";
        self.0.prepare_cached(sql)?.execute((kind, coded(owner)?, coded(item)?))?;
        Ok(())
    }

    fn drop_all(self, kind: &str, owner: &impl Serialize) -> Done {
        let sql = "DELETE FROM mls WHERE kind = ?1 AND owner = ?2";
        self.0.prepare_cached(sql)?.execute((kind, coded(owner)?))?;
        Ok(())
    }
}

fn coded(value: &impl Serialize) -> Done<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}

/// A kind of which each group has one value: how it is written, read and dropped.
macro_rules! one_of_each_group {
    ($($kind:literal: $write:ident $read:ident $drop:ident $bound:ident;)*) => {$(
        fn $write<G: traits::GroupId<V>, T: traits::$bound<V>>(&self, group: &G, value: &T) -> Done {
            self.put($kind, group, &(), value)
        }
        fn $read<G: traits::GroupId<V>, T: traits::$bound<V>>(&self, group: &G) -> Done<Option<T>> {
            self.get($kind, group, &())
        }
        fn $drop<G: traits::GroupId<V>>(&self, group: &G) -> Done {
            self.drop_all($kind, group)
        }
    )*};
}

impl StorageProvider<V> for Shelf<'_> {
    type Error = ShelfError;

    one_of_each_group! {
        "join config": write_mls_join_config mls_group_join_config delete_group_config MlsGroupJoinConfig;
        "tree": write_tree tree delete_tree TreeSync;
        "transcript": write_interim_transcript_hash interim_transcript_hash delete_interim_transcript_hash InterimTranscriptHash;
        "context": write_context group_context delete_context GroupContext;
        "confirmation": write_confirmation_tag confirmation_tag delete_confirmation_tag ConfirmationTag;
        "message secrets": write_message_secrets message_secrets delete_message_secrets MessageSecrets;
        "resumption": write_resumption_psk_store resumption_psk_store delete_all_resumption_psk_secrets ResumptionPskStore;
        "leaf": write_own_leaf_index own_leaf_index delete_own_leaf_index LeafNodeIndex;
        "epoch secrets": write_group_epoch_secrets group_epoch_secrets delete_group_epoch_secrets GroupEpochSecrets;
    }

    // Its type parameters stand in another order than those of the others.
    fn write_group_state<T: traits::GroupState<V>, G: traits::GroupId<V>>(
        &self,
        group: &G,
        state: &T,
    ) -> Done {
        self.put("state", group, &(), state)
    }

    fn group_state<T: traits::GroupState<V>, G: traits::GroupId<V>>(&self, group: &G) -> Done<Option<T>> {
        self.get("state", group, &())
    }

    fn delete_group_state<G: traits::GroupId<V>>(&self, group: &G) -> Done {
        self.drop_all("state", group)
    }

    fn append_own_leaf_node<G: traits::GroupId<V>, T: traits::LeafNode<V>>(
        &self,
        group: &G,
        leaf: &T,
    ) -> Done {
        let known: Vec<T> = self.own_leaf_nodes(group)?;
        self.put("own leaves", group, &known.len(), leaf)
    }

    fn own_leaf_nodes<G: traits::GroupId<V>, T: traits::LeafNode<V>>(&self, group: &G) -> Done<Vec<T>> {
        let leaves: Vec<(usize, T)> = self.all("own leaves", group)?;
        Ok(leaves.into_iter().map(|(_, leaf)| leaf).collect())
    }

    fn delete_own_leaf_nodes<G: traits::GroupId<V>>(&self, group: &G) -> Done {
        self.drop_all("own leaves", group)
    }

    fn queue_proposal<G: traits::GroupId<V>, R: traits::ProposalRef<V>, T: traits::QueuedProposal<V>>(
        &self,
        group: &G,
        reference: &R,
        proposal: &T,
    ) -> Done {
        self.put("proposals", group, reference, proposal)
    }

    fn queued_proposal_refs<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(
        &self,
        group: &G,
    ) -> Done<Vec<R>> {
        let all: Vec<(R, serde::de::IgnoredAny)> = self.all("proposals", group)?;
        Ok(all.into_iter().map(|(reference, _)| reference).collect())
    }

    fn queued_proposals<G: traits::GroupId<V>, R: traits::ProposalRef<V>, T: traits::QueuedProposal<V>>(
        &self,
        group: &G,
    ) -> Done<Vec<(R, T)>> {
        self.all("proposals", group)
    }

    fn remove_proposal<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(
        &self,
        group: &G,
        reference: &R,
    ) -> Done {
        self.drop_one("proposals", group, reference)
    }

    fn clear_proposal_queue<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(&self, group: &G) -> Done {
        self.drop_all("proposals", group)
    }

    fn write_signature_key_pair<K: traits::SignaturePublicKey<V>, T: traits::SignatureKeyPair<V>>(
        &self,
        key: &K,
        pair: &T,
    ) -> Done {
        self.put("signature", key, &(), pair)
    }

    fn signature_key_pair<K: traits::SignaturePublicKey<V>, T: traits::SignatureKeyPair<V>>(
        &self,
        key: &K,
    ) -> Done<Option<T>> {
        self.get("signature", key, &())
    }

    fn delete_signature_key_pair<K: traits::SignaturePublicKey<V>>(&self, key: &K) -> Done {
        self.drop_all("signature", key)
    }

    fn write_encryption_key_pair<K: traits::EncryptionKey<V>, T: traits::HpkeKeyPair<V>>(
        &self,
        key: &K,
        pair: &T,
    ) -> Done {
        self.put("encryption", key, &(), pair)
    }

    fn encryption_key_pair<T: traits::HpkeKeyPair<V>, K: traits::EncryptionKey<V>>(
        &self,
        key: &K,
    ) -> Done<Option<T>> {
        self.get("encryption", key, &())
    }

    fn delete_encryption_key_pair<K: traits::EncryptionKey<V>>(&self, key: &K) -> Done {
        self.drop_all("encryption", key)
    }

    fn write_encryption_epoch_key_pairs<
        G: traits::GroupId<V>,
        E: traits::EpochKey<V>,
        T: traits::HpkeKeyPair<V>,
    >(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
        pairs: &[T],
    ) -> Done {
        self.put("epoch keys", group, &(epoch, leaf), &pairs)
    }

    fn encryption_epoch_key_pairs<
        G: traits::GroupId<V>,
        E: traits::EpochKey<V>,
        T: traits::HpkeKeyPair<V>,
    >(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
    ) -> Done<Vec<T>> {
        Ok(self.get("epoch keys", group, &(epoch, leaf))?.unwrap_or_default())
    }

    fn delete_encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>>(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
    ) -> Done {
        self.drop_one("epoch keys", group, &(epoch, leaf))
    }

    fn write_key_package<R: traits::HashReference<V>, T: traits::KeyPackage<V>>(
        &self,
        reference: &R,
        package: &T,
    ) -> Done {
        self.put("key package", reference, &(), package)
    }

    fn key_package<R: traits::HashReference<V>, T: traits::KeyPackage<V>>(
        &self,
        reference: &R,
    ) -> Done<Option<T>> {
        self.get("key package", reference, &())
    }

    fn delete_key_package<R: traits::HashReference<V>>(&self, reference: &R) -> Done {
        self.drop_all("key package", reference)
    }

    fn write_psk<I: traits::PskId<V>, T: traits::PskBundle<V>>(&self, id: &I, psk: &T) -> Done {
        self.put("psk", id, &(), psk)
    }

    fn psk<T: traits::PskBundle<V>, I: traits::PskId<V>>(&self, id: &I) -> Done<Option<T>> {
        self.get("psk", id, &())
    }

    fn delete_psk<I: traits::PskId<V>>(&self, id: &I) -> Done {
        self.drop_all("psk", id)
    }
}
