//! The rig: a coordinator and two nodes as processes of their own, each node with a clock and a virtual sound
//! card that are wrong by known amounts, driven as a user drives them.
//!
//! The demo and the latency harness stand on it. It never reads a node's memory; what a node says of itself
//! serves to tell the story and to name the instants at which an anchor took effect, and such an instant counts
//! only within `journal::EFFECT_MAX` of the command that caused it, so that a node cannot excuse a failure.

pub(crate) mod clock;
pub(crate) mod journal;
pub(crate) mod node;
pub(crate) mod stage;
