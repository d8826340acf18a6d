//! The courier: carries what the conversations want to ask to the coordinator and brings the answers back, beside the loop,
//! because a database and a network take longer than a loop that plays music may wait.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jamsync_protocol::{
    chat::Reaction,
    conversation::{Content, ConversationId},
    id::AccountId,
    time::Span,
    wire::coord::{ConversationEntry, CoordReply},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::sleep,
};

use super::{Apply, Completion, utc_now};
use crate::{
    api::Reply,
    conversation::{ActivityKeys, Ask, Conversations, NoAnswer, Note, Roster, Said, Shown, Trouble},
    identity::Identity,
    net::coordinator::{CoordinatorLink, LinkError},
};

/// The engine's end of the courier. The courier ends with it.
#[derive(Clone, Debug)]
pub(super) struct Courier {
    errands: mpsc::UnboundedSender<Errand>,
    /// Room for entries that the courier has not looked at.
    room: Arc<Semaphore>,
}

/// What the engine tells or wants.
#[derive(Debug)]
pub(super) enum Errand {
    /// The coordinator answers.
    Connected,
    /// It does not any more.
    Disconnected,
    /// It did not tell everything.
    Missed,
    /// A log has grown.
    Grown(ConversationId),
    /// A log has grown by this, which takes up room until then.
    Written(ConversationId, Box<ConversationEntry>, OwnedSemaphorePermit),
    /// Who is who has changed.
    Roster(Box<Roster>),
    /// What activities of these contacts are sealed with.
    Keys { of: Vec<AccountId>, answer: oneshot::Sender<Keyed> },
    /// The listener says something.
    Say { to: AccountId, content: Content, answer: Answer<Said> },
    /// The listener wants to see what was said, with each of these the last so many, and perhaps reads it.
    Show { with: Vec<AccountId>, last: u32, reads: bool, answer: Answer<Vec<Shown>> },
    /// The listener reacts to the message whose name begins so.
    React { with: AccountId, message: String, reaction: Option<Reaction>, answer: Answer<()> },
    /// The listener lets somebody in who has written, or not.
    AnswerRequest { with: AccountId, accept: bool, answer: Answer<()> },
    /// The listener tells what was read from now on, or not, or asks.
    TellReading { on: Option<bool>, answer: Answer<bool> },
    /// The message whose name begins so is looked for.
    Find { with: AccountId, message: String, answer: Answer<Said> },
}

/// The keys with each contact, where there are any.
pub(super) type Keyed = Vec<(AccountId, Option<ActivityKeys>)>;

/// Where the answer to an errand goes. Whoever does not wait for it has gone.
type Answer<T> = oneshot::Sender<Result<T, Trouble>>;

impl Courier {
    /// Opens the conversations and starts to carry. Returns with it what the listener should know.
    pub(super) fn start(
        path: &Path,
        identity: &Identity,
        roster: Roster,
        link: CoordinatorLink,
        completions: mpsc::UnboundedSender<Completion>,
    ) -> Result<(Self, Option<String>), Trouble> {
        let (conversations, aside) = Conversations::open(path, identity.secret(), roster)?;
        let (errands, inbox) = mpsc::unbounded_channel();
        let round = Round { conversations: Arc::new(Mutex::new(conversations)), link, completions };
        tokio::spawn(round.run(inbox));
        let told = aside.map(|aside| put_aside_as(&aside));
        Ok((Self { errands, room: Arc::new(Semaphore::new(ENTRIES_MAX)) }, told))
    }

    /// Tells or asks the courier.
    pub(super) fn send(&self, errand: Errand) {
        // One that has ended said why.
        let _ = self.errands.send(errand);
    }

    /// Brings an entry of a log, or where too many wait only that it is there.
    pub(super) fn bring(&self, conversation: ConversationId, entry: ConversationEntry) {
        self.send(match Arc::clone(&self.room).try_acquire_owned() {
            Ok(room) => Errand::Written(conversation, Box::new(entry), room),
            Err(_) => Errand::Grown(conversation),
        });
    }
}

/// The courier's own side.
struct Round {
    conversations: Arc<Mutex<Conversations>>,
    link: CoordinatorLink,
    completions: mpsc::UnboundedSender<Completion>,
}

/// An answer that comes in time.
type Answered = oneshot::Receiver<(Ask, Result<CoordReply, NoAnswer>)>;

impl Round {
    /// Runs until the engine lets go of its end, or the database fails for good.
    async fn run(self, mut inbox: mpsc::UnboundedReceiver<Errand>) {
        let mut asked: Option<Answered> = None;
        loop {
            let step = async {
                if asked.is_none() {
                    asked = self.ask().await?;
                }
                self.tell().await
            };
            let wake = match step.await {
                Ok(wake) => wake,
                Err(trouble) => return self.give_up(trouble),
            };
            let done = tokio::select! {
                errand = inbox.recv() => match errand {
                    Some(errand) => self.run_errand(errand).await,
                    None => return,
                },
                answer = answered(&mut asked) => self.take(answer).await,
                () = sleep(wake.unwrap_or_default()), if wake.is_some() && asked.is_none() => Ok(()),
            };
            if let Err(trouble) = done {
                return self.give_up(trouble);
            }
        }
    }

    /// Asks what is to be asked next, beside whatever else comes.
    async fn ask(&self) -> Result<Option<Answered>, Trouble> {
        let Some(ask) = self.with(|conversations| conversations.poll_ask(utc_now())).await? else {
            return Ok(None);
        };
        let (sender, answered) = oneshot::channel();
        let link = self.link.clone();
        tokio::spawn(async move {
            let answer = link.request(ask.request.clone()).await.map_err(|error| {
                if let LinkError::Refused(refusal) = error {
                    return NoAnswer::Refused(refusal);
                }
                tracing::info!(%error, "the coordinator was not asked");
                NoAnswer::Away
            });
            // A courier that has ended needs no answer.
            let _ = sender.send((ask, answer));
        });
        Ok(Some(answered))
    }

    async fn take(&self, answer: Option<(Ask, Result<CoordReply, NoAnswer>)>) -> Result<(), Trouble> {
        let Some((ask, answer)) = answer else { return Ok(()) };
        self.with(move |conversations| conversations.handle_answer(ask, answer, utc_now())).await
    }

    async fn run_errand(&self, errand: Errand) -> Result<(), Trouble> {
        self.with(move |conversations| {
            match errand {
                Errand::Connected => conversations.handle_connected(),
                Errand::Disconnected => conversations.handle_disconnected(),
                Errand::Missed => conversations.handle_missed(),
                Errand::Grown(conversation) => conversations.handle_grown(conversation),
                Errand::Written(conversation, entry, _room) => {
                    conversations.handle_written(conversation, *entry)?;
                }
                Errand::Roster(roster) => conversations.handle_roster(*roster),
                Errand::Keys { of, answer } => {
                    let each = |account| Ok((account, conversations.activity_keys(account)?));
                    let keys = of.into_iter().map(each).collect::<Result<Vec<_>, Trouble>>()?;
                    let _ = answer.send(keys);
                }
                Errand::Say { to, content, answer } => {
                    let _ = answer.send(conversations.say(to, content, utc_now()));
                }
                Errand::Show { with, last, reads, answer } => {
                    let _ = answer.send(show(conversations, &with, last, reads));
                }
                Errand::React { with, message, reaction, answer } => {
                    let found = conversations.find(with, &message);
                    let reacted = |said: Said| conversations.react(with, said.id, reaction, utc_now());
                    let _ = answer.send(found.and_then(reacted));
                }
                Errand::AnswerRequest { with, accept, answer } => {
                    let _ = answer.send(conversations.answer_request(with, accept, utc_now()));
                }
                Errand::TellReading { on, answer } => {
                    let set = on.map_or(Ok(()), |on| conversations.set_tells_reading(on));
                    let _ = answer.send(set.and_then(|()| conversations.tells_reading()));
                }
                Errand::Find { with, message, answer } => {
                    let _ = answer.send(conversations.find(with, &message));
                }
            }
            Ok(())
        })
        .await
    }

    /// Tells the engine what a listener should know, and says after how long time alone brings more.
    async fn tell(&self) -> Result<Option<Duration>, Trouble> {
        let (notes, wake) = self
            .with(|conversations| {
                let notes: Vec<Note> = std::iter::from_fn(|| conversations.poll_note()).collect();
                Ok((notes, conversations.poll_wake()))
            })
            .await?;
        for note in notes {
            self.apply(Box::new(move |engine| {
                engine.heed_note(note);
                Ok(Reply::Done)
            }));
        }
        Ok(wake.map(|wake| (wake - utc_now()).max(SLEEP_LEAST).as_duration()))
    }

    /// Ends, and lets go of the database before the engine hears of it.
    fn give_up(self, trouble: Trouble) {
        let Self { conversations, completions, .. } = self;
        drop(conversations);
        let apply: Apply = Box::new(move |engine| {
            engine.lose_courier(&trouble);
            Ok(Reply::Done)
        });
        // An engine that is gone has nothing to apply this to.
        let _ = completions.send(Completion { outcome: Ok(apply), answer: None });
    }

    fn apply(&self, apply: Apply) {
        // An engine that is gone has nothing to apply this to.
        let _ = self.completions.send(Completion { outcome: Ok(apply), answer: None });
    }

    /// Does something with the conversations on a thread that may wait for a disk.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Conversations) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        let conversations = Arc::clone(&self.conversations);
        let done = tokio::task::spawn_blocking(move || {
            work(&mut conversations.lock().unwrap_or_else(PoisonError::into_inner))
        });
        done.await.unwrap_or_else(|_| Err(Trouble::Database("its thread has ended".to_owned())))
    }
}

/// Where a damaged database is, and what follows.
pub(super) fn put_aside_as(aside: &Path) -> String {
    format!(
        "the database of your messages was damaged and is put aside as {}; what was said before is not shown any more, and \
         your friends' nodes let this one in again by themselves",
        aside.display()
    )
}

/// What was said with each of these; seen from then on, where the listener reads it.
fn show(
    conversations: &mut Conversations,
    with: &[AccountId],
    last: u32,
    reads: bool,
) -> Result<Vec<Shown>, Trouble> {
    let history = |account: &AccountId| {
        let shown = conversations.history(*account, last)?;
        if !reads || theirs(&shown) >= shown.unread {
            return Ok(shown);
        }
        // What is taken for read from now on is shown.
        let mut all = conversations.history(*account, UNREAD_SHOWN_MAX)?;
        let mut surplus = theirs(&all).saturating_sub(all.unread);
        let first = all.said.iter().position(|said| {
            let is_theirs = said.by == *account;
            let is_first = is_theirs && surplus == 0;
            surplus = surplus.saturating_sub(u32::from(is_theirs));
            is_first
        });
        all.said.drain(..first.unwrap_or_default());
        Ok::<_, Trouble>(all)
    };
    let shown = with.iter().map(history).collect::<Result<_, _>>()?;
    if reads {
        with.iter().try_for_each(|account| conversations.see(*account))?;
    }
    Ok(shown)
}

/// How many messages of somebody else are shown.
fn theirs(shown: &Shown) -> u32 {
    let count = shown.said.iter().filter(|said| said.by == shown.with).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The answer to what was asked; never where nothing was. Without one, because its task was dropped, none.
async fn answered(asked: &mut Option<Answered>) -> Option<(Ask, Result<CoordReply, NoAnswer>)> {
    let Some(waiting) = asked else { return std::future::pending().await };
    let answer = waiting.await.ok();
    *asked = None;
    answer
}

/// How many messages are shown where more than the listener asked for are unread.
const UNREAD_SHOWN_MAX: u32 = 1_000;
/// How many entries wait for the courier. Count, default 64: fewer are asked for again when friends talk fast, more let a
/// coordinator fill the memory, 16 KiB each.
const ENTRIES_MAX: usize = 64;
/// It never looks more often for what is due, whatever a clock says.
const SLEEP_LEAST: Span = Span::from_millis(50);
