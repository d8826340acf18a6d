//! Every bound of the queue, with its reason.

/// Entries from the frozen one on: three days of music, and a scan of it takes microseconds. Above it additions are
/// refused. What has been played does not count.
pub const TO_COME_MAX: usize = 1_000;

/// Played entries that stay in the queue, so that somebody can go back a few hours. Above it the queue lets go of those
/// played first, on all sides alike.
pub const PLAYED_MAX: usize = 100;

/// Entries in the queue at once. All of them are to come where somebody goes back to the first one that stayed.
pub const ENTRIES_MAX: usize = TO_COME_MAX + PLAYED_MAX;

/// Entries that are remembered although they were removed or let go of. Above it the ones that went first are forgotten
/// on all sides alike; an edit that still names one finds it unknown. It is well above [`ENTRIES_MAX`], so that what still
/// sounds is not forgotten, however far ahead somebody goes.
pub const TOMBSTONES_MAX: usize = 4_000;

/// Entries remembered in all, those that are gone included.
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
