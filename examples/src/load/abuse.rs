//! What others notice of somebody who means no good: the same mix of logins, reads and durable writes, at the pace of people,
//! first quiet and then beside each abuser, on one coordinator in one run.
//!
//! Abusers have machines of their own. Here they share this one, and so run at the lowest priority: what they take from
//! others is then what the coordinator lets them take.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use jamsync_protocol::{
    identity::{JoinCode, join_code::JoinSecret},
    limits::COORD_FRAME_BYTES_MAX,
    wire::{
        codec,
        coord::{CoordCall, CoordReply, CoordRequest, IdempotencyKey},
    },
};
use quinn::TransportConfig;
use serde::Serialize;
use tokio::{
    runtime::{self, Runtime},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{Dialer, Latencies, Load, Persona, Server, phases::Times};

/// What others were answered in, quiet and beside each abuser.
#[derive(Clone, Debug, Serialize)]
pub struct Abused {
    /// Nobody means any harm.
    pub quiet: Latencies,
    /// Beside each abuser.
    pub beside: Vec<Beside>,
}

/// The answers to others beside one abuser.
#[derive(Clone, Debug, Serialize)]
pub struct Beside {
    /// What it does.
    pub abuser: Abuser,
    /// In how long others were answered.
    pub latency: Latencies,
    /// Its p99 over the quiet one.
    pub p99_ratio: f64,
}

/// What somebody does who means no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Abuser {
    /// Forty clients ask on all their streams and never read an answer.
    NeverReads,
    /// Forty clients send a request on all their streams, a byte a second.
    ByteASecond,
    /// A client asks on ten thousand streams as fast as it may open them.
    ManyStreams,
    /// Eight clients repeat a write that was done, as fast as they are answered.
    Repeats,
    /// New connections without end, each given up at once.
    Handshakes,
}

/// Every abuser, in the order in which they come.
pub const ABUSERS: [Abuser; 5] =
    [Abuser::NeverReads, Abuser::ByteASecond, Abuser::ManyStreams, Abuser::Repeats, Abuser::Handshakes];

/// What others' p99 may be beside an abuser, over the quiet one. Ratio.
pub const P99_RATIO_MAX: f64 = 2.0;

impl Abused {
    /// The abusers beside which others waited too long.
    pub fn exceeded(&self) -> impl Iterator<Item = &Beside> {
        self.beside.iter().filter(|beside| beside.p99_ratio.is_nan() || beside.p99_ratio > P99_RATIO_MAX)
    }
}

/// Measures the mix for `time` quiet, and for as long beside each abuser.
///
/// # Errors
/// Where one of the others is not served.
pub async fn abuse(load: &Load, time: Duration) -> anyhow::Result<Abused> {
    let folder = tempfile::Builder::new().prefix("jamsync-load-").tempdir()?;
    let server = Server::start(&load.binaries, folder.path(), "127.0.0.1:0", &SETTINGS)?;
    let code = Server::join_code(&load.binaries, folder.path(), 2 * OTHERS)?;
    let homes = (1..=OTHERS).map(|number| IpAddr::from([127, 0, 1, number.to_be_bytes()[3]]));
    let dialer = Arc::new(Dialer::at(server.address, code.coordinator, homes)?);
    let mut others = Vec::new();
    for number in 0..OTHERS {
        let who = Arc::new(Persona::new(0, number)?);
        dialer.log_in(&who).await?.sign_up(&who, code.secret).await?;
        others.push(who);
    }
    // What the first connections need is not to count.
    mix(&dialer, &others, time / 4).await?;
    let quiet = mix(&dialer, &others, time).await?;
    eprintln!("quiet: {quiet}");
    let mut beside = Vec::new();
    for (run, abuser) in (1..).zip(ABUSERS) {
        let abusing = begin(abuser, run, server.address, &code)?;
        // It is at it when the others are looked at.
        sleep(time / 4).await;
        let latency = mix(&dialer, &others, time).await;
        abusing.shutdown_background();
        let latency = latency.with_context(|| format!("{abuser:?}"))?;
        eprintln!("{abuser}: {latency}");
        beside.push(Beside { abuser, latency, p99_ratio: latency.p99_ms / quiet.p99_ms });
    }
    server.stop()?;
    Ok(Abused { quiet, beside })
}

/// Everybody does what people do, for `time`.
async fn mix(dialer: &Arc<Dialer>, others: &[Arc<Persona>], time: Duration) -> anyhow::Result<Latencies> {
    let (times, until) = (Times::new()?, Instant::now() + time);
    let mut tasks = JoinSet::new();
    for who in others {
        let (dialer, who, times) = (Arc::clone(dialer), Arc::clone(who), times.clone());
        tasks.spawn(async move {
            let device = dialer.log_in(&who).await?;
            let mut pace = interval(PACE);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for turn in 0u32.. {
                pace.tick().await;
                let begun = Instant::now();
                if begun >= until {
                    break;
                }
                if turn % 8 == 7 {
                    let visitor = dialer.log_in(&Persona::new(u32::MAX, who.number)?).await?;
                    times.note(begun);
                    visitor.connection.close(0u8.into(), b"");
                    continue;
                }
                let write = turn % 2 == 0;
                let asked = if write { CoordRequest::OptOut { out: false } } else { CoordRequest::WhoAmI };
                let reply = device.ask(asked).await?;
                times.note(begun);
                ensure!(!matches!(reply, CoordReply::Refused(_)), "somebody else is refused: {reply:?}");
            }
            device.connection.close(0u8.into(), b"");
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(times.read())
}

/// Lets `abuser` begin; it goes on until its runtime ends.
fn begin(abuser: Abuser, run: u32, server: SocketAddr, code: &JoinCode) -> anyhow::Result<Runtime> {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(|| {
            // Where it is not permitted, the figures are only worse.
            let _ = rustix::process::nice(LOWEST_PRIORITY);
        })
        .enable_all()
        .build()?;
    let _inside = runtime.enter();
    let mut own = Dialer::at(server, code.coordinator, [ABUSERS_HOME; 4])?;
    if abuser == Abuser::NeverReads {
        let mut transport = TransportConfig::default();
        transport.stream_receive_window(0u8.into()).receive_window(0u8.into());
        own.set_transport(transport);
    }
    let (own, clients) = (
        Arc::new(own),
        match abuser {
            Abuser::NeverReads | Abuser::ByteASecond => 40,
            Abuser::ManyStreams => 1,
            Abuser::Repeats | Abuser::Handshakes => 8,
        },
    );
    let secret = code.secret;
    for number in 0..clients {
        let (own, who) = (Arc::clone(&own), Persona::new(run, number)?);
        runtime.spawn(async move {
            // Whoever is thrown out comes again.
            loop {
                if client(abuser, &own, &who, secret).await.is_err() {
                    sleep(COME_AGAIN).await;
                }
            }
        });
    }
    Ok(runtime)
}

async fn client(abuser: Abuser, dialer: &Dialer, who: &Persona, secret: JoinSecret) -> anyhow::Result<()> {
    let call = CoordCall { key: IdempotencyKey([7; 16]), request: CoordRequest::WhoAmI };
    let frame = codec::encode_frame(&call, COORD_FRAME_BYTES_MAX)?;
    match abuser {
        Abuser::NeverReads => {
            let client = dialer.connect(who).await?.connection;
            loop {
                // The next stream opens once the coordinator has closed one of eight.
                let (mut send, receive) = client.open_bi().await?;
                send.write_all(&frame).await?;
                tokio::spawn(async move {
                    drop(send.stopped().await);
                    drop(receive);
                });
            }
        }
        Abuser::ByteASecond => {
            let client = dialer.connect(who).await?.connection;
            loop {
                let (mut send, receive) = client.open_bi().await?;
                let frame = frame.clone();
                tokio::spawn(async move {
                    for byte in frame {
                        if send.write_all(&[byte]).await.is_err() {
                            break;
                        }
                        sleep(Duration::from_secs(1)).await;
                    }
                    drop(receive);
                });
            }
        }
        Abuser::ManyStreams => {
            let device = dialer.log_in(who).await?;
            let mut streams = JoinSet::new();
            for _ in 0..10_000 {
                let device = device.clone();
                streams.spawn(async move { device.ask(CoordRequest::WhoAmI).await });
            }
            while let Some(done) = streams.join_next().await {
                done??;
            }
            Ok(())
        }
        Abuser::Repeats => {
            let device = dialer.log_in(who).await?;
            // Whoever comes again has an account already.
            drop(device.sign_up(who, secret).await);
            let call = CoordCall { request: CoordRequest::OptOut { out: false }, ..call };
            loop {
                device.call(&call).await?;
            }
        }
        Abuser::Handshakes => {
            // Long enough for the first packet to leave.
            drop(tokio::time::timeout(Duration::from_millis(1), dialer.connect(who)).await);
            Ok(())
        }
    }
}

impl fmt::Display for Abuser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeverReads => "clients that never read",
            Self::ByteASecond => "clients that send a byte a second",
            Self::ManyStreams => "ten thousand streams",
            Self::Repeats => "writes repeated without end",
            Self::Handshakes => "handshakes without end",
        })
    }
}

impl fmt::Display for Abused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| while | others are answered in | p99 over quiet | goal |\n|---|---|---|---|")?;
        write!(f, "| it is quiet | {} | | |", self.quiet)?;
        for Beside { abuser, latency, p99_ratio } in &self.beside {
            write!(f, "\n| {abuser} | {latency} | {p99_ratio:.2} | {P99_RATIO_MAX} |")?;
        }
        Ok(())
    }
}

/// Every second thing that anybody does here is a write. Everybody has an address, as on the internet.
const SETTINGS: [&str; 4] = ["--writes-per-second-max", "20", "--loopback", "limited"];
/// Where the abusers come from; each of the others comes from an address of its own.
const ABUSERS_HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 2, 1));
/// Those who are to be served meanwhile. Count.
const OTHERS: u32 = 16;
/// How long each of them waits between two things: under what one connection may ask in the long run, 20 a second.
const PACE: Duration = Duration::from_millis(60);
/// How long an abuser that was thrown out waits.
const COME_AGAIN: Duration = Duration::from_millis(10);
/// As low as a process may go (`nice`).
const LOWEST_PRIORITY: i32 = 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_makes_others_wait_more_than_twice_as_long_is_named() {
        let ms = |p99_ms| Latencies { p50_ms: 1.0, p90_ms: 2.0, p99_ms, p999_ms: 30.0, worst_ms: 40.0 };
        let quiet = ms(10.0);
        let beside = |(abuser, p99_ms): (&Abuser, f64)| Beside {
            abuser: *abuser,
            latency: ms(p99_ms),
            p99_ratio: p99_ms / quiet.p99_ms,
        };
        let measured = ABUSERS.iter().zip([9.0, 20.0, 21.0, 11.0, 300.0]).map(beside).collect();
        let abused = Abused { quiet, beside: measured };
        let named: Vec<_> = abused.exceeded().map(|beside| beside.abuser).collect();
        assert_eq!(named, [Abuser::ManyStreams, Abuser::Handshakes]);
        assert!(
            abused
                .to_string()
                .contains("| ten thousand streams | p50 1.0 ms, p99 21.0 ms, worst 40 ms | 2.10 | 2 |")
        );
    }
}
