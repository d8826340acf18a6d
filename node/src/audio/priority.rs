//! Sound before everything else: the one request to the system's scheduler.

/// Asks the system to run the calling thread before others. Most users may not ask for that, and then nothing
/// changes: sound is written a quarter of a second ahead for exactly that reason.
pub(super) fn prefer_this_thread() {
    // On Linux a nice value belongs to a thread, and "no process" names the calling one. Elsewhere it would
    // raise the whole program.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICE);
}

/// As sound servers ask for it. -20 to 19, lower runs first.
#[cfg(target_os = "linux")]
const NICE: i32 = -11;
