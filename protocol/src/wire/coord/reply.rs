//! What a coordinator answers.

use alloc::boxed::Box;
use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    CONTACTS_PER_REPLY_MAX, CONVERSATIONS_PER_REPLY_MAX, ConversationEntry, ConversationState, DEVICES_MAX,
    DeviceName, ENTRIES_PER_REPLY_MAX, EXPORT_PART_BYTES_MAX, Features, OPEN_REQUESTS_MAX, Refusal,
    RequestId, SealedCover, Sequence, TakenPackage,
};
use crate::{
    activity::SlotGeneration,
    conversation::KEY_PACKAGES_PER_CALL_MAX,
    id::{AccountId, DeviceKey, Handle},
    identity::{
        device_code::CodeToken,
        device_log::DeviceLog,
        friend_link::{LinkProof, LinkToken},
        grant::Tier,
        vouch::Vouch,
    },
    text::List,
    time::UtcTime,
};

/// What a coordinator answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CoordReply {
    /// The request was refused, for the reason given.
    Refused(Refusal),
    /// It is done; nothing to tell.
    Done,
    /// To `CoordRequest::Hello`.
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
    /// To `CoordRequest::Candidates`: the address from which this connection arrives now.
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
    /// To `CoordRequest::Export`.
    Exported {
        /// The bytes from the one that was asked for.
        part: List<u8, EXPORT_PART_BYTES_MAX>,
        /// How many there are in all.
        total: u32,
        /// The BLAKE3 hash of all: where it differs from that of the part before, something has changed, and the
        /// export begins anew.
        hash: [u8; 32],
    },
    /// How many key packages of this device are left to be handed out, beside the last resort.
    KeyPackages {
        /// How many.
        left: u16,
    },
    /// Of each device that was asked for and has any, one package.
    TakenPackages(List<TakenPackage, KEY_PACKAGES_PER_CALL_MAX>),
    /// It stands in the conversation's log.
    Placed {
        /// Where.
        sequence: Sequence,
        /// When the coordinator took it.
        at: UtcTime,
    },
    /// To `CoordRequest::ConversationLog`, as many as the frame holds.
    Entries {
        /// In the order of the log. A gap before the first means that what stood there is not kept any more.
        entries: List<ConversationEntry, ENTRIES_PER_REPLY_MAX>,
        /// The newest of the log.
        newest: Sequence,
    },
    /// How a conversation stands.
    Conversation(ConversationState),
    /// To `CoordRequest::Conversations`.
    Conversations {
        /// In the order of their names.
        conversations: List<ConversationState, CONVERSATIONS_PER_REPLY_MAX>,
        /// Whether more follow after the last of these.
        more: bool,
        /// How many key packages of this device are left.
        key_packages: u16,
    },
    /// This device holds the activity of the account.
    ActivityHeld {
        /// As how manieth device.
        generation: SlotGeneration,
    },
    /// To `ActivityCall::FetchCover`.
    Cover {
        /// The cover.
        sealed: SealedCover,
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
