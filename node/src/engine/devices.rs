//! The devices of this account: adding one by a code, by a recovery code, naming and revoking them.
//!
//! Whoever writes into the device log takes it as the coordinator has it, holds it against what is known here, and
//! signs the one entry that follows. The coordinator can refuse that entry; it cannot write one.

use std::{sync::Arc, time::Duration};

use jamsync_protocol::{
    id::{AccountId, DeviceKey},
    identity::{
        CodeProof, CodeToken, DeviceCode, LogPin, RecoveryCode, Signature,
        device_code::CodeSecret,
        join_code::{ADDRESSES_MAX, CoordinatorAddress},
    },
    text::List,
    wire::coord::{self, CoordReply, CoordRequest, DeviceName, Me},
};
use tokio::time::{Instant, sleep};

use super::{
    Account, Apply, Engine,
    account::{CODES_MAX, KnownDevice, MadeCode},
    courier::Errand,
    friends::{Work, copied, first_of, link_error, no_account, refused, usage},
    own_log::{LogSource, look_up, verified, who_am_i, write_log},
    utc_now,
};
use crate::{
    api::{self, ApiError, ErrorCode, Reply},
    identity::Identity,
    net::coordinator::{CoordinatorLink, LinkError},
};

impl Engine {
    /// Makes a code that admits one more device, and remembers its secret.
    pub(super) fn make_device_code(&self) -> Result<Work, ApiError> {
        let (account, link) = self.signed_in()?;
        let id = account.id().ok_or_else(no_account)?;
        let (addresses, coordinator) = (addresses_of(account), account.coordinator);
        Ok(Box::pin(async move {
            let reply = link.request(CoordRequest::MakeDeviceCode).await.map_err(link_error)?;
            let CoordReply::DeviceCode { token, expires } = reply else {
                return Err(link_error(LinkError::Unexpected));
            };
            let secret = CodeSecret(rand::random());
            let code = DeviceCode { addresses, coordinator, account: id, token, secret }.to_string();
            let apply: Apply = Box::new(move |engine| {
                let now = utc_now();
                if let Some(account) = &mut engine.account {
                    account.codes.retain(|known| now < known.expires);
                    account.codes.push(MadeCode { token, secret, expires });
                    let surplus = account.codes.len().saturating_sub(CODES_MAX);
                    account.codes.drain(..surplus);
                }
                engine.save_account()?;
                Ok(Reply::DeviceCode { code, expires_in: expires - now })
            });
            Ok(apply)
        }))
    }

    /// Joins an account with a code that one of its devices has made.
    pub(super) fn join_account(&self, code: &str, name: &str) -> Result<Work, ApiError> {
        self.require_no_account()?;
        let (code, name) = (copied::<DeviceCode>(code)?, device_name(name)?);
        let (addresses, link) = self.way_to(&code.addresses, code.coordinator)?;
        let identity = self.own_identity();
        Ok(Box::pin(async move {
            let me = ask_to_join(&link, &identity, &code, name).await?;
            let apply: Apply =
                Box::new(move |engine| engine.joined(addresses, code.coordinator, code.account, &me, link));
            Ok(apply)
        }))
    }

    /// Joins an account with its recovery code.
    pub(super) fn recover_account(&self, code: &str, name: &str) -> Result<Work, ApiError> {
        self.require_no_account()?;
        let (code, name) = (copied::<RecoveryCode>(code)?, device_name(name)?);
        let (addresses, link) = self.way_to(&code.addresses, code.coordinator)?;
        let identity = self.own_identity();
        Ok(Box::pin(async move {
            let log = look_up(&link, code.account).await?;
            // An earlier attempt may have got through, but not its answer.
            if !log.is_active(identity.key()) {
                let pin = log.pin();
                write_log(&link, LogSource::LookedUp(pin), &code.secret(), &name, |log, author| {
                    let consent = log.consent(identity.secret());
                    log.add(author, identity.key(), consent)
                })
                .await?;
            }
            let me = who_am_i(&link).await?;
            let apply: Apply =
                Box::new(move |engine| engine.joined(addresses, code.coordinator, code.account, &me, link));
            Ok(apply)
        }))
    }

    fn joined(
        &mut self,
        addresses: Vec<String>,
        coordinator: DeviceKey,
        id: AccountId,
        me: &Me,
        link: CoordinatorLink,
    ) -> Result<Reply, ApiError> {
        let address = first_of(&addresses);
        let account = Account::joined(addresses, coordinator, self.identity.key(), id, me);
        self.account = Some(account.map_err(|error| refused(&error, "make a new code and try again"))?);
        self.save_account()?;
        self.coordinator = Some(link);
        self.coordinator_state = api::Coordinator::Connected { address: address.clone() };
        self.catch_up();
        self.start_courier();
        self.tell_courier(Errand::Connected);
        self.activity_connected();
        Ok(Reply::Account { handle: me.handle.clone(), coordinator: address })
    }

    /// The devices as the log has them, with what the coordinator knows beside it.
    pub(super) fn list_devices(&self) -> Result<Work, ApiError> {
        let (_, link) = self.signed_in()?;
        Ok(Box::pin(async move {
            // Of a coordinator that is away, what it told last is shown.
            let told = link.unless_away(devices(&link)).await;
            let apply: Apply = Box::new(move |engine| match told {
                Ok(told) => {
                    engine.take_devices(&told);
                    engine.devices_as_known(true)
                }
                Err(error @ LinkError::Unreachable { .. }) => {
                    engine.devices_as_known(false).map_err(|_| link_error(error))
                }
                Err(error) => Err(link_error(error)),
            });
            Ok(apply)
        }))
    }

    /// Keeps what the coordinator says of this account's devices.
    pub(super) fn take_devices(&mut self, told: &[coord::Device]) {
        let Some(account) = &mut self.account else { return };
        account.devices = told.iter().map(KnownDevice::told).collect();
        account.devices_told_at = Some(utc_now());
    }

    /// The devices as far as they are known here; where that is not `live`, with the time from which it is.
    fn devices_as_known(&self, live: bool) -> Result<Reply, ApiError> {
        let account = self.account.as_ref().ok_or_else(no_account)?;
        let (this, log) = (self.identity.key(), verified(&account.log)?);
        let as_of = account.devices_told_at.ok_or_else(no_account)?;
        let known = account.devices.iter().filter(|known| log.is_active(known.key));
        let devices = known.map(|known| {
            let KnownDevice { key, name, added, online } = known.clone();
            api::AccountDevice { key, name, added, online, this: key == this }
        });
        Ok(Reply::AccountDevices { devices: devices.collect(), as_of: (!live).then_some(as_of) })
    }

    /// Calls a device something else.
    pub(super) fn rename_device(&self, device: String, name: &str) -> Result<Work, ApiError> {
        let (_, link) = self.signed_in()?;
        let name = device_name(name)?;
        Ok(Box::pin(async move {
            let device = find(&devices(&link).await.map_err(link_error)?, &device)?;
            link.request(CoordRequest::RenameDevice { device, name }).await.map_err(link_error)?;
            let apply: Apply = Box::new(|_| Ok(Reply::Done));
            Ok(apply)
        }))
    }

    /// Revokes a device for ever.
    pub(super) fn revoke_device(&self, device: String) -> Result<Work, ApiError> {
        let (account, link) = self.signed_in()?;
        let (source, identity) = (LogSource::Own(verified(&account.log)?.pin()), self.own_identity());
        Ok(Box::pin(async move {
            let device = find(&devices(&link).await.map_err(link_error)?, &device)?;
            if device == identity.key() {
                let what = "this is the device that you are working on";
                return Err(ApiError::new(ErrorCode::Usage, what, "revoke it from another of your devices"));
            }
            let no_name = DeviceName::default();
            let revoked = write_log(&link, source, identity.secret(), &no_name, |log, author| {
                log.revoke(author, device)
            });
            let log = revoked.await?;
            let apply: Apply = Box::new(move |engine| {
                engine.own_log_shown(&log);
                Ok(Reply::Done)
            });
            Ok(apply)
        }))
    }

    /// Makes a recovery code; those made before count no more.
    pub(super) fn make_recovery_code(&self) -> Result<Work, ApiError> {
        let (account, link) = self.signed_in()?;
        let log = verified(&account.log)?;
        let (addresses, coordinator, identity) =
            (addresses_of(account), account.coordinator, self.own_identity());
        Ok(Box::pin(async move {
            let code = RecoveryCode { addresses, coordinator, account: log.account(), seed: rand::random() };
            let (source, no_name) = (LogSource::Own(log.pin()), DeviceName::default());
            let added = write_log(&link, source, identity.secret(), &no_name, |log, author| {
                log.add_recovery(author, &code.secret())
            });
            let mut log = added.await?;
            for former in verified(&log)?.recovery_keys() {
                if *former != code.secret().public() {
                    let revoked = write_log(&link, source, identity.secret(), &no_name, |log, author| {
                        log.revoke(author, *former)
                    });
                    log = revoked.await?;
                }
            }
            let apply: Apply = Box::new(move |engine| {
                engine.own_log_shown(&log);
                Ok(Reply::RecoveryCode { code: code.to_string() })
            });
            Ok(apply)
        }))
    }

    /// A device that was given a code asks to be added.
    pub(super) fn consider_device(
        &self,
        token: CodeToken,
        device: DeviceKey,
        consent: Signature,
        proof: CodeProof,
        name: DeviceName,
    ) {
        let Some(account) = &self.account else { return };
        if let Err(error) = account.check_code(token, device, proof, utc_now()) {
            return self.warn(error.to_string());
        }
        let Ok((_, link)) = self.signed_in() else { return };
        let Ok(log) = verified(&account.log) else { return };
        let (source, identity) = (LogSource::Own(log.pin()), self.own_identity());
        self.beside(None, async move {
            let added = write_log(&link, source, identity.secret(), &name, |log, author| {
                if log.is_active(device) { Ok(()) } else { log.add(author, device, consent) }
            });
            let log = added.await?;
            let apply: Apply = Box::new(move |engine| {
                if let Some(account) = &mut engine.account {
                    // One code, one device.
                    account.codes.retain(|code| code.token != token);
                }
                engine.own_log_shown(&log);
                engine.save_account()?;
                Ok(Reply::Done)
            });
            Ok(apply)
        });
    }

    fn own_identity(&self) -> Arc<Identity> {
        Arc::clone(&self.identity)
    }
}

/// Asks the maker of a code to add this device until it is in. The log may change under the question, so that it has
/// to be asked anew.
async fn ask_to_join(
    link: &CoordinatorLink,
    identity: &Identity,
    code: &DeviceCode,
    name: DeviceName,
) -> Result<Me, ApiError> {
    let until = Instant::now() + JOIN_PATIENCE;
    let mut asked: Option<LogPin> = None;
    while Instant::now() < until {
        let log = look_up(link, code.account).await?;
        if let Some(seen) = asked {
            log.extends(&seen).map_err(|error| refused(&error, "do not trust this coordinator"))?;
        }
        if log.is_active(identity.key()) {
            return who_am_i(link).await;
        }
        if asked != Some(log.pin()) {
            asked = Some(log.pin());
            let request = CoordRequest::AskToJoin {
                token: code.token,
                consent: log.consent(identity.secret()),
                code_proof: code.secret.prove(code.account, identity.key()),
                name: name.clone(),
            };
            link.request(request).await.map_err(link_error)?;
        }
        sleep(JOIN_POLL).await;
    }
    let what = "the device that made the code did not answer";
    Err(ApiError::new(ErrorCode::Unreachable, what, "start jamsync there and try again with the same code"))
}

/// This account's devices with their names.
pub(super) async fn devices(link: &CoordinatorLink) -> Result<Vec<coord::Device>, LinkError> {
    let reply = link.request(CoordRequest::Devices).await?;
    let CoordReply::Devices(devices) = reply else { return Err(LinkError::Unexpected) };
    Ok(devices.into_vec())
}

/// The device that a person means: by its name, or by how its key begins.
fn find(devices: &[coord::Device], wanted: &str) -> Result<DeviceKey, ApiError> {
    let named = |known: &&coord::Device| known.name.as_str() == wanted;
    let digits = wanted.to_ascii_lowercase();
    let begins = |known: &&coord::Device| {
        digits.len() >= KEY_DIGITS_MIN && known.device.to_string().starts_with(&digits)
    };
    let mut found: Vec<_> = devices.iter().filter(named).collect();
    if found.is_empty() {
        found = devices.iter().filter(begins).collect();
    }
    match found[..] {
        [device] => Ok(device.device),
        [] => {
            let what = format!("no device of yours is called {}", jamsync_protocol::text::printable(wanted));
            Err(ApiError::new(ErrorCode::NotFound, what, "see `jamsync account devices list`"))
        }
        _ => {
            let what = "several of your devices are called so";
            let remedy = "name it by the first digits of its key, as `jamsync account devices list` shows it";
            Err(ApiError::new(ErrorCode::Usage, what, remedy))
        }
    }
}

fn device_name(name: &str) -> Result<DeviceName, ApiError> {
    DeviceName::new(name.trim()).map_err(|error| usage(&error, "choose a shorter name"))
}

fn addresses_of(account: &Account) -> List<CoordinatorAddress, ADDRESSES_MAX> {
    let addresses = account.addresses.iter().filter_map(|address| CoordinatorAddress::new(address).ok());
    List::new(addresses.take(ADDRESSES_MAX).collect()).unwrap_or_default()
}

/// How long a new device waits for the one that made its code. Range 10 s to 5 min, default 60 s: less gives up on a
/// computer that wakes up, more keeps a person in front of a silent command.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);

/// How often it looks whether it is in. Range 200 ms to 5 s, default 500 ms: less troubles the coordinator, more keeps
/// a person waiting.
const JOIN_POLL: Duration = Duration::from_millis(500);

/// Fewer digits of a key may be a name that was mistyped.
const KEY_DIGITS_MIN: usize = 4;
