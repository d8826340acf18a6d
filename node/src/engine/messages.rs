//! Messages to contacts: what the listener says, sees and is told; the [courier](super::courier) carries them.

use std::time::Duration;

use jamsync_protocol::{
    chat::Reaction,
    conversation::{Content, ConversationId},
    id::{AccountId, Handle},
    time::Span,
    wire::coord::ConversationEntry,
};
use tokio::sync::oneshot;

use super::{
    Account, Apply, Engine,
    courier::{Courier, Errand, put_aside_as},
    friends::{Work, no_account},
};
use crate::{
    api::{
        self, ApiError, ConversationMessage, ErrorCode, MessageCard, MessageProgress, MessageReaction, Reply,
        Talk,
    },
    conversation::{Conversations, Friend, Note, Progress, Roster, Said, Shown, Trouble},
};

impl Engine {
    /// Starts to carry messages, where there is an account.
    pub(super) fn start_courier(&mut self) {
        self.courier_started = self.stage.now();
        let (Some(account), Some(link)) = (&self.account, self.coordinator.clone()) else { return };
        let Some(roster) = roster_of(account) else { return };
        let (file, completions) = (&self.messages_file, self.completions.clone());
        match Courier::start(file, &self.identity, roster, link, completions) {
            Ok((courier, told)) => {
                if let Some(told) = told {
                    self.warnings.push(told.clone());
                    self.warn(told);
                }
                self.courier = Some(courier);
                self.messages_stopped = None;
            }
            Err(trouble) => self.lose_courier(&trouble),
        }
    }

    /// Messages cannot go on as they are. Where their database is damaged they go on without what was in it, once.
    pub(super) fn lose_courier(&mut self, why: &Trouble) {
        let ran = self.courier.take().is_some();
        if ran && matches!(why, Trouble::Damaged(_)) && !std::mem::replace(&mut self.messages_put_aside, true)
        {
            match Conversations::put_aside(&self.messages_file) {
                Ok(aside) => {
                    let told = put_aside_as(&aside);
                    self.warnings.push(told.clone());
                    self.warn(told);
                    self.start_courier_late();
                    return;
                }
                Err(trouble) => {
                    tracing::error!(%trouble, "the damaged database of messages cannot be put aside")
                }
            }
        }
        let told = if matches!(why, Trouble::Database(_)) {
            self.try_courier_again();
            format!("messages stop here, and go on by themselves when that is mended: {why}")
        } else {
            format!("messages stop here: {why}")
        };
        self.warn(told.clone());
        self.messages_stopped = Some(told);
    }

    /// Starts to carry while the coordinator may be connected already.
    fn start_courier_late(&mut self) {
        self.start_courier();
        if matches!(self.coordinator_state, api::Coordinator::Connected { .. }) {
            self.tell_courier(Errand::Connected);
            self.ask_for_activity_keys(self.contact_ids());
        }
    }

    /// A disk that is full may have room in a while. One that has none for long is asked less and less often.
    fn try_courier_again(&mut self) {
        let lasted = self.stage.now() - self.courier_started > COURIER_SOUND;
        let longer = self.courier_pause.saturating_mul(2).min(COURIER_PAUSE_MAX);
        self.courier_pause = if lasted { COURIER_PAUSE_LEAST } else { longer.max(COURIER_PAUSE_LEAST) };
        let pause = self.courier_pause;
        self.beside(None, async move {
            tokio::time::sleep(pause).await;
            let apply: Apply = Box::new(|engine| {
                engine.carry_again();
                Ok(Reply::Done)
            });
            Ok(apply)
        });
    }

    /// Starts to carry again, unless that has been done meanwhile.
    pub(super) fn carry_again(&mut self) {
        if self.courier.is_none() {
            self.start_courier_late();
        }
    }

    /// Tells the courier something, if there is one.
    pub(super) fn tell_courier(&self, errand: Errand) {
        if let Some(courier) = &self.courier {
            courier.send(errand);
        }
    }

    /// Tells the courier who is who.
    pub(super) fn tell_courier_of_roster(&self) {
        if let Some(roster) = self.account.as_ref().and_then(roster_of) {
            self.tell_courier(Errand::Roster(Box::new(roster)));
        }
    }

    /// A conversation's log has grown by this.
    pub(super) fn conversation_written(&self, conversation: ConversationId, entry: ConversationEntry) {
        if let Some(courier) = &self.courier {
            courier.bring(conversation, entry);
        }
    }

    /// Says something to a contact.
    pub(super) fn message(&self, to: &Handle, content: Content) -> Result<Work, ApiError> {
        let (courier, account) = (self.running_courier()?, self.contact_named(to)?);
        Ok(say(courier, account, to.clone(), content))
    }

    /// What was said with a contact, or the last message with each.
    pub(super) fn messages(&self, with: Option<&Handle>, last: u32, peek: bool) -> Result<Work, ApiError> {
        let courier = self.running_courier()?;
        let (accounts, last) = match with {
            Some(name) => (vec![self.contact_named(name)?], last.min(SHOWN_MAX)),
            None => (self.contact_ids(), 1),
        };
        let (answer, shown) = oneshot::channel();
        courier.send(Errand::Show { with: accounts, last, reads: with.is_some() && !peek, answer });
        let with = with.cloned();
        Ok(Box::pin(async move {
            let shown = outcome(shown).await?;
            let apply: Apply = Box::new(move |engine| Ok(engine.messages_shown(with, shown)));
            Ok(apply)
        }))
    }

    fn messages_shown(&self, with: Option<Handle>, shown: Vec<Shown>) -> Reply {
        let (mut messages, mut talks) = (Vec::new(), Vec::new());
        for Shown { with: account, is_request: request, unread, said } in shown {
            let Some(name) = self.account.as_ref().and_then(|known| known.name_of(account)) else { continue };
            if !said.is_empty() {
                talks.push(Talk { with: name.clone(), request, unread });
            }
            messages.extend(said.into_iter().filter_map(|said| self.shown(name, said, request)));
        }
        if with.is_none() {
            messages.sort_by_key(|message| message.at);
        }
        let activity = with.as_ref().and_then(|with| self.activity_above(with)).map(Box::new);
        Reply::Messages { with, messages, talks, activity }
    }

    /// Reacts to a message.
    pub(super) fn react_to_message(
        &self,
        with: &Handle,
        message: String,
        reaction: Option<Reaction>,
    ) -> Result<Work, ApiError> {
        let (courier, with) = (self.running_courier()?, self.contact_named(with)?);
        let (answer, done) = oneshot::channel();
        courier.send(Errand::React { with, message, reaction, answer });
        Ok(done_when(done))
    }

    /// Lets a contact in who has written, or not.
    pub(super) fn answer_messages(&self, with: &Handle, accept: bool) -> Result<Work, ApiError> {
        let (courier, with) = (self.running_courier()?, self.contact_named(with)?);
        let (answer, done) = oneshot::channel();
        courier.send(Errand::AnswerRequest { with, accept, answer });
        Ok(done_when(done))
    }

    /// Tells others what was read from now on, or not, or says which.
    pub(super) fn read_receipts(&self, on: Option<bool>) -> Result<Work, ApiError> {
        let courier = self.running_courier()?;
        let (answer, set) = oneshot::channel();
        courier.send(Errand::TellReading { on, answer });
        Ok(Box::pin(async move {
            let on = outcome(set).await?;
            let apply: Apply = Box::new(move |_| Ok(Reply::ReadReceipts { on }));
            Ok(apply)
        }))
    }

    /// Passes on what the conversations want the listener to know.
    pub(super) fn heed_note(&mut self, note: Note) {
        let name = |with| self.account.as_ref().and_then(|account| account.name_of(with)).cloned();
        let event = match note {
            Note::Warning(warning) => return self.warn(warning),
            Note::Rekeyed { with } => return self.ask_for_activity_keys(vec![with]),
            Note::Said { with, said, is_request } => {
                name(with).and_then(|name| self.shown(&name, said, is_request)).map(api::Event::Message)
            }
            Note::Reacted { with, by, to, reaction } => name(with).map(|name| {
                let (mine, id) = (self.is_me(by), to.to_string());
                api::Event::MessageReaction { with: name, mine, id, reaction }
            }),
            Note::Progress { with, upto, progress } => name(with).map(|name| {
                let (up_to, progress) = (upto.to_string(), progress_of(progress));
                api::Event::MessageProgress { with: name, up_to, progress }
            }),
        };
        if let Some(event) = event {
            self.tell(event);
        }
    }

    /// A message as the listener sees it; none for a kind that this version does not show.
    fn shown(&self, with: &Handle, said: Said, request: bool) -> Option<ConversationMessage> {
        let (text, card) = match said.content {
            Content::Text(text) => (text, None),
            Content::Card(card) => (card.to_string().parse().ok()?, Some(MessageCard::of(&card)?)),
            Content::Reaction { .. } | Content::Receipt { .. } | _ => return None,
        };
        let react = |(by, reaction)| MessageReaction { mine: self.is_me(by), reaction };
        Some(ConversationMessage {
            id: said.id.to_string(),
            with: with.clone(),
            mine: self.is_me(said.by),
            at: said.at,
            text,
            card,
            progress: said.progress.map(progress_of),
            reactions: said.reactions.into_iter().map(react).collect(),
            request: request && !self.is_me(said.by),
        })
    }

    fn is_me(&self, account: AccountId) -> bool {
        self.account.as_ref().and_then(Account::id) == Some(account)
    }

    pub(super) fn running_courier(&self) -> Result<Courier, ApiError> {
        self.signed_in()?;
        self.courier.clone().ok_or_else(stopped)
    }

    pub(super) fn contact_named(&self, name: &Handle) -> Result<AccountId, ApiError> {
        let account = self.account.as_ref().ok_or_else(no_account)?;
        let known = account.contacts.iter().find(|contact| contact.handle == *name).ok_or_else(|| {
            let what = format!("{name} is not among your contacts");
            ApiError::new(ErrorCode::NotFound, what, "`jamsync contacts` lists them")
        })?;
        Ok(known.account)
    }
}

/// Says something, and answers with the message as it is kept.
pub(super) fn say(courier: Courier, account: AccountId, to: Handle, content: Content) -> Work {
    Box::pin(async move {
        let (answer, said) = oneshot::channel();
        courier.send(Errand::Say { to: account, content, answer });
        let said = outcome(said).await?;
        let apply: Apply = Box::new(move |engine| {
            let message = engine.shown(&to, said, false).ok_or_else(stopped)?;
            Ok(Reply::Message { message })
        });
        Ok(apply)
    })
}

/// What has become of an errand.
pub(super) async fn outcome<T>(answer: oneshot::Receiver<Result<T, Trouble>>) -> Result<T, ApiError> {
    answer.await.map_err(|_| stopped())?.map_err(|trouble| troubled(&trouble))
}

/// An errand that is answered when it is done.
fn done_when(answer: oneshot::Receiver<Result<(), Trouble>>) -> Work {
    Box::pin(async move {
        outcome(answer).await?;
        let apply: Apply = Box::new(|_| Ok(Reply::Done));
        Ok(apply)
    })
}

const fn progress_of(progress: Progress) -> MessageProgress {
    match progress {
        Progress::Waits => MessageProgress::Waits,
        Progress::Sent => MessageProgress::Sent,
        Progress::Delivered => MessageProgress::Delivered,
        Progress::Read => MessageProgress::Read,
    }
}

/// How long messages wait before their database is opened again after it failed. Seconds, 1 to 60 and 10 to 3,600, default 5
/// and 60: less writes to a disk that is full, more keeps messages back when it has room again.
const COURIER_PAUSE_LEAST: Duration = Duration::from_secs(5);
const COURIER_PAUSE_MAX: Duration = Duration::from_secs(60);

/// A database that has worked for so long is sound, and what fails then is news.
const COURIER_SOUND: Span = Span::from_secs(120);

/// How many messages one answer shows: 4 MiB at most.
const SHOWN_MAX: u32 = 1_000;

fn roster_of(account: &Account) -> Option<Roster> {
    let contacts = account.contacts.iter().map(|known| {
        let friend = Friend { account: known.account, name: known.handle.clone(), blocked: known.blocked };
        (friend, known.log.clone())
    });
    Roster::new(&account.log, contacts)
}

fn stopped() -> ApiError {
    ApiError::new(ErrorCode::Failed, "messages have stopped on this node", "`jamsync status` says why")
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all other trouble is a plain failure")]
fn troubled(trouble: &Trouble) -> ApiError {
    let code = match trouble {
        Trouble::NoContact | Trouble::NoMessage | Trouble::NoRequest => ErrorCode::NotFound,
        Trouble::Ambiguous { .. } => ErrorCode::Usage,
        Trouble::Blocked | Trouble::Full { .. } => ErrorCode::Refused,
        _ => ErrorCode::Failed,
    };
    ApiError::from_sentence(code, &trouble.to_string())
}
