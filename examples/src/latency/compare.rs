//! Two reports side by side.

use std::{collections::BTreeSet, fmt};

use super::{Mode, Report};

/// What changed between two reports.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What the two do not share of what was measured, in words.
    differences: Vec<String>,
    lines: Vec<(&'static str, Option<f64>, Option<f64>)>,
}

impl Comparison {
    /// From `before` to `after`.
    #[must_use]
    pub fn of(before: &Report, after: &Report) -> Self {
        let pairs = before.figures().into_iter().zip(after.figures());
        Self {
            differences: differences(before, after),
            lines: pairs.map(|((name, before), (_, after))| (name, before, after)).collect(),
        }
    }
}

/// Why a figure may have changed though the program did not.
fn differences(before: &Report, after: &Report) -> Vec<String> {
    let both = [before, after];
    let modes =
        both.map(|report| report.runs.iter().map(|run| run.mode == Mode::Live).collect::<BTreeSet<_>>());
    let mode = |live: &BTreeSet<bool>| match (live.contains(&true), live.contains(&false)) {
        (true, false) => "live",
        (false, true) => "simulated",
        (true, true) => "live and simulated",
        (false, false) => "nothing",
    };
    let [a, b] = both.map(|report| &report.case);
    let mut all = Vec::new();
    let mut add = |what: &str, [before, after]: [String; 2]| {
        if before != after {
            all.push(format!("{what} {before} before, {after} after"));
        }
    };
    add("scenario", [a.name.clone(), b.name.clone()]);
    add("runs", [&modes[0], &modes[1]].map(|live| mode(live).to_owned()));
    add("length", both.map(|report| format!("{} s", report.case.seconds)));
    add("seeds", both.map(|report| format!("{:?}", report.seeds)));
    let same = a.clone().lasting(Some(b.seconds)) == *b || b.clone().lasting(Some(a.seconds)) == *a;
    if a.name == b.name && !same {
        all.push(format!("{} is not what it was: its conditions changed", a.name));
    }
    all
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.differences.is_empty() {
            writeln!(f, "not the same measurement: {}", self.differences.join("; "))?;
        }
        writeln!(f, "{:<24}{:>12}{:>12}{:>12}", "", "before", "after", "change")?;
        for (name, before, after) in &self.lines {
            // A ratio is near one.
            let decimals = if *name == "bound_over_goal" { 2 } else { 1 };
            let show =
                |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.decimals$}"));
            // Between two that are without end there is no change to tell.
            let change = before.zip(*after).map(|(before, after)| after - before).filter(|by| !by.is_nan());
            let change = change.map_or("-".to_owned(), |change| format!("{change:+.decimals$}"));
            writeln!(f, "{name:<24}{:>12}{:>12}{change:>12}", show(*before), show(*after))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::{Case, judge::tests::record};

    #[test]
    fn what_was_not_measured_alike_is_said_first_and_a_ratio_has_two_decimals() {
        let case = Case::built_in("lan").expect("known");
        let report = |case: &Case, seeds: &[u64]| {
            Report::of(case.clone(), seeds.iter().map(|seed| record(case, *seed, 8, 0)).collect())
        };
        let before = Report { bound_over_goal: Some(1.02), ..report(&case, &[1, 2]) };
        let same = Comparison::of(&before, &before).to_string();
        assert!(same.starts_with("   ") && same.contains("1.02        1.02       +0.00"), "{same}");

        let wifi = Case::built_in("wifi").expect("known").lasting(Some(60));
        let mut after = report(&wifi, &[1]);
        after.runs.iter_mut().for_each(|run| run.mode = Mode::Live);
        let told = Comparison::of(&before, &after).to_string();
        let first = told.lines().next().unwrap_or_default();
        for part in [
            "scenario lan before, wifi after",
            "simulated before, live",
            "180 s before, 60 s",
            "[1, 2] before",
        ] {
            assert!(first.contains(part), "{part}: {told}");
        }
        let changed = Case { join_after_s: 9.0, ..case.clone() };
        let told = Comparison::of(&before, &report(&changed, &[1, 2])).to_string();
        assert!(told.starts_with("not the same measurement: lan is not what it was"), "{told}");
        let shorter = Comparison::of(&before, &report(&case.lasting(Some(60)), &[1, 2])).to_string();
        assert!(
            shorter.starts_with("not the same measurement: length 180 s before, 60 s after\n"),
            "{shorter}"
        );
    }
}
