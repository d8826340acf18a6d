//! The rows of accounts, A1 to A7.

use jamsync_node::api::{ErrorCode, Event, JamEnd, Reply, RequestOutcome};
use jamsync_protocol::{identity::Date, time::Span};

use super::{Walk, jam_between, knows, nothing_rang, online};
use crate::jam::{
    devices::second_device,
    node::Node,
    stage::{befriend, closed, now, opened},
};

impl Walk {
    pub(super) fn a1(&mut self) {
        let devices = |node: &Node| named_devices(node).len();
        assert_eq!([&self.ana, &self.tablet, &self.ben, &self.carl].map(devices), [2, 2, 2, 1]);
        let other = self.stage.node("other");
        let code = self.stage.operate("join-code", &[]);
        let init = |handle, market| {
            ["init", "--coordinator", &code, "--handle", handle, "--birth", "1990-05-17", "--market", market]
                .map(ToOwned::to_owned)
        };
        let taken = other.fails(&init("ANA", "DE"), ErrorCode::Refused);
        assert!(taken.contains("taken"), "{taken}");
        assert!(self.stage.operate("account", &["list"]).lines().count() == 4, "nobody else is there");
        self.a_device_is_added_renamed_and_revoked();
        self.an_account_is_recovered();
    }

    /// A friend's node shows nothing of devices, but lets in only those that it has seen added, and as long as they are.
    fn a_device_is_added_renamed_and_revoked(&mut self) {
        let mut third = second_device(&self.stage, &self.ana, "third");
        third.until("the friend is known", |third| knows(third, "ben").then_some(()));
        for refused in [&["rename", "third", "mine"][..], &["revoke", "third"]] {
            let words = [&["account", "devices"][..], refused].concat();
            let why = self.carl.fails(&words, ErrorCode::NotFound);
            assert!(why.contains("third"), "{why}");
        }
        let mark = self.ben.mark();
        jam_between(&mut third, &mut self.ben);
        self.ana.run(&["account", "devices", "rename", "third", "kitchen"]);
        assert!(named_devices(&self.tablet).contains(&"kitchen".to_owned()));
        assert!(self.ben.status().jam.is_some(), "a name is none of his business");
        self.tablet.run(&["account", "devices", "revoke", "kitchen"]);
        let reason = self.ben.event_since(mark, "the end of the Jam", |event| match event {
            Event::JamEnded { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        assert!(matches!(&reason, JamEnd::Refused { reason } if reason.contains("device log")), "{reason:?}");
        third.run(&["leave"]);
        let mark = self.ben.mark();
        let why = third.fails(&["request", "ben"], ErrorCode::Unreachable);
        assert!(why.contains("revoked"), "{why}");
        nothing_rang(&mut self.herald, &mut self.ben, mark);
        third.assert_sound();
    }

    fn an_account_is_recovered(&mut self) {
        let code = |node: &Node| match node.run(&["account", "recovery-code"]) {
            Reply::RecoveryCode { code } => code,
            other => panic!("no code, but {other:?}"),
        };
        let (former, code) = (code(&self.ana), code(&self.ana));
        let mut found = self.stage.node("found");
        let stale = found.fails(&["init", "--recovery", &former], ErrorCode::Refused);
        assert!(stale.contains("no active device"), "{stale}");
        found.run(&["init", "--recovery", &code, "--name", "found"]);
        found.until("the friend is known", |found| knows(found, "ben").then_some(()));
        jam_between(&mut found, &mut self.ben);
        found.run(&["leave"]);
        self.ben.until("the Jam is over", |ben| ben.status().jam.is_none().then_some(()));
        self.ana.run(&["account", "devices", "revoke", "found"]);
        found.assert_sound();
    }

    /// Who is 16 today may ask. Who will be so the day after tomorrow may not, whatever the hour, and may once the minimum
    /// is an age that was reached, by the birth date that is kept until then.
    pub(super) fn a2(&mut self) {
        let [mut teen, mut kid] = [("teen", 0), ("kid", 2)].map(|(name, days)| {
            let mut young = self.stage.person(name, &sixteen_in(days));
            befriend(&self.ana, &mut young);
            young
        });
        let mark = self.ana.mark();
        let refused = kid.fails(&["request", "ana"], ErrorCode::Refused);
        assert!(refused.contains("16"), "{refused}");
        let refused = self.ana.fails(&["request", "kid"], ErrorCode::Refused);
        assert!(!refused.contains("16") && refused.contains("cannot take part"), "{refused}");
        nothing_rang(&mut self.herald, &mut self.ana, mark);
        self.rings_at_ana(&mut teen);
        self.rules(&[("MINIMUM_AGE", "15")]);
        self.rings_at_ana(&mut kid);
        self.rules(&[]);
        self.may_ask();
        self.rules(&[("MINIMUM_AGE", "18")]);
        self.may_not_ask("confirm-age");
        self.ana.run(&["account", "confirm-age", "1990-05-17"]);
        self.ben.run(&["account", "confirm-age", "1990-05-17"]);
        self.may_ask();
        self.rules(&[]);
    }

    /// Somebody may ask Ana, whose device says so, and takes it back.
    fn rings_at_ana(&mut self, from: &mut Node) {
        let mark = self.ana.mark();
        from.until("may ask", |from| from.try_run(&["request", "ana"]).ok());
        self.ana.event_since(mark, "the request", opened);
        from.run(&["cancel"]);
        self.ana.event_since(mark, "its end", closed);
    }

    pub(super) fn a3(&mut self) {
        self.stage.operate("account", &["tier", "ana", "free"]);
        self.may_not_ask("Premium");
        self.stage.operate("account", &["tier", "ana", "premium"]);
        self.may_ask();
        self.a_new_account_has_the_tier_that_is_set();
    }

    /// Who signs up while new accounts are Free may not ask, and stays Free. Who signs up before and after may.
    fn a_new_account_has_the_tier_that_is_set(&mut self) {
        self.rules(&[("TIER_DEFAULT", "free")]);
        self.may_ask();
        let mut free = self.newcomer("free");
        self.is_free(&mut free);
        self.rules(&[]);
        self.may_ask();
        let mut premium = self.newcomer("premium");
        self.rings_at_ana(&mut premium);
        self.is_free(&mut free);
        for node in [&mut free, &mut premium] {
            node.assert_sound();
        }
    }

    /// Somebody may not ask Ana for want of Premium, and her device hears nothing.
    fn is_free(&mut self, from: &mut Node) {
        let mark = self.ana.mark();
        from.until("may not ask", |from| {
            let refused = from.try_run(&["request", "ana"]).err()?;
            (refused.code == ErrorCode::Refused && refused.to_string().contains("Premium")).then_some(())
        });
        nothing_rang(&mut self.herald, &mut self.ana, mark);
    }

    /// Somebody signs up and is a contact of Ana's.
    fn newcomer(&self, name: &str) -> Node {
        let mut newcomer = self.stage.person(name, "1990-05-17");
        befriend(&self.ana, &mut newcomer);
        newcomer
    }

    pub(super) fn a4(&mut self) {
        self.rules(&[("MARKETS", "ES,FR")]);
        self.may_not_ask("country");
        self.rules(&[("ROLLOUT_PERCENT", "0")]);
        self.may_not_ask("a part of all accounts");
        self.rules(&[("MARKETS", "DE"), ("ROLLOUT_PERCENT", "100")]);
        self.may_ask();
        self.rules(&[]);
    }

    pub(super) fn a5(&mut self) {
        let mark = self.carl.mark();
        let refused = self.ana.fails(&["request", "carl"], ErrorCode::Refused);
        assert!(refused.contains("contact"), "{refused}");
        nothing_rang(&mut self.herald, &mut self.carl, mark);
        befriend(&self.ana, &mut self.carl);
        self.ana.until("Carl is a contact", |ana| knows(ana, "carl").then_some(()));
        self.ana.run(&["request", "carl"]);
        self.carl.event_since(mark, "the request", opened);
        self.carl.run(&["decline"]);
    }

    pub(super) fn a6(&mut self) {
        let marks = self.marks();
        self.ask();
        // From the other device of Ben, against both of Ana's.
        self.phone.run(&["contacts", "block", "ana"]);
        self.is_over(marks, RequestOutcome::Declined);
        self.may_not_ask("cannot take part");
        self.tablet.until("it holds for the tablet too", |tablet| tablet.try_run(&["request", "ben"]).err());
        assert!(!online(&self.ana, "ben"), "presence is hidden");
        self.phone.run(&["contacts", "unblock", "ana"]);
        assert!(online(&self.ana, "ben"));
        self.ben.run(&["account", "opt-out"]);
        self.may_not_ask("cannot take part");
        self.ben.run(&["account", "opt-in"]);
        self.ben.run(&["contacts", "mute", "ana"]);
        let mark = self.ben.mark();
        self.ana.run(&["request", "ben"]);
        self.ben.until("it waits", |ben| (ben.status().requests.len() == 1).then_some(()));
        nothing_rang(&mut self.herald, &mut self.ben, mark);
        self.ana.run(&["cancel"]);
        self.ben.run(&["contacts", "unmute", "ana"]);
        self.ben.run(&["contacts", "report", "ana", "--reason", "other", "asks", "often"]);
        assert!(self.stage.operate("report", &["list"]).contains("asks often"));
        self.may_ask();
    }

    pub(super) fn a7(&mut self) {
        self.ben.run(&["contacts", "report", "ana", "--reason", "other", "what", "he", "says"]);
        let [hers, his] = [&self.ana, &self.ben].map(|node| match node.run(&["account", "export"]) {
            Reply::Export { data } => *data,
            other => panic!("no export, but {other:?}"),
        });
        for (mine, own, other, device) in [(&hers, "ana", "ben", "tablet"), (&his, "ben", "ana", "phone")] {
            assert_eq!(mine["accounts"][0]["handle"], own);
            let contacts = mine["contacts"].as_array().expect("contacts");
            assert!(contacts.iter().any(|contact| contact["handle"] == other), "{mine}");
            assert!(mine["devices"].to_string().contains(device), "{mine}");
        }
        // Each holds what its own account has said and has, and the other's shows that it is not in both.
        let [hers, his] = [hers, his].map(|export| export.to_string());
        assert!(his.contains("what he says") && !hers.contains("what he says"), "{hers}");
        assert!(!hers.contains("phone") && !his.contains("tablet"), "{hers}\n{his}");
        let refused = self.carl.fails(&["account", "delete", "ana"], ErrorCode::Refused);
        assert!(refused.contains("carl"), "{refused}");
        assert!(knows(&self.ana, "carl"), "nothing was deleted");
        self.carl.run(&["account", "delete", "carl"]);
        for node in [&mut self.ana, &mut self.tablet] {
            node.until("Carl is gone", |node| (!knows(node, "carl")).then_some(()));
        }
        for nothing in [&["contacts"][..], &["account", "export"]] {
            self.carl.fails(nothing, ErrorCode::NoAccount);
        }
        assert!(!self.stage.operate("account", &["list"]).contains("carl"));
    }
}

fn named_devices(node: &Node) -> Vec<String> {
    match node.run(&["account", "devices"]) {
        Reply::AccountDevices { devices, .. } => devices.into_iter().map(|device| device.name).collect(),
        other => panic!("no devices, but {other:?}"),
    }
}

/// The birth date of somebody who turns 16 in so many days.
fn sixteen_in(days: i64) -> String {
    let day = Date::of(now() + Span::from_secs(days * 86_400)).to_string();
    let (year, rest) = day.split_once('-').expect("a date");
    let year: u16 = year.parse().expect("a year");
    format!("{:04}-{rest}", year - 16)
}
