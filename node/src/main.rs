//! The program `jamsync`.

use std::process::ExitCode;

fn main() -> ExitCode {
    jamsync_node::cli::main(jamsync_node::engine::start)
}
