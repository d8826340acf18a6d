//! [`Tables`] over SQLite.

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
use rusqlite::Params;

use super::Rows;
use crate::{
    eligibility::AgeRecord,
    store::{
        Account, ContactRow, Conversation, Device, DeviceCode, ENDED_CONTACTS_KEPT, EVENTS_KEPT_MAX, Jam,
        JamRequest, JoinPermit, Latest, Link, LogRow, Report, StoreError, Tables,
        rows::{bytes, db, end_number, reason_number, tier_number},
    },
};

impl Rows<'_> {
    /// Runs `sql`, which changes exactly one row.
    pub(super) fn change_one(
        &self,
        sql: &str,
        params: impl Params,
        what: &'static str,
    ) -> Result<(), StoreError> {
        let changed = self.prepare(sql).and_then(|mut s| s.execute(params)).map_err(db)?;
        if changed == 1 { Ok(()) } else { Err(StoreError::Corrupt(what)) }
    }

    pub(super) fn change(&self, sql: &str, params: impl Params) -> Result<(), StoreError> {
        self.count(sql, params).map(drop)
    }

    /// Runs `sql`, and returns how many rows it changed.
    pub(super) fn count(&self, sql: &str, params: impl Params) -> Result<u64, StoreError> {
        let changed = self.prepare(sql).and_then(|mut s| s.execute(params)).map_err(db)?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }
}

impl Tables for Rows<'_> {
    fn insert_account(&mut self, account: &Account) -> Result<(), StoreError> {
        let verified = account.log.verify().map_err(|_| StoreError::Corrupt("device log"))?;
        self.change(
            "INSERT INTO accounts (id, handle, tier, age_met, birth_date, market, created, log, opted_out)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            (
                account.id.0,
                account.handle.as_str(),
                tier_number(account.tier),
                account.age.met,
                account.age.birth_date.map(|date| date.to_string()),
                account.market.as_str(),
                account.created.as_nanos(),
                bytes(&account.log, "device log")?,
                account.opted_out,
            ),
        )?;
        for key in verified.devices() {
            let (account, added) = (account.id, account.created);
            let device = Device { key: *key, account, name: DeviceName::default(), added, revoked: false };
            self.insert_device(&device)?;
        }
        Ok(())
    }

    fn set_tier(&mut self, id: AccountId, tier: Tier) -> Result<(), StoreError> {
        let sql = "UPDATE accounts SET tier = ?2 WHERE id = ?1";
        self.change_one(sql, (id.0, tier_number(tier)), "account")
    }

    fn set_age(&mut self, id: AccountId, age: AgeRecord) -> Result<(), StoreError> {
        let sql = "UPDATE accounts SET age_met = ?2, birth_date = ?3 WHERE id = ?1";
        self.change_one(sql, (id.0, age.met, age.birth_date.map(|date| date.to_string())), "account")
    }

    fn set_log(&mut self, id: AccountId, log: &DeviceLog) -> Result<(), StoreError> {
        let sql = "UPDATE accounts SET log = ?2 WHERE id = ?1";
        self.change_one(sql, (id.0, bytes(log, "device log")?), "account")
    }

    fn insert_device(&mut self, device: &Device) -> Result<(), StoreError> {
        self.change(
            "INSERT INTO devices (key, account, name, added, revoked) VALUES (?1, ?2, ?3, ?4, ?5)",
            (device.key.0, device.account.0, device.name.as_str(), device.added.as_nanos(), device.revoked),
        )
    }

    fn rename_device(&mut self, key: DeviceKey, name: &DeviceName) -> Result<(), StoreError> {
        self.change_one("UPDATE devices SET name = ?2 WHERE key = ?1", (key.0, name.as_str()), "device")
    }

    fn revoke_device(&mut self, key: DeviceKey) -> Result<(), StoreError> {
        self.change_one("UPDATE devices SET revoked = 1 WHERE key = ?1", [key.0], "device")?;
        self.change("DELETE FROM events WHERE device = ?1", [key.0])?;
        self.change("DELETE FROM conversation_cursors WHERE device = ?1", [key.0])?;
        self.drop_key_packages(key)
    }

    fn put_device_code(&mut self, code: DeviceCode) -> Result<(), StoreError> {
        self.change(
            "INSERT OR REPLACE INTO device_codes (token, account, maker, expires, asks)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (code.token.0, code.account.0, code.maker.0, code.expires.as_nanos(), code.asks),
        )
    }

    fn put_join_permit(&mut self, permit: JoinPermit) -> Result<(), StoreError> {
        self.change(
            "INSERT OR REPLACE INTO join_permits (fingerprint, uses_left, expires) VALUES (?1, ?2, ?3)",
            (permit.fingerprint, permit.uses_left, permit.expires.as_nanos()),
        )
    }

    fn insert_link(&mut self, link: Link) -> Result<(), StoreError> {
        self.change(
            "INSERT INTO links (token, creator, expires) VALUES (?1, ?2, ?3)",
            (link.token.0, link.creator.0, link.expires.as_nanos()),
        )
    }

    fn close_link(&mut self, token: LinkToken, accepter: AccountId) -> Result<(), StoreError> {
        let sql = "UPDATE links SET accepter = ?2 WHERE token = ?1 AND accepter IS NULL";
        self.change_one(sql, (token.0, accepter.0), "link")
    }

    fn erase_account(&mut self, id: AccountId) -> Result<(), StoreError> {
        self.erase(id)
    }

    fn set_opted_out(&mut self, id: AccountId, out: bool) -> Result<(), StoreError> {
        self.change_one("UPDATE accounts SET opted_out = ?2 WHERE id = ?1", (id.0, out), "account")
    }

    fn insert_report(&mut self, report: &Report) -> Result<(), StoreError> {
        self.change(
            "INSERT INTO reports (by_account, about_account, reason, words, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                report.by.map(|by| by.0),
                report.about.map(|about| about.0),
                reason_number(report.reason),
                report.words.as_str(),
                report.at.as_nanos(),
            ),
        )
    }

    fn drop_report(&mut self, number: i64) -> Result<bool, StoreError> {
        let sql = "DELETE FROM reports WHERE number = ?1";
        let dropped = self.prepare(sql).and_then(|mut s| s.execute([number])).map_err(db)?;
        Ok(dropped > 0)
    }

    fn put_contact(&mut self, contact: &ContactRow) -> Result<(), StoreError> {
        let accepted = contact.accepted.map(|link| bytes(&link, "contact")).transpose()?;
        let vouch = contact.vouch.as_ref().map(|vouch| bytes(vouch, "vouch")).transpose()?;
        self.change(
            "INSERT OR REPLACE INTO contacts
             (of_account, with_account, accepted, vouch, blocked, muted, removed, since)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            (
                contact.of.0,
                contact.with.0,
                accepted,
                vouch,
                contact.blocked,
                contact.muted,
                contact.removed,
                contact.since.as_nanos(),
            ),
        )
    }

    fn drop_contact(&mut self, of: AccountId, with: AccountId) -> Result<(), StoreError> {
        self.change("DELETE FROM contacts WHERE of_account = ?1 AND with_account = ?2", (of.0, with.0))
    }

    fn insert_request(&mut self, request: JamRequest) -> Result<(), StoreError> {
        self.change(
            "INSERT INTO requests (id, from_account, from_device, to_account, created, expires)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                request.id.0,
                request.from.0,
                request.from_device.0,
                request.to.0,
                request.created.as_nanos(),
                request.expires.as_nanos(),
            ),
        )
    }

    fn end_request(&mut self, id: RequestId, end: RequestEnd) -> Result<(), StoreError> {
        let sql = "UPDATE requests SET ended = ?2 WHERE id = ?1 AND ended IS NULL";
        self.change_one(sql, (id.0, end_number(end)?), "request")
    }

    fn insert_jam(&mut self, jam: &Jam, grant: &SignedGrant) -> Result<(), StoreError> {
        self.change(
            "INSERT INTO jams (id, expires, ended, signed_grant) VALUES (?1, ?2, ?3, ?4)",
            (jam.id.0, jam.expires.as_nanos(), jam.ended, bytes(grant, "grant")?),
        )?;
        for (place, (account, device)) in (0u32..).zip(&jam.participants) {
            self.change(
                "INSERT INTO participants (jam, place, account, device) VALUES (?1, ?2, ?3, ?4)",
                (jam.id.0, place, account.0, device.0),
            )?;
        }
        Ok(())
    }

    fn end_jam(&mut self, id: JamId) -> Result<(), StoreError> {
        self.change_one("UPDATE jams SET ended = 1 WHERE id = ?1", [id.0], "Jam")
    }

    fn push_event(&mut self, device: DeviceKey, event: &CoordEvent) -> Result<EventNumber, StoreError> {
        let sql = "UPDATE devices SET last_event = last_event + 1 WHERE key = ?1 RETURNING last_event";
        let number: i64 = self
            .prepare(sql)
            .and_then(|mut statement| statement.query_row([device.0], |row| row.get(0)))
            .map_err(db)?;
        self.change(
            "INSERT INTO events (device, number, body) VALUES (?1, ?2, ?3)",
            (device.0, number, bytes(event, "event")?),
        )?;
        self.change(
            "DELETE FROM events WHERE device = ?1 AND number <= ?2",
            (device.0, number - i64::from(EVENTS_KEPT_MAX)),
        )?;
        Ok(EventNumber(u64::try_from(number).map_err(|_| StoreError::Corrupt("event"))?))
    }

    fn lift_events(&mut self, device: DeviceKey, seen: EventNumber) -> Result<(), StoreError> {
        let by = i64::try_from(seen.0 + 1).map_err(|_| StoreError::Corrupt("event"))?;
        // More than the spread of all numbers, so that on its way no event meets another.
        self.change("UPDATE events SET number = number + ?2 WHERE device = ?1", (device.0, by))?;
        self.change_one(
            "UPDATE devices SET last_event = last_event + ?2 WHERE key = ?1",
            (device.0, by),
            "device",
        )
    }

    fn drop_events(&mut self, device: DeviceKey, upto: EventNumber) -> Result<(), StoreError> {
        let upto = i64::try_from(upto.0).unwrap_or(i64::MAX);
        self.change("DELETE FROM events WHERE device = ?1 AND number <= ?2", (device.0, upto))
    }

    fn put_conversation(&mut self, conversation: &Conversation) -> Result<(), StoreError> {
        self.set_conversation(conversation)
    }

    fn put_log_cursor(
        &mut self,
        conversation: ConversationId,
        device: DeviceKey,
        upto: Sequence,
    ) -> Result<(), StoreError> {
        self.set_log_cursor(conversation, device, upto)
    }

    fn insert_log_row(&mut self, row: &LogRow) -> Result<(), StoreError> {
        self.add_log_row(row)
    }

    fn forget_log(&mut self, conversation: ConversationId, upto: Sequence) -> Result<(), StoreError> {
        self.forget(conversation, upto)
    }

    fn add_key_package(&mut self, device: DeviceKey, package: &KeyPackage) -> Result<(), StoreError> {
        self.append_key_package(device, package)
    }

    fn put_last_resort(&mut self, device: DeviceKey, package: &KeyPackage) -> Result<(), StoreError> {
        self.set_last_resort(device, package)
    }

    fn take_key_package(&mut self, device: DeviceKey) -> Result<Option<KeyPackage>, StoreError> {
        self.take_package(device)
    }

    fn drop_key_packages(&mut self, device: DeviceKey) -> Result<(), StoreError> {
        self.change("DELETE FROM key_packages WHERE device = ?1", [device.0])
    }

    fn insert_receipt(
        &mut self,
        device: DeviceKey,
        key: IdempotencyKey,
        digest: [u8; 32],
        reply: &CoordReply,
        now: UtcTime,
    ) -> Result<(), StoreError> {
        self.change(
            "INSERT INTO receipts (device, key, digest, reply, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            (device.0, key.0, digest, bytes(reply, "receipt")?, now.as_nanos()),
        )
    }

    fn prune(&mut self, before: UtcTime, limit: u32) -> Result<u32, StoreError> {
        let mut pruned = 0;
        let ended_before = before - ENDED_CONTACTS_KEPT;
        let old = PRUNED.map(|pruned| (pruned, before));
        for ((table, key, is_old), before) in old.into_iter().chain([(PRUNED_CONTACTS, ended_before)]) {
            let sql = format!(
                "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {is_old} LIMIT ?2)"
            );
            let count = self.count(&sql, (before.as_nanos(), limit - pruned))?;
            pruned += u32::try_from(count).unwrap_or(u32::MAX);
        }
        Ok(pruned)
    }

    fn move_times(&mut self, by: Span, counted: RangeInclusive<UtcTime>) -> Result<(), StoreError> {
        let by = by.as_nanos();
        // Beyond these a sum would be no integer any more.
        let (least, most) = (i64::MIN.saturating_sub(by), i64::MAX.saturating_sub(by));
        for (table, column) in MOVED {
            let sql = format!("UPDATE {table} SET {column} = min(max({column}, ?2), ?3) + ?1");
            self.change(&sql, (by, least, most))?;
        }
        let (first, last) = (counted.start().as_nanos(), counted.end().as_nanos());
        for (table, column) in COUNTED {
            let sql = format!(
                "UPDATE {table} SET {column} = min(max({column}, ?2), ?3) + ?1 WHERE {column} BETWEEN ?4 AND ?5"
            );
            self.change(&sql, (by, least, most, first, last))?;
        }
        Ok(())
    }

    fn bound_times(&mut self, latest: Latest) -> Result<u64, StoreError> {
        let mut rows = 0;
        for (sql, latest) in [
            ("UPDATE receipts SET at = ?1 WHERE at > ?1", latest.done),
            ("UPDATE conversation_log SET at = ?1 WHERE at > ?1", latest.done),
            ("UPDATE requests SET created = ?1 WHERE created > ?1", latest.done),
            ("UPDATE requests SET expires = ?1 WHERE ended IS NULL AND expires > ?1", latest.request),
            ("UPDATE links SET expires = ?1 WHERE expires > ?1", latest.link),
            ("UPDATE device_codes SET expires = ?1 WHERE expires > ?1", latest.code),
        ] {
            rows += self.count(sql, [latest.as_nanos()])?;
        }
        Ok(rows)
    }

    fn set_public_addresses(&mut self, addresses: &[String]) -> Result<(), StoreError> {
        self.change("DELETE FROM public_addresses", [])?;
        for address in addresses {
            self.change("INSERT INTO public_addresses (address) VALUES (?1)", [address])?;
        }
        Ok(())
    }
}

/// Each column whose times move with the calendar.
const MOVED: [(&str, &str); 8] = [
    ("requests", "created"),
    ("requests", "expires"),
    ("receipts", "at"),
    ("conversation_log", "at"),
    ("join_permits", "expires"),
    ("device_codes", "expires"),
    ("links", "expires"),
    ("jams", "expires"),
];

/// Each column whose times tell for good when something was done, and count for a limit while they are recent.
const COUNTED: [(&str, &str); 2] = [("contacts", "since"), ("reports", "at")];

/// What is dropped once it is older than `?1`: the table, its key, and which rows.
const PRUNED: [(&str, &str, &str); 7] = [
    ("receipts", "device, key", "at < ?1"),
    ("requests", "id", "ended IS NOT NULL AND created < ?1"),
    ("join_permits", "fingerprint", "expires < ?1"),
    ("device_codes", "token", "expires < ?1"),
    ("links", "token", "expires < ?1"),
    ("jams", "id", "expires < ?1"),
    // By as much older as `LOG_KEPT_MORE`, in nanoseconds; a time at the beginning of numbers is not moved below it.
    ("conversation_log", "conversation, sequence", "at < max(?1, -9000000000000000000) - 2505600000000000"),
];
/// The same of contacts, which are kept for longer.
const PRUNED_CONTACTS: (&str, &str, &str) =
    ("contacts", "of_account, with_account", "removed = 1 AND blocked = 0 AND since < ?1");
