//! One continuous sound: files, end to end, through one resampler.

use jamsync_protocol::{
    id::EntryId,
    media::{Frames, SampleRate},
    time::{Ppm, Span},
};

use super::schedule::Spot;
use crate::audio::{
    AudioError,
    decode::{DecodeError, TrackReader},
    playout::Stereo,
    resample::{CHUNK, Resampler},
};

/// A sound under way. Its *stream* counts source frames from the first entry's first frame on, across joins.
#[derive(Debug)]
pub(super) struct Voice {
    resampler: Resampler,
    feed: Feed,
    /// The stream frame that the resampler was fed first.
    origin: f64,
    chunk: Box<[Stereo; CHUNK]>,
    used: usize,
}

/// A sound that could not begin, with the reader that was to be its own.
#[derive(Debug)]
pub(super) struct NotStarted {
    pub(super) reader: Option<Box<TrackReader>>,
    pub(super) reason: String,
}

impl Voice {
    /// A sound whose first frame lies exactly at `spot`.
    pub(super) fn start(
        mut reader: TrackReader,
        spot: Spot,
        device: SampleRate,
        correction: Ppm,
    ) -> Result<Self, NotStarted> {
        let rate = reader.rate();
        let whole = spot.position.max(0.0).floor();
        let lead_in = Frames(Resampler::lead_in_frames(rate, device) as u64).as_f64();
        let origin = whole - lead_in;
        #[expect(clippy::cast_possible_truncation, reason = "positions stay far below 2^53 frames")]
        let cursor = origin as i64;
        if let Err(error) = reader.seek(Frames(u64::try_from(cursor).unwrap_or(0))) {
            return Err(NotStarted { reader: Some(Box::new(reader)), reason: error.to_string() });
        }
        let segment = Segment { entry: spot.entry, start: 0, reader };
        let mut feed = Feed { segments: vec![segment], current: 0, cursor, fault: None, damage: None };
        let phase = spot.position.max(0.0) - whole;
        let resampler = Resampler::starting_at(rate, device, phase, correction, |input| {
            feed.read(input);
            Ok::<(), AudioError>(())
        });
        match resampler {
            Ok(resampler) => {
                let chunk = Box::new([[0.0; 2]; CHUNK]);
                Ok(Self { resampler, feed, origin, chunk, used: CHUNK })
            }
            Err(error) => {
                let reader = feed.segments.pop().map(|segment| Box::new(segment.reader));
                Err(NotStarted { reader, reason: error.to_string() })
            }
        }
    }

    /// The next frames of the sound; silence behind its end.
    pub(super) fn render(&mut self, out: &mut [Stereo]) {
        let mut done = 0;
        while let Some(rest) = out.get_mut(done..).filter(|rest| !rest.is_empty()) {
            if self.used == CHUNK {
                self.refill();
            }
            let ready = self.chunk.get(self.used..).unwrap_or_default();
            let count = ready.len().min(rest.len());
            rest.iter_mut().zip(ready).for_each(|(out, frame)| *out = *frame);
            self.used += count;
            done += count;
        }
    }

    /// How many source frames the next frame lies ahead of `spot`; `None` if this sound does not hold it.
    pub(super) fn ahead_of(&self, spot: Spot) -> Option<f64> {
        let next = self.next_position();
        let offsets = self.feed.segments.iter().filter(|segment| segment.entry == spot.entry);
        offsets
            .map(|segment| next - segment.start_f64() - spot.position)
            .min_by(|a, b| a.abs().total_cmp(&b.abs()))
    }

    /// Lets the sound run through its source faster by `correction`.
    pub(super) fn set_correction(&mut self, correction: Ppm) {
        self.resampler.set_correction(correction);
    }

    /// The entry that follows `entry` in this sound, if one does.
    pub(super) fn follower_of(&self, entry: EntryId) -> Option<EntryId> {
        let mut segments = self.feed.segments.iter().skip_while(|segment| segment.entry != entry);
        segments.nth(1).map(|segment| segment.entry)
    }

    /// Whether another entry can still follow: silence behind the end has not been fed yet.
    pub(super) fn can_lead_on(&self) -> bool {
        self.feed.segments.last().is_some_and(|last| self.feed.cursor <= last.end())
    }

    /// Lets `entry` follow without a gap; check [`can_lead_on`](Self::can_lead_on) first. Gives back the files
    /// of entries that are over.
    pub(super) fn lead_on(
        &mut self,
        entry: EntryId,
        reader: TrackReader,
    ) -> impl Iterator<Item = (EntryId, TrackReader)> + use<> {
        let start = self.feed.segments.last().map_or(0, Segment::end);
        let over = self.feed.current.min(self.feed.segments.len());
        self.feed.current -= over;
        let finished: Vec<_> = self.feed.segments.drain(..over).collect();
        self.feed.segments.push(Segment { entry, start, reader });
        finished.into_iter().map(|segment| (segment.entry, segment.reader))
    }

    /// The file that failed since the last call, if one did. Its sound has been silence since.
    pub(super) fn take_fault(&mut self) -> Option<(EntryId, DecodeError)> {
        self.feed.fault.take()
    }

    /// The file that was found damaged since the last call, and from where on something of it was silent. It plays on.
    pub(super) fn take_damage(&mut self) -> Option<(EntryId, Span)> {
        self.feed.damage.take()
    }

    /// Ends the sound and gives back its files.
    pub(super) fn into_readers(self) -> impl Iterator<Item = (EntryId, TrackReader)> {
        self.feed.segments.into_iter().map(|segment| (segment.entry, segment.reader))
    }

    /// The stream position of the next frame.
    fn next_position(&self) -> f64 {
        let ready = self.resampler.positions().get(self.used).filter(|_| self.used < CHUNK);
        self.origin + ready.copied().unwrap_or_else(|| self.resampler.next_position())
    }

    fn refill(&mut self) {
        let Self { resampler, feed, chunk, .. } = self;
        let made = resampler.process(chunk, |input| {
            feed.read(input);
            Ok::<(), AudioError>(())
        });
        if let Err(error) = made {
            chunk.fill([0.0; 2]);
            feed.fail(DecodeError::Corrupt { reason: error.to_string() });
        }
        self.used = 0;
    }
}

/// The source frames of a voice, in order.
#[derive(Debug)]
struct Feed {
    segments: Vec<Segment>,
    current: usize,
    /// The stream frame that comes next; frames below zero are silence.
    cursor: i64,
    fault: Option<(EntryId, DecodeError)>,
    /// An entry whose file was found damaged there, of which nobody has been told.
    damage: Option<(EntryId, Span)>,
}

#[derive(Debug)]
struct Segment {
    entry: EntryId,
    /// The stream frame at which the entry's first frame lies.
    start: i64,
    reader: TrackReader,
}

impl Feed {
    fn read(&mut self, out: &mut [Stereo]) {
        let before = usize::try_from(self.cursor.saturating_neg()).unwrap_or(0).min(out.len());
        let mut done = before;
        out.iter_mut().take(before).for_each(|frame| *frame = [0.0; 2]);
        let segments = self.segments.len();
        while let Some(rest) = out.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(segment) = self.segments.get_mut(self.current) else {
                rest.fill([0.0; 2]);
                break;
            };
            match segment.reader.read(rest) {
                Ok(0) if self.current + 1 == segments => {
                    rest.fill([0.0; 2]);
                    break;
                }
                Ok(0) => self.current += 1,
                Ok(count) => {
                    done += count;
                    if self.damage.is_none() {
                        self.damage = segment.damage();
                    }
                }
                Err(error) => {
                    self.fail(error);
                }
            }
        }
        self.cursor = self.cursor.saturating_add_unsigned(out.len() as u64);
    }

    /// Nothing more comes from this feed.
    fn fail(&mut self, error: DecodeError) {
        if let Some(segment) = self.segments.get(self.current) {
            self.fault = Some((segment.entry, error));
        }
        self.current = self.segments.len();
    }
}

impl Segment {
    /// Where the file was found damaged, the first time it is asked for.
    fn damage(&mut self) -> Option<(EntryId, Span)> {
        let at = self.reader.take_damage()?;
        Some((self.entry, self.reader.rate().span_of(at)))
    }

    fn end(&self) -> i64 {
        self.start.saturating_add_unsigned(self.reader.length().0)
    }

    #[expect(clippy::cast_precision_loss, reason = "positions stay far below 2^53 frames")]
    fn start_f64(&self) -> f64 {
        self.start as f64
    }
}
