//! The operator's commands. Each says on one line what went wrong and what to do, and ends with a status of its
//! own kind, so that a script can tell.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand, ValueEnum, error::ErrorKind};
use jamsync_protocol::{
    id::Handle,
    identity::{Tier, join_code::CoordinatorAddress},
};

use crate::{data::DataError, server::ServeError, store::StoreError};

mod admin;
mod serve;

/// Runs the command that the program was called with.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(arguments)),
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

async fn run(arguments: Arguments) -> Result<(), CliError> {
    let json = arguments.json;
    match arguments.command {
        Command::Serve(options) => serve::serve(options, json).await,
        Command::JoinCode(options) => admin::join_code(options, json).await,
        Command::Account { data: Some(data), action } => admin::account(&data, action, json).await,
        Command::Account { data: None, .. } => {
            let what = "name the coordinator's folder with --data DIR or JAMSYNC_COORDINATOR_DATA";
            Arguments::command().error(ErrorKind::MissingRequiredArgument, what).exit()
        }
    }
}

/// The server that introduces friends to each other, so that they can hear the same music at the same time.
#[derive(Debug, Parser)]
#[command(
    name = "jamsync-coordinator",
    version,
    after_help = "Exit status: 0 done, 1 other failure, 2 wrong usage, 3 cannot listen on the address, 4 data \
                  folder unusable, 5 database of a newer version, 6 another server uses the folder, 7 no such \
                  account or no server's data.\nLog detail: JAMSYNC_LOG=debug."
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
    /// Serve until the program is stopped with Ctrl-C or SIGTERM.
    Serve(ServeOptions),
    /// Print a code with which friends can sign up; works while the server runs.
    JoinCode(JoinCodeOptions),
    /// Look at accounts or change their tier; works while the server runs.
    Account {
        /// Folder that holds the coordinator's key and database.
        // Required all the same: an option that may stand behind the action too cannot be marked so.
        #[arg(long, global = true, value_name = "DIR", env = "JAMSYNC_COORDINATOR_DATA")]
        data: Option<PathBuf>,
        #[command(subcommand)]
        action: AccountAction,
    },
}

#[derive(Debug, clap::Args)]
struct DataOption {
    /// Folder that holds the coordinator's key and database.
    #[arg(long, value_name = "DIR", env = "JAMSYNC_COORDINATOR_DATA")]
    data: PathBuf,
}

#[derive(Debug, clap::Args)]
struct ServeOptions {
    #[command(flatten)]
    data: DataOption,
    /// UDP address to listen on; `[::]` takes IPv4 as well.
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:4470")]
    listen: SocketAddr,
    /// Address at which friends reach this server, `host:port`; may be given several times. Without it, join
    /// codes name the address listened on, or those of this machine.
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    public: Vec<CoordinatorAddress>,
    /// Tier of new accounts.
    #[arg(long, value_name = "TIER", default_value = "premium")]
    tier_default: TierName,
    /// Age in years from which Jams are open.
    #[arg(long, value_name = "YEARS", default_value_t = 16, value_parser = clap::value_parser!(u8).range(0..=99))]
    minimum_age: u8,
    /// How long a Jam request stays open.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(5..=86_400))]
    request_expiry: u32,
}

#[derive(Debug, clap::Args)]
struct JoinCodeOptions {
    #[command(flatten)]
    data: DataOption,
    /// How many people may sign up with the code.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    uses: u32,
    /// For how many days the code is valid.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=365))]
    days: u32,
    /// Address at which friends reach the server, `host:port`, in place of what the server noted.
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
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
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TierName {
    Free,
    Premium,
}

impl From<TierName> for Tier {
    fn from(name: TierName) -> Self {
        match name {
            TierName::Free => Self::Free,
            TierName::Premium => Self::Premium,
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("{0}; if the disk is full, make room, then try again")]
    Store(#[from] StoreError),
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
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    /// The exit status, as `--help` lists it.
    fn status(&self) -> u8 {
        match self {
            Self::Serve(ServeError::PortTaken(_) | ServeError::Listen { .. }) => 3,
            Self::Data(DataError::Newer { .. }) => 5,
            Self::Data(DataError::Locked(_)) => 6,
            Self::Data(DataError::NoData(_)) | Self::NoAccount(_) => 7,
            Self::Data(_) => 4,
            Self::Serve(_) | Self::Store(_) | Self::NoAddress | Self::ManyAddresses | Self::Output(_) => 1,
        }
    }
}

/// One line on standard output, at once.
fn say(line: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// `host:port`, where the host is a name or an address.
fn address(text: &str) -> Result<CoordinatorAddress, String> {
    let wrong = || format!("`{text}` is no address; write host:port, for example jam.example.org:4470");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let bare_v6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    if host.is_empty() || bare_v6 || port.parse::<u16>().map_or(true, |port| port == 0) {
        return Err(wrong());
    }
    CoordinatorAddress::new(text).map_err(|_| wrong())
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
            let Ok(Command::Account { data, .. }) = &command else { panic!("{line}: {command:?}") };
            assert_eq!(data.as_deref(), Some(std::path::Path::new("D")), "{line}");
        }
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for right in ["jam.example.org:4470", "192.0.2.1:1", "[2001:db8::1]:4470"] {
            assert!(address(right).is_ok(), "{right}");
        }
        for wrong in ["", "4470", "host", "host:", ":4470", "host:0", "host:70000", "2001:db8::1:4470"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
