//! Friends and the coordinator: signing up, links, and what the coordinator tells unasked. What it says is believed only as
//! far as device logs, proofs and signatures carry it.

use std::{pin::Pin, str::FromStr};

use jamsync_protocol::{
    id::{DeviceKey, Handle},
    identity::{
        Date, DeviceLog, FriendLink, JoinCode, Market, armour::CodeError, friend_link::LinkSecret,
        join_code::CoordinatorAddress,
    },
    text::{List, Text},
    wire::coord::{CoordEvent, CoordReply, CoordRequest, Me, Refusal, RequestEnd, RequestId, Role},
};

use super::{
    Account, Apply, Engine,
    account::{LINKS_MAX, MadeLink},
    contacts::all_contacts,
    courier::Errand,
    devices::devices,
};
use crate::{
    api::{self, ApiError, ErrorCode, Reply, RequestOutcome},
    net::{
        coordinator::{CoordinatorLink, LinkConfig, LinkError, LinkEvent},
        socket::{canonical, local_candidates},
    },
};

/// Work beside the loop that ends in a change of the engine.
pub(super) type Work = Pin<Box<dyn Future<Output = Result<Apply, ApiError>> + Send>>;

impl Engine {
    /// Connects to the coordinator of the account, if there is one.
    pub(super) fn connect_coordinator(&mut self) {
        let Some(account) = &self.account else { return };
        let (addresses, key) = (account.addresses.clone(), account.coordinator);
        let address = first_of(&addresses);
        match self.link_to(addresses, key) {
            Ok(link) => {
                self.coordinator = Some(link);
                self.coordinator_state = api::Coordinator::Connecting { address };
                self.start_courier();
            }
            Err(error) => self.warn(error.to_string()),
        }
    }

    fn link_to(&self, addresses: Vec<String>, coordinator: DeviceKey) -> Result<CoordinatorLink, ApiError> {
        let program = Text::truncated(concat!("jamsync ", env!("CARGO_PKG_VERSION")));
        let config = LinkConfig { addresses, coordinator, program, clock: self.stage.clock() };
        CoordinatorLink::spawn(self.endpoint.clone(), config, &self.identity, self.link_events.clone())
            .map_err(|error| ApiError::new(ErrorCode::Failed, error.to_string(), ""))
    }

    /// The addresses that a code names as they are kept, and a link to the coordinator that is there.
    pub(super) fn way_to(
        &self,
        addresses: &[CoordinatorAddress],
        coordinator: DeviceKey,
    ) -> Result<(Vec<String>, CoordinatorLink), ApiError> {
        let addresses: Vec<String> = addresses.iter().map(|address| address.as_str().to_owned()).collect();
        let link = self.link_to(addresses.clone(), coordinator)?;
        Ok((addresses, link))
    }

    pub(super) fn require_no_account(&self) -> Result<(), ApiError> {
        let Some(account) = &self.account else { return Ok(()) };
        let own = &account.handle;
        let what = format!("this node is already signed up as {own}");
        let remedy = format!(
            "set JAMSYNC_HOME to another folder for a second account; `jamsync account delete {own}` ends this one, \
             with --here where its coordinator is gone for good"
        );
        Err(ApiError::new(ErrorCode::Usage, what, remedy))
    }

    /// Makes an account at the coordinator of a join code.
    pub(super) fn sign_up(
        &self,
        code: &str,
        handle: Handle,
        birth: &str,
        market: &str,
    ) -> Result<Work, ApiError> {
        self.require_no_account()?;
        let code: JoinCode = copied(code)?;
        let birth_date: Date = birth.parse().map_err(|error| usage(&error, "write it as 1990-12-31"))?;
        let market: Market =
            market.parse().map_err(|error| usage(&error, "write two letters, such as DE"))?;
        let (addresses, link) = self.way_to(&code.addresses, code.coordinator)?;
        let log = DeviceLog::found(self.identity.secret(), rand::random()).as_log().clone();
        let request = CoordRequest::SignUp { secret: code.secret, handle, birth_date, market, log };
        Ok(Box::pin(async move {
            let signed_up = match link.request(request).await {
                // An earlier attempt got through, but not its answer.
                Err(LinkError::Refused(Refusal::AlreadySignedUp { .. })) => {
                    link.request(CoordRequest::WhoAmI).await
                }
                outcome => outcome,
            };
            let CoordReply::Me(me) = signed_up.map_err(link_error)? else {
                return Err(link_error(LinkError::Unexpected));
            };
            let apply: Apply =
                Box::new(move |engine| engine.signed_up(addresses, code.coordinator, &me, link));
            Ok(apply)
        }))
    }

    fn signed_up(
        &mut self,
        addresses: Vec<String>,
        coordinator: DeviceKey,
        me: &Me,
        link: CoordinatorLink,
    ) -> Result<Reply, ApiError> {
        let address = first_of(&addresses);
        let account = Account::founded(addresses, coordinator, self.identity.key(), me);
        self.account = Some(account.map_err(|error| refused(&error, "ask whoever runs the coordinator"))?);
        self.save_account()?;
        self.tell_candidates(&link);
        self.coordinator = Some(link);
        self.coordinator_state = api::Coordinator::Connected { address: address.clone() };
        self.start_courier();
        self.tell_courier(Errand::Connected);
        self.activity_connected();
        Ok(Reply::Account { handle: me.handle.clone(), coordinator: address })
    }

    /// Makes a link that lets a friend become a contact.
    pub(super) fn make_link(&self) -> Result<Work, ApiError> {
        let (account, link) = self.signed_in()?;
        let creator = account.id().ok_or_else(no_account)?;
        let coordinator = account.coordinator;
        Ok(Box::pin(async move {
            let reply = link.request(CoordRequest::CreateFriendLink).await.map_err(link_error)?;
            let CoordReply::FriendLink { token, .. } = reply else {
                return Err(link_error(LinkError::Unexpected));
            };
            let secret = LinkSecret(rand::random());
            let text = FriendLink { token, secret, creator, coordinator }.to_string();
            let apply: Apply = Box::new(move |engine| {
                if let Some(account) = &mut engine.account {
                    account.links.push(MadeLink { token, secret });
                    let surplus = account.links.len().saturating_sub(LINKS_MAX);
                    account.links.drain(..surplus);
                }
                engine.save_account()?;
                Ok(Reply::Link { link: text })
            });
            Ok(apply)
        }))
    }

    /// Opens a friend's link.
    pub(super) fn open_link(&self, text: &str) -> Result<Work, ApiError> {
        let (account, link) = self.signed_in()?;
        let friend: FriendLink = copied(text)?;
        if friend.coordinator != account.coordinator {
            let what = "this link was made at another coordinator than yours";
            let remedy = "both of you have to sign up at the same one";
            return Err(ApiError::new(ErrorCode::Refused, what, remedy));
        }
        let me = account.id().ok_or_else(no_account)?;
        let proof = friend.secret.prove(friend.creator, me);
        let request = CoordRequest::AcceptFriendLink { token: friend.token, proof };
        Ok(Box::pin(async move {
            let CoordReply::Contact(contact) = link.request(request).await.map_err(link_error)? else {
                return Err(link_error(LinkError::Unexpected));
            };
            let apply: Apply = Box::new(move |engine| {
                let (handle, online) = (contact.handle.clone(), Some(contact.online));
                let taken = engine.take_contact(&contact, Some(friend.creator));
                taken.map_err(|error| refused(&error, "ask your friend for a new link"))?;
                Ok(Reply::Contact(api::Contact { handle, online, blocked: false, muted: false }))
            });
            Ok(apply)
        }))
    }

    /// What the coordinator's link tells.
    pub(super) fn handle_link(&mut self, event: LinkEvent) {
        let address = self.account.as_ref().map(|account| first_of(&account.addresses)).unwrap_or_default();
        match event {
            LinkEvent::Connected { observed, signed_up, now } => {
                tracing::info!(%observed, "connected to the coordinator");
                self.compare_calendars(now);
                self.hear_of_membership(signed_up);
                self.coordinator_state = api::Coordinator::Connected { address };
                self.tell(api::Event::Coordinator { connected: true, reason: String::new() });
                self.tell_ended();
                self.catch_up();
                self.tell_courier(Errand::Connected);
                self.activity_connected();
            }
            LinkEvent::Activity(news) => self.hear_of_activity(*news),
            LinkEvent::Unreachable { reason } => {
                self.coordinator_state = api::Coordinator::Offline { address, reason: reason.clone() };
                self.keep_account();
                self.tell_courier(Errand::Disconnected);
                self.activity.handle_disconnected();
                self.tell(api::Event::Coordinator { connected: false, reason });
            }
            LinkEvent::Missed => {
                self.catch_up();
                self.tell_courier(Errand::Missed);
            }
            LinkEvent::OutOfOrder => {
                self.warn(
                    "the coordinator tells what happened twice or out of order; what came late is left out, and what holds \
                     is asked for anew. Let its operator know",
                );
                self.catch_up();
                self.tell_courier(Errand::Missed);
            }
            LinkEvent::Event(numbered) => {
                self.handle_coordinator(numbered.event);
                if let Some(link) = &self.coordinator {
                    link.acknowledge(numbered.number);
                }
            }
        }
    }

    fn handle_coordinator(&mut self, event: CoordEvent) {
        match event {
            CoordEvent::ContactAdded(contact) | CoordEvent::ContactChanged(contact) => {
                self.hear_of_contact(&contact);
            }
            CoordEvent::JamRequested(request) => self.open_request(request),
            CoordEvent::RequestCancelled { request } => self.end_request(request, RequestOutcome::Cancelled),
            CoordEvent::RequestDeclined { request } => self.end_request(request, RequestOutcome::Declined),
            CoordEvent::RequestExpired { request } => self.end_request(request, RequestOutcome::Expired),
            CoordEvent::RequestAnswered { request, end } => self.end_request(request, outcome_of(end)),
            CoordEvent::JamGranted { request, grant, introduction } => {
                self.close_request(request, RequestOutcome::Accepted);
                self.begin_jam(request, &grant, &introduction);
            }
            CoordEvent::PeerCandidates { jam, candidates, .. } => {
                self.seek_peer_at(jam, candidates.into_vec())
            }
            CoordEvent::DeviceAsks { token, device, consent, code_proof, name } => {
                self.consider_device(token, device, consent, code_proof, name);
            }
            CoordEvent::DeviceLogGrew { account, entry } => self.log_grew(account, &entry),
            CoordEvent::ContactRemoved { account } => self.contact_removed(account),
            CoordEvent::JamEnded { jam, by } => self.jam_ended(jam, by),
            CoordEvent::ConversationGrew { conversation } => {
                self.tell_courier(Errand::Grown(conversation));
            }
            CoordEvent::ConversationWritten { conversation, entry } => {
                self.conversation_written(conversation, entry);
            }
        }
    }

    /// After a time without the coordinator: tells it where this node is, and asks what is new.
    pub(super) fn catch_up(&self) {
        let Some(link) = self.coordinator.clone().filter(|_| self.account.is_some()) else { return };
        self.tell_candidates(&link);
        self.tell_untold_marks();
        let known: Vec<RequestId> = self.ledger.open().iter().map(|open| open.request).collect();
        let friends = self.contact_ids();
        self.beside(None, async move {
            let me = link.request(CoordRequest::WhoAmI).await.map_err(link_error)?;
            let contacts = all_contacts(&link).await.map_err(link_error)?;
            // Without them the rest is as good.
            let devices = devices(&link).await.ok();
            let apply: Apply = Box::new(move |engine| {
                if let CoordReply::Me(me) = &me {
                    engine.own_log_shown(&me.log);
                }
                engine.take_contacts(&contacts, &friends);
                if let Some(devices) = devices {
                    engine.take_devices(&devices);
                }
                engine.keep_account();
                if let CoordReply::Me(me) = me {
                    engine.take_open_requests(me.requests.into_vec(), &known);
                }
                Ok(Reply::Done)
            });
            Ok(apply)
        });
    }

    fn tell_candidates(&self, link: &CoordinatorLink) {
        let Ok(local) = self.endpoint.local_addr() else { return };
        let coordinator =
            self.account.as_ref().map(|account| first_of(&account.addresses)).unwrap_or_default();
        let link = link.clone();
        tokio::spawn(async move {
            let ways = tokio::net::lookup_host(&coordinator).await.map(Iterator::collect::<Vec<_>>);
            let mut candidates = Vec::new();
            for way in ways.unwrap_or_default() {
                candidates.extend(local_candidates(way, local.port()));
            }
            if !local.ip().is_unspecified() {
                candidates.push(canonical(local));
            }
            candidates.sort_unstable();
            candidates.dedup();
            candidates.truncate(jamsync_protocol::wire::coord::CANDIDATES_MAX);
            let addresses = List::new(candidates).unwrap_or_default();
            if let Err(error) = link.request(CoordRequest::Candidates { addresses }).await {
                tracing::info!(%error, "the coordinator was not told where this node is");
            }
        });
    }

    pub(super) fn signed_in(&self) -> Result<(&Account, CoordinatorLink), ApiError> {
        let account = self.account.as_ref().ok_or_else(no_account)?;
        let link = self.coordinator.clone().ok_or_else(no_account)?;
        Ok((account, link))
    }

    /// Keeps the account, and says so where that fails.
    pub(super) fn keep_account(&self) {
        if let Err(error) = self.save_account() {
            self.warn(error.to_string());
        }
    }

    pub(super) fn save_account(&self) -> Result<(), ApiError> {
        let Some(account) = &self.account else { return Ok(()) };
        self.tell_courier_of_roster();
        account.save(&self.account_file).map_err(|error| {
            ApiError::new(ErrorCode::StateUnwritable, error.to_string(), "make room or mend its permissions")
        })
    }
}

pub(super) fn dials(role: Role) -> bool {
    role == Role::Dialer
}

pub(super) fn first_of(addresses: &[String]) -> String {
    addresses.first().cloned().unwrap_or_default()
}

fn outcome_of(end: RequestEnd) -> RequestOutcome {
    match end {
        RequestEnd::Declined => RequestOutcome::Declined,
        RequestEnd::Cancelled => RequestOutcome::Cancelled,
        RequestEnd::Accepted => RequestOutcome::Accepted,
        // An end that this version does not know is one all the same.
        RequestEnd::Expired | _ => RequestOutcome::Expired,
    }
}

pub(super) fn no_account() -> ApiError {
    let remedy = "get a join code from whoever runs a coordinator, then `jamsync init --coordinator CODE`";
    ApiError::new(ErrorCode::NoAccount, "this node is signed up nowhere", remedy)
}

pub(super) fn refused(error: &dyn std::fmt::Display, remedy: &str) -> ApiError {
    ApiError::new(ErrorCode::Refused, error.to_string(), remedy)
}

/// A code or a link as a person passed it on.
pub(super) fn copied<C: FromStr<Err = CodeError>>(text: &str) -> Result<C, ApiError> {
    text.trim().parse().map_err(|error| usage(&error, "copy all of it, in one line"))
}

pub(super) fn usage(error: &dyn std::fmt::Display, remedy: &str) -> ApiError {
    ApiError::new(ErrorCode::Usage, error.to_string(), remedy)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "every other error of the link is a plain failure")]
pub(super) fn link_error(error: LinkError) -> ApiError {
    let code = match &error {
        LinkError::Refused(Refusal::NotSignedUp) => {
            let what = "the coordinator does not know this device's account (any more)";
            let remedy = "where `jamsync status` names one, `jamsync account delete NAME` forgets it here; then \
                          `jamsync init` signs up with a join code";
            return ApiError::new(ErrorCode::Refused, what, remedy);
        }
        LinkError::Refused(_) => ErrorCode::Refused,
        LinkError::Unreachable { .. } => ErrorCode::Unreachable,
        _ => ErrorCode::Failed,
    };
    ApiError::from_sentence(code, &error.to_string())
}
