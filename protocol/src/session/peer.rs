//! The other participant: its clock, its connection, and how its sound is doing.

use crate::{
    clock::{Clock, ClockConfig, Probe},
    id::Participant,
    time::{NodeTime, Span},
    wire::peer::{Datagram, PlayoutReport},
};

/// The other participant.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: Participant,
    pub(super) session_epoch: u32,
    pub(super) clock: Clock,
    pub(super) link: Link,
    /// Whether the host, being the peer, has said where the Jam stands since the two last met.
    pub(super) welcomed: bool,
    /// Whether this side has made the peer the host, and the peer's word as such has not come.
    pub(super) handed_over: bool,
    pub(super) report: PlayoutReport,
    /// The next report of this side is due then.
    pub(super) report_due: NodeTime,
    pub(super) my_report: PlayoutReport,
    /// Jumps of its clock that were told of.
    jumps_told: u64,
    /// From then on its clock may be called doubtful again.
    doubt_due: NodeTime,
}

/// How far the two have come on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// There is none.
    Down,
    /// This side has said what it is in the Jam, and waits for the peer's word, which is the first that counts.
    Greeting,
    /// The same on a connection that outlived a silence: what the peer said until it heard of this counts no more.
    GreetingAgain,
    /// Both have, and both know who is the host.
    Met,
}

/// How often a side tells the other how its sound is doing.
const REPORT_EVERY: Span = Span::from_secs(1);
/// How often a listener is told that the peer's clock makes no sense.
const DOUBT_EVERY: Span = Span::from_secs(60);

impl Peer {
    pub(super) fn new(id: Participant, session_epoch: u32, now: NodeTime) -> Self {
        Self {
            id,
            session_epoch,
            clock: Clock::new(ClockConfig::default(), session_epoch, now),
            link: Link::Down,
            welcomed: false,
            handed_over: false,
            report: PlayoutReport::default(),
            report_due: now,
            my_report: PlayoutReport::default(),
            jumps_told: 0,
            doubt_due: now,
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.link != Link::Down
    }

    /// Takes in a probe. Whether the listener should know that the peer's clock has jumped or claims what cannot be.
    #[must_use]
    pub(super) fn handle_probe(&mut self, probe: &Probe, now: NodeTime) -> bool {
        // A probe that is only stale or repeated is no more than counted: honest networks do that too.
        let lies = self.clock.handle_probe(probe, now).is_err_and(|error| error.is_impossible());
        let jumps = self.clock.path_report(now).jumps;
        let doubtful = (lies || jumps > self.jumps_told) && now >= self.doubt_due;
        if doubtful {
            self.jumps_told = jumps;
            self.doubt_due = now + DOUBT_EVERY;
        }
        doubtful
    }

    /// The next datagram that is due.
    pub(super) fn poll_datagram(&mut self, now: NodeTime) -> Option<Datagram> {
        if let Some(probe) = self.clock.poll_probe(now) {
            return Some(Datagram::Probe(probe));
        }
        if self.report_due <= now {
            self.report_due = now + REPORT_EVERY;
            return Some(Datagram::Report(self.my_report));
        }
        None
    }
}
