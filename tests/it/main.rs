//! Tests of the workspace as a whole.

mod api;
#[cfg(test)]
mod coordinator;
mod demo;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod jam;
mod scorer;
mod tidy;
#[cfg(test)]
mod world;
