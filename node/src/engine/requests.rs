//! Jam requests: asking, accepting, declining, taking back, and what the coordinator tells of them.

use jamsync_protocol::{
    id::Handle,
    time::{Span, UtcTime},
    wire::coord::{Answer as Verdict, CoordReply, CoordRequest, OpenRequest, RequestId},
};

use super::{
    Apply, Engine,
    account::KnownContact,
    friends::{Work, link_error},
    ledger::CALENDAR_GRACE,
    utc_now,
};
use crate::{
    api::{self, ApiError, Direction, ErrorCode, Reply, RequestOutcome},
    net::coordinator::LinkError,
};

impl Engine {
    /// Asks a friend for a Jam.
    pub(super) fn request_jam(&mut self, to: Handle) -> Result<Work, ApiError> {
        let (account, link) = self.signed_in()?;
        self.require_no_jam(None)?;
        let known = account.contacts.iter().find(|contact| contact.handle == to);
        let friend = known.map(|known| known.account);
        if let Some(friend) = friend {
            // Before the coordinator hears of it: the answer may overtake its reply.
            self.ledger.asking(friend, utc_now());
        }
        Ok(Box::pin(async move {
            let asked = link.request(CoordRequest::RequestJam { to: to.clone() }).await;
            let apply: Apply = Box::new(move |engine| match asked {
                Ok(CoordReply::Requested { request, expires }) => {
                    if let Some(account) = friend {
                        engine.ledger.asked(account, request, expires);
                        let incoming = false;
                        engine.open_request(OpenRequest { request, friend: to, account, incoming, expires });
                    }
                    Ok(Reply::Done)
                }
                Ok(_) => Err(link_error(LinkError::Unexpected)),
                Err(error) => {
                    // Where no answer came, the friend may have been asked all the same.
                    if let (LinkError::Refused(_), Some(friend)) = (&error, friend) {
                        engine.ledger.not_asked(friend);
                    }
                    Err(link_error(error))
                }
            });
            Ok(apply)
        }))
    }

    /// Accepts or declines a request.
    pub(super) fn answer_request(&mut self, from: Option<&Handle>, accept: bool) -> Result<Work, ApiError> {
        let open = self.the_request(from, true)?;
        if accept {
            self.signed_in()?;
            self.require_no_jam(Some(&open.friend))?;
            self.ledger.accepting(open.account, open.request, utc_now());
        }
        let answer = if accept { Verdict::Accept } else { Verdict::Decline };
        let outcome = if accept { RequestOutcome::Accepted } else { RequestOutcome::Declined };
        self.ask_and_close(
            CoordRequest::AnswerRequest { request: open.request, answer },
            open.request,
            outcome,
        )
    }

    /// Takes a request back.
    pub(super) fn cancel_request(&self, to: Option<&Handle>) -> Result<Work, ApiError> {
        let request = self.the_request(to, false)?.request;
        self.ask_and_close(CoordRequest::CancelRequest { request }, request, RequestOutcome::Cancelled)
    }

    fn ask_and_close(
        &self,
        request: CoordRequest,
        id: RequestId,
        outcome: RequestOutcome,
    ) -> Result<Work, ApiError> {
        let (_, link) = self.signed_in()?;
        Ok(Box::pin(async move {
            let answered = link.request(request).await;
            let apply: Apply = Box::new(move |engine| {
                let accepted = outcome == RequestOutcome::Accepted;
                // The grant of an accepted one may still be on its way.
                if !accepted && answered.is_ok() || accepted && matches!(answered, Err(LinkError::Refused(_)))
                {
                    engine.ledger.withdraw(id);
                }
                answered.map_err(link_error)?;
                engine.close_request(id, outcome);
                Ok(Reply::Done)
            });
            Ok(apply)
        }))
    }

    /// What the coordinator calls open now; `known` were open here when it was asked.
    pub(super) fn take_open_requests(&mut self, told: Vec<OpenRequest>, known: &[RequestId]) {
        let gone = known.iter().filter(|id| !told.iter().any(|open| open.request == **id));
        for id in gone {
            self.close_request(*id, RequestOutcome::Expired);
        }
        told.into_iter().for_each(|open| self.open_request(open));
    }

    pub(super) fn open_request(&mut self, told: OpenRequest) {
        // The listener answers a friend, not a name that the coordinator writes.
        let Some(friend) = self.account.as_ref().and_then(|account| account.name_of(told.account)) else {
            tracing::warn!(account = ?told.account, "a Jam request of somebody who is no contact; left out");
            return;
        };
        let request = OpenRequest { friend: friend.clone(), ..told };
        if self.is_marked(&request, |known| known.blocked) {
            return;
        }
        let opened = api::Event::RequestOpened {
            with: request.friend.clone(),
            direction: direction(&request),
            expires_in: (request.expires - utc_now()).max(Span::ZERO),
        };
        let quiet = self.is_quiet(&request);
        if self.ledger.insert(request) && !quiet {
            self.tell(opened);
        }
    }

    /// Whether a request is of a friend who is muted: it waits for an answer, and nothing rings.
    fn is_quiet(&self, request: &OpenRequest) -> bool {
        request.incoming && self.is_marked(request, |known| known.muted)
    }

    fn is_marked(&self, request: &OpenRequest, mark: impl Fn(&KnownContact) -> bool) -> bool {
        let mut contacts = self.account.iter().flat_map(|account| &account.contacts);
        contacts.any(|known| known.account == request.account && mark(known))
    }

    /// The coordinator says that no Jam comes of a request on this device.
    pub(super) fn end_request(&mut self, id: RequestId, outcome: RequestOutcome) {
        self.ledger.withdraw(id);
        self.close_request(id, outcome);
    }

    pub(super) fn close_request(&mut self, id: RequestId, outcome: RequestOutcome) {
        let Some(request) = self.ledger.close(id) else { return };
        if self.is_quiet(&request) {
            return;
        }
        self.tell(api::Event::RequestClosed {
            direction: direction(&request),
            with: request.friend,
            outcome,
        });
    }

    /// The coordinator says when a request expires; a node that cannot hear it looks at the calendar.
    pub(super) fn forget_expired_requests(&mut self) {
        let limit = utc_now() - CALENDAR_GRACE;
        let open = self.ledger.open().iter();
        let expired: Vec<RequestId> =
            open.filter(|request| request.expires < limit).map(|request| request.request).collect();
        expired.into_iter().for_each(|id| self.close_request(id, RequestOutcome::Expired));
    }

    /// The coordinator has said what time it has: where that is another, requests seem to end too early or too late.
    pub(super) fn compare_calendars(&mut self, theirs: UtcTime) {
        let told = calendar_warning(utc_now(), theirs);
        if let Some(told) = told.clone().filter(|_| self.calendar_wrong.is_none()) {
            self.warn(told);
        }
        self.calendar_wrong = told;
    }

    /// One Jam at a time. A friend who is away and asks again has begun anew, so that Jam is over for both.
    fn require_no_jam(&self, asking: Option<&Handle>) -> Result<(), ApiError> {
        match &self.jam {
            Some(jam) if jam.link.is_some() || asking != Some(jam.with()) => {
                let what = format!("you are in a Jam with {}", jam.with());
                Err(ApiError::new(ErrorCode::InJam, what, "leave it with `jamsync leave` first"))
            }
            _ => Ok(()),
        }
    }

    fn the_request(&self, friend: Option<&Handle>, incoming: bool) -> Result<OpenRequest, ApiError> {
        let mut open = self.ledger.open().iter().filter(|request| {
            request.incoming == incoming && friend.is_none_or(|friend| *friend == request.friend)
        });
        match (open.next(), open.next()) {
            (Some(request), None) => Ok(request.clone()),
            (Some(_), Some(_)) => {
                let what = "several requests are open";
                Err(ApiError::new(ErrorCode::Usage, what, "name the friend, as in `jamsync accept NAME`"))
            }
            (None, _) => {
                let what = "no such Jam request is open";
                Err(ApiError::new(ErrorCode::NotFound, what, "see the open ones with `jamsync status`"))
            }
        }
    }
}

/// What the listener should know where this computer's calendar is another than the coordinator's.
fn calendar_warning(ours: UtcTime, theirs: UtcTime) -> Option<String> {
    let ahead = ours - theirs;
    let apart = if ahead < Span::ZERO { theirs - ours } else { ahead };
    if apart <= CALENDAR_GRACE {
        return None;
    }
    let seconds = apart.as_millis() / 1_000;
    let apart = match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    };
    let side = if ahead < Span::ZERO { "behind" } else { "ahead of" };
    Some(format!(
        "this computer's clock is {apart} {side} the coordinator's, so that requests for Jams end too early or too late; \
         set whichever is wrong"
    ))
}

pub(super) fn direction(request: &OpenRequest) -> Direction {
    if request.incoming { Direction::Incoming } else { Direction::Outgoing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_calendar_is_named_with_how_far_and_which_way_it_is_off() {
        let noon = UtcTime::ZERO + Span::from_secs(43_200);
        let told = |seconds| calendar_warning(noon + Span::from_secs(seconds), noon);
        assert_eq!((told(30), told(-30)), (None, None), "as much as two good ones differ");
        for (seconds, said) in [
            (31, "31 s ahead of the"),
            (-360, "6 min behind the"),
            (360, "6 min ahead of the"),
            (90_000, "25 h"),
        ] {
            let told = told(seconds).unwrap_or_default();
            assert!(told.contains(said), "{seconds} s: {told}");
        }
    }
}
