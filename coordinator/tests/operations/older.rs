//! A database as an older version left it: its tables, and in them people with their devices, a contact, a child, links, a
//! request that is open, a Jam, and events and answers as that version wrote them. What the devices are to find of it later
//! is said here too.
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
    text::List,
    time::{Span, UtcTime},
    wire::{
        codec,
        coord::{
            AcceptedLink, Contact, CoordCall, CoordEvent, CoordReply, CoordRequest, IdempotencyKey, Me,
            OpenRequest, RequestId,
        },
    },
};
use rusqlite::{Connection, params};
use serde::Serialize;

use crate::device::{log, secret};

const STEPS: [&str; 4] = [
    include_str!("older/v1.sql"),
    include_str!("older/v2.sql"),
    include_str!("older/v3.sql"),
    include_str!("older/v4.sql"),
];
/// The numbers of the devices: of ana, ben, ana's second one, a child, and somebody who comes later.
pub(crate) const ANA: u8 = 1;
pub(crate) const BEN: u8 = 2;
pub(crate) const SECOND: u8 = 3;
pub(crate) const CHILD: u8 = 4;
pub(crate) const NEW: u8 = 5;
pub(crate) const JOIN: JoinSecret = JoinSecret([7; 16]);
pub(crate) const OPEN_LINK: LinkToken = LinkToken([8; 16]);
pub(crate) const REQUEST: RequestId = RequestId([1; 16]);
pub(crate) const JAM: JamId = JamId([3; 16]);

/// What a database of an older version holds.
pub(crate) struct Older {
    pub(crate) version: usize,
    now: UtcTime,
    pub(crate) log_of_ana: VerifiedLog,
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

impl Older {
    pub(crate) fn of(version: usize) -> Self {
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

    pub(crate) fn contact(name: &str, log: &VerifiedLog, accepted: Option<AcceptedLink>) -> Contact {
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

    pub(crate) fn request(&self) -> OpenRequest {
        OpenRequest {
            request: REQUEST,
            friend: "ben".parse().expect("a handle"),
            account: log(BEN).account(),
            incoming: true,
            expires: self.in_time(),
        }
    }

    pub(crate) fn me(&self, requests: Vec<OpenRequest>) -> Me {
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
    pub(crate) fn events(&self) -> [CoordEvent; 2] {
        let contact = Self::contact("ben", &log(BEN), Some(self.accepted()));
        [CoordEvent::ContactAdded(contact), CoordEvent::JamRequested(self.request())]
    }

    /// What waits for ana's second device.
    pub(crate) fn events_of_second(&self) -> [CoordEvent; 2] {
        let [_, requested] = self.events();
        [requested, CoordEvent::ContactChanged(self.ben())]
    }

    /// Ben, as ana sees him.
    pub(crate) fn ben(&self) -> Contact {
        let contact = Self::contact("ben", &log(BEN), Some(self.accepted()));
        Contact { vouch: self.vouch().map(Box::new), ..contact }
    }

    /// A call that was answered before, with the answer.
    pub(crate) fn answered(&self) -> [(u8, CoordCall, CoordReply); 2] {
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
        match self.version {
            ..3 => 3,
            3 => 2,
            _ => 0,
        }
    }

    /// The same of an answer. What an account is told of itself did not say whether it has opted out.
    fn unknown(&self, reply: &CoordReply) -> usize {
        if matches!(reply, CoordReply::Me(_)) {
            usize::from(self.version < 4)
        } else {
            self.unknown_of_contact()
        }
    }

    /// Makes the folder as that version left it.
    pub(crate) fn write(&self, folder: &Path) {
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
}
