//! Rows to values and back. A row that does not hold what this program wrote is an error, never a guess.

use jamsync_protocol::{
    id::{AccountId, DeviceKey, JamId},
    identity::{CodeToken, DeviceLog, LinkToken, Tier},
    text::Text,
    time::UtcTime,
    wire::{
        codec,
        coord::{ReportReason, RequestEnd, RequestId},
    },
};
use rusqlite::Row;
use serde::{Serialize, de::DeserializeOwned};

use super::{Account, ContactRow, Device, DeviceCode, JamRequest, JoinPermit, Link, Report, StoreError};
use crate::eligibility::AgeRecord;

/// The columns of [`account`], in order.
pub(super) const ACCOUNT: &str =
    "a.id, a.handle, a.tier, a.age_met, a.birth_date, a.market, a.created, a.log, a.opted_out";
/// How many columns [`ACCOUNT`] has.
pub(super) const ACCOUNT_COLUMNS: usize = 9;
/// The columns of [`device`], in order.
pub(super) const DEVICE: &str = "key, account, name, added, revoked";
/// The columns of [`contact`], in order.
pub(super) const CONTACT: &str =
    "c.of_account, c.with_account, c.accepted, c.vouch, c.blocked, c.muted, c.removed, c.since";
/// The columns of [`report`], in order.
pub(super) const REPORT: &str = "number, by_account, about_account, reason, words, at";
/// The columns of [`request`], in order.
pub(super) const REQUEST: &str = "id, from_account, from_device, to_account, created, expires, ended";

/// More than any value kept in a column.
const VALUE_BYTES_MAX: usize = 64 * 1024;

pub(super) fn db(error: rusqlite::Error) -> StoreError {
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) {
        return StoreError::Full;
    }
    StoreError::Database(error.to_string())
}

pub(super) fn account(row: &Row<'_>) -> Result<Account, StoreError> {
    account_with(row, value(&column::<Vec<u8>>(row, 7)?, "device log")?)
}

fn account_with(row: &Row<'_>, log: DeviceLog) -> Result<Account, StoreError> {
    let corrupt = |_| StoreError::Corrupt("account");
    let birth_date: Option<String> = column(row, 4)?;
    Ok(Account {
        id: AccountId(column(row, 0)?),
        handle: column::<String>(row, 1)?.parse().map_err(|_| StoreError::Corrupt("handle"))?,
        tier: tier(column(row, 2)?)?,
        age: AgeRecord {
            met: column(row, 3)?,
            birth_date: birth_date.map(|text| text.parse()).transpose().map_err(corrupt)?,
        },
        market: column::<String>(row, 5)?.parse().map_err(corrupt)?,
        created: UtcTime::from_nanos(column(row, 6)?),
        log,
        opted_out: column(row, 8)?,
    })
}

/// An account among others. Where its device log cannot be read it has an empty one, which does not verify: so one that is
/// damaged does not hide the others.
pub(super) fn account_among(row: &Row<'_>) -> Result<Account, StoreError> {
    account_with(row, value(&column::<Vec<u8>>(row, 7)?, "device log").unwrap_or_default())
}

pub(super) fn permit(row: &Row<'_>) -> Result<JoinPermit, StoreError> {
    Ok(JoinPermit {
        fingerprint: column(row, 0)?,
        uses_left: column(row, 1)?,
        expires: UtcTime::from_nanos(column(row, 2)?),
    })
}

pub(super) fn link(row: &Row<'_>) -> Result<Link, StoreError> {
    Ok(Link {
        token: LinkToken(column(row, 0)?),
        creator: AccountId(column(row, 1)?),
        expires: UtcTime::from_nanos(column(row, 2)?),
        accepter: column::<Option<[u8; 32]>>(row, 3)?.map(AccountId),
    })
}

pub(super) fn device(row: &Row<'_>) -> Result<Device, StoreError> {
    Ok(Device {
        key: DeviceKey(column(row, 0)?),
        account: AccountId(column(row, 1)?),
        name: Text::new(column::<String>(row, 2)?).map_err(|_| StoreError::Corrupt("device"))?,
        added: UtcTime::from_nanos(column(row, 3)?),
        revoked: column(row, 4)?,
    })
}

pub(super) fn device_code(row: &Row<'_>) -> Result<DeviceCode, StoreError> {
    Ok(DeviceCode {
        token: CodeToken(column(row, 0)?),
        account: AccountId(column(row, 1)?),
        maker: DeviceKey(column(row, 2)?),
        expires: UtcTime::from_nanos(column(row, 3)?),
        asks: column(row, 4)?,
    })
}

/// The contact whose columns begin at `first`.
pub(super) fn contact(row: &Row<'_>, first: usize) -> Result<ContactRow, StoreError> {
    Ok(ContactRow {
        of: AccountId(column(row, first)?),
        with: AccountId(column(row, first + 1)?),
        accepted: optional(row, first + 2, "contact")?,
        vouch: optional(row, first + 3, "vouch")?,
        blocked: column(row, first + 4)?,
        muted: column(row, first + 5)?,
        removed: column(row, first + 6)?,
        since: UtcTime::from_nanos(column(row, first + 7)?),
    })
}

pub(super) fn report(row: &Row<'_>) -> Result<Report, StoreError> {
    let reason = match column::<u8>(row, 3)? {
        0 => ReportReason::Spam,
        1 => ReportReason::Harassment,
        2 => ReportReason::Impersonation,
        3 => ReportReason::Other,
        _ => return Err(StoreError::Corrupt("report")),
    };
    Ok(Report {
        number: column(row, 0)?,
        by: column::<Option<[u8; 32]>>(row, 1)?.map(AccountId),
        about: column::<Option<[u8; 32]>>(row, 2)?.map(AccountId),
        reason,
        words: Text::new(column::<String>(row, 4)?).map_err(|_| StoreError::Corrupt("report"))?,
        at: UtcTime::from_nanos(column(row, 5)?),
    })
}

/// How a reason is kept. [`report`] reads it back.
pub(super) const fn reason_number(reason: ReportReason) -> u8 {
    match reason {
        ReportReason::Spam => 0,
        ReportReason::Harassment => 1,
        ReportReason::Impersonation => 2,
        ReportReason::Other => 3,
    }
}

pub(super) fn request(row: &Row<'_>) -> Result<JamRequest, StoreError> {
    let end = match column::<Option<u8>>(row, 6)? {
        None => None,
        Some(0) => Some(RequestEnd::Accepted),
        Some(1) => Some(RequestEnd::Declined),
        Some(2) => Some(RequestEnd::Cancelled),
        Some(3) => Some(RequestEnd::Expired),
        Some(_) => return Err(StoreError::Corrupt("request")),
    };
    Ok(JamRequest {
        id: RequestId(column(row, 0)?),
        from: AccountId(column(row, 1)?),
        from_device: DeviceKey(column(row, 2)?),
        to: AccountId(column(row, 3)?),
        created: UtcTime::from_nanos(column(row, 4)?),
        expires: UtcTime::from_nanos(column(row, 5)?),
        end,
    })
}

/// How an end is kept. [`request`] reads it back.
pub(super) fn end_number(end: RequestEnd) -> Result<u8, StoreError> {
    match end {
        RequestEnd::Accepted => Ok(0),
        RequestEnd::Declined => Ok(1),
        RequestEnd::Cancelled => Ok(2),
        RequestEnd::Expired => Ok(3),
        _ => Err(StoreError::Corrupt("request")),
    }
}

pub(super) fn jam_id(row: &Row<'_>) -> Result<JamId, StoreError> {
    column(row, 0).map(JamId)
}

/// How a tier is kept. [`account`] reads it back.
pub(super) const fn tier_number(tier: Tier) -> u8 {
    match tier {
        Tier::Free => 0,
        Tier::Premium => 1,
    }
}

fn tier(number: u8) -> Result<Tier, StoreError> {
    match number {
        0 => Ok(Tier::Free),
        1 => Ok(Tier::Premium),
        _ => Err(StoreError::Corrupt("tier")),
    }
}

pub(super) fn column<T: rusqlite::types::FromSql>(row: &Row<'_>, index: usize) -> Result<T, StoreError> {
    row.get(index).map_err(db)
}

/// A value that may be missing, kept as the bytes that the wire would use.
fn optional<T: DeserializeOwned>(
    row: &Row<'_>,
    index: usize,
    what: &'static str,
) -> Result<Option<T>, StoreError> {
    column::<Option<Vec<u8>>>(row, index)?.map(|bytes| value(&bytes, what)).transpose()
}

/// A value kept as the bytes that the wire would use.
pub(super) fn value<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T, StoreError> {
    codec::decode(bytes).map_err(|_| StoreError::Corrupt(what))
}

pub(super) fn bytes<T: Serialize>(value: &T, what: &'static str) -> Result<Vec<u8>, StoreError> {
    codec::encode(value, VALUE_BYTES_MAX).map_err(|_| StoreError::Corrupt(what))
}
