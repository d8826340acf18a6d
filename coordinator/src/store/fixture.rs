//! For tests: people who have signed up.

use jamsync_protocol::{
    identity::{DeviceLog, DeviceSecret, Tier, VerifiedLog},
    time::UtcTime,
};

use super::Account;
use crate::eligibility::AgeRecord;

/// An adult in Germany with Premium and one device, whose secret comes from `seed`.
pub(crate) fn person(seed: u8) -> (Account, VerifiedLog) {
    let log = DeviceLog::found(&DeviceSecret::from_seed(&[seed; 32]), [seed; 16]);
    let account = Account {
        id: log.account(),
        handle: format!("person{seed}").parse().expect("a handle"),
        tier: Tier::Premium,
        age: AgeRecord { met: 16, birth_date: None },
        market: "DE".parse().expect("a country"),
        created: UtcTime::ZERO,
        log: log.as_log().clone(),
        opted_out: false,
    };
    (account, log)
}
