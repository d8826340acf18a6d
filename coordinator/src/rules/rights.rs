//! What an account may demand of its data: to see all that is held about it, and to have it deleted.

use std::io;

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
    Act::new(tables, context).erase(&account)?;
    Ok(true)
}

/// The bytes from `from` on of all that is held about the account that asks.
pub(super) fn export(view: &dyn View, context: &Context, from: u32) -> Outcome {
    let me = my_account(view, context)?;
    let mut part = Part::from(usize::try_from(from).unwrap_or(usize::MAX));
    view.held_about(me.id, &mut part)?;
    Ok(CoordReply::Exported {
        part: List::new(part.kept).map_err(|_| StoreError::Corrupt("account"))?,
        total: u32::try_from(part.at).unwrap_or(u32::MAX),
        hash: *part.hash.finalize().as_bytes(),
    })
}

/// Takes all that is held as it is written, and keeps one part of it. The whole may be many megabytes, and is read anew for
/// each part.
struct Part {
    from: usize,
    /// How many bytes there were so far.
    at: usize,
    kept: Vec<u8>,
    hash: blake3::Hasher,
}

impl Part {
    fn from(from: usize) -> Self {
        Self { from, at: 0, kept: Vec::new(), hash: blake3::Hasher::new() }
    }
}

impl io::Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        let before = self.from.saturating_sub(self.at);
        let room = EXPORT_PART_BYTES_MAX - self.kept.len();
        self.kept.extend(bytes.iter().skip(before).take(room));
        self.at += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_parts_of_an_export_are_the_whole_however_it_is_written() {
        let all: Vec<u8> = (0u32..40_000).flat_map(u32::to_be_bytes).collect();
        for piece in [1, 7, 4_096, EXPORT_PART_BYTES_MAX, all.len()] {
            let mut fetched = Vec::new();
            while fetched.len() < all.len() {
                let mut part = Part::from(fetched.len());
                all.chunks(piece).for_each(|bytes| part.write_all(bytes).expect("it takes all"));
                assert_eq!(
                    (part.at, *part.hash.finalize().as_bytes()),
                    (all.len(), *blake3::hash(&all).as_bytes())
                );
                assert!((1..=EXPORT_PART_BYTES_MAX).contains(&part.kept.len()));
                assert!(part.kept.capacity() <= 2 * EXPORT_PART_BYTES_MAX, "it keeps a part and no more");
                fetched.extend(part.kept);
            }
            assert_eq!(fetched, all, "in pieces of {piece}");
        }
        let mut beyond = Part::from(all.len());
        beyond.write_all(&all).expect("it takes all");
        assert_eq!((beyond.kept.len(), beyond.at), (0, all.len()));
    }
}
