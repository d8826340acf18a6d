//! The node's own database of conversations: keys, what was said, and what still has to be sent, in one SQLite file, so that
//! one transaction covers all three.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;

use super::Trouble;

/// The version of the tables.
const VERSION: i64 = 2;

const TABLES: &str = "
    CREATE TABLE mls (
        kind TEXT NOT NULL, owner BLOB NOT NULL, item BLOB NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (kind, owner, item)
    ) STRICT;
    CREATE TABLE conversations (
        id BLOB PRIMARY KEY, generation INTEGER NOT NULL, joined INTEGER NOT NULL, read INTEGER NOT NULL,
        acknowledged INTEGER NOT NULL, said INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE changes (
        conversation BLOB PRIMARY KEY, generation INTEGER NOT NULL, epoch INTEGER NOT NULL,
        made BLOB NOT NULL, welcome BLOB
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE outbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT, conversation BLOB NOT NULL, id BLOB NOT NULL UNIQUE,
        count INTEGER NOT NULL, at INTEGER NOT NULL, content BLOB NOT NULL,
        generation INTEGER, epoch INTEGER, sealed BLOB
    ) STRICT;
    CREATE INDEX outbox_of ON outbox (conversation, number);
    CREATE TABLE history (
        conversation BLOB NOT NULL, sequence INTEGER NOT NULL, id BLOB NOT NULL, account BLOB NOT NULL,
        device BLOB NOT NULL, at INTEGER NOT NULL, content BLOB NOT NULL,
        PRIMARY KEY (conversation, sequence), UNIQUE (conversation, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE heard (
        conversation BLOB NOT NULL, device BLOB NOT NULL, number INTEGER NOT NULL,
        PRIMARY KEY (conversation, device)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE settings (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

/// What version 2 changes: the history has an order of its own, because a coordinator whose data went back in time gives a
/// place in its log twice; and there is what stands beside messages. Whoever was written with before is no stranger.
const SECOND: &str = "
    ALTER TABLE history RENAME TO history_before;
    CREATE TABLE history (
        place INTEGER PRIMARY KEY AUTOINCREMENT, conversation BLOB NOT NULL, id BLOB NOT NULL, account BLOB NOT NULL,
        device BLOB NOT NULL, at INTEGER NOT NULL, content BLOB NOT NULL, UNIQUE (conversation, id)
    ) STRICT;
    INSERT INTO history (conversation, id, account, device, at, content)
        SELECT conversation, id, account, device, at, content FROM history_before ORDER BY conversation, sequence;
    DROP TABLE history_before;
    CREATE INDEX history_of ON history (conversation, place);
    CREATE TABLE reactions (
        conversation BLOB NOT NULL, post BLOB NOT NULL, account BLOB NOT NULL, reaction BLOB NOT NULL,
        PRIMARY KEY (conversation, post, account)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE marks (
        conversation BLOB NOT NULL, account BLOB NOT NULL, delivered INTEGER NOT NULL, read INTEGER NOT NULL,
        PRIMARY KEY (conversation, account)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE standing (
        conversation BLOB PRIMARY KEY, decision INTEGER NOT NULL, decided INTEGER NOT NULL, seen INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    INSERT INTO standing (conversation, decision, decided, seen)
        SELECT conversation, 1, 0, max(place) FROM history GROUP BY conversation;
";

/// Opens the database, and makes it where there is none. One that is damaged is put aside, and its new name given.
///
/// # Errors
/// [`Trouble`] where the file cannot be opened or put aside, or a newer version has written it.
pub(super) fn open(path: &Path) -> Result<(Connection, Option<PathBuf>), Trouble> {
    match try_open(path) {
        Ok(database) => Ok((database, None)),
        Err(Trouble::Damaged(_)) => {
            let aside = put_aside(path).map_err(|error| Trouble::Database(error.to_string()))?;
            Ok((try_open(path)?, Some(aside)))
        }
        Err(trouble) => Err(trouble),
    }
}

fn try_open(path: &Path) -> Result<Connection, Trouble> {
    // SQLite itself would let others read it; its other files take over the mode.
    let made = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    made.map_err(|error| Trouble::Database(format!("{}: {error}", path.display())))?;
    let database = Connection::open(path)?;
    database.busy_timeout(BUSY_TIMEOUT)?;
    database.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    database.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;
         PRAGMA secure_delete = ON;",
    )?;
    let sound: String = database.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(Trouble::Damaged(sound));
    }
    let missing = match database.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))? {
        0 => [TABLES, SECOND].concat(),
        1 => SECOND.to_owned(),
        VERSION => return Ok(database),
        actual => return Err(Trouble::Newer { actual, known: VERSION }),
    };
    database
        .execute_batch(&format!("BEGIN IMMEDIATE; {missing} PRAGMA user_version = {VERSION}; COMMIT;"))?;
    Ok(database)
}

/// Puts the database and the files that belong to it beside, and what was put there before stays as long as there is room.
pub(super) fn put_aside(path: &Path) -> io::Result<PathBuf> {
    let first = path.with_extension("damaged");
    let numbered = (2..=ASIDE_MAX).map(|number| path.with_extension(format!("damaged-{number}")));
    let free = std::iter::once(first.clone()).chain(numbered).find(|aside| !aside.exists());
    let aside = free.unwrap_or(first);
    for ending in ["", "-wal", "-shm"] {
        let with = |base: &Path| PathBuf::from(format!("{}{ending}", base.display()));
        match fs::rename(with(path), with(&aside)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(aside)
}

/// How many damaged databases are kept beside. Then the first one goes.
const ASIDE_MAX: u32 = 9;
/// Nobody else has it open, so a wait means a stuck disk.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements that are kept ready: more than there are.
const STATEMENTS_KEPT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_of_the_first_version_is_taken_over_in_its_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("messages.sqlite");
        let first = Connection::open(&path).expect("opens");
        first.execute_batch(&format!("{TABLES} PRAGMA user_version = 1;")).expect("made");
        for (sequence, id) in [(9, "c"), (2, "a"), (5, "b")] {
            let sql = "INSERT INTO history VALUES (x'01', ?1, CAST(?2 AS BLOB), x'02', x'03', 0, x'04')";
            first.execute(sql, (sequence, id)).expect("written");
        }
        drop(first);
        let (database, aside) = open(&path).expect("opens");
        assert_eq!(aside, None);
        let sql = "SELECT group_concat(CAST(id AS TEXT), '') FROM (SELECT id FROM history ORDER BY place)";
        let ids: String = database.query_row(sql, [], |row| row.get(0)).expect("read");
        assert_eq!(ids, "abc");
        let sql = "SELECT decision, seen FROM standing WHERE conversation = x'01'";
        let stands = database.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("read");
        assert_eq!(stands, (1, 3), "no request, and seen");
    }
}
