//! Who may do what: every rule about age, tier and contact, as one pure function of the facts.
//!
//! The facts are gathered by the rules that act ([`crate::rules`]); nothing here reads or writes anything. A
//! rule of a market, a rollout or a block becomes one more fact and one more line.

use jamsync_protocol::{
    id::Handle,
    identity::{Date, Tier},
    time::UtcTime,
    wire::coord::Refusal,
};

/// What an account wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Make or accept a friend link.
    Befriend,
    /// Ask a contact for a Jam.
    RequestJam,
    /// Accept a contact's request.
    AcceptJam,
    /// Decline a request, cancel one, or leave a Jam: getting out is always permitted.
    Withdraw,
}

/// What is known of the age of an account's holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgeRecord {
    /// The minimum age that was met when it was checked last, in years; zero for none.
    pub met: u8,
    /// The birth date of someone who did not meet it; erased once it is met.
    pub birth_date: Option<Date>,
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

/// All that a decision depends on.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Age of the account that acts.
    pub age: Age,
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
    /// Its age.
    pub age: Age,
}

impl AgeRecord {
    /// What is kept of `birth_date`: nothing where the minimum is met.
    #[must_use]
    pub fn of(birth_date: Date, minimum_age: u8, now: UtcTime) -> Self {
        if Date::of(now) >= birth_date.birthday(minimum_age) {
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

    /// The record without a date that is no longer needed, if there is one.
    #[must_use]
    pub fn settled(&self, minimum_age: u8, now: UtcTime) -> Option<Self> {
        (self.birth_date.is_some() && self.age(minimum_age, now) == Age::Enough)
            .then_some(Self { met: self.met.max(minimum_age), birth_date: None })
    }
}

/// Whether an account may do it.
///
/// # Errors
/// The [`Refusal`] to answer with. The account's own shortcomings are named; a friend's are not.
pub fn check(verb: Verb, facts: &Facts<'_>) -> Result<(), Refusal> {
    let plays = match verb {
        Verb::Befriend | Verb::Withdraw => return Ok(()),
        Verb::RequestJam | Verb::AcceptJam => true,
    };
    let minimum_age = facts.minimum_age;
    match facts.age {
        Age::Enough => {}
        Age::TooYoung => return Err(Refusal::TooYoung { minimum_age }),
        Age::Unknown => return Err(Refusal::AgeUnknown { minimum_age }),
    }
    if verb == Verb::RequestJam && facts.tier == Tier::Free {
        return Err(Refusal::NotPremium);
    }
    match facts.friend {
        Some(friend) if !friend.is_contact => Err(Refusal::NotContact { handle: friend.handle.clone() }),
        Some(friend) if plays && friend.age != Age::Enough => {
            Err(Refusal::FriendUnavailable { handle: friend.handle.clone() })
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use jamsync_protocol::time::Span;

    use super::*;

    fn date(text: &str) -> Date {
        text.parse().expect("a date")
    }
    fn at(text: &str) -> UtcTime {
        let wanted = date(text);
        let mut time = UtcTime::ZERO;
        while Date::of(time) < wanted {
            time += Span::from_secs(86_400);
        }
        time
    }

    /// The rules said a second time, in the words of the feature list, over every combination of facts.
    #[test]
    fn every_combination_of_facts_is_decided_as_the_rules_say() {
        let ben: Handle = "ben".parse().expect("a handle");
        let mut decided = 0;
        for verb in [Verb::Befriend, Verb::RequestJam, Verb::AcceptJam, Verb::Withdraw] {
            for age in [Age::Enough, Age::TooYoung, Age::Unknown] {
                for tier in [Tier::Free, Tier::Premium] {
                    for is_contact in [false, true] {
                        for friend_age in [Age::Enough, Age::TooYoung, Age::Unknown] {
                            let friend = Some(Friend { handle: &ben, is_contact, age: friend_age });
                            let facts = Facts { age, tier, minimum_age: 16, friend };
                            let jam = matches!(verb, Verb::RequestJam | Verb::AcceptJam);
                            let expected = if !jam {
                                Ok(())
                            } else if age == Age::TooYoung {
                                Err(Refusal::TooYoung { minimum_age: 16 })
                            } else if age == Age::Unknown {
                                Err(Refusal::AgeUnknown { minimum_age: 16 })
                            } else if verb == Verb::RequestJam && tier == Tier::Free {
                                Err(Refusal::NotPremium)
                            } else if !is_contact {
                                Err(Refusal::NotContact { handle: ben.clone() })
                            } else if friend_age != Age::Enough {
                                Err(Refusal::FriendUnavailable { handle: ben.clone() })
                            } else {
                                Ok(())
                            };
                            assert_eq!(check(verb, &facts), expected, "{verb:?} {facts:?}");
                            decided += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(decided, 4 * 3 * 2 * 2 * 3);
    }

    #[test]
    fn an_adult_leaves_no_birth_date() {
        let record = AgeRecord::of(date("2000-01-01"), 16, at("2026-11-21"));
        assert_eq!(record, AgeRecord { met: 16, birth_date: None });
        assert_eq!(record.age(16, at("2026-11-21")), Age::Enough);
    }

    #[test]
    fn a_birthday_opens_the_door_and_erases_the_date() {
        let record = AgeRecord::of(date("2010-11-22"), 16, at("2026-11-21"));
        assert_eq!(record.age(16, at("2026-11-21")), Age::TooYoung);
        assert_eq!(record.settled(16, at("2026-11-21")), None);
        assert_eq!(record.age(16, at("2026-11-22")), Age::Enough);
        assert_eq!(record.settled(16, at("2026-11-22")), Some(AgeRecord { met: 16, birth_date: None }));
    }

    #[test]
    fn raising_the_minimum_asks_again_and_lowering_it_does_not() {
        let record = AgeRecord { met: 16, birth_date: None };
        assert_eq!(record.age(18, at("2026-11-21")), Age::Unknown);
        assert_eq!(record.age(13, at("2026-11-21")), Age::Enough);
    }
}
