//! A run in virtual time: the sessions, clocks, queues and players of two nodes, the link model and the model of the
//! virtual sound card, as in a live run; the same music, the same commands, the same scorer on the sound that comes
//! out. What is not the same: QUIC is a stand-in, and no process waits for a processor. How late a node's process
//! runs is a number instead, [`Machine::lateness`]: that switch is what makes a machine of one's own comparable.
//!
//! Nothing here sleeps or asks for the time, so that a seed gives the same samples again.

mod editor;
mod side;
#[cfg(test)]
mod tests;
mod world;

use std::path::Path;

use jamsync_protocol::{id::Participant, time::Span};

use super::{Case, RunRecord, measure::measure, music::Music, progress::Played};
use world::World;

/// The machine that is imagined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// How late a node's process handles what is due, arrives or leaves: the mean of an exponential law. Unit µs,
    /// range 0 to 10,000, default 30: more than a live run's machine makes the simulation worse than it, less better.
    pub lateness: Span,
}

impl Default for Machine {
    fn default() -> Self {
        Self { lateness: Span::from_micros(30) }
    }
}

/// The host and the guest.
const PARTICIPANTS: [Participant; 2] = [
    Participant::FIRST,
    match Participant::new(1) {
        Some(guest) => guest,
        None => Participant::FIRST,
    },
];
/// A is the guest, B the host.
const GUEST: usize = 0;
const HOST: usize = 1;

/// Plays `case` once in virtual time. `music` is where its pieces are kept; `played` is told how far it is.
///
/// # Errors
/// Where the music cannot be made or the case cannot be played at all.
pub fn run(
    case: &Case,
    seed: u64,
    music: &Path,
    machine: Machine,
    build: &str,
    played: &Played,
) -> anyhow::Result<RunRecord> {
    check(case)?;
    let music = Music::of(case, music)?;
    let mut world = World::new(case, seed, &music, machine)?;
    world.run(played)?;
    let effects = world.sides.each_ref().map(|side| side.effects.clone()).concat();
    let plan = world.journal.plan_by(&effects);
    let [a, b] = &mut world.sides;
    let recordings = [a.recording()?, b.recording()?];
    let mut record = world.into_record(seed, build);
    record.check_names();
    let [a, b] = &recordings;
    match plan.map(|plan| measure(a, b, plan, &music, &mut record)) {
        Some(Ok(score)) => record.score = Some(score),
        Some(Err(error)) => record.troubles.push(format!("not scored: {error}")),
        None => record.troubles.push("the two never played together".to_owned()),
    }
    Ok(record)
}

/// Whether `case` can be played in virtual time.
///
/// # Errors
/// What it holds that only real processes can suffer.
pub fn check(case: &Case) -> anyhow::Result<()> {
    anyhow::ensure!(
        case.kills.is_empty() && case.new_addresses.is_empty(),
        "{} kills processes or moves them, which only real ones can suffer: use `latency live`",
        case.name
    );
    Ok(())
}
