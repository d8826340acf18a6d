//! A report as one page that needs nothing else: the figures in words, and plots as inline SVG.

use std::collections::BTreeMap;

use super::{
    Blow, Observation, Report, RunRecord,
    case::Who,
    plot::{Look, Plot, escape},
};
use crate::score::{Score, TrueTime};

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut body = format!(
        "<h1>{}</h1><p>{}</p><pre>{}</pre>",
        escape(&report.case.name),
        escape(&report.case.about),
        escape(&report.to_string())
    );
    for run in report.valid_runs() {
        let Some(score) = &run.score else { continue };
        body.push_str(&format!("<h2>Seed {}</h2>", run.seed));
        for plot in [skew(run, score), clock(run, score), rate(run, score), round_trip(run, score)] {
            body.push_str(&plot.svg());
        }
    }
    body.push_str(&histogram(report).svg());
    let machine = &report.machine;
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>jamsync latency: {}</title><style>{STYLE}</style>{body}\
         <p>Measured on {} ({} cores), kernel {}. In grey: bands of what the nodes claim; dashed: events, by name under \
         the pointer.</p></html>",
        escape(&report.case.name),
        escape(&machine.processor),
        machine.cores,
        escape(&machine.kernel)
    )
}

const STYLE: &str = "body{font:15px system-ui,sans-serif;max-width:960px;margin:2em auto;padding:0 1em;color:#1f2328;\
background:#fff}pre{background:#f6f8fa;padding:1em;overflow:auto}svg{width:100%;margin:.5em 0}.t{font-size:14px;\
font-weight:600}.n{font-size:11px;text-anchor:end}.m{font-size:11px;text-anchor:middle}.g{stroke:#d8dee4}\
.e{stroke:#9a6700;stroke-dasharray:3}.b{fill:#8c959f;fill-opacity:.25}";

/// The skew of every window within the guest's spread and bound.
fn skew(run: &RunRecord, score: &Score) -> Plot {
    let mut plot =
        Plot::new("skew between the two outputs, over seconds since the first sample", "us; late is up");
    bands(&mut plot, run, score);
    let points = score
        .windows
        .iter()
        .filter_map(|window| Some((score.seconds_in(window.at), window.verdict.skew()?.as_secs_f64() * 1e6)));
    plot.add("skew", Look::Line(0), points.collect());
    for anchor in &score.starts {
        plot.mark(score.seconds_in(anchor.at), anchor.what.clone());
    }
    for (at, what) in events(run) {
        plot.mark(score.seconds_in(at), what);
    }
    for disturbance in &score.disturbances {
        plot.mark(score.seconds_in(disturbance.at), disturbance.to_string());
    }
    for window in score.windows.iter().filter(|window| window.verdict.is_failure()) {
        plot.mark(score.seconds_in(window.at), window.verdict.words());
    }
    plot
}

/// What was done to both and what they did about it.
fn events(run: &RunRecord) -> Vec<(TrueTime, String)> {
    let commands =
        run.commands.iter().map(|command| (command.at_ns, format!("{:?}", command.deed).to_lowercase()));
    let recoveries = run.recoveries.iter().flat_map(|recovery| {
        let whose = recovery.of.map(|who| format!(" of {}", name(who))).unwrap_or_default();
        let began = (recovery.fell_at(), format!("{}{whose}", recovery.after));
        let over = (recovery.back_ns, format!("{}{whose} is over", recovery.after));
        if recovery.after == Blow::NewAddress { vec![began] } else { vec![began, over] }
    });
    let jumps = [Who::A, Who::B].into_iter().flat_map(|who| {
        let own: Vec<&Observation> = run.observations.iter().filter(|seen| seen.by == who).collect();
        let rises = own.windows(2).filter_map(|pair| {
            let [before, after] = pair else { return None };
            (after.reanchors > before.reanchors).then(|| (after.at_ns, format!("{} jumps", name(who))))
        });
        rises.collect::<Vec<_>>()
    });
    commands.chain(recoveries).chain(jumps).collect()
}

/// The true error of the guest's clock estimate within what it claims.
fn clock(run: &RunRecord, score: &Score) -> Plot {
    let mut plot = Plot::new("true error of each node's idea of the other's clock", "us");
    bands(&mut plot, run, score);
    for (index, who) in [Who::A, Who::B].into_iter().enumerate() {
        plot.add(name(who), Look::Line(index), series(run, score, who, |seen| seen.clock_error_us));
    }
    plot
}

fn rate(run: &RunRecord, score: &Score) -> Plot {
    let mut plot = Plot::new("playback rate beside the nominal one", "ppm");
    for (index, who) in [Who::A, Who::B].into_iter().enumerate() {
        plot.add(name(who), Look::Line(index), series(run, score, who, |seen| seen.rate_ppm));
    }
    plot
}

fn round_trip(run: &RunRecord, score: &Score) -> Plot {
    let mut plot = Plot::new("least recent round trip, as the guest sees it", "us");
    plot.add(name(Who::A), Look::Line(0), series(run, score, Who::A, |seen| seen.round_trip_us));
    plot
}

/// How often each skew was heard, over all runs.
fn histogram(report: &Report) -> Plot {
    const BINS: f64 = 60.0;
    let mut plot = Plot::new("windows by skew, all seeds (skew in us)", "windows");
    let scores = report.valid_runs().filter_map(|run| run.score.as_ref());
    let skews: Vec<f64> = scores
        .flat_map(|score| &score.windows)
        .filter_map(|window| Some(window.verdict.skew()?.as_secs_f64() * 1e6))
        .collect();
    let (least, most) =
        skews.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |r, s| (r.0.min(*s), r.1.max(*s)));
    let width = ((most - least) / BINS).max(1e-3);
    let mut bins: BTreeMap<i64, f64> = BTreeMap::new();
    for skew in &skews {
        #[expect(clippy::cast_possible_truncation, reason = "a bin's number is below 61")]
        let bin = ((skew - least) / width) as i64;
        *bins.entry(bin).or_default() += 1.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a bin's number is below 61")]
    let points = bins.into_iter().map(|(bin, count)| (least + (bin as f64 + 0.5) * width, count)).collect();
    plot.add("windows", Look::Bars, points);
    plot
}

fn bands(plot: &mut Plot, run: &RunRecord, score: &Score) {
    plot.add("bound (guaranteed)", Look::Band, series(run, score, Who::A, |seen| seen.bound_us));
    plot.add("spread (likely)", Look::Band, series(run, score, Who::A, |seen| seen.spread_us));
}

fn series(run: &RunRecord, score: &Score, who: Who, read: fn(&Observation) -> f64) -> Vec<(f64, f64)> {
    let seen = run.observations.iter().filter(|seen| seen.by == who);
    seen.map(|seen| (score.seconds_in(seen.at_ns), read(seen))).filter(|(at, _)| *at >= 0.0).collect()
}

const fn name(who: Who) -> &'static str {
    match who {
        Who::A => "A, the guest",
        Who::B => "B, the host",
    }
}

#[cfg(test)]
mod tests {
    use jamsync_protocol::time::Span;

    use super::*;
    use crate::latency::{Case, CommandDelay, Deed, Recovery, judge::tests::record};

    #[test]
    fn outages_commands_and_jumps_are_marked_by_name() {
        let case = Case::built_in("lan").expect("known");
        let at = |seconds| TrueTime::default() + Span::from_secs(seconds);
        let command = CommandDelay {
            at_ns: at(1),
            by: Who::B,
            deed: Deed::Seek,
            by_s: 5,
            until_a_ms: None,
            until_b_ms: None,
        };
        let seen = |seconds, reanchors| Observation {
            at_ns: at(seconds),
            by: Who::A,
            clock_error_us: 0.0,
            bound_us: 1.0,
            spread_us: 1.0,
            round_trip_us: 1.0,
            drift_ppm: 0.0,
            rate_ppm: 0.0,
            servo_error_us: 0.0,
            reanchors,
            underruns: 0,
        };
        let run = RunRecord {
            commands: vec![command],
            recoveries: vec![Recovery::from_kill(Who::A, at(4), at(6)), Recovery::from_new_address(at(9))],
            observations: vec![seen(1, 1), seen(2, 1), seen(3, 2)],
            ..record(&case, 1, 40, 0)
        };
        let page = page(&Report::of(case, vec![run]));
        for (mark, count) in [
            ("<title>seek</title>", 1),
            ("<title>kill of A, the guest</title>", 1),
            ("<title>kill of A, the guest is over</title>", 1),
            ("<title>new address</title>", 1),
            ("<title>A, the guest jumps</title>", 1),
        ] {
            assert_eq!(page.matches(mark).count(), count, "{mark}: {page}");
        }
    }
}
