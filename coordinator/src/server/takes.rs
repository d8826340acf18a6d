//! Who has taken key packages of whom of late. A contact who takes one after the other gets a copy of the last resort from some
//! on, as if no other were left, so that nobody can use up what is kept for others.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jamsync_protocol::{
    id::{AccountId, DeviceKey},
    time::{NodeTime, Span},
    wire::coord::CoordRequest,
};

use super::limits::{Bucket, Rate};
use crate::store::{StoreError, View};

/// The key packages that were taken of late.
#[derive(Debug, Default)]
pub(super) struct Takes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    pairs: HashMap<(AccountId, DeviceKey), Bucket>,
    askers: HashMap<AccountId, Bucket>,
}

impl Takes {
    /// Takes what a request asks for, and says of which of its devices nothing is to be handed out but the last resort.
    ///
    /// # Errors
    /// Of the store; or within, how long to wait, where the account takes too many of whomever.
    pub(super) fn note(
        &self,
        view: &dyn View,
        device: DeviceKey,
        request: &CoordRequest,
        now: NodeTime,
    ) -> Result<Result<Vec<DeviceKey>, Span>, StoreError> {
        let CoordRequest::TakeKeyPackages { devices } = request else { return Ok(Ok(Vec::new())) };
        let Some(me) = view.account_by_device(device)? else { return Ok(Ok(Vec::new())) };
        // An account lets its own new device into all of its conversations at once.
        let own = view.devices_of(me.id)?;
        let others = devices.iter().filter(|device| own.iter().all(|own| own.key != **device));
        Ok(self.take(me.id, others.copied(), now))
    }

    fn take(
        &self,
        asker: AccountId,
        devices: impl Iterator<Item = DeviceKey>,
        now: NodeTime,
    ) -> Result<Vec<DeviceKey>, Span> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.make_room(now);
        let mut spared = Vec::new();
        for device in devices {
            known.askers.entry(asker).or_default().take(ASKER_RATE, now)?;
            let pair = known.pairs.entry((asker, device)).or_default();
            if pair.take(PAIR_RATE, now).is_err() {
                spared.push(device);
            }
        }
        Ok(spared)
    }
}

impl Known {
    fn make_room(&mut self, now: NodeTime) {
        if self.pairs.len() >= KNOWN_MAX {
            self.pairs.retain(|_, bucket| !bucket.is_full(now));
        }
        if self.pairs.len() >= KNOWN_MAX {
            // What one account may take bounds how fast it gets here.
            self.pairs.clear();
        }
        if self.askers.len() >= KNOWN_MAX {
            self.askers.retain(|_, bucket| !bucket.is_full(now));
        }
    }
}

/// How many key packages of one device an account may take. Count and time, default 8 and one more every hour: fewer begin a
/// conversation with a key that others may have too where its first tries are lost, more let a contact use up those of a device
/// that is away.
const PAIR_RATE: Rate = Rate { each: Span::from_secs(3_600), burst: 8 };
/// And of all devices of others together. Count and time, default 512 and one more every 4 seconds: fewer hold up somebody whose
/// node lost its data and who has hundreds of contacts, more cost the database writes for nothing.
const ASKER_RATE: Rate = Rate { each: Span::from_secs(4), burst: 512 };
/// Pairs from which on those are forgotten that have taken nothing of late. Count, default 65,536: about 6 MiB.
const KNOWN_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: NodeTime = NodeTime::from_nanos(3_600_000_000_000);
    const ANA: AccountId = AccountId([1; 32]);
    const BEN: AccountId = AccountId([2; 32]);

    fn device(number: u16) -> DeviceKey {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        DeviceKey(key)
    }

    #[test]
    fn one_who_takes_on_and_on_gets_the_last_resort_and_keeps_nobody_else_from_more() {
        let takes = Takes::default();
        let taken =
            |asker, now| takes.take(asker, std::iter::once(device(1)), now).expect("not too many").is_empty();
        assert_eq!((0..100).filter(|_| taken(ANA, NOW)).count(), 8);
        assert!(taken(BEN, NOW), "another has its own");
        assert!(takes.take(ANA, std::iter::once(device(2)), NOW).expect("one").is_empty(), "and of another");
        let later = NOW + Span::from_secs(3_600);
        assert_eq!((0..100).filter(|_| taken(ANA, later)).count(), 1, "one an hour");
    }

    #[test]
    fn one_account_takes_so_many_of_all_others_and_then_has_to_wait() {
        let takes = Takes::default();
        let taken = (0..1_000)
            .filter(|number| takes.take(ANA, std::iter::once(device(*number)), NOW).is_ok())
            .count();
        assert_eq!(taken, 512);
        assert_eq!(takes.take(ANA, std::iter::once(device(0)), NOW), Err(Span::from_secs(4)));
        assert!(takes.take(BEN, std::iter::once(device(0)), NOW).is_ok());
    }

    #[test]
    fn only_so_many_pairs_are_remembered() {
        let takes = Takes::default();
        for asker in 0..300_u16 {
            let mut account = [0; 32];
            account[..2].copy_from_slice(&asker.to_be_bytes());
            for number in 0..500 {
                takes
                    .take(AccountId(account), std::iter::once(device(number)), NOW)
                    .expect("within its rate");
            }
            let known = takes.0.lock().expect("nobody panicked").pairs.len();
            assert!(known <= KNOWN_MAX, "{known}");
        }
    }
}
