//! The music of the runs: made by rule, the same for all, made once and kept.

use std::path::{Path, PathBuf};

use anyhow::Context;
use jamsync_protocol::media::SampleRate;

use crate::tones::Piece;

/// How long a piece is.
const SECONDS: u32 = 240;
/// Pieces that differ; a longer queue holds them again.
const PIECES: u64 = 2;

/// The files of `folder`, made where they are missing, as a queue that lasts at least `seconds`.
pub(super) fn queue(folder: &Path, seconds: u32) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut pieces = Vec::new();
    for number in 1..=PIECES {
        let path = std::path::absolute(folder)?.join(format!("Piece {number}.wav"));
        if !path.is_file() {
            // A half-written piece must not be taken for one.
            let making = path.with_extension("new");
            Piece::new(number, SECONDS).write(&making, SampleRate::HZ_44100, SECONDS)?;
            std::fs::rename(&making, &path)?;
        }
        pieces.push(path);
    }
    let count = usize::try_from(seconds / SECONDS + 2).unwrap_or(usize::MAX);
    Ok(pieces.into_iter().cycle().take(count).collect())
}
