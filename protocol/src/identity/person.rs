//! What sign-up asks of a person: a date of birth and a country. The age rule is here, so that node and
//! coordinator count alike.

use core::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

use crate::time::UtcTime;

/// A day of the Gregorian calendar from 1900 to 2199, written `2001-12-31`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// A country that there is: two capital letters of ISO 3166-1, or `XK`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Market([u8; 2]);

/// A text that is no date or no country.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PersonError {
    /// Not a day of the calendar.
    #[error("a date is written year-month-day, for example 2001-12-31")]
    Date,
    /// Not a country.
    #[error("that is no country; write its two letters of ISO 3166, for example DE")]
    Market,
}

impl Date {
    /// The day, or `None` where the calendar has none such.
    #[must_use]
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let exists = (1900..2200).contains(&year) && (1..=days_in(year, month)).contains(&day);
        exists.then_some(Self { year, month, day })
    }

    /// The day in Greenwich at `time`; the first or last day of the calendar outside it.
    #[must_use]
    pub fn of(time: UtcTime) -> Self {
        let days = time.as_nanos().div_euclid(86_400 * 1_000_000_000);
        // Days to civil date, after H. Hinnant, "chrono-compatible low-level date algorithms".
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let narrow = || Self::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?);
        narrow().unwrap_or(if days < 0 { Self::FIRST } else { Self::LAST })
    }

    /// The first day on which someone born on this day is `years` old. Who is born on 29 February has a
    /// birthday on 1 March in other years.
    #[must_use]
    pub fn birthday(self, years: u8) -> Self {
        let year = self.year.saturating_add(u16::from(years));
        let same = Self::new(year, self.month, self.day);
        same.or_else(|| Self::new(year, 3, 1)).unwrap_or(Self::LAST)
    }

    const FIRST: Self = Self { year: 1900, month: 1, day: 1 };
    const LAST: Self = Self { year: 2199, month: 12, day: 31 };
}

impl FromStr for Date {
    type Err = PersonError;
    fn from_str(text: &str) -> Result<Self, PersonError> {
        let mut parts = text.trim().splitn(3, '-');
        let mut part = |digits: usize| {
            parts.next().filter(|p| p.len() == digits && p.bytes().all(|b| b.is_ascii_digit()))
        };
        let (Some(year), Some(month), Some(day)) = (part(4), part(2), part(2)) else {
            return Err(PersonError::Date);
        };
        let (Ok(year), Ok(month), Ok(day)) = (year.parse(), month.parse(), day.parse()) else {
            return Err(PersonError::Date);
        };
        Self::new(year, month, day).ok_or(PersonError::Date)
    }
}
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}
/// A date of birth does not belong into a log.
impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("date")
    }
}
impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (year, month, day) = Deserialize::deserialize(deserializer)?;
        Self::new(year, month, day).ok_or_else(|| serde::de::Error::custom("no day of the calendar"))
    }
}

impl Market {
    fn of(letters: [u8; 2]) -> Option<Self> {
        let is_it = |known: &str| known.as_bytes() == letters;
        COUNTRIES.split_ascii_whitespace().any(is_it).then_some(Self(letters))
    }

    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}
impl FromStr for Market {
    type Err = PersonError;
    fn from_str(text: &str) -> Result<Self, PersonError> {
        match text.trim().as_bytes() {
            [a, b] => Self::of([a.to_ascii_uppercase(), b.to_ascii_uppercase()]).ok_or(PersonError::Market),
            _ => Err(PersonError::Market),
        }
    }
}
impl fmt::Display for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
impl fmt::Debug for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
impl<'de> Deserialize<'de> for Market {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let letters = <[u8; 2]>::deserialize(deserializer)?;
        Self::of(letters).ok_or_else(|| serde::de::Error::custom("no country"))
    }
}

/// The codes that ISO 3166-1 assigns, and the one in common use for Kosovo.
const COUNTRIES: &str = "
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO
    FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE
    JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO
    MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW
    PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM
    TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

fn days_in(year: u16, month: u8) -> u8 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::time::Span;

    fn date(text: &str) -> Date {
        text.parse().expect("a date")
    }

    #[test]
    fn a_time_falls_on_its_day() {
        let day = Span::from_secs(86_400);
        assert_eq!(Date::of(UtcTime::ZERO), date("1970-01-01"));
        assert_eq!(Date::of(UtcTime::ZERO - Span::from_nanos(1)), date("1969-12-31"));
        assert_eq!(Date::of(UtcTime::ZERO + Span::from_secs(951_782_400)), date("2000-02-29"));
        assert_eq!(Date::of(UtcTime::ZERO + Span::from_secs(1_795_219_200)), date("2026-11-21"));
        let mut time = UtcTime::ZERO;
        let mut before = Date::of(time);
        for _ in 0..50_000 {
            time += day;
            let next = Date::of(time);
            assert!(next > before, "{before} is followed by {next}");
            before = next;
        }
    }

    #[test]
    fn a_birthday_is_the_first_day_of_that_age() {
        assert_eq!(date("2010-11-21").birthday(16), date("2026-11-21"));
        assert_eq!(date("2008-02-29").birthday(16), date("2024-02-29"));
        assert_eq!(date("2008-02-29").birthday(18), date("2026-03-01"));
    }

    #[test]
    fn what_no_calendar_has_is_refused() {
        for wrong in [
            "2001-02-29",
            "2001-13-01",
            "1899-12-31",
            "01-01-2001",
            "2001-1-1",
            "+001-01-01",
            "",
            "2001-01-01-01",
        ] {
            assert_eq!(wrong.parse::<Date>(), Err(PersonError::Date), "{wrong}");
        }
        assert!(
            postcard::from_bytes::<Date>(&postcard::to_allocvec(&(2001u16, 2u8, 29u8)).expect("encodes"))
                .is_err()
        );
    }

    #[test]
    fn a_country_is_one_that_there_is() {
        assert_eq!("de".parse::<Market>().expect("a country").to_string(), "DE");
        for wrong in ["Ger", "ZZ", "XX", "EU", "D", ""] {
            assert_eq!(wrong.parse::<Market>(), Err(PersonError::Market), "{wrong}");
        }
        assert_eq!(postcard::from_bytes::<Market>(b"DE").expect("a country").as_str(), "DE");
        assert!(postcard::from_bytes::<Market>(b"de").is_err());
        assert!(postcard::from_bytes::<Market>(b"ZZ").is_err());
        assert_eq!(COUNTRIES.split_ascii_whitespace().count(), 250);
    }
}
