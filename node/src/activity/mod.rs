//! Listening activity on this node: to whom it is shown, how it is sealed, and what was kept of what friends played.
//!
//! Nothing here talks to anybody: the engine asks when to show what, and carries it.

mod kept;
mod private;
mod seal;
mod settings;

pub(crate) use kept::{Kept, KeptEntry};
pub(crate) use private::{PRIVATE_SPAN_MAX, PrivateSession};
pub(crate) use seal::{Origin, Sealer};
pub(crate) use settings::{Audience, Heeded, Settings};
