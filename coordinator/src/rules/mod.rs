//! What each request does: pure functions of the rows, the request and a [`Context`]. They talk to nobody and
//! ask no clock; whoever is to hear of something gets an event among the rows.

use std::sync::Arc;

use jamsync_protocol::{
    conversation::ConversationId,
    id::{AccountId, DeviceKey},
    identity::{Date, DeviceSecret, Tier},
    limits::COORD_FRAME_BYTES_MAX,
    time::{Span, UtcTime},
    wire::{
        codec,
        coord::{ConversationEntry, CoordCall, CoordReply, CoordRequest, Refusal},
    },
};

use crate::{
    eligibility::{Markets, Trust},
    rules::act::Act,
    store::{Account, Latest, StoreError, Tables, View, Whereabouts},
};

mod accounts;
mod act;
mod activity;
mod contacts;
mod conversations;
mod devices;
#[cfg(test)]
mod getting_out;
mod jams;
mod key_packages;
mod requests;
mod rights;
mod standing;
#[cfg(test)]
mod uniform;

pub use accounts::settle_ages;
pub use activity::{parted, viewers};
pub use requests::expire;
pub use rights::delete;

/// The operator's rules.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The age from which Jams are open. Years, 0 to 99, default 16: lower breaks the law in some countries,
    /// higher locks people out.
    pub minimum_age: u8,
    /// The tier of a new account. Default Premium, because a self-hosted coordinator has nothing to sell.
    pub tier_default: Tier,
    /// How long a Jam request stays open. Default 5 minutes: shorter misses a friend in the kitchen, longer
    /// rings for someone who has gone.
    pub request_life: Span,
    /// Where Jams are open. Default everywhere: a country left out hears a refusal that names the reason.
    pub markets: Markets,
    /// How many of all accounts Jams are open to. Percent, 0 to 100, default 100: less lets an operator try a change on
    /// a few, and keeps the others waiting.
    pub rollout_percent: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            minimum_age: 16,
            tier_default: Tier::Premium,
            request_life: Span::from_secs(300),
            markets: Markets::All,
            rollout_percent: 100,
        }
    }
}

/// All that a rule depends on beside the rows and the request.
#[derive(Clone, Debug)]
pub struct Context {
    /// The time.
    pub now: UtcTime,
    /// How far that is to be trusted.
    pub calendar: Trust,
    /// The device that asks.
    pub device: DeviceKey,
    /// Random bytes for the one identity that a request may make.
    pub entropy: [u8; 32],
    /// The operator's rules.
    pub settings: Arc<Settings>,
    /// What grants are signed with.
    pub secret: Arc<DeviceSecret>,
    /// What is known of connected devices.
    pub whereabouts: Arc<dyn Whereabouts>,
    /// Of which devices no key package is handed out but the last resort.
    pub spared: Vec<DeviceKey>,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The answer.
    pub reply: CoordReply,
    /// The devices for which there are new events.
    pub wake: Vec<DeviceKey>,
    /// What was written in a conversation, which is told in passing.
    pub written: Option<Written>,
    /// The devices that speak for nobody any more, whose connections are to be closed.
    pub revoked: Vec<DeviceKey>,
}

/// An entry of a conversation's log that was not there before.
#[derive(Clone, Debug)]
pub struct Written {
    /// Of which conversation.
    pub conversation: ConversationId,
    /// The entry.
    pub entry: ConversationEntry,
    /// Every other device in it.
    pub to: Vec<DeviceKey>,
}

/// Whether the request changes rows; otherwise [`look`] answers it.
#[must_use]
pub fn is_write(request: &CoordRequest) -> bool {
    match request {
        CoordRequest::SignUp { .. }
        | CoordRequest::ConfirmAge { .. }
        | CoordRequest::CreateFriendLink
        | CoordRequest::AcceptFriendLink { .. }
        | CoordRequest::RequestJam { .. }
        | CoordRequest::CancelRequest { .. }
        | CoordRequest::AnswerRequest { .. }
        | CoordRequest::Candidates { .. }
        | CoordRequest::EndJam { .. }
        | CoordRequest::MakeDeviceCode
        | CoordRequest::AskToJoin { .. }
        | CoordRequest::ExtendLog { .. }
        | CoordRequest::RenameDevice { .. }
        | CoordRequest::VouchForContact { .. }
        | CoordRequest::MarkContact { .. }
        | CoordRequest::RemoveContact { .. }
        | CoordRequest::Report { .. }
        | CoordRequest::OptOut { .. }
        | CoordRequest::DeleteAccount { .. }
        | CoordRequest::PublishKeyPackages { .. }
        | CoordRequest::TakeKeyPackages { .. }
        | CoordRequest::BeginConversation { .. }
        | CoordRequest::ChangeConversation { .. }
        | CoordRequest::Post { .. }
        | CoordRequest::AcknowledgeLog { .. } => true,
        CoordRequest::Hello { .. }
        | CoordRequest::WhoAmI
        | CoordRequest::Contacts { .. }
        | CoordRequest::Devices
        | CoordRequest::LookUpLog { .. }
        | CoordRequest::Export { .. }
        | CoordRequest::ConversationLog { .. }
        | CoordRequest::Conversations { .. }
        // It lives in memory alone.
        | CoordRequest::Activity(_)
        | CoordRequest::Events { .. } => false,
    }
}

/// Whether a write may be done again without a receipt: one that carries a name of its own, or says how far somebody is.
const fn is_known_by_itself(request: &CoordRequest) -> bool {
    matches!(request, CoordRequest::Post { .. } | CoordRequest::AcknowledgeLog { .. })
}

/// Does a write once, and answers a repeated one as it was answered before.
///
/// # Errors
/// [`Stop`]; the transaction is then to be taken back, so that a refusal changes nothing and is not remembered, however
/// far the rule had come.
pub fn apply(tables: &mut dyn Tables, context: &Context, call: &CoordCall) -> Result<Applied, Stop> {
    let mut act = Act::new(tables, context);
    if is_known_by_itself(&call.request) {
        let reply = act.write(&call.request)?;
        return Ok(act.done(reply));
    }
    let digest = digest(&call.request)?;
    if let Some((before, reply)) = act.tables.receipt(context.device, call.key)? {
        if before != digest && before != UNTOLD {
            return Err(Refusal::KeyReused.into());
        }
        return Ok(act.done(reply));
    }
    let reply = act.write(&call.request)?;
    act.tables.insert_receipt(context.device, call.key, digest, &reply, context.now)?;
    Ok(act.done(reply))
}

/// What tells a request from another under the same key. It is kept for a day, so it is taken without a birth date: of those
/// there are few enough to try them all.
fn digest(request: &CoordRequest) -> Result<[u8; 32], StoreError> {
    let mut asked = request.clone();
    if let CoordRequest::SignUp { birth_date, .. } | CoordRequest::ConfirmAge { birth_date } = &mut asked {
        *birth_date = Date::of(UtcTime::ZERO);
    }
    let asked = codec::encode(&asked, COORD_FRAME_BYTES_MAX).map_err(|_| StoreError::Corrupt("request"))?;
    Ok(*blake3::hash(&asked).as_bytes())
}

/// In place of a digest that an upgrade of the database has forgotten: under that key any request is the one.
const UNTOLD: [u8; 32] = [0; 32];

/// Brings times back that lie further ahead than they can, as they do where the calendar was set back while no server ran,
/// and returns how many did.
///
/// # Errors
/// [`StoreError`].
pub fn bring_back(tables: &mut dyn Tables, settings: &Settings, now: UtcTime) -> Result<u64, StoreError> {
    let (link, code) = (now + contacts::LINK_LIFE, now + devices::CODE_LIFE);
    tables.bound_times(Latest { done: now, request: now + settings.request_life, link, code })
}

/// Takes over that the calendar, which showed `now`, is set by `step`: what is under way keeps the time it had left, and what
/// still counts for a limit counts for as long as it would have. When somebody became a contact or complained longer ago
/// stays what it was, for a calendar that is put right at last was right then.
///
/// # Errors
/// [`StoreError`].
pub fn follow(tables: &mut dyn Tables, now: UtcTime, step: Span) -> Result<(), StoreError> {
    let longest = contacts::CONTACTS_SPAN.max(standing::REPORTS_SPAN);
    tables.move_times(step, now - longest..=now)
}

/// What came of a request that changes nothing.
#[derive(Clone, Debug)]
pub struct Looked {
    /// The answer.
    pub reply: CoordReply,
    /// Accounts beside the one that asks whose device log cannot be read, of which the operator has to know.
    pub damaged: Vec<AccountId>,
}

/// Answers a request that changes nothing.
///
/// # Errors
/// [`StoreError`].
pub fn look(view: &dyn View, context: &Context, request: &CoordRequest) -> Result<Looked, StoreError> {
    let mut damaged = Vec::new();
    #[expect(clippy::wildcard_enum_match_arm, reason = "`is_write` has sorted out every other request")]
    let outcome = match request {
        CoordRequest::WhoAmI => accounts::who_am_i(view, context),
        CoordRequest::Contacts { after } => contacts::list(view, context, after.as_ref(), &mut damaged),
        CoordRequest::Devices => devices::list(view, context),
        CoordRequest::LookUpLog { account } => devices::look_up(view, *account),
        CoordRequest::Export { from } => rights::export(view, context, *from),
        CoordRequest::ConversationLog { conversation, after } => {
            conversations::log(view, context, *conversation, *after)
        }
        CoordRequest::Conversations { after } => conversations::list(view, context, *after),
        _ => Err(Stop::Store(StoreError::Corrupt("request"))),
    };
    Ok(Looked { reply: outcome.or_else(Stop::answer)?, damaged })
}

/// Why a rule goes no further. Nothing that it did by then is kept.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Stop {
    /// It is not permitted, or not possible.
    #[error(transparent)]
    Refused(Refusal),
    /// The database failed.
    #[error(transparent)]
    Store(StoreError),
}

impl Stop {
    /// What whoever asked is told.
    ///
    /// # Errors
    /// [`StoreError`], which is not for others to read.
    pub fn answer(self) -> Result<CoordReply, StoreError> {
        match self {
            Self::Refused(refusal) => Ok(CoordReply::Refused(refusal)),
            Self::Store(error) => Err(error),
        }
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

type Outcome = Result<CoordReply, Stop>;

/// How long somebody has to wait who did something at these times, the earliest first, and may do it so often within
/// `span`; none where it may be done now. A time that is yet to come, as a calendar that was set back leaves it, does not
/// count.
fn wait_for(times: &[UtcTime], most: usize, span: Span, now: UtcTime) -> Option<Span> {
    let done = times.partition_point(|time| *time <= now);
    let first = *times.get(done.checked_sub(most)?)?;
    Some(first + span - now).filter(|wait| *wait > Span::ZERO)
}

fn my_account(view: &dyn View, context: &Context) -> Result<Account, Stop> {
    view.account_by_device(context.device)?.ok_or(Stop::Refused(Refusal::NotSignedUp))
}

fn devices_of(account: &Account) -> Result<Vec<DeviceKey>, StoreError> {
    let log = account.log.verify().map_err(|_| StoreError::Corrupt("device log"))?;
    Ok(log.devices().to_vec())
}

/// An account that another row names.
fn named(view: &dyn View, id: AccountId) -> Result<Account, StoreError> {
    view.account(id)?.ok_or(StoreError::Corrupt("account"))
}

#[cfg(test)]
mod tests {
    use jamsync_protocol::identity::{DeviceLog, join_code::JoinSecret};

    use super::*;

    #[test]
    fn a_digest_tells_requests_apart_but_not_birth_dates() {
        let confirm = |date: &str| CoordRequest::ConfirmAge { birth_date: date.parse().expect("a date") };
        let sign_up = |name: &str, date: &str| CoordRequest::SignUp {
            secret: JoinSecret([1; 16]),
            handle: name.parse().expect("a handle"),
            birth_date: date.parse().expect("a date"),
            market: "DE".parse().expect("a country"),
            log: DeviceLog::default(),
        };
        let of = |request: &CoordRequest| digest(request).expect("it is short");
        assert_eq!(of(&confirm("2015-05-05")), of(&confirm("1990-01-01")));
        assert_eq!(of(&sign_up("ana", "2015-05-05")), of(&sign_up("ana", "1990-01-01")));
        assert_ne!(of(&sign_up("ana", "2015-05-05")), of(&sign_up("ben", "2015-05-05")));
        assert_ne!(of(&confirm("2015-05-05")), of(&sign_up("ana", "2015-05-05")));
    }

    #[test]
    fn nobody_waits_for_longer_than_the_span_nor_for_what_is_yet_to_come() {
        let at = |seconds: i64| UtcTime::ZERO + Span::from_secs(seconds);
        let wait = |times: &[i64], now| {
            let times: Vec<_> = times.iter().map(|seconds| at(*seconds)).collect();
            wait_for(&times, 3, Span::from_secs(100), at(now))
        };
        assert_eq!(wait(&[10, 20], 30), None, "two are not three");
        assert_eq!(wait(&[10, 20, 30], 30), Some(Span::from_secs(80)));
        assert_eq!(wait(&[10, 20, 30], 109), Some(Span::from_secs(1)));
        assert_eq!(wait(&[10, 20, 30], 110), None);
        assert_eq!(wait(&[5, 10, 20, 30], 30), Some(Span::from_secs(80)), "the last three count");
        // The calendar was a thousand seconds ahead, and was set back.
        assert_eq!(wait(&[1_010, 1_020, 1_030], 30), None);
        assert_eq!(wait(&[10, 20, 1_010, 1_020, 1_030], 30), None);
        assert_eq!(wait(&[10, 20, 30, 1_020, 1_030], 30), Some(Span::from_secs(80)));
    }
}
