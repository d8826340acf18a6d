//! Two nodes on loopback: who is expected gets in, who is not learns nothing.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use jamsync_protocol::{
    id::JamId,
    session::{Channel, Transmit},
    text::List,
    wire::peer::Hello,
};
use tokio::{sync::mpsc, time::timeout};

use super::{CloseCode, Dialling, PeerEvent, PeerPort, PeerTarget};
use crate::{clock::NodeClock, identity::Identity, net::socket::endpoint};

struct Node {
    identity: Arc<Identity>,
    port: PeerPort,
    events: mpsc::Receiver<PeerEvent>,
    address: SocketAddr,
}

fn node(seed: u8) -> Node {
    let (endpoint, raw) = endpoint(Some("127.0.0.1:0".parse().unwrap())).unwrap();
    let address = endpoint.local_addr().unwrap();
    let identity = Arc::new(Identity::from_seed(&[seed; 32]).unwrap());
    let (sender, events) = mpsc::channel(64);
    let port = PeerPort::open(endpoint, raw, Arc::clone(&identity), NodeClock::system(), sender).unwrap();
    Node { identity, port, events, address }
}

fn target(of: &Node, jam: u8, dials: bool) -> PeerTarget {
    let hello = Hello { features: 0, jam: JamId([jam; 16]), run: 1, grant: List::new(vec![jam; 3]).unwrap() };
    let dialling = if dials { Dialling::AtOnce } else { Dialling::Never };
    PeerTarget { key: of.identity.key(), hello, dialling, candidates: vec![of.address] }
}

/// The next event, which has to come soon.
async fn next(node: &mut Node) -> PeerEvent {
    timeout(Duration::from_secs(10), node.events.recv()).await.expect("an event in time").expect("an event")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_expected_peers_exchange_hellos_frames_and_datagrams() {
    let (mut a, mut b) = (node(1), node(2));
    a.port.seek(target(&b, 7, true));
    b.port.seek(target(&a, 7, false));
    let PeerEvent::Connected { link: to_b, hello } = next(&mut a).await else { panic!("connected") };
    assert_eq!((hello.jam, to_b.key()), (JamId([7; 16]), b.identity.key()));
    let PeerEvent::Connected { link: to_a, .. } = next(&mut b).await else { panic!("connected") };
    assert_eq!(to_a.key(), a.identity.key());
    for channel in [Channel::Control, Channel::Queue, Channel::Datagram] {
        to_b.send(Transmit { channel, bytes: vec![1, 2, 3] });
        let PeerEvent::Bytes { link, channel: came, bytes, .. } = next(&mut b).await else { panic!("bytes") };
        assert_eq!((link, came, bytes), (to_a.id(), channel, vec![1, 2, 3]));
    }
    to_b.say(vec![4, 5]);
    let PeerEvent::Chat { link, bytes, .. } = next(&mut b).await else { panic!("chat") };
    assert_eq!((link, bytes), (to_a.id(), vec![4, 5]));
    to_a.close(CloseCode::Violation, "trailing bytes");
    let PeerEvent::Lost { reason, .. } = next(&mut a).await else { panic!("lost") };
    assert!(reason.contains("trailing bytes"), "{reason}");
    let PeerEvent::Lost { .. } = next(&mut b).await else { panic!("lost") };
    a.port.miss(target(&b, 7, true));
    let PeerEvent::Connected { .. } = next(&mut a).await else { panic!("the dialling side comes back") };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_one_who_should_dial_does_not_come_the_other_dials() {
    let (mut a, mut b) = (node(1), node(2));
    a.port.seek(target(&b, 7, false));
    let dialling = Dialling::After(Duration::from_millis(50));
    b.port.seek(PeerTarget { dialling, ..target(&a, 7, false) });
    let PeerEvent::Connected { link: to_b, .. } = next(&mut a).await else { panic!("connected") };
    let PeerEvent::Connected { link: to_a, .. } = next(&mut b).await else { panic!("connected") };
    assert_eq!((to_a.dialled(), to_b.dialled()), (true, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_not_expected_is_refused() {
    let (mut a, mut b, mut stranger) = (node(1), node(2), node(3));
    b.port.seek(target(&a, 7, false));
    stranger.port.seek(target(&b, 7, true));
    let PeerEvent::Failed { reason, .. } = next(&mut stranger).await else { panic!("refused") };
    assert!(!reason.is_empty());
    let PeerEvent::Failed { .. } = next(&mut b).await else { panic!("told to the log of b") };
    a.port.seek(target(&b, 7, true));
    let PeerEvent::Connected { .. } = next(&mut a).await else { panic!("the expected one gets in") };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_another_key_is_not_believed() {
    let (mut a, b, mut impostor) = (node(1), node(2), node(3));
    impostor.port.seek(target(&a, 7, false));
    let mut misled = target(&b, 7, true);
    misled.candidates = vec![impostor.address];
    a.port.seek(misled);
    let PeerEvent::Failed { .. } = next(&mut a).await else { panic!("not believed") };
    let PeerEvent::Failed { .. } = next(&mut impostor).await else { panic!("nothing came of it") };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_is_opened_towards_a_peer_until_it_is_forgotten() {
    let away = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut waiting = node(1);
    let mut sought = target(&node(2), 7, false);
    sought.candidates = vec![away.local_addr().unwrap()];
    waiting.port.seek(sought);
    for _ in 0..20 {
        away.recv(&mut [0; 16]).await.unwrap();
    }
    let opening = waiting.port.seeking.as_ref().unwrap().task.clone();
    waiting.port.forget(JamId([7; 16]));
    while !opening.is_finished() {
        tokio::task::yield_now().await;
    }
    assert!(waiting.port.seeking.is_none());
}
