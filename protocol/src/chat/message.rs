//! The bytes of the chat stream. Enums are append-only.

use core::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::ChatText;
use crate::{id::Participant, time::UtcTime};

/// A message on the chat stream. The first one each way is [`Resume`](Self::Resume).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChatMessage {
    /// What I have of what you said; say the rest again.
    Resume {
        /// The number of the last message of the receiver's present process that is here; 0 for none.
        heard: u32,
    },
    /// I say this.
    Say(Said),
    /// I have what you said up to here.
    Heard {
        /// The number of the last message that is here.
        number: u32,
    },
    /// I react to what is heard now.
    React(Reaction),
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Which message.
    pub id: MessageId,
    /// When it was said, by its author's calendar: for display only, since calendars differ. Numbers give the order.
    pub at: UtcTime,
    /// What was said.
    pub text: ChatText,
}

/// A message: who said it, and a number that its author's process never uses twice in a Jam.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId {
    /// Who said it.
    pub author: Participant,
    /// Counted from 1 by the author, without gaps.
    pub number: u32,
}

/// A reaction to what is heard now: one of a palette of six.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reaction {
    /// ❤️
    Heart,
    /// 🔥
    Fire,
    /// 👏
    Clap,
    /// 😂
    Laugh,
    /// 😮
    Wow,
    /// 😢
    Sad,
}

/// A text that names no reaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such reaction; there are heart ❤️, fire 🔥, clap 👏, laugh 😂, wow 😮 and sad 😢")]
pub struct UnknownReaction;

impl Reaction {
    /// The palette, in the order in which it is offered.
    pub const ALL: [Self; 6] = [Self::Heart, Self::Fire, Self::Clap, Self::Laugh, Self::Wow, Self::Sad];

    /// Its name: one lower-case word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Heart => "heart",
            Self::Fire => "fire",
            Self::Clap => "clap",
            Self::Laugh => "laugh",
            Self::Wow => "wow",
            Self::Sad => "sad",
        }
    }

    /// Its picture.
    #[must_use]
    pub const fn emoji(self) -> &'static str {
        match self {
            Self::Heart => "❤️",
            Self::Fire => "🔥",
            Self::Clap => "👏",
            Self::Laugh => "😂",
            Self::Wow => "😮",
            Self::Sad => "😢",
        }
    }
}

/// By its name or its picture.
impl FromStr for Reaction {
    type Err = UnknownReaction;
    fn from_str(text: &str) -> Result<Self, UnknownReaction> {
        // Some keyboards leave out the selector that asks for the coloured picture.
        let plain = |picture: &'static str| picture.trim_end_matches('\u{fe0f}');
        let text = text.trim().trim_end_matches('\u{fe0f}');
        let fits =
            |reaction: &Self| text.eq_ignore_ascii_case(reaction.name()) || text == plain(reaction.emoji());
        Self::ALL.into_iter().find(fits).ok_or(UnknownReaction)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {:?}.{}", self.author, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reaction_is_known_by_name_and_by_picture() {
        for reaction in Reaction::ALL {
            assert_eq!(reaction.name().parse(), Ok(reaction));
            assert_eq!(reaction.emoji().parse(), Ok(reaction));
        }
        assert_eq!("❤".parse(), Ok(Reaction::Heart));
        assert_eq!(" Fire ".parse(), Ok(Reaction::Fire));
        assert_eq!("💩".parse::<Reaction>(), Err(UnknownReaction));
        assert_eq!("".parse::<Reaction>(), Err(UnknownReaction));
    }
}
