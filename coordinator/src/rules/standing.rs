//! How accounts stand to each other and to Jams: what is permitted between two, blocking, muting, removing,
//! complaining, and staying out altogether.
//!
//! Whoever is blocked is told nothing that would not be told of a friend who is away, declines, or leaves.

use jamsync_protocol::{
    id::{AccountId, Handle},
    text::Text,
    time::Span,
    wire::coord::{
        CoordEvent, CoordReply, Mark, OPEN_REQUESTS_MAX, REPORT_BYTES_MAX, Refusal, ReportReason, RequestEnd,
    },
};

use super::{Act, Context, Outcome, Stop, contacts::as_seen, named, wait_for};
use crate::{
    eligibility::{Facts, Friend, Standing, Verb, check, is_rolled_out},
    store::{Account, ContactRow, ENDED_CONTACTS_KEPT, JamRequest, Report, StoreError, View},
};

/// The id of no account: none is made of a log that hashes to it.
pub(super) const NOBODY: AccountId = AccountId([0; 32]);
/// How many complaints one account may make within [`REPORTS_SPAN`]. Count, 1 and up, default 10: fewer silence
/// somebody who is pestered by many, more let one account bury the operator.
const REPORTS_BURST: usize = 10;
/// The time over which [`REPORTS_BURST`] counts.
pub(super) const REPORTS_SPAN: Span = Span::from_secs(86_400);

impl Act<'_> {
    /// Whether the account that asks may do it with `friend`, who is called `handle` and need not exist.
    pub(super) fn check(
        &self,
        verb: Verb,
        me: &Account,
        handle: &Handle,
        friend: Option<&Account>,
    ) -> Result<(), Stop> {
        may(&*self.tables, self.context, verb, me, (handle, friend))
    }

    pub(super) fn mark_contact(&mut self, contact: AccountId, mark: Mark, on: bool) -> Outcome {
        let me = self.me()?;
        let row = match mark {
            Mark::Blocked if on => self.contact_or_ended(&me, contact)?,
            Mark::Blocked | Mark::Muted => self.contact_of(&me, contact)?,
        };
        let marked = match mark {
            Mark::Blocked => ContactRow { blocked: on, ..row.clone() },
            Mark::Muted => ContactRow { muted: on, ..row.clone() },
        };
        if marked == row {
            return Ok(CoordReply::Done);
        }
        self.tables.put_contact(&marked)?;
        let friend = named(&*self.tables, contact)?;
        if mark == Mark::Blocked && on {
            self.part(&me, &friend)?;
        }
        // The other devices know of no contact that has ended.
        if !marked.removed {
            let changed = CoordEvent::ContactChanged(as_seen(&*self.tables, self.context, &marked, &friend)?);
            self.tell(&me, Some(self.context.device), &changed)?;
        }
        Ok(CoordReply::Done)
    }

    pub(super) fn remove_contact(&mut self, contact: AccountId) -> Outcome {
        let me = self.me()?;
        self.contact_of(&me, contact)?;
        let friend = named(&*self.tables, contact)?;
        self.part(&me, &friend)?;
        for (of, with) in [(me.id, friend.id), (friend.id, me.id)] {
            // A block outlives the contact, so that no other link brings the two together again. Without one it is remembered
            // for a while, so that neither gets away with what it did by removing the other.
            if let Some(row) = self.tables.contact(of, with)? {
                let since = self.context.now;
                let ended =
                    ContactRow { accepted: None, vouch: None, muted: false, removed: true, since, ..row };
                self.tables.put_contact(&ended)?;
            }
        }
        let gone = |account| CoordEvent::ContactRemoved { account };
        self.tell(&me, Some(self.context.device), &gone(friend.id))?;
        self.tell(&friend, None, &gone(me.id))?;
        Ok(CoordReply::Done)
    }

    pub(super) fn report(
        &mut self,
        contact: AccountId,
        reason: ReportReason,
        words: &Text<REPORT_BYTES_MAX>,
    ) -> Outcome {
        let me = self.me()?;
        self.contact_or_ended(&me, contact)?;
        let now = self.context.now;
        let recent = self.tables.reports_made(me.id, now - REPORTS_SPAN)?;
        if let Some(retry_after) = wait_for(&recent, REPORTS_BURST, REPORTS_SPAN, now) {
            return Err(Refusal::TooMany { retry_after }.into());
        }
        let (by, about, words) = (Some(me.id), Some(contact), words.clone());
        self.tables.insert_report(&Report { number: 0, by, about, reason, words, at: now })?;
        Ok(CoordReply::Done)
    }

    pub(super) fn opt_out(&mut self, out: bool) -> Outcome {
        let me = self.me()?;
        self.tables.set_opted_out(me.id, out)?;
        if out {
            let limit = u32::try_from(OPEN_REQUESTS_MAX).unwrap_or(u32::MAX);
            for request in self.tables.requests_of(me.id, limit)? {
                self.drop_request(&me, &request)?;
            }
        }
        Ok(CoordReply::Done)
    }

    /// Ends what is under way between two accounts, as if the one that asks had declined, cancelled and left by hand.
    pub(super) fn part(&mut self, me: &Account, friend: &Account) -> Result<(), StoreError> {
        if let Some(request) = self.tables.request_between(me.id, friend.id)? {
            self.drop_request(me, &request)?;
        }
        for device in self.tables.devices_of(me.id)? {
            for jam in self.tables.jams_of(device.key, self.context.now)? {
                if jam.participants.iter().any(|(account, _)| *account == friend.id) {
                    self.close_jam(&jam, me.id)?;
                    // The device that is in the Jam may be another than the one that asks.
                    self.tell(me, None, &CoordEvent::JamEnded { jam: jam.id, by: me.id })?;
                }
            }
        }
        Ok(())
    }

    fn drop_request(&mut self, me: &Account, request: &JamRequest) -> Result<(), StoreError> {
        let id = request.id;
        let (other, end, told) = if request.from == me.id {
            (request.to, RequestEnd::Cancelled, CoordEvent::RequestCancelled { request: id })
        } else {
            (request.from, RequestEnd::Declined, CoordEvent::RequestDeclined { request: id })
        };
        self.tables.end_request(id, end)?;
        let friend = named(&*self.tables, other)?;
        self.tell(&friend, None, &told)?;
        self.tell(me, None, &CoordEvent::RequestAnswered { request: id, end })
    }

    fn contact_of(&self, me: &Account, contact: AccountId) -> Result<ContactRow, Stop> {
        let row = self.tables.contact(me.id, contact)?.filter(|row| !row.removed);
        row.ok_or(Stop::Refused(Refusal::UnknownContact))
    }

    /// The same, or one that ended not long ago, on whichever side.
    fn contact_or_ended(&self, me: &Account, contact: AccountId) -> Result<ContactRow, Stop> {
        let is_recent = |row: &ContactRow| self.context.now - row.since <= ENDED_CONTACTS_KEPT;
        let row = self.tables.contact(me.id, contact)?.filter(|row| !row.removed || is_recent(row));
        row.ok_or(Stop::Refused(Refusal::UnknownContact))
    }
}

/// Whether `me` may do it with the friend, who is called by that name and need not exist.
pub(super) fn may(
    view: &dyn View,
    context: &Context,
    verb: Verb,
    me: &Account,
    (handle, friend): (&Handle, Option<&Account>),
) -> Result<(), Stop> {
    // Somebody who does not exist is looked for as long as one who does.
    let id = friend.map_or(NOBODY, |friend| friend.id);
    let (mine, theirs) = (view.contact(me.id, id)?, view.contact(id, me.id)?);
    let facts = Facts {
        me: standing(context, me),
        tier: me.tier,
        minimum_age: context.settings.minimum_age,
        friend: Some(Friend {
            handle,
            is_contact: mine.as_ref().is_some_and(|row| !row.removed),
            blocked: mine.as_ref().is_some_and(|row| row.blocked),
            blocks_me: theirs.as_ref().is_some_and(|row| row.blocked),
            standing: friend.map_or(Standing::FREE, |friend| standing(context, friend)),
        }),
    };
    Ok(check(verb, &facts)?)
}

/// What the rules know of an account by itself.
fn standing(context: &Context, account: &Account) -> Standing {
    let settings = &context.settings;
    Standing {
        age: account.age.age(settings.minimum_age, context.now),
        market_open: settings.markets.includes(account.market),
        rolled_out: is_rolled_out(account.id, settings.rollout_percent),
        opted_out: account.opted_out,
    }
}
