//! The devices of an account: codes that admit one more, the log that says which they are, and what the coordinator
//! keeps beside it.
//!
//! The log alone decides. An entry carries its author's signature, so whoever brings it may be the device that it adds;
//! what the coordinator adds is that the log grows in one line, and that who is revoked is cut off at once.

use jamsync_protocol::{
    id::{AccountId, DeviceKey},
    identity::{CodeProof, CodeToken, LogError, Signature, SignedEntry, VerifiedLog},
    text::List,
    time::Span,
    wire::coord::{self, CoordEvent, CoordReply, DEVICES_MAX, DeviceName, Refusal, RequestEnd},
};

use super::{Act, Context, Outcome, Stop, my_account, named, wait_for};
use crate::store::{Account, Device, DeviceCode, StoreError, View};

/// How long a device code admits: 10 minutes, enough to carry it from one screen to another.
pub(super) const CODE_LIFE: Span = Span::from_secs(600);
/// How many codes of an account may be valid at once. Count, 1 and up, default 5: fewer hinder somebody who mistypes,
/// more let one account fill the disk.
const CODES_MAX: usize = 5;
/// How often one code may be asked with. Count, default 16: a device asks anew whenever the log has changed under it;
/// more let a stranger who has seen the token push other events out of the maker's queue.
const ASKS_MAX: u32 = 16;
/// Recovery keys at once: the one in force, and the one that takes its place.
const RECOVERY_KEYS_MAX: usize = 2;

impl Act<'_> {
    pub(super) fn make_device_code(&mut self) -> Outcome {
        let me = self.me()?;
        let now = self.context.now;
        let ends = self.tables.code_ends(me.id, now)?;
        let valid: Vec<_> = ends.into_iter().map(|end| end - CODE_LIFE).collect();
        if let Some(retry_after) = wait_for(&valid, CODES_MAX, CODE_LIFE, now) {
            return Err(Refusal::TooMany { retry_after }.into());
        }
        let (token, expires) = (CodeToken(self.new_id()), now + CODE_LIFE);
        let maker = self.context.device;
        self.tables.put_device_code(DeviceCode { token, account: me.id, maker, expires, asks: 0 })?;
        Ok(CoordReply::DeviceCode { token, expires })
    }

    pub(super) fn ask_to_join(
        &mut self,
        token: CodeToken,
        consent: Signature,
        code_proof: CodeProof,
        name: &DeviceName,
    ) -> Outcome {
        let device = self.context.device;
        if let Some(account) = self.tables.account_by_device(device)? {
            return Err(Refusal::AlreadySignedUp { handle: account.handle }.into());
        }
        let now = self.context.now;
        let code = self.tables.device_code(token)?;
        let code = code.filter(|code| now < code.expires && code.asks < ASKS_MAX);
        // Looked for in any case, so that a code that never was takes as long as one whose maker is gone. Of the device that
        // asks it is known that it has no account.
        let made_by = self.tables.account_by_device(code.map_or(device, |code| code.maker))?;
        let code = code.filter(|_| made_by.is_some()).ok_or(Refusal::UnknownCode)?;
        self.tables.put_device_code(DeviceCode { asks: code.asks + 1, ..code })?;
        let asks = CoordEvent::DeviceAsks { token, device, consent, code_proof, name: name.clone() };
        self.tables.push_event(code.maker, &asks)?;
        self.wake.push(code.maker);
        Ok(CoordReply::Done)
    }

    pub(super) fn extend_log(&mut self, id: AccountId, entry: &SignedEntry, name: &DeviceName) -> Outcome {
        let mut account = self.tables.account(id)?.ok_or(Refusal::UnknownCode)?;
        let before = account.log.verify().map_err(|_| StoreError::Corrupt("device log"))?;
        let mut after = before.clone();
        after.extend(entry.clone()).map_err(|error| refusal_of(&error))?;
        let asks = self.context.device;
        if !before.is_active(asks) && !after.is_active(asks) {
            return Err(Refusal::BadLog.into());
        }
        if after.recovery_keys().len() > RECOVERY_KEYS_MAX {
            return Err(Refusal::BadLog.into());
        }
        let (added, gone) = (only_in(&after, &before), only_in(&before, &after));
        if let Some(added) = added {
            self.check_addition(&after, added)?;
        }
        account.log = after.as_log().clone();
        self.tables.set_log(id, &account.log)?;
        if let Some(key) = added {
            let (name, added) = (name.clone(), self.context.now);
            self.tables.insert_device(&Device { key, account: id, name, added, revoked: false })?;
            self.start_log_cursors(id)?;
        }
        // Whoever is told that the log has grown learns of it before what follows from it.
        self.tell_of_growth(&account, entry)?;
        if let Some(gone) = gone {
            self.retire(&account, gone)?;
        }
        Ok(CoordReply::Done)
    }

    pub(super) fn rename_device(&mut self, device: DeviceKey, name: &DeviceName) -> Outcome {
        let me = self.me()?;
        let known = self.tables.device(device)?.filter(|known| known.account == me.id && !known.revoked);
        known.ok_or(Refusal::UnknownDevice)?;
        self.tables.rename_device(device, name)?;
        Ok(CoordReply::Done)
    }

    fn check_addition(&self, log: &VerifiedLog, device: DeviceKey) -> Result<(), Stop> {
        if log.devices().len() > DEVICES_MAX {
            let limit = u8::try_from(DEVICES_MAX).unwrap_or(u8::MAX);
            return Err(Refusal::TooManyDevices { limit }.into());
        }
        // A device speaks for one account; one that founded another has nothing to look for here.
        if self.tables.device(device)?.is_some() { Err(Refusal::BadLog.into()) } else { Ok(()) }
    }

    fn tell_of_growth(&mut self, account: &Account, entry: &SignedEntry) -> Result<(), StoreError> {
        let grew = CoordEvent::DeviceLogGrew { account: account.id, entry: entry.clone() };
        self.tell(account, Some(self.context.device), &grew)?;
        for contact in self.tables.contacts_with(account.id)? {
            let contact = named(&*self.tables, contact)?;
            self.tell(&contact, None, &grew)?;
        }
        Ok(())
    }

    /// Ends all that a device had under way, and cuts it off.
    fn retire(&mut self, account: &Account, device: DeviceKey) -> Result<(), StoreError> {
        let limit = u32::try_from(coord::OPEN_REQUESTS_MAX).unwrap_or(u32::MAX);
        for request in self.tables.requests_of(account.id, limit)? {
            if request.from_device == device {
                self.tables.end_request(request.id, RequestEnd::Cancelled)?;
                let friend = named(&*self.tables, request.to)?;
                self.tell(&friend, None, &CoordEvent::RequestCancelled { request: request.id })?;
                let answered =
                    CoordEvent::RequestAnswered { request: request.id, end: RequestEnd::Cancelled };
                self.tell(account, None, &answered)?;
            }
        }
        for jam in self.tables.jams_of(device, self.context.now)? {
            self.close_jam(&jam, account.id)?;
        }
        self.tables.revoke_device(device)?;
        self.revoked.push(device);
        Ok(())
    }
}

/// The devices of the account that asks.
pub(super) fn list(view: &dyn View, context: &Context) -> Outcome {
    let me = my_account(view, context)?;
    let devices = view.devices_of(me.id)?.into_iter().map(|known| coord::Device {
        device: known.key,
        name: known.name,
        added: known.added,
        online: context.whereabouts.is_online(known.key),
    });
    let devices = List::new(devices.collect()).map_err(|_| StoreError::Corrupt("device"))?;
    Ok(CoordReply::Devices(devices))
}

/// The log of an account, for whoever knows its id: every contact does, and every device that was given a code.
pub(super) fn look_up(view: &dyn View, account: AccountId) -> Outcome {
    let account = view.account(account)?.ok_or(Refusal::UnknownCode)?;
    Ok(CoordReply::Log(account.log))
}

/// The device that speaks for the account in one log and not in the other. One entry makes at most one such.
fn only_in(one: &VerifiedLog, other: &VerifiedLog) -> Option<DeviceKey> {
    one.devices().iter().copied().find(|device| !other.is_active(*device))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "every other error is an entry that is not to be taken")]
fn refusal_of(error: &LogError) -> Refusal {
    match error {
        LogError::Broken { .. } => Refusal::LogMoved,
        LogError::Full => Refusal::LogFull,
        _ => Refusal::BadLog,
    }
}
