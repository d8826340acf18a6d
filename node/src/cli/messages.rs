//! Messages: writing one, and what is shown in words, by pure functions of what the daemon said and of the reader's calendar.
//!
//! A friend's text comes in lines that cannot steer a terminal; every line but the first is indented, so that none passes
//! for a line of this program.

use jamsync_protocol::{chat::Reaction, id::Handle};

use super::{
    message_args::Msg,
    parse,
    run::{Context, Failure},
    show,
    show_chat::{Calendar, TEXT_LEAST, folded},
    width::{fit, width},
};
use crate::api::{
    ActivityRequest, ApiError, ConversationMessage, ErrorCode, Event, MessageProgress, Request, Talk,
};

/// Writes to a contact, or shows it music.
pub(super) async fn write(what: Msg, context: &Context) -> Result<(), Failure> {
    let request = match what.source()? {
        Some(card) => Request::MessageCard { to: what.name, card },
        None => Request::Message { to: what.name, text: parse::said(&what.words)? },
    };
    context.ask(request, "").await
}

/// Reacts to what is heard in a Jam, or to a message.
pub(super) async fn react(
    words: &[String],
    message: Option<String>,
    context: &Context,
) -> Result<(), Failure> {
    let request = reaction(words, message)?;
    let done = if matches!(request, Request::MessageReact { reaction: None, .. }) {
        "You take your reaction back.".to_owned()
    } else {
        format!("You react {}", words.last().map_or("", String::as_str))
    };
    context.ask(request, &show::plain(&done)).await
}

/// What the words of `react` ask for.
fn reaction(words: &[String], message: Option<String>) -> Result<Request, ApiError> {
    let wrong = |what: &str, remedy: &str| Err(ApiError::new(ErrorCode::Usage, what, remedy));
    let named = |word: &String| {
        word.parse::<parse::Reacting>()
            .map_err(|error| ApiError::from_sentence(ErrorCode::Usage, &error.to_string()))
    };
    let contact = |name: &String| {
        name.parse::<Handle>().map_err(|error: jamsync_protocol::id::IdError| {
            ApiError::new(ErrorCode::Usage, error.to_string(), "`jamsync contacts` lists your contacts")
        })
    };
    match (words, message) {
        ([word], None) => match named(word)? {
            parse::Reacting(Some(reaction)) => Ok(Request::React { reaction }),
            parse::Reacting(None) => wrong(
                "a reaction in a Jam is kept by nobody, so there is none to take back",
                "name a contact and a message: `jamsync react NAME --message MESSAGE none`",
            ),
        },
        ([name, word], Some(message)) => {
            let (with, reaction) = (contact(name)?, named(word)?.0);
            Ok(Request::MessageReact { with, message, reaction })
        }
        (_, Some(_)) => wrong("it is not said whose message is meant", "put the contact's name first"),
        ([name, word], None) => match named(word)? {
            parse::Reacting(Some(reaction)) => {
                let what = ActivityRequest::React { name: contact(name)?, reaction };
                Ok(Request::Activity { what })
            }
            parse::Reacting(None) => wrong(
                "a reaction to what a contact plays is kept by nobody, so there is none to take back",
                "name a message too: `jamsync react NAME --message MESSAGE none`",
            ),
        },
        (_, None) => wrong(
            "it is not said which message is meant",
            "name it with `--message`, as `jamsync messages NAME` calls it",
        ),
    }
}

/// The answer to a message.
pub(super) fn kept(message: &ConversationMessage) -> String {
    format!(
        "Your message to {0} goes out as soon as the coordinator answers; {0} need not be there.",
        message.with
    )
}

/// Whether reading is told.
pub(super) const fn receipts(on: bool) -> &'static str {
    if on {
        "Friends see what you have read on this device, and you see what they have read."
    } else {
        "Friends do not see what you have read on this device, and you do not see what they have read."
    }
}

/// What was said with a contact, or the last message with each, oldest first, and below it who waits for an answer.
pub(super) fn history(
    with: Option<&Handle>,
    messages: &[ConversationMessage],
    talks: &[Talk],
    calendar: &Calendar,
    columns: Option<usize>,
) -> String {
    if messages.is_empty() {
        let whom = with.map_or("NAME", Handle::as_str);
        return format!("Nothing was said yet. `jamsync msg {whom} TEXT` says something.");
    }
    let (requests, others): (Vec<_>, Vec<_>) =
        messages.iter().partition(|message| with.is_none() && message.request);
    let mut parts = Vec::new();
    if !others.is_empty() {
        parts.push(rows(&others, with.is_none(), calendar, columns));
    }
    if !requests.is_empty() {
        parts.push(format!("Message requests:\n{}", rows(&requests, true, calendar, columns)));
    }
    for talk in talks.iter().filter(|talk| talk.request) {
        parts.push(format!(
            "{0} writes to you for the first time, and does not see whether it has come: `jamsync messages accept {0}`, \
             `jamsync messages decline {0}` or `jamsync contacts block {0}`",
            talk.with
        ));
    }
    let unread = talks.iter().filter(|talk| with.is_none() && !talk.request && talk.unread > 0);
    let unread: Vec<String> = unread.map(|talk| format!("{} of {}", talk.unread, talk.with)).collect();
    if !unread.is_empty() {
        parts.push(format!("Not read yet: {}", unread.join(", ")));
    }
    parts.join("\n\n")
}

fn rows(
    messages: &[&ConversationMessage],
    among_all: bool,
    calendar: &Calendar,
    columns: Option<usize>,
) -> String {
    let digits = digits_needed(messages);
    let rows: Vec<[String; 3]> = messages
        .iter()
        .map(|message| {
            let name = if among_all { String::new() } else { short(&message.id, digits).to_owned() };
            [calendar.when(message.at).unwrap_or_default(), name, speaker(message, among_all)]
        })
        .collect();
    let wide = |column: usize| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0);
    let columns_needed = [wide(0), wide(1), wide(2)];
    let mut lines = Vec::new();
    for (message, row) in messages.iter().zip(&rows) {
        let cells = row.iter().zip(columns_needed).filter(|(_, wide)| *wide > 0);
        let head: String = cells.map(|(cell, wide)| format!("{}  ", fit(cell, wide))).collect();
        let indent = width(&head);
        let mut text: Vec<String> = message.text.lines().collect();
        if let Some(last) = text.last_mut() {
            last.push_str(&beside(message));
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

/// What stands behind a message: the reactions to it, and how far it has come.
fn beside(message: &ConversationMessage) -> String {
    let pictures: Vec<&str> = message.reactions.iter().map(|reaction| reaction.reaction.emoji()).collect();
    let reactions = if pictures.is_empty() { String::new() } else { format!("  {}", pictures.join(" ")) };
    let progress = match message.progress {
        None => "",
        Some(MessageProgress::Waits) => "  (waits to be sent)",
        Some(MessageProgress::Sent) => "  (sent)",
        Some(MessageProgress::Delivered) => "  (delivered)",
        Some(MessageProgress::Read) => "  (read)",
    };
    format!("{reactions}{progress}")
}

/// With how many digits each message's name is told from the others that are shown.
fn digits_needed(messages: &[&ConversationMessage]) -> usize {
    let mut names: Vec<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    names.sort_unstable();
    let alike = |pair: &[&str]| pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
    names.windows(2).map(|pair| alike(pair) + 1).max().unwrap_or(0).max(DIGITS_LEAST)
}

fn short(id: &str, digits: usize) -> &str {
    id.get(..digits).unwrap_or(id)
}

/// An event of messages in words; none for one that only programs need, which show it beside the message.
#[expect(clippy::wildcard_enum_match_arm, reason = "all other events are told elsewhere")]
pub(super) fn event(event: &Event) -> Option<String> {
    match event {
        Event::Message(message) => Some(live(message)),
        Event::MessageReaction { with, mine, id, reaction } => Some(reacted(with, *mine, id, *reaction)),
        _ => None,
    }
}

/// A reaction as it comes.
fn reacted(with: &Handle, mine: bool, id: &str, reaction: Option<Reaction>) -> String {
    let (who, message) = (if mine { "you".to_owned() } else { with.to_string() }, short(id, DIGITS_LEAST));
    let verb = |mine, other| if mine { "" } else { other };
    match reaction {
        Some(reaction) => {
            format!("{who} react{} {} to message {message}", verb(mine, "s"), reaction.emoji())
        }
        None => format!("{who} take{} back the reaction to message {message}", verb(mine, "s")),
    }
}

/// A message as it comes.
fn live(message: &ConversationMessage) -> String {
    let lines: Vec<String> = message.text.lines().collect();
    let words = lines.join("\n    ");
    if message.mine {
        format!("you to {}: {words}", message.with)
    } else if message.request {
        format!(
            "{0} writes for the first time: {words}\n    jamsync messages accept {0}, or decline",
            message.with
        )
    } else {
        format!("{} writes: {words}", message.with)
    }
}

/// With how many digits a message is named at least.
const DIGITS_LEAST: usize = 4;

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
    use crate::api::MessageReaction;

    fn message(mine: bool, minutes: i64, text: &str, progress: MessageProgress) -> ConversationMessage {
        let at = UtcTime::ZERO + Span::from_secs(1_763_758_980 + minutes * 60);
        let (id, with, text) =
            (format!("{minutes:04x}{}", "00".repeat(14)), ana(), text.parse().expect("text"));
        let (card, reactions, request) = (None, Vec::new(), false);
        let progress = mine.then_some(progress);
        ConversationMessage { id, with, mine, at, text, card, progress, reactions, request }
    }

    fn ana() -> Handle {
        "ana".parse().expect("valid")
    }

    fn shown(with: Option<&Handle>, all: &[ConversationMessage], zone: &str, today: &str) -> String {
        let talk = Talk { with: ana(), request: all.iter().any(|message| message.request), unread: 3 };
        history(with, all, &[talk], &Calendar::at(zone, today), None)
    }

    #[test]
    fn what_was_written_has_the_readers_time_and_says_how_far_it_has_come() {
        let mut all = [
            message(false, 0, "heard the new album?", MessageProgress::Sent),
            message(true, 1, "twice,\nand again tonight", MessageProgress::Read),
            message(true, 120, "and you?", MessageProgress::Waits),
        ];
        all[1].reactions = vec![MessageReaction { mine: false, reaction: Reaction::Fire }];
        let expected = "\
21 Nov 22:03  0000  ana  heard the new album?
21 Nov 22:04  0001  you  twice,
                         and again tonight  🔥  (read)
00:03         0078  you  and you?  (waits to be sent)";
        let seen = shown(Some(&ana()), &all, "CET-1", "2025-11-22");
        assert_eq!(seen, expected, "\n{seen}");
        let west = shown(None, &all[2..], "PST8", "2025-11-21");
        assert_eq!(west, "15:03  you to ana  and you?  (waits to be sent)\n\nNot read yet: 3 of ana");
        let none = history(Some(&ana()), &[], &[], &Calendar::at("UTC0", "2025-11-21"), None);
        assert_eq!(none, "Nothing was said yet. `jamsync msg ana TEXT` says something.");
    }

    #[test]
    fn a_reaction_is_to_the_jam_to_what_somebody_plays_or_to_a_message_that_is_named_with_its_author() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let of = |line: &str, message: Option<&str>| reaction(&words(line), message.map(str::to_owned));
        assert_eq!(of("fire", None), Ok(Request::React { reaction: Reaction::Fire }));
        let to_music = ActivityRequest::React { name: ana(), reaction: Reaction::Fire };
        assert_eq!(of("ana fire", None), Ok(Request::Activity { what: to_music }));
        let (with, message, reaction) = (ana(), "3f2a".to_owned(), None);
        let expected = Request::MessageReact { with, message, reaction };
        assert_eq!(of("ana none", Some("3f2a")), Ok(expected));
        for (line, message) in [
            ("pizza", None),
            ("none", None),
            ("fire", Some("3f2a")),
            ("ana none", None),
            ("ana ben fire", None),
            ("ana pizza", Some("3f2a")),
            ("\u{1b}[2J fire", Some("3f2a")),
        ] {
            assert_eq!(of(line, message).map_err(|error| error.code), Err(ErrorCode::Usage), "{line}");
        }
    }

    #[test]
    fn a_request_stands_apart_and_says_what_can_be_done() {
        let mut request = message(false, 0, "hello", MessageProgress::Sent);
        request.request = true;
        let all = [message(true, 1, "and you?", MessageProgress::Delivered), request.clone()];
        let seen = shown(None, &all, "UTC0", "2025-11-21");
        let expected =
            "21:04  you to ana  and you?  (delivered)\n\nMessage requests:\n21:03  ana  hello\n\nana writes";
        assert!(seen.starts_with(expected) && seen.contains("`jamsync messages decline ana`"), "\n{seen}");
        assert!(!seen.contains("Not read"), "nothing is told of what was not let in");
        assert!(live(&request).contains("for the first time"), "{}", live(&request));
    }

    #[test]
    fn messages_that_are_called_alike_are_told_apart_by_more_digits() {
        let [mut one, mut other] = [0, 1].map(|minute| message(false, minute, "a", MessageProgress::Sent));
        one.id = format!("3f2a91{}", "0".repeat(26));
        other.id = format!("3f2a07{}", "0".repeat(26));
        assert_eq!(digits_needed(&[&one, &other]), 5);
        assert_eq!(digits_needed(&[&one]), 4);
        assert_eq!(reacted(&ana(), false, &one.id, None), "ana takes back the reaction to message 3f2a");
    }

    #[test]
    fn a_friends_lines_neither_steer_the_terminal_nor_pass_for_the_programs() {
        let spoof = message(false, 0, "hi\nwarning: \u{202e}evil\nשלום", MessageProgress::Sent);
        assert_eq!(live(&spoof), "ana writes: hi\n    warning: \u{fffd}evil\n    \u{2068}שלום\u{2069}");
        let shown = history(Some(&ana()), &[spoof], &[], &Calendar::at("UTC0", "2025-11-21"), Some(80));
        assert!(shown.lines().skip(1).all(|line| line.starts_with("     ")), "{shown}");
    }
}
