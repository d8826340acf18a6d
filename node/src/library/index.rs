//! What is known of local files, kept on disk: which track each one is, and so where the own copy of a track lies.
//!
//! The file has one JSON object per line and is only ever appended to, so that a crash costs at most its last line.
//! It is a memory, not a truth: everything in it can be found out again, and nothing is believed of a file whose size
//! or time has changed.

use std::{
    collections::{HashMap, HashSet},
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use jamsync_protocol::{
    id::TrackId,
    media::{Frames, SampleRate, Track},
    text::Text,
};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::identify::{LocalTrack, Stamp};

/// The known files of this machine.
#[derive(Debug)]
pub struct Index {
    file: PathBuf,
    by_path: HashMap<PathBuf, LocalTrack>,
    by_track: HashMap<TrackId, HashSet<PathBuf>>,
}

/// One line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    path: String,
    #[serde(flatten)]
    stamp: Stamp,
    track: String,
    title: Text<256>,
    artist: Text<256>,
    album: Text<256>,
    rate_hz: SampleRate,
    length_frames: Frames,
}

impl Index {
    /// What the file at `file` remembers. A missing file remembers nothing, and lines that cannot be understood are
    /// left out.
    #[must_use]
    pub fn load(file: &Path) -> Self {
        let mut index = Self { file: file.to_owned(), by_path: HashMap::new(), by_track: HashMap::new() };
        match index.read() {
            // Half of the lines or more are about files that have changed since: written anew they go.
            Ok(lines) if lines > 2 * index.by_path.len() + SPARE_LINES => {
                if let Err(error) = index.rewrite() {
                    warn!(%error, "the index of music cannot be written anew");
                }
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => warn!(%error, "the index of music cannot be read; files are read through again"),
        }
        index
    }

    /// What the file at `path` is, if it has been read through and has not changed since.
    #[must_use]
    pub fn known(&self, path: &Path) -> Option<&LocalTrack> {
        self.by_path.get(path).filter(|local| is_current(local))
    }

    /// A file that holds `track` and has not changed since it was read through.
    #[must_use]
    pub fn find(&self, track: TrackId) -> Option<&LocalTrack> {
        let copies = self.by_track.get(&track)?;
        copies.iter().filter_map(|path| self.by_path.get(path)).find(|local| is_current(local))
    }

    /// Remembers a file, also on disk.
    ///
    /// # Errors
    /// Where the index cannot be written; the file is remembered until the program ends all the same.
    pub fn remember(&mut self, local: LocalTrack) -> io::Result<()> {
        let line = line(&local)?;
        self.insert(local);
        // One write per line keeps lines whole. A path that is not UTF-8 has no line.
        line.map_or(Ok(()), |line| self.open_to_append()?.write_all(line.as_bytes()))
    }

    /// How many files are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_path.len()
    }

    /// Whether no file is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    fn insert(&mut self, local: LocalTrack) {
        self.by_track.entry(local.track.id).or_default().insert(local.path.clone());
        let id = local.track.id;
        if let Some(before) = self.by_path.insert(local.path.clone(), local)
            && before.track.id != id
            && let Some(copies) = self.by_track.get_mut(&before.track.id)
        {
            copies.remove(&before.path);
        }
    }

    /// Takes the file in and returns how many lines it has.
    fn read(&mut self) -> io::Result<usize> {
        let mut reader = BufReader::new(File::open(&self.file)?);
        let mut lines = 0;
        let mut line = Vec::new();
        loop {
            line.clear();
            if (&mut reader).take(LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
                return Ok(lines);
            }
            lines += 1;
            if let Some(local) = serde_json::from_slice(&line).ok().and_then(local) {
                self.insert(local);
            }
        }
    }

    fn rewrite(&self) -> io::Result<()> {
        let fresh = self.file.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        let mut text = String::new();
        for local in self.by_path.values() {
            text.push_str(&line(local)?.unwrap_or_default());
        }
        file.write_all(text.as_bytes())?;
        std::fs::rename(fresh, &self.file)
    }

    fn open_to_append(&self) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(&self.file)
    }
}

fn is_current(local: &LocalTrack) -> bool {
    Stamp::of(&local.path).is_ok_and(|stamp| stamp == local.stamp)
}

/// The line that remembers `local`, or `None` where its path is not UTF-8 and so has no JSON form.
fn line(local: &LocalTrack) -> io::Result<Option<String>> {
    let Some(path) = local.path.to_str() else { return Ok(None) };
    let Track { id, title, artist, album, rate, length } = local.track.clone();
    let line = Line {
        path: path.to_owned(),
        stamp: local.stamp,
        track: id.to_string(),
        title,
        artist,
        album,
        rate_hz: rate,
        length_frames: length,
    };
    Ok(Some(format!("{}\n", serde_json::to_string(&line)?)))
}

fn local(line: Line) -> Option<LocalTrack> {
    let track = Track {
        id: line.track.parse().ok()?,
        title: line.title,
        artist: line.artist,
        album: line.album,
        rate: line.rate_hz,
        length: line.length_frames,
    };
    Some(LocalTrack { path: line.path.into(), track, stamp: line.stamp })
}

/// The longest line, in bytes: a path of 4 KiB, all of it escaped, and three texts. A longer one falls apart into
/// lines that cannot be understood.
const LINE_BYTES: u64 = 32 << 10;

/// Lines that are not worth writing the file anew for, in number. Range 100 to 100,000, default 1,000; less writes
/// more often than it saves, more keeps what nobody needs.
const SPARE_LINES: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::{identify, identify::tests::wav};

    struct Fixture {
        folder: tempfile::TempDir,
        index: Index,
    }
    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let index = Index::load(&folder.path().join("index"));
            Self { folder, index }
        }
        fn add(&mut self, name: &str, frames: u32) -> LocalTrack {
            let path = self.folder.path().join(name);
            wav(&path, frames);
            let local = identify(&path).expect("plays");
            self.index.remember(local.clone()).expect("writes");
            local
        }
        fn reload(&self) -> Index {
            Index::load(&self.folder.path().join("index"))
        }
    }

    #[test]
    fn what_was_read_is_known_after_a_restart() {
        let mut fixture = Fixture::new();
        let local = fixture.add("a.wav", 1_000);
        for index in [&fixture.index, &fixture.reload()] {
            assert_eq!(index.known(&local.path), Some(&local));
            assert_eq!(index.find(local.track.id), Some(&local));
        }
    }

    #[test]
    fn a_file_that_changed_is_not_believed() {
        let mut fixture = Fixture::new();
        let before = fixture.add("a.wav", 1_000);
        wav(&before.path, 2_000);
        assert_eq!((fixture.index.known(&before.path), fixture.index.find(before.track.id)), (None, None));
        let after = fixture.add("a.wav", 2_000);
        assert_eq!(fixture.reload().find(after.track.id), Some(&after));
        assert_eq!(fixture.reload().find(before.track.id), None);
    }

    #[test]
    fn another_copy_stands_in_for_one_that_is_gone() {
        let mut fixture = Fixture::new();
        let first = fixture.add("a.wav", 1_000);
        let second = fixture.add("b.wav", 1_000);
        assert_eq!(first.track.id, second.track.id);
        std::fs::remove_file(&first.path).expect("removes");
        assert_eq!(fixture.index.find(first.track.id).map(|local| &local.path), Some(&second.path));
    }

    #[test]
    fn a_damaged_index_costs_only_its_damaged_lines() {
        let mut fixture = Fixture::new();
        let first = fixture.add("a.wav", 1_000);
        let mut file = fixture.index.open_to_append().expect("opens");
        file.write_all(b"\xff\xfe rubbish\n{\"path\":1}\n").expect("writes");
        let second = fixture.add("b.wav", 2_000);
        file.write_all(b"{\"path\":\"/half").expect("writes");
        let index = fixture.reload();
        assert_eq!(index.len(), 2);
        assert!(index.find(first.track.id).is_some() && index.find(second.track.id).is_some());
    }

    #[test]
    fn an_index_full_of_the_past_is_written_anew() {
        let mut fixture = Fixture::new();
        let local = fixture.add("a.wav", 1_000);
        for _ in 0..SPARE_LINES + 2 {
            fixture.index.remember(local.clone()).expect("writes");
        }
        let before = std::fs::metadata(fixture.folder.path().join("index")).expect("exists").len();
        assert_eq!(fixture.reload().len(), 1);
        let after = std::fs::metadata(fixture.folder.path().join("index")).expect("exists").len();
        assert!(after < before / 100, "{before} {after}");
        assert_eq!(fixture.reload().find(local.track.id), Some(&local));
    }
}
