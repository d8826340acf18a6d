//! What was measured, beside the goals.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Devices, each with an account.
    pub devices: u32,
    /// Sign-ups, each with a login and a durable write.
    pub signed_up: Cost,
    /// Logins.
    pub logins: Logins,
    /// Devices that are connected and do nothing.
    pub idle: Idle,
    /// Durable writes, few at once and many at once.
    pub writes: [Writes; 2],
    /// Events.
    pub events: Delivered,
    /// A restart of the server.
    pub restart: Restart,
    /// Messages.
    pub messages: Messages,
    /// Listening activity.
    pub activities: Activities,
}

/// What a number of like things cost the server.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// How many.
    pub count: u32,
    /// In how long.
    pub seconds: f64,
    /// How many in a second of that.
    pub per_second: f64,
    /// CPU time of the server.
    pub server_core_seconds: f64,
    /// How many in a second of that.
    pub per_core_second: f64,
    /// Common commits meanwhile, each with one sync.
    pub commits: f64,
}

/// Latencies in milliseconds, from a high-dynamic-range histogram.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latencies {
    /// Half are shorter.
    pub p50_ms: f64,
    /// 90 % are shorter.
    pub p90_ms: f64,
    /// 99 % are shorter.
    pub p99_ms: f64,
    /// 99.9 % are shorter.
    pub p999_ms: f64,
    /// The longest.
    pub worst_ms: f64,
}

/// Connecting, with both sides' keys, and the hello.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Logins {
    /// What they cost.
    pub cost: Cost,
    /// From the first packet to the welcome.
    pub latency: Latencies,
}

/// Devices that are connected, each with an event stream.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Idle {
    /// How many.
    pub connections: u32,
    /// Memory of the server with all of them.
    pub server_memory_kib: f64,
    /// What each added.
    pub kib_per_connection: f64,
}

/// Writes that are on disk before they are acknowledged.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Writes {
    /// How many were under way at once.
    pub in_flight: usize,
    /// What they cost.
    pub cost: Cost,
    /// From the request to its acknowledgement.
    pub latency: Latencies,
}

/// Messages between accounts of two devices, few and many at once, and of as many as an account may have.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Messages(pub Vec<MessageMix>);

/// Messages, each read and acknowledged by every other device of two accounts.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MessageMix {
    /// Devices of each account.
    pub devices: u32,
    /// How many devices wrote at once.
    pub in_flight: usize,
    /// What they cost, with all deliveries.
    pub cost: Cost,
    /// From the request to its acknowledgement, when it is on disk.
    pub placed: Latencies,
    /// From the request to its arrival at another device.
    pub delivered: Latencies,
    /// How many arrived.
    pub deliveries: u64,
    /// How often a device had to fetch what it was not told in order.
    pub fetches: u32,
    /// How often a device said how far it was.
    pub acknowledgements: u32,
}

/// Listening activity, seen by few and by many.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Activities(pub Vec<ActivityMix>);

/// Accounts that change what they show once a second, and renew it as often.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ActivityMix {
    /// How many contacts see each.
    pub fan_out: usize,
    /// How many accounts show something.
    pub publishers: usize,
    /// How often something was told: changes and renewals.
    pub told: usize,
    /// What the deliveries cost, with what was told.
    pub cost: Cost,
    /// How many deliveries were renewals.
    pub renewed: u64,
    /// From the change to its arrival at a viewer.
    pub changes: Latencies,
    /// How many newest states have not arrived at a viewer.
    pub missing: usize,
}

/// Events that arrived at devices.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Delivered {
    /// Each with the request and the durable write that made it.
    pub live: Cost,
    /// Sent once more from the store, which needs no write.
    pub replayed: Cost,
    /// From the request of one device to the event at the other, and its acknowledgement.
    pub latency: Latencies,
}

/// A stop by SIGTERM and a start, with all devices connected. Times count from the signal.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Restart {
    /// How many were connected.
    pub devices: u32,
    /// When the old process was gone.
    pub stopped_after_s: f64,
    /// When the new one was ready.
    pub started_after_s: f64,
    /// When the last device was back.
    pub all_back_after_s: f64,
    /// How long each was away, from when it noticed.
    pub away: Latencies,
    /// What was acknowledged to them before: accounts, contacts, and events that they had not dealt with.
    pub acknowledged: usize,
    /// How many of these were not there any more.
    pub lost: usize,
}

impl Latencies {
    pub(super) fn of(micros: &Histogram<u64>) -> Self {
        let at = |quantile| milliseconds(micros.value_at_quantile(quantile));
        Self {
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            worst_ms: milliseconds(micros.max()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { devices, signed_up, logins, idle, writes, events, messages, activities, restart } = self;
        writeln!(f, "{devices} devices on one coordinator; CPU is the coordinator's own")?;
        writeln!(f, "| what | measured | goal |\n|---|---|---|")?;
        writeln!(
            f,
            "| logins | {:.0} per core-second ({}) | 2,000 |",
            logins.cost.per_core_second, logins.latency
        )?;
        writeln!(
            f,
            "| sign-ups, each with its login | {:.0} per core-second | |",
            signed_up.per_core_second
        )?;
        writeln!(
            f,
            "| memory of an idle connection | {:.1} KiB ({} connected, {:.0} MiB in all) | 40 KiB |",
            idle.kib_per_connection,
            idle.connections,
            idle.server_memory_kib / 1024.0
        )?;
        for Writes { in_flight, cost, latency } in writes {
            writeln!(
                f,
                "| durable writes, {in_flight} at once | {:.0}/s ({latency}); {:.0} per core-second, {:.0} to a sync | \
                 10,000/s, p99 25 ms |",
                cost.per_second,
                cost.per_core_second,
                f64::from(cost.count) / cost.commits
            )?;
        }
        writeln!(
            f,
            "| events with the write that made them | {:.0} per core-second ({}) | |",
            events.live.per_core_second, events.latency
        )?;
        writeln!(
            f,
            "| events from the store | {:.0} per core-second | 40,000 |",
            events.replayed.per_core_second
        )?;
        write!(
            f,
            "| restart | gone after {:.1} s, ready after {:.1} s, all {} back after {:.1} s (away {}), {} lost of {} accounts, \
             contacts and events | 30 s, 0 lost |",
            restart.stopped_after_s,
            restart.started_after_s,
            restart.devices,
            restart.all_back_after_s,
            restart.away,
            restart.lost,
            restart.acknowledged
        )?;
        write!(f, "\n{messages}\n{activities}")
    }
}

impl fmt::Display for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl fmt::Display for MessageMix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { devices, in_flight, cost, placed, delivered, fetches, acknowledgements, .. } = self;
        let each = |count: u32| f64::from(count) / f64::from(cost.count);
        write!(
            f,
            "| messages between accounts of {devices} devices, {in_flight} at once | {:.0}/s (on disk {placed}; on another \
             device {delivered}); {:.0} per core-second; {:.2} fetches and {:.2} acknowledgements each | 10,000/s, p99 25 ms |",
            cost.per_second,
            cost.per_core_second,
            each(*fetches),
            each(*acknowledgements)
        )
    }
}

impl fmt::Display for Activities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl fmt::Display for ActivityMix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fan_out, publishers, cost, changes, missing, .. } = self;
        write!(
            f,
            "| activity of {publishers} seen by {fan_out} each | {:.0} deliveries/s ({changes}); {:.0} per core-second; \
             {missing} newest states missing | 40,000 per core-second, 0 missing |",
            cost.per_second, cost.per_core_second
        )
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.1} ms, p99 {:.1} ms, worst {:.0} ms", self.p50_ms, self.p99_ms, self.worst_ms)
    }
}

fn milliseconds(micros: u64) -> f64 {
    std::time::Duration::from_micros(micros).as_secs_f64() * 1e3
}
