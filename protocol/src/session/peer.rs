//! The other participant: its clock, its connection, and how its sound is doing.

use crate::{
    clock::{Clock, ClockConfig},
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
    pub(super) connected: bool,
    pub(super) welcomed: bool,
    pub(super) report: PlayoutReport,
    /// The next report of this side is due then.
    pub(super) report_due: NodeTime,
    pub(super) my_report: PlayoutReport,
}

/// How often a side tells the other how its sound is doing.
const REPORT_EVERY: Span = Span::from_secs(1);

impl Peer {
    pub(super) fn new(id: Participant, session_epoch: u32, now: NodeTime) -> Self {
        Self {
            id,
            session_epoch,
            clock: Clock::new(ClockConfig::default(), session_epoch, now),
            connected: true,
            welcomed: false,
            report: PlayoutReport::default(),
            report_due: now,
            my_report: PlayoutReport::default(),
        }
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
