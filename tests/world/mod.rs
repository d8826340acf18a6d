//! The world: two nodes, the network between them, and everything that goes wrong, in virtual time from one seed.
//!
//! The sessions, clocks, queues, lines and servos are the real ones; sound cards, players, listeners and the
//! network are models. True time is what no node can see: it judges. Nothing here does IO, sleeps or asks for the
//! time, so a world is repeated bit for bit by its seed.

mod checks;
mod dac;
mod deeds;
mod fate;
mod liar;
mod naive;
mod plan;
mod player;
mod shrink;
mod side;
mod wire;

use jamsync_examples::link::Link;
use jamsync_protocol::{
    id::Participant,
    session::{Channel, Event},
    time::Span,
};

use checks::{Checks, SAMPLE_EVERY};
pub use checks::{Counters, Failure, Score};
use liar::Liar;
pub use plan::{Action, Deed, Fate, Fault, Lie, Plan, Trouble};
pub use shrink::shrink;
use side::{Side, WHO};
use wire::Packet;

/// What came of a world.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was wrong first, if anything was.
    pub failure: Option<Failure>,
    /// What happened how often.
    pub counters: Counters,
    /// How far apart the two outputs were.
    pub score: Score,
}

/// Runs a world to its end, or to the first thing that is wrong.
#[must_use]
pub fn run(plan: &Plan) -> Outcome {
    let mut world = World::new(plan);
    if let Err(what) = world.run() {
        world.checks.fail(world.now, what);
    }
    world.checks.outcome()
}

struct World<'a> {
    plan: &'a Plan,
    now: Span,
    sides: [Side; 2],
    /// From the host to the guest, and back.
    links: [Link<Packet>; 2],
    /// The place of each side in the Jam's grant.
    places: [Participant; 2],
    /// Nothing passes before.
    cut_until: Span,
    /// Who has said farewell, when it goes, and for how long.
    leaves: Option<(usize, Span, Span)>,
    checks: Checks,
    liar: Liar,
    next_action: usize,
    repeated: Span,
    sampled: Span,
    edits_arrived: u32,
}

/// How long a side waits for a sign of the other before the connection counts as lost: the node's idle timeout.
const IDLE: Span = Span::from_secs(10);
/// How often the guest dials while there is no connection.
const DIAL_EVERY: Span = Span::from_secs(2);
const REPEAT_EVERY: Span = Span::from_millis(100);
/// After how long an unacknowledged segment is sent again.
const PATIENCE: Span = Span::from_millis(600);
/// The player looks after its tape this often, and when the session has news.
const STEP_EVERY: Span = Span::from_millis(50);
/// A session that wants to be woken again at once is a defect; it is woken this much later.
const REST: Span = Span::from_micros(20);
/// How long what the host has ordered may be on its way to the guest at the end: a lost packet is told again by then.
const ON_ITS_WAY: Span = Span::from_secs(2);

impl<'a> World<'a> {
    fn new(plan: &'a Plan) -> Self {
        let [to_guest, to_host] = [&plan.path.a_to_b, &plan.path.b_to_a];
        Self {
            plan,
            now: Span::ZERO,
            sides: [Side::new(plan, 0), Side::new(plan, 1)],
            links: [Link::new(to_guest.clone(), plan.seed), Link::new(to_host.clone(), !plan.seed)],
            places: WHO,
            cut_until: Span::ZERO,
            leaves: None,
            checks: Checks::new(plan),
            liar: Liar::new(plan.lie, plan.seed),
            next_action: 0,
            repeated: Span::ZERO,
            sampled: Span::from_secs(1),
            edits_arrived: 0,
        }
    }

    fn run(&mut self) -> Result<(), String> {
        self.act(0, Deed::Append(4))?;
        self.act(0, Deed::Resume)?;
        while self.now < self.plan.lasts {
            self.advance()?;
        }
        // Nobody does anything any more; but one track follows another, and of what a queue lets go of by that the guest hears later.
        let patience = self.plan.lasts + ON_ITS_WAY;
        while self.now < patience && Checks::judge_queues(&self.sides).is_err() {
            self.advance()?;
        }
        self.checks.finish(&self.sides)
    }

    /// Goes on to the next instant at which something happens.
    fn advance(&mut self) -> Result<(), String> {
        self.now = self.next_instant().max(self.now);
        self.deliver()?;
        self.act_by_plan()?;
        for side in 0..2 {
            self.attend(side)?;
        }
        self.repeat();
        if self.sampled <= self.now {
            self.sampled = self.now + SAMPLE_EVERY;
            self.checks.lied(self.liar.lies_at(self.now), self.now, &self.sides[1]);
            self.checks.sample(self.now, &self.sides)?;
        }
        Ok(())
    }

    /// When something happens next.
    fn next_instant(&self) -> Span {
        let mut next = (self.repeated + REPEAT_EVERY).min(self.sampled);
        if let Some(action) = self.plan.actions.get(self.next_action) {
            next = next.min(action.at);
        }
        for link in &self.links {
            next = next.min(link.poll_timeout().unwrap_or(Span::MAX));
        }
        for side in &self.sides {
            let away = side.asleep_until.or(side.dead_until);
            next = next.min(away.unwrap_or_else(|| self.next_of(side)));
        }
        next
    }

    fn next_of(&self, side: &Side) -> Span {
        let wanted = side.session.poll_timeout(side.time(self.now));
        let session = wanted.map_or(Span::MAX, |at| side.clock.when(at).max(side.woken + REST));
        session.min(side.dac.poll_timeout()).min(side.stepped + STEP_EVERY)
    }

    fn deliver(&mut self) -> Result<(), String> {
        for to in [1, 0] {
            while let Some(packet) = self.links[1 - to].poll_packet(self.now) {
                if self.sides[to].is_awake() && self.cut_until <= self.now {
                    self.arrive(to, packet)?;
                }
            }
        }
        Ok(())
    }

    fn arrive(&mut self, to: usize, packet: Packet) -> Result<(), String> {
        let number = self.sides[to].number;
        match packet {
            Packet::Hello { number: dialled } if to == 0 && !self.sides[to].over => {
                if dialled > number {
                    self.connect(to, dialled)?;
                }
                if dialled == self.sides[to].number {
                    self.send(to, Packet::Welcome { number: dialled });
                }
            }
            Packet::Welcome { number: dialled } => {
                let side = &self.sides[to];
                if !side.connected && dialled == side.number {
                    self.connect(to, dialled)?;
                }
            }
            Packet::Datagram { number: of, sent, bytes } if of == number && self.sides[to].connected => {
                self.sides[to].probed = self.now;
                self.checks.probed(to, sent, &bytes);
                let side = &mut self.sides[to];
                side.naive.handle_received(&bytes, side.time(self.now));
                self.hand_in(to, Channel::Datagram, &bytes)?;
            }
            Packet::Segment { number: of, channel, at, bytes }
                if of == number && self.sides[to].connected =>
            {
                let (ready, acknowledged) = self.sides[to].stream(channel).handle_segment(number, at, bytes);
                self.send(to, acknowledged);
                for bytes in ready {
                    // What follows a farewell is said to nobody.
                    if self.sides[to].connected {
                        self.hand_in(to, channel, &bytes)?;
                    }
                }
            }
            Packet::Acknowledged { number: of, channel, next } if of == number => {
                self.sides[to].stream(channel).handle_acknowledged(next);
            }
            Packet::Hello { .. }
            | Packet::Datagram { .. }
            | Packet::Segment { .. }
            | Packet::Acknowledged { .. } => return Ok(()),
        }
        self.sides[to].heard_from = self.now;
        Ok(())
    }

    fn hand_in(&mut self, to: usize, channel: Channel, bytes: &[u8]) -> Result<(), String> {
        if to == 0 && channel == Channel::Queue {
            self.edits_arrived += 1;
            if self.plan.fault == Fault::EditLost && self.edits_arrived == 3 {
                return Ok(());
            }
        }
        let side = &mut self.sides[to];
        self.checks.arrives(side, channel, bytes);
        let outcome = side.session.handle_bytes(channel, bytes, side.time(self.now));
        outcome.map_err(|error| format!("side {to} refuses what the other says: {error}"))?;
        self.drain(to)
    }

    fn connect(&mut self, who: usize, number: u32) -> Result<(), String> {
        if self.sides[who].connected {
            self.sides[who].disconnect();
        }
        let session_epoch = self.sides[0].run ^ self.sides[1].run;
        self.sides[who].connect(number, self.places[1 - who], session_epoch, self.now);
        self.checks.connected(self.now);
        self.drain(who)
    }

    fn send(&mut self, from: usize, packet: Packet) {
        self.links[from].handle_packet(self.now, packet.size(), packet);
    }

    /// What a side does by itself at this instant.
    fn attend(&mut self, who: usize) -> Result<(), String> {
        self.go(who);
        if self.sides[who].dead_until.is_some() && !self.revive(who)? {
            return Ok(());
        }
        let side = &mut self.sides[who];
        if let Some(until) = side.asleep_until {
            if until > self.now {
                return Ok(());
            }
            side.asleep_until = None;
            let slept_from = side.stepped.max(side.woken);
            side.wake(slept_from, self.now);
            self.checks.wakes(self.now);
        }
        while self.sides[who].dac.poll_timeout() <= self.now {
            let pieces = self.sides[who].take_period(self.now).to_vec();
            self.checks.heard(who, self.now, &pieces)?;
        }
        self.keep_connected(who)?;
        let side = &mut self.sides[who];
        let now = side.time(self.now);
        if side.session.poll_timeout(now).is_some_and(|due| due <= now) && side.woken + REST <= self.now {
            side.woken = self.now;
            let outcome = side.session.handle_timeout(now);
            outcome.map_err(|error| format!("side {who} cannot go on: {error}"))?;
            self.drain(who)?;
        }
        let side = &mut self.sides[who];
        if side.stepped + STEP_EVERY <= self.now {
            side.step_player(self.now);
            self.checks.stepped(who, side)?;
        }
        Ok(())
    }

    fn keep_connected(&mut self, who: usize) -> Result<(), String> {
        let side = &mut self.sides[who];
        let reset = side.reset_at.take_if(|at| *at <= self.now).is_some();
        if side.connected && (reset || self.now - side.heard_from > IDLE) {
            side.disconnect();
            self.checks.disconnected(self.now);
        }
        if who == 1 && !side.connected && !side.over && side.dialled <= self.now {
            side.dialled = self.now + DIAL_EVERY;
            side.number += 1;
            let number = side.number;
            self.send(who, Packet::Hello { number });
        }
        self.drain(who)
    }

    /// Passes on what a session has to say.
    fn drain(&mut self, who: usize) -> Result<(), String> {
        let mut news = false;
        loop {
            let side = &mut self.sides[who];
            while let Some(event) = side.session.poll_event() {
                news |= matches!(event, Event::Moved(_) | Event::WishFailed(_));
                self.checks.happens(who, side, &event, self.now)?;
                if event == Event::PeerLeft {
                    side.over = true;
                    side.disconnect();
                }
            }
            side.save(self.now);
            let Some(transmit) = side.session.poll_transmit(side.time(self.now)) else { break };
            let number = side.number;
            let packet = match transmit.channel {
                Channel::Datagram => {
                    side.naive.handle_sent(&transmit.bytes, side.time(self.now));
                    let bytes = match who {
                        0 => self.liar.twist(transmit.bytes, self.now),
                        _ => transmit.bytes,
                    };
                    Packet::Datagram { number, sent: self.now, bytes }
                }
                channel @ (Channel::Control | Channel::Queue) => {
                    side.stream(channel).send(number, transmit.bytes, self.now)
                }
            };
            self.send(who, packet);
        }
        self.checks.looks(who, &self.sides[who]);
        if news || self.sides[who].wishes {
            self.sides[who].step_player(self.now);
        }
        Ok(())
    }

    fn repeat(&mut self) {
        if self.now - self.repeated < REPEAT_EVERY {
            return;
        }
        self.repeated = self.now;
        for who in 0..2 {
            let side = &mut self.sides[who];
            if !side.connected || !side.is_awake() {
                continue;
            }
            let number = side.number;
            let packets: Vec<Packet> = side
                .streams
                .iter_mut()
                .flat_map(|stream| stream.repeat(number, self.now, PATIENCE))
                .collect();
            for packet in packets {
                self.send(who, packet);
            }
        }
    }
}
