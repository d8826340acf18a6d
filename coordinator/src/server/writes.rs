//! Writes: what the rules do with one, and who has to hear of it then.
//!
//! A write runs in a task of its own. A client that goes away ends the stream on which it asked, but its change may be
//! made all the same, and whoever has to hear of that change must not depend on who asked for it.

use std::{net::IpAddr, sync::Arc};

use jamsync_protocol::{
    id::{AccountId, DeviceKey},
    wire::coord::{CoordCall, CoordReply, CoordRequest, Mark, Refusal},
};

use super::Shared;
use crate::{
    rules::{self, Context, Stop},
    store::{Store, StoreError, Tables, View},
};

impl<S: Store> Shared<S> {
    /// Does a write that came `from` an address, with all that follows from it. Whoever stops waiting for the answer stops
    /// nothing.
    pub(super) async fn write(
        self: &Arc<Self>,
        context: Context,
        from: IpAddr,
        call: CoordCall,
    ) -> Result<CoordReply, StoreError> {
        let shared = Arc::clone(self);
        let done = tokio::spawn(async move { shared.carry_out(context, from, call).await });
        done.await.map_err(|_| StoreError::Closed)?
    }

    async fn carry_out(
        &self,
        context: Context,
        from: IpAddr,
        call: CoordCall,
    ) -> Result<CoordReply, StoreError> {
        let (device, speaks) = (context.device, speaks_after(&call.request));
        let parts = parted_by(&call.request);
        let (calendar, env) = (Arc::clone(&self.calendar), Arc::clone(&self.env));
        let (misses, takes) = (Arc::clone(&self.misses), Arc::clone(&self.takes));
        let apply = move |tables: &mut dyn Tables| {
            // Asked only here: a change that waited may come after the one that sets the calendar and moves the rows.
            let spared = takes.note(&*tables, device, &call.request, env.uptime())?;
            let spared = spared.map_err(|retry_after| Refusal::TooMany { retry_after })?;
            let context = Context { now: calendar.now(), calendar: calendar.trust(), spared, ..context };
            // One write follows the other here, so that of two sign-ups the second sees the miss of the first.
            let permit = permit_of(&*tables, device, &call)?;
            if let Some(permit) = permit {
                let checked = misses.check(permit, from, env.uptime());
                checked.map_err(|retry_after| Refusal::TooMany { retry_after })?;
            }
            let outcome = rules::apply(tables, &context, &call);
            if let (Some(permit), Err(Stop::Refused(Refusal::HandleTaken { .. }))) = (permit, &outcome) {
                misses.note(permit, from, env.uptime());
            }
            outcome
        };
        let applied = match self.store.write(apply).await {
            Ok(applied) => applied,
            Err(stop) => return stop.answer(),
        };
        if let Some(speaks) = speaks {
            self.presence.note(device, speaks);
        }
        self.presence.wake(&applied.wake);
        if let Some(written) = applied.written {
            self.presence.tell_written(written);
        }
        self.presence.cut_off(&applied.revoked);
        self.activities.forget_devices(&applied.revoked);
        if let Some(contact) = parts
            && let Some(account) = self.store.read(move |view| view.account_by_device(device)).await?
        {
            self.activities.part(account.id, contact);
        }
        if matches!(applied.reply, CoordReply::Requested { .. }) {
            self.look_again.notify_one();
        }
        Ok(applied.reply)
    }
}

/// Whether the device that asked speaks for an account once this is done, where it matters.
#[expect(clippy::wildcard_enum_match_arm, reason = "no other request changes it")]
const fn speaks_after(request: &CoordRequest) -> Option<bool> {
    match request {
        CoordRequest::SignUp { .. } | CoordRequest::ExtendLog { .. } => Some(true),
        CoordRequest::DeleteAccount { .. } => Some(false),
        _ => None,
    }
}

/// With whom nothing passes any more once this is done.
#[expect(clippy::wildcard_enum_match_arm, reason = "no other request parts anybody")]
const fn parted_by(request: &CoordRequest) -> Option<AccountId> {
    match request {
        CoordRequest::MarkContact { contact, mark: Mark::Blocked, on: true }
        | CoordRequest::RemoveContact { contact } => Some(*contact),
        _ => None,
    }
}

/// The permit under which somebody signs up; none for another request, or one that was done before and is only repeated.
fn permit_of(view: &dyn View, device: DeviceKey, call: &CoordCall) -> Result<Option<[u8; 32]>, StoreError> {
    let CoordRequest::SignUp { secret, .. } = &call.request else { return Ok(None) };
    let is_repeated = view.receipt(device, call.key)?.is_some();
    Ok((!is_repeated).then(|| secret.fingerprint()))
}
