//! Values of the chat stream.

use jamsync_protocol::{
    chat::{ChatMessage, MessageId, Reaction, Said},
    limits::PEER_FRAME_BYTES_MAX,
    time::UtcTime,
};

use super::{Golden, participant};

pub(super) fn golden() -> Vec<Golden> {
    let mut values = vec![
        ("Resume from nothing", ChatMessage::Resume { heard: 0 }),
        ("Resume", ChatMessage::Resume { heard: u32::MAX }),
        ("Say", say(1, "this drop!")),
        ("Say, two lines", say(300, "first\nשלום")),
        ("Heard", ChatMessage::Heard { number: 300 }),
    ];
    let reactions = [
        ("React, Heart", Reaction::Heart),
        ("React, Fire", Reaction::Fire),
        ("React, Clap", Reaction::Clap),
        ("React, Laugh", Reaction::Laugh),
        ("React, Wow", Reaction::Wow),
        ("React, Sad", Reaction::Sad),
    ];
    values.extend(reactions.map(|(name, reaction)| (name, ChatMessage::React(reaction))));
    vec![Golden::bytes("peer-chat", "ChatMessage", PEER_FRAME_BYTES_MAX, values)]
}

fn say(number: u32, text: &str) -> ChatMessage {
    ChatMessage::Say(Said {
        id: MessageId { author: participant(1), number },
        at: UtcTime::from_nanos(1_763_753_000_000_000_000),
        text: text.parse().expect("may be said"),
    })
}
