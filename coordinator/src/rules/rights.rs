//! What an account may demand of its data: to see all that is held about it, and to have it deleted.

use jamsync_protocol::{
    id::Handle,
    text::List,
    wire::coord::{CoordEvent, CoordReply, EXPORT_PART_BYTES_MAX, Refusal},
};

use super::{Act, Context, Outcome, my_account, named};
use crate::store::{StoreError, View};

impl Act<'_> {
    pub(super) fn delete_account(&mut self, handle: &Handle) -> Outcome {
        let me = self.me()?;
        if me.handle != *handle {
            return Err(Refusal::OtherHandle { handle: me.handle }.into());
        }
        let devices = self.tables.devices_of(me.id)?;
        for contact in self.tables.contacts_with(me.id)? {
            let friend = named(&*self.tables, contact)?;
            self.part(&me, &friend)?;
            self.tell(&friend, None, &CoordEvent::ContactRemoved { account: me.id })?;
        }
        self.tables.erase_account(me.id)?;
        // The device that asks gets its answer; the others are cut off.
        let others = devices.iter().map(|device| device.key).filter(|device| *device != self.context.device);
        self.revoked.extend(others);
        self.wake.retain(|device| !devices.iter().any(|gone| gone.key == *device));
        Ok(CoordReply::Done)
    }
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
