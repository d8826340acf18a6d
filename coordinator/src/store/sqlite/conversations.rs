//! The rows of conversations over SQLite: logs, how far each device is in them, and key packages.

use jamsync_protocol::{
    conversation::{ConversationId, Epoch, Members, PostId},
    id::{AccountId, DeviceKey},
    time::UtcTime,
    wire::coord::{ConversationEntry, ConversationItem, KeyPackage, Sequence},
};
use rusqlite::Row;

use super::Rows;
use crate::store::{
    Conversation, LogCursor, LogRow, StoreError,
    rows::{bytes, column, value},
};

/// The number of the key package that is handed out where no other is left; others count from 1.
const LAST_RESORT: i64 = 0;

impl Rows<'_> {
    pub(super) fn find_conversation(&self, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        let sql = "SELECT id, generation, epoch, newest, forgotten FROM conversations WHERE id = ?1";
        self.one(sql, [id.0], |row| self.conversation_of(row))
    }

    pub(super) fn find_conversations(
        &self,
        account: AccountId,
        after: Option<ConversationId>,
        limit: u32,
    ) -> Result<Vec<Conversation>, StoreError> {
        let sql = "SELECT c.id, c.generation, c.epoch, c.newest, c.forgotten
             FROM conversation_members m JOIN conversations c ON c.id = m.conversation
             WHERE m.account = ?1 AND m.conversation > ?2 ORDER BY m.conversation LIMIT ?3";
        let after = after.map_or(Vec::new(), |after| after.0.to_vec());
        self.many(sql, (account.0, after, limit), |row| self.conversation_of(row))
    }

    fn conversation_of(&self, row: &Row<'_>) -> Result<Conversation, StoreError> {
        let id = ConversationId(column(row, 0)?);
        let sql = "SELECT account FROM conversation_members WHERE conversation = ?1";
        let members = self.many(sql, [id.0], |row| column(row, 0).map(AccountId))?;
        Ok(Conversation {
            id,
            members: Members::new(members).map_err(|_| StoreError::Corrupt("conversation"))?,
            epoch: epoch(row, 1)?,
            newest: sequence(row, 3)?,
            forgotten: sequence(row, 4)?,
        })
    }

    pub(super) fn find_log_cursors(
        &self,
        conversation: ConversationId,
    ) -> Result<Vec<LogCursor>, StoreError> {
        let sql = "SELECT c.device, d.account, c.upto FROM conversation_cursors c
             JOIN devices d ON d.key = c.device WHERE c.conversation = ?1 ORDER BY c.device";
        self.many(sql, [conversation.0], |row| {
            let (device, account) = (DeviceKey(column(row, 0)?), AccountId(column(row, 1)?));
            Ok(LogCursor { device, account, upto: sequence(row, 2)? })
        })
    }

    pub(super) fn find_log(
        &self,
        conversation: ConversationId,
        after: Sequence,
        limit: u32,
    ) -> Result<Vec<ConversationEntry>, StoreError> {
        let sql = "SELECT sequence, generation, epoch, at, body FROM conversation_log
             WHERE conversation = ?1 AND sequence > ?2 AND body IS NOT NULL ORDER BY sequence LIMIT ?3";
        self.many(sql, (conversation.0, number(after), limit), |row| {
            Ok(ConversationEntry {
                sequence: sequence(row, 0)?,
                epoch: epoch(row, 1)?,
                at: UtcTime::from_nanos(column(row, 3)?),
                what: value(&column::<Vec<u8>>(row, 4)?, "log entry")?,
            })
        })
    }

    pub(super) fn find_post(
        &self,
        conversation: ConversationId,
        post: PostId,
    ) -> Result<Option<(Sequence, UtcTime)>, StoreError> {
        let sql = "SELECT sequence, at FROM conversation_log WHERE conversation = ?1 AND post = ?2";
        self.one(sql, (conversation.0, post.0), |row| {
            Ok((sequence(row, 0)?, UtcTime::from_nanos(column(row, 1)?)))
        })
    }

    pub(super) fn count_key_packages(&self, device: DeviceKey) -> Result<u32, StoreError> {
        let sql = "SELECT count(*) FROM key_packages WHERE device = ?1 AND number > ?2";
        Ok(self.one(sql, (device.0, LAST_RESORT), |row| column(row, 0))?.unwrap_or_default())
    }

    pub(super) fn find_last_resort(&self, device: DeviceKey) -> Result<Option<KeyPackage>, StoreError> {
        let sql = "SELECT package FROM key_packages WHERE device = ?1 AND number = ?2";
        let found = self.one(sql, (device.0, LAST_RESORT), |row| column::<Vec<u8>>(row, 0))?;
        found.map(KeyPackage::new).transpose().map_err(|_| StoreError::Corrupt("key package"))
    }

    pub(super) fn set_conversation(&self, conversation: &Conversation) -> Result<(), StoreError> {
        let Conversation { id, members, epoch, newest, forgotten } = conversation;
        // Who is in it never changes.
        let known = self.count(
            "UPDATE conversations SET generation = ?2, epoch = ?3, newest = ?4, forgotten = ?5 WHERE id = ?1",
            (id.0, epoch.generation, whole(epoch.number), number(*newest), number(*forgotten)),
        )?;
        if known > 0 {
            return Ok(());
        }
        self.change(
            "INSERT INTO conversations (id, generation, epoch, newest, forgotten)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (id.0, epoch.generation, whole(epoch.number), number(*newest), number(*forgotten)),
        )?;
        for account in members.iter() {
            self.change(
                "INSERT OR IGNORE INTO conversation_members (conversation, account) VALUES (?1, ?2)",
                (id.0, account.0),
            )?;
        }
        Ok(())
    }

    pub(super) fn set_log_cursor(
        &self,
        conversation: ConversationId,
        device: DeviceKey,
        upto: Sequence,
    ) -> Result<(), StoreError> {
        self.change(
            "INSERT OR REPLACE INTO conversation_cursors (conversation, device, upto) VALUES (?1, ?2, ?3)",
            (conversation.0, device.0, number(upto)),
        )
    }

    pub(super) fn add_log_row(&self, row: &LogRow) -> Result<(), StoreError> {
        let LogRow { conversation, device, entry } = row;
        self.change(
            "INSERT INTO conversation_log (conversation, sequence, generation, epoch, device, post, at, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            (
                conversation.0,
                number(entry.sequence),
                entry.epoch.generation,
                whole(entry.epoch.number),
                device.0,
                post_of(&entry.what).map(|post| post.0),
                entry.at.as_nanos(),
                bytes(&entry.what, "log entry")?,
            ),
        )
    }

    pub(super) fn forget(&self, conversation: ConversationId, upto: Sequence) -> Result<(), StoreError> {
        self.change(
            "UPDATE conversation_log SET body = NULL WHERE conversation = ?1 AND sequence <= ?2
             AND sequence > (SELECT forgotten FROM conversations WHERE id = ?1)",
            (conversation.0, number(upto)),
        )?;
        let sql = "UPDATE conversations SET forgotten = max(forgotten, ?2) WHERE id = ?1";
        self.change_one(sql, (conversation.0, number(upto)), "conversation")
    }

    pub(super) fn append_key_package(
        &self,
        device: DeviceKey,
        package: &KeyPackage,
    ) -> Result<(), StoreError> {
        self.change(
            "INSERT INTO key_packages (device, number, package)
             SELECT ?1, coalesce(max(number), ?2) + 1, ?3 FROM key_packages WHERE device = ?1",
            (device.0, LAST_RESORT, &package[..]),
        )
    }

    pub(super) fn set_last_resort(&self, device: DeviceKey, package: &KeyPackage) -> Result<(), StoreError> {
        self.change(
            "INSERT OR REPLACE INTO key_packages (device, number, package) VALUES (?1, ?2, ?3)",
            (device.0, LAST_RESORT, &package[..]),
        )
    }

    pub(super) fn take_package(&self, device: DeviceKey) -> Result<Option<KeyPackage>, StoreError> {
        let sql =
            "SELECT number, package FROM key_packages WHERE device = ?1 ORDER BY number = ?2, number LIMIT 1";
        let found = self.one(sql, (device.0, LAST_RESORT), |row| {
            Ok((column::<i64>(row, 0)?, column::<Vec<u8>>(row, 1)?))
        })?;
        let Some((number, package)) = found else { return Ok(None) };
        if number != LAST_RESORT {
            let sql = "DELETE FROM key_packages WHERE device = ?1 AND number = ?2";
            self.change_one(sql, (device.0, number), "key package")?;
        }
        KeyPackage::new(package).map(Some).map_err(|_| StoreError::Corrupt("key package"))
    }
}

fn sequence(row: &Row<'_>, index: usize) -> Result<Sequence, StoreError> {
    let number: i64 = column(row, index)?;
    u64::try_from(number).map(Sequence).map_err(|_| StoreError::Corrupt("log entry"))
}

fn epoch(row: &Row<'_>, first: usize) -> Result<Epoch, StoreError> {
    let number: i64 = column(row, first + 1)?;
    let number = u64::try_from(number).map_err(|_| StoreError::Corrupt("epoch"))?;
    Ok(Epoch { generation: column(row, first)?, number })
}

fn number(sequence: Sequence) -> i64 {
    whole(sequence.0)
}

/// What is greater is told by a client alone, and names nothing that there is.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The name under which something is said.
fn post_of(item: &ConversationItem) -> Option<PostId> {
    if let ConversationItem::Post { id, .. } = item { Some(*id) } else { None }
}
