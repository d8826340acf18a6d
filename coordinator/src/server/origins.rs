//! How many connections each origin holds, so that one machine cannot take every place there is.
//!
//! An origin is an IPv4 address or an IPv6 network of 64 bits, which is what one customer of a provider has.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Connections and handshakes by origin.
#[derive(Debug, Default)]
pub(super) struct Origins {
    held: Mutex<HashMap<IpAddr, usize>>,
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
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr, proved: bool) -> Admission {
        let origin = origin_of(address);
        let mut held = self.lock();
        let count = held.get(&origin).copied().unwrap_or_default();
        // Whoever comes over loopback is on the operator's own machine, as a load test is.
        if !origin.is_loopback() {
            if count >= HELD_MAX {
                return Admission::Full;
            }
            if count >= UNPROVED_MAX && !proved {
                return Admission::Unproved;
            }
        }
        held.insert(origin, count + 1);
        Admission::Granted(Place { origins: Arc::clone(self), origin })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.origins.lock();
        match held.get_mut(&self.origin) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(held.remove(&self.origin)),
        }
    }
}

fn origin_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => address.to_canonical(),
    }
}

/// Connections that one origin may hold. Count, 16 and up, default 256: fewer turn friends away who share one
/// address of a large network, more let fewer machines take all of
/// [`CONNECTIONS_MAX`](super::CONNECTIONS_MAX).
const HELD_MAX: usize = 256;
/// Connections of an origin from which on a new one has to prove its address: otherwise forged packets could use
/// up the places of somebody else.
const UNPROVED_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(origins: &Arc<Origins>, address: &str, count: usize) -> Vec<Place> {
        let address = address.parse().expect("an address");
        let enter = |_| match origins.enter(address, true) {
            Admission::Granted(place) => place,
            refused @ (Admission::Unproved | Admission::Full) => panic!("{refused:?}"),
        };
        (0..count).map(enter).collect()
    }

    #[test]
    fn one_origin_cannot_take_every_place_and_its_places_come_back() {
        let origins = Arc::default();
        let mut places = fill(&origins, "192.0.2.1", HELD_MAX);
        let enter = |address: &str| origins.enter(address.parse().expect("an address"), true);
        assert!(matches!(enter("::ffff:192.0.2.1"), Admission::Full));
        assert!(matches!(enter("192.0.2.2"), Admission::Granted(_)));
        places.pop();
        assert!(matches!(enter("192.0.2.1"), Admission::Granted(_)));
        drop(places);
        assert!(origins.lock().is_empty(), "nothing is remembered of who has gone");
    }

    #[test]
    fn a_network_of_64_bits_is_one_origin() {
        let origins = Arc::default();
        let _places = fill(&origins, "2001:db8::1", HELD_MAX);
        let enter = |address: &str| origins.enter(address.parse().expect("an address"), true);
        assert!(matches!(enter("2001:db8::ffff:2"), Admission::Full));
        assert!(matches!(enter("2001:db8:0:1::1"), Admission::Granted(_)));
    }

    #[test]
    fn forged_packets_do_not_use_up_somebody_elses_places() {
        let origins = Arc::default();
        let _places = fill(&origins, "192.0.2.1", UNPROVED_MAX);
        let address = "192.0.2.1".parse().expect("an address");
        assert!(matches!(origins.enter(address, false), Admission::Unproved));
        assert!(matches!(origins.enter(address, true), Admission::Granted(_)));
    }

    #[test]
    fn the_operators_own_machine_is_not_counted_out() {
        let origins = Arc::default();
        assert_eq!(fill(&origins, "::1", 2 * HELD_MAX).len(), 2 * HELD_MAX);
        assert_eq!(fill(&origins, "127.0.0.1", 2 * HELD_MAX).len(), 2 * HELD_MAX);
    }
}
