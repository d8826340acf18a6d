//! What travels between the nodes of a world.

pub(super) use jamsync_examples::link::wire::{Packet, Stream};
