//! The devices that are told of activities: of each what there is to tell it, once for each contact; and what waits for those
//! that are away.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use jamsync_protocol::{
    id::{AccountId, DeviceKey},
    time::{NodeTime, Span, UtcTime},
    wire::coord::{ActivityNews, DEVICES_MAX},
};
use tokio::sync::Notify;

/// The devices that listen, and reactions to accounts of which none does.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    devices: HashMap<DeviceKey, Watcher>,
    of: HashMap<AccountId, Vec<DeviceKey>>,
    waiting: HashMap<AccountId, VecDeque<Reaction>>,
    silences: HashMap<AccountId, Silence>,
    /// Reactions that may not have got to a device that is gone, while others of its account are there.
    unsure: HashMap<DeviceKey, VecDeque<Reaction>>,
}

/// That an account has hidden its activity, for those of its devices that were away.
#[derive(Debug)]
struct Silence {
    at: NodeTime,
    until: Option<UtcTime>,
    /// The devices that know of it: the one that said so first.
    known: Vec<DeviceKey>,
}

#[derive(Debug)]
struct Watcher {
    account: AccountId,
    wake: Arc<Notify>,
    /// Of whom there is something to tell. It grows with the contacts and not with what they do.
    due: BTreeMap<AccountId, What>,
    reactions: VecDeque<Reaction>,
    /// Reactions that were written to it: if it has gone by then, they wait again.
    written: VecDeque<Reaction>,
    silenced: Option<Option<UtcTime>>,
    /// When it was told so.
    silenced_at: Option<NodeTime>,
}

/// A reaction, and when it came.
type Reaction = (NodeTime, ActivityNews);

/// How much there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// That it is still so.
    Beat,
    /// How it is.
    All,
}

impl Watchers {
    pub(super) fn arrive(
        &mut self,
        account: AccountId,
        device: DeviceKey,
        seen: impl Iterator<Item = AccountId>,
        now: NodeTime,
    ) -> Arc<Notify> {
        self.forget(device, now);
        // What was written to its former connection and did not get there comes again; one that did is known by its time.
        let mut reactions = self.unsure.remove(&device).unwrap_or_default();
        reactions.retain(|(came, _)| now - *came < UNSURE_SPAN);
        let waiting = self.waiting.remove(&account).into_iter().flatten();
        let lately = waiting.filter(|(came, _)| now - *came < REACTION_KEPT);
        lately.for_each(|reaction| push(&mut reactions, reaction));
        let wake = Arc::new(Notify::new());
        let silence = self.silences.get(&account).filter(|silence| !silence.known.contains(&device));
        let watcher = Watcher {
            account,
            wake: Arc::clone(&wake),
            due: seen.map(|of| (of, What::All)).collect(),
            reactions,
            written: VecDeque::new(),
            silenced: silence.filter(|silence| now - silence.at < SILENCE_KEPT).map(|silence| silence.until),
            silenced_at: None,
        };
        self.devices.insert(device, watcher);
        self.of.entry(account).or_default().push(device);
        wake.notify_one();
        wake
    }

    pub(super) fn leave(&mut self, device: DeviceKey, wake: &Arc<Notify>, now: NodeTime) {
        if self.devices.get(&device).is_some_and(|watcher| Arc::ptr_eq(&watcher.wake, wake)) {
            self.forget(device, now);
        }
    }

    fn forget(&mut self, device: DeviceKey, now: NodeTime) {
        let Some(watcher) = self.devices.remove(&device) else { return };
        let is_unsure = watcher.silenced_at.is_some_and(|at| now - at < UNSURE_SPAN);
        if is_unsure && let Some(silence) = self.silences.get_mut(&watcher.account) {
            silence.known.retain(|known| *known != device);
        }
        if let Some(devices) = self.of.get_mut(&watcher.account) {
            devices.retain(|known| *known != device);
            if devices.is_empty() {
                self.of.remove(&watcher.account);
            }
        }
        let Watcher { account, written, reactions, .. } = watcher;
        let lately = written.into_iter().filter(|(came, _)| now - *came < UNSURE_SPAN);
        let mut unsure = VecDeque::new();
        lately.chain(reactions).for_each(|reaction| push(&mut unsure, reaction));
        if !self.of.contains_key(&account) {
            unsure.into_iter().for_each(|reaction| self.keep(account, reaction));
        } else if !unsure.is_empty() {
            // The others may be as dead as this one, and nobody knows yet.
            if self.unsure.len() >= WAITING_ACCOUNTS_MAX {
                self.unsure.retain(|_, kept| kept.iter().any(|(came, _)| now - *came < UNSURE_SPAN));
            }
            if self.unsure.len() < WAITING_ACCOUNTS_MAX {
                self.unsure.insert(device, unsure);
            }
        }
    }

    /// There is something to tell the devices of `viewer` about `of`.
    pub(super) fn note(&mut self, viewer: AccountId, of: AccountId, what: What) {
        for device in self.of.get(&viewer).into_iter().flatten() {
            if let Some(watcher) = self.devices.get_mut(device) {
                let due = watcher.due.entry(of).or_insert(what);
                *due = what.max(*due);
                watcher.wake.notify_one();
            }
        }
    }

    /// The other devices of an account are told that its activity is hidden.
    pub(super) fn silence(
        &mut self,
        account: AccountId,
        by: DeviceKey,
        until: Option<UtcTime>,
        now: NodeTime,
    ) {
        if self.silences.len() >= SILENCES_MAX && !self.silences.contains_key(&account) {
            let oldest = self.silences.iter().min_by_key(|(_, silence)| silence.at);
            if let Some(oldest) = oldest.map(|(account, _)| *account) {
                self.silences.remove(&oldest);
            }
        }
        self.silences.insert(account, Silence { at: now, until, known: vec![by] });
        for device in self.of.get(&account).into_iter().flatten().filter(|device| **device != by) {
            if let Some(watcher) = self.devices.get_mut(device) {
                watcher.silenced = Some(until);
                watcher.wake.notify_one();
            }
        }
    }

    /// A device has told anew what its account shows. Where it knows that this was hidden, it is not any more.
    pub(super) fn note_told_anew(&mut self, account: AccountId, by: DeviceKey) {
        if self.silences.get(&account).is_some_and(|silence| silence.known.contains(&by)) {
            self.silences.remove(&account);
        }
    }

    /// Forgets what has waited for too long.
    pub(super) fn forget_old(&mut self, now: NodeTime) {
        for reactions in self.waiting.values_mut() {
            reactions.retain(|(came, _)| now - *came < REACTION_KEPT);
        }
        self.waiting.retain(|_, reactions| !reactions.is_empty());
        self.silences.retain(|_, silence| now - silence.at < SILENCE_KEPT);
    }

    /// A reaction for an account. Of those that are not told yet the newest few are kept.
    pub(super) fn react(&mut self, to: AccountId, reaction: ActivityNews, now: NodeTime) {
        let reaction = (now, reaction);
        let Some(devices) = self.of.get(&to) else { return self.keep(to, reaction) };
        for device in devices {
            if let Some(watcher) = self.devices.get_mut(device) {
                push(&mut watcher.reactions, reaction.clone());
                watcher.wake.notify_one();
            }
        }
    }

    /// For how many accounts there are silences and reactions.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.silences.len(), self.waiting.len())
    }

    fn keep(&mut self, to: AccountId, reaction: Reaction) {
        if self.waiting.len() < WAITING_ACCOUNTS_MAX || self.waiting.contains_key(&to) {
            push(self.waiting.entry(to).or_default(), reaction);
        }
    }

    /// What a device is told before anything else.
    pub(super) fn urgent(&mut self, device: DeviceKey, now: NodeTime) -> Option<ActivityNews> {
        let watcher = self.devices.get_mut(&device)?;
        if let Some(until) = watcher.silenced.take() {
            watcher.silenced_at = Some(now);
            let silence = self.silences.get_mut(&watcher.account);
            if let Some(silence) = silence.filter(|silence| silence.known.len() < DEVICES_MAX) {
                silence.known.push(device);
            }
            return Some(ActivityNews::Silenced { until });
        }
        let reaction = watcher.reactions.pop_front()?;
        push(&mut watcher.written, reaction.clone());
        Some(reaction.1)
    }

    /// The account of a device, about whom it is told next, and what.
    pub(super) fn next(&mut self, device: DeviceKey) -> Option<(AccountId, AccountId, What)> {
        let watcher = self.devices.get_mut(&device)?;
        let (of, what) = watcher.due.pop_first()?;
        Some((watcher.account, of, what))
    }
}

fn push(queue: &mut VecDeque<Reaction>, reaction: Reaction) {
    if queue.len() >= REACTIONS_MAX {
        queue.pop_front();
    }
    queue.push_back(reaction);
}

/// How many reactions wait for a device, or for an account of which none is there. Count, default 8: a glance, not an inbox.
const REACTIONS_MAX: usize = 8;
/// For how long a reaction waits. Hours, default 24: it is a glance at what plays, and means nothing to anybody a day later.
const REACTION_KEPT: Span = Span::from_secs(86_400);
/// For how long a device that was away is told that another has hidden the account's activity. Days, default 30, as long as a
/// private session may last: fewer let it show again what its listener has hidden.
const SILENCE_KEPT: Span = Span::from_secs(30 * 86_400);
/// Of how many accounts that is known at once. Count, default 10,000: two megabytes. Above it the oldest is forgotten.
const SILENCES_MAX: usize = 10_000;
/// For how long what was written to a device that is gone may not have reached it. Seconds, default 90: a dead connection ends after
/// 60; more shows somebody who comes back what was seen.
const UNSURE_SPAN: Span = Span::from_secs(90);
/// For how many accounts reactions wait at once. Count, default 10,000: some megabytes.
const WAITING_ACCOUNTS_MAX: usize = 10_000;
