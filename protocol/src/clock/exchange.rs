//! Which probes were sent, which arrived, and which arrivals are still to be echoed.
//!
//! Everything a peer claims is checked here before any of it reaches the estimate. All memory is bounded.

use alloc::collections::VecDeque;

use super::{ClockConfig, ClockError, Echo, Probe};
use crate::time::{NodeTime, PeerTime, Span};

/// The books of the exchange with one peer.
#[derive(Clone, Debug, Default)]
pub(super) struct Exchange {
    next_seq: u32,
    sent: VecDeque<Sent>,
    arrived: VecDeque<Echo>,
    /// The newest number received, and a bit for each of the 64 up to it: bit 0 is the newest.
    received: Option<(u32, u64)>,
}

/// A probe of this node that may still be echoed.
#[derive(Clone, Copy, Debug)]
struct Sent {
    seq: u32,
    at: NodeTime,
    path_epoch: u32,
    echoed: bool,
}

/// A checked echo: one probe of this node's, there and back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchanged {
    /// When this node sent its probe.
    pub(super) t1: NodeTime,
    /// When it arrived at the peer.
    pub(super) t2: PeerTime,
    /// The path the probe was sent on.
    pub(super) path_epoch: u32,
}

impl Exchange {
    /// Enters a probe sent at `now`; returns its number and the echo it carries.
    pub(super) fn send(&mut self, path_epoch: u32, now: NodeTime) -> (u32, Option<Echo>) {
        let seq = self.next_seq;
        self.next_seq = self.next_seq.saturating_add(1);
        if self.sent.len() >= SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { seq, at: now, path_epoch, echoed: false });
        while self.arrived.front().is_some_and(|oldest| now - oldest.rx > ECHO_AGE_MAX) {
            self.arrived.pop_front();
        }
        (seq, self.arrived.pop_front())
    }

    /// Checks all that `probe` claims; changes nothing.
    pub(super) fn check(
        &self,
        config: &ClockConfig,
        probe: &Probe,
        rx: NodeTime,
    ) -> Result<Option<Exchanged>, ClockError> {
        if probe.index > 1 {
            return Err(ClockError::PairIndex { actual: probe.index });
        }
        if self.was_received(probe.seq) {
            return Err(ClockError::Repeated { seq: probe.seq, window: u64::BITS });
        }
        let view = probe.received();
        in_range(view.t_tx)?;
        let Some((seq, t2)) = view.echo else { return Ok(None) };
        in_range(t2)?;
        if seq >= self.next_seq {
            return Err(ClockError::EchoNeverSent { seq, next: self.next_seq });
        }
        let held = view.t_tx - t2;
        if held < Span::ZERO {
            return Err(ClockError::EchoAhead { seq, ahead: -held });
        }
        // An echo of a probe that left the books, for age or for a reset, tells nothing but harms nothing.
        let Some(sent) = self.sent.iter().find(|sent| sent.seq == seq) else { return Ok(None) };
        if sent.echoed {
            return Err(ClockError::EchoRepeated { seq });
        }
        let whole = rx - sent.at;
        if held > whole + whole.abs().gained_at(config.drift_limit) + config.stamp_error {
            return Err(ClockError::EchoHeld { seq, held, whole });
        }
        Ok(Some(Exchanged { t1: sent.at, t2, path_epoch: sent.path_epoch }))
    }

    /// Enters a probe that passed [`check`](Self::check).
    pub(super) fn receive(&mut self, probe: &Probe, rx: NodeTime) {
        self.received = Some(match self.received {
            None => (probe.seq, 1),
            Some((newest, seen)) if probe.seq > newest => {
                (probe.seq, seen.checked_shl(probe.seq - newest).unwrap_or(0) | 1)
            }
            Some((newest, seen)) => (newest, seen | 1u64.checked_shl(newest - probe.seq).unwrap_or(0)),
        });
        if let Some(echo) = probe.echo
            && let Some(sent) = self.sent.iter_mut().find(|sent| sent.seq == echo.seq)
        {
            sent.echoed = true;
        }
        if self.arrived.len() >= ARRIVED_MAX {
            self.arrived.pop_front();
        }
        self.arrived.push_back(Echo { seq: probe.seq, rx });
    }

    /// Forgets every reading of a clock, own and peer's, but not the numbers.
    pub(super) fn forget_readings(&mut self) {
        self.sent.clear();
        self.arrived.clear();
    }

    fn was_received(&self, seq: u32) -> bool {
        self.received.is_some_and(|(newest, seen)| {
            let age = newest.saturating_sub(seq);
            seq <= newest && (age >= u64::BITS || seen >> age & 1 == 1)
        })
    }
}

/// Readings this close to a clock's origin leave room for every difference of two of them.
fn in_range(reading: PeerTime) -> Result<(), ClockError> {
    let actual = reading - PeerTime::ZERO;
    if actual.abs() > READING_MAX { Err(ClockError::Range { actual }) } else { Ok(()) }
}

/// 73 years, a quarter of what 64 bits hold.
const READING_MAX: Span = Span::from_nanos(i64::MAX / 4);
/// Probes that may still be echoed: 12 s at the normal rate, more than any path holds.
const SENT_MAX: usize = 128;
/// Arrivals waiting for a probe to carry them; more arrive only if the peer probes faster than this node.
const ARRIVED_MAX: usize = 8;
/// An arrival that waited longer than this is not worth a place in a probe.
const ECHO_AGE_MAX: Span = Span::from_secs(3);
