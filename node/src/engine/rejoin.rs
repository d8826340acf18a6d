//! Coming back into a Jam in which this node was cut short: at the start, by itself, with or without the coordinator.

use jamsync_protocol::{
    identity::grant::SignedGrant,
    session::{Session, SessionError},
    time::Span,
    wire::codec::{self, CodecError},
};

use super::{
    Engine,
    jam::{ActiveJam, AdmissionError, Trust},
    utc_now,
};
use crate::{
    jam_state::{JamState, JamStateError, MetState},
    paths::set_aside,
};

/// Why a Jam that was kept is not entered again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum NotResumed {
    /// It was left.
    #[error("it was left")]
    Over,
    /// There is no account (any more) whose coordinator granted it.
    #[error("this node is signed up nowhere")]
    NoAccount,
    /// It is not to be entered again.
    #[error(transparent)]
    NotAdmitted(#[from] AdmissionError),
    /// What was kept makes no grant.
    #[error("its grant: {0}")]
    Grant(CodecError),
    /// What was kept makes no session.
    #[error("its queue: {0}")]
    Session(#[from] SessionError),
}

impl Engine {
    /// Enters the Jam again that was `kept` when this node was cut short, if there is one.
    pub(super) fn rejoin(&mut self, kept: Result<Option<JamState>, JamStateError>) {
        match kept {
            Ok(None) => {}
            Ok(Some(state)) => match self.resume_jam(state) {
                Ok(()) => {}
                Err(NotResumed::Over | NotResumed::NotAdmitted(AdmissionError::TooOld)) => {
                    tracing::info!("a Jam that was kept is over");
                    self.forget_jam_state();
                }
                Err(error) => self.set_jam_state_aside(&error),
            },
            Err(error) => self.set_jam_state_aside(&error),
        }
    }

    fn resume_jam(&mut self, state: JamState) -> Result<(), NotResumed> {
        let JamState { grant, dials, candidates, met, .. } = state;
        let now = utc_now();
        let signed: SignedGrant = codec::decode(&grant).map_err(NotResumed::Grant)?;
        let logs = self.logs();
        let trust = self.trust(&logs).ok_or(NotResumed::NoAccount)?;
        // It was good when the two met; how long that may be ago is another question.
        let judged_at = met.as_ref().map_or(now, |met| met.since);
        let trust = Trust { now: judged_at, ..trust };
        let started = self.stage.now();
        let mut jam = ActiveJam::granted(&signed, self.identity.key(), dials, self.run, trust, started)?;
        if self.has_ended(jam.id) {
            return Err(NotResumed::Over);
        }
        jam.met = met.as_ref().map(|met| met.since);
        if jam.is_too_old(now) {
            return Err(AdmissionError::TooOld.into());
        }
        jam.granted = started - (now - jam.issued).max(Span::ZERO);
        jam.candidates = self.candidates(candidates.into_vec());
        if let Some(met) = met {
            self.resume_session(met)?;
            (jam.returning, jam.lost_since) = (true, Some(started));
        }
        self.name_peer(&mut jam);
        tracing::info!(jam = ?jam.id, with = %jam.with(), "coming back into the Jam");
        self.port.seek(jam.target());
        self.jam = Some(jam);
        // Names that were given out and not kept are left out from here on, which has to be kept in turn.
        self.keeper.note_change();
        self.settle();
        Ok(())
    }

    fn resume_session(&mut self, met: MetState) -> Result<(), SessionError> {
        let now = self.stage.now();
        let session = Session::restore(met.session, now)?;
        let parked = met.parked.map(|parked| Session::restore(parked, now)).transpose()?;
        self.stage.resume(session, parked);
        Ok(())
    }

    /// Says once that the Jam is lost, and lets the next start begin without it.
    fn set_jam_state_aside(&mut self, why: &dyn std::fmt::Display) {
        let what =
            "the Jam that this node was in cannot be entered again, for what was kept of it is of no use";
        let then = match set_aside(self.keeper.file()) {
            Ok(aside) => format!(
                "it was put aside as {}, and `jamsync request NAME` asks for a new Jam",
                aside.display()
            ),
            Err(error) => format!("move {} away, which failed here ({error})", self.keeper.file().display()),
        };
        let sentence = format!("{what} ({why}); {then}");
        self.warn(&sentence);
        // Nobody can be watching yet.
        self.warnings.push(sentence);
    }
}
