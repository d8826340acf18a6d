//! Where a command's answer goes: words or JSON to standard output, failures to standard error.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use super::run::Failure;
use crate::api::{Body, Event, Reply, ServerLine, encode};

/// How answers are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// One JSON object per line rather than words.
    pub(super) json: bool,
}

impl Output {
    /// Writes an answer; `words` says the same for people.
    pub(super) fn reply(self, reply: Reply, words: impl FnOnce(&Reply) -> String) -> io::Result<()> {
        if self.json { line(&Body::Reply(reply).into()) } else { text(&words(&reply)) }
    }

    /// Writes an event; one that has no words is left out where words are asked for.
    pub(super) fn event(self, event: Event, words: impl FnOnce(&Event) -> Option<String>) -> io::Result<()> {
        if self.json {
            line(&Body::Event(event).into())
        } else {
            words(&event).map_or(Ok(()), |words| text(&words))
        }
    }

    /// Says what went wrong, and gives the exit status. With JSON the same stands on standard output, for programs.
    pub(super) fn failure(self, failure: &Failure) -> ExitCode {
        match failure {
            Failure::Api(error) => {
                if self.json {
                    // Standard error says it as well, so a closed standard output hides nothing.
                    let _ = line(&Body::Error(error.clone()).into());
                }
                let _ = writeln!(io::stderr(), "jamsync: {}", super::show::plain(&error.to_string()));
                ExitCode::from(error.code.exit_status())
            }
            // The reader has seen enough, as in `jamsync watch | head`.
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Failure::Output(error) => {
                let _ = writeln!(io::stderr(), "jamsync: cannot write the answer: {error}");
                ExitCode::FAILURE
            }
        }
    }

    /// Shows how far something has come, in one line of a terminal that is written anew.
    pub(super) fn progress(self, words: &str) {
        let mut stderr = io::stderr();
        if stderr.is_terminal() {
            // Nothing depends on it.
            let _ = write!(stderr, "\r{words}\x1b[K").and_then(|()| stderr.flush());
        }
    }

    /// Says something aside, to people only.
    pub(super) fn note(self, words: &str) {
        // Nothing depends on a note.
        let _ = writeln!(io::stderr(), "jamsync: {words}");
    }
}

fn line(line: &ServerLine) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(encode(line)?.as_bytes())?;
    stdout.flush()
}

fn text(words: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{words}")?;
    stdout.flush()
}
