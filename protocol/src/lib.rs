//! Wire types and machines without IO for two or more listeners who hear the same music at the same instant.
#![no_std]

extern crate alloc;

pub mod clock;
pub mod id;
pub mod identity;
pub mod limits;
pub mod media;
pub mod queue;
pub mod servo;
pub mod session;
pub mod text;
pub mod time;
pub mod timeline;
pub mod wire;
