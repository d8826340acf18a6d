//! A calendar that somebody sets while requests, links, codes and limits are under way.

use jamsync_protocol::{
    identity::{CodeToken, Date, LinkToken, friend_link::LinkSecret},
    text::{List, Text},
    time::Span,
    wire::coord::{ReportReason, RequestId},
};

use super::{manual::ManualEnv, *};
use crate::{
    eligibility::AgeRecord,
    store::{DeviceCode, JamRequest, Link},
};

/// A request, a link and a code.
type Things = (RequestId, LinkToken, CodeToken);

/// How old somebody is, by what the rows and the answers say.
struct Young<'a> {
    stage: &'a Stage,
    client: &'a Client,
}

impl Young<'_> {
    /// Asks for a Jam, which looks at the age, until that is as `wanted`; and what is kept of it then.
    async fn kept_once(&self, wanted: bool) -> AgeRecord {
        let patience = std::time::Instant::now() + PATIENCE;
        loop {
            let reply = self.client.ask(CoordRequest::RequestJam { to: person(2).0.handle }).await;
            let is_young = reply == CoordReply::Refused(Refusal::TooYoung { minimum_age: 16 });
            if is_young == wanted {
                break;
            }
            assert!(std::time::Instant::now() < patience, "{reply:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let look = self.stage.store.read(|view| view.account(person(1).0.id));
        look.await.expect("reads").expect("it is there").age
    }
}

/// What is under way, by what the rows say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Left {
    request: Span,
    link: Span,
    code: Span,
}

impl Left {
    /// The same `span` later.
    fn after(self, span: Span) -> Self {
        Self { request: self.request - span, link: self.link - span, code: self.code - span }
    }
}

impl Stage {
    /// How long all of it has left by the calendar of now.
    async fn left(&self, env: &ManualEnv, (asked, link, code): Things) -> Left {
        let look = self.store.read(move |view| {
            let request = view.request(asked)?.map(|row| row.expires);
            Ok([
                request,
                view.link(link)?.map(|row| row.expires),
                view.device_code(code)?.map(|row| row.expires),
            ])
        });
        let [request, link, code] =
            look.await.expect("reads").map(|end| end.expect("it is there") - env.now());
        Left { request, link, code }
    }

    /// Waits until the end of `link` was moved to `wanted`.
    async fn until_moved(&self, link: LinkToken, wanted: UtcTime) {
        let patience = std::time::Instant::now() + PATIENCE;
        loop {
            let look = self.store.read(move |view| view.link(link)).await;
            let end = look.expect("reads").expect("it is there").expires;
            if end == wanted {
                return;
            }
            assert!(std::time::Instant::now() < patience, "{end:?} in place of {wanted:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until it has so much left.
    async fn until_left(&self, env: &ManualEnv, things: Things, wanted: Left) {
        let patience = std::time::Instant::now() + PATIENCE;
        loop {
            let left = self.left(env, things).await;
            if left == wanted {
                return;
            }
            assert!(std::time::Instant::now() < patience, "{left:?} in place of {wanted:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

const YEAR: Span = Span::from_secs(365 * 86_400);
const SECOND: Span = Span::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_calendar_set_ahead_and_back_or_back_and_ahead_takes_and_gives_no_time() {
    for first in [YEAR, -YEAR] {
        let env = ManualEnv::start();
        let stage = Stage::with(&[1, 2, 3], Settings::default(), Arc::clone(&env) as Arc<dyn Env>).await;
        let (ana, ben, carl) = (stage.log_in(1).await, stage.log_in(2).await, stage.log_in(3).await);
        let mut events = ben.events().await;
        let jam = || CoordRequest::RequestJam { to: person(2).0.handle };
        let reply = ana.ask(jam()).await;
        let CoordReply::Requested { request, .. } = reply else { panic!("not asked: {reply:?}") };
        let (mut links, mut codes) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            let reply = ana.ask(CoordRequest::CreateFriendLink).await;
            let CoordReply::FriendLink { token, .. } = reply else { panic!("no link: {reply:?}") };
            links.push(token);
        }
        for _ in 0..5 {
            let reply = ana.ask(CoordRequest::MakeDeviceCode).await;
            let CoordReply::DeviceCode { token, .. } = reply else { panic!("no code: {reply:?}") };
            codes.push(token);
        }
        for _ in 0..10 {
            let told = ana.ask(CoordRequest::Candidates { addresses: List::empty() }).await;
            assert!(matches!(told, CoordReply::Observed(_)), "{told:?}");
        }
        env.advance(SECOND);
        let mut left = Left {
            request: Span::from_secs(299),
            link: Span::from_secs(7 * 86_400 - 1),
            code: Span::from_secs(599),
        };
        assert_eq!(stage.left(&env, (request, links[0], codes[0])).await, left);
        for step in [first, -first] {
            env.set_calendar(step);
            // Whoever asks before it was noticed is answered by the calendar of before.
            assert_eq!(ana.ask(jam()).await, CoordReply::Refused(Refusal::AlreadyRequested { by_me: true }));
            env.advance(SECOND);
            left = left.after(SECOND);
            stage.until_left(&env, (request, links[0], codes[0]), left).await;
            assert_eq!(ana.ask(jam()).await, CoordReply::Refused(Refusal::AlreadyRequested { by_me: true }));
            let passed = Span::from_secs(300) - left.request;
            let hour = Span::from_secs(3_600);
            assert_eq!(told_to_wait(&ana, CoordRequest::CreateFriendLink).await, hour - passed);
            assert_eq!(told_to_wait(&ana, CoordRequest::MakeDeviceCode).await, left.code);
            let telling = CoordRequest::Candidates { addresses: List::empty() };
            assert_eq!(told_to_wait(&ana, telling).await, Span::from_secs(60) - passed);
        }
        let proof = LinkSecret([1; 16]).prove(ana.log.account(), carl.log.account());
        let accepted = carl.ask(CoordRequest::AcceptFriendLink { token: links[0], proof }).await;
        assert!(matches!(accepted, CoordReply::Contact(_)), "{accepted:?}");
        // The request ends when its time is over, and not before.
        assert!(matches!(events.next().await.expect("an event").event, CoordEvent::JamRequested(_)));
        env.advance(left.request);
        let over = events.next().await.expect("an event").event;
        assert_eq!(over, CoordEvent::RequestExpired { request });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calendar_set_by_days_gives_nobody_further_contacts_or_complaints() {
    const DAYS: Span = Span::from_secs(3 * 86_400);
    for first in [DAYS, -DAYS] {
        let env = ManualEnv::start();
        let now = env.now();
        let (made, open) = (now - Span::from_secs(60), LinkToken([1; 16]));
        let rows = move |tables: &mut dyn Tables| {
            // Ten contacts that were made a minute ago, and one that is old.
            for friend in 11..=20 {
                tables.insert_account(&person(friend).0)?;
                tables.put_contact(&ContactRow { since: made, ..contact(1, friend) })?;
            }
            tables.insert_account(&person(3).0)?;
            let (creator, expires) = (person(3).0.id, now + DAYS);
            tables.insert_link(Link { token: open, creator, expires, accepter: None })
        };
        let stage =
            Stage::prepared(&[1, 2], Settings::default(), Arc::clone(&env) as Arc<dyn Env>, rows).await;
        let ana = stage.log_in(1).await;
        let (ben, reason) = (person(2).0.id, ReportReason::Spam);
        let report = || CoordRequest::Report { contact: ben, reason, words: Text::truncated("again") };
        for _ in 0..10 {
            assert_eq!(ana.ask(report()).await, CoordReply::Done);
        }
        let proof = LinkSecret([1; 16]).prove(person(3).0.id, ana.log.account());
        let accept = || CoordRequest::AcceptFriendLink { token: open, proof };
        let day = Span::from_secs(86_400);
        let mut passed = Span::ZERO;
        for step in [first, -first] {
            env.set_calendar(step);
            env.advance(SECOND);
            passed += SECOND;
            stage.until_moved(open, env.now() + DAYS - passed).await;
            assert_eq!(told_to_wait(&ana, report()).await, day - passed);
            assert_eq!(told_to_wait(&ana, accept()).await, day - Span::from_secs(60) - passed);
        }
        let look = stage.store.read(|view| view.contact(person(1).0.id, person(2).0.id));
        let old = look.await.expect("reads").expect("it is there").since;
        assert_eq!(old, UtcTime::ZERO, "since when they are friends is no matter of a limit");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_further_ahead_than_it_can_at_a_start_is_brought_back() {
    let env = ManualEnv::start();
    let ahead = env.now() + YEAR;
    let (from, to) = (person(1), person(2));
    let (request, link, code) = (RequestId([1; 16]), LinkToken([2; 16]), CodeToken([3; 16]));
    let rows = move |tables: &mut dyn Tables| {
        let (account, maker) = (from.0.id, DeviceSecret::from_seed(&[1; 32]).public());
        let (created, expires, end) = (ahead, ahead + Span::from_secs(300), None);
        tables.insert_request(JamRequest {
            id: request,
            from: account,
            from_device: maker,
            to: to.0.id,
            created,
            expires,
            end,
        })?;
        tables.insert_link(Link { token: link, creator: account, expires, accepter: None })?;
        tables.put_device_code(DeviceCode { token: code, account, maker, expires, asks: 0 })
    };
    let stage = Stage::prepared(&[1, 2], Settings::default(), Arc::clone(&env) as Arc<dyn Env>, rows).await;
    let most =
        Left { request: Span::from_secs(300), link: Span::from_secs(7 * 86_400), code: Span::from_secs(600) };
    stage.until_left(&env, (request, link, code), most).await;
    let ana = stage.log_in(1).await;
    let refused = ana.ask(CoordRequest::RequestJam { to: person(2).0.handle }).await;
    assert_eq!(refused, CoordReply::Refused(Refusal::AlreadyRequested { by_me: true }));
    env.advance(Span::from_secs(300));
    let asked = ana.ask(CoordRequest::RequestJam { to: person(2).0.handle }).await;
    assert!(matches!(asked, CoordReply::Requested { .. }), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_birth_date_that_is_over_is_erased_though_its_holder_never_comes_back() {
    let env = ManualEnv::start();
    let (now, hour, day) = (env.now(), Span::from_secs(3_600), Span::from_secs(86_400));
    let aged = move |years: i64| {
        let born = Date::of(now - Span::from_secs(years * 31_557_600));
        AgeRecord { met: 0, birth_date: Some(born) }
    };
    let old_link = LinkToken([1; 16]);
    let rows = move |tables: &mut dyn Tables| {
        tables.set_age(person(1).0.id, aged(17))?;
        tables.set_age(person(2).0.id, aged(14))?;
        let (creator, expires) = (person(1).0.id, now + hour.scaled(0.5) - day);
        tables.insert_link(Link { token: old_link, creator, expires, accepter: None })
    };
    let stage = Stage::prepared(&[1, 2], Settings::default(), Arc::clone(&env) as Arc<dyn Env>, rows).await;
    let kept = async || {
        let look = stage.store.read(move |view| {
            let ages = [view.account(person(1).0.id)?, view.account(person(2).0.id)?];
            Ok((ages.map(|account| account.expect("it is there").age), view.link(old_link)?.is_some()))
        });
        look.await.expect("reads")
    };
    let until_kept = async |wanted: ([AgeRecord; 2], bool)| {
        let patience = std::time::Instant::now() + PATIENCE;
        while kept().await != wanted {
            assert!(std::time::Instant::now() < patience, "{:?} in place of {wanted:?}", kept().await);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    // The round that forgets the link finds a calendar that is not proven yet.
    env.advance(hour);
    until_kept(([aged(17), aged(14)], false)).await;
    env.advance(day);
    until_kept(([AgeRecord { met: 16, birth_date: None }, aged(14)], false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calendar_that_was_a_year_ahead_for_hours_makes_nobody_of_age_for_good() {
    let env = ManualEnv::start();
    // Sixteen in the middle of the year that is leapt over.
    let born = Date::of(env.now() - Span::from_secs(16 * 31_557_600) + YEAR.scaled(0.5));
    let age = AgeRecord { met: 0, birth_date: Some(born) };
    let rows = move |tables: &mut dyn Tables| tables.set_age(person(1).0.id, age);
    let stage = Stage::prepared(&[1, 2], Settings::default(), Arc::clone(&env) as Arc<dyn Env>, rows).await;
    let client = stage.log_in(1).await;
    let young = Young { stage: &stage, client: &client };
    // Long enough for the calendar to be believed.
    env.advance(Span::from_secs(86_400));
    assert_eq!(young.kept_once(true).await, age);
    env.set_calendar(YEAR);
    env.advance(SECOND);
    assert_eq!(young.kept_once(false).await, age, "of age by that calendar, and nothing is forgotten");
    env.advance(Span::from_secs(20 * 3_600));
    assert_eq!(young.kept_once(false).await, age);
    env.set_calendar(-YEAR);
    env.advance(SECOND);
    assert_eq!(young.kept_once(true).await, age, "as young as before");
    // The birthday itself erases the date.
    env.advance(YEAR);
    assert_eq!(young.kept_once(false).await, AgeRecord { met: 16, birth_date: None });
}
