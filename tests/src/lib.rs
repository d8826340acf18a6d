//! End-to-end tests: what no single package can show of itself.
//!
//! The tests stand in `it/`, one binary, so that they link once.
