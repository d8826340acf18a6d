//! The command line: one command, one request to the daemon, one answer in words or in JSON.
//!
//! It keeps no state and decides nothing about music; it understands what a person typed, reaches the daemon (and
//! starts it where none runs), and says what came of it. Words and JSON go to standard output, what went wrong to
//! standard error, and the exit status tells scripts the kind of failure.

mod account;
mod args;
mod contacts;
mod daemon;
mod init;
mod library;
mod message_args;
mod messages;
mod output;
mod parse;
mod qr;
mod run;
mod safety;
mod show;
mod show_chat;
mod show_event;
mod start;
mod width;

use std::{ffi::OsString, process::ExitCode, time::Duration};

use clap::{Args, CommandFactory, FromArgMatches, parser::ValueSource};

use crate::{
    api::{ApiError, Engine},
    config::{Boot, Options},
    paths::Paths,
};
use args::{Cli, Command};
use daemon::Manner;
use output::Output;

/// Runs the command that the process was started with. `start` starts an engine; only the daemon calls it.
pub fn main<F>(start: F) -> ExitCode
where
    F: AsyncFnOnce(Boot) -> Result<Engine, ApiError>,
{
    let (cli, flags_given) = parse_flags(std::env::args_os());
    let output = Output { json: cli.json };
    let done = if let Command::Daemon { detached } = cli.command {
        serve(&cli.options, Manner { detached, json: cli.json }, start).map_err(run::Failure::from)
    } else {
        ask(cli.command, &cli.options, flags_given, output)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output.failure(&failure),
    }
}

/// The command line, and whether it names options that only a new daemon takes.
fn parse_flags(arguments: impl Iterator<Item = OsString>) -> (Cli, bool) {
    let options = Options::augment_args(clap::Command::new(""));
    let matches = command(&options).get_matches_from(arguments);
    let flags_given = options
        .get_arguments()
        .any(|flag| matches.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine));
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    (cli, flags_given)
}

/// The command line, where only the help of `jamsync` itself and of its daemon lists the options of the daemon,
/// although every command takes them.
fn command(options: &clap::Command) -> clap::Command {
    fn hide(command: clap::Command, options: &clap::Command) -> clap::Command {
        let is_option =
            |argument: &clap::Arg| options.get_arguments().any(|option| option.get_id() == argument.get_id());
        command
            .mut_args(|argument| if is_option(&argument) { argument.hide(true) } else { argument })
            .mut_subcommands(|below| hide(below, options))
    }
    let mut command = Cli::command();
    // Only building hands the options down to where they are to be hidden.
    command.build();
    command.mut_subcommands(|below| if below.get_name() == "daemon" { below } else { hide(below, options) })
}

fn serve<F>(options: &Options, manner: Manner, start: F) -> Result<(), ApiError>
where
    F: AsyncFnOnce(Boot) -> Result<Engine, ApiError>,
{
    let outcome = Paths::from_env(|name| std::env::var_os(name)).map_err(ApiError::from).and_then(|paths| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(no_runtime)?;
        let outcome = runtime.block_on(daemon::run(paths, options, manner, start));
        // A decoder that reads from a dead network drive must not keep the process alive.
        runtime.shutdown_timeout(Duration::from_secs(1));
        outcome
    });
    if let Err(error) = &outcome {
        daemon::announce_failure(error, manner);
    }
    outcome
}

fn ask(command: Command, options: &Options, flags_given: bool, output: Output) -> Result<(), run::Failure> {
    let paths = Paths::from_env(|name| std::env::var_os(name)).map_err(ApiError::from)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_runtime)?;
    runtime
        .block_on(run::run(command, &run::Context { paths, options: options.clone(), flags_given, output }))
}

fn no_runtime(error: std::io::Error) -> ApiError {
    ApiError::new(crate::api::ErrorCode::Failed, format!("the system gives no event loop: {error}"), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(arguments: &[&str]) -> String {
        let options = Options::augment_args(clap::Command::new(""));
        let error = command(&options).try_get_matches_from(arguments).expect_err("help ends the program");
        error.to_string()
    }

    #[test]
    fn options_of_the_daemon_are_listed_where_they_are_looked_for() {
        for line in [&["jamsync", "--help"][..], &["jamsync", "daemon", "--help"]] {
            assert!(help(line).contains("--sink"), "{line:?}");
        }
        for line in [&["jamsync", "pause", "--help"][..], &["jamsync", "queue", "add", "--help"]] {
            assert!(!help(line).contains("--sink"), "{line:?}");
        }
    }

    #[test]
    fn options_of_the_daemon_may_stand_anywhere() {
        for line in ["jamsync --sink null queue add x", "jamsync queue add x --sink null"] {
            let (cli, flags_given) = parse_flags(line.split(' ').map(OsString::from));
            assert_eq!(
                (cli.options.sink, flags_given),
                (Some(crate::config::SinkKind::Null), true),
                "{line}"
            );
        }
        assert!(!parse_flags(["jamsync", "pause"].into_iter().map(OsString::from)).1);
    }
}
