//! A connection over two lossy links: datagrams as they come, and streams that are repeated until they are
//! acknowledged and handed on in order. A stand-in for QUIC with one fixed timeout.

use std::collections::{BTreeMap, VecDeque};

use jamsync_protocol::{session::Channel, time::Span};

/// What travels on a link.
#[derive(Clone, Debug)]
pub(super) enum Packet {
    /// The dialling side wants connection `number`.
    Hello {
        number: u32,
    },
    /// The other side has it.
    Welcome {
        number: u32,
    },
    Datagram {
        number: u32,
        sent: Span,
        bytes: Vec<u8>,
    },
    Segment {
        number: u32,
        channel: Channel,
        at: u64,
        bytes: Vec<u8>,
    },
    Acknowledged {
        number: u32,
        channel: Channel,
        next: u64,
    },
}

impl Packet {
    /// Its size with all headers.
    pub(super) fn size(&self) -> usize {
        HEADERS
            + match self {
                Self::Datagram { bytes, .. } | Self::Segment { bytes, .. } => bytes.len(),
                Self::Hello { .. } | Self::Welcome { .. } => 1_200,
                Self::Acknowledged { .. } => 8,
            }
    }
}

/// One stream, both its sending and its receiving end on one side.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    channel: Channel,
    next: u64,
    unacknowledged: VecDeque<(u64, Vec<u8>, Span)>,
    expected: u64,
    early: BTreeMap<u64, Vec<u8>>,
}

impl Stream {
    pub(super) fn new(channel: Channel) -> Self {
        Self { channel, next: 0, unacknowledged: VecDeque::new(), expected: 0, early: BTreeMap::new() }
    }

    pub(super) fn send(&mut self, number: u32, bytes: Vec<u8>, now: Span) -> Packet {
        let at = self.next;
        self.next += 1;
        self.unacknowledged.push_back((at, bytes.clone(), now));
        Packet::Segment { number, channel: self.channel, at, bytes }
    }

    /// What was not acknowledged within `patience`, again.
    pub(super) fn repeat(&mut self, number: u32, now: Span, patience: Span) -> Vec<Packet> {
        let mut packets = Vec::new();
        for (at, bytes, sent) in &mut self.unacknowledged {
            if now - *sent >= patience {
                *sent = now;
                let (at, bytes) = (*at, bytes.clone());
                packets.push(Packet::Segment { number, channel: self.channel, at, bytes });
            }
        }
        packets
    }

    pub(super) fn handle_acknowledged(&mut self, next: u64) {
        self.unacknowledged.retain(|(at, ..)| *at >= next);
    }

    /// Takes a segment in: what can be handed on now, in order, and the acknowledgement.
    pub(super) fn handle_segment(&mut self, number: u32, at: u64, bytes: Vec<u8>) -> (Vec<Vec<u8>>, Packet) {
        if at >= self.expected {
            self.early.insert(at, bytes);
        }
        let mut ready = Vec::new();
        while let Some(bytes) = self.early.remove(&self.expected) {
            self.expected += 1;
            ready.push(bytes);
        }
        (ready, Packet::Acknowledged { number, channel: self.channel, next: self.expected })
    }

    /// Whether everything sent has arrived.
    pub(super) fn is_quiet(&self) -> bool {
        self.unacknowledged.is_empty() && self.early.is_empty()
    }

    /// Segments kept.
    pub(super) fn waiting(&self) -> usize {
        self.unacknowledged.len() + self.early.len()
    }
}

/// IP, UDP and QUIC headers, roughly.
const HEADERS: usize = 60;
