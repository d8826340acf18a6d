//! Databases of every older version, with rows as that version wrote them, are brought up to date by the program: whoever was
//! in is in by the same devices, with the same friends and all that waited; and a copy with which the older version can go
//! on stays beside.

use std::path::Path;

use jamsync_protocol::{
    identity::friend_link::LinkSecret,
    text::Text,
    wire::coord::{Answer, CoordEvent, CoordReply, CoordRequest, EventNumber, NumberedEvent, Refusal},
};
use rusqlite::{Connection, OpenFlags};

use crate::{
    device::{log, secret},
    older::{ANA, BEN, CHILD, JAM, JOIN, NEW, OPEN_LINK, Older, REQUEST, SECOND},
    served::{Served, said, text},
};

impl Older {
    /// Whoever was in is in, with all that was there.
    async fn is_served(&self, served: &Served) {
        let ana = served.device(ANA).await;
        assert!(ana.is_known, "ana's device speaks for nobody");
        assert_eq!(ana.ask(CoordRequest::WhoAmI).await, CoordReply::Me(self.me(vec![self.request()])));
        let CoordReply::Contacts { contacts, more: false } =
            ana.ask(CoordRequest::Contacts { after: None }).await
        else {
            panic!("no contacts");
        };
        assert_eq!(contacts.into_vec(), [self.ben(), Self::contact("child", &log(CHILD), None)]);
        let told: Vec<_> = (1..).map(EventNumber).zip(self.events()).collect();
        let told: Vec<_> = told.into_iter().map(|(number, event)| NumberedEvent { number, event }).collect();
        assert_eq!(ana.events(EventNumber(0), 2).await, told);
        assert_eq!(ana.ask(CoordRequest::EndJam { jam: JAM }).await, CoordReply::Done);

        let ben = served.device(BEN).await;
        for (device, call, reply) in self.answered() {
            let asks = if device == ANA { &ana } else { &ben };
            assert_eq!(asks.call(&call).await, reply, "a call that was answered before");
        }
        let accept = CoordRequest::AnswerRequest { request: REQUEST, answer: Answer::Accept };
        assert_eq!(ana.ask(accept).await, CoordReply::Done);
        let told = ben.events(EventNumber(0), 2).await;
        assert!(matches!(&told[0].event, CoordEvent::JamEnded { jam: JAM, .. }), "{told:?}");
        assert!(matches!(&told[1].event, CoordEvent::JamGranted { request: REQUEST, .. }), "{told:?}");

        let child = served.device(CHILD).await;
        let asked = child.ask(CoordRequest::RequestJam { to: "ana".parse().expect("a handle") }).await;
        assert_eq!(asked, CoordReply::Refused(Refusal::TooYoung { minimum_age: 16 }));
        let new = served.device(NEW).await;
        assert!(!new.is_known);
        new.sign_up(JOIN, "new", "1990-01-01").await;
        let proof = LinkSecret([1; 16]).prove(self.log_of_ana.account(), log(NEW).account());
        let befriended = new.ask(CoordRequest::AcceptFriendLink { token: OPEN_LINK, proof }).await;
        assert!(matches!(befriended, CoordReply::Contact(_)), "{befriended:?}");
        if self.version >= 3 {
            self.second_device_is_served(served).await;
        }
    }

    async fn second_device_is_served(&self, served: &Served) {
        let second = served.device(SECOND).await;
        assert!(second.is_known, "the second device speaks for nobody");
        let told = second.events(EventNumber(0), 2).await.into_iter().map(|told| told.event);
        assert_eq!(told.collect::<Vec<_>>(), self.events_of_second());
        let CoordReply::Devices(devices) = second.ask(CoordRequest::Devices).await else {
            panic!("no devices");
        };
        let named = devices.iter().find(|device| device.device == secret(SECOND).public());
        assert_eq!(named.map(|device| device.name.clone()), Some(Text::truncated("phone")));
    }
}

/// Every row of every table, and the version.
fn dump(path: &Path) -> (i64, Vec<String>) {
    let file = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("opens");
    let mut tables = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").expect("reads");
    let names = tables.query_map([], |row| row.get::<_, String>(0)).expect("reads");
    let mut all = Vec::new();
    for name in names.map(|name| name.expect("a name")) {
        let mut table = file.prepare(&format!("SELECT * FROM {name}")).expect("reads");
        let columns = table.column_count();
        let mut rows = table.query([]).expect("reads");
        while let Some(row) = rows.next().expect("reads") {
            let values = (0..columns).map(|column| format!("{:?}", row.get_ref(column).expect("a value")));
            all.push(format!("{name} {}", values.collect::<Vec<_>>().join(" ")));
        }
    }
    all.sort();
    (file.query_row("SELECT * FROM pragma_user_version", [], |row| row.get(0)).expect("reads"), all)
}

/// By the command, or where `by_serving` by the server itself.
async fn is_brought_up_to_date(version: usize, by_serving: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let older = Older::of(version);
    older.write(&data);
    let before = dump(&data.join("coordinator.sqlite"));
    assert_eq!(before.0, i64::try_from(version).expect("few"));
    if !by_serving {
        let told = said(&["migrate", "--data", text(&data)]);
        assert!(told.contains(&format!("was of version {version} and is up to date now")), "{told}");
        assert_eq!(said(&["migrate", "--data", text(&data)]), "Nothing to do.\n");
    }
    let mut served = Served::start(&data, &[]);
    if by_serving {
        served.hear("the database was of an older version; a copy of it is kept");
    }
    let sound = said(&["verify", "--data", text(&data)]);
    assert!(sound.contains("is sound"), "{sound}");
    older.is_served(&served).await;
    drop(served.stop());
    let copy = data.join(format!("coordinator.sqlite.v{version}"));
    assert_eq!(dump(&copy), before, "the copy is what was there");
    assert!(dump(&data.join("coordinator.sqlite")).0 > before.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_version_1_goes_on_with_all_that_it_holds() {
    is_brought_up_to_date(1, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_version_2_goes_on_with_all_that_it_holds() {
    is_brought_up_to_date(2, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_version_3_goes_on_with_all_that_it_holds() {
    is_brought_up_to_date(3, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_version_4_goes_on_with_all_that_it_holds() {
    is_brought_up_to_date(4, true).await;
}
