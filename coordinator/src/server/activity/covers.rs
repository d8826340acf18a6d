//! The covers that activities name: of each account the newest two, sealed, in memory and nowhere else, for those alone who are
//! shown its activity now. They go with the activity, and never cost it its place: their room is their own.

use std::{collections::VecDeque, sync::Arc};

use jamsync_protocol::{
    activity::{CoverAddress, SEALED_COVER_BYTES, SlotGeneration},
    id::{AccountId, DeviceKey},
    time::NodeTime,
    wire::coord::{Refusal, SealedCover},
};

use super::{Activities, KEPT_LEAST, RETRY_AFTER, Shelf, watchers::What};

/// The covers of one account, oldest first.
#[derive(Debug, Default)]
pub(super) struct Covers(VecDeque<(CoverAddress, Arc<SealedCover>)>);

impl Activities {
    /// Takes a cover of what a device of `me` shows. Those who see that are shown it once more, where the cover is new.
    ///
    /// # Errors
    /// [`Refusal::ActivityElsewhere`], or [`Refusal::Unavailable`] where there is no room.
    pub(in crate::server) fn give_cover(
        &self,
        by: (AccountId, DeviceKey),
        generation: SlotGeneration,
        sealed: SealedCover,
        now: NodeTime,
    ) -> Result<(), Refusal> {
        let address = CoverAddress::of(&sealed);
        let mut shelf = self.lock();
        let shelf = &mut *shelf;
        if shelf.held(by, generation)?.covers.find(address).is_some() {
            return Ok(());
        }
        shelf.make_room_for_cover(now)?;
        let (me, _) = by;
        let Some(sharer) = shelf.sharers.get_mut(&me) else { return Ok(()) };
        let freed = sharer.covers.keep(address, sealed);
        shelf.cover_bytes = shelf.cover_bytes + SEALED_COVER_BYTES - freed;
        let current = sharer.viewers.iter().filter(|(_, viewer)| viewer.is_current);
        current.for_each(|(viewer, _)| shelf.watchers.note(*viewer, me, What::All));
        Ok(())
    }

    /// A cover of what `of` shows to `me`.
    ///
    /// # Errors
    /// [`Refusal::UnknownCover`], whether it is not there or not for `me`.
    pub(in crate::server) fn cover(
        &self,
        me: AccountId,
        of: AccountId,
        address: CoverAddress,
    ) -> Result<SealedCover, Refusal> {
        let shelf = self.lock();
        let sharer = shelf.sharers.get(&of).filter(|sharer| {
            let viewer = sharer.viewers.get(&me);
            viewer.is_some_and(|viewer| viewer.is_current)
        });
        let sealed = sharer.and_then(|sharer| sharer.covers.find(address)).map(Arc::clone);
        drop(shelf);
        let sealed = sealed.ok_or(Refusal::UnknownCover)?;
        Ok(SealedCover::clone(&sealed))
    }
}

impl Shelf {
    /// Where there is no room, the covers of whoever was not heard of for longest go, if that is long.
    fn make_room_for_cover(&mut self, now: NodeTime) -> Result<(), Refusal> {
        if self.cover_bytes + SEALED_COVER_BYTES <= COVER_BYTES_MAX {
            return Ok(());
        }
        let covered = self.sharers.values_mut().filter(|sharer| !sharer.covers.0.is_empty());
        let oldest = covered.min_by_key(|sharer| sharer.touched());
        let oldest = oldest.filter(|sharer| now - sharer.touched() > KEPT_LEAST);
        let freed = oldest.ok_or(Refusal::Unavailable { retry_after: RETRY_AFTER })?.covers.clear();
        self.cover_bytes = self.cover_bytes.saturating_sub(freed);
        Ok(())
    }
}

impl Covers {
    /// Keeps a cover as the newest; returns how many bytes that freed.
    fn keep(&mut self, address: CoverAddress, sealed: SealedCover) -> usize {
        self.0.push_back((address, Arc::new(sealed)));
        if self.0.len() <= COVERS_MAX {
            return 0;
        }
        self.0.pop_front().map_or(0, |_| SEALED_COVER_BYTES)
    }

    fn find(&self, address: CoverAddress) -> Option<&Arc<SealedCover>> {
        self.0.iter().find_map(|(known, sealed)| (*known == address).then_some(sealed))
    }

    /// Forgets all of them; returns how many bytes that freed.
    pub(super) fn clear(&mut self) -> usize {
        std::mem::take(&mut self.0).len() * SEALED_COVER_BYTES
    }
}

/// How many covers of an account are kept. Count, default 2: of what it shows, and of what somebody is just reading of before.
const COVERS_MAX: usize = 2;
/// The most that all covers may take. Bytes, default 64 MiB: about eight thousand of them.
const COVER_BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests;
