//! Numbers as they stand in a scenario file: each with its unit and its range, checked where it is read, so that
//! the parser can name the line.

use jamsync_protocol::time::Span;
use serde::{Deserialize as _, Deserializer, Serialize, Serializer, de::Error as _};

use super::config::{Outage, RouteChange};

/// A module for `#[serde(with)]`: a number in a range, with its unit, and the way there and back.
macro_rules! number {
    ($name:ident: $type:ty, $range:expr, $unit:literal, $read:expr, $write:expr) => {
        pub(super) mod $name {
            use super::*;

            pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
                from: D,
            ) -> Result<$type, D::Error> {
                ranged(from, $range, $unit).map($read)
            }

            pub(in super::super) fn serialize<S: Serializer>(
                value: &$type,
                to: S,
            ) -> Result<S::Ok, S::Error> {
                to.serialize_f64($write(*value))
            }
        }
    };
}

number!(delay_ms: Span, 0.0..=10_000.0, "ms", |ms| Span::from_secs_f64(ms * 1e-3), |span: Span| span.as_secs_f64() * 1e3);
number!(instant_s: Span, 0.0..=100_000.0, "s", Span::from_secs_f64, Span::as_secs_f64);
number!(share: f64, 0.0..=1.0, "as a share", |share| share, |share: f64| share);
number!(kbit_per_s: f64, 1.0..=10_000_000.0, "kbit/s", |rate| rate, |rate: f64| rate);

pub(super) mod queue_bytes {
    use super::*;

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
        let bytes = ranged(from, 1_500.0..=100_000_000.0, "bytes")?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
        Ok(bytes as u32)
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(in super::super) fn serialize<S: Serializer>(value: &u32, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(*value)
    }
}

/// Lists with a bound, since every packet looks through them.
macro_rules! list {
    ($name:ident: $type:ty) => {
        pub(super) mod $name {
            use super::*;

            pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
                from: D,
            ) -> Result<Vec<$type>, D::Error> {
                let list = Vec::<$type>::deserialize(from)?;
                if list.len() > LIST_MAX {
                    return Err(D::Error::custom(format!(
                        "{} items, at most {LIST_MAX} allowed",
                        list.len()
                    )));
                }
                Ok(list)
            }

            pub(in super::super) fn serialize<S: Serializer>(
                list: &[$type],
                to: S,
            ) -> Result<S::Ok, S::Error> {
                list.serialize(to)
            }
        }
    };
}

list!(outages: Outage);
list!(routes: RouteChange);

const LIST_MAX: usize = 1_000;

fn ranged<'de, D: Deserializer<'de>>(
    from: D,
    range: std::ops::RangeInclusive<f64>,
    unit: &str,
) -> Result<f64, D::Error> {
    let value = f64::deserialize(from)?;
    if range.contains(&value) {
        return Ok(value);
    }
    // Of a number that is far too large, hundreds of digits tell nothing.
    let value = if value.abs() < 1e15 { value.to_string() } else { format!("{value:e}") };
    Err(D::Error::custom(format!("{value} is outside {} to {} {unit}", range.start(), range.end())))
}
