//! End-to-end tests: what no single package can show of itself.
//!
//! The tests stand in `it/`, one binary, so that they link once. The seeded simulation of two nodes stands in
//! `world/`, with a program of its own for many seeds.

#[path = "../world/mod.rs"]
pub mod world;
