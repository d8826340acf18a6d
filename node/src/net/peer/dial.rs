//! Reaching a peer: dialling every candidate at once, or opening our NAT while the peer dials.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use jamsync_protocol::{id::DeviceKey, wire::peer::PEER_ALPN};
use quinn::{ClientConfig, Connection};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Dialling, PeerEvent, PeerTarget, Shared, link};
use crate::{
    identity::TLS_NAME,
    net::{
        socket::{in_family_of, peer_transport},
        tls,
    },
};

/// Looks for `target`, after a pause, until a connection stands on which it has said hello.
pub(super) async fn seek(shared: Arc<Shared>, target: PeerTarget, pause: Duration) {
    match target.dialling {
        Dialling::AtOnce => sleep(pause).await,
        Dialling::After(wait) => {
            // Punching ends with the time, and nothing else ends it.
            let _ = timeout(pause + wait, punch(&shared, &target)).await;
        }
        Dialling::Never => return punch(&shared, &target).await,
    }
    dial(&shared, &target).await;
}

/// Dials until a connection stands.
async fn dial(shared: &Arc<Shared>, target: &PeerTarget) {
    let mut pause = PAUSE_LEAST;
    loop {
        let greeted = match first_connection(shared, target).await {
            Ok(connection) => link::greet(shared, connection, &target.hello).await,
            Err(reason) => Err(reason),
        };
        match greeted {
            Ok(()) => return,
            Err(reason) => failed(shared, target, reason).await,
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MOST);
    }
}

/// Sends tiny packets towards `target`, quickly at first and then for as long as it is sought, so that our NAT lets
/// its packets in whenever it dials. They are no QUIC, and the peer's endpoint drops them unanswered.
async fn punch(shared: &Shared, target: &PeerTarget) {
    let Ok(local) = shared.raw.local_addr() else { return };
    for round in 0_u32.. {
        for candidate in &target.candidates {
            // A full socket buffer or an unreachable candidate loses one of many such packets.
            let _ = shared.raw.send_to(PUNCH, in_family_of(local, *candidate));
        }
        sleep(pause_after(round)).await;
    }
}

/// How long to wait after a round of punches: the peer's first packets come at once or after a restart of its own.
fn pause_after(round: u32) -> Duration {
    match round {
        0..10 => Duration::from_millis(10),
        10..210 => Duration::from_millis(100),
        _ => PUNCH_PAUSE_MOST,
    }
}

/// The first of the candidates that answers with the right key.
async fn first_connection(shared: &Arc<Shared>, target: &PeerTarget) -> Result<Connection, String> {
    let config = client_config(shared, target.key)?;
    let local = shared.endpoint.local_addr().map_err(|error| error.to_string())?;
    let mut attempts = JoinSet::new();
    for candidate in &target.candidates {
        let address = in_family_of(local, *candidate);
        match shared.endpoint.connect_with(config.clone(), address, TLS_NAME) {
            Ok(connecting) => {
                let candidate = *candidate;
                attempts
                    .spawn(async move { connecting.await.map_err(|error| (candidate, error.to_string())) });
            }
            Err(error) => tracing::debug!(%address, %error, "candidate cannot be dialled"),
        }
    }
    let mut reasons = Vec::new();
    while let Some(attempt) = attempts.join_next().await {
        match attempt {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err((candidate, error))) => reasons.push(format!("{candidate}: {error}")),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Err(if reasons.is_empty() { "no address to try".to_owned() } else { reasons.join("; ") })
}

fn client_config(shared: &Shared, key: DeviceKey) -> Result<ClientConfig, String> {
    let crypto = tls::client(&shared.identity, key, PEER_ALPN).map_err(|error| error.to_string())?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(peer_transport());
    Ok(config)
}

async fn failed(shared: &Shared, target: &PeerTarget, reason: String) {
    tracing::info!(reason, "dialling the peer came to nothing");
    let address = target.candidates.first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
    let _ = shared.events.send(PeerEvent::Failed { address, reason }).await;
}

/// What opens a NAT: one byte below 0x40, which no QUIC packet begins with.
const PUNCH: &[u8] = &[0x20];

/// The pause between punches after the first 20 s. Range 1 to 15 s, default 2 s; a longer one lets a home router
/// forget (some do after 20 s) or makes a peer that dials late wait, a shorter one sends more for nothing.
const PUNCH_PAUSE_MOST: Duration = Duration::from_secs(2);

/// A connection that has lasted so long was a good one.
pub(super) const STEADY: Duration = Duration::from_secs(10);

/// Pause after the first failed round of dialling, and the longest.
pub(super) const PAUSE_LEAST: Duration = Duration::from_millis(200);
pub(super) const PAUSE_MOST: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_is_opened_often_at_first_and_never_closes_for_a_peer_that_dials_late() {
        let mut at = Duration::ZERO;
        let mut rounds = 0;
        while at < Duration::from_secs(3_600) {
            let pause = pause_after(rounds);
            assert!(pause <= Duration::from_secs(2), "round {rounds} is followed by {pause:?}");
            (at, rounds) = (at + pause, rounds + 1);
        }
        assert!(pause_after(100) <= Duration::from_millis(100));
        assert!((1_800..2_200).contains(&rounds), "{rounds} rounds in an hour");
    }
}
