//! Local music: which files there are, what each one is, and where the own copy of a friend's track lies.
//!
//! [`Scan`] walks folders, [`identify`] reads one file through, and [`Index`] remembers what was read, so that each
//! file is read through once only. All of this blocks on the disk and belongs on a thread that may; nothing here
//! plays, and no file is ever changed.

mod error;
mod identify;
mod index;
mod natural;
mod scan;
mod tags;

pub use error::LibraryError;
pub use identify::{LocalTrack, identify};
pub use index::Index;
pub use scan::{Scan, scan};
