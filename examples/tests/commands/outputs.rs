//! What runs leave behind: every output, the exit status, a run that is not repeated, and two results side by side.

use std::fs;

use jamsync_examples::latency::Case;

use super::stage::{latency, told};

#[test]
fn a_run_is_written_in_every_form_judged_by_its_claims_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let play = |more: &[&str]| {
        let outputs = ["--json", "all.json", "--csv", "series", "--html", "page.html", "--table", "table.md"];
        let mut program = latency();
        program.args(["simulate", "short.toml", "--results", "runs"]).args(outputs).args(more);
        told(&program.current_dir(&folder).output().unwrap())
    };
    let short = "name = \"short\"\nabout = \"A <test>.\"\nseconds = 20\npiece_s = 20\n";
    fs::write(folder.path().join("short.toml"), short).unwrap();

    let (code, printed, complaint) = play(&["--assert", "failures<=0", "--assert", "bound_broken<=0"]);
    // Nobody looks on, so no progress is drawn.
    assert_eq!((code, complaint.as_str()), (Some(0), ""), "{printed}");
    assert!(printed.contains("short with seed 1: 20 s, attempt 1"), "{printed}");
    let result: serde_json::Value = serde_json::from_str(&text("all.json")).unwrap();
    assert_eq!((&result["schema_version"], &result["seeds"]), (&1.into(), &serde_json::json!([1])));
    let windows = result["raw"]["count"].as_u64().unwrap();
    assert!(windows > 60, "{windows}");
    let skew = text("series/skew.csv");
    assert!(skew.starts_with("seed,seconds,skew_us,net_skew_us,verdict\n"), "{skew}");
    assert_eq!(skew.matches("scored").count() as u64, windows);
    assert!(text("series/nodes.csv").lines().count() > 60);
    assert_eq!(text("series/commands.csv").lines().count(), 1);
    let page = text("page.html");
    assert!(page.starts_with("<!doctype html>") && page.contains("<svg"), "{page}");
    assert!(page.contains("A &lt;test&gt;.") && !page.contains("NaN"), "{page}");
    let table = text("table.md");
    assert!(table.contains("| short | 1 of 20 s |") && !table.contains("NaN"), "{table}");

    let (code, printed, _) = play(&["--assert", "failures<=0", "--assert", "p99_us<=0"]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("seed 1: finished before, reused") && !printed.contains("attempt"), "{printed}");
    assert!(
        printed.contains("does not hold      p99_us<=0") && !printed.contains("failures<=0"),
        "{printed}"
    );

    let compare = |after: &str| {
        told(&latency().args(["compare", "all.json", after]).current_dir(&folder).output().unwrap())
    };
    let (code, printed, _) = compare("all.json");
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("net_p99_us") && printed.contains("+0.0"), "{printed}");
    let newer = text("all.json").replacen("\"schema_version\": 1", "\"schema_version\": 2", 1);
    fs::write(folder.path().join("newer.json"), newer).unwrap();
    let (code, printed, complaint) = compare("newer.json");
    assert_eq!((code, printed.as_str()), (Some(4), ""), "{complaint}");
    assert!(complaint.contains("newer.json") && complaint.contains("version 2"), "{complaint}");
}

#[test]
fn what_cannot_be_played_or_asserted_is_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, wanted) in [
        (&["simulate", "lan", "guest-killed"][..], "use `latency live`"),
        (&["live", "lan", "edits150"], "use `latency simulate`"),
        (&["simulate", "lan", "--assert", "foo<=1"], "foo<=1: there is no such figure; there are p50_us"),
        (&["simulate", "lan", "moon"], "no scenario is called \"moon\""),
        (&["simulate", "wan50", "goals"], "wan50 is asked for twice"),
        (&["simulate", "lan", "--keep", "here"], "--keep is for the recordings of live runs"),
    ] {
        let output = latency().args(arguments).current_dir(&folder).output().unwrap();
        let (code, printed, complaint) = told(&output);
        assert_eq!((code, printed.as_str()), (Some(2), ""), "{arguments:?}: {complaint}");
        assert!(complaint.contains(wanted), "{arguments:?}: {complaint}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{arguments:?}");
    }
}

#[test]
fn the_list_keeps_names_and_what_they_stand_for_apart() {
    let (code, printed, _) = told(&latency().arg("list").output().unwrap());
    assert_eq!(code, Some(0));
    for line in printed.lines() {
        let (name, about) = line.split_once("  ").unwrap_or_else(|| panic!("{line}"));
        assert_eq!(Case::built_in(name).unwrap().about, about.trim_start());
    }
    for link in ["lan", "wifi", "wan50-jitter", "wan-normal", "wan150"] {
        assert!(printed.contains(&format!("\ncontrols-{link}  ")), "{printed}");
    }
}
