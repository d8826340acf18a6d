//! Who may do what: every rule about age, market, rollout, tier, contact, block and opt-out, as one pure function of the
//! facts.
//!
//! The facts are gathered by the rules that act ([`crate::rules`]); nothing here reads or writes anything.

use jamsync_protocol::{
    id::{AccountId, Handle},
    identity::{Date, Market, Tier},
    time::UtcTime,
    wire::coord::Refusal,
};

/// What an account wants to do. Getting out is not among it: whoever declines, cancels, leaves, blocks, removes or reports
/// somebody is asked for nothing, so that no rule can stand in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Accept somebody's friend link.
    Befriend,
    /// Ask a contact for a Jam.
    RequestJam,
    /// Accept a contact's request.
    AcceptJam,
    /// Say something to a contact, or change a conversation with one.
    Message,
}

/// What is known of the age of an account's holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgeRecord {
    /// The minimum age that was met when it was checked last, in years; zero for none.
    pub met: u8,
    /// The birth date of someone who did not meet it; erased once it is met by a calendar that is [proven](Trust::Proven).
    pub birth_date: Option<Date>,
}

/// How far the calendar is to be trusted with what cannot be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It has gone on for long enough as a clock does that nobody sets.
    Proven,
    /// It has not been watched for long enough.
    Unproven,
    /// It was set by much not long ago, and may be put right again.
    Jumped,
}

/// An account's age against the minimum in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Old enough.
    Enough,
    /// Not yet.
    TooYoung,
    /// The minimum was raised above what was checked, and no date was kept.
    Unknown,
}

/// Whether an account may take part in Jams at all, whatever it wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its age.
    pub age: Age,
    /// Whether Jams are open where its holder lives.
    pub market_open: bool,
    /// Whether the rollout has reached it.
    pub rolled_out: bool,
    /// Whether its holder wants none of it.
    pub opted_out: bool,
}

/// All that a decision depends on.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The account that acts.
    pub me: Standing,
    /// Its tier.
    pub tier: Tier,
    /// The minimum age that the operator set, in years.
    pub minimum_age: u8,
    /// The other account, for the verbs that concern one.
    pub friend: Option<Friend<'a>>,
}

/// The other account of a decision.
#[derive(Clone, Copy, Debug)]
pub struct Friend<'a> {
    /// The name that was asked for; it need not exist.
    pub handle: &'a Handle,
    /// Whether an account of that name is a contact.
    pub is_contact: bool,
    /// Whether the account that acts has blocked it.
    pub blocked: bool,
    /// Whether it has blocked the account that acts.
    pub blocks_me: bool,
    /// Whether it may take part itself.
    pub standing: Standing,
}

/// What decides whether a contact is shown as online.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Whether one of its devices is connected.
    pub connected: bool,
    /// Whether the account that looks has blocked it.
    pub blocked: bool,
    /// Whether it has blocked the account that looks.
    pub blocks_me: bool,
    /// Whether its holder stays out of Jams.
    pub opted_out: bool,
}

impl Presence {
    /// Whether the contact is shown as online. One that is kept out of sight looks like one that is away.
    #[must_use]
    pub const fn is_shown(self) -> bool {
        self.connected && !self.blocked && !self.blocks_me && !self.opted_out
    }
}

impl AgeRecord {
    /// What is kept of `birth_date`: nothing where the minimum is met, unless the calendar has just jumped.
    #[must_use]
    pub fn of(birth_date: Date, minimum_age: u8, now: UtcTime, calendar: Trust) -> Self {
        if Date::of(now) >= birth_date.birthday(minimum_age) && calendar != Trust::Jumped {
            Self { met: minimum_age, birth_date: None }
        } else {
            Self { met: 0, birth_date: Some(birth_date) }
        }
    }

    /// The age against the minimum in force today.
    #[must_use]
    pub fn age(&self, minimum_age: u8, now: UtcTime) -> Age {
        match self.birth_date {
            _ if self.met >= minimum_age => Age::Enough,
            Some(born) if Date::of(now) >= born.birthday(minimum_age) => Age::Enough,
            Some(_) => Age::TooYoung,
            None => Age::Unknown,
        }
    }

    /// The record without a date that is no longer needed, if there is one. A date is gone for ever, so the calendar has to
    /// be proven: until then the age is reckoned anew at every use, and follows a calendar that is put right.
    #[must_use]
    pub fn settled(&self, minimum_age: u8, now: UtcTime, calendar: Trust) -> Option<Self> {
        let is_over = self.birth_date.is_some() && self.age(minimum_age, now) == Age::Enough;
        (is_over && calendar == Trust::Proven)
            .then_some(Self { met: self.met.max(minimum_age), birth_date: None })
    }
}

impl Standing {
    /// An account that nothing stands in the way of.
    pub const FREE: Self = Self { age: Age::Enough, market_open: true, rolled_out: true, opted_out: false };
}

/// Where Jams are open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Markets {
    /// Everywhere.
    #[default]
    All,
    /// In these countries.
    Only(Vec<Market>),
}

impl Markets {
    /// Whether Jams are open in `market`.
    #[must_use]
    pub fn includes(&self, market: Market) -> bool {
        match self {
            Self::All => true,
            Self::Only(markets) => markets.contains(&market),
        }
    }
}

/// Whether a rollout to `percent` of the accounts has reached this one. It depends on the account alone, so whoever is
/// reached stays reached as the percentage grows, on every server and after every restart.
#[must_use]
pub fn is_rolled_out(account: AccountId, percent: u8) -> bool {
    let hash = blake3::derive_key("jamsync 2026 rollout of Jams v1", &account.0);
    let [a, b, c, d, ..] = hash;
    // The remainder favours no percentage by more than one account in forty million.
    u32::from_be_bytes([a, b, c, d]) % 100 < u32::from(percent)
}

/// Whether an account may do it.
///
/// # Errors
/// The [`Refusal`] to answer with. The account's own shortcomings are named; a friend's are not: blocked, too young,
/// opted out, or living elsewhere all read the same.
pub fn check(verb: Verb, facts: &Facts<'_>) -> Result<(), Refusal> {
    match verb {
        // Whoever was blocked finds a link that leads nowhere.
        Verb::Befriend => match facts.friend {
            Some(friend) if friend.blocks_me && !friend.is_contact => Err(Refusal::UnknownLink),
            Some(_) | None => Ok(()),
        },
        Verb::RequestJam | Verb::AcceptJam => {
            check_me(&facts.me, facts.minimum_age)?;
            if verb == Verb::RequestJam && facts.tier == Tier::Free {
                return Err(Refusal::NotPremium);
            }
            facts.friend.as_ref().map_or(Ok(()), check_friend)
        }
        // Whoever stays out of Jams may write and be written to.
        Verb::Message => {
            check_me(&Standing { opted_out: false, ..facts.me }, facts.minimum_age)?;
            let Some(friend) = facts.friend else { return Ok(()) };
            let standing = Standing { opted_out: false, ..friend.standing };
            check_friend(&Friend { standing, ..friend }).map_err(|refusal| {
                if let Refusal::FriendUnavailable { handle } = refusal {
                    Refusal::CannotDeliver { handle }
                } else {
                    refusal
                }
            })
        }
    }
}

fn check_me(me: &Standing, minimum_age: u8) -> Result<(), Refusal> {
    if !me.market_open {
        return Err(Refusal::NotInMarket);
    }
    if !me.rolled_out {
        return Err(Refusal::NotRolledOut);
    }
    match me.age {
        Age::Enough => {}
        Age::TooYoung => return Err(Refusal::TooYoung { minimum_age }),
        Age::Unknown => return Err(Refusal::AgeUnknown { minimum_age }),
    }
    if me.opted_out { Err(Refusal::OptedOut) } else { Ok(()) }
}

fn check_friend(friend: &Friend<'_>) -> Result<(), Refusal> {
    let handle = || friend.handle.clone();
    if !friend.is_contact {
        return Err(Refusal::NotContact { handle: handle() });
    }
    if friend.blocked {
        return Err(Refusal::Blocked { handle: handle() });
    }
    if friend.blocks_me || friend.standing != Standing::FREE {
        return Err(Refusal::FriendUnavailable { handle: handle() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
