//! Keeping the Jam on disk as it goes, so that a node that is cut short comes back into it.
//!
//! One write at a time runs beside the loop, and the next one takes in whatever has changed meanwhile: however fast
//! edits come, the loop never waits for the disk and the file is never written twice for one change. What a listener
//! asked for is answered only once a write holds it, so that what was called done survives a crash. The friend is told
//! at once: names of edits that were given out and not kept are never given out again.

use std::{
    io,
    path::{Path, PathBuf},
};

use jamsync_protocol::text::List;
use tokio::task::JoinHandle;

use super::{Answer, Apply, Engine};
use crate::{
    api::{ApiError, Reply},
    jam_state::{self, JamState, MetState},
};

/// What is to be written, and who waits for it.
#[derive(Debug)]
pub(super) struct Keeper {
    file: PathBuf,
    /// Whether something has changed since the last write began.
    changed: bool,
    writing: Option<JoinHandle<()>>,
    /// Answers that the write under way covers.
    covered: Vec<Held>,
    /// Answers that wait for the next one.
    waiting: Vec<Held>,
    /// Whether the listener was told that nothing is kept.
    warned: bool,
}

/// The answer to a call, held back.
#[derive(Debug)]
struct Held {
    answer: Answer,
    reply: Reply,
}

impl Keeper {
    pub(super) fn new(file: PathBuf) -> Self {
        let (covered, waiting) = (Vec::new(), Vec::new());
        Self { file, changed: false, writing: None, covered, waiting, warned: false }
    }

    /// Where the state is kept.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Something has changed that a Jam needs to come back.
    pub(super) const fn note_change(&mut self) {
        self.changed = true;
    }

    fn release(held: Vec<Held>) {
        for Held { answer, reply } in held {
            // Who asked may have gone.
            let _ = answer.send(Ok(reply));
        }
    }
}

impl Engine {
    /// Answers a call, once what it did is on disk.
    pub(super) fn answer(&mut self, answer: Answer, outcome: Result<Reply, ApiError>) {
        match outcome {
            Ok(reply @ (Reply::Done | Reply::Queued(_))) if self.has_changed() => {
                self.keeper.waiting.push(Held { answer, reply });
            }
            Ok(reply @ (Reply::Done | Reply::Queued(_))) if self.keeper.writing.is_some() => {
                self.keeper.covered.push(Held { answer, reply });
            }
            // Who asked may have gone.
            outcome => drop(answer.send(outcome)),
        }
    }

    /// Begins to write what has changed, if nothing is being written.
    pub(super) fn keep_jam(&mut self) {
        if !self.has_changed() || self.keeper.writing.is_some() {
            return;
        }
        self.keeper.changed = false;
        let Some(state) = self.jam_state() else { return };
        self.keeper.covered.append(&mut self.keeper.waiting);
        let (file, completions) = (self.keeper.file.clone(), self.completions.clone());
        self.keeper.writing = Some(tokio::task::spawn_blocking(move || {
            let written = state.save(&file);
            let apply: Apply = Box::new(move |engine| {
                engine.jam_kept(written);
                Ok(Reply::Done)
            });
            // An engine that is gone has left the Jam.
            let _ = completions.send(super::Completion { outcome: Ok(apply), answer: None });
        }));
    }

    fn jam_kept(&mut self, written: io::Result<()>) {
        self.keeper.writing = None;
        if let Err(error) = written
            && !std::mem::replace(&mut self.keeper.warned, true)
        {
            self.warn(format!(
                "this Jam would be lost if the daemon were killed, because {} cannot be written ({error}); make \
                 room or mend its permissions",
                self.keeper.file.display()
            ));
        }
        Keeper::release(std::mem::take(&mut self.keeper.covered));
        if self.jam.is_none() {
            self.forget_jam_state();
        }
    }

    /// The Jam is over, and nothing of it is kept.
    pub(super) fn forget_jam_state(&mut self) {
        Keeper::release(std::mem::take(&mut self.keeper.waiting));
        (self.keeper.changed, self.keeper.warned) = (false, false);
        // A write that is under way would bring the file back: the end of it is the end of the file.
        if self.keeper.writing.is_none()
            && let Err(error) = jam_state::remove(&self.keeper.file)
        {
            // The Jam is remembered as over, so that it is not entered again all the same.
            tracing::warn!(%error, "the file of a Jam that is over cannot be removed");
        }
    }

    /// Waits for a write that is under way and removes what it wrote, where the Jam is over.
    pub(super) async fn put_jam_state_away(&mut self) {
        if let Some(writing) = self.keeper.writing.take() {
            // A write that panicked has said so.
            let _ = writing.await;
            self.jam_kept(Ok(()));
        }
    }

    /// Whether the Jam needs something to come back that no write holds or is about to hold.
    fn has_changed(&self) -> bool {
        let Some(jam) = &self.jam else { return false };
        self.keeper.changed || jam.met.is_some() && self.stage.session().is_unsaved()
    }

    /// What the Jam needs to come back.
    fn jam_state(&mut self) -> Option<JamState> {
        let jam = self.jam.as_ref()?;
        let met = jam.met.map(|since| {
            let (session, parked) = self.stage.save();
            MetState { since, session, parked }
        });
        Some(JamState {
            grant: jam.hello.grant.clone(),
            dials: jam.dials,
            candidates: List::new(jam.target().candidates).unwrap_or_default(),
            port: self.endpoint.local_addr().map_or(0, |address| address.port()),
            met,
        })
    }
}
