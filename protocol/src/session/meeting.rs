//! Who is the host when two sides meet: a pure function of what each says it is, so both come to the same answer,
//! whoever connected and whoever spoke first. `docs/host.md` has the table and the reasons.

use core::cmp::Ordering;

use super::SessionError;
use crate::{
    id::Participant,
    queue::Term,
    wire::peer::{Claim, Standing},
};

/// One side, as it meets the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Party {
    pub(super) who: Participant,
    pub(super) standing: Standing,
}

/// How much the epochs of two sides that lost each other may differ: each takes over at most once in ten seconds of
/// silence, and only where its process began anew since.
const EPOCHS_APART_MAX: u32 = 1_000;
/// The highest epoch that a peer or a disk may claim. No Jam comes near it, and above it there is room to take over.
pub(super) const EPOCH_MAX: u32 = u32::MAX / 2;

/// The term in which the Jam goes on. `given` is the newest term that `me` knows to have been given by the rules, and
/// not taken in silence.
///
/// 1. The stronger claim hosts: who has lived through it all before who began anew; among these the host before who
///    took over before a guest.
/// 2. Equal claims: the host that the newer term names.
/// 3. The term is the host's own where it stands above all that the other knows; else it is a new one above both.
///
/// # Errors
/// [`SessionError::NotGiven`] for a claim that the rules cannot have led to, [`SessionError::NothingLeft`] where
/// neither side knows the Jam.
pub(super) fn meet(me: Party, given: Term, peer: Party) -> Result<Term, SessionError> {
    check(me, given, peer)?;
    let [mine, theirs] = [me.standing, peer.standing];
    if mine.claim == Claim::Nothing && theirs.claim == Claim::Nothing {
        return Err(SessionError::NothingLeft);
    }
    let named = mine.term.max(theirs.term).host;
    let i_host = match mine.claim.cmp(&theirs.claim) {
        // Where it names neither, the answer must still be the same on both sides.
        Ordering::Equal => named == me.who || (named != peer.who && me.who < peer.who),
        order @ (Ordering::Less | Ordering::Greater) => order == Ordering::Greater,
    };
    let (host, winner, loser) = if i_host { (me.who, mine, theirs) } else { (peer.who, theirs, mine) };
    let stands = winner.term.epoch > loser.term.epoch || winner.term == loser.term;
    let epoch = if gives_order(winner.claim) && stands {
        winner.term.epoch
    } else {
        winner.term.epoch.max(loser.term.epoch).saturating_add(1)
    };
    Ok(Term { epoch, host })
}

/// Whether who claims this gives an order in a term of its own.
pub(super) fn gives_order(claim: Claim) -> bool {
    matches!(claim, Claim::Revived | Claim::Provisional | Claim::Host)
}

fn check(me: Party, given: Term, peer: Party) -> Result<(), SessionError> {
    let [mine, theirs] = [me.standing, peer.standing];
    let not_given = SessionError::NotGiven { known: given, claimed: theirs.term };
    let beyond = theirs.term.epoch > EPOCH_MAX
        || (mine.claim != Claim::Nothing
            && theirs.term.epoch.saturating_sub(mine.term.epoch) > EPOCHS_APART_MAX);
    if beyond || (gives_order(theirs.claim) && theirs.term.host != peer.who) {
        return Err(not_given);
    }
    // Who has lived through it knows who was made the host: nobody becomes it behind that side's back.
    let lived = mine.claim >= Claim::Guest;
    if lived && theirs.claim == Claim::Host && (given.host != peer.who || theirs.term.epoch < given.epoch) {
        return Err(not_given);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANA: Participant = Participant::FIRST;

    fn ben() -> Participant {
        Participant::new(1).unwrap()
    }

    fn term(epoch: u32, host: Participant) -> Term {
        Term { epoch, host }
    }

    fn party(who: Participant, claim: Claim, term: Term) -> Party {
        Party { who, standing: Standing { claim, term } }
    }

    /// What both sides come to, which is the same.
    fn both(ana: (Claim, Term), ben_is: (Claim, Term), given: Term) -> Result<Term, SessionError> {
        let (ana, ben) = (party(ANA, ana.0, ana.1), party(ben(), ben_is.0, ben_is.1));
        let outcome = meet(ana, given, ben);
        if outcome.is_ok() {
            assert_eq!(meet(ben, given, ana), outcome);
        }
        outcome
    }

    #[test]
    fn the_table_of_who_wins() {
        let first = term(1, ANA);
        let cases = [
            // A plain return.
            ((Claim::Host, first), (Claim::Guest, first), first),
            ((Claim::Host, first), (Claim::Nothing, Term::NONE), first),
            ((Claim::Host, first), (Claim::Restored, first), first),
            // A partition: the old host lived on, and stands above what was taken over.
            ((Claim::Host, first), (Claim::Provisional, term(2, ben())), term(3, ANA)),
            ((Claim::Host, term(3, ANA)), (Claim::Provisional, term(2, ben())), term(3, ANA)),
            ((Claim::Host, first), (Claim::Revived, term(2, ben())), term(3, ANA)),
            // The host began anew: who went on is the host.
            ((Claim::Restored, first), (Claim::Provisional, term(2, ben())), term(2, ben())),
            ((Claim::Restored, first), (Claim::Guest, first), term(2, ben())),
            ((Claim::Nothing, Term::NONE), (Claim::Guest, first), term(2, ben())),
            ((Claim::Revived, term(2, ANA)), (Claim::Provisional, term(2, ben())), term(3, ben())),
            // Both began anew: the newer term names the host.
            ((Claim::Restored, first), (Claim::Restored, first), term(2, ANA)),
            ((Claim::Restored, first), (Claim::Restored, term(2, ben())), term(3, ben())),
            // A handover that only its giver knows of.
            ((Claim::Guest, term(2, ben())), (Claim::Guest, first), term(3, ben())),
        ];
        for (ana, ben, expected) in cases {
            assert_eq!(both(ana, ben, first), Ok(expected), "{ana:?} {ben:?}");
        }
        let nobody = (Claim::Nothing, Term::NONE);
        assert_eq!(both(nobody, nobody, Term::NONE), Err(SessionError::NothingLeft));
    }

    #[test]
    fn a_host_that_nobody_made_host_is_refused() {
        let first = term(1, ANA);
        let host = party(ANA, Claim::Host, first);
        let guest = party(ben(), Claim::Guest, first);
        for (me, peer) in [
            // Two hosts by right cannot be.
            (host, party(ben(), Claim::Host, term(2, ben()))),
            (host, party(ben(), Claim::Host, term(900, ben()))),
            // Back to an epoch that was left.
            (party(ben(), Claim::Guest, term(5, ANA)), host),
            // In another's name.
            (host, party(ben(), Claim::Provisional, term(2, ANA))),
            // So far ahead that no room is left.
            (host, party(ben(), Claim::Provisional, term(5_000, ben()))),
            (guest, party(ANA, Claim::Host, term(u32::MAX, ANA))),
            (party(ben(), Claim::Nothing, Term::NONE), party(ANA, Claim::Host, term(u32::MAX, ANA))),
        ] {
            let given = term(me.standing.term.epoch, ANA);
            let claimed = peer.standing.term;
            let refused = Err(SessionError::NotGiven { known: given, claimed });
            assert_eq!(meet(me, given, peer), refused, "{me:?} {peer:?}");
        }
    }

    fn standing() -> impl Strategy<Value = Standing> {
        let claims =
            [Claim::Nothing, Claim::Restored, Claim::Revived, Claim::Guest, Claim::Provisional, Claim::Host];
        (prop::sample::select(claims.to_vec()), 0u32..5, 0u8..2).prop_map(|(claim, epoch, host)| Standing {
            claim,
            term: Term { epoch, host: Participant::new(host).unwrap() },
        })
    }

    proptest! {
        #[test]
        fn both_sides_agree_and_the_term_is_above_what_the_other_ordered(mine in standing(), theirs in standing(), epoch in 0u32..5, host in 0u8..2) {
            let given = Term { epoch, host: Participant::new(host).unwrap() };
            let (ana, ben) = (Party { who: ANA, standing: mine }, Party { who: ben(), standing: theirs });
            if let (Ok(here), Ok(there)) = (meet(ana, given, ben), meet(ben, given, ana)) {
                prop_assert_eq!(here, there);
                let loser = if here.host == ANA { theirs } else { mine };
                prop_assert!(here.epoch > loser.term.epoch || here == loser.term, "{:?}", here);
            }
        }
    }
}
