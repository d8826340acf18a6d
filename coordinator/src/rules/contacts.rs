//! Friend links and the contacts that they make.

use jamsync_protocol::{
    id::{AccountId, DeviceKey, Handle},
    identity::{LinkProof, LinkToken, Vouch},
    limits::COORD_FRAME_BYTES_MAX,
    text::List,
    time::Span,
    wire::{
        codec,
        coord::{AcceptedLink, CONTACTS_PER_REPLY_MAX, Contact, CoordEvent, CoordReply, Refusal},
    },
};

use super::{Act, Context, Outcome, devices_of, my_account, named, standing::NOBODY, wait_for};
use crate::{
    eligibility::{Presence, Verb},
    store::{Account, ContactRow, Link, StoreError, View},
};

/// How long a friend link may be accepted: 7 days. A link in an old mail should not make contacts.
pub(super) const LINK_LIFE: Span = Span::from_secs(7 * 86_400);

/// How many links one account may make within [`LINKS_SPAN`]. Count, 1 and up, default 20: fewer hinder somebody who
/// invites a whole circle, more let one account fill the disk.
const LINKS_BURST: usize = 20;
/// The time over which [`LINKS_BURST`] counts.
const LINKS_SPAN: Span = Span::from_secs(3_600);

/// How many contacts one account may make within [`CONTACTS_SPAN`] by the links of others. Count, 1 and up, default 10:
/// fewer hinder somebody who joins a circle of friends, more let an account collect strangers.
const CONTACTS_BURST: usize = 10;
/// The time over which [`CONTACTS_BURST`] counts.
pub(super) const CONTACTS_SPAN: Span = Span::from_secs(86_400);

impl Act<'_> {
    pub(super) fn create_link(&mut self) -> Outcome {
        let me = self.me()?;
        let now = self.context.now;
        let expires = now + LINK_LIFE;
        // A link is made when its life begins, so those made within the span end within it too.
        let ends = self.tables.link_ends(me.id, expires - LINKS_SPAN)?;
        let recent: Vec<_> = ends.into_iter().map(|end| end - LINK_LIFE).collect();
        if let Some(retry_after) = wait_for(&recent, LINKS_BURST, LINKS_SPAN, now) {
            return Err(Refusal::TooMany { retry_after }.into());
        }
        let token = LinkToken(self.new_id());
        self.tables.insert_link(Link { token, creator: me.id, expires, accepter: None })?;
        Ok(CoordReply::FriendLink { token, expires })
    }

    pub(super) fn accept_link(&mut self, token: LinkToken, proof: LinkProof) -> Outcome {
        let me = self.me()?;
        let link = self.tables.link(token)?.filter(|link| self.context.now < link.expires);
        if link.is_some_and(|link| link.creator == me.id) {
            return Err(Refusal::OwnLink.into());
        }
        let usable = link.filter(|link| link.accepter.is_none_or(|accepter| accepter == me.id));
        let maker = usable.map_or(NOBODY, |link| link.creator);
        // A link that leads nowhere takes as long as one whose maker has blocked this account, or has ended the contact since:
        // everything is looked for in any case, and only then decided.
        let creator = self.tables.account(maker)?;
        let friend = self.tables.contact(me.id, maker)?.filter(|row| !row.removed);
        let handle = creator.as_ref().unwrap_or(&me).handle.clone();
        self.check(Verb::Befriend, &me, &handle, creator.as_ref())?;
        let creator = creator.ok_or(Refusal::UnknownLink)?;
        if let Some(row) = friend {
            return Ok(CoordReply::Contact(as_seen(&*self.tables, self.context, &row, &creator)?));
        }
        // A link makes one contact once.
        if usable.is_some_and(|link| link.accepter.is_some()) {
            return Err(Refusal::UnknownLink.into());
        }
        let now = self.context.now;
        let recent = self.tables.contacts_since(me.id, now - CONTACTS_SPAN)?;
        if let Some(retry_after) = wait_for(&recent, CONTACTS_BURST, CONTACTS_SPAN, now) {
            return Err(Refusal::TooMany { retry_after }.into());
        }
        self.tables.close_link(token, me.id)?;
        Ok(CoordReply::Contact(self.make_contacts(&me, &creator, AcceptedLink { token, proof })?))
    }

    /// Makes `me` and `other` contacts of each other, tells their devices, and returns how `me` sees the contact. `how` they
    /// met is kept for `other`, whose node checks it.
    ///
    /// Contacts come about here and nowhere else. A Jam is only among contacts today, so it makes none; whatever is to bring
    /// people together who are none yet comes in here, by a further way to have met. Limits and blocks are looked at before.
    fn make_contacts(
        &mut self,
        me: &Account,
        other: &Account,
        how: AcceptedLink,
    ) -> Result<Contact, StoreError> {
        // Whoever takes the hand of somebody it has blocked has changed its mind.
        let mine = ContactRow {
            of: me.id,
            with: other.id,
            accepted: None,
            vouch: None,
            blocked: false,
            muted: false,
            removed: false,
            since: self.context.now,
        };
        let theirs = ContactRow { of: other.id, with: me.id, accepted: Some(how), ..mine.clone() };
        self.tables.put_contact(&mine)?;
        self.tables.put_contact(&theirs)?;
        let added = CoordEvent::ContactAdded(as_seen(&*self.tables, self.context, &theirs, me)?);
        self.tell(other, None, &added)?;
        let contact = as_seen(&*self.tables, self.context, &mine, other)?;
        // The other devices of whoever asked learn of it too.
        self.tell(me, Some(self.context.device), &CoordEvent::ContactAdded(contact.clone()))?;
        Ok(contact)
    }

    /// Keeps what this device says of a contact, for the other devices of its account. They check it; here it is only
    /// held against what a device may say at all.
    pub(super) fn vouch_for(&mut self, vouch: &Vouch) -> Outcome {
        let me = self.me()?;
        let log = me.log.verify().map_err(|_| StoreError::Corrupt("device log"))?;
        if vouch.by != self.context.device || vouch.verify(&log).is_err() {
            return Err(Refusal::BadLog.into());
        }
        let unknown = || Refusal::NotContact { handle: vouch.name.clone() };
        let row = self.tables.contact(me.id, vouch.pin.account)?.filter(|row| !row.removed);
        let row = row.ok_or_else(unknown)?;
        let contact = named(&*self.tables, vouch.pin.account)?;
        let row = ContactRow { vouch: Some(vouch.clone()), ..row };
        self.tables.put_contact(&row)?;
        let changed = CoordEvent::ContactChanged(as_seen(&*self.tables, self.context, &row, &contact)?);
        self.tell(&me, Some(self.context.device), &changed)?;
        Ok(CoordReply::Done)
    }
}

/// As many contacts after `after` as one frame holds. Those whose device log is damaged are named in `damaged`; they keep their
/// place, for whoever is left out counts as no contact any more.
pub(super) fn list(
    view: &dyn View,
    context: &Context,
    after: Option<&Handle>,
    damaged: &mut Vec<AccountId>,
) -> Outcome {
    let me = my_account(view, context)?;
    let limit = u32::try_from(CONTACTS_PER_REPLY_MAX + 1).unwrap_or(u32::MAX);
    let found = view.contacts_after(me.id, after, limit)?;
    let mut more = found.len() > CONTACTS_PER_REPLY_MAX;
    let mut contacts = Vec::new();
    let mut room = COORD_FRAME_BYTES_MAX - REPLY_BYTES;
    for (row, account) in found.iter().take(CONTACTS_PER_REPLY_MAX) {
        let devices = devices_of(account).unwrap_or_else(|_| {
            damaged.push(account.id);
            Vec::new()
        });
        let contact = with_devices(view, context, row, account, &devices)?;
        let needed =
            codec::encode(&contact, COORD_FRAME_BYTES_MAX).map_err(|_| StoreError::Corrupt("contact"))?.len();
        if needed > room && !contacts.is_empty() {
            more = true;
            break;
        }
        room = room.saturating_sub(needed);
        contacts.push(contact);
    }
    let contacts = List::new(contacts).map_err(|_| StoreError::Corrupt("contact"))?;
    Ok(CoordReply::Contacts { contacts, more })
}

/// A contact as the account whose it is sees it.
pub(super) fn as_seen(
    view: &dyn View,
    context: &Context,
    row: &ContactRow,
    account: &Account,
) -> Result<Contact, StoreError> {
    with_devices(view, context, row, account, &devices_of(account)?)
}

fn with_devices(
    view: &dyn View,
    context: &Context,
    row: &ContactRow,
    account: &Account,
    devices: &[DeviceKey],
) -> Result<Contact, StoreError> {
    // Each is looked for in any case, so that what is hidden does not show in how long it takes.
    let presence = Presence {
        connected: devices.iter().any(|device| context.whereabouts.is_online(*device)),
        blocked: row.blocked,
        blocks_me: view.contact(row.with, row.of)?.is_some_and(|back| back.blocked),
        opted_out: account.opted_out,
    };
    Ok(Contact {
        handle: account.handle.clone(),
        account: account.id,
        log: account.log.clone(),
        online: presence.is_shown(),
        accepted: row.accepted,
        vouch: row.vouch.clone().map(Box::new),
        blocked: row.blocked,
        muted: row.muted,
    })
}

/// More than a reply needs around its contacts.
const REPLY_BYTES: usize = 16;
