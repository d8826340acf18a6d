//! From a command to its request, and from the answer to what is shown.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    account, activity,
    args::{Command, Library, Queue, Switch},
    contacts::{self, Contacts},
    init, library, message_args, messages,
    output::Output,
    parse::{self, EntryRef},
    qr, safety, show, show_chat,
    show_chat::Calendar,
    show_event, start, width,
};
use crate::{
    api::{ApiError, EntryKey, ErrorCode, Event, Reply, Request, Snapshot, client::Client},
    config::Options,
    engine::{devices, utc_now},
    paths::Paths,
};

/// What every command needs to know.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) paths: Paths,
    pub(super) options: Options,
    /// Whether options of the daemon stand on the command line.
    pub(super) flags_given: bool,
    pub(super) output: Output,
}

/// A command that did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request failed.
    Api(ApiError),
    /// The answer cannot be written.
    Output(io::Error),
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Carries `command` out.
pub(super) async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Init(flags) => match init::sign_up(flags, context.output.json)? {
            Some(sign_up) => context.ask(sign_up, "Signed up.").await,
            None => {
                // Reaching a daemon makes the state folder and the device's key.
                let mut client = context.connect().await?;
                client.call(Request::Status).await?;
                context.output.reply(Reply::Done, |_| SOLO.to_owned())?;
                Ok(())
            }
        },
        Command::Play { paths } => context.ask(Request::Play { paths: resolve(&paths)? }, "Playing.").await,
        Command::Account { what } => account::run(what, context).await,
        Command::Link { qr: false } => context.ask(Request::Link, "").await,
        Command::Link { qr: true } => context.ask_for_picture(Request::Link).await,
        Command::Join { link } => context.ask(Request::Join { link }, "").await,
        Command::Contacts { edit } => contacts::run(edit.unwrap_or(Contacts::List), context).await,
        Command::Msg(what) => messages::write(*what, context).await,
        Command::Messages { what: Some(what), .. } => message_args::run(what, context).await,
        Command::Messages { what: None, name, last, peek } => {
            context.ask(Request::Messages { with: name, last, peek }, "").await
        }
        Command::Safety { name, compare, qr } => safety::run(name, compare, qr, context).await,
        Command::Request { name } => {
            let done = format!("Asked {name} for a Jam. `jamsync watch` shows the answer.");
            context.ask(Request::RequestJam { to: name }, &done).await
        }
        Command::Accept { name } => {
            context
                .ask(
                    Request::Accept { from: name },
                    "Accepted. You are the host, and your music is the Jam's.",
                )
                .await
        }
        Command::Decline { name } => context.ask(Request::Decline { from: name }, "Declined.").await,
        Command::Cancel { name } => context.ask(Request::Cancel { to: name }, "Taken back.").await,
        Command::Leave => context.ask(Request::Leave, "You left the Jam.").await,
        Command::HandOver => context.ask(Request::HandOver, "Your friend is the host now.").await,
        Command::Queue { edit } => queue(edit.unwrap_or(Queue::List), context).await,
        Command::Library { edit: Library::Add { paths } } => library::add(&paths, context).await,
        Command::Pause => context.ask(Request::Pause, "Paused.").await,
        Command::Resume => context.ask(Request::Resume, "Playing.").await,
        Command::Seek { to } => context.ask(Request::Seek { to }, "Done.").await,
        Command::Skip => context.ask(Request::Skip, "Skipped.").await,
        Command::Volume { percent, friend: false } => {
            context.ask(Request::Volume { percent }, &format!("Volume {} %.", percent.as_u8())).await
        }
        Command::Volume { percent, friend: true } => {
            let done = format!("Asked for volume {} % at your friend's.", percent.as_u8());
            context.ask(Request::PeerVolume { percent }, &done).await
        }
        Command::Guests { controls } => {
            let allowed = controls == Switch::On;
            let done =
                if allowed { "The guest may control the music." } else { "Only you control the music." };
            context.ask(Request::GuestControls { allowed }, done).await
        }
        Command::Say { words } => context.ask(Request::Say { text: parse::said(&words)? }, "").await,
        Command::Activity { what } => activity::run(what, context).await,
        Command::React { words, message } => messages::react(&words, message, context).await,
        Command::Chat { last } => context.ask(Request::Chat { last }, "").await,
        Command::Status => context.ask(Request::Status, "").await,
        Command::Watch => watch(context).await,
        Command::Devices => list_devices(context),
        Command::Stop => stop(context).await,
        // `main` runs the daemon itself, because it alone has an engine.
        Command::Daemon { .. } => Ok(()),
    }
}

/// Listed without a daemon, because none starts where its device is not there.
fn list_devices(context: &Context) -> Result<(), Failure> {
    context.output.reply(Reply::Devices { devices: devices()? }, |reply| context.words(reply, "", ""))?;
    Ok(())
}

async fn queue(edit: Queue, context: &Context) -> Result<(), Failure> {
    let request = match edit {
        Queue::List => {
            let snapshot = context.snapshot().await?;
            let words = show::queue(&snapshot, width::terminal());
            context.output.reply(Reply::Status(snapshot), |_| words)?;
            return Ok(());
        }
        Queue::Add { paths } => Request::QueueAdd { paths: resolve(&paths)?, next: false },
        Queue::Next { what } => match number_alone(&what) {
            Some(entry) => {
                let snapshot = context.snapshot().await?;
                Request::QueueMove { entry: key(&entry, &snapshot)?, after: None }
            }
            None => Request::QueueAdd { paths: resolve(&what)?, next: true },
        },
        Queue::Move { entry, to } => {
            let snapshot = context.snapshot().await?;
            let entry = key(&entry, &snapshot)?;
            let target = usize::try_from(to).unwrap_or(usize::MAX);
            let after = parse::predecessor(&entry, target, &snapshot);
            Request::QueueMove { entry, after }
        }
        Queue::Remove { entries } => {
            let snapshot = context.snapshot().await?;
            let entries = entries.iter().map(|entry| key(entry, &snapshot)).collect::<Result<_, _>>()?;
            Request::QueueRemove { entries }
        }
        Queue::Clear => Request::QueueClear,
        Queue::Shuffle => Request::QueueShuffle,
        Queue::Undo => Request::QueueUndo,
    };
    context.ask(request, "Done.").await
}

/// Shows events until the daemon or the person ends it.
async fn watch(context: &Context) -> Result<(), Failure> {
    let mut client = context.connect().await?;
    client.watch().await?;
    let (columns, log) = (width::terminal(), context.paths.log().display().to_string());
    while let Some(event) = client.event().await? {
        context.output.event(event, |event| {
            if let Event::Snapshot(snapshot) = event {
                Some(show::status(snapshot, &log, columns))
            } else {
                show_event::event(event)
            }
        })?;
    }
    Ok(())
}

async fn stop(context: &Context) -> Result<(), Failure> {
    match start::running(&context.paths).await? {
        Some(mut client) => {
            client.call(Request::Stop).await?;
            // The next command may start a new daemon, so this one ends when the old daemon has let go.
            let deadline = Instant::now() + ENDING;
            while context.paths.in_use() {
                if Instant::now() >= deadline {
                    let what = format!("the daemon still holds {}", context.paths.state().display());
                    return Err(
                        ApiError::new(ErrorCode::Failed, what, "wait a moment, or end its process").into()
                    );
                }
                sleep(Duration::from_millis(10)).await;
            }
            context.output.reply(Reply::Done, |_| "The daemon has ended.".to_owned())?;
        }
        None => context.output.reply(Reply::Done, |_| "No daemon was running.".to_owned())?,
    }
    Ok(())
}

impl Context {
    pub(super) async fn connect(&self) -> Result<Client, ApiError> {
        let connected = start::connect(&self.paths, &self.options).await?;
        if self.flags_given && !connected.started {
            self.output.note("the daemon was already running; its options change only after `jamsync stop`");
        }
        Ok(connected.client)
    }

    async fn snapshot(&self) -> Result<Box<Snapshot>, ApiError> {
        let Reply::Status(snapshot) = self.connect().await?.call(Request::Status).await? else {
            return Err(ApiError::new(
                ErrorCode::Failed,
                "the daemon did not tell its state",
                "run `jamsync stop`",
            ));
        };
        Ok(snapshot)
    }

    /// Asks and shows the answer; an answer without content is said as `done`.
    pub(super) async fn ask(&self, request: Request, done: &str) -> Result<(), Failure> {
        let verb = if matches!(request, Request::Play { .. }) { "Playing" } else { "Added" };
        let reply = self.connect().await?.call(request).await?;
        self.output.reply(reply, |reply| self.words(reply, done, verb))?;
        Ok(())
    }

    /// Asks for a code and shows it as a picture above its words; programs get the code alone.
    pub(super) async fn ask_for_picture(&self, request: Request) -> Result<(), Failure> {
        let reply = self.connect().await?.call(request).await?;
        let picture = if let Reply::Link { link: text } | Reply::DeviceCode { code: text, .. } = &reply {
            qr::picture(text, width::terminal())
        } else {
            String::new()
        };
        self.output.reply(reply, |reply| format!("{picture}{}", self.words(reply, "", "")))?;
        Ok(())
    }

    pub(super) fn words(&self, reply: &Reply, done: &str, verb: &str) -> String {
        match reply {
            Reply::Done => done.to_owned(),
            Reply::Status(snapshot) => {
                show::status(snapshot, &self.paths.log().display().to_string(), width::terminal())
            }
            Reply::Account { handle, coordinator } => {
                format!(
                    "You are {handle} at {}. Next: `jamsync link`, or `jamsync join LINK`.",
                    show::plain(coordinator)
                )
            }
            Reply::DeviceCode { .. }
            | Reply::AccountDevices { .. }
            | Reply::RecoveryCode { .. }
            | Reply::Export { .. } => account::words(reply).unwrap_or_default(),
            Reply::Link { link } => show::plain(link),
            Reply::Contact(contact) => {
                format!("You and {0} are contacts. Next: `jamsync request {0}`.", contact.handle)
            }
            Reply::Contacts { contacts, as_of } => {
                show::contacts(contacts, as_of.map(|as_of| utc_now() - as_of))
            }
            Reply::Message { message } => messages::kept(message),
            Reply::Messages { with, messages, talks, activity } => {
                let above = activity.as_deref().and_then(activity::line);
                let history =
                    messages::history(with.as_ref(), messages, talks, &Calendar::here(), width::terminal());
                above.into_iter().chain([history]).collect::<Vec<_>>().join("\n")
            }
            Reply::Activity(_) | Reply::Saved { .. } | Reply::OwnTracks { .. } => {
                activity::words(reply, done).unwrap_or_default()
            }
            Reply::OwnCopy { path, .. } => show::plain(path),
            // Only commands that go on with it ask for it.
            Reply::MessageTracks { paths, .. } => format!("{} files", paths.len()),
            Reply::ReadReceipts { on } => messages::receipts(*on).to_owned(),
            Reply::Safety { .. } => safety::words(reply),
            Reply::Queued(queued) => show::queued(queued, verb),
            Reply::Said { to, away, .. } => show_chat::said(to, *away),
            Reply::Chat { with, away, messages } => {
                show_chat::chat(messages, with, *away, &Calendar::here(), width::terminal())
            }
            Reply::Devices { devices } => show::devices(devices),
        }
    }
}

/// The paths as the daemon can open them, each of which exists.
pub(super) fn resolve(paths: &[PathBuf]) -> Result<Vec<PathBuf>, ApiError> {
    paths.iter().map(|path| resolve_one(path)).collect()
}

fn resolve_one(path: &Path) -> Result<PathBuf, ApiError> {
    let shown = show::plain(&path.display().to_string());
    if let Err(error) = fs::metadata(path) {
        let missing = error.kind() == io::ErrorKind::NotFound;
        let why = if missing { "no such file or folder".to_owned() } else { error.to_string() };
        return Err(ApiError::new(ErrorCode::NotFound, format!("{shown}: {why}"), "check the name"));
    }
    let absolute = std::path::absolute(path)
        .map_err(|error| ApiError::new(ErrorCode::Failed, format!("{shown}: {error}"), ""))?;
    if absolute.to_str().is_none() {
        let what = format!("{shown}: the name is not UTF-8, which a request cannot carry");
        return Err(ApiError::new(ErrorCode::Usage, what, "name the folder that holds it, or rename it"));
    }
    Ok(absolute)
}

/// The entry, where exactly one number stands in place of files.
fn number_alone(what: &[PathBuf]) -> Option<EntryRef> {
    let [only] = what else { return None };
    match only.to_str()?.parse() {
        Ok(EntryRef::Number(number)) => Some(EntryRef::Number(number)),
        // An id is told from a file's name by there being no such file.
        Ok(EntryRef::Key(key)) if !only.exists() && !key.0.as_str().contains('/') => Some(EntryRef::Key(key)),
        _ => None,
    }
}

fn key(named: &EntryRef, snapshot: &Snapshot) -> Result<EntryKey, ApiError> {
    parse::entry_key(named, snapshot)
        .map_err(|why| ApiError::new(ErrorCode::NotFound, why, "`jamsync queue` shows the numbers"))
}

const SOLO: &str = "Ready to play alone: `jamsync play FILE|DIR`.\n\
                    For Jams with friends: `jamsync init --coordinator JOINCODE`.";

/// How long a daemon may take to let go of its folder after it said that it ends. Range 1 to 30 s, default 8 s; less
/// complains about a daemon that is merely slow, more keeps a person waiting for one that hangs.
const ENDING: Duration = Duration::from_secs(8);
