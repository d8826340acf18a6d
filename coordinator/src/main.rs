//! The coordinator's program; see `jamsync-coordinator --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    jamsync_coordinator::cli::main()
}
