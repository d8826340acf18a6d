//! What each device has used up of late. It is kept by device and not by connection, so that nobody begins anew by coming
//! again, and only until it says no more than a new one would.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jamsync_protocol::{
    id::DeviceKey,
    time::{NodeTime, Span},
};

use super::limits::{Bucket, Limits, Rate};

/// The meters of all devices that are connected or were of late.
#[derive(Debug)]
pub(super) struct Meters(Mutex<Known>);

#[derive(Debug)]
struct Known {
    meters: HashMap<DeviceKey, Arc<Meter>>,
    /// From how many on those are looked for that may be forgotten.
    most: usize,
}

/// The meter of one device.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Used>);

#[derive(Debug, Default)]
struct Used {
    requests: Bucket,
    writes: Bucket,
    posts: Bucket,
    shows: Bucket,
    renewals: Bucket,
    watches: Bucket,
    reactions: Bucket,
    covers_given: Bucket,
    covers_fetched: Bucket,
    /// When it told its addresses of late, oldest first.
    told_at: VecDeque<NodeTime>,
}

impl Default for Meters {
    fn default() -> Self {
        Self(Mutex::new(Known { meters: HashMap::new(), most: KNOWN_MAX }))
    }
}

impl Meters {
    /// The meter of a device. Whoever holds on to it is connected.
    pub(super) fn of(&self, device: DeviceKey, now: NodeTime) -> Arc<Meter> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.meters.len() >= known.most {
            known.make_room(now);
        }
        Arc::clone(known.meters.entry(device).or_default())
    }
}

impl Known {
    fn make_room(&mut self, now: NodeTime) {
        let is_held = |meter: &Arc<Meter>| Arc::strong_count(meter) > 1;
        self.meters.retain(|_, meter| is_held(meter) || !meter.is_full(now));
        if self.meters.len() >= KNOWN_MAX {
            // So many come and go that whoever has gone is forgotten at once.
            self.meters.retain(|_, meter| is_held(meter));
        }
        // Not again before as many have come, so that it costs each of them little.
        self.most = KNOWN_MAX.max(2 * self.meters.len());
    }
}

impl Meter {
    /// Takes one request.
    ///
    /// # Errors
    /// How long to wait, where the device asks too fast.
    pub(super) fn request(&self, limits: &Limits, now: NodeTime) -> Result<(), Span> {
        let rate = Rate::per_second(limits.requests_per_second_max, limits.requests_burst_max);
        self.lock().requests.take(rate, now)
    }

    /// Takes one write. Each leaves a receipt for a day, whatever else it does.
    ///
    /// # Errors
    /// How long to wait, where the device writes too much.
    pub(super) fn write(&self, limits: &Limits, now: NodeTime) -> Result<(), Span> {
        let rate = Rate::per_second(limits.writes_per_second_max, limits.writes_burst_max);
        self.lock().writes.take(rate, now)
    }

    /// Takes one message to somebody.
    ///
    /// # Errors
    /// How long to wait, where the device says too much.
    pub(super) fn post(&self, now: NodeTime) -> Result<(), Span> {
        self.lock().posts.take(Rate::per_second(POSTS_PER_SECOND_MAX, POSTS_BURST_MAX), now)
    }

    /// Takes one change of what the device shows of what it plays.
    ///
    /// # Errors
    /// How long to wait, where it changes too often.
    pub(super) fn show(&self, now: NodeTime) -> Result<(), Span> {
        self.lock().shows.take(Rate::per_second(SHOWS_PER_SECOND_MAX, SHOWS_BURST_MAX), now)
    }

    /// Takes one renewal of what the device shows.
    ///
    /// # Errors
    /// How long to wait, where it renews too often.
    pub(super) fn renew(&self, now: NodeTime) -> Result<(), Span> {
        self.lock().renewals.take(Rate::per_second(SHOWS_PER_SECOND_MAX, SHOWS_BURST_MAX), now)
    }

    /// Takes one opening of the stream on which the device is told of activities, at first of all of them.
    ///
    /// # Errors
    /// How long to wait, where it opens too many.
    pub(super) fn watch(&self, now: NodeTime) -> Result<(), Span> {
        self.lock().watches.take(Rate { each: WATCH_EVERY, burst: WATCHES_BURST_MAX }, now)
    }

    /// Takes one reaction to what somebody plays.
    ///
    /// # Errors
    /// How long to wait, where there are too many.
    pub(super) fn react(&self, now: NodeTime) -> Result<(), Span> {
        self.lock().reactions.take(Rate::per_second(1, 1), now)
    }

    /// Takes one cover that the device gives.
    ///
    /// # Errors
    /// How long to wait, where there are too many.
    pub(super) fn give_cover(&self, now: NodeTime) -> Result<(), Span> {
        self.lock().covers_given.take(Rate::per_second(SHOWS_PER_SECOND_MAX, SHOWS_BURST_MAX), now)
    }

    /// Takes one cover that the device fetches.
    ///
    /// # Errors
    /// How long to wait, where there are too many.
    pub(super) fn fetch_cover(&self, now: NodeTime) -> Result<(), Span> {
        self.lock().covers_fetched.take(Rate::per_second(COVERS_PER_SECOND_MAX, COVERS_BURST_MAX), now)
    }

    /// Takes one telling of addresses. Each is passed on to the device's peers, and so it may be done only so often.
    ///
    /// # Errors
    /// How long to wait, where it was done too often; nothing has changed then.
    pub(super) fn tell(&self, now: NodeTime) -> Result<(), Span> {
        let mut used = self.lock();
        used.forget_told(now);
        if let Some(oldest) = used.told_at.front().filter(|_| used.told_at.len() >= TOLD_BURST) {
            return Err(*oldest + TOLD_SPAN - now);
        }
        used.told_at.push_back(now);
        Ok(())
    }

    /// Whether it says no more than a new one.
    fn is_full(&self, now: NodeTime) -> bool {
        let mut used = self.lock();
        used.forget_told(now);
        used.told_at.is_empty()
            && used.requests.is_full(now)
            && used.writes.is_full(now)
            && used.posts.is_full(now)
            && used.shows.is_full(now)
            && used.renewals.is_full(now)
            && used.watches.is_full(now)
            && used.reactions.is_full(now)
            && used.covers_given.is_full(now)
            && used.covers_fetched.is_full(now)
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    fn forget_told(&mut self, now: NodeTime) {
        while self.told_at.front().is_some_and(|told| now - *told >= TOLD_SPAN) {
            self.told_at.pop_front();
        }
    }
}

/// How many messages a device may send in the long run. Count per second, default 1: fewer hinder who types fast, more
/// flood a friend.
const POSTS_PER_SECOND_MAX: u32 = 1;
/// How many messages a device may send at once. Count, default 60: as many wait after an evening without a network.
const POSTS_BURST_MAX: u32 = 60;
/// How often what a device shows may change in the long run. Count per second, default 1: friends read no faster.
const SHOWS_PER_SECOND_MAX: u32 = 1;
/// How often it may change at once. Count, default 8: a node changes it five times at once, and what it tells need not arrive
/// as evenly as it left.
const SHOWS_BURST_MAX: u32 = 8;
/// How often a device may begin to watch activities. Count and time, default 8 at once and one more every 5 s: fewer leave a
/// device in the dark whose network comes and goes, more tell it of all its contacts again and again.
const WATCHES_BURST_MAX: u32 = 8;
const WATCH_EVERY: Span = Span::from_secs(5);
/// How many covers a device may fetch in the long run. Count per second, default 4: fewer keep whoever has many friends waiting,
/// more carry what nobody looks at.
const COVERS_PER_SECOND_MAX: u32 = 4;
/// How many covers it may fetch at once. Count, default 32, a quarter of a mebibyte: as many friends play when it comes back.
const COVERS_BURST_MAX: u32 = 32;
/// How often a device may tell its addresses within [`TOLD_SPAN`]. Count, default 10: a node tells them when it connects and
/// when its network changes; more would let it push other events out of its peers' queues.
const TOLD_BURST: usize = 10;
/// The time over which [`TOLD_BURST`] counts.
const TOLD_SPAN: Span = Span::from_secs(60);
/// Devices of which is remembered what they used up, beside those that are connected. Count, default 65,536: about 11 MiB.
/// Fewer let whoever has many keys begin anew sooner, more let him fill the memory.
const KNOWN_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: NodeTime = NodeTime::from_nanos(3_600_000_000_000);

    fn device(number: usize) -> DeviceKey {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&u64::try_from(number).expect("few").to_be_bytes());
        DeviceKey(key)
    }

    #[test]
    fn whoever_comes_again_finds_what_it_left() {
        let (meters, limits) = (Meters::default(), Limits::default());
        let burst = (0..1_000).filter(|_| meters.of(device(1), NOW).request(&limits, NOW).is_ok()).count();
        assert_eq!(burst, 120);
        assert!(meters.of(device(2), NOW).request(&limits, NOW).is_ok(), "another has its own");
        let told = (0..100).filter(|_| meters.of(device(1), NOW).tell(NOW).is_ok()).count();
        assert_eq!(told, 10);
        let later = NOW + Span::from_secs(59);
        assert_eq!(meters.of(device(1), later).tell(later), Err(Span::from_secs(1)));
        let later = NOW + Span::from_secs(60);
        assert_eq!(meters.of(device(1), later).tell(later), Ok(()));
    }

    #[test]
    fn only_so_many_are_remembered_beside_those_who_are_there() {
        let (meters, limits) = (Meters::default(), Limits::default());
        let there: Vec<_> = (0..100).map(|number| meters.of(device(number), NOW)).collect();
        for meter in &there {
            meter.request(&limits, NOW).expect("one");
        }
        for number in 100..3 * KNOWN_MAX {
            meters.of(device(number), NOW).request(&limits, NOW).expect("one");
            let known = meters.0.lock().expect("nobody panicked").meters.len();
            assert!(known <= KNOWN_MAX, "{known}");
        }
        let same = |number| Arc::ptr_eq(&there[number], &meters.of(device(number), NOW));
        assert!((0..100).all(same), "whoever is there keeps its meter");
    }
}
