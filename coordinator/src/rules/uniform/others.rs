//! What does not concern whoever asks, or is not there at all: requests, accounts, codes, devices and Jams of others.

use jamsync_protocol::{
    conversation::{ConversationId, Epoch, Members, PostId},
    id::{JamId, Participant},
    identity::{CodeToken, Grant, Vouch, device_code::CodeSecret},
    text::{List, Text},
    wire::coord::{Answer, DeviceName, Mark, ReportReason, RequestEnd, RequestId, Sequence},
};

use super::*;
use crate::store::{Conversation, Device, DeviceCode, Jam, JamRequest};

const ME: u8 = 1;
const ANA: u8 = 2;
const BEN: u8 = 3;
const CARL: u8 = 4;
/// The number of somebody who never was.
const NOBODY: u8 = 200;

/// All answers to what `request` makes of the number of each case.
async fn answers<'a>(
    cast: &Cast,
    cases: &[(&'a str, u8)],
    request: impl Fn(u8) -> CoordRequest,
) -> Vec<(&'a str, Seen)> {
    let mut seen = Vec::new();
    for (what, number) in cases {
        seen.push((*what, cast.seen(ME, request(*number), &handle(*number)).await));
    }
    seen
}

/// The same answers to everything that can be asked of a contact.
async fn all_marks_alike(cast: &Cast, cases: &[(&str, u8)], answer: &str) {
    let words: Text<_> = Text::truncated("they did it again");
    let mark = |mark, on| move |number| CoordRequest::MarkContact { contact: id(number), mark, on };
    for (what, on) in [(Mark::Blocked, true), (Mark::Blocked, false), (Mark::Muted, true)] {
        let seen = answers(cast, cases, mark(what, on)).await;
        assert!(seen.iter().all(|(_, seen)| seen.words == answer), "{seen:?}");
        all_alike(&format!("{what:?} {on}"), &seen);
    }
    let remove = |number| CoordRequest::RemoveContact { contact: id(number) };
    all_alike("to remove somebody", &answers(cast, cases, remove).await);
    let report = |number| {
        let (contact, reason, words) = (id(number), ReportReason::Spam, words.clone());
        CoordRequest::Report { contact, reason, words }
    };
    all_alike("to report somebody", &answers(cast, cases, report).await);
}

#[tokio::test]
async fn nobody_can_tell_an_account_from_nobody_by_what_is_said_of_a_contact() {
    let [stranger, blocker, out] = [ANA, BEN, CARL];
    let cast = Cast::with(move |tables| {
        for number in [ME, stranger, blocker] {
            tables.insert_account(&adult(number))?;
        }
        tables.insert_account(&Account { opted_out: true, ..adult(out) })?;
        tables.put_contact(&ContactRow { blocked: true, removed: true, ..contact(blocker, ME) })
    });
    let cast = cast.await;
    let cases = [
        ("nobody", NOBODY),
        ("a stranger", stranger),
        ("a former contact who blocks", blocker),
        ("a stranger who has opted out", out),
    ];
    all_marks_alike(&cast, &cases, "Refused(UnknownContact)").await;
    let vouch = |number| {
        let vouch = Vouch::signed_by(&secret(ME), id(ME), handle(number), log(number).pin());
        CoordRequest::VouchForContact { vouch }
    };
    all_alike("to vouch for somebody", &answers(&cast, &cases, vouch).await);
}

#[tokio::test]
async fn nobody_can_tell_a_contact_that_blocks_from_another_by_what_is_said_of_it() {
    let [friend, blocker, out] = [ANA, BEN, CARL];
    let cast = Cast::with(move |tables| {
        for number in [ME, friend, blocker] {
            tables.insert_account(&adult(number))?;
        }
        tables.insert_account(&Account { opted_out: true, ..adult(out) })?;
        for other in [friend, blocker, out] {
            tables.put_contact(&contact(ME, other))?;
            tables.put_contact(&ContactRow { blocked: other == blocker, ..contact(other, ME) })?;
        }
        Ok(())
    });
    let cast = cast.await;
    let cases = [("a friend", friend), ("who blocks", blocker), ("who has opted out", out)];
    // Nothing is blocked yet, so that lifting a block changes nothing.
    all_marks_alike(&cast, &cases, "Done").await;
}

#[tokio::test]
async fn nobody_can_tell_a_request_of_others_from_one_that_never_was() {
    let request = |number: u8| JamRequest {
        id: RequestId([number; 16]),
        from: id(ANA),
        from_device: secret(ANA).public(),
        to: id(BEN),
        created: NOW,
        expires: NOW + Span::from_secs(60),
        end: None,
    };
    let cast = Cast::with(move |tables| {
        for number in [ME, ANA, BEN] {
            tables.insert_account(&adult(number))?;
        }
        tables.insert_request(request(12))?;
        tables.end_request(request(12).id, RequestEnd::Declined)?;
        tables.insert_request(JamRequest { expires: NOW, ..request(13) })?;
        tables.end_request(request(13).id, RequestEnd::Expired)?;
        tables.insert_request(request(11))
    });
    let cast = cast.await;
    let cases = [("that never was", 10), ("that is open", 11), ("that has ended", 12), ("that is late", 13)];
    let cancel = |number: u8| CoordRequest::CancelRequest { request: RequestId([number; 16]) };
    let seen = answers(&cast, &cases, cancel).await;
    assert_eq!(seen[0].1.words, "Refused(UnknownRequest)");
    all_alike("to cancel a request", &seen);
    for answer in [Answer::Accept, Answer::Decline] {
        let answer = |number: u8| CoordRequest::AnswerRequest { request: RequestId([number; 16]), answer };
        all_alike("to answer a request", &answers(&cast, &cases, answer).await);
    }
}

#[tokio::test]
async fn nobody_can_tell_a_jam_or_a_device_of_others_from_one_that_never_was() {
    let cast = Cast::with(move |tables| {
        for number in [ME, ANA, BEN] {
            tables.insert_account(&adult(number))?;
        }
        for (number, ended) in [(ANA, false), (BEN, true)] {
            let participants = [ANA, BEN].map(|person| (id(person), secret(person).public())).to_vec();
            let expires = NOW + Span::from_secs(60);
            let jam = Jam { id: JamId([number; 16]), participants, expires, ended };
            let (participants, host) = (List::empty(), Participant::FIRST);
            let grant = Grant { jam: jam.id, participants, host, issued: NOW, expires };
            tables.insert_jam(&jam, &grant.signed_by(&secret(99)).expect("signed"))?;
        }
        tables.revoke_device(secret(BEN).public())
    });
    let cast = cast.await;
    let cases = [("that never was", NOBODY), ("of others", ANA), ("of others that has ended", BEN)];
    let end = |number: u8| CoordRequest::EndJam { jam: JamId([number; 16]) };
    let seen = answers(&cast, &cases, end).await;
    assert_eq!(seen[0].1.words, "Refused(UnknownJam)");
    all_alike("to end a Jam", &seen);
    let rename = |number: u8| CoordRequest::RenameDevice {
        device: secret(number).public(),
        name: DeviceName::truncated("mine now"),
    };
    let seen = answers(&cast, &cases, rename).await;
    assert_eq!(seen[0].1.words, "Refused(UnknownDevice)");
    all_alike("to rename a device", &seen);
}

#[tokio::test]
async fn nobody_can_tell_what_became_of_a_code_from_one_that_never_was() {
    let second = Device {
        key: secret(21).public(),
        account: id(ANA),
        name: DeviceName::default(),
        added: NOW,
        revoked: false,
    };
    let code = |number: u8, of: u8, maker: DeviceKey| DeviceCode {
        token: CodeToken([number; 16]),
        account: id(of),
        maker,
        expires: NOW + Span::from_secs(60),
        asks: 0,
    };
    let cast = Cast::with(move |tables| {
        for number in [ANA, BEN] {
            tables.insert_account(&adult(number))?;
        }
        tables.insert_device(&second)?;
        let maker = secret(ANA).public();
        tables.put_device_code(DeviceCode { expires: NOW, ..code(11, ANA, maker) })?;
        tables.put_device_code(DeviceCode { asks: 16, ..code(12, ANA, maker) })?;
        tables.put_device_code(code(13, ANA, second.key))?;
        tables.revoke_device(second.key)?;
        tables.put_device_code(code(14, BEN, secret(BEN).public()))?;
        tables.erase_account(id(BEN))
    });
    let cast = cast.await;
    let cases = [
        ("that never was", 10),
        ("that has expired", 11),
        ("that was used up", 12),
        ("whose maker was revoked", 13),
        ("of an account that is gone", 14),
    ];
    // Whoever asks has no account yet.
    let ask = |number: u8| CoordRequest::AskToJoin {
        token: CodeToken([number; 16]),
        consent: log(ANA).consent(&secret(ME)),
        code_proof: CodeSecret([1; 16]).prove(id(ANA), secret(ME).public()),
        name: DeviceName::default(),
    };
    let seen = answers(&cast, &cases, ask).await;
    assert_eq!(seen[0].1.words, "Refused(UnknownCode)");
    all_alike("a code", &seen);
}

#[tokio::test]
async fn a_log_is_shown_to_all_alike_and_an_account_that_is_gone_is_as_none() {
    let cast = Cast::with(move |tables| {
        for number in [ME, ANA, BEN, CARL] {
            tables.insert_account(&adult(number))?;
        }
        tables.put_contact(&contact(ANA, BEN))?;
        tables.put_contact(&contact(BEN, ANA))?;
        tables.put_contact(&ContactRow { blocked: true, removed: true, ..contact(ANA, CARL) })?;
        tables.erase_account(id(ME))
    });
    let cast = cast.await;
    let look = |number: u8| CoordRequest::LookUpLog { account: id(number) };
    let gone = answers(&cast, &[("that never was", NOBODY), ("that is gone", ME)], look).await;
    assert_eq!(gone[0].1.words, "Refused(UnknownCode)");
    all_alike("an account", &gone);
    let mut cases = Vec::new();
    for (who, device) in [("nobody", NOBODY), ("a friend", BEN), ("who is blocked", CARL)] {
        cases.push((who, cast.seen(device, look(ANA), &handle(ANA)).await));
    }
    assert!(cases[0].1.words.starts_with("Log("));
    all_alike("whoever looks", &cases);
}

#[tokio::test]
async fn nobody_can_tell_a_stranger_from_nobody_by_writing() {
    let [stranger, blocker] = [ANA, BEN];
    let cast = Cast::with(move |tables| {
        for number in [ME, stranger, blocker] {
            tables.insert_account(&adult(number))?;
        }
        tables.put_contact(&ContactRow { blocked: true, removed: true, ..contact(blocker, ME) })
    });
    let cast = cast.await;
    let cases = [("nobody", NOBODY), ("a stranger", stranger), ("a former contact who blocks", blocker)];
    let begin = |number| CoordRequest::BeginConversation {
        members: Members::new([id(ME), id(number)]).expect("two"),
        generation: 1,
        welcome: List::empty(),
    };
    all_alike("to begin a conversation", &answers(&cast, &cases, begin).await);
    let take = |number| CoordRequest::TakeKeyPackages {
        devices: List::new(vec![secret(number).public()]).expect("one"),
    };
    all_alike("to take a key package", &answers(&cast, &cases, take).await);
}

#[tokio::test]
async fn nobody_can_tell_a_block_from_a_friend_who_fetches_nothing() {
    let me = rolled_out(true, 0);
    let away = rolled_out(true, me);
    let blocker = rolled_out(true, away);
    let conversation = move |number| {
        let members = Members::new([id(me), id(number)]).expect("two");
        let (newest, forgotten) = (Sequence(1_000), Sequence(0));
        Conversation { id: ConversationId::of(&members), members, epoch: Epoch::begun(1), newest, forgotten }
    };
    let cast = Cast::with(move |tables| {
        tables.insert_account(&adult(me))?;
        for number in [away, blocker] {
            tables.insert_account(&adult(number))?;
            tables.put_contact(&contact(me, number))?;
            tables.put_contact(&ContactRow { blocked: number == blocker, ..contact(number, me) })?;
            let known = conversation(number);
            tables.put_conversation(&known)?;
            let upto = if number == away { Sequence(0) } else { known.newest };
            tables.put_log_cursor(known.id, secret(number).public(), upto)?;
            tables.put_log_cursor(known.id, secret(me).public(), known.newest)?;
        }
        Ok(())
    });
    let cast = cast.await;
    let post = |number| CoordRequest::Post {
        conversation: conversation(number).id,
        epoch: Epoch::begun(1),
        id: PostId([1; 16]),
        sealed: List::empty(),
    };
    let mut seen = Vec::new();
    for (what, number) in [("who is away for long", away), ("who blocks", blocker)] {
        seen.push((what, cast.seen(me, post(number), &handle(number)).await));
    }
    assert!(seen.iter().all(|(_, seen)| seen.words.contains("CannotDeliver")), "{seen:?}");
    all_alike("to write", &seen);
}
