//! Ports for servers that are stopped and started again.

use std::{
    io::{ErrorKind, Result},
    net::{Ipv4Addr, Ipv6Addr, UdpSocket},
    ops::Range,
};

/// A UDP port that is free now, and that the system gives to nobody who does not name it: a server that comes back to it
/// after a while finds it free.
///
/// # Errors
/// What the system says where it gives no port at all.
pub fn lasting() -> Result<u16> {
    let mut tries_left = TRIES_MAX;
    loop {
        let port = rand::random_range(NEVER_GIVEN);
        // The unspecified address is free only where every other is; a machine may know only one family of addresses.
        let bound = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).or_else(|error| {
            let taken = error.kind() == ErrorKind::AddrInUse;
            if taken { Err(error) } else { UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)) }
        });
        tries_left -= 1;
        match bound {
            Err(error) if error.kind() == ErrorKind::AddrInUse && tries_left > 0 => {}
            bound => return bound.map(|_| port),
        }
    }
}

/// Above the ports of well-known services, and below those that Linux (from 32,768) and other systems (from 49,152) give.
const NEVER_GIVEN: Range<u16> = 20_000..32_000;
/// Ports that are tried. Count, default 64: fewer fail where many servers run, more are never needed.
const TRIES_MAX: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lasting_port_is_free() {
        let mut held = Vec::new();
        for _ in 0..100 {
            let port = lasting().expect("a port");
            assert!(NEVER_GIVEN.contains(&port));
            held.push(UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).expect("it is free"));
        }
    }
}
