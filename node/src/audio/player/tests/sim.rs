//! A player, a card and a clock in virtual time: nothing sleeps, and everything that is heard is kept with
//! the true time at which it is heard.

use std::path::{Path, PathBuf};

use jamsync_protocol::{
    id::{EntryId, Participant},
    media::{Frames, SampleRate},
    servo::ServoConfig,
    time::{JamTime, NodeTime, Ppm, Span},
    timeline::{Anchor, JamMap, Revision},
};

use crate::audio::{
    decode::TrackReader,
    player::{Plan, PlayerEvent, Source, engine::Engine},
    playout::{Reader, playout},
};

pub(super) const DEVICE: SampleRate = SampleRate::HZ_48000;
const PERIOD: usize = 480;

pub(super) struct Sim {
    pub(super) engine: Engine,
    reader: Reader,
    pub(super) now: Span,
    next_step: Span,
    next_period: f64,
    callback: Span,
    pub(super) dac: Ppm,
    pub(super) latency: Span,
    random: u64,
    pub(super) node_rate: Ppm,
    pub(super) frozen: bool,
    /// Left channel of what was heard, and the true time of its first frame per period.
    pub(super) heard: Vec<f32>,
    times: Vec<Span>,
    pub(super) events: Vec<(Span, PlayerEvent)>,
}

impl Sim {
    pub(super) fn new(dac: Ppm, node_rate: Ppm) -> Self {
        Self::remembering(None, dac, node_rate)
    }

    /// A player that knows from an earlier time how fast its device runs.
    pub(super) fn remembering(remembered: Option<Ppm>, dac: Ppm, node_rate: Ppm) -> Self {
        let (writer, reader) = playout(DEVICE);
        Self {
            engine: Engine::new(writer, DEVICE, remembered, ServoConfig::default()),
            reader,
            now: Span::ZERO,
            next_step: Span::ZERO,
            next_period: 0.0,
            callback: Span::ZERO,
            dac,
            latency: Span::from_millis(25),
            random: 1,
            node_rate,
            frozen: false,
            heard: Vec::new(),
            times: Vec::new(),
            events: Vec::new(),
        }
    }

    /// The node's clock is hours off, and runs at a rate of its own.
    pub(super) fn node_at(&self, truth: Span) -> NodeTime {
        NodeTime::from_nanos(7_200_000_000_000) + truth + truth.gained_at(self.node_rate)
    }

    /// The Jam clock is true time.
    pub(super) fn jam_at(truth: Span) -> JamTime {
        JamTime::ZERO + truth
    }

    pub(super) fn map(&self) -> JamMap {
        JamMap {
            node: self.node_at(Span::ZERO),
            jam: Self::jam_at(Span::ZERO),
            rate: Ppm::from_factor(1.0 / self.node_rate.as_factor()),
        }
    }

    pub(super) fn run_until(&mut self, until: Span) {
        while self.now < until {
            self.now = self.callback.min(self.next_step).max(self.now);
            if self.callback <= self.now {
                self.call_back();
            }
            if self.next_step <= self.now {
                self.step();
            }
        }
    }

    /// A command was given: the player wakes at once.
    pub(super) fn wake(&mut self) {
        self.next_step = self.now;
    }

    pub(super) fn set_plan(&mut self, plan: Plan) {
        self.engine.handle_plan(plan);
        self.wake();
    }

    pub(super) fn step(&mut self) {
        if self.frozen {
            self.next_step = self.now + Span::from_millis(10);
            return;
        }
        let rest = self.engine.step(self.node_at(self.now));
        self.next_step = self.now + rest;
        while let Some(request) = self.engine.poll_open() {
            let result = TrackReader::open(&request.path);
            self.engine.handle_opened(&request, result);
            self.next_step = self.now;
        }
        let now = self.now;
        self.events.extend(self.engine.poll_events().into_iter().map(|event| (now, event)));
    }

    fn call_back(&mut self) {
        let due = Span::from_secs_f64(self.next_period);
        let mut sound = [0.0; 2 * PERIOD];
        let delay = due + self.latency - self.now;
        self.reader.take(&mut sound, self.node_at(self.now), delay);
        self.heard.extend(sound.iter().step_by(2));
        self.times.push(due + self.latency);
        self.next_period += 480.0 / (48_000.0 * self.dac.as_factor());
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let late = Span::from_nanos(i64::try_from(self.random >> 46).unwrap());
        self.callback = Span::from_secs_f64(self.next_period) + late;
    }

    /// True time at which the frame is heard.
    pub(super) fn heard_at(&self, frame: usize) -> Span {
        let into = Frames((frame % PERIOD) as u64);
        self.times[frame / PERIOD] + DEVICE.span_of(into).scaled(1.0 / self.dac.as_factor())
    }

    /// The first frame heard at or after a true time.
    pub(super) fn frame_at(&self, truth: Span) -> usize {
        let period = self.times.partition_point(|time| *time < truth).saturating_sub(1) * PERIOD;
        (period..self.heard.len()).find(|frame| self.heard_at(*frame) >= truth).unwrap_or(self.heard.len())
    }

    /// The sound heard in a stretch of true time.
    pub(super) fn between(&self, from: Span, to: Span) -> &[f32] {
        &self.heard[self.frame_at(from)..self.frame_at(to)]
    }

    /// How late a sine of `hertz` is in 50 ms from `from` on, by its phase, if it should be at zero phase at
    /// true time `zero`.
    pub(super) fn lateness(&self, hertz: f64, zero: Span, from: Span) -> Span {
        let first = self.frame_at(from);
        let (mut re, mut im) = (0.0, 0.0);
        for frame in first..first + 2_400 {
            let turn = std::f64::consts::TAU * hertz * (self.heard_at(frame) - zero).as_secs_f64();
            re += f64::from(self.heard[frame]) * turn.sin();
            im += f64::from(self.heard[frame]) * turn.cos();
        }
        assert!(re.hypot(im) > 100.0, "nothing is heard at {from}");
        Span::from_secs_f64(-im.atan2(re) / (std::f64::consts::TAU * hertz))
    }

    pub(super) fn loudest(&self, from: Span, to: Span) -> f32 {
        self.between(from, to).iter().fold(0.0, |max, sample| sample.abs().max(max))
    }

    /// The sharpest bend of the waveform: a click is a hundred times that of a low sine.
    pub(super) fn sharpest(&self, from: Span, to: Span) -> f32 {
        let bend = |w: &[f32]| (w[0] - 2.0 * w[1] + w[2]).abs();
        self.between(from, to).windows(3).map(bend).fold(0.0, f32::max)
    }
}

pub(super) fn entry(number: u32) -> EntryId {
    EntryId { author: Participant::FIRST, number }
}

pub(super) fn anchor(counter: u64, number: u32, position: u64, at: Span, playing: bool) -> Anchor {
    Anchor {
        revision: Revision { epoch: 0, host: Participant::FIRST, counter },
        entry: Some(entry(number)),
        position: Frames(position),
        at: Sim::jam_at(at),
        playing,
    }
}

/// A sine as a WAV file of floats, from `first` on.
pub(super) fn sine(folder: &Path, name: &str, hz: u32, hertz: f64, first: u32, frames: u32) -> Source {
    let path: PathBuf = folder.join(name);
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: hz,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(&path, spec).unwrap();
    for frame in first..first + frames {
        let value = 0.5 * (std::f64::consts::TAU * hertz * f64::from(frame) / f64::from(hz)).sin();
        #[expect(clippy::cast_possible_truncation, reason = "sound is f32")]
        writer.write_sample(value as f32).unwrap();
    }
    writer.finalize().unwrap();
    Source { path, rate: SampleRate::new(hz).unwrap(), length: Frames(u64::from(frames)) }
}
