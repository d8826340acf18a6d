//! A connection over two lossy links: datagrams as they come, and streams that are repeated until they are
//! acknowledged and handed on in order. A stand-in for QUIC with one fixed timeout, for simulations; real processes
//! bring their own QUIC.

use std::collections::{BTreeMap, VecDeque};

use jamsync_protocol::{session::Channel, time::Span};

/// What travels on a link.
#[derive(Clone, Debug)]
pub enum Packet {
    /// The dialling side wants connection `number`.
    Hello {
        /// The connection's.
        number: u32,
    },
    /// The other side has it.
    Welcome {
        /// The connection's.
        number: u32,
    },
    /// Bytes that may be lost.
    Datagram {
        /// The connection's.
        number: u32,
        /// True time at which it was sent.
        sent: Span,
        /// What it says.
        bytes: Vec<u8>,
    },
    /// A message of a stream.
    Segment {
        /// The connection's.
        number: u32,
        /// Which stream.
        channel: Channel,
        /// Its place in the stream, counted from 0.
        at: u64,
        /// What it says.
        bytes: Vec<u8>,
    },
    /// How much of a stream has come.
    Acknowledged {
        /// The connection's.
        number: u32,
        /// Which stream.
        channel: Channel,
        /// The first place that has not come.
        next: u64,
    },
}

impl Packet {
    /// Its size with all headers.
    #[must_use]
    pub fn size(&self) -> usize {
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
pub struct Stream {
    channel: Channel,
    next: u64,
    unacknowledged: VecDeque<(u64, Vec<u8>, Span)>,
    expected: u64,
    early: BTreeMap<u64, Vec<u8>>,
}

impl Stream {
    /// A stream on which nothing was said.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self { channel, next: 0, unacknowledged: VecDeque::new(), expected: 0, early: BTreeMap::new() }
    }

    /// The packet that says `bytes`; it is kept until it is acknowledged.
    #[must_use]
    pub fn send(&mut self, number: u32, bytes: Vec<u8>, now: Span) -> Packet {
        let at = self.next;
        self.next += 1;
        self.unacknowledged.push_back((at, bytes.clone(), now));
        Packet::Segment { number, channel: self.channel, at, bytes }
    }

    /// What was not acknowledged within `patience`, again.
    #[must_use]
    pub fn repeat(&mut self, number: u32, now: Span, patience: Span) -> Vec<Packet> {
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

    /// All before `next` has come.
    pub fn handle_acknowledged(&mut self, next: u64) {
        self.unacknowledged.retain(|(at, ..)| *at >= next);
    }

    /// Takes a segment in: what can be handed on now, in order, and the acknowledgement.
    #[must_use]
    pub fn handle_segment(&mut self, number: u32, at: u64, bytes: Vec<u8>) -> (Vec<Vec<u8>>, Packet) {
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
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.unacknowledged.is_empty() && self.early.is_empty()
    }

    /// Segments kept.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.unacknowledged.len() + self.early.len()
    }
}

/// IP, UDP and QUIC headers, roughly.
const HEADERS: usize = 60;
