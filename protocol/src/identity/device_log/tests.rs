//! Logs that grow, and logs that somebody has tampered with.

use alloc::vec;

use super::*;

fn secret(seed: u8) -> DeviceSecret {
    DeviceSecret::from_seed(&[seed; 32])
}

fn with_second_device() -> VerifiedLog {
    let mut log = DeviceLog::found(&secret(1), [9; 16]);
    let consent = log.consent(&secret(2));
    log.add(&secret(1), secret(2).public(), consent).expect("an active device adds");
    log
}

/// The entries of `log`, changed by `change`, verified again.
fn tampered(log: &VerifiedLog, change: impl FnOnce(&mut Vec<SignedEntry>)) -> Result<VerifiedLog, LogError> {
    let mut entries = log.as_log().0.clone().into_vec();
    change(&mut entries);
    DeviceLog(List::new(entries).expect("fits")).verify()
}

fn forged(author: &DeviceSecret, previous: [u8; 32], action: Action) -> SignedEntry {
    Entry { previous, author: author.public(), action }.signed_by(author)
}

#[test]
fn a_log_that_was_written_by_its_devices_verifies_as_it_was_written() {
    let mut log = with_second_device();
    log.revoke(&secret(2), secret(1).public()).expect("the second device revokes the first");
    assert_eq!(log.as_log().verify(), Ok(log.clone()));
    assert_eq!(log.devices(), [secret(2).public()]);
    assert!(!log.is_active(secret(1).public()));
}

#[test]
fn a_changed_byte_anywhere_is_refused() {
    let log = with_second_device();
    for entry in 0..2 {
        let length = log.as_log().0[entry].bytes.len();
        for at in 0..length {
            let outcome = tampered(&log, |entries| {
                let mut bytes = entries[entry].bytes.clone().into_vec();
                bytes[at] ^= 1;
                entries[entry].bytes = List::new(bytes).expect("fits");
            });
            assert!(outcome.is_err(), "entry {entry}, byte {at}");
        }
        let outcome = tampered(&log, |entries| entries[entry].signature.0[0] ^= 1);
        assert!(matches!(outcome, Err(LogError::BadSignature { index, .. }) if index == entry));
    }
}

#[test]
fn entries_out_of_place_are_refused() {
    let log = with_second_device();
    assert_eq!(tampered(&log, Vec::clear), Err(LogError::Empty));
    assert_eq!(tampered(&log, |entries| entries.swap(0, 1)), Err(LogError::Broken { index: 0 }));
    assert_eq!(tampered(&log, |entries| drop(entries.remove(0))), Err(LogError::Broken { index: 0 }));
    let head = log.head();
    let second_founding = Action::Found { device: secret(1).public(), nonce: [0; 16] };
    assert_eq!(
        tampered(&log, |entries| entries.push(forged(&secret(1), head, second_founding))),
        Err(LogError::Misplaced { index: 2 })
    );
}

#[test]
fn a_stranger_cannot_write_into_a_log() {
    let log = with_second_device();
    let head = log.head();
    let consent = log.consent(&secret(3));
    let add = Action::Add { device: secret(3).public(), consent };
    assert_eq!(
        tampered(&log, |entries| entries.push(forged(&secret(3), head, add))),
        Err(LogError::NotActive { index: 2, author: secret(3).public() })
    );
}

#[test]
fn a_revoked_device_neither_writes_nor_returns() {
    let mut log = with_second_device();
    log.revoke(&secret(1), secret(2).public()).expect("revokes");
    let consent = log.consent(&secret(2));
    assert_eq!(
        log.add(&secret(1), secret(2).public(), consent),
        Err(LogError::Repeated { index: 3, device: secret(2).public() })
    );
    assert_eq!(
        log.revoke(&secret(2), secret(1).public()),
        Err(LogError::NotActive { index: 3, author: secret(2).public() })
    );
    assert_eq!(log.revoke(&secret(1), secret(1).public()), Err(LogError::LastDevice { index: 3 }));
    assert_eq!(
        log.revoke(&secret(1), secret(7).public()),
        Err(LogError::NothingToRevoke { index: 3, device: secret(7).public() })
    );
}

#[test]
fn a_device_joins_only_with_its_own_consent_to_this_account() {
    let mut log = DeviceLog::found(&secret(1), [9; 16]);
    let elsewhere = DeviceLog::found(&secret(1), [8; 16]).consent(&secret(2));
    assert_eq!(
        log.add(&secret(1), secret(2).public(), elsewhere),
        Err(LogError::BadSignature { index: 1, expected: secret(2).public() })
    );
    assert_eq!(log, DeviceLog::found(&secret(1), [9; 16]));
}

#[test]
fn a_rolled_back_or_forked_log_is_refused_against_the_pin() {
    let founded = DeviceLog::found(&secret(1), [9; 16]);
    let log = with_second_device();
    assert_eq!(log.extends(&founded.pin()), Ok(()));
    assert_eq!(log.extends(&log.pin()), Ok(()));
    assert_eq!(founded.extends(&log.pin()), Err(LogError::RolledBack { pinned: 2, actual: 1 }));

    let mut fork = founded.clone();
    let consent = fork.consent(&secret(4));
    fork.add(&secret(1), secret(4).public(), consent).expect("adds");
    assert_eq!(fork.extends(&log.pin()), Err(LogError::Forked { index: 1 }));

    let other = DeviceLog::found(&secret(5), [9; 16]);
    assert!(matches!(other.extends(&log.pin()), Err(LogError::OtherAccount { .. })));
}

#[test]
fn the_largest_log_fits_into_its_limits() {
    let mut log = DeviceLog::found(&secret(1), [9; 16]);
    for seed in 2..=u8::try_from(ENTRIES_MAX).expect("small") {
        let consent = log.consent(&secret(seed));
        log.add(&secret(1), secret(seed).public(), consent).expect("room is left");
    }
    let before = log.clone();
    let consent = log.consent(&secret(200));
    assert_eq!(log.add(&secret(1), secret(200).public(), consent), Err(LogError::Full));
    assert_eq!(log, before);
    assert!(log.as_log().0.iter().all(|entry| (1..=ENTRY_BYTES_MAX).contains(&entry.bytes.len())));
    let bytes = codec::encode(log.as_log(), crate::limits::COORD_FRAME_BYTES_MAX).expect("one frame");
    assert_eq!(codec::decode::<DeviceLog>(&bytes).expect("decodes").verify(), Ok(log));
    assert_eq!(DeviceLog(List::new(vec![]).expect("fits")).verify(), Err(LogError::Empty));
}

#[test]
fn a_recovery_key_writes_into_the_log_and_is_no_device() {
    let mut log = DeviceLog::found(&secret(1), [9; 16]);
    log.add_recovery(&secret(1), &secret(7)).expect("an active device adds it");
    assert_eq!((log.devices(), log.recovery_keys()), (&[secret(1).public()][..], &[secret(7).public()][..]));
    assert!(!log.is_active(secret(7).public()));
    // Every device is lost: the key on paper brings a new one in, which revokes the lost one.
    let consent = log.consent(&secret(2));
    log.add(&secret(7), secret(2).public(), consent).expect("the recovery key adds a device");
    log.revoke(&secret(2), secret(1).public()).expect("the new device revokes the lost one");
    assert_eq!(log.as_log().verify(), Ok(log.clone()));
    let last = log.clone().revoke(&secret(7), secret(2).public());
    assert_eq!(last, Err(LogError::LastDevice { index: 4 }), "a recovery key alone cannot speak for anybody");
    log.revoke(&secret(2), secret(7).public()).expect("a recovery key is revoked as a device is");
    let consent = log.consent(&secret(3));
    let late = log.add(&secret(7), secret(3).public(), consent);
    assert_eq!(late, Err(LogError::NotActive { index: 5, author: secret(7).public() }));
    let again = log.add_recovery(&secret(2), &secret(7));
    assert_eq!(again, Err(LogError::Repeated { index: 5, device: secret(7).public() }));
}

#[test]
fn a_log_grows_by_the_entry_that_somebody_else_wrote() {
    let longer = with_second_device();
    let mut seen = DeviceLog::found(&secret(1), [9; 16]);
    let entry = longer.newest().expect("two entries").clone();
    assert!(!seen.holds(&entry));
    seen.extend(entry.clone()).expect("it follows");
    assert_eq!(seen, longer);
    assert!(seen.holds(&entry));
    assert_eq!(seen.extend(entry), Err(LogError::Broken { index: 2 }), "once");
    assert_eq!(seen, longer, "nothing has changed");
}
