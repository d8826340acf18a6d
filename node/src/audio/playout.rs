//! What lies between the player's thread and the device's callback: frames ahead of time one way, stamps the
//! other way.
//!
//! Frames are addressed by *device frame*, the count of frames the device has taken since its stream began.
//! The [`Writer`] may write any frame that the device has not taken yet, and may write it again: a pause
//! replaces what was written ahead instead of waiting for it to play out. The [`Reader`] takes frames in
//! order and clears them, so a player that stalls is heard as silence and never as a repeated snatch.
//!
//! Both sides only use atomics: neither can wait for the other, and nothing here allocates after
//! [`playout`], locks or logs.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering},
    },
};

use jamsync_protocol::{
    media::{Frames, SampleRate},
    time::{NodeTime, Span},
};

/// One frame of sound: left and right, nominally -1 to 1.
pub type Stereo = [f32; 2];

/// When a callback came, and what it said of the frames it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The first device frame that the callback took.
    pub frame: Frames,
    /// Node time at the callback's entry.
    pub entered: NodeTime,
    /// How much later the device expects that frame to be heard.
    pub delay: Span,
}

/// The player's side.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    next_stamp: u64,
    /// Frames that were written after a callback had begun to take them.
    late: Option<Range<u64>>,
}

/// The device's side.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    next_frame: u64,
    next_stamp: u64,
    gain: f32,
}

/// A pair of ends for a device of `rate`.
#[must_use]
pub fn playout(rate: SampleRate) -> (Writer, Reader) {
    let frames = u64::from(rate.hz() / 2).next_power_of_two();
    let shared = Arc::new(Shared {
        slots: (0..frames).map(|_| AtomicU64::new(0)).collect(),
        taken: AtomicU64::new(0),
        cleared: AtomicU64::new(0),
        written: AtomicU64::new(u64::MAX),
        missed: AtomicU64::new(0),
        gain: AtomicU32::new(1.0f32.to_bits()),
        stamps: (0..STAMPS).map(|_| StampSlot::default()).collect(),
        stamps_written: AtomicU64::new(0),
        stamps_read: AtomicU64::new(0),
    });
    (
        Writer { shared: Arc::clone(&shared), next_stamp: 0, late: None },
        Reader { shared, next_frame: 0, next_stamp: 0, gain: 1.0 },
    )
}

impl Writer {
    /// How many frames can be written ahead of the device: at least half a second.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.shared.capacity()
    }

    /// The first device frame that no callback has taken yet. One that runs right now may take it.
    #[must_use]
    pub fn taken(&self) -> Frames {
        Frames(self.shared.taken.load(Ordering::Acquire))
    }

    /// Writes `frames` from device frame `first` on, over what was there.
    pub fn write(&mut self, first: Frames, frames: &[Stereo]) {
        self.clear_late();
        for (frame, sound) in (first.0..).zip(frames) {
            if let Some(slot) = self.shared.slot(frame) {
                slot.store(pack(*sound), Ordering::Relaxed);
            }
        }
        let end = first.0.saturating_add(frames.len() as u64).min(self.taken().0);
        if first.0 < end {
            let before = self.late.take().unwrap_or(first.0..end);
            self.late = Some(before.start.min(first.0)..before.end.max(end));
        }
    }

    /// Clears what was written too late to be heard: nobody would write it again, and it would be heard a lap later. What a
    /// callback may be taking right now is left to the next time.
    fn clear_late(&mut self) {
        let Some(late) = self.late.take() else { return };
        let cleared = self.shared.cleared.load(Ordering::Acquire);
        for slot in (late.start..late.end.min(cleared)).filter_map(|frame| self.shared.slot(frame)) {
            slot.store(0, Ordering::Relaxed);
        }
        self.late = (cleared < late.end).then_some(late.start.max(cleared)..late.end);
    }

    /// Declares that all frames before `until` are as they should be; what the device takes from there on
    /// counts as missed. `None`: there is nothing to play and silence is right for ever.
    pub fn publish(&mut self, until: Option<Frames>) {
        self.clear_late();
        self.shared.written.store(until.map_or(u64::MAX, |f| f.0), Ordering::Release);
    }

    /// Frames that the device took before they were written, since the beginning.
    #[must_use]
    pub fn missed(&self) -> Frames {
        Frames(self.shared.missed.load(Ordering::Relaxed))
    }

    /// The factor for every frame from the next callback on; the callback moves to it without a click.
    pub fn set_gain(&mut self, gain: f32) {
        self.shared.gain.store(gain.to_bits(), Ordering::Relaxed);
    }

    /// The oldest stamp not yet seen. If the player stays away for long the newest are lost, not the oldest.
    #[must_use]
    pub fn poll_stamp(&mut self) -> Option<Stamp> {
        if self.next_stamp == self.shared.stamps_written.load(Ordering::Acquire) {
            return None;
        }
        let stamp = self.shared.stamp_slot(self.next_stamp)?.load();
        self.next_stamp += 1;
        self.shared.stamps_read.store(self.next_stamp, Ordering::Release);
        Some(stamp)
    }
}

impl Reader {
    /// The callback: fills interleaved stereo `out` with the next frames and leaves a stamp. `entered` is the
    /// node time at the callback's entry, `delay` how much later the first of these frames is heard.
    pub fn take(&mut self, out: &mut [f32], entered: NodeTime, delay: Span) {
        let first = self.next_frame;
        let count = out.len() as u64 / 2;
        self.next_frame = first + count;
        self.shared.taken.store(self.next_frame, Ordering::Release);
        self.stamp(Stamp { frame: Frames(first), entered, delay });

        let written = self.shared.written.load(Ordering::Acquire);
        let missed = self.next_frame.saturating_sub(written.max(first));
        if missed > 0 {
            self.shared.missed.fetch_add(missed, Ordering::Relaxed);
        }

        let goal = f32::from_bits(self.shared.gain.load(Ordering::Relaxed));
        #[expect(clippy::cast_precision_loss, reason = "a period has far fewer than 2^23 frames")]
        let step = (goal - self.gain) / count.max(1) as f32;
        let (frames, _) = out.as_chunks_mut::<2>();
        for (frame, out) in (first..).zip(frames) {
            self.gain += step;
            let Some(slot) = self.shared.slot(frame) else { continue };
            let [left, right] = unpack(slot.load(Ordering::Relaxed));
            slot.store(0, Ordering::Relaxed);
            *out = [left * self.gain, right * self.gain];
        }
        self.gain = goal;
        self.shared.cleared.store(self.next_frame, Ordering::Release);
    }

    fn stamp(&mut self, stamp: Stamp) {
        let read = self.shared.stamps_read.load(Ordering::Acquire);
        if self.next_stamp.saturating_sub(read) >= STAMPS {
            return;
        }
        if let Some(slot) = self.shared.stamp_slot(self.next_stamp) {
            slot.store(stamp);
            self.next_stamp += 1;
            self.shared.stamps_written.store(self.next_stamp, Ordering::Release);
        }
    }
}

#[derive(Debug)]
struct Shared {
    /// Frame `f` lies at `f` modulo the length, which is a power of two. 0 is silence.
    slots: Box<[AtomicU64]>,
    /// Frames that callbacks have begun to take, and those that they have taken and cleared.
    taken: AtomicU64,
    cleared: AtomicU64,
    written: AtomicU64,
    missed: AtomicU64,
    gain: AtomicU32,
    stamps: Box<[StampSlot]>,
    stamps_written: AtomicU64,
    stamps_read: AtomicU64,
}

#[derive(Debug, Default)]
struct StampSlot {
    frame: AtomicU64,
    entered: AtomicI64,
    delay: AtomicI64,
}

impl Shared {
    fn capacity(&self) -> u64 {
        self.slots.len() as u64
    }

    fn slot(&self, frame: u64) -> Option<&AtomicU64> {
        self.slots.get(usize::try_from(frame & (self.capacity() - 1)).ok()?)
    }

    fn stamp_slot(&self, stamp: u64) -> Option<&StampSlot> {
        self.stamps.get(usize::try_from(stamp % STAMPS).ok()?)
    }
}

impl StampSlot {
    fn load(&self) -> Stamp {
        Stamp {
            frame: Frames(self.frame.load(Ordering::Relaxed)),
            entered: NodeTime::from_nanos(self.entered.load(Ordering::Relaxed)),
            delay: Span::from_nanos(self.delay.load(Ordering::Relaxed)),
        }
    }

    fn store(&self, stamp: Stamp) {
        self.frame.store(stamp.frame.0, Ordering::Relaxed);
        self.entered.store(stamp.entered.as_nanos(), Ordering::Relaxed);
        self.delay.store(stamp.delay.as_nanos(), Ordering::Relaxed);
    }
}

fn pack([left, right]: Stereo) -> u64 {
    u64::from(left.to_bits()) << 32 | u64::from(right.to_bits())
}

#[expect(clippy::cast_possible_truncation, reason = "each half is taken on purpose")]
fn unpack(frame: u64) -> Stereo {
    [f32::from_bits((frame >> 32) as u32), f32::from_bits(frame as u32)]
}

/// Stamps kept for a player that is away: 5 s of periods of 5 ms.
const STAMPS: u64 = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: SampleRate = SampleRate::HZ_48000;

    fn take(reader: &mut Reader, frames: usize) -> Vec<f32> {
        let mut out = vec![9.0; frames * 2];
        reader.take(&mut out, NodeTime::ZERO, Span::ZERO);
        out.iter().step_by(2).copied().collect()
    }

    #[test]
    fn frames_arrive_where_they_were_addressed_and_only_once() {
        let (mut writer, mut reader) = playout(RATE);
        writer.write(Frames(2), &[[0.5, -0.5], [0.25, 0.25]]);
        assert_eq!(take(&mut reader, 5), [0.0, 0.0, 0.5, 0.25, 0.0]);
        let rest = usize::try_from(writer.capacity()).unwrap();
        assert!(take(&mut reader, rest).iter().all(|s| *s == 0.0), "a taken frame is cleared");
    }

    #[test]
    fn what_is_written_ahead_can_be_written_again() {
        let (mut writer, mut reader) = playout(RATE);
        writer.write(Frames(0), &[[1.0, 1.0]; 10]);
        assert_eq!(take(&mut reader, 4), [1.0; 4]);
        assert_eq!(writer.taken(), Frames(4));
        writer.write(Frames(6), &[[0.0, 0.0]; 4]);
        assert_eq!(take(&mut reader, 6), [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn what_is_written_too_late_is_not_heard_a_lap_later() {
        let (mut writer, mut reader) = playout(RATE);
        let _ = take(&mut reader, 100);
        writer.write(Frames(40), &[[1.0, 1.0]; 80]);
        writer.publish(None);
        let heard = take(&mut reader, 50);
        assert!(heard[..20].iter().all(|s| *s > 0.999) && heard[20..].iter().all(|s| *s == 0.0), "{heard:?}");
        let lap = usize::try_from(writer.capacity()).unwrap();
        assert!(take(&mut reader, lap).iter().all(|s| *s == 0.0), "a snatch of what is over");
    }

    #[test]
    fn frames_that_were_not_ready_are_silent_and_counted() {
        let (mut writer, mut reader) = playout(RATE);
        let _ = take(&mut reader, 100);
        assert_eq!(writer.missed(), Frames(0), "nothing was promised yet");
        writer.publish(Some(Frames(150)));
        let _ = take(&mut reader, 100);
        assert_eq!(writer.missed(), Frames(50));
        writer.publish(None);
        let _ = take(&mut reader, 100);
        assert_eq!(writer.missed(), Frames(50));
    }

    #[test]
    fn stamps_come_back_in_order_and_the_newest_are_lost_first() {
        let (mut writer, mut reader) = playout(RATE);
        for period in 0..2_000 {
            reader.take(&mut [0.0; 20], NodeTime::from_nanos(period), Span::from_nanos(7));
        }
        for period in 0..1_024 {
            let stamp = Stamp {
                frame: Frames(period * 10),
                entered: NodeTime::from_nanos(i64::try_from(period).unwrap()),
                delay: Span::from_nanos(7),
            };
            assert_eq!(writer.poll_stamp(), Some(stamp));
        }
        assert_eq!(writer.poll_stamp(), None);
    }

    #[test]
    fn a_change_of_volume_has_no_step() {
        let (mut writer, mut reader) = playout(RATE);
        writer.write(Frames(0), &[[1.0, 1.0]; 300]);
        writer.set_gain(0.0);
        let faded = take(&mut reader, 100);
        assert!(faded.windows(2).all(|w| (w[0] - w[1] - 0.01).abs() < 1e-4), "{faded:?}");
        assert!(take(&mut reader, 100).iter().all(|s| *s == 0.0));
    }
}
