//! The stage: the session that is on, the one that is parked, and the player that makes it audible.
//!
//! It knows which file is behind which entry and keeps the player's plan in step with the session's timeline.
//! It never talks to a network: bytes for the peer are handed out by [`Stage::poll_transmit`].

use std::{
    collections::{HashMap, HashSet, VecDeque},
    path::PathBuf,
};

use jamsync_protocol::{
    id::{EntryId, Participant, TrackId},
    queue::Entry,
    readiness::PlayoutState,
    session::{Channel, Command, Event, Session, SessionError, Transmit},
    time::{JamTime, NodeTime, Span},
    timeline::{Anchor, Heard, JamMap},
    wire::peer::{Announcement, Availability, PlayoutReport, Verb},
};

use crate::{
    audio::{
        player::{Plan, Player, Source},
        sink::Running,
    },
    clock::{NodeClock, SleepWatch},
};

mod parking;

use parking::Parked;

/// The session that is heard, and how.
pub(super) struct Stage {
    clock: NodeClock,
    sleep: SleepWatch,
    session: Session,
    /// The listener's own music while a guest of somebody else's Jam.
    parked: Option<Parked>,
    player: Player,
    files: HashMap<TrackId, PathBuf>,
    /// Entries whose files are being looked for.
    sought: HashSet<EntryId>,
    plan: Option<Plan>,
    map: Option<JamMap>,
    /// Where the sound is held although the session plays on.
    held: Option<Heard>,
    /// Announcements whose time has not come, or that are still in force.
    announced: VecDeque<Announcement>,
    /// Those of `announced` that were told to the listener as having taken effect.
    told: Option<Anchor>,
    /// A test's switch: reckon as if both clocks were one.
    zero_offset: bool,
}

/// An anchor that takes effect now.
#[derive(Clone, Copy, Debug)]
pub(super) struct TakenEffect {
    pub(super) announcement: Announcement,
    pub(super) at: NodeTime,
}

impl Stage {
    pub(super) fn new(clock: NodeClock, player: Player, zero_offset: bool) -> Self {
        Self {
            clock,
            sleep: SleepWatch::new(clock.slept()),
            session: Session::alone(clock.now()),
            parked: None,
            player,
            files: HashMap::new(),
            sought: HashSet::new(),
            plan: None,
            map: None,
            held: None,
            announced: VecDeque::new(),
            told: None,
            zero_offset,
        }
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn player(&self) -> &Player {
        &self.player
    }

    pub(super) fn clock(&self) -> NodeClock {
        self.clock
    }

    pub(super) fn now(&self) -> NodeTime {
        self.clock.now()
    }

    /// Carries out a command of the listener.
    pub(super) fn command(&mut self, command: Command) -> Result<(), SessionError> {
        let now = self.now();
        self.session.handle_command(command, now)
    }

    /// A frame or datagram of the peer.
    pub(super) fn bytes(&mut self, channel: Channel, bytes: &[u8], at: NodeTime) -> Result<(), SessionError> {
        self.notice_sleep(self.clock.slept());
        self.session.handle_bytes(channel, bytes, at)
    }

    /// A connection to the peer stands and is admitted.
    pub(super) fn connected(&mut self, peer: Participant, session_epoch: u32) {
        let now = self.now();
        self.session.handle_connected(peer, session_epoch, now);
    }

    pub(super) fn disconnected(&mut self) {
        self.session.handle_disconnected();
    }

    /// Another gives the order from now on: what was announced has its revisions anew.
    pub(super) fn host_changed(&mut self) {
        self.announced = self.session.announced().iter().copied().collect();
    }

    /// How long the machine has slept since it was started.
    pub(super) fn slept(&self) -> Span {
        self.clock.slept()
    }

    /// Does what is due by now.
    pub(super) fn wake(&mut self) -> Result<(), SessionError> {
        self.notice_sleep(self.clock.slept());
        let now = self.now();
        let state = self.playout_state();
        self.session.handle_playout(PlayoutReport { state, ..self.player.report().playout() });
        self.session.handle_timeout(now)
    }

    /// Whether this side's sound is there. Without the Jam's clock nothing can be played that is due.
    pub(super) fn playout_state(&self) -> PlayoutState {
        let state = self.player.report().playout().state;
        let waits = state == PlayoutState::Ready && self.session.jam_map(self.now()).is_none();
        if waits { PlayoutState::Buffering } else { state }
    }

    /// When to wake next, at the latest.
    pub(super) fn wake_at(&self) -> Option<NodeTime> {
        let now = self.now();
        let effect = self.next_effect(now);
        [self.session.poll_timeout(now), effect].into_iter().flatten().min()
    }

    /// The next event of the session.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        let event = self.session.poll_event()?;
        if let Event::Moved(announcement) = &event {
            if self.announced.len() >= ANNOUNCED_MAX {
                self.announced.pop_front();
            }
            self.announced.push_back(*announcement);
        }
        Some(event)
    }

    /// The next bytes for the peer.
    pub(super) fn poll_transmit(&mut self) -> Option<Transmit> {
        let now = self.now();
        self.session.poll_transmit(now)
    }

    /// An announcement that has taken effect since the last call.
    pub(super) fn poll_effect(&mut self) -> Option<TakenEffect> {
        let now = self.now();
        let map = self.session.jam_map(now)?;
        let in_force = *self.session.timeline().in_force(map.jam_at(now))?;
        let announcement = *self.announced.iter().find(|known| known.anchor.revision == in_force.revision)?;
        // A change of host gives what is agreed a new revision, and nothing else.
        let as_told = self.told.map(|told| Anchor { revision: in_force.revision, ..told });
        self.told = Some(in_force);
        if as_told == Some(in_force) {
            return None;
        }
        self.announced.retain(|known| known.anchor.revision >= in_force.revision);
        Some(TakenEffect { announcement, at: map.node_at(in_force.at) })
    }

    /// Who brought about what is heard now, and by doing what.
    pub(super) fn in_force(&self) -> Option<(Participant, Verb)> {
        let now = self.now();
        let jam_now = self.session.jam_map(now)?.jam_at(now);
        let anchor = self.session.timeline().in_force(jam_now)?;
        let known = self.announced.iter().rev().find(|known| known.anchor.revision == anchor.revision);
        // What nobody has announced is this side's own wish, which it already follows.
        Some(known.map_or((self.session.me(), Verb::Resume), |known| (known.by, known.verb)))
    }

    /// Where the file of a track is.
    pub(super) fn remember_file(&mut self, track: TrackId, path: PathBuf) {
        self.files.insert(track, path);
    }

    /// Entries whose files have not been looked for, which the caller does now.
    pub(super) fn take_unsought(&mut self) -> Vec<Entry> {
        let queue = self.session.queue();
        if self.sought.len() > SOUGHT_MAX {
            // What was removed is not asked for again, and comes back under the same id only by an undo.
            self.sought.retain(|entry| queue.queue().contains(*entry));
        }
        let unknown = queue.entries().filter(|entry| {
            matches!(self.session.availability_here(entry.id), None | Some(Availability::Missing))
        });
        unknown.filter(|entry| self.sought.insert(entry.id)).cloned().collect()
    }

    /// Looks again for files that were not there: more music has become known.
    pub(super) fn seek_missing_again(&mut self) {
        self.sought.retain(|entry| self.session.availability_here(*entry) != Some(&Availability::Missing));
    }

    /// What was found of an entry's file.
    pub(super) fn found(&mut self, entry: EntryId, availability: Availability) -> Result<(), SessionError> {
        let now = self.now();
        self.session.handle_availability(entry, availability, now)
    }

    pub(super) fn file_of(&self, track: TrackId) -> Option<&PathBuf> {
        self.files.get(&track)
    }

    /// Silences the output until it is [released](Self::release); to the listener the music stands at `heard`.
    pub(super) fn hold(&mut self, heard: Heard) {
        self.held = Some(Heard { playing: false, ..heard });
    }

    /// Where the sound is held.
    pub(super) fn held(&self) -> Option<Heard> {
        self.held
    }

    pub(super) fn release(&mut self) {
        self.held = None;
    }

    /// What the listener hears.
    pub(super) fn heard(&self) -> Option<Heard> {
        self.held.or_else(|| self.session.heard_at(self.now()))
    }

    /// Brings the player in step with the session.
    pub(super) fn sync_player(&mut self) {
        let now = self.now();
        let map = self.session.jam_map(now).filter(|_| self.held.is_none());
        let map = map.map(|map| self.sabotaged(map, now));
        if map != self.map {
            self.player.set_jam_map(map);
            self.map = map;
        }
        let anchors = self.session.timeline().anchors().to_vec();
        let sources = anchors.iter().filter_map(|anchor| self.source(anchor.entry?)).collect();
        let plan = Plan { anchors, sources };
        if self.plan.as_ref() != Some(&plan) {
            self.player.set_plan(plan.clone());
            self.plan = Some(plan);
        }
    }

    /// Lets go of an output that went away: there is silence until [another player](Self::replace_player) comes.
    pub(super) fn release_output(&mut self) -> Option<Box<dyn Running>> {
        self.player.release()
    }

    /// Plays through `player` from now on, where the music is by now. Returns the one before.
    pub(super) fn replace_player(&mut self, player: Player) -> Player {
        (self.plan, self.map) = (None, None);
        std::mem::replace(&mut self.player, player)
    }

    /// Node time stands still while the machine sleeps, so what is known of the peer's clock and of when the device is
    /// heard is out of date after it.
    fn notice_sleep(&mut self, slept: Span) {
        if self.sleep.handle_slept(slept) {
            let now = self.now();
            self.session.handle_suspend(now);
            self.player.handle_suspend();
        }
    }

    fn source(&self, entry: EntryId) -> Option<(EntryId, Source)> {
        let track = &self.session.queue().entry(entry)?.track;
        let path = self.files.get(&track.id)?.clone();
        Some((entry, Source { path, rate: track.rate, length: track.length }))
    }

    fn sabotaged(&self, map: JamMap, now: NodeTime) -> JamMap {
        let offset = self.session.sync_report(now).map_or(Span::ZERO, |sync| sync.offset);
        if self.zero_offset && !self.session.is_host() {
            JamMap { jam: map.jam - offset, ..map }
        } else {
            map
        }
    }

    fn next_effect(&self, now: NodeTime) -> Option<NodeTime> {
        let map = self.session.jam_map(now)?;
        let next: JamTime = self.session.timeline().upcoming(map.jam_at(now)).next()?.at;
        Some(map.node_at(next))
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("session", &self.session).finish_non_exhaustive()
    }
}

/// How many announcements wait to take effect at most: several times what a timeline keeps. Only a host that sets
/// changes far ahead again and again has more, and then who brought about the oldest is not shown.
const ANNOUNCED_MAX: usize = 32;

/// Above how many entries those that have left the queue are forgotten: a few times what a queue holds.
const SOUGHT_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use jamsync_protocol::{
        media::SampleRate,
        servo::ServoConfig,
        wire::{codec, peer::Datagram},
    };

    use super::*;
    use crate::audio::{player::PlayerConfig, sink::Null};

    fn stage() -> Stage {
        let clock = NodeClock::system();
        let sink = Box::new(Null::new(SampleRate::HZ_48000));
        let config = PlayerConfig { sink, clock, remembered: None, servo: ServoConfig::default() };
        Stage::new(clock, Player::start(config, |_| ()).expect("a player"), false)
    }

    /// The clock epoch of the next probe.
    fn clock_epoch(stage: &mut Stage) -> u32 {
        let until = stage.now() + Span::from_secs(10);
        while stage.now() < until {
            while let Some(transmit) = stage.poll_transmit() {
                if let Ok(Datagram::Probe(probe)) = codec::decode(&transmit.bytes)
                    && transmit.channel == Channel::Datagram
                {
                    return probe.clock_epoch;
                }
            }
            std::thread::yield_now();
        }
        panic!("no probe is due");
    }

    #[test]
    fn after_a_sleep_the_peer_is_told_that_the_clock_begins_anew() {
        let mut stage = stage();
        let peer = Participant::new(1).expect("a guest");
        stage.connected(peer, 7);
        assert_eq!(clock_epoch(&mut stage), 0);
        stage.sleep = SleepWatch::new(stage.clock.slept() - Span::from_secs(20));
        stage.wake().expect("nothing plays");
        assert_eq!(clock_epoch(&mut stage), 1);
        stage.wake().expect("nothing plays");
        assert_eq!(clock_epoch(&mut stage), 1, "one sleep counts once");
    }

    #[test]
    fn another_player_is_told_all_that_the_one_before_knew() {
        let (mut stage, another) = (stage(), stage());
        stage.sync_player();
        let (plan, map) = (stage.plan.clone(), stage.map);
        assert!(plan.is_some() && map.is_some());
        drop(stage.release_output());
        let before = stage.replace_player(another.player);
        assert_eq!(before.report().position, None);
        assert!(
            stage.plan.is_none() && stage.map.is_none(),
            "what the player knows is what was handed to it"
        );
        stage.sync_player();
        assert_eq!((&stage.plan, stage.map), (&plan, map));
    }
}
