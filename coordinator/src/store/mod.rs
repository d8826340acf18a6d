//! What the coordinator keeps: the rows, the durable verbs over them, and the seam behind which a database
//! stands.
//!
//! A rule sees the rows through [`View`] and changes them through [`Tables`], inside one transaction. A
//! [`Store`] runs transactions; when a write has returned, it is on disk. No rule may assume that it is the only
//! process: what it needs to know it reads in its transaction.

use std::{future::Future, io, net::SocketAddr, ops::RangeInclusive};

use jamsync_protocol::{
    conversation::{ConversationId, PostId},
    id::{AccountId, DeviceKey, Handle, JamId},
    identity::{CodeToken, DeviceLog, LinkToken, SignedGrant, Tier},
    time::{Span, UtcTime},
    wire::coord::{
        ConversationEntry, CoordEvent, CoordReply, DeviceName, EventNumber, IdempotencyKey, KeyPackage,
        NumberedEvent, RequestEnd, RequestId, Sequence,
    },
};

use crate::eligibility::AgeRecord;

pub(crate) mod archive;
#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod fixture;
mod kept;
#[cfg(test)]
mod memory;
mod rows;
mod schema;
mod sqlite;
mod writer;

pub use kept::{
    Account, ContactRow, Conversation, Device, DeviceCode, Jam, JamRequest, JoinPermit, Latest, Link,
    LogCursor, LogRow, Report,
};
pub use sqlite::SqliteStore;

/// A database of rows. Cheap to clone.
pub trait Store: Clone + Send + Sync + 'static {
    /// Runs `change` in a transaction. When this returns `Ok`, the change is synced to disk; on any error, of the
    /// database or of `change`'s own kind, nothing of it remains.
    ///
    /// # Errors
    /// What `change` returned, or [`StoreError`] of the database.
    fn write<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        change: impl FnOnce(&mut dyn Tables) -> Result<T, E> + Send + 'static,
    ) -> impl Future<Output = Result<T, E>> + Send;

    /// Runs `look` on a snapshot of what is durable.
    ///
    /// # Errors
    /// What `look` returned, or [`StoreError`] of the database.
    fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&dyn View) -> Result<T, StoreError> + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send;

    /// Whether the last change that was to be made durable was.
    fn is_writable(&self) -> bool;

    /// Whether another process has changed the rows since this was asked last; what this one changes does not count. Now and
    /// then it says so where nothing has changed.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    fn changed_by_others(&self) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// Why the store could not do it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database said no: the file is damaged, the folder gone.
    #[error("the database failed: {0}")]
    Database(String),
    /// The disk has no room. Nothing that was acknowledged is lost, and writes work again once there is room.
    #[error("the disk is full; make room where the data folder is")]
    Full,
    /// A row does not hold what this program wrote.
    #[error("the database holds an unreadable {0}")]
    Corrupt(&'static str),
    /// More writes are waiting than can be done soon.
    #[error("too many writes are waiting")]
    Busy,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// The database was written by a newer version.
    #[error("the database has version {actual}, this program knows up to {known}")]
    Newer {
        /// The version found.
        actual: i64,
        /// The newest version known.
        known: i64,
    },
}

/// What a transaction can look at.
#[expect(clippy::missing_errors_doc, reason = "every verb fails alike: `StoreError` says how")]
pub trait View {
    /// An account by its id.
    fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError>;
    /// An account by its name.
    fn account_by_handle(&self, handle: &Handle) -> Result<Option<Account>, StoreError>;
    /// The account that a device speaks for; none for one that was revoked.
    fn account_by_device(&self, device: DeviceKey) -> Result<Option<Account>, StoreError>;
    /// A device, also one that was revoked.
    fn device(&self, key: DeviceKey) -> Result<Option<Device>, StoreError>;
    /// The devices that speak for an account, in the order in which they were added.
    fn devices_of(&self, account: AccountId) -> Result<Vec<Device>, StoreError>;
    /// A device code.
    fn device_code(&self, token: CodeToken) -> Result<Option<DeviceCode>, StoreError>;
    /// When the device codes of an account end, those that end after `after` alone, the earliest first.
    fn code_ends(&self, account: AccountId, after: UtcTime) -> Result<Vec<UtcTime>, StoreError>;
    /// All accounts in the order of their names, at most `limit` after `after`.
    fn accounts_after(&self, after: Option<&Handle>, limit: u32) -> Result<Vec<Account>, StoreError>;
    /// What is kept for the age rule of those whose birth date is kept, the oldest people first, at most `limit`. A date that
    /// cannot be read is left out.
    fn birth_dates(&self, limit: u32) -> Result<Vec<(AccountId, AgeRecord)>, StoreError>;
    /// A join permit by its fingerprint.
    fn join_permit(&self, fingerprint: [u8; 32]) -> Result<Option<JoinPermit>, StoreError>;
    /// A friend link.
    fn link(&self, token: LinkToken) -> Result<Option<Link>, StoreError>;
    /// How long the links that `creator` made are valid, those that end after `after` alone, the earliest first.
    fn link_ends(&self, creator: AccountId, after: UtcTime) -> Result<Vec<UtcTime>, StoreError>;
    /// The contact `with` of `of`, also one that has ended.
    fn contact(&self, of: AccountId, with: AccountId) -> Result<Option<ContactRow>, StoreError>;
    /// Contacts of `of` in the order of their names, at most `limit` after `after`. One whose device log cannot be read has an
    /// empty one.
    fn contacts_after(
        &self,
        of: AccountId,
        after: Option<&Handle>,
        limit: u32,
    ) -> Result<Vec<(ContactRow, Account)>, StoreError>;
    /// Since when `of` has the contacts that it made after `after` and that have not ended, the earliest first.
    fn contacts_since(&self, of: AccountId, after: UtcTime) -> Result<Vec<UtcTime>, StoreError>;
    /// Complaints after `after` in the order in which they came, at most `limit`.
    fn reports_after(&self, after: i64, limit: u32) -> Result<Vec<Report>, StoreError>;
    /// When `by` complained after `after`, the earliest first.
    fn reports_made(&self, by: AccountId, after: UtcTime) -> Result<Vec<UtcTime>, StoreError>;
    /// All who have `of` among their contacts, in the order of their ids.
    fn contacts_with(&self, of: AccountId) -> Result<Vec<AccountId>, StoreError>;
    /// A Jam request.
    fn request(&self, id: RequestId) -> Result<Option<JamRequest>, StoreError>;
    /// The request between two accounts, in either direction, that is not ended.
    fn request_between(&self, a: AccountId, b: AccountId) -> Result<Option<JamRequest>, StoreError>;
    /// When `from` asked `to` since `since`, oldest first.
    fn requests_made(
        &self,
        from: AccountId,
        to: AccountId,
        since: UtcTime,
    ) -> Result<Vec<UtcTime>, StoreError>;
    /// The requests of an account, made or received, that are not ended, oldest first, at most `limit`.
    fn requests_of(&self, account: AccountId, limit: u32) -> Result<Vec<JamRequest>, StoreError>;
    /// Requests that are not ended though their time was over at `now`, those over longest first, at most `limit`.
    fn requests_overdue(&self, now: UtcTime, limit: u32) -> Result<Vec<JamRequest>, StoreError>;
    /// When the next request that is not ended expires.
    fn next_expiry(&self) -> Result<Option<UtcTime>, StoreError>;
    /// A Jam.
    fn jam(&self, id: JamId) -> Result<Option<Jam>, StoreError>;
    /// The Jams of a device whose grant has not ended and which nobody left, in the order of their ids.
    fn jams_of(&self, device: DeviceKey, now: UtcTime) -> Result<Vec<Jam>, StoreError>;
    /// The number of the newest event that a device was given, dropped or not; zero before the first, none for a device that
    /// is not known.
    fn newest_event(&self, device: DeviceKey) -> Result<Option<EventNumber>, StoreError>;
    /// Events of a device after `after`, at most `limit`.
    fn events_after(
        &self,
        device: DeviceKey,
        after: EventNumber,
        limit: u32,
    ) -> Result<Vec<NumberedEvent>, StoreError>;
    /// The reply to a write that was done under this key, with the digest of what was asked.
    fn receipt(
        &self,
        device: DeviceKey,
        key: IdempotencyKey,
    ) -> Result<Option<([u8; 32], CoordReply)>, StoreError>;
    /// A conversation.
    fn conversation(&self, id: ConversationId) -> Result<Option<Conversation>, StoreError>;
    /// The conversations of an account in the order of their names, at most `limit` after `after`.
    fn conversations_after(
        &self,
        account: AccountId,
        after: Option<ConversationId>,
        limit: u32,
    ) -> Result<Vec<Conversation>, StoreError>;
    /// How far each device of a conversation is, in the order of their keys.
    fn log_cursors(&self, conversation: ConversationId) -> Result<Vec<LogCursor>, StoreError>;
    /// Entries of a conversation's log after `after` whose content is kept, in order, at most `limit`.
    fn log_after(
        &self,
        conversation: ConversationId,
        after: Sequence,
        limit: u32,
    ) -> Result<Vec<ConversationEntry>, StoreError>;
    /// Where and when something was said under this name.
    fn posted(
        &self,
        conversation: ConversationId,
        post: PostId,
    ) -> Result<Option<(Sequence, UtcTime)>, StoreError>;
    /// How many key packages of a device are left, the last resort not counted.
    fn key_packages_left(&self, device: DeviceKey) -> Result<u32, StoreError>;
    /// The key package of a device that is handed out again and again.
    fn last_resort(&self, device: DeviceKey) -> Result<Option<KeyPackage>, StoreError>;
    /// Writes every row about an account to `out`, as JSON by table, a row at a time, so that nobody has to hold all of it.
    /// Receipts are only counted. What others have said about the account is theirs, and left out.
    fn held_about(&self, account: AccountId, out: &mut dyn io::Write) -> Result<(), StoreError>;
    /// How many statements this transaction has run so far. What an answer keeps to itself must not show in how long it takes,
    /// so answers that are to look alike run equally many.
    fn statements(&self) -> u32;
    /// The addresses at which the operator says that the coordinator can be reached.
    fn public_addresses(&self) -> Result<Vec<String>, StoreError>;
}

/// What a transaction can change. To add what is there already, or to change what is not there, is an error, after which
/// the transaction is to be taken back; to drop what is not there does nothing.
#[expect(clippy::missing_errors_doc, reason = "every verb fails alike: `StoreError` says how")]
pub trait Tables: View {
    /// Adds an account and its devices.
    fn insert_account(&mut self, account: &Account) -> Result<(), StoreError>;
    /// Sets the tier of an account.
    fn set_tier(&mut self, id: AccountId, tier: Tier) -> Result<(), StoreError>;
    /// Sets what is kept for the age rule.
    fn set_age(&mut self, id: AccountId, age: AgeRecord) -> Result<(), StoreError>;
    /// Replaces the device log of an account.
    fn set_log(&mut self, id: AccountId, log: &DeviceLog) -> Result<(), StoreError>;
    /// Adds a device.
    fn insert_device(&mut self, device: &Device) -> Result<(), StoreError>;
    /// Calls a device something else.
    fn rename_device(&mut self, key: DeviceKey, name: &DeviceName) -> Result<(), StoreError>;
    /// Notes that a device speaks for nobody any more, and drops what waits for it, its places in logs, and its key
    /// packages.
    fn revoke_device(&mut self, key: DeviceKey) -> Result<(), StoreError>;
    /// Adds a device code, or replaces it.
    fn put_device_code(&mut self, code: DeviceCode) -> Result<(), StoreError>;
    /// Adds or replaces a join permit.
    fn put_join_permit(&mut self, permit: JoinPermit) -> Result<(), StoreError>;
    /// Adds a friend link.
    fn insert_link(&mut self, link: Link) -> Result<(), StoreError>;
    /// Notes who accepted a link.
    fn close_link(&mut self, token: LinkToken, accepter: AccountId) -> Result<(), StoreError>;
    /// Removes an account with every row that is about it alone, and the events that wait for others and name it or its
    /// devices, but for those that say no more than that it is gone; takes its name out of the rest.
    fn erase_account(&mut self, id: AccountId) -> Result<(), StoreError>;
    /// Keeps an account out of Jams, or lets it in again.
    fn set_opted_out(&mut self, id: AccountId, out: bool) -> Result<(), StoreError>;
    /// Adds a complaint.
    fn insert_report(&mut self, report: &Report) -> Result<(), StoreError>;
    /// Drops a complaint that has been dealt with, and says whether there was one.
    fn drop_report(&mut self, number: i64) -> Result<bool, StoreError>;
    /// Adds one direction of a contact, or replaces it.
    fn put_contact(&mut self, contact: &ContactRow) -> Result<(), StoreError>;
    /// Drops one direction of a contact.
    fn drop_contact(&mut self, of: AccountId, with: AccountId) -> Result<(), StoreError>;
    /// Adds an open request.
    fn insert_request(&mut self, request: JamRequest) -> Result<(), StoreError>;
    /// Ends a request.
    fn end_request(&mut self, id: RequestId, end: RequestEnd) -> Result<(), StoreError>;
    /// Adds a Jam with its grant.
    fn insert_jam(&mut self, jam: &Jam, grant: &SignedGrant) -> Result<(), StoreError>;
    /// Notes that somebody left a Jam.
    fn end_jam(&mut self, id: JamId) -> Result<(), StoreError>;
    /// Appends an event for a device, drops what is older than the newest [`EVENTS_KEPT_MAX`], and returns the event's
    /// number.
    fn push_event(&mut self, device: DeviceKey, event: &CoordEvent) -> Result<EventNumber, StoreError>;
    /// Moves the events that a device is kept, and the numbers of those to come, above `seen`, which must be above all of
    /// them and leaves a gap.
    fn lift_events(&mut self, device: DeviceKey, seen: EventNumber) -> Result<(), StoreError>;
    /// Drops the events of a device up to `upto`.
    fn drop_events(&mut self, device: DeviceKey, upto: EventNumber) -> Result<(), StoreError>;
    /// Adds a conversation, or replaces what is known of it; who is in it stays.
    fn put_conversation(&mut self, conversation: &Conversation) -> Result<(), StoreError>;
    /// Notes how far a device is in the log of a conversation.
    fn put_log_cursor(
        &mut self,
        conversation: ConversationId,
        device: DeviceKey,
        upto: Sequence,
    ) -> Result<(), StoreError>;
    /// Adds an entry to a conversation's log.
    fn insert_log_row(&mut self, row: &LogRow) -> Result<(), StoreError>;
    /// Drops the content of the entries of a log up to `upto`; their names are still known.
    fn forget_log(&mut self, conversation: ConversationId, upto: Sequence) -> Result<(), StoreError>;
    /// Adds a key package of a device behind the others.
    fn add_key_package(&mut self, device: DeviceKey, package: &KeyPackage) -> Result<(), StoreError>;
    /// Sets the key package that is handed out where no other is left.
    fn put_last_resort(&mut self, device: DeviceKey, package: &KeyPackage) -> Result<(), StoreError>;
    /// Takes the oldest key package of a device, or a copy of its last resort where no other is left.
    fn take_key_package(&mut self, device: DeviceKey) -> Result<Option<KeyPackage>, StoreError>;
    /// Drops all key packages of a device.
    fn drop_key_packages(&mut self, device: DeviceKey) -> Result<(), StoreError>;
    /// Remembers the reply to a write.
    fn insert_receipt(
        &mut self,
        device: DeviceKey,
        key: IdempotencyKey,
        digest: [u8; 32],
        reply: &CoordReply,
        now: UtcTime,
    ) -> Result<(), StoreError>;
    /// Drops receipts and ended requests that were made before `before`, the permits, device codes, links and Jams that
    /// ended before it, and the entries of logs that are older than it by [`LOG_KEPT_MORE`], at most `limit` of them, and
    /// returns how many. Contacts that have ended, but for those that are blocked, go [`ENDED_CONTACTS_KEPT`] later.
    fn prune(&mut self, before: UtcTime, limit: u32) -> Result<u32, StoreError>;
    /// Moves what is under way by `by`, because the calendar was set by as much: requests and receipts, and the ends of join
    /// permits, device codes, links and Jams. Contacts and complaints of `counted` move too, because a limit counts them; older
    /// ones stay as they are, and so does what was signed or only tells when something was. Times stop where numbers end.
    fn move_times(&mut self, by: Span, counted: RangeInclusive<UtcTime>) -> Result<(), StoreError>;
    /// Brings the times of requests, receipts, device codes and links back to `latest` where they lie behind it, and returns
    /// how many did.
    fn bound_times(&mut self, latest: Latest) -> Result<u64, StoreError>;
    /// Sets the addresses at which the coordinator can be reached.
    fn set_public_addresses(&mut self, addresses: &[String]) -> Result<(), StoreError>;
}

/// What is known of devices that are connected now. It is not durable: a device that reconnects tells anew.
pub trait Whereabouts: std::fmt::Debug + Send + Sync + 'static {
    /// Whether the device is connected.
    fn is_online(&self, device: DeviceKey) -> bool;
    /// Where it may be reached, the address that was observed first.
    fn addresses(&self, device: DeviceKey) -> Vec<SocketAddr>;
}

/// The most events kept for a device that does not fetch them. Above it the oldest are dropped, and the node
/// sees the gap in the numbers and asks for the state instead.
pub const EVENTS_KEPT_MAX: u32 = 1_000;

/// How long a contact that has ended can still be reported and blocked. Days, default 30: fewer let somebody get away who
/// pesters a friend and removes it, more keep for longer who was whose contact.
pub const ENDED_CONTACTS_KEPT: Span = Span::from_secs(30 * 86_400);
/// How much longer than other rows an entry of a conversation's log is kept, read by all or not: with the day of the others
/// thirty days, in which a repetition is known for one, and a device that was away finds what was said.
pub const LOG_KEPT_MORE: Span = Span::from_secs(29 * 86_400);
