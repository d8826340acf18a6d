//! `tones`: writes pieces of made music, for scripts that need some on any machine.

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use jamsync_examples::tones::Piece;
use jamsync_protocol::media::SampleRate;

/// Write pieces of music made by rule: WAV, stereo, 32-bit float.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder to write to
    folder: PathBuf,
    /// How many pieces
    #[arg(long, default_value_t = 4)]
    count: u64,
    /// How long each is
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Which pieces
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let Arguments { folder, count, seconds, seed } = Arguments::parse();
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for number in 1..=count {
        let path = folder.join(format!("Piece {number}.wav"));
        Piece::new(seed.wrapping_mul(count).wrapping_add(number), seconds)
            .write(&path, SampleRate::HZ_44100, seconds)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
