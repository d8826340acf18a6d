//! Files to frames: WAV, FLAC, MP3 and Vorbis, at the file's own rate, as stereo.
//!
//! A [`TrackReader`] promises what playing in step needs and codecs do not give by themselves: an exact
//! length, frames without the encoder's delay and padding, and a seek that yields the same samples as reading
//! up to there. It reads one file and nothing else, and never panics on what the file holds.
//!
//! Every block that the codec gives is placed by its own timestamp. So one damaged packet leaves a gap of
//! silence and everything after it stays in time; the reader tells once that something was missing.

mod ahead;
mod blocks;
mod error;
mod ogg;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use jamsync_protocol::media::{Frames, SampleRate};

use crate::audio::playout::Stereo;
use blocks::Blocks;
pub use error::DecodeError;

/// A file that is open for playing.
#[derive(Debug)]
pub struct TrackReader {
    blocks: Blocks,
    length: Frames,
    /// The frame that [`read`](Self::read) gives next.
    position: Frames,
    /// Decoded frames, the first of them at `block_start`.
    block: Vec<Stereo>,
    block_start: i64,
    ended: bool,
    /// Whether the next block is the first since a seek.
    sought: bool,
    damage: Damage,
}

/// Whether frames were found missing within the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    None,
    /// From this frame on; nobody has asked yet.
    Found(Frames),
    Told,
}

impl TrackReader {
    /// Opens a file and finds its exact length, which for an MP3 means to read it once. The end is decoded
    /// too, so that a file that was cut short is refused here and not in the middle of a Jam.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong with the file.
    pub fn open(path: &Path) -> Result<Self, DecodeError> {
        guarded(|| {
            let mut blocks = Blocks::open(path)?;
            let length = blocks.length()?;
            if length == Frames::ZERO {
                return Err(DecodeError::NoSound);
            }
            let mut reader = Self {
                blocks,
                length,
                position: Frames::ZERO,
                block: Vec::new(),
                block_start: 0,
                ended: false,
                sought: false,
                damage: Damage::None,
            };
            reader.seek(length.minus(END_SLACK_MAX.plus(Frames(1))))?;
            reader.read(&mut [[0.0; 2]])?;
            reader.seek(Frames::ZERO)?;
            Ok(reader)
        })
    }

    /// From now on the file is read some seconds ahead, on a thread of its own: a slow disk is not waited for.
    pub fn read_ahead(&self) {
        self.blocks.read_ahead();
    }

    /// The file's own rate.
    #[must_use]
    pub fn rate(&self) -> SampleRate {
        self.blocks.rate()
    }

    /// The exact length, delay and padding taken off.
    #[must_use]
    pub fn length(&self) -> Frames {
        self.length
    }

    /// The frame that comes next.
    #[must_use]
    pub fn position(&self) -> Frames {
        self.position
    }

    /// Moves to a frame. At the length or past it, nothing follows.
    ///
    /// # Errors
    /// [`DecodeError`] where the file cannot be read there.
    pub fn seek(&mut self, to: Frames) -> Result<(), DecodeError> {
        guarded(|| {
            self.position = to.min(self.length);
            self.block.clear();
            self.ended = false;
            self.sought = true;
            if self.position < self.length {
                self.blocks.seek(self.position)?;
            }
            Ok(())
        })
    }

    /// Where the first frames lie that are missing within the file and were given as silence; told once, however
    /// many there are.
    #[must_use]
    pub fn take_damage(&mut self) -> Option<Frames> {
        let Damage::Found(at) = self.damage else { return None };
        self.damage = Damage::Told;
        Some(at)
    }

    /// Fills `out` with the next frames and says how many there were: all of them, or fewer at the end.
    ///
    /// # Errors
    /// [`DecodeError`] where the file is damaged beyond a few packets, ends early or can no longer be read.
    pub fn read(&mut self, out: &mut [Stereo]) -> Result<usize, DecodeError> {
        guarded(|| {
            let left = usize::try_from(self.length.minus(self.position).0).unwrap_or(usize::MAX);
            let wanted = out.len().min(left);
            let mut done = 0;
            while let Some(rest) = out.get_mut(done..wanted).filter(|rest| !rest.is_empty()) {
                let taken = self.take_from_block(rest);
                if taken == 0 {
                    self.next_block()?;
                }
                self.position = self.position.plus(Frames(taken as u64));
                done += taken;
            }
            Ok(done)
        })
    }

    /// Frames of the current block at the position. Where the block begins later, a packet before it was
    /// damaged, and silence fills the gap.
    fn take_from_block(&self, out: &mut [Stereo]) -> usize {
        if self.block.is_empty() {
            return 0;
        }
        let skip = i64::try_from(self.position.0).unwrap_or(i64::MAX).saturating_sub(self.block_start);
        if skip < 0 {
            let gap = usize::try_from(skip.unsigned_abs()).unwrap_or(usize::MAX).min(out.len());
            out.iter_mut().take(gap).for_each(|frame| *frame = [0.0; 2]);
            return gap;
        }
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let ready = self.block.get(skip..).unwrap_or_default();
        let count = ready.len().min(out.len());
        out.iter_mut().zip(ready).for_each(|(out, frame)| *out = *frame);
        count
    }

    fn next_block(&mut self) -> Result<(), DecodeError> {
        self.block.clear();
        if self.ended {
            return Err(self.truncated());
        }
        let sought = std::mem::take(&mut self.sought);
        if let Some(start) = self.blocks.next(&mut self.block)? {
            self.block_start = start;
            self.note_gap(sought);
            return Ok(());
        }
        // A tag that counts the padding a packet too small is no damage; a missing second is.
        self.ended = true;
        let missing = self.length.minus(self.position);
        if missing > END_SLACK_MAX {
            return Err(self.truncated());
        }
        self.block_start = i64::try_from(self.position.0).unwrap_or(i64::MAX);
        self.block.resize(usize::try_from(missing.0).unwrap_or_default(), [0.0; 2]);
        Ok(())
    }

    /// A block that begins behind the position follows a damaged packet. Not so at the beginning, where a file may say
    /// that its music begins later, and after a seek in an MP3, whose first packets need those before them.
    fn note_gap(&mut self, sought: bool) {
        let begins = u64::try_from(self.block_start).unwrap_or(0);
        let expected = self.position > Frames::ZERO && !(sought && self.blocks.needs_run_up());
        if self.damage == Damage::None && expected && begins > self.position.0 {
            self.damage = Damage::Found(self.position);
        }
    }

    fn truncated(&self) -> DecodeError {
        DecodeError::Truncated {
            expected: self.rate().span_of(self.length),
            actual: self.rate().span_of(self.position),
        }
    }
}

/// Frames that may be missing at the end before a file counts as cut short: one MPEG frame.
const END_SLACK_MAX: Frames = Frames(1_152);

/// Runs a decoder over a file of unknown origin. Decoders are written for files that mean well: one that gives up by
/// a panic has met a damaged file, and the thread that plays goes on.
fn guarded<T>(decode: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    let gave_up = || DecodeError::Corrupt { reason: "the decoder gave up on it".to_owned() };
    // What a panic leaves half done is the reader itself, which plays nothing more after an error.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| Err(gave_up()))
}

#[cfg(test)]
mod tests;
