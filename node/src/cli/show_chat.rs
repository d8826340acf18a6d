//! What was said, in words: the history, one message as it comes, and what became of it. Pure functions of what the
//! daemon said and of the reader's calendar.
//!
//! A friend's text comes in lines that cannot steer a terminal ([`ChatText`](jamsync_protocol::chat::ChatText)); every
//! line but the first is indented, so that none passes for a line of this program.

use jamsync_protocol::{
    chat::Reaction,
    id::Handle,
    time::{Span, UtcTime},
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{
    show::{age, who},
    width::{fit, width},
};
use crate::api::{Chat, Message, Who};

/// The reader's time zone and day.
#[derive(Debug)]
pub(super) struct Calendar {
    zone: TimeZone,
    today: Date,
}

impl Calendar {
    /// As this computer has them.
    pub(super) fn here() -> Self {
        let zone = TimeZone::system();
        Self { today: Timestamp::now().to_zoned(zone.clone()).date(), zone }
    }

    /// In another zone, on another day.
    #[cfg(test)]
    pub(super) fn at(zone: &str, today: &str) -> Self {
        let zone = TimeZone::posix(zone).expect("a zone");
        Self { zone, today: today.parse().expect("a date") }
    }

    /// `21:04`, and on another day than the reader's `20 Nov 21:04`. None for a time beyond the calendar.
    pub(super) fn when(&self, at: UtcTime) -> Option<String> {
        let at = Timestamp::from_nanosecond((at - UtcTime::ZERO).as_nanos().into()).ok()?;
        let at = at.to_zoned(self.zone.clone());
        let form = if at.date() == self.today { "%H:%M" } else { "%-d %b %H:%M" };
        Some(at.strftime(form).to_string())
    }
}

/// The history, oldest first.
pub(super) fn chat(
    messages: &[Message],
    with: &Handle,
    away: bool,
    calendar: &Calendar,
    columns: Option<usize>,
) -> String {
    if messages.is_empty() {
        return format!("Nothing was said yet. `jamsync say TEXT` says something to {with}.");
    }
    let rows: Vec<[String; 2]> = messages
        .iter()
        .map(|message| [calendar.when(message.at).unwrap_or_default(), who(&message.by)])
        .collect();
    let [times, names] = [0, 1].map(|column| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0));
    let mut lines = Vec::new();
    for (message, [time, name]) in messages.iter().zip(&rows) {
        let head = format!("{}  {}  ", fit(time, times), fit(name, names));
        let indent = width(&head);
        let mut text: Vec<String> = message.text.lines().collect();
        if let Some(last) = text.last_mut().filter(|_| !message.delivered) {
            last.push_str(&if away { format!("  (waits for {with})") } else { "  (on its way)".to_owned() });
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

/// The answer to a message.
pub(super) fn said(to: &Handle, away: bool) -> String {
    if away {
        format!("{to} is away. Your message waits and is delivered when {to} is back.")
    } else {
        "Said.".to_owned()
    }
}

/// A message as it comes.
pub(super) fn live(message: &Message) -> String {
    let lines: Vec<String> = message.text.lines().collect();
    format!("{}: {}", who(&message.by), lines.join("\n    "))
}

/// That messages have arrived; nothing of those that did so at once.
pub(super) fn delivered(with: &Handle, count: u32, waited: Span) -> Option<String> {
    let what = match count {
        0 => return None,
        1 => "your message".to_owned(),
        count => format!("your {count} messages"),
    };
    (waited > AT_ONCE).then(|| format!("{with} has {what} now, after {}", age(waited)))
}

/// That someone reacted.
pub(super) fn reacted(by: &Who, reaction: Reaction) -> String {
    let verb = if *by == Who::You { "react" } else { "reacts" };
    format!("{} {verb} {} ({})", who(by), reaction.emoji(), reaction.name())
}

/// The last message on one line, for the status; none where nothing was said.
pub(super) fn latest(chat: &Chat, with: &Handle) -> Option<String> {
    let last = chat.latest.last()?;
    let text: Vec<String> = last.text.lines().collect();
    let count =
        if chat.messages == 1 { "1 message".to_owned() } else { format!("{} messages", chat.messages) };
    let waits =
        if chat.waiting > 0 { format!(", {} not at {with}'s yet", chat.waiting) } else { String::new() };
    Some(format!("{}: {} ({count}{waits}: jamsync chat)", who(&last.by), text.join(" ")))
}

/// `line` in pieces of at most `columns`, broken between words where that is possible.
pub(super) fn folded(line: &str, columns: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for word in line.split_inclusive(' ') {
        let Some(piece) = pieces.last_mut() else { break };
        if !piece.is_empty() && width(piece) + width(word.trim_end()) > columns {
            pieces.push(word.to_owned());
        } else {
            piece.push_str(word);
        }
    }
    pieces
}

/// A message that has waited no longer arrived as expected, which needs no words.
const AT_ONCE: Span = Span::from_secs(3);

/// The least columns that a text is folded to; a narrower terminal wraps by itself.
pub(super) const TEXT_LEAST: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(by: Who, minutes: i64, text: &str, delivered: bool) -> Message {
        let at = UtcTime::ZERO + Span::from_secs(1_763_758_980 + minutes * 60);
        Message { number: 1, by, at, text: text.parse().expect("may be said"), delivered }
    }

    fn ana() -> Handle {
        "ana".parse().expect("valid")
    }

    #[test]
    fn the_history_has_the_readers_time_and_says_what_waits() {
        let messages = [
            message(Who::Peer(ana()), 0, "this drop 🔥", true),
            message(Who::You, 1, "adding Nebula,\nand then By-Product", true),
            message(Who::You, 120, "where are you?", false),
        ];
        let shown = chat(&messages, &ana(), true, &Calendar::at("CET-1", "2025-11-22"), None);
        let expected = "\
21 Nov 22:03  ana  this drop 🔥
21 Nov 22:04  you  adding Nebula,
                   and then By-Product
00:03         you  where are you?  (waits for ana)";
        assert_eq!(shown, expected, "\n{shown}");
        let west = chat(&messages[2..], &ana(), false, &Calendar::at("PST8", "2025-11-21"), None);
        assert_eq!(west, "15:03  you  where are you?  (on its way)");
    }

    #[test]
    fn long_lines_are_folded_below_their_own_text() {
        let words = "one two three four five six seven eight nine ten";
        let shown = chat(
            &[message(Who::You, 0, words, true)],
            &ana(),
            false,
            &Calendar::at("UTC0", "2025-11-21"),
            Some(40),
        );
        assert_eq!(shown, "21:03  you  one two three four five six \n            seven eight nine ten");
        assert_eq!(folded("unbreakable", 3), ["unbreakable"]);
    }

    #[test]
    fn a_friends_lines_neither_steer_the_terminal_nor_pass_for_the_programs() {
        let spoof = message(Who::Peer(ana()), 0, "hi\nwarning: \u{202e}evil\nשלום", true);
        assert_eq!(live(&spoof), "ana: hi\n    warning: \u{fffd}evil\n    \u{2068}שלום\u{2069}");
        let shown = chat(&[spoof], &ana(), false, &Calendar::at("UTC0", "2025-11-21"), Some(80));
        assert!(shown.lines().skip(1).all(|line| line.starts_with("     ")), "{shown}");
    }

    #[test]
    fn only_what_has_waited_is_told_to_have_arrived() {
        assert_eq!(delivered(&ana(), 1, Span::from_millis(80)), None);
        assert_eq!(
            delivered(&ana(), 2, Span::from_secs(61)).as_deref(),
            Some("ana has your 2 messages now, after 61 s")
        );
        assert_eq!(reacted(&Who::Peer(ana()), Reaction::Fire), "ana reacts 🔥 (fire)");
        assert_eq!(reacted(&Who::You, Reaction::Heart), "you react ❤️ (heart)");
    }
}
