//! The safety code of this account and a contact's: what the two compare to know that no coordinator stands between them.

use jamsync_protocol::{id::Handle, identity::SafetyCode};

use super::{Engine, friends::no_account};
use crate::api::{ApiError, ErrorCode, Reply};

impl Engine {
    /// The code of the accounts that this node has pinned; the coordinator is not asked.
    pub(super) fn safety_code(&self, name: Handle) -> Result<Reply, ApiError> {
        let account = self.account.as_ref().ok_or_else(no_account)?;
        let contact = account.contacts.iter().find(|contact| contact.handle == name).ok_or_else(|| {
            let what = format!("{name} is not among your contacts");
            ApiError::new(ErrorCode::NotFound, what, "`jamsync contacts` lists them")
        })?;
        // Both logs were verified when they were taken over.
        let unreadable =
            || ApiError::new(ErrorCode::Failed, "a device log that was kept does not verify any more", "");
        let own = account.log.verify().map_err(|_| unreadable())?;
        let friend = contact.log.verify().map_err(|_| unreadable())?;
        let count = |devices: usize| u32::try_from(devices).unwrap_or(u32::MAX);
        Ok(Reply::Safety {
            code: SafetyCode::of(own.account(), friend.account()).to_string(),
            devices: count(own.devices().len()),
            friend_devices: count(friend.devices().len()),
            name,
        })
    }
}
