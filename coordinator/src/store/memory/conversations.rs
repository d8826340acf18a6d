//! The logs of conversations and key packages as collections.

use jamsync_protocol::{
    conversation::{ConversationId, PostId},
    id::DeviceKey,
    wire::coord::{ConversationEntry, ConversationItem, KeyPackage},
};

use super::{Kept, Rows, add};
use crate::store::{LogRow, StoreError};

impl Rows {
    pub(super) fn add_log_row(&mut self, row: &LogRow) -> Result<(), StoreError> {
        if let ConversationItem::Post { id, .. } = &row.entry.what
            && self.posts_of(row.conversation).any(|(known, _)| known == *id)
        {
            return Err(StoreError::Corrupt("log entry"));
        }
        let key = (row.conversation, row.entry.sequence);
        add(&mut self.log, key, Kept { row: row.clone(), whole: true }, "log entry")
    }

    /// What was said, under which names.
    pub(super) fn posts_of(
        &self,
        conversation: ConversationId,
    ) -> impl Iterator<Item = (PostId, &ConversationEntry)> {
        let entries =
            self.log.values().map(|kept| &kept.row).filter(move |row| row.conversation == conversation);
        entries.filter_map(|row| match &row.entry.what {
            ConversationItem::Post { id, .. } => Some((*id, &row.entry)),
            ConversationItem::Begun { .. } | ConversationItem::Changed { .. } => None,
        })
    }

    pub(super) fn packages_of(&self, device: DeviceKey) -> impl Iterator<Item = (u64, &KeyPackage)> {
        let mine = self.key_packages.iter().filter(move |((of, _), _)| *of == device);
        mine.map(|((_, number), package)| (*number, package))
    }
}
