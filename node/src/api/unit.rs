//! How spans and identities are written in JSON: a time as a number whose unit ends the field's name, an identity as
//! its hexadecimal text.

/// Whole milliseconds, for positions and lengths that people read.
pub(super) mod ms {
    use jamsync_protocol::time::Span;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(span.as_millis())
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        i64::deserialize(deserializer).map(Span::from_millis)
    }
}

/// Microseconds with three decimals, so that nothing measured is rounded away and nothing is there that was not.
pub(super) mod us {
    use jamsync_protocol::time::Span;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((span.as_secs_f64() * 1e9).round() / 1e3)
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        f64::deserialize(deserializer).map(|micros| Span::from_secs_f64(micros / 1e6))
    }
}

/// Whole seconds, for ages and expiry.
pub(super) mod secs {
    use jamsync_protocol::time::Span;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(span.as_millis() / 1_000)
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        i64::deserialize(deserializer).map(Span::from_secs)
    }
}

/// Nanoseconds, for distances between clocks, which may be hours and still count to the nanosecond.
pub(super) mod ns {
    use jamsync_protocol::time::Span;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(span.as_nanos())
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        i64::deserialize(deserializer).map(Span::from_nanos)
    }
}

/// A calendar time in whole milliseconds since 1970, as scripts take it.
pub(super) mod unix_ms {
    use jamsync_protocol::time::{Span, UtcTime};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(at: &UtcTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64((*at - UtcTime::ZERO).as_millis())
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UtcTime, D::Error> {
        i64::deserialize(deserializer).map(|millis| UtcTime::ZERO + Span::from_millis(millis))
    }
}

/// The same where there may be none.
pub(super) mod unix_ms_or_none {
    use jamsync_protocol::time::{Span, UtcTime};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(at: &Option<UtcTime>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(|at| (at - UtcTime::ZERO).as_millis()).serialize(serializer)
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<UtcTime>, D::Error> {
        let millis = Option::<i64>::deserialize(deserializer)?;
        Ok(millis.map(|millis| UtcTime::ZERO + Span::from_millis(millis)))
    }
}

/// A reaction by its name.
pub(super) mod reaction {
    use jamsync_protocol::chat::Reaction;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(reaction: &Reaction, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(reaction.name())
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Reaction, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The same where there may be none.
pub(super) mod reaction_or_none {
    use jamsync_protocol::chat::Reaction;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands in a reference")]
    pub(crate) fn serialize<S: Serializer>(
        reaction: &Option<Reaction>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        reaction.map(Reaction::name).serialize(serializer)
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Reaction>, D::Error> {
        let name = Option::<String>::deserialize(deserializer)?;
        name.map(|name| name.parse().map_err(D::Error::custom)).transpose()
    }
}

/// A rate as a plain number of parts per million.
pub(super) mod ppm {
    use jamsync_protocol::time::Ppm;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(rate: &Ppm, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(rate.0)
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Ppm, D::Error> {
        f64::deserialize(deserializer).map(Ppm)
    }
}

/// An identity as hexadecimal text.
pub(super) mod hex {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<T: Display, S: Serializer>(id: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }
    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use jamsync_protocol::time::Span;

    #[test]
    fn microseconds_have_three_decimals_and_come_back_as_they_were() {
        for (nanos, text) in [(164_204, "164.204"), (-1, "-0.001"), (8_300, "8.3"), (0, "0.0")] {
            let span = Span::from_nanos(nanos);
            let mut json = Vec::new();
            super::us::serialize(&span, &mut serde_json::Serializer::new(&mut json)).expect("a number");
            assert_eq!(String::from_utf8_lossy(&json), text);
            let back = super::us::deserialize(&mut serde_json::Deserializer::from_slice(&json));
            assert_eq!(back.expect("a number"), span);
        }
    }
}
