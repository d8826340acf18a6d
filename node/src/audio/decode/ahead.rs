//! Reads a file ahead of its decoder, so that a disk that is asleep or busy for seconds is not heard.
//!
//! At first a [`Source`] reads where it is asked to. From [`ReadAhead::begin`] on a thread of its own keeps the next
//! [`WINDOW`] bytes in memory; a seek out of them begins the window anew. The thread ends with the source.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use symphonia::core::io::MediaSource;

/// Bytes that lie somewhere, read by their place.
pub(super) trait Store: Send + Sync + 'static {
    /// As many bytes from `at` on as are to be had at once; none at the end.
    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize>;
}

/// A file as a decoder reads it.
pub(super) struct Source<S: Store> {
    shared: Arc<Shared<S>>,
    position: u64,
    length: u64,
}

/// Lets a source read ahead, where it has been given away.
pub(super) struct ReadAhead(Arc<dyn Begin>);

struct Shared<S> {
    store: S,
    window: Mutex<Window>,
    changed: Condvar,
}

#[derive(Default)]
struct Window {
    /// Whether there is a thread that fills it.
    running: bool,
    /// Whether the source is gone.
    closed: bool,
    /// Where the first of `bytes` stands.
    from: u64,
    bytes: VecDeque<u8>,
    /// Why nothing follows `bytes`.
    end: Option<End>,
    /// How often it began anew.
    begun: u64,
}

#[derive(Clone, Copy)]
enum End {
    OfFile,
    Failed(io::ErrorKind),
}

/// Whatever the store is.
trait Begin: Send + Sync {
    fn begin(self: Arc<Self>);
}

impl Store for File {
    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, out, at)
    }
}

impl<S: Store> Source<S> {
    /// A source over `length` bytes, and what lets it read ahead.
    pub(super) fn new(store: S, length: u64) -> (Self, ReadAhead) {
        let shared = Arc::new(Shared { store, window: Mutex::default(), changed: Condvar::new() });
        (Self { shared: Arc::clone(&shared), position: 0, length }, ReadAhead(shared))
    }
}

impl ReadAhead {
    /// From now on the source reads ahead. Where no thread can be started it goes on as before.
    pub(super) fn begin(&self) {
        Arc::clone(&self.0).begin();
    }
}

impl<S: Store> Read for Source<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut window = self.shared.lock();
        if !window.running {
            drop(window);
            let count = self.shared.store.read_at(out, self.position)?;
            self.position += count as u64;
            return Ok(count);
        }
        loop {
            if !window.go_to(self.position) {
                self.shared.changed.notify_all();
            }
            let count = window.take(out);
            if count > 0 || out.is_empty() {
                self.position += count as u64;
                self.shared.changed.notify_all();
                return Ok(count);
            }
            match window.end {
                Some(End::OfFile) => return Ok(0),
                Some(End::Failed(kind)) => return Err(kind.into()),
                None => window = self.shared.wait(window),
            }
        }
    }
}

impl<S: Store> Seek for Source<S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl<S: Store> MediaSource for Source<S> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length)
    }
}

impl<S: Store> Drop for Source<S> {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl<S: Store> Begin for Shared<S> {
    fn begin(self: Arc<Self>) {
        let mut window = self.lock();
        if window.running || window.closed {
            return;
        }
        let shared = Arc::clone(&self);
        let started = thread::Builder::new().name("read ahead".into()).spawn(move || shared.fill());
        window.running = started.is_ok();
    }
}

impl<S: Store> Shared<S> {
    /// A mutex is only poisoned by a panic in between, which leaves these plain values whole.
    fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, window: MutexGuard<'a, Window>) -> MutexGuard<'a, Window> {
        self.changed.wait(window).unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the window full until the source is gone.
    fn fill(&self) {
        let mut block = vec![0; BLOCK];
        let mut window = self.lock();
        loop {
            while !window.closed && (window.end.is_some() || window.bytes.len() + BLOCK > WINDOW) {
                window = self.wait(window);
            }
            if window.closed {
                return;
            }
            let (at, begun) = (window.from + window.bytes.len() as u64, window.begun);
            drop(window);
            let read = self.store.read_at(&mut block, at);
            window = self.lock();
            if window.begun != begun {
                continue;
            }
            match read {
                Ok(0) => window.end = Some(End::OfFile),
                Ok(count) => window.bytes.extend(block.iter().take(count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => window.end = Some(End::Failed(error.kind())),
            }
            self.changed.notify_all();
        }
    }
}

impl Window {
    /// Lets what lies before `place` go, and begins anew where the window does not reach it. Whether it does.
    fn go_to(&mut self, place: u64) -> bool {
        let into = place.checked_sub(self.from).and_then(|into| usize::try_from(into).ok());
        match into.filter(|into| *into <= self.bytes.len()) {
            Some(into) => {
                self.bytes.drain(..into);
                self.from = place;
                true
            }
            None => {
                self.bytes.clear();
                (self.from, self.end, self.begun) = (place, None, self.begun + 1);
                false
            }
        }
    }

    /// Moves as many bytes into `out` as there are and fit.
    fn take(&mut self, out: &mut [u8]) -> usize {
        // `read` of a queue of bytes gives its front and cannot fail.
        let count = self.bytes.read(out).unwrap_or(0);
        self.from += count as u64;
        count
    }
}

/// How much is kept. 0.25 to 16 MiB, default 2 MiB: about 15 s of FLAC or 12 s of a CD's WAV. Less lets a disk that wakes
/// up be heard, more only costs memory.
const WINDOW: usize = 2 << 20;
/// How much is read at once.
const BLOCK: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::sync::{
        Weak,
        atomic::{AtomicBool, Ordering},
    };

    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Bytes on a disk that can stop to answer.
    struct Disk {
        bytes: Vec<u8>,
        /// What lies from here on cannot be read.
        broken_from: u64,
        asleep: Arc<AtomicBool>,
    }

    impl Store for Disk {
        fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize> {
            while self.asleep.load(Ordering::Acquire) {
                thread::yield_now();
            }
            if at >= self.broken_from {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let rest = self.bytes.get(usize::try_from(at).unwrap()..).unwrap_or_default();
            let count = rest.len().min(out.len());
            out[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }
    }

    fn disk(length: usize) -> (Disk, Arc<AtomicBool>) {
        let asleep = Arc::new(AtomicBool::new(false));
        let bytes = (0..length).map(|n| u8::try_from((n / 7 + n / 911) % 251).unwrap()).collect();
        (Disk { bytes, broken_from: u64::MAX, asleep: Arc::clone(&asleep) }, asleep)
    }

    fn until(source: &Source<Disk>, fits: impl Fn(&Window) -> bool) {
        let mut window = source.shared.lock();
        while !fits(&window) {
            window = source.shared.wait(window);
        }
    }

    fn is_full(window: &Window) -> bool {
        window.end.is_some() || window.bytes.len() + BLOCK > WINDOW
    }

    #[test]
    fn reads_and_seeks_at_random_give_what_the_file_holds() {
        let (disk, _) = disk(3 * WINDOW);
        let right = disk.bytes.clone();
        let length = u64::try_from(right.len()).unwrap();
        let (mut source, ahead) = Source::new(disk, length);
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for round in 0..400 {
            if round == 50 {
                ahead.begin();
                ahead.begin();
            }
            if random.random_range(0..10) == 0 {
                let place = random.random_range(0..length + 100);
                let back = i64::try_from(place).unwrap() - i64::try_from(length).unwrap();
                let there = if round % 2 == 0 { SeekFrom::Start(place) } else { SeekFrom::End(back) };
                assert_eq!(source.seek(there).unwrap(), place);
            }
            let at = usize::try_from(source.position).unwrap();
            let mut out = vec![0; random.random_range(0..100_000)];
            let count = source.read(&mut out).unwrap();
            assert_eq!(out[..count], right.get(at..).unwrap_or_default()[..count], "round {round}");
            assert!(count > 0 || out.is_empty() || at >= right.len(), "round {round}");
            assert!(source.shared.lock().bytes.len() <= WINDOW);
        }
        assert!(source.seek(SeekFrom::Current(i64::MIN)).is_err());
    }

    #[test]
    fn a_disk_that_sleeps_is_not_noticed_before_the_window_is_empty() {
        let (disk, asleep) = disk(2 * WINDOW);
        let right = disk.bytes.clone();
        let (mut source, ahead) = Source::new(disk, right.len() as u64);
        source.read_exact(&mut [0; 1_000]).unwrap();
        ahead.begin();
        source.read_exact(&mut [0; 1_000]).unwrap();
        until(&source, is_full);
        asleep.store(true, Ordering::Release);
        let mut out = vec![0; WINDOW - BLOCK];
        source.read_exact(&mut out).unwrap();
        assert_eq!(out, right[2_000..2_000 + out.len()]);
        asleep.store(false, Ordering::Release);
        let mut rest = Vec::new();
        source.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, right[2_000 + out.len()..]);
    }

    #[test]
    fn what_cannot_be_read_is_told_where_it_is_and_only_there() {
        let (mut disk, _) = disk(8 * BLOCK);
        disk.broken_from = 4 * BLOCK as u64;
        let (mut source, ahead) = Source::new(disk, 8 * BLOCK as u64);
        ahead.begin();
        source.read_exact(&mut vec![0; 4 * BLOCK]).unwrap();
        let error = source.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        source.rewind().unwrap();
        source.read_exact(&mut vec![0; 4 * BLOCK]).unwrap();
    }

    #[test]
    fn the_thread_ends_with_the_source() {
        let (disk, _) = disk(2 * WINDOW);
        let (source, ahead) = Source::new(disk, 2 * WINDOW as u64);
        ahead.begin();
        let shared: Weak<_> = Arc::downgrade(&source.shared);
        drop((source, ahead));
        while shared.upgrade().is_some() {
            thread::yield_now();
        }
    }
}
