//! Settings of a server: flags before environment before configuration file before defaults.
//!
//! [`Config`] is the one place where a setting is declared: its flag, its environment variable, its key in the file
//! (the flag's name with `_`), its range, its default and its help are the same declaration, and all three sources go
//! through the same check. What is not understood is refused with the line and with what is allowed. Input is the
//! command line that the program was called with and one file; nothing here opens a socket or a database.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf};

use clap::{Args, ValueEnum};
use jamsync_protocol::{
    identity::{Market, Tier, join_code::CoordinatorAddress},
    time::Span,
};

mod sources;

pub use sources::{ConfigError, Given, Loaded, Origin, Sources};

use crate::{eligibility::Markets, rules, server::Limits};

/// All settings of a server. Each is a flag, an environment variable, and a key of the configuration file.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(
    next_help_heading = "Settings (also as environment variables, and as keys of the file with `_` for `-`)"
)]
pub struct Config {
    /// Folder that holds the coordinator's key and database.
    #[arg(long, value_name = "DIR", env = "JAMSYNC_COORDINATOR_DATA")]
    pub data: Option<PathBuf>,
    /// UDP address to listen on; `[::]` takes IPv4 as well.
    #[arg(long, value_name = "ADDRESS", env = "JAMSYNC_COORDINATOR_LISTEN", default_value = "[::]:4470", value_parser = socket)]
    pub listen: SocketAddr,
    /// Address at which friends reach this server, `host:port`; may be given several times. Without it, join codes name
    /// the address listened on, or those of this machine.
    #[arg(long, value_name = "HOST:PORT", env = "JAMSYNC_COORDINATOR_PUBLIC", value_delimiter = ',', value_parser = public)]
    pub public: Vec<CoordinatorAddress>,
    /// TCP address on this machine for health and metrics, such as 127.0.0.1:4470, or `off`.
    #[arg(long, value_name = "ADDRESS", env = "JAMSYNC_COORDINATOR_OPERATIONS", default_value = "off", value_parser = operations)]
    pub operations: Operations,
    /// What is logged, from error to trace; also by module, as `warn,jamsync_coordinator=debug`.
    #[arg(long, value_name = "FILTER", env = "JAMSYNC_LOG", default_value = "info", value_parser = log_filter)]
    pub log: String,
    /// How a line of the log looks.
    #[arg(long, value_name = "FORMAT", env = "JAMSYNC_COORDINATOR_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Tier of new accounts.
    #[arg(long, value_name = "TIER", env = "JAMSYNC_COORDINATOR_TIER_DEFAULT", default_value = "premium")]
    pub tier_default: TierName,
    /// Age in years from which Jams are open, 0 to 99. Lower breaks the law in some countries, higher locks people out.
    #[arg(long, value_name = "YEARS", env = "JAMSYNC_COORDINATOR_MINIMUM_AGE", default_value = "16", value_parser = whole::<u8>(0..=99))]
    pub minimum_age: u8,
    /// How long a Jam request stays open, 5 to 86,400 seconds. Shorter misses a friend in the kitchen, longer rings for
    /// someone who has gone.
    #[arg(long, value_name = "SECONDS", env = "JAMSYNC_COORDINATOR_REQUEST_EXPIRY_S", default_value = "300", value_parser = whole::<u32>(5..=86_400))]
    pub request_expiry_s: u32,
    /// Countries in which Jams are open, two letters each; may be given several times. Without it they are open
    /// everywhere.
    #[arg(long, value_name = "CC", env = "JAMSYNC_COORDINATOR_MARKETS", value_delimiter = ',', value_parser = market)]
    pub markets: Vec<Market>,
    /// Part of all accounts to which Jams are open, 0 to 100 percent. An account that was reached stays so while this
    /// grows.
    #[arg(long, value_name = "PERCENT", env = "JAMSYNC_COORDINATOR_ROLLOUT_PERCENT", default_value = "100", value_parser = whole::<u8>(0..=100))]
    pub rollout_percent: u8,
    /// Connections at once, 16 to 200,000. Fewer turn devices away, more need more memory: about 40 KiB each, and up to
    /// 460 KiB each under attack.
    #[arg(long, value_name = "N", env = "JAMSYNC_COORDINATOR_CONNECTIONS_MAX", default_value = "20000", value_parser = whole::<u32>(16..=200_000))]
    pub connections_max: u32,
    /// Connections of one IPv4 address or IPv6 network of 64 bits, 16 to 200,000. Fewer turn friends away who share an
    /// address, more let fewer machines take every place.
    #[arg(long, value_name = "N", env = "JAMSYNC_COORDINATOR_CONNECTIONS_PER_ORIGIN_MAX", default_value = "256", value_parser = whole::<u32>(16..=200_000))]
    pub connections_per_origin_max: u32,
    /// Whether what holds for one address holds for those of this machine (127.0.0.0/8, `::1`) too. Limited where a proxy
    /// on this machine passes strangers on, trusted where only its operator comes from there.
    #[arg(long, value_name = "HOW", env = "JAMSYNC_COORDINATOR_LOOPBACK", default_value = "trusted")]
    pub loopback: Loopback,
    /// Requests of one device in the long run, 1 to 100,000 a second. Fewer slow a node that starts, more let one device
    /// keep the disk busy.
    #[arg(long, value_name = "N", env = "JAMSYNC_COORDINATOR_REQUESTS_PER_SECOND_MAX", default_value = "20", value_parser = whole::<u32>(1..=100_000))]
    pub requests_per_second_max: u32,
    /// Requests that one device may make at once before that counts, 16 to 100,000.
    #[arg(long, value_name = "N", env = "JAMSYNC_COORDINATOR_REQUESTS_BURST_MAX", default_value = "120", value_parser = whole::<u32>(16..=100_000))]
    pub requests_burst_max: u32,
    /// Requests of one device that change something, in the long run, 1 to 100,000 a second. Fewer hold up somebody who
    /// changes much, more let one device fill the disk, a few hundred bytes each for a day.
    #[arg(long, value_name = "N", env = "JAMSYNC_COORDINATOR_WRITES_PER_SECOND_MAX", default_value = "1", value_parser = whole::<u32>(1..=100_000))]
    pub writes_per_second_max: u32,
    /// Requests that change something and that one device may make at once before that counts, 16 to 100,000. Fewer hold up a
    /// new device, which vouches for every contact.
    #[arg(long, value_name = "N", env = "JAMSYNC_COORDINATOR_WRITES_BURST_MAX", default_value = "240", value_parser = whole::<u32>(16..=100_000))]
    pub writes_burst_max: u32,
}

/// Where health and metrics are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operations {
    /// Nowhere.
    Off,
    /// On this address, which other machines cannot reach.
    At(SocketAddr),
}

/// How connections from this machine's own addresses are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Loopback {
    /// No limit of an address holds for them.
    Trusted,
    /// As those from any address.
    Limited,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people: time, level, where, what, and `name=value`.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// A tier, as flags and the file name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TierName {
    /// Joins Jams.
    Free,
    /// Asks for Jams too.
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

impl Config {
    /// The settings as a command line of their own, without the environment.
    pub(crate) fn command_alone() -> clap::Command {
        let alone = clap::Command::new("settings").disable_help_flag(true);
        Self::augment_args(alone)
            .mut_args(|argument| argument.env(clap::builder::Resettable::<clap::builder::OsStr>::Reset))
    }

    /// The operator's rules.
    #[must_use]
    pub fn rules(&self) -> rules::Settings {
        rules::Settings {
            minimum_age: self.minimum_age,
            tier_default: self.tier_default.into(),
            request_life: Span::from_secs(self.request_expiry_s.into()),
            markets: if self.markets.is_empty() { Markets::All } else { Markets::Only(self.markets.clone()) },
            rollout_percent: self.rollout_percent,
        }
    }

    /// How much anyone may take of the server.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            connections_max: self.connections_max,
            connections_per_origin_max: self.connections_per_origin_max,
            loopback_limited: self.loopback == Loopback::Limited,
            requests_per_second_max: self.requests_per_second_max,
            requests_burst_max: self.requests_burst_max,
            writes_per_second_max: self.writes_per_second_max,
            writes_burst_max: self.writes_burst_max,
        }
    }
}

/// `host:port`, where the host is a name or an address.
///
/// # Errors
/// What is wrong, in words.
pub(crate) fn public(text: &str) -> Result<CoordinatorAddress, String> {
    let wrong = || "must be host:port, for example jam.example.org:4470".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let bare_v6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    if host.is_empty() || bare_v6 || port.parse::<u16>().map_or(true, |port| port == 0) {
        return Err(wrong());
    }
    CoordinatorAddress::new(text).map_err(|_| wrong())
}

fn market(text: &str) -> Result<Market, String> {
    text.parse().map_err(|_| "must be a country's two letters, such as DE".to_owned())
}

fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "must be an address with a port, such as [::]:4470 or 192.0.2.1:4470".to_owned())
}

fn operations(text: &str) -> Result<Operations, String> {
    if text == "off" {
        return Ok(Operations::Off);
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(Operations::At(address)),
        _ => Err("must be `off`, or an address of this machine alone, such as 127.0.0.1:4470".to_owned()),
    }
}

fn log_filter(text: &str) -> Result<String, String> {
    match tracing_subscriber::EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("must be error, warn, info, debug or trace, alone or by module".to_owned()),
    }
}

/// A whole number in a range, which a refusal names.
fn whole<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse::<u64>().ok().filter(|number| range.contains(number));
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
    }
}

#[cfg(test)]
mod tests;
