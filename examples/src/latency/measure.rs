//! From two recordings and what was commanded to a score. The same for runs in real and in virtual time.

use jamsync_protocol::time::Span;

use super::{Blow, Deed, Recovery, RunRecord, music::Music, onset, whereabouts::Whereabouts};
use crate::score::{Plan, Recording, Score, ScoreError, TrueRange, score};

/// How long after saying that it follows the Jam the guest may be silent: what is left out around every anchor.
const ENTRY_MAX: Span = Span::from_millis(500);
/// How long before the driver reads of it the guest may be heard.
const ENTRY_BEFORE: Span = Span::from_millis(300);

/// Scores the outputs of A and B, and fills in when they obeyed and how they recovered.
pub(super) fn measure(
    a: &Recording,
    b: &Recording,
    mut plan: Plan,
    music: &Music,
    record: &mut RunRecord,
) -> Result<Score, ScoreError> {
    find_entry(&mut plan, a);
    let mut recoveries = std::mem::take(&mut record.recoveries);
    recoveries.extend(Recovery::from_outages(&record.case, record.link_began_ns, plan.span));
    for mut recovery in recoveries {
        let mut heard = Whereabouts::of(b, music);
        let (before, after): (Vec<_>, Vec<_>) =
            record.commands.iter().partition(|command| command.at_ns < recovery.range.from);
        for command in before {
            heard.follow(command, b);
        }
        recovery.measure([a, b], &plan, &heard, after.first().map(|command| command.at_ns));
        // Nobody can tell of two who are paused whether they are in step.
        if recovery.after == Blow::Kill || heard.is_playing() {
            record.recoveries.push(recovery);
        }
    }
    let mut whereabouts = Whereabouts::of(b, music);
    for command in &mut record.commands {
        let moves = whereabouts.follow(command, b);
        let until = |recording| match &moves {
            Some(moves) => moves.delay(recording, command.at_ns),
            None => onset::delay(recording, command.deed, command.at_ns),
        };
        let millis = |span: Option<Span>| span.map(|span| span.as_secs_f64() * 1e3);
        (command.until_a_ms, command.until_b_ms) = (millis(until(a)), millis(until(b)));
    }
    score(a, b, &plan)
}

/// Begins the score at the guest's first sample, or, where it keeps silent for too long, at the instant at which it
/// should have been heard.
fn find_entry(plan: &mut Plan, guest: &Recording) {
    let told = plan.span.from;
    let from = told - ENTRY_BEFORE;
    let heard = onset::delay(guest, Deed::Resume, from).map(|delay| from + delay);
    let latest = told + ENTRY_MAX;
    let entry = heard.map_or(latest, |heard| heard.min(latest));
    plan.span.from = entry;
    for anchor in plan.anchors.iter_mut().filter(|anchor| anchor.effect.from <= told) {
        anchor.effect = TrueRange { from: entry, until: entry };
    }
}
