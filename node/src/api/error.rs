//! What went wrong, in the form that reaches a person: a code for programs, a sentence, and what to do next.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A request that was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// What kind of failure it is; stable, for programs.
    pub code: ErrorCode,
    /// What happened and why: lower case, no full stop.
    pub message: String,
    /// What to do next: lower case, no full stop; empty where there is nothing to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// The kinds of failure, each with its own exit status. A status never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// Something failed that has no kind of its own.
    Failed,
    /// The request makes no sense as it was written.
    Usage,
    /// No daemon answers and none could be started.
    NoDaemon,
    /// The request needs a Jam and there is none.
    NotInJam,
    /// The friend, the coordinator or a rule said no.
    Refused,
    /// The friend or the coordinator cannot be reached.
    Unreachable,
    /// The request needs an account at a coordinator and there is none.
    NoAccount,
    /// No such contact, request, queue entry, file or device.
    NotFound,
    /// Nothing of what was named can be played.
    Unplayable,
    /// The UDP address to listen on is taken or not ours.
    NoPort,
    /// There is no audio device, or not the one that was named.
    NoAudioDevice,
    /// The state folder cannot be created or written.
    StateUnwritable,
    /// Another daemon runs on the same state folder.
    AlreadyRunning,
    /// The request begins a Jam and there is one already.
    InJam,
}

impl ApiError {
    /// A failure of kind `code` with what happened and what to do next.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, message: message.into(), remedy: remedy.into() }
    }

    /// A failure of kind `code` as one sentence, in which what to do next stands behind the last semicolon.
    #[must_use]
    pub(crate) fn from_sentence(code: ErrorCode, sentence: &str) -> Self {
        let (message, remedy) = sentence.rsplit_once("; ").unwrap_or((sentence, ""));
        Self::new(code, message, remedy)
    }

    /// The failure of an engine that has ended.
    #[must_use]
    pub fn engine_gone() -> Self {
        Self::new(ErrorCode::Failed, "the daemon is ending", "run the command again")
    }
}

impl ErrorCode {
    /// The exit status of a command that fails this way.
    #[must_use]
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NoDaemon => 3,
            Self::NotInJam => 4,
            Self::Refused => 5,
            Self::Unreachable => 6,
            Self::NoAccount => 7,
            Self::NotFound => 8,
            Self::Unplayable => 9,
            Self::NoPort => 10,
            Self::NoAudioDevice => 11,
            Self::StateUnwritable => 12,
            Self::AlreadyRunning => 13,
            Self::InJam => 14,
        }
    }

    /// The kind of failure that ends with exit status `status`.
    #[must_use]
    pub fn from_exit_status(status: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|code| i32::from(code.exit_status()) == status)
    }

    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Failed,
        Self::Usage,
        Self::NoDaemon,
        Self::NotInJam,
        Self::Refused,
        Self::Unreachable,
        Self::NoAccount,
        Self::NotFound,
        Self::Unplayable,
        Self::NoPort,
        Self::NoAudioDevice,
        Self::StateUnwritable,
        Self::AlreadyRunning,
        Self::InJam,
    ];
}

impl std::error::Error for ApiError {}
/// One sentence: what happened, and what to do next.
impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_sentence_comes_apart_into_what_happened_and_what_to_do() {
        let error = ApiError::from_sentence(ErrorCode::Unreachable, "no answer (a; b); check the network");
        assert_eq!(
            (error.message.as_str(), error.remedy.as_str()),
            ("no answer (a; b)", "check the network")
        );
        assert_eq!(ApiError::from_sentence(ErrorCode::Failed, "it broke").remedy, "");
    }

    #[test]
    fn every_kind_has_an_exit_status_of_its_own() {
        let statuses: BTreeSet<u8> = ErrorCode::ALL.iter().map(|code| code.exit_status()).collect();
        assert_eq!(statuses.len(), ErrorCode::ALL.len());
        assert!(!statuses.contains(&0));
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_exit_status(code.exit_status().into()), Some(code));
        }
    }
}
