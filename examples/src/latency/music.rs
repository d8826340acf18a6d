//! The music of the runs: made by rule, the same for all, made once and kept.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Context;
use jamsync_protocol::{media::SampleRate, time::Span};

use super::{Case, Deed};
use crate::{score::Recording, tones::Piece};

/// Pieces that differ; a longer queue holds them again.
const PIECES: u64 = 2;

/// What both nodes have on disk.
#[derive(Debug)]
pub(super) struct Music {
    /// What the host plays, one after the other.
    pub(super) queue: Vec<PathBuf>,
    /// What the guest has.
    pub(super) guest: Vec<PathBuf>,
    /// How long each piece is, in seconds.
    pub(super) piece_s: f64,
}

impl Music {
    /// The files of `case` in `folder`, made where they are missing.
    pub(super) fn of(case: &Case, folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let folder = std::path::absolute(folder)?;
        let pieces =
            (1..=PIECES).map(|number| piece(&folder, number, case.piece_s)).collect::<Result<Vec<_>, _>>()?;
        let mut guest = pieces.clone();
        if let Some(second) = guest.get_mut(1).filter(|_| case.two_encodings) {
            *second = other_encoding(second)?;
        }
        let count = (case.seconds + 60) / case.piece_s + 2;
        let longer = if case.two_encodings { 2 } else { 1 };
        let skips = case.deeds().iter().filter(|(_, action)| action.deed == Deed::Skip).count();
        let count = usize::try_from(count * longer).unwrap_or(usize::MAX).saturating_add(skips);
        Ok(Self {
            queue: pieces.into_iter().cycle().take(count).collect(),
            guest,
            piece_s: f64::from(case.piece_s),
        })
    }
}

impl Music {
    /// What the entry `number` of the queue, counted from 0, holds from the second `from` on, for `length`; silence where
    /// it holds nothing.
    pub(super) fn sound(&self, number: usize, from: f64, length: Span) -> Option<Recording> {
        let mut reader = hound::WavReader::open(self.queue.get(number)?).ok()?;
        let rate = SampleRate::new(reader.spec().sample_rate)?;
        let silent = rate.frames_in(Span::from_secs_f64((-from).max(0.0)));
        let first = rate.frames_in(Span::from_secs_f64(from.max(0.0)));
        let count = usize::try_from(rate.frames_in(length).0).ok()?;
        let mut channels = vec![vec![0.0; usize::try_from(silent.0).ok()?.min(count)]; 2];
        let left = count - channels.first()?.len();
        if reader.seek(u32::try_from(first.0).ok()?.min(reader.duration())).is_ok() {
            for (index, sample) in reader.samples::<f32>().take(2 * left).enumerate() {
                channels.get_mut(index % 2)?.push(sample.ok()?);
            }
        }
        channels.iter_mut().for_each(|channel| channel.resize(count, 0.0));
        Recording::on_one_clock(rate, channels).ok()
    }
}

impl Music {
    /// The same where one entry goes over to the next.
    pub(super) fn across(
        &self,
        number: usize,
        from: f64,
        length: Span,
    ) -> Option<(SampleRate, Vec<Vec<f32>>)> {
        let before = number.checked_sub(1).map(|before| (before, from + self.piece_s));
        let after = (number + 1, from - self.piece_s);
        let parts = [before, Some((number, from)), Some(after)].into_iter().flatten();
        let parts: Vec<Recording> =
            parts.filter_map(|(number, from)| self.sound(number, from, length)).collect();
        // Each is silent where it holds nothing, so together they are the whole.
        let (first, others) = parts.split_first()?;
        let mut channels = first.channels().to_vec();
        for other in others {
            for (whole, part) in channels.iter_mut().zip(other.channels()) {
                whole.iter_mut().zip(part).for_each(|(sum, sample)| *sum += sample);
            }
        }
        Some((first.rate(), channels))
    }
}

fn piece(folder: &Path, number: u64, seconds: u32) -> anyhow::Result<PathBuf> {
    let path = folder.join(format!("Piece {number}, {seconds} s.wav"));
    made(&path, |path| Ok(Piece::new(number, seconds).write(path, SampleRate::HZ_44100, seconds)?))
}

/// The same music as 16-bit integers.
fn other_encoding(of: &Path) -> anyhow::Result<PathBuf> {
    made(&of.with_extension("16 bit.wav"), |path| {
        let mut from = hound::WavReader::open(of)?;
        let spec =
            hound::WavSpec { bits_per_sample: 16, sample_format: hound::SampleFormat::Int, ..from.spec() };
        let mut to = hound::WavWriter::create(path, spec)?;
        for sample in from.samples::<f32>() {
            #[expect(clippy::cast_possible_truncation, reason = "`as` saturates as a recording does")]
            to.write_sample((sample? * f32::from(i16::MAX)).round() as i16)?;
        }
        Ok(to.finalize()?)
    })
}

/// The file at `path`, made where it is missing. A half-written piece must not be taken for one, and several runs at once
/// may make the same.
fn made(path: &Path, make: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
    static MAKING: AtomicU32 = AtomicU32::new(0);
    if !path.is_file() {
        let number = MAKING.fetch_add(1, Ordering::Relaxed);
        let making = path.with_extension(format!("{}-{number}.new", std::process::id()));
        make(&making)?;
        std::fs::rename(&making, path).with_context(|| format!("cannot make {}", path.display()))?;
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_runs_make_the_same_piece_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        std::thread::scope(|all| {
            for _ in 0..4 {
                all.spawn(|| piece(folder.path(), 1, 20).expect("makes it"));
            }
        });
        assert_eq!(
            std::fs::read_dir(folder.path()).expect("a folder").count(),
            1,
            "one piece, nothing half made"
        );
    }
}
