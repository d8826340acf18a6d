//! Answers that are to look alike: whether a name exists, how old somebody is, where somebody lives, who blocks whom. Each
//! group of cases must be answered with the same words in as many bytes, after as many statements of the database. What
//! takes equally many takes equally long but for what no client can measure behind a common commit; a clock is not asked.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use jamsync_protocol::{
    id::{AccountId, Handle},
    identity::{DeviceLog, LinkToken, VerifiedLog, friend_link::LinkSecret},
    wire::coord::{CoordEvent, EventNumber, IdempotencyKey},
};

use super::*;
use crate::{
    eligibility::{AgeRecord, Trust, is_rolled_out},
    store::{ContactRow, Link, SqliteStore, Store, Whereabouts},
};

pub(super) const NOW: UtcTime = UtcTime::from_nanos(1_795_219_200_000_000_000);

mod others;

/// Everybody who is not called offline is online.
#[derive(Debug)]
struct Here(Vec<DeviceKey>);
impl Whereabouts for Here {
    fn is_online(&self, device: DeviceKey) -> bool {
        !self.0.contains(&device)
    }
    fn addresses(&self, _: DeviceKey) -> Vec<SocketAddr> {
        Vec::new()
    }
}

/// What somebody who asks could learn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The words, with the same name in place of the one asked for.
    pub(super) words: String,
    bytes: usize,
    statements: u32,
}

pub(super) struct Cast {
    store: SqliteStore,
    offline: Vec<DeviceKey>,
    keys: AtomicU64,
    _folder: tempfile::TempDir,
}

/// All names are of the same length.
pub(super) fn handle(number: u8) -> Handle {
    format!("person{number:03}").parse().expect("a handle")
}

pub(super) fn secret(number: u8) -> DeviceSecret {
    DeviceSecret::from_seed(&[number; 32])
}

fn log(number: u8) -> VerifiedLog {
    DeviceLog::found(&secret(number), [number; 16])
}

pub(super) fn id(number: u8) -> AccountId {
    log(number).account()
}

pub(super) fn adult(number: u8) -> Account {
    Account {
        id: id(number),
        handle: handle(number),
        tier: Tier::Premium,
        age: AgeRecord { met: 16, birth_date: None },
        market: "DE".parse().expect("a country"),
        created: NOW,
        log: log(number).as_log().clone(),
        opted_out: false,
    }
}

pub(super) fn contact(of: u8, with: u8) -> ContactRow {
    let (of, with) = (id(of), id(with));
    let since = NOW;
    ContactRow { of, with, accepted: None, vouch: None, blocked: false, muted: false, removed: false, since }
}

/// Whom the rollout has not reached, or has.
pub(super) fn rolled_out(is: bool, but: u8) -> u8 {
    (but + 1..=250).find(|number| is_rolled_out(id(*number), ROLLOUT) == is).expect("half of all")
}

const ROLLOUT: u8 = 50;

impl Cast {
    pub(super) async fn with(
        rows: impl FnOnce(&mut dyn Tables) -> Result<(), StoreError> + Send + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("db")).expect("opens");
        store.write(rows).await.expect("written");
        Self { store, offline: Vec::new(), keys: AtomicU64::new(1), _folder: folder }
    }

    fn context(&self, device: u8) -> Context {
        let settings = Settings {
            markets: Markets::Only(vec!["DE".parse().expect("a country")]),
            rollout_percent: ROLLOUT,
            ..Settings::default()
        };
        Context {
            now: NOW,
            calendar: Trust::Unproven,
            device: secret(device).public(),
            entropy: [9; 32],
            settings: Arc::new(settings),
            secret: Arc::new(secret(255)),
            whereabouts: Arc::new(Here(self.offline.clone())),
            spared: Vec::new(),
        }
    }

    /// What `device` sees of the answer, in which `name` is not to be told from another.
    pub(super) async fn seen(&self, device: u8, request: CoordRequest, name: &Handle) -> Seen {
        let context = self.context(device);
        let is_write = is_write(&request);
        let call = CoordCall { key: IdempotencyKey([0; 16]), request };
        let count = move |tables: &mut dyn Tables| {
            let reply = if is_write {
                apply(tables, &context, &call).map(|applied| applied.reply).or_else(Stop::answer)
            } else {
                look(&*tables, &context, &call.request).map(|looked| looked.reply)
            };
            // Taken back in any case, so that one case says nothing of the next.
            Err::<(), _>(Counted(Box::new(reply.map(|reply| (reply, tables.statements())))))
        };
        let Err(Counted(counted)) = self.store.write(count).await else { unreachable!("it gives an error") };
        let (reply, statements) = counted.expect("the store works");
        let bytes = codec::encode(&reply, COORD_FRAME_BYTES_MAX).expect("fits").len();
        Seen { words: format!("{reply:?}").replace(name.as_str(), "NAME"), bytes, statements }
    }

    /// What `device` is answered at `now`, and that it is done.
    pub(super) async fn does(&self, device: u8, now: UtcTime, request: &CoordRequest) -> CoordReply {
        let (context, call) = (
            Context { now, ..self.context(device) },
            CoordCall { key: self.new_key(), request: request.clone() },
        );
        let done = self.store.write(move |tables| apply(tables, &context, &call)).await;
        done.map(|applied| applied.reply).or_else(Stop::answer).expect("the store works")
    }

    /// The events that wait for `device`.
    pub(super) async fn told(&self, device: u8) -> Vec<CoordEvent> {
        let device = secret(device).public();
        let events = self.store.read(move |view| view.events_after(device, EventNumber(0), 99)).await;
        events.expect("reads").into_iter().map(|kept| kept.event).collect()
    }

    fn new_key(&self) -> IdempotencyKey {
        let number = self.keys.fetch_add(1, Ordering::Relaxed);
        IdempotencyKey(core::array::from_fn(|at| number.to_le_bytes().get(at).copied().unwrap_or(0)))
    }

    async fn asked_for(&self, me: u8, friend: u8) -> Seen {
        self.seen(me, CoordRequest::RequestJam { to: handle(friend) }, &handle(friend)).await
    }
}

/// Carries an answer out of a transaction that is taken back.
struct Counted(Box<Result<(CoordReply, u32), StoreError>>);
impl From<StoreError> for Counted {
    fn from(error: StoreError) -> Self {
        Self(Box::new(Err(error)))
    }
}

fn all_alike(what: &str, cases: &[(&str, Seen)]) {
    let (first, seen) = cases.first().expect("some");
    println!("{what}: {seen:?}");
    for (name, other) in cases {
        assert_eq!(other, seen, "{what}: {name} can be told from {first}");
    }
}

#[tokio::test]
async fn nobody_can_tell_whether_a_name_exists_by_asking_for_a_jam() {
    let me = rolled_out(true, 0);
    let [stranger, blocker, former] = [201, 202, 204];
    let cast = Cast::with(move |tables| {
        for number in [me, stranger, blocker, former] {
            tables.insert_account(&adult(number))?;
        }
        tables.put_contact(&ContactRow { removed: true, ..contact(me, former) })?;
        // A contact that ended in a block.
        tables.put_contact(&ContactRow { blocked: true, removed: true, ..contact(blocker, me) })
    });
    let cast = cast.await;
    all_alike(
        "no contact",
        &[
            ("nobody", cast.asked_for(me, 203).await),
            ("a stranger", cast.asked_for(me, stranger).await),
            ("a former contact who blocks", cast.asked_for(me, blocker).await),
            ("a former contact", cast.asked_for(me, former).await),
            ("oneself", cast.asked_for(me, me).await),
        ],
    );
}

#[tokio::test]
async fn nobody_can_tell_why_a_friend_cannot_take_part() {
    let me = rolled_out(true, 0);
    let mut last = me;
    let [out, kid, unknown, abroad, blocker] = [(); 5].map(|()| {
        last = rolled_out(true, last);
        last
    });
    let waiting = rolled_out(false, 0);
    let cast = Cast::with(move |tables| {
        let born = Some("2020-01-01".parse().expect("a date"));
        let everybody = [
            adult(me),
            Account { opted_out: true, ..adult(out) },
            Account { age: AgeRecord { met: 0, birth_date: born }, ..adult(kid) },
            Account { age: AgeRecord { met: 0, birth_date: None }, ..adult(unknown) },
            Account { market: "FR".parse().expect("a country"), ..adult(abroad) },
            adult(blocker),
            adult(waiting),
        ];
        for account in &everybody {
            tables.insert_account(account)?;
        }
        for friend in [out, kid, unknown, abroad, blocker, waiting] {
            tables.put_contact(&contact(me, friend))?;
            tables.put_contact(&ContactRow { blocked: friend == blocker, ..contact(friend, me) })?;
        }
        Ok(())
    });
    let cast = cast.await;
    let mut cases = Vec::new();
    for (what, friend) in [
        ("who blocks", blocker),
        ("who has opted out", out),
        ("who is too young", kid),
        ("whose age is not known", unknown),
        ("who lives elsewhere", abroad),
        ("whom the rollout has not reached", waiting),
    ] {
        cases.push((what, cast.asked_for(me, friend).await));
    }
    all_alike("a friend", &cases);
    assert!(cases[0].1.words.contains("FriendUnavailable"));
}

#[tokio::test]
async fn nobody_can_tell_a_block_from_a_link_that_leads_nowhere() {
    let [me, blocker, other] = [1, 2, 3];
    let link = |number: u8, creator: u8| Link {
        token: LinkToken([number; 16]),
        creator: id(creator),
        expires: NOW + Span::from_secs(60),
        accepter: None,
    };
    let cast = Cast::with(move |tables| {
        for number in [me, blocker, other] {
            tables.insert_account(&adult(number))?;
        }
        tables.put_contact(&ContactRow { blocked: true, removed: true, ..contact(blocker, me) })?;
        tables.insert_link(link(1, blocker))?;
        tables.insert_link(Link { expires: NOW, ..link(2, other) })?;
        tables.insert_link(link(3, other))?;
        tables.close_link(LinkToken([3; 16]), id(blocker))?;
        // It was taken, and the contact has ended since.
        let ended = |with| ContactRow { removed: true, ..contact(me, with) };
        tables.put_contact(&ended(other))?;
        tables.put_contact(&ended(blocker))?;
        tables.insert_link(link(5, other))?;
        tables.close_link(LinkToken([5; 16]), id(me))?;
        tables.insert_link(link(6, blocker))?;
        tables.close_link(LinkToken([6; 16]), id(me))
    });
    let cast = cast.await;
    let mut cases = Vec::new();
    for (what, number) in [
        ("of who blocks", 1),
        ("that has expired", 2),
        ("that was used", 3),
        ("that never was", 4),
        ("used by me, contact ended since", 5),
        ("used by me, contact ended since by who blocks", 6),
    ] {
        let proof = LinkSecret([1; 16]).prove(id(me), id(other));
        let request = CoordRequest::AcceptFriendLink { token: LinkToken([number; 16]), proof };
        cases.push((what, cast.seen(me, request, &handle(other)).await));
    }
    assert_eq!(cases[0].1.words, "Refused(UnknownLink)");
    all_alike("a link", &cases);
}

#[tokio::test]
async fn nobody_can_tell_a_block_or_an_opt_out_from_a_friend_who_is_away() {
    // Each friend is the one contact of somebody who looks.
    let pairs = [("away", 1, 11), ("blocks", 2, 12), ("has opted out", 3, 13)];
    let cast = Cast::with(move |tables| {
        for (what, looks, friend) in pairs {
            tables.insert_account(&adult(looks))?;
            tables.insert_account(&Account { opted_out: what == "has opted out", ..adult(friend) })?;
            tables.put_contact(&contact(looks, friend))?;
            tables.put_contact(&ContactRow { blocked: what == "blocks", ..contact(friend, looks) })?;
        }
        Ok(())
    });
    let mut cast = cast.await;
    cast.offline.push(secret(11).public());
    let mut cases = Vec::new();
    for (what, looks, friend) in pairs {
        let mut seen = cast.seen(looks, CoordRequest::Contacts { after: None }, &handle(friend)).await;
        assert!(seen.words.contains("online: false"), "{seen:?}");
        // Keys and logs are each friend's own, and no secret.
        seen.words.clear();
        cases.push((what, seen));
    }
    all_alike("a contact", &cases);
}
