//! The result of a case in plain words.

use std::fmt;

use super::{DryCard, Mode, Report};
use crate::score::TrueTime;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.case.name, self.case.about)?;
        writeln!(
            f,
            "runs               {} of {} s, seeds {:?}",
            self.seeds.len(),
            self.case.seconds,
            self.seeds
        )?;
        if !self.void_seeds.is_empty() {
            writeln!(
                f,
                "VOID               seeds {:?}: the machine was too busy to measure on",
                self.void_seeds
            )?;
        }
        let lines = [
            ("skew, as heard", self.raw),
            ("  after 60 s", self.raw_after_60_s),
            ("less asymmetry/2", self.net),
            ("  after 60 s", self.net_after_60_s),
            ("clock error, guest", self.clock_error),
        ];
        for (name, figures) in lines {
            match figures {
                Some(g) => writeln!(
                    f,
                    "{name:<19}50 % within {:.1} us, 95 % {:.1}, 99 % {:.1}, worst {:.1} ({} values)",
                    g.p50_us, g.p95_us, g.p99_us, g.max_us, g.count
                )?,
                None => writeln!(f, "{name:<19}nothing to score")?,
            }
        }
        let starts: Vec<String> = self.start_errors_us.iter().map(|start| show_start(*start)).collect();
        writeln!(f, "first 100 ms       {} us", starts.join(", "))?;
        writeln!(
            f,
            "failed windows     {}; discontinuities {}; steps that failed {}",
            self.failures,
            self.discontinuities,
            self.troubles.len()
        )?;
        write!(f, "bound              broken {} times in {}", self.bound_broken, self.bound_asked)?;
        match self.bound_over_goal {
            Some(over) => writeln!(f, "; at most {over:.2} times its goal after 60 s")?,
            None => writeln!(f)?,
        }
        for all in self.recovered() {
            writeln!(f, "{:<19}{all}", format!("after: {}", all.after))?;
        }
        self.show_commands(f)?;
        self.show_goal(f)
    }
}

impl Report {
    fn show_commands(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, figures) in &self.commands {
            let [[own, own99, own_over], [other, other99, other_over]] = figures.shown();
            writeln!(
                f,
                "{name:<19}own output after {own} ms (99 % {own99}), the other's {other} ms (99 % {other99}); {} commands, {} outputs unseen; worst against what is allowed {own_over} and {other_over} ms",
                figures.count, figures.unseen
            )?;
        }
        let Some(edits) = self.edits else { return Ok(()) };
        let equal = edits.equal_after_ms.map_or("NEVER".to_owned(), |ms| format!("after {ms:.1} ms"));
        writeln!(
            f,
            "edits              seen by the other after {:.1} ms (99 % {:.1}, allowed {:.1}); {} edits, {} unseen; queues equal {equal}",
            edits.p50_ms, edits.p99_ms, edits.allowed_ms, edits.count, edits.unseen
        )
    }

    /// The cards that ran dry: in the run of which seed, and since when that run was scored.
    fn dry_cards(&self) -> impl Iterator<Item = (u64, DryCard, TrueTime)> {
        self.runs.iter().flat_map(|run| {
            let from = run.score.as_ref().map_or(run.link_began_ns, |score| score.from);
            run.dry_cards.iter().map(move |dry| (run.seed, *dry, from))
        })
    }

    fn show_goal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A simulated machine is as late as it was told to be.
        for run in self.runs.iter().filter(|run| run.mode == Mode::Live) {
            writeln!(
                f,
                "lateness, seed {:<3} scheduler 99 % {:.0} us, link 99 % {:.0} us",
                run.seed, run.scheduler.p99_us, run.link.p99_us
            )?;
        }
        for (seed, dry, from) in self.dry_cards() {
            let after = (dry.at_ns - from).as_secs_f64();
            writeln!(
                f,
                "card ran dry       seed {seed}: {:?}'s stood still for {:.1} ms at {after:.1} s, because this machine did",
                dry.of, dry.for_ms
            )?;
        }
        for trouble in &self.troubles {
            writeln!(f, "failed step        {trouble}")?;
        }
        for (name, figure, goal) in self.against_goal() {
            match figure {
                Some(figure) if figure.is_infinite() => {
                    writeln!(f, "goal               {name} {goal} us: MISSED, too many windows failed")?;
                }
                Some(figure) => {
                    let verdict = if figure <= goal { "reached" } else { "MISSED" };
                    writeln!(f, "goal               {name} {goal} us: {verdict} with {figure:.1} us")?;
                }
                None => writeln!(f, "goal               {name} {goal} us: not measured")?,
            }
        }
        Ok(())
    }
}

fn show_start(start: Option<f64>) -> String {
    start.map_or_else(|| "no clear peak".to_owned(), |start| format!("{start:.1}"))
}
