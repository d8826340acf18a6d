//! The two machines' clocks, compared by probes: where the other's stands, and how far that may be off.

use std::net::{IpAddr, SocketAddr};

use jamsync_node::clock::NodeClock;
use jamsync_protocol::{
    clock::{Clock, ClockConfig, Estimate, Probe},
    limits::DATAGRAM_BYTES_MAX,
    time::{NodeTime, PeerTime, Ppm, Span},
    wire::codec,
};
use tokio::{net::UdpSocket, time::sleep};

use super::{PeerError, Progress, network, wire::Incoming};

/// Sends and takes probes for a while.
pub(super) struct Prober {
    socket: UdpSocket,
    /// Datagrams of other machines are not looked at.
    ip: IpAddr,
    /// Where probes go: known from the start, or from the first that came.
    to: Option<SocketAddr>,
    clock: NodeClock,
    machine: Clock,
    lasts: Span,
    seen: Vec<Estimate>,
}

/// The other machine's clock over the time of the comparison.
#[derive(Debug)]
pub(super) struct PeerClock {
    line: Estimate,
    seen: Vec<Estimate>,
    least_round_trip: Span,
}

/// How often an estimate is kept, however many probes come.
const SEE_EVERY: Span = Span::from_millis(100);
/// How often somebody who looks on is told.
const TELL_EVERY: Span = Span::from_secs(5);

impl Prober {
    pub(super) fn new(
        socket: UdpSocket,
        (ip, to): (IpAddr, Option<SocketAddr>),
        clock: NodeClock,
        session_epoch: u32,
        lasts: Span,
    ) -> Self {
        let machine = Clock::new(ClockConfig::default(), session_epoch, clock.now());
        Self { socket, ip: ip.to_canonical(), to, clock, machine, lasts, seen: Vec::new() }
    }

    /// Compares until the time is over, or the other side goes on to the recordings.
    pub(super) async fn compare(
        mut self,
        control: &mut Incoming,
        tell: &impl Fn(Progress),
    ) -> Result<PeerClock, PeerError> {
        let began = self.clock.now();
        let (until, mut told) = (began + self.lasts, began);
        let mut datagram = [0; DATAGRAM_BYTES_MAX];
        loop {
            self.send().await?;
            let now = self.clock.now();
            if now >= until {
                break;
            }
            if now >= told {
                told += TELL_EVERY;
                let uncertainty = self.machine.estimate(now).map(|estimate| self.least(estimate.bound));
                tell(Progress::Comparing { elapsed: now - began, lasts: self.lasts, uncertainty });
            }
            let due = if self.to.is_some() { self.machine.poll_timeout().min(until) } else { until };
            tokio::select! {
                received = self.socket.recv_from(&mut datagram) => {
                    // The reading comes first: all that follows would count as delay.
                    let rx = self.clock.now();
                    let (length, from) = received.map_err(network("receiving probes"))?;
                    self.take(datagram.get(..length).unwrap_or_default(), from, rx);
                }
                waited = control.wait() => {
                    waited?;
                    break;
                }
                () = sleep(due.min(told).since(now).as_duration()) => {}
            }
        }
        let least_round_trip = self.machine.least_round_trip();
        let line = self.seen.last().copied().ok_or(PeerError::NoProbes)?;
        Ok(PeerClock { line, seen: self.seen, least_round_trip })
    }

    fn take(&mut self, bytes: &[u8], from: SocketAddr, rx: NodeTime) {
        if from.ip().to_canonical() != self.ip {
            return;
        }
        let Ok(probe) = codec::decode::<Probe>(bytes) else { return };
        // The clock refuses what is stale, repeated, impossible, or of another session.
        if self.machine.handle_probe(&probe, rx).is_err() {
            return;
        }
        self.to = Some(from);
        if self.seen.last().is_none_or(|last| rx - last.at >= SEE_EVERY) {
            self.seen.extend(self.machine.steady_estimate(rx));
        }
    }

    async fn send(&mut self) -> Result<(), PeerError> {
        let Some(to) = self.to else { return Ok(()) };
        while let Some(probe) = self.machine.poll_probe(self.clock.now()) {
            let bytes = codec::encode(&probe, DATAGRAM_BYTES_MAX)?;
            // A datagram that cannot leave is lost, as on any network.
            let _ = self.socket.send_to(&bytes, to).await;
        }
        Ok(())
    }

    fn least(&self, bound: Span) -> Span {
        bound.max(self.machine.least_round_trip().scaled(0.5))
    }
}

impl PeerClock {
    /// The time in which the clocks are known.
    pub(super) fn range(&self) -> (NodeTime, NodeTime) {
        (self.seen.first().map_or(self.line.at, |first| first.at), self.line.at)
    }

    /// This machine's clock when the other's reads `reading`.
    pub(super) fn node_at(&self, reading: PeerTime) -> NodeTime {
        self.line.node_at(reading)
    }

    /// How far [`node_at`](Self::node_at) may be off anywhere in [`range`](Self::range), whatever the path does:
    /// every estimate on the way was within its own bound of the truth, and the line is this far from it. Never less
    /// than half the least round trip, which a path that is slow one way hides.
    pub(super) fn uncertainty(&self) -> Span {
        let off = |seen: &Estimate| (self.line.peer_at(seen.at) - seen.peer_at(seen.at)).abs() + seen.bound;
        let worst = self.seen.iter().map(off).max().unwrap_or(self.line.bound);
        worst.max(self.least_round_trip.scaled(0.5))
    }

    /// The least time that a probe needed there and back.
    pub(super) const fn least_round_trip(&self) -> Span {
        self.least_round_trip
    }

    /// How much faster the other's clock runs.
    pub(super) const fn drift(&self) -> Ppm {
        self.line.drift
    }
}

#[cfg(test)]
pub(super) fn known(line: Estimate, seen: Vec<Estimate>, least_round_trip: Span) -> PeerClock {
    PeerClock { line, seen, least_round_trip }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(second: i64, offset_us: i64, bound_us: i64) -> Estimate {
        Estimate {
            at: NodeTime::ZERO + Span::from_secs(second),
            offset: Span::from_micros(offset_us),
            drift: Ppm::ZERO,
            bound: Span::from_micros(bound_us),
            spread: Span::ZERO,
            least_round_trip: Span::from_millis(20),
            converged: true,
        }
    }

    #[test]
    fn the_uncertainty_is_never_below_half_the_least_round_trip_nor_below_what_was_known_on_the_way() {
        let (first, last) = (estimate(1, 700, 12_000), estimate(9, 0, 3_000));
        let round_trip = Span::from_millis(20);
        assert_eq!(known(last, vec![last], round_trip).uncertainty(), Span::from_millis(10));
        assert_eq!(known(last, vec![first, last], round_trip).uncertainty(), Span::from_micros(12_700));
    }
}
