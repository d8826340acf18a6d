//! The clock against a simulated world.

extern crate std;

mod changes;
mod lies;
mod table;
mod world;
