//! What the coordinator takes from the world beside bytes: the time and random numbers. Nothing else in this
//! crate asks for either, so a test can decide both.

use std::{fmt, future::Future, pin::Pin, time::SystemTime};

use jamsync_protocol::time::{NodeTime, Span, UtcTime};
use rand::TryRngCore;
use rustix::time::{ClockId, clock_gettime};

/// The clocks and the source of randomness.
pub trait Env: fmt::Debug + Send + Sync + 'static {
    /// What the calendar shows, which people set.
    fn now(&self) -> UtcTime;

    /// The time since the machine started, sleep included. Nobody sets it, so lengths of time are taken by it.
    fn uptime(&self) -> NodeTime;

    /// Random bytes that nobody can guess.
    ///
    /// # Errors
    /// [`NoRandomness`] where the system has none.
    fn entropy(&self) -> Result<[u8; 32], NoRandomness>;

    /// Returns once [`uptime`](Self::uptime) has reached `time`.
    fn sleep_until(&self, time: NodeTime) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness;

/// The machine's own clocks and randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEnv;

impl Env for SystemEnv {
    fn now(&self) -> UtcTime {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UtcTime::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    fn uptime(&self) -> NodeTime {
        let reading = clock_gettime(ClockId::Boottime);
        NodeTime::ZERO + Span::from_secs(reading.tv_sec) + Span::from_nanos(reading.tv_nsec)
    }

    fn entropy(&self) -> Result<[u8; 32], NoRandomness> {
        let mut bytes = [0; 32];
        rand::rngs::OsRng.try_fill_bytes(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(bytes)
    }

    fn sleep_until(&self, time: NodeTime) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep((time - self.uptime()).as_duration()))
    }
}
