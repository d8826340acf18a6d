//! Chat: what two participants of a Jam say to each other, without IO.
//!
//! A message is delivered exactly once and in order, over however many connections: it waits here until the peer
//! says that it has it, and every new connection begins with what each side has heard of the other. A reaction is
//! worth something at the moment only, so it is sent once or not at all and kept by nobody.
//!
//! The machine keeps no history: what was said is handed out as a [`ChatEvent`], once, and is the shell's to show.
//! Its input is the chat stream of a peer connection, and what the listener says. The drain rule holds: after every
//! call, poll [`poll_transmit`](Chat::poll_transmit) and [`poll_event`](Chat::poll_event) until both return `None`.
//! Nothing here happens by itself, so there is no timeout to wait for.

mod error;
mod message;
mod text;

use alloc::{collections::VecDeque, vec::Vec};

pub use error::ChatError;
pub use message::{ChatMessage, MessageId, Reaction, Said, UnknownReaction};
pub use text::{ChatText, ChatTextError};

use crate::{
    budget::Budget,
    id::Participant,
    limits::{CHAT_WAITING_MAX, PEER_FRAME_BYTES_MAX},
    time::{NodeTime, Span, UtcTime},
    wire::codec,
};

/// One participant's side of the talk with one other.
#[derive(Debug)]
pub struct Chat {
    me: Participant,
    peer: Participant,
    /// The number of this side's last message.
    said: u32,
    /// Messages that the peer has not confirmed, oldest first, with numbers that leave no gap.
    waiting: VecDeque<Said>,
    /// The peer's process, as its hello named it: another one has heard nothing and counts anew.
    peer_run: Option<u32>,
    /// The number of that process's last message that is here.
    heard: u32,
    line: Option<Line>,
    saying: Budget,
    reacting: Budget,
    hearing: Budget,
    seeing: Budget,
    events: VecDeque<ChatEvent>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChatEvent {
    /// The peer said something.
    Heard(Said),
    /// The peer's node has this side's messages up to this number.
    Delivered {
        /// The number of the last of them.
        up_to: u32,
    },
    /// The peer reacted to what is heard now.
    Reacted(Reaction),
}

/// What is owed on the present connection.
#[derive(Debug, Default)]
struct Line {
    /// Whether this side has said what it has heard.
    resumed: bool,
    /// The number of the last message sent; none before the peer has said what it has heard.
    sent: Option<u32>,
    /// Whether the peer is to be told what has been heard since.
    owes_heard: bool,
    reactions: VecDeque<Reaction>,
}

impl Chat {
    /// The talk of `me` with `peer`, before a word was said.
    #[must_use]
    pub const fn new(me: Participant, peer: Participant) -> Self {
        Self {
            me,
            peer,
            said: 0,
            waiting: VecDeque::new(),
            peer_run: None,
            heard: 0,
            line: None,
            saying: Budget::new(SAYING_BURST, SAYING_EVERY),
            reacting: Budget::new(REACTING_BURST, REACTING_EVERY),
            hearing: Budget::new(HEARING_BURST, HEARING_EVERY),
            seeing: Budget::new(SEEING_BURST, SEEING_EVERY),
            events: VecDeque::new(),
        }
    }

    /// Says `text`. It is sent now, or when the peer is there again. `at` is the listener's calendar, for display.
    ///
    /// # Errors
    /// [`ChatError::Full`] while [`CHAT_WAITING_MAX`] messages wait, [`ChatError::TooFast`] above the rate; nothing
    /// was said then.
    pub fn say(&mut self, text: ChatText, at: UtcTime, now: NodeTime) -> Result<MessageId, ChatError> {
        let number = self.said.checked_add(1).filter(|_| self.waiting.len() < CHAT_WAITING_MAX);
        let number = number.ok_or(ChatError::Full { waiting: self.waiting.len() })?;
        self.saying.spend(now).map_err(|again_in| ChatError::TooFast { again_in })?;
        self.said = number;
        let id = MessageId { author: self.me, number };
        self.waiting.push_back(Said { id, at, text });
        Ok(id)
    }

    /// Shows the peer a reaction, if it is there to see it.
    ///
    /// # Errors
    /// [`ChatError::Away`] without a connection, [`ChatError::TooFast`] above the rate.
    pub fn react(&mut self, reaction: Reaction, now: NodeTime) -> Result<(), ChatError> {
        let line = self.line.as_mut().ok_or(ChatError::Away)?;
        self.reacting.spend(now).map_err(|again_in| ChatError::TooFast { again_in })?;
        line.reactions.push_back(reaction);
        Ok(())
    }

    /// A connection to the peer stands; `peer_run` is the number of its process from its hello. What came over an
    /// earlier connection is handed in no more.
    pub fn handle_connected(&mut self, peer_run: u32) {
        if self.peer_run.replace(peer_run) != Some(peer_run) {
            self.heard = 0;
        }
        self.line = Some(Line::default());
    }

    /// The connection is lost. What was not confirmed waits for the next one.
    pub fn handle_disconnected(&mut self) {
        self.line = None;
    }

    /// The body of a frame of the chat stream, which arrived at `now`.
    ///
    /// # Errors
    /// [`ChatError`] names what the peer did wrong: close the connection with the error's text as the reason.
    /// Nothing of the offending message has taken effect.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: NodeTime) -> Result<(), ChatError> {
        let line = self.line.as_mut().ok_or(ChatError::Away)?;
        match (codec::decode(bytes)?, line.sent) {
            (ChatMessage::Resume { heard }, None) => {
                check_said(heard, self.said)?;
                line.sent = Some(heard);
                self.delivered(heard);
            }
            (ChatMessage::Resume { .. }, Some(_)) => return Err(ChatError::OutOfTurn("a second resume")),
            (_, None) => return Err(ChatError::OutOfTurn("something else before its resume")),
            (ChatMessage::Heard { number }, Some(sent)) => {
                check_said(number, sent)?;
                self.delivered(number);
            }
            (ChatMessage::Say(said), Some(_)) => self.hear(said, now)?,
            (ChatMessage::React(reaction), Some(_)) => {
                self.seeing.spend(now).map_err(|_| ChatError::Flooded("reactions"))?;
                self.events.push_back(ChatEvent::Reacted(reaction));
            }
        }
        Ok(())
    }

    /// The body of the next frame for the chat stream.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        let message = self.next_message()?;
        let encoded = codec::encode(&message, PEER_FRAME_BYTES_MAX);
        debug_assert!(encoded.is_ok(), "own message does not fit: {encoded:?}");
        encoded.ok()
    }

    /// The next thing that happened.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<ChatEvent> {
        self.events.pop_front()
    }

    /// This side's messages that the peer's node has not confirmed, oldest first.
    pub fn waiting(&self) -> impl ExactSizeIterator<Item = &Said> {
        self.waiting.iter()
    }

    fn next_message(&mut self) -> Option<ChatMessage> {
        let line = self.line.as_mut()?;
        if !line.resumed {
            line.resumed = true;
            return Some(ChatMessage::Resume { heard: self.heard });
        }
        if line.owes_heard {
            line.owes_heard = false;
            return Some(ChatMessage::Heard { number: self.heard });
        }
        if let Some(reaction) = line.reactions.pop_front() {
            return Some(ChatMessage::React(reaction));
        }
        let sent = line.sent.as_mut()?;
        let next = self.waiting.iter().find(|said| said.id.number > *sent)?;
        *sent = next.id.number;
        Some(ChatMessage::Say(next.clone()))
    }

    fn hear(&mut self, said: Said, now: NodeTime) -> Result<(), ChatError> {
        let number = said.id.number;
        if said.id.author != self.peer {
            return Err(ChatError::NotTheirs { author: said.id.author });
        }
        self.hearing.spend(now).map_err(|_| ChatError::Flooded("messages"))?;
        let expected = self.heard.saturating_add(1);
        // This side may have begun anew, and then the first number it hears is any.
        if number > expected && self.heard > 0 {
            return Err(ChatError::Gap { expected, actual: number });
        }
        if let Some(line) = &mut self.line {
            line.owes_heard = true;
        }
        if number > self.heard {
            self.heard = number;
            self.events.push_back(ChatEvent::Heard(said));
        }
        Ok(())
    }

    /// The peer has everything up to `number`.
    fn delivered(&mut self, number: u32) {
        let before = self.waiting.len();
        while self.waiting.front().is_some_and(|said| said.id.number <= number) {
            self.waiting.pop_front();
        }
        if self.waiting.len() < before {
            self.events.push_back(ChatEvent::Delivered { up_to: number });
        }
    }
}

/// The peer speaks of message `number`, of which there is none above `last`.
fn check_said(number: u32, last: u32) -> Result<(), ChatError> {
    if number > last { Err(ChatError::NeverSaid { actual: number, last }) } else { Ok(()) }
}

/// How many messages may be said at once, and how often one more. Count 10 to 1,000, default 60; span 0.1 to 10 s,
/// default 1 s. Less refuses people who paste line by line, more lets a script fill the friend's screen.
const SAYING_BURST: u32 = 60;
const SAYING_EVERY: Span = Span::from_secs(1);

/// The same for reactions: count 1 to 20, default 5; span 0.2 to 10 s, default 1 s. Less refuses applause, more makes
/// a held key a flood.
const REACTING_BURST: u32 = 5;
const REACTING_EVERY: Span = Span::from_secs(1);

/// What is taken from the peer: all that may have waited and a burst on top, at twice the rate, so that no peer of
/// this version is refused for what a path has held up. A path that holds up more than 10 s is lost, and with it
/// the reactions on it.
const HEARING_BURST: u32 = SAYING_BURST + 64;
const HEARING_EVERY: Span = Span::from_millis(500);
const SEEING_BURST: u32 = REACTING_BURST + 15;
const SEEING_EVERY: Span = Span::from_millis(500);
const _: () = assert!(CHAT_WAITING_MAX <= 64, "all that waits arrives at once and has to be taken");

#[cfg(test)]
mod tests;
