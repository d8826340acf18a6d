//! What this node keeps about its account: where its coordinator is, its own device log, the logs of its
//! contacts as it has pinned them, and the secrets of the friend links and device codes it has made. One file,
//! replaced whole.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jamsync_protocol::{
    id::{AccountId, DeviceKey, Handle, JamId},
    identity::{
        device_code::{CodeSecret, CodeToken},
        device_log::{DeviceLog, LogError, VerifiedLog},
        friend_link::{LinkSecret, LinkToken},
    },
    time::UtcTime,
    wire::coord::{Device, Me},
};
use serde::{Deserialize, Serialize};

use crate::paths::replace_file;

mod trust;

pub(crate) use trust::{Admitted, Grown};

/// The account of this node at its coordinator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    /// Where the coordinator listens, each `host:port`.
    pub(crate) addresses: Vec<String>,
    /// The key it shows.
    pub(crate) coordinator: DeviceKey,
    /// The name at the coordinator.
    pub(crate) handle: Handle,
    /// The account's own log.
    pub(crate) log: DeviceLog,
    /// The friends, in the order in which they were made.
    pub(crate) contacts: Vec<KnownContact>,
    /// When the coordinator told all of them last.
    #[serde(default)]
    pub(crate) told_at: Option<UtcTime>,
    /// The account's devices, in the order in which they were added.
    #[serde(default)]
    pub(crate) devices: Vec<KnownDevice>,
    /// When the coordinator told of them last.
    #[serde(default)]
    pub(crate) devices_told_at: Option<UtcTime>,
    /// The links that nobody has taken yet, newest last.
    pub(crate) links: Vec<MadeLink>,
    /// The Jams that are over for this node although their grants still hold, newest last.
    #[serde(default)]
    pub(crate) ended: Vec<EndedJam>,
    /// The device codes that were made here and may still be asked with, newest last.
    #[serde(default)]
    pub(crate) codes: Vec<MadeCode>,
}

/// A friend, with all that was ever seen of the friend's device log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KnownContact {
    pub(crate) handle: Handle,
    pub(crate) account: AccountId,
    pub(crate) log: DeviceLog,
    /// Whether the listener has blocked the friend.
    #[serde(default)]
    pub(crate) blocked: bool,
    /// Whether the friend's requests do not ring.
    #[serde(default)]
    pub(crate) muted: bool,
    /// Whether the coordinator has not been told yet how the two stand.
    #[serde(default)]
    pub(crate) untold: bool,
    /// Whether a device of the friend was signed in when the coordinator told last. Not kept: it is news of the day.
    #[serde(skip)]
    pub(crate) online: Option<bool>,
}

/// A device of this account, by the word of the coordinator. Whether it speaks for the account, the log says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownDevice {
    pub(crate) key: DeviceKey,
    /// Empty where it has no name, or none is known yet.
    pub(crate) name: String,
    pub(crate) added: UtcTime,
    /// Whether it was signed in when the coordinator told last. Not kept: it is news of the day.
    #[serde(skip)]
    pub(crate) online: Option<bool>,
}

/// A friend link of this account.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct MadeLink {
    pub(crate) token: LinkToken,
    pub(crate) secret: LinkSecret,
}

/// A device code of this account, made on this device.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct MadeCode {
    pub(crate) token: CodeToken,
    pub(crate) secret: CodeSecret,
    /// When it no longer admits.
    pub(crate) expires: UtcTime,
}

/// A Jam that this node never enters again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EndedJam {
    pub(crate) jam: JamId,
    /// When it can be entered no more, which makes remembering it needless.
    #[serde(rename = "expires")]
    pub(crate) until: UtcTime,
    /// Whether the coordinator knows.
    pub(crate) told: bool,
}

/// Why the account is not believed or not kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum AccountError {
    /// The file cannot be read or written.
    #[error("cannot keep the account in {path}: {error}")]
    File { path: PathBuf, error: io::Error },
    /// The file is not what this program wrote.
    #[error("{path} is damaged: {error}; restore it from a backup, or move it away and sign up again")]
    Damaged { path: PathBuf, error: String },
    /// A device log does not verify, or is not a continuation of the one that was seen before.
    #[error("the device log of {handle} is not to be trusted: {error}")]
    Log { handle: Handle, error: LogError },
    /// The coordinator names another account than the one that is known by this name.
    #[error("the coordinator now shows another account under the name {handle}; it was not taken over")]
    Replaced { handle: Handle },
    /// The coordinator claims a contact that has not proven to hold one of this account's links.
    #[error("{handle} did not prove to have been given a friend link; not taken as a contact")]
    NotInvited { handle: Handle },
    /// The account's log does not name this device, so that it is not in (any more).
    #[error("the device log of {handle} does not name this device; it is not in that account")]
    NotIn { handle: Handle },
    /// A device asks with a code that was not made here, is too old, or of which it does not know the secret.
    #[error("a device asked to join without a valid code; it was not added")]
    NotGiven,
    /// The coordinator shows a log for this account that this device alone did not found.
    #[error("the coordinator shows a device log for {handle} that this computer did not make; not signed up")]
    NotFoundedHere { handle: Handle },
}

impl KnownDevice {
    /// A device as the coordinator tells of it.
    pub(crate) fn told(told: &Device) -> Self {
        let (name, online) = (told.name.as_str().to_owned(), Some(told.online));
        Self { key: told.device, name, added: told.added, online }
    }
}

impl Account {
    /// The account that `device` has just founded at the coordinator. The log that friends will be asked to trust
    /// must be this device's own: in any other, whoever made it could speak for the account.
    pub(crate) fn founded(
        addresses: Vec<String>,
        coordinator: DeviceKey,
        device: DeviceKey,
        me: &Me,
    ) -> Result<Self, AccountError> {
        let handle = me.handle.clone();
        let log = me.log.verify().map_err(|error| AccountError::Log { handle: handle.clone(), error })?;
        if log.pin().length != 1 || log.devices() != [device] || log.account() != me.account {
            return Err(AccountError::NotFoundedHere { handle });
        }
        Ok(Self::new(addresses, coordinator, me))
    }

    /// The account that `device` has just joined, whose id a code told it.
    pub(crate) fn joined(
        addresses: Vec<String>,
        coordinator: DeviceKey,
        device: DeviceKey,
        account: AccountId,
        me: &Me,
    ) -> Result<Self, AccountError> {
        let handle = me.handle.clone();
        let log = me.log.verify().map_err(|error| AccountError::Log { handle: handle.clone(), error })?;
        if log.account() != account || !log.is_active(device) {
            return Err(AccountError::NotIn { handle });
        }
        Ok(Self::new(addresses, coordinator, me))
    }

    fn new(addresses: Vec<String>, coordinator: DeviceKey, me: &Me) -> Self {
        let (contacts, links, ended, codes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (handle, log) = (me.handle.clone(), me.log.clone());
        let (devices, devices_told_at, told_at) = (Vec::new(), None, None);
        Self {
            addresses,
            coordinator,
            handle,
            log,
            contacts,
            told_at,
            devices,
            devices_told_at,
            links,
            ended,
            codes,
        }
    }

    /// The account kept in `path`; none before the first sign-up.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, AccountError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(AccountError::File { path: path.to_owned(), error }),
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| AccountError::Damaged { path: path.to_owned(), error: error.to_string() })
    }

    /// Keeps the account in `path`, so that a crash leaves the old file or the new one.
    pub(crate) fn save(&self, path: &Path) -> Result<(), AccountError> {
        let failed = |error| AccountError::File { path: path.to_owned(), error };
        let bytes = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        replace_file(path, &bytes).map_err(failed)
    }

    /// This account's id.
    pub(crate) fn id(&self) -> Option<AccountId> {
        self.log.verify().ok().map(|log| log.account())
    }

    /// The logs that a grant is held against: this account's own and its contacts'. A log that does not verify
    /// is left out, so that nothing is granted through it.
    pub(crate) fn verified_logs(&self) -> Vec<VerifiedLog> {
        let logs = std::iter::once(&self.log).chain(self.contacts.iter().map(|contact| &contact.log));
        logs.filter_map(|log| log.verify().ok()).collect()
    }

    /// The name under which the listener knows an account, whatever the coordinator calls it now.
    pub(crate) fn name_of(&self, account: AccountId) -> Option<&Handle> {
        self.contacts.iter().find(|known| known.account == account).map(|known| &known.handle)
    }

    /// Whether the listener has blocked an account.
    pub(crate) fn has_blocked(&self, account: AccountId) -> bool {
        self.contacts.iter().any(|known| known.account == account && known.blocked)
    }

    /// Notes that a Jam is over for this node, and forgets those whose grants have ended by `now`.
    pub(crate) fn note_ended(&mut self, ended: EndedJam, now: UtcTime) {
        self.ended.retain(|known| known.jam != ended.jam && known.until > now);
        self.ended.push(ended);
        let surplus = self.ended.len().saturating_sub(ENDED_MAX);
        self.ended.drain(..surplus);
    }

    /// Whether a Jam is over for this node.
    pub(crate) fn has_ended(&self, jam: JamId) -> bool {
        self.ended.iter().any(|known| known.jam == jam)
    }
}

/// The secret stays out of logs.
impl std::fmt::Debug for MadeCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeCode").field("token", &self.token).finish_non_exhaustive()
    }
}

/// The secret stays out of logs.
impl std::fmt::Debug for MadeLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeLink").field("token", &self.token).finish_non_exhaustive()
    }
}

/// How many device codes are remembered: more than the coordinator lets be valid at once.
pub(crate) const CODES_MAX: usize = 8;

/// How many unused links are remembered; the oldest go first.
pub(crate) const LINKS_MAX: usize = 64;

/// How many Jams that are over are remembered: one every three minutes for the life of a grant, 12 hours.
const ENDED_MAX: usize = 256;

#[cfg(test)]
mod tests;
