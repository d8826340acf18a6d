//! All that is held about one account: to be shown to it, under the names and in the form that the tables of SQLite give
//! it, and to be erased.

use jamsync_protocol::{
    conversation::ConversationId,
    id::{AccountId, DeviceKey},
    identity::SignedGrant,
    wire::coord::{ConversationItem, CoordEvent, EventNumber, KeyPackage, Sequence},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Kept, Known, Rows};
use crate::store::{
    Account, ContactRow, Conversation, DeviceCode, Jam, JamRequest, Link, LogRow, Report, StoreError,
    rows::{bytes, end_number, reason_number, tier_number},
};

impl Rows {
    pub(super) fn held(&self, id: AccountId) -> Result<Value, StoreError> {
        let part = |jam: &Jam| jam.participants.iter().any(|(account, _)| *account == id);
        let asked = |request: &JamRequest| request.from == id || request.to == id;
        let linked = |link: &Link| link.creator == id || link.accepter == Some(id);
        let contacts = self.contacts.values().filter(|contact| contact.of == id);
        let named = contacts.filter_map(|contact| Some((self.accounts.get(&contact.with)?, contact)));
        Ok(json!({
            "accounts": rows(self.accounts.get(&id), account)?,
            "devices": rows(self.devices.values().filter(|known| known.device.account == id), device)?,
            "device_codes": rows(self.codes.values().filter(|code| code.account == id), code)?,
            "links": rows(self.links.values().filter(|one| linked(one)), link)?,
            "contacts": rows(named, contact)?,
            "requests": rows(self.requests.values().filter(|one| asked(one)), request)?,
            "jams": rows(self.jams.values().filter(|(jam, _)| part(jam)), jam)?,
            "participants": self.participants(id),
            "events": rows(self.events.iter().filter(|((device, _), _)| self.is_of(*device, id)), event)?,
            "receipts": self.receipts_of(id),
            "conversations": rows(self.conversations_of(id), conversation)?,
            "conversation_members": rows(self.conversations_of(id), |one| member(one, id))?,
            "conversation_cursors": rows(self.cursors.iter().filter(|((_, device), _)| self.is_of(*device, id)), cursor)?,
            "conversation_log": rows(self.log.values().filter(|kept| self.is_of(kept.row.device, id)), log_row)?,
            "key_packages": rows(self.key_packages.iter().filter(|((device, _), _)| self.is_of(*device, id)), package)?,
            "reports": rows(self.reports.values().filter(|report| report.by == Some(id)), report)?,
        }))
    }

    fn participants(&self, id: AccountId) -> Vec<Value> {
        let places =
            self.jams.values().flat_map(|(jam, _)| (0..).zip(&jam.participants).map(move |part| (jam, part)));
        let mine = places.filter(|(_, (_, (account, _)))| *account == id);
        let row = |(jam, (place, (account, device))): (&Jam, (u32, &(AccountId, DeviceKey)))| json!({ "jam": hex(&jam.id.0), "place": place, "account": hex(&account.0), "device": hex(&device.0) });
        mine.map(row).collect()
    }

    fn receipts_of(&self, id: AccountId) -> Vec<Value> {
        let devices = self.devices.keys().filter(|device| self.is_of(**device, id));
        let counted =
            devices.map(|device| (device, self.receipts.keys().filter(|(of, _)| of == device).count()));
        let there = counted.filter(|(_, count)| *count > 0);
        there.map(|(device, count)| json!({ "device": hex(&device.0), "count": count })).collect()
    }

    pub(super) fn erase(&mut self, id: AccountId) -> Result<(), StoreError> {
        let mine = self.devices.values().filter(|known| known.device.account == id);
        let mine: Vec<DeviceKey> = mine.map(|known| known.device.key).collect();
        let ids: Vec<String> = mine.iter().map(|key| &key.0).chain([&id.0]).map(text).collect();
        let tells = |event: &CoordEvent| ids.iter().any(|id| text(event).contains(id));
        self.events
            .retain(|(device, _), event| !mine.contains(device) && (is_farewell(event) || !tells(event)));
        self.receipts.retain(|(device, _), _| !mine.contains(device));
        self.codes.retain(|_, code| code.account != id);
        self.links.retain(|_, link| link.creator != id && link.accepter != Some(id));
        self.contacts.retain(|(of, with), _| ![of, with].contains(&&id));
        self.requests.retain(|_, request| ![request.from, request.to].contains(&id));
        self.jams.retain(|_, (jam, _)| jam.participants.iter().all(|(account, _)| *account != id));
        let talked: Vec<ConversationId> = self.conversations_of(id).map(|one| one.id).collect();
        self.conversations.retain(|of, _| !talked.contains(of));
        self.cursors.retain(|(of, _), _| !talked.contains(of));
        self.log.retain(|(of, _), _| !talked.contains(of));
        self.key_packages.retain(|(device, _), _| !mine.contains(device));
        for report in self.reports.values_mut() {
            report.by = report.by.filter(|by| *by != id);
            report.about = report.about.filter(|about| *about != id);
        }
        self.devices.retain(|_, known| known.device.account != id);
        self.accounts.remove(&id);
        Ok(())
    }

    fn conversations_of(&self, account: AccountId) -> impl Iterator<Item = &Conversation> {
        self.conversations.values().filter(move |conversation| conversation.members.contains(account))
    }

    fn is_of(&self, device: DeviceKey, account: AccountId) -> bool {
        self.devices.get(&device).is_some_and(|known| known.device.account == account)
    }
}

fn account(account: &Account) -> Result<Value, StoreError> {
    Ok(json!({
        "id": hex(&account.id.0),
        "handle": account.handle.as_str(),
        "tier": tier_number(account.tier),
        "age_met": account.age.met,
        "birth_date": account.age.birth_date.map(|date| date.to_string()),
        "market": account.market.as_str(),
        "created": account.created.as_nanos(),
        "log": coded(&account.log)?,
        "opted_out": u8::from(account.opted_out),
    }))
}

fn device(known: &Known) -> Result<Value, StoreError> {
    let device = &known.device;
    Ok(json!({
        "key": hex(&device.key.0),
        "account": hex(&device.account.0),
        "last_event": known.newest.0,
        "name": device.name.as_str(),
        "added": device.added.as_nanos(),
        "revoked": u8::from(device.revoked),
    }))
}

fn code(code: &DeviceCode) -> Result<Value, StoreError> {
    Ok(json!({
        "token": hex(&code.token.0),
        "account": hex(&code.account.0),
        "maker": hex(&code.maker.0),
        "expires": code.expires.as_nanos(),
        "asks": code.asks,
    }))
}

fn link(link: &Link) -> Result<Value, StoreError> {
    Ok(json!({
        "token": hex(&link.token.0),
        "creator": hex(&link.creator.0),
        "expires": link.expires.as_nanos(),
        "accepter": link.accepter.map(|accepter| hex(&accepter.0)),
    }))
}

fn contact((with, contact): (&Account, &ContactRow)) -> Result<Value, StoreError> {
    Ok(json!({
        "handle": with.handle.as_str(),
        "of_account": hex(&contact.of.0),
        "with_account": hex(&contact.with.0),
        "accepted": contact.accepted.as_ref().map(coded).transpose()?,
        "vouch": contact.vouch.as_ref().map(coded).transpose()?,
        "blocked": u8::from(contact.blocked),
        "muted": u8::from(contact.muted),
        "removed": u8::from(contact.removed),
        "since": contact.since.as_nanos(),
    }))
}

fn request(request: &JamRequest) -> Result<Value, StoreError> {
    Ok(json!({
        "id": hex(&request.id.0),
        "from_account": hex(&request.from.0),
        "from_device": hex(&request.from_device.0),
        "to_account": hex(&request.to.0),
        "created": request.created.as_nanos(),
        "expires": request.expires.as_nanos(),
        "ended": request.end.map(end_number).transpose()?,
    }))
}

fn jam((jam, grant): &(Jam, SignedGrant)) -> Result<Value, StoreError> {
    Ok(json!({
        "id": hex(&jam.id.0),
        "expires": jam.expires.as_nanos(),
        "ended": u8::from(jam.ended),
        "signed_grant": coded(grant)?,
    }))
}

fn event(((device, number), event): (&(DeviceKey, EventNumber), &CoordEvent)) -> Result<Value, StoreError> {
    Ok(json!({ "device": hex(&device.0), "number": number.0, "body": coded(event)? }))
}

fn conversation(conversation: &Conversation) -> Result<Value, StoreError> {
    Ok(json!({
        "id": hex(&conversation.id.0),
        "generation": conversation.epoch.generation,
        "epoch": conversation.epoch.number,
        "newest": conversation.newest.0,
        "forgotten": conversation.forgotten.0,
    }))
}

fn member(conversation: &Conversation, account: AccountId) -> Result<Value, StoreError> {
    Ok(json!({ "conversation": hex(&conversation.id.0), "account": hex(&account.0) }))
}

fn cursor(
    ((conversation, device), upto): (&(ConversationId, DeviceKey), &Sequence),
) -> Result<Value, StoreError> {
    Ok(json!({ "conversation": hex(&conversation.0), "device": hex(&device.0), "upto": upto.0 }))
}

fn log_row(kept: &Kept) -> Result<Value, StoreError> {
    let LogRow { conversation, device, entry } = &kept.row;
    let post = if let ConversationItem::Post { id, .. } = &entry.what { Some(hex(&id.0)) } else { None };
    Ok(json!({
        "conversation": hex(&conversation.0),
        "sequence": entry.sequence.0,
        "generation": entry.epoch.generation,
        "epoch": entry.epoch.number,
        "device": hex(&device.0),
        "post": post,
        "at": entry.at.as_nanos(),
        "body": if kept.whole { Some(coded(&entry.what)?) } else { None },
    }))
}

fn package(((device, number), package): (&(DeviceKey, u64), &KeyPackage)) -> Result<Value, StoreError> {
    Ok(json!({ "device": hex(&device.0), "number": number, "package": hex(package) }))
}

fn report(report: &Report) -> Result<Value, StoreError> {
    Ok(json!({
        "number": report.number,
        "about_account": report.about.map(|about| hex(&about.0)),
        "reason": reason_number(report.reason),
        "words": report.words.as_str(),
        "at": report.at.as_nanos(),
    }))
}

fn rows<T>(
    found: impl IntoIterator<Item = T>,
    row: impl Fn(T) -> Result<Value, StoreError>,
) -> Result<Vec<Value>, StoreError> {
    found.into_iter().map(row).collect()
}

/// Whether an event says no more of an account than that it is gone, which its friends have to hear.
const fn is_farewell(event: &CoordEvent) -> bool {
    matches!(event, CoordEvent::ContactRemoved { .. } | CoordEvent::JamEnded { .. })
}

/// Every field in words and numbers, so that what holds an id holds its text. Unlike the bytes that SQLite looks through,
/// it owes nothing to how an event is kept.
fn text(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("it has a text");
    // An id may stand in the middle of other bytes.
    text.trim_matches(['[', ']']).to_owned()
}

/// A value as the bytes that the wire would use.
fn coded(value: &impl Serialize) -> Result<String, StoreError> {
    Ok(hex(&bytes(value, "value")?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
