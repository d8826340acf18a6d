//! The rows of what was said: messages in this node's own order, and the reactions to them.

use jamsync_protocol::{
    chat::Reaction,
    conversation::{Content, ConversationId, PostId},
    id::{AccountId, DeviceKey},
    time::UtcTime,
    wire::codec,
};
use rusqlite::{Connection, OptionalExtension, Row};

use super::{
    Trouble,
    rows::{CONTENT_BYTES_MAX, content, number, whole},
};

/// The place of a message in this node's history: the order in which it was dealt with. Zero stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(pub(super) u64);

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) id: PostId,
    pub(super) account: AccountId,
    pub(super) device: DeviceKey,
    pub(super) at: UtcTime,
    pub(super) content: Content,
}

impl Heard {
    /// Adds it behind all others. What is very old goes.
    pub(super) fn add(&self, database: &Connection, conversation: ConversationId) -> Result<Place, Trouble> {
        let sql = "INSERT INTO history (conversation, id, account, device, at, content)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let content = codec::encode(&self.content, CONTENT_BYTES_MAX).map_err(Trouble::value)?;
        let row = (conversation.0, self.id.0, self.account.0, self.device.0, self.at.as_nanos(), content);
        database.prepare_cached(sql)?.execute(row)?;
        let place = u64::try_from(database.last_insert_rowid()).unwrap_or_default();
        if place.is_multiple_of(TRIM_EVERY) {
            trim(database, conversation, HISTORY_MAX)?;
        }
        Ok(Place(place))
    }

    pub(super) fn is_known(
        database: &Connection,
        conversation: ConversationId,
        id: PostId,
    ) -> Result<bool, Trouble> {
        let sql = "SELECT 1 FROM history WHERE conversation = ?1 AND id = ?2";
        Ok(database.prepare_cached(sql)?.exists((conversation.0, id.0))?)
    }

    /// The last `limit` with their places, oldest first.
    pub(super) fn last(
        database: &Connection,
        conversation: ConversationId,
        limit: u32,
    ) -> Result<Vec<(Place, Self)>, Trouble> {
        let sql = "SELECT place, id, account, device, at, content FROM history
             WHERE conversation = ?1 ORDER BY place DESC LIMIT ?2";
        let mut statement = database.prepare_cached(sql)?;
        let mut rows = statement.query((conversation.0, limit))?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(Self::read(row)?);
        }
        all.reverse();
        Ok(all)
    }

    /// Those whose names begin with these lower-case hexadecimal digits, at most `limit`.
    pub(super) fn named(
        database: &Connection,
        conversation: ConversationId,
        digits: &str,
        limit: u32,
    ) -> Result<Vec<(Place, Self)>, Trouble> {
        let sql = "SELECT place, id, account, device, at, content FROM history
             WHERE conversation = ?1 AND substr(lower(hex(id)), 1, length(?2)) = ?2 ORDER BY place DESC LIMIT ?3";
        let mut statement = database.prepare_cached(sql)?;
        let mut rows = statement.query((conversation.0, digits, limit))?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(Self::read(row)?);
        }
        Ok(all)
    }

    fn read(row: &Row<'_>) -> Result<(Place, Self), Trouble> {
        let heard = Self {
            id: PostId(row.get(1)?),
            account: AccountId(row.get(2)?),
            device: DeviceKey(row.get(3)?),
            at: UtcTime::from_nanos(row.get(4)?),
            content: content(&row.get::<_, Vec<u8>>(5)?)?,
        };
        Ok((Place(number(row, 0)?), heard))
    }
}

/// Where a message of somebody else than `account` stands.
pub(super) fn place_of_others(
    database: &Connection,
    conversation: ConversationId,
    id: PostId,
    account: AccountId,
) -> Result<Option<Place>, Trouble> {
    let sql = "SELECT place FROM history WHERE conversation = ?1 AND id = ?2 AND account <> ?3";
    let mut statement = database.prepare_cached(sql)?;
    let found = statement.query_row((conversation.0, id.0, account.0), |row| number(row, 0));
    Ok(found.optional()?.map(Place))
}

/// The newest message of anybody else than `account`, no newer than `upto`.
pub(super) fn newest_of_others(
    database: &Connection,
    conversation: ConversationId,
    account: AccountId,
    upto: Place,
) -> Result<Option<(Place, PostId)>, Trouble> {
    let sql = "SELECT place, id FROM history
         WHERE conversation = ?1 AND account <> ?2 AND place <= ?3 ORDER BY place DESC LIMIT 1";
    let mut statement = database.prepare_cached(sql)?;
    let found = statement.query_row((conversation.0, account.0, whole(upto.0)), |row| {
        Ok((Place(number(row, 0)?), PostId(row.get(1)?)))
    });
    Ok(found.optional()?)
}

/// How many messages of others than `account` stand behind `after`, at most [`COUNTED_MAX`].
pub(super) fn count_of_others(
    database: &Connection,
    conversation: ConversationId,
    account: AccountId,
    after: Place,
) -> Result<u32, Trouble> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM history
         WHERE conversation = ?1 AND account <> ?2 AND place > ?3 LIMIT ?4)";
    let mut statement = database.prepare_cached(sql)?;
    Ok(statement.query_row((conversation.0, account.0, whole(after.0), COUNTED_MAX), |row| row.get(0))?)
}

/// Forgets what was said in a conversation.
pub(super) fn forget(database: &Connection, conversation: ConversationId) -> Result<(), Trouble> {
    for sql in
        ["DELETE FROM history WHERE conversation = ?1", "DELETE FROM reactions WHERE conversation = ?1"]
    {
        database.prepare_cached(sql)?.execute([conversation.0])?;
    }
    Ok(())
}

/// Keeps the newest `kept` messages of a conversation, and the reactions to them.
fn trim(database: &Connection, conversation: ConversationId, kept: u32) -> Result<(), Trouble> {
    let sql = "DELETE FROM history WHERE conversation = ?1 AND place <= (SELECT place FROM history
         WHERE conversation = ?1 ORDER BY place DESC LIMIT 1 OFFSET ?2)";
    let gone = database.prepare_cached(sql)?.execute((conversation.0, kept))?;
    if gone > 0 {
        let sql = "DELETE FROM reactions WHERE conversation = ?1
             AND post NOT IN (SELECT id FROM history WHERE conversation = ?1)";
        database.prepare_cached(sql)?.execute([conversation.0])?;
    }
    Ok(())
}

/// Notes how an account stands to a message.
pub(super) fn set_reaction(
    database: &Connection,
    conversation: ConversationId,
    to: PostId,
    by: AccountId,
    reaction: Option<Reaction>,
) -> Result<(), Trouble> {
    let Some(reaction) = reaction else {
        let sql = "DELETE FROM reactions WHERE conversation = ?1 AND post = ?2 AND account = ?3";
        database.prepare_cached(sql)?.execute((conversation.0, to.0, by.0))?;
        return Ok(());
    };
    let reaction = codec::encode(&reaction, CONTENT_BYTES_MAX).map_err(Trouble::value)?;
    let sql =
        "INSERT OR REPLACE INTO reactions (conversation, post, account, reaction) VALUES (?1, ?2, ?3, ?4)";
    database.prepare_cached(sql)?.execute((conversation.0, to.0, by.0, reaction))?;
    Ok(())
}

/// How accounts stand to a message, in the order of their ids.
pub(super) fn reactions(
    database: &Connection,
    conversation: ConversationId,
    to: PostId,
) -> Result<Vec<(AccountId, Reaction)>, Trouble> {
    let sql =
        "SELECT account, reaction FROM reactions WHERE conversation = ?1 AND post = ?2 ORDER BY account";
    let mut statement = database.prepare_cached(sql)?;
    let mut rows = statement.query((conversation.0, to.0))?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let reaction = codec::decode(&row.get::<_, Vec<u8>>(1)?).map_err(Trouble::value)?;
        all.push((AccountId(row.get(0)?), reaction));
    }
    Ok(all)
}

/// How many messages of a conversation are kept. Count, default 100,000: fewer forget what a listener may look for, more let
/// a contact who writes a message each second fill the disk.
const HISTORY_MAX: u32 = 100_000;
/// How often it is looked whether there are more: finding the oldest takes as long as a thousand messages.
const TRIM_EVERY: u64 = 512;
/// More unread messages are not counted.
const COUNTED_MAX: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::{super::database, *};

    const TALK: ConversationId = ConversationId([1; 32]);
    const ANA: AccountId = AccountId([2; 32]);

    #[test]
    fn what_is_very_old_goes_with_the_reactions_to_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (database, _) = database::open(&folder.path().join("messages.sqlite")).expect("opens");
        let id = |number: u8| PostId([number; 16]);
        for number in 1..=5 {
            let content = Content::Text("hello".parse().expect("may be said"));
            let (id, device) = (id(number), DeviceKey([3; 32]));
            let heard = Heard { id, account: ANA, device, at: UtcTime::ZERO, content };
            assert_eq!(heard.add(&database, TALK).expect("added"), Place(number.into()));
            set_reaction(&database, TALK, id, ANA, Some(Reaction::Fire)).expect("noted");
        }
        trim(&database, TALK, 2).expect("trimmed");
        let left = Heard::last(&database, TALK, 10).expect("read");
        assert_eq!(left.iter().map(|(place, _)| place.0).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(reactions(&database, TALK, id(3)).expect("read"), []);
        assert_eq!(reactions(&database, TALK, id(4)).expect("read"), [(ANA, Reaction::Fire)]);
        forget(&database, TALK).expect("forgotten");
        assert_eq!(Heard::last(&database, TALK, 10).expect("read"), []);
        assert_eq!(reactions(&database, TALK, id(4)).expect("read"), []);
    }
}
