//! The paths that every measurement names: embedded scenario files, and those that others write.

use serde::{Deserialize, Serialize};

use super::config::{PathConfig, ScenarioError};

/// A path with a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is called.
    pub name: String,
    /// What it stands for, in one line.
    pub about: String,
    /// The path.
    pub path: PathConfig,
}

impl Scenario {
    /// The scenario of that name.
    ///
    /// # Errors
    /// [`ScenarioError::Unknown`] lists the names that exist.
    pub fn built_in(name: &str) -> Result<Self, ScenarioError> {
        let file = FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| text);
        let unknown = || ScenarioError::Unknown {
            name: name.to_owned(),
            known: Self::names().collect::<Vec<_>>().join(", "),
        };
        Self::from_toml(file.ok_or_else(unknown)?)
    }

    /// The names of the scenarios that are built in.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FILES.iter().map(|(name, _)| *name)
    }

    /// Reads a scenario file.
    ///
    /// # Errors
    /// [`ScenarioError::Malformed`] names the line, and the allowed range or keys.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        toml::from_str(text).map_err(|error| ScenarioError::Malformed(error.to_string()))
    }
}

const FILES: [(&str, &str); 11] = [
    ("lan", include_str!("scenarios/lan.toml")),
    ("wifi", include_str!("scenarios/wifi.toml")),
    ("wan50", include_str!("scenarios/wan50.toml")),
    ("wan50-jitter", include_str!("scenarios/wan50-jitter.toml")),
    ("wan-normal", include_str!("scenarios/wan-normal.toml")),
    ("asymmetric-40-1", include_str!("scenarios/asymmetric-40-1.toml")),
    ("asymmetric-30-15", include_str!("scenarios/asymmetric-30-15.toml")),
    ("wan150", include_str!("scenarios/wan150.toml")),
    ("bufferbloat", include_str!("scenarios/bufferbloat.toml")),
    ("loss2", include_str!("scenarios/loss2.toml")),
    ("outage30", include_str!("scenarios/outage30.toml")),
];
