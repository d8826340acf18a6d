//! The load generator before it measures: how many files it may have open, and what it says of its statuses.

use std::process::Command;

use super::stage::told;

/// The program in a shell that has done `first`.
fn load_after(first: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut shell = Command::new("sh");
    let script = format!("{first} && exec \"$0\" \"$@\"");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_load")]).args(arguments);
    told(&shell.output().unwrap())
}

#[test]
fn a_limit_of_open_files_is_raised_as_far_as_the_system_permits_and_named_where_that_is_too_low() {
    let nothing = ["--binaries", "nowhere"];
    let (code, printed, complaint) = load_after("ulimit -n 40", &nothing);
    assert_eq!((code, printed.as_str()), (Some(4), ""), "{complaint}");
    assert!(complaint.contains("only 40 files") && complaint.contains("256 are needed"), "{complaint}");
    // The soft limit alone is none.
    let (code, _, complaint) = load_after("ulimit -Sn 40", &nothing);
    assert_eq!(code, Some(4), "{complaint}");
    assert!(complaint.contains("nowhere holds no jamsync-coordinator"), "{complaint}");
}

#[test]
fn every_exit_status_is_in_the_help() {
    let (code, printed, _) = load_after("true", &["--help"]);
    assert_eq!(code, Some(0));
    let words = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    for status in [
        "0 when it was measured",
        "1 when something acknowledged was lost",
        "4 when it could not be measured",
    ] {
        assert!(words.contains(status), "{words}");
    }
}
