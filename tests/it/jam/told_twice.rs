//! A coordinator that repeats or reorders what it tells. It stands in the place of the true one, with its key, and passes
//! everything on but the events of one device, which it changes on their way.

use std::{net::SocketAddr, sync::Arc};

use jamsync_coordinator::data::DataFolder;
use jamsync_node::{
    api::{Event, RequestOutcome},
    identity::{Identity, TLS_NAME},
    net::tls::{self, ExpectedKeys},
};
use jamsync_protocol::{
    id::DeviceKey,
    limits::COORD_FRAME_BYTES_MAX,
    wire::{
        codec::{self, FrameReader},
        coord::{ALPN, CoordCall, CoordRequest, EventNumber, NumberedEvent},
    },
};
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, ServerConfig};

use super::{
    node::Node,
    stage::{Friends, in_step},
};

/// What becomes of the events of a device: all that came by now, the newest last, to what it is told in place of that one.
type Lie = fn(&[NumberedEvent]) -> Vec<NumberedEvent>;

/// The liar. It ends with the test.
struct Liar {
    /// Whose place it takes towards the nodes, and towards the coordinator.
    devices: Vec<Identity>,
    victim: DeviceKey,
    coordinator: (SocketAddr, DeviceKey),
    lie: Lie,
}

#[derive(Debug)]
struct Anyone;
impl ExpectedKeys for Anyone {
    fn is_expected(&self, _: &DeviceKey) -> bool {
        true
    }
}

impl Liar {
    /// Takes the place of the coordinator towards both, and lies to Ben.
    fn between(friends: &mut Friends, lie: Lie) {
        let Friends { ana, ben, stage } = friends;
        let secret = DataFolder::open_existing(&stage.data()).expect("the data of a coordinator").secret;
        let marks = [ana.mark(), ben.mark()];
        let [place, elsewhere] = stage.move_coordinator();
        let devices = [&*ana, &*ben].map(|node| Identity::load_or_create(&node.home).expect("a key"));
        let liar = Self {
            devices: devices.into(),
            victim: ben.status().me.device,
            coordinator: (elsewhere, secret.public()),
            lie,
        };
        let identity = Identity::from_seed(&secret.seed()).expect("the key of a coordinator");
        let crypto = tls::server(&identity, Arc::new(Anyone), ALPN).expect("TLS");
        let config = ServerConfig::with_crypto(Arc::new(crypto));
        let endpoint = Endpoint::server(config, place).expect("the place is free");
        tokio::spawn(Arc::new(liar).run(endpoint));
        for (node, mark) in [ana, ben].into_iter().zip(marks) {
            node.event_since(mark, "the coordinator is back", |event| {
                matches!(event, Event::Coordinator { connected: true, .. }).then_some(())
            });
        }
    }

    async fn run(self: Arc<Self>, endpoint: Endpoint) {
        while let Some(incoming) = endpoint.accept().await {
            let (liar, endpoint) = (Arc::clone(&self), endpoint.clone());
            tokio::spawn(async move {
                let Ok(node) = incoming.await else { return };
                let device = tls::peer_key(&node).expect("it has proven a key");
                let identity = liar.devices.iter().find(|identity| identity.key() == device);
                let crypto =
                    tls::client(identity.expect("one of the two"), liar.coordinator.1, ALPN).expect("TLS");
                let config = ClientConfig::new(Arc::new(crypto));
                let dialled = endpoint.connect_with(config, liar.coordinator.0, TLS_NAME).expect("dials");
                let coordinator = dialled.await.expect("it is there");
                while let Ok((to_node, from_node)) = node.accept_bi().await {
                    let lie = (device == liar.victim).then_some(liar.lie);
                    tokio::spawn(pass(coordinator.clone(), to_node, from_node, lie));
                }
                coordinator.close(0u8.into(), b"");
            });
        }
    }
}

/// Passes one request and what follows it on; events with the lie.
async fn pass(
    coordinator: Connection,
    mut to_node: SendStream,
    mut from_node: RecvStream,
    lie: Option<Lie>,
) -> Option<()> {
    let (mut to_coordinator, mut from_coordinator) = coordinator.open_bi().await.ok()?;
    let call: CoordCall = next(&mut from_node, &mut FrameReader::new(COORD_FRAME_BYTES_MAX)).await?;
    send(&mut to_coordinator, &call).await?;
    let mut answers = FrameReader::new(COORD_FRAME_BYTES_MAX);
    if !matches!(call.request, CoordRequest::Events { .. }) {
        to_coordinator.finish().ok()?;
        let answer = from_coordinator.read_to_end(COORD_FRAME_BYTES_MAX + 4).await.ok()?;
        to_node.write_all(&answer).await.ok()?;
        return to_node.finish().ok();
    }
    // What the node says it has dealt with has numbers that the coordinator need not know, and is kept back.
    let mut told = Vec::new();
    loop {
        told.push(next::<NumberedEvent>(&mut from_coordinator, &mut answers).await?);
        let instead = match lie {
            Some(lie) => lie(&told),
            None => std::mem::take(&mut told),
        };
        for event in instead {
            send(&mut to_node, &event).await?;
        }
    }
}

async fn next<T: serde::de::DeserializeOwned>(from: &mut RecvStream, frames: &mut FrameReader) -> Option<T> {
    loop {
        if let Some(frame) = frames.poll_frame().ok()? {
            return codec::decode(&frame).ok();
        }
        frames.handle_bytes(&from.read_chunk(COORD_FRAME_BYTES_MAX, true).await.ok()??.bytes);
    }
}

async fn send<T: serde::Serialize>(to: &mut SendStream, value: &T) -> Option<()> {
    to.write_all(&codec::encode_frame(value, COORD_FRAME_BYTES_MAX).ok()?).await.ok()
}

fn warns(event: &Event) -> Option<()> {
    match event {
        Event::Warning { message } => message.contains("twice or out of order").then_some(()),
        _ => None,
    }
}

fn warned(node: &mut Node, mark: usize) {
    node.event_since(mark, "a warning of the order of events", warns);
}

fn warnings(node: &mut Node, mark: usize) -> usize {
    node.events_since(mark).iter().filter_map(warns).count()
}

/// How often a request of a friend came up, and a Jam began.
fn rung(node: &mut Node, mark: usize) -> (usize, usize) {
    let events = node.events_since(mark);
    let count = |is: fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
    (
        count(|event| matches!(event, Event::RequestOpened { .. })),
        count(|event| matches!(event, Event::JamStarted { .. })),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_coordinator_that_tells_events_twice_is_named_once_and_each_event_counts_once() {
    let mut friends = Friends::meet();
    Liar::between(&mut friends, |told| {
        let newest = told.last().expect("one");
        vec![newest.clone(), newest.clone()]
    });
    let mark = friends.ben.mark();
    friends.begin_jam();
    warned(&mut friends.ben, mark);
    friends.ana.run(&["leave"]);
    friends.ben.until("the Jam is over", |ben| ben.status().jam.is_none().then_some(()));
    assert_eq!(rung(&mut friends.ben, mark), (1, 1));
    assert_eq!(warnings(&mut friends.ben, mark), 1);
    friends.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_coordinator_that_tells_events_out_of_order_is_named_and_the_state_is_the_true_one() {
    let mut friends = Friends::meet();
    // Each second one first.
    Liar::between(&mut friends, |told| match told {
        [.., before, newest] if told.len() % 2 == 0 => vec![newest.clone(), before.clone()],
        _ => Vec::new(),
    });
    let Friends { ana, ben, .. } = &mut friends;
    let mark = ben.mark();
    ana.run(&["request", "ben"]);
    ana.run(&["cancel"]);
    warned(ben, mark);
    assert!(ben.status().requests.is_empty(), "what is over does not come up again");
    // Its question comes late too, and is found all the same by asking for what holds.
    ana.run(&["request", "ben"]);
    ana.run(&["cancel"]);
    ana.run(&["request", "ben"]);
    ana.run(&["cancel"]);
    ben.until("nothing is open", |ben| ben.status().requests.is_empty().then_some(()));
    assert_eq!(warnings(ben, mark), 1);
    friends.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn events_that_are_told_again_under_new_numbers_change_nothing() {
    let mut friends = Friends::meet();
    // With each event all that came before it, once more.
    Liar::between(&mut friends, |told| {
        let first = told.first().expect("one").number.0;
        let count = u64::try_from(told.len()).expect("few");
        // As many as were sent by now: 1 + 2 + 3 and so on.
        let sent = count * (count - 1) / 2;
        let again = told.iter().rev().zip(first + sent..);
        again
            .map(|(told, number)| NumberedEvent { number: EventNumber(number), event: told.event.clone() })
            .collect()
    });
    let mark = friends.ben.mark();
    friends.begin_jam();
    friends.ana.run(&["leave"]);
    friends.ben.until("the Jam is over", |ben| ben.status().jam.is_none().then_some(()));
    let asked = friends.ana.mark();
    friends.ana.run(&["request", "ben"]);
    friends.ben.until("she asks", |ben| (ben.status().requests.len() == 1).then_some(()));
    friends.ben.run(&["decline"]);
    let outcome = friends.ana.event_since(asked, "the answer", |event| match event {
        Event::RequestClosed { outcome, .. } => Some(*outcome),
        _ => None,
    });
    assert_eq!(outcome, RequestOutcome::Declined);
    // A Jam that was left is not begun again by its old grant, and one that is over does not ring again.
    friends.begin_jam();
    friends.ben.until("the Jam stands", |ben| in_step(&ben.status()).then_some(()));
    assert_eq!(rung(&mut friends.ben, mark), (3, 2));
    friends.assert_sound();
}
