//! The store in one SQLite file: write-ahead log, `synchronous=FULL`, one writer with group commit, readers
//! apart.

use std::{
    cell::Cell,
    fmt,
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use rusqlite::{CachedStatement, Connection, OpenFlags};
use tokio::sync::Semaphore;

use crate::metrics::StoreMetrics;

use super::{Store, StoreError, Tables, View, rows::db, schema, writer::Writer};

mod changes;
mod conversations;
mod held;
mod looks;

/// The store in one SQLite file.
#[derive(Clone)]
pub struct SqliteStore {
    // Dropped first: the writer, as the last to close the file, folds the log into it.
    readers: Arc<Readers>,
    writer: Writer,
    /// The data version that the writer saw last.
    seen: Arc<AtomicI64>,
}

/// The rows of one connection, inside a transaction.
pub(super) struct Rows<'a> {
    connection: &'a Connection,
    statements: Cell<u32>,
}

impl<'a> Rows<'a> {
    pub(super) const fn of(connection: &'a Connection) -> Self {
        Self { connection, statements: Cell::new(0) }
    }

    fn prepare(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.statements.set(self.statements.get() + 1);
        self.connection.prepare_cached(sql)
    }

    /// A number that stays as it is while nobody but this connection commits.
    pub(super) fn data_version(&self) -> Result<i64, StoreError> {
        data_version(self.connection)
    }
}

impl SqliteStore {
    /// Opens the file, makes it if there is none, and brings it to the newest version. Of two that make or change it
    /// at once, one may fail.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, true, FOLD_AFTER_PAGES)
    }

    /// As [`open`](Self::open), folded after so many pages, and without a single sync where it is not `synced`: for the
    /// tests that show what those settings are worth, and for nothing else.
    ///
    /// # Errors
    /// [`StoreError`].
    #[doc(hidden)]
    pub fn open_with(path: &Path, synced: bool, fold_after_pages: u32) -> Result<Self, StoreError> {
        // SQLite itself would let others read it; its other files take over the mode.
        let created = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
        created.map_err(|error| StoreError::Database(error.to_string()))?;
        let mut connection = Connection::open(path).map_err(db)?;
        set_up(&connection)?;
        let synchronous = if synced { "FULL" } else { "OFF" };
        let durable =
            format!("PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = {fold_after_pages};");
        connection.execute_batch(&durable).map_err(db)?;
        schema::migrate(&mut connection)?;
        let (turns, idle) = (Semaphore::new(READERS_MAX), Mutex::new(Vec::new()));
        let readers = Readers { path: path.to_owned(), turns, idle };
        let seen = Arc::new(AtomicI64::new(data_version(&connection)?));
        Ok(Self { writer: Writer::start(connection)?, readers: Arc::new(readers), seen })
    }

    /// What the store counts.
    #[must_use]
    pub fn metrics(&self) -> Arc<StoreMetrics> {
        self.writer.metrics()
    }
}

impl Store for SqliteStore {
    async fn write<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        change: impl FnOnce(&mut dyn Tables) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.writer.write(change).await
    }

    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&dyn View) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = Arc::clone(&self.readers);
        let _turn = self.readers.turns.acquire().await.map_err(|_| StoreError::Closed)?;
        tokio::task::spawn_blocking(move || readers.read(look)).await.map_err(|_| StoreError::Closed)?
    }

    fn is_writable(&self) -> bool {
        !self.writer.metrics().failing.is_on()
    }

    async fn changed_by_others(&self) -> Result<bool, StoreError> {
        let now = self.writer.data_version().await?;
        Ok(self.seen.swap(now, Ordering::Relaxed) != now)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.readers.path).finish_non_exhaustive()
    }
}

/// Read-only connections, opened as many as are needed at once, and a few kept.
struct Readers {
    path: PathBuf,
    /// Who reads. Others wait without a thread and without a connection.
    turns: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn read<T>(&self, look: impl FnOnce(&dyn View) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match kept {
            Some(connection) => connection,
            None => {
                let connection = Connection::open_with_flags(
                    &self.path,
                    OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
                )
                .map_err(db)?;
                connection.busy_timeout(BUSY_TIMEOUT).map_err(db)?;
                connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
                connection
            }
        };
        // One transaction, so that everything seen is of one moment.
        let transaction = connection.unchecked_transaction().map_err(db)?;
        let outcome = look(&Rows::of(&transaction));
        drop(transaction);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_READERS_MAX {
            idle.push(connection);
        }
        outcome
    }
}

fn data_version(connection: &Connection) -> Result<i64, StoreError> {
    connection.pragma_query_value(None, "data_version", |row| row.get(0)).map_err(db)
}

fn set_up(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY_TIMEOUT).map_err(db)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;
             PRAGMA secure_delete = FAST;
             PRAGMA cache_size = -{WRITER_CACHE_KIB};"
        ))
        .map_err(db)
}

/// After how many pages of 4 KiB the log is folded into the file. Count, default 8,000 (32 MiB): a commit of many writes
/// touches a thousand pages, because keys are random, and folding syncs twice; more makes the start after a crash longer.
const FOLD_AFTER_PAGES: u32 = 8_000;
/// Pages that the writer keeps in memory. KiB, default 32 MiB: less reads a page again for every write, more is of no use
/// to a few thousand friends.
const WRITER_CACHE_KIB: u32 = 32 * 1024;
/// Statements that a connection keeps ready. Count, default 128, more than there are: fewer are read anew each time, which
/// takes longer than to run one; each takes a few KiB.
const STATEMENTS_KEPT: usize = 128;
/// How long to wait for another process that writes, such as `join-code` beside a server. Milliseconds; a
/// transaction takes a few, so seconds mean a stuck disk.
pub(super) const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_millis(5_000);
/// Reads at once. Count, 1 and up, default 16: fewer wait for a slow disk one after the other, more let a flood of
/// questions hold a thread and a connection each.
const READERS_MAX: usize = 16;
/// Readers that are kept while nobody reads. Each holds about 100 KiB; fewer than read at once are opened again and again, and
/// parse the schema and every statement each time.
const IDLE_READERS_MAX: usize = READERS_MAX;

#[cfg(test)]
mod tests {
    use jamsync_protocol::time::UtcTime;

    use super::*;
    use crate::store::{JoinPermit, fixture::person};

    #[tokio::test]
    async fn the_name_of_an_erased_account_is_not_in_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("db");
        let holds = |name: &str| {
            let bytes = std::fs::read(&path).expect("reads");
            bytes.windows(name.len()).any(|part| part == name.as_bytes())
        };
        for (erased, there) in [(false, true), (true, false)] {
            let store = SqliteStore::open(&path).expect("opens");
            let change = move |tables: &mut dyn Tables| {
                if erased {
                    return tables.erase_account(person(71).0.id);
                }
                [71, 72].iter().try_for_each(|one| tables.insert_account(&person(*one).0))
            };
            store.write(change).await.expect("written");
            // The last to close the file folds the log into it.
            drop(store);
            while folder.path().join("db-wal").exists() {
                tokio::task::yield_now().await;
            }
            assert!(holds("person72"), "the file is what is looked at");
            assert_eq!(holds("person71"), there, "erased: {erased}");
        }
    }

    #[tokio::test]
    async fn what_another_process_commits_is_noticed_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || SqliteStore::open(&folder.path().join("db")).expect("opens");
        let (store, other) = (open(), open());
        let permit = |number| JoinPermit { fingerprint: [number; 32], uses_left: 1, expires: UtcTime::ZERO };
        let write = async |store: &SqliteStore, number| {
            store.write(move |tables| tables.put_join_permit(permit(number))).await.expect("written");
        };
        // What the other did before this one was asked counts or not; from here on it is known.
        write(&other, 1).await;
        store.changed_by_others().await.expect("asked");
        for number in 2..5 {
            assert!(!store.changed_by_others().await.expect("asked"));
            write(&other, number).await;
            write(&store, 10 + number).await;
            assert!(store.changed_by_others().await.expect("asked"), "{number}");
        }
        assert!(!store.changed_by_others().await.expect("asked"));
    }
}
