//! What the demo came to: the steps, the score, and whether both hold.

use std::{fmt, path::PathBuf};

use jamsync_protocol::time::{Ppm, Span};
use serde::Serialize;

use super::{Options, music::Music, options::SKEW_P99_MAX};
use crate::{
    lateness::Lateness,
    rig::node::Setup,
    score::{Plan, Recording, Score, score},
};

/// How the demo went.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Version of this JSON; it rises when a field changes its meaning or goes away.
    pub schema_version: u32,
    /// Reproduces the clocks and the made music.
    pub seed: u64,
    /// What was played, in words.
    pub music: String,
    /// Every step, in order.
    pub steps: Vec<Step>,
    /// How far the clocks of the two nodes were shifted and skewed, and how fast their sound cards ran.
    pub injected: [Injected; 2],
    /// The score of the recordings; none where there was nothing to score.
    pub score: Option<Score>,
    /// Why there is no score.
    pub unscored: Option<String>,
    /// How late this machine ran what was due meanwhile.
    pub lateness: Lateness,
    /// Whether all that was asked holds.
    pub passed: bool,
    /// Whether it did not pass while the machine was too late for any sound: then it neither passed nor failed.
    pub void: bool,
}

/// One step of the script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What was done or expected.
    pub what: String,
    /// What went wrong, or none.
    pub trouble: Option<String>,
}

/// What one node was made to cope with.
#[derive(Clone, Debug, Serialize)]
pub struct Injected {
    /// Whose node.
    pub name: String,
    /// By how many hours its clock was shifted.
    pub clock_offset_h: f64,
    /// How fast its clock ran.
    pub clock_ppm: f64,
    /// How fast its sound card ran.
    pub dac_ppm: f64,
    /// The latency of its sound card.
    pub dac_latency_ms: i64,
}

/// What is left when every process has ended.
#[derive(Debug)]
pub(super) struct Recordings {
    pub(super) plan: Option<Plan>,
    pub(super) setups: [Setup; 2],
    pub(super) steps: Vec<Step>,
    pub(super) seed: u64,
}

const SCHEMA_VERSION: u32 = 1;

/// Scores the recordings and judges the run.
pub(super) fn judge(
    options: &Options,
    music: &Music,
    left: Recordings,
    lateness: Lateness,
) -> anyhow::Result<Outcome> {
    let scored = match (&left.plan, options.audible) {
        (_, true) => Err("the sound card's true times are unknown here".to_owned()),
        (None, false) => Err("the two never played together".to_owned()),
        (Some(plan), false) => score_files(plan, &left.setups).map_err(|error| format!("{error:#}")),
    };
    if let (Some(folder), Some(plan)) = (&options.keep, &left.plan) {
        std::fs::write(folder.join("plan.json"), serde_json::to_string_pretty(plan)?)?;
    }
    let worked = left.steps.iter().all(|step| step.trouble.is_none());
    let in_sync = match &scored {
        Ok(score) => score.is_in_sync(SKEW_P99_MAX),
        Err(_) => options.audible,
    };
    let ahead = left.setups.iter().map(|setup| setup.dac_latency).min().unwrap_or_default();
    let (score, unscored) = match scored {
        Ok(score) => (Some(score), None),
        Err(reason) => (None, Some(reason)),
    };
    Ok(Outcome {
        schema_version: SCHEMA_VERSION,
        seed: left.seed,
        music: music.origin.clone(),
        steps: left.steps,
        injected: left.setups.map(|setup| Injected::of(&setup)),
        score,
        unscored,
        lateness,
        passed: worked && in_sync,
        void: !(worked && in_sync) && lateness.is_void(ahead),
    })
}

fn score_files(plan: &Plan, setups: &[Setup; 2]) -> anyhow::Result<Score> {
    let read = |setup: &Setup| {
        let record: PathBuf = setup.record.clone().unwrap_or_default();
        Recording::read(&record)
    };
    Ok(score(&read(&setups[0])?, &read(&setups[1])?, plan)?)
}

impl Injected {
    fn of(setup: &Setup) -> Self {
        let Ppm(clock_ppm) = setup.clock_rate;
        let Ppm(dac_ppm) = setup.dac_rate;
        let clock_offset_h = setup.clock_offset.as_secs_f64() / 3_600.0;
        let dac_latency_ms = setup.dac_latency.as_millis();
        Self { name: setup.name.to_owned(), clock_offset_h, clock_ppm, dac_ppm, dac_latency_ms }
    }
}

/// The result in plain words.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Result, from the two recordings alone ({}, seed {})\n", self.music, self.seed)?;
        for node in &self.injected {
            writeln!(
                f,
                "{}'s node          clock {:.1} h ahead and {:+} ppm fast; sound card {:+} ppm fast, {} ms late",
                node.name, node.clock_offset_h, node.clock_ppm, node.dac_ppm, node.dac_latency_ms
            )?;
        }
        match (&self.score, &self.unscored) {
            (Some(score), _) => write!(f, "{score}")?,
            (None, reason) => writeln!(f, "not scored         {}", reason.as_deref().unwrap_or_default())?,
        }
        let failed = self.steps.iter().filter_map(|step| Some((step, step.trouble.as_ref()?)));
        for (step, trouble) in failed.clone() {
            writeln!(f, "failed step        {}: {trouble}", step.what)?;
        }
        writeln!(
            f,
            "steps              {} done, {} failed\n",
            self.steps.len() - failed.clone().count(),
            failed.count()
        )?;
        let limit: Span = SKEW_P99_MAX;
        writeln!(f, "machine            {}", self.lateness)?;
        match (self.passed, &self.score) {
            (true, Some(_)) => writeln!(
                f,
                "In sync: 99 % of all windows within {limit}, no discontinuity, every step worked."
            ),
            (true, None) => writeln!(f, "Every step worked; nothing was measured."),
            (false, _) if self.void => writeln!(
                f,
                "VOID: this machine was too busy to play without interruption; close other programs and try again."
            ),
            (false, _) => writeln!(
                f,
                "FAILED: see above. In sync means 99 % within {limit}, no failed window, no discontinuity."
            ),
        }
    }
}
