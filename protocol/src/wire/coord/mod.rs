//! What a node and its coordinator say to each other.
//!
//! The node opens one bidirectional stream for each request: it writes one frame with a [`CoordCall`] and
//! reads one frame with a [`CoordReply`]. The first request of a connection is [`CoordRequest::Hello`]. One
//! request is different: after [`CoordRequest::Events`] its stream stays open, the coordinator writes frames
//! with a [`NumberedEvent`], and the node answers with frames that hold an [`EventNumber`]: all events up to
//! that one are dealt with and need not be sent again.
//!
//! A write that is repeated under its [`IdempotencyKey`] takes effect once and gets the same reply.
//! All enums are append-only: the place of a variant is its number on the wire.

use alloc::boxed::Box;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{
    id::{AccountId, DeviceKey, Handle, JamId},
    identity::{
        device_code::{CodeProof, CodeToken},
        device_log::{DeviceLog, SignedEntry},
        friend_link::{LinkProof, LinkToken},
        grant::{SignedGrant, Tier},
        join_code::JoinSecret,
        keys::Signature,
        person::{Date, Market},
        vouch::Vouch,
    },
    text::{List, Text},
    time::UtcTime,
};

mod fault;
mod refusal;

pub use fault::Fault;
pub use refusal::{Refusal, RequestEnd};

/// The version of this wire, as TLS negotiates it.
pub const ALPN: &[u8] = b"jamsync-coord/1";
/// The most addresses a device tells at once.
pub const CANDIDATES_MAX: usize = 16;
/// The most contacts in one reply.
pub const CONTACTS_PER_REPLY_MAX: usize = 64;
/// The most Jam requests an account may have open, made and received.
pub const OPEN_REQUESTS_MAX: usize = 64;

/// The most devices an account may have at once, recovery keys left out.
pub const DEVICES_MAX: usize = 6;

/// The most bytes of a complaint: what a person writes, and an evening's remarks beside it.
pub const REPORT_BYTES_MAX: usize = 8 * 1024;

/// The most bytes of an export in one reply, so that it fits a frame.
pub const EXPORT_PART_BYTES_MAX: usize = 12 * 1024;

/// What the holder calls a device; empty where it has no name.
pub type DeviceName = Text<64>;

/// What a node writes onto the stream of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoordCall {
    /// Chosen at random for each intention, and kept when the call is repeated.
    pub key: IdempotencyKey,
    /// What is asked.
    pub request: CoordRequest,
}

/// Makes a repeated write take effect once. Remembered for a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdempotencyKey(pub [u8; 16]);

/// Optional abilities, one bit each; unknown bits are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Features(pub u64);

/// One Jam request, from asking to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub [u8; 16]);

/// The place of an event in a device's own sequence, from 1. Zero stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventNumber(pub u64);

/// What a node asks of its coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoordRequest {
    /// The first request of every connection. Answer: [`CoordReply::Welcome`].
    Hello {
        /// What the node can do.
        features: Features,
        /// Program and version, for the operator's log.
        program: Text<64>,
    },
    /// Makes an account for the device of this connection. Answer: [`CoordReply::Me`].
    SignUp {
        /// From the join code.
        secret: JoinSecret,
        /// The name to be known by.
        handle: Handle,
        /// For the age rule; not kept where the minimum age is met.
        birth_date: Date,
        /// Where the account holder lives.
        market: Market,
        /// The account's device log: one entry, founded by the device of this connection.
        log: DeviceLog,
    },
    /// The account of this device and its open requests. Answer: [`CoordReply::Me`].
    WhoAmI,
    /// Tells the birth date again, after [`Refusal::AgeUnknown`]. Answer: [`CoordReply::Done`].
    ConfirmAge {
        /// For the age rule; not kept where the minimum age is met.
        birth_date: Date,
    },
    /// Registers a friend link. Answer: [`CoordReply::FriendLink`].
    CreateFriendLink,
    /// Becomes a contact of a link's creator. Answer: [`CoordReply::Contact`], whose account the node must
    /// hold against the one in the link.
    AcceptFriendLink {
        /// From the link.
        token: LinkToken,
        /// Made with the link's secret; checked by the creator's node.
        proof: LinkProof,
    },
    /// The contacts in the order of their handles. Answer: [`CoordReply::Contacts`].
    Contacts {
        /// Only those after this handle.
        after: Option<Handle>,
    },
    /// Asks a contact for a Jam. Answer: [`CoordReply::Requested`].
    RequestJam {
        /// The contact.
        to: Handle,
    },
    /// Takes a request back. Answer: [`CoordReply::Done`].
    CancelRequest {
        /// Which.
        request: RequestId,
    },
    /// Answers a request that was received. Answer: [`CoordReply::Done`]; after an acceptance both sides
    /// get [`CoordEvent::JamGranted`].
    AnswerRequest {
        /// Which.
        request: RequestId,
        /// Yes or no.
        answer: Answer,
    },
    /// The addresses at which this device may be reached, in place of those told before. They are passed to
    /// the peers of Jams granted to this device. Answer: [`CoordReply::Observed`].
    Candidates {
        /// All that are known now; the coordinator adds the one it sees.
        addresses: List<SocketAddr, CANDIDATES_MAX>,
    },
    /// Leaves a Jam, which ends the coordinator's part in it. Answer: [`CoordReply::Done`].
    EndJam {
        /// Which.
        jam: JamId,
    },
    /// Turns this stream into the event stream of this device.
    Events {
        /// The last event that the node has dealt with; zero for all that are kept.
        after: EventNumber,
    },
    /// The devices of this account. Answer: [`CoordReply::Devices`].
    Devices,
    /// Registers a device code. Answer: [`CoordReply::DeviceCode`].
    MakeDeviceCode,
    /// The device log of an account. Whoever knows the id may ask: a device that wants to join has no account yet.
    /// Answer: [`CoordReply::Log`].
    LookUpLog {
        /// From a device code or a recovery code.
        account: AccountId,
    },
    /// Asks the device that made a code to add the device of this connection. Answer: [`CoordReply::Done`]; when the
    /// log has grown by it, the device is in.
    AskToJoin {
        /// From the code.
        token: CodeToken,
        /// This device agrees to be the next entry of the log as it is now.
        consent: Signature,
        /// Made with the code's secret; checked by the device that made the code.
        code_proof: CodeProof,
        /// What the device is to be called.
        name: DeviceName,
    },
    /// Makes an entry part of an account's device log. The entry carries its own authority; the device of this
    /// connection is in the log before it or with it. Answer: [`CoordReply::Done`].
    ExtendLog {
        /// Whose log.
        account: AccountId,
        /// The next entry.
        entry: SignedEntry,
        /// What a device that it adds is to be called.
        name: DeviceName,
    },
    /// Calls a device of this account something else. Answer: [`CoordReply::Done`].
    RenameDevice {
        /// Which.
        device: DeviceKey,
        /// Its new name.
        name: DeviceName,
    },
    /// Tells the other devices of this account whom this device has taken as a contact. Answer:
    /// [`CoordReply::Done`].
    VouchForContact {
        /// Its word.
        vouch: Vouch,
    },
    /// Says how this account stands to a contact; the contact is not told. Answer: [`CoordReply::Done`].
    MarkContact {
        /// The contact.
        contact: AccountId,
        /// What to say.
        mark: Mark,
        /// Whether it holds.
        on: bool,
    },
    /// Ends a contact on both sides. Answer: [`CoordReply::Done`].
    RemoveContact {
        /// The contact.
        contact: AccountId,
    },
    /// Complains to the operator about a contact, who is not told. Answer: [`CoordReply::Done`].
    Report {
        /// The contact.
        contact: AccountId,
        /// What kind of complaint.
        reason: ReportReason,
        /// The reporter's own words, and what else the reporter chooses to disclose. The operator sees nothing more.
        words: Text<REPORT_BYTES_MAX>,
    },
    /// Keeps this account out of Jams, or lets it in again. Answer: [`CoordReply::Done`].
    OptOut {
        /// Whether it stays out.
        out: bool,
    },
    /// A part of all that the coordinator holds about this account. Answer: [`CoordReply::Exported`].
    Export {
        /// From which byte on.
        from: u32,
    },
    /// Deletes this account and all that is held about it. Answer: [`CoordReply::Done`].
    DeleteAccount {
        /// The account's own name, so that nothing is deleted by mistake.
        handle: Handle,
    },
}

/// How an account stands to a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// Nothing passes between the two, in either direction.
    Blocked,
    /// Requests of the contact do not ring.
    Muted,
}

/// What a complaint is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportReason {
    /// Requests or messages that nobody wanted.
    Spam,
    /// Insults, threats, pestering.
    Harassment,
    /// Somebody pretends to be somebody else.
    Impersonation,
    /// What the words say.
    Other,
}

/// The answer to a Jam request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The Jam begins, and who accepts becomes its host.
    Accept,
    /// No Jam.
    Decline,
}

/// What a coordinator answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoordReply {
    /// The request was refused, for the reason given.
    Refused(Refusal),
    /// It is done; nothing to tell.
    Done,
    /// To [`CoordRequest::Hello`].
    Welcome {
        /// What the coordinator can do.
        features: Features,
        /// The coordinator's calendar.
        now: UtcTime,
        /// The address from which this connection arrives.
        observed: SocketAddr,
        /// Whether the device of this connection belongs to an account.
        signed_up: bool,
    },
    /// The account of this device.
    Me(Me),
    /// A friend link is registered under this token.
    FriendLink {
        /// For the link.
        token: LinkToken,
        /// When it can no longer be accepted.
        expires: UtcTime,
    },
    /// A contact.
    Contact(Contact),
    /// Some of the contacts.
    Contacts {
        /// In the order of their handles.
        contacts: List<Contact, CONTACTS_PER_REPLY_MAX>,
        /// Whether more follow after the last of these.
        more: bool,
    },
    /// The contact has been asked.
    Requested {
        /// The request.
        request: RequestId,
        /// When it expires unless it is answered.
        expires: UtcTime,
    },
    /// To [`CoordRequest::Candidates`]: the address from which this connection arrives now.
    Observed(SocketAddr),
    /// The devices of this account, in the order in which they were added.
    Devices(List<Device, DEVICES_MAX>),
    /// A device code is registered under this token.
    DeviceCode {
        /// For the code.
        token: CodeToken,
        /// When it no longer admits.
        expires: UtcTime,
    },
    /// The device log that was asked for.
    Log(DeviceLog),
    /// To [`CoordRequest::Export`].
    Exported {
        /// The bytes from the one that was asked for.
        part: List<u8, EXPORT_PART_BYTES_MAX>,
        /// How many there are in all.
        total: u32,
        /// The BLAKE3 hash of all: where it differs from that of the part before, something has changed, and the
        /// export begins anew.
        hash: [u8; 32],
    },
}

/// An account as its own devices see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// The account.
    pub account: AccountId,
    /// Its name.
    pub handle: Handle,
    /// Its tier.
    pub tier: Tier,
    /// Its device log as the coordinator has it.
    pub log: DeviceLog,
    /// Its open Jam requests, oldest first.
    pub requests: List<OpenRequest, OPEN_REQUESTS_MAX>,
    /// Whether it stays out of Jams, because its holder said so.
    pub opted_out: bool,
}

/// A device as the coordinator knows it. That it is one, the log says; its name is the coordinator's word alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its key.
    pub device: DeviceKey,
    /// What its holder calls it.
    pub name: DeviceName,
    /// Since when it is in.
    pub added: UtcTime,
    /// Whether it is connected now.
    pub online: bool,
}

/// A Jam request that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRequest {
    /// Which.
    pub request: RequestId,
    /// The other account's name.
    pub friend: Handle,
    /// The other account.
    pub account: AccountId,
    /// Whether the friend asked, or this account.
    pub incoming: bool,
    /// When it expires.
    pub expires: UtcTime,
}

/// An account with which this one may make Jams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Its name at the coordinator.
    pub handle: Handle,
    /// The account.
    pub account: AccountId,
    /// Its device log; hold it against the pin.
    pub log: DeviceLog,
    /// Whether one of its devices is connected now.
    pub online: bool,
    /// Where this account created the link: what to check before the contact is believed.
    pub accepted: Option<AcceptedLink>,
    /// What a device of this account said to the others about the contact.
    pub vouch: Option<Box<Vouch>>,
    /// Whether this account has blocked the contact.
    pub blocked: bool,
    /// Whether this account has muted the contact.
    pub muted: bool,
}

/// A friend link that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedLink {
    /// Which of the creator's links.
    pub token: LinkToken,
    /// The accepter's proof that it had the link.
    pub proof: LinkProof,
}

/// An event behind its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberedEvent {
    /// One more than the event before it; a gap means that old events were dropped, and the node asks
    /// [`CoordRequest::WhoAmI`] and [`CoordRequest::Contacts`] anew.
    pub number: EventNumber,
    /// What happened.
    pub event: CoordEvent,
}

/// What a coordinator tells unasked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoordEvent {
    /// Somebody became a contact.
    ContactAdded(Contact),
    /// A contact asks for a Jam.
    JamRequested(OpenRequest),
    /// Who asked took it back.
    RequestCancelled {
        /// Which.
        request: RequestId,
    },
    /// Who was asked said no.
    RequestDeclined {
        /// Which.
        request: RequestId,
    },
    /// Nobody answered in time.
    RequestExpired {
        /// Which.
        request: RequestId,
    },
    /// It was answered or taken back on another device of this account, or accepted by a friend whom another device
    /// of this account had asked.
    RequestAnswered {
        /// Which.
        request: RequestId,
        /// How it ended.
        end: RequestEnd,
    },
    /// A Jam may begin.
    JamGranted {
        /// The request that was accepted.
        request: RequestId,
        /// The permission; verify it before anything else.
        grant: SignedGrant,
        /// How to meet the peer.
        introduction: Introduction,
    },
    /// More ways to reach a peer of a granted Jam.
    PeerCandidates {
        /// The Jam.
        jam: JamId,
        /// The peer.
        peer: DeviceKey,
        /// All addresses known now, observed one first.
        candidates: List<SocketAddr, { CANDIDATES_MAX + 1 }>,
    },
    /// The other account left the Jam.
    JamEnded {
        /// The Jam.
        jam: JamId,
        /// Who left.
        by: AccountId,
    },
    /// A device that was given a code of this device asks to be added.
    DeviceAsks {
        /// Which code.
        token: CodeToken,
        /// The device.
        device: DeviceKey,
        /// It agrees to be the next entry of the log as it was then.
        consent: Signature,
        /// To be checked with the code's secret before anything else.
        code_proof: CodeProof,
        /// What it is to be called.
        name: DeviceName,
    },
    /// The device log of this account or of a contact has one entry more.
    DeviceLogGrew {
        /// Whose log.
        account: AccountId,
        /// The entry behind those that were there before.
        entry: SignedEntry,
    },
    /// Something about a contact is otherwise now; this is how it stands.
    ContactChanged(Contact),
    /// A contact is none any more, by the doing of either side.
    ContactRemoved {
        /// Which.
        account: AccountId,
    },
}

/// How to meet the peer of a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// The key that the peer shows; it stands in the grant too.
    pub peer: DeviceKey,
    /// Where the peer may be reached, the address that the coordinator sees first.
    pub candidates: List<SocketAddr, { CANDIDATES_MAX + 1 }>,
    /// What this device does. Dialling from both sides would make two connections.
    pub role: Role,
}

/// One side of a peer connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Connects, as TLS client.
    Dialer,
    /// Waits, as TLS server.
    Listener,
}

#[cfg(test)]
mod tests;
