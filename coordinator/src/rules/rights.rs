//! What an account may demand of its data: to see all that is held about it, and to have it deleted.

use jamsync_protocol::{
    id::Handle,
    text::List,
    wire::coord::{CoordEvent, CoordReply, EXPORT_PART_BYTES_MAX, Refusal},
};

use super::{Act, Context, Outcome, my_account, named};
use crate::store::{Account, StoreError, Tables, View};

impl Act<'_> {
    pub(super) fn delete_account(&mut self, handle: &Handle) -> Outcome {
        let me = self.me()?;
        if me.handle != *handle {
            return Err(Refusal::OtherHandle { handle: me.handle }.into());
        }
        self.erase(&me)?;
        // The device that asks gets its answer; the others are cut off.
        self.revoked.retain(|device| *device != self.context.device);
        Ok(CoordReply::Done)
    }

    /// Parts an account from everybody, and removes it.
    fn erase(&mut self, account: &Account) -> Result<(), StoreError> {
        let devices: Vec<_> = self.tables.devices_of(account.id)?.iter().map(|device| device.key).collect();
        for contact in self.tables.contacts_with(account.id)? {
            let friend = named(&*self.tables, contact)?;
            self.part(account, &friend)?;
            self.tell(&friend, None, &CoordEvent::ContactRemoved { account: account.id })?;
        }
        self.tables.erase_account(account.id)?;
        self.wake.retain(|device| !devices.contains(device));
        self.revoked.extend(devices);
        Ok(())
    }
}

/// Deletes the account of this name by the operator's word, as if one of its devices had asked, and says whether there was
/// one. Whoever asks is the coordinator itself.
///
/// # Errors
/// [`StoreError`]; the transaction is then to be taken back.
pub fn delete(tables: &mut dyn Tables, context: &Context, handle: &Handle) -> Result<bool, StoreError> {
    let Some(account) = tables.account_by_handle(handle)? else { return Ok(false) };
    Act { tables, context, wake: Vec::new(), revoked: Vec::new() }.erase(&account)?;
    Ok(true)
}

/// The bytes from `from` on of all that is held about the account that asks.
pub(super) fn export(view: &dyn View, context: &Context, from: u32) -> Outcome {
    let me = my_account(view, context)?;
    let all = serde_json::to_vec(&view.held_about(me.id)?).map_err(|_| StoreError::Corrupt("account"))?;
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let part = all.iter().skip(from).take(EXPORT_PART_BYTES_MAX).copied().collect();
    Ok(CoordReply::Exported {
        part: List::new(part).map_err(|_| StoreError::Corrupt("account"))?,
        total: u32::try_from(all.len()).unwrap_or(u32::MAX),
        hash: *blake3::hash(&all).as_bytes(),
    })
}
