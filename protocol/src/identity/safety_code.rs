//! The safety code: sixty digits that two people compare, by voice or by camera, to know that nobody stands between them.
//!
//! It covers both account ids, and an account id is the hash of the entry that founds its device log. Equal codes mean that
//! both nodes follow the same two logs, which only the devices in them can extend; so the code stays as it is when a device
//! is added or revoked. After Signal's safety numbers: thirty digits for each account, in the order of the ids, so that
//! both people read the same.

use core::{fmt, str::FromStr};

use super::keys::{Domain, digest};
use crate::id::AccountId;

/// What two contacts compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafetyCode([u32; GROUPS]);

/// Why a text is no safety code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a safety code has {expected} digits, this has {actual}", expected = GROUPS * GROUP_DIGITS)]
pub struct NoSafetyCode {
    /// How many digits there are.
    pub actual: usize,
}

impl SafetyCode {
    /// The code of two accounts, the same whichever stands first.
    #[must_use]
    pub fn of(one: AccountId, other: AccountId) -> Self {
        let (first, second) = if one.0 <= other.0 { (one, other) } else { (other, one) };
        let mut groups = half(first).into_iter().chain(half(second));
        Self(core::array::from_fn(|_| groups.next().unwrap_or_default()))
    }
}

/// Thirty digits of one account. To find another account with the same takes 10^30 attempts on average.
fn half(account: AccountId) -> [u32; GROUPS / 2] {
    let hash = digest(Domain::SafetyCode, &account.0);
    let mut groups = hash.chunks_exact(GROUP_BYTES).map(|bytes| {
        let number = bytes.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        u32::try_from(number % GROUP_END).unwrap_or_default()
    });
    core::array::from_fn(|_| groups.next().unwrap_or_default())
}

/// Twelve groups of five digits.
impl fmt::Display for SafetyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, group) in self.0.iter().enumerate() {
            let gap = if place == 0 { "" } else { " " };
            write!(f, "{gap}{group:0GROUP_DIGITS$}")?;
        }
        Ok(())
    }
}

/// Reads the digits; what stands between them counts for nothing.
impl FromStr for SafetyCode {
    type Err = NoSafetyCode;

    fn from_str(text: &str) -> Result<Self, NoSafetyCode> {
        let mut groups = [0; GROUPS];
        let mut actual = 0;
        for digit in text.chars().filter_map(|character| character.to_digit(10)) {
            if let Some(group) = groups.get_mut(actual / GROUP_DIGITS) {
                *group = *group * 10 + digit;
            }
            actual += 1;
        }
        if actual == GROUPS * GROUP_DIGITS { Ok(Self(groups)) } else { Err(NoSafetyCode { actual }) }
    }
}

const GROUPS: usize = 12;
const GROUP_DIGITS: usize = 5;
/// Five bytes make a group: what the remainder favours is below one in ten million.
const GROUP_BYTES: usize = 5;
const GROUP_END: u64 = 100_000;

#[cfg(test)]
mod tests {
    use alloc::{borrow::ToOwned, format, string::ToString};

    use super::*;

    const ANA: AccountId = AccountId([1; 32]);
    const BEN: AccountId = AccountId([2; 32]);

    #[test]
    fn both_see_the_same_code_and_another_account_shows_another() {
        let code = SafetyCode::of(ANA, BEN);
        assert_eq!(code, SafetyCode::of(BEN, ANA));
        let other = SafetyCode::of(ANA, AccountId([3; 32]));
        let halves = |code: SafetyCode| {
            let text = code.to_string();
            let (first, second) = text.split_at(text.len() / 2);
            (first.trim().to_owned(), second.trim().to_owned())
        };
        let (ana, ben) = halves(code);
        let (same, third) = halves(other);
        assert_eq!(ana, same, "a half belongs to an account");
        assert_ne!(ben, third);
    }

    #[test]
    fn it_reads_as_twelve_groups_of_five_digits_and_back() {
        let code = SafetyCode::of(ANA, BEN);
        let text = code.to_string();
        assert_eq!(text, EXPECTED);
        for written in [text.clone(), text.replace(' ', ""), text.replace(' ', "-"), format!(" {text}\n")] {
            assert_eq!(written.parse(), Ok(code), "{written:?}");
        }
    }

    #[test]
    fn what_is_too_short_or_too_long_is_no_code() {
        let digits = SafetyCode::of(ANA, BEN).to_string();
        assert_eq!("".parse::<SafetyCode>(), Err(NoSafetyCode { actual: 0 }));
        assert_eq!(
            digits.split_at(digits.len() - 1).0.parse::<SafetyCode>(),
            Err(NoSafetyCode { actual: 59 })
        );
        assert_eq!(format!("{digits}7").parse::<SafetyCode>(), Err(NoSafetyCode { actual: 61 }));
    }

    /// As `protocol/docs/wire.md` says it is made.
    const EXPECTED: &str = "78074 33338 45380 81456 99061 66561 59994 30096 72090 64126 98513 28141";
}
