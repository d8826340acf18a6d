//! Keeping a connection to the coordinator: dial, greet, pass events on, and again when it is lost.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use jamsync_protocol::{
    limits::COORD_FRAME_BYTES_MAX,
    time::UtcTime,
    wire::{
        codec::{self, FrameReader},
        coord::{
            CoordCall, CoordReply, CoordRequest, EventNumber, Fault, Features, IdempotencyKey, NumberedEvent,
        },
    },
};
use quinn::{Connection, ConnectionError};
use tokio::{net::lookup_host, sync::mpsc, task::JoinSet, time::sleep};

use super::{
    LinkEvent, LinkState, Shared,
    activity::pass_activity,
    exchange::{AskError, ask, next_frame},
};
use crate::{identity::TLS_NAME, net::socket::in_family_of};

/// Runs until it is aborted.
pub(super) async fn keep_connected(shared: Arc<Shared>) {
    let mut pause = PAUSE_LEAST;
    let mut cursor = Cursor::default();
    loop {
        let reason = match first_greeted(&shared).await {
            Ok(Greeted { connection, observed, now, signed_up }) => {
                pause = PAUSE_LEAST;
                shared.state.send_replace(LinkState::Connected { observed });
                tell(&shared.events, LinkEvent::Connected { observed, now, signed_up }).await;
                shared.connection.send_replace(Some(connection.clone()));
                let reason = tokio::select! {
                    reason = pass_events(&shared, &connection, &mut cursor) => reason,
                    never = pass_activity(&shared, &connection) => match never {},
                };
                shared.connection.send_replace(None);
                connection.close(0u32.into(), b"");
                reason
            }
            Err(reason) => reason,
        };
        note_unreachable(&shared, reason).await;
        tokio::select! {
            () = sleep(spread(pause)) => pause = (pause * 2).min(PAUSE_MOST),
            () = shared.hurry.notified() => sleep(PAUSE_LEAST).await,
        }
    }
}

/// A pause between half and one and a half times as long, so that all nodes of a coordinator that was restarted do not come
/// back at the same moment again and again.
fn spread(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..1.5))
}

/// Says once that the coordinator is away, and keeps the newest reason.
async fn note_unreachable(shared: &Shared, reason: String) {
    tracing::info!(reason, "the coordinator cannot be reached");
    let since = match &*shared.state.borrow() {
        LinkState::Unreachable { since, .. } => Some(*since),
        LinkState::Connecting | LinkState::Connected { .. } => None,
    };
    if since.is_none() {
        tell(&shared.events, LinkEvent::Unreachable { reason: reason.clone() }).await;
    }
    let since = since.unwrap_or_else(|| shared.config.clock.now());
    shared.state.send_replace(LinkState::Unreachable { since, reason });
}

/// How far this process is in the events of the coordinator; what came before it, the coordinator knows.
#[derive(Default)]
struct Cursor {
    newest: EventNumber,
    /// Whether the coordinator was found out to repeat or reorder them.
    found_out: bool,
}

/// A connection on which the coordinator has answered.
struct Greeted {
    connection: Connection,
    observed: SocketAddr,
    now: UtcTime,
    signed_up: bool,
}

/// A connection at the first of the addresses at which the coordinator is, and on which it has answered.
async fn first_greeted(shared: &Arc<Shared>) -> Result<Greeted, String> {
    let connection = first_connected(shared).await?;
    in_time(say_hello(shared, connection)).await
}

async fn first_connected(shared: &Arc<Shared>) -> Result<Connection, String> {
    let local = shared.endpoint.local_addr().map_err(|error| error.to_string())?;
    let names = shared.config.addresses.iter().map(|name| {
        let (shared, name) = (Arc::clone(shared), name.clone());
        async move {
            let found = in_time(async { lookup_host(&name).await.map_err(|error| error.to_string()) }).await;
            let connected = match found {
                Ok(addresses) => connect_to_any(&shared, local, addresses).await,
                Err(reason) => Err(reason),
            };
            connected.map_err(|why| format!("{name}: {why}"))
        }
    });
    first_of(names, "no address is known").await
}

/// One of the addresses of a name. Some may lead nowhere without a word, as those of IPv6 do on a machine whose way there is
/// dead, so that each has its own time.
async fn connect_to_any(
    shared: &Arc<Shared>,
    local: SocketAddr,
    addresses: impl Iterator<Item = SocketAddr>,
) -> Result<Connection, String> {
    let addresses = addresses.take(ADDRESSES_OF_NAME_MAX).map(|address| {
        let shared = Arc::clone(shared);
        let address = in_family_of(local, address);
        in_time(async move {
            let dialled = shared.endpoint.connect_with(shared.client.clone(), address, TLS_NAME);
            dialled.map_err(|error| error.to_string())?.await.map_err(|error| explain(&error))
        })
    });
    first_of(addresses, "the name has no address").await
}

/// The first of several attempts that succeeds; the others are given up. They begin a little apart, so that the first, which
/// is the likeliest, is not raced without need.
///
/// An attempt must end before the coordinator counts it, that is with the handshake: of two connections of a device it keeps
/// the younger, so that a later one which gets further than the handshake would end the one that was chosen.
async fn first_of<T, F>(attempts: impl Iterator<Item = F>, none: &str) -> Result<T, String>
where
    T: Send + 'static,
    F: Future<Output = Result<T, String>> + Send + 'static,
{
    let mut running = JoinSet::new();
    let mut delay = Duration::ZERO;
    for attempt in attempts {
        let after = delay;
        running.spawn(async move {
            sleep(after).await;
            attempt.await
        });
        delay += STAGGER;
    }
    let mut reasons: Vec<String> = Vec::new();
    while let Some(attempt) = running.join_next().await {
        let reason = match attempt {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(reason)) => reason,
            Err(error) => error.to_string(),
        };
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    Err(if reasons.is_empty() { none.to_owned() } else { reasons.join("; ") })
}

async fn in_time<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::time::timeout(ATTEMPT_TIME_MAX, work).await.unwrap_or_else(|_| Err("no answer".to_owned()))
}

async fn say_hello(shared: &Shared, connection: Connection) -> Result<Greeted, String> {
    let program = shared.config.program.clone();
    let hello = CoordRequest::Hello { features: Features::default(), program };
    // A hello changes nothing, so its key need not be new.
    let call = CoordCall { key: IdempotencyKey([0; 16]), request: hello };
    match ask(&connection, &call).await {
        Ok(CoordReply::Welcome { observed, now, signed_up, .. }) => {
            Ok(Greeted { connection, observed, now, signed_up })
        }
        Ok(CoordReply::Refused(refusal)) => Err(refusal.to_string()),
        Ok(_) => Err("it answered something else than was asked".to_owned()),
        Err(AskError::Failed(error)) => Err(error.to_string()),
        Err(AskError::Lost) => Err(lost(&connection)),
    }
}

/// Passes events on until the connection is lost, and returns why it was.
async fn pass_events(shared: &Shared, connection: &Connection, cursor: &mut Cursor) -> String {
    let Ok((mut send, mut receive)) = connection.open_bi().await else { return lost(connection) };
    let call =
        CoordCall { key: IdempotencyKey([0; 16]), request: CoordRequest::Events { after: cursor.newest } };
    let Ok(first) = codec::encode_frame(&call, COORD_FRAME_BYTES_MAX) else { return lost(connection) };
    if send.write_all(&first).await.is_err() {
        return lost(connection);
    }
    let mut frames = FrameReader::new(COORD_FRAME_BYTES_MAX);
    let mut acknowledged = shared.acknowledged.subscribe();
    loop {
        tokio::select! {
            frame = next_frame(&mut receive, &mut frames) => {
                let frame = match frame {
                    Ok(Some(frame)) => frame,
                    Ok(None) | Err(AskError::Lost) => return lost(connection),
                    Err(AskError::Failed(error)) => return error.to_string(),
                };
                match codec::decode::<NumberedEvent>(&frame) {
                    Ok(event) => pass(&shared.events, event, cursor).await,
                    Err(error) => return format!("an event cannot be read: {error}"),
                }
            }
            Ok(()) = acknowledged.changed() => {
                // Only what this connection has carried, whatever the caller says.
                let upto = (*acknowledged.borrow_and_update()).min(cursor.newest);
                let Ok(frame) = codec::encode_frame(&upto, COORD_FRAME_BYTES_MAX) else { continue };
                if send.write_all(&frame).await.is_err() {
                    return lost(connection);
                }
            }
        }
    }
}

/// Passes an event on once and in order.
async fn pass(events: &mpsc::Sender<LinkEvent>, event: NumberedEvent, cursor: &mut Cursor) {
    if event.number == EventNumber::default() && event.event.is_passing() {
        return tell(events, LinkEvent::Event(event)).await;
    }
    if event.number <= cursor.newest {
        if !std::mem::replace(&mut cursor.found_out, true) {
            tell(events, LinkEvent::OutOfOrder).await;
        }
        return;
    }
    if cursor.newest.0 != 0 && event.number.0 > cursor.newest.0 + 1 {
        tell(events, LinkEvent::Missed).await;
    }
    cursor.newest = event.number;
    tell(events, LinkEvent::Event(event)).await;
}

/// Tells the node once it has room: meanwhile nothing more is read, and the stream's window holds the coordinator back.
pub(super) async fn tell(events: &mpsc::Sender<LinkEvent>, event: LinkEvent) {
    // Without a receiver the node is shutting down.
    drop(events.send(event).await);
}

/// Why a connection ended.
fn lost(connection: &Connection) -> String {
    connection.close_reason().map_or_else(|| "the stream ended".to_owned(), |error| explain(&error))
}

fn explain(error: &ConnectionError) -> String {
    if let ConnectionError::ApplicationClosed(close) = error
        && let Some(fault) = Fault::from_code(close.error_code.into_inner())
    {
        return fault.to_string();
    }
    error.to_string()
}

/// Pause before the second attempt, and the longest: half a minute, so that a coordinator that comes back is
/// found soon and one that stays away costs a packet or two a minute.
const PAUSE_LEAST: Duration = Duration::from_millis(300);
const PAUSE_MOST: Duration = Duration::from_secs(30);
/// How far apart the addresses are tried.
const STAGGER: Duration = Duration::from_millis(150);
/// How long one address may take to answer, and a name to be found.
const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(5);
/// How many addresses of one name are tried. More than a coordinator has reason to have; a name server may tell of any number.
const ADDRESSES_OF_NAME_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use jamsync_protocol::{
        conversation::ConversationId,
        id::DeviceKey,
        text::Text,
        wire::coord::{ALPN, CoordEvent, RequestId},
    };
    use quinn::{ClientConfig, Endpoint};
    use tokio::sync::{Notify, watch};

    use super::{
        super::{LinkConfig, transport},
        *,
    };
    use crate::{
        clock::NodeClock,
        identity::Identity,
        net::tls::{self, ExpectedKeys},
    };

    #[derive(Debug)]
    struct Everyone;

    impl ExpectedKeys for Everyone {
        fn is_expected(&self, _: &DeviceKey) -> bool {
            true
        }
    }

    #[tokio::test]
    async fn an_address_that_swallows_everything_does_not_hide_the_next_of_the_same_name() {
        let [ana, server] = [1, 2].map(|seed| Identity::from_seed(&[seed; 32]).expect("an identity"));
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let tls = tls::server(&server, Arc::new(Everyone), ALPN).expect("an identity of ours");
        let config = quinn::ServerConfig::with_crypto(Arc::new(tls));
        let coordinator = Endpoint::server(config, loopback).expect("a socket");
        let answering = coordinator.local_addr().expect("bound");
        let accepting = tokio::spawn(async move { coordinator.accept().await.expect("open").await.is_ok() });
        let hole = UdpSocket::bind(loopback).expect("a socket");
        let swallowing = hole.local_addr().expect("bound");

        let tls = tls::client(&ana, server.key(), ALPN).expect("an identity of ours");
        let mut client = ClientConfig::new(Arc::new(tls));
        client.transport_config(transport());
        let shared = Arc::new(Shared {
            endpoint: Endpoint::client(loopback).expect("a socket"),
            config: LinkConfig {
                addresses: Vec::new(),
                coordinator: server.key(),
                program: Text::truncated("test"),
                clock: NodeClock::system(),
            },
            client,
            events: mpsc::channel(1).0,
            state: watch::Sender::new(LinkState::Connecting),
            connection: watch::Sender::new(None),
            acknowledged: watch::Sender::new(EventNumber::default()),
            hurry: Notify::new(),
            watching: watch::Sender::new(false),
        });
        let connected = connect_to_any(&shared, loopback, [swallowing, answering].into_iter()).await;
        assert_eq!(connected.map(|connection| connection.remote_address()), Ok(answering));
        assert!(accepting.await.expect("ends"));
    }

    #[tokio::test]
    async fn the_first_attempt_that_succeeds_ends_the_others() {
        let held = Arc::new(());
        let attempts = (0..4).map(|place| {
            let held = Arc::clone(&held);
            async move {
                let outcome = match place {
                    0 => Err("refused".to_owned()),
                    2 => Ok(place),
                    _ => in_time(std::future::pending()).await,
                };
                drop(held);
                outcome
            }
        });
        assert_eq!(first_of(attempts, "none").await, Ok(2));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(Arc::strong_count(&held), 1, "an attempt goes on that nobody waits for");
    }

    #[tokio::test]
    async fn where_all_attempts_fail_each_reason_is_told_once() {
        let attempts =
            ["refused", "no way", "refused"].map(|why| async move { Err::<(), _>(why.to_owned()) });
        let why = first_of(attempts.into_iter(), "none").await.expect_err("all fail");
        assert!(["refused; no way", "no way; refused"].contains(&why.as_str()), "{why}");
        let nothing = std::iter::empty::<std::future::Ready<Result<(), String>>>();
        assert_eq!(first_of(nothing, "none").await, Err("none".to_owned()));
    }

    #[tokio::test]
    async fn what_is_told_in_passing_has_no_number_and_nothing_else_may_come_without_one() {
        let (sender, mut inbox) = mpsc::channel(8);
        let mut cursor = Cursor::default();
        let grew = CoordEvent::ConversationGrew { conversation: ConversationId([7; 32]) };
        let expired = CoordEvent::RequestExpired { request: RequestId([0; 16]) };
        for (number, event) in [(5, &expired), (0, &grew), (0, &grew), (0, &expired), (6, &expired)] {
            let event = NumberedEvent { number: EventNumber(number), event: event.clone() };
            pass(&sender, event, &mut cursor).await;
        }
        drop(sender);
        let mut passed = Vec::new();
        while let Some(event) = inbox.recv().await {
            passed.push(if let LinkEvent::Event(numbered) = event { Some(numbered.number.0) } else { None });
        }
        assert_eq!(passed, [Some(5), Some(0), Some(0), None, Some(6)]);
    }

    #[tokio::test]
    async fn events_wait_while_the_node_has_no_room_and_all_arrive_in_order() {
        let (sender, mut inbox) = mpsc::channel(1);
        let event = |number| NumberedEvent {
            number: EventNumber(number),
            event: CoordEvent::RequestExpired { request: RequestId([0; 16]) },
        };
        let passing = tokio::spawn(async move {
            let mut cursor = Cursor::default();
            for number in 1..=20 {
                pass(&sender, event(number), &mut cursor).await;
            }
        });
        for expected in 1..=20 {
            tokio::task::yield_now().await;
            assert!(inbox.len() <= 1, "{}", inbox.len());
            let next = inbox.recv().await;
            assert!(
                matches!(&next, Some(LinkEvent::Event(numbered)) if numbered.number.0 == expected),
                "{next:?}"
            );
        }
        passing.await.expect("ends");
    }
}
