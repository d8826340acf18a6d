//! The demo: a coordinator and two nodes on this machine, driven by the commands that a user types, and the
//! two recordings of their virtual sound cards scored at the end.
//!
//! The driver knows the binaries and the recordings only. It never reads a node's memory, and what a node
//! says of itself serves for two things: to tell the story, and to name the instants at which an anchor took
//! effect. Such an instant counts only within `journal::EFFECT_MAX` of the command that caused it, so that
//! a node cannot excuse a failure.

mod journal;
mod music;
mod node;
mod options;
mod outcome;
mod script;
mod session;
mod stage;

pub use options::{Options, Sabotage};
pub use outcome::{Injected, Outcome, Step};

use anyhow::Context;

use crate::lateness::Watcher;

/// Plays the whole demo and says how it went.
///
/// Dropping the future ends every process that it started.
///
/// # Errors
/// What kept the demo from running at all, such as binaries that are not built. A step that fails, or a Jam
/// that is not in sync, is no error but an [`Outcome`].
pub async fn run(options: &Options) -> anyhow::Result<Outcome> {
    let folder = tempfile::Builder::new().prefix("jamsync-demo-").tempdir().context("no temporary folder")?;
    let music = music::choose(options, folder.path())?;
    let stage = stage::Stage::set(options, folder.path()).await?;
    let mut session = session::Session::new(stage, options);
    session.tell(&format!("Playing {}.", music.origin));
    let watcher = Watcher::start().context("cannot watch how late this machine is")?;
    script::play(&mut session, &music).await;
    let recordings = session.end().await;
    outcome::judge(options, &music, recordings, watcher.stop())
}
