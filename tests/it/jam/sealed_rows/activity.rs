//! The rows of what a friend plays and what can be done about it, L1 to L6.

use std::{
    ffi::OsStr,
    path::Path,
    time::{Duration, Instant},
};

use jamsync_node::api::{ActivityState, ErrorCode, Event, FriendActivity, MessageCard, Reply};
use jamsync_protocol::{chat::Reaction, time::Span};

use super::{Walk, short};
use crate::jam::{
    activity::{at, plays, seen, title, told, view},
    messages::messages,
    node::Node,
    stage::{closed, opened},
};

impl Walk {
    /// Plays on a device of Ana's.
    pub(super) fn plays(&self, node: &Node, tracks: &[usize]) {
        let files: Vec<&str> = tracks.iter().map(|at| self.music[*at].to_str().expect("UTF-8")).collect();
        node.run(&[&["play"][..], &files].concat());
    }

    /// Ana's command, and what both devices of Ben tell of her after it.
    pub(super) fn shown_after(
        &mut self,
        command: &[&str],
        fits: impl Fn(&FriendActivity) -> bool,
    ) -> FriendActivity {
        let marks = self.ben_marks();
        self.ana.run(command);
        self.both_tell(marks, &format!("{command:?}"), fits)
    }

    /// Both devices of Ben tell of such an activity of Ana's.
    pub(super) fn both_tell(
        &mut self,
        marks: [usize; 2],
        what: &str,
        fits: impl Fn(&FriendActivity) -> bool,
    ) -> FriendActivity {
        let [_, shown] = [(&mut self.ben, marks[0]), (&mut self.phone, marks[1])].map(|(node, mark)| {
            node.event_since(mark, what, told(|shown| shown.with.as_str() == "ana" && fits(shown)))
        });
        shown
    }

    /// What Ben has of the artist whom Ana plays.
    fn own_of_the_artist(&self) -> Vec<String> {
        let Reply::OwnTracks { artist, tracks } = self.ben.run(&["activity", "artist", "ana"]) else {
            panic!("no list");
        };
        assert_eq!(artist.as_str(), "Ann Other");
        tracks.into_iter().map(|own| own.track.title.as_str().to_owned()).collect()
    }

    /// Both devices of Ben tell that Ana plays this, from now on.
    pub(super) fn ana_plays(&mut self, tracks: &[usize]) {
        let marks = self.ben_marks();
        self.plays(&self.ana, tracks);
        let wanted = format!("Piece {}", tracks[0] + 1);
        self.both_tell(marks, &wanted, |shown| plays(shown, &wanted) && at(shown) < Span::from_secs(60));
    }

    /// Off until it is switched on, also for who was allowed.
    pub(super) fn l1(&mut self) {
        let marks = self.ben_marks();
        self.plays(&self.ana, &[0, 1, 2]);
        self.ana.until("the music plays", |ana| ana.status().now.filter(|now| now.playing));
        let own = view(&self.ana, &["activity"]).own;
        assert!(!own.on && own.shown_to.iter().any(|name| name.as_str() == "ben"), "{own:?}");
        self.nothing_came(marks, "what nobody switched on", activity_of_ana);
        for node in [&self.ben, &self.phone] {
            assert_eq!(seen(node, "ana").state, ActivityState::Hidden, "{}", node.name);
        }
        self.shown_after(&["activity", "on"], |shown| plays(shown, "Piece 1"));
        assert!(!view(&self.tablet, &["activity"]).own.on, "each device is switched on by hand");
    }

    /// It stands at the top of the chat with her, whatever is in its names, and of no other.
    pub(super) fn l2(&mut self) {
        for node in [&self.ben, &self.phone] {
            let shown = node.says(&["messages", "ana", "--peek"]);
            let top = shown.lines().next().expect("a line");
            assert!(top.starts_with("ana plays Piece 1 – Ann Other  ") && top.ends_with(" / 2:00"), "{top}");
        }
        for node in [&mut self.ben, &mut self.phone] {
            let cover = node.until("the cover", |node| seen(node, "ana").cover);
            assert!(Path::new(&cover).is_file(), "{cover}");
        }
        assert_eq!(seen(&self.carl, "ana").cover, None, "nobody else has it");
        self.shown_after(&["skip"], |shown| plays(shown, "Piece 2"));
        let shown = self.ben.says(&["messages", "ana", "--peek"]);
        assert!(shown.starts_with("ana plays Piece 2 – ") && shown.contains("Eve"), "{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "what steers a terminal is left out: {shown:?}");
        for (node, with) in [(&self.ben, "carl"), (&self.carl, "ana")] {
            assert!(above(node, with).is_none(), "{} sees something of {with}", node.name);
        }
    }

    /// Live, by every change; and never live that is not heard of for ten seconds.
    pub(super) fn l3(&mut self) {
        self.shown_after(&["skip"], |shown| plays(shown, "Piece 3"));
        self.shown_after(&["pause"], |shown| matches!(shown.state, ActivityState::Paused { .. }));
        self.shown_after(&["seek", "1:00"], |shown| at(shown) >= Span::from_secs(60));
        self.shown_after(&["resume"], |shown| plays(shown, "Piece 3") && at(shown) >= Span::from_secs(60));
        let marks = self.ben_marks();
        self.ana.strike();
        let struck = Instant::now();
        self.both_tell(marks, "that it is stale", |shown| matches!(shown.state, ActivityState::Stale { .. }));
        let after = struck.elapsed();
        assert!(after < STALE_WITHIN, "stale after {after:?}");
        for node in [&self.ben, &self.phone] {
            let shown = node.says(&["activity", "show", "ana"]);
            assert!(shown.contains("ana played Piece 3; nothing was heard since"), "{shown}");
            assert!(!shown.contains("ana plays"), "{shown}");
        }
        self.ana.start_again();
        assert!(view(&self.ana, &["activity"]).own.on, "what was set is kept");
        self.ana_plays(&[0]);
    }

    /// What is over is the last track, with an age that grows, and is not said to play.
    pub(super) fn l4(&mut self) {
        let marks = self.ben_marks();
        let file = short(&self.stage);
        self.ana.run(&[OsStr::new("play"), file.as_os_str()]);
        let is_last = |shown: &FriendActivity| {
            title(shown) == "Short" && matches!(shown.state, ActivityState::Last { .. })
        };
        self.both_tell(marks, "the last track", is_last);
        for node in [&mut self.ben, &mut self.phone] {
            node.until("it grows older", |node| match seen(node, "ana").state {
                ActivityState::Last { age } => (age >= Span::from_secs(1)).then_some(()),
                other => panic!("it was the last, and is {other:?}"),
            });
            let shown = node.says(&["messages", "ana", "--peek"]);
            assert!(shown.starts_with("ana played Short last, "), "{shown}");
        }
        let here = self.ben.fails(&["activity", "play", "ana", "--here"], ErrorCode::NotFound);
        assert!(here.contains("no copy of Short"), "{here}");
    }

    /// It can be played, kept, put into a playlist and joined; what Ben lacks is named, and of who shows nothing there is nothing.
    pub(super) fn l5(&mut self) {
        self.ana_plays(&[0, 1, 2]);
        self.shown_after(&["seek", "1:00"], |shown| at(shown) >= Span::from_secs(60));
        for nothing in [
            &["activity", "play", "carl"][..],
            &["activity", "save", "carl"],
            &["activity", "share", "carl", "ana"],
            &["activity", "artist", "carl"],
            &["activity", "share", "ana", "nobody"],
            &["react", "carl", "fire"],
        ] {
            self.ben.fails(nothing, ErrorCode::NotFound);
        }
        let lacks = self.ben.fails(&["activity", "play", "ana"], ErrorCode::NotFound);
        assert!(lacks.contains("Piece 1") && lacks.contains("library add"), "{lacks}");
        for keep in [&["activity", "save", "ana"][..], &["activity", "add", "ana", "to hear"]] {
            let Reply::Saved { entries } = self.ben.run(keep) else { panic!("not kept") };
            let titles = entries.iter().map(|entry| entry.track.title.as_str());
            assert!(titles.eq(["Piece 1"]), "the entry is kept without the file");
        }
        assert_eq!(self.own_of_the_artist(), [""; 0]);
        self.ben.run(&[OsStr::new("library"), OsStr::new("add"), self.music[0].as_os_str()]);
        assert_eq!(self.own_of_the_artist(), ["Piece 1"]);
        let mark = self.carl.mark();
        self.ben.run(&["activity", "share", "ana", "carl"]);
        let card = |event: &Event| match event {
            Event::Message(message) if message.with.as_str() == "ben" => message.card.clone(),
            _ => None,
        };
        let card = self.carl.event_since(mark, "what Ben shows him", card);
        assert!(matches!(&card, MessageCard::Track { title, .. } if title.as_str() == "Piece 1"), "{card:?}");
        self.ben.run(&["activity", "play", "ana"]);
        let now = self.ben.until("Ben plays it", |ben| ben.status().now.filter(|now| now.playing));
        assert!(now.title.as_str() == "Piece 1" && now.position < Span::from_secs(50), "{now:?}");
        self.ben.run(&["activity", "play", "ana", "--here"]);
        self.ben.until("Ben is where Ana is", |ben| {
            ben.status().now.filter(|now| now.playing && now.position >= Span::from_secs(60))
        });
        // Joining asks her, on all of her devices.
        let marks = [self.ana.mark(), self.tablet.mark()];
        self.ben.run(&["request", "ana"]);
        for (node, mark) in [&mut self.ana, &mut self.tablet].into_iter().zip(marks) {
            node.event_since(mark, "the request", opened);
        }
        self.ben.run(&["cancel"]);
        for (node, mark) in [&mut self.ana, &mut self.tablet].into_iter().zip(marks) {
            node.event_since(mark, "its end", closed);
        }
    }

    /// A reaction comes at once to every device of hers, or once one is there again; none beyond the palette, none too fast, and
    /// none stays.
    pub(super) fn l6(&mut self) {
        let marks = [self.ana.mark(), self.tablet.mark()];
        self.ben.run(&["react", "ana", "fire"]);
        for (node, mark) in [&mut self.ana, &mut self.tablet].into_iter().zip(marks) {
            assert_eq!(node.event_since(mark, "the reaction", reaction), Reaction::Fire, "{}", node.name);
            assert!(!view(node, &["activity", "show", "ben"]).reactions.is_empty());
        }
        self.ben.until("too many are refused", |ben| {
            ben.try_run(&["react", "ana", "clap"]).err().filter(|error| error.code == ErrorCode::Refused)
        });
        self.ben.fails(&["react", "ana", "pizza"], ErrorCode::Usage);
        for node in [&mut self.ana, &mut self.tablet] {
            node.strike();
        }
        self.ben.until("Ben reacts to who is away", |ben| ben.try_run(&["react", "ana", "wow"]).ok());
        for node in [&mut self.ana, &mut self.tablet] {
            node.start_again();
        }
        let shows = |node: &Node, wanted| {
            let reactions = view(node, &["activity", "show", "ben"]).reactions;
            reactions.iter().any(|one| one.reaction == wanted)
        };
        let Self { ana, tablet, .. } = self;
        ana.until("the reaction that waited", |ana| {
            (shows(ana, Reaction::Wow) || shows(tablet, Reaction::Wow)).then_some(())
        });
        // It stands beside the activity and not in the chat, which keeps what it shows.
        let kept = |node: &Node, with| messages(node, with).into_iter().flat_map(|message| message.reactions);
        for (node, with) in [(&self.ana, "ben"), (&self.tablet, "ben"), (&self.phone, "ana")] {
            assert!(kept(node, with).all(|one| one.reaction == Reaction::Clap), "{} has kept it", node.name);
        }
    }
}

/// What stands above the messages with a contact.
fn above(node: &Node, with: &str) -> Option<Box<FriendActivity>> {
    match node.run(&["messages", with, "--peek"]) {
        Reply::Messages { activity, .. } => activity,
        other => panic!("no messages, but {other:?}"),
    }
}

/// An event: Ana's activity is otherwise.
pub(super) fn activity_of_ana(event: &Event) -> Option<FriendActivity> {
    told(|shown| shown.with.as_str() == "ana")(event)
}

/// An event: a reaction to what plays here.
fn reaction(event: &Event) -> Option<Reaction> {
    match event {
        Event::ActivityReaction { reaction, .. } => Some(*reaction),
        _ => None,
    }
}

/// Ten seconds after the last renewal, and what a machine takes to say so.
const STALE_WITHIN: Duration = Duration::from_secs(11);
