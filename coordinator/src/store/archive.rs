//! Copies of a database file, and whether one is sound. It works on files that a server may have open, and changes
//! none but where it says so.

use std::path::Path;

use jamsync_protocol::{
    id::Handle,
    wire::coord::{CoordEvent, CoordReply},
};
use rusqlite::{Connection, OpenFlags};

use super::{
    StoreError, View,
    rows::{self, column, db},
    schema,
    sqlite::{BUSY_TIMEOUT, Rows},
};

/// What a sound database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Its version.
    pub schema: i64,
    /// Rows of each kind.
    pub accounts: u64,
    /// Devices of all accounts.
    pub devices: u64,
    /// Pairs of accounts, counted once for each side.
    pub contacts: u64,
    /// Events that wait for their devices.
    pub events: u64,
}

/// The version of a database that nothing has changed yet.
pub(crate) fn version(path: &Path) -> Result<i64, StoreError> {
    schema::version(&open(path)?)
}

/// Writes the database `from`, as it is at one moment, to `to`, which must not exist or be empty. The caller syncs.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let connection = open(from)?;
    known(&connection)?;
    connection.execute("VACUUM INTO ?1", [to.to_string_lossy()]).map_err(db)?;
    Ok(())
}

/// The version that this program writes.
pub(crate) const fn newest() -> i64 {
    schema::VERSION
}

/// Reads every row.
///
/// # Errors
/// What is not as this program wrote it.
pub(crate) fn verify(path: &Path) -> Result<Contents, StoreError> {
    let connection = open(path)?;
    let version = known(&connection)?;
    // One transaction, so that everything seen is of one moment.
    let transaction = connection.unchecked_transaction().map_err(db)?;
    let verdict: String =
        transaction.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(db)?;
    if verdict != "ok" {
        return Err(StoreError::Database(verdict));
    }
    let mut lost = transaction.prepare("PRAGMA foreign_key_check").map_err(db)?;
    if lost.exists([]).map_err(db)? {
        return Err(StoreError::Corrupt("reference between tables"));
    }
    drop(lost);
    if version == schema::VERSION {
        values(&transaction)?;
    }
    let count = |table: &str| -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM {table}");
        let count: i64 = transaction.query_row(&sql, [], |row| row.get(0)).map_err(db)?;
        u64::try_from(count).map_err(|_| StoreError::Corrupt("table"))
    };
    Ok(Contents {
        schema: version,
        accounts: count("accounts")?,
        devices: count("devices")?,
        contacts: count("contacts")?,
        events: count("events")?,
    })
}

/// Lets the next event of every device have a number far above all that were given out.
pub(crate) fn leave_room_in_event_numbers(path: &Path) -> Result<(), StoreError> {
    let connection = Connection::open(path).map_err(db)?;
    connection
        .execute("UPDATE devices SET last_event = last_event + ?1", [EVENT_NUMBERS_LEFT])
        .map_err(db)?;
    Ok(())
}

/// Decodes what the columns hold.
fn values(connection: &Connection) -> Result<(), StoreError> {
    let rows = Rows::of(connection);
    let mut after: Option<Handle> = None;
    loop {
        let page = rows.accounts_after(after.as_ref(), PAGE)?;
        for account in &page {
            let log = account.log.verify().map_err(|_| StoreError::Corrupt("device log"))?;
            if log.account() != account.id {
                return Err(StoreError::Corrupt("device log"));
            }
        }
        let Some(last) = page.last() else { break };
        after = Some(last.handle.clone());
    }
    each(connection, "SELECT body FROM events", |bytes| rows::value::<CoordEvent>(bytes, "event").map(drop))?;
    each(connection, "SELECT reply FROM receipts", |bytes| {
        rows::value::<CoordReply>(bytes, "receipt").map(drop)
    })
}

fn each(
    connection: &Connection,
    sql: &str,
    read: impl Fn(&[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare(sql).map_err(db)?;
    let mut found = statement.query([]).map_err(db)?;
    while let Some(row) = found.next().map_err(db)? {
        read(&column::<Vec<u8>>(row, 0)?)?;
    }
    Ok(())
}

fn known(connection: &Connection) -> Result<i64, StoreError> {
    match schema::version(connection)? {
        actual if actual > schema::VERSION => Err(StoreError::Newer { actual, known: schema::VERSION }),
        0 => Err(StoreError::Corrupt("version, so it is no coordinator's database")),
        actual => Ok(actual),
    }
}

fn open(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(db)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(db)?;
    Ok(connection)
}

/// Accounts read at once.
const PAGE: u32 = 200;
/// More events than a device gets in a thousand years of one a second.
const EVENT_NUMBERS_LEFT: i64 = 1 << 35;
