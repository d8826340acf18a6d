//! The rows of a conversation as this node keeps them: how far it is, and what waits to be sent.

use jamsync_protocol::{
    conversation::{Content, ConversationId, Epoch, PostId},
    id::DeviceKey,
    time::UtcTime,
    wire::{codec, coord::Sequence},
};
use rusqlite::{Connection, OptionalExtension, Row};

use super::Trouble;

/// A conversation as this node has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: ConversationId,
    /// How often it was begun, as far as this node has seen; zero for never.
    pub(super) generation: u32,
    /// Whether this device is in the group of that beginning.
    pub(super) joined: bool,
    /// The newest entry of the log that was dealt with.
    pub(super) read: Sequence,
    /// The newest of which the coordinator knows that.
    pub(super) acknowledged: Sequence,
    /// How much this device has said in it.
    pub(super) said: u64,
}

/// A change that waits until the coordinator has taken it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// The epoch that it ends; of a beginning, the one that it makes.
    pub(super) epoch: Epoch,
    /// The change; empty for a beginning.
    pub(super) commit: Vec<u8>,
    pub(super) welcome: Option<Vec<u8>>,
}

/// Something that this listener said and that is not in the log yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unsent {
    pub(super) id: PostId,
    /// Its place in what this device says.
    pub(super) count: u64,
    pub(super) at: UtcTime,
    pub(super) content: Content,
    /// The bytes that go out, and the epoch for which they are sealed. Once made for an epoch, they are never made anew for it.
    pub(super) sealed: Option<(Epoch, Vec<u8>)>,
}

impl Known {
    pub(super) fn load(database: &Connection, id: ConversationId) -> Result<Self, Trouble> {
        let sql = "SELECT generation, joined, read, acknowledged, said FROM conversations WHERE id = ?1";
        let found = database.prepare_cached(sql)?.query_row([id.0], |row| {
            Ok(Self {
                id,
                generation: row.get(0)?,
                joined: row.get(1)?,
                read: Sequence(number(row, 2)?),
                acknowledged: Sequence(number(row, 3)?),
                said: number(row, 4)?,
            })
        });
        let (read, acknowledged) = (Sequence(0), Sequence(0));
        Ok(found.optional()?.unwrap_or(Self {
            id,
            generation: 0,
            joined: false,
            read,
            acknowledged,
            said: 0,
        }))
    }

    pub(super) fn save(&self, database: &Connection) -> Result<(), Trouble> {
        let sql = "INSERT OR REPLACE INTO conversations (id, generation, joined, read, acknowledged, said)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let (read, acknowledged) = (whole(self.read.0), whole(self.acknowledged.0));
        let row = (self.id.0, self.generation, self.joined, read, acknowledged, whole(self.said));
        database.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }
}

impl Waiting {
    pub(super) fn load(database: &Connection, id: ConversationId) -> Result<Option<Self>, Trouble> {
        let sql = "SELECT generation, epoch, made, welcome FROM changes WHERE conversation = ?1";
        let found = database.prepare_cached(sql)?.query_row([id.0], |row| {
            let epoch = Epoch { generation: row.get(0)?, number: number(row, 1)? };
            Ok(Self { epoch, commit: row.get(2)?, welcome: row.get(3)? })
        });
        Ok(found.optional()?)
    }

    pub(super) fn save(&self, database: &Connection, id: ConversationId) -> Result<(), Trouble> {
        let sql = "INSERT OR REPLACE INTO changes (conversation, generation, epoch, made, welcome)
             VALUES (?1, ?2, ?3, ?4, ?5)";
        let Epoch { generation, number } = self.epoch;
        let row = (id.0, generation, whole(number), &self.commit, &self.welcome);
        database.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    pub(super) fn drop(database: &Connection, id: ConversationId) -> Result<(), Trouble> {
        database.prepare_cached("DELETE FROM changes WHERE conversation = ?1")?.execute([id.0])?;
        Ok(())
    }

    /// Whether it begins a conversation.
    pub(super) const fn is_beginning(&self) -> bool {
        self.commit.is_empty()
    }
}

const UNSENT: &str = "id, count, at, content, generation, epoch, sealed";

impl Unsent {
    pub(super) fn all(database: &Connection, id: ConversationId, limit: u32) -> Result<Vec<Self>, Trouble> {
        let sql = format!("SELECT {UNSENT} FROM outbox WHERE conversation = ?1 ORDER BY number LIMIT ?2");
        let mut statement = database.prepare_cached(&sql)?;
        let mut rows = statement.query((id.0, limit))?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(Self::read(row)?);
        }
        Ok(all)
    }

    pub(super) fn find(
        database: &Connection,
        conversation: ConversationId,
        id: PostId,
    ) -> Result<Option<Self>, Trouble> {
        let sql = format!("SELECT {UNSENT} FROM outbox WHERE conversation = ?1 AND id = ?2");
        let mut statement = database.prepare_cached(&sql)?;
        let mut rows = statement.query((conversation.0, id.0))?;
        rows.next()?.map(Self::read).transpose()
    }

    fn read(row: &Row<'_>) -> Result<Self, Trouble> {
        let sealed: Option<Vec<u8>> = row.get(6)?;
        let sealed = match sealed {
            Some(sealed) => Some((Epoch { generation: row.get(4)?, number: number(row, 5)? }, sealed)),
            None => None,
        };
        Ok(Self {
            id: PostId(row.get(0)?),
            count: number(row, 1)?,
            at: UtcTime::from_nanos(row.get(2)?),
            content: content(&row.get::<_, Vec<u8>>(3)?)?,
            sealed,
        })
    }

    pub(super) fn add(&self, database: &Connection, conversation: ConversationId) -> Result<(), Trouble> {
        let sql = "INSERT INTO outbox (conversation, id, count, at, content) VALUES (?1, ?2, ?3, ?4, ?5)";
        let content = codec::encode(&self.content, CONTENT_BYTES_MAX).map_err(Trouble::value)?;
        let row = (conversation.0, self.id.0, whole(self.count), self.at.as_nanos(), content);
        database.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    pub(super) fn set_sealed(
        database: &Connection,
        id: PostId,
        epoch: Epoch,
        sealed: &[u8],
    ) -> Result<(), Trouble> {
        let sql = "UPDATE outbox SET generation = ?2, epoch = ?3, sealed = ?4 WHERE id = ?1";
        database.prepare_cached(sql)?.execute((id.0, epoch.generation, whole(epoch.number), sealed))?;
        Ok(())
    }

    pub(super) fn drop(database: &Connection, id: PostId) -> Result<(), Trouble> {
        database.prepare_cached("DELETE FROM outbox WHERE id = ?1")?.execute([id.0])?;
        Ok(())
    }

    /// Whether something waits that a listener has said, rather than a receipt.
    pub(super) fn is_any_shown(database: &Connection, conversation: ConversationId) -> Result<bool, Trouble> {
        let all = Self::all(database, conversation, u32::MAX)?;
        Ok(all.iter().any(|unsent| unsent.content.is_shown()))
    }

    /// How much waits to be sent in all conversations.
    pub(super) fn count(database: &Connection, conversation: ConversationId) -> Result<u32, Trouble> {
        let sql = "SELECT count(*) FROM outbox WHERE conversation = ?1";
        Ok(database.prepare_cached(sql)?.query_row([conversation.0], |row| row.get(0))?)
    }
}

/// The number of the last message of a device; none before the first.
pub(super) fn last_heard(
    database: &Connection,
    conversation: ConversationId,
    device: DeviceKey,
) -> Result<Option<u64>, Trouble> {
    let sql = "SELECT number FROM heard WHERE conversation = ?1 AND device = ?2";
    let mut statement = database.prepare_cached(sql)?;
    Ok(statement.query_row((conversation.0, device.0), |row| number(row, 0)).optional()?)
}

pub(super) fn set_heard(
    database: &Connection,
    conversation: ConversationId,
    device: DeviceKey,
    heard: u64,
) -> Result<(), Trouble> {
    let sql = "INSERT OR REPLACE INTO heard (conversation, device, number) VALUES (?1, ?2, ?3)";
    database.prepare_cached(sql)?.execute((conversation.0, device.0, whole(heard)))?;
    Ok(())
}

/// What each device said last in a conversation is not known any more.
pub(super) fn forget_heard(database: &Connection, conversation: ConversationId) -> Result<(), Trouble> {
    database.prepare_cached("DELETE FROM heard WHERE conversation = ?1")?.execute([conversation.0])?;
    Ok(())
}

pub(super) fn setting(database: &Connection, name: &str) -> Result<Option<i64>, Trouble> {
    let mut statement = database.prepare_cached("SELECT value FROM settings WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

pub(super) fn set_setting(database: &Connection, name: &str, value: i64) -> Result<(), Trouble> {
    let sql = "INSERT OR REPLACE INTO settings (name, value) VALUES (?1, ?2)";
    database.prepare_cached(sql)?.execute((name, value))?;
    Ok(())
}

pub(super) fn content(bytes: &[u8]) -> Result<Content, Trouble> {
    codec::decode(bytes).map_err(Trouble::value)
}

pub(super) fn number(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(index)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, number))
}

/// What is greater comes from a coordinator that makes things up, and names nothing that there is.
pub(super) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// More than any content.
pub(super) const CONTENT_BYTES_MAX: usize = 8 * 1024;
