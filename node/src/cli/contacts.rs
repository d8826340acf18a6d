//! `jamsync contacts`: the friends, and how the listener stands to them.

use clap::Subcommand;
use jamsync_protocol::id::Handle;

use super::{
    run::{Context, Failure},
    show::who,
};
use crate::api::{ApiError, ContactMark, ErrorCode, Reply, ReportReason, Request};

#[derive(Debug, Subcommand)]
pub(super) enum Contacts {
    /// Show them
    #[command(after_help = "Example:\n  jamsync contacts list")]
    List,
    /// Let nothing pass between you and a contact, who is not told: a Jam with you ends as if you had left
    #[command(after_help = "Example:\n  jamsync contacts block ben")]
    Block {
        /// Whom
        name: Handle,
    },
    /// Lift a block
    #[command(after_help = "Example:\n  jamsync contacts unblock ben")]
    Unblock {
        /// Whom
        name: Handle,
    },
    /// Let a contact's requests wait without ringing; the contact is not told
    #[command(after_help = "Example:\n  jamsync contacts mute ben")]
    Mute {
        /// Whom
        name: Handle,
    },
    /// Let them ring again
    #[command(after_help = "Example:\n  jamsync contacts unmute ben")]
    Unmute {
        /// Whom
        name: Handle,
    },
    /// End a contact on both sides; a new link makes you contacts again
    #[command(after_help = "Example:\n  jamsync contacts remove ben")]
    Remove {
        /// Whom
        name: Handle,
    },
    /// Complain about a contact to whoever runs the coordinator, who sees what you write and disclose, and nothing else
    #[command(
        after_help = "Examples:\n  jamsync contacts report ben --reason spam asks every night\n  jamsync contacts report ben --reason harassment --chat 10     discloses the last ten messages of this Jam"
    )]
    Report {
        /// About whom
        name: Handle,
        /// What kind of complaint
        #[arg(long, value_enum, value_name = "KIND")]
        reason: ReportReason,
        /// How many of the latest messages of your Jam with the contact to disclose
        #[arg(long, value_name = "COUNT", default_value_t = 0)]
        chat: u32,
        /// Your own words
        #[arg(value_name = "TEXT")]
        words: Vec<String>,
    },
}

/// Carries a command out.
pub(super) async fn run(command: Contacts, context: &Context) -> Result<(), Failure> {
    let mark = |name, mark, on| Request::MarkContact { name, mark, on };
    let (request, done) = match command {
        Contacts::List => (Request::Contacts, ""),
        Contacts::Block { name } => (mark(name, ContactMark::Blocked, true), "Blocked."),
        Contacts::Unblock { name } => (mark(name, ContactMark::Blocked, false), "Not blocked any more."),
        Contacts::Mute { name } => (mark(name, ContactMark::Muted, true), "Muted."),
        Contacts::Unmute { name } => (mark(name, ContactMark::Muted, false), "Not muted any more."),
        Contacts::Remove { name } => (Request::RemoveContact { name }, "Removed."),
        Contacts::Report { name, reason, chat, words } => {
            let mut words = words.join(" ");
            if chat > 0 {
                words.push_str(&disclosed(context, &name, chat).await?);
            }
            (Request::ReportContact { name, reason, words }, "Reported to whoever runs the coordinator.")
        }
    };
    context.ask(request, done).await
}

/// What was said lately in the Jam with `name`, as lines for the operator.
async fn disclosed(context: &Context, name: &Handle, last: u32) -> Result<String, Failure> {
    let reply = context.connect().await?.call(Request::Chat { last }).await?;
    let Reply::Chat { with, messages, .. } = reply else {
        return Err(ApiError::new(ErrorCode::Failed, "the daemon did not tell the chat", "").into());
    };
    if with != *name {
        let what = format!("you are in a Jam with {with}, not with {name}");
        return Err(ApiError::new(ErrorCode::Usage, what, "leave out --chat, and write what was said").into());
    }
    let line = |message: &crate::api::Message| format!("\n{}: {}", who(&message.by), message.text.as_str());
    Ok(format!("\n-- disclosed --{}", messages.iter().map(line).collect::<String>()))
}
