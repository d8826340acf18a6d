//! What is sealed in conversations, as it is before.

use jamsync_protocol::{
    conversation::{Content, Message, POST_BYTES_MAX},
    time::UtcTime,
};

use super::Golden;

pub(super) fn golden() -> Vec<Golden> {
    let at = UtcTime::from_nanos(1_795_219_500_000_000_000);
    let said = |number, words: &str| {
        let content = Content::Text(words.parse().expect("may be said"));
        Message { number, at, content }
    };
    let messages =
        vec![("Text", said(1, "heard the new album?")), ("Text, two lines", said(300, "oh ❤️\nyes"))];
    vec![Golden::bytes("conversation-message", "Message", POST_BYTES_MAX, messages)]
}
