//! What a running coordinator counts, and how a monitoring program reads it: the Prometheus text format, version 0.0.4.
//!
//! Nothing here names an account, a device or an address: it is how many and how long, never who. Input is what the
//! server and the store note as they work.

use std::{
    fmt::{Display, Write},
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

/// What the server counts.
#[derive(Debug, Default)]
pub struct ServerMetrics {
    pub(crate) connections: Gauge,
    pub(crate) handshakes: Gauge,
    pub(crate) arrivals: [Counter; ARRIVALS.len()],
    pub(crate) requests: [[Counter; OUTCOMES.len()]; KINDS.len()],
    pub(crate) durations: [Histogram; KINDS.len()],
    pub(crate) events_sent: Counter,
    pub(crate) activity_published: Counter,
    pub(crate) activity_delivered: Counter,
    pub(crate) activity_refused: Counter,
    pub(crate) streams_reset: Counter,
    pub(crate) damaged_accounts: Gauge,
    pub(crate) draining: Switch,
}

/// What the store counts.
#[derive(Debug, Default)]
pub struct StoreMetrics {
    pub(crate) waiting: Gauge,
    pub(crate) writes: Counter,
    pub(crate) writes_failed: Counter,
    pub(crate) commits: Histogram,
    pub(crate) failing: Switch,
}

/// What became of somebody who knocked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrival {
    Accepted,
    /// The handshake did not end well, or not in time.
    Failed,
    /// Was asked to prove its address.
    Retried,
    /// The server is full.
    Full,
    /// The origin holds too many, or comes too often.
    OriginFull,
}

/// What a request is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Hello,
    Read,
    Write,
}

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Done,
    Refused,
    /// Came too soon after others.
    Limited,
    /// The store failed.
    Failed,
}

const ARRIVALS: [&str; 5] = ["accepted", "failed", "retried", "full", "origin_full"];
const KINDS: [&str; 3] = ["hello", "read", "write"];
const OUTCOMES: [&str; 4] = ["done", "refused", "limited", "failed"];

impl ServerMetrics {
    pub(crate) fn arrived(&self, arrival: Arrival) {
        if let Some(counter) = self.arrivals.get(arrival as usize) {
            counter.add(1);
        }
    }

    pub(crate) fn answered(&self, kind: Kind, outcome: Outcome, took: Duration) {
        if let Some(counter) = self.requests.get(kind as usize).and_then(|of| of.get(outcome as usize)) {
            counter.add(1);
        }
        if let Some(durations) = self.durations.get(kind as usize) {
            durations.note(took);
        }
    }

    pub(crate) fn describe(&self, page: &mut Page) {
        page.head("jamsync_connections", "gauge", "Devices connected now.");
        page.value("jamsync_connections", "", self.connections.now());
        page.head("jamsync_handshakes", "gauge", "Connections that are being made now.");
        page.value("jamsync_handshakes", "", self.handshakes.now());
        page.head("jamsync_arrivals_total", "counter", "What became of those who knocked.");
        for (counter, outcome) in self.arrivals.iter().zip(ARRIVALS) {
            page.value("jamsync_arrivals_total", &format!("outcome=\"{outcome}\""), counter.now());
        }
        page.head("jamsync_requests_total", "counter", "What became of requests.");
        for (counters, kind) in self.requests.iter().zip(KINDS) {
            for (counter, outcome) in counters.iter().zip(OUTCOMES) {
                let labels = format!("kind=\"{kind}\",outcome=\"{outcome}\"");
                page.value("jamsync_requests_total", &labels, counter.now());
            }
        }
        page.head("jamsync_request_seconds", "histogram", "From a request's last byte to its answer.");
        for (durations, kind) in self.durations.iter().zip(KINDS) {
            durations.describe(page, "jamsync_request_seconds", &format!("kind=\"{kind}\""));
        }
        page.head("jamsync_events_sent_total", "counter", "Events sent to devices.");
        page.value("jamsync_events_sent_total", "", self.events_sent.now());
        let activity = [
            ("published", &self.activity_published),
            ("delivered", &self.activity_delivered),
            ("refused", &self.activity_refused),
        ];
        page.head("jamsync_activity_total", "counter", "What became of sealed listening activity.");
        for (what, counter) in activity {
            page.value("jamsync_activity_total", &format!("what=\"{what}\""), counter.now());
        }
        page.head("jamsync_streams_reset_total", "counter", "Streams closed for what was sent on them.");
        page.value("jamsync_streams_reset_total", "", self.streams_reset.now());
        page.head(
            "jamsync_damaged_accounts",
            "gauge",
            "Accounts whose device log was found damaged since the start.",
        );
        page.value("jamsync_damaged_accounts", "", self.damaged_accounts.now());
        page.head("jamsync_draining", "gauge", "1 once the server is shutting down.");
        page.value("jamsync_draining", "", u8::from(self.draining.is_on()));
    }
}

impl StoreMetrics {
    pub(crate) fn describe(&self, page: &mut Page) {
        page.head("jamsync_store_waiting", "gauge", "Writes that wait for the disk now.");
        page.value("jamsync_store_waiting", "", self.waiting.now());
        page.head("jamsync_store_writes_total", "counter", "Writes that are on disk.");
        page.value("jamsync_store_writes_total", "", self.writes.now());
        page.head("jamsync_store_writes_failed_total", "counter", "Writes that the disk refused.");
        page.value("jamsync_store_writes_failed_total", "", self.writes_failed.now());
        page.head(
            "jamsync_store_commit_seconds",
            "histogram",
            "One common commit of waiting writes, synced.",
        );
        self.commits.describe(page, "jamsync_store_commit_seconds", "");
        page.head("jamsync_store_failing", "gauge", "1 where the last commit failed, or there is no writer.");
        page.value("jamsync_store_failing", "", u8::from(self.failing.is_on()));
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are of something now.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicI64);

impl Gauge {
    /// One more, until what is returned is dropped.
    pub(crate) fn hold(&self) -> Held<'_> {
        self.change(1);
        Held(self)
    }
    pub(crate) fn change(&self, by: i64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
    pub(crate) fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of what a [`Gauge`] counts.
#[derive(Debug)]
pub(crate) struct Held<'a>(&'a Gauge);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.change(-1);
    }
}

/// Something that is so or not.
#[derive(Debug, Default)]
pub(crate) struct Switch(AtomicBool);

impl Switch {
    /// Sets it, and returns whether that changed it.
    pub(crate) fn set(&self, on: bool) -> bool {
        self.0.swap(on, Ordering::Relaxed) != on
    }
    pub(crate) fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long something took, by classes.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    classes: [Counter; BOUNDS_US.len() + 1],
    micros: Counter,
}

/// Upper bounds of the classes in microseconds: what is usual on a good disk, slow on any, and wrong.
const BOUNDS_US: [u64; 10] = [250, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_000_000];

impl Histogram {
    pub(crate) fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let class = BOUNDS_US.partition_point(|bound| *bound < micros);
        if let Some(counter) = self.classes.get(class) {
            counter.add(1);
        }
        self.micros.add(micros);
    }

    fn describe(&self, page: &mut Page, name: &str, labels: &str) {
        let comma = if labels.is_empty() { "" } else { "," };
        let bounds = BOUNDS_US.iter().copied().map(seconds).chain(["+Inf".to_owned()]);
        let mut below = 0;
        for (counter, bound) in self.classes.iter().zip(bounds) {
            below += counter.now();
            page.value(&format!("{name}_bucket"), &format!("{labels}{comma}le=\"{bound}\""), below);
        }
        page.value(&format!("{name}_sum"), labels, seconds(self.micros.now()));
        page.value(&format!("{name}_count"), labels, below);
    }
}

/// Microseconds as seconds.
fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// A page in the Prometheus text format.
#[derive(Debug, Default)]
pub(crate) struct Page(pub(crate) String);

impl Page {
    pub(crate) fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(crate) fn value(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = if labels.is_empty() {
            writeln!(self.0, "{name} {value}")
        } else {
            writeln!(self.0, "{name}{{{labels}}} {value}")
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_each_value_in_every_class_above_it() {
        let histogram = Histogram::default();
        for micros in [100, 250, 251, 3_000_000] {
            histogram.note(Duration::from_micros(micros));
        }
        let mut page = Page::default();
        histogram.describe(&mut page, "took", "kind=\"read\"");
        for line in [
            "took_bucket{kind=\"read\",le=\"0.000250\"} 2",
            "took_bucket{kind=\"read\",le=\"0.001000\"} 3",
            "took_bucket{kind=\"read\",le=\"2.000000\"} 3",
            "took_bucket{kind=\"read\",le=\"+Inf\"} 4",
            "took_sum{kind=\"read\"} 3.000601",
            "took_count{kind=\"read\"} 4",
        ] {
            assert!(page.0.lines().any(|written| written == line), "{line} is not in\n{}", page.0);
        }
    }

    #[test]
    fn every_line_of_the_page_is_a_comment_or_a_name_and_a_number() {
        let mut page = Page::default();
        ServerMetrics::default().describe(&mut page);
        StoreMetrics::default().describe(&mut page);
        assert!(page.0.lines().count() > 60);
        for line in page.0.lines().filter(|line| !line.starts_with("# ")) {
            let (name, value) = line.rsplit_once(' ').expect("two words");
            assert!(name.starts_with("jamsync_") && value.parse::<f64>().is_ok(), "{line}");
        }
    }

    #[test]
    fn what_is_held_is_counted_until_it_is_dropped() {
        let gauge = Gauge::default();
        let held = [gauge.hold(), gauge.hold()];
        assert_eq!(gauge.now(), 2);
        drop(held);
        assert_eq!(gauge.now(), 0);
    }
}
