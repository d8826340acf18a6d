//! What a virtual DAC records: the sound, and beside it the true times at which it is heard.
//!
//! It is written on a thread of its own. A disk that takes its time would otherwise make the card run dry, which no real card
//! does because somebody records it.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::{self, JoinHandle},
};

use jamsync_protocol::{
    media::{Frames, SampleRate},
    time::Span,
};

use crate::audio::{AudioError, playout::Stereo, sink::wav::Recording};

/// A recording under way; dropping it writes what waits.
pub(super) struct Tape {
    /// None once it is being dropped.
    periods: Option<SyncSender<Heard>>,
    writer: Option<JoinHandle<Result<(), String>>>,
}

/// A period, and when its first frame is heard.
type Heard = (Vec<Stereo>, Span);

impl Tape {
    /// Creates `NAME.wav` and `NAME.stamps.csv`.
    pub(super) fn create(name: &Path, rate: SampleRate) -> Result<Self, AudioError> {
        let beside = |suffix: &str| {
            let mut path = name.as_os_str().to_owned();
            path.push(suffix);
            PathBuf::from(path)
        };
        let path = beside(".stamps.csv");
        let mut stamps = File::create(&path)
            .map(BufWriter::new)
            .map_err(|error| AudioError::Recording { path, reason: error.to_string() })?;
        // What cannot be buffered now fails again with the first period, and is reported there.
        let _ = stamps.write_all(b"frame,true_ns\n");
        let sound = Recording::create(&beside(".wav"), rate)?;
        let (sender, periods) = sync_channel(WAITING_MAX);
        let writer = thread::Builder::new()
            .name("tape".into())
            .spawn(move || write(&periods, sound, stamps))
            .map_err(|error| AudioError::Thread { reason: error.to_string() })?;
        Ok(Self { periods: Some(sender), writer: Some(writer) })
    }

    /// Hands a period to be written. Fails where the recording has ended, which the next but one learns at the latest.
    pub(super) fn push(&self, sound: &[Stereo], heard: Span) -> Result<(), String> {
        let Some(periods) = &self.periods else { return Ok(()) };
        periods.try_send((sound.to_vec(), heard)).map_err(|error| match error {
            TrySendError::Full(_) => "the disk is too slow for the recording".to_owned(),
            TrySendError::Disconnected(_) => "the recording cannot be written; is the disk full?".to_owned(),
        })
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.periods = None;
        // What went wrong was told with a period, and a panic by itself.
        drop(self.writer.take().map(JoinHandle::join));
    }
}

fn write(periods: &Receiver<Heard>, mut sound: Recording, mut stamps: BufWriter<File>) -> Result<(), String> {
    let mut frame = Frames::ZERO;
    for (period, heard) in periods {
        writeln!(stamps, "{},{}", frame.0, heard.as_nanos()).map_err(|error| error.to_string())?;
        frame = frame.plus(Frames(period.len() as u64));
        if sound.push(&period).map_err(|error| error.to_string())? {
            stamps.flush().map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Periods that may wait for the disk. Count, 100 and up, default 3,000: half a minute, 11 MB. Fewer give a recording up while a
/// disk is busy, more hold more memory.
const WAITING_MAX: usize = 3_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_over_is_on_disk_when_the_tape_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("card");
        let tape = Tape::create(&name, SampleRate::HZ_48000).unwrap();
        for period in 0..100 {
            tape.push(&[[0.5; 2]; 480], Span::from_millis(10 * period)).unwrap();
        }
        drop(tape);
        let stamps = std::fs::read_to_string(folder.path().join("card.stamps.csv")).unwrap();
        assert_eq!((stamps.lines().count(), stamps.lines().last()), (101, Some("47520,990000000")));
        let sound = hound::WavReader::open(folder.path().join("card.wav")).unwrap();
        assert_eq!(sound.duration(), 48_000);
    }
}
