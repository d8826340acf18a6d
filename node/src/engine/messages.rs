//! Messages to contacts: what the listener says, sees and is told; the [courier](super::courier) carries them.

use jamsync_protocol::{
    chat::ChatText,
    conversation::{Content, ConversationId},
    id::{AccountId, Handle},
};
use tokio::sync::oneshot;

use super::{
    Account, Apply, Engine,
    courier::{Courier, Errand},
    friends::{Work, no_account},
};
use crate::{
    api::{self, ApiError, ConversationMessage, ErrorCode, Reply},
    conversation::{Friend, Note, Roster, Said, Trouble},
};

impl Engine {
    /// Starts to carry messages, where there is an account.
    pub(super) fn start_courier(&mut self) {
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
            }
            Err(trouble) => self.lose_courier(&trouble.to_string()),
        }
    }

    /// Messages cannot go on.
    pub(super) fn lose_courier(&mut self, why: &str) {
        self.courier = None;
        self.warn(format!("messages stop here: {why}"));
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

    /// A conversation's log has grown.
    pub(super) fn conversation_grew(&self, conversation: ConversationId) {
        self.tell_courier(Errand::Grown(conversation));
    }

    /// Says something to a contact.
    pub(super) fn message(&self, to: &Handle, text: ChatText) -> Result<Work, ApiError> {
        let (courier, account) = (self.running_courier()?, self.contact_named(to)?);
        let (to, (answer, said)) = (to.clone(), oneshot::channel());
        courier.send(Errand::Say { to: account, content: Content::Text(text), answer });
        Ok(Box::pin(async move {
            let said = said.await.map_err(|_| stopped())?.map_err(|trouble| troubled(&trouble))?;
            let apply: Apply = Box::new(move |engine| {
                let message = engine.shown(&to, said).ok_or_else(stopped)?;
                Ok(Reply::Message { message })
            });
            Ok(apply)
        }))
    }

    /// What was said with a contact, or the last message with each.
    pub(super) fn messages(&self, with: Option<&Handle>, last: u32) -> Result<Work, ApiError> {
        let courier = self.running_courier()?;
        let (accounts, last) = match with {
            Some(name) => (vec![self.contact_named(name)?], last.min(SHOWN_MAX)),
            None => (self.contact_ids(), 1),
        };
        let (answer, shown) = oneshot::channel();
        courier.send(Errand::Show { with: accounts, last, answer });
        let with = with.cloned();
        Ok(Box::pin(async move {
            let shown = shown.await.map_err(|_| stopped())?.map_err(|trouble| troubled(&trouble))?;
            let apply: Apply = Box::new(move |engine| {
                let mut messages = Vec::new();
                for (account, said) in shown {
                    let Some(name) = engine.account.as_ref().and_then(|known| known.name_of(account)) else {
                        continue;
                    };
                    messages.extend(said.into_iter().filter_map(|said| engine.shown(name, said)));
                }
                if with.is_none() {
                    messages.sort_by_key(|message| message.at);
                }
                let activity = with.as_ref().and_then(|with| engine.activity_above(with)).map(Box::new);
                Ok(Reply::Messages { with, messages, activity })
            });
            Ok(apply)
        }))
    }

    /// Passes on what the conversations want the listener to know.
    pub(super) fn heed_note(&mut self, note: Note) {
        match note {
            Note::Warning(warning) => self.warn(warning),
            Note::Rekeyed { with } => self.ask_for_activity_keys(vec![with]),
            Note::Said { with, said } => {
                let name = self.account.as_ref().and_then(|account| account.name_of(with)).cloned();
                if let Some(message) = name.and_then(|name| self.shown(&name, said)) {
                    self.tell(api::Event::Message(message));
                }
            }
        }
    }

    /// A message as the listener sees it; none for a kind that this version does not show.
    fn shown(&self, with: &Handle, said: Said) -> Option<ConversationMessage> {
        let mine = self.account.as_ref().and_then(Account::id) == Some(said.by);
        let (id, with) = (said.id.to_string(), with.clone());
        match said.content {
            Content::Text(text) => {
                Some(ConversationMessage { id, with, mine, at: said.at, text, sent: said.sent })
            }
            _ => None,
        }
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
    let remedy = "`jamsync stop` and any other command start the daemon anew; its log says more";
    ApiError::new(ErrorCode::Failed, "messages have stopped on this node", remedy)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all other trouble is a plain failure")]
fn troubled(trouble: &Trouble) -> ApiError {
    let code = match trouble {
        Trouble::NoContact => ErrorCode::NotFound,
        Trouble::Blocked | Trouble::Full { .. } => ErrorCode::Refused,
        _ => ErrorCode::Failed,
    };
    ApiError::from_sentence(code, &trouble.to_string())
}
