//! What a node asks of its coordinator.

use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    ActivityCall, CANDIDATES_MAX, Commit, DeviceName, EventNumber, Features, GroupWelcome, KeyPackage,
    REPORT_BYTES_MAX, RequestId, Sealed, Sequence,
};
use crate::{
    conversation::{ConversationId, Epoch, KEY_PACKAGES_PER_CALL_MAX, Members, PostId},
    id::{AccountId, DeviceKey, Handle, JamId},
    identity::{
        device_code::{CodeProof, CodeToken},
        device_log::{DeviceLog, SignedEntry},
        friend_link::{LinkProof, LinkToken},
        join_code::JoinSecret,
        keys::Signature,
        person::{Date, Market},
        vouch::Vouch,
    },
    text::{List, Text},
};

/// What a node asks of its coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoordRequest {
    /// The first request of every connection. Answer: `CoordReply::Welcome`.
    Hello {
        /// What the node can do.
        features: Features,
        /// Program and version, for the operator's log.
        program: Text<64>,
    },
    /// Makes an account for the device of this connection. Answer: `CoordReply::Me`.
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
    /// The account of this device and its open requests. Answer: `CoordReply::Me`.
    WhoAmI,
    /// Tells the birth date again, after `Refusal::AgeUnknown`. Answer: `CoordReply::Done`.
    ConfirmAge {
        /// For the age rule; not kept where the minimum age is met.
        birth_date: Date,
    },
    /// Registers a friend link. Answer: `CoordReply::FriendLink`.
    CreateFriendLink,
    /// Becomes a contact of a link's creator. Answer: `CoordReply::Contact`, whose account the node must
    /// hold against the one in the link.
    AcceptFriendLink {
        /// From the link.
        token: LinkToken,
        /// Made with the link's secret; checked by the creator's node.
        proof: LinkProof,
    },
    /// The contacts in the order of their handles. Answer: `CoordReply::Contacts`.
    Contacts {
        /// Only those after this handle.
        after: Option<Handle>,
    },
    /// Asks a contact for a Jam. Answer: `CoordReply::Requested`.
    RequestJam {
        /// The contact.
        to: Handle,
    },
    /// Takes a request back. Answer: `CoordReply::Done`.
    CancelRequest {
        /// Which.
        request: RequestId,
    },
    /// Answers a request that was received. Answer: `CoordReply::Done`; after an acceptance both sides
    /// get `CoordEvent::JamGranted`.
    AnswerRequest {
        /// Which.
        request: RequestId,
        /// Yes or no.
        answer: Answer,
    },
    /// The addresses at which this device may be reached, in place of those told before. They are passed to
    /// the peers of Jams granted to this device. Answer: `CoordReply::Observed`.
    Candidates {
        /// All that are known now; the coordinator adds the one it sees.
        addresses: List<SocketAddr, CANDIDATES_MAX>,
    },
    /// Leaves a Jam, which ends the coordinator's part in it. Answer: `CoordReply::Done`.
    EndJam {
        /// Which.
        jam: JamId,
    },
    /// Turns this stream into the event stream of this device.
    Events {
        /// The last event that the node has dealt with; zero for all that are kept.
        after: EventNumber,
    },
    /// The devices of this account. Answer: `CoordReply::Devices`.
    Devices,
    /// Registers a device code. Answer: `CoordReply::DeviceCode`.
    MakeDeviceCode,
    /// The device log of an account. Whoever knows the id may ask: a device that wants to join has no account yet.
    /// Answer: `CoordReply::Log`.
    LookUpLog {
        /// From a device code or a recovery code.
        account: AccountId,
    },
    /// Asks the device that made a code to add the device of this connection. Answer: `CoordReply::Done`; when the
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
    /// connection is in the log before it or with it. Answer: `CoordReply::Done`.
    ExtendLog {
        /// Whose log.
        account: AccountId,
        /// The next entry.
        entry: SignedEntry,
        /// What a device that it adds is to be called.
        name: DeviceName,
    },
    /// Calls a device of this account something else. Answer: `CoordReply::Done`.
    RenameDevice {
        /// Which.
        device: DeviceKey,
        /// Its new name.
        name: DeviceName,
    },
    /// Tells the other devices of this account whom this device has taken as a contact. Answer:
    /// `CoordReply::Done`.
    VouchForContact {
        /// Its word.
        vouch: Vouch,
    },
    /// Says how this account stands to a contact; the contact is not told. Answer: `CoordReply::Done`.
    MarkContact {
        /// The contact.
        contact: AccountId,
        /// What to say.
        mark: Mark,
        /// Whether it holds.
        on: bool,
    },
    /// Ends a contact on both sides. Answer: `CoordReply::Done`.
    RemoveContact {
        /// The contact.
        contact: AccountId,
    },
    /// Complains to the operator about a contact, who is not told. Answer: `CoordReply::Done`.
    Report {
        /// The contact.
        contact: AccountId,
        /// What kind of complaint.
        reason: ReportReason,
        /// The reporter's own words, and what else the reporter chooses to disclose. The operator sees nothing more.
        words: Text<REPORT_BYTES_MAX>,
    },
    /// Keeps this account out of Jams, or lets it in again. Answer: `CoordReply::Done`.
    OptOut {
        /// Whether it stays out.
        out: bool,
    },
    /// A part of all that the coordinator holds about this account. Answer: `CoordReply::Exported`.
    Export {
        /// From which byte on.
        from: u32,
    },
    /// Deletes this account and all that is held about it. Answer: `CoordReply::Done`.
    DeleteAccount {
        /// The account's own name, so that nothing is deleted by mistake.
        handle: Handle,
    },
    /// Keeps key packages of this device, each to be handed out once. Answer: `CoordReply::KeyPackages`.
    PublishKeyPackages {
        /// The packages.
        packages: List<KeyPackage, KEY_PACKAGES_PER_CALL_MAX>,
        /// The one to hand out, again and again, where no other is left; takes the place of the one before.
        last_resort: Option<KeyPackage>,
        /// Whether those published before are of no use any more.
        anew: bool,
    },
    /// A key package of each of these devices, of this account or of contacts. Answer: `CoordReply::TakenPackages`.
    TakeKeyPackages {
        /// Which devices.
        devices: List<DeviceKey, KEY_PACKAGES_PER_CALL_MAX>,
    },
    /// Begins a conversation, or begins it anew, unless it has been begun this often already. Answer:
    /// `CoordReply::Placed`.
    BeginConversation {
        /// Who is in it, this account included.
        members: Members,
        /// How often it has then been begun.
        generation: u32,
        /// For every other device in it.
        welcome: GroupWelcome,
    },
    /// Changes the devices or keys of a conversation, unless another change was faster. Answer: `CoordReply::Placed`.
    ChangeConversation {
        /// Which.
        conversation: ConversationId,
        /// The epoch that it ends.
        epoch: Epoch,
        /// The change.
        commit: Commit,
        /// For the devices that it adds.
        welcome: Option<GroupWelcome>,
    },
    /// Says something in a conversation, once: a repetition under the same name is answered as the first was. Answer:
    /// `CoordReply::Placed`.
    Post {
        /// Where.
        conversation: ConversationId,
        /// The epoch for which it is sealed.
        epoch: Epoch,
        /// Its name.
        id: PostId,
        /// What is said.
        sealed: Sealed,
    },
    /// A part of a conversation's log. Answer: `CoordReply::Entries`.
    ConversationLog {
        /// Which.
        conversation: ConversationId,
        /// Only what comes after this entry.
        after: Sequence,
    },
    /// All entries of a log up to this one are dealt with and kept. Answer: `CoordReply::Conversation`.
    AcknowledgeLog {
        /// Of which conversation.
        conversation: ConversationId,
        /// The newest that is dealt with.
        upto: Sequence,
    },
    /// The conversations of this account in the order of their names. Answer: `CoordReply::Conversations`.
    Conversations {
        /// Only those after this one.
        after: Option<ConversationId>,
    },
    /// Something about listening activity. Answer: as each call says.
    Activity(ActivityCall),
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
