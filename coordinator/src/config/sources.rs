//! The three sources of settings, and which of them each setting comes from.

use std::{
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
};

use clap::{
    ArgMatches, Command, FromArgMatches,
    error::{ContextKind, ContextValue},
    parser::ValueSource,
};
use toml::de::{DeTable, DeValue};

use super::Config;

/// What stays the same for the life of a process: flags, environment, and which file to read. Loading again reads the
/// file again.
#[derive(Clone, Debug)]
pub struct Sources {
    fixed: Vec<Given>,
    file: Option<PathBuf>,
}

/// One setting, with where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its name, as in the file.
    pub name: String,
    /// Its values as text; more than one only where a setting takes a list.
    pub values: Vec<OsString>,
    /// Who says so.
    pub origin: Origin,
}

/// Who gives a setting its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody.
    Default,
    /// The file, in this line.
    File(usize),
    /// The environment.
    Environment,
    /// A flag.
    Flag,
}

/// Settings that hold, and where each comes from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Every setting in the order of [`Config`].
    pub settings: Vec<Given>,
}

/// Why settings cannot be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {reason}; correct --config or the file's permissions", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Lines of the file are wrong.
    #[error("{}; correct the file, then try it with `check`", Wrong(.path, .lines))]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Each wrong line with its number, what is wrong, and what is allowed.
        lines: Vec<String>,
    },
    /// A flag or a variable is wrong.
    #[error("{0}")]
    Flag(String),
    /// Nothing says where the data are.
    #[error(
        "name the coordinator's folder: --data DIR, JAMSYNC_COORDINATOR_DATA, or `data` in the file that --config names"
    )]
    NoData,
}

impl Sources {
    /// The settings among what the program was called with, and the file that it names.
    #[must_use]
    pub fn new(called: &ArgMatches, file: Option<PathBuf>) -> Self {
        let given = |argument: &clap::Arg| {
            let id = argument.get_id().as_str();
            let origin = match called.value_source(id) {
                Some(ValueSource::CommandLine) => Origin::Flag,
                Some(ValueSource::EnvVariable) => Origin::Environment,
                Some(ValueSource::DefaultValue | _) | None => return None,
            };
            let values = called.get_raw(id)?.map(ToOwned::to_owned).collect();
            Some(Given { name: id.to_owned(), values, origin })
        };
        Self { fixed: command().get_arguments().filter_map(given).collect(), file }
    }

    /// Reads the file, and puts all sources together.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let of_file = self.file.as_deref().map(read).transpose()?.unwrap_or_default();
        let given = |name: &str| self.fixed.iter().chain(&of_file).find(|given| given.name == name).cloned();
        let settings: Vec<Given> = command()
            .get_arguments()
            .map(|argument| {
                let name = argument.get_id().as_str();
                given(name).unwrap_or_else(|| Given {
                    name: name.to_owned(),
                    values: argument.get_default_values().iter().map(|value| value.clone().into()).collect(),
                    origin: Origin::Default,
                })
            })
            .collect();
        let flags = settings.iter().flat_map(flags);
        let wrong = |error: clap::Error| ConfigError::Flag(why(&error));
        let matches = command().try_get_matches_from(flags).map_err(wrong)?;
        Ok(Loaded { config: Config::from_arg_matches(&matches).map_err(wrong)?, settings })
    }
}

impl Loaded {
    /// The data folder.
    ///
    /// # Errors
    /// [`ConfigError::NoData`] where nothing names it.
    pub fn data(&self) -> Result<&Path, ConfigError> {
        self.config.data.as_deref().ok_or(ConfigError::NoData)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(line) => write!(f, "file, line {line}"),
            Self::Environment => f.write_str("environment"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

impl fmt::Display for Given {
    /// As a line of the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &OsString| {
            let text = value.to_string_lossy().into_owned();
            text.parse::<i64>().map_or_else(|_| toml::Value::String(text), toml::Value::Integer).to_string()
        };
        let values: Vec<String> = self.values.iter().map(value).collect();
        match &values[..] {
            [] => write!(f, "# {} is not set", self.name),
            [one] => write!(f, "{} = {one}", self.name),
            many => write!(f, "{} = [{}]", self.name, many.join(", ")),
        }
    }
}

/// All wrong lines, each with the file's name.
struct Wrong<'a>(&'a Path, &'a [String]);

impl fmt::Display for Wrong<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, line) in self.1.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}{}, {line}", self.0.display())?;
        }
        Ok(())
    }
}

fn command() -> Command {
    Config::command_alone().no_binary_name(true)
}

fn flags(given: &Given) -> impl Iterator<Item = OsString> {
    let name = given.name.replace('_', "-");
    given.values.iter().map(move |value| {
        let mut flag = OsString::from(format!("--{name}="));
        flag.push(value);
        flag
    })
}

fn read(path: &Path) -> Result<Vec<Given>, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), reason: error.to_string() })?;
    parse(&text).map_err(|lines| ConfigError::Wrong { path: path.to_owned(), lines })
}

/// The settings in `text`, or every line that is wrong.
pub(super) fn parse(text: &str) -> Result<Vec<Given>, Vec<String>> {
    let line_of = |byte: usize| text.bytes().take(byte).filter(|&b| b == b'\n').count() + 1;
    let table = DeTable::parse(text).map_err(|error| {
        let line = line_of(error.span().map_or(0, |span| span.start));
        vec![format!("line {line} is not TOML: {}", error.message())]
    })?;
    let (mut given, mut wrong) = (Vec::new(), Vec::new());
    for (key, value) in table.get_ref() {
        let line = line_of(key.span().start);
        match setting(key.get_ref(), value.get_ref(), line) {
            Ok(setting) => given.push(setting),
            Err(why) => wrong.push((line, format!("line {line}: `{}` {why}", key.get_ref()))),
        }
    }
    wrong.sort();
    if wrong.is_empty() { Ok(given) } else { Err(wrong.into_iter().map(|(_, why)| why).collect()) }
}

/// One setting of the file, checked as its flag would be.
fn setting(name: &str, value: &DeValue<'_>, line: usize) -> Result<Given, String> {
    let command = command();
    if !command.get_arguments().any(|argument| argument.get_id() == name) {
        let known: Vec<&str> = command.get_arguments().map(|argument| argument.get_id().as_str()).collect();
        return Err(format!("is no setting; there are {}", known.join(", ")));
    }
    let values = if let DeValue::Array(values) = value {
        values.iter().map(|value| text_of(value.get_ref())).collect::<Result<_, _>>()?
    } else {
        vec![text_of(value)?]
    };
    let given = Given { name: name.to_owned(), values, origin: Origin::File(line) };
    command.try_get_matches_from(flags(&given)).map_err(|error| why(&error))?;
    Ok(given)
}

fn text_of(value: &DeValue<'_>) -> Result<OsString, String> {
    match value {
        DeValue::String(text) => Ok(text.as_ref().into()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().into()),
        DeValue::Float(number) => Ok(number.as_str().into()),
        wrong @ (DeValue::Integer(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_)) => Err(format!("cannot be of the kind {}", wrong.type_str())),
    }
}

/// What clap objects to, without its talk of flags.
fn why(error: &clap::Error) -> String {
    if let Some(ContextValue::Strings(valid)) = error.get(ContextKind::ValidValue)
        && !valid.is_empty()
    {
        return format!("must be one of {}", valid.join(", "));
    }
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.kind().to_string(),
    }
}
