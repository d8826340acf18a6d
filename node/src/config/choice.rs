//! Settings that are one of a few words.

use std::str::FromStr;

/// Where the sound goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum SinkKind {
    /// The sound card.
    #[default]
    Cpal,
    /// A simulated sound card, for measurements without one.
    Virtual,
    /// A WAV file, in real time.
    Wav,
    /// Nowhere, in real time.
    Null,
}

/// What the music of a Jam does while the friend is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum WhenAway {
    /// It plays on, and who comes back joins in.
    #[default]
    GoOn,
    /// It stops, and plays on once the friend is back.
    Wait,
}

impl SinkKind {
    /// The name that flags and messages use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpal => "cpal",
            Self::Virtual => "virtual",
            Self::Wav => "wav",
            Self::Null => "null",
        }
    }
}

impl FromStr for SinkKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Cpal, Self::Virtual, Self::Wav, Self::Null]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| "must be cpal, virtual, wav or null".to_owned())
    }
}

impl WhenAway {
    /// The name that flags and messages use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GoOn => "go-on",
            Self::Wait => "wait",
        }
    }
}

impl FromStr for WhenAway {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::GoOn, Self::Wait]
            .into_iter()
            .find(|choice| choice.as_str() == text)
            .ok_or_else(|| "must be go-on or wait".to_owned())
    }
}
