//! Tests of the workspace as a whole.

mod coord_golden;
#[cfg(test)]
mod coordinator;
mod scorer;
mod tidy;
