//! The listener's program: plays local music in step with a friend.

pub mod api;
pub mod audio;
pub mod clock;
pub mod identity;
pub mod net;
