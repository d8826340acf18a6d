//! The listener's program: plays local music in step with a friend.

mod activity;
pub mod api;
pub mod audio;
pub mod cli;
pub mod clock;
pub mod config;
pub mod conversation;
pub mod engine;
pub mod identity;
mod jam_state;
mod kept;
pub mod library;
pub mod net;
pub mod paths;
