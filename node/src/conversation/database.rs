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
const VERSION: i64 = 1;

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
    match database.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))? {
        0 => {
            let made = format!("BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;");
            database.execute_batch(&made)?;
            Ok(database)
        }
        VERSION => Ok(database),
        actual => Err(Trouble::Newer { actual, known: VERSION }),
    }
}

/// Puts the database and the files that belong to it beside.
fn put_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = path.with_extension("damaged");
    for ending in ["", "-wal", "-shm"] {
        let with = |base: &Path| PathBuf::from(format!("{}{ending}", base.display()));
        match fs::rename(with(path), with(&aside)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(aside)
}

/// Nobody else has it open, so a wait means a stuck disk.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements that are kept ready: more than there are.
const STATEMENTS_KEPT: usize = 64;
