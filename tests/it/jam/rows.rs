//! The rows of the feature list that a coordinator answers for, A1 to A7, J1 to J3, and the grant of J10, walked with real
//! processes: three accounts, two of them with two devices, and a fourth that only shows that nothing else came. Each row has
//! its permitted and its refused case, each judged by what another account's device says; what passed and what failed is
//! printed by its feature id.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jamsync_node::api::{BothQualities, ErrorCode, Event, Quality, Reply, RequestOutcome, Role};

use super::{
    devices::second_device,
    node::Node,
    stage::{Stage, befriend, closed, in_step, opened},
};

mod accounts;

/// Ana and Ben with two devices each, and Carl with one.
struct Walk {
    ana: Node,
    tablet: Node,
    ben: Node,
    phone: Node,
    carl: Node,
    /// What she does is told last.
    herald: Node,
    stage: Stage,
}

impl Walk {
    fn begin() -> Self {
        let stage = Stage::set();
        let [ana, mut ben, carl, herald] =
            ["ana", "ben", "carl", "herald"].map(|name| stage.person(name, "1990-05-17"));
        befriend(&ana, &mut ben);
        let (tablet, phone) = (second_device(&stage, &ana, "tablet"), second_device(&stage, &ben, "phone"));
        let mut walk = Self { ana, tablet, ben, phone, carl, herald, stage };
        for (node, friend) in [(&mut walk.tablet, "ben"), (&mut walk.phone, "ana")] {
            node.until("the friend is known on the second device", |node| knows(node, friend).then_some(()));
        }
        walk
    }

    /// Asks from one of Ana's devices; every device of Ben rings, and Ana's other one shows it.
    fn ask(&mut self) {
        let mut others = [&mut self.tablet, &mut self.ben, &mut self.phone];
        let marks = others.each_mut().map(|node| node.mark());
        self.ana.run(&["request", "ben"]);
        for (node, mark) in others.into_iter().zip(marks) {
            node.event_since(mark, "the request", opened);
        }
    }

    /// Whether every device has forgotten the request, for this reason.
    fn is_over(&mut self, marks: [usize; 4], outcome: RequestOutcome) {
        let devices = [&mut self.ana, &mut self.tablet, &mut self.ben, &mut self.phone];
        for (node, mark) in devices.into_iter().zip(marks) {
            assert_eq!(node.event_since(mark, "the end of the request", closed), outcome, "{}", node.name);
            node.until("nothing is open", |node| node.status().requests.is_empty().then_some(()));
        }
    }

    fn marks(&mut self) -> [usize; 4] {
        [&mut self.ana, &mut self.tablet, &mut self.ben, &mut self.phone].map(Node::mark)
    }

    /// Ana may ask, and Ben's device says so; the request is taken back.
    fn may_ask(&mut self) {
        let mark = self.ben.mark();
        self.ana.until("Ana may ask", |ana| ana.try_run(&["request", "ben"]).ok());
        self.ben.event_since(mark, "the request", opened);
        self.ana.run(&["cancel"]);
        self.ben.event_since(mark, "its end", closed);
    }

    /// Ana may not ask, for a reason that holds `word`, and Ben's device hears nothing.
    fn may_not_ask(&mut self, word: &str) {
        let mark = self.ben.mark();
        self.ana.until("Ana may not ask", |ana| {
            let refused = ana.try_run(&["request", "ben"]).err()?;
            (refused.code == ErrorCode::Refused && refused.to_string().contains(word)).then_some(())
        });
        nothing_rang(&mut self.herald, &mut self.ben, mark);
    }

    fn rules(&mut self, rules: &[(&str, &str)]) {
        self.stage.serve_with(rules);
    }

    fn j1(&mut self) {
        let marks = self.marks();
        self.ask();
        let twice = self.tablet.fails(&["request", "ben"], ErrorCode::Refused);
        assert!(twice.contains("already"), "{twice}");
        self.tablet.run(&["cancel"]);
        self.is_over(marks, RequestOutcome::Cancelled);
        let marks = self.marks();
        self.ask();
        self.phone.run(&["decline"]);
        self.is_over(marks, RequestOutcome::Declined);
        let late = self.ben.fails(&["accept"], ErrorCode::NotFound);
        assert!(late.contains("no such"), "{late}");
        self.rules(&[("REQUEST_EXPIRY_S", "5")]);
        let marks = self.marks();
        self.ask();
        self.is_over(marks, RequestOutcome::Expired);
        self.rules(&[]);
    }

    /// Whoever is Free may not ask, and may accept.
    fn j2(&mut self) {
        self.stage.operate("account", &["tier", "ben", "free"]);
        let mark = self.ana.mark();
        let refused = self.phone.fails(&["request", "ana"], ErrorCode::Refused);
        assert!(refused.contains("Premium") && refused.contains("when a friend asks"), "{refused}");
        nothing_rang(&mut self.herald, &mut self.ana, mark);
        self.jam_with_the_phone();
        self.leave();
        self.stage.operate("account", &["tier", "ben", "premium"]);
    }

    /// The device that accepts is the host, and no other: neither one of who asked, nor another of who was asked.
    fn j3(&mut self) {
        let marks = self.marks();
        self.ask();
        let own = self.tablet.fails(&["accept"], ErrorCode::NotFound);
        assert!(own.contains("no such Jam request"), "{own}");
        self.phone.run(&["accept"]);
        for (node, mark, role) in
            [(&mut self.ana, marks[0], Role::Guest), (&mut self.phone, marks[3], Role::Host)]
        {
            assert_eq!(node.event_since(mark, "the Jam", begun), role, "{}", node.name);
            node.until("the Jam stands", |node| in_step(&node.status()).then_some(()));
        }
        for (node, mark) in [(&mut self.tablet, marks[1]), (&mut self.ben, marks[2])] {
            assert_eq!(node.event_since(mark, "the answer", closed), RequestOutcome::Accepted);
        }
        let mark = self.ana.mark();
        let late = self.ben.fails(&["accept"], ErrorCode::NotFound);
        assert!(late.contains("no such Jam request"), "{late}");
        nothing_rang(&mut self.herald, &mut self.ana, mark);
        assert_eq!(self.ana.events_since(marks[0]).iter().filter_map(begun).count(), 1, "one Jam began");
        assert!(in_step(&self.ana.status()), "it goes on");
        for node in [&self.tablet, &self.ben] {
            assert!(node.status().jam.is_none(), "{}", node.name);
        }
        self.leave();
    }

    /// Both sides read the same in the grant, which is where a limit refuses: Premium may be sent the original, and who is
    /// Free since is not granted it again.
    fn j10(&mut self) {
        for (tier, allowed) in [("premium", Quality::Original), ("free", Quality::Standard)] {
            self.stage.operate("account", &["tier", "ben", tier]);
            self.jam_with_the_phone();
            let [hers, his] = [&self.ana, &self.phone].map(|node| node.status().jam.expect("a Jam").quality);
            assert_eq!(hers, BothQualities { you: Quality::Original, friend: allowed }, "{tier}");
            assert_eq!(his, BothQualities { you: allowed, friend: Quality::Original }, "{tier}");
            self.leave();
        }
        self.stage.operate("account", &["tier", "ben", "premium"]);
    }

    /// Ana asks, and Ben accepts on his phone; both devices say that the Jam stands.
    fn jam_with_the_phone(&mut self) {
        self.ask();
        self.phone.run(&["accept"]);
        for node in [&mut self.ana, &mut self.phone] {
            node.until("the Jam stands", |node| in_step(&node.status()).then_some(()));
        }
    }

    fn leave(&mut self) {
        self.ana.run(&["leave"]);
        self.phone.until("the Jam is over", |phone| phone.status().jam.is_none().then_some(()));
    }
}

/// An event: a Jam begins, and what this node is in it.
fn begun(event: &Event) -> Option<Role> {
    match event {
        Event::JamStarted { role, .. } => Some(*role),
        _ => None,
    }
}

/// Nobody has asked at `node` since the mark. Events come in their order, so one that was on its way has come before those
/// of a contact that is made and ended now.
fn nothing_rang(herald: &mut Node, node: &mut Node, mark: usize) {
    let later = node.mark();
    befriend(node, herald);
    node.event_since(later, "a new contact", |event| match event {
        Event::ContactAdded { with } => (with.as_str() == "herald").then_some(()),
        _ => None,
    });
    herald.run(&["contacts", "remove", &node.name]);
    node.event_since(later, "the end of it", |event| match event {
        Event::ContactRemoved { with } => (with.as_str() == "herald").then_some(()),
        _ => None,
    });
    let rang = node.events_since(mark).iter().filter_map(opened).count();
    assert_eq!(rang, 0, "{} was asked", node.name);
}

/// A device asks another, which accepts: each lets the other in only where its key stands in the log that it has pinned.
fn jam_between(from: &mut Node, to: &mut Node) {
    let mark = to.mark();
    from.run(&["request", &to.name]);
    to.event_since(mark, "the request", opened);
    to.run(&["accept"]);
    for node in [from, to] {
        node.until("the Jam stands", |node| in_step(&node.status()).then_some(()));
    }
}

fn contacts(node: &Node) -> Vec<jamsync_node::api::Contact> {
    match node.run(&["contacts"]) {
        Reply::Contacts { contacts, .. } => contacts,
        other => panic!("no contacts, but {other:?}"),
    }
}

fn knows(node: &Node, name: &str) -> bool {
    contacts(node).iter().any(|contact| contact.handle.as_str() == name)
}

fn online(node: &Node, name: &str) -> bool {
    contacts(node).iter().any(|contact| contact.handle.as_str() == name && contact.online == Some(true))
}

#[test]
fn every_row_of_accounts_and_requests_has_its_permitted_and_its_refused_case() {
    type Row = (&'static str, fn(&mut Walk));
    let rows: [Row; 11] = [
        ("A1", Walk::a1),
        ("A2", Walk::a2),
        ("A3", Walk::a3),
        ("A4", Walk::a4),
        ("A5", Walk::a5),
        ("A6", Walk::a6),
        ("A7", Walk::a7),
        ("J1", Walk::j1),
        ("J2", Walk::j2),
        ("J3", Walk::j3),
        ("J10", Walk::j10),
    ];
    let mut walk = Walk::begin();
    let mut failed = Vec::new();
    for (id, row) in rows {
        walk.stage.let_time_pass();
        let passed = catch_unwind(AssertUnwindSafe(|| row(&mut walk))).is_ok();
        println!("{id}  {}", if passed { "pass" } else { "FAIL" });
        if !passed {
            failed.push(id);
        }
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
    let Walk { ana, tablet, ben, phone, carl, herald, .. } = &mut walk;
    for node in [ana, tablet, ben, phone, carl, herald] {
        node.assert_sound();
    }
}
