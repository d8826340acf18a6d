//! What this node keeps about its account: where its coordinator is, its own device log, the logs of its
//! contacts as it has pinned them, and the secrets of the friend links it has made. One file, replaced whole.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use jamsync_protocol::{
    id::{AccountId, DeviceKey, Handle},
    identity::{
        device_log::{DeviceLog, LogError, VerifiedLog},
        friend_link::{LinkSecret, LinkToken},
    },
};
use serde::{Deserialize, Serialize};

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
    /// The links that nobody has taken yet, newest last.
    pub(crate) links: Vec<MadeLink>,
}

/// A friend, with all that was ever seen of the friend's device log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KnownContact {
    pub(crate) handle: Handle,
    pub(crate) account: AccountId,
    pub(crate) log: DeviceLog,
}

/// A friend link of this account.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct MadeLink {
    pub(crate) token: LinkToken,
    pub(crate) secret: LinkSecret,
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
}

impl Account {
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
        let temporary = path.with_extension("new");
        let mut options = fs::OpenOptions::new();
        let write = || {
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
        };
        let mut write = write;
        write().map_err(failed)
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

    /// Takes a contact that opened one of this account's links, or whose link this account opened (`invited`
    /// names the account that the link promised). A contact that is known may only continue its log.
    pub(crate) fn admit(
        &mut self,
        contact: &jamsync_protocol::wire::coord::Contact,
        invited: Option<AccountId>,
    ) -> Result<(), AccountError> {
        let handle = contact.handle.clone();
        let untrusted = |error| AccountError::Log { handle: handle.clone(), error };
        let offered = contact.log.verify().map_err(untrusted)?;
        if let Some(known) = self.contacts.iter_mut().find(|known| known.account == contact.account) {
            let pinned = known.log.verify().map_err(untrusted)?;
            offered.extends(&pinned.pin()).map_err(untrusted)?;
            known.log = contact.log.clone();
            known.handle = handle;
            return Ok(());
        }
        if offered.account() != contact.account {
            return Err(AccountError::Replaced { handle });
        }
        let promised = invited == Some(contact.account) || self.proves_link(contact);
        if !promised {
            return Err(AccountError::NotInvited { handle });
        }
        if let Some(accepted) = contact.accepted {
            self.links.retain(|link| link.token != accepted.token);
        }
        let log = contact.log.clone();
        self.contacts.push(KnownContact { handle, account: contact.account, log });
        Ok(())
    }

    fn proves_link(&self, contact: &jamsync_protocol::wire::coord::Contact) -> bool {
        let Some((accepted, me)) = contact.accepted.zip(self.id()) else { return false };
        let link = self.links.iter().find(|link| link.token == accepted.token);
        link.is_some_and(|link| link.secret.check(accepted.proof, me, contact.account).is_ok())
    }
}

/// The secret stays out of logs.
impl std::fmt::Debug for MadeLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeLink").field("token", &self.token).finish_non_exhaustive()
    }
}

/// How many unused links are remembered; the oldest go first.
pub(crate) const LINKS_MAX: usize = 64;
