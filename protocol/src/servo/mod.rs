//! The servo: keeps the sound that leaves the device on the Jam clock.
//!
//! Two machines, both without IO. [`AudibleLine`] learns from the sink's stamps *when a device frame will be
//! audible*. [`Servo`] turns the error of the next frame (audible minus intended) into a small change of speed,
//! or asks for a re-anchor where no small change would do. The model, the units, the heuristics and the measured
//! figures are in `docs/servo.md`.
//!
//! Neither asks a clock, knows of the peer or touches samples: stamps come from the sink, the intended time from
//! the timeline, the clock's drift from the clock, and the caller's resampler obeys the [`Action`].
//!
//! # Signs
//! - [`AudibleLine::dac`] is positive where the device is fast: it plays more frames in a second than it declares.
//! - The drift of the Jam clock is positive where Jam time gains on node time.
//! - An error is positive where the sound is late.
//! - An [`Action::Rate`] is positive where the source must be used up faster: one device frame takes
//!   `source rate / device rate * (1 + rate)` source frames. A resampler whose ratio is output over input gets
//!   `device rate / source rate / (1 + rate)`.
//!
//! A worked example: the device is fast by 60 ppm and Jam time gains 30 ppm. In a node second the device plays
//! 48,002.88 frames while 1.000030 s of music are due, so one device frame has to carry 30 - 60 = -30 ppm more,
//! that is 30 ppm less, music than declared: [`feed_forward`] gives -30 ppm. If the sound is also 10 µs late, the
//! proportional part at 0.2/s adds +2 ppm: the source is used up faster until the sound is on time.
//!
//! ```
//! use jamsync_protocol::{
//!     media::{Frames, SampleRate},
//!     servo::{Action, AudibleLine, Servo, ServoConfig, feed_forward},
//!     time::{NodeTime, Ppm, Span},
//! };
//!
//! let mut line = AudibleLine::new(SampleRate::HZ_48000, None);
//! let mut servo = Servo::new(ServoConfig::default());
//! servo.handle_start(NodeTime::ZERO);
//! for callback in 0..100_u64 {
//!     // Each callback asks for 480 frames; the first of them will be audible 20 ms after the callback.
//!     let entered = NodeTime::from_nanos(10_000_000 * i64::try_from(callback)?);
//!     let _ = line.handle_stamp(Frames(480 * callback), entered + Span::from_millis(20));
//! }
//! let next = Frames(48_000);
//! let audible = line.audible_at(next).ok_or("no stamp yet")?;
//! let intended = NodeTime::from_nanos(1_020_000_000);
//! let jam_drift = Ppm::ZERO;
//! servo.handle_spread(line.spread());
//! match servo.step(NodeTime::from_nanos(990_000_000), audible - intended, feed_forward(line.dac(), jam_drift)) {
//!     Action::Rate(rate) => assert!(rate.0.abs() < 1.0),
//!     Action::Reanchor => unreachable!("the sound is on time"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod control;
mod fit;
mod halt;
mod line;
mod pace;
mod settling;
mod suspects;
mod window;

#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

pub use control::{Action, Servo, ServoConfig, feed_forward};
pub use line::{AudibleLine, FramePosition, LineEvent};
