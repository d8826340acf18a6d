//! What this node keeps about its account: where its coordinator is, its own device log, the logs of its
//! contacts as it has pinned them, and the secrets of the friend links it has made. One file, replaced whole.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jamsync_protocol::{
    id::{AccountId, DeviceKey, Handle, JamId},
    identity::{
        device_log::{DeviceLog, LogError, VerifiedLog},
        friend_link::{LinkSecret, LinkToken},
    },
    time::UtcTime,
    wire::coord::{Contact, Me},
};
use serde::{Deserialize, Serialize};

use crate::paths::replace_file;

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
    /// The Jams that are over for this node although their grants still hold, newest last.
    #[serde(default)]
    pub(crate) ended: Vec<EndedJam>,
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

/// A Jam that this node never enters again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EndedJam {
    pub(crate) jam: JamId,
    /// When its grant ends, which makes remembering it needless.
    pub(crate) expires: UtcTime,
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
    /// The coordinator shows a log for this account that this device alone did not found.
    #[error("the coordinator shows a device log for {handle} that this computer did not make; not signed up")]
    NotFoundedHere { handle: Handle },
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
        let (contacts, links, ended) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { addresses, coordinator, handle, log: me.log.clone(), contacts, links, ended })
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

    /// Takes a contact that opened one of this account's links, or whose link this account opened (`invited`
    /// names the account that the link promised). A contact that is known may only continue its log, and keeps the
    /// name under which the listener knows it. Whether there was anything new.
    pub(crate) fn admit(
        &mut self,
        contact: &Contact,
        invited: Option<AccountId>,
    ) -> Result<bool, AccountError> {
        let handle = contact.handle.clone();
        let untrusted = |error| AccountError::Log { handle: handle.clone(), error };
        if let Some(known) = self.contacts.iter_mut().find(|known| known.account == contact.account) {
            if known.log == contact.log {
                return Ok(false);
            }
            let pinned = known.log.verify().map_err(untrusted)?;
            contact.log.verify().map_err(untrusted)?.extends(&pinned.pin()).map_err(untrusted)?;
            known.log = contact.log.clone();
            return Ok(true);
        }
        let offered = contact.log.verify().map_err(untrusted)?;
        let name_taken = self.contacts.iter().any(|known| known.handle == handle);
        if name_taken || offered.account() != contact.account {
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
        Ok(true)
    }

    /// The name under which the listener knows an account, whatever the coordinator calls it now.
    pub(crate) fn name_of(&self, account: AccountId) -> Option<&Handle> {
        self.contacts.iter().find(|known| known.account == account).map(|known| &known.handle)
    }

    /// Notes that a Jam is over for this node, and forgets those whose grants have ended by `now`.
    pub(crate) fn note_ended(&mut self, ended: EndedJam, now: UtcTime) {
        self.ended.retain(|known| known.jam != ended.jam && known.expires > now);
        self.ended.push(ended);
        let surplus = self.ended.len().saturating_sub(ENDED_MAX);
        self.ended.drain(..surplus);
    }

    /// Whether a Jam is over for this node.
    pub(crate) fn has_ended(&self, jam: JamId) -> bool {
        self.ended.iter().any(|known| known.jam == jam)
    }

    fn proves_link(&self, contact: &Contact) -> bool {
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

/// How many Jams that are over are remembered: one every three minutes for the life of a grant, 12 hours.
const ENDED_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use jamsync_protocol::{identity::DeviceSecret, identity::Tier, text::List, time::Span};

    use super::*;

    fn secret(seed: u8) -> DeviceSecret {
        DeviceSecret::from_seed(&[seed; 32])
    }

    fn log_of(seed: u8) -> VerifiedLog {
        DeviceLog::found(&secret(seed), [seed; 16])
    }

    fn me(seed: u8) -> Me {
        Me {
            account: log_of(seed).account(),
            handle: "ana".parse().unwrap(),
            tier: Tier::Premium,
            log: log_of(seed).as_log().clone(),
            requests: List::empty(),
        }
    }

    fn account() -> Account {
        Account::founded(Vec::new(), secret(9).public(), secret(1).public(), &me(1)).unwrap()
    }

    fn contact(seed: u8, handle: &str) -> Contact {
        let log = log_of(seed);
        let handle = handle.parse().unwrap();
        Contact { handle, account: log.account(), log: log.as_log().clone(), online: true, accepted: None }
    }

    #[test]
    fn an_account_that_the_coordinator_founded_in_our_name_is_refused() {
        // Its device could speak for the account, and friends would be asked to trust it.
        let forged = Account::founded(Vec::new(), secret(9).public(), secret(1).public(), &me(9));
        assert!(matches!(forged, Err(AccountError::NotFoundedHere { .. })), "{forged:?}");
        let renamed = Me { account: log_of(2).account(), ..me(1) };
        let forged = Account::founded(Vec::new(), secret(9).public(), secret(1).public(), &renamed);
        assert!(matches!(forged, Err(AccountError::NotFoundedHere { .. })), "{forged:?}");
    }

    #[test]
    fn a_contact_is_taken_once_and_only_with_an_invitation() {
        let mut account = account();
        let ben = contact(2, "ben");
        assert!(matches!(account.admit(&ben, None), Err(AccountError::NotInvited { .. })));
        assert!(account.admit(&ben, Some(ben.account)).unwrap());
        assert!(!account.admit(&ben, None).unwrap(), "nothing new");
        assert_eq!(account.contacts.len(), 1);
    }

    #[test]
    fn a_jam_that_was_left_is_remembered_over_a_restart_until_its_grant_ends() {
        let at = |hours: i64| UtcTime::from_nanos(0) + Span::from_secs(hours * 3_600);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("account.json");
        let mut account = account();
        account.note_ended(EndedJam { jam: JamId([1; 16]), expires: at(12), told: false }, at(1));
        account.save(&file).unwrap();
        let mut account = Account::load(&file).unwrap().unwrap();
        assert!(account.has_ended(JamId([1; 16])) && !account.has_ended(JamId([2; 16])));
        account.note_ended(EndedJam { jam: JamId([2; 16]), expires: at(25), told: true }, at(13));
        assert!(!account.has_ended(JamId([1; 16])) && account.has_ended(JamId([2; 16])));
    }

    #[test]
    fn the_coordinator_cannot_exchange_the_names_of_two_friends() {
        let mut account = account();
        for (seed, name) in [(2, "ben"), (3, "cleo")] {
            let friend = contact(seed, name);
            account.admit(&friend, Some(friend.account)).unwrap();
        }
        account.admit(&contact(2, "cleo"), None).unwrap();
        let names: Vec<_> = account.contacts.iter().map(|known| known.handle.as_str()).collect();
        assert_eq!(names, ["ben", "cleo"]);
        assert_eq!(account.name_of(contact(2, "cleo").account).map(Handle::as_str), Some("ben"));
        assert_eq!(account.name_of(contact(5, "ben").account), None);
        let impostor = contact(4, "ben");
        let taken = account.admit(&impostor, Some(impostor.account));
        assert!(matches!(taken, Err(AccountError::Replaced { .. })), "{taken:?}");
    }
}
