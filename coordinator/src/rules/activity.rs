//! Who may see the listening activity of whom: contacts that may also write to each other, and nobody else.
//!
//! Whoever is left out is left out without a word, as somebody who does not look: an answer says nothing of blocks.

use jamsync_protocol::{id::AccountId, wire::coord::Refusal};

use super::{Context, Stop, my_account, standing};
use crate::{eligibility::Verb, store::View};

/// The account that asks, and those of `viewers` to whom it may show what it plays.
///
/// # Errors
/// [`Stop`] where it may show nothing to anybody.
pub fn viewers(
    view: &dyn View,
    context: &Context,
    viewers: &[AccountId],
) -> Result<(AccountId, Vec<AccountId>), Stop> {
    let me = my_account(view, context)?;
    let mut permitted = Vec::new();
    for viewer in viewers {
        let account = view.account(*viewer)?;
        let handle = &account.as_ref().unwrap_or(&me).handle;
        match standing::may(view, context, Verb::Message, &me, (handle, account.as_ref())) {
            Ok(()) => permitted.push(*viewer),
            Err(Stop::Refused(
                Refusal::NotContact { .. } | Refusal::Blocked { .. } | Refusal::CannotDeliver { .. },
            )) => {}
            Err(stop) => return Err(stop),
        }
    }
    Ok((me.id, permitted))
}

/// Of these pairs of who shows and who sees, those that may not.
///
/// # Errors
/// [`crate::store::StoreError`] of the database.
pub fn parted(
    view: &dyn View,
    pairs: &[(AccountId, AccountId)],
) -> Result<Vec<(AccountId, AccountId)>, crate::store::StoreError> {
    let mut parted = Vec::new();
    for (shows, sees) in pairs {
        let rows = [view.contact(*shows, *sees)?, view.contact(*sees, *shows)?];
        let stands = rows.iter().all(|row| row.as_ref().is_some_and(|row| !row.removed && !row.blocked));
        if !stands {
            parted.push((*shows, *sees));
        }
    }
    Ok(parted)
}
