//! How many files may be open at once: this program's own sockets, and what the coordinator inherits from it.

use anyhow::ensure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open files to what the system permits, for this program and those that it starts.
///
/// # Errors
/// Where that is fewer than are needed.
pub fn raise_open_files() -> anyhow::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    let permitted = maximum.unwrap_or(u64::MAX);
    ensure!(
        permitted >= OPEN_FILES,
        "only {permitted} files may be open at once, and {OPEN_FILES} are needed; raise the hard limit, for example with \
         `ulimit -Hn {OPEN_FILES}` as root, or LimitNOFILE of a service"
    );
    Ok(())
}

/// The 64 sockets of the devices, the runtime, pipes and metrics; a coordinator needs fewer. Connections need none of their
/// own: those of one socket share it.
const OPEN_FILES: u64 = 256;
