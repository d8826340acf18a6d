//! The text of a message: not empty, not long, and nothing in it that steers a terminal.

use alloc::string::String;
use core::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::{
    limits::TEXT_BYTES_MAX,
    text::{Text, isolated},
};

/// What a person says: 1 to [`TEXT_BYTES_MAX`] bytes of UTF-8 with something to read in them, and no control
/// character but line feeds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct ChatText(Text<TEXT_BYTES_MAX>);

/// A text that cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatTextError {
    /// There is nothing to read in it.
    #[error("there is nothing to say; write some words")]
    Empty,
    /// It is too long.
    #[error("the text has {actual} bytes and at most {TEXT_BYTES_MAX} can be said at once; send it in parts")]
    TooLong {
        /// How many bytes it has.
        actual: usize,
    },
    /// It holds a control character.
    #[error("the text holds the control character {0:?}, which steers terminals; leave it out")]
    Control(char),
}

impl ChatText {
    /// The text as it was written. It may hold direction overrides: show [`lines`](Self::lines) to a terminal.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Its lines, each harmless to a terminal and to what stands beside it.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.as_str().lines().map(isolated)
    }
}

impl FromStr for ChatText {
    type Err = ChatTextError;
    fn from_str(text: &str) -> Result<Self, ChatTextError> {
        if let Some(control) = text.chars().find(|c| c.is_control() && *c != '\n') {
            return Err(ChatTextError::Control(control));
        }
        if text.trim().is_empty() {
            return Err(ChatTextError::Empty);
        }
        Text::new(text).map(Self).map_err(|long| ChatTextError::TooLong { actual: long.actual })
    }
}

impl<'de> Deserialize<'de> for ChatText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::<TEXT_BYTES_MAX>::deserialize(deserializer)?;
        text.as_str().parse().map_err(D::Error::custom)
    }
}

/// Its lines as [`lines`](ChatText::lines) gives them.
impl fmt::Display for ChatText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, line) in self.lines().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&line)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn what_steers_a_terminal_cannot_be_said() {
        for (text, control) in
            [("a\u{1b}[2J", '\u{1b}'), ("a\rb", '\r'), ("\u{9b}1m", '\u{9b}'), ("a\0", '\0')]
        {
            assert_eq!(text.parse::<ChatText>(), Err(ChatTextError::Control(control)));
            let bytes = postcard::to_allocvec(text).expect("encodes");
            assert!(postcard::from_bytes::<ChatText>(&bytes).is_err(), "{text:?} came over the wire");
        }
    }

    #[test]
    fn a_text_has_something_to_read_and_an_end() {
        for text in ["", " ", "\n\n", "\u{3000}"] {
            assert_eq!(text.parse::<ChatText>(), Err(ChatTextError::Empty), "{text:?}");
        }
        let longest = "é".repeat(TEXT_BYTES_MAX / 2);
        assert_eq!(longest.parse::<ChatText>().expect("fits").as_str(), longest);
        let actual = TEXT_BYTES_MAX + 2;
        assert_eq!("é".repeat(actual / 2).parse::<ChatText>(), Err(ChatTextError::TooLong { actual }));
    }

    #[test]
    fn lines_stay_lines_and_their_direction_stays_inside_them() {
        let text: ChatText = "one\nשלום\n\u{202e}evil".parse().expect("may be said");
        assert_eq!(text.to_string(), "one\n\u{2068}שלום\u{2069}\n\u{fffd}evil");
    }
}
