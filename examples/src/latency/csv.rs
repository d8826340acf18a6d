//! The series of a report as CSV files: the skew of every window, and what the nodes said of themselves, of the runs that
//! count.

use std::{fmt::Write as _, io, path::Path};

use super::{Report, RunRecord, case::Who};

/// Writes `skew.csv`, `nodes.csv` and `commands.csv` into `folder`, which is made where it is missing.
///
/// # Errors
/// Where a file cannot be written.
pub fn write_series(report: &Report, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut skew = String::from("seed,seconds,skew_us,net_skew_us,verdict\n");
    let mut nodes = String::from(
        "seed,seconds,node,clock_error_us,bound_us,spread_us,round_trip_us,drift_ppm,rate_ppm,servo_error_us\n",
    );
    let mut commands = String::from("seed,seconds,by,command,until_a_ms,until_b_ms\n");
    for run in report.valid_runs() {
        // Writing to a text cannot fail.
        let _ = add_run(run, &mut skew, &mut nodes, &mut commands);
    }
    std::fs::write(folder.join("skew.csv"), skew)?;
    std::fs::write(folder.join("nodes.csv"), nodes)?;
    std::fs::write(folder.join("commands.csv"), commands)
}

fn add_run(
    run: &RunRecord,
    skew: &mut String,
    nodes: &mut String,
    commands: &mut String,
) -> std::fmt::Result {
    let Some(score) = &run.score else { return Ok(()) };
    let seed = run.seed;
    for window in &score.windows {
        let hidden = run.hidden_skew_at(window.at);
        let micros = |span: jamsync_protocol::time::Span| format!("{:.3}", span.as_secs_f64() * 1e6);
        let raw = window.verdict.skew().map(micros).unwrap_or_default();
        let net = window.verdict.skew().map(|skew| micros(skew - hidden)).unwrap_or_default();
        let at = score.seconds_in(window.at);
        writeln!(skew, "{seed},{at:.3},{raw},{net},\"{}\"", window.verdict.words())?;
    }
    for seen in &run.observations {
        writeln!(
            nodes,
            "{seed},{:.3},{},{:.3},{:.3},{:.3},{:.3},{:.4},{:.4},{:.3}",
            score.seconds_in(seen.at_ns),
            letter(seen.by),
            seen.clock_error_us,
            seen.bound_us,
            seen.spread_us,
            seen.round_trip_us,
            seen.drift_ppm,
            seen.rate_ppm,
            seen.servo_error_us
        )?;
    }
    for command in &run.commands {
        let show = |ms: Option<f64>| ms.map(|ms| format!("{ms:.2}")).unwrap_or_default();
        let deed = format!("{:?}", command.deed).to_lowercase();
        let (at, by) = (score.seconds_in(command.at_ns), letter(command.by));
        writeln!(
            commands,
            "{seed},{at:.3},{by},{deed},{},{}",
            show(command.until_a_ms),
            show(command.until_b_ms)
        )?;
    }
    Ok(())
}

const fn letter(who: Who) -> char {
    match who {
        Who::A => 'a',
        Who::B => 'b',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::{Case, Lateness, judge::tests::record, page};

    #[test]
    fn a_void_run_is_in_no_series_and_in_no_plot() {
        let folder = tempfile::tempdir().expect("a folder");
        let case = Case::built_in("lan").expect("known");
        let busy = Lateness { p50_us: 5_000.0, p99_us: 9_000.0, max_us: 9_000.0 };
        let void = RunRecord { scheduler: busy, ..record(&case, 2, 8, 0) };
        let report = Report::of(case.clone(), vec![record(&case, 1, 8, 0), void]);
        write_series(&report, folder.path()).expect("writes");
        let skew = std::fs::read_to_string(folder.path().join("skew.csv")).expect("reads");
        assert_eq!(skew.lines().count(), 1 + 8, "{skew}");
        assert!(skew.lines().skip(1).all(|line| line.starts_with("1,")), "{skew}");
        let page = page(&report);
        assert!(page.contains("<h2>Seed 1</h2>") && !page.contains("<h2>Seed 2</h2>"), "{page}");
    }
}
