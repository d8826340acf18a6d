//! The one writer: a thread that runs the transactions which are waiting together and syncs once for all of
//! them, because the sync is what costs (about 3 ms on a common disk, however much was written).
//!
//! Each change stands in a savepoint of its own: one that fails, or that a rule refuses half-way, leaves nothing behind and
//! takes nothing of the others with it. A caller hears of either only after the common commit has returned, because what a
//! refusal has seen may have been written by a neighbour.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::Instant,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{StoreError, Tables, rows::db, sqlite::Rows};
use crate::metrics::StoreMetrics;

/// A handle on the writer. When the last is dropped, what waits is written and the thread ends.
#[derive(Clone)]
pub(super) struct Writer {
    queue: Arc<Queue>,
}

/// The waiting changes, and the thread that does them.
struct Queue {
    sender: Option<SyncSender<Change>>,
    metrics: Arc<StoreMetrics>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Does its work, and returns whether to keep it and what tells the caller of the commit's outcome, where that matters.
/// Without rows, where no transaction could begin, it only passes the error on.
type Change = Box<dyn FnOnce(Result<Rows<'_>, StoreError>) -> (bool, Option<Report>) + Send>;
type Report = Box<dyn FnOnce(Result<(), StoreError>)>;

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self, StoreError> {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let metrics = Arc::<StoreMetrics>::default();
        let noted = Arc::clone(&metrics);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || {
                let _ended = Ended(Arc::clone(&noted));
                run(&connection, &receiver, &noted);
            })
            .map_err(|error| StoreError::Database(error.to_string()))?;
        let queue = Queue { sender: Some(sender), metrics, thread: Mutex::new(Some(thread)) };
        Ok(Self { queue: Arc::new(queue) })
    }

    pub(super) async fn write<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        change: impl FnOnce(&mut dyn Tables) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let (answer, answered) = oneshot::channel();
        let change: Change = Box::new(move |rows| {
            let outcome = rows.map_err(E::from).and_then(|mut rows| change(&mut rows));
            let keep = outcome.is_ok();
            let report: Report = Box::new(move |committed| {
                // A caller that went away does not need the answer.
                drop(answer.send(committed.map_err(E::from).and(outcome)));
            });
            (keep, Some(report))
        });
        let _waiting = self.queue.metrics.waiting.hold();
        self.enqueue(change)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// The writer's own view of the data version. It writes nothing, and so waits for no disk.
    pub(super) async fn data_version(&self) -> Result<i64, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.enqueue(Box::new(move |rows| {
            drop(answer.send(rows.and_then(|rows| rows.data_version())));
            (false, None)
        }))?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    fn enqueue(&self, change: Change) -> Result<(), StoreError> {
        let sender = self.queue.sender.as_ref().ok_or(StoreError::Closed)?;
        sender.try_send(change).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Closed,
        })
    }

    pub(super) fn metrics(&self) -> Arc<StoreMetrics> {
        Arc::clone(&self.queue.metrics)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.sender = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A writer that panicked has nothing more to write.
            drop(thread.join());
        }
    }
}

/// Says that nothing is written any more, however the thread has come to its end.
struct Ended(Arc<StoreMetrics>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.failing.set(true);
        if std::thread::panicking() {
            tracing::error!("the writer has ended; nothing can be written until the server is started anew");
        }
    }
}

fn run(connection: &Connection, waiting: &Receiver<Change>, metrics: &StoreMetrics) {
    while let Ok(first) = waiting.recv() {
        let mut reports = Vec::new();
        let together = std::iter::once(first).chain(waiting.try_iter().take(TOGETHER_MAX - 1));
        let (started, mut wrote) = (Instant::now(), false);
        let committed = commit_all(connection, together, &mut reports, &mut wrote);
        if reports.is_empty() {
            continue;
        }
        metrics.commits.note(started.elapsed());
        let writes = u64::try_from(reports.len()).unwrap_or(u64::MAX);
        let counter = if committed.is_ok() { &metrics.writes } else { &metrics.writes_failed };
        counter.add(writes);
        // A transaction that changes nothing needs no disk, and so says nothing about it.
        if committed.is_err() || wrote {
            tell(&committed, metrics);
        }
        for report in reports {
            report(committed.clone());
        }
    }
}

/// Says once when writing begins to fail, and once when it works again.
fn tell(committed: &Result<(), StoreError>, metrics: &StoreMetrics) {
    let changed = metrics.failing.set(committed.is_err());
    match committed {
        Err(error) if changed => tracing::error!(%error, "nothing can be written until this is over"),
        Ok(()) if changed => tracing::warn!("writing works again"),
        Ok(()) | Err(_) => {}
    }
}

/// Runs `changes` in one transaction, collects the reports of those that went through, and notes whether anything of them is
/// there to be written.
fn commit_all(
    connection: &Connection,
    changes: impl Iterator<Item = Change>,
    reports: &mut Vec<Report>,
    wrote: &mut bool,
) -> Result<(), StoreError> {
    let mut begun = connection.execute_batch("BEGIN IMMEDIATE").map_err(db);
    for change in changes {
        let opened = begun.clone().and_then(|()| run_statement(connection, "SAVEPOINT change"));
        let (usable, before) = (opened.is_ok(), connection.total_changes());
        let (keep, report) = change(opened.map(|()| Rows::of(connection)));
        *wrote |= keep && connection.total_changes() != before;
        let taken_back =
            if usable && !keep { run_statement(connection, "ROLLBACK TO change") } else { Ok(()) };
        let released = if usable { run_statement(connection, "RELEASE change") } else { Ok(()) };
        let ended = taken_back.and(released);
        if begun.is_ok() && connection.is_autocommit() {
            // SQLite took the whole transaction back by itself, as it does on a full disk. What follows must not be
            // committed one by one.
            begun = Err(ended.clone().err().unwrap_or(StoreError::Full));
        }
        match (ended, report) {
            (Ok(()), Some(report)) => reports.push(report),
            (Err(error), Some(report)) => report(Err(error)),
            (_, None) => {}
        }
    }
    let committed = begun.and_then(|()| connection.execute_batch("COMMIT").map_err(db));
    if committed.is_err() && !connection.is_autocommit() {
        drop(connection.execute_batch("ROLLBACK"));
    }
    committed
}

/// Runs one statement that is read only once.
fn run_statement(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map(drop).map_err(db)
}

/// How many changes one sync covers at most. Count, 1 and up, default 256: fewer waste syncs, more make the
/// first of them wait.
const TOGETHER_MAX: usize = 256;
/// How many changes may wait. Count, default 4,096: fewer refuse in a burst, more only lengthen the wait.
const WAITING_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use jamsync_protocol::{time::UtcTime, wire::coord::Refusal};

    use super::*;
    use crate::{
        rules::Stop,
        store::{JoinPermit, SqliteStore, Store},
    };

    fn permit(number: u8) -> JoinPermit {
        JoinPermit { fingerprint: [number; 32], uses_left: 1, expires: UtcTime::from_nanos(9) }
    }

    #[tokio::test]
    async fn what_is_refused_half_way_leaves_nothing_and_takes_nothing_of_its_neighbours_with_it() {
        const CHANGES: u8 = 64;
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("db")).expect("opens");
        let mut changes = tokio::task::JoinSet::new();
        // The writer is held until all of them wait, so that they stand in one commit.
        let (go, released) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = oneshot::channel();
        let holding = store.clone();
        changes.spawn(async move {
            let hold = move |_: &mut dyn Tables| {
                begin.send(()).expect("the test waits");
                released.recv().map_err(|_| StoreError::Closed)
            };
            holding.write(hold).await.expect("nothing went wrong");
        });
        begun.await.expect("the writer begins");
        for number in 0..CHANGES {
            let store = store.clone();
            changes.spawn(async move {
                let outcome =
                    store.write(move |tables| {
                        tables.put_join_permit(permit(number))?;
                        tables.set_public_addresses(&[number.to_string()])?;
                        // A neighbour in the same commit has been refused before, and its rows are not seen.
                        let refused = number.checked_sub(1).map(permit).filter(|_| number % 2 == 0);
                        assert!(refused.is_none_or(|refused| matches!(
                            tables.join_permit(refused.fingerprint),
                            Ok(None)
                        )));
                        if number % 2 == 1 { Err(Stop::from(Refusal::UnknownLink)) } else { Ok(()) }
                    });
                let refused = matches!(outcome.await, Err(Stop::Refused(Refusal::UnknownLink)));
                assert_eq!(refused, number % 2 == 1);
            });
        }
        while store.metrics().waiting.now() < i64::from(CHANGES) + 1 {
            tokio::task::yield_now().await;
        }
        go.send(()).expect("the writer waits");
        while let Some(done) = changes.join_next().await {
            done.expect("as it should be");
        }
        let mut page = crate::metrics::Page::default();
        store.metrics().describe(&mut page);
        assert!(page.0.contains("commit_seconds_count 1\n"), "one commit for all:\n{}", page.0);
        for number in 0..CHANGES {
            let found = store.read(move |view| view.join_permit(permit(number).fingerprint)).await;
            assert_eq!(found.expect("reads"), (number % 2 == 0).then(|| permit(number)));
        }
        let addresses = store.read(|view| view.public_addresses()).await.expect("reads");
        assert_eq!(addresses, [(CHANGES - 2).to_string()]);
    }
}
