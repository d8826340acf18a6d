//! Rows to fill a store with, few enough that they often meet: people, each with two devices, and what is numbered.
//! And all that a store can be asked about them.

use std::{ops::RangeInclusive, sync::LazyLock};

use jamsync_protocol::{
    conversation::{ConversationId, Epoch, Members, PostId},
    id::{AccountId, DeviceKey, JamId},
    identity::{CodeToken, DeviceSecret, Grant, LinkToken, SignedGrant, Vouch, friend_link::LinkSecret},
    text::{List, Text},
    time::{Span, UtcTime},
    wire::coord::{
        AcceptedLink, ConversationEntry, ConversationItem, CoordEvent, EventNumber, IdempotencyKey,
        KeyPackage, OpenRequest, ReportReason, RequestId, Sealed, Sequence,
    },
};

use crate::store::{
    Account, ContactRow, Conversation, Device, DeviceCode, Jam, JamRequest, JoinPermit, Link, LogRow, Report,
    StoreError, View, fixture::person,
};

/// The numbers of the people. A case signs up the first three at most, so that the last are nobody.
pub(super) const PEOPLE: RangeInclusive<u8> = 1..=5;
/// The numbers of all else.
pub(super) const THINGS: RangeInclusive<u8> = 1..=4;
/// The times at which anything happens. Seconds.
pub(super) const TIMES: RangeInclusive<u8> = 1..=20;

/// The accounts of all people. Each is asked for a thousand times, and to make one takes a signature.
static ACCOUNTS: LazyLock<Vec<Account>> = LazyLock::new(|| PEOPLE.map(|number| person(number).0).collect());

pub(super) fn account(number: u8) -> Account {
    ACCOUNTS[usize::from(number) - 1].clone()
}

pub(super) fn id(number: u8) -> AccountId {
    account(number).id
}

/// The device that founded the account of a person.
pub(super) fn key(number: u8) -> DeviceKey {
    DeviceSecret::from_seed(&[number; 32]).public()
}

/// A further device of a person.
pub(super) fn second_device(of: u8) -> Device {
    let name = Text::new("second").expect("short");
    Device { key: DeviceKey([100 + of; 32]), account: id(of), name, added: time(of), revoked: false }
}

pub(super) fn time(seconds: u8) -> UtcTime {
    UtcTime::ZERO + Span::from_secs(i64::from(seconds))
}

pub(super) fn permit(number: u8, expires: u8) -> JoinPermit {
    JoinPermit { fingerprint: [number; 32], uses_left: u32::from(expires), expires: time(expires) }
}

pub(super) fn code(number: u8, of: u8, expires: u8) -> DeviceCode {
    let (token, asks) = (CodeToken([number; 16]), u32::from(number));
    DeviceCode { token, account: id(of), maker: key(of), expires: time(expires), asks }
}

pub(super) fn link(number: u8, creator: u8, expires: u8) -> Link {
    Link { token: LinkToken([number; 16]), creator: id(creator), expires: time(expires), accepter: None }
}

pub(super) fn contact(of: u8, with: u8, since: u8) -> ContactRow {
    ContactRow {
        of: id(of),
        with: id(with),
        accepted: None,
        vouch: None,
        blocked: false,
        muted: false,
        removed: false,
        since: time(since),
    }
}

/// A contact of whom everything is said that can be.
pub(super) fn full_contact(of: u8, with: u8, since: u8) -> ContactRow {
    let proof = LinkSecret([since; 16]).prove(id(of), id(with));
    let (device, name) = (DeviceSecret::from_seed(&[of; 32]), account(with).handle);
    ContactRow {
        accepted: Some(AcceptedLink { token: LinkToken([since; 16]), proof }),
        vouch: Some(Vouch::signed_by(&device, id(of), name, person(with).1.pin())),
        muted: true,
        ..contact(of, with, since)
    }
}

pub(super) fn report(by: u8, about: u8, at: u8) -> Report {
    let words = Text::new("they did it again").expect("short");
    let (by, about, reason) = (Some(id(by)), Some(id(about)), ReportReason::Harassment);
    Report { number: 0, by, about, reason, words, at: time(at) }
}

pub(super) fn request(number: u8, from: u8, to: u8, created: u8) -> JamRequest {
    JamRequest {
        id: RequestId([number; 16]),
        from: id(from),
        from_device: key(from),
        to: id(to),
        created: time(created),
        expires: time(created + 5),
        end: None,
    }
}

pub(super) fn jam(number: u8, a: u8, b: u8, expires: u8) -> Jam {
    let participants = [a, b].map(|person| (id(person), key(person))).to_vec();
    Jam { id: JamId([number; 16]), participants, expires: time(expires), ended: false }
}

pub(super) fn grant(jam: &Jam) -> SignedGrant {
    let (issued, host) = (UtcTime::ZERO, jamsync_protocol::id::Participant::FIRST);
    let grant = Grant { jam: jam.id, participants: List::empty(), host, issued, expires: jam.expires };
    grant.signed_by(&DeviceSecret::from_seed(&[99; 32])).expect("signed")
}

/// An event that tells of a person.
pub(super) fn event(about: u8) -> CoordEvent {
    CoordEvent::JamRequested(OpenRequest {
        request: RequestId([about; 16]),
        friend: account(about).handle,
        account: id(about),
        incoming: true,
        expires: time(about),
    })
}

/// An event that tells of a person's device alone.
pub(super) fn event_of_device(device: DeviceKey) -> CoordEvent {
    CoordEvent::PeerCandidates { jam: JamId([1; 16]), peer: device, candidates: List::empty() }
}

/// Who is in the conversation of two people.
fn members(a: u8, b: u8) -> Members {
    Members::new([id(a), id(b)]).expect("two")
}

/// The name of the conversation of two people.
pub(super) fn talk(a: u8, b: u8) -> ConversationId {
    ConversationId::of(&members(a, b))
}

/// The conversation of two people, whose log has so many entries.
pub(super) fn conversation(a: u8, b: u8, newest: u8) -> Conversation {
    let (epoch, newest) = (Epoch { generation: 1, number: newest.into() }, Sequence(newest.into()));
    Conversation { id: talk(a, b), members: members(a, b), epoch, newest, forgotten: Sequence(0) }
}

/// The entry of that number in the conversation of two people: the first says something.
pub(super) fn entry(number: u8, a: u8, b: u8, at: u8) -> LogRow {
    let (sequence, epoch) = (Sequence(number.into()), Epoch { generation: 1, number: number.into() });
    let sealed = Sealed::new(vec![number; 3]).expect("short");
    let entry = ConversationEntry {
        sequence,
        epoch,
        at: time(at),
        what: ConversationItem::Post { id: post(number), sealed },
    };
    LogRow { conversation: talk(a, b), device: key(a), entry }
}

pub(super) fn post(number: u8) -> PostId {
    PostId([number; 16])
}

pub(super) fn package(number: u8) -> KeyPackage {
    KeyPackage::new(vec![number; 5]).expect("short")
}

/// All that `view` shows of everybody and everything, a line each.
pub(super) fn everything(view: &dyn View) -> Result<Vec<String>, StoreError> {
    let mut all = vec![
        format!("{:?}", view.accounts_after(None, 99)?),
        format!("{:?}", view.reports_after(0, 99)?),
        format!("{:?} {:?}", view.requests_overdue(time(25), 99)?, view.next_expiry()?),
        format!("{:?}", view.public_addresses()?),
        format!("{:?}", view.birth_dates(99)?),
    ];
    let ids: Vec<AccountId> = PEOPLE.map(id).collect();
    for number in PEOPLE {
        let me = id(number);
        all.push(format!(
            "{number} {:?} {:?}",
            view.account_by_handle(&account(number).handle)?,
            view.devices_of(me)?
        ));
        let contacts = view.contacts_after(me, None, 99)?;
        let contacts: Vec<_> = contacts.into_iter().map(|(row, with)| (row, with.handle)).collect();
        all.push(format!("{number} {contacts:?} {:?}", view.contacts_with(me)?));
        all.push(format!("{number} {:?} {}", view.requests_of(me, 99)?, held(view, me)?));
        all.push(format!("{:?}", view.conversations_after(me, None, 99)?));
        for other in PEOPLE.filter(|other| *other > number) {
            let of = talk(number, other);
            all.push(format!("{:?} {:?}", view.log_cursors(of)?, view.log_after(of, Sequence(0), 99)?));
            all.push(format!("{:?} {:?}", view.posted(of, post(1))?, view.posted(of, post(2))?));
        }
        for other in &ids {
            all.push(format!("{:?} {:?}", view.contact(me, *other)?, view.request_between(me, *other)?));
        }
        for device in [key(number), second_device(number).key] {
            let account = view.account_by_device(device)?.map(|account| account.id);
            all.push(format!(
                "{device:?} {account:?} {:?} {:?}",
                view.device(device)?,
                view.newest_event(device)?
            ));
            all.push(format!("{:?}", view.events_after(device, EventNumber(0), 2_000)?));
            all.push(format!(
                "{:?} {}",
                view.jams_of(device, UtcTime::ZERO)?,
                view.key_packages_left(device)?
            ));
            for thing in THINGS {
                all.push(format!("{:?}", view.receipt(device, IdempotencyKey([thing; 16]))?));
            }
        }
    }
    for thing in THINGS {
        all.push(format!("{:?}", view.join_permit([thing; 32])?));
        all.push(format!(
            "{:?} {:?}",
            view.link(LinkToken([thing; 16]))?,
            view.device_code(CodeToken([thing; 16]))?
        ));
        all.push(format!("{:?} {:?}", view.request(RequestId([thing; 16]))?, view.jam(JamId([thing; 16]))?));
    }
    Ok(all)
}

/// What is held about an account. In what order the rows of a table come is nowhere said.
pub(super) fn held(view: &dyn View, account: AccountId) -> Result<String, StoreError> {
    let mut shown = Vec::new();
    view.held_about(account, &mut shown)?;
    let mut tables: serde_json::Value = serde_json::from_slice(&shown).expect("JSON");
    for rows in tables.as_object_mut().into_iter().flatten().filter_map(|(_, rows)| rows.as_array_mut()) {
        rows.sort_by_key(ToString::to_string);
    }
    Ok(tables.to_string())
}
