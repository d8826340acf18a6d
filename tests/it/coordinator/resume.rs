//! An event stream that goes on where a device was: exactly what it missed and in order, or a gap that it can see, and
//! then a state that is whole.

use jamsync_coordinator::store::{EVENTS_KEPT_MAX, StoreError};
use jamsync_examples::load::{Device as Simulated, Dialer, Events, Persona};
use jamsync_protocol::{id::DeviceKey, wire::coord::NumberedEvent};

use super::*;

/// More than are kept.
const FLOOD: u32 = EVENTS_KEPT_MAX + 200;

/// Ana, and Ben by a device that says itself from where its events go on.
async fn friends_of_a_simulated(world: &World) -> (Person, Dialer, Persona, Simulated) {
    let mut ana = world.signed_up(1, "ana").await;
    let dialer = Dialer::new(world.server.address(), world.server.key(), 2).expect("sockets");
    let ben = Persona::new(0, 2).expect("a person");
    let online = dialer.log_in(&ben).await.expect("logs in");
    online.sign_up(&ben, SECRET).await.expect("signs up");
    let token = ana.link_token().await;
    let proof = LinkSecret([1; 16]).prove(ana.log.account(), ben.log.account());
    let accepted = online.ask(CoordRequest::AcceptFriendLink { token, proof }).await.expect("a reply");
    assert!(matches!(accepted, CoordReply::Contact(_)), "{accepted:?}");
    assert!(matches!(ana.event().await, CoordEvent::ContactAdded(_)));
    (ana, dialer, ben, online)
}

/// Ana asks Ben and takes it back: what he has to hear of it.
async fn ask_and_cancel(ana: &Person, ben: &Persona) -> [(bool, RequestId); 2] {
    let request = ana.request_jam(ben.handle.as_str()).await.expect("asked");
    assert_eq!(ana.ask(CoordRequest::CancelRequest { request }).await, Ok(CoordReply::Done));
    [(true, request), (false, request)]
}

/// Whether an event asks, or takes back, and what.
fn about(event: &CoordEvent) -> (bool, RequestId) {
    if let CoordEvent::JamRequested(open) = event {
        return (true, open.request);
    }
    let CoordEvent::RequestCancelled { request } = event else { panic!("{event:?}") };
    (false, *request)
}

async fn next(events: &mut Events) -> NumberedEvent {
    let event = tokio::time::timeout(Duration::from_secs(20), events.next()).await;
    event.expect("an event in time").expect("the stream lives")
}

async fn hears(events: &mut Events, number: u64, expected: (bool, RequestId)) {
    let event = next(events).await;
    assert_eq!((event.number, about(&event.event)), (EventNumber(number), expected));
}

/// So many events, of which none says anything that holds.
async fn flood(store: &SqliteStore, device: DeviceKey) {
    let pushed = store.write(move |tables| {
        for number in 0..FLOOD {
            let mut request = RequestId([0; 16]);
            request.0[..4].copy_from_slice(&number.to_be_bytes());
            tables.push_event(device, &CoordEvent::RequestExpired { request })?;
        }
        Ok::<_, StoreError>(())
    });
    pushed.await.expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_with_the_last_number_hears_exactly_what_was_missed_in_order() {
    let world = World::start().await;
    let (ana, dialer, ben, online) = friends_of_a_simulated(&world).await;
    let mut events = online.events(EventNumber(0)).await.expect("events");
    for (number, expected) in (1..).zip(ask_and_cancel(&ana, &ben).await) {
        hears(&mut events, number, expected).await;
    }
    // The second was seen and not dealt with any more.
    events.acknowledge(EventNumber(1)).await.expect("sent");
    online.connection.close(0u8.into(), b"");

    let mut missed = Vec::new();
    for _ in 0..3 {
        missed.extend(ask_and_cancel(&ana, &ben).await);
    }
    for _ in 0..2 {
        // Nothing of it was acknowledged, so the same comes each time.
        let back = dialer.log_in(&ben).await.expect("logs in");
        let mut events = back.events(EventNumber(2)).await.expect("events");
        for (number, expected) in (3..).zip(missed.clone()) {
            hears(&mut events, number, expected).await;
        }
        back.connection.close(0u8.into(), b"");
    }
    let back = dialer.log_in(&ben).await.expect("logs in");
    let mut events = back.events(EventNumber(5)).await.expect("events");
    for (number, expected) in (6..).zip(missed.split_off(3)) {
        hears(&mut events, number, expected).await;
    }
    // And what comes next has the next number.
    let [asked, cancelled] = ask_and_cancel(&ana, &ben).await;
    hears(&mut events, 9, asked).await;
    hears(&mut events, 10, cancelled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_missed_more_than_is_kept_sees_the_gap_and_what_it_asks_for_is_whole() {
    let world = World::start().await;
    let (mut ana, dialer, ben, online) = friends_of_a_simulated(&world).await;
    let mut events = online.events(EventNumber(0)).await.expect("events");
    for (number, expected) in (1..).zip(ask_and_cancel(&ana, &ben).await) {
        hears(&mut events, number, expected).await;
    }
    events.acknowledge(EventNumber(2)).await.expect("sent");
    online.connection.close(0u8.into(), b"");

    // What matters happens first, so that none of its events is kept.
    let second = DeviceSecret::from_seed(&[11; 32]);
    let consent = ana.log.consent(&second);
    ana.log.add(&ana.secret, second.public(), consent).expect("an entry");
    let (account, entry) = (ana.log.account(), ana.log.newest().expect("two").clone());
    let extended = ana.ask(CoordRequest::ExtendLog { account, entry, name: Text::truncated("tablet") });
    assert_eq!(extended.await, Ok(CoordReply::Done));
    let request = ana.request_jam(ben.handle.as_str()).await.expect("asked");
    flood(&world.store, ben.secret().public()).await;

    let back = dialer.log_in(&ben).await.expect("logs in");
    let mut events = back.events(EventNumber(2)).await.expect("events");
    let newest = 2 + 2 + u64::from(FLOOD);
    let oldest = newest - u64::from(EVENTS_KEPT_MAX) + 1;
    println!("seen up to 2, the next is {oldest} of {newest}");
    assert!(oldest > 5, "a gap that hides what matters");
    for number in oldest..=newest {
        let event = next(&mut events).await;
        assert_eq!(event.number, EventNumber(number));
        assert!(matches!(event.event, CoordEvent::RequestExpired { .. }), "{event:?}");
    }
    let me = back.ask(CoordRequest::WhoAmI).await.expect("a reply");
    let CoordReply::Me(me) = me else { panic!("no account: {me:?}") };
    let open: Vec<_> = me.requests.iter().map(|open| (open.request, open.account, open.incoming)).collect();
    assert_eq!(open, [(request, account, true)]);
    let told = back.ask(CoordRequest::Contacts { after: None }).await.expect("a reply");
    let CoordReply::Contacts { contacts, more: false } = told else { panic!("no contacts: {told:?}") };
    assert_eq!(contacts.len(), 1);
    assert_eq!((contacts[0].account, &contacts[0].log), (account, ana.log.as_log()));
    assert_eq!(ana.ask(CoordRequest::CancelRequest { request }).await, Ok(CoordReply::Done));
    hears(&mut events, newest + 1, (false, request)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nodes_own_link_notices_the_gap_once_and_goes_on_behind_it() {
    let world = World::start().await;
    let (ana, mut ben) = friends(&world).await;
    let request = ana.request_jam("ben").await.expect("asked");
    assert_eq!(about(&ben.event().await), (true, request));
    // Nobody is connected while it is filled.
    let World { folder, env, server, store } = world;
    let address = server.address();
    server.shut_down().await;
    flood(&store, ben.secret.public()).await;
    drop(store);
    let (_server, _store) = serve(&folder, &env, address, Settings::default());

    let (mut missed, mut numbers) = (Vec::new(), Vec::new());
    while numbers.len() < usize::try_from(EVENTS_KEPT_MAX).expect("few") {
        match ben.next().await {
            LinkEvent::Missed => missed.push(numbers.len()),
            LinkEvent::Event(event) => numbers.push(event.number.0),
            LinkEvent::Unreachable { .. } | LinkEvent::Connected { .. } | LinkEvent::Activity(_) => {}
            LinkEvent::OutOfOrder => panic!("it is honest"),
        }
    }
    assert_eq!(missed, [0], "before the first event behind the gap, and never again");
    assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1), "{numbers:?}");
    assert_eq!(*numbers.last().expect("many"), 1 + u64::from(FLOOD));
}
