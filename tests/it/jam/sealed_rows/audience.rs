//! The rows of who sees it, for how long and how often, L7 to L13.

use std::{cell::Cell, time::Instant};

use jamsync_node::api::{ActivityState, ErrorCode, Event, FriendActivity, Reply, RequestOutcome};
use jamsync_protocol::{
    activity::{CHANGE_EVERY, CHANGES_BURST},
    time::Span,
};

use super::{Walk, activity::activity_of_ana};
use crate::jam::{
    activity::{at, plays, seen, title, told, view},
    messages::{holds, kept_by_coordinator},
    prompt::Stopwatch,
    stage::{closed, opened},
};

impl Walk {
    /// Chosen contacts alone, or all but who was denied, and nobody in a private session, which ends by itself.
    pub(super) fn l7(&mut self) {
        self.ana_plays(&[0, 1, 2]);
        assert_eq!(seen(&self.carl, "ana").state, ActivityState::Hidden, "he was not chosen");
        let own = view(&self.ana, &["activity"]).own;
        assert!(!own.all && own.shown_to.iter().all(|name| name.as_str() == "ben"), "{own:?}");
        let mark = self.carl.mark();
        self.ana.run(&["activity", "on", "--all"]);
        self.carl.event_since(mark, "what all see", told(|shown| plays(shown, "Piece 1")));
        let mark = self.carl.mark();
        self.ana.run(&["activity", "deny", "carl"]);
        self.carl.event_since(mark, "that it is hidden", told(is_hidden));
        let denied = self.carl.mark();
        self.shown_after(&["skip"], |shown| plays(shown, "Piece 2"));
        self.carl_hears_nothing(denied);
        // A session of two seconds hides it from everybody, and is over by itself.
        let marks = self.shown_hidden_after(&["activity", "private", "2s"]);
        for (node, mark) in [&mut self.ben, &mut self.phone].into_iter().zip(marks) {
            let hidden = Cell::new(false);
            let over = |shown: &FriendActivity| {
                hidden.set(hidden.get() || is_hidden(shown));
                hidden.get() && plays(shown, "Piece 2")
            };
            node.event_since(mark, "that it is over", told(over));
        }
        self.carl_hears_nothing(denied);
        self.ana.fails(&["activity", "private", "31d"], ErrorCode::Usage);
        self.shown_hidden_after(&["activity", "private"]);
        assert!(view(&self.ana, &["activity"]).own.private_until.is_some());
        self.shown_after(&["activity", "on"], |shown| plays(shown, "Piece 2"));
        let own = view(&self.ana, &["activity"]).own;
        assert!(!own.all && own.private_until.is_none(), "only the chosen again: {own:?}");
    }

    /// Gone within a second from every device of his, and no trace is left, until it is shown again.
    pub(super) fn l8(&mut self) {
        // Both may be late where the machine is, which is measured beside.
        let marks = self.ben_marks();
        let mut watch = Stopwatch::start();
        self.ana.run(&["activity", "off"]);
        watch.succeeded();
        self.both_tell(marks, "that it is hidden", is_hidden);
        watch.note("it was gone from both devices");
        assert!(watch.was_prompt(), "it took longer than a second");
        let marks = self.ben_marks();
        self.ana.run(&["skip"]);
        self.ana.until("the next track plays", |ana| {
            ana.status().now.filter(|now| now.title.as_str() == "Piece 3")
        });
        self.nothing_came(marks, "what is played in secret", activity_of_ana);
        for node in [&self.ben, &self.phone] {
            let gone = seen(node, "ana");
            assert_eq!((gone.state, gone.track), (ActivityState::Hidden, None), "{}", node.name);
            let shown = node.says(&["messages", "ana", "--peek", "--last", "1"]);
            assert!(!shown.contains("Piece"), "{shown}");
        }
        self.ben.fails(&["activity", "play", "ana"], ErrorCode::NotFound);
        self.ben.fails(&["activity", "save", "ana"], ErrorCode::NotFound);
        // Nor does a device find anything that comes now.
        self.phone.strike();
        self.phone.start_again();
        self.all_has_come();
        assert_eq!(seen(&self.phone, "ana").state, ActivityState::Hidden);
        assert!(!holds(&kept_by_coordinator(&self.stage), "Piece 3"), "the coordinator has kept it");
        self.shown_after(&["activity", "on"], |shown| plays(shown, "Piece 3"));
    }

    /// Ben sees without showing: what he plays comes to nobody.
    pub(super) fn l9(&mut self) {
        assert!(!view(&self.ben, &["activity"]).own.on);
        assert!(plays(&seen(&self.ben, "ana"), "Piece 3"), "he sees");
        let marks = [self.ana.mark(), self.tablet.mark()];
        self.plays(&self.ben, &[0]);
        self.ben.until("Ben plays", |ben| ben.status().now.filter(|now| now.playing));
        let Reply::Message { message } = self.ben.run(&["msg", "ana", "I play something"]) else {
            panic!("no message")
        };
        for (node, mark) in [&mut self.ana, &mut self.tablet].into_iter().zip(marks) {
            node.event_since(mark, "Ben's words", |event| match event {
                Event::Message(came) => (came.id == message.id).then_some(()),
                _ => None,
            });
            let of_ben = told(|shown| shown.with.as_str() == "ben");
            assert_eq!(node.events_since(mark).iter().filter_map(of_ben).count(), 0, "{}", node.name);
            assert_eq!(seen(node, "ben").state, ActivityState::Hidden);
            node.fails(&["activity", "save", "ben"], ErrorCode::NotFound);
        }
    }

    /// In the chat with her and nowhere else: not among contacts, not at the coordinator, and not for who is none.
    pub(super) fn l10(&mut self) {
        let shown = self.ben.says(&["messages", "ana", "--peek"]);
        assert!(shown.starts_with("ana plays Piece 3"), "{shown}");
        for elsewhere in [&["contacts"][..], &["account", "export"], &["account", "devices"], &["status"]] {
            let shown = self.phone.says(elsewhere);
            assert!(!shown.contains("Piece 3"), "{elsewhere:?}: {shown}");
        }
        self.ana.run(&["contacts", "remove", "carl"]);
        self.carl.until("Ana is no contact", |carl| carl.try_run(&["activity", "show", "ana"]).err());
        let friends = view(&self.carl, &["activity"]).friends;
        assert!(friends.iter().all(|shown| shown.with.as_str() != "ana"), "{friends:?}");
        self.carl.fails(&["react", "ana", "fire"], ErrorCode::NotFound);
    }

    /// Of her devices the one that began last is shown, and the other's pause changes nothing; `off` on one is off on both.
    pub(super) fn l11(&mut self) {
        self.ana_plays(&[2, 1]);
        self.tablet.run(&["activity", "on"]);
        let marks = self.ben_marks();
        self.plays(&self.tablet, &[1, 0]);
        self.both_tell(marks, "the tablet's", |shown| plays(shown, "Piece 2"));
        let marks = self.ben_marks();
        self.ana.run(&["pause"]);
        self.ana.until("she knows of the tablet", |ana| view(ana, &["activity"]).own.elsewhere.then_some(()));
        self.tablet.run(&["skip"]);
        self.both_tell(marks, "the tablet's next", |shown| plays(shown, "Piece 1"));
        for (node, mark) in [&mut self.ben, &mut self.phone].into_iter().zip(marks) {
            let of_ana = node.events_since(mark).iter().filter_map(activity_of_ana);
            assert_eq!(of_ana.filter(|shown| title(shown) == "Piece 3").count(), 0, "{}", node.name);
        }
        self.shown_after(&["resume"], |shown| plays(shown, "Piece 3"));
        // Off on the one that is not shown.
        let marks = self.ben_marks();
        self.tablet.run(&["activity", "off"]);
        self.both_tell(marks, "that it is hidden", is_hidden);
        self.ana.until("it is off on both", |ana| (!view(ana, &["activity"]).own.on).then_some(()));
        self.tablet.run(&["pause"]);
        self.shown_after(&["activity", "on"], |shown| plays(shown, "Piece 3"));
    }

    /// Free as Premium, but for asking for a Jam.
    pub(super) fn l12(&mut self) {
        for name in ["ana", "ben"] {
            self.stage.operate("account", &["tier", name, "free"]);
        }
        self.shown_after(&["seek", "0:30"], |shown| at(shown) >= Span::from_secs(30));
        let mark = self.ana.mark();
        let refused = self.ben.fails(&["request", "ana"], ErrorCode::Refused);
        assert!(refused.contains("Premium"), "{refused}");
        self.ben.until("he reacts", |ben| ben.try_run(&["react", "ana", "heart"]).ok());
        self.ana.event_since(mark, "the reaction", |event| {
            matches!(event, Event::ActivityReaction { .. }).then_some(())
        });
        assert_eq!(self.ana.events_since(mark).iter().filter_map(opened).count(), 0, "nothing rang");
        for name in ["ana", "ben"] {
            self.stage.operate("account", &["tier", name, "premium"]);
        }
        self.ben.run(&["request", "ana"]);
        self.ana.event_since(mark, "the request", opened);
        self.ben.run(&["cancel"]);
        let outcome = self.ana.event_since(mark, "its end", closed);
        assert_eq!(outcome, RequestOutcome::Cancelled);
    }

    /// Of a storm the last state comes, and no more updates than the budget gives.
    pub(super) fn l13(&mut self) {
        let marks = self.ben_marks();
        let began = Instant::now();
        for number in 0..STORM {
            self.ana.run(&["seek", if number % 2 == 0 { "0:10" } else { "0:50" }]);
        }
        self.ana.run(&["seek", "1:40"]);
        self.both_tell(marks, "the last of the storm", |shown| at(shown) >= Span::from_secs(100));
        let lasted = began.elapsed();
        let slowly = lasted.as_secs() / CHANGE_EVERY.as_duration().as_secs() + 1;
        let permitted = usize::try_from(u64::from(CHANGES_BURST) + slowly).expect("few");
        assert!(permitted < STORM, "{STORM} changes took {lasted:?}, in which nothing is held back");
        for (node, mark) in [&mut self.ben, &mut self.phone].into_iter().zip(marks) {
            let came = node.events_since(mark).iter().filter_map(activity_of_ana).count();
            println!("{}: {came} updates of {STORM} changes in {lasted:?}", node.name);
            assert!(came <= permitted, "{came} updates where {permitted} are permitted");
        }
    }

    /// After this command of Ana's both devices of Ben tell that nothing is shown; gives the marks before it.
    fn shown_hidden_after(&mut self, command: &[&str]) -> [usize; 2] {
        let marks = self.ben_marks();
        self.ana.run(command);
        self.both_tell(marks, "that it is hidden", is_hidden);
        marks
    }

    /// Carl was told nothing since the mark, nor will be of what was on its way: both have talked since.
    fn carl_hears_nothing(&mut self, mark: usize) {
        let Self { ana, carl, .. } = self;
        let Reply::Message { message } = ana.run(&["msg", "carl", "are you there?"]) else {
            panic!("no message")
        };
        carl.event_since(mark, "Ana's words", |event| match event {
            Event::Message(came) => (came.id == message.id).then_some(()),
            _ => None,
        });
        assert_eq!(carl.events_since(mark).iter().filter_map(activity_of_ana).count(), 0, "Carl sees it");
        assert_eq!(seen(carl, "ana").state, ActivityState::Hidden);
    }
}

fn is_hidden(shown: &FriendActivity) -> bool {
    shown.state == ActivityState::Hidden
}

/// The changes of a storm: many more than the budget gives while they are made.
const STORM: usize = 60;
