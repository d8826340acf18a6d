//! What is believed of an account's own devices and of its contacts, and what survives a restart.

use jamsync_protocol::{
    identity::{DeviceSecret, LogError, Tier, Vouch, device_code::CodeSecret},
    text::List,
    time::Span,
    wire::coord::Contact,
};

use super::*;

fn secret(seed: u8) -> DeviceSecret {
    DeviceSecret::from_seed(&[seed; 32])
}

fn log_of(seed: u8) -> VerifiedLog {
    DeviceLog::found(&secret(seed), [seed; 16])
}

fn me(seed: u8) -> Me {
    Me {
        account: log_of(seed).account(),
        handle: "ana".parse().unwrap(),
        tier: Tier::Premium,
        log: log_of(seed).as_log().clone(),
        requests: List::empty(),
        opted_out: false,
    }
}

fn account() -> Account {
    Account::founded(Vec::new(), secret(9).public(), secret(1).public(), &me(1)).unwrap()
}

fn contact(seed: u8, handle: &str) -> Contact {
    let log = log_of(seed);
    let handle = handle.parse().unwrap();
    Contact {
        handle,
        account: log.account(),
        log: log.as_log().clone(),
        online: true,
        accepted: None,
        vouch: None,
        blocked: false,
        muted: false,
    }
}

#[test]
fn an_account_that_the_coordinator_founded_in_our_name_is_refused() {
    // Its device could speak for the account, and friends would be asked to trust it.
    let forged = Account::founded(Vec::new(), secret(9).public(), secret(1).public(), &me(9));
    assert!(matches!(forged, Err(AccountError::NotFoundedHere { .. })), "{forged:?}");
    let renamed = Me { account: log_of(2).account(), ..me(1) };
    let forged = Account::founded(Vec::new(), secret(9).public(), secret(1).public(), &renamed);
    assert!(matches!(forged, Err(AccountError::NotFoundedHere { .. })), "{forged:?}");
}

#[test]
fn a_contact_is_taken_once_and_only_with_an_invitation() {
    let mut account = account();
    let ben = contact(2, "ben");
    assert!(matches!(account.admit(&ben, None), Err(AccountError::NotInvited { .. })));
    assert_eq!(account.admit(&ben, Some(ben.account)).unwrap(), Admitted::New);
    assert_eq!(account.admit(&ben, None).unwrap(), Admitted::Known);
    assert_eq!(account.contacts.len(), 1);
}

#[test]
fn a_jam_that_was_left_is_remembered_over_a_restart_until_nobody_can_enter_it() {
    let at = |hours: i64| UtcTime::from_nanos(0) + Span::from_secs(hours * 3_600);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("account.json");
    let mut account = account();
    account.note_ended(EndedJam { jam: JamId([1; 16]), until: at(12), told: false }, at(1));
    account.save(&file).unwrap();
    let mut account = Account::load(&file).unwrap().unwrap();
    assert!(account.has_ended(JamId([1; 16])) && !account.has_ended(JamId([2; 16])));
    account.note_ended(EndedJam { jam: JamId([2; 16]), until: at(25), told: true }, at(13));
    assert!(!account.has_ended(JamId([1; 16])) && account.has_ended(JamId([2; 16])));
}

#[test]
fn an_account_that_is_damaged_is_named_and_left_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("account.json");
    account().save(&file).unwrap();
    let whole = std::fs::read(&file).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"", b"{}", &[0xff; 99]] {
        std::fs::write(&file, damaged).unwrap();
        let error = Account::load(&file).unwrap_err().to_string();
        assert!(error.contains("account.json is damaged") && error.contains("backup"), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), damaged, "it is the only proof of who the friends are");
    }
}

#[test]
fn the_coordinator_cannot_exchange_the_names_of_two_friends() {
    let mut account = account();
    for (seed, name) in [(2, "ben"), (3, "cleo")] {
        let friend = contact(seed, name);
        account.admit(&friend, Some(friend.account)).unwrap();
    }
    account.admit(&contact(2, "cleo"), None).unwrap();
    let names: Vec<_> = account.contacts.iter().map(|known| known.handle.as_str()).collect();
    assert_eq!(names, ["ben", "cleo"]);
    assert_eq!(account.name_of(contact(2, "cleo").account).map(Handle::as_str), Some("ben"));
    assert_eq!(account.name_of(contact(5, "ben").account), None);
    let impostor = contact(4, "ben");
    let taken = account.admit(&impostor, Some(impostor.account));
    assert!(matches!(taken, Err(AccountError::Replaced { .. })), "{taken:?}");
}

/// The log of `me(1)` with a second device, and the same account as that device knows it.
fn with_second_device() -> (VerifiedLog, Account) {
    let mut log = log_of(1);
    let consent = log.consent(&secret(4));
    log.add(&secret(1), secret(4).public(), consent).unwrap();
    let me = Me { log: log.as_log().clone(), ..me(1) };
    let account = Account::joined(Vec::new(), secret(9).public(), secret(4).public(), log.account(), &me);
    (log, account.unwrap())
}

#[test]
fn a_device_joins_the_account_of_its_code_and_no_other() {
    let (log, _) = with_second_device();
    let me = Me { log: log.as_log().clone(), ..me(1) };
    let join = |device: u8, account| {
        Account::joined(Vec::new(), secret(9).public(), secret(device).public(), account, &me)
    };
    // A coordinator that inserts the device into an account of its own, or only says that it is in.
    let other = log_of(9).account();
    for refused in [join(4, other), join(5, log.account())] {
        assert!(matches!(refused, Err(AccountError::NotIn { .. })), "{refused:?}");
    }
}

#[test]
fn a_coordinator_that_rolls_back_forks_or_forges_our_own_log_is_found_out() {
    let (log, mut account) = with_second_device();
    let kept = account.log.clone();
    let rolled_back = account.take_own_log(log_of(1).as_log());
    let expected = LogError::RolledBack { pinned: 2, actual: 1 };
    assert!(matches!(&rolled_back, Err(AccountError::Log { error, .. }) if *error == expected));
    // It may be told again what it has forgotten.
    assert_eq!(account.forgotten(log_of(1).as_log()), [log.newest().unwrap().clone()]);
    // The first device is made to sign another second entry: it is served to some and not to others.
    let mut forked = log_of(1);
    let consent = forked.consent(&secret(6));
    forked.add(&secret(1), secret(6).public(), consent).unwrap();
    let shown = account.take_own_log(forked.as_log());
    let expected = LogError::Forked { index: 1 };
    assert!(matches!(&shown, Err(AccountError::Log { error, .. }) if *error == expected), "{shown:?}");
    assert_eq!(account.forgotten(forked.as_log()), []);
    // A device that no device of the account has signed for.
    let mut elsewhere = log_of(7);
    let consent = elsewhere.consent(&secret(8));
    elsewhere.add(&secret(7), secret(8).public(), consent).unwrap();
    let inserted = account.grow(log.account(), elsewhere.newest().unwrap());
    assert_eq!(inserted.unwrap(), Grown::Missed, "it follows nothing that is known");
    assert_eq!(account.log, kept, "nothing was taken over");
}

#[test]
fn logs_grow_by_entries_that_their_devices_signed_and_by_nothing_else() {
    let mut account = account();
    let friend = contact(2, "ben");
    account.admit(&friend, Some(friend.account)).unwrap();
    let mut log = log_of(2);
    let consent = log.consent(&secret(5));
    log.add(&secret(2), secret(5).public(), consent).unwrap();
    let entry = log.newest().unwrap().clone();
    assert_eq!(account.grow(friend.account, &entry).unwrap(), Grown::Contact);
    assert_eq!(account.grow(friend.account, &entry).unwrap(), Grown::Nothing, "told twice");
    assert_eq!(account.contacts[0].log, *log.as_log());
    let stranger = log_of(6);
    let entry = stranger.newest().unwrap();
    assert_eq!(account.grow(stranger.account(), entry).unwrap(), Grown::Nothing, "of no contact");

    let (own, _) = with_second_device();
    let (added, entry) = (Some(secret(4).public()), own.newest().unwrap().clone());
    assert_eq!(account.grow(own.account(), &entry).unwrap(), Grown::Own { added, gone: None });
    assert!(account.has_other_devices());
    let mut own = own;
    own.revoke(&secret(4), secret(1).public()).unwrap();
    let (gone, entry) = (Some(secret(1).public()), own.newest().unwrap().clone());
    assert_eq!(account.grow(own.account(), &entry).unwrap(), Grown::Own { added: None, gone });
}

#[test]
fn a_further_device_takes_the_contacts_that_the_others_vouch_for() {
    let (log, mut account) = with_second_device();
    let mut ben = contact(2, "ben");
    let untold = account.admit(&ben, None);
    assert!(matches!(untold, Err(AccountError::NotInvited { .. })), "{untold:?}");
    // The coordinator vouches itself, or passes on what was said to another account.
    let pin = log_of(2).pin();
    for forged in [
        Vouch::signed_by(&secret(9), log.account(), ben.handle.clone(), pin),
        Vouch::signed_by(&secret(1), log_of(9).account(), ben.handle.clone(), pin),
        Vouch::signed_by(&secret(1), log.account(), ben.handle.clone(), log_of(3).pin()),
    ] {
        ben.vouch = Some(Box::new(forged));
        let refused = account.admit(&ben, None);
        assert!(matches!(refused, Err(AccountError::NotInvited { .. })), "{refused:?}");
    }
    let vouch = Vouch::signed_by(&secret(1), log.account(), "benny".parse().unwrap(), pin);
    ben.vouch = Some(Box::new(vouch));
    assert_eq!(account.admit(&ben, None).unwrap(), Admitted::New);
    assert_eq!(account.contacts[0].handle.as_str(), "benny", "as the account knows him, whatever is shown");
    assert_eq!(account.lacks_vouch(&ben), None);
    assert!(account.lacks_vouch(&contact(2, "ben")).is_some(), "where nobody has vouched, this device does");
}

#[test]
fn a_further_device_is_not_shown_an_older_log_of_a_contact_than_the_account_knows() {
    let (log, mut account) = with_second_device();
    let mut grown = log_of(2);
    let consent = grown.consent(&secret(5));
    grown.add(&secret(2), secret(5).public(), consent).unwrap();
    let mut ben = contact(2, "ben");
    let name = ben.handle.clone();
    ben.vouch = Some(Box::new(Vouch::signed_by(&secret(1), log.account(), name, grown.pin())));
    let rolled_back = account.admit(&ben, None);
    let expected = LogError::RolledBack { pinned: 2, actual: 1 };
    assert!(matches!(&rolled_back, Err(AccountError::Log { error, .. }) if *error == expected));
}

#[test]
fn a_device_is_added_only_with_a_code_that_was_made_here() {
    let mut account = account();
    let (at, token, secret_of_code) = (UtcTime::from_nanos(0), CodeToken([3; 16]), CodeSecret([4; 16]));
    let expires = at + Span::from_secs(600);
    account.codes.push(MadeCode { token, secret: secret_of_code, expires });
    let (id, device) = (account.id().unwrap(), secret(5).public());
    let proof = secret_of_code.prove(id, device);
    assert!(account.check_code(token, device, proof, at).is_ok());
    // Another key with the same proof is what a coordinator would try.
    for (token, device, proof, now) in [
        (token, secret(6).public(), proof, at),
        (CodeToken([9; 16]), device, proof, at),
        (token, device, CodeSecret([5; 16]).prove(id, device), at),
        (token, device, proof, expires),
    ] {
        let refused = account.check_code(token, device, proof, now);
        assert!(matches!(refused, Err(AccountError::NotGiven)), "{refused:?}");
    }
}

#[test]
fn what_was_said_here_and_not_told_yet_is_not_undone_by_the_coordinator() {
    let mut account = account();
    let mut ben = contact(2, "ben");
    account.admit(&ben, Some(ben.account)).unwrap();
    account.contacts[0].blocked = true;
    account.contacts[0].untold = true;
    assert_eq!(account.admit(&ben, None).unwrap(), Admitted::Known);
    assert!(account.has_blocked(ben.account));
    account.contacts[0].untold = false;
    ben.muted = true;
    assert_eq!(account.admit(&ben, None).unwrap(), Admitted::Changed, "another device has said otherwise");
    assert!(!account.has_blocked(ben.account) && account.contacts[0].muted);
}

#[test]
fn what_was_told_last_is_kept_with_its_time_and_who_was_left_out_is_named() {
    let (at, folder) = (UtcTime::from_nanos(7_000_000_000), tempfile::tempdir().unwrap());
    let file = folder.path().join("account.json");
    let mut account = account();
    let (ben, carl, dora) = (contact(2, "ben"), contact(3, "carl"), contact(4, "dora"));
    for friend in [&ben, &carl, &dora] {
        assert_eq!(account.admit(friend, Some(friend.account)).unwrap(), Admitted::New);
    }
    // Dora became a contact after it was asked.
    let known = [ben.account, carl.account];
    let told = [Contact { online: false, ..ben.clone() }];
    assert_eq!(account.note_told(&told, &known, at), [carl.account]);
    let online: Vec<_> = account.contacts.iter().map(|known| known.online).collect();
    assert_eq!(online, [Some(false), Some(false), Some(true)]);
    account.save(&file).unwrap();
    let account = Account::load(&file).unwrap().unwrap();
    assert_eq!((account.told_at, account.contacts[2].online), (Some(at), None), "presence is not kept");
}
