//! Tests of the workspace as a whole.

#[cfg(test)]
mod coordinator;
mod scorer;
mod tidy;
