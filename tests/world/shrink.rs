//! Shrinking: the fewest actions that still make a world fail in the same way.

use super::{Plan, run};

/// Drops actions by halves, quarters and so on (Zeller's delta debugging) as long as the same rule is broken.
/// Runs at most `runs` worlds.
#[must_use]
pub fn shrink(plan: &Plan, runs: u32) -> Plan {
    let rule = |plan: &Plan| run(plan).failure.map(|failure| failure.rule());
    let wanted = rule(plan);
    let mut best = plan.clone();
    let mut size = best.actions.len().div_ceil(2);
    let mut left = runs;
    while size > 0 {
        let mut from = 0;
        while from < best.actions.len() && left > 0 {
            let mut smaller = best.clone();
            let to = (from + size).min(smaller.actions.len());
            smaller.actions.drain(from..to);
            left -= 1;
            if rule(&smaller) == wanted {
                best = smaller;
            } else {
                from = to;
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    best
}
