//! One node in virtual time: the real session and the real player, on a clock and a card that are wrong by known
//! amounts.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    path::{Path, PathBuf},
};

use anyhow::Context;
use jamsync_node::{
    api::AnchorCause,
    audio::{
        player::{Plan, PlayerEvent, Source, SteppedPlayer},
        sink::{DacModel, DacPeriod},
    },
    clock::{ClockFaults, SleepWatch},
};
use jamsync_protocol::{
    id::{EntryId, Participant, TrackId},
    media::{Frames, SampleRate, Track},
    queue::{EditId, Entry, QueueEvent},
    servo::ServoConfig,
    session::{Channel, Command, Event, Session},
    text::Text,
    time::{NodeTime, Ppm, Span},
    timeline::Anchor,
    wire::peer::{Announcement, Availability, PlayoutReport, Verb},
};

use super::PARTICIPANTS;
use crate::{
    latency::{Observation, case::Who},
    link::wire::{Packet, Stream},
    rig::{clock::SkewedClock, node::Effect},
    score::{Recording, ScoreError, Stamp, TrueTime},
};

/// A node, its card and its clock.
pub(super) struct Side {
    pub(super) session: Session,
    pub(super) streams: [Stream; 2],
    /// The connection's number, 0 before the first.
    pub(super) number: u32,
    pub(super) connected: bool,
    pub(super) heard_from: Span,
    pub(super) dialled: Span,
    /// What has arrived and is not looked at yet, and what is said and has not left yet, with the instants.
    pub(super) inbox: VecDeque<(Span, Packet)>,
    pub(super) outbox: VecDeque<(Span, Packet)>,
    /// When the session is looked after next, at the latest.
    pub(super) wakes: Span,
    pub(super) effects: Vec<Effect>,
    pub(super) reanchors: u32,
    pub(super) missing: HashSet<EntryId>,
    /// Which edit was shown when.
    pub(super) edits: Vec<(EditId, Span)>,
    clock: SkewedClock,
    sleep: SleepWatch,
    player: SteppedPlayer,
    steps: Span,
    files: HashMap<TrackId, PathBuf>,
    plan: Plan,
    announced: Vec<Announcement>,
    told: Option<Anchor>,
    card: DacModel,
    period: DacPeriod,
    latency: Span,
    sound: [Vec<f32>; 2],
    stamps: Vec<Stamp>,
}

/// How a side is set up.
pub(super) struct Setup {
    pub(super) clock_offset: Span,
    pub(super) clock_rate: Ppm,
    pub(super) dac_rate: Ppm,
    pub(super) dac_latency: Span,
    pub(super) seed: u64,
    pub(super) files: HashMap<TrackId, PathBuf>,
}

const DEVICE: SampleRate = SampleRate::HZ_48000;
/// Both keep their sessions from the first connection on.
const SESSION_EPOCH: u32 = 7;

impl Side {
    pub(super) fn new(setup: Setup, is_host: bool) -> Self {
        let zero = NodeTime::ZERO + setup.clock_offset;
        let [host, guest] = PARTICIPANTS;
        let mut card = DacModel::new(DEVICE, setup.dac_rate, setup.seed, Span::ZERO);
        Self {
            session: if is_host { Session::alone(zero) } else { Session::guest(guest, host) },
            streams: [Stream::new(Channel::Control), Stream::new(Channel::Queue)],
            number: 0,
            connected: false,
            heard_from: Span::ZERO,
            dialled: Span::ZERO,
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
            wakes: Span::ZERO,
            effects: Vec::new(),
            reanchors: 0,
            missing: HashSet::new(),
            edits: Vec::new(),
            clock: SkewedClock {
                offset: setup.clock_offset,
                rate: setup.clock_rate,
                started: TrueTime::default(),
                faults: ClockFaults::default(),
            },
            sleep: SleepWatch::new(Span::ZERO),
            player: SteppedPlayer::new(DEVICE, ServoConfig::default()),
            steps: Span::ZERO,
            files: setup.files,
            plan: Plan::default(),
            announced: Vec::new(),
            told: None,
            period: card.next_period(),
            card,
            latency: setup.dac_latency,
            sound: [Vec::new(), Vec::new()],
            stamps: Vec::new(),
        }
    }

    /// What the node's clock reads at a true time.
    pub(super) fn time(&self, now: Span) -> NodeTime {
        self.clock.reading(TrueTime::default() + now)
    }

    /// The true time of a reading, rounded up.
    pub(super) fn when(&self, reading: NodeTime) -> Span {
        self.clock.true_time(reading) - TrueTime::default() + Span::from_micros(1)
    }

    /// From now on these faults happen to its clock and its machine.
    pub(super) fn suffer(&mut self, faults: ClockFaults) {
        self.clock.faults = faults;
    }

    /// The first instant from `at` on at which its machine is awake.
    pub(super) fn awake_from(&self, at: Span) -> Span {
        let end = self.clock.faults.sleep.map(|(from, length)| (from, from + length));
        end.filter(|(from, until)| (*from..*until).contains(&at)).map_or(at, |(_, until)| until)
    }

    /// As a node does before it looks at anything else.
    pub(super) fn notice_sleep(&mut self, now: Span) {
        if self.sleep.handle_slept(self.clock.faults.slept_by(now)) {
            let node_now = self.time(now);
            self.session.handle_suspend(node_now);
            self.player.handle_suspend(node_now);
        }
    }

    /// Looks for the files of entries that are new.
    fn seek_files(&mut self, now: Span) -> anyhow::Result<()> {
        let node_now = self.time(now);
        let known = |id: &Entry| self.session.availability_here(id.id).is_some();
        let new: Vec<(EntryId, TrackId)> = self
            .session
            .queue()
            .entries()
            .filter(|entry| !known(entry))
            .map(|e| (e.id, e.track.id))
            .collect();
        for (entry, track) in new {
            let found = self.files.contains_key(&track);
            let availability = if found { Availability::Ready } else { Availability::Missing };
            self.session.handle_availability(entry, availability, node_now)?;
        }
        Ok(())
    }

    pub(super) fn stream(&mut self, channel: Channel) -> &mut Stream {
        let [control, queue] = &mut self.streams;
        if channel == Channel::Control { control } else { queue }
    }

    pub(super) fn connect(&mut self, number: u32, peer: Participant, now: Span) {
        self.disconnect();
        self.streams = [Stream::new(Channel::Control), Stream::new(Channel::Queue)];
        (self.number, self.connected, self.heard_from) = (number, true, now);
        let node_now = self.time(now);
        self.session.handle_connected(peer, SESSION_EPOCH, node_now);
    }

    pub(super) fn disconnect(&mut self) {
        if std::mem::take(&mut self.connected) {
            self.session.handle_disconnected();
        }
    }

    /// Takes in what happened to the session.
    ///
    /// # Errors
    /// Where an entry that is not to be had leads to no next track.
    pub(super) fn handle_event(&mut self, event: Event, now: Span) -> anyhow::Result<()> {
        if let Event::Moved(announcement) = event {
            self.announced.push(announcement);
        } else if let Event::Queue(event) = event {
            if let QueueEvent::Changed { edit, .. } | QueueEvent::Refused { edit, .. } = event {
                self.edits.push((edit, now));
            }
            self.seek_files(now)?;
        } else if let Event::Availability { entry, availability: Availability::Missing, .. } = event {
            self.missing.insert(entry);
        }
        Ok(())
    }

    /// When the card or the player want attention next.
    pub(super) fn sounds_next(&self) -> Span {
        self.awake_from(self.period.wakes.min(self.steps))
    }

    /// The card's callback and the player's step, where they are due.
    pub(super) fn sound(&mut self, now: Span) {
        if self.awake_from(now) > now {
            return;
        }
        while self.period.wakes <= now {
            // A card whose buffer ran dry stands still and goes on from there.
            self.period.due += (now - (self.period.due + self.latency)).max(Span::ZERO);
            self.card.stand_still_until(self.period.due);
            let mut sound = vec![[0.0; 2]; self.card.period_frames()];
            let heard = self.period.due + self.latency;
            let entered = self.time(now);
            self.player.take(&mut sound, entered, heard - now);
            let frame = Frames(self.sound[0].len() as u64);
            self.stamps.push(Stamp { frame, at: TrueTime::default() + heard });
            for [left, right] in sound {
                self.sound[0].push(left);
                self.sound[1].push(right);
            }
            self.period = self.card.next_period();
        }
        if self.steps <= now {
            self.step(now);
        }
    }

    /// Brings the player in step with the session, and notes which anchor has taken effect.
    pub(super) fn settle(&mut self, now: Span) {
        let node_now = self.time(now);
        let map = self.session.jam_map(node_now);
        self.player.set_jam_map(map);
        let anchors = self.session.timeline().anchors().to_vec();
        let sources = anchors.iter().filter_map(|anchor| self.source(anchor.entry?)).collect();
        let plan = Plan { anchors, sources };
        if self.plan != plan {
            self.player.set_plan(plan.clone());
            self.plan = plan;
        }
        self.step(now);
        let Some(map) = map else { return };
        let Some(anchor) = self.session.timeline().in_force(map.jam_at(node_now)).copied() else { return };
        let known = self.announced.iter().find(|known| known.anchor.revision == anchor.revision).copied();
        let Some(known) = known.filter(|_| self.told != Some(anchor)) else { return };
        self.told = Some(anchor);
        self.announced.retain(|known| known.anchor.revision >= anchor.revision);
        let at = TrueTime::default() + self.when(map.node_at(anchor.at));
        self.effects.push(Effect { cause: cause(known.verb), playing: anchor.playing, at });
    }

    /// The next instant at which an anchor takes effect.
    pub(super) fn next_effect(&self, now: Span) -> Option<Span> {
        let map = self.session.jam_map(self.time(now))?;
        let next = self.session.timeline().upcoming(map.jam_at(self.time(now))).next()?.at;
        Some(self.when(map.node_at(next)))
    }

    /// The command that moves by so many seconds from where it will be.
    pub(super) fn seek(&self, by_s: i32, now: Span) -> Option<Command> {
        let heard = self.session.intended(self.time(now))?;
        let rate = self.session.queue().entry(heard.entry)?.track.rate;
        let wanted = rate.span_of(heard.position) + Span::from_secs(i64::from(by_s));
        Some(Command::Seek(rate.frames_in(wanted)))
    }

    /// What it believes, beside the truth.
    pub(super) fn observe(&self, by: Who, friend: &Self, now: Span) -> Option<Observation> {
        let node_now = self.time(now);
        let sync = self.session.sync_report(node_now)?;
        let truth = Span::from_nanos(friend.time(now).as_nanos() - node_now.as_nanos());
        let micros = |span: Span| span.as_secs_f64() * 1e6;
        let report = self.player.report();
        Some(Observation {
            at_ns: TrueTime::default() + now,
            by,
            clock_error_us: micros(sync.offset - truth),
            bound_us: micros(sync.bound),
            spread_us: micros(sync.spread),
            round_trip_us: micros(sync.round_trip),
            drift_ppm: sync.drift.0,
            rate_ppm: report.rate.0,
            servo_error_us: micros(report.error.unwrap_or_default()),
            reanchors: self.reanchors,
            underruns: report.missed_frames.0,
        })
    }

    pub(super) fn playout(&self) -> PlayoutReport {
        self.player.report().playout()
    }

    /// What was heard.
    pub(super) fn recording(&mut self) -> Result<Recording, ScoreError> {
        let sound = std::mem::take(&mut self.sound);
        Recording::new(DEVICE, sound.into(), std::mem::take(&mut self.stamps))
    }

    fn step(&mut self, now: Span) {
        self.steps = now + self.player.step(self.time(now)).max(Span::from_millis(1));
        let jumps = |event: &PlayerEvent| matches!(event, PlayerEvent::Reanchored { .. });
        for _ in self.player.poll_events().iter().filter(|event| jumps(event)) {
            self.reanchors += 1;
        }
    }

    fn source(&self, entry: EntryId) -> Option<(EntryId, Source)> {
        let track = &self.session.queue().entry(entry)?.track;
        let path = self.files.get(&track.id)?.clone();
        Some((entry, Source { path, rate: track.rate, length: track.length }))
    }
}

/// A piece of music as the queue knows it.
pub(super) fn track(path: &Path) -> anyhow::Result<Track> {
    let reader = hound::WavReader::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let rate = SampleRate::new(reader.spec().sample_rate).context("a piece with an odd rate")?;
    let mut id = [0; 32];
    for (byte, of) in id.iter_mut().zip(path.file_name().unwrap_or_default().as_encoded_bytes().iter().rev())
    {
        *byte = *of;
    }
    Ok(Track {
        id: TrackId(id),
        title: Text::default(),
        artist: Text::default(),
        album: Text::default(),
        rate,
        length: Frames(u64::from(reader.duration())),
    })
}

const fn cause(verb: Verb) -> AnchorCause {
    match verb {
        Verb::Start => AnchorCause::Start,
        Verb::Play | Verb::Resume => AnchorCause::Resume,
        Verb::Pause => AnchorCause::Pause,
        Verb::Wait => AnchorCause::Wait,
        Verb::Seek => AnchorCause::Seek,
        Verb::Skip | Verb::Removed => AnchorCause::Skip,
        Verb::TrackEnd => AnchorCause::TrackEnd,
        Verb::Unplayable => AnchorCause::Unplayable,
    }
}
