//! The talk of a Jam: what was said is kept here for as long as the Jam lasts, and passed on live.
//!
//! Delivery is the chat machine's business. What the listener should see of it, the bound on what is kept, and the
//! sentences for what cannot be said are this module's.

use std::collections::VecDeque;

use jamsync_protocol::{
    chat::{Chat, ChatError, ChatEvent, ChatText, Reaction, Said},
    id::{Handle, Participant},
    time::{NodeTime, UtcTime},
};

use super::{Engine, jam::ActiveJam, jamming::not_in_jam, utc_now};
use crate::api::{self, ApiError, ErrorCode, Message, Reply, Who};

/// What is said in a Jam, and what was.
#[derive(Debug)]
pub(super) struct Talk {
    chat: Chat,
    kept: VecDeque<Kept>,
    /// The size of all texts that are kept, in bytes.
    bytes: usize,
    /// The number of the last message of either side.
    last: u64,
}

/// A message of either side.
#[derive(Debug)]
struct Kept {
    number: u64,
    at: UtcTime,
    text: ChatText,
    side: Side,
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Friends,
    Own {
        /// The author's number, by which the friend confirms it.
        number: u32,
        said: NodeTime,
        delivered: bool,
    },
}

impl Talk {
    pub(super) fn new(me: Participant, peer: Participant) -> Self {
        Self { chat: Chat::new(me, peer), kept: VecDeque::new(), bytes: 0, last: 0 }
    }

    pub(super) fn handle_connected(&mut self, peer_run: u32) {
        self.chat.handle_connected(peer_run);
    }

    pub(super) fn handle_disconnected(&mut self) {
        self.chat.handle_disconnected();
    }

    /// What the friend's node has not got, in words; none where it has everything.
    pub(super) fn undelivered(&self) -> Option<String> {
        match self.chat.waiting().len() {
            0 => None,
            1 => Some("one message of yours".to_owned()),
            count => Some(format!("{count} messages of yours")),
        }
    }

    /// How the chat stands, for the snapshot.
    pub(super) fn view(&self, with: &Handle) -> api::Chat {
        api::Chat {
            messages: self.last,
            waiting: u32::try_from(self.chat.waiting().len()).unwrap_or(u32::MAX),
            latest: self.latest(LATEST, with),
        }
    }

    fn latest(&self, count: usize, with: &Handle) -> Vec<Message> {
        let surplus = self.kept.len().saturating_sub(count);
        self.kept.iter().skip(surplus).map(|kept| kept.message(with)).collect()
    }

    fn say(&mut self, text: ChatText, now: NodeTime) -> Result<&Kept, ChatError> {
        let at = utc_now();
        let number = self.chat.say(text.clone(), at, now)?.number;
        Ok(self.keep(at, text, Side::Own { number, said: now, delivered: false }))
    }

    fn keep(&mut self, at: UtcTime, text: ChatText, side: Side) -> &Kept {
        self.last += 1;
        self.bytes += text.as_str().len();
        let number = self.last;
        let full = |talk: &Self| talk.kept.len() >= KEPT_MAX || talk.bytes > KEPT_BYTES_MAX;
        while full(self)
            && let Some(oldest) = self.kept.pop_front()
        {
            self.bytes -= oldest.text.as_str().len();
        }
        self.kept.push_back_mut(Kept { number, at, text, side })
    }

    fn poll_event(&mut self, with: &Handle, now: NodeTime) -> Option<api::Event> {
        Some(match self.chat.poll_event()? {
            ChatEvent::Heard(Said { at, text, .. }) => {
                // A calendar that is fast would date it into the future.
                api::Event::Said(self.keep(at.min(utc_now()), text, Side::Friends).message(with))
            }
            ChatEvent::Delivered { up_to } => {
                let (mut last, mut count, mut since) = (0, 0, now);
                for kept in &mut self.kept {
                    if let Side::Own { number, said, delivered: delivered @ false } = &mut kept.side
                        && *number <= up_to
                    {
                        *delivered = true;
                        (last, count, since) = (kept.number, count + 1, since.min(*said));
                    }
                }
                api::Event::Delivered { with: with.clone(), up_to: last, count, waited: now - since }
            }
            ChatEvent::Reacted(reaction) => api::Event::Reacted { by: Who::Peer(with.clone()), reaction },
            _ => return None,
        })
    }
}

impl Kept {
    fn message(&self, with: &Handle) -> Message {
        let (by, delivered) = match self.side {
            Side::Friends => (Who::Peer(with.clone()), true),
            Side::Own { delivered, .. } => (Who::You, delivered),
        };
        Message { number: self.number, by, at: self.at, text: self.text.clone(), delivered }
    }
}

impl Engine {
    /// Says something to the friend, now or when the friend is back.
    pub(super) fn say(&mut self, text: ChatText) -> Result<Reply, ApiError> {
        let now = self.stage.now();
        let jam = self.talking()?;
        let (to, away) = (jam.with().clone(), jam.link.is_none());
        let message = jam.talk.say(text, now).map_err(|error| chat_error(&error))?.message(&to);
        self.tell(api::Event::Said(message.clone()));
        Ok(Reply::Said { message, to, away })
    }

    /// Shows the friend a reaction.
    pub(super) fn react(&mut self, reaction: Reaction) -> Result<(), ApiError> {
        let now = self.stage.now();
        self.talking()?.talk.chat.react(reaction, now).map_err(|error| chat_error(&error))?;
        self.tell(api::Event::Reacted { by: Who::You, reaction });
        Ok(())
    }

    /// The latest messages of this Jam.
    pub(super) fn chat(&self, last: u32) -> Result<Reply, ApiError> {
        let jam = self.jam.as_ref().ok_or_else(not_in_jam)?;
        let with = jam.with().clone();
        let messages = jam.talk.latest(usize::try_from(last).unwrap_or(usize::MAX), &with);
        Ok(Reply::Chat { away: jam.link.is_none(), messages, with })
    }

    /// A frame of the friend's chat.
    pub(super) fn hear(&mut self, link: u64, bytes: &[u8], at: NodeTime) {
        let Some(jam) = self.jam.as_mut().filter(|jam| jam.uses(link)) else { return };
        if let Err(error) = jam.talk.chat.handle_bytes(bytes, at) {
            self.blame_peer(&error);
        }
    }

    /// Tells the listener what was said and what has arrived.
    pub(super) fn tell_chat(&mut self) {
        let now = self.stage.now();
        while let Some(event) = self.jam.as_mut().and_then(|jam| {
            let with = jam.with().clone();
            jam.talk.poll_event(&with, now)
        }) {
            self.tell(event);
        }
    }

    /// Hands the chat's frames to the connection.
    pub(super) fn flush_chat(&mut self) {
        let Some(jam) = &mut self.jam else { return };
        while let Some(body) = jam.talk.chat.poll_transmit() {
            if let Some(link) = &jam.link {
                link.say(body);
            }
        }
    }

    /// The Jam, once the friend has been there.
    fn talking(&mut self) -> Result<&mut ActiveJam, ApiError> {
        let jam = self.jam.as_mut().ok_or_else(not_in_jam)?;
        if jam.met.is_some() {
            return Ok(jam);
        }
        let what = format!("{} has not come into the Jam yet", jam.with());
        Err(ApiError::new(ErrorCode::Unreachable, what, "`jamsync status` tells when the connection stands"))
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are what a peer did, and no listener's doing")]
fn chat_error(error: &ChatError) -> ApiError {
    let code = match error {
        ChatError::Away => ErrorCode::Unreachable,
        ChatError::Full { .. } | ChatError::TooFast { .. } => ErrorCode::Refused,
        _ => ErrorCode::Failed,
    };
    ApiError::from_sentence(code, &error.to_string())
}

/// How many messages of a Jam are kept. Range 50 to 10,000, default 500; fewer forget what was said half an hour ago,
/// more only fill memory.
const KEPT_MAX: usize = 500;

/// How long their texts are together, in bytes. Range 256 KiB to 16 MiB, default 512 KiB: below the least a friend
/// who writes at length pushes out what has not arrived yet, above the most one answer of the local API is too long.
const KEPT_BYTES_MAX: usize = 512 * 1024;

/// How many messages a snapshot holds: as many as a status line or two show.
const LATEST: usize = 5;

#[cfg(test)]
mod tests {
    use jamsync_protocol::time::Span;

    use super::*;

    fn text(text: &str) -> ChatText {
        text.parse().expect("may be said")
    }

    fn talk() -> Talk {
        Talk::new(Participant::FIRST, Participant::new(1).expect("a guest"))
    }

    #[test]
    fn the_history_is_bounded_in_number_and_in_bytes() {
        let mut talk = talk();
        let keep = |talk: &mut Talk, text| talk.keep(UtcTime::ZERO, text, Side::Friends).number;
        for _ in 0..2 * KEPT_MAX {
            let _ = keep(&mut talk, text("short"));
        }
        assert_eq!((talk.kept.len(), talk.last), (KEPT_MAX, 1_000));
        for _ in 0..KEPT_MAX {
            let _ = keep(&mut talk, text(&"x".repeat(4_096)));
        }
        assert_eq!(talk.bytes, talk.kept.iter().map(|kept| kept.text.as_str().len()).sum::<usize>());
        assert!(talk.bytes <= KEPT_BYTES_MAX, "{}", talk.bytes);
        let with: Handle = "ben".parse().expect("valid");
        assert_eq!(
            talk.latest(3, &with).iter().map(|kept| kept.number).collect::<Vec<_>>(),
            [1_498, 1_499, 1_500]
        );
    }

    #[test]
    fn delivery_is_told_with_the_number_and_the_time_that_the_first_has_waited() {
        let mut talk = talk();
        let mut friend = Chat::new(Participant::new(1).expect("a guest"), Participant::FIRST);
        let with: Handle = "ben".parse().expect("valid");
        let start = NodeTime::ZERO;
        talk.say(text("one"), start).expect("room");
        talk.say(text("two"), start + Span::from_secs(1)).expect("room");
        assert_eq!(talk.undelivered().as_deref(), Some("2 messages of yours"));
        talk.handle_connected(2);
        friend.handle_connected(1);
        let later = start + Span::from_secs(9);
        for _ in 0..3 {
            while let Some(bytes) = talk.chat.poll_transmit() {
                friend.handle_bytes(&bytes, later).expect("honest");
            }
            while let Some(bytes) = friend.poll_transmit() {
                talk.chat.handle_bytes(&bytes, later).expect("honest");
            }
        }
        let told = talk.poll_event(&with, later);
        let waited = Span::from_secs(9);
        assert_eq!(told, Some(api::Event::Delivered { with: with.clone(), up_to: 2, count: 2, waited }));
        assert_eq!(talk.poll_event(&with, later), None);
        assert!(talk.latest(9, &with).iter().all(|message| message.delivered && message.by == Who::You));
        assert_eq!(talk.undelivered(), None);
    }
}
