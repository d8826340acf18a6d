//! What a report is held to: the figures that can be asserted, and its goals.
//!
//! A build that falls silent must not pass for one that is in step. So a window that failed is here one that is
//! infinitely far off: a single one of thousands leaves the percentiles as they are, many do not. And where a run that
//! counts could not be scored at all, nothing that is read from the sound is known of the case.

use jamsync_protocol::time::Span;

use super::{
    CommandFigures, Figures, Report, RunRecord, Voidness,
    goals::SETTLED,
    report::{float, micros},
};
use crate::score::{StartError, Window};

impl Report {
    /// The figures that can be asserted, by name; none where it could not be measured.
    #[must_use]
    pub fn figures(&self) -> Vec<(&'static str, Option<f64>)> {
        let count = |n: usize| Some(float(n));
        // What is read from the sound.
        let heard = |figure: Option<f64>| figure.filter(|_| self.is_scored());
        let [raw, raw_after, net, net_after] =
            [(Span::ZERO, false), (SETTLED, false), (Span::ZERO, true), (SETTLED, true)]
                .map(|(from, net)| self.judged(from, net));
        let slowest = self.recovered().map(|all| all.slowest_ms.unwrap_or(f64::INFINITY));
        vec![
            ("p50_us", raw.map(|f| f.p50_us)),
            ("p95_us", raw.map(|f| f.p95_us)),
            ("p99_us", raw.map(|f| f.p99_us)),
            ("max_us", raw.map(|f| f.max_us)),
            ("p99_after_60_s_us", raw_after.map(|f| f.p99_us)),
            ("net_p50_us", net.map(|f| f.p50_us)),
            ("net_p99_us", net.map(|f| f.p99_us)),
            ("net_p99_after_60_s_us", net_after.map(|f| f.p99_us)),
            ("worst_run_p99_us", self.worst_run()),
            ("start_error_us", heard(self.start_error(false))),
            ("net_start_error_us", heard(self.start_error(true))),
            ("clock_error_max_us", self.clock_error.map(|f| f.max_us)),
            (
                "command_over_ms",
                self.commands.values().map(CommandFigures::worst_over_ms).max_by(f64::total_cmp),
            ),
            ("commands_unseen", count(self.commands.values().map(|of| of.unseen).sum())),
            ("edit_p99_ms", self.edits.map(|edits| edits.judged_p99_ms())),
            ("edit_over_ms", self.edits.map(|edits| edits.judged_p99_ms() - edits.allowed_ms)),
            ("edits_unseen", self.edits.and_then(|edits| count(edits.unseen))),
            ("queues_equal_ms", self.edits.and_then(|edits| edits.equal_after_ms)),
            ("recovery_ms", slowest.max_by(f64::total_cmp)),
            (
                "survivor_discontinuities",
                self.recovered().map(|all| all.disturbed).reduce(|a, b| a + b).and_then(count),
            ),
            ("bound_over_goal", self.bound_over_goal),
            ("bound_broken", count(self.bound_broken).filter(|_| self.bound_asked > 0)),
            ("discontinuities", heard(count(self.discontinuities))),
            ("failures", heard(count(self.failures))),
            ("troubles", count(self.troubles.len())),
            ("void_runs", count(self.void_seeds.len())),
        ]
    }

    /// Whether each goal is reached: what, the figure in microseconds, the goal. A figure is infinite where too many
    /// windows failed, and none where a run could not be scored.
    #[must_use]
    pub fn against_goal(&self) -> Vec<(&'static str, Option<f64>, f64)> {
        let Some(goal) = self.goal else { return Vec::new() };
        let net = self.judged(Span::ZERO, true);
        let mut lines = vec![
            ("p50", net.map(|f| f.p50_us), f64::from(goal.p50_us)),
            ("p99", net.map(|f| f.p99_us), f64::from(goal.p99_us)),
        ];
        if let Some(after) = goal.p99_after_60_s_us {
            let figure = self.judged(SETTLED, true).map(|f| f.p99_us);
            lines.push(("p99 after 60 s", figure, f64::from(after)));
        }
        lines
    }

    /// Whether any run that counts has a score.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.valid_runs().any(|run| run.score.is_some())
    }

    /// The runs that count.
    pub(super) fn valid_runs(&self) -> impl Iterator<Item = &RunRecord> {
        self.runs.iter().filter(|run| run.voidness() == Voidness::Valid)
    }

    /// Whether every run that counts has a score.
    fn is_scored(&self) -> bool {
        self.valid_runs().all(|run| run.score.is_some())
    }

    /// The skew from `from` after each first sample, failed windows among it.
    fn judged(&self, from: Span, net: bool) -> Option<Figures> {
        let each = self.valid_runs().map(|run| skews_or_failed(run, from, net));
        Figures::of(each.collect::<Option<Vec<_>>>()?.concat())
    }

    fn worst_run(&self) -> Option<f64> {
        let p99 = |run| Some(Figures::of(skews_or_failed(run, Span::ZERO, false)?)?.p99_us);
        let each = self.valid_runs().map(p99).collect::<Option<Vec<f64>>>()?;
        each.into_iter().max_by(f64::total_cmp)
    }

    fn start_error(&self, net: bool) -> Option<f64> {
        let starts = self.valid_runs().flat_map(|run| starts(run).map(move |start| (run, start)));
        let size = |(run, start): (&RunRecord, &StartError)| {
            let hidden = if net { run.hidden_skew_at(start.at) } else { Span::ZERO };
            start.skew.map_or(f64::INFINITY, |skew| micros((skew - hidden).abs()))
        };
        starts.map(size).max_by(f64::total_cmp)
    }
}

fn starts(run: &RunRecord) -> impl Iterator<Item = &StartError> {
    run.score.iter().flat_map(|score| &score.starts)
}

/// The skews of the windows of `run` from `from` after the first sample, of a failed one [`Span::MAX`]; none where the run
/// was not scored.
fn skews_or_failed(run: &RunRecord, from: Span, net: bool) -> Option<Vec<Span>> {
    let score = run.score.as_ref()?;
    let first = score.from + from;
    let skew = |window: &Window| {
        let hidden = if net { run.hidden_skew_at(window.at) } else { Span::ZERO };
        let failed = window.verdict.is_failure().then_some(Span::MAX);
        window.verdict.skew().map(|skew| skew - hidden).or(failed)
    };
    Some(score.windows.iter().filter(|window| window.at >= first).filter_map(skew).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        latency::{Case, Claim, CommandDelay, Deed, Lateness, Mode, Who},
        score::{Score, TrueTime, Verdict},
    };

    /// A run of `scored` windows that are 10 us apart, and then `failed` ones.
    pub(in crate::latency) fn record(case: &Case, seed: u64, scored: usize, failed: usize) -> RunRecord {
        let verdicts =
            std::iter::repeat_n(Verdict::Scored { skew: Span::from_micros(10), likeness: 1.0 }, scored)
                .chain(std::iter::repeat_n(Verdict::SecondSilent, failed));
        let at = |index: usize| {
            let quarters = i64::try_from(index).expect("few");
            TrueTime::default() + Span::from_millis(250 * quarters)
        };
        let windows: Vec<Window> =
            verdicts.enumerate().map(|(index, verdict)| Window { at: at(index), verdict }).collect();
        let score = Score {
            schema_version: 1,
            from: TrueTime::default(),
            windows_scored: scored,
            windows_left_out: 0,
            windows_paused: 0,
            windows_failed: failed,
            summary: None,
            starts: vec![StartError { what: "entry".into(), at: at(0), skew: Some(Span::from_micros(20)) }],
            disturbances: Vec::new(),
            windows,
        };
        RunRecord {
            schema_version: 1,
            mode: Mode::Simulated,
            build: "test".into(),
            case: case.clone(),
            seed,
            link_began_ns: TrueTime::default(),
            score: Some(score),
            troubles: Vec::new(),
            observations: Vec::new(),
            happenings: Vec::new(),
            recoveries: Vec::new(),
            named_missing: [0; 2],
            edits: None,
            commands: Vec::new(),
            scheduler: Lateness::default(),
            dry_cards: Vec::new(),
            link: Lateness::default(),
            datagrams: [[0; 2]; 2],
        }
    }

    #[track_caller]
    fn assert_holds(report: &Report, claims: &[&str], wanted: bool) {
        for claim in claims {
            let holds = claim.parse::<Claim>().expect("valid").holds(report);
            assert_eq!(holds, Some(wanted), "{claim}: {report}");
        }
    }

    const SKEWS: [&str; 4] = ["p50_us<=60", "net_p99_us<=250", "worst_run_p99_us<=250", "max_us<=250"];

    #[test]
    fn a_guest_that_falls_silent_reaches_no_goal_and_a_single_failed_window_costs_none() {
        let case = Case::built_in("wan50").expect("known");
        let silent = Report::of(case.clone(), vec![record(&case, 1, 40, 680)]);
        assert!(silent.net.is_some_and(|net| net.p99_us < 11.0), "what was scored was in step");
        assert_holds(&silent, &SKEWS, false);
        assert!(silent.to_string().contains("p99 250 us: MISSED"), "{silent}");
        assert!(!silent.to_string().contains("inf us"), "{silent}");

        let one = Report::of(case.clone(), vec![record(&case, 1, 1_999, 1)]);
        assert_holds(&one, &SKEWS[..3], true);
        assert_holds(&one, &SKEWS[3..], false);
        assert!(one.to_string().contains("p99 250 us: reached with 10.0 us"), "{one}");
    }

    #[test]
    fn a_run_that_counts_and_has_no_score_keeps_every_limit_from_holding() {
        let case = Case::built_in("wan50").expect("known");
        let unscored = RunRecord { score: None, ..record(&case, 2, 40, 0) };
        let report = Report::of(case.clone(), vec![record(&case, 1, 40, 0), unscored]);
        assert_holds(&report, &SKEWS, false);
        assert_holds(&report, &["failures<=0", "discontinuities<=0", "start_error_us<=100"], false);
        assert!(report.to_string().contains("p99 250 us: not measured"), "{report}");
        let scored = Report::of(case.clone(), vec![record(&case, 1, 40, 0), record(&case, 2, 40, 0)]);
        assert_holds(&scored, &SKEWS, true);
        assert_holds(&scored, &["failures<=0", "discontinuities<=0", "start_error_us<=100"], true);
    }

    #[test]
    fn what_no_clock_can_see_is_in_the_start_as_heard_and_not_in_the_net_one() {
        let case = Case::built_in("asymmetric-40-1").expect("known");
        let mut run = record(&case, 1, 40, 0);
        let score = run.score.as_mut().expect("a score");
        score.starts[0].skew = Some(Span::from_micros(19_540));
        let report = Report::of(case, vec![run]);
        assert_holds(&report, &["start_error_us<=100"], false);
        assert_holds(&report, &["net_start_error_us<=50"], true);
        let table = crate::latency::tables(&[report]);
        assert!(table.contains("| 40 | 0 |"), "{table}");
    }

    #[test]
    fn a_command_that_no_output_obeys_keeps_no_limit_and_a_bound_that_nobody_asked_for_neither() {
        let case = Case::built_in("wan50").expect("known");
        let pause = CommandDelay {
            at_ns: TrueTime::default(),
            by: Who::A,
            deed: Deed::Pause,
            by_s: 0,
            until_a_ms: None,
            until_b_ms: None,
        };
        let seen = CommandDelay { until_a_ms: Some(70.0), until_b_ms: Some(100.0), ..pause.clone() };
        let of = |commands| RunRecord { commands, ..record(&case, 1, 40, 0) };
        let report = |commands| Report::of(case.clone(), vec![of(commands)]);
        let unheard = report(vec![pause.clone()]);
        assert_holds(&unheard, &["command_over_ms<=0", "bound_broken<=0"], false);
        assert!(unheard.to_string().contains("own output after - ms (99 % -)"), "{unheard}");
        assert!(crate::latency::tables(&[unheard]).contains("| pause | 1 | - / - | - / - | - | - | 2 |"));
        assert_holds(&report(vec![seen.clone(), pause]), &["command_over_ms<=0"], false);
        assert_holds(&report(vec![seen]), &["command_over_ms<=0"], true);
    }
}
