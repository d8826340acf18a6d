//! What is kept, row by row, as the rules see it.

use jamsync_protocol::{
    conversation::{ConversationId, Epoch, Members},
    id::{AccountId, DeviceKey, Handle, JamId},
    identity::{CodeToken, DeviceLog, LinkToken, Market, Tier, Vouch},
    text::Text,
    time::UtcTime,
    wire::coord::{
        AcceptedLink, ConversationEntry, DeviceName, REPORT_BYTES_MAX, ReportReason, RequestEnd, RequestId,
        Sequence,
    },
};

use crate::eligibility::AgeRecord;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its name.
    pub handle: Handle,
    /// Its tier.
    pub tier: Tier,
    /// What is kept for the age rule.
    pub age: AgeRecord,
    /// Where its holder lives.
    pub market: Market,
    /// When it was made.
    pub created: UtcTime,
    /// Its device log.
    pub log: DeviceLog,
    /// Whether its holder wants to be kept out of Jams.
    pub opted_out: bool,
}

/// A device that speaks for an account, or did until it was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its key.
    pub key: DeviceKey,
    /// For which account.
    pub account: AccountId,
    /// What its holder calls it.
    pub name: DeviceName,
    /// Since when.
    pub added: UtcTime,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// What admits one further device to an account, by the hand of the device that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceCode {
    /// Its public name.
    pub token: CodeToken,
    /// The account.
    pub account: AccountId,
    /// Which device made it and holds its secret.
    pub maker: DeviceKey,
    /// When it ends.
    pub expires: UtcTime,
    /// How often it was asked with.
    pub asks: u32,
}

/// What permits sign-ups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinPermit {
    /// The fingerprint of the join code's secret.
    pub fingerprint: [u8; 32],
    /// How many may still sign up with it.
    pub uses_left: u32,
    /// When it ends.
    pub expires: UtcTime,
}

/// A friend link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its public name.
    pub token: LinkToken,
    /// Who made it.
    pub creator: AccountId,
    /// When it ends.
    pub expires: UtcTime,
    /// Who accepted it.
    pub accepter: Option<AccountId>,
}

/// One direction of a contact: `of` has `with` among its contacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactRow {
    /// Whose contact it is.
    pub of: AccountId,
    /// Who the contact is.
    pub with: AccountId,
    /// Where `of` made the link that `with` accepted: the proof for `of` to check.
    pub accepted: Option<AcceptedLink>,
    /// What a device of `of` told the others.
    pub vouch: Option<Vouch>,
    /// Whether `of` has blocked `with`.
    pub blocked: bool,
    /// Whether `of` has muted `with`.
    pub muted: bool,
    /// Whether the contact has ended; kept for as long as `of` may still complain of it, and for a block, which outlives it.
    pub removed: bool,
    /// Since when it is a contact, or has ended.
    pub since: UtcTime,
}

/// A complaint about a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its number, from 1; zero for one that has none yet.
    pub number: i64,
    /// Who complains; none once that account is gone.
    pub by: Option<AccountId>,
    /// About whom; none once that account is gone.
    pub about: Option<AccountId>,
    /// What kind of complaint.
    pub reason: ReportReason,
    /// What the reporter says and discloses.
    pub words: Text<REPORT_BYTES_MAX>,
    /// When.
    pub at: UtcTime,
}

/// A Jam request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JamRequest {
    /// Which.
    pub id: RequestId,
    /// Who asked.
    pub from: AccountId,
    /// With which device.
    pub from_device: DeviceKey,
    /// Who was asked.
    pub to: AccountId,
    /// When.
    pub created: UtcTime,
    /// When it expires.
    pub expires: UtcTime,
    /// How it ended, unless it is open.
    pub end: Option<RequestEnd>,
}

/// A Jam that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jam {
    /// Which.
    pub id: JamId,
    /// Accounts and devices in the order of the grant.
    pub participants: Vec<(AccountId, DeviceKey)>,
    /// When the grant ends.
    pub expires: UtcTime,
    /// Whether somebody left.
    pub ended: bool,
}

/// A conversation, of which the coordinator keeps the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Which.
    pub id: ConversationId,
    /// Who is in it.
    pub members: Members,
    /// Its epoch.
    pub epoch: Epoch,
    /// The newest entry of its log.
    pub newest: Sequence,
    /// The newest entry of which the content is not kept any more.
    pub forgotten: Sequence,
}

/// How far a device is in the log of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogCursor {
    /// Which device.
    pub device: DeviceKey,
    /// For which account it speaks.
    pub account: AccountId,
    /// The newest entry that it has dealt with.
    pub upto: Sequence,
}

/// An entry of a conversation's log, with the device that brought it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// Which conversation.
    pub conversation: ConversationId,
    /// Which device.
    pub device: DeviceKey,
    /// What is passed on.
    pub entry: ConversationEntry,
}

/// The latest times that rows can have where the calendar was never set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latest {
    /// When something was done.
    pub done: UtcTime,
    /// When an open request expires.
    pub request: UtcTime,
    /// When a friend link ends.
    pub link: UtcTime,
    /// When a device code ends.
    pub code: UtcTime,
}
