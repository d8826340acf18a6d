//! Tests of the workspace as a whole.

mod api;
#[cfg(test)]
mod coordinator;
mod demo;
#[cfg(test)]
mod golden;
mod scorer;
mod tidy;
#[cfg(test)]
mod world;
