//! `lateness SECONDS AHEAD_MS`: watches how late this machine runs what is due, and ends with status 1 if a
//! measurement of sound that is written AHEAD_MS before its time would be void.

use std::{process::ExitCode, time::Duration};

use jamsync_examples::lateness::Watcher;
use jamsync_protocol::time::Span;

fn main() -> ExitCode {
    let numbers: Vec<u32> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let [seconds, ahead] = numbers[..] else {
        eprintln!("usage: lateness SECONDS AHEAD_MS");
        return ExitCode::from(2);
    };
    let watcher = match Watcher::start() {
        Ok(watcher) => watcher,
        Err(error) => {
            eprintln!("lateness: {error}");
            return ExitCode::from(2);
        }
    };
    std::thread::sleep(Duration::from_secs(seconds.into()));
    let lateness = watcher.stop();
    println!("{lateness}");
    ExitCode::from(u8::from(lateness.is_void(Span::from_millis(ahead.into()))))
}
