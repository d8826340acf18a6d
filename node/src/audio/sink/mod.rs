//! Where sound goes: one trait, a file for each kind of output.
//!
//! A sink calls an [`Output`] once per period and never does anything else with the player. It says of each
//! period how much later its first frame is heard, as well as the device knows.

mod card;
mod null;
mod paced;
mod virtual_dac;
mod wav;

use jamsync_protocol::{media::SampleRate, time::Span};

use super::{AudioError, playout::Reader};
use crate::clock::NodeClock;

pub use card::{Card, cards};
pub use null::Null;
pub use virtual_dac::{DacConfig, Model as DacModel, Period as DacPeriod, VirtualDac};
pub use wav::WavFile;

/// An output that has not been started.
pub trait Sink: Send {
    /// Frames per second that it declares.
    fn rate(&self) -> SampleRate;

    /// Starts to take frames. It stops when what is returned is dropped.
    ///
    /// # Errors
    /// [`AudioError`] where the device or the file cannot be used.
    fn start(self: Box<Self>, output: Output, lost: OnLost) -> Result<Box<dyn Running>, AudioError>;
}

/// An output that takes frames; dropping it stops it.
pub trait Running: Send + std::fmt::Debug {}

/// Told once, with the reason, when a device goes away while it plays. Called on the device's thread.
pub type OnLost = Box<dyn Fn(String) + Send>;

/// The callback that a sink calls for each period: it adds the node's time and takes the frames.
#[derive(Debug)]
pub struct Output {
    reader: Reader,
    clock: NodeClock,
}

impl Output {
    /// The callback over `reader`.
    #[must_use]
    pub fn new(reader: Reader, clock: NodeClock) -> Self {
        Self { reader, clock }
    }

    /// Fills interleaved stereo `out`, of which the first frame is heard `delay` after this call. It does not
    /// allocate, lock or log.
    pub fn fill(&mut self, out: &mut [f32], delay: Span) {
        let entered = self.clock.now();
        self.reader.take(out, entered, delay);
    }
}
