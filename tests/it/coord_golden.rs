//! The bytes between node and coordinator, pinned: each message stands in `golden/coord.json` as hexadecimal
//! bytes beside its fields. Bytes that change break every node that is not updated at the same moment.
//!
//! After a deliberate change, write the file anew with `JAMSYNC_WRITE_GOLDEN=1` and review the difference.

use jamsync_protocol::{
    id::{AccountId, DeviceKey, Handle, JamId, Participant},
    identity::{
        DeviceLog, DeviceSecret, FriendLink, Grant, GrantParticipant, JoinCode, LinkToken, Quality, Tier,
        friend_link::LinkSecret, grant::LIFETIME_MAX, join_code::JoinSecret,
    },
    limits::COORD_FRAME_BYTES_MAX,
    text::{List, Text},
    time::{Span, UtcTime},
    wire::{
        codec,
        coord::{
            AcceptedLink, Answer, Contact, CoordCall, CoordEvent, CoordReply, CoordRequest, EventNumber,
            Features, IdempotencyKey, Introduction, Me, NumberedEvent, OpenRequest, Refusal, RequestEnd,
            RequestId, Role,
        },
    },
};
use serde_json::{Value, json};

const NOW: UtcTime = UtcTime::from_nanos(1_795_219_200_000_000_000);
const REQUEST: RequestId = RequestId([0x33; 16]);
const TOKEN: LinkToken = LinkToken([0x44; 16]);
const JAM: JamId = JamId([0x55; 16]);

#[test]
fn the_coordinators_wire_keeps_its_bytes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/coord.json");
    let now: Vec<Value> = calls().into_iter().chain(replies()).chain(events()).chain(codes()).collect();
    if std::env::var_os("JAMSYNC_WRITE_GOLDEN").is_some() {
        // One message a line, so that a difference is read message by message.
        let lines: Vec<String> = now.iter().map(Value::to_string).collect();
        std::fs::write(path, format!("[\n{}\n]\n", lines.join(",\n"))).expect("writes");
    }
    let text = std::fs::read_to_string(path).expect("the golden file");
    let pinned: Vec<Value> = serde_json::from_str(&text).expect("the golden file is JSON");
    for (now, pinned) in now.iter().zip(&pinned) {
        assert_eq!(now, pinned);
    }
    assert_eq!(now.len(), pinned.len());
}

/// The message's name, bytes and fields; the bytes must decode to the same message.
fn pinned<T>(name: &str, value: &T) -> Value
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let bytes = codec::encode(value, COORD_FRAME_BYTES_MAX).expect("fits");
    assert_eq!(codec::decode::<T>(&bytes).as_ref(), Ok(value));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "name": name, "hex": hex, "value": serde_json::to_value(value).expect("writes") })
}

fn calls() -> Vec<Value> {
    let requests = [
        ("hello", CoordRequest::Hello { features: Features(1), program: Text::truncated("jamsync 0.1.0") }),
        (
            "sign up",
            CoordRequest::SignUp {
                secret: JoinSecret([0x22; 16]),
                handle: handle("ana"),
                birth_date: "1990-05-17".parse().expect("a date"),
                market: "DE".parse().expect("a country"),
                log: log(1),
            },
        ),
        ("who am i", CoordRequest::WhoAmI),
        ("confirm age", CoordRequest::ConfirmAge { birth_date: "1990-05-17".parse().expect("a date") }),
        ("create friend link", CoordRequest::CreateFriendLink),
        ("accept friend link", CoordRequest::AcceptFriendLink { token: TOKEN, proof: accepted().proof }),
        ("contacts", CoordRequest::Contacts { after: Some(handle("ben")) }),
        ("request Jam", CoordRequest::RequestJam { to: handle("ben") }),
        ("cancel request", CoordRequest::CancelRequest { request: REQUEST }),
        ("answer request", CoordRequest::AnswerRequest { request: REQUEST, answer: Answer::Decline }),
        ("candidates", CoordRequest::Candidates { addresses: addresses() }),
        ("end Jam", CoordRequest::EndJam { jam: JAM }),
        ("events", CoordRequest::Events { after: EventNumber(300) }),
    ];
    let call = |request| CoordCall { key: IdempotencyKey([0x11; 16]), request };
    requests.into_iter().map(|(name, request)| pinned(&format!("call: {name}"), &call(request))).collect()
}

fn replies() -> Vec<Value> {
    let refusals = [
        Refusal::HelloFirst,
        Refusal::NotSignedUp,
        Refusal::AlreadySignedUp { handle: handle("ana") },
        Refusal::UnknownJoinCode,
        Refusal::HandleTaken { handle: handle("ana") },
        Refusal::BadLog,
        Refusal::NotPremium,
        Refusal::TooYoung { minimum_age: 16 },
        Refusal::AgeUnknown { minimum_age: 18 },
        Refusal::NotContact { handle: handle("ben") },
        Refusal::FriendUnavailable { handle: handle("ben") },
        Refusal::UnknownLink,
        Refusal::OwnLink,
        Refusal::AlreadyRequested { by_me: true },
        Refusal::UnknownRequest,
        Refusal::RequestOver(RequestEnd::Expired),
        Refusal::UnknownJam,
        Refusal::TooMany { retry_after: Span::from_secs(60) },
        Refusal::KeyReused,
        Refusal::Unavailable { retry_after: Span::from_secs(2) },
    ];
    let me = Me {
        account: account(1),
        handle: handle("ana"),
        tier: Tier::Premium,
        log: log(1),
        requests: List::new(vec![open_request()]).expect("fits"),
    };
    let observed = "192.0.2.7:4471".parse().expect("an address");
    let welcome = CoordReply::Welcome { features: Features(0), now: NOW, observed, signed_up: true };
    let contacts = List::new(vec![contact()]).expect("fits");
    let replies = [
        ("done", CoordReply::Done),
        ("welcome", welcome),
        ("me", CoordReply::Me(me)),
        ("friend link", CoordReply::FriendLink { token: TOKEN, expires: NOW }),
        ("contact", CoordReply::Contact(contact())),
        ("contacts", CoordReply::Contacts { contacts, more: true }),
        ("requested", CoordReply::Requested { request: REQUEST, expires: NOW }),
        ("observed", CoordReply::Observed(observed)),
    ];
    let refusals = refusals.into_iter().map(|refusal| (refusal.to_string(), CoordReply::Refused(refusal)));
    let replies = replies.into_iter().map(|(name, reply)| (name.to_owned(), reply));
    replies.chain(refusals).map(|(name, reply)| pinned(&format!("reply: {name}"), &reply)).collect()
}

fn events() -> Vec<Value> {
    let grant = Grant {
        jam: JAM,
        participants: List::new(vec![participant(2, "ben"), participant(1, "ana")]).expect("fits"),
        host: Participant::FIRST,
        issued: NOW,
        expires: NOW + LIFETIME_MAX,
    };
    let introduction =
        Introduction { peer: secret(2).public(), candidates: addresses(), role: Role::Listener };
    let granted = CoordEvent::JamGranted {
        request: REQUEST,
        grant: grant.signed_by(&secret(9)).expect("fits"),
        introduction,
    };
    let candidates = addresses();
    let events = [
        ("contact added", CoordEvent::ContactAdded(contact())),
        ("Jam requested", CoordEvent::JamRequested(open_request())),
        ("request cancelled", CoordEvent::RequestCancelled { request: REQUEST }),
        ("request declined", CoordEvent::RequestDeclined { request: REQUEST }),
        ("request expired", CoordEvent::RequestExpired { request: REQUEST }),
        ("request answered", CoordEvent::RequestAnswered { request: REQUEST }),
        ("Jam granted", granted),
        ("peer candidates", CoordEvent::PeerCandidates { jam: JAM, peer: secret(2).public(), candidates }),
        ("Jam ended", CoordEvent::JamEnded { jam: JAM, by: account(2) }),
    ];
    let numbered = |event| NumberedEvent { number: EventNumber(301), event };
    events.into_iter().map(|(name, event)| pinned(&format!("event: {name}"), &numbered(event))).collect()
}

fn codes() -> Vec<Value> {
    let address = |text: &str| Text::new(text).expect("fits");
    let join = JoinCode {
        addresses: List::new(vec![address("jam.example.org:4470")]).expect("fits"),
        coordinator: DeviceKey([0x99; 32]),
        secret: JoinSecret([0x22; 16]),
    };
    let link = FriendLink {
        token: TOKEN,
        secret: LinkSecret([0x66; 16]),
        creator: account(1),
        coordinator: DeviceKey([0x99; 32]),
    };
    vec![
        json!({ "name": "code: join code", "text": join.to_string(), "value": join }),
        json!({ "name": "code: friend link", "text": link.to_string(), "value": link }),
    ]
}

fn handle(name: &str) -> Handle {
    name.parse().expect("a handle")
}
fn secret(seed: u8) -> DeviceSecret {
    DeviceSecret::from_seed(&[seed; 32])
}
fn log(seed: u8) -> DeviceLog {
    DeviceLog::found(&secret(seed), [seed; 16]).as_log().clone()
}
fn account(seed: u8) -> AccountId {
    DeviceLog::found(&secret(seed), [seed; 16]).account()
}
fn accepted() -> AcceptedLink {
    AcceptedLink { token: TOKEN, proof: LinkSecret([0x66; 16]).prove(account(1), account(2)) }
}
fn contact() -> Contact {
    Contact {
        handle: handle("ben"),
        account: account(2),
        log: log(2),
        online: true,
        accepted: Some(accepted()),
    }
}
fn open_request() -> OpenRequest {
    OpenRequest { request: REQUEST, friend: handle("ben"), account: account(2), incoming: true, expires: NOW }
}
fn participant(seed: u8, name: &str) -> GrantParticipant {
    GrantParticipant {
        account: account(seed),
        device: secret(seed).public(),
        handle: handle(name),
        tier: Tier::Premium,
        quality: Quality::Original,
    }
}
fn addresses<const MAX: usize>() -> List<std::net::SocketAddr, MAX> {
    let all = ["192.0.2.7:4471", "[2001:db8::7]:4471"].map(|text| text.parse().expect("an address"));
    List::new(all.to_vec()).expect("fits")
}
