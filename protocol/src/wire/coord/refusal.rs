//! Why a coordinator refuses. Each refusal is a sentence that a person understands, with what to do next.

use serde::{Deserialize, Serialize};

use super::Sequence;
use crate::{activity::SlotGeneration, conversation::Epoch, id::Handle, time::Span};

/// A refusal. Append-only. Where a reason would tell something about another account (that it does not exist,
/// is too young, or has closed its door), the same words are used for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The connection has not said hello.
    #[error("the connection did not begin with a hello; update jamsync")]
    HelloFirst,
    /// The device belongs to no account here.
    #[error("this device has no account here yet; sign up with a join code")]
    NotSignedUp,
    /// The device has an account already.
    #[error("this device already has the account {handle} here")]
    AlreadySignedUp {
        /// That account.
        handle: Handle,
    },
    /// The join code was never issued, is used up, or is too old.
    #[error("the join code is not valid any more; ask the operator of the coordinator for a new one")]
    UnknownJoinCode,
    /// Somebody has that name.
    #[error("the name {handle} is taken; choose another")]
    HandleTaken {
        /// The name.
        handle: Handle,
    },
    /// The device log is not one that this device founded.
    #[error("the device log does not verify for this device; start again with a new state folder")]
    BadLog,
    /// The account's tier does not permit it.
    #[error(
        "only Premium accounts can request a Jam; your account is Free, but you can join when a friend asks you"
    )]
    NotPremium,
    /// The account holder is too young.
    #[error("Jams and messages are for people of {minimum_age} years and older; this opens on your birthday")]
    TooYoung {
        /// The age that the operator requires, in years.
        minimum_age: u8,
    },
    /// The operator raised the minimum age above the one that was checked.
    #[error(
        "this coordinator now asks for a minimum age of {minimum_age}; tell your birth date with `jamsync account confirm-age`"
    )]
    AgeUnknown {
        /// The age that the operator requires, in years.
        minimum_age: u8,
    },
    /// No contact has that name.
    #[error("{handle} is not among your contacts; send a friend link first")]
    NotContact {
        /// The name.
        handle: Handle,
    },
    /// The contact cannot take part; the reason is the contact's own.
    #[error("{handle} cannot take part in a Jam at present")]
    FriendUnavailable {
        /// The contact.
        handle: Handle,
    },
    /// The link was never registered, was accepted by somebody else, or is too old.
    #[error("the friend link is not valid any more; ask your friend for a new one")]
    UnknownLink,
    /// The link is the account's own.
    #[error("this friend link is your own; give it to a friend")]
    OwnLink,
    /// A request between the two accounts is open.
    #[error("{}", if *.by_me { "you have already asked this friend; wait for the answer or cancel" } else { "this friend has already asked you; accept or decline" })]
    AlreadyRequested {
        /// Whether this account asked, or the friend.
        by_me: bool,
    },
    /// The request was never made, or does not concern this account.
    #[error("there is no such Jam request")]
    UnknownRequest,
    /// The request is not open any more.
    #[error("the Jam request {0}")]
    RequestOver(RequestEnd),
    /// The Jam was never granted to this device.
    #[error("there is no such Jam")]
    UnknownJam,
    /// Too much in too short a time.
    #[error("too many requests; try again in {}", seconds(*.retry_after))]
    TooMany {
        /// When it will be permitted again.
        retry_after: Span,
    },
    /// The same key came with two different requests.
    #[error("the request was repeated with another content; update jamsync")]
    KeyReused,
    /// The coordinator could not write to disk, or is shutting down.
    #[error("the coordinator cannot do this at present; try again in {}", seconds(*.retry_after))]
    Unavailable {
        /// When to try again.
        retry_after: Span,
    },
    /// The device code or recovery code leads to nothing: never issued, used up, or too old.
    #[error("the code is not valid any more; make a new one on a device that is in the account")]
    UnknownCode,
    /// The account has as many devices as it may.
    #[error("an account has {limit} devices at most; revoke one with `jamsync account devices revoke`")]
    TooManyDevices {
        /// How many it may have.
        limit: u8,
    },
    /// The entry does not follow the newest one of the log.
    #[error("the account's device log has changed meanwhile; try again")]
    LogMoved,
    /// The log has no room for another entry.
    #[error("the account's device log is full, because too many devices came and went; sign up anew")]
    LogFull,
    /// No such account, or no such device in it.
    #[error("there is no such device; see `jamsync account devices list`")]
    UnknownDevice,
    /// This account has blocked the contact itself.
    #[error("you have blocked {handle}; `jamsync contacts unblock {handle}` lifts that")]
    Blocked {
        /// The contact.
        handle: Handle,
    },
    /// The account stays out of Jams, because its holder said so.
    #[error("you have opted out of Jams; `jamsync account opt-in` lets you in again")]
    OptedOut,
    /// Jams are not open where the account holder lives.
    #[error("Jams and messages are not open in your country at this coordinator; ask its operator")]
    NotInMarket,
    /// The rollout has not reached the account.
    #[error(
        "Jams and messages are opened to a part of all accounts first, and yours is not among them yet; try again later"
    )]
    NotRolledOut,
    /// The account is no contact of this one.
    #[error("that is none of your contacts; see `jamsync contacts`")]
    UnknownContact,
    /// The name that was to confirm it is not the account's own.
    #[error("your account is called {handle}; name it to delete it")]
    OtherHandle {
        /// How it is called.
        handle: Handle,
    },
    /// No such conversation, or this account is not in it.
    #[error("there is no such conversation")]
    UnknownConversation,
    /// The conversation has gone on since what was to be placed in it was made.
    #[error("the conversation has changed meanwhile; try again")]
    EpochMoved {
        /// Its epoch now.
        epoch: Epoch,
        /// The newest entry of its log.
        newest: Sequence,
    },
    /// Messages do not reach the contact; the reason is the contact's own.
    #[error("messages do not reach {handle} at present; try again later")]
    CannotDeliver {
        /// The contact.
        handle: Handle,
    },
    /// The members of a conversation are not this account and one contact.
    #[error("a conversation is between you and one of your contacts")]
    NoSuchMembers,
    /// Another device of the account holds its activity, or none does.
    #[error(
        "your activity is that of another of your devices; what you play here is shown when you start it"
    )]
    ActivityElsewhere {
        /// As how manieth it does; zero where none does.
        generation: SlotGeneration,
    },
    /// The cover is not there, or not for this account.
    #[error("that cover is not shown to you, or not any more")]
    UnknownCover,
}

/// How a Jam request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum RequestEnd {
    /// Accepted.
    #[error("has been accepted already")]
    Accepted,
    /// Declined.
    #[error("has been declined already")]
    Declined,
    /// Taken back by who asked.
    #[error("was cancelled")]
    Cancelled,
    /// Not answered in time.
    #[error("expired before it was answered")]
    Expired,
}

impl Refusal {
    /// When the same request may succeed, where only time is missing.
    #[must_use]
    pub fn retry_after(&self) -> Option<Span> {
        if let Self::TooMany { retry_after } | Self::Unavailable { retry_after } = self {
            Some(*retry_after)
        } else {
            None
        }
    }
}

/// A span as a person says it, rounded up.
fn seconds(span: Span) -> Seconds {
    Seconds(span.as_millis().saturating_add(999).max(0) / 1_000)
}

struct Seconds(i64);

impl core::fmt::Display for Seconds {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            1 => f.write_str("1 second"),
            seconds @ ..120 => write!(f, "{seconds} seconds"),
            seconds => write!(f, "{} minutes", (seconds + 59) / 60),
        }
    }
}
