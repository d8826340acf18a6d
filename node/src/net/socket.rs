//! The node's one UDP socket and its QUIC endpoint. One socket for everything, so that the address which the
//! coordinator sees is the address at which the peer can be met.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use quinn::{EndpointConfig, TokioRuntime, TransportConfig, VarInt};

/// Why no socket could be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on UDP {address}: {error}; name a free one with --listen ADDRESS")]
pub struct SocketError {
    /// What was asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub error: io::Error,
}

/// A QUIC endpoint on `address`; none means any free port on every address of this machine. It accepts nobody
/// until it is given a server configuration.
///
/// # Errors
/// [`SocketError`] where the address is taken or not this machine's. Must be called inside a tokio runtime.
pub fn endpoint(address: Option<SocketAddr>) -> Result<(quinn::Endpoint, UdpSocket), SocketError> {
    let socket = match address {
        Some(address) => UdpSocket::bind(address).map_err(|error| SocketError { address, error })?,
        None => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).or_else(|_| {
            let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
            UdpSocket::bind(address).map_err(|error| SocketError { address, error })
        })?,
    };
    let local = socket.local_addr().unwrap_or_else(|_| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    let failed = |error| SocketError { address: local, error };
    let raw = socket.try_clone().map_err(failed)?;
    let mut config = EndpointConfig::default();
    // Packets of ours that are not QUIC start below 0x40; a greased bit would make them look alike.
    config.grease_quic_bit(false);
    let endpoint = quinn::Endpoint::new(config, None, socket, Arc::new(TokioRuntime)).map_err(failed)?;
    Ok((endpoint, raw))
}

/// As [`endpoint`], and where any port will do, on the `port` of an earlier run if that is free (0 is none): whoever has
/// met this node there finds it again.
///
/// # Errors
/// As [`endpoint`].
pub fn endpoint_again(
    address: Option<SocketAddr>,
    port: u16,
) -> Result<(quinn::Endpoint, UdpSocket), SocketError> {
    let any = address.unwrap_or_else(|| SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
    if port != 0 && any.port() == 0 {
        let again = endpoint(Some(SocketAddr::new(any.ip(), port)));
        if again.is_ok() {
            return again;
        }
    }
    endpoint(address)
}

/// Transport settings for connections between peers.
///
/// The idle timeout decides how soon a vanished peer is noticed: 10 s, because probes flow several times a
/// second. A first packet that a NAT swallows is repeated after 100 ms rather than a second. Datagrams that
/// cannot leave at once are dropped, because a probe that waited tells nothing.
#[must_use]
pub fn peer_transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(VarInt::from_u32(10_000).into()))
        .keep_alive_interval(Some(Duration::from_secs(3)))
        .initial_rtt(Duration::from_millis(50))
        .max_concurrent_bidi_streams(VarInt::from_u32(8))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(256 * 1024))
        .receive_window(VarInt::from_u32(1024 * 1024))
        .send_window(1024 * 1024)
        .datagram_send_buffer_size(4 * 1024)
        .datagram_receive_buffer_size(Some(64 * 1024));
    Arc::new(transport)
}

/// `address` in the family of the socket at `local`: an IPv6 socket takes IPv4 addresses in mapped form.
#[must_use]
pub fn in_family_of(local: SocketAddr, address: SocketAddr) -> SocketAddr {
    match (local.ip(), address.ip()) {
        (IpAddr::V6(_), IpAddr::V4(v4)) => SocketAddr::from((v4.to_ipv6_mapped(), address.port())),
        _ => canonical(address),
    }
}

/// `address` with a mapped IPv4 address written as IPv4, as people and other machines know it.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The addresses at which this machine may be met from `towards`, with the endpoint's `port`: the local
/// address that the system would use on that way, and the loopback address where that is the way.
#[must_use]
pub fn local_candidates(towards: SocketAddr, port: u16) -> Vec<SocketAddr> {
    let any: IpAddr = if canonical(towards).is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    // Connecting a UDP socket sends nothing; it only asks the routing table.
    let local = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect(canonical(towards))?;
        socket.local_addr()
    });
    local.map(|local| SocketAddr::new(local.ip(), port)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_mapped_for_the_socket_and_shown_plainly() {
        let six: SocketAddr = "[::]:1".parse().unwrap();
        let four: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let mapped = in_family_of(six, four);
        assert!(mapped.is_ipv6());
        assert_eq!(canonical(mapped), four);
        assert_eq!(in_family_of(four, mapped), four);
    }

    #[test]
    fn the_way_to_loopback_is_loopback() {
        let towards = "127.0.0.1:4470".parse().unwrap();
        assert_eq!(local_candidates(towards, 7), vec!["127.0.0.1:7".parse().unwrap()]);
    }
}
