//! Why conversations cannot go on, in words for the listener.

use super::ShelfError;

/// Why conversations cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The database failed.
    #[error(
        "the database of conversations failed: {0}; see that the disk has room and the state folder is yours"
    )]
    Database(String),
    /// The database does not hold what was written.
    #[error("the database of conversations is damaged: {0}")]
    Damaged(String),
    /// A newer version has written it.
    #[error("the database of conversations has version {actual}, this program knows {known}; update jamsync")]
    Newer {
        /// The version found.
        actual: i64,
        /// The version known.
        known: i64,
    },
    /// A key could not be used.
    #[error("a message could not be sealed: {0}; let us know")]
    Keys(String),
    /// Too much waits to be sent already.
    #[error(
        "{waiting} messages to this contact wait to be sent already; they go out once the coordinator takes them"
    )]
    Full {
        /// How many.
        waiting: u32,
    },
    /// The account is none of the contacts.
    #[error("that is none of your contacts; `jamsync contacts` lists them")]
    NoContact,
    /// No such message is known here.
    #[error("there is no such message here; `jamsync messages NAME` shows how each is called")]
    NoMessage,
    /// Several messages are meant.
    #[error("several messages are called so, such as {one} and {other}; name more of the digits")]
    Ambiguous {
        /// The name of one.
        one: String,
        /// The name of another.
        other: String,
    },
    /// There is nothing to decline.
    #[error("there is no message request of this contact; `jamsync contacts block` keeps a contact away")]
    NoRequest,
    /// The listener has blocked the contact.
    #[error("you have blocked this contact; `jamsync contacts unblock` lifts that")]
    Blocked,
}

impl Trouble {
    pub(super) fn mls(error: impl std::fmt::Display) -> Self {
        Self::Keys(error.to_string())
    }

    pub(super) fn value(error: impl std::fmt::Display) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Database(error.to_string()),
        }
    }
}

impl From<ShelfError> for Trouble {
    fn from(error: ShelfError) -> Self {
        match error {
            ShelfError::Database(error) => error.into(),
            ShelfError::Value(error) => Self::Damaged(error.to_string()),
        }
    }
}
