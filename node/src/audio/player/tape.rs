//! What has been written ahead, and how one sound gives way to another.
//!
//! The tape writes into the playout and remembers what it wrote until it has been heard. To change what is
//! ahead, it is *cut*: writing goes on from an earlier frame, and the sound that lay there fades out under the
//! new one. So no change is ever a step in the waveform.

use std::{collections::VecDeque, f32::consts::FRAC_PI_2};

use jamsync_protocol::media::Frames;

use super::schedule::{Scene, Spot};
use crate::audio::playout::{Stereo, Writer};

/// The writing end of the playout, with a memory.
#[derive(Debug)]
pub(super) struct Tape {
    writer: Writer,
    /// The next frame to be written.
    head: Frames,
    /// Frames from here on were never written.
    clean: Frames,
    /// What was written, at the frame modulo the length.
    recent: Box<[Stereo]>,
    runs: VecDeque<Run>,
    fade: Option<Fade>,
}

/// How the old sound goes and the new one comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blend {
    /// The old sound fades; the new one, if any, begins at full level, as the first frame of a track must.
    Out,
    /// Two different sounds cross at equal power.
    Cross,
    /// The same sound continues: equal weights, or it would swell.
    Same,
}

/// What a stretch of the tape holds.
#[derive(Clone, Copy, Debug)]
struct Run {
    from: Frames,
    scene: Scene,
    /// Source frames per device frame.
    step: f64,
}

#[derive(Debug)]
struct Fade {
    old: Vec<Stereo>,
    done: usize,
    blend: Blend,
}

impl Tape {
    pub(super) fn new(writer: Writer) -> Self {
        let frames = usize::try_from(writer.capacity()).unwrap_or(0);
        Self {
            writer,
            head: Frames::ZERO,
            clean: Frames::ZERO,
            recent: vec![[0.0; 2]; frames].into_boxed_slice(),
            runs: VecDeque::new(),
            fade: None,
        }
    }

    pub(super) fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }

    /// The next frame to be written.
    pub(super) fn head(&self) -> Frames {
        self.head
    }

    pub(super) fn taken(&self) -> Frames {
        self.writer.taken()
    }

    /// What was written for `frame`: silence where nothing was.
    pub(super) fn written_at(&self, frame: Frames) -> Scene {
        match self.runs.iter().rev().find(|run| run.from <= frame) {
            None => Scene::Silence,
            Some(run) => match run.scene {
                Scene::Silence => Scene::Silence,
                Scene::Sound(spot) => {
                    let further = frame.minus(run.from).as_f64() * run.step;
                    Scene::Sound(Spot { position: spot.position + further, ..spot })
                }
            },
        }
    }

    /// The frames at which the tape turns to something else.
    pub(super) fn turns(&self) -> impl Iterator<Item = Frames> {
        self.runs.iter().map(|run| run.from)
    }

    /// Writes `sound`, which is `scene` at its first frame and moves by `step` source frames per frame.
    pub(super) fn append(&mut self, sound: &mut [Stereo], scene: Scene, step: f64) {
        if sound.is_empty() {
            return;
        }
        let heard = self.taken();
        while self.runs.get(1).is_some_and(|second| second.from <= heard) {
            self.runs.pop_front();
        }
        self.runs.push_back(Run { from: self.head, scene, step });
        self.blend_in(sound);
        self.writer.write(self.head, sound);
        for frame in sound {
            let slot = self.slot(self.head);
            if let Some(slot) = self.recent.get_mut(slot) {
                *slot = *frame;
            }
            self.head = self.head.plus(Frames(1));
        }
        self.clean = self.clean.max(self.head);
    }

    /// Writes silence up to `until`.
    pub(super) fn append_silence(&mut self, until: Frames) {
        let mut quiet = [[0.0; 2]; 480];
        while self.head < until {
            let count = usize::try_from(until.minus(self.head).0).unwrap_or(usize::MAX).min(quiet.len());
            if let Some(part) = quiet.get_mut(..count) {
                part.fill([0.0; 2]);
                self.append(part, Scene::Silence, 0.0);
            }
        }
    }

    /// Goes on from `at`, which is not behind the head; what lay there fades out over `frames`.
    pub(super) fn cut(&mut self, at: Frames, frames: usize, blend: Blend) {
        let ahead = usize::try_from(self.head.minus(at).0).unwrap_or(0);
        let old =
            (at.0..).take(ahead.min(frames)).filter_map(|frame| self.recent.get(self.slot(Frames(frame))));
        let old = old.copied().collect();
        self.head = at;
        while self.runs.back().is_some_and(|run| run.from >= at) {
            self.runs.pop_back();
        }
        self.fade_from(old, blend);
    }

    /// Lets `old`, the frames that would have come next, fade out under what is appended now.
    pub(super) fn fade_from(&mut self, old: Vec<Stereo>, blend: Blend) {
        self.fade = (!old.is_empty()).then_some(Fade { old, done: 0, blend });
    }

    /// Whether an old sound is still fading.
    pub(super) fn is_fading(&self) -> bool {
        self.fade.is_some()
    }

    /// Passes over frames that can no longer be written.
    pub(super) fn skip_to(&mut self, frame: Frames) {
        self.head = frame;
        self.clean = self.clean.max(frame);
        self.runs.clear();
        self.fade = None;
    }

    /// Tells the device what is ready. When `idle`, silence is right from the head on, for ever.
    pub(super) fn publish(&mut self, idle: bool) {
        if idle {
            self.append_silence(self.clean);
        }
        self.writer.publish((!idle).then_some(self.head));
    }

    fn blend_in(&mut self, sound: &mut [Stereo]) {
        let Some(fade) = &mut self.fade else { return };
        let count = Frames(fade.old.len() as u64).as_f64();
        for (frame, old) in sound.iter_mut().zip(fade.old.iter().skip(fade.done)) {
            #[expect(clippy::cast_possible_truncation, reason = "a share of 0 to 1")]
            let share = ((Frames(fade.done as u64).as_f64() + 0.5) / count) as f32;
            let (new_weight, old_weight) = fade.blend.weights(share);
            *frame =
                [frame[0] * new_weight + old[0] * old_weight, frame[1] * new_weight + old[1] * old_weight];
            fade.done += 1;
        }
        if fade.done >= fade.old.len() {
            self.fade = None;
        }
    }

    fn slot(&self, frame: Frames) -> usize {
        let length = (self.recent.len() as u64).max(1);
        usize::try_from(frame.0 % length).unwrap_or(0)
    }
}

impl Blend {
    /// Weights of the new and of the old sound when `share` of the fade is over.
    fn weights(self, share: f32) -> (f32, f32) {
        // A smooth step, so that the fade itself has no corners.
        let share = share * share * (3.0 - 2.0 * share);
        match self {
            Self::Out => (1.0, (share * FRAC_PI_2).cos()),
            Self::Cross => ((share * FRAC_PI_2).sin(), (share * FRAC_PI_2).cos()),
            Self::Same => (share, 1.0 - share),
        }
    }
}
