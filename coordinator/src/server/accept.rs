//! Who is let in: every knock is granted, asked to prove its address first, or refused, before anything is computed
//! for it.

use std::{sync::Arc, time::Duration};

use quinn::{Endpoint, Incoming};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use super::{
    Shared,
    origins::{Admission, Origins, Place},
    session, stopped,
};
use crate::{
    metrics::{Arrival, ServerMetrics},
    store::Store,
};

/// Serves each connection in a task of its own, until `stopping` turns true and all have ended.
pub(super) async fn accept<S: Store>(
    endpoint: Endpoint,
    shared: Arc<Shared<S>>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let origins = Arc::<Origins>::default();
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            Some(_) = connections.join_next() => continue,
            () = stopped(&mut stopping) => break,
        };
        let Some(incoming) = incoming else { break };
        let place = match admit(&shared, &origins, &incoming, connections.len()) {
            Ok(place) => place,
            Err(refused) => {
                shared.metrics.arrived(refused);
                if matches!(refused, Arrival::Retried) {
                    // Fails only for a proved address, which is never asked again.
                    drop(incoming.retry());
                } else {
                    incoming.refuse();
                }
                continue;
            }
        };
        // Counted before the task runs, so that those who come meanwhile see it.
        let handshake = Handshake::begin(&shared.metrics);
        let (shared, stopping) = (Arc::clone(&shared), stopping.clone());
        connections.spawn(async move {
            serve(shared, incoming, handshake, stopping).await;
            drop(place);
        });
    }
    while connections.join_next().await.is_some() {}
}

/// A place, or why there is none for now.
fn admit<S: Store>(
    shared: &Shared<S>,
    origins: &Arc<Origins>,
    incoming: &Incoming,
    connections: usize,
) -> Result<Place, Arrival> {
    let limits = shared.live.limits();
    let proved = incoming.remote_address_validated();
    let connections_max = usize::try_from(limits.connections_max).unwrap_or(usize::MAX);
    if connections >= connections_max {
        return Err(Arrival::Full);
    }
    // Under load an address must prove that it is one, at the price of one round trip.
    let busy =
        connections >= connections_max / 2 || shared.metrics.handshakes.now() >= HANDSHAKES_UNPROVED_MAX;
    if busy && !proved {
        return Err(Arrival::Retried);
    }
    let address = incoming.remote_address().ip();
    match origins.enter(address, proved, &limits, shared.env.uptime()) {
        Admission::Granted(place) => Ok(place),
        Admission::Unproved => Err(Arrival::Retried),
        Admission::Full => Err(Arrival::OriginFull),
    }
}

/// A handshake under way, counted until it is dropped.
struct Handshake(Arc<ServerMetrics>);

impl Handshake {
    fn begin(metrics: &Arc<ServerMetrics>) -> Self {
        metrics.handshakes.change(1);
        Self(Arc::clone(metrics))
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.handshakes.change(-1);
    }
}

async fn serve<S: Store>(
    shared: Arc<Shared<S>>,
    incoming: Incoming,
    handshake: Handshake,
    stopping: watch::Receiver<bool>,
) {
    let metrics = Arc::clone(&shared.metrics);
    let connected = timeout(HANDSHAKE_TIME_MAX, incoming.into_future()).await;
    drop(handshake);
    match connected {
        Ok(Ok(connection)) => {
            metrics.arrived(Arrival::Accepted);
            let _connected = metrics.connections.hold();
            session::serve(shared, connection, stopping).await;
        }
        Ok(Err(error)) => {
            metrics.arrived(Arrival::Failed);
            tracing::debug!(%error, "a handshake failed");
        }
        Err(_) => {
            metrics.arrived(Arrival::Failed);
            tracing::debug!("a handshake took too long");
        }
    }
}

/// Handshakes under way from which on a new address has to prove itself first. Count, default 256: fewer cost every
/// node of a restarted server a round trip, more let forged packets hold more memory, about 30 KiB each.
const HANDSHAKES_UNPROVED_MAX: i64 = 256;
/// How long a handshake may take. Seconds, default 10: shorter fails on a bad mobile link, longer lets forged packets
/// hold their memory.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
