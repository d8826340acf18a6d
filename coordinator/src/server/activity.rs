//! Listening activity as it passes through: of each account the newest sealed state, in memory and nowhere else, for those whom
//! the account names and the rules permit. The covers that it names are in [`covers`].
//!
//! Nothing queues: a device that is slow to read is told the newest when it reads on, and nothing that was superseded. After a
//! restart nothing is known, and whoever plays tells it anew.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jamsync_protocol::{
    activity::{ActivityNumber, BEATS_MAX, Beat, SlotGeneration},
    conversation::Epoch,
    id::{AccountId, DeviceKey},
    time::{NodeTime, Span, UtcTime},
    wire::coord::{
        ActivityKey, ActivityNews, Publication, Refusal, SealedActivity, SealedKey, SealedReaction,
        ShownActivity,
    },
};
use tokio::sync::Notify;

mod covers;
mod watchers;

use self::{
    covers::Covers,
    watchers::{Watchers, What},
};

/// The activity of all accounts.
#[derive(Debug, Default)]
pub(super) struct Activities(Mutex<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    sharers: HashMap<AccountId, Sharer>,
    /// Whose activity an account may see.
    seen: HashMap<AccountId, HashSet<AccountId>>,
    watchers: Watchers,
    /// About how many bytes the activities take.
    bytes: usize,
    /// How many their covers take.
    cover_bytes: usize,
}

/// The activity of one account.
#[derive(Debug)]
struct Sharer {
    device: DeviceKey,
    generation: SlotGeneration,
    number: ActivityNumber,
    sealed: Arc<SealedActivity>,
    told: NodeTime,
    renewed: Option<(Beat, NodeTime)>,
    /// In how many calls this state was told so far.
    parts: u32,
    viewers: HashMap<AccountId, Viewer>,
    covers: Covers,
}

/// Somebody who may see it.
#[derive(Debug)]
struct Viewer {
    epoch: Epoch,
    key: SealedKey,
    /// Whether the key is that of the newest state. One whose key is not is told when it is there.
    is_current: bool,
}

impl Activities {
    /// Takes what a device of `me` tells, for those whom the rules permit.
    ///
    /// # Errors
    /// [`Refusal::ActivityElsewhere`], or [`Refusal::Unavailable`] where there is no room.
    pub(super) fn publish(
        &self,
        (me, device): (AccountId, DeviceKey),
        publication: Publication,
        permitted: &[AccountId],
        now: NodeTime,
    ) -> Result<SlotGeneration, Refusal> {
        let mut shelf = self.lock();
        let generation = shelf.slot_of((me, device), &publication)?;
        if !shelf.sharers.contains_key(&me) {
            shelf.make_room(now)?;
        }
        let Publication { number, whole, sealed, to, .. } = publication;
        let shelf = &mut *shelf;
        shelf.watchers.note_told_anew(me, device);
        let sharer = shelf.sharers.entry(me).or_insert_with(|| {
            shelf.bytes += SHARER_BYTES;
            Sharer::new(device, sealed.clone(), now)
        });
        if sharer.device == device && number < sharer.number {
            // A later one has come first.
            return Ok(sharer.generation);
        }
        if sharer.device != device || number > sharer.number {
            sharer.viewers.values_mut().for_each(|viewer| viewer.is_current = false);
            (sharer.number, sharer.told, sharer.renewed) = (number, now, None);
            sharer.sealed = Arc::new(sealed);
            sharer.parts = 0;
        }
        sharer.parts = sharer.parts.saturating_add(1);
        if sharer.device != device {
            shelf.cover_bytes = shelf.cover_bytes.saturating_sub(sharer.covers.clear());
        }
        (sharer.device, sharer.generation) = (device, generation);
        for ActivityKey { viewer, epoch, sealed: key } in to.into_vec() {
            if !permitted.contains(&viewer) || viewer == me {
                continue;
            }
            if sharer.viewers.insert(viewer, Viewer { epoch, key, is_current: true }).is_none() {
                shelf.bytes += VIEWER_BYTES;
            }
            shelf.seen.entry(viewer).or_default().insert(me);
            shelf.watchers.note(viewer, me, What::All);
        }
        if whole {
            let left_out = sharer.viewers.iter().filter(|(_, viewer)| !viewer.is_current);
            let left_out: Vec<AccountId> = left_out.map(|(account, _)| *account).collect();
            left_out.into_iter().for_each(|viewer| shelf.hide_from(me, viewer));
        }
        Ok(generation)
    }

    /// Whether it names more who may see a state that is known, and nobody who was named already.
    pub(super) fn is_further(&self, (me, device): (AccountId, DeviceKey), publication: &Publication) -> bool {
        let shelf = self.lock();
        let sharer = shelf.sharers.get(&me);
        let is_known = |key: &ActivityKey| {
            sharer.and_then(|sharer| sharer.viewers.get(&key.viewer)).is_some_and(|viewer| viewer.is_current)
        };
        let is_same = sharer.is_some_and(|sharer| {
            sharer.device == device && sharer.number == publication.number && sharer.parts < PARTS_MAX
        });
        is_same && !publication.to.is_empty() && !publication.to.iter().any(is_known)
    }

    /// What a device tells is still so.
    ///
    /// # Errors
    /// [`Refusal::ActivityElsewhere`].
    pub(super) fn renew(
        &self,
        (me, device): (AccountId, DeviceKey),
        generation: SlotGeneration,
        beat: Beat,
        now: NodeTime,
    ) -> Result<(), Refusal> {
        let mut shelf = self.lock();
        let shelf = &mut *shelf;
        shelf.held((me, device), generation)?;
        let Some(sharer) = shelf.sharers.get_mut(&me) else { return Ok(()) };
        // One that no state has any more would keep those out that it has.
        let is_possible = (1..=BEATS_MAX).contains(&beat.count);
        if is_possible && sharer.renewed.is_none_or(|(known, _)| known.count < beat.count) {
            sharer.renewed = Some((beat, now));
            let current = sharer.viewers.iter().filter(|(_, viewer)| viewer.is_current);
            current.for_each(|(viewer, _)| shelf.watchers.note(*viewer, me, What::Beat));
        }
        Ok(())
    }

    /// Hides the activity of `me` from one, or from all, of which its other devices are told.
    pub(super) fn hide(
        &self,
        (me, device): (AccountId, DeviceKey),
        from: Option<AccountId>,
        until: Option<UtcTime>,
        now: NodeTime,
    ) {
        let mut shelf = self.lock();
        if let Some(viewer) = from {
            shelf.hide_from(me, viewer);
        } else {
            shelf.drop_sharer(me);
            shelf.watchers.silence(me, device, until, now);
        }
    }

    /// Forgets what has waited for too long.
    pub(super) fn forget_old(&self, now: NodeTime) {
        self.lock().watchers.forget_old(now);
    }

    /// Passes a reaction on, or keeps it until a device of the account is there.
    pub(super) fn react(
        &self,
        by: AccountId,
        to: AccountId,
        (epoch, sealed): (Epoch, SealedReaction),
        now: NodeTime,
    ) {
        self.lock().watchers.react(to, ActivityNews::Reacted { by, epoch, sealed }, now);
    }

    /// A device wants to be told from now on; returns what is notified when there is something. It is told at once of each of
    /// `contacts`, also of who shows nothing: that may have been hidden while it was away.
    pub(super) fn watch(
        &self,
        account: AccountId,
        device: DeviceKey,
        contacts: &[AccountId],
        now: NodeTime,
    ) -> Arc<Notify> {
        let mut shelf = self.lock();
        let shelf = &mut *shelf;
        let seen = shelf.seen.get(&account).into_iter().flatten().copied();
        shelf.watchers.arrive(account, device, seen.chain(contacts.iter().copied()), now)
    }

    /// A device is told no more, unless it has begun anew.
    pub(super) fn leave(&self, device: DeviceKey, wake: &Arc<Notify>, now: NodeTime) {
        self.lock().watchers.leave(device, wake, now);
    }

    /// What to tell a device next.
    pub(super) fn next(&self, device: DeviceKey, now: NodeTime) -> Option<ActivityNews> {
        let mut shelf = self.lock();
        loop {
            if let Some(news) = shelf.watchers.urgent(device, now) {
                return Some(news);
            }
            let (account, of, what) = shelf.watchers.next(device)?;
            if let Some(news) = shelf.news(account, of, what, now) {
                return Some(news);
            }
        }
    }

    /// Nothing passes between these two any more.
    pub(super) fn part(&self, one: AccountId, other: AccountId) {
        let mut shelf = self.lock();
        shelf.hide_from(one, other);
        shelf.hide_from(other, one);
    }

    /// These devices speak for nobody any more.
    pub(super) fn forget_devices(&self, devices: &[DeviceKey]) {
        let mut shelf = self.lock();
        let held = shelf.sharers.iter().filter(|(_, sharer)| devices.contains(&sharer.device));
        let held: Vec<AccountId> = held.map(|(account, _)| *account).collect();
        held.into_iter().for_each(|account| shelf.drop_sharer(account));
    }

    /// Who shows and who sees, all of them.
    pub(super) fn pairs(&self) -> Vec<(AccountId, AccountId)> {
        let shelf = self.lock();
        let of = |(me, sharer): (&AccountId, &Sharer)| {
            let me = *me;
            sharer.viewers.keys().map(move |viewer| (me, *viewer)).collect::<Vec<_>>()
        };
        shelf.sharers.iter().flat_map(of).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    /// Under which generation a device may tell its state.
    fn slot_of(
        &self,
        (me, device): (AccountId, DeviceKey),
        publication: &Publication,
    ) -> Result<SlotGeneration, Refusal> {
        let &Publication { starts, generation, .. } = publication;
        let Some(sharer) = self.sharers.get(&me) else {
            let known = if starts { 0 } else { generation.0.min(GENERATION_MAX) };
            return Ok(SlotGeneration(known.max(1)));
        };
        if sharer.device == device {
            // Also where it has not heard under which generation it holds the activity; its numbers keep the order.
            return Ok(sharer.generation);
        }
        if starts {
            return Ok(SlotGeneration(sharer.generation.0.saturating_add(1)));
        }
        Err(Refusal::ActivityElsewhere { generation: sharer.generation })
    }

    /// What a device shows under this generation.
    fn held(
        &self,
        (me, device): (AccountId, DeviceKey),
        generation: SlotGeneration,
    ) -> Result<&Sharer, Refusal> {
        let elsewhere = |generation| Refusal::ActivityElsewhere { generation };
        let sharer = self.sharers.get(&me).ok_or(elsewhere(SlotGeneration(0)))?;
        if sharer.device == device && sharer.generation == generation {
            Ok(sharer)
        } else {
            Err(elsewhere(sharer.generation))
        }
    }

    /// What a device of `account` is told of the activity of another.
    fn news(&self, account: AccountId, of: AccountId, what: What, now: NodeTime) -> Option<ActivityNews> {
        let Some((sharer, viewer)) =
            self.sharers.get(&of).and_then(|sharer| Some((sharer, sharer.viewers.get(&account)?)))
        else {
            return Some(ActivityNews::Hidden { of });
        };
        if !viewer.is_current {
            return None;
        }
        if what == What::Beat {
            return sharer.renewed.map(|(beat, _)| ActivityNews::Renewed { of, beat });
        }
        Some(ActivityNews::Shown(ShownActivity {
            of,
            device: sharer.device,
            number: sharer.number,
            epoch: viewer.epoch,
            key: viewer.key.clone(),
            sealed: SealedActivity::clone(&sharer.sealed),
            told_ago: now - sharer.told,
            renewed: sharer.renewed.map(|(beat, at)| (beat, now - at)),
        }))
    }

    fn hide_from(&mut self, me: AccountId, viewer: AccountId) {
        let Some(sharer) = self.sharers.get_mut(&me) else { return };
        if sharer.viewers.remove(&viewer).is_some() {
            self.bytes = self.bytes.saturating_sub(VIEWER_BYTES);
            self.no_longer_seen(me, viewer);
        }
    }

    fn no_longer_seen(&mut self, me: AccountId, viewer: AccountId) {
        if let Some(seen) = self.seen.get_mut(&viewer) {
            seen.remove(&me);
            if seen.is_empty() {
                self.seen.remove(&viewer);
            }
        }
        self.watchers.note(viewer, me, What::All);
    }

    fn drop_sharer(&mut self, me: AccountId) {
        let Some(mut sharer) = self.sharers.remove(&me) else { return };
        self.cover_bytes = self.cover_bytes.saturating_sub(sharer.covers.clear());
        let freed = SHARER_BYTES + sharer.viewers.len() * VIEWER_BYTES;
        self.bytes = self.bytes.saturating_sub(freed);
        sharer.viewers.into_keys().for_each(|viewer| self.no_longer_seen(me, viewer));
    }

    /// Where there is no room, the activity that nobody has touched for longest goes, if that is long.
    fn make_room(&mut self, now: NodeTime) -> Result<(), Refusal> {
        if self.bytes < BYTES_MAX {
            return Ok(());
        }
        let oldest = self.sharers.iter().min_by_key(|(_, sharer)| sharer.touched());
        let oldest = oldest.filter(|(_, sharer)| now - sharer.touched() > KEPT_LEAST);
        let account = *oldest.ok_or(Refusal::Unavailable { retry_after: RETRY_AFTER })?.0;
        self.drop_sharer(account);
        Ok(())
    }
}

impl Sharer {
    fn new(device: DeviceKey, sealed: SealedActivity, now: NodeTime) -> Self {
        Self {
            device,
            generation: SlotGeneration(0),
            number: ActivityNumber(0),
            sealed: Arc::new(sealed),
            told: now,
            renewed: None,
            parts: 0,
            viewers: HashMap::new(),
            covers: Covers::default(),
        }
    }

    fn touched(&self) -> NodeTime {
        self.renewed.map_or(self.told, |(_, at)| at.max(self.told))
    }
}

/// The most that all activities may take. Bytes, default 64 MiB: ten thousand accounts with a dozen viewers each.
const BYTES_MAX: usize = 64 << 20;
/// What an activity takes beside those who see it, about.
const SHARER_BYTES: usize = 1_536;
/// What somebody who sees it takes, about.
const VIEWER_BYTES: usize = 384;
/// In how many calls one state is told that count as one change. Count, default 16: fewer keep whoever has many friends from showing
/// it to all of them, more let a device ask the database again and again for nothing.
const PARTS_MAX: u32 = 16;
/// For how long an activity has not been touched at least that goes where room is needed.
const KEPT_LEAST: Span = Span::from_secs(3_600);
/// When to try again where there is no room.
const RETRY_AFTER: Span = Span::from_secs(60);
/// The greatest generation that a device can have been given by a server before this one.
const GENERATION_MAX: u64 = 1 << 60;

#[cfg(test)]
mod tests;
