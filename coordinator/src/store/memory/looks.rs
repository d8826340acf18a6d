//! [`View`] over collections.

use std::io::Write;

use jamsync_protocol::{
    conversation::{ConversationId, PostId},
    id::{AccountId, DeviceKey, Handle, JamId},
    identity::{CodeToken, LinkToken},
    time::UtcTime,
    wire::coord::{
        ConversationEntry, CoordReply, EventNumber, IdempotencyKey, KeyPackage, NumberedEvent, RequestId,
        Sequence,
    },
};

use super::Rows;
use crate::{
    eligibility::AgeRecord,
    store::{
        Account, ContactRow, Conversation, Device, DeviceCode, Jam, JamRequest, JoinPermit, Link, LogCursor,
        Report, StoreError, View,
    },
};

impl View for Rows {
    fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        Ok(self.accounts.get(&id).cloned())
    }

    fn account_by_handle(&self, handle: &Handle) -> Result<Option<Account>, StoreError> {
        Ok(self.accounts.values().find(|account| account.handle == *handle).cloned())
    }

    fn account_by_device(&self, device: DeviceKey) -> Result<Option<Account>, StoreError> {
        let speaks = self.devices.get(&device).filter(|known| !known.device.revoked);
        Ok(speaks.and_then(|known| self.accounts.get(&known.device.account)).cloned())
    }

    fn device(&self, key: DeviceKey) -> Result<Option<Device>, StoreError> {
        Ok(self.devices.get(&key).map(|known| known.device.clone()))
    }

    fn devices_of(&self, account: AccountId) -> Result<Vec<Device>, StoreError> {
        let devices = self.devices.values().map(|known| &known.device);
        let speaking = devices.filter(|device| device.account == account && !device.revoked);
        Ok(sorted(speaking.cloned(), |device| (device.added, device.key)))
    }

    fn device_code(&self, token: CodeToken) -> Result<Option<DeviceCode>, StoreError> {
        Ok(self.codes.get(&token).copied())
    }

    fn code_ends(&self, account: AccountId, after: UtcTime) -> Result<Vec<UtcTime>, StoreError> {
        let mine = self.codes.values().filter(|code| code.account == account);
        Ok(times_after(after, mine.map(|code| code.expires)))
    }

    fn accounts_after(&self, after: Option<&Handle>, limit: u32) -> Result<Vec<Account>, StoreError> {
        let behind =
            self.accounts.values().filter(|account| after.is_none_or(|after| account.handle > *after));
        Ok(first(limit, sorted(behind.cloned(), |account| account.handle.clone())))
    }

    fn birth_dates(&self, limit: u32) -> Result<Vec<(AccountId, AgeRecord)>, StoreError> {
        let dated = self.accounts.values().filter(|account| account.age.birth_date.is_some());
        let ages = dated.map(|account| (account.id, account.age));
        Ok(first(limit, sorted(ages, |(id, age)| (age.birth_date, *id))))
    }

    fn join_permit(&self, fingerprint: [u8; 32]) -> Result<Option<JoinPermit>, StoreError> {
        Ok(self.permits.get(&fingerprint).copied())
    }

    fn link(&self, token: LinkToken) -> Result<Option<Link>, StoreError> {
        Ok(self.links.get(&token).copied())
    }

    fn link_ends(&self, creator: AccountId, after: UtcTime) -> Result<Vec<UtcTime>, StoreError> {
        let mine = self.links.values().filter(|link| link.creator == creator);
        Ok(times_after(after, mine.map(|link| link.expires)))
    }

    fn contact(&self, of: AccountId, with: AccountId) -> Result<Option<ContactRow>, StoreError> {
        Ok(self.contacts.get(&(of, with)).cloned())
    }

    fn contacts_after(
        &self,
        of: AccountId,
        after: Option<&Handle>,
        limit: u32,
    ) -> Result<Vec<(ContactRow, Account)>, StoreError> {
        let mine = self.contacts.values().filter(|contact| contact.of == of && !contact.removed);
        let named =
            mine.filter_map(|contact| Some((contact.clone(), self.accounts.get(&contact.with)?.clone())));
        let behind = named.filter(|(_, account)| after.is_none_or(|after| account.handle > *after));
        Ok(first(limit, sorted(behind, |(_, account)| account.handle.clone())))
    }

    fn contacts_since(&self, of: AccountId, after: UtcTime) -> Result<Vec<UtcTime>, StoreError> {
        let mine = self.contacts.values().filter(|contact| contact.of == of && !contact.removed);
        Ok(times_after(after, mine.map(|contact| contact.since)))
    }

    fn reports_after(&self, after: i64, limit: u32) -> Result<Vec<Report>, StoreError> {
        let behind = self.reports.values().filter(|report| report.number > after);
        Ok(first(limit, behind.cloned().collect()))
    }

    fn reports_made(&self, by: AccountId, after: UtcTime) -> Result<Vec<UtcTime>, StoreError> {
        let mine = self.reports.values().filter(|report| report.by == Some(by));
        Ok(times_after(after, mine.map(|report| report.at)))
    }

    fn contacts_with(&self, of: AccountId) -> Result<Vec<AccountId>, StoreError> {
        let theirs = self.contacts.values().filter(|contact| contact.with == of && !contact.removed);
        Ok(theirs.map(|contact| contact.of).collect())
    }

    fn request(&self, id: RequestId) -> Result<Option<JamRequest>, StoreError> {
        Ok(self.requests.get(&id).copied())
    }

    fn request_between(&self, a: AccountId, b: AccountId) -> Result<Option<JamRequest>, StoreError> {
        let between = |request: &&JamRequest| [(a, b), (b, a)].contains(&(request.from, request.to));
        Ok(self.open_requests().find(between).copied())
    }

    fn requests_made(
        &self,
        from: AccountId,
        to: AccountId,
        since: UtcTime,
    ) -> Result<Vec<UtcTime>, StoreError> {
        let made = self.requests.values().filter(|request| request.from == from && request.to == to);
        Ok(times_after(since, made.map(|request| request.created)))
    }

    fn requests_of(&self, account: AccountId, limit: u32) -> Result<Vec<JamRequest>, StoreError> {
        let mine = self.open_requests().filter(|request| [request.from, request.to].contains(&account));
        Ok(first(limit, sorted(mine.copied(), |request| (request.created, request.id))))
    }

    fn requests_overdue(&self, now: UtcTime, limit: u32) -> Result<Vec<JamRequest>, StoreError> {
        let overdue = self.open_requests().filter(|request| request.expires <= now);
        Ok(first(limit, sorted(overdue.copied(), |request| (request.expires, request.id))))
    }

    fn next_expiry(&self) -> Result<Option<UtcTime>, StoreError> {
        Ok(self.open_requests().map(|request| request.expires).min())
    }

    fn jam(&self, id: JamId) -> Result<Option<Jam>, StoreError> {
        Ok(self.jams.get(&id).map(|(jam, _)| jam.clone()))
    }

    fn jams_of(&self, device: DeviceKey, now: UtcTime) -> Result<Vec<Jam>, StoreError> {
        let open = self.jams.values().map(|(jam, _)| jam).filter(|jam| !jam.ended && jam.expires > now);
        let mine = open.filter(|jam| jam.participants.iter().any(|(_, part)| *part == device));
        Ok(mine.cloned().collect())
    }

    fn newest_event(&self, device: DeviceKey) -> Result<Option<EventNumber>, StoreError> {
        Ok(self.devices.get(&device).map(|known| known.newest))
    }

    fn events_after(
        &self,
        device: DeviceKey,
        after: EventNumber,
        limit: u32,
    ) -> Result<Vec<NumberedEvent>, StoreError> {
        let behind = self.events.iter().filter(|((of, number), _)| *of == device && *number > after);
        let numbered =
            behind.map(|((_, number), event)| NumberedEvent { number: *number, event: event.clone() });
        Ok(first(limit, numbered.collect()))
    }

    fn receipt(
        &self,
        device: DeviceKey,
        key: IdempotencyKey,
    ) -> Result<Option<([u8; 32], CoordReply)>, StoreError> {
        Ok(self.receipts.get(&(device, key.0)).map(|receipt| (receipt.digest, receipt.reply.clone())))
    }

    fn conversation(&self, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        Ok(self.conversations.get(&id).cloned())
    }

    fn conversations_after(
        &self,
        account: AccountId,
        after: Option<ConversationId>,
        limit: u32,
    ) -> Result<Vec<Conversation>, StoreError> {
        let mine = self.conversations.values().filter(|conversation| conversation.members.contains(account));
        let behind = mine.filter(|conversation| after.is_none_or(|after| conversation.id > after));
        Ok(first(limit, behind.cloned().collect()))
    }

    fn log_cursors(&self, conversation: ConversationId) -> Result<Vec<LogCursor>, StoreError> {
        let there = self.cursors.iter().filter(|((of, _), _)| *of == conversation);
        let spoken = there.filter_map(|((_, device), upto)| {
            let account = self.devices.get(device)?.device.account;
            Some(LogCursor { device: *device, account, upto: *upto })
        });
        Ok(spoken.collect())
    }

    fn log_after(
        &self,
        conversation: ConversationId,
        after: Sequence,
        limit: u32,
    ) -> Result<Vec<ConversationEntry>, StoreError> {
        let behind = self.log.values().filter(|kept| kept.row.conversation == conversation && kept.whole);
        let entries = behind.map(|kept| &kept.row.entry).filter(|entry| entry.sequence > after);
        Ok(first(limit, entries.cloned().collect()))
    }

    fn posted(
        &self,
        conversation: ConversationId,
        post: PostId,
    ) -> Result<Option<(Sequence, UtcTime)>, StoreError> {
        let entry = self.posts_of(conversation).find(|(id, _)| *id == post).map(|(_, entry)| entry);
        Ok(entry.map(|entry| (entry.sequence, entry.at)))
    }

    fn key_packages_left(&self, device: DeviceKey) -> Result<u32, StoreError> {
        let left = self.packages_of(device).filter(|(number, _)| *number > 0).count();
        Ok(u32::try_from(left).unwrap_or(u32::MAX))
    }

    fn last_resort(&self, device: DeviceKey) -> Result<Option<KeyPackage>, StoreError> {
        Ok(self.key_packages.get(&(device, 0)).cloned())
    }

    fn held_about(&self, account: AccountId, out: &mut dyn Write) -> Result<(), StoreError> {
        serde_json::to_writer(out, &self.held(account)?)
            .map_err(|error| StoreError::Database(error.to_string()))
    }

    /// There is no database here whose statements could be counted.
    fn statements(&self) -> u32 {
        0
    }

    fn public_addresses(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.public_addresses.clone())
    }
}

impl Rows {
    pub(super) fn open_requests(&self) -> impl Iterator<Item = &JamRequest> {
        self.requests.values().filter(|request| request.end.is_none())
    }
}

fn times_after(after: UtcTime, times: impl Iterator<Item = UtcTime>) -> Vec<UtcTime> {
    sorted(times.filter(|time| *time > after), |time| *time)
}

fn sorted<T, K: Ord>(values: impl Iterator<Item = T>, by: impl Fn(&T) -> K) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_by_key(by);
    values
}

fn first<T>(limit: u32, mut values: Vec<T>) -> Vec<T> {
    values.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    values
}
