//! [`Tables`] over collections.

use std::ops::RangeInclusive;

use jamsync_protocol::{
    conversation::ConversationId,
    id::{AccountId, DeviceKey, JamId},
    identity::{DeviceLog, LinkToken, SignedGrant, Tier},
    time::{Span, UtcTime},
    wire::coord::{
        CoordEvent, CoordReply, DeviceName, EventNumber, IdempotencyKey, KeyPackage, RequestEnd, RequestId,
        Sequence,
    },
};

use super::{Known, Receipt, Rows, add, known};
use crate::{
    eligibility::AgeRecord,
    store::{
        Account, ContactRow, Conversation, Device, DeviceCode, ENDED_CONTACTS_KEPT, EVENTS_KEPT_MAX, Jam,
        JamRequest, JoinPermit, LOG_KEPT_MORE, Latest, Link, LogRow, Report, StoreError, Tables, View,
    },
};

impl Tables for Rows {
    fn insert_account(&mut self, account: &Account) -> Result<(), StoreError> {
        let log = account.log.verify().map_err(|_| StoreError::Corrupt("device log"))?;
        if self.account_by_handle(&account.handle)?.is_some() {
            return Err(StoreError::Corrupt("handle"));
        }
        add(&mut self.accounts, account.id, account.clone(), "account")?;
        for key in log.devices() {
            let (account, added) = (account.id, account.created);
            let device = Device { key: *key, account, name: DeviceName::default(), added, revoked: false };
            self.insert_device(&device)?;
        }
        Ok(())
    }

    fn set_tier(&mut self, id: AccountId, tier: Tier) -> Result<(), StoreError> {
        self.known_account(id)?.tier = tier;
        Ok(())
    }

    fn set_age(&mut self, id: AccountId, age: AgeRecord) -> Result<(), StoreError> {
        self.known_account(id)?.age = age;
        Ok(())
    }

    fn set_log(&mut self, id: AccountId, log: &DeviceLog) -> Result<(), StoreError> {
        self.known_account(id)?.log = log.clone();
        Ok(())
    }

    fn insert_device(&mut self, device: &Device) -> Result<(), StoreError> {
        self.known_account(device.account)?;
        let known = Known { device: device.clone(), newest: EventNumber(0) };
        add(&mut self.devices, device.key, known, "device")
    }

    fn rename_device(&mut self, key: DeviceKey, name: &DeviceName) -> Result<(), StoreError> {
        known(&mut self.devices, &key, "device")?.device.name = name.clone();
        Ok(())
    }

    fn revoke_device(&mut self, key: DeviceKey) -> Result<(), StoreError> {
        known(&mut self.devices, &key, "device")?.device.revoked = true;
        self.events.retain(|(device, _), _| *device != key);
        self.cursors.retain(|(_, device), _| *device != key);
        self.drop_key_packages(key)
    }

    fn put_device_code(&mut self, code: DeviceCode) -> Result<(), StoreError> {
        self.known_account(code.account)?;
        self.codes.insert(code.token, code);
        Ok(())
    }

    fn put_join_permit(&mut self, permit: JoinPermit) -> Result<(), StoreError> {
        self.permits.insert(permit.fingerprint, permit);
        Ok(())
    }

    fn insert_link(&mut self, link: Link) -> Result<(), StoreError> {
        add(&mut self.links, link.token, Link { accepter: None, ..link }, "link")
    }

    fn close_link(&mut self, token: LinkToken, accepter: AccountId) -> Result<(), StoreError> {
        let link = known(&mut self.links, &token, "link")?;
        match link.accepter.replace(accepter) {
            None => Ok(()),
            Some(_) => Err(StoreError::Corrupt("link")),
        }
    }

    fn erase_account(&mut self, id: AccountId) -> Result<(), StoreError> {
        self.erase(id)
    }

    fn set_opted_out(&mut self, id: AccountId, out: bool) -> Result<(), StoreError> {
        self.known_account(id)?.opted_out = out;
        Ok(())
    }

    fn insert_report(&mut self, report: &Report) -> Result<(), StoreError> {
        for account in report.by.into_iter().chain(report.about) {
            self.known_account(account)?;
        }
        self.reports_made += 1;
        let number = self.reports_made;
        add(&mut self.reports, number, Report { number, ..report.clone() }, "report")
    }

    fn drop_report(&mut self, number: i64) -> Result<bool, StoreError> {
        Ok(self.reports.remove(&number).is_some())
    }

    fn put_contact(&mut self, contact: &ContactRow) -> Result<(), StoreError> {
        self.known_account(contact.of)?;
        self.known_account(contact.with)?;
        self.contacts.insert((contact.of, contact.with), contact.clone());
        Ok(())
    }

    fn drop_contact(&mut self, of: AccountId, with: AccountId) -> Result<(), StoreError> {
        self.contacts.remove(&(of, with));
        Ok(())
    }

    fn insert_request(&mut self, request: JamRequest) -> Result<(), StoreError> {
        if self.request_between(request.from, request.to)?.is_some() {
            return Err(StoreError::Corrupt("request"));
        }
        add(&mut self.requests, request.id, JamRequest { end: None, ..request }, "request")
    }

    fn end_request(&mut self, id: RequestId, end: RequestEnd) -> Result<(), StoreError> {
        let request = known(&mut self.requests, &id, "request")?;
        match request.end.replace(end) {
            None => Ok(()),
            Some(_) => Err(StoreError::Corrupt("request")),
        }
    }

    fn insert_jam(&mut self, jam: &Jam, grant: &SignedGrant) -> Result<(), StoreError> {
        add(&mut self.jams, jam.id, (jam.clone(), grant.clone()), "Jam")
    }

    fn end_jam(&mut self, id: JamId) -> Result<(), StoreError> {
        known(&mut self.jams, &id, "Jam")?.0.ended = true;
        Ok(())
    }

    fn push_event(&mut self, device: DeviceKey, event: &CoordEvent) -> Result<EventNumber, StoreError> {
        let newest = &mut known(&mut self.devices, &device, "device")?.newest;
        newest.0 += 1;
        let number = *newest;
        self.events.insert((device, number), event.clone());
        self.drop_events(device, EventNumber(number.0.saturating_sub(u64::from(EVENTS_KEPT_MAX))))?;
        Ok(number)
    }

    fn lift_events(&mut self, device: DeviceKey, seen: EventNumber) -> Result<(), StoreError> {
        let lifted = |number: EventNumber| EventNumber(number.0 + seen.0 + 1);
        let newest = &mut known(&mut self.devices, &device, "device")?.newest;
        *newest = lifted(*newest);
        let moved = |((of, number), event): (_, _)| {
            let number = if of == device { lifted(number) } else { number };
            ((of, number), event)
        };
        self.events = std::mem::take(&mut self.events).into_iter().map(moved).collect();
        Ok(())
    }

    fn drop_events(&mut self, device: DeviceKey, upto: EventNumber) -> Result<(), StoreError> {
        self.events.retain(|(of, number), _| *of != device || *number > upto);
        Ok(())
    }

    fn put_conversation(&mut self, conversation: &Conversation) -> Result<(), StoreError> {
        self.conversations.insert(conversation.id, conversation.clone());
        Ok(())
    }

    fn put_log_cursor(
        &mut self,
        conversation: ConversationId,
        device: DeviceKey,
        upto: Sequence,
    ) -> Result<(), StoreError> {
        self.cursors.insert((conversation, device), upto);
        Ok(())
    }

    fn insert_log_row(&mut self, row: &LogRow) -> Result<(), StoreError> {
        self.add_log_row(row)
    }

    fn forget_log(&mut self, conversation: ConversationId, upto: Sequence) -> Result<(), StoreError> {
        let forgotten = &mut known(&mut self.conversations, &conversation, "conversation")?.forgotten;
        let before = std::mem::replace(forgotten, upto.max(*forgotten));
        for ((of, sequence), kept) in &mut self.log {
            // What was forgotten before is not looked at again.
            kept.whole &= *of != conversation || *sequence <= before || *sequence > upto;
        }
        Ok(())
    }

    fn add_key_package(&mut self, device: DeviceKey, package: &KeyPackage) -> Result<(), StoreError> {
        let last = self.packages_of(device).last().map_or(0, |(number, _)| number);
        self.key_packages.insert((device, last + 1), package.clone());
        Ok(())
    }

    fn put_last_resort(&mut self, device: DeviceKey, package: &KeyPackage) -> Result<(), StoreError> {
        self.key_packages.insert((device, 0), package.clone());
        Ok(())
    }

    fn take_key_package(&mut self, device: DeviceKey) -> Result<Option<KeyPackage>, StoreError> {
        let oldest = self.packages_of(device).find(|(number, _)| *number > 0).map(|(number, _)| number);
        Ok(match oldest {
            Some(number) => self.key_packages.remove(&(device, number)),
            None => self.key_packages.get(&(device, 0)).cloned(),
        })
    }

    fn drop_key_packages(&mut self, device: DeviceKey) -> Result<(), StoreError> {
        self.key_packages.retain(|(of, _), _| *of != device);
        Ok(())
    }

    fn insert_receipt(
        &mut self,
        device: DeviceKey,
        key: IdempotencyKey,
        digest: [u8; 32],
        reply: &CoordReply,
        now: UtcTime,
    ) -> Result<(), StoreError> {
        let receipt = Receipt { digest, reply: reply.clone(), at: now };
        add(&mut self.receipts, (device, key.0), receipt, "receipt")
    }

    fn prune(&mut self, before: UtcTime, limit: u32) -> Result<u32, StoreError> {
        let mut pruned = 0;
        // Whether a row stays.
        let mut stays = |is_of_use: bool| {
            let stays = is_of_use || pruned == limit;
            pruned += u32::from(!stays);
            stays
        };
        self.receipts.retain(|_, receipt| stays(receipt.at >= before));
        self.requests.retain(|_, request| stays(request.end.is_none() || request.created >= before));
        self.permits.retain(|_, permit| stays(permit.expires >= before));
        self.codes.retain(|_, code| stays(code.expires >= before));
        self.links.retain(|_, link| stays(link.expires >= before));
        self.jams.retain(|_, (jam, _)| stays(jam.expires >= before));
        let ended_before = before - ENDED_CONTACTS_KEPT;
        self.contacts.retain(|_, row| stays(!row.removed || row.blocked || row.since >= ended_before));
        self.log.retain(|_, kept| stays(kept.row.entry.at >= before - LOG_KEPT_MORE));
        Ok(pruned)
    }

    fn move_times(&mut self, by: Span, counted: RangeInclusive<UtcTime>) -> Result<(), StoreError> {
        let requests = self.requests.values_mut();
        requests
            .flat_map(|request| [&mut request.created, &mut request.expires])
            .for_each(|time| *time += by);
        self.receipts.values_mut().for_each(|receipt| receipt.at += by);
        self.log.values_mut().for_each(|kept| kept.row.entry.at += by);
        self.permits.values_mut().for_each(|permit| permit.expires += by);
        self.codes.values_mut().for_each(|code| code.expires += by);
        self.links.values_mut().for_each(|link| link.expires += by);
        self.jams.values_mut().for_each(|(jam, _)| jam.expires += by);
        let contacts = self.contacts.values_mut().map(|contact| &mut contact.since);
        let done = contacts.chain(self.reports.values_mut().map(|report| &mut report.at));
        done.filter(|time| counted.contains(time)).for_each(|time| *time += by);
        Ok(())
    }

    fn bound_times(&mut self, latest: Latest) -> Result<u64, StoreError> {
        let mut rows = 0;
        let mut bound = |time: &mut UtcTime, latest: UtcTime| {
            rows += u64::from(*time > latest);
            *time = (*time).min(latest);
        };
        self.receipts.values_mut().for_each(|receipt| bound(&mut receipt.at, latest.done));
        self.log.values_mut().for_each(|kept| bound(&mut kept.row.entry.at, latest.done));
        for request in self.requests.values_mut() {
            bound(&mut request.created, latest.done);
            if request.end.is_none() {
                bound(&mut request.expires, latest.request);
            }
        }
        self.links.values_mut().for_each(|link| bound(&mut link.expires, latest.link));
        self.codes.values_mut().for_each(|code| bound(&mut code.expires, latest.code));
        Ok(rows)
    }

    fn set_public_addresses(&mut self, addresses: &[String]) -> Result<(), StoreError> {
        self.public_addresses = addresses.to_vec();
        Ok(())
    }
}

impl Rows {
    fn known_account(&mut self, id: AccountId) -> Result<&mut Account, StoreError> {
        known(&mut self.accounts, &id, "account")
    }
}
