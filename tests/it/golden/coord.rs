//! Values of the connection between node and coordinator.

use std::net::SocketAddr;

use jamsync_protocol::{
    activity::SlotGeneration,
    conversation::{ConversationId, Epoch, Members, PostId},
    id::{AccountId, Handle, JamId},
    identity::{
        CodeProof, CodeToken, LinkProof, LinkToken, SignedEntry, Tier, Vouch, device_code::CodeSecret,
        friend_link::LinkSecret, join_code::JoinSecret,
    },
    limits::COORD_FRAME_BYTES_MAX,
    time::{Span, UtcTime},
    wire::coord::{
        AcceptedLink, Answer, Contact, ConversationEntry, ConversationItem, ConversationState, CoordCall,
        CoordEvent, CoordReply, CoordRequest, Device, EventNumber, Features, IdempotencyKey, Introduction,
        Mark, Me, NumberedEvent, OpenRequest, Refusal, ReportReason, RequestEnd, RequestId, Role, Sequence,
        TakenPackage,
    },
};

use super::{
    Golden,
    identity::{founded, secret, signed_grant},
    list, text,
};

const REQUEST: RequestId = RequestId([0xe1; 16]);
const JAM: JamId = JamId([0xa5; 16]);
const TOKEN: LinkToken = LinkToken([7; 16]);
const CODE: CodeToken = CodeToken([0xd0; 16]);
const CONVERSATION: ConversationId = ConversationId([0xc5; 32]);
const POST: PostId = PostId([0x9a; 16]);
const EPOCH: Epoch = Epoch { generation: 1, number: 200 };
const SOON: UtcTime = UtcTime::from_nanos(1_795_219_500_000_000_000);

/// Every pinned call of a node.
pub(crate) fn calls() -> Vec<(&'static str, CoordCall)> {
    let key = IdempotencyKey([0xc0; 16]);
    requests().into_iter().map(|(name, request)| (name, CoordCall { key, request })).collect()
}

pub(super) fn golden() -> Vec<Golden> {
    let events = events().into_iter().zip(1..).map(|((name, event), number)| {
        let number = if matches!(event, CoordEvent::ConversationWritten { .. }) { 0 } else { number * 100 };
        (name, NumberedEvent { number: EventNumber(number), event })
    });
    let acknowledged = vec![("first", EventNumber(1)), ("newest", EventNumber(u64::MAX))];
    let limit = COORD_FRAME_BYTES_MAX;
    vec![
        Golden::bytes("coord-call", "CoordCall", limit, calls()),
        Golden::bytes("coord-reply", "CoordReply", limit, replies()),
        Golden::bytes("coord-event", "NumberedEvent", limit, events.collect()),
        Golden::bytes("coord-acknowledgement", "EventNumber", limit, acknowledged),
    ]
}

fn requests() -> Vec<(&'static str, CoordRequest)> {
    let birth_date = "2001-12-31".parse().expect("a date");
    let sign_up = CoordRequest::SignUp {
        secret: JoinSecret([0x5e; 16]),
        handle: handle("ana"),
        birth_date,
        market: "DE".parse().expect("a country"),
        log: founded(1).as_log().clone(),
    };
    let answer = |answer| CoordRequest::AnswerRequest { request: REQUEST, answer };
    let addresses = list([address("192.0.2.1:4470"), address("[2001:db8::1]:65535")]);
    let mark = |mark| CoordRequest::MarkContact { contact: founded(2).account(), mark, on: true };
    let report = |reason| {
        let words = text("every night, at three");
        CoordRequest::Report { contact: founded(2).account(), reason, words }
    };
    let (consent, entry, name) = (founded(1).consent(&secret(2)), second_entry(), text("laptop"));
    let mut all = vec![
        ("Hello", CoordRequest::Hello { features: Features(0), program: text("jamsync 0.1.0") }),
        ("SignUp", sign_up),
        ("WhoAmI", CoordRequest::WhoAmI),
        ("ConfirmAge", CoordRequest::ConfirmAge { birth_date }),
        ("CreateFriendLink", CoordRequest::CreateFriendLink),
        ("AcceptFriendLink", CoordRequest::AcceptFriendLink { token: TOKEN, proof: proof() }),
        ("Contacts", CoordRequest::Contacts { after: None }),
        ("Contacts after one", CoordRequest::Contacts { after: Some(handle("ben.b-2")) }),
        ("RequestJam", CoordRequest::RequestJam { to: handle("ben.b-2") }),
        ("CancelRequest", CoordRequest::CancelRequest { request: REQUEST }),
        ("AnswerRequest, Accept", answer(Answer::Accept)),
        ("AnswerRequest, Decline", answer(Answer::Decline)),
        ("Candidates", CoordRequest::Candidates { addresses }),
        ("Candidates, none", CoordRequest::Candidates { addresses: list([]) }),
        ("EndJam", CoordRequest::EndJam { jam: JAM }),
        ("Events", CoordRequest::Events { after: EventNumber(128) }),
        ("Devices", CoordRequest::Devices),
        ("MakeDeviceCode", CoordRequest::MakeDeviceCode),
        ("LookUpLog", CoordRequest::LookUpLog { account: founded(1).account() }),
        ("AskToJoin", CoordRequest::AskToJoin { token: CODE, consent, code_proof: code_proof(), name }),
        ("ExtendLog", CoordRequest::ExtendLog { account: founded(1).account(), entry, name: text("") }),
        ("RenameDevice", CoordRequest::RenameDevice { device: secret(2).public(), name: text("Küche") }),
        ("VouchForContact", CoordRequest::VouchForContact { vouch: vouch() }),
        ("MarkContact, Blocked", mark(Mark::Blocked)),
        ("MarkContact, Muted", mark(Mark::Muted)),
        ("RemoveContact", CoordRequest::RemoveContact { contact: founded(2).account() }),
        ("Report, Spam", report(ReportReason::Spam)),
        ("Report, Harassment", report(ReportReason::Harassment)),
        ("Report, Impersonation", report(ReportReason::Impersonation)),
        ("Report, Other", report(ReportReason::Other)),
        ("OptOut", CoordRequest::OptOut { out: true }),
        ("Export", CoordRequest::Export { from: 12_288 }),
        ("DeleteAccount", CoordRequest::DeleteAccount { handle: handle("ana") }),
    ];
    all.extend(conversation_requests());
    all.extend(super::activity::requests());
    all
}

fn conversation_requests() -> Vec<(&'static str, CoordRequest)> {
    let (conversation, epoch) = (CONVERSATION, EPOCH);
    let (package, commit) = (list([0x4b; 4]), list([0xcc; 3]));
    vec![
        (
            "PublishKeyPackages",
            CoordRequest::PublishKeyPackages {
                packages: list([list([0x4a; 2]), list([])]),
                last_resort: Some(package),
                anew: true,
            },
        ),
        (
            "PublishKeyPackages, none",
            CoordRequest::PublishKeyPackages { packages: list([]), last_resort: None, anew: false },
        ),
        ("TakeKeyPackages", CoordRequest::TakeKeyPackages { devices: list([secret(2).public()]) }),
        (
            "BeginConversation",
            CoordRequest::BeginConversation { members: members(), generation: 2, welcome: list([0x77; 3]) },
        ),
        (
            "ChangeConversation",
            CoordRequest::ChangeConversation { conversation, epoch, commit, welcome: Some(list([0x77])) },
        ),
        ("Post", CoordRequest::Post { conversation, epoch, id: POST, sealed: list([0x5e; 3]) }),
        ("ConversationLog", CoordRequest::ConversationLog { conversation, after: Sequence(300) }),
        ("AcknowledgeLog", CoordRequest::AcknowledgeLog { conversation, upto: Sequence(301) }),
        ("Conversations", CoordRequest::Conversations { after: None }),
        ("Conversations after one", CoordRequest::Conversations { after: Some(conversation) }),
    ]
}

fn replies() -> Vec<(&'static str, CoordReply)> {
    let welcome = CoordReply::Welcome {
        features: Features(0),
        now: SOON,
        observed: address("198.51.100.7:50000"),
        signed_up: true,
    };
    let me = |tier, requests: Vec<OpenRequest>| {
        let (account, log) = (founded(1).account(), founded(1).as_log().clone());
        CoordReply::Me(Me {
            account,
            handle: handle("ana"),
            tier,
            log,
            requests: list(requests),
            opted_out: tier == Tier::Free,
        })
    };
    let contacts = CoordReply::Contacts { contacts: list([contact(true), contact(false)]), more: true };
    let mut values = vec![
        ("Done", CoordReply::Done),
        ("Welcome", welcome),
        ("Me", me(Tier::Premium, vec![open_request(true), open_request(false)])),
        ("Me, Free", me(Tier::Free, Vec::new())),
        ("FriendLink", CoordReply::FriendLink { token: TOKEN, expires: SOON }),
        ("Contact", CoordReply::Contact(contact(false))),
        ("Contacts", contacts),
        ("Contacts, none", CoordReply::Contacts { contacts: list([]), more: false }),
        ("Requested", CoordReply::Requested { request: REQUEST, expires: SOON }),
        ("Observed", CoordReply::Observed(address("[2001:db8::1]:4470"))),
        ("Devices", CoordReply::Devices(list([device("laptop"), device("")]))),
        ("DeviceCode", CoordReply::DeviceCode { token: CODE, expires: SOON }),
        ("Log", CoordReply::Log(founded(1).as_log().clone())),
        (
            "Exported",
            CoordReply::Exported { part: list(*br#"{"accounts":[]}"#), total: 15, hash: [0xe0; 32] },
        ),
    ];
    values.extend(conversation_replies());
    values.extend(refusals().into_iter().map(|(name, refusal)| (name, CoordReply::Refused(refusal))));
    values
}

fn entry(sequence: u64, what: ConversationItem) -> ConversationEntry {
    ConversationEntry { sequence: Sequence(sequence), epoch: EPOCH, at: SOON, what }
}

fn conversation_replies() -> Vec<(&'static str, CoordReply)> {
    let entries = list([
        entry(1, ConversationItem::Begun { welcome: list([0x77; 3]) }),
        entry(2, ConversationItem::Changed { commit: list([0xcc; 3]), welcome: None }),
        entry(3, ConversationItem::Changed { commit: list([0xcc; 3]), welcome: Some(list([0x77])) }),
        entry(4, ConversationItem::Post { id: POST, sealed: list([0x5e; 3]) }),
    ]);
    let state = ConversationState {
        conversation: CONVERSATION,
        members: members(),
        epoch: EPOCH,
        newest: Sequence(301),
        acknowledged: Sequence(300),
    };
    let conversations = list([state.clone()]);
    vec![
        ("KeyPackages", CoordReply::KeyPackages { left: 200 }),
        (
            "TakenPackages",
            CoordReply::TakenPackages(list([TakenPackage {
                device: secret(2).public(),
                package: list([0x4b; 4]),
            }])),
        ),
        ("Placed", CoordReply::Placed { sequence: Sequence(301), at: SOON }),
        ("Entries", CoordReply::Entries { entries, newest: Sequence(4) }),
        ("Conversation", CoordReply::Conversation(state)),
        ("Conversations", CoordReply::Conversations { conversations, more: true, key_packages: 24 }),
        ("ActivityHeld", CoordReply::ActivityHeld { generation: SlotGeneration(300) }),
        ("Cover", CoordReply::Cover { sealed: super::activity::block(0xc0) }),
    ]
}

fn refusals() -> Vec<(&'static str, Refusal)> {
    let (ben, retry_after) = (handle("ben.b-2"), Span::from_millis(2_500));
    vec![
        ("HelloFirst", Refusal::HelloFirst),
        ("NotSignedUp", Refusal::NotSignedUp),
        ("AlreadySignedUp", Refusal::AlreadySignedUp { handle: handle("ana") }),
        ("UnknownJoinCode", Refusal::UnknownJoinCode),
        ("HandleTaken", Refusal::HandleTaken { handle: handle("ana") }),
        ("BadLog", Refusal::BadLog),
        ("NotPremium", Refusal::NotPremium),
        ("TooYoung", Refusal::TooYoung { minimum_age: 16 }),
        ("AgeUnknown", Refusal::AgeUnknown { minimum_age: 18 }),
        ("NotContact", Refusal::NotContact { handle: ben.clone() }),
        ("FriendUnavailable", Refusal::FriendUnavailable { handle: ben }),
        ("UnknownLink", Refusal::UnknownLink),
        ("OwnLink", Refusal::OwnLink),
        ("AlreadyRequested", Refusal::AlreadyRequested { by_me: true }),
        ("UnknownRequest", Refusal::UnknownRequest),
        ("RequestOver, Accepted", Refusal::RequestOver(RequestEnd::Accepted)),
        ("RequestOver, Declined", Refusal::RequestOver(RequestEnd::Declined)),
        ("RequestOver, Cancelled", Refusal::RequestOver(RequestEnd::Cancelled)),
        ("RequestOver, Expired", Refusal::RequestOver(RequestEnd::Expired)),
        ("UnknownJam", Refusal::UnknownJam),
        ("TooMany", Refusal::TooMany { retry_after }),
        ("KeyReused", Refusal::KeyReused),
        ("Unavailable", Refusal::Unavailable { retry_after }),
        ("UnknownCode", Refusal::UnknownCode),
        ("TooManyDevices", Refusal::TooManyDevices { limit: 6 }),
        ("LogMoved", Refusal::LogMoved),
        ("LogFull", Refusal::LogFull),
        ("UnknownDevice", Refusal::UnknownDevice),
        ("Blocked", Refusal::Blocked { handle: handle("ben.b-2") }),
        ("OptedOut", Refusal::OptedOut),
        ("NotInMarket", Refusal::NotInMarket),
        ("NotRolledOut", Refusal::NotRolledOut),
        ("UnknownContact", Refusal::UnknownContact),
        ("OtherHandle", Refusal::OtherHandle { handle: handle("ana") }),
        ("UnknownConversation", Refusal::UnknownConversation),
        ("EpochMoved", Refusal::EpochMoved { epoch: EPOCH, newest: Sequence(301) }),
        ("CannotDeliver", Refusal::CannotDeliver { handle: handle("ben.b-2") }),
        ("NoSuchMembers", Refusal::NoSuchMembers),
        ("ActivityElsewhere", Refusal::ActivityElsewhere { generation: SlotGeneration(3) }),
        ("UnknownCover", Refusal::UnknownCover),
    ]
}

fn events() -> Vec<(&'static str, CoordEvent)> {
    let request = REQUEST;
    let granted = |role| CoordEvent::JamGranted {
        request,
        grant: signed_grant(),
        introduction: Introduction {
            peer: secret(2).public(),
            candidates: list([address("198.51.100.7:50000"), address("192.0.2.1:4470")]),
            role,
        },
    };
    let candidates = CoordEvent::PeerCandidates {
        jam: JAM,
        peer: secret(2).public(),
        candidates: list([address("[2001:db8::1]:4470")]),
    };
    let asks = CoordEvent::DeviceAsks {
        token: CODE,
        device: secret(2).public(),
        consent: founded(1).consent(&secret(2)),
        code_proof: code_proof(),
        name: text("laptop"),
    };
    vec![
        ("ContactAdded", CoordEvent::ContactAdded(contact(true))),
        ("JamRequested", CoordEvent::JamRequested(open_request(true))),
        ("RequestCancelled", CoordEvent::RequestCancelled { request }),
        ("RequestDeclined", CoordEvent::RequestDeclined { request }),
        ("RequestExpired", CoordEvent::RequestExpired { request }),
        ("RequestAnswered", CoordEvent::RequestAnswered { request, end: RequestEnd::Accepted }),
        ("JamGranted, Dialer", granted(Role::Dialer)),
        ("JamGranted, Listener", granted(Role::Listener)),
        ("PeerCandidates", candidates),
        ("JamEnded", CoordEvent::JamEnded { jam: JAM, by: founded(2).account() }),
        ("DeviceAsks", asks),
        ("DeviceLogGrew", CoordEvent::DeviceLogGrew { account: founded(1).account(), entry: second_entry() }),
        (
            "ContactChanged",
            CoordEvent::ContactChanged(Contact { vouch: Some(Box::new(vouch())), ..contact(false) }),
        ),
        ("ContactRemoved", CoordEvent::ContactRemoved { account: founded(2).account() }),
        ("ConversationGrew", CoordEvent::ConversationGrew { conversation: CONVERSATION }),
        (
            "ConversationWritten",
            CoordEvent::ConversationWritten {
                conversation: CONVERSATION,
                entry: entry(300, ConversationItem::Post { id: POST, sealed: list([0x5e; 3]) }),
            },
        ),
    ]
}

fn members() -> Members {
    Members::new([1, 2, 3].map(|seed| founded(seed).account())).expect("three")
}

fn contact(accepted: bool) -> Contact {
    Contact {
        handle: handle("ben.b-2"),
        account: founded(2).account(),
        log: founded(2).as_log().clone(),
        online: !accepted,
        accepted: accepted.then(|| AcceptedLink { token: TOKEN, proof: proof() }),
        vouch: None,
        blocked: false,
        muted: accepted,
    }
}

fn device(name: &str) -> Device {
    Device { device: secret(2).public(), name: text(name), added: SOON, online: name.is_empty() }
}

/// The entry by which a second device comes into the log of the first.
fn second_entry() -> SignedEntry {
    let mut log = founded(1);
    let consent = log.consent(&secret(2));
    log.add(&secret(1), secret(2).public(), consent).expect("a new device");
    log.newest().expect("two entries").clone()
}

fn vouch() -> Vouch {
    Vouch::signed_by(&secret(1), founded(1).account(), handle("ben.b-2"), founded(2).pin())
}

fn code_proof() -> CodeProof {
    CodeSecret([0x0c; 16]).prove(founded(1).account(), secret(2).public())
}

fn open_request(incoming: bool) -> OpenRequest {
    OpenRequest {
        request: REQUEST,
        friend: handle("ben.b-2"),
        account: founded(2).account(),
        incoming,
        expires: SOON,
    }
}

fn proof() -> LinkProof {
    LinkSecret([8; 16]).prove(AccountId([1; 32]), AccountId([2; 32]))
}

fn handle(text: &str) -> Handle {
    text.parse().expect("a handle")
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}
