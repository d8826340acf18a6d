//! Jam requests: asked, answered once, taken back, or expired. At most one is open between two accounts.

use jamsync_protocol::{
    id::Handle,
    time::{Span, UtcTime},
    wire::coord::{
        Answer, CoordEvent, CoordReply, OPEN_REQUESTS_MAX, OpenRequest, Refusal, RequestEnd, RequestId,
    },
};

use super::{Act, Outcome, Stop, devices_of, named, wait_for};
use crate::{
    eligibility::Verb,
    store::{Account, JamRequest, StoreError, Tables, View},
};

/// How often one account may ask another within [`BURST_SPAN`]. Count, default 5: fewer hinder friends who
/// miss each other, more is pestering.
const BURST: usize = 5;
/// The time over which [`BURST`] counts: one request a minute in the long run.
const BURST_SPAN: Span = Span::from_secs(300);
/// How many overdue requests one transaction ends, so that none becomes long.
const EXPIRE_TOGETHER_MAX: u32 = 128;

impl Act<'_> {
    pub(super) fn request_jam(&mut self, to: &Handle) -> Outcome {
        let me = self.me()?;
        let now = self.context.now;
        let found = self.tables.account_by_handle(to)?.filter(|friend| friend.id != me.id);
        self.check(Verb::RequestJam, &me, to, found.as_ref())?;
        let Some(friend) = found else {
            return Err(Refusal::NotContact { handle: to.clone() }.into());
        };
        if let Some(open) = self.tables.request_between(me.id, friend.id)? {
            if now < open.expires {
                return Err(Refusal::AlreadyRequested { by_me: open.from == me.id }.into());
            }
            self.end_expired(&open)?;
        }
        let recent = self.tables.requests_made(me.id, friend.id, now - BURST_SPAN)?;
        if let Some(retry_after) = wait_for(&recent, BURST, BURST_SPAN, now) {
            return Err(Refusal::TooMany { retry_after }.into());
        }
        for account in [&me, &friend] {
            let limit = u32::try_from(OPEN_REQUESTS_MAX).unwrap_or(u32::MAX);
            if self.tables.requests_of(account.id, limit)?.len() >= OPEN_REQUESTS_MAX {
                return Err(Refusal::TooMany { retry_after: self.context.settings.request_life }.into());
            }
        }
        let request = JamRequest {
            id: RequestId(self.new_id()),
            from: me.id,
            from_device: self.context.device,
            to: friend.id,
            created: now,
            expires: now + self.context.settings.request_life,
            end: None,
        };
        self.tables.insert_request(request)?;
        let seen = as_seen_by(&*self.tables, &friend, &request)?;
        self.tell(&friend, None, &CoordEvent::JamRequested(seen))?;
        let seen = as_seen_by(&*self.tables, &me, &request)?;
        self.tell(&me, Some(self.context.device), &CoordEvent::JamRequested(seen))?;
        Ok(CoordReply::Requested { request: request.id, expires: request.expires })
    }

    pub(super) fn cancel(&mut self, id: RequestId) -> Outcome {
        let me = self.me()?;
        let request = self.open(id, |request| request.from == me.id)?;
        self.tables.end_request(id, RequestEnd::Cancelled)?;
        let friend = named(&*self.tables, request.to)?;
        self.tell(&friend, None, &CoordEvent::RequestCancelled { request: id })?;
        let answered = CoordEvent::RequestAnswered { request: id, end: RequestEnd::Cancelled };
        self.tell(&me, Some(self.context.device), &answered)?;
        Ok(CoordReply::Done)
    }

    pub(super) fn answer(&mut self, id: RequestId, answer: Answer) -> Outcome {
        let me = self.me()?;
        let request = self.open(id, |request| request.to == me.id)?;
        let friend = named(&*self.tables, request.from)?;
        let end = match answer {
            Answer::Decline => {
                self.tables.end_request(id, RequestEnd::Declined)?;
                self.tell(&friend, None, &CoordEvent::RequestDeclined { request: id })?;
                RequestEnd::Declined
            }
            Answer::Accept => {
                self.check(Verb::AcceptJam, &me, &friend.handle, Some(&friend))?;
                if !devices_of(&friend)?.contains(&request.from_device) {
                    return Err(Refusal::FriendUnavailable { handle: friend.handle }.into());
                }
                self.tables.end_request(id, RequestEnd::Accepted)?;
                self.grant(&request, &friend, &me)?;
                // The friend's other devices have nothing to wait for any more.
                let answered = CoordEvent::RequestAnswered { request: id, end: RequestEnd::Accepted };
                self.tell(&friend, Some(request.from_device), &answered)?;
                RequestEnd::Accepted
            }
        };
        self.tell(&me, Some(self.context.device), &CoordEvent::RequestAnswered { request: id, end })?;
        Ok(CoordReply::Done)
    }

    /// The request, if it is open and concerns the account that asks.
    fn open(&self, id: RequestId, concerns: impl Fn(&JamRequest) -> bool) -> Result<JamRequest, Stop> {
        let request = self.tables.request(id)?.filter(concerns).ok_or(Refusal::UnknownRequest)?;
        match request.end {
            Some(end) => Err(Refusal::RequestOver(end).into()),
            // The timer may be late; the rule is not.
            None if request.expires <= self.context.now => {
                Err(Refusal::RequestOver(RequestEnd::Expired).into())
            }
            None => Ok(request),
        }
    }

    fn end_expired(&mut self, request: &JamRequest) -> Result<(), StoreError> {
        let wake = expire_one(self.tables, request)?;
        self.wake.extend(wake);
        Ok(())
    }
}

/// Ends the requests whose time is over, and returns the devices for which there are new events.
///
/// # Errors
/// [`StoreError`].
pub fn expire(
    tables: &mut dyn Tables,
    now: UtcTime,
) -> Result<Vec<jamsync_protocol::id::DeviceKey>, StoreError> {
    let mut wake = Vec::new();
    for request in tables.requests_overdue(now, EXPIRE_TOGETHER_MAX)? {
        wake.extend(expire_one(tables, &request)?);
    }
    Ok(wake)
}

fn expire_one(
    tables: &mut dyn Tables,
    request: &JamRequest,
) -> Result<Vec<jamsync_protocol::id::DeviceKey>, StoreError> {
    tables.end_request(request.id, RequestEnd::Expired)?;
    let mut wake = Vec::new();
    for id in [request.from, request.to] {
        for device in devices_of(&named(tables, id)?)? {
            tables.push_event(device, &CoordEvent::RequestExpired { request: request.id })?;
            wake.push(device);
        }
    }
    Ok(wake)
}

/// The request as one of its two accounts sees it.
pub(super) fn as_seen_by(
    view: &dyn View,
    me: &Account,
    request: &JamRequest,
) -> Result<OpenRequest, StoreError> {
    let incoming = request.to == me.id;
    let friend = named(view, if incoming { request.from } else { request.to })?;
    Ok(OpenRequest {
        request: request.id,
        friend: friend.handle,
        account: friend.id,
        incoming,
        expires: request.expires,
    })
}
