//! The rows of messages, M1 to M6.

use std::os::unix::fs::PermissionsExt as _;

use jamsync_node::api::{ConversationMessage, ErrorCode, Event, MessageProgress, Reply, Talk};
use jamsync_protocol::chat::Reaction;

use super::{EAST, UTC, WEST, Walk};
use crate::jam::{
    messages::{holds, kept_by_coordinator, messages, told, words, write},
    messages_shown::{last, until_it_is},
    node::Node,
};

impl Walk {
    /// Words and cards of every kind come to every other device; what may not be said comes to none.
    pub(super) fn m1(&mut self) {
        let before = words(&self.ben, "ana").len();
        self.says("words");
        let [first, second, third] = [0, 1, 2].map(|at| self.path(at));
        let folder = self.music[0].parent().expect("a folder").display().to_string();
        let cards: [(&[&str], &str); 5] = [
            (&["--track", &first], "track: Piece 1, by Ann Other"),
            (&["--show", "Night Talk", "--episode", &third], "episode: Piece 3, of Night Talk"),
            (
                &["--book", "The Book", "--author", "A. Uthor", "--chapter", &third],
                "chapter: Piece 3, of The Book",
            ),
            (&["--title", "Mine", "--playlist", &folder], "playlist: Mine (3 entries)"),
            (&["--track", &second], "track: Piece 2"),
        ];
        for (card, line) in cards {
            let Reply::Message { message } = self.ana.run(&[&["msg", "ben"][..], card].concat()) else {
                panic!("no message")
            };
            assert!(message.text.as_str().starts_with(line), "{}", message.text.as_str());
            assert!(!message.text.as_str().contains(['\u{1b}', '\u{202e}']), "{:?}", message.text);
            for node in self.others() {
                let seen = node.until(line, |node| {
                    Some(last(node, if node.name == "tablet" { "ben" } else { "ana" }))
                        .filter(|seen| seen.id == message.id)
                });
                assert_eq!(
                    (seen.card, seen.text),
                    (message.card.clone(), message.text.clone()),
                    "{}",
                    node.name
                );
            }
        }
        let long = "x".repeat(4_097);
        for refused in [&["msg", "ben", "\u{1b}[2J"][..], &["msg", "ben", &long], &["msg", "ben", " "]] {
            self.ana.fails(refused, ErrorCode::Usage);
        }
        self.ana.fails(&["msg", "ben", "--track", "no such file"], ErrorCode::NotFound);
        self.ana.fails(&["msg", "nobody", "hello"], ErrorCode::NotFound);
        self.all_has_come();
        assert_eq!(words(&self.ben, "ana").len(), before + 7, "words, five cards and the herald");
    }

    /// What the two read neither the coordinator nor somebody else can, and all their devices have the same digits for it.
    pub(super) fn m2(&mut self) {
        let canary = format!("only we read this, {}", self.zone.name);
        self.says(&canary);
        let code = self.safety_code(&self.ana, "ben");
        for (node, friend) in [(&self.tablet, "ben"), (&self.ben, "ana"), (&self.phone, "ana")] {
            assert_eq!(self.safety_code(node, friend), code, "{}", node.name);
        }
        let other = self.safety_code(&self.carl, "ana");
        assert_ne!(other, code);
        let refused = self.phone.fails(&["safety", "ana", "--compare", &other], ErrorCode::Refused);
        assert!(refused.contains("DIFFERENT"), "{refused}");
        assert!(!words(&self.carl, "ana").iter().any(|(_, text)| *text == canary), "Carl reads it");
        let kept = kept_by_coordinator(&self.stage);
        assert!(holds(&kept, "carl"), "the files are those of the coordinator");
        assert!(!holds(&kept, &canary), "the coordinator can read it");
        for node in [&self.ana, &self.phone] {
            let file = node.home.join("messages.sqlite");
            let mode = std::fs::metadata(&file).expect("a database").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{} is open to others", file.display());
        }
    }

    fn safety_code(&self, node: &Node, friend: &str) -> String {
        match node.run(&["safety", friend]) {
            Reply::Safety { code, .. } => code,
            other => panic!("no safety code, but {other:?}"),
        }
    }

    /// A device is away and the coordinator dies: what was accepted comes once and in order to every device all the same, and
    /// what was not accepted is not called so.
    pub(super) fn m3(&mut self) {
        self.phone.strike();
        let said = ["first", "second", "third", "while nobody answers", "last"];
        for text in &said[..3] {
            let marks = [self.ana.mark(), self.ben.mark()];
            write(&self.ana, "ben", text);
            let sent = self.ana.event_since(marks[0], "that the coordinator has it", told(text));
            assert!(sent.is_sent(), "{sent:?}");
            self.ben.event_since(marks[1], text, told(text));
        }
        self.stage.kill_coordinator();
        let mark = self.ben.mark();
        write(&self.ana, "ben", said[3]);
        assert_eq!(last(&self.ana, "ben").progress, Some(MessageProgress::Waits), "nobody took it");
        assert!(last(&self.ben, "ana").text.as_str() == said[2], "it is not there");
        self.stage.start_coordinator();
        self.ben.event_since(mark, said[3], told(said[3]));
        self.tablet.until("the tablet has it", |tablet| {
            (last(tablet, "ben").text.as_str() == said[3]).then_some(())
        });
        write(&self.tablet, "ben", said[4]);
        self.phone.start_again();
        let ends_so = |node: &Node, with: &str| {
            let all = messages(node, with);
            let tail = &all[all.len().saturating_sub(said.len())..];
            tail.iter().map(|message| message.text.as_str()).eq(said).then(|| ids(&all))
        };
        let Self { ana, tablet, ben, phone, .. } = self;
        let known = ana.until("all of it", |ana| ends_so(ana, "ben"));
        for (node, with) in [(tablet, "ben"), (ben, "ana"), (phone, "ana")] {
            let theirs = node.until("all of it, in order", |node| ends_so(node, with));
            assert_eq!(theirs, known, "{}", node.name);
        }
        let mut once = known.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), known.len(), "nothing came twice");
    }

    /// Who writes for the first time waits at the door: let in it goes on, declined nothing is left of it, blocked nothing comes.
    pub(super) fn m4(&mut self) {
        let marks = [self.ana.mark(), self.tablet.mark(), self.carl.mark()];
        write(&self.carl, "ana", "may I?");
        for (node, mark) in [(&mut self.ana, marks[0]), (&mut self.tablet, marks[1])] {
            assert!(node.event_since(mark, "the request", told("may I?")).request, "{}", node.name);
            assert!(talk(node, "carl").is_some_and(|talk| talk.request), "{}", node.name);
        }
        assert_eq!(messages(&self.ana, "carl").len(), 1, "it may be read at the door");
        self.all_has_come();
        let told_of = |event: &Event| match event {
            Event::MessageProgress { progress, .. } => Some(*progress),
            _ => None,
        };
        let early = self.carl.events_since(marks[2]).iter().filter_map(told_of).count();
        assert_eq!(early, 0, "Carl is not told of her looking");
        assert_eq!(last(&self.carl, "ana").progress, Some(MessageProgress::Sent));
        self.tablet.run(&["messages", "accept", "carl"]);
        until_it_is(&mut self.carl, "ana", MessageProgress::Read);
        self.ana
            .until("he is let in on the other device", |ana| talk(ana, "carl").filter(|talk| !talk.request));
        self.ana.fails(&["messages", "decline", "carl"], ErrorCode::NotFound);
        self.is_declined();
        self.is_blocked();
    }

    /// Ben declines on one device what Carl writes: it is gone there, and Carl's next words do not come, until Ben writes to him.
    fn is_declined(&mut self) {
        let marks = [self.ben.mark(), self.phone.mark(), self.carl.mark()];
        write(&self.carl, "ben", "please");
        for (node, mark) in [(&mut self.ben, marks[0]), (&mut self.phone, marks[1])] {
            assert!(node.event_since(mark, "the request", told("please")).request, "{}", node.name);
        }
        let mark = self.ben.mark();
        self.ben.run(&["messages", "decline", "carl"]);
        assert_eq!(words(&self.ben, "carl"), []);
        write(&self.carl, "ben", "once more");
        self.phone.event_since(marks[1], "it was not declined there", told("once more"));
        write(&self.ben, "carl", "now then");
        self.carl.event_since(marks[2], "Ben's words", told("now then"));
        write(&self.carl, "ben", "at last");
        let came = self.ben.event_since(mark, "what comes after Ben wrote", told("at last"));
        assert!(!came.request, "to answer lets in");
        let expected = [(true, "now then"), (false, "at last")].map(|(mine, text)| (mine, text.to_owned()));
        assert_eq!(words(&self.ben, "carl"), expected, "nothing is left of what was declined");
    }

    /// Between Ben and whom he blocks nothing passes, from any device of his.
    fn is_blocked(&mut self) {
        let marks = self.ben_marks();
        self.phone.run(&["contacts", "block", "carl"]);
        let refused = self.phone.fails(&["msg", "carl", "hello"], ErrorCode::Refused);
        assert!(refused.contains("blocked"), "{refused}");
        write(&self.carl, "ben", "do you hear me?");
        self.nothing_came(marks, "something of Carl's", |event| match event {
            Event::Message(message) if message.with.as_str() == "carl" => Some(()),
            _ => None,
        });
        assert!(last(&self.carl, "ben").progress < Some(MessageProgress::Delivered), "nobody has it");
        self.phone.run(&["contacts", "unblock", "carl"]);
    }

    /// How far a message is, and the reactions to it, are shown to its author, unless the reader keeps that to himself.
    pub(super) fn m5(&mut self) {
        let id = self.says("read me").id;
        self.ben.run(&["messages", "ana"]);
        until_it_is(&mut self.ana, "ben", MessageProgress::Read);
        let marks = [self.ana.mark(), self.tablet.mark(), self.phone.mark()];
        self.ben.run(&["react", "ana", "--message", &id[..8], "fire"]);
        for (node, mark) in [&mut self.ana, &mut self.tablet, &mut self.phone].into_iter().zip(marks) {
            assert_eq!(node.event_since(mark, "the reaction", reacted), (id.clone(), Some(Reaction::Fire)));
        }
        self.ben.fails(&["react", "ana", "--message", &id, "pizza"], ErrorCode::Usage);
        self.ben.fails(&["react", "ana", "--message", "ffffffff", "fire"], ErrorCode::NotFound);
        let mark = self.ana.mark();
        self.ben.run(&["react", "ana", "--message", &id, "none"]);
        assert_eq!(self.ana.event_since(mark, "it is taken back", reacted), (id, None));
        assert!(last(&self.ana, "ben").reactions.is_empty());

        // Receipts are each device's own.
        for node in [&self.ben, &self.phone] {
            node.run(&["messages", "receipts", "off"]);
        }
        let id = self.says("unread?").id;
        assert!(messages(&self.ben, "ana").iter().any(|message| message.id == id), "Ben has read it");
        let mark = self.ana.mark();
        // It comes after whatever was told before, in the order of the conversation.
        self.ben.run(&["react", "ana", "--message", &id, "clap"]);
        self.ana.event_since(mark, "the reaction", reacted);
        let progress = |node: &Node, with: &str, id: &str| {
            let all = messages(node, with);
            all.iter().find(|message| message.id == id).expect("it is there").progress
        };
        until_it_is(&mut self.ana, "ben", MessageProgress::Delivered);
        // Who does not tell is not told.
        let Reply::Message { message: ConversationMessage { id: own, .. } } =
            self.ben.run(&["msg", "ana", "and you?"])
        else {
            panic!("no message")
        };
        self.ana.event_since(mark, "Ben's words", told("and you?"));
        assert_eq!(messages(&self.ana, "ben").last().map(|message| message.id.clone()), Some(own.clone()));
        self.all_has_come();
        assert_eq!(progress(&self.ana, "ben", &id), Some(MessageProgress::Delivered));
        assert!(progress(&self.ben, "ana", &own) <= Some(MessageProgress::Delivered));
        for node in [&self.ben, &self.phone] {
            node.run(&["messages", "receipts", "on"]);
        }
        self.ben.run(&["messages", "ana"]);
        until_it_is(&mut self.ana, "ben", MessageProgress::Read);
    }

    /// The same instant has the reader's own time in each zone, and what programs read has none.
    pub(super) fn m6(&mut self) {
        self.says("what time is it?");
        let own = self.zone;
        let said = last(&self.ben, "ana").at;
        let clocks = [UTC, EAST, WEST].map(|zone| zone.clock(said));
        assert!(clocks[0] != clocks[1] && clocks[1] != clocks[2] && clocks[0] != clocks[2], "{clocks:?}");
        let show = ["messages", "ana", "--last", "1", "--peek"];
        for (zone, clock) in [UTC, EAST, WEST, own].into_iter().zip(clocks.iter().chain([&own.clock(said)])) {
            for node in [&mut self.ben, &mut self.phone] {
                node.zone = Some(zone.name);
                let shown = node.says(&show);
                let (head, _) = shown.rsplit_once("  what time is it?").expect("the message");
                assert!(head.contains(clock.as_str()), "{} in {}: {shown}", node.name, zone.name);
                assert_eq!(last(node, "ana").at, said, "programs read the instant itself");
            }
        }
        // A zone that is none is no other's.
        self.ben.zone = Some("Nowhere/Nothing");
        let shown = self.ben.says(&show);
        assert!(shown.contains(&clocks[0]), "UTC, where nothing is known: {shown}");
        self.ben.zone = Some(own.name);
    }

    fn path(&self, at: usize) -> String {
        self.music[at].display().to_string()
    }
}

fn ids(all: &[ConversationMessage]) -> Vec<String> {
    all.iter().map(|message| message.id.clone()).collect()
}

/// The conversation with a contact, among all.
fn talk(node: &Node, with: &str) -> Option<Talk> {
    match node.run(&["messages"]) {
        Reply::Messages { talks, .. } => talks.into_iter().find(|talk| talk.with.as_str() == with),
        other => panic!("no messages, but {other:?}"),
    }
}

/// An event: somebody reacts to a message.
fn reacted(event: &Event) -> Option<(String, Option<Reaction>)> {
    match event {
        Event::MessageReaction { id, reaction, .. } => Some((id.clone(), *reaction)),
        _ => None,
    }
}
