//! One node of the world: the real session, the model of its player, its card and its clock.

use std::collections::VecDeque;

use jamsync_protocol::{
    id::{EntryId, Participant, TrackId},
    media::{Frames, SampleRate, Track},
    queue::{Intent, Place},
    session::{Channel, Command, SavedSession, Session, SessionError},
    text::Text,
    time::{NodeTime, Ppm, Span},
    timeline::{JamMap, Revision},
    wire::peer::Availability,
};

use super::{
    dac::Dac,
    naive::Naive,
    plan::{ClockPlan, Deed, Fault, Plan},
    player::{Piece, Player, Source},
    wire::Stream,
};

/// A node.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) session: Session,
    pub(super) player: Player,
    pub(super) dac: Dac,
    pub(super) clock: NodeClock,
    pub(super) streams: [Stream; 2],
    pub(super) connected: bool,
    /// The connection's number; 0 before the first.
    pub(super) number: u32,
    /// When something last came from the other side.
    pub(super) heard_from: Span,
    /// When a datagram last came: until then the peer's clock was known.
    pub(super) probed: Span,
    pub(super) dialled: Span,
    pub(super) asleep_until: Option<Span>,
    /// The process is dead, and begins anew then.
    pub(super) dead_until: Option<Span>,
    /// The other has said that it leaves: no connection until another Jam begins.
    pub(super) over: bool,
    /// The other's new process answers for the old connection then.
    pub(super) reset_at: Option<Span>,
    /// Which process it is: drawn anew at each start.
    pub(super) run: u32,
    /// What is on the disk, and since when.
    pub(super) disk: Option<(Span, SavedSession)>,
    /// Its process began anew, and it has not met the other since.
    pub(super) alone: bool,
    pub(super) stepped: Span,
    pub(super) woken: Span,
    pub(super) revision: Option<Revision>,
    /// A wish of this side's that is not answered.
    pub(super) wishes: bool,
    pub(super) heard: VecDeque<Period>,
    pub(super) fault: Fault,
    pub(super) naive: Naive,
    stale_disk: bool,
    device: SampleRate,
    tracks: u8,
}

/// A node's clock, which stands still while the machine sleeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeClock {
    since: Span,
    reading: NodeTime,
    rate: Ppm,
}

/// A period that was heard.
#[derive(Debug)]
pub(super) struct Period {
    /// True time of its first frame, in ns.
    pub(super) at: f64,
    pub(super) frame_ns: f64,
    pub(super) first: u64,
    pub(super) pieces: Vec<Piece>,
}

/// The participants at first: the host and the guest.
pub(super) const WHO: [Participant; 2] = [
    Participant::FIRST,
    match Participant::new(1) {
        Some(guest) => guest,
        None => Participant::FIRST,
    },
];

impl NodeClock {
    pub(super) fn new(plan: ClockPlan) -> Self {
        Self { since: Span::ZERO, reading: NodeTime::ZERO + plan.offset, rate: plan.rate }
    }

    pub(super) fn at(&self, now: Span) -> NodeTime {
        let elapsed = now - self.since;
        self.reading + elapsed + elapsed.gained_at(self.rate)
    }

    /// The true time at which it reads `time`, a little later rather than earlier.
    pub(super) fn when(&self, time: NodeTime) -> Span {
        let elapsed = time - self.reading;
        self.since + elapsed - elapsed.gained_at(self.rate) + Span::from_nanos(2_000)
    }

    pub(super) fn step(&mut self, now: Span, by: Span) {
        *self = Self { since: now, reading: self.at(now) + by, rate: self.rate };
    }

    fn stand_still(&mut self, from: Span, until: Span) {
        *self = Self { since: until, reading: self.at(from), rate: self.rate };
    }
}

impl Side {
    pub(super) fn new(plan: &Plan, who: usize) -> Self {
        let clock = NodeClock::new(plan.clocks[who]);
        let session =
            if who == 0 { Session::alone(clock.at(Span::ZERO)) } else { Session::guest(WHO[1], WHO[0]) };
        let mut player = Player::new(plan.dacs[who].rate);
        if who == 1 && plan.fault == Fault::FrameOff {
            player.off_by = 1.0;
        }
        Self {
            session,
            player,
            dac: Dac::new(plan.dacs[who]),
            clock,
            streams: [Stream::new(Channel::Control), Stream::new(Channel::Queue)],
            connected: false,
            number: 0,
            heard_from: Span::ZERO,
            probed: Span::ZERO,
            dialled: Span::ZERO,
            asleep_until: None,
            dead_until: None,
            over: false,
            reset_at: None,
            run: 7 * u32::from(who == 0),
            disk: None,
            alone: false,
            stepped: Span::ZERO,
            woken: Span::ZERO,
            revision: None,
            wishes: false,
            heard: VecDeque::new(),
            fault: if who == 1 { plan.fault } else { Fault::None },
            naive: Naive::default(),
            stale_disk: plan.fault == Fault::StaleDisk,
            device: plan.dacs[who].rate,
            tracks: 0,
        }
    }

    pub(super) fn time(&self, now: Span) -> NodeTime {
        self.clock.at(now)
    }

    pub(super) fn stream(&mut self, channel: Channel) -> &mut Stream {
        let [control, queue] = &mut self.streams;
        if channel == Channel::Control { control } else { queue }
    }

    /// A connection stands: streams begin anew.
    pub(super) fn connect(&mut self, number: u32, peer: Participant, session_epoch: u32, now: Span) {
        self.streams = [Stream::new(Channel::Control), Stream::new(Channel::Queue)];
        self.number = number;
        self.connected = true;
        self.heard_from = now;
        self.session.handle_connected(peer, session_epoch, self.time(now));
    }

    pub(super) fn disconnect(&mut self) {
        self.connected = false;
        self.session.handle_disconnected();
    }

    /// Writes what it holds to the disk, where that is due: before anyone is told of it.
    pub(super) fn save(&mut self, now: Span) {
        if self.stale_disk && self.disk.is_some() && self.session.timeline().last().is_some() {
            return;
        }
        let is_old = self.disk.as_ref().is_none_or(|(since, _)| now - *since >= SAVE_EVERY);
        if is_old || self.session.is_unsaved() {
            self.disk = Some((now, self.session.snapshot(self.time(now))));
        }
    }

    /// The process dies: its sound stops, and what is not on the disk is gone.
    pub(super) fn die(&mut self, until: Span) {
        self.dead_until = Some(until);
        self.disconnect();
        self.player = Player::new(self.device);
        self.wishes = false;
    }

    /// A process begins anew from what the disk holds.
    ///
    /// # Errors
    /// What the session says to it.
    pub(super) fn restart(&mut self, now: Span) -> Result<(), SessionError> {
        self.dead_until = None;
        self.alone = true;
        // Both sides' runs have to differ in their exclusive or, whoever began anew.
        self.run = self.run.wrapping_mul(31).wrapping_add(17);
        let (stepped, dialled) = (now, now);
        (self.stepped, self.dialled, self.woken) = (stepped, dialled, now);
        if let Some((_, saved)) = &self.disk {
            self.session = Session::restore(saved.clone(), self.time(now))?;
            self.revision = self.session.timeline().revision();
        }
        Ok(())
    }

    /// Joins a new Jam as a guest who knows nothing.
    pub(super) fn join_anew(&mut self, now: Span) {
        self.dead_until = None;
        self.over = false;
        self.alone = true;
        self.disk = None;
        self.revision = None;
        self.run = self.run.wrapping_mul(31).wrapping_add(17);
        (self.stepped, self.dialled, self.woken) = (now, now, now);
        self.session = Session::guest(WHO[1], WHO[0]);
    }

    /// Whether neither sleep nor death keeps it from doing anything.
    pub(super) fn is_awake(&self) -> bool {
        self.asleep_until.is_none() && self.dead_until.is_none()
    }

    /// The machine wakes: clock and card stood still.
    pub(super) fn wake(&mut self, slept_from: Span, now: Span) {
        self.clock.stand_still(slept_from, now);
        self.dac.resume(now);
        self.heard_from = now;
        self.session.handle_suspend(self.time(now));
        self.player.handle_suspend();
    }

    /// The card takes a period.
    pub(super) fn take_period(&mut self, now: Span) -> &[Piece] {
        let node_now = self.time(now);
        let taken = self.dac.take();
        let pieces = self.player.take(taken.first, taken.frames, taken.delay, node_now);
        let mut at = taken.heard;
        if self.fault == Fault::OwnClockDac {
            at += Span::from_secs_f64(at * 1e-9).gained_at(self.clock.rate).as_secs_f64() * 1e9;
        }
        self.heard.push_back(Period { at, frame_ns: taken.frame_ns, first: taken.first, pieces });
        while self.heard.len() > PERIODS_KEPT {
            self.heard.pop_front();
        }
        self.heard.back().map_or(&[], |period| period.pieces.as_slice())
    }

    /// Brings the player in step with the session, as the node's stage does.
    pub(super) fn step_player(&mut self, now: Span) {
        self.stepped = now;
        let node_now = self.time(now);
        let anchors = self.session.timeline().anchors().to_vec();
        let source = |entry: EntryId| {
            let track = &self.session.queue().entry(entry)?.track;
            Some(Source { entry, rate: track.rate, length: track.length })
        };
        let sources = anchors.iter().filter_map(|anchor| source(anchor.entry?)).collect();
        let map = self.map(node_now);
        self.player.set_plan(anchors, sources, map);
        self.player.step(node_now);
        self.session.handle_playout(self.player.report());
    }

    fn map(&self, now: NodeTime) -> Option<JamMap> {
        let map = self.session.jam_map(now)?;
        if self.fault == Fault::DriftZero {
            let probed = self.time(self.probed);
            return Some(JamMap { node: probed, jam: map.jam_at(probed), rate: Ppm::ZERO });
        }
        if self.fault == Fault::FaceValue
            && let (Some(offset), Some(right)) = (self.naive.offset(), self.session.sync_report(now))
        {
            return Some(JamMap { jam: map.jam + (offset - right.offset), ..map });
        }
        Some(map)
    }

    /// The command of a deed, if there is something to do it to.
    pub(super) fn command(&mut self, deed: Deed) -> Option<Command> {
        let entries: Vec<EntryId> = self.session.queue().entries().map(|entry| entry.id).collect();
        let pick = |number: u32| entries.get(usize::try_from(number).ok()? % entries.len().max(1)).copied();
        Some(match deed {
            Deed::Resume => Command::Resume,
            Deed::Pause => Command::Pause,
            Deed::Seek(share) => {
                let entry = self.session.timeline().last()?.entry?;
                let length = self.session.queue().entry(entry)?.track.length;
                let rate = SampleRate::HZ_48000;
                Command::Seek(rate.frames_in(rate.span_of(length).scaled(share)))
            }
            Deed::Skip => Command::Skip,
            Deed::Play(number) => Command::Play(pick(number)?),
            Deed::Append(count) => Command::Edit(Intent::Append(self.tracks(count))),
            Deed::PlayNext(count) => {
                let tracks = self.tracks(count);
                Command::Edit(Intent::PlayNext { after: None, tracks })
            }
            Deed::Move(entry, after) => {
                Command::Edit(Intent::Move { entry: pick(entry)?, place: Place::After(pick(after)?) })
            }
            Deed::Remove(entry) => Command::Edit(Intent::Remove(vec![pick(entry)?])),
            Deed::Clear => Command::Edit(Intent::Clear),
            Deed::Shuffle(seed) => Command::Edit(Intent::Shuffle { seed }),
            Deed::Undo => Command::Edit(Intent::Undo),
            Deed::GuestControls(allowed) => Command::GuestControls(allowed),
            Deed::Volume => Command::PeerVolume(50),
            Deed::Lack(_)
            | Deed::Disconnect
            | Deed::Suspend(_)
            | Deed::ClockStep(_)
            | Deed::CardStops(_)
            | Deed::Befalls(_) => {
                return None;
            }
        })
    }

    /// Says that the file of one entry is missing here.
    ///
    /// # Errors
    /// What the session says.
    pub(super) fn lack(&mut self, number: u32, now: Span) -> Result<(), SessionError> {
        let entries: Vec<EntryId> = self.session.queue().entries().map(|entry| entry.id).collect();
        let picked =
            usize::try_from(number).ok().and_then(|number| entries.get(number % entries.len().max(1)));
        let Some(entry) = picked else { return Ok(()) };
        let now = self.time(now);
        self.session.handle_availability(*entry, Availability::Missing, now)
    }

    /// New tracks, each of another length.
    pub(super) fn tracks(&mut self, count: u32) -> Vec<Track> {
        let rates = [SampleRate::HZ_44100, SampleRate::HZ_44100, SampleRate::HZ_48000];
        let mut tracks = Vec::new();
        for _ in 0..count {
            self.tracks = self.tracks.wrapping_add(1);
            let rate = rates[usize::from(self.tracks) % rates.len()];
            let lasts = Span::from_millis(20_137 + 11_003 * i64::from(self.tracks % 17));
            tracks.push(Track {
                id: TrackId([self.tracks; 32]),
                title: Text::truncated("a track"),
                artist: Text::default(),
                album: Text::default(),
                rate,
                length: rate.frames_in(lasts).plus(Frames(u64::from(self.tracks))),
            });
        }
        tracks
    }
}

/// How old a snapshot gets where nothing else calls for one: so stale is the line by which a restored side plays.
const SAVE_EVERY: Span = Span::from_secs(5);
/// Two seconds.
const PERIODS_KEPT: usize = 200;
