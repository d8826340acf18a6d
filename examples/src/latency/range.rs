//! Numbers of a scenario file within their ranges, refused where the parser can name the line.

/// A deserializer of a number within a range, so that the parser can name the line.
macro_rules! ranged {
    ($name:ident: $type:ty, $least:literal to $most:literal $unit:literal) => {
        fn $name<'de, D: serde::Deserializer<'de>>(from: D) -> Result<$type, D::Error> {
            let value = f64::deserialize(from)?;
            if !($least..=$most).contains(&value) || value.fract().abs() > 0.0 && <$type>::WHOLE {
                let what = format!("{} is outside {} to {} {}", shown(value), $least, $most, $unit);
                return Err(serde::de::Error::custom(what));
            }
            Ok(<$type>::of(value))
        }
    };
}

/// A number as it is kept.
pub(super) trait Kept {
    const WHOLE: bool;
    fn of(value: f64) -> Self;
}

impl Kept for f64 {
    const WHOLE: bool = false;
    fn of(value: f64) -> Self {
        value
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
impl Kept for u32 {
    const WHOLE: bool = true;
    fn of(value: f64) -> Self {
        value as Self
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
impl Kept for i32 {
    const WHOLE: bool = true;
    fn of(value: f64) -> Self {
        value as Self
    }
}

/// A number as a person would write it: one of 300 digits by its power of ten.
pub(super) fn shown(value: f64) -> String {
    if value.abs() < 1e15 { value.to_string() } else { format!("{value:e}") }
}

pub(super) use ranged;
