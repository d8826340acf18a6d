//! A wrong build: a clock that takes every exchange of probes at face value, as if the way there and the way back
//! always took as long. A queue on one of them is then half an error.

use std::collections::VecDeque;

use jamsync_protocol::{
    time::{NodeTime, PeerTime, Span},
    wire::{codec, peer::Datagram},
};

/// What the exchanges say.
#[derive(Debug, Default)]
pub(super) struct Naive {
    sent: VecDeque<(u32, NodeTime)>,
    offsets: VecDeque<Span>,
}

/// Probes that may still be echoed.
const SENT_MAX: usize = 128;
/// Exchanges of which the mean is taken: some ten seconds.
const OFFSETS_MAX: usize = 64;

impl Naive {
    pub(super) fn handle_sent(&mut self, bytes: &[u8], now: NodeTime) {
        if let Ok(Datagram::Probe(probe)) = codec::decode(bytes) {
            push(&mut self.sent, (probe.seq, now), SENT_MAX);
        }
    }

    pub(super) fn handle_received(&mut self, bytes: &[u8], now: NodeTime) {
        let Ok(Datagram::Probe(probe)) = codec::decode(bytes) else { return };
        let probe = probe.received();
        let sent = |seq| self.sent.iter().find(|(sent, _)| *sent == seq).map(|(_, at)| *at);
        let Some((left, came)) = probe.echo.and_then(|(seq, came)| Some((sent(seq)?, came))) else { return };
        let mean = apart(came, left).scaled(0.5) + apart(probe.t_tx, now).scaled(0.5);
        push(&mut self.offsets, mean, OFFSETS_MAX);
    }

    /// The peer's clock less this node's, by the mean of what came.
    pub(super) fn offset(&self) -> Option<Span> {
        let first = *self.offsets.front()?;
        let beyond: f64 = self.offsets.iter().map(|offset| (*offset - first).as_secs_f64()).sum();
        let count = u32::try_from(self.offsets.len()).unwrap_or(u32::MAX);
        Some(first + Span::from_secs_f64(beyond / f64::from(count)))
    }
}

fn apart(peer: PeerTime, node: NodeTime) -> Span {
    Span::from_nanos(peer.as_nanos().saturating_sub(node.as_nanos()))
}

fn push<T>(to: &mut VecDeque<T>, item: T, limit: usize) {
    if to.len() >= limit {
        to.pop_front();
    }
    to.push_back(item);
}
