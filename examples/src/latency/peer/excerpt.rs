//! The stretch of a recording that is exchanged: one channel of 16 bit, and the sender's clock readings.

use jamsync_protocol::{
    media::{Frames, SampleRate},
    text::{List, TooLong},
    time::PeerTime,
    wire::codec::CodecError,
};

use super::{
    COMMON_MIN, PeerError,
    wire::{Incoming, Message, Outgoing, SAMPLES_MAX, STAMPS_MAX},
};
use crate::score::{Recording, ScoreError, Stamp, TrueRange, TrueTime};

/// Sound with the readings of the clock of the machine that recorded it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Excerpt {
    rate: SampleRate,
    stamps: Vec<(u32, PeerTime)>,
    sound: Vec<i16>,
}

/// Five minutes at 96 kHz; 60 MB at each side.
pub(super) const FRAMES_MAX: u32 = 28_800_000;
/// Five minutes at one stamp in 5 ms.
const STAMPS_IN_ALL_MAX: u32 = 60_000;
/// Below this, -60 dB of full scale, nothing is heard.
const SILENCE_PEAK: i16 = 32;

impl Excerpt {
    /// What `recording` holds of `span`, from a stamp to a stamp.
    pub(super) fn cut(recording: &Recording, span: TrueRange) -> Result<Self, PeerError> {
        let (whole, whose) = (recording.range(), "this side's");
        let common = whole.until.min(span.until) - whole.from.max(span.from);
        if common < COMMON_MIN {
            return Err(PeerError::NothingInCommon { whose, expected: COMMON_MIN, actual: common });
        }
        let all = recording.stamps();
        let first = all.partition_point(|stamp| stamp.at <= span.from).saturating_sub(1);
        let after = all.partition_point(|stamp| stamp.at < span.until).saturating_add(1).min(all.len());
        let stamps = all.get(first..after).unwrap_or_default();
        let from = stamps.first().map_or(Frames::ZERO, |stamp| stamp.frame);
        let end = if after < all.len() { stamps.last().map(|stamp| stamp.frame) } else { None };
        let sound = mono(recording, from, end);
        if sound.iter().all(|sample| sample.saturating_abs() < SILENCE_PEAK) {
            return Err(PeerError::NoSound { whose });
        }
        let rebased = |stamp: &Stamp| {
            let frame = u32::try_from(stamp.frame.minus(from).0).unwrap_or(u32::MAX);
            (frame, PeerTime::from_nanos(stamp.at.as_nanos()))
        };
        let this = Self { rate: recording.rate(), stamps: stamps.iter().map(rebased).collect(), sound };
        check(whose, "frames", this.sound.len(), FRAMES_MAX)?;
        check(whose, "stamps", this.stamps.len(), STAMPS_IN_ALL_MAX)?;
        Ok(this)
    }

    /// The recording, each reading of its clock put on the axis by `place`.
    pub(super) fn recording(&self, place: impl Fn(PeerTime) -> TrueTime) -> Result<Recording, ScoreError> {
        let stamp = |&(frame, at): &(u32, PeerTime)| Stamp { frame: Frames(frame.into()), at: place(at) };
        let sound = self.sound.iter().map(|sample| f32::from(*sample) / f32::from(i16::MAX)).collect();
        Recording::new(self.rate, vec![sound], self.stamps.iter().map(stamp).collect())
    }

    pub(super) async fn send(&self, to: &mut Outgoing) -> Result<(), PeerError> {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let (stamps, frames) = (count(self.stamps.len()), count(self.sound.len()));
        to.send(&Message::Excerpt { rate: self.rate.hz(), stamps, frames }).await?;
        for some in self.stamps.chunks(STAMPS_MAX) {
            let some = some.iter().map(|(frame, at)| (*frame, at.as_nanos())).collect();
            to.send(&Message::Stamps(list(some)?)).await?;
        }
        for some in self.sound.chunks(SAMPLES_MAX) {
            to.send(&Message::Sound(list(some.to_vec())?)).await?;
        }
        Ok(())
    }

    /// The other side's. What its header announces is held against the limits, and memory is taken as sound comes.
    pub(super) async fn receive(from: &mut Incoming) -> Result<Self, PeerError> {
        let message = from.receive().await?;
        let Message::Excerpt { rate, stamps: stamps_due, frames: frames_due } = message else {
            return Err(message.instead_of("a recording"));
        };
        let rate = SampleRate::new(rate).ok_or(ScoreError::Rate { actual: rate })?;
        let whose = "the other side's";
        let stamps_due = check(whose, "stamps", stamps_due, STAMPS_IN_ALL_MAX)?;
        let frames_due = check(whose, "frames", frames_due, FRAMES_MAX)?;
        let (mut stamps, mut sound) = (Vec::new(), Vec::new());
        while stamps.len() < stamps_due || sound.len() < frames_due {
            match from.receive().await? {
                Message::Stamps(some) if !some.is_empty() => {
                    stamps.extend(some.iter().map(|(frame, at)| (*frame, PeerTime::from_nanos(*at))));
                }
                Message::Sound(some) if !some.is_empty() => sound.extend(some.iter()),
                other @ (Message::Stamps(_)
                | Message::Sound(_)
                | Message::Hello { .. }
                | Message::Welcome { .. }
                | Message::Refused(_)
                | Message::Excerpt { .. }) => return Err(other.instead_of("the rest of a recording")),
            }
            check(whose, "stamps", stamps.len(), u32::try_from(stamps_due).unwrap_or(u32::MAX))?;
            check(whose, "frames", sound.len(), u32::try_from(frames_due).unwrap_or(u32::MAX))?;
        }
        Ok(Self { rate, stamps, sound })
    }
}

/// The mean of all channels in a range of frames.
fn mono(recording: &Recording, from: Frames, end: Option<Frames>) -> Vec<i16> {
    let index = |frames: Frames| usize::try_from(frames.0).unwrap_or(usize::MAX);
    let held = recording.channels().first().map_or(0, Vec::len);
    let end = end.map_or(held, index).min(held);
    let channels: Vec<&[f32]> = recording
        .channels()
        .iter()
        .map(|channel| channel.get(index(from)..end).unwrap_or_default())
        .collect();
    let share = 1.0 / f32::from(u16::try_from(channels.len()).unwrap_or(u16::MAX).max(1));
    let frames = channels.first().map_or(0, |channel| channel.len());
    let sum = |frame: usize| channels.iter().filter_map(|channel| channel.get(frame)).sum::<f32>() * share;
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
    (0..frames).map(|frame| (sum(frame) * f32::from(i16::MAX)).round() as i16).collect()
}

fn list<T, const MAX: usize>(items: Vec<T>) -> Result<List<T, MAX>, CodecError> {
    List::new(items).map_err(|TooLong { actual, limit }| CodecError::TooLong { actual, limit })
}

/// `actual`, if it is within `limit`.
fn check<N>(whose: &'static str, what: &'static str, actual: N, limit: u32) -> Result<usize, PeerError>
where
    usize: TryFrom<N>,
{
    let actual = usize::try_from(actual).unwrap_or(usize::MAX);
    match u32::try_from(actual) {
        Ok(count) if count <= limit => Ok(actual),
        _ => {
            let actual = u64::try_from(actual).unwrap_or(u64::MAX);
            Err(PeerError::TooLong { whose, what, actual, limit: limit.into() })
        }
    }
}
