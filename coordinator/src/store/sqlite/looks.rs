//! [`View`] over SQLite.

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
use rusqlite::{OptionalExtension, Params, Row};

use super::Rows;
use crate::{
    eligibility::AgeRecord,
    store::{
        Account, ContactRow, Conversation, Device, DeviceCode, Jam, JamRequest, JoinPermit, Link, LogCursor,
        Report, StoreError, View,
        rows::{self, ACCOUNT, CONTACT, DEVICE, REPORT, REQUEST, column, db},
    },
};

impl Rows<'_> {
    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.prepare(sql).map_err(db)?;
        statement.query_row(params, |row| Ok(read(row))).optional().map_err(db)?.transpose()
    }

    pub(super) fn many<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.prepare(sql).map_err(db)?;
        let mut found = statement.query(params).map_err(db)?;
        let mut values = Vec::new();
        while let Some(row) = found.next().map_err(db)? {
            values.push(read(row)?);
        }
        Ok(values)
    }

    fn participants(&self, jam: JamId) -> Result<Vec<(AccountId, DeviceKey)>, StoreError> {
        let sql = "SELECT account, device FROM participants WHERE jam = ?1 ORDER BY place";
        self.many(sql, [jam.0], |row| Ok((AccountId(column(row, 0)?), DeviceKey(column(row, 1)?))))
    }
}

fn jam_row(row: &Row<'_>, participants: Vec<(AccountId, DeviceKey)>) -> Result<Jam, StoreError> {
    let (id, expires) = (rows::jam_id(row)?, UtcTime::from_nanos(column(row, 1)?));
    Ok(Jam { id, participants, expires, ended: column(row, 2)? })
}

impl View for Rows<'_> {
    fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        self.one(&format!("SELECT {ACCOUNT} FROM accounts a WHERE a.id = ?1"), [id.0], rows::account)
    }

    fn account_by_handle(&self, handle: &Handle) -> Result<Option<Account>, StoreError> {
        let sql = format!("SELECT {ACCOUNT} FROM accounts a WHERE a.handle = ?1");
        self.one(&sql, [handle.as_str()], rows::account)
    }

    fn account_by_device(&self, device: DeviceKey) -> Result<Option<Account>, StoreError> {
        let sql = format!(
            "SELECT {ACCOUNT} FROM accounts a JOIN devices d ON d.account = a.id
             WHERE d.key = ?1 AND d.revoked = 0"
        );
        self.one(&sql, [device.0], rows::account)
    }

    fn device(&self, key: DeviceKey) -> Result<Option<Device>, StoreError> {
        self.one(&format!("SELECT {DEVICE} FROM devices WHERE key = ?1"), [key.0], rows::device)
    }

    fn devices_of(&self, account: AccountId) -> Result<Vec<Device>, StoreError> {
        let sql =
            format!("SELECT {DEVICE} FROM devices WHERE account = ?1 AND revoked = 0 ORDER BY added, key");
        self.many(&sql, [account.0], rows::device)
    }

    fn device_code(&self, token: CodeToken) -> Result<Option<DeviceCode>, StoreError> {
        let sql = "SELECT token, account, maker, expires, asks FROM device_codes WHERE token = ?1";
        self.one(sql, [token.0], rows::device_code)
    }

    fn code_ends(&self, account: AccountId, after: UtcTime) -> Result<Vec<UtcTime>, StoreError> {
        let sql = "SELECT expires FROM device_codes WHERE account = ?1 AND expires > ?2 ORDER BY expires";
        self.many(sql, (account.0, after.as_nanos()), |row| column(row, 0).map(UtcTime::from_nanos))
    }

    fn accounts_after(&self, after: Option<&Handle>, limit: u32) -> Result<Vec<Account>, StoreError> {
        let sql = format!("SELECT {ACCOUNT} FROM accounts a WHERE a.handle > ?1 ORDER BY a.handle LIMIT ?2");
        self.many(&sql, (after.map_or("", Handle::as_str), limit), rows::account)
    }

    fn birth_dates(&self, limit: u32) -> Result<Vec<(AccountId, AgeRecord)>, StoreError> {
        let sql = "SELECT id, age_met, birth_date FROM accounts WHERE birth_date IS NOT NULL
             ORDER BY birth_date, id LIMIT ?1";
        let dated = self.many(sql, [limit], |row| {
            let birth_date = column::<String>(row, 2)?.parse().ok();
            Ok((AccountId(column(row, 0)?), AgeRecord { met: column(row, 1)?, birth_date }))
        })?;
        Ok(dated.into_iter().filter(|(_, age)| age.birth_date.is_some()).collect())
    }

    fn join_permit(&self, fingerprint: [u8; 32]) -> Result<Option<JoinPermit>, StoreError> {
        let sql = "SELECT fingerprint, uses_left, expires FROM join_permits WHERE fingerprint = ?1";
        self.one(sql, [fingerprint], rows::permit)
    }

    fn link(&self, token: LinkToken) -> Result<Option<Link>, StoreError> {
        let sql = "SELECT token, creator, expires, accepter FROM links WHERE token = ?1";
        self.one(sql, [token.0], rows::link)
    }

    fn link_ends(&self, creator: AccountId, after: UtcTime) -> Result<Vec<UtcTime>, StoreError> {
        let sql = "SELECT expires FROM links WHERE creator = ?1 AND expires > ?2 ORDER BY expires";
        self.many(sql, (creator.0, after.as_nanos()), |row| column(row, 0).map(UtcTime::from_nanos))
    }

    fn contact(&self, of: AccountId, with: AccountId) -> Result<Option<ContactRow>, StoreError> {
        let sql = format!("SELECT {CONTACT} FROM contacts c WHERE c.of_account = ?1 AND c.with_account = ?2");
        self.one(&sql, [of.0, with.0], |row| rows::contact(row, 0))
    }

    fn contacts_after(
        &self,
        of: AccountId,
        after: Option<&Handle>,
        limit: u32,
    ) -> Result<Vec<(ContactRow, Account)>, StoreError> {
        let sql = format!(
            "SELECT {ACCOUNT}, {CONTACT} FROM contacts c JOIN accounts a ON a.id = c.with_account
             WHERE c.of_account = ?1 AND c.removed = 0 AND a.handle > ?2 ORDER BY a.handle LIMIT ?3"
        );
        self.many(&sql, (of.0, after.map_or("", Handle::as_str), limit), |row| {
            Ok((rows::contact(row, rows::ACCOUNT_COLUMNS)?, rows::account_among(row)?))
        })
    }

    fn contacts_with(&self, of: AccountId) -> Result<Vec<AccountId>, StoreError> {
        let sql =
            "SELECT of_account FROM contacts WHERE with_account = ?1 AND removed = 0 ORDER BY of_account";
        self.many(sql, [of.0], |row| column(row, 0).map(AccountId))
    }

    fn contacts_since(&self, of: AccountId, after: UtcTime) -> Result<Vec<UtcTime>, StoreError> {
        let sql = "SELECT since FROM contacts WHERE of_account = ?1 AND removed = 0 AND since > ?2
             ORDER BY since";
        self.many(sql, (of.0, after.as_nanos()), |row| column(row, 0).map(UtcTime::from_nanos))
    }

    fn reports_after(&self, after: i64, limit: u32) -> Result<Vec<Report>, StoreError> {
        let sql = format!("SELECT {REPORT} FROM reports WHERE number > ?1 ORDER BY number LIMIT ?2");
        self.many(&sql, (after, limit), rows::report)
    }

    fn reports_made(&self, by: AccountId, after: UtcTime) -> Result<Vec<UtcTime>, StoreError> {
        let sql = "SELECT at FROM reports WHERE by_account = ?1 AND at > ?2 ORDER BY at";
        self.many(sql, (by.0, after.as_nanos()), |row| column(row, 0).map(UtcTime::from_nanos))
    }

    fn request(&self, id: RequestId) -> Result<Option<JamRequest>, StoreError> {
        self.one(&format!("SELECT {REQUEST} FROM requests WHERE id = ?1"), [id.0], rows::request)
    }

    fn request_between(&self, a: AccountId, b: AccountId) -> Result<Option<JamRequest>, StoreError> {
        let sql = format!(
            "SELECT {REQUEST} FROM requests
             WHERE min(from_account, to_account) = min(?1, ?2)
               AND max(from_account, to_account) = max(?1, ?2) AND ended IS NULL"
        );
        self.one(&sql, [a.0, b.0], rows::request)
    }

    fn requests_made(
        &self,
        from: AccountId,
        to: AccountId,
        since: UtcTime,
    ) -> Result<Vec<UtcTime>, StoreError> {
        let sql = "SELECT created FROM requests
             WHERE from_account = ?1 AND to_account = ?2 AND created > ?3 ORDER BY created";
        self.many(sql, (from.0, to.0, since.as_nanos()), |row| column(row, 0).map(UtcTime::from_nanos))
    }

    fn requests_of(&self, account: AccountId, limit: u32) -> Result<Vec<JamRequest>, StoreError> {
        let sql = format!(
            "SELECT {REQUEST} FROM requests WHERE (from_account = ?1 OR to_account = ?1) AND ended IS NULL
             ORDER BY created, id LIMIT ?2"
        );
        self.many(&sql, (account.0, limit), rows::request)
    }

    fn requests_overdue(&self, now: UtcTime, limit: u32) -> Result<Vec<JamRequest>, StoreError> {
        let sql = format!(
            "SELECT {REQUEST} FROM requests WHERE ended IS NULL AND expires <= ?1
             ORDER BY expires, id LIMIT ?2"
        );
        self.many(&sql, (now.as_nanos(), limit), rows::request)
    }

    fn next_expiry(&self) -> Result<Option<UtcTime>, StoreError> {
        let sql = "SELECT min(expires) FROM requests WHERE ended IS NULL";
        let found = self.one(sql, [], |row| column::<Option<i64>>(row, 0))?;
        Ok(found.flatten().map(UtcTime::from_nanos))
    }

    fn jam(&self, id: JamId) -> Result<Option<Jam>, StoreError> {
        // Looked for in any case, so that a Jam that never was takes as long as one of others.
        let participants = self.participants(id)?;
        let sql = "SELECT id, expires, ended FROM jams WHERE id = ?1";
        self.one(sql, [id.0], |row| jam_row(row, participants))
    }

    fn jams_of(&self, device: DeviceKey, now: UtcTime) -> Result<Vec<Jam>, StoreError> {
        let sql = "SELECT j.id, j.expires, j.ended FROM participants p JOIN jams j ON j.id = p.jam
             WHERE p.device = ?1 AND j.ended = 0 AND j.expires > ?2 ORDER BY j.id";
        self.many(sql, (device.0, now.as_nanos()), |row| jam_row(row, self.participants(rows::jam_id(row)?)?))
    }

    fn newest_event(&self, device: DeviceKey) -> Result<Option<EventNumber>, StoreError> {
        self.one("SELECT last_event FROM devices WHERE key = ?1", [device.0], |row| {
            let newest = u64::try_from(column::<i64>(row, 0)?).map_err(|_| StoreError::Corrupt("event"))?;
            Ok(EventNumber(newest))
        })
    }

    fn events_after(
        &self,
        device: DeviceKey,
        after: EventNumber,
        limit: u32,
    ) -> Result<Vec<NumberedEvent>, StoreError> {
        let after = i64::try_from(after.0).unwrap_or(i64::MAX);
        let sql =
            "SELECT number, body FROM events WHERE device = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
        self.many(sql, (device.0, after, limit), |row| {
            let number = u64::try_from(column::<i64>(row, 0)?).map_err(|_| StoreError::Corrupt("event"))?;
            let event = rows::value(&column::<Vec<u8>>(row, 1)?, "event")?;
            Ok(NumberedEvent { number: EventNumber(number), event })
        })
    }

    fn receipt(
        &self,
        device: DeviceKey,
        key: IdempotencyKey,
    ) -> Result<Option<([u8; 32], CoordReply)>, StoreError> {
        let sql = "SELECT digest, reply FROM receipts WHERE device = ?1 AND key = ?2";
        self.one(sql, (device.0, key.0), |row| {
            Ok((column(row, 0)?, rows::value(&column::<Vec<u8>>(row, 1)?, "receipt")?))
        })
    }

    fn conversation(&self, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        self.find_conversation(id)
    }

    fn conversations_after(
        &self,
        account: AccountId,
        after: Option<ConversationId>,
        limit: u32,
    ) -> Result<Vec<Conversation>, StoreError> {
        self.find_conversations(account, after, limit)
    }

    fn log_cursors(&self, conversation: ConversationId) -> Result<Vec<LogCursor>, StoreError> {
        self.find_log_cursors(conversation)
    }

    fn log_after(
        &self,
        conversation: ConversationId,
        after: Sequence,
        limit: u32,
    ) -> Result<Vec<ConversationEntry>, StoreError> {
        self.find_log(conversation, after, limit)
    }

    fn posted(
        &self,
        conversation: ConversationId,
        post: PostId,
    ) -> Result<Option<(Sequence, UtcTime)>, StoreError> {
        self.find_post(conversation, post)
    }

    fn key_packages_left(&self, device: DeviceKey) -> Result<u32, StoreError> {
        self.count_key_packages(device)
    }

    fn last_resort(&self, device: DeviceKey) -> Result<Option<KeyPackage>, StoreError> {
        self.find_last_resort(device)
    }

    fn held_about(&self, account: AccountId, out: &mut dyn Write) -> Result<(), StoreError> {
        self.held(account, out)
    }

    fn statements(&self) -> u32 {
        self.statements.get()
    }

    fn public_addresses(&self) -> Result<Vec<String>, StoreError> {
        self.many("SELECT address FROM public_addresses ORDER BY place", [], |row| column(row, 0))
    }
}
