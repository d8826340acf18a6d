//! Scenario files that say what cannot be: the line and what is allowed there, before anything is played.

use super::stage::{latency, told};

#[test]
fn a_scenario_file_that_says_what_cannot_be_is_refused_by_line_and_range() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let head = "name = \"mine\"\nabout = \"a test\"\n\n[path.a_to_b]\n";
    for (line, wanted) in [
        ("delya_ms = 4", ["line 5", "unknown field `delya_ms`, expected one of `delay_ms`"]),
        ("delay_ms = -20", ["line 5", "-20 is outside 0 to 10000 ms"]),
        ("duplicates = 1.5", ["line 5", "1.5 is outside 0 to 1"]),
        ("loss.random = { share = -0.1 }", ["line 5", "-0.1 is outside 0 to 1"]),
    ] {
        std::fs::write(&path, format!("{head}{line}\n")).unwrap();
        for mode in ["live", "simulate"] {
            let output = latency().arg(mode).arg(&path).current_dir(&folder).output().unwrap();
            let (code, printed, complaint) = told(&output);
            assert_eq!((code, printed.as_str()), (Some(2), ""), "{line}: {complaint}");
            assert!(complaint.contains("mine.toml is no scenario"), "{line}: {complaint}");
            for part in wanted {
                assert!(complaint.contains(part), "{line} is refused without {part:?}: {complaint}");
            }
        }
    }
}
