//! Who is let in again, and which of two connections is kept.

use jamsync_protocol::identity::{DeviceLog, DeviceSecret, Quality, Tier};

use super::*;

fn secret(seed: u8) -> DeviceSecret {
    DeviceSecret::from_seed(&[seed; 32])
}

fn at(hours: i64) -> UtcTime {
    UtcTime::from_nanos(0) + Span::from_secs(hours * 3_600)
}

pub(in crate::engine) fn log_of(seed: u8) -> VerifiedLog {
    DeviceLog::found(&secret(seed), [seed; 16])
}

/// A grant for host 1 and guest 2, issued at hour 0 by coordinator 9.
fn grant(change: impl FnOnce(&mut Grant)) -> SignedGrant {
    let participant = |seed: u8| GrantParticipant {
        account: log_of(seed).account(),
        device: secret(seed).public(),
        handle: format!("person{seed}").parse().unwrap(),
        tier: Tier::Premium,
        quality: Quality::Original,
    };
    let mut grant = Grant {
        jam: JamId([7; 16]),
        participants: List::new(vec![participant(1), participant(2)]).unwrap(),
        host: Participant::FIRST,
        issued: at(0),
        expires: at(12),
    };
    change(&mut grant);
    grant.signed_by(&secret(9)).unwrap()
}

fn hello(signed: &SignedGrant, jam: JamId) -> Hello {
    let bytes = codec::encode(signed, PEER_FRAME_BYTES_MAX).unwrap();
    Hello { features: 0, jam, run: 1, grant: List::new(bytes).unwrap() }
}

fn trust(logs: &[VerifiedLog], now: UtcTime) -> Trust<'_> {
    Trust { coordinator: secret(9).public(), logs, now }
}

/// The guest's side of the Jam.
pub(in crate::engine) fn jam(logs: &[VerifiedLog]) -> ActiveJam {
    let now = NodeTime::ZERO;
    ActiveJam::granted(&grant(|_| {}), secret(2).public(), true, 5, trust(logs, at(0)), now).unwrap()
}

#[test]
fn two_who_have_met_may_meet_again_for_a_day_and_others_only_while_the_grant_lasts() {
    let logs = [log_of(1), log_of(2)];
    let mut jam = jam(&logs);
    let (host, hello) = (secret(1).public(), hello(&grant(|_| {}), jam.id));
    assert!(jam.admit(host, &hello, trust(&logs, at(11))).is_ok());
    let expired = jam.admit(host, &hello, trust(&logs, at(13)));
    assert!(matches!(expired, Err(AdmissionError::Grant(GrantError::Expired { .. }))), "{expired:?}");
    jam.met = Some(at(10));
    assert!(jam.admit(host, &hello, trust(&logs, at(34))).is_ok());
    let late = jam.admit(host, &hello, trust(&logs, at(35)));
    assert!(matches!(late, Err(AdmissionError::TooOld)), "{late:?}");
}

#[test]
fn having_met_opens_the_door_to_nobody_else() {
    let logs = [log_of(1), log_of(2)];
    let mut jam = jam(&logs);
    jam.met = Some(at(0));
    let (host, now) = (secret(1).public(), at(20));
    let good = hello(&grant(|_| {}), jam.id);
    assert!(jam.admit(host, &good, trust(&logs, now)).is_ok());
    let other_key = jam.admit(secret(3).public(), &good, trust(&logs, now));
    assert!(matches!(other_key, Err(AdmissionError::OtherKey { .. })), "{other_key:?}");
    for wrong in [
        hello(&grant(|grant| grant.jam = JamId([8; 16])), jam.id),
        hello(&grant(|_| {}), JamId([8; 16])),
        Hello { grant: List::empty(), ..good.clone() },
    ] {
        assert!(jam.admit(host, &wrong, trust(&logs, now)).is_err(), "{wrong:?}");
    }
    // An expired grant is no cover for one of another coordinator.
    let forged = Trust { coordinator: secret(8).public(), ..trust(&logs, now) };
    assert!(jam.admit(host, &good, forged).is_err());
}

#[test]
fn a_device_that_was_revoked_meanwhile_does_not_come_back() {
    let mut theirs = log_of(1);
    let another = secret(4);
    let consent = theirs.consent(&another);
    theirs.add(&secret(1), another.public(), consent).unwrap();
    let logs = [theirs.clone(), log_of(2)];
    let mut jam = jam(&logs);
    jam.met = Some(at(0));
    assert!(jam.judge(&jam.hello, trust(&logs, at(1))).is_ok());
    theirs.revoke(&another, secret(1).public()).unwrap();
    let logs = [theirs, log_of(2)];
    let judged = jam.judge(&jam.hello, trust(&logs, at(1)));
    assert!(matches!(judged, Err(AdmissionError::Grant(GrantError::UnknownDevice { .. }))), "{judged:?}");
}

#[test]
fn of_two_connections_dialled_at_once_both_sides_keep_the_same() {
    // Which side has dialled the one that is kept, where they come in this order.
    let kept = |should_dial: bool, older_dialled: bool| {
        let newer_dialled = !older_dialled;
        let dialled =
            if supersedes(should_dial, newer_dialled, older_dialled) { newer_dialled } else { older_dialled };
        // As seen from the side that should dial.
        dialled == should_dial
    };
    for one_sees_its_own_first in [false, true] {
        for other_sees_its_own_first in [false, true] {
            assert!(kept(true, one_sees_its_own_first) && kept(false, other_sees_its_own_first));
        }
    }
    // A second connection of the same side always takes over.
    for should_dial in [false, true] {
        for dialled in [false, true] {
            assert!(supersedes(should_dial, dialled, dialled));
        }
    }
}

#[test]
fn who_has_met_is_dialled_by_both_sides_one_after_the_other() {
    let logs = [log_of(1), log_of(2)];
    let mut jam = jam(&logs);
    assert_eq!(jam.target().dialling, Dialling::AtOnce);
    jam.dials = false;
    assert_eq!(jam.target().dialling, Dialling::Never);
    jam.met = Some(at(0));
    assert_eq!(jam.target().dialling, Dialling::After(HEAD_START));
    jam.returning = true;
    assert_eq!(jam.target().dialling, Dialling::AtOnce);
    let [home, cafe] = ["192.0.2.1:9", "192.0.2.2:9"].map(|text| text.parse().unwrap());
    (jam.candidates, jam.last_address) = (vec![home, cafe], Some(cafe));
    assert_eq!(jam.target().candidates, [cafe, home], "where it was last comes first, and once");
}
