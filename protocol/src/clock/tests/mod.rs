//! The clock against a simulated world.

extern crate std;

mod table;
mod world;
