//! A toy player for the programs that embed the protocol: it sounds nothing, but it knows to the nanosecond what
//! would be heard when.
//!
//! [`Player`] shows what every player does with an [`AudibleLine`] and a [`Servo`]; only the samples are missing.
//! A [`Machine`] is where it runs: a clock and a sound card that are both wrong, as on any two machines, and the
//! true time that only the examiner may read. This module needs the standard library and the public API of
//! `jamsync-protocol`, nothing else, and never touches a network.

use std::{error::Error, fmt, process::ExitCode, sync::LazyLock, thread, time::Instant};

use jamsync_protocol::{
    id::{Participant, TrackId},
    media::{Frames, SampleRate, Track},
    queue::Intent,
    servo::{Action, AudibleLine, LineEvent, Servo, ServoConfig, feed_forward},
    session::{Command, Event, Session},
    text::Text,
    time::{NodeTime, Ppm, Span},
    timeline::Revision,
    wire::peer::PlayoutReport,
};

/// Whose part a program takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Brings the music and gives the order.
    Host,
    /// Joins.
    Guest,
}

/// A clock and a sound card with errors of their own.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    clock_offset: Span,
    clock_rate: Ppm,
    dac: Ppm,
}

/// The sound card asks for the next [`PERIOD`] frames.
#[derive(Clone, Copy, Debug)]
pub struct Callback {
    /// The first of them, counted from the opening of the device.
    pub frame: Frames,
    /// When it asked.
    pub entered: NodeTime,
    /// How long after that they will be heard, as far as the device can tell.
    pub delay: Span,
}

/// A period that was heard.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// True time at which its first frame was heard.
    pub at: Span,
    /// The anchor that it follows.
    pub revision: Revision,
    /// Which place of the track it was, as time from the track's start.
    pub music: Span,
    /// How late that was by the player's own reckoning.
    pub error: Span,
}

/// What plays: the line, the servo, and the place of the track that is fed to the device next.
#[derive(Debug)]
pub struct Player {
    machine: Machine,
    line: AudibleLine,
    servo: Servo,
    following: Option<Revision>,
    music: Span,
    heard: Vec<Heard>,
}

/// Frames of one callback: 10 ms of the device.
pub const PERIOD: Frames = Frames(480);
/// True time zero.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);
/// From the callback to the ear.
const LATENCY: Span = Span::from_millis(40);
/// What the device declares; its crystal says otherwise.
const DEVICE: SampleRate = SampleRate::HZ_48000;
/// Half a second for the line and the clock to settle: the first stamp and the first probe may be late by any
/// amount, and what began in the wrong place would have to jump.
const SETTLING: Frames = Frames(24_000);
/// Periods from one step of the servo to the next: 100 ms.
const PERIODS_PER_STEP: u64 = 10;

impl Side {
    /// This side of a Jam of two.
    #[must_use]
    pub fn participant(self) -> Participant {
        match self {
            Self::Host => Participant::FIRST,
            Self::Guest => Participant::new(1).unwrap_or_default(),
        }
    }

    /// The other side.
    #[must_use]
    pub fn other(self) -> Self {
        if self == Self::Host { Self::Guest } else { Self::Host }
    }

    /// A session that begins at `now`; the host's has music on already.
    ///
    /// # Errors
    /// None of an empty session.
    pub fn session(self, now: NodeTime) -> Result<Session, jamsync_protocol::session::SessionError> {
        if self == Self::Guest {
            return Ok(Session::guest(self.participant(), self.other().participant()));
        }
        let mut session = Session::alone(now);
        session.handle_command(Command::Edit(Intent::Append(vec![song("One"), song("Two")])), now)?;
        session.handle_command(Command::Resume, now)?;
        Ok(session)
    }

    /// Prints what this listener is told.
    pub fn show(self, event: &Event) {
        if let Event::Moved(told) = event {
            println!("{self:?} is told: {:?} by {:?}", told.verb, told.by);
        } else {
            println!("{self:?} is told: {event:?}");
        }
    }

    /// What this listener does, and when: true time since the start, in order.
    #[must_use]
    pub fn script(self) -> Vec<(Span, Command)> {
        let at = Span::from_millis;
        match self {
            Self::Host => vec![(at(3_500), Command::Seek(Frames(44_100 * 90))), (at(4_200), Command::Skip)],
            Self::Guest => vec![
                (at(1_200), Command::Edit(Intent::Append(vec![song("Three")]))),
                (at(1_500), Command::Pause),
                (at(2_000), Command::Resume),
                (at(2_800), Command::Seek(Frames(44_100 * 60))),
                (at(5_200), Command::Leave),
            ],
        }
    }
}

impl Machine {
    /// The machine of `side`. All machines of a process share one true time, which begins with the first.
    #[must_use]
    pub fn new(side: Side) -> Self {
        LazyLock::force(&BEGINNING);
        let (clock_offset, clock_rate, dac) = match side {
            Side::Host => (Span::from_secs(3_600_000), Ppm(30.0), Ppm(60.0)),
            Side::Guest => (Span::from_secs(500), Ppm(-20.0), Ppm(-40.0)),
        };
        Self { clock_offset, clock_rate, dac }
    }

    /// What this machine's clock reads.
    #[must_use]
    pub fn now(&self) -> NodeTime {
        let truth = self.truth();
        NodeTime::ZERO + self.clock_offset + truth + truth.gained_at(self.clock_rate)
    }

    /// True time since the beginning, which no session ever sees.
    #[must_use]
    pub fn truth(&self) -> Span {
        // A program of one's own reads CLOCK_MONOTONIC_RAW and notices sleep, as "The clock" in the front page of
        // `jamsync-protocol` tells. This clock, which time daemons slew on Linux, will do only because both sides of the
        // toy are measured by the same one.
        Span::from_duration(BEGINNING.elapsed())
    }

    /// Runs the sound card until `callback` returns false. A card calls on a thread of its own, which is late now
    /// and then.
    pub fn run_card(self, mut callback: impl FnMut(Callback) -> bool) {
        let mut frame = Frames::ZERO;
        loop {
            thread::sleep((self.heard_at(frame) - LATENCY - self.truth()).as_duration());
            if !callback(Callback { frame, entered: self.now(), delay: LATENCY }) {
                return;
            }
            frame = frame.plus(PERIOD);
        }
    }

    /// True time at which `frame` is heard.
    fn heard_at(&self, frame: Frames) -> Span {
        DEVICE.span_of(frame).scaled(1.0 / self.dac.as_factor()) + LATENCY
    }
}

impl Player {
    /// A silent player.
    #[must_use]
    pub fn new(machine: Machine) -> Self {
        Self {
            machine,
            line: AudibleLine::new(DEVICE, None),
            servo: Servo::new(ServoConfig::default()),
            following: None,
            music: Span::ZERO,
            heard: Vec::new(),
        }
    }

    /// Fills the period that the device asks for with what `session` wants to be heard.
    pub fn handle_callback(&mut self, callback: Callback, session: &mut Session, now: NodeTime) {
        let Callback { frame, entered, delay } = callback;
        if self.line.handle_callback(frame, entered, delay) == LineEvent::Restarted {
            self.servo.handle_start(now);
        }
        let Some((revision, wanted, drift)) = self.wanted(frame, session, now) else {
            self.following = None;
            return;
        };
        let fresh = self.following.replace(revision) != Some(revision);
        if fresh {
            self.music = wanted;
            self.servo.handle_start(now);
        }
        // What is behind is heard too late.
        let error = wanted - self.music;
        if fresh || (frame.0 / PERIOD.0).is_multiple_of(PERIODS_PER_STEP) {
            self.servo.handle_spread(self.line.spread());
            let action = self.servo.step(now, error, feed_forward(self.line.dac(), drift));
            if action == Action::Reanchor {
                self.music = wanted;
            }
            let report = PlayoutReport { output_latency: LATENCY, error: Some(error), ..Default::default() };
            session.handle_playout(report.with_correction(self.servo.rate()));
        }
        self.heard.push(Heard { at: self.machine.heard_at(frame), revision, music: self.music, error });
        // A real player feeds its resampler here; all that matters to time is how much of the track it takes.
        let period = DEVICE.span_of(PERIOD);
        self.music += period + period.gained_at(self.servo.rate());
    }

    /// The anchor in force when `frame` is heard, the place of the track that is due then, and the drift of the
    /// Jam clock; `None` where nothing is to be heard.
    fn wanted(&self, frame: Frames, session: &Session, now: NodeTime) -> Option<(Revision, Span, Ppm)> {
        if frame < SETTLING {
            return None;
        }
        let map = session.jam_map(now)?;
        let jam = map.jam_at(self.line.audible_at(frame)?);
        let anchor = session.timeline().in_force(jam).filter(|anchor| anchor.playing)?;
        let rate = session.queue().entry(anchor.entry?)?.track.rate;
        Some((anchor.revision, anchor.music_at(jam, rate), map.rate))
    }

    /// Prints how far the two players were apart and tells whether they were in step.
    #[must_use]
    pub fn is_in_step_with(&self, other: &Self) -> bool {
        let apart = Apart::measure(&self.heard, &other.heard);
        apart.inspect(|apart| println!("{apart}")).is_some_and(|apart| apart.is_in_step())
    }

    /// Prints this player's own opinion and tells whether it was in step by that. Without a true time that both
    /// sides share there is nothing better; the clock's error is in neither figure.
    #[must_use]
    pub fn says_in_step(&self) -> bool {
        let worst = self.heard.iter().map(|heard| heard.error.abs()).max().unwrap_or_default();
        println!("{} periods of 10 ms, at most {worst} off by this side's own reckoning", self.heard.len());
        self.heard.len() >= PERIODS_MIN && worst < LIMIT
    }
}

/// How far apart two players were, against true time.
#[derive(Clone, Copy, Debug)]
pub struct Apart {
    /// Periods that both played.
    pub periods: usize,
    /// Half of them were no further apart.
    pub median: Span,
    /// None was.
    pub worst: Span,
}

impl Apart {
    /// Compares every period of `a` with the one of `b` that was heard at the same true time and follows the same
    /// anchor; `None` where there is none.
    #[must_use]
    pub fn measure(a: &[Heard], b: &[Heard]) -> Option<Self> {
        let half = DEVICE.span_of(PERIOD).scaled(0.5);
        let difference = |a: &Heard| {
            let at_once = |b: &&Heard| b.revision == a.revision && (b.at - a.at).abs() <= half;
            b.iter().find(at_once).map(|b| ((a.music - b.music) - (a.at - b.at)).abs())
        };
        let mut differences: Vec<Span> = a.iter().filter_map(difference).collect();
        differences.sort_unstable();
        let median = *differences.get(differences.len() / 2)?;
        Some(Self { periods: differences.len(), median, worst: *differences.last()? })
    }

    /// Whether they were in step: long enough to count, and never a millisecond apart.
    #[must_use]
    pub fn is_in_step(&self) -> bool {
        self.periods >= PERIODS_MIN && self.worst < LIMIT
    }
}

impl fmt::Display for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { periods, median, worst } = self;
        write!(f, "{periods} periods of 10 ms compared: {median} apart by the median, {worst} at worst")
    }
}

/// The exit status of a program that found the players in step, or not, or came to an end before.
#[must_use]
pub fn verdict(in_step: Result<bool, Box<dyn Error + Send + Sync>>) -> ExitCode {
    match in_step {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Further apart is out of step.
const LIMIT: Span = Span::from_millis(1);
/// Three seconds of music must have been heard on both sides.
const PERIODS_MIN: usize = 300;

/// Three minutes of silence by nobody.
fn song(title: &str) -> Track {
    Track {
        id: TrackId([7; 32]),
        title: Text::truncated(title),
        artist: Text::default(),
        album: Text::default(),
        rate: SampleRate::HZ_44100,
        length: Frames(44_100 * 180),
    }
}
