//! How a listener stands to a conversation: whether whoever writes was let in, and how far each side has come with what the
//! other said.

use jamsync_protocol::{conversation::ConversationId, id::AccountId, time::UtcTime};
use rusqlite::{Connection, OptionalExtension};

use super::{
    Trouble,
    history::Place,
    rows::{number, set_setting, setting, whole},
};

/// What a listener has decided about a contact who writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing yet: what comes is a request, and nobody learns whether it came.
    #[default]
    Open,
    /// The two write to each other.
    Accepted,
    /// What comes is left out, and nobody learns that.
    Declined,
}

/// How this account stands to a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) decision: Decision,
    /// When that was decided, by the calendar of the device that did.
    pub(super) decided: UtcTime,
    /// Up to where its listener has seen what others said.
    pub(super) seen: Place,
}

/// How far an account has come with what others said, as its receipts tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) delivered: Place,
    pub(super) read: Place,
}

impl Decision {
    const fn number(self) -> i64 {
        match self {
            Self::Open => 0,
            Self::Accepted => 1,
            Self::Declined => 2,
        }
    }

    fn of(number: i64) -> Result<Self, Trouble> {
        match number {
            0 => Ok(Self::Open),
            1 => Ok(Self::Accepted),
            2 => Ok(Self::Declined),
            other => Err(Trouble::Damaged(format!("no decision has the number {other}"))),
        }
    }
}

impl Standing {
    pub(super) fn load(database: &Connection, id: ConversationId) -> Result<Self, Trouble> {
        let sql = "SELECT decision, decided, seen FROM standing WHERE conversation = ?1";
        let found = database
            .prepare_cached(sql)?
            .query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?, number(row, 2)?)))
            .optional()?;
        let (decision, decided, seen) = found.unwrap_or_default();
        let (decision, decided) = (Decision::of(decision)?, UtcTime::from_nanos(decided));
        Ok(Self { decision, decided, seen: Place(seen) })
    }

    pub(super) fn save(&self, database: &Connection, id: ConversationId) -> Result<(), Trouble> {
        let sql =
            "INSERT OR REPLACE INTO standing (conversation, decision, decided, seen) VALUES (?1, ?2, ?3, ?4)";
        let row = (id.0, self.decision.number(), self.decided.as_nanos(), whole(self.seen.0));
        database.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    /// The account has written or said yes, on whichever device: the two write to each other from now on.
    pub(super) fn accept(database: &Connection, id: ConversationId, at: UtcTime) -> Result<(), Trouble> {
        let standing = Self::load(database, id)?;
        if standing.decision == Decision::Accepted {
            return Ok(());
        }
        Self { decision: Decision::Accepted, decided: at, ..standing }.save(database, id)
    }
}

impl Mark {
    pub(super) fn load(
        database: &Connection,
        id: ConversationId,
        account: AccountId,
    ) -> Result<Self, Trouble> {
        let sql = "SELECT delivered, read FROM marks WHERE conversation = ?1 AND account = ?2";
        let mut statement = database.prepare_cached(sql)?;
        let found = statement.query_row((id.0, account.0), |row| {
            Ok(Self { delivered: Place(number(row, 0)?), read: Place(number(row, 1)?) })
        });
        Ok(found.optional()?.unwrap_or_default())
    }

    pub(super) fn save(
        self,
        database: &Connection,
        id: ConversationId,
        account: AccountId,
    ) -> Result<(), Trouble> {
        let sql =
            "INSERT OR REPLACE INTO marks (conversation, account, delivered, read) VALUES (?1, ?2, ?3, ?4)";
        let row = (id.0, account.0, whole(self.delivered.0), whole(self.read.0));
        database.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }
}

/// Whether the listener lets others know what was read, and so sees what others have read.
pub(super) fn tells_reading(database: &Connection) -> Result<bool, Trouble> {
    Ok(setting(database, READ_RECEIPTS)? != Some(0))
}

pub(super) fn set_tells_reading(database: &Connection, tells: bool) -> Result<(), Trouble> {
    set_setting(database, READ_RECEIPTS, i64::from(tells))
}

const READ_RECEIPTS: &str = "read_receipts";
