//! Settings of a daemon: flags before environment before configuration file before defaults.
//!
//! Flags and environment are checked by the command line, which refuses what it does not understand. The file is
//! read here, and never keeps the program from starting: each line that is not understood becomes a warning that
//! names it, and the rest holds.

use std::{ffi::OsString, fmt::Display, fs, io, net::SocketAddr, path::PathBuf, str::FromStr};

use clap::{Args, builder::FalseyValueParser};
use jamsync_protocol::time::{Ppm, Span};
use toml::de::{DeTable, DeValue};

mod choice;

pub use choice::{SinkKind, WhenAway};

use crate::{clock::ClockFaults, paths::Paths};

/// What an engine is started with. Its state folder is locked for this process.
#[derive(Clone, Debug, PartialEq)]
pub struct Boot {
    /// Where to keep what is kept.
    pub paths: Paths,
    /// How to run.
    pub settings: Settings,
    /// What is wrong in the configuration file: shown with the state.
    pub warnings: Vec<String>,
}

/// How an engine runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The UDP address for friends and coordinator; port 0 takes any free one. None, the default, is any free port on
    /// all addresses of both versions.
    pub listen: Option<SocketAddr>,
    /// Where the sound goes. Default `cpal`.
    pub sink: SinkKind,
    /// The audio device; none is the system's default.
    pub device: Option<String>,
    /// Where the sinks `wav` and `virtual` record what is played: the beginning of a path, to which they add endings.
    /// None records nothing; `wav` always has one.
    pub record: Option<PathBuf>,
    /// Rate error of the virtual device. Unit ppm, range -1,000 to 1,000, default 0.
    pub dac_rate: Ppm,
    /// Latency of the virtual device. Unit ms, range 6 to 1,000, default 60.
    pub dac_latency: Span,
    /// What the music of a Jam does while the friend is away. Default `go-on`.
    pub when_away: WhenAway,
    /// Added to this node's clock, for tests. Default 0.
    pub clock_offset: Span,
    /// Rate error added to this node's clock, for tests. Unit ppm, range -1,000 to 1,000, default 0.
    pub clock_rate: Ppm,
    /// What happens to this node's clock, for tests. Default nothing.
    pub clock_faults: ClockFaults,
    /// Breaks this node on purpose, to show that the measurement notices.
    pub sabotage: Sabotage,
    /// Where the friend is met instead of at its own addresses, for tests. Default none.
    pub peer_via: Option<SocketAddr>,
}

/// Faults that prove a measurement can fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sabotage {
    /// Takes the offset between the clocks for zero.
    pub zero_offset: bool,
    /// Holds the playback rate at 1.
    pub hold_rate: bool,
}

/// Settings as one source gives them: what is none is left to the next source.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Options of the daemon (also as environment variables and in config.toml)")]
pub struct Options {
    /// UDP address or port for friends and coordinator; port 0 takes any free one [default: any]
    #[arg(long, global = true, env = "JAMSYNC_LISTEN", hide_env_values = true, value_name = "ADDRESS", value_parser = listen_address)]
    pub listen: Option<SocketAddr>,
    /// Where the sound goes [default: cpal]
    #[arg(long, global = true, env = "JAMSYNC_SINK", hide_env_values = true, value_name = "SINK")]
    pub sink: Option<SinkKind>,
    /// Audio device, as `jamsync devices` names it [default: the system's]
    #[arg(long, global = true, env = "JAMSYNC_DEVICE", hide_env_values = true, value_name = "NAME")]
    pub device: Option<String>,
    /// Record what the sinks wav and virtual play, to files that begin with this path
    #[arg(long, global = true, env = "JAMSYNC_RECORD", hide_env_values = true, value_name = "PREFIX")]
    pub record: Option<PathBuf>,
    /// What the music of a Jam does while your friend is away, or not ready for what begins [default: go-on]
    #[arg(long, global = true, env = "JAMSYNC_WHEN_AWAY", hide_env_values = true, value_name = "WHAT")]
    pub when_away: Option<WhenAway>,
    /// Rate error of the virtual device in ppm
    #[arg(long, global = true, env = "JAMSYNC_DAC_PPM", hide_env_values = true, value_name = "PPM", value_parser = rate, allow_negative_numbers = true, hide_short_help = true)]
    pub dac_ppm: Option<Ppm>,
    /// Latency of the virtual device in milliseconds
    #[arg(long, global = true, env = "JAMSYNC_DAC_LATENCY_MS", hide_env_values = true, value_name = "MS", value_parser = latency, hide_short_help = true)]
    pub dac_latency_ms: Option<Span>,
    /// Shift this node's clock, for tests: seconds, or a number with ns, us, ms, s, min or h
    #[arg(long, global = true, env = "JAMSYNC_CLOCK_OFFSET", hide_env_values = true, value_name = "TIME", value_parser = span, allow_hyphen_values = true, hide_short_help = true)]
    pub clock_offset: Option<Span>,
    /// Rate error of this node's clock in ppm, for tests
    #[arg(long, global = true, env = "JAMSYNC_CLOCK_PPM", hide_env_values = true, value_name = "PPM", value_parser = rate, allow_negative_numbers = true, hide_short_help = true)]
    pub clock_ppm: Option<Ppm>,
    /// Let this node's clock jump, for tests: at which reading of the system's monotonic clock, and by how much
    #[arg(long, global = true, env = "JAMSYNC_CLOCK_STEP", hide_env_values = true, value_name = "AT,BY", value_parser = two_spans, allow_hyphen_values = true, hide = true)]
    pub clock_step: Option<(Span, Span)>,
    /// Let this node's clock stand still as in a sleep of the machine, for tests: from which reading, and how long
    #[arg(long, global = true, env = "JAMSYNC_TEST_SLEEP", hide_env_values = true, value_name = "AT,FOR", value_parser = two_spans, hide = true)]
    pub test_sleep: Option<(Span, Span)>,
    /// Take the offset between the clocks for zero, to show that the measurement notices
    #[arg(long, global = true, env = "JAMSYNC_TEST_ZERO_OFFSET", hide_env_values = true, value_parser = FalseyValueParser::new(), hide = true)]
    pub test_zero_offset: bool,
    /// Hold the playback rate at 1, to show that the measurement notices
    #[arg(long, global = true, env = "JAMSYNC_TEST_HOLD_RATE", hide_env_values = true, value_parser = FalseyValueParser::new(), hide = true)]
    pub test_hold_rate: bool,
    /// Meet the friend at this address instead of its own, so that a test can put a link between the two
    #[arg(
        long,
        global = true,
        env = "JAMSYNC_TEST_PEER_VIA",
        hide_env_values = true,
        value_name = "ADDRESS",
        hide = true
    )]
    pub test_peer_via: Option<SocketAddr>,
}

impl Settings {
    /// `options` completed from the configuration file, and what is wrong in that file, one sentence each.
    #[must_use]
    pub fn load(paths: &Paths, options: &Options) -> (Self, Vec<String>) {
        let path = paths.config_file();
        let (file, warnings) = match fs::read_to_string(&path) {
            Ok(text) => read_file(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Options::default(), Vec::new()),
            Err(error) => (Options::default(), vec![format!("cannot be read ({error}); defaults hold")]),
        };
        let mut warnings: Vec<String> =
            warnings.into_iter().map(|warning| format!("{}: {warning}", path.display())).collect();
        let mut settings = options.clone().or(file).complete();
        if options.record.is_none() && !settings.records() {
            warnings.push(format!(
                "{}: `record` does nothing with the sink {}; choose virtual, which stamps the times, or wav",
                path.display(),
                settings.sink.as_str()
            ));
        }
        // The daemon's own folder is the root of the file system, where nobody looks for a recording.
        if settings.sink == SinkKind::Wav && settings.record.is_none() {
            settings.record = Some(paths.state().join("output"));
        }
        (settings, warnings)
    }

    /// Whether what is to be recorded is recorded; also where nothing is.
    #[must_use]
    pub fn records(&self) -> bool {
        self.record.is_none() || matches!(self.sink, SinkKind::Virtual | SinkKind::Wav)
    }
}

impl Options {
    /// These settings, and `other`'s where these say nothing.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            sink: self.sink.or(other.sink),
            device: self.device.or(other.device),
            record: self.record.or(other.record),
            when_away: self.when_away.or(other.when_away),
            dac_ppm: self.dac_ppm.or(other.dac_ppm),
            dac_latency_ms: self.dac_latency_ms.or(other.dac_latency_ms),
            clock_offset: self.clock_offset.or(other.clock_offset),
            clock_ppm: self.clock_ppm.or(other.clock_ppm),
            clock_step: self.clock_step.or(other.clock_step),
            test_sleep: self.test_sleep.or(other.test_sleep),
            test_zero_offset: self.test_zero_offset || other.test_zero_offset,
            test_hold_rate: self.test_hold_rate || other.test_hold_rate,
            test_peer_via: self.test_peer_via.or(other.test_peer_via),
        }
    }

    /// The flags that say the same to another process in another folder.
    ///
    /// # Errors
    /// Where the folder of this process is unknown and a path is relative to it.
    pub fn to_flags(&self) -> io::Result<Vec<OsString>> {
        let mut flags: Vec<OsString> = Vec::new();
        let mut flag = |name: &str, value: OsString| {
            let mut flag = OsString::from(name);
            flag.push("=");
            flag.push(value);
            flags.push(flag);
        };
        if let Some(listen) = self.listen {
            flag("--listen", listen.to_string().into());
        }
        if let Some(sink) = self.sink {
            flag("--sink", sink.as_str().into());
        }
        if let Some(device) = &self.device {
            flag("--device", device.into());
        }
        if let Some(record) = &self.record {
            flag("--record", std::path::absolute(record)?.into());
        }
        if let Some(when_away) = self.when_away {
            flag("--when-away", when_away.as_str().into());
        }
        if let Some(rate) = self.dac_ppm {
            flag("--dac-ppm", rate.0.to_string().into());
        }
        if let Some(latency) = self.dac_latency_ms {
            flag("--dac-latency-ms", (latency.as_secs_f64() * 1e3).to_string().into());
        }
        if let Some(offset) = self.clock_offset {
            flag("--clock-offset", format!("{}ns", offset.as_nanos()).into());
        }
        if let Some(rate) = self.clock_ppm {
            flag("--clock-ppm", rate.0.to_string().into());
        }
        let both = |(at, of): (Span, Span)| format!("{}ns,{}ns", at.as_nanos(), of.as_nanos()).into();
        if let Some(step) = self.clock_step {
            flag("--clock-step", both(step));
        }
        if let Some(sleep) = self.test_sleep {
            flag("--test-sleep", both(sleep));
        }
        if self.test_zero_offset {
            flags.push("--test-zero-offset".into());
        }
        if self.test_hold_rate {
            flags.push("--test-hold-rate".into());
        }
        if let Some(via) = self.test_peer_via {
            flags.push(format!("--test-peer-via={via}").into());
        }
        Ok(flags)
    }

    /// These settings, with defaults where they say nothing.
    pub(crate) fn complete(self) -> Settings {
        Settings {
            listen: self.listen,
            sink: self.sink.unwrap_or_default(),
            device: self.device,
            record: self.record,
            when_away: self.when_away.unwrap_or_default(),
            dac_rate: self.dac_ppm.unwrap_or_default(),
            dac_latency: self.dac_latency_ms.unwrap_or(DAC_LATENCY),
            clock_offset: self.clock_offset.unwrap_or_default(),
            clock_rate: self.clock_ppm.unwrap_or_default(),
            clock_faults: ClockFaults { step: self.clock_step, sleep: self.test_sleep },
            sabotage: Sabotage { zero_offset: self.test_zero_offset, hold_rate: self.test_hold_rate },
            peer_via: self.test_peer_via,
        }
    }

    /// Takes one line of the configuration file.
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        fn parsed<T: FromStr<Err: Display>>(value: &str) -> Result<T, String> {
            value.parse().map_err(|error: T::Err| error.to_string())
        }
        match key {
            "listen" => self.listen = Some(listen_address(value)?),
            "sink" => self.sink = Some(parsed(value)?),
            "device" => self.device = Some(value.to_owned()),
            "record" => {
                let path = PathBuf::from(value);
                if !path.is_absolute() {
                    return Err("must be an absolute path".to_owned());
                }
                self.record = Some(path);
            }
            "when_away" => self.when_away = Some(parsed(value)?),
            "dac_ppm" => self.dac_ppm = Some(rate(value)?),
            "dac_latency_ms" => self.dac_latency_ms = Some(latency(value)?),
            "clock_offset" => self.clock_offset = Some(span(value)?),
            "clock_ppm" => self.clock_ppm = Some(rate(value)?),
            _ => return Err("is no setting of jamsync".to_owned()),
        }
        Ok(())
    }
}

/// What `text` sets, and what is wrong in it, with the line.
fn read_file(text: &str) -> (Options, Vec<String>) {
    let line_of = |byte: usize| text.bytes().take(byte).filter(|&b| b == b'\n').count() + 1;
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut wrong: Vec<(usize, String)> = errors
        .iter()
        .map(|error| {
            let line = line_of(error.span().map_or(0, |span| span.start));
            (line, format!("line {line} is not TOML ({}); it is ignored", error.message()))
        })
        .collect();
    let mut options = Options::default();
    for (key, value) in table.get_ref() {
        let name = key.get_ref();
        let line = line_of(key.span().start);
        // A line that is not TOML has its warning already, and what recovery made of it is not what was meant.
        if wrong.iter().any(|(reported, _)| *reported == line) {
            continue;
        }
        let outcome = match value.get_ref() {
            DeValue::String(value) => options.set(name, value),
            DeValue::Integer(value) if value.radix() == 10 => options.set(name, value.as_str()),
            DeValue::Float(value) => options.set(name, value.as_str()),
            wrong @ (DeValue::Integer(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_)) => Err(format!("cannot be of the kind {}", wrong.type_str())),
        };
        if let Err(why) = outcome {
            wrong.push((line, format!("line {line}: `{name}` {why}; it is ignored")));
        }
    }
    wrong.sort();
    (options, wrong.into_iter().map(|(_, warning)| warning).collect())
}

/// An address, or a port alone for all addresses of version 4.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let port = || text.trim_start_matches(':').parse::<u16>().ok();
    text.parse()
        .ok()
        .or_else(|| Some(SocketAddr::from(([0, 0, 0, 0], port()?))))
        .ok_or_else(|| "must be an address with a port, such as 0.0.0.0:4472, or a port alone".to_owned())
}

/// A rate error in ppm.
fn rate(text: &str) -> Result<Ppm, String> {
    match text.parse::<f64>() {
        Ok(ppm) if ppm.abs() <= RATE_LIMIT_PPM => Ok(Ppm(ppm)),
        _ => Err(format!("must be a number from -{RATE_LIMIT_PPM} to {RATE_LIMIT_PPM}, in ppm")),
    }
}

/// A latency in milliseconds.
fn latency(text: &str) -> Result<Span, String> {
    match text.parse::<f64>() {
        Ok(ms) if (LATENCY_LEAST_MS..=LATENCY_MOST_MS).contains(&ms) => Ok(Span::from_secs_f64(ms / 1e3)),
        _ => Err(format!("must be a number from {LATENCY_LEAST_MS} to {LATENCY_MOST_MS}, in milliseconds")),
    }
}

/// A signed length of time: seconds, or a number with its unit.
fn span(text: &str) -> Result<Span, String> {
    let wrong = || "must be seconds, or a number with ns, us, ms, s, min or h".to_owned();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split).ok_or_else(wrong)?;
    let nanos_per_unit: i64 = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "" | "s" => 1_000_000_000,
        "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(wrong()),
    };
    // Whole numbers are taken exactly, because hours of nanoseconds are more than a float holds.
    if let Ok(whole) = number.trim().parse::<i64>() {
        return whole.checked_mul(nanos_per_unit).map(Span::from_nanos).ok_or_else(wrong);
    }
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let unit = Span::from_nanos(nanos_per_unit);
    if number.is_finite() { Ok(unit.scaled(number)) } else { Err(wrong()) }
}

/// Two lengths of time with a comma between them.
fn two_spans(text: &str) -> Result<(Span, Span), String> {
    let (first, second) = text.split_once(',').ok_or("must be two times with a comma between them")?;
    Ok((span(first)?, span(second)?))
}

/// Rate errors worth testing, in ppm: crystals are within 100.
const RATE_LIMIT_PPM: f64 = 1_000.0;

/// The least latency of the virtual device, in milliseconds: its callbacks are late by up to 5.
const LATENCY_LEAST_MS: f64 = 6.0;

/// The most, in milliseconds: wireless headphones reach 500.
const LATENCY_MOST_MS: f64 = 1_000.0;

/// The virtual device's latency where none is set: long enough that a busy machine does not run it dry.
const DAC_LATENCY: Span = Span::from_millis(60);

#[cfg(test)]
mod tests;
