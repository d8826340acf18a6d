//! The operator's commands. Each says on one line what went wrong and what to do, and ends with a status of its
//! own kind, so that a script can tell.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use jamsync_protocol::{id::Handle, identity::join_code::CoordinatorAddress};

use crate::{
    backup::BackupError,
    config::{Config, ConfigError, Sources, TierName, public},
    data::DataError,
    operations::OperationsError,
    server::ServeError,
    store::StoreError,
};

mod admin;
mod check;
mod keep;
mod log;
mod notify;
mod reports;
mod serve;

/// Runs the command that the program was called with.
#[must_use]
pub fn main() -> ExitCode {
    let matches = Arguments::command().get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(arguments, &matches)),
        Err(error) => Err(CliError::Output(error)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a place to say it, the status still tells.
            drop(writeln!(io::stderr(), "jamsync-coordinator: {error}"));
            ExitCode::from(error.status())
        }
    }
}

async fn run(arguments: Arguments, matches: &ArgMatches) -> Result<(), CliError> {
    let json = arguments.json;
    let called = matches.subcommand().map_or(matches, |(_, called)| called);
    match arguments.command {
        Command::Serve(options) => serve::serve(&Sources::new(called, options.config), json).await,
        Command::Check(options) => check::check(&Sources::new(called, options.config), json),
        Command::JoinCode(options) => admin::join_code(options, json).await,
        Command::Account { place, action } => admin::account(&place.folder()?, action, json).await,
        Command::Report { place, action } => reports::run(&place.folder()?, action, json).await,
        Command::Backup { place, to } => keep::backup(&place.folder()?, &to, json),
        Command::Restore { place, from } => keep::restore(&from, &place.folder()?, json),
        Command::Verify { place, backup: None } => keep::verify(&place.folder()?, json),
        Command::Verify { backup: Some(backup), .. } => keep::verify(&backup, json),
        Command::Migrate { place } => keep::migrate(&place.folder()?, json),
    }
}

/// The server that introduces friends to each other, so that they can hear the same music at the same time.
#[derive(Debug, Parser)]
#[command(
    name = "jamsync-coordinator",
    version,
    after_help = "Exit status: 0 done, 1 other failure, 2 wrong usage or configuration, 3 cannot listen on an address, 4 \
                  data folder unusable, 5 database of a newer version, 6 another server uses the folder, 7 no such \
                  account or no server's data, 8 a backup or the data are damaged."
)]
struct Arguments {
    /// Answer in JSON, one object a line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until the program is stopped with Ctrl-C or SIGTERM; SIGHUP reads the configuration file again.
    Serve(ServeOptions),
    /// Show the settings that `serve` would use, and whether it could start.
    Check(ServeOptions),
    /// Print a code with which friends can sign up; works while the server runs.
    JoinCode(JoinCodeOptions),
    /// Look at accounts, change their tier or delete them; works while the server runs.
    Account {
        #[command(flatten)]
        place: Place,
        #[command(subcommand)]
        action: AccountAction,
    },
    /// Read what accounts complain about, and drop what has been dealt with; works while the server runs.
    Report {
        #[command(flatten)]
        place: Place,
        #[command(subcommand)]
        action: ReportAction,
    },
    /// Copy key and database into a new folder; works while the server runs.
    Backup {
        #[command(flatten)]
        place: Place,
        /// Folder to make; it must not exist.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Make a data folder from a backup; run by root, it belongs to whom the folder around it belongs.
    Restore {
        #[command(flatten)]
        place: Place,
        /// The backup's folder.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
    },
    /// Read everything in the data folder, or in a backup, and say whether it is sound; works while the server runs.
    Verify {
        #[command(flatten)]
        place: Place,
        /// Look at this backup in place of the data folder.
        #[arg(long, value_name = "DIR")]
        backup: Option<PathBuf>,
    },
    /// Bring the database of an older version up to this one, as `serve` does too; a copy of the old one is kept.
    Migrate {
        #[command(flatten)]
        place: Place,
    },
}

/// Where the data are, for commands that need no other setting.
#[derive(Debug, clap::Args)]
struct Place {
    /// Folder that holds the coordinator's key and database.
    #[arg(long, global = true, value_name = "DIR", env = "JAMSYNC_COORDINATOR_DATA")]
    data: Option<PathBuf>,
    /// Configuration file that names the folder.
    #[arg(long, global = true, value_name = "FILE", env = "JAMSYNC_COORDINATOR_CONFIG")]
    config: Option<PathBuf>,
}

impl Place {
    /// The folder, from the flag or the variable, or else from the file.
    fn folder(&self) -> Result<PathBuf, ConfigError> {
        if let Some(data) = &self.data {
            return Ok(data.clone());
        }
        let nothing = Config::command_alone().get_matches_from([OsString::from("place")]);
        let loaded = Sources::new(&nothing, self.config.clone()).load()?;
        loaded.config.data.ok_or(ConfigError::NoData)
    }
}

#[derive(Debug, clap::Args)]
struct ServeOptions {
    /// Configuration file, in TOML.
    #[arg(long, value_name = "FILE", env = "JAMSYNC_COORDINATOR_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    _settings: Config,
}

#[derive(Debug, clap::Args)]
struct JoinCodeOptions {
    #[command(flatten)]
    place: Place,
    /// How many people may sign up with the code.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    uses: u32,
    /// For how many days the code is valid.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=365))]
    days: u32,
    /// Address at which friends reach the server, `host:port`, in place of what the server noted.
    #[arg(long, value_name = "HOST:PORT", value_parser = public)]
    public: Vec<CoordinatorAddress>,
}

#[derive(Debug, Subcommand)]
enum AccountAction {
    /// List all accounts.
    List,
    /// Show one account.
    Show {
        /// Its name.
        handle: Handle,
    },
    /// Set the tier of an account.
    Tier {
        /// Its name.
        handle: Handle,
        /// Its new tier.
        tier: TierName,
    },
    /// Delete an account for good, with all that is held about it, as its holder can. Its devices are cut off from
    /// a running server within two seconds.
    Delete {
        /// Its name.
        handle: Handle,
    },
}

#[derive(Debug, Subcommand)]
enum ReportAction {
    /// List all complaints, oldest first.
    List,
    /// Drop a complaint.
    Close {
        /// Its number.
        number: i64,
    },
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0} things would keep `serve` from starting")]
    Unfit(usize),
    #[error(transparent)]
    Operations(#[from] OperationsError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("{0}; if the disk is full, make room, then try again")]
    Store(#[from] StoreError),
    #[error("there is no complaint {0}; see `report list`")]
    NoReport(i64),
    #[error("no account has the name {0}; see `account list`")]
    NoAccount(Handle),
    #[error(
        "the server has not noted its addresses yet; start `serve` once, or name them with --public HOST:PORT"
    )]
    NoAddress,
    #[error(
        "more than {} addresses do not fit into a join code; name fewer with --public",
        jamsync_protocol::identity::join_code::ADDRESSES_MAX
    )]
    ManyAddresses,
    #[error("the part that writes to the disk has failed, see the log; start the server again")]
    Broken,
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    /// The exit status, as `--help` lists it.
    fn status(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::Serve(ServeError::PortTaken(_) | ServeError::Listen { .. }) | Self::Operations(_) => 3,
            Self::Data(DataError::Newer { .. }) | Self::Backup(BackupError::Newer { .. }) => 5,
            Self::Data(DataError::Locked(_)) => 6,
            Self::Data(DataError::NoData(_)) | Self::NoAccount(_) | Self::NoReport(_) => 7,
            Self::Data(_) => 4,
            Self::Backup(BackupError::Damaged { .. }) => 8,
            Self::Serve(_)
            | Self::Unfit(_)
            | Self::Backup(_)
            | Self::Store(_)
            | Self::NoAddress
            | Self::Broken
            | Self::ManyAddresses
            | Self::Output(_) => 1,
        }
    }
}

/// One line on standard output, at once.
fn say(line: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_folder_of_accounts_may_be_named_before_and_behind_what_to_do() {
        for line in ["account --data D list", "account list --data D", "account show ana --data D"] {
            let parsed =
                Arguments::try_parse_from(["jamsync-coordinator"].into_iter().chain(line.split(' ')));
            let command = parsed.map(|parsed| parsed.command);
            let Ok(Command::Account { place, .. }) = &command else { panic!("{line}: {command:?}") };
            assert_eq!(place.data.as_deref(), Some(std::path::Path::new("D")), "{line}");
        }
    }
}
