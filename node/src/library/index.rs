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
    sync::{Mutex, MutexGuard, PoisonError},
};

use jamsync_protocol::{
    id::TrackId,
    media::{Frames, SampleRate, Track},
    text::Text,
};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{
    LibraryError,
    identify::{LocalTrack, Stamp, identify},
    natural::Natural,
};

/// The known files of this machine. May be asked from several threads; none waits while a file is read through.
#[derive(Debug)]
pub struct Index {
    file: PathBuf,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
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
    /// The index that the file at `file` holds. A missing file remembers nothing, and lines that cannot be understood
    /// are left out.
    #[must_use]
    pub fn open(file: &Path) -> Self {
        let mut memory = Memory::default();
        let read = read(file, &mut memory);
        let known = memory.by_path.len();
        let index = Self { file: file.to_owned(), memory: Mutex::new(memory) };
        match read {
            // Most lines are about files that have changed since: written anew they go.
            Ok(lines) if lines > 2 * known + SPARE_LINES => {
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

    /// What the file at `path` is: remembered, where it has not changed since it was read, or else read through as by
    /// [`identify`] and remembered.
    ///
    /// # Errors
    /// Those of [`identify`].
    pub fn identify(&self, path: &Path) -> Result<LocalTrack, LibraryError> {
        let known = self.memory().by_path.get(path).cloned();
        if let Some(local) = known.filter(is_current) {
            return Ok(local);
        }
        let local = identify(path)?;
        self.memory().insert(local.clone());
        if let Err(error) = self.append(&local) {
            warn!(%error, "the index of music cannot be written; the file will be read through again");
        }
        Ok(local)
    }

    /// A file that holds `track` and has not changed since it was read through.
    #[must_use]
    pub fn find(&self, track: TrackId) -> Option<PathBuf> {
        let copies: Vec<LocalTrack> = {
            let memory = self.memory();
            let paths = memory.by_track.get(&track)?;
            paths.iter().filter_map(|path| memory.by_path.get(path)).cloned().collect()
        };
        copies.into_iter().find(is_current).map(|local| local.path)
    }

    /// The files of an artist that have not changed since they were read through, in the order of their paths. Letters count without
    /// their case. At most 200.
    #[must_use]
    pub fn by_artist(&self, artist: &str) -> Vec<LocalTrack> {
        let named = |text: &str| text.trim().to_lowercase();
        let wanted = named(artist);
        let mut found: Vec<LocalTrack> = {
            let memory = self.memory();
            let files = memory.by_path.values();
            files.filter(|local| named(local.track.artist.as_str()) == wanted).cloned().collect()
        };
        found.sort_by_cached_key(|local| Natural::new(&local.path.to_string_lossy()));
        found.into_iter().filter(is_current).take(ARTIST_FILES_MAX).collect()
    }

    fn append(&self, local: &LocalTrack) -> io::Result<()> {
        // A path that is not UTF-8 has no line.
        let Some(line) = line(local)? else { return Ok(()) };
        // One write per line keeps lines whole.
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.file)?;
        file.write_all(line.as_bytes())
    }

    fn rewrite(&self) -> io::Result<()> {
        let fresh = self.file.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        for local in self.memory().by_path.values() {
            file.write_all(line(local)?.unwrap_or_default().as_bytes())?;
        }
        std::fs::rename(fresh, &self.file)
    }

    /// The memory is whole after each of its changes, so a thread that panicked leaves nothing to fear.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn insert(&mut self, local: LocalTrack) {
        let id = local.track.id;
        self.by_track.entry(id).or_default().insert(local.path.clone());
        if let Some(before) = self.by_path.insert(local.path.clone(), local)
            && before.track.id != id
            && let Some(copies) = self.by_track.get_mut(&before.track.id)
        {
            copies.remove(&before.path);
        }
    }
}

/// Takes the file in and returns how many lines it has.
fn read(file: &Path, memory: &mut Memory) -> io::Result<usize> {
    let mut reader = BufReader::new(File::open(file)?);
    let mut lines = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut reader).take(LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(lines);
        }
        lines += 1;
        if let Some(local) = serde_json::from_slice(&line).ok().and_then(local) {
            memory.insert(local);
        }
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

/// How many files of one artist are named. Count, range 20 to 1,000, default 200; fewer hides albums, more fills a screen.
const ARTIST_FILES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::identify::tests::wav;

    struct Fixture {
        folder: tempfile::TempDir,
        index: Index,
    }
    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let index = Index::open(&folder.path().join("index"));
            Self { folder, index }
        }
        fn add(&self, name: &str, frames: u32) -> LocalTrack {
            let path = self.folder.path().join(name);
            wav(&path, frames);
            self.index.identify(&path).expect("plays")
        }
        fn reopen(&self) -> Index {
            Index::open(&self.folder.path().join("index"))
        }
        fn size(&self) -> u64 {
            std::fs::metadata(self.folder.path().join("index")).expect("exists").len()
        }
    }

    #[test]
    fn what_was_read_is_known_after_a_restart() {
        let fixture = Fixture::new();
        let local = fixture.add("a.wav", 1_000);
        let size = fixture.size();
        let reopened = fixture.reopen();
        assert_eq!(reopened.find(local.track.id).as_ref(), Some(&local.path));
        assert_eq!(reopened.identify(&local.path), Ok(local));
        assert_eq!(fixture.size(), size, "nothing was read through again");
    }

    #[test]
    fn the_files_of_an_artist_are_found_in_their_order_whatever_its_case() {
        let fixture = Fixture::new();
        for (name, frames, artist) in [
            ("10.wav", 1_000, "Ann "),
            ("2.wav", 2_000, "ANN"),
            ("3.wav", 3_000, "Anna"),
            ("4.wav", 4_000, ""),
        ] {
            let mut local = fixture.add(name, frames);
            local.track.artist = Text::truncated(artist);
            fixture.index.memory().insert(local);
        }
        let name = |local: &LocalTrack| Some(local.path.file_name()?.to_str()?.to_owned());
        let found = |artist| fixture.index.by_artist(artist).iter().filter_map(name).collect::<Vec<_>>();
        assert_eq!(found("ann"), ["2.wav", "10.wav"]);
        assert!(found("Ben").is_empty());
        wav(&fixture.folder.path().join("2.wav"), 5_000);
        assert_eq!(found("ann"), ["10.wav"], "what has changed since is left out");
    }

    #[test]
    fn a_file_that_changed_is_not_believed() {
        let fixture = Fixture::new();
        let before = fixture.add("a.wav", 1_000);
        wav(&before.path, 2_000);
        assert_eq!(fixture.index.find(before.track.id), None);
        let after = fixture.index.identify(&before.path).expect("plays");
        assert_ne!(after.track.id, before.track.id);
        for index in [&fixture.index, &fixture.reopen()] {
            assert_eq!(index.find(after.track.id).as_ref(), Some(&after.path));
            assert_eq!(index.find(before.track.id), None);
        }
    }

    #[test]
    fn another_copy_stands_in_for_one_that_is_gone() {
        let fixture = Fixture::new();
        let first = fixture.add("a.wav", 1_000);
        let second = fixture.add("b.wav", 1_000);
        assert_eq!(first.track.id, second.track.id);
        std::fs::remove_file(&first.path).expect("removes");
        assert_eq!(fixture.index.find(first.track.id), Some(second.path));
    }

    #[test]
    fn a_damaged_index_costs_only_its_damaged_lines() {
        let fixture = Fixture::new();
        let first = fixture.add("a.wav", 1_000);
        let mut file = File::options().append(true).open(fixture.folder.path().join("index")).expect("opens");
        file.write_all(b"\xff\xfe rubbish\n{\"path\":1}\n").expect("writes");
        let second = fixture.add("b.wav", 2_000);
        file.write_all(b"{\"path\":\"/half").expect("writes");
        let index = fixture.reopen();
        assert!(index.find(first.track.id).is_some() && index.find(second.track.id).is_some());
    }

    #[test]
    fn an_index_full_of_the_past_is_written_anew() {
        let fixture = Fixture::new();
        let local = fixture.add("a.wav", 1_000);
        for _ in 0..SPARE_LINES + 2 {
            fixture.index.append(&local).expect("writes");
        }
        let before = fixture.size();
        drop(fixture.reopen());
        assert!(fixture.size() < before / 100, "{before} {}", fixture.size());
        assert_eq!(fixture.reopen().find(local.track.id), Some(local.path));
    }
}
