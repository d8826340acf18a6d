//! The contacts as the coordinator tells them and as this node knows them: all at once when it is asked, one by one as they
//! change, and from memory with their age while it is away.

use jamsync_protocol::{
    id::AccountId,
    identity::Vouch,
    wire::coord::{Contact, CoordReply, CoordRequest},
};

use super::{
    Account, Apply, Engine,
    account::{AccountError, Admitted, KnownContact},
    friends::{Work, link_error},
    utc_now,
};
use crate::{
    api::{self, ApiError, Reply},
    net::coordinator::{CoordinatorLink, LinkError},
};

/// What the coordinator told of all contacts when it was asked.
pub(super) struct Told {
    contacts: Vec<Contact>,
    /// Whether it ended, so that whoever is left out is no contact.
    whole: bool,
}

impl Engine {
    /// The contacts, with what the coordinator knows of them now.
    pub(super) fn list_contacts(&self) -> Result<Work, ApiError> {
        let (_, link) = self.signed_in()?;
        let known = self.contact_ids();
        Ok(Box::pin(async move {
            // Of a coordinator that is away, what it told last is shown.
            let told = link.unless_away(all_contacts(&link)).await;
            let apply: Apply = Box::new(move |engine| match told {
                Ok(told) => {
                    engine.take_contacts(&told, &known);
                    Ok(engine.contacts_as_known(true))
                }
                Err(LinkError::Unreachable { .. }) => Ok(engine.contacts_as_known(false)),
                Err(error) => Err(link_error(error)),
            });
            Ok(apply)
        }))
    }

    /// What is known here, by name; where that is not `live`, with the time from which it is.
    fn contacts_as_known(&self, live: bool) -> Reply {
        let Some(account) = &self.account else {
            return Reply::Contacts { contacts: Vec::new(), as_of: None };
        };
        let shown = |known: &KnownContact| {
            let KnownContact { handle, blocked, muted, online, .. } = known.clone();
            // Who is blocked since is shown as the coordinator would.
            let online = online.map(|online| online && !blocked);
            api::Contact { handle, online, blocked, muted }
        };
        let mut contacts: Vec<api::Contact> = account.contacts.iter().map(shown).collect();
        contacts.sort_by(|a, b| a.handle.cmp(&b.handle));
        Reply::Contacts { contacts, as_of: account.told_at.filter(|_| !live) }
    }

    /// Who is a contact now.
    pub(super) fn contact_ids(&self) -> Vec<AccountId> {
        let contacts = self.account.iter().flat_map(|account| &account.contacts);
        contacts.map(|known| known.account).collect()
    }

    /// Takes all that the coordinator says of contacts at one moment. `known` were contacts before it was asked: where it
    /// leaves one out, this node has missed the end of it.
    pub(super) fn take_contacts(&mut self, told: &Told, known: &[AccountId]) {
        // One that is not to be trusted does not hide the others.
        told.contacts.iter().for_each(|contact| self.hear_of_contact(contact));
        let known = if told.whole { known } else { &[] };
        let Some(account) = &mut self.account else { return };
        for gone in account.note_told(&told.contacts, known, utc_now()) {
            // A coordinator that has forgotten somebody does not end a Jam that runs; a friend who does says so.
            if self.jam.as_ref().is_none_or(|jam| jam.peer.account != gone) {
                self.contact_removed(gone);
            }
        }
    }

    /// Takes the coordinator's word about a contact, as far as it is proven, and tells the listener what came of it.
    pub(super) fn hear_of_contact(&mut self, contact: &Contact) {
        match self.take_contact(contact, None) {
            Ok(Admitted::New) => {
                let name = self.account.as_ref().and_then(|account| account.name_of(contact.account));
                let with = name.unwrap_or(&contact.handle).clone();
                self.tell(api::Event::ContactAdded { with });
            }
            Ok(Admitted::Known | Admitted::Changed) => {}
            // The device whose link it was checks that, and vouches for the contact then.
            Err(error @ AccountError::NotInvited { .. })
                if self.account.as_ref().is_some_and(Account::has_other_devices) =>
            {
                tracing::info!(%error, "a contact waits for another device's word");
            }
            Err(error) => self.warn(error.to_string()),
        }
    }

    /// Believes the coordinator's word about a contact, as far as it is proven, and keeps it.
    pub(super) fn take_contact(
        &mut self,
        contact: &Contact,
        invited: Option<AccountId>,
    ) -> Result<Admitted, AccountError> {
        let Some(account) = &mut self.account else { return Ok(Admitted::Known) };
        let admitted = account.admit(contact, invited)?;
        if admitted != Admitted::Known {
            self.judge_again();
            self.keep_account();
        }
        self.vouch_for(contact);
        Ok(admitted)
    }

    /// Tells the other devices of this account that the contact is one, where none has said so yet.
    fn vouch_for(&self, contact: &Contact) {
        let Ok((account, link)) = self.signed_in() else { return };
        let Some(((name, pin), id)) = account.lacks_vouch(contact).zip(account.id()) else { return };
        let vouch = Vouch::signed_by(self.identity.secret(), id, name, pin);
        tokio::spawn(async move {
            if let Err(error) = link.request(CoordRequest::VouchForContact { vouch }).await {
                // It is said again after the next connection.
                tracing::info!(%error, "the other devices were not told of a contact");
            }
        });
    }
}

/// Every contact, page by page.
pub(super) async fn all_contacts(link: &CoordinatorLink) -> Result<Told, LinkError> {
    let mut all: Vec<Contact> = Vec::new();
    for _ in 0..CONTACT_PAGES_MAX {
        let after = all.last().map(|contact| contact.handle.clone());
        let CoordReply::Contacts { contacts, more } = link.request(CoordRequest::Contacts { after }).await?
        else {
            return Err(LinkError::Unexpected);
        };
        all.extend(contacts);
        if !more {
            return Ok(Told { contacts: all, whole: true });
        }
    }
    Ok(Told { contacts: all, whole: false })
}

/// How many pages of contacts are read at most: 64 pages of 64.
const CONTACT_PAGES_MAX: usize = 64;
