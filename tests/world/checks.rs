//! What must hold in every world, judged by true time.

mod change;
mod ledger;
mod outcome;
mod skew;
mod sound;
mod step;

use std::collections::BTreeSet;

use jamsync_examples::link::{LinkConfig, PathConfig};
use jamsync_protocol::{
    id::EntryId,
    queue::QueueEvent,
    session::{Channel, Command, Event, HostChange},
    time::Span,
    timeline::{Revision, TimelineError},
    wire::{
        codec,
        peer::{ControlMessage, Datagram},
    },
};

use super::{
    Outcome,
    liar::LIES_UNTIL,
    plan::{Fault, Plan, QUIET_END},
    player::Sound,
    side::Side,
};
pub(super) use change::by_right;
use change::{judge_host, lacks_what_plays, sounds_the_same};
use ledger::Ledger;
pub use outcome::{Counters, Failure, Score};
use step::Step;

/// The judge.
pub(super) struct Checks {
    lasts: Span,
    fault: Fault,
    allowed: Span,
    path: PathConfig,
    coarse: bool,
    /// Nobody touches anything, so what is heard at the beginning is the entry alone.
    calm: bool,
    /// When a clock last had to be learnt anew, and the largest bound it has claimed since: so far apart the sides
    /// may be then, for a queue that stands at that moment cannot be told from a delay.
    learns: Span,
    learning: Span,
    /// When the path changes: the clock weighs a new route for a minute.
    routes: Vec<Span>,
    /// Whether queues stand on the path, which may hide what a new route is like.
    queues: bool,
    /// Until then nothing is scored: an anchor takes effect.
    disturbed: Span,
    /// Until then outputs are not compared, though each is judged by itself.
    blind: Span,
    /// Until then a side finds its place after its process began anew.
    begun: [Span; 2],
    /// When a side last got another host, and how often its servo had jumped until then.
    changed: [Option<(Span, u32)>; 2],
    /// When a clock was last troubled.
    troubled: Span,
    anchored: Span,
    acted: Span,
    /// What is known of a clock counts again once a datagram sent after this came.
    distrusted: [Option<Span>; 2],
    step: Option<Step>,
    last: [Option<Sound>; 2],
    ledger: Ledger,
    /// Another Jam begins, and its two have not met yet.
    renames: bool,
    counters: Counters,
    score: Score,
    failure: Option<Failure>,
}

/// How often the outputs are compared.
pub(super) const SAMPLE_EVERY: Span = Span::from_millis(250);
/// So long ago that both cards have played it.
const LOOK_BACK: Span = Span::from_millis(300);
/// How long the beginning is scored for, entry and all.
const FIRST: Span = Span::from_secs(20);
/// So long after a change of route its delay may still enter the estimate.
const REROUTED: Span = Span::from_secs(75);
/// Of a path that is silent for so long nothing is known.
const UNHEARD: Span = Span::from_secs(3);
/// No edit and no command for so long is quiet.
const QUIET: Span = Span::from_secs(6);

impl Checks {
    pub(super) fn new(plan: &Plan) -> Self {
        let path = &plan.path;
        let delays = |link: &LinkConfig| {
            let routes: Vec<Span> = link.routes.iter().map(|route| route.delay).collect();
            [vec![link.delay], routes].concat()
        };
        let mut allowed = Span::ZERO;
        for there in delays(&path.a_to_b) {
            for back in delays(&path.b_to_a) {
                allowed = allowed.max((there - back).abs().scaled(0.5));
            }
        }
        Self {
            lasts: plan.lasts,
            fault: plan.fault,
            allowed,
            path: path.clone(),
            coarse: plan.dacs.iter().any(|dac| dac.step > Span::ZERO),
            calm: plan.actions.is_empty(),
            learns: Span::ZERO,
            learning: Span::ZERO,
            routes: [&path.a_to_b, &path.b_to_a]
                .iter()
                .flat_map(|link| link.routes.iter().map(|r| r.at))
                .collect(),
            queues: [&path.a_to_b, &path.b_to_a].iter().any(|link| link.bottleneck.is_some()),
            disturbed: Span::from_secs(3),
            blind: Span::ZERO,
            begun: [Span::ZERO; 2],
            changed: [None; 2],
            troubled: Span::ZERO,
            anchored: Span::ZERO,
            acted: Span::ZERO,
            distrusted: [None, None],
            step: None,
            last: [None, None],
            ledger: Ledger::default(),
            renames: false,
            counters: Counters::default(),
            score: Score::default(),
            failure: None,
        }
    }

    pub(super) fn outcome(self) -> Outcome {
        Outcome { failure: self.failure, counters: self.counters, score: self.score }
    }

    pub(super) fn fail(&mut self, at: Span, what: String) {
        self.failure = Some(Failure { at, what });
    }

    pub(super) fn disturb(&mut self, now: Span, lasts: Span) {
        self.disturbed = self.disturbed.max(now + lasts);
        self.anchored = self.anchored.max(now);
    }

    /// What a side's queue holds after all that came at once. What it lets go of as playback goes on is no event.
    pub(super) fn looks(&mut self, who: usize, side: &Side) {
        self.ledger.looks(who, side.session.queue().queue());
    }

    /// A card stands still, and its sound may be late until it is found.
    pub(super) fn card_stops(&mut self, now: Span, until_found: Span) {
        self.counters.stops += 1;
        self.disturb(now, until_found);
    }

    pub(super) fn acts(&mut self, now: Span) {
        self.acted = now;
    }

    pub(super) fn connected(&mut self, now: Span) {
        self.troubled = now;
        self.acted = now;
        self.disturb(now, Span::from_secs(2));
    }

    pub(super) fn disconnected(&mut self, now: Span) {
        self.counters.outages += 1;
        self.troubled = now;
    }

    pub(super) fn falls_asleep(&mut self, who: usize, now: Span) {
        self.distrusted[1 - who] = Some(Span::MAX);
        self.troubled = now;
        self.disturb(now, Span::from_secs(2));
    }

    pub(super) fn wakes(&mut self, now: Span) {
        self.counters.epochs += 1;
        // Nor does who slept know for how long, until it hears of the other.
        self.distrusted = [Some(now); 2];
        self.troubled = now;
        // The first probe after it may come before the next sample.
        self.learns = now;
        self.disturb(now, Span::from_secs(4));
    }

    /// Whether the host lies about its clock. What the guest makes of a lie is its music, but no rate beyond the servo's;
    /// from the first probe on that tells the truth again, it is judged as ever.
    pub(super) fn lied(&mut self, lies: bool, now: Span, guest: &Side) {
        let bound =
            guest.session.sync_report(guest.time(now)).map_or(0.0, |report| report.bound.as_secs_f64());
        if lies {
            self.distrusted[1] = Some(LIES_UNTIL);
            self.score.rate_lied_to = self.score.rate_lied_to.max(guest.player.rate().0.abs());
            self.disturb(now, Span::from_secs(6));
        }
        if lies || now - self.troubled > Span::from_secs(20) {
            let kept = &mut self.score.bounds[usize::from(lies)];
            *kept = kept.max(bound);
        }
    }

    /// A datagram that was sent at `sent` came to `who`. Only a probe tells that the peer's clock begins anew.
    pub(super) fn probed(&mut self, who: usize, sent: Span, bytes: &[u8]) {
        let is_probe = matches!(codec::decode(bytes), Ok(Datagram::Probe(_)));
        if let Some(step) = self.step.as_mut().filter(|_| is_probe) {
            step.handle_probe(who, sent);
        }
        if is_probe && self.distrusted[who].is_some_and(|from| sent >= from) {
            self.distrusted[who] = None;
            self.disturb(sent, Span::from_secs(6));
        }
    }

    pub(super) fn refused(&mut self) {
        self.counters.refused += 1;
    }

    pub(super) fn timeline_refused(&mut self, error: &TimelineError) {
        if matches!(error, TimelineError::Stale { .. }) {
            self.counters.stale += 1;
        }
        self.counters.refused += 1;
    }

    /// Something comes for `side`: whether it repeats an anchor.
    pub(super) fn arrives(&mut self, side: &Side, channel: Channel, bytes: &[u8]) {
        if channel != Channel::Control {
            return;
        }
        let known = side.revision;
        let stale = |revision: Revision| known.is_some_and(|known| revision <= known);
        let repeats = match codec::decode(bytes) {
            Ok(ControlMessage::Anchor(announcement)) => stale(announcement.anchor.revision),
            Ok(ControlMessage::Welcome(welcome)) => {
                welcome.anchors.iter().any(|announcement| stale(announcement.anchor.revision))
            }
            Ok(_) | Err(_) => false,
        };
        self.counters.stale += u32::from(repeats);
    }

    pub(super) fn entries(&self, side: &Side) -> BTreeSet<EntryId> {
        side.session.queue().entries().map(|entry| entry.id).collect()
    }

    pub(super) fn accepted(
        &mut self,
        who: usize,
        command: &Command,
        before: &BTreeSet<EntryId>,
        side: &Side,
    ) {
        self.counters.accepted += 1;
        if let Command::Edit(intent) = command {
            self.ledger.edited(who, intent, before, &self.entries(side));
        }
    }

    pub(super) fn happens(
        &mut self,
        who: usize,
        side: &mut Side,
        event: &Event,
        now: Span,
    ) -> Result<(), String> {
        if let Event::Queue(event) = event {
            self.ledger.shows(who, side.session.queue().queue(), *event == QueueEvent::Replaced);
        }
        match event {
            Event::Moved(announcement) => {
                let revision = announcement.anchor.revision;
                if side.revision.is_some_and(|known| revision <= known) {
                    return Err(format!("revisions out of order: {revision:?} follows {:?}", side.revision));
                }
                side.revision = Some(revision);
                let answers = announcement.answers.is_some() || side.session.is_host();
                if announcement.by == side.session.me() && answers {
                    side.wishes = false;
                }
                let node_now = side.time(now);
                let effect = side.session.jam_map(node_now).map(|map| map.node_at(announcement.anchor.at));
                let effect = effect.map_or(now, |at| side.clock.when(at));
                // At the end of a track the music goes on by itself; it may be moved until the last moment.
                self.disturb(now, Span::from_millis(800));
                if effect - now < Span::from_secs(4) {
                    self.disturb(effect.max(now), Span::from_millis(800));
                }
            }
            Event::WishFailed(_) => {
                side.wishes = false;
                self.disturb(now, Span::from_millis(1_500));
            }
            Event::Queue(QueueEvent::Refused { edit, .. }) => {
                let its_own = edit.author == side.session.me();
                self.ledger.refused(if its_own { who } else { 1 - who });
            }
            Event::HostChanged { why, .. } => {
                self.changed[who] = Some((now, side.player.reanchors));
                match why {
                    HostChange::Agreed => self.counters.handovers += 1,
                    HostChange::Left => self.counters.lefts += 1,
                    HostChange::Silence => self.counters.takeovers += 1,
                    HostChange::Returned => self.counters.returns += 1,
                    HostChange::Restarted | _ => self.counters.restarts += 1,
                }
            }
            Event::Queue(QueueEvent::Replaced) if side.session.is_host() => self.replaced(),
            Event::Joined => side.alone = false,
            Event::ClockDoubted => self.counters.doubts += 1,
            Event::Queue(_)
            | Event::GuestControls(_)
            | Event::Availability { .. }
            | Event::VolumeAsked { .. }
            | Event::PeerLeft
            | _ => {}
        }
        Ok(())
    }

    pub(super) fn sample(&mut self, now: Span, sides: &[Side; 2]) -> Result<(), String> {
        self.counters.reanchors = sides.iter().map(|side| side.player.reanchors).sum();
        self.judge_change(now, sides)?;
        if sides.iter().any(|side| !side.is_awake()) {
            return Ok(());
        }
        if self.is_stepping(now, sides) {
            return Ok(());
        }
        self.judge_clocks(now, sides)?;
        if self.calm && now <= FIRST {
            self.score_first(now - LOOK_BACK, sides);
        }
        let [host, guest] = sides;
        if sides.iter().any(|side| side.number == 0 || side.session.timeline().last().is_none()) {
            self.learns = now;
            self.disturb(now, Span::from_secs(3));
            return Ok(());
        }
        let unknown = sides.iter().any(|side| side.session.jam_map(side.time(now)).is_none());
        if unknown || self.distrusted.iter().any(Option::is_some) {
            self.learns = now;
            self.troubled = now;
            self.disturb(now, Span::from_secs(3));
        }
        if now - self.learns < REROUTED {
            let bounds = sides.iter().filter_map(|side| side.session.sync_report(side.time(now)));
            self.learning = bounds.map(|report| report.bound).fold(self.learning, Span::max);
        } else {
            self.learning = Span::ZERO;
        }
        let rerouted = self.routes.iter().any(|at| *at <= now && now - *at < REROUTED);
        // Who hears nothing from before a change on takes the new delay for drift, as far as the bound allows.
        let is_unheard = |at: &Span| now - *at > UNHEARD && sides.iter().any(|side| side.probed < *at);
        if rerouted && self.queues || self.routes.iter().any(is_unheard) {
            self.learns = now;
        }
        if rerouted || sides.iter().any(|side| now - side.probed > UNHEARD) {
            self.troubled = now;
        }
        // Until it has met the other it plays by a line as old as its disk.
        if sides.iter().any(|side| side.alone && !by_right(side)) {
            self.blind = now + Span::from_secs(2);
            // And both learn each other's clock from nothing, maybe behind a queue.
            self.learns = now;
        }
        if sides.iter().any(|side| side.wishes) {
            self.disturb(now, Span::from_millis(1_500));
        }
        if sides.iter().any(lacks_what_plays) {
            self.disturb(now, Span::from_millis(1_500));
        }
        let same = sounds_the_same(host, guest);
        let reachable =
            sides.iter().all(|side| side.connected && side.streams.iter().all(super::wire::Stream::is_quiet));
        if reachable && now - self.acted > QUIET && now > self.disturbed {
            Self::judge_queues(sides)?;
            judge_host(sides)?;
            if host.session.timeline().last() != guest.session.timeline().last() {
                return Err("timelines differ after quiet: the last anchors are not the same".to_owned());
            }
        }
        if !same {
            self.disturb(now, Span::from_millis(1_500));
        }
        if now - LOOK_BACK > self.disturbed.max(self.blind) {
            self.judge_skew(now - LOOK_BACK, sides)
        } else {
            Ok(())
        }
    }

    fn judge_clocks(&mut self, now: Span, sides: &[Side; 2]) -> Result<(), String> {
        for (who, [this, other]) in [[0, 1], [1, 0]].into_iter().enumerate() {
            let (this, other) = (&sides[this], &sides[other]);
            let node_now = this.time(now);
            let Some(report) = this.session.sync_report(node_now).filter(|_| self.distrusted[who].is_none())
            else {
                continue;
            };
            let truth = Span::from_nanos(other.time(now).as_nanos().saturating_sub(node_now.as_nanos()));
            let error = (report.offset - truth).abs();
            let bound = if self.fault == Fault::HalfBound { report.bound.scaled(0.5) } else { report.bound };
            self.score.bound_used =
                self.score.bound_used.max(error.as_secs_f64() / bound.as_secs_f64().max(1e-9));
            if error > bound {
                return Err(format!("a clock error beyond its bound: side {who}, {error} beyond {bound}"));
            }
        }
        Ok(())
    }

    /// Whether both have the same queue.
    pub(super) fn judge_queues(sides: &[Side; 2]) -> Result<(), String> {
        let [host, guest] = sides
            .each_ref()
            .map(|side| side.session.queue().entries().map(|entry| entry.id).collect::<Vec<EntryId>>());
        if host == guest { Ok(()) } else { Err(format!("queues differ after quiet: {host:?} and {guest:?}")) }
    }

    /// Everything has come to rest.
    pub(super) fn finish(&mut self, sides: &[Side; 2]) -> Result<(), String> {
        if self.lasts < QUIET_END + QUIET_END {
            return Ok(());
        }
        if sides.iter().any(|side| !side.connected) {
            return Err("no connection at the end: nothing stood in its way".to_owned());
        }
        Self::judge_queues(sides)?;
        judge_host(sides)?;
        let shown: Vec<EntryId> = sides[0].session.queue().entries().map(|entry| entry.id).collect();
        let once: BTreeSet<EntryId> = shown.iter().copied().collect();
        if once.len() != shown.len() {
            return Err(format!("an edit applied twice: {shown:?}"));
        }
        self.counters.let_go = self.ledger.let_go();
        self.ledger.judge(&once)
    }
}
