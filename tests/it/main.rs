//! Tests of the workspace as a whole.

mod scorer;
mod tidy;
