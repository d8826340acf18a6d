//! The words of the command line, and their help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jamsync_protocol::{id::Handle, identity::SafetyCode};

use super::{
    account::Account,
    activity::Activity,
    contacts::Contacts,
    message_args::{Messages, Msg},
    parse::{self, BirthDate, EntryRef, Market},
};
use crate::{
    api::{Percent, SeekTo},
    config::Options,
};

/// Hear the same music as a friend, at the same instant, and share one queue.
#[derive(Debug, Parser)]
#[command(name = "jamsync", version, arg_required_else_help = true, after_help = FIRST_STEPS, after_long_help = AFTER_HELP, max_term_width = 100)]
pub(super) struct Cli {
    /// Print one JSON object per line instead of words
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) options: Options,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Set this node up: alone, with a new account at a coordinator, or as one more device of yours
    #[command(
        after_help = "Examples:\n  jamsync init\n  jamsync init --coordinator JOINCODE --handle ana --birth 1998-04-30 --market ES\n  jamsync init --device CODE --name kitchen      one more device of yours\n  jamsync init --recovery CODE                   when every device is lost"
    )]
    Init(Init),
    /// Play files and folders, or go on where it was paused
    #[command(
        after_help = "Alone, they become the queue. In a Jam they come next and play now; the rest of the queue stays.\n\nExamples:\n  jamsync play ~/Music/Maxstack\n  jamsync play one.flac two.mp3\n  jamsync play"
    )]
    Play {
        /// Files, and folders with all that is in them
        #[arg(value_name = "FILE|DIR")]
        paths: Vec<PathBuf>,
    },
    /// Look after your account: its devices and its recovery code
    #[command(after_help = "Examples:\n  jamsync account devices\n  jamsync account recovery-code")]
    Account {
        #[command(subcommand)]
        what: Account,
    },
    /// Make a link that makes a friend your contact
    #[command(
        after_help = "Examples:\n  jamsync link         then send the line it prints to your friend\n  jamsync link --qr    and shows it as a picture too, for a camera"
    )]
    Link {
        /// Show it as a QR code too
        #[arg(long)]
        qr: bool,
    },
    /// Open a friend's link: you become contacts
    #[command(after_help = "Example:\n  jamsync join jamsync:...")]
    Join {
        /// The line that your friend sent
        link: String,
    },
    /// List your contacts; block, mute, remove or report one
    #[command(after_help = "Examples:\n  jamsync contacts\n  jamsync contacts block ben")]
    Contacts {
        #[command(subcommand)]
        edit: Option<Contacts>,
    },
    /// Write to a contact, who need not be there; nobody between you can read it
    #[command(
        after_help = "Examples:\n  jamsync msg ben heard the new album?\n  jamsync msg ben \"what's next?\"        quote what your shell would read\n  jamsync msg ben -- -_-                 what begins with a dash stands behind two\n  jamsync msg ben --playing              shows what you hear\n  jamsync msg ben --playlist ~/Music/Maxstack"
    )]
    Msg(Box<Msg>),
    /// Show what you and a contact wrote, or the last message with each
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  jamsync messages\n  jamsync messages ben --last 100\n  jamsync messages -- accept             where a contact is called like a command"
    )]
    Messages {
        #[command(subcommand)]
        what: Option<Messages>,
        /// The contact
        name: Option<Handle>,
        /// How many of the latest messages, at most 1,000
        #[arg(long, default_value_t = 20, value_name = "COUNT")]
        last: u32,
        /// Do not let the contact know that you have read them
        #[arg(long, requires = "name")]
        peek: bool,
    },
    /// Let contacts see what you play, and see what they play
    #[command(
        after_help = "It is off until you switch it on, and nobody between you can read it.\n\nExamples:\n  jamsync activity\n  jamsync activity on --all\n  jamsync activity play ben --here"
    )]
    Activity {
        #[command(subcommand)]
        what: Option<Activity>,
    },
    /// Show the digits that you and a contact compare, to know that nobody stands between you
    #[command(
        after_help = "Examples:\n  jamsync safety ben\n  jamsync safety ben --qr\n  jamsync safety ben --compare \"78074 33338 ...\"    what ben's node shows"
    )]
    Safety {
        /// The contact
        name: Handle,
        /// The sixty digits that your contact's node shows
        #[arg(long, value_name = "DIGITS")]
        compare: Option<SafetyCode>,
        /// Show it as a QR code too
        #[arg(long, conflicts_with = "compare")]
        qr: bool,
    },
    /// Ask a contact for a Jam; whoever accepts is the host
    #[command(after_help = "Example:\n  jamsync request ben")]
    Request {
        /// The contact
        name: Handle,
    },
    /// Accept a Jam request: your music becomes the Jam's, and you its host
    #[command(after_help = "Examples:\n  jamsync accept\n  jamsync accept ana")]
    Accept {
        /// Whose request, where there are several
        name: Option<Handle>,
    },
    /// Decline a Jam request
    #[command(after_help = "Example:\n  jamsync decline ana")]
    Decline {
        /// Whose request, where there are several
        name: Option<Handle>,
    },
    /// Take back a Jam request
    #[command(after_help = "Example:\n  jamsync cancel ben")]
    Cancel {
        /// To whom, where there are several
        name: Option<Handle>,
    },
    /// Leave the Jam, or what it left behind: your own music comes back
    #[command(after_help = "Example:\n  jamsync leave")]
    Leave,
    /// As host, make your friend the host
    #[command(after_help = "Example:\n  jamsync hand-over")]
    HandOver,
    /// Show or edit what comes next
    #[command(
        after_help = "Numbers are those that `jamsync queue` shows: 1 is next. Scripts may give the ids of `jamsync queue --json` instead.\n\nExamples:\n  jamsync queue\n  jamsync queue add album/\n  jamsync queue move 5 1"
    )]
    Queue {
        #[command(subcommand)]
        edit: Option<Queue>,
    },
    /// Make music known, so that this node finds its own copies of what a friend queues
    #[command(after_help = "Example:\n  jamsync library add ~/Music")]
    Library {
        #[command(subcommand)]
        edit: Library,
    },
    /// Stop the sound where it is, for both in a Jam
    #[command(after_help = "Example:\n  jamsync pause")]
    Pause,
    /// Go on where it was paused, for both in a Jam
    #[command(after_help = "Example:\n  jamsync resume")]
    Resume,
    /// Go to another place in the track, for both in a Jam
    #[command(
        after_help = "Examples:\n  jamsync seek 1:30     to one minute and a half\n  jamsync seek 90       the same\n  jamsync seek +10      ten seconds on\n  jamsync seek -10      ten seconds back"
    )]
    Seek {
        /// A place, or a step with its sign
        #[arg(value_parser = parse::seek, allow_hyphen_values = true, value_name = "PLACE|STEP")]
        to: SeekTo,
    },
    /// Go to the next entry of the queue, for both in a Jam
    #[command(after_help = "Example:\n  jamsync skip")]
    Skip,
    /// Set how loud this node plays, or in a Jam your friend's
    #[command(
        after_help = "Examples:\n  jamsync volume 60\n  jamsync volume 40 --friend    sets it at your friend's, who is told that it was you"
    )]
    Volume {
        /// 0 to 100
        #[arg(value_parser = parse::percent)]
        percent: Percent,
        /// Your friend's node instead of this one
        #[arg(long)]
        friend: bool,
    },
    /// As host, let the guest play, pause, seek, skip and edit, or not
    #[command(after_help = "Example:\n  jamsync guests off")]
    Guests {
        /// Whether the guest may
        controls: Switch,
    },
    /// Say something to your friend in the Jam; what is said while the friend is away waits
    #[command(
        after_help = "Examples:\n  jamsync say this drop!\n  jamsync say \"what's next?\"        quote what your shell would read\n  jamsync say -- -_-                 what begins with a dash stands behind two"
    )]
    Say {
        /// The words
        #[arg(required = true, value_name = "TEXT")]
        words: Vec<String>,
    },
    /// React to what you both hear in a Jam, to what a contact plays, or to a message: heart, fire, clap, laugh, wow or sad
    #[command(
        after_help = "In a Jam a reaction is seen at once or not at all; to what a contact plays, who is away sees it when back. Nobody keeps either. Each of you has one for a message.\n\nExamples:\n  jamsync react fire\n  jamsync react 👏\n  jamsync react ben fire                    to what ben plays\n  jamsync react ben --message 3f2a fire     the message that `jamsync messages ben` calls so\n  jamsync react ben --message 3f2a none     takes it back"
    )]
    React {
        /// heart ❤️, fire 🔥, clap 👏, laugh 😂, wow 😮 or sad 😢; for a message none too, and before it whose message
        #[arg(required = true, num_args = 1..=2, value_name = "NAME|REACTION")]
        words: Vec<String>,
        /// The message, as `jamsync messages NAME` calls it
        #[arg(long)]
        message: Option<String>,
    },
    /// Show what was said in this Jam
    #[command(after_help = "Examples:\n  jamsync chat\n  jamsync chat --last 100")]
    Chat {
        /// How many of the latest messages; 500 are kept
        #[arg(long, default_value_t = 20, value_name = "COUNT")]
        last: u32,
    },
    /// Show what plays, with whom, and how well in step
    #[command(after_help = "Example:\n  jamsync status")]
    Status,
    /// Show what happens, as it happens
    #[command(
        after_help = "Examples:\n  jamsync watch\n  jamsync watch --json | while read -r line; do ...; done"
    )]
    Watch,
    /// List the audio devices
    #[command(after_help = "Example:\n  jamsync devices")]
    Devices,
    /// End the daemon; in a Jam, leave it
    #[command(after_help = "Example:\n  jamsync stop")]
    Stop,
    /// Run the daemon in the foreground (other commands start it by themselves)
    #[command(
        after_help = "It prints one line when it is ready, and ends cleanly on Ctrl-C, SIGTERM and `jamsync stop`.\n\nExample:\n  jamsync daemon --listen 4472 --sink null"
    )]
    Daemon {
        /// Leave the terminal's session
        #[arg(long, hide = true)]
        detached: bool,
    },
}

#[derive(Args, Debug)]
pub(super) struct Init {
    /// Join code of a coordinator; without one this node plays alone
    #[arg(long, value_name = "JOINCODE")]
    pub(super) coordinator: Option<String>,
    /// The name your friends will see
    #[arg(long, value_name = "NAME", requires = "coordinator")]
    pub(super) handle: Option<Handle>,
    /// Your birth date; the coordinator may keep younger ones out
    #[arg(long, value_name = "YYYY-MM-DD", requires = "coordinator")]
    pub(super) birth: Option<BirthDate>,
    /// Your country's two letters
    #[arg(long, value_name = "CC", requires = "coordinator")]
    pub(super) market: Option<Market>,
    /// Code of `jamsync account devices add`: this node becomes a device of that account
    #[arg(long, value_name = "CODE", conflicts_with = "coordinator")]
    pub(super) device: Option<String>,
    /// Recovery code of your account, when every device of it is lost
    #[arg(long, value_name = "CODE", conflicts_with_all = ["coordinator", "device"])]
    pub(super) recovery: Option<String>,
    /// What to call this device in your account
    #[arg(long, value_name = "NAME", conflicts_with = "coordinator", default_value = "")]
    pub(super) name: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum Library {
    /// Read files and folders through; unchanged files are remembered
    #[command(after_help = "Example:\n  jamsync library add ~/Music")]
    Add {
        /// Files, and folders with all that is in them
        #[arg(required = true, value_name = "FILE|DIR")]
        paths: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Queue {
    /// Show what comes next
    #[command(after_help = "Example:\n  jamsync queue list")]
    List,
    /// Add files and folders at the end
    #[command(after_help = "Example:\n  jamsync queue add album/ song.flac")]
    Add {
        /// Files, and folders with all that is in them
        #[arg(required = true, value_name = "FILE|DIR")]
        paths: Vec<PathBuf>,
    },
    /// Let an entry or files play next
    #[command(
        after_help = "Examples:\n  jamsync queue next 4\n  jamsync queue next song.flac\n  jamsync queue next ./4     the file of that name"
    )]
    Next {
        /// An entry's number, or files and folders
        #[arg(required = true, value_name = "NUMBER|FILE|DIR")]
        what: Vec<PathBuf>,
    },
    /// Move an entry to another place
    #[command(after_help = "Example:\n  jamsync queue move 5 1     the fifth becomes the next")]
    Move {
        /// Which entry
        entry: EntryRef,
        /// The number it shall have
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        to: u32,
    },
    /// Remove entries
    #[command(after_help = "Example:\n  jamsync queue remove 3 4")]
    Remove {
        /// Which entries
        #[arg(required = true, value_name = "ENTRY")]
        entries: Vec<EntryRef>,
    },
    /// Remove all that comes next
    #[command(after_help = "Example:\n  jamsync queue clear")]
    Clear,
    /// Put what comes next into a random order, the same for both
    #[command(after_help = "Example:\n  jamsync queue shuffle")]
    Shuffle,
    /// Take back your last edit
    #[command(after_help = "Example:\n  jamsync queue undo")]
    Undo,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

const FIRST_STEPS: &str = "\
Alone:          jamsync play ~/Music
With a friend:  jamsync init --coordinator JOINCODE ...   then `link`, `join`, `request`, `accept`
More:           jamsync COMMAND --help, or jamsync --help for files and exit statuses";

const AFTER_HELP: &str = "\
Alone:          jamsync play ~/Music
With a friend:  jamsync init --coordinator JOINCODE ...   then `link`, `join`, `request`, `accept`

Files:
  The state folder is $JAMSYNC_HOME, else $XDG_DATA_HOME/jamsync, else ~/.local/share/jamsync.
  The configuration is config.toml in $JAMSYNC_HOME, else in $XDG_CONFIG_HOME/jamsync, else in
  ~/.config/jamsync. Its settings are the options of the daemon above, with underscores:
    listen = 4472
    sink = \"cpal\"
    device = \"...\"
  A flag comes before an environment variable (JAMSYNC_LISTEN ...), and that before the file.
  JAMSYNC_LOG says what the daemon's log tells, such as \"debug\".

Exit status:
  0  done                              7  needs an account: jamsync init
  1  failed                            8  no such contact, request, entry or file
  2  not understood                    9  nothing of it can be played
  3  no daemon could be started       10  the UDP address is taken or not ours
  4  not in a Jam                     11  no such audio device
  5  refused, with the reason         12  the state folder cannot be written
  6  friend or coordinator            13  another daemon works in the state folder
     unreachable                     14  in a Jam already: jamsync leave";

#[cfg(test)]
mod tests;
