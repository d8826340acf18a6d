//! How often each join code was tried with names that are taken, and from where.
//!
//! A sign-up has to say that a name is taken, and takes nothing of the code then, so whoever holds one code could go through
//! all the names there may be. From some misses on nobody signs up with that code from that [origin](super::origins) for a
//! while, be the name taken or free. Who misses on purpose keeps itself out and not the others who were given the code: for
//! that it would need many origins, because the code as a whole has a measure too, so that many origins do not help much to
//! learn who is there.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jamsync_protocol::time::{NodeTime, Span};

use super::{
    limits::{Bucket, Rate},
    origins::origin_of,
};

/// The misses of late, by the fingerprint of the code's permit.
#[derive(Debug, Default)]
pub(super) struct Misses(Mutex<HashMap<[u8; 32], Code>>);

/// The misses of late of one code.
#[derive(Debug, Default)]
struct Code {
    all: Bucket,
    origins: HashMap<IpAddr, Bucket>,
}

impl Misses {
    /// Whether somebody at `address` may sign up under this permit.
    ///
    /// # Errors
    /// How long to wait, where too many names were taken.
    pub(super) fn check(&self, permit: [u8; 32], address: IpAddr, now: NodeTime) -> Result<(), Span> {
        let known = self.lock();
        let Some(code) = known.get(&permit) else { return Ok(()) };
        let (mut all, mut own) =
            (code.all, code.origins.get(&origin_of(address)).copied().unwrap_or_default());
        own.take(ORIGIN_RATE, now)?;
        all.take(CODE_RATE, now)
    }

    /// Notes that a name was taken. The permit holds, so there are no more of them than the operator has made.
    pub(super) fn note(&self, permit: [u8; 32], address: IpAddr, now: NodeTime) {
        let mut known = self.lock();
        if known.len() >= KNOWN_MAX {
            known.retain(|_, code| !code.all.is_full(now));
        }
        let code = known.entry(permit).or_default();
        // Both were checked before; nothing comes between the two.
        let _ = code.all.take(CODE_RATE, now);
        // What the code takes as a whole bounds how many of its origins have missed of late.
        code.origins.retain(|_, bucket| !bucket.is_full(now));
        let _ = code.origins.entry(origin_of(address)).or_default().take(ORIGIN_RATE, now);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Code>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many names that are taken a code may be tried with from one origin. Count and time, default 20 and one more every 3
/// minutes: fewer hold up a circle of friends who all want the same name, more let a stranger with a code learn who is there.
const ORIGIN_RATE: Rate = Rate { each: Span::from_secs(180), burst: 20 };
/// And from all origins together. Count and time, default 400 and one more every 9 seconds, both twenty times that of one
/// origin: less lets whoever has a few addresses keep all others out, more helps whoever has many to learn who is there.
const CODE_RATE: Rate = Rate { each: Span::from_secs(9), burst: 400 };
/// Permits from which on those are forgotten that have no misses any more.
const KNOWN_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    const PERMIT: [u8; 32] = [1; 32];
    const NOW: NodeTime = NodeTime::from_nanos(3_600_000_000_000);

    fn address(number: u64) -> IpAddr {
        Ipv6Addr::from_bits((0x2001_0db8 << 96) | (u128::from(number) << 64) | 7).into()
    }

    /// Misses until it has to wait, and says how often that was.
    fn miss(misses: &Misses, from: IpAddr, now: NodeTime) -> u32 {
        let mut count = 0;
        while misses.check(PERMIT, from, now).is_ok() {
            misses.note(PERMIT, from, now);
            count += 1;
        }
        count
    }

    #[test]
    fn whoever_misses_on_purpose_keeps_itself_out_and_nobody_else() {
        let misses = Misses::default();
        assert_eq!(miss(&misses, address(1), NOW), 20);
        assert_eq!(misses.check(PERMIT, address(1), NOW), Err(Span::from_secs(180)));
        let neighbour = Ipv6Addr::from_bits(((0x2001_0db8u128) << 96) | (1u128 << 64) | 0xffff).into();
        assert!(misses.check(PERMIT, neighbour, NOW).is_err(), "one customer's network is one origin");
        assert_eq!(misses.check(PERMIT, address(2), NOW), Ok(()));
        assert_eq!(misses.check([2; 32], address(1), NOW), Ok(()), "another code is another matter");
        assert_eq!(misses.check(PERMIT, address(1), NOW + Span::from_secs(180)), Ok(()));
    }

    #[test]
    fn many_origins_are_held_to_the_measure_of_the_code_and_are_not_remembered_for_long() {
        let misses = Misses::default();
        let missed: u32 = (0..1_000).map(|number| miss(&misses, address(number), NOW)).sum();
        assert_eq!(missed, 400);
        assert_eq!(misses.check(PERMIT, address(5_000), NOW), Err(Span::from_secs(9)));
        // One miss from each of very many origins, as fast as the code takes them.
        for number in 0..20_000 {
            let now = NOW + Span::from_secs(9 * i64::try_from(number + 1).expect("small"));
            assert_eq!(misses.check(PERMIT, address(10_000 + number), now), Ok(()));
            misses.note(PERMIT, address(10_000 + number), now);
            let origins = misses.lock().get(&PERMIT).expect("it was missed").origins.len();
            assert!(origins <= 420, "{origins} are remembered");
        }
        let later = NOW + Span::from_secs(9 * 30_000);
        for number in 0..u32::try_from(KNOWN_MAX).expect("small") {
            let mut permit = [9; 32];
            permit[..4].copy_from_slice(&number.to_be_bytes());
            misses.note(permit, address(1), later);
        }
        assert_eq!(misses.lock().len(), KNOWN_MAX, "the first code was forgotten");
    }
}
