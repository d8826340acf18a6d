//! Every bound of the queue, with its reason.

/// Entries in the queue at once, played ones included: three days of music, and a scan of it takes microseconds.
pub const ENTRIES_MAX: usize = 1_000;

/// Removed entries that are remembered. Above it the ones removed first are forgotten on all sides alike; an edit
/// that still names one finds it unknown.
pub const TOMBSTONES_MAX: usize = 4_000;

/// Entries remembered in all, live and removed.
pub const SLOTS_MAX: usize = ENTRIES_MAX + TOMBSTONES_MAX;

/// Edits that can still be undone. Above it the oldest become final.
pub const EFFECTS_MAX: usize = 256;

/// Edits of one's own that the host has not ordered yet; above it new ones are refused. Each is applied again
/// whenever somebody else's edit is ordered first.
pub const PENDING_MAX: usize = 256;

/// Memory for one's own unordered edits, in bytes; above it new ones are refused.
pub const PENDING_BYTES: usize = 1 << 20;

/// Memory for one's own edits, ordered or not, in bytes. Above it the oldest ordered ones are forgotten: they
/// could not be submitted again to a host that never had them.
pub const OWN_BYTES: usize = 4 << 20;

/// Memory for the ordered log, in bytes. Above it the oldest records are forgotten: a guest that lacks them gets
/// a snapshot.
pub const LOG_BYTES: usize = 4 << 20;

/// Events that wait to be taken. Above it all are replaced by one
/// [`Replaced`](super::QueueEvent::Replaced).
pub const EVENTS_MAX: usize = 1_024;

/// Participants of a Jam, as a length.
pub const PARTICIPANTS_MAX: usize = crate::id::Participant::LIMIT as usize;

/// Entries in one piece of a snapshot, so that a piece fits a frame of 64 KiB.
pub(super) const PIECE_SLOTS: usize = 64;

/// Undoable edits in one piece of a snapshot, so that a piece fits a frame of 64 KiB.
pub(super) const PIECE_EFFECTS: usize = 8;
