//! Listening activity on this node: to whom it is shown, how it is sealed, what its covers are, and what was kept of what
//! friends played.
//!
//! Nothing here talks to anybody: the engine asks when to show what, and carries it.

pub(crate) mod album;
mod cover;
mod kept;
mod private;
mod seal;
mod settings;

pub(crate) use cover::thumbnail;
pub(crate) use kept::{Kept, KeptEntry};
pub(crate) use private::{PRIVATE_SPAN_MAX, PrivateSession};
pub(crate) use seal::{CoverError, Origin, Sealer};
pub(crate) use settings::{Audience, Heeded, Settings};
