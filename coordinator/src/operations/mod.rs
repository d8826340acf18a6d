//! Health and metrics for the operator's own machine: `/livez`, `/readyz` and `/metrics` over HTTP on a loopback
//! address. It tells how many and how long, never who, and takes no orders.
//!
//! Alive means that the program answers. Ready means that it takes writes: it is not where the last commit failed, as
//! on a full disk, and not while it shuts down.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Instant};

use tokio::{net::TcpListener, task::JoinHandle};

mod http;

use crate::metrics::{Page, ServerMetrics, StoreMetrics};

/// What is told.
#[derive(Debug)]
pub struct Facts {
    /// Of the server.
    pub server: Arc<ServerMetrics>,
    /// Of the store.
    pub store: Arc<StoreMetrics>,
    /// The data folder, for the room that is left.
    pub data: PathBuf,
    /// When the program started.
    pub started: Instant,
}

/// The page's server. It ends when this is dropped.
#[derive(Debug)]
pub struct Operations {
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// Why health and metrics cannot be served.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot serve health and metrics on {address} (TCP): {reason}; choose another address with --operations, or `off`"
)]
pub struct OperationsError {
    address: SocketAddr,
    reason: String,
}

impl Operations {
    /// Listens on `address` and answers until it is dropped.
    ///
    /// # Errors
    /// [`OperationsError`] where the address cannot be had.
    pub async fn start(address: SocketAddr, facts: Facts) -> Result<Self, OperationsError> {
        let failed = |error: std::io::Error| OperationsError { address, reason: error.to_string() };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let facts = Arc::new(facts);
        let task = tokio::spawn(http::serve(listener, move |path| facts.answer(path)));
        Ok(Self { address, task })
    }

    /// The address that is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Operations {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Facts {
    fn answer(&self, path: &str) -> http::Answer {
        match path {
            "/livez" => http::Answer::ok("alive\n"),
            "/readyz" if self.server.draining.is_on() => http::Answer::unavailable("shutting down\n"),
            "/readyz" if self.store.failing.is_on() => {
                http::Answer::unavailable("writes fail: make room on the disk, or see the log\n")
            }
            "/readyz" => http::Answer::ok("ready\n"),
            "/metrics" => http::Answer::ok(self.page()),
            _ => http::Answer::not_found("there are /livez, /readyz and /metrics\n"),
        }
    }

    fn page(&self) -> String {
        let mut page = Page::default();
        page.head("jamsync_build_info", "gauge", "The version that runs.");
        page.value("jamsync_build_info", concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), 1);
        page.head("jamsync_uptime_seconds", "counter", "Since the program started.");
        page.value("jamsync_uptime_seconds", "", self.started.elapsed().as_secs());
        self.server.describe(&mut page);
        self.store.describe(&mut page);
        if let Some(bytes) = resident_bytes() {
            page.head("process_resident_memory_bytes", "gauge", "Memory that the program holds.");
            page.value("process_resident_memory_bytes", "", bytes);
        }
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        page.head("process_cpu_seconds_total", "counter", "Time on all cores.");
        page.value("process_cpu_seconds_total", "", format!("{}.{:09}", cpu.tv_sec, cpu.tv_nsec));
        if let Ok(disk) = rustix::fs::statvfs(&self.data) {
            page.head("jamsync_disk_free_bytes", "gauge", "Room that is left for the data folder.");
            page.value("jamsync_disk_free_bytes", "", disk.f_bavail.saturating_mul(disk.f_frsize));
        }
        page.0
    }
}

/// What Linux counts as the memory of this process.
fn resident_bytes() -> Option<u64> {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            server: Arc::default(),
            store: Arc::default(),
            data: std::env::temp_dir(),
            started: Instant::now(),
        }
    }

    #[test]
    fn ready_is_who_takes_writes() {
        let facts = facts();
        assert_eq!(facts.answer("/readyz").status(), 200);
        facts.store.failing.set(true);
        assert_eq!(facts.answer("/readyz").status(), 503);
        assert_eq!(facts.answer("/livez").status(), 200, "a full disk is no reason to be restarted");
        facts.store.failing.set(false);
        facts.server.draining.set(true);
        assert_eq!(facts.answer("/readyz").status(), 503);
        assert_eq!(facts.answer("/").status(), 404);
    }

    #[test]
    fn the_page_tells_memory_time_and_room() {
        let page = facts().page();
        for name in
            ["process_resident_memory_bytes ", "process_cpu_seconds_total ", "jamsync_disk_free_bytes "]
        {
            let line =
                page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
            assert!(line.trim_start_matches(name).parse::<f64>().is_ok_and(|value| value > 0.0), "{line}");
        }
    }
}
