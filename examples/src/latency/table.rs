//! Several reports as tables in Markdown, a row for each scenario: what is published.

use std::fmt::Write as _;

use super::{Figures, Report, RunRecord};

/// The tables: the skew, and what commands, edits and recoveries took where there were any.
#[must_use]
pub fn tables(reports: &[Report]) -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = skews(&mut text, reports)
        .and_then(|()| commands(&mut text, reports))
        .and_then(|()| edits(&mut text, reports))
        .and_then(|()| recoveries(&mut text, reports));
    text
}

fn skews(text: &mut String, reports: &[Report]) -> std::fmt::Result {
    writeln!(
        text,
        "Skew in µs, p50 / p99.\n\n\
         | scenario | runs | goal | result | after 60 s | worst | clock error p99 | entry, worst | failed windows | \
         discontinuities | bound broken | bound / its goal | void |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|"
    )?;
    for report in reports {
        let pair = |figures: Option<Figures>| {
            figures.map_or("none".to_owned(), |of| format!("{:.1} / {:.1}", of.p50_us, of.p99_us))
        };
        let goal = report.goal.map_or("none".to_owned(), |goal| {
            let after = goal.p99_after_60_s_us.map_or(String::new(), |us| format!("; after 60 s {us}"));
            format!("{} / {}{after}", goal.p50_us, goal.p99_us)
        });
        let first = |run: &RunRecord| {
            let first = run.score.as_ref()?.starts.first()?;
            Some((first.skew? - run.hidden_skew_at(first.at)).abs())
        };
        let entry = report.valid_runs().filter_map(first).max();
        let entry = entry.map_or("none".to_owned(), |skew| format!("{:.0}", skew.as_secs_f64() * 1e6));
        writeln!(
            text,
            "| {} | {} of {} s | {goal} | {} | {} | {} | {} | {entry} | {} | {} | {} of {} | {} | {} |",
            report.case.name,
            report.seeds.len(),
            report.case.seconds,
            pair(report.net),
            pair(report.net_after_60_s),
            shown(report.net.map(|of| of.max_us), 1),
            shown(report.clock_error.map(|of| of.p99_us), 0),
            report.failures,
            report.discontinuities,
            report.bound_broken,
            report.bound_asked,
            shown(report.bound_over_goal, 2),
            report.void_seeds.len(),
        )?;
    }
    Ok(())
}

fn commands(text: &mut String, reports: &[Report]) -> std::fmt::Result {
    if reports.iter().all(|report| report.commands.is_empty()) {
        return Ok(());
    }
    writeln!(
        text,
        "\nFrom the command to the sound in ms, p50 / p99; the worst against what is allowed, negative within it.\n\n\
         | scenario | command | count | own output | other's output | own, worst | other's, worst | unseen |\n\
         |---|---|---|---|---|---|---|---|"
    )?;
    for report in reports {
        for (name, of) in &report.commands {
            let [[own, own99, own_over], [other, other99, other_over]] = of.shown();
            writeln!(
                text,
                "| {} | {name} | {} | {own} / {own99} | {other} / {other99} | {own_over} | {other_over} | {} |",
                report.case.name, of.count, of.unseen
            )?;
        }
    }
    Ok(())
}

fn edits(text: &mut String, reports: &[Report]) -> std::fmt::Result {
    let edited: Vec<_> =
        reports.iter().filter_map(|report| Some((&report.case.name, report.edits?))).collect();
    if edited.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "\nFrom an edit to its being seen on the other side, in ms.\n\n\
         | scenario | edits | p50 / p99 | allowed for p99 | unseen | queues equal after |\n|---|---|---|---|---|---|"
    )?;
    for (name, of) in edited {
        let equal = of.equal_after_ms.map_or("never".to_owned(), |ms| format!("{ms:.1}"));
        writeln!(
            text,
            "| {name} | {} | {:.1} / {:.1} | {:.1} | {} | {equal} |",
            of.count, of.p50_ms, of.p99_ms, of.allowed_ms, of.unseen
        )?;
    }
    Ok(())
}

fn recoveries(text: &mut String, reports: &[Report]) -> std::fmt::Result {
    let rows: Vec<_> =
        reports.iter().flat_map(|report| report.recovered().map(|of| (&report.case.name, of))).collect();
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "\nFrom the start of a node that was killed, a new address, or the end of an outage until both were within 1 ms, and \
         the sound meanwhile of whoever was not killed.\n\n\
         | scenario | after | count | slowest | discontinuities |\n|---|---|---|---|---|"
    )?;
    for (name, of) in rows {
        let slowest = of.slowest_ms.map_or("not in time".to_owned(), |ms| format!("{ms:.0} ms"));
        writeln!(text, "| {name} | {} | {} | {slowest} | {} |", of.after, of.count, of.disturbed)?;
    }
    Ok(())
}

/// A figure, or a dash where it was not measured.
fn shown(figure: Option<f64>, decimals: usize) -> String {
    figure.map_or("-".to_owned(), |figure| format!("{figure:.decimals$}"))
}
