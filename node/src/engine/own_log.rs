//! This account's device log: written one entry at a time, taken as the coordinator shows it, and told again where that has
//! forgotten some of it.

use jamsync_protocol::{
    id::AccountId,
    identity::{DeviceLog, DeviceSecret, LogError, LogPin, SignedEntry, VerifiedLog},
    wire::coord::{CoordReply, CoordRequest, DeviceName, Me, Refusal},
};

use super::{
    Apply, Engine,
    account::Grown,
    friends::{link_error, refused},
    utc_now,
};
use crate::{
    api::{self, ApiError, ErrorCode, Reply},
    net::coordinator::{CoordinatorLink, LinkError},
};

impl Engine {
    /// Takes this account's log as the coordinator has it, or says why not.
    pub(super) fn own_log_shown(&mut self, log: &DeviceLog) {
        let Some(account) = &mut self.account else { return };
        match account.take_own_log(log) {
            Ok(grown) => self.log_has_grown(grown),
            Err(error) => {
                let forgotten = account.forgotten(log);
                self.warn(error.to_string());
                self.tell_again(forgotten);
            }
        }
    }

    /// Whether the coordinator knows this device's account.
    pub(super) fn hear_of_membership(&mut self, signed_up: bool) {
        let Some(account) = self.account.as_ref().filter(|_| !signed_up) else {
            self.account_unknown = None;
            return;
        };
        let told = format!(
            "the coordinator does not know this account any more: it was deleted on another device, or the coordinator \
             was made anew; ask its operator, or sign up again: `jamsync account delete {}` forgets it here, then \
             `jamsync init` with a join code",
            account.handle
        );
        self.warn(told.clone());
        self.account_unknown = Some(told);
        self.ask_for_own_log();
    }

    /// Gives the coordinator the entries of this account's log that it has forgotten. Each carries its own authority, so
    /// a coordinator that came back from a backup has every device and every revocation again.
    fn tell_again(&self, forgotten: Vec<SignedEntry>) {
        let Ok((account, link)) = self.signed_in() else { return };
        let Some(id) = account.id().filter(|_| !forgotten.is_empty()) else { return };
        self.beside(None, async move {
            for entry in forgotten {
                let request = CoordRequest::ExtendLog { account: id, entry, name: DeviceName::default() };
                match link.request(request).await {
                    // Another device may have been faster.
                    Ok(_) | Err(LinkError::Refused(Refusal::LogMoved)) => {}
                    Err(error) => return Err(link_error(error)),
                }
            }
            let apply: Apply = Box::new(|engine| {
                engine.warn("the coordinator had forgotten a change of your devices; it was told again");
                Ok(Reply::Done)
            });
            Ok(apply)
        });
    }

    /// Asks how this account's log stands where the coordinator does not know this device.
    pub(super) fn ask_for_own_log(&self) {
        let Ok((account, link)) = self.signed_in() else { return };
        let Some(id) = account.id() else { return };
        self.beside(None, async move {
            let log = look_up(&link, id).await?;
            let apply: Apply = Box::new(move |engine| {
                engine.own_log_shown(log.as_log());
                Ok(Reply::Done)
            });
            Ok(apply)
        });
    }

    /// The log of this account or of a contact has one entry more.
    pub(super) fn log_grew(&mut self, account: AccountId, entry: &SignedEntry) {
        let Some(known) = &mut self.account else { return };
        match known.grow(account, entry) {
            Ok(grown) => self.log_has_grown(grown),
            Err(error) => self.warn(error.to_string()),
        }
    }

    fn log_has_grown(&mut self, grown: Grown) {
        match grown {
            Grown::Nothing => return,
            Grown::Missed => return self.catch_up(),
            Grown::Contact => {}
            Grown::Own { added, gone } => {
                if let Some(key) = added {
                    if let Some(account) = &mut self.account {
                        account.note_device(key, utc_now());
                    }
                    self.tell(api::Event::DeviceAdded { key });
                }
                if let Some(key) = gone {
                    self.tell(api::Event::DeviceRevoked { key });
                }
            }
        }
        self.judge_again();
        self.keep_account();
    }
}

/// Where a log that is to be written comes from, and what was seen of it before.
#[derive(Clone, Copy, Debug)]
pub(super) enum LogSource {
    /// This device is in the account.
    Own(LogPin),
    /// It is not yet.
    LookedUp(LogPin),
}

/// Writes one entry into an account's log in the name of `author`, and gives the log with it. Where another device
/// was faster, the entry is made anew behind that one's.
pub(super) async fn write_log(
    link: &CoordinatorLink,
    source: LogSource,
    author: &DeviceSecret,
    name: &DeviceName,
    write: impl Fn(&mut VerifiedLog, &DeviceSecret) -> Result<(), LogError>,
) -> Result<DeviceLog, ApiError> {
    let mut moved = ApiError::from_sentence(ErrorCode::Refused, &Refusal::LogMoved.to_string());
    for _ in 0..WRITE_ATTEMPTS {
        let (pin, mut log) = match source {
            LogSource::Own(pin) => (pin, verified(&who_am_i(link).await?.log)?),
            LogSource::LookedUp(pin) => (pin, look_up(link, pin.account).await?),
        };
        log.extends(&pin).map_err(|error| refused(&error, "do not trust this coordinator"))?;
        let before = log.pin();
        write(&mut log, author).map_err(|error| refused(&error, "see `jamsync account devices list`"))?;
        let Some(entry) = log.newest().filter(|_| log.pin() != before).cloned() else {
            return Ok(log.as_log().clone());
        };
        let request = CoordRequest::ExtendLog { account: log.account(), entry, name: name.clone() };
        match link.request(request).await {
            Ok(_) => return Ok(log.as_log().clone()),
            Err(LinkError::Refused(Refusal::LogMoved)) => {}
            Err(error) => return Err(link_error(error)),
        }
        moved.remedy = "another device changes it all the time; try again later".to_owned();
    }
    Err(moved)
}

/// The log of an account as the coordinator has it, which proves itself.
pub(super) async fn look_up(link: &CoordinatorLink, account: AccountId) -> Result<VerifiedLog, ApiError> {
    let reply = link.request(CoordRequest::LookUpLog { account }).await.map_err(link_error)?;
    let CoordReply::Log(log) = reply else { return Err(link_error(LinkError::Unexpected)) };
    let log = verified(&log)?;
    if log.account() == account {
        Ok(log)
    } else {
        let (expected, actual) = (account, log.account());
        Err(refused(&LogError::OtherAccount { expected, actual }, "do not trust this coordinator"))
    }
}

/// This device's account as the coordinator has it.
pub(super) async fn who_am_i(link: &CoordinatorLink) -> Result<Me, ApiError> {
    let reply = link.request(CoordRequest::WhoAmI).await.map_err(link_error)?;
    if let CoordReply::Me(me) = reply { Ok(me) } else { Err(link_error(LinkError::Unexpected)) }
}

/// A log that proves itself.
pub(super) fn verified(log: &DeviceLog) -> Result<VerifiedLog, ApiError> {
    log.verify().map_err(|error| refused(&error, "do not trust this coordinator"))
}

/// How often an entry is made anew where other devices are faster.
const WRITE_ATTEMPTS: usize = 4;
