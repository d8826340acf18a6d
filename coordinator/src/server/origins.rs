//! How many connections each origin holds and how fast it makes new ones, so that one machine cannot take every place
//! there is, nor keep the server busy with handshakes.
//!
//! An origin is an IPv4 address or an IPv6 network of 64 bits, which is what one customer of a provider has.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jamsync_protocol::time::NodeTime;

use super::limits::{Bucket, Limits, Rate};

/// Connections and handshakes by origin.
#[derive(Debug, Default)]
pub(super) struct Origins {
    known: Mutex<HashMap<IpAddr, Origin>>,
}

/// One origin.
#[derive(Debug, Default)]
struct Origin {
    held: u32,
    /// What it took under an address that it had proved, and under one that anybody may have written on the packet.
    proved: Bucket,
    unproved: Bucket,
}

/// The place of one connection, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    origins: Arc<Origins>,
    origin: IpAddr,
}

/// Whether one more connection may come from an address.
#[derive(Debug)]
pub(super) enum Admission {
    /// It may.
    Granted(Place),
    /// It may, once the address has proved that it is not only written on the packet.
    Unproved,
    /// It may not.
    Full,
}

impl Origins {
    /// Asks for a place for `address`, which is `proved` where a packet sent to it was answered.
    pub(super) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        proved: bool,
        limits: &Limits,
        now: NodeTime,
    ) -> Admission {
        let origin = origin_of(address);
        let mut known = self.lock();
        if known.len() >= KNOWN_MAX {
            known.retain(|_, origin| origin.is_of_use(now));
        }
        let entry = known.entry(origin).or_default();
        if limits.loopback_limited || !origin.is_loopback() {
            if entry.held >= limits.connections_per_origin_max {
                return Admission::Full;
            }
            let (bucket, rate, refused) = if proved {
                (&mut entry.proved, PROVED_RATE, Admission::Full)
            } else {
                (&mut entry.unproved, UNPROVED_RATE, Admission::Unproved)
            };
            if (!proved && entry.held >= UNPROVED_MAX) || bucket.take(rate, now).is_err() {
                return refused;
            }
        }
        entry.held += 1;
        Admission::Granted(Place { origins: Arc::clone(self), origin })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Origin>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Origin {
    /// Whether anything is lost when it is forgotten.
    fn is_of_use(&self, now: NodeTime) -> bool {
        self.held > 0 || !self.proved.is_full(now) || !self.unproved.is_full(now)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(origin) = self.origins.lock().get_mut(&self.origin) {
            origin.held = origin.held.saturating_sub(1);
        }
    }
}

/// The origin of an address.
pub(super) fn origin_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => address.to_canonical(),
    }
}

/// Connections of an origin from which on a new one has to prove its address: otherwise forged packets could use
/// up the places of somebody else.
const UNPROVED_MAX: u32 = 16;
/// How fast an origin may make connections before it has to prove its address.
const UNPROVED_RATE: Rate = Rate::per_second(4, 32);
/// How fast it may make them under a proved address: all friends behind one router are back within seconds after a
/// restart of the server, and one machine keeps less than a hundredth of a core busy with handshakes.
const PROVED_RATE: Rate = Rate::per_second(16, 256);
/// Origins from which on those are forgotten that hold nothing and have not come of late.
const KNOWN_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use jamsync_protocol::time::Span;

    use super::*;

    const HELD_MAX: u32 = 200;
    const NOW: NodeTime = NodeTime::from_nanos(3_600_000_000_000);

    fn enter(origins: &Arc<Origins>, address: &str, proved: bool, now: NodeTime) -> Admission {
        let limits = Limits { connections_per_origin_max: HELD_MAX, ..Limits::default() };
        origins.enter(address.parse().expect("an address"), proved, &limits, now)
    }

    fn fill(origins: &Arc<Origins>, address: &str, count: u32) -> Vec<Place> {
        let enter = |_| match enter(origins, address, true, NOW) {
            Admission::Granted(place) => place,
            refused @ (Admission::Unproved | Admission::Full) => panic!("{refused:?}"),
        };
        (0..count).map(enter).collect()
    }

    #[test]
    fn one_origin_cannot_take_every_place_and_its_places_come_back() {
        let origins = Arc::default();
        let mut places = fill(&origins, "192.0.2.1", HELD_MAX);
        assert!(matches!(enter(&origins, "::ffff:192.0.2.1", true, NOW), Admission::Full));
        assert!(matches!(enter(&origins, "192.0.2.2", true, NOW), Admission::Granted(_)));
        places.pop();
        assert!(matches!(enter(&origins, "192.0.2.1", true, NOW), Admission::Granted(_)));
    }

    #[test]
    fn a_network_of_64_bits_is_one_origin() {
        let origins = Arc::default();
        let _places = fill(&origins, "2001:db8::1", HELD_MAX);
        assert!(matches!(enter(&origins, "2001:db8::ffff:2", true, NOW), Admission::Full));
        assert!(matches!(enter(&origins, "2001:db8:0:1::1", true, NOW), Admission::Granted(_)));
    }

    #[test]
    fn forged_packets_do_not_use_up_somebody_elses_places() {
        let origins = Arc::default();
        // Each is given up at once, as a forged one is in the end.
        let granted = |proved| {
            let granted =
                |_: &u32| matches!(enter(&origins, "192.0.2.1", proved, NOW), Admission::Granted(_));
            (0..1_000).filter(granted).count()
        };
        assert_eq!(granted(false), 32);
        assert!(matches!(enter(&origins, "192.0.2.1", false, NOW), Admission::Unproved));
        assert_eq!(granted(true), 256, "who proves the address has a measure of its own");
        assert!(matches!(enter(&origins, "192.0.2.1", true, NOW), Admission::Full));
        let later = NOW + Span::from_secs(1);
        assert!(matches!(enter(&origins, "192.0.2.1", true, later), Admission::Granted(_)));
        let _places = fill(&origins, "192.0.2.3", UNPROVED_MAX);
        assert!(matches!(enter(&origins, "192.0.2.3", false, NOW), Admission::Unproved));
    }

    #[test]
    fn nothing_is_remembered_for_long_of_who_has_gone() {
        let origins = Arc::<Origins>::default();
        let kept = fill(&origins, "192.0.2.1", 1);
        for number in 0..100_000u32 {
            let address = Ipv6Addr::from_bits(u128::from(number) << 64).to_string();
            // Two seconds for each: the one before is forgotten by then.
            drop(enter(&origins, &address, true, NOW + Span::from_secs(2 * i64::from(number))));
        }
        assert!(origins.lock().len() <= KNOWN_MAX);
        assert!(origins.lock().values().any(|origin| origin.held == 1));
        drop(kept);
    }

    #[test]
    fn the_operators_own_machine_is_not_counted_out() {
        let origins = Arc::default();
        assert_eq!(fill(&origins, "::1", 2 * HELD_MAX).len(), 400);
        assert_eq!(fill(&origins, "127.0.0.1", 2 * HELD_MAX).len(), 400);
        let limits = Limits { loopback_limited: true, ..Limits::default() };
        let stranger = "127.0.0.9".parse().expect("an address");
        let granted = |_: &u32| matches!(origins.enter(stranger, true, &limits, NOW), Admission::Granted(_));
        assert_eq!((0..1_000).filter(granted).count(), 256, "unless the operator says otherwise");
    }
}
