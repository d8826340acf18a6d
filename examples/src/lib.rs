//! What proves jamsync and shows how to use it: the scorer that compares two recorded outputs, the demo that
//! runs a coordinator and two nodes as a user would, and the toy player of the programs that embed the protocol.
//!
//! Nothing here is needed to listen to music: the packages `protocol`, `node` and `coordinator` never depend
//! on this one.

pub mod demo;
pub mod latency;
pub mod lateness;
pub mod link;
pub mod load;
pub mod ports;
mod rig;
pub mod score;
pub mod tones;
pub mod toy;
