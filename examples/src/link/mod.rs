//! A model of the network between two nodes: what happens to each packet, decided by a seed.
//!
//! One [`Link`] is one direction. Packets go in with [`handle_packet`](Link::handle_packet) and come out with
//! [`poll_packet`](Link::poll_packet), later, in another order, twice or never. The model does no IO, never asks
//! for the time and never looks into a packet, so that the world simulation drives it in virtual time and a
//! forwarder of real datagrams by the system's clock. Times are true time since the link began.

mod config;
mod draw;
pub mod forwarder;
mod queue;
mod scenario;
#[cfg(test)]
mod tests;
mod unit;
pub mod wire;

use std::{cmp::Reverse, collections::BinaryHeap};

use jamsync_protocol::time::Span;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

pub use config::{
    Bottleneck, Bursts, Exponential, Jitter, LinkConfig, Load, Loss, Normal, Outage, PathConfig, RandomLoss,
    RouteChange, ScenarioError, Spikes,
};
pub use scenario::Scenario;

use draw::{BurstState, jitter};
use queue::BottleneckQueue;

/// One direction of a network path. The same configuration, seed and calls give the same packets at the same
/// times.
#[derive(Clone, Debug)]
pub struct Link<T> {
    config: LinkConfig,
    random: ChaCha8Rng,
    bursts: BurstState,
    bottleneck: Option<BottleneckQueue>,
    under_way: BinaryHeap<Reverse<UnderWay<T>>>,
    entered: u64,
    latest: Span,
    counts: LinkCounts,
}

/// What has happened to packets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Packets that were handed in.
    pub sent: u64,
    /// Packets dropped, for whatever reason.
    pub lost: u64,
    /// Packets that arrive twice.
    pub duplicated: u64,
    /// Packets that came out.
    pub delivered: u64,
}

/// Packets that are under way at most; above it they are lost, so that a sender out of control is not a leak.
const UNDER_WAY_MAX: usize = 65_536;

impl<T: Clone> Link<T> {
    /// A link on which nothing is under way.
    #[must_use]
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            bursts: BurstState::default(),
            bottleneck: config.bottleneck.map(BottleneckQueue::new),
            under_way: BinaryHeap::new(),
            entered: 0,
            latest: Span::ZERO,
            counts: LinkCounts::default(),
            config,
        }
    }

    /// Takes in a packet of `bytes` bytes that its sender hands over at `now`.
    pub fn handle_packet(&mut self, now: Span, bytes: usize, packet: T) {
        self.counts.sent += 1;
        // Every packet draws the same numbers whatever becomes of it, so that one option does not change what
        // the others do to later packets.
        let lost = self.bursts.loses(self.config.loss, &mut self.random);
        let twice = self.random.random::<f64>() < self.config.duplicates;
        let delays = [(); 2].map(|()| jitter(&self.config, &mut self.random));
        let refuse: f64 = self.random.random();
        let waits = match &mut self.bottleneck {
            Some(queue) => queue.handle_packet(now, bytes, refuse),
            None => Some(Span::ZERO),
        };
        let full = self.under_way.len() + 2 > UNDER_WAY_MAX;
        let Some(waits) = waits.filter(|_| !lost && !full && !self.config.is_out_at(now)) else {
            self.counts.lost += 1;
            return;
        };
        let leaves = now + waits + self.config.delay_at(now);
        if twice {
            self.counts.duplicated += 1;
            self.enter(leaves + delays[1], packet.clone());
        }
        self.enter(leaves + delays[0], packet);
    }

    /// From now on packets meet the link that `config` describes; those under way arrive as they would have.
    pub fn change(&mut self, config: LinkConfig) {
        self.bottleneck = config.bottleneck.map(BottleneckQueue::new);
        self.config = config;
    }

    /// The next packet that has arrived by `now`.
    #[must_use]
    pub fn poll_packet(&mut self, now: Span) -> Option<T> {
        if self.poll_timeout()? > now {
            return None;
        }
        let Reverse(arrived) = self.under_way.pop()?;
        self.counts.delivered += 1;
        Some(arrived.packet)
    }

    /// When the next packet arrives; `None` while none is under way.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Span> {
        self.under_way.peek().map(|Reverse(next)| next.arrives)
    }

    /// What has happened to packets so far.
    #[must_use]
    pub fn counts(&self) -> LinkCounts {
        self.counts
    }

    /// How the link was described.
    #[must_use]
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    fn enter(&mut self, arrives: Span, packet: T) {
        let arrives = if self.config.keeps_order { arrives.max(self.latest) } else { arrives };
        self.latest = self.latest.max(arrives);
        self.entered += 1;
        self.under_way.push(Reverse(UnderWay { arrives, number: self.entered, packet }));
    }
}

/// A packet on its way, ordered by its arrival and then by its number.
#[derive(Clone, Debug)]
struct UnderWay<T> {
    arrives: Span,
    number: u64,
    packet: T,
}

impl<T> PartialEq for UnderWay<T> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl<T> Eq for UnderWay<T> {}
impl<T> PartialOrd for UnderWay<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for UnderWay<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.arrives, self.number).cmp(&(other.arrives, other.number))
    }
}
