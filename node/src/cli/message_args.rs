//! The words of `msg` and `messages`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jamsync_protocol::{
    conversation::{CardError, CardText},
    id::Handle,
};

use super::{
    args::Switch,
    run::{Context, Failure, resolve},
};
use crate::api::{ApiError, CardSource, ErrorCode, Reply, Request};

/// What is written.
#[derive(Args, Debug)]
pub(super) struct Msg {
    /// The contact
    pub(super) name: Handle,
    /// The words
    #[arg(value_name = "TEXT", required_unless_present_any = ["track", "playing", "episode", "chapter", "playlist"])]
    pub(super) words: Vec<String>,
    #[command(flatten)]
    card: CardArgs,
}

/// A card in place of words.
#[derive(Args, Debug)]
struct CardArgs {
    /// Show a track
    #[arg(long, value_name = "FILE", group = "music", conflicts_with = "words")]
    track: Option<PathBuf>,
    /// Show the track that plays
    #[arg(long, group = "music", conflicts_with = "words")]
    playing: bool,
    /// Show an episode of a podcast
    #[arg(long, value_name = "FILE", group = "music", conflicts_with = "words")]
    episode: Option<PathBuf>,
    /// Show a chapter of an audiobook
    #[arg(long, value_name = "FILE", group = "music", conflicts_with = "words")]
    chapter: Option<PathBuf>,
    /// Show a playlist: a folder, or a file with one path a line (M3U)
    #[arg(long, value_name = "FILE|DIR", group = "music", conflicts_with = "words")]
    playlist: Option<PathBuf>,
    /// Its title, where the file's own is not wanted
    #[arg(long, value_name = "NAME", requires = "music", conflicts_with = "playing")]
    title: Option<String>,
    /// The podcast, where the file does not name it
    #[arg(long, value_name = "NAME", requires = "episode", conflicts_with_all = ["track", "playing", "chapter", "playlist"])]
    show: Option<String>,
    /// The book, where the file does not name it
    #[arg(long, value_name = "NAME", requires = "chapter", conflicts_with_all = ["track", "playing", "episode", "playlist"])]
    book: Option<String>,
    /// Who wrote the book
    #[arg(long, value_name = "NAME", requires = "chapter", conflicts_with_all = ["track", "playing", "episode", "playlist"])]
    author: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Messages {
    /// Let a contact in who has written for the first time; to answer does so too
    #[command(after_help = "Example:\n  jamsync messages accept ben")]
    Accept {
        /// Whom
        name: Handle,
    },
    /// Forget what a contact has written whom you have not let in, and leave out what else comes; the contact is not told
    #[command(
        after_help = "To write to the contact lets it in again. `jamsync contacts block` keeps a contact away from all.\n\nExample:\n  jamsync messages decline ben"
    )]
    Decline {
        /// Whom
        name: Handle,
    },
    /// Tell friends what you have read on this device, or not; who does not tell is not told either
    #[command(
        after_help = "Without a word it says which. On unless you turn it off.\n\nExamples:\n  jamsync messages receipts\n  jamsync messages receipts off"
    )]
    Receipts {
        /// From now on
        switch: Option<Switch>,
    },
    /// Play your own copies of what a message shows
    #[command(after_help = "Example:\n  jamsync messages play ben 3f2a")]
    Play {
        /// The contact
        name: Handle,
        /// The message, as `jamsync messages NAME` calls it
        #[arg(value_name = "MESSAGE")]
        message: String,
    },
    /// Add your own copies of what a message shows to the queue
    #[command(after_help = "Example:\n  jamsync messages add ben 3f2a")]
    Add {
        /// The contact
        name: Handle,
        /// The message, as `jamsync messages NAME` calls it
        #[arg(value_name = "MESSAGE")]
        message: String,
    },
}

impl Msg {
    /// What the card is to be made from; none where words are written.
    pub(super) fn source(&self) -> Result<Option<CardSource>, ApiError> {
        let CardArgs { track, playing, episode, chapter, playlist, title, show, book, author } = &self.card;
        let title = text(title.as_ref())?;
        let source = if let Some(path) = track {
            CardSource::Track { path: one(path)?, title }
        } else if let Some(path) = episode {
            CardSource::Episode { path: one(path)?, title, show: text(show.as_ref())? }
        } else if let Some(path) = chapter {
            CardSource::Chapter {
                path: one(path)?,
                title,
                book: text(book.as_ref())?,
                author: text(author.as_ref())?,
            }
        } else if let Some(path) = playlist {
            CardSource::Playlist { path: one(path)?, title }
        } else if *playing {
            CardSource::Playing
        } else {
            return Ok(None);
        };
        Ok(Some(source))
    }
}

/// A name that was given for a card.
fn text(given: Option<&String>) -> Result<Option<CardText>, ApiError> {
    let parsed = given.map(|given| given.parse()).transpose();
    parsed.map_err(|error: CardError| ApiError::from_sentence(ErrorCode::Usage, &error.to_string()))
}

fn one(path: &PathBuf) -> Result<PathBuf, ApiError> {
    resolve(std::slice::from_ref(path)).map(|mut paths| paths.remove(0))
}

/// Carries a command about messages out.
pub(super) async fn run(what: Messages, context: &Context) -> Result<(), Failure> {
    match what {
        Messages::Accept { name } => {
            let done = format!("{name} is let in, and sees from now on what you have received and read.");
            context.ask(Request::AnswerMessages { with: name, accept: true }, &done).await
        }
        Messages::Decline { name } => {
            let done = format!("Forgotten. What else {name} writes is left out on this device.");
            context.ask(Request::AnswerMessages { with: name, accept: false }, &done).await
        }
        Messages::Receipts { switch } => {
            let on = switch.map(|switch| switch == Switch::On);
            context.ask(Request::ReadReceipts { on }, "").await
        }
        Messages::Play { name, message } => {
            let paths = copies(name, message, context).await?;
            context.ask(Request::Play { paths }, "Playing.").await
        }
        Messages::Add { name, message } => {
            let paths = copies(name, message, context).await?;
            context.ask(Request::QueueAdd { paths, next: false }, "Done.").await
        }
    }
}

/// The own copies of what a message shows.
async fn copies(name: Handle, message: String, context: &Context) -> Result<Vec<PathBuf>, Failure> {
    let reply = context.connect().await?.call(Request::MessageTracks { with: name, message }).await?;
    let Reply::MessageTracks { paths, missing } = reply else {
        let what = "the daemon did not say which files these are";
        return Err(ApiError::new(ErrorCode::Failed, what, "run `jamsync stop`").into());
    };
    if missing > 0 {
        context.output.note(&format!("{missing} of its tracks are not among your music, and left out"));
    }
    Ok(paths)
}
