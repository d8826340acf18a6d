//! Getting out is always permitted: whatever stands against an account, it may decline, cancel, leave, block, remove, report,
//! stay out, see what is held about it, and go.

use jamsync_protocol::{
    id::{JamId, Participant},
    identity::{Grant, friend_link::LinkSecret},
    text::{List, Text},
    wire::coord::{Answer, CoordEvent, Mark, ReportReason, RequestId},
};

use super::{
    uniform::{Cast, NOW, adult, contact, handle, id, rolled_out, secret},
    *,
};
use crate::{
    eligibility::AgeRecord,
    store::{ContactRow, Jam, JamRequest},
};

const JAM: [u8; 16] = [1; 16];
const RECEIVED: [u8; 16] = [2; 16];
const MADE: [u8; 16] = [3; 16];

fn request(number: [u8; 16], from: u8, to: u8) -> JamRequest {
    JamRequest {
        id: RequestId(number),
        from: id(from),
        from_device: secret(from).public(),
        to: id(to),
        created: NOW,
        expires: NOW + Span::from_secs(60),
        end: None,
    }
}

/// An account for which there is every reason to be refused, and what it has under way.
fn rows(tables: &mut dyn Tables, me: u8, friend: u8, asked: u8) -> Result<(), StoreError> {
    let born = Some("2020-01-01".parse().expect("a date"));
    tables.insert_account(&Account {
        tier: Tier::Free,
        age: AgeRecord { met: 0, birth_date: born },
        market: "FR".parse().expect("a country"),
        opted_out: true,
        ..adult(me)
    })?;
    for other in [friend, asked] {
        tables.insert_account(&adult(other))?;
        for (of, with) in [(me, other), (other, me)] {
            tables.put_contact(&ContactRow { blocked: true, ..contact(of, with) })?;
        }
    }
    tables.insert_request(request(RECEIVED, friend, me))?;
    tables.insert_request(request(MADE, me, asked))?;
    let participants = [me, friend].map(|person| (id(person), secret(person).public())).to_vec();
    let jam = Jam { id: JamId(JAM), participants, expires: NOW + Span::from_secs(60), ended: false };
    let (participants, host) = (List::empty(), Participant::FIRST);
    let grant = Grant { jam: jam.id, participants, host, issued: NOW, expires: jam.expires };
    tables.insert_jam(&jam, &grant.signed_by(&secret(99)).expect("signed"))
}

#[tokio::test]
async fn whoever_wants_out_is_let_out_whatever_stands_against_it() {
    // The rollout has not reached it either.
    let (me, friend, asked) = (rolled_out(false, 0), 201, 202);
    let cast = Cast::with(move |tables| rows(tables, me, friend, asked)).await;
    let permitted = cast.seen(me, CoordRequest::RequestJam { to: handle(friend) }, &handle(friend)).await;
    assert!(permitted.words.starts_with("Refused"), "{permitted:?}");
    let accept = CoordRequest::AnswerRequest { request: RequestId(RECEIVED), answer: Answer::Accept };
    assert!(cast.seen(me, accept, &handle(friend)).await.words.starts_with("Refused"));

    let contact = id(friend);
    let mark = |mark, on| CoordRequest::MarkContact { contact, mark, on };
    let (reason, words) = (ReportReason::Harassment, Text::truncated("it does not stop"));
    let ways_out = [
        CoordRequest::AnswerRequest { request: RequestId(RECEIVED), answer: Answer::Decline },
        CoordRequest::CancelRequest { request: RequestId(MADE) },
        CoordRequest::EndJam { jam: JamId(JAM) },
        mark(Mark::Blocked, true),
        mark(Mark::Blocked, false),
        mark(Mark::Muted, true),
        CoordRequest::RemoveContact { contact },
        CoordRequest::Report { contact, reason, words },
        CoordRequest::OptOut { out: true },
        CoordRequest::DeleteAccount { handle: handle(me) },
    ];
    for way in ways_out {
        let seen = cast.seen(me, way.clone(), &handle(friend)).await;
        assert_eq!(seen.words, "Done", "{way:?}");
    }
    let seen = cast.seen(me, CoordRequest::Export { from: 0 }, &handle(friend)).await;
    assert!(seen.words.starts_with("Exported"), "{seen:?}");
}

#[tokio::test]
async fn whoever_was_removed_can_still_report_and_block_and_nothing_else() {
    let [ana, ben] = [1, 2];
    let cast = Cast::with(move |tables| {
        for (of, with) in [(ana, ben), (ben, ana)] {
            tables.insert_account(&adult(of))?;
            let there = tables.account(id(with))?.is_some();
            if there {
                tables.put_contact(&contact(of, with))?;
                tables.put_contact(&contact(with, of))?;
            }
        }
        Ok(())
    });
    let cast = cast.await;
    let day = |day: i64| NOW + Span::from_secs(day * 86_400);
    assert_eq!(
        cast.does(ben, NOW, &CoordRequest::RemoveContact { contact: id(ana) }).await,
        CoordReply::Done
    );
    let contact = id(ben);
    let mark = |mark, on| CoordRequest::MarkContact { contact, mark, on };
    let (reason, words) = (ReportReason::Harassment, Text::truncated("it did not stop"));
    let report = CoordRequest::Report { contact, reason, words };
    let [block, unblock, mute] =
        [mark(Mark::Blocked, true), mark(Mark::Blocked, false), mark(Mark::Muted, true)];

    // It is no contact any more.
    let unknown = CoordReply::Refused(Refusal::UnknownContact);
    for request in [&unblock, &mute, &CoordRequest::RemoveContact { contact }] {
        assert_eq!(cast.does(ana, NOW, request).await, unknown, "{request:?}");
    }
    for who in [ana, ben] {
        let listed = cast.seen(who, CoordRequest::Contacts { after: None }, &handle(who)).await;
        assert_eq!(listed.words, "Contacts { contacts: [], more: false }");
    }
    let asked = cast.does(ana, NOW, &CoordRequest::RequestJam { to: handle(ben) }).await;
    assert!(matches!(asked, CoordReply::Refused(_)), "{asked:?}");

    // After 30 days it is over.
    for request in [&report, &block] {
        assert_eq!(cast.does(ana, day(31), request).await, unknown, "{request:?}");
        assert_eq!(cast.does(ana, day(30), request).await, CoordReply::Done, "{request:?}");
    }
    // The block holds, and ben is not told of it.
    let made = cast.does(ana, NOW, &CoordRequest::CreateFriendLink).await;
    let CoordReply::FriendLink { token, .. } = made else { panic!("no link: {made:?}") };
    let proof = LinkSecret([1; 16]).prove(id(ana), id(ben));
    let accepted = cast.does(ben, NOW, &CoordRequest::AcceptFriendLink { token, proof }).await;
    assert_eq!(accepted, CoordReply::Refused(Refusal::UnknownLink));
    assert_eq!(cast.told(ben).await, []);
    assert_eq!(cast.told(ana).await, [CoordEvent::ContactRemoved { account: id(ben) }]);
}
