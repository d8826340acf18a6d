//! Requests, and the lines in which they and the answers travel.

use std::path::PathBuf;

use jamsync_protocol::{
    chat::{ChatText, Reaction},
    id::Handle,
};
use serde::{Deserialize, Serialize};

use super::{
    ActivityRequest, ApiError, CardSource, ContactMark, EntryKey, Event, Percent, Reply, ReportReason,
    SeekTo, unit,
};

/// The version of the words in this module; a line in another version is refused. Fields and variants may be added
/// without a new version.
pub const VERSION: u32 = 1;

/// What a client writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestLine {
    /// [`VERSION`].
    pub version: u32,
    /// What is asked.
    pub request: Request,
}

/// What a client reads, and what a command prints with `--json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerLine {
    /// [`VERSION`].
    pub version: u32,
    /// An answer or an event.
    #[serde(flatten)]
    pub body: Body,
}

/// The content of a [`ServerLine`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// The request was carried out.
    Reply(Reply),
    /// The request was not carried out.
    Error(ApiError),
    /// Something happened; on watching connections only.
    Event(Event),
    /// The daemon listens. Never on the socket: a daemon writes it on its standard output, for whoever started it.
    Ready {
        /// The socket of the local API; what is not UTF-8 is shown as `�`.
        socket: String,
        /// The daemon's process id.
        pid: u32,
    },
}

/// What can be asked of a node. Paths are absolute, because the daemon runs in another folder than its clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Request {
    /// Everything at one moment. Answered by [`Reply::Status`].
    Status,
    /// Turns the connection into a stream of events that begins with a snapshot.
    Watch,
    /// Signs up at a coordinator. Answered by [`Reply::Account`].
    SignUp {
        /// The coordinator's join code.
        join_code: String,
        /// The wished name.
        handle: Handle,
        /// Birth date, `YYYY-MM-DD`.
        birth: String,
        /// Market: an ISO 3166 code of two capital letters.
        market: String,
    },
    /// A code that admits one more device to the account. Answered by [`Reply::DeviceCode`].
    DeviceCode,
    /// Makes this node a device of an account, by a code of a device that is in it. Answered by [`Reply::Account`] when
    /// that device has agreed.
    JoinAccount {
        /// The code.
        code: String,
        /// What this device is to be called; may be empty.
        name: String,
    },
    /// The same by the account's recovery code.
    RecoverAccount {
        /// The code.
        code: String,
        /// What this device is to be called; may be empty.
        name: String,
    },
    /// The devices of the account. Answered by [`Reply::AccountDevices`].
    AccountDevices,
    /// Calls a device of the account something else.
    RenameDevice {
        /// Its name, or how its key begins.
        device: String,
        /// Its new name.
        name: String,
    },
    /// Revokes a device of the account for ever.
    RevokeDevice {
        /// Its name, or how its key begins.
        device: String,
    },
    /// A new recovery code; those made before count no more. Answered by [`Reply::RecoveryCode`].
    RecoveryCode,
    /// A link that makes whoever opens it a contact. Answered by [`Reply::Link`].
    Link,
    /// Opens a friend's link. Answered by [`Reply::Contact`].
    Join {
        /// The link.
        link: String,
    },
    /// The contacts. Answered by [`Reply::Contacts`].
    Contacts,
    /// Says something to a contact. Answered by [`Reply::Message`] when it is kept here; it goes out by itself.
    Message {
        /// Whom.
        to: Handle,
        /// What.
        text: ChatText,
    },
    /// Shows a contact music. Answered by [`Reply::Message`] when it is kept here.
    MessageCard {
        /// Whom.
        to: Handle,
        /// What.
        card: CardSource,
    },
    /// What was said with contacts. Answered by [`Reply::Messages`].
    Messages {
        /// With whom; none is the last message with each.
        with: Option<Handle>,
        /// How many of the latest.
        last: u32,
        /// Whether it is only looked at, rather than read: the contact is told nothing then. Without a contact it always is.
        #[serde(default)]
        peek: bool,
    },
    /// Reacts to a message, in place of this account's reaction before.
    MessageReact {
        /// The contact whose conversation it is.
        with: Handle,
        /// How the message's name begins.
        message: String,
        /// How; none takes the reaction back.
        #[serde(with = "unit::reaction_or_none")]
        reaction: Option<Reaction>,
    },
    /// Answers a message request: lets the contact in, or forgets what was written and leaves out what comes. The contact
    /// does not learn of the latter.
    AnswerMessages {
        /// Whose.
        with: Handle,
        /// Whether the contact is let in.
        accept: bool,
    },
    /// Whether others are told what was read here. Answered by [`Reply::ReadReceipts`].
    ReadReceipts {
        /// From now on; none only asks.
        on: Option<bool>,
    },
    /// The own copies of what a message shows. Answered by [`Reply::MessageTracks`].
    MessageTracks {
        /// The contact whose conversation it is.
        with: Handle,
        /// How the message's name begins.
        message: String,
    },
    /// The safety code of this account and a contact's. Answered by [`Reply::Safety`].
    Safety {
        /// Whose.
        name: Handle,
    },
    /// Blocks or mutes a contact, or lifts that. The contact is not told.
    MarkContact {
        /// Whom.
        name: Handle,
        /// What.
        mark: ContactMark,
        /// Whether it holds from now on.
        on: bool,
    },
    /// Ends a contact on both sides.
    RemoveContact {
        /// Whom.
        name: Handle,
    },
    /// Complains about a contact to whoever runs the coordinator. The contact is not told.
    ReportContact {
        /// About whom.
        name: Handle,
        /// What kind of complaint.
        reason: ReportReason,
        /// What the listener says and discloses, at most 8 KiB.
        words: String,
    },
    /// Tells the birth date again, where the coordinator has raised its minimum age.
    ConfirmAge {
        /// Birth date, `YYYY-MM-DD`.
        birth: String,
    },
    /// All that the coordinator holds about the account. Answered by [`Reply::Export`].
    ExportAccount,
    /// Deletes the account, at the coordinator and here. One that the coordinator does not know any more is deleted here.
    DeleteAccount {
        /// Its own name, so that nothing is deleted by mistake.
        name: Handle,
        /// Here alone, without asking the coordinator: for one that is gone for good.
        #[serde(default)]
        here: bool,
    },
    /// Keeps the account out of Jams, or lets it in again.
    OptOut {
        /// Whether it stays out.
        out: bool,
    },
    /// Asks a contact for a Jam. Answered when the coordinator has it, not when the friend has answered.
    RequestJam {
        /// Whom.
        to: Handle,
    },
    /// Accepts a request and becomes host.
    Accept {
        /// Whose; none is the only one that is open.
        from: Option<Handle>,
    },
    /// Declines a request.
    Decline {
        /// Whose; none is the only one that is open.
        from: Option<Handle>,
    },
    /// Takes a request back.
    Cancel {
        /// To whom; none is the only one that is open.
        to: Option<Handle>,
    },
    /// Leaves the Jam for good; in none, what one left behind. A guest's own music comes back.
    Leave,
    /// Makes the friend the host. For the host only.
    HandOver,
    /// Solo: the files become the queue and the first one plays. In a Jam: the files are added behind what plays and
    /// the first of them plays now. Answered by [`Reply::Queued`].
    Play {
        /// Files and folders; none resumes what was paused.
        paths: Vec<PathBuf>,
    },
    /// Adds files to the queue. Answered by [`Reply::Queued`].
    QueueAdd {
        /// Files and folders.
        paths: Vec<PathBuf>,
        /// Directly behind what plays, rather than at the end.
        next: bool,
    },
    /// Reads files through, so that this node finds its own copies of what a friend queues. Plays nothing. Answered
    /// by [`Reply::Queued`] when all are read: name a few at a time.
    LibraryAdd {
        /// Files and folders.
        paths: Vec<PathBuf>,
    },
    /// Moves an entry directly behind another.
    QueueMove {
        /// Which.
        entry: EntryKey,
        /// Behind which; none is directly behind what plays.
        after: Option<EntryKey>,
    },
    /// Removes entries.
    QueueRemove {
        /// Which.
        entries: Vec<EntryKey>,
    },
    /// Removes all that comes next.
    QueueClear,
    /// Puts what comes next into a random order, the same on both sides.
    QueueShuffle,
    /// Takes back the last edit of this listener.
    QueueUndo,
    /// Stops the sound where it is.
    Pause,
    /// Goes on from there.
    Resume,
    /// Goes to another place in the track.
    Seek {
        /// Where.
        to: SeekTo,
    },
    /// Goes to the next entry.
    Skip,
    /// Sets the loudness of this node's own output.
    Volume {
        /// To how much.
        percent: Percent,
    },
    /// In a Jam, sets the loudness of the friend's output, who is told whose doing it is.
    PeerVolume {
        /// To how much.
        percent: Percent,
    },
    /// Lets the guest control playback and queue, or not. For the host only.
    GuestControls {
        /// Whether.
        allowed: bool,
    },
    /// In a Jam, says something to the friend. Answered by [`Reply::Said`].
    Say {
        /// What.
        text: ChatText,
    },
    /// In a Jam, shows the friend a reaction to what is heard now. It is not kept.
    React {
        /// Which: its name or its picture.
        #[serde(with = "unit::reaction")]
        reaction: Reaction,
    },
    /// What was said in this Jam. Answered by [`Reply::Chat`].
    Chat {
        /// How many of the latest messages; as many as are kept, at most.
        last: u32,
    },
    /// Something about listening activity. Answered as each of them says.
    Activity {
        /// What.
        what: ActivityRequest,
    },
    /// The audio devices. Answered by [`Reply::Devices`].
    Devices,
    /// Ends the daemon cleanly. Answered when all is put away.
    Stop,
}

impl RequestLine {
    /// `request` in the version of this program.
    #[must_use]
    pub const fn new(request: Request) -> Self {
        Self { version: VERSION, request }
    }
}

impl From<Body> for ServerLine {
    fn from(body: Body) -> Self {
        Self { version: VERSION, body }
    }
}

impl From<Result<Reply, ApiError>> for ServerLine {
    fn from(answer: Result<Reply, ApiError>) -> Self {
        match answer {
            Ok(reply) => Body::Reply(reply).into(),
            Err(error) => Body::Error(error).into(),
        }
    }
}

#[cfg(test)]
mod tests;
