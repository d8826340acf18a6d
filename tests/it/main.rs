//! Tests of the workspace as a whole.

#[cfg(test)]
mod coordinator;
#[cfg(test)]
mod golden;
mod demo;
mod scorer;
mod tidy;
