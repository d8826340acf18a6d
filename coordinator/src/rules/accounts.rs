//! Sign-up, and what an account is told of itself.

use jamsync_protocol::{
    id::Handle,
    identity::{Date, DeviceLog, Market, join_code::JoinSecret},
    limits::COORD_FRAME_BYTES_MAX,
    text::List,
    time::UtcTime,
    wire::{
        codec,
        coord::{CoordReply, Me, OPEN_REQUESTS_MAX, Refusal},
    },
};

use super::{Act, Context, Outcome, Settings, my_account, requests};
use crate::{
    eligibility::{Age, AgeRecord, Trust},
    store::{Account, JoinPermit, StoreError, Tables, View},
};

impl Act<'_> {
    pub(super) fn sign_up(
        &mut self,
        secret: JoinSecret,
        handle: &Handle,
        birth_date: Date,
        market: Market,
        log: &DeviceLog,
    ) -> Outcome {
        let context = self.context;
        if let Some(account) = self.tables.account_by_device(context.device)? {
            return Err(Refusal::AlreadySignedUp { handle: account.handle }.into());
        }
        let permit = self
            .tables
            .join_permit(secret.fingerprint())?
            .filter(|permit| permit.uses_left > 0 && context.now < permit.expires)
            .ok_or(Refusal::UnknownJoinCode)?;
        // One entry, founded by the very key that this connection has proved to hold.
        let verified = log.verify().map_err(|_| Refusal::BadLog)?;
        if verified.pin().length != 1 || !verified.is_active(context.device) {
            return Err(Refusal::BadLog.into());
        }
        if self.tables.account_by_handle(handle)?.is_some() {
            return Err(Refusal::HandleTaken { handle: handle.clone() }.into());
        }
        self.tables.put_join_permit(JoinPermit { uses_left: permit.uses_left - 1, ..permit })?;
        let account = Account {
            id: verified.account(),
            handle: handle.clone(),
            tier: context.settings.tier_default,
            age: AgeRecord::of(birth_date, context.settings.minimum_age, context.now, context.calendar),
            market,
            created: context.now,
            log: log.clone(),
            opted_out: false,
        };
        self.tables.insert_account(&account)?;
        me(&*self.tables, &account)
    }

    pub(super) fn confirm_age(&mut self, birth_date: Date) -> Outcome {
        let account = self.me()?;
        let (minimum_age, now) = (self.context.settings.minimum_age, self.context.now);
        // Whoever is known to be too young cannot become older by saying so.
        match account.age.age(minimum_age, now) {
            Age::TooYoung => Err(Refusal::TooYoung { minimum_age }.into()),
            Age::Enough => Ok(CoordReply::Done),
            Age::Unknown => {
                let met = account.age.met;
                let told = AgeRecord::of(birth_date, minimum_age, now, self.context.calendar);
                self.tables.set_age(account.id, AgeRecord { met: told.met.max(met), ..told })?;
                Ok(CoordReply::Done)
            }
        }
    }
}

/// Erases the birth dates that are no longer needed, of whoever is old enough and need not come back for it, but of no more
/// than `limit`, and returns of how many.
///
/// # Errors
/// [`StoreError`].
pub fn settle_ages(
    tables: &mut dyn Tables,
    settings: &Settings,
    (now, calendar): (UtcTime, Trust),
    limit: u32,
) -> Result<u32, StoreError> {
    let mut settled = 0;
    // The oldest come first, so whoever is too young stands behind all that are due.
    for (account, age) in tables.birth_dates(limit)? {
        let Some(age) = age.settled(settings.minimum_age, now, calendar) else { break };
        tables.set_age(account, age)?;
        settled += 1;
    }
    Ok(settled)
}

pub(super) fn who_am_i(view: &dyn View, context: &Context) -> Outcome {
    me(view, &my_account(view, context)?)
}

fn me(view: &dyn View, account: &Account) -> Outcome {
    let limit = u32::try_from(OPEN_REQUESTS_MAX).unwrap_or(u32::MAX);
    let mut me = Me {
        account: account.id,
        handle: account.handle.clone(),
        tier: account.tier,
        log: account.log.clone(),
        requests: List::empty(),
        opted_out: account.opted_out,
    };
    let size = |me: &Me| codec::encode(me, COORD_FRAME_BYTES_MAX).map(|bytes| bytes.len());
    let used = size(&me).map_err(|_| StoreError::Corrupt("account"))?;
    let mut room = COORD_FRAME_BYTES_MAX.saturating_sub(used + REPLY_BYTES);
    let mut requests = Vec::new();
    for request in view.requests_of(account.id, limit)? {
        let open = requests::as_seen_by(view, account, &request)?;
        let needed =
            codec::encode(&open, COORD_FRAME_BYTES_MAX).map_err(|_| StoreError::Corrupt("request"))?;
        // Beside the longest log not every request has room; the events tell of those left out.
        let Some(left) = room.checked_sub(needed.len()) else { break };
        room = left;
        requests.push(open);
    }
    me.requests = List::new(requests).map_err(|_| StoreError::Corrupt("request"))?;
    Ok(CoordReply::Me(me))
}

/// More than a reply needs around its account.
const REPLY_BYTES: usize = 16;
