//! How the listener stands to a friend: blocked, muted, removed, complained about; and whether it takes part at all.
//!
//! What shields the listener takes effect here first, with or without the coordinator, which is told when it is there.

use jamsync_protocol::{
    id::{AccountId, Handle},
    identity::Date,
    text::Text,
    wire::coord::{CoordReply, CoordRequest, Mark, REPORT_BYTES_MAX, ReportReason},
};

use super::{
    Apply, Engine,
    account::KnownContact,
    friends::{Work, link_error, usage},
};
use crate::{
    api::{self, ApiError, ErrorCode, Reply, RequestOutcome},
    net::coordinator::{CoordinatorLink, LinkError},
};

impl Engine {
    /// Blocks or mutes a friend, or lifts that.
    pub(super) fn mark_contact(
        &mut self,
        name: &Handle,
        mark: api::ContactMark,
        on: bool,
    ) -> Result<Work, ApiError> {
        let (_, link) = self.signed_in()?;
        let known = self.contact_mut(name)?;
        match mark {
            api::ContactMark::Blocked => known.blocked = on,
            api::ContactMark::Muted => known.muted = on,
        }
        known.untold = true;
        let known = known.clone();
        if known.blocked {
            self.part_from(known.account);
        }
        self.save_account()?;
        Ok(Box::pin(async move {
            match tell_marks(&link, &known).await {
                Ok(()) => {}
                Err(error @ LinkError::Unreachable { .. }) => {
                    let what = format!("done on this device, but {error}");
                    let remedy = "it is told to the coordinator when that is back";
                    return Err(ApiError::new(ErrorCode::Unreachable, what, remedy));
                }
                Err(error) => return Err(link_error(error)),
            }
            Ok(told(known))
        }))
    }

    /// Ends a contact on both sides.
    pub(super) fn remove_contact(&mut self, name: &Handle) -> Result<Work, ApiError> {
        let (_, link) = self.signed_in()?;
        let contact = self.contact_mut(name)?.account;
        Ok(Box::pin(async move {
            link.request(CoordRequest::RemoveContact { contact }).await.map_err(link_error)?;
            let apply: Apply = Box::new(move |engine| {
                engine.contact_removed(contact);
                Ok(Reply::Done)
            });
            Ok(apply)
        }))
    }

    /// Complains about a friend to whoever runs the coordinator.
    pub(super) fn report_contact(
        &mut self,
        name: &Handle,
        reason: api::ReportReason,
        words: &str,
    ) -> Result<Work, ApiError> {
        let (_, link) = self.signed_in()?;
        let contact = self.contact_mut(name)?.account;
        let words: Text<REPORT_BYTES_MAX> =
            Text::new(words).map_err(|error| usage(&error, "say it shorter, or disclose fewer messages"))?;
        let reason = match reason {
            api::ReportReason::Spam => ReportReason::Spam,
            api::ReportReason::Harassment => ReportReason::Harassment,
            api::ReportReason::Impersonation => ReportReason::Impersonation,
            api::ReportReason::Other => ReportReason::Other,
        };
        Ok(Box::pin(async move {
            link.request(CoordRequest::Report { contact, reason, words }).await.map_err(link_error)?;
            let apply: Apply = Box::new(|_| Ok(Reply::Done));
            Ok(apply)
        }))
    }

    /// Tells the birth date again, where the coordinator has raised its minimum age.
    pub(super) fn confirm_age(&self, birth: &str) -> Result<Work, ApiError> {
        let (_, link) = self.signed_in()?;
        let birth_date: Date = birth.parse().map_err(|error| usage(&error, "write it as 1990-12-31"))?;
        Ok(Box::pin(async move {
            link.request(CoordRequest::ConfirmAge { birth_date }).await.map_err(link_error)?;
            let apply: Apply = Box::new(|_| Ok(Reply::Done));
            Ok(apply)
        }))
    }

    /// Stays out of Jams, or takes part again.
    pub(super) fn opt_out(&self, out: bool) -> Result<Work, ApiError> {
        let (_, link) = self.signed_in()?;
        Ok(Box::pin(async move {
            link.request(CoordRequest::OptOut { out }).await.map_err(link_error)?;
            let apply: Apply = Box::new(|_| Ok(Reply::Done));
            Ok(apply)
        }))
    }

    /// Tells the coordinator what was said while it was away.
    pub(super) fn tell_untold_marks(&self) {
        let Ok((account, link)) = self.signed_in() else { return };
        for known in account.contacts.iter().filter(|known| known.untold) {
            let (link, known) = (link.clone(), known.clone());
            self.beside(None, async move {
                match tell_marks(&link, &known).await {
                    // A contact that it does not know (any more) needs no mark.
                    Ok(()) | Err(LinkError::Refused(_)) => {}
                    Err(error) => return Err(link_error(error)),
                }
                Ok(told(known))
            });
        }
    }

    /// A contact is none any more, by the doing of either side.
    pub(super) fn contact_removed(&mut self, account: AccountId) {
        let Some(known) = &mut self.account else { return };
        let Some(place) = known.contacts.iter().position(|contact| contact.account == account) else {
            return;
        };
        self.part_from(account);
        let Some(known) = &mut self.account else { return };
        let with = known.contacts.remove(place).handle;
        self.tell(api::Event::ContactRemoved { with });
        self.keep_account();
    }

    /// A Jam was ended at the coordinator: by the friend, or on another device of the listener.
    pub(super) fn jam_ended(&mut self, jam: jamsync_protocol::id::JamId, by: AccountId) {
        if self.jam.as_ref().is_none_or(|active| active.id != jam) {
            return;
        }
        if self.account.as_ref().and_then(super::Account::id) == Some(by) {
            // Leaving a Jam that there is succeeds.
            let _ = self.leave();
        } else {
            self.end_jam(api::JamEnd::PeerLeft);
        }
    }

    /// Ends what is under way with an account.
    fn part_from(&mut self, account: AccountId) {
        if self.jam.as_ref().is_some_and(|jam| jam.peer.account == account) {
            let _ = self.leave();
        }
        let open = self.ledger.open().iter().filter(|open| open.account == account);
        let over: Vec<_> = open.map(|open| (open.request, open.incoming)).collect();
        for (request, incoming) in over {
            let outcome = if incoming { RequestOutcome::Declined } else { RequestOutcome::Cancelled };
            self.end_request(request, outcome);
        }
    }

    fn marks_told(&mut self, told: &KnownContact) {
        let contacts = self.account.iter_mut().flat_map(|account| &mut account.contacts);
        for known in contacts.filter(|known| known.account == told.account) {
            // What was said again meanwhile is told by whoever said it.
            known.untold &= (known.blocked, known.muted) != (told.blocked, told.muted);
        }
        if !told.blocked {
            self.activity.handle_marked();
        }
    }

    fn contact_mut(&mut self, name: &Handle) -> Result<&mut KnownContact, ApiError> {
        let mut contacts = self.account.iter_mut().flat_map(|account| &mut account.contacts);
        contacts.find(|known| known.handle == *name).ok_or_else(|| {
            let what = format!("{name} is not among your contacts");
            ApiError::new(ErrorCode::NotFound, what, "see `jamsync contacts`")
        })
    }
}

/// What follows once the coordinator was told how the listener stands to a friend.
fn told(known: KnownContact) -> Apply {
    Box::new(move |engine| {
        engine.marks_told(&known);
        engine.save_account()?;
        Ok(Reply::Done)
    })
}

async fn tell_marks(link: &CoordinatorLink, known: &KnownContact) -> Result<(), LinkError> {
    for (mark, on) in [(Mark::Blocked, known.blocked), (Mark::Muted, known.muted)] {
        let request = CoordRequest::MarkContact { contact: known.account, mark, on };
        if link.request(request).await? != CoordReply::Done {
            return Err(LinkError::Unexpected);
        }
    }
    Ok(())
}
