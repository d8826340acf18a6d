//! What the coordinator takes from the world beside bytes: the time and random numbers. Nothing else in this
//! crate asks for either, so a test can decide both.

use std::{fmt, future::Future, pin::Pin, time::SystemTime};

use jamsync_protocol::time::UtcTime;
use rand::TryRngCore;

/// The calendar and the source of randomness.
pub trait Env: fmt::Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> UtcTime;

    /// Random bytes that nobody can guess.
    ///
    /// # Errors
    /// [`NoRandomness`] where the system has none.
    fn entropy(&self) -> Result<[u8; 32], NoRandomness>;

    /// Returns once [`now`](Self::now) has reached `time`.
    fn sleep_until(&self, time: UtcTime) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness;

/// The machine's own calendar and randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEnv;

impl Env for SystemEnv {
    fn now(&self) -> UtcTime {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UtcTime::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    fn entropy(&self) -> Result<[u8; 32], NoRandomness> {
        let mut bytes = [0; 32];
        rand::rngs::OsRng.try_fill_bytes(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(bytes)
    }

    fn sleep_until(&self, time: UtcTime) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let nanos = u64::try_from((time - self.now()).as_nanos()).unwrap_or(0);
        Box::pin(tokio::time::sleep(std::time::Duration::from_nanos(nanos)))
    }
}
