//! Accounts, their devices and contacts, and what becomes of them.

use jamsync_protocol::{
    identity::{DeviceSecret, Tier},
    text::Text,
    wire::coord::{CoordEvent, CoordReply, EventNumber, IdempotencyKey},
};

use super::{
    change, look,
    rows::{
        account, code, contact, event, event_of_device, everything, full_contact, grant, held, id, jam, key,
        link, permit, report, request, second_device, time,
    },
    with, with_people,
};
use crate::{
    eligibility::AgeRecord,
    store::{Account, ContactRow, Device, Store, StoreError, fixture::person},
};

pub(super) async fn what_fails_half_way_leaves_nothing(store: impl Store) {
    with_people(&store).await;
    let before = look(&store, |view| everything(view)).await;
    let failed = change(&store, |tables| {
        tables.put_join_permit(permit(1, 1))?;
        tables.insert_report(&report(1, 2, 1))?;
        tables.push_event(key(1), &event(2))?;
        tables.erase_account(id(3))?;
        tables.insert_account(&account(1))
    });
    failed.await.expect_err("there is such an account");
    assert_eq!(look(&store, |view| everything(view)).await, before);
    // A rule may refuse as well, after everything has gone well.
    let refused = change(&store, |tables| {
        tables.erase_account(id(3))?;
        Err::<(), _>(StoreError::Busy)
    });
    assert!(matches!(refused.await, Err(StoreError::Busy)));
    assert_eq!(look(&store, |view| everything(view)).await, before);
    assert!(store.is_writable());
}

pub(super) async fn a_change_sees_what_it_has_done(store: impl Store) {
    with_people(&store).await;
    let seen = change(&store, |tables| {
        tables.set_tier(id(1), Tier::Free)?;
        tables.push_event(key(1), &event(2))?;
        let tier = tables.account(id(1))?.map(|account| account.tier);
        Ok((tier, tables.newest_event(key(1))?))
    });
    assert_eq!(seen.await.expect("written"), (Some(Tier::Free), Some(EventNumber(1))));
}

pub(super) async fn what_this_process_does_is_not_done_by_others(store: impl Store) {
    with_people(&store).await;
    change(&store, |tables| tables.insert_account(&account(1))).await.expect_err("it is there");
    let refused = change(&store, |tables| {
        tables.erase_account(id(3))?;
        Err::<(), _>(StoreError::Busy)
    });
    refused.await.expect_err("it is taken back");
    for _ in 0..2 {
        assert!(!store.changed_by_others().await.expect("asked"));
        with(&store, |tables| tables.set_tier(id(1), Tier::Free)).await;
    }
}

pub(super) async fn an_account_is_found_by_id_name_and_device(store: impl Store) {
    with_people(&store).await;
    for (number, expected) in [(1, Some(account(1))), (5, None)] {
        let found = look(&store, move |view| {
            let handle = account(number).handle;
            Ok([
                view.account(id(number))?,
                view.account_by_handle(&handle)?,
                view.account_by_device(key(number))?,
            ])
        });
        assert_eq!(found.await, [expected.clone(), expected.clone(), expected]);
    }
}

pub(super) async fn an_account_is_what_was_last_said_of_it(store: impl Store) {
    with_people(&store).await;
    let mut log = person(1).1;
    let recovery = DeviceSecret::from_seed(&[11; 32]);
    log.add_recovery(&DeviceSecret::from_seed(&[1; 32]), &recovery).expect("added");
    let age = AgeRecord { met: 0, birth_date: "2015-05-05".parse().ok() };
    let wanted = Account { tier: Tier::Free, age, opted_out: true, log: log.as_log().clone(), ..account(1) };
    with(&store, move |tables| {
        tables.set_tier(id(1), Tier::Free)?;
        tables.set_age(id(1), age)?;
        tables.set_opted_out(id(1), true)?;
        tables.set_log(id(1), log.as_log())
    })
    .await;
    assert_eq!(look(&store, |view| view.account(id(1))).await, Some(wanted));
    assert_eq!(look(&store, |view| view.account(id(2))).await, Some(account(2)), "nobody else is meant");
}

pub(super) async fn birth_dates_come_with_the_oldest_person_first(store: impl Store) {
    with_people(&store).await;
    let age = |date: &str| AgeRecord { met: 0, birth_date: date.parse().ok() };
    with(&store, move |tables| {
        tables.set_age(id(1), age("2015-10-05"))?;
        tables.set_age(id(3), age("2015-09-30"))
    })
    .await;
    let (all, first) = look(&store, |view| Ok((view.birth_dates(9)?, view.birth_dates(1)?))).await;
    assert_eq!(all, [(id(3), age("2015-09-30")), (id(1), age("2015-10-05"))], "of one none is kept");
    assert_eq!(first, [(id(3), age("2015-09-30"))]);
}

pub(super) async fn what_is_there_cannot_be_added_again(store: impl Store) {
    with_people(&store).await;
    let receipt = |tables: &mut dyn crate::store::Tables| {
        tables.insert_receipt(key(1), IdempotencyKey([1; 16]), [1; 32], &CoordReply::Done, time(1))
    };
    with(&store, move |tables| {
        tables.insert_device(&second_device(1))?;
        tables.insert_link(link(1, 1, 9))?;
        tables.insert_request(request(1, 1, 2, 1))?;
        tables.insert_jam(&jam(1, 1, 2, 9), &grant(&jam(1, 1, 2, 9)))?;
        receipt(tables)
    })
    .await;
    let same_name = Account { handle: account(2).handle, ..account(4) };
    let same_id = Account { handle: account(4).handle, ..account(1) };
    for outcome in [
        change(&store, move |tables| tables.insert_account(&same_name)).await,
        change(&store, move |tables| tables.insert_account(&same_id)).await,
        change(&store, |tables| tables.insert_device(&Device { account: id(2), ..second_device(1) })).await,
        change(&store, |tables| tables.insert_link(link(1, 2, 5))).await,
        change(&store, |tables| tables.insert_request(request(1, 2, 3, 1))).await,
        change(&store, |tables| tables.insert_jam(&jam(1, 2, 3, 9), &grant(&jam(1, 2, 3, 9)))).await,
        change(&store, receipt).await,
    ] {
        outcome.expect_err("it is there");
    }
}

pub(super) async fn what_is_not_there_cannot_be_changed(store: impl Store) {
    with_people(&store).await;
    let age = AgeRecord { met: 16, birth_date: None };
    let before = look(&store, |view| everything(view)).await;
    for outcome in [
        change(&store, |tables| tables.set_tier(id(5), Tier::Free)).await,
        change(&store, move |tables| tables.set_age(id(5), age)).await,
        change(&store, |tables| tables.set_log(id(5), &account(5).log)).await,
        change(&store, |tables| tables.set_opted_out(id(5), true)).await,
        change(&store, |tables| tables.rename_device(key(5), &second_device(5).name)).await,
        change(&store, |tables| tables.revoke_device(key(5))).await,
        change(&store, |tables| tables.close_link(link(1, 1, 1).token, id(2))).await,
        change(&store, |tables| {
            tables.end_request(request(1, 1, 2, 1).id, jamsync_protocol::wire::coord::RequestEnd::Declined)
        })
        .await,
        change(&store, |tables| tables.end_jam(jam(1, 1, 2, 1).id)).await,
        change(&store, |tables| tables.push_event(key(5), &event(1)).map(drop)).await,
        change(&store, |tables| tables.lift_events(key(5), EventNumber(9))).await,
    ] {
        outcome.expect_err("it is not there");
    }
    // What is to go may have gone before.
    with(&store, |tables| {
        assert!(!tables.drop_report(1)?);
        tables.drop_contact(id(1), id(2))?;
        tables.drop_events(key(5), EventNumber(9))?;
        tables.erase_account(id(5))
    })
    .await;
    assert_eq!(look(&store, |view| everything(view)).await, before);
}

pub(super) async fn what_names_nobody_is_refused(store: impl Store) {
    with_people(&store).await;
    for outcome in [
        change(&store, |tables| tables.insert_device(&second_device(5))).await,
        change(&store, |tables| tables.put_device_code(code(1, 5, 1))).await,
        change(&store, |tables| tables.put_contact(&contact(1, 5, 1))).await,
        change(&store, |tables| tables.put_contact(&contact(5, 1, 1))).await,
        change(&store, |tables| tables.insert_report(&report(5, 1, 1))).await,
        change(&store, |tables| tables.insert_report(&report(1, 5, 1))).await,
    ] {
        outcome.expect_err("there is no such account");
    }
}

pub(super) async fn a_page_begins_behind_the_last_name_and_is_no_longer_than_asked(store: impl Store) {
    with_people(&store).await;
    with(&store, |tables| {
        tables.put_contact(&contact(1, 3, 1))?;
        tables.put_contact(&contact(1, 2, 2))
    })
    .await;
    let (all, page, behind, friends, more) = look(&store, |view| {
        let first = account(1).handle;
        Ok((
            view.accounts_after(None, 99)?,
            view.accounts_after(None, 2)?,
            view.accounts_after(Some(&first), 1)?,
            view.contacts_after(id(1), None, 99)?,
            view.contacts_after(id(1), Some(&account(2).handle), 99)?,
        ))
    })
    .await;
    assert_eq!(all, [account(1), account(2), account(3)]);
    assert_eq!(page, [account(1), account(2)]);
    assert_eq!(behind, [account(2)]);
    assert_eq!(friends, [(contact(1, 2, 2), account(2)), (contact(1, 3, 1), account(3))]);
    assert_eq!(more, [(contact(1, 3, 1), account(3))]);
}

pub(super) async fn a_revoked_device_speaks_for_nobody_and_nothing_waits_for_it(store: impl Store) {
    with_people(&store).await;
    let name = Text::new("the kitchen").expect("short");
    let (renamed, kitchen) = (name.clone(), second_device(1).key);
    with(&store, move |tables| {
        tables.insert_device(&second_device(1))?;
        tables.rename_device(second_device(1).key, &renamed)?;
        tables.push_event(key(1), &event(2))?;
        tables.push_event(second_device(1).key, &event(2)).map(drop)
    })
    .await;
    let devices = look(&store, |view| view.devices_of(id(1))).await;
    let keys: Vec<_> = devices.iter().map(|device| device.key).collect();
    assert_eq!(keys, [key(1), kitchen], "in the order in which they were added");
    assert_eq!(devices[1].name, name);
    with(&store, move |tables| tables.revoke_device(kitchen)).await;
    let (known, speaks, devices, waits) = look(&store, move |view| {
        let (known, speaks) = (view.device(kitchen)?, view.account_by_device(kitchen)?);
        Ok((known, speaks, view.devices_of(id(1))?, view.events_after(kitchen, EventNumber(0), 9)?))
    })
    .await;
    assert_eq!(known, Some(Device { name, revoked: true, ..second_device(1) }));
    assert_eq!((speaks, devices.len(), waits), (None, 1, Vec::new()));
}

pub(super) async fn contacts_that_have_ended_are_found_but_not_listed(store: impl Store) {
    with_people(&store).await;
    let ended = ContactRow { removed: true, blocked: true, ..full_contact(1, 2, 1) };
    let row = ended.clone();
    with(&store, move |tables| {
        tables.put_contact(&contact(1, 2, 1))?;
        tables.put_contact(&row)?;
        tables.put_contact(&contact(2, 1, 1))?;
        tables.put_contact(&contact(3, 1, 1))?;
        tables.put_contact(&contact(1, 3, 1))?;
        tables.drop_contact(id(1), id(3))
    })
    .await;
    let (found, listed, dropped, with_me, with_them) = look(&store, |view| {
        let (found, listed) = (view.contact(id(1), id(2))?, view.contacts_after(id(1), None, 9)?);
        let dropped = view.contact(id(1), id(3))?;
        Ok((found, listed, dropped, view.contacts_with(id(1))?, view.contacts_with(id(2))?))
    })
    .await;
    assert_eq!((found, listed, dropped), (Some(ended), Vec::new(), None));
    let mut both = vec![id(2), id(3)];
    both.sort();
    assert_eq!((with_me, with_them), (both, Vec::new()), "in the order of their ids");
}

pub(super) async fn an_erased_account_leaves_nothing_that_tells_of_it_but_the_farewell(store: impl Store) {
    with_people(&store).await;
    let (gone, stays) = (second_device(1).key, key(3));
    let farewells = [
        CoordEvent::ContactRemoved { account: id(1) },
        CoordEvent::JamEnded { jam: jam(1, 1, 2, 9).id, by: id(1) },
    ];
    let mut left = vec![event(3), event_of_device(stays)];
    left.extend(farewells.clone());
    with(&store, move |tables| {
        tables.insert_device(&second_device(1))?;
        tables.put_device_code(code(1, 1, 9))?;
        tables.insert_link(link(1, 1, 9))?;
        tables.insert_link(link(2, 2, 9))?;
        tables.close_link(link(2, 2, 9).token, id(1))?;
        tables.insert_link(link(3, 2, 9))?;
        for (of, with) in [(1, 2), (2, 1), (2, 3)] {
            tables.put_contact(&contact(of, with, 1))?;
        }
        for (number, from, to) in [(1, 1, 2), (2, 3, 1), (3, 2, 3)] {
            tables.insert_request(request(number, from, to, 1))?;
            let jam = jam(number, from, to, 9);
            tables.insert_jam(&jam, &grant(&jam))?;
        }
        tables.insert_report(&report(1, 2, 1))?;
        tables.insert_report(&report(2, 1, 2))?;
        tables.insert_receipt(gone, IdempotencyKey([1; 16]), [1; 32], &CoordReply::Done, time(1))?;
        tables.push_event(key(1), &event(2))?;
        for event in [event(1), event(3), event_of_device(gone), event_of_device(stays)] {
            tables.push_event(key(2), &event)?;
        }
        for farewell in &farewells {
            tables.push_event(key(2), farewell)?;
        }
        tables.erase_account(id(1))
    })
    .await;
    let events = look(&store, |view| view.events_after(key(2), EventNumber(0), 9)).await;
    let events: Vec<_> = events.into_iter().map(|kept| kept.event).collect();
    assert_eq!(events, left);
    let reports = look(&store, |view| view.reports_after(0, 9)).await;
    let names: Vec<_> = reports.iter().map(|report| (report.by, report.about)).collect();
    assert_eq!(names, [(None, Some(id(2))), (Some(id(2)), None)], "what was said is kept without the name");
    with(&store, |tables| tables.drop_events(key(2), EventNumber(9))).await;
    let shown = look(&store, |view| Ok([held(view, id(1))?, held(view, id(2))?, held(view, id(3))?])).await;
    for name in [account(1).handle.to_string(), id(1).to_string(), key(1).to_string(), gone.to_string()] {
        assert!(shown.iter().all(|shown| !shown.contains(&name)), "{name} in {shown:?}");
    }
    // What the others have among themselves is untouched.
    let (link, request, jam) = look(&store, |view| {
        let (link, request) = (view.link(link(3, 2, 9).token)?, view.request(request(3, 2, 3, 1).id)?);
        Ok((link, request, view.jam(jam(3, 2, 3, 9).id)?))
    })
    .await;
    assert!(link.is_some() && request.is_some() && jam.is_some());
    with(&store, |tables| tables.insert_account(&account(1))).await;
    assert_eq!(look(&store, |view| view.newest_event(key(1))).await, Some(EventNumber(0)));
}

pub(super) async fn what_is_shown_of_an_account_is_its_own(store: impl Store) {
    with_people(&store).await;
    with(&store, |tables| {
        tables.put_contact(&contact(1, 2, 1))?;
        tables.insert_report(&report(1, 2, 1))
    })
    .await;
    let before = look(&store, |view| held(view, id(1))).await;
    assert!(before.contains("person2") && before.contains("did it again"), "{before}");
    // What others say of it is theirs, as are their blocks.
    with(&store, |tables| {
        tables.put_contact(&ContactRow { blocked: true, ..contact(2, 1, 1) })?;
        tables.insert_report(&report(2, 1, 1))?;
        tables.push_event(key(2), &event(1)).map(drop)
    })
    .await;
    assert_eq!(look(&store, |view| held(view, id(1))).await, before);
}

pub(super) async fn receipts_are_shown_as_a_number(store: impl Store) {
    with_people(&store).await;
    with(&store, |tables| {
        tables.insert_device(&second_device(1))?;
        for (device, count) in [(key(1), 3), (second_device(1).key, 1), (key(2), 2)] {
            for number in 0..count {
                let receipt = IdempotencyKey([number; 16]);
                tables.insert_receipt(device, receipt, [1; 32], &CoordReply::Done, time(number))?;
            }
        }
        Ok(())
    })
    .await;
    let shown = look(&store, |view| held(view, id(1))).await;
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    let rows = shown["receipts"].as_array().expect("rows");
    let mut counts: Vec<_> = rows.iter().map(|row| row["count"].as_u64()).collect();
    counts.sort();
    assert_eq!(counts, [Some(1), Some(3)], "{shown}");
}
