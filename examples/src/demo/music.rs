//! What is played: the user's music, the music that the script found, or music made by rule.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use jamsync_node::audio::decode::TrackReader;
use jamsync_protocol::{
    media::{Frames, SampleRate},
    time::Span,
};

use super::Options;
use crate::tones::Piece;

/// Files to play.
#[derive(Debug)]
pub(super) struct Music {
    /// Where they come from, in words.
    pub(super) origin: String,
    /// In the order of the queue.
    pub(super) files: Vec<PathBuf>,
}

/// The fewest files that the script of the demo needs.
const FILES_MIN: usize = 4;
/// The most files that are put into a queue.
const FILES_MAX: usize = 6;
/// A shorter track ends before its turn in the script is over.
const LENGTH_MIN: Span = Span::from_secs(25);
/// Music that begins or ends more quietly than this, -64 dB, cannot be told from a node that is silent.
const EDGE_MIN: f64 = 6e-4;
/// How much of either end is looked at.
const EDGE: Span = Span::from_millis(800);

/// Chooses the music, in a fixed order.
pub(super) fn choose(options: &Options, folder: &Path) -> anyhow::Result<Music> {
    if let Some(own) = &options.music {
        let files = playable(own).with_context(|| format!("cannot read {}", own.display()))?;
        anyhow::ensure!(
            files.len() >= FILES_MIN,
            "{} holds {} fitting files where {FILES_MIN} are needed: WAV, FLAC, MP3 or Vorbis of at least \
             {} s that neither begin nor end in silence, because silence cannot be scored",
            own.display(),
            files.len(),
            LENGTH_MIN.as_millis() / 1_000
        );
        return Ok(Music { origin: format!("music from {}", own.display()), files });
    }
    if let Some(found) = &options.found_music {
        let files = playable(found).unwrap_or_default();
        if files.len() >= FILES_MIN {
            return Ok(Music { origin: "music of the game Singularity (Debian package)".to_owned(), files });
        }
    }
    Ok(Music { origin: "music made by rule".to_owned(), files: make(options.seed.unwrap_or(0), folder)? })
}

/// The first fitting files below `folder`, by path.
fn playable(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.push(path);
            }
        }
    }
    all.sort();
    Ok(all.into_iter().filter(|path| fits(path)).take(FILES_MAX).collect())
}

/// Whether a file can be decoded, is long enough, and is heard from its first to its last moment.
fn fits(path: &Path) -> bool {
    let Ok(mut reader) = TrackReader::open(path) else { return false };
    let edge = reader.rate().frames_in(EDGE);
    let end = reader.length().minus(edge);
    reader.rate().span_of(reader.length()) >= LENGTH_MIN
        && [Frames::ZERO, end].into_iter().all(|from| loudness(&mut reader, from, edge) > EDGE_MIN)
}

/// Root of the mean square of a stretch; zero where it cannot be read.
fn loudness(reader: &mut TrackReader, from: Frames, frames: Frames) -> f64 {
    let mut sound = vec![[0.0; 2]; usize::try_from(frames.0).unwrap_or(0)];
    if reader.seek(from).and_then(|()| reader.read(&mut sound)).is_err() {
        return 0.0;
    }
    let squares: f64 = sound.iter().flatten().map(|sample| f64::from(*sample).powi(2)).sum();
    (squares / frames.as_f64() / 2.0).sqrt()
}

/// Makes tracks of somewhat more than half a minute.
fn make(seed: u64, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    const SECONDS: u32 = 40;
    let folder = folder.join("music");
    fs::create_dir_all(&folder)?;
    let make_one = |number: u64| {
        let path = folder.join(format!("Piece {number}.wav"));
        let piece = Piece::new(seed.wrapping_mul(10).wrapping_add(number), SECONDS);
        piece.write(&path, SampleRate::HZ_44100, SECONDS)?;
        Ok(path)
    };
    (1..=4).map(make_one).collect()
}
