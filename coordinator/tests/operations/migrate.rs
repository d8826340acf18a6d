//! Databases of every older version, with rows as that version wrote them, are brought up to date by the program: whoever was
//! in is in by the same devices, with the same friends and all that waited; and a copy with which the older version can go
//! on stays beside.
//!
//! The tables come from `older/`, which is never changed: one file for each version, run one after the other.

use std::{fs, path::Path};

use jamsync_coordinator::{
    env::{Env, SystemEnv},
    rules::Settings,
};
use jamsync_protocol::{
    id::{JamId, Participant},
    identity::{Grant, LinkToken, Tier, VerifiedLog, Vouch, friend_link::LinkSecret, join_code::JoinSecret},
    limits::COORD_FRAME_BYTES_MAX,
    text::{List, Text},
    time::{Span, UtcTime},
    wire::{
        codec,
        coord::{
            AcceptedLink, Answer, Contact, CoordCall, CoordEvent, CoordReply, CoordRequest, EventNumber,
            IdempotencyKey, Me, NumberedEvent, OpenRequest, Refusal, RequestId,
        },
    },
};
use rusqlite::{Connection, OpenFlags, params};
use serde::Serialize;

use crate::{
    device::{log, secret},
    served::{Served, said, text},
};

const STEPS: [&str; 3] =
    [include_str!("older/v1.sql"), include_str!("older/v2.sql"), include_str!("older/v3.sql")];
/// The numbers of the devices: of ana, ben, ana's second one, a child, and somebody who comes later.
const ANA: u8 = 1;
const BEN: u8 = 2;
const SECOND: u8 = 3;
const CHILD: u8 = 4;
const NEW: u8 = 5;
const JOIN: JoinSecret = JoinSecret([7; 16]);
const OPEN_LINK: LinkToken = LinkToken([8; 16]);
const REQUEST: RequestId = RequestId([1; 16]);
const JAM: JamId = JamId([3; 16]);

/// What a database of an older version holds.
struct Older {
    version: usize,
    now: UtcTime,
    log_of_ana: VerifiedLog,
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    codec::encode(value, COORD_FRAME_BYTES_MAX).expect("fits")
}

/// The bytes of a version that did not know of the last `unknown` ones.
fn encoded_without(value: &impl Serialize, unknown: usize) -> Vec<u8> {
    let mut bytes = encoded(value);
    let end = bytes.split_off(bytes.len() - unknown);
    assert!(end.iter().all(|byte| *byte == 0), "what that version did not know says nothing");
    bytes
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

impl Older {
    fn of(version: usize) -> Self {
        let mut log_of_ana = log(ANA);
        if version >= 3 {
            let consent = log_of_ana.consent(&secret(SECOND));
            log_of_ana.add(&secret(ANA), secret(SECOND).public(), consent).expect("added");
        }
        Self { version, now: SystemEnv.now(), log_of_ana }
    }

    fn later(&self) -> UtcTime {
        self.now + Span::from_secs(3_600)
    }

    /// When a request that was made just now ends.
    fn in_time(&self) -> UtcTime {
        self.now + Settings::default().request_life
    }

    fn accepted(&self) -> AcceptedLink {
        let proof = LinkSecret([1; 16]).prove(self.log_of_ana.account(), log(BEN).account());
        AcceptedLink { token: LinkToken([6; 16]), proof }
    }

    /// What ana has told her other devices of ben.
    fn vouch(&self) -> Option<Vouch> {
        let ben = "ben".parse().expect("a handle");
        let vouch = || Vouch::signed_by(&secret(ANA), self.log_of_ana.account(), ben, log(BEN).pin());
        (self.version >= 3).then(vouch)
    }

    fn contact(name: &str, log: &VerifiedLog, accepted: Option<AcceptedLink>) -> Contact {
        Contact {
            handle: name.parse().expect("a handle"),
            account: log.account(),
            log: log.as_log().clone(),
            online: false,
            accepted,
            vouch: None,
            blocked: false,
            muted: false,
        }
    }

    fn request(&self) -> OpenRequest {
        OpenRequest {
            request: REQUEST,
            friend: "ben".parse().expect("a handle"),
            account: log(BEN).account(),
            incoming: true,
            expires: self.in_time(),
        }
    }

    fn me(&self, requests: Vec<OpenRequest>) -> Me {
        Me {
            account: self.log_of_ana.account(),
            handle: "ana".parse().expect("a handle"),
            tier: Tier::Free,
            log: self.log_of_ana.as_log().clone(),
            requests: List::new(requests).expect("few"),
            opted_out: false,
        }
    }

    /// What waits for ana.
    fn events(&self) -> [CoordEvent; 2] {
        let contact = Self::contact("ben", &log(BEN), Some(self.accepted()));
        [CoordEvent::ContactAdded(contact), CoordEvent::JamRequested(self.request())]
    }

    /// What waits for ana's second device.
    fn events_of_second(&self) -> [CoordEvent; 2] {
        let [_, requested] = self.events();
        [requested, CoordEvent::ContactChanged(self.ben())]
    }

    /// Ben, as ana sees him.
    fn ben(&self) -> Contact {
        let contact = Self::contact("ben", &log(BEN), Some(self.accepted()));
        Contact { vouch: self.vouch().map(Box::new), ..contact }
    }

    /// A call that was answered before, with the answer.
    fn answered(&self) -> [(u8, CoordCall, CoordReply); 2] {
        let sign_up = CoordRequest::SignUp {
            secret: JOIN,
            handle: "ana".parse().expect("a handle"),
            birth_date: "1990-01-01".parse().expect("a date"),
            market: "DE".parse().expect("a country"),
            log: log(ANA).as_log().clone(),
        };
        let AcceptedLink { token, proof } = self.accepted();
        let contact = Self::contact("ana", &self.log_of_ana, None);
        let call = |number: u8, request| CoordCall { key: IdempotencyKey([number; 16]), request };
        [
            (ANA, call(4, sign_up), CoordReply::Me(self.me(Vec::new()))),
            (BEN, call(5, CoordRequest::AcceptFriendLink { token, proof }), CoordReply::Contact(contact)),
        ]
    }

    /// How many bytes at the end of a contact that version did not know: whether it is blocked and muted, and before that
    /// what was vouched.
    fn unknown_of_contact(&self) -> usize {
        if self.version < 3 { 3 } else { 2 }
    }

    /// The same of an answer. What an account is told of itself did not say whether it has opted out.
    fn unknown(&self, reply: &CoordReply) -> usize {
        if matches!(reply, CoordReply::Me(_)) { 1 } else { self.unknown_of_contact() }
    }

    /// Makes the folder as that version left it.
    fn write(&self, folder: &Path) {
        fs::create_dir(folder).expect("a folder");
        fs::write(folder.join("coordinator.key"), [77; 32]).expect("writes");
        let file = Connection::open(folder.join("coordinator.sqlite")).expect("opens");
        for step in &STEPS[..self.version] {
            file.execute_batch(step).expect("applies");
        }
        file.pragma_update(None, "user_version", i64::try_from(self.version).expect("few")).expect("sets");
        self.write_people(&file).expect("writes");
        self.write_what_is_under_way(&file).expect("writes");
        if self.version >= 3 {
            self.write_second_device(&file).expect("writes");
        }
    }

    fn write_people(&self, file: &Connection) -> rusqlite::Result<()> {
        let (ana, ben, child) = (&self.log_of_ana, log(BEN), log(CHILD));
        let now = self.now.as_nanos();
        let people = [
            ("ana", ana, 0, 16, None, ANA, 2),
            ("ben", &ben, 1, 16, None, BEN, 0),
            ("child", &child, 1, 0, Some("2020-01-01"), CHILD, 0),
        ];
        for (name, log, tier, age, born, device, last_event) in people {
            file.execute(
                "INSERT INTO accounts (id, handle, tier, age_met, birth_date, market, created, log)
                 VALUES (?1, ?2, ?3, ?4, ?5, 'DE', ?6, ?7)",
                params![log.account().0, name, tier, age, born, now, encoded(log.as_log())],
            )?;
            file.execute(
                "INSERT INTO devices (key, account, last_event) VALUES (?1, ?2, ?3)",
                params![secret(device).public().0, log.account().0, last_event],
            )?;
        }
        for (of, with, accepted) in
            [(ana, &ben, Some(encoded(&self.accepted()))), (&ben, ana, None), (ana, &child, None)]
        {
            file.execute(
                "INSERT INTO contacts (of_account, with_account, accepted) VALUES (?1, ?2, ?3)",
                params![of.account().0, with.account().0, accepted],
            )?;
        }
        file.execute(
            "INSERT INTO join_permits (fingerprint, uses_left, expires) VALUES (?1, 1, ?2)",
            params![JOIN.fingerprint(), self.later().as_nanos()],
        )?;
        let sql = "INSERT INTO links (token, creator, expires, accepter) VALUES (?1, ?2, ?3, ?4)";
        let (open, used) = (OPEN_LINK, self.accepted().token);
        for (token, accepter) in [(open, None), (used, Some(ben.account().0))] {
            file.execute(sql, params![token.0, ana.account().0, self.later().as_nanos(), accepter])?;
        }
        Ok(())
    }

    fn write_what_is_under_way(&self, file: &Connection) -> rusqlite::Result<()> {
        let (ana, ben) = (self.log_of_ana.account().0, log(BEN).account().0);
        let [device_of_ana, device_of_ben] = [ANA, BEN].map(|device| secret(device).public().0);
        let (now, later) = (self.now.as_nanos(), self.later().as_nanos());
        for (id, ended) in [(REQUEST, None), (RequestId([2; 16]), Some(1))] {
            file.execute(
                "INSERT INTO requests (id, from_account, from_device, to_account, created, expires, ended)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![id.0, ben, device_of_ben, ana, now, self.in_time().as_nanos(), ended],
            )?;
        }
        let (participants, host) = (List::empty(), Participant::FIRST);
        let grant = Grant { jam: JAM, participants, host, issued: self.now, expires: self.later() };
        let grant = grant.signed_by(&secret(77)).expect("signed");
        file.execute(
            "INSERT INTO jams (id, expires, ended, signed_grant) VALUES (?1, ?2, 0, ?3)",
            params![JAM.0, later, encoded(&grant)],
        )?;
        for (place, account, device) in [(0, ana, device_of_ana), (1, ben, device_of_ben)] {
            file.execute(
                "INSERT INTO participants VALUES (?1, ?2, ?3, ?4)",
                params![JAM.0, place, account, device],
            )?;
        }
        let sql = "INSERT INTO events (device, number, body) VALUES (?1, ?2, ?3)";
        let [added, requested] = self.events();
        file.execute(sql, params![device_of_ana, 1, encoded_without(&added, self.unknown_of_contact())])?;
        file.execute(sql, params![device_of_ana, 2, encoded(&requested)])?;
        for (device, call, reply) in self.answered() {
            let digest = *blake3::hash(&encoded(&call.request)).as_bytes();
            let reply = encoded_without(&reply, self.unknown(&reply));
            file.execute(
                "INSERT INTO receipts (device, key, digest, reply, at) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![secret(device).public().0, call.key.0, digest, reply, now],
            )?;
        }
        Ok(())
    }

    fn write_second_device(&self, file: &Connection) -> rusqlite::Result<()> {
        let (ana, key) = (self.log_of_ana.account().0, secret(SECOND).public().0);
        file.execute(
            "INSERT INTO devices (key, account, last_event, name, added) VALUES (?1, ?2, 2, 'phone', ?3)",
            params![key, ana, self.now.as_nanos()],
        )?;
        let sql = "INSERT INTO events (device, number, body) VALUES (?1, ?2, ?3)";
        let [requested, changed] = self.events_of_second();
        file.execute(sql, params![key, 1, encoded(&requested)])?;
        file.execute(sql, params![key, 2, encoded_without(&changed, self.unknown_of_contact())])?;
        let sql = "UPDATE contacts SET vouch = ?3 WHERE of_account = ?1 AND with_account = ?2";
        file.execute(sql, params![ana, log(BEN).account().0, self.vouch().map(|vouch| encoded(&vouch))])?;
        Ok(())
    }

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
