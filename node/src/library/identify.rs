//! What one file is: its content's hash, its exact length, and what it says of itself.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use jamsync_protocol::{id::TrackId, media::Track, text::Text};
use serde::{Deserialize, Serialize};

use super::{LibraryError, tags};
use crate::audio::decode::{DecodeError, TrackReader};

/// A file of this machine that can be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalTrack {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub track: Track,
    pub(super) stamp: Stamp,
}

/// What tells a file that was changed from one that was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    size_bytes: u64,
    modified_s: i64,
    modified_ns: i64,
}

/// Reads the file at `path` through and says what it is. Takes as long as the disk and, for an MP3, a decoder need.
///
/// # Errors
/// [`LibraryError`] names the file and what is wrong with it.
pub fn identify(path: &Path) -> Result<LocalTrack, LibraryError> {
    let stamp = Stamp::of(path)?;
    let reader = TrackReader::open(path).map_err(|why| refused(path, why))?;
    let id = hash(path).map_err(|error| unreadable(path, &error))?;
    let tags = tags::read(path);
    if Stamp::of(path)? != stamp {
        return Err(LibraryError::Changed { path: path.to_owned() });
    }
    let title = if tags.title.is_empty() {
        path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    } else {
        tags.title
    };
    let track = Track {
        id,
        title: Text::truncated(&title),
        artist: Text::truncated(&tags.artist),
        album: Text::truncated(&tags.album),
        rate: reader.rate(),
        length: reader.length(),
    };
    Ok(LocalTrack { path: path.to_owned(), track, stamp })
}

impl Stamp {
    /// The stamp of a regular file. Anything else is refused before it is opened, because opening a pipe waits.
    pub(super) fn of(path: &Path) -> Result<Self, LibraryError> {
        let about = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        if about.is_file() {
            Ok(Self::from(&about))
        } else {
            Err(LibraryError::NotAFile { path: path.to_owned() })
        }
    }
}

impl From<&Metadata> for Stamp {
    fn from(about: &Metadata) -> Self {
        Self { size_bytes: about.len(), modified_s: about.mtime(), modified_ns: about.mtime_nsec() }
    }
}

fn hash(path: &Path) -> io::Result<TrackId> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; HASH_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(TrackId(*hasher.finalize().as_bytes())),
            Ok(read) => drop(hasher.update(buffer.get(..read).unwrap_or_default())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The decoder's refusal, or what the file is instead of music where its beginning tells.
fn refused(path: &Path, why: DecodeError) -> LibraryError {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head));
    match (read, other_kind(&head)) {
        (Ok(1..), Some(what)) => LibraryError::OtherKind { path: path.to_owned(), what },
        _ => LibraryError::Undecodable { path: path.to_owned(), why },
    }
}

/// What a file is that begins with `head`, where it is a kind that people mistake for music we can play.
fn other_kind(head: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    if at(0, b"Extended Module: ") || at(0, b"IMPM") || at(44, b"SCRM") {
        return Some("a tracker module, which holds notes and not sound");
    }
    if at(0, b"MThd") {
        return Some("a MIDI file, which holds notes and not sound");
    }
    if at(4, b"ftyp") {
        return Some("an MP4 file (AAC or ALAC)");
    }
    if at(28, b"OpusHead") {
        return Some("an Opus file");
    }
    // The head may end within a character.
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(head.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
        Err(_) => return None,
    };
    let readable = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\u{c}');
    (!text.is_empty() && text.chars().all(readable)).then_some("a text file")
}

fn unreadable(path: &Path, error: &io::Error) -> LibraryError {
    LibraryError::Unreadable { path: path.to_owned(), reason: error.to_string() }
}

/// How much is read at once for the hash, in bytes. Range 16 KiB to 16 MiB, default 128 KiB; less costs system calls,
/// more memory, and neither is felt.
const HASH_BYTES: usize = 128 << 10;

/// How much of a refused file is looked at, in bytes: the magic numbers of other kinds, and enough to tell text.
const HEAD_BYTES: u64 = 1_024;

#[cfg(test)]
pub(super) mod tests {
    use jamsync_protocol::media::{Frames, SampleRate};

    use super::*;

    /// A WAV file of silence.
    pub(crate) fn wav(path: &Path, frames: u32) {
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 44_100,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(path, spec).expect("creates");
        for _ in 0..frames * 2 {
            writer.write_sample(0i16).expect("writes");
        }
        writer.finalize().expect("finishes");
    }

    #[test]
    fn a_file_without_tags_is_called_by_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("Nebula.wav");
        wav(&path, 44_100);
        let local = identify(&path).expect("plays");
        assert_eq!(local.track.title.as_str(), "Nebula");
        assert_eq!((local.track.rate, local.track.length), (SampleRate::HZ_44100, Frames(44_100)));
        assert_eq!(local.track.id.0, *blake3::hash(&fs::read(&path).expect("reads")).as_bytes());
    }

    #[test]
    fn what_is_no_music_is_named_with_its_kind() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content, expected) in [
            ("text.mp3", "la la la\n".repeat(500).into_bytes(), "a text file;"),
            ("song.xm", b"Extended Module: x\x1a\x00\x01".to_vec(), "a tracker module"),
            ("song.mp3", b"\0\0\0\x20ftypM4A \0\0\0\0".to_vec(), "an MP4 file"),
            ("empty.flac", Vec::new(), "is empty (0 bytes)"),
            ("noise.ogg", vec![0xa5; 5_000], "is not a WAV, FLAC, MP3 or Ogg Vorbis file"),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, content).expect("writes");
            let error = identify(&path).expect_err(name);
            assert!(error.reason().starts_with(expected), "{error}");
            assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn a_file_cut_short_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.wav");
        wav(&path, 44_100);
        File::options().write(true).open(&path).and_then(|file| file.set_len(50_000)).expect("cuts");
        let error = identify(&path).expect_err("is cut");
        assert!(error.reason().starts_with("is cut short"), "{error}");
    }

    #[test]
    fn a_pipe_is_refused_without_waiting_for_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pipe.mp3");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .expect("makes a pipe");
        assert_eq!(identify(&path), Err(LibraryError::NotAFile { path }));
    }
}
