//! Typed time: the timescale is part of the type, so that two clocks cannot be mixed by accident.
//!
//! An [`Instant`] is a reading of one clock, a [`Span`] the signed distance between two readings, and a
//! [`Ppm`] the rate of one clock against another. Nothing here asks any clock: readings are passed in.
//!
//! Arithmetic saturates at the ends of the `i64` nanosecond range (292 years), because an overflow can only
//! come from a peer that lies, and a saturated instant is refused by the bounds that follow.
//!
//! ```compile_fail
//! use jamsync_protocol::time::{NodeTime, PeerTime};
//! // The other node's clock has another origin and another rate: subtracting them is meaningless.
//! let nonsense = NodeTime::from_nanos(5) - PeerTime::from_nanos(3);
//! ```

use core::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    marker::PhantomData,
    ops::{Add, AddAssign, Neg, Sub, SubAssign},
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One clock, named in the type of its readings. Implemented by the four scales of this module only.
pub trait Timescale: sealed::Sealed + 'static {
    /// How the scale is called in `Debug` output.
    const NAME: &'static str;
}

/// The scale of this node's own monotonic clock.
#[derive(Debug)]
pub enum NodeScale {}
/// The scale of the peer's monotonic clock.
#[derive(Debug)]
pub enum PeerScale {}
/// The scale of the clock that both nodes of a Jam share.
#[derive(Debug)]
pub enum JamScale {}
/// Coordinated universal time, nanoseconds since 1970, as a calendar shows it. Never used for playback.
#[derive(Debug)]
pub enum UtcScale {}

/// A reading of this node's own monotonic clock: which one that must be stands in [the crate's front page](crate#the-clock).
pub type NodeTime = Instant<NodeScale>;
/// A reading of the peer's monotonic clock.
pub type PeerTime = Instant<PeerScale>;
/// A reading of the Jam clock: time since the Jam's start on its host's clock.
pub type JamTime = Instant<JamScale>;
/// A calendar time, for expiry dates and histories.
pub type UtcTime = Instant<UtcScale>;

/// A reading of the clock `S`, in nanoseconds since that clock's own origin.
pub struct Instant<S: Timescale> {
    nanos: i64,
    scale: PhantomData<fn() -> S>,
}

/// A signed length of time in nanoseconds.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span {
    nanos: i64,
}

/// The relative rate of two clocks, in parts per million: +30 means 30 µs gained in each second.
#[derive(Clone, Copy, Default, PartialEq, PartialOrd)]
pub struct Ppm(pub f64);

impl<S: Timescale> Instant<S> {
    /// The origin of the clock.
    pub const ZERO: Self = Self::from_nanos(0);

    /// The reading `nanos` nanoseconds after the clock's origin.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self { nanos, scale: PhantomData }
    }

    /// Nanoseconds since the clock's origin.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.nanos
    }

    /// `self - earlier`, or zero where `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Span {
        (self - earlier).max(Span::ZERO)
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self::from_nanos(0);
    /// The longest span that can be expressed, 292 years.
    pub const MAX: Self = Self::from_nanos(i64::MAX);

    /// A span of `nanos` nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self { nanos }
    }

    /// A span of `micros` microseconds, saturating.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self { nanos: micros.saturating_mul(1_000) }
    }

    /// A span of `millis` milliseconds, saturating.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self { nanos: millis.saturating_mul(1_000_000) }
    }

    /// A span of `secs` seconds, saturating.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self { nanos: secs.saturating_mul(1_000_000_000) }
    }

    /// A span of `secs` seconds, rounded to the nearest nanosecond; saturating, and zero for NaN.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "`as` saturates and turns NaN into zero, as documented"
    )]
    pub fn from_secs_f64(secs: f64) -> Self {
        Self { nanos: libm::round(secs * 1e9) as i64 }
    }

    /// The span of a `core` duration, saturating.
    #[must_use]
    pub fn from_duration(duration: Duration) -> Self {
        Self { nanos: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX) }
    }

    /// The span as a `core` duration, to sleep for; zero for a negative span.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.nanos).unwrap_or(0))
    }

    /// The span in nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.nanos
    }

    /// The span in whole microseconds, truncated towards zero.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.nanos / 1_000
    }

    /// The span in whole milliseconds, truncated towards zero.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.nanos / 1_000_000
    }

    /// The span in seconds; exact to a nanosecond up to 104 days.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "loses less than a nanosecond below 2^53 ns, 104 days")]
    pub fn as_secs_f64(self) -> f64 {
        self.nanos as f64 / 1e9
    }

    /// The span without its sign, saturating.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self { nanos: self.nanos.saturating_abs() }
    }

    /// The span multiplied by `factor`, rounded; saturating, and zero for NaN.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self::from_secs_f64(self.as_secs_f64() * factor)
    }

    /// The time that a clock which is fast by `rate` gains over this span, rounded to a nanosecond.
    #[must_use]
    pub fn gained_at(self, rate: Ppm) -> Self {
        self.scaled(rate.0 * 1e-6)
    }
}

impl Ppm {
    /// Two clocks of equal rate.
    pub const ZERO: Self = Self(0.0);

    /// The factor between the two clocks: 1 for equal rates.
    #[must_use]
    pub fn as_factor(self) -> f64 {
        1.0 + self.0 * 1e-6
    }

    /// The rate whose [`as_factor`](Self::as_factor) is `factor`.
    #[must_use]
    pub fn from_factor(factor: f64) -> Self {
        Self((factor - 1.0) * 1e6)
    }

    /// The rate, no further from zero than `limit`; zero for NaN.
    #[must_use]
    pub fn clamped(self, limit: Self) -> Self {
        if self.0.is_nan() { Self::ZERO } else { Self(self.0.clamp(-limit.0.abs(), limit.0.abs())) }
    }
}

impl<S: Timescale> Clone for Instant<S> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<S: Timescale> Copy for Instant<S> {}
impl<S: Timescale> Default for Instant<S> {
    fn default() -> Self {
        Self::ZERO
    }
}
impl<S: Timescale> PartialEq for Instant<S> {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}
impl<S: Timescale> Eq for Instant<S> {}
impl<S: Timescale> PartialOrd for Instant<S> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<S: Timescale> Ord for Instant<S> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}
impl<S: Timescale> Hash for Instant<S> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.nanos.hash(state);
    }
}
impl<S: Timescale> Serialize for Instant<S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        serializer.serialize_i64(self.nanos)
    }
}
impl<'de, S: Timescale> Deserialize<'de> for Instant<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Self::from_nanos)
    }
}
impl<S: Timescale> fmt::Debug for Instant<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", S::NAME, Span { nanos: self.nanos })
    }
}

impl<S: Timescale> Add<Span> for Instant<S> {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self::from_nanos(self.nanos.saturating_add(span.nanos))
    }
}
impl<S: Timescale> Sub<Span> for Instant<S> {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self::from_nanos(self.nanos.saturating_sub(span.nanos))
    }
}
impl<S: Timescale> Sub for Instant<S> {
    type Output = Span;
    fn sub(self, earlier: Self) -> Span {
        Span::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }
}
impl<S: Timescale> AddAssign<Span> for Instant<S> {
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}
impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::from_nanos(self.nanos.saturating_add(other.nanos))
    }
}
impl Sub for Span {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self::from_nanos(self.nanos.saturating_sub(other.nanos))
    }
}
impl AddAssign for Span {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
impl SubAssign for Span {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}
impl Neg for Span {
    type Output = Self;
    fn neg(self) -> Self {
        Self::from_nanos(self.nanos.saturating_neg())
    }
}
impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
/// The span in the largest unit that leaves at least one digit before the point: `1.500 ms`, `-20.000 µs`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.nanos.unsigned_abs();
        let (unit, name) = match magnitude {
            0..1_000 => return write!(f, "{} ns", self.nanos),
            1_000..1_000_000 => (1_000, "µs"),
            1_000_000..1_000_000_000 => (1_000_000, "ms"),
            _ => (1_000_000_000, "s"),
        };
        let sign = if self.nanos < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:03} {name}", magnitude / unit, magnitude % unit * 1_000 / unit)
    }
}
impl Neg for Ppm {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}
impl Add for Ppm {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}
impl Sub for Ppm {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}
impl fmt::Debug for Ppm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:+.3} ppm", self.0)
    }
}

impl Timescale for NodeScale {
    const NAME: &'static str = "node";
}
impl Timescale for PeerScale {
    const NAME: &'static str = "peer";
}
impl Timescale for JamScale {
    const NAME: &'static str = "jam";
}
impl Timescale for UtcScale {
    const NAME: &'static str = "utc";
}

mod sealed {
    #[expect(unnameable_types, reason = "sealing a trait needs a name that others cannot write")]
    pub trait Sealed {}
    impl Sealed for super::NodeScale {}
    impl Sealed for super::PeerScale {}
    impl Sealed for super::JamScale {}
    impl Sealed for super::UtcScale {}
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn spans_read_in_their_natural_unit() {
        assert_eq!(format!("{}", Span::from_nanos(-7)), "-7 ns");
        assert_eq!(format!("{}", Span::from_nanos(1_500_000)), "1.500 ms");
        assert_eq!(format!("{}", Span::from_micros(-20)), "-20.000 µs");
        assert_eq!(format!("{:?}", JamTime::from_nanos(2_000_000_000)), "jam(2.000 s)");
    }

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        let last = NodeTime::from_nanos(i64::MAX);
        assert_eq!(last + Span::from_secs(1), last);
        assert_eq!(NodeTime::from_nanos(i64::MIN) - last, Span::from_nanos(i64::MIN));
        assert_eq!(Span::from_secs_f64(f64::NAN), Span::ZERO);
    }

    #[test]
    fn a_sleep_is_as_long_as_the_span_and_never_negative() {
        assert_eq!(Span::from_millis(3).as_duration(), Duration::from_millis(3));
        assert_eq!(Span::from_nanos(-1).as_duration(), Duration::ZERO);
        assert_eq!(Span::from_duration(Duration::from_micros(7)), Span::from_micros(7));
        assert_eq!(Span::from_duration(Duration::MAX), Span::MAX);
    }

    #[test]
    fn a_fast_clock_gains_its_rate() {
        assert_eq!(Span::from_secs(100).gained_at(Ppm(30.0)), Span::from_millis(3));
    }
}
