//! Messages: writing one, and what is shown in words, by pure functions of what the daemon said and of the reader's calendar.
//!
//! A friend's text comes in lines that cannot steer a terminal; every line but the first is indented, so that none passes
//! for a line of this program.

use jamsync_protocol::id::Handle;

use super::{
    parse,
    run::{Context, Failure},
    show_chat::{Calendar, TEXT_LEAST, folded},
    width::{fit, width},
};
use crate::api::{ConversationMessage, Request};

/// Writes to a contact.
pub(super) async fn write(to: Handle, words: &[String], context: &Context) -> Result<(), Failure> {
    context.ask(Request::Message { to, text: parse::said(words)? }, "").await
}

/// The answer to a message.
pub(super) fn kept(message: &ConversationMessage) -> String {
    format!(
        "Your message to {0} goes out as soon as the coordinator answers; {0} need not be there.",
        message.with
    )
}

/// What was said with a contact, or the last message with each, oldest first.
pub(super) fn history(
    with: Option<&Handle>,
    messages: &[ConversationMessage],
    calendar: &Calendar,
    columns: Option<usize>,
) -> String {
    if messages.is_empty() {
        let whom = with.map_or("NAME", Handle::as_str);
        return format!("Nothing was said yet. `jamsync msg {whom} TEXT` says something.");
    }
    let rows: Vec<[String; 2]> = messages
        .iter()
        .map(|message| [calendar.when(message.at).unwrap_or_default(), speaker(message, with.is_none())])
        .collect();
    let [times, names] = [0, 1].map(|column| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0));
    let mut lines = Vec::new();
    for (message, [time, name]) in messages.iter().zip(&rows) {
        let head = format!("{}  {}  ", fit(time, times), fit(name, names));
        let indent = width(&head);
        let mut text: Vec<String> = message.text.lines().collect();
        if let Some(last) = text.last_mut().filter(|_| !message.sent) {
            last.push_str("  (waits to be sent)");
        }
        let room = columns.map_or(usize::MAX, |columns| columns.saturating_sub(indent).max(TEXT_LEAST));
        let text = text.iter().flat_map(|line| folded(line, room));
        lines.extend(text.enumerate().map(|(number, line)| match number {
            0 => format!("{head}{line}"),
            _ => format!("{:indent$}{line}", ""),
        }));
    }
    lines.join("\n")
}

/// A message as it comes.
pub(super) fn live(message: &ConversationMessage) -> String {
    let lines: Vec<String> = message.text.lines().collect();
    let words = lines.join("\n    ");
    if message.mine {
        format!("you to {}: {words}", message.with)
    } else {
        format!("{} writes: {words}", message.with)
    }
}

fn speaker(message: &ConversationMessage, among_all: bool) -> String {
    match (message.mine, among_all) {
        (true, true) => format!("you to {}", message.with),
        (true, false) => "you".to_owned(),
        (false, _) => message.with.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use jamsync_protocol::time::{Span, UtcTime};

    use super::*;

    fn message(mine: bool, minutes: i64, text: &str, sent: bool) -> ConversationMessage {
        let at = UtcTime::ZERO + Span::from_secs(1_763_758_980 + minutes * 60);
        let (id, with, text) = ("00".repeat(16), ana(), text.parse().expect("may be said"));
        ConversationMessage { id, with, mine, at, text, sent }
    }

    fn ana() -> Handle {
        "ana".parse().expect("valid")
    }

    #[test]
    fn what_was_written_has_the_readers_time_and_says_what_waits() {
        let all = [
            message(false, 0, "heard the new album?", true),
            message(true, 1, "twice,\nand again tonight", true),
            message(true, 120, "and you?", false),
        ];
        let shown = history(Some(&ana()), &all, &Calendar::at("CET-1", "2025-11-22"), None);
        let expected = "\
21 Nov 22:03  ana  heard the new album?
21 Nov 22:04  you  twice,
                   and again tonight
00:03         you  and you?  (waits to be sent)";
        assert_eq!(shown, expected, "\n{shown}");
        let west = history(None, &all[2..], &Calendar::at("PST8", "2025-11-21"), None);
        assert_eq!(west, "15:03  you to ana  and you?  (waits to be sent)");
        let none = history(Some(&ana()), &[], &Calendar::at("UTC0", "2025-11-21"), None);
        assert_eq!(none, "Nothing was said yet. `jamsync msg ana TEXT` says something.");
    }

    #[test]
    fn a_friends_lines_neither_steer_the_terminal_nor_pass_for_the_programs() {
        let spoof = message(false, 0, "hi\nwarning: \u{202e}evil\nשלום", true);
        assert_eq!(live(&spoof), "ana writes: hi\n    warning: \u{fffd}evil\n    \u{2068}שלום\u{2069}");
        let shown = history(Some(&ana()), &[spoof], &Calendar::at("UTC0", "2025-11-21"), Some(80));
        assert!(shown.lines().skip(1).all(|line| line.starts_with("     ")), "{shown}");
    }
}
