//! What people type, turned into what requests carry: places in a track, dates, markets, numbers of the queue.
//!
//! Input is the text of one argument; the errors are completions of "invalid value: ...".

use std::str::FromStr;

use jamsync_protocol::{
    chat::{ChatText, ChatTextError, Reaction, UnknownReaction},
    identity,
    text::Text,
};

use crate::api::{ApiError, EntryKey, ErrorCode, Percent, SeekTo, Snapshot};

/// A queue entry as a person or a script names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EntryRef {
    /// Its number in `jamsync queue`, from 1.
    Number(usize),
    /// Its id in `jamsync queue --json`.
    Key(EntryKey),
}

/// A birth date that exists, as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BirthDate(pub(super) String);

/// A market, as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Market(pub(super) String);

/// A reaction as it is named; none takes back the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reacting(pub(super) Option<Reaction>);

impl FromStr for Reacting {
    type Err = UnknownReaction;
    fn from_str(text: &str) -> Result<Self, UnknownReaction> {
        if text.eq_ignore_ascii_case("none") {
            Ok(Self(None))
        } else {
            text.parse().map(|one| Self(Some(one)))
        }
    }
}

impl FromStr for EntryRef {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return match text.parse() {
                Ok(0) | Err(_) => Err("entries count from 1, as `jamsync queue` shows them".to_owned()),
                Ok(number) => Ok(Self::Number(number)),
            };
        }
        match Text::new(text) {
            Ok(key) if !text.is_empty() => Ok(Self::Key(EntryKey(key))),
            _ => Err("expected a number from `jamsync queue`".to_owned()),
        }
    }
}

impl FromStr for BirthDate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected a date as YYYY-MM-DD, such as 1998-04-30".to_owned();
        let fields: Vec<&str> = text.split('-').collect();
        let [year, month, day] = fields.as_slice() else { return Err(wrong()) };
        let number = |field: &str, digits: usize| {
            let plain = field.len() == digits && field.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| field.parse::<u32>().ok()).flatten().ok_or_else(wrong)
        };
        let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u32::from(leap),
            _ => return Err(wrong()),
        };
        if year >= 1900 && (1..=days).contains(&day) { Ok(Self(text.to_owned())) } else { Err(wrong()) }
    }
}

impl FromStr for Market {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let market: identity::Market =
            text.parse().map_err(|_| "expected a country's two letters, such as ES".to_owned())?;
        Ok(Self(market.as_str().to_owned()))
    }
}

/// What a person says, from the words of the command line. Line ends and tabs come as the clipboard has them.
pub(super) fn said(words: &[String]) -> Result<ChatText, ApiError> {
    let text = words.join(" ").replace("\r\n", "\n").replace('\t', " ");
    text.trim_end()
        .parse()
        .map_err(|error: ChatTextError| ApiError::from_sentence(ErrorCode::Usage, &error.to_string()))
}

/// A place in a track: `1:30`, `1:02:03`, `90`, `90.5`, and with a sign, from where it is now: `+10`, `-1:30`.
pub(super) fn seek(text: &str) -> Result<SeekTo, String> {
    let wrong = || "expected a place such as 1:30 or 90, or a step such as +10 or -10".to_owned();
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'+') => (Some(1), text.get(1..)),
        Some(b'-') => (Some(-1), text.get(1..)),
        _ => (None, Some(text)),
    };
    let ms = digits.and_then(clock_ms).ok_or_else(wrong)?;
    Ok(match sign {
        Some(sign) => SeekTo::ByMs(sign * i64::try_from(ms).map_err(|_| wrong())?),
        None => SeekTo::PositionMs(ms),
    })
}

/// `ms` as [`seek`] reads it and people write it: `4:51`, `1:02:03`.
pub(super) fn clock(ms: u64) -> String {
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// 0 to 100, with or without a percent sign.
pub(super) fn percent(text: &str) -> Result<Percent, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    number.parse().ok().and_then(Percent::new).ok_or_else(|| "expected a number from 0 to 100".to_owned())
}

/// The id of the entry that `named` means in the queue that was just read.
pub(super) fn entry_key(named: &EntryRef, snapshot: &Snapshot) -> Result<EntryKey, String> {
    match named {
        EntryRef::Key(key) => Ok(key.clone()),
        EntryRef::Number(number) => {
            snapshot.queue.get(number - 1).map(|entry| entry.entry.clone()).ok_or_else(|| {
                match snapshot.queue.len() {
                    0 => format!("there is no entry {number}: the queue is empty"),
                    1 => format!("there is no entry {number}: the queue has one entry"),
                    entries => format!("there is no entry {number}: the queue has {entries} entries"),
                }
            })
        }
    }
}

/// Behind which entry `moved` has to stand so that it becomes number `target`; none is the very front.
pub(super) fn predecessor(moved: &EntryKey, target: usize, snapshot: &Snapshot) -> Option<EntryKey> {
    let others = snapshot.queue.iter().map(|entry| &entry.entry).filter(|key| *key != moved);
    others.take(target.saturating_sub(1)).last().cloned()
}

/// Milliseconds from `[[hours:]minutes:]seconds[.fraction]`, where only the first number may pass 59.
fn clock_ms(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, rest)| (whole, Some(rest)));
    let digits =
        |field: &str| !field.is_empty() && field.len() <= 9 && field.bytes().all(|b| b.is_ascii_digit());
    let fields: Vec<&str> = whole.split(':').collect();
    if fields.len() > 3 || !fields.iter().all(|field| digits(field)) {
        return None;
    }
    let mut seconds: u64 = 0;
    for (place, field) in fields.iter().enumerate() {
        let value: u64 = field.parse().ok()?;
        if place > 0 && (field.len() != 2 || value > 59) {
            return None;
        }
        seconds = seconds * 60 + value;
    }
    let ms = match fraction {
        None => 0,
        Some(fraction) if digits(fraction) => format!("{fraction:0<3}").get(..3)?.parse().ok()?,
        Some(_) => return None,
    };
    Some(seconds * 1_000 + ms)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_are_read_as_people_write_them() {
        for (text, expected) in [
            ("1:30", Some(SeekTo::PositionMs(90_000))),
            ("90", Some(SeekTo::PositionMs(90_000))),
            ("1:02:03.5", Some(SeekTo::PositionMs(3_723_500))),
            ("0", Some(SeekTo::PositionMs(0))),
            ("+10", Some(SeekTo::ByMs(10_000))),
            ("-1:30", Some(SeekTo::ByMs(-90_000))),
            ("90:00", Some(SeekTo::PositionMs(5_400_000))),
            ("1:60", None),
            ("1:5", None),
            ("1:", None),
            (":30", None),
            ("", None),
            ("+", None),
            ("--5", None),
            ("1.5.2", None),
            ("1e3", None),
            ("1:00:00:00", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(seek(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn dates_that_do_not_exist_are_refused() {
        for (text, valid) in [
            ("2004-02-29", true),
            ("1900-01-01", true),
            ("2003-02-29", false),
            ("1900-02-29", false),
            ("2000-13-01", false),
            ("2000-00-10", false),
            ("2000-01-00", false),
            ("00-01-01", false),
            ("1998-4-30", false),
            ("+998-04-30", false),
            ("1998-04-30-1", false),
        ] {
            assert_eq!(text.parse::<BirthDate>().is_ok(), valid, "{text}");
        }
    }

    #[test]
    fn entries_are_numbers_from_one_or_ids() {
        assert_eq!("3".parse(), Ok(EntryRef::Number(3)));
        assert_eq!("0.17".parse(), Ok(EntryRef::Key(EntryKey(Text::truncated("0.17")))));
        assert!("0".parse::<EntryRef>().is_err() && "".parse::<EntryRef>().is_err());
        assert!("99999999999999999999999".parse::<EntryRef>().is_err());
    }

    proptest! {
        #[test]
        fn any_text_gives_a_place_or_an_error(text in ".{0,24}") {
            let _ = seek(&text);
        }

        #[test]
        fn a_place_survives_being_written(seconds in 0u64..1_000_000) {
            prop_assert_eq!(seek(&clock(seconds * 1_000)), Ok(SeekTo::PositionMs(seconds * 1_000)));
        }

        #[test]
        fn a_step_is_the_place_with_its_sign(ms in 0i64..100_000_000) {
            let text = format!("{}.{:03}", clock(ms.unsigned_abs()), ms % 1_000);
            prop_assert_eq!(seek(&format!("+{text}")), Ok(SeekTo::ByMs(ms)));
            prop_assert_eq!(seek(&format!("-{text}")), Ok(SeekTo::ByMs(-ms)));
        }
    }
}
