//! Every bound on what arrives from outside, with its reason. Nothing is allocated, kept or looped over
//! before its length has been held against one of these.

use crate::time::Span;

/// Longest frame on a peer's stream, in bytes. A frame of edits carries tracks of up to about 900 bytes each;
/// 64 KiB holds dozens and keeps what an unauthenticated byte stream can make us buffer small.
pub const PEER_FRAME_BYTES_MAX: usize = 64 * 1024;

/// Longest frame to or from a coordinator, in bytes: requests and events are small.
pub const COORD_FRAME_BYTES_MAX: usize = 16 * 1024;

/// Longest datagram between peers, in bytes: it fits every path that QUIC accepts (1,200 bytes) with room for
/// packet headers.
pub const DATAGRAM_BYTES_MAX: usize = 1_024;

/// Longest text a person may send, in bytes.
pub const TEXT_BYTES_MAX: usize = 4 * 1024;

/// How far in the future an anchor may take effect. The end of the longest album side fits; a year does not.
pub const ANCHOR_AHEAD_MAX: Span = Span::from_secs(24 * 3600);

/// How many anchors a timeline keeps: the one in force, the frozen next one, and room for a late correction.
pub const ANCHORS_MAX: usize = 4;

/// How many tracks one edit adds at most, so that an edit fits into a frame.
pub const TRACKS_PER_EDIT_MAX: usize = 48;

/// How many of a listener's messages wait for a peer that is away, in number: an evening's remarks. With
/// [`TEXT_BYTES_MAX`] each they take 256 KiB.
pub const CHAT_WAITING_MAX: usize = 64;
