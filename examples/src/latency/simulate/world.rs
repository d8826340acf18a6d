//! Two nodes in virtual time, what is under way between them, and what is done to them.

use std::{collections::HashMap, path::PathBuf};

use jamsync_node::api::AnchorCause;
use jamsync_protocol::{
    id::TrackId,
    media::Track,
    queue::Intent,
    session::{Channel, Command},
    time::{Ppm, Span},
};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{
    GUEST, HOST, Machine, PARTICIPANTS,
    editor::Editor,
    side::{Setup, Side, track},
};
use crate::{
    latency::{
        Action, Case, CommandDelay, Deed, Happening, Lateness, Mode, Observation, RunRecord, SCHEMA_VERSION,
        case::Who, happening::faults, music::Music, progress::Played,
    },
    link::{Link, wire::Packet},
    rig::{
        journal::Journal,
        stage::{CLOCK_RATES, HOURS},
    },
    score::TrueTime,
};

/// Two nodes, the links between them, and what is noted of them.
pub(super) struct World<'a> {
    case: &'a Case,
    machine: Machine,
    random: ChaCha8Rng,
    now: Span,
    pub(super) sides: [Side; 2],
    /// From A to B and from B to A.
    links: [Link<Packet>; 2],
    link_began: Span,
    /// When the guest entered.
    pub(super) entered: Option<Span>,
    /// What is still to be done, the last first.
    actions: Vec<(Span, Action)>,
    editor: Option<Editor>,
    observed: Span,
    repeated: Span,
    pub(super) journal: Journal,
    happenings: Vec<Happening>,
    commands: Vec<CommandDelay>,
    observations: Vec<Observation>,
    troubles: Vec<String>,
}

impl<'a> World<'a> {
    pub(super) fn new(case: &'a Case, seed: u64, music: &Music, machine: Machine) -> anyhow::Result<Self> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let tracks: Vec<Track> = music.queue.iter().map(|path| track(path)).collect::<anyhow::Result<_>>()?;
        let known = [known_by(&music.guest)?, known_by(&music.queue)?];
        let mut side = |index: usize| {
            let setup = Setup {
                clock_offset: Span::from_secs_f64(random.random_range(HOURS) * 3_600.0),
                clock_rate: CLOCK_RATES[index],
                dac_rate: DAC_RATES[index],
                dac_latency: Span::from_millis(i64::from(case.dac_latency_ms[index])),
                seed: random.random(),
                files: known[index].clone(),
            };
            Side::new(setup, index == HOST)
        };
        let mut sides = [side(GUEST), side(HOST)];
        let host = &mut sides[HOST];
        let zero = host.time(Span::ZERO);
        host.session.handle_command(Command::Edit(Intent::Append(tracks.clone())), zero)?;
        host.session.handle_command(Command::Resume, zero)?;
        let link_began = Span::from_secs_f64(case.join_after_s).max(Span::from_secs(1));
        let mut actions = case.deeds();
        actions.reverse();
        let editor = case.edits.clone().map(|edits| Editor::new(edits, random.random(), tracks.clone()));
        let links = [
            Link::new(case.path.a_to_b.clone(), seed.wrapping_mul(2)),
            Link::new(case.path.b_to_a.clone(), seed.wrapping_mul(2).wrapping_add(1)),
        ];
        Ok(Self {
            case,
            machine,
            random,
            now: Span::ZERO,
            sides,
            links,
            link_began,
            entered: None,
            actions,
            editor,
            observed: Span::ZERO,
            repeated: Span::ZERO,
            journal: Journal::default(),
            happenings: Vec::new(),
            commands: Vec::new(),
            observations: Vec::new(),
            troubles: Vec::new(),
        })
    }

    pub(super) fn run(&mut self, played: &Played) -> anyhow::Result<()> {
        let scored = Span::from_secs(i64::from(self.case.seconds));
        let gives_up = self.link_began + Span::from_secs(30);
        while self.now < self.entered.map_or(gives_up, |entered| entered + scored) {
            self.now = self.next_instant().max(self.now);
            self.carry()?;
            self.act();
            self.edit();
            for who in [GUEST, HOST] {
                self.attend(who)?;
            }
            self.look();
            played.set(self.entered.map_or(Span::ZERO, |entered| self.now - entered));
        }
        self.journal.end(TrueTime::default() + self.now);
        // What is under way to the ear at the end is recorded, too.
        let rest = self.now + Span::from_secs(2);
        while self.now < rest {
            self.now = self.sides.iter().map(Side::sounds_next).fold(rest, Span::min).max(self.now);
            self.sides.iter_mut().for_each(|side| side.sound(self.now));
        }
        Ok(())
    }

    /// What is left of it, but for the sound.
    pub(super) fn into_record(self, seed: u64, build: &str) -> RunRecord {
        let counts = self.links.each_ref().map(Link::counts);
        RunRecord {
            schema_version: SCHEMA_VERSION,
            mode: Mode::Simulated,
            build: build.to_owned(),
            case: self.case.clone(),
            seed,
            link_began_ns: TrueTime::default() + self.link_began,
            score: None,
            troubles: self.troubles,
            observations: self.observations,
            happenings: self.happenings,
            recoveries: Vec::new(),
            named_missing: self.sides.each_ref().map(|side| side.missing.len()),
            edits: self.editor.as_ref().map(|editor| editor.record(&self.sides)),
            commands: self.commands,
            scheduler: Lateness::default(),
            dry_cards: Vec::new(),
            link: Lateness::default(),
            datagrams: counts.map(|counts| [counts.sent, counts.delivered]),
        }
    }

    fn next_instant(&self) -> Span {
        let mut next = (self.observed + OBSERVE_EVERY).min(self.repeated + PATIENCE.scaled(0.5));
        for (side, link) in self.sides.iter().zip(&self.links) {
            let arrives = link.poll_timeout().map(|arrives| arrives + self.link_began);
            let mail = [side.inbox.front(), side.outbox.front()].map(|first| first.map(|(at, _)| *at));
            let wakes = side.awake_from(side.wakes);
            let waits = [arrives, mail[0], mail[1], Some(wakes), Some(side.sounds_next())];
            next = waits.into_iter().flatten().fold(next, Span::min);
        }
        self.next_action().into_iter().chain(self.next_edit()).fold(next, Span::min)
    }

    fn next_edit(&self) -> Option<Span> {
        self.editor.as_ref()?.due(self.entered?)
    }

    fn next_action(&self) -> Option<Span> {
        Some(self.entered? + self.actions.last()?.0)
    }

    /// How late a process is this time.
    fn late(&mut self) -> Span {
        let uniform: f64 = self.random.random();
        self.machine.lateness.scaled(-(1.0 - uniform).ln())
    }

    /// Moves what is under way.
    fn carry(&mut self) -> anyhow::Result<()> {
        for from in [GUEST, HOST] {
            let to = 1 - from;
            while let Some((_, packet)) = self.sides[from].outbox.pop_front_if(|(at, _)| *at <= self.now) {
                self.links[from].handle_packet(self.now - self.link_began, packet.size(), packet);
            }
            while let Some(packet) = self.links[from].poll_packet(self.now - self.link_began) {
                let late = self.late();
                if self.sides[to].awake_from(self.now) > self.now {
                    continue;
                }
                let last = self.sides[to].inbox.back().map_or(self.now, |(at, _)| *at);
                self.sides[to].inbox.push_back((last.max(self.now + late), packet));
            }
            while let Some((_, packet)) = self.sides[to].inbox.pop_front_if(|(at, _)| *at <= self.now) {
                self.arrive(to, packet)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, from: usize, packet: Packet) {
        let late = self.late();
        let last = self.sides[from].outbox.back().map_or(self.now, |(at, _)| *at);
        self.sides[from].outbox.push_back((last.max(self.now + late), packet));
    }

    fn arrive(&mut self, to: usize, packet: Packet) -> anyhow::Result<()> {
        let (now, side) = (self.now, &mut self.sides[to]);
        side.notice_sleep(now);
        match packet {
            Packet::Hello { number } if to == HOST => {
                if number > side.number {
                    side.connect(number, PARTICIPANTS[1], now);
                }
                if number == self.sides[to].number {
                    self.send(to, Packet::Welcome { number });
                }
            }
            Packet::Welcome { number } if !side.connected && number == side.number => {
                side.connect(number, PARTICIPANTS[0], now);
            }
            Packet::Datagram { number, bytes, .. } if number == side.number && side.connected => {
                side.session.handle_bytes(Channel::Datagram, &bytes, side.time(now))?;
            }
            Packet::Segment { number, channel, at, bytes } if number == side.number && side.connected => {
                let (ready, acknowledged) = side.stream(channel).handle_segment(number, at, bytes);
                for bytes in ready {
                    side.session.handle_bytes(channel, &bytes, side.time(now))?;
                }
                self.send(to, acknowledged);
            }
            Packet::Acknowledged { number, channel, next } if number == side.number => {
                side.stream(channel).handle_acknowledged(next);
            }
            Packet::Hello { .. }
            | Packet::Welcome { .. }
            | Packet::Datagram { .. }
            | Packet::Segment { .. }
            | Packet::Acknowledged { .. } => return Ok(()),
        }
        self.sides[to].heard_from = now;
        self.drain(to);
        Ok(())
    }

    /// What a node does by itself at this instant.
    fn attend(&mut self, who: usize) -> anyhow::Result<()> {
        let now = self.now;
        let side = &mut self.sides[who];
        if side.awake_from(now) > now {
            return Ok(());
        }
        side.notice_sleep(now);
        side.sound(now);
        if side.wakes > now {
            return Ok(());
        }
        if side.connected && now - side.heard_from > IDLE {
            side.disconnect();
        }
        let dials = who == GUEST && !side.connected && now >= self.link_began;
        if dials && (side.number == 0 || side.dialled + DIAL_EVERY <= now) {
            side.dialled = now;
            side.number += 1;
            let number = side.number;
            self.send(who, Packet::Hello { number });
        }
        let side = &mut self.sides[who];
        side.session.handle_playout(side.playout());
        side.session.handle_timeout(side.time(now))?;
        self.drain(who);
        Ok(())
    }

    /// After anything has happened to a node: bytes out, the player in step, and when it wakes again.
    fn drain(&mut self, who: usize) {
        let now = self.now;
        loop {
            let side = &mut self.sides[who];
            while let Some(event) = side.session.poll_event() {
                if let Err(error) = side.handle_event(event, now) {
                    self.troubles.push(format!("the music cannot go on: {error}"));
                }
            }
            let Some(transmit) = side.session.poll_transmit(side.time(now)) else { break };
            let number = side.number;
            let packet = match transmit.channel {
                Channel::Datagram => Packet::Datagram { number, sent: now, bytes: transmit.bytes },
                channel @ (Channel::Control | Channel::Queue) => {
                    side.stream(channel).send(number, transmit.bytes, now)
                }
            };
            self.send(who, packet);
        }
        self.sides[who].settle(now);
        let late = self.late();
        let side = &mut self.sides[who];
        let wanted = side.session.poll_timeout(side.time(now)).map(|at| side.when(at));
        let due = wanted.into_iter().chain(side.next_effect(now)).fold(now + TICK, Span::min);
        side.wakes = due.max(now) + late.max(Span::from_micros(1));
    }

    fn act(&mut self) {
        while self.next_action().is_some_and(|at| at <= self.now) {
            let Some((_, action)) = self.actions.pop() else { return };
            let who = if action.by == Who::A { GUEST } else { HOST };
            let side = &mut self.sides[who];
            let now = side.time(self.now);
            let (command, what, cause) = match action.deed {
                Deed::Pause => (Some(Command::Pause), "pause", AnchorCause::Pause),
                Deed::Resume => (Some(Command::Resume), "resume", AnchorCause::Resume),
                Deed::Skip => (Some(Command::Skip), "skip", AnchorCause::Skip),
                Deed::Seek => (side.seek(action.by_s, self.now), "seek", AnchorCause::Seek),
            };
            let at = TrueTime::default() + self.now;
            self.journal.command(what, cause, at);
            self.commands.push(CommandDelay::of(at, &action));
            let outcome = command.map(|command| side.session.handle_command(command, now));
            match outcome {
                Some(Ok(())) => {}
                Some(Err(error)) => self.troubles.push(format!("{what} at {} s: {error}", action.at_s)),
                None => self.troubles.push(format!("{what} at {} s: nothing plays", action.at_s)),
            }
            self.drain(who);
        }
    }

    fn edit(&mut self) {
        if self.next_edit().is_none_or(|due| due > self.now) {
            return;
        }
        if let Some(editor) = &mut self.editor {
            let who = editor.edit(&mut self.sides, self.now);
            self.drain(who);
        }
    }

    /// Repeats what was lost, and notes what the nodes believe.
    fn look(&mut self) {
        let now = self.now;
        if let Some(editor) = &mut self.editor {
            editor.look(&self.sides, now);
        }
        if self.repeated + PATIENCE.scaled(0.5) <= now {
            self.repeated = now;
            for who in [GUEST, HOST] {
                let side = &mut self.sides[who];
                let number = side.number;
                let again = side.streams.iter_mut().flat_map(|stream| stream.repeat(number, now, PATIENCE));
                let again: Vec<Packet> = if side.connected { again.collect() } else { Vec::new() };
                for packet in again {
                    self.send(who, packet);
                }
            }
        }
        if self.entered.is_none() && self.sides[GUEST].effects.iter().any(|effect| effect.playing) {
            self.enter(TrueTime::default() + now);
        }
        if self.observed + OBSERVE_EVERY <= now {
            self.observed = now;
            let [a, b] = &self.sides;
            let seen = [a.observe(Who::A, b, now), b.observe(Who::B, a, now)];
            self.observations.extend(seen.into_iter().flatten());
        }
    }

    /// The guest plays: from now on the case's times count.
    fn enter(&mut self, at: TrueTime) {
        self.entered = Some(self.now);
        self.journal.enter(at);
        self.happenings = Happening::of_case(self.case, at);
        for happening in &self.happenings {
            self.journal.happen(&happening.what, happening.range);
        }
        self.sides[GUEST].suffer(faults(self.case, Who::A, at));
        self.sides[HOST].suffer(faults(self.case, Who::B, at));
    }
}

/// Which file is which track.
fn known_by(files: &[PathBuf]) -> anyhow::Result<HashMap<TrackId, PathBuf>> {
    files.iter().map(|path| Ok((track(path)?.id, path.clone()))).collect()
}

/// As in a live run.
const DAC_RATES: [Ppm; 2] = [Ppm(60.0), Ppm(-40.0)];
/// The node's own: how long a silent connection lives, how often one is tried, how often its loop looks around.
const IDLE: Span = Span::from_secs(10);
const DIAL_EVERY: Span = Span::from_secs(1);
const TICK: Span = Span::from_millis(250);
/// From one look at what the nodes believe to the next.
const OBSERVE_EVERY: Span = Span::from_millis(500);
/// After how long an unacknowledged segment is said again.
const PATIENCE: Span = Span::from_millis(300);
