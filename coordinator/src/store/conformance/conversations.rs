//! Conversations: logs, how far each device is in them, and key packages.

use jamsync_protocol::{conversation::Epoch, wire::coord::Sequence};

use super::{
    change, look,
    rows::{conversation, entry, id, key, package, post, second_device, talk, time},
    with, with_people,
};
use crate::store::{Conversation, LOG_KEPT_MORE, LogCursor, Store};

pub(super) async fn a_conversation_is_found_by_its_name_and_by_who_is_in_it(store: impl Store) {
    with_people(&store).await;
    let (one, other) = (conversation(1, 2, 1), conversation(1, 3, 2));
    let kept = [one.clone(), other.clone()];
    with(&store, move |tables| kept.iter().try_for_each(|one| tables.put_conversation(one))).await;
    let mut both = vec![one.clone(), other.clone()];
    both.sort_by_key(|conversation| conversation.id);
    let (first, second) = (both[0].clone(), both[1].clone());
    assert_eq!(look(&store, |view| view.conversations_after(id(1), None, 9)).await, both);
    assert_eq!(look(&store, |view| view.conversations_after(id(1), None, 1)).await, both[..1]);
    let after = first.id;
    assert_eq!(look(&store, move |view| view.conversations_after(id(1), Some(after), 9)).await, [second]);
    assert_eq!(look(&store, |view| view.conversations_after(id(2), None, 9)).await, vec![one.clone()]);
    // What is put again takes the place of what was; who is in it stays.
    let later = Conversation { epoch: Epoch { generation: 3, number: 4 }, newest: Sequence(9), ..one };
    let put = later.clone();
    with(&store, move |tables| tables.put_conversation(&put)).await;
    assert_eq!(look(&store, |view| view.conversation(talk(1, 2))).await, Some(later));
    assert_eq!(look(&store, |view| view.conversation(talk(2, 3))).await, None);
}

pub(super) async fn a_log_keeps_its_order_and_forgets_what_all_have_read(store: impl Store) {
    with_people(&store).await;
    let rows: Vec<_> = (1..=4).map(|number| entry(number, 1, 2, number)).collect();
    let all: Vec<_> = rows.iter().map(|row| row.entry.clone()).collect();
    with(&store, move |tables| {
        tables.put_conversation(&conversation(1, 2, 4))?;
        rows.iter().try_for_each(|row| tables.insert_log_row(row))
    })
    .await;
    let after =
        |after: u64, limit| look(&store, move |view| view.log_after(talk(1, 2), Sequence(after), limit));
    assert_eq!(after(0, 9).await, all);
    assert_eq!(after(1, 2).await, all[1..3]);
    let again = change(&store, |tables| tables.insert_log_row(&entry(1, 1, 2, 4)));
    again.await.expect_err("its place is taken");
    with(&store, |tables| tables.forget_log(talk(1, 2), Sequence(2))).await;
    with(&store, |tables| tables.forget_log(talk(1, 2), Sequence(1))).await;
    assert_eq!(after(0, 9).await, all[2..]);
    let known = look(&store, |view| view.conversation(talk(1, 2))).await.expect("there");
    assert_eq!(known.forgotten, Sequence(2));
    let (sequence, at) =
        look(&store, |view| view.posted(talk(1, 2), post(1))).await.expect("still known by name");
    assert_eq!((sequence, at), (Sequence(1), time(1)));
    assert_eq!(look(&store, |view| view.posted(talk(1, 2), post(9))).await, None);
    // Thirty days on, it is not known by name either.
    with(&store, |tables| tables.prune(time(3) + LOG_KEPT_MORE, 9).map(drop)).await;
    assert_eq!(look(&store, |view| view.posted(talk(1, 2), post(2))).await, None);
    assert_eq!(after(0, 9).await, all[2..]);
}

pub(super) async fn a_message_has_one_place_in_its_conversation(store: impl Store) {
    with_people(&store).await;
    with(&store, |tables| {
        tables.put_conversation(&conversation(1, 2, 1))?;
        tables.put_conversation(&conversation(1, 3, 1))?;
        tables.insert_log_row(&entry(1, 1, 2, 1))?;
        tables.insert_log_row(&entry(1, 1, 3, 1))
    })
    .await;
    let mut twice = entry(2, 1, 2, 2);
    twice.entry.what = entry(1, 1, 2, 1).entry.what;
    change(&store, move |tables| tables.insert_log_row(&twice)).await.expect_err("it is said already");
}

pub(super) async fn each_device_has_a_place_of_its_own_in_a_log(store: impl Store) {
    with_people(&store).await;
    with(&store, |tables| {
        tables.insert_device(&second_device(1))?;
        tables.put_conversation(&conversation(1, 2, 5))?;
        tables.put_log_cursor(talk(1, 2), key(1), Sequence(1))?;
        tables.put_log_cursor(talk(1, 2), second_device(1).key, Sequence(2))?;
        tables.put_log_cursor(talk(1, 2), key(2), Sequence(3))?;
        tables.put_log_cursor(talk(1, 2), key(1), Sequence(4))
    })
    .await;
    let cursor = |device, of, upto| LogCursor { device, account: id(of), upto: Sequence(upto) };
    let mut all = vec![cursor(key(1), 1, 4), cursor(second_device(1).key, 1, 2), cursor(key(2), 2, 3)];
    all.sort_by_key(|cursor| cursor.device);
    assert_eq!(look(&store, |view| view.log_cursors(talk(1, 2))).await, all);
    with(&store, |tables| tables.revoke_device(second_device(1).key)).await;
    all.retain(|cursor| cursor.device != second_device(1).key);
    assert_eq!(look(&store, |view| view.log_cursors(talk(1, 2))).await, all);
}

pub(super) async fn a_key_package_is_handed_out_once_and_the_last_resort_again_and_again(store: impl Store) {
    with_people(&store).await;
    with(&store, |tables| {
        tables.add_key_package(key(1), &package(1))?;
        tables.put_last_resort(key(1), &package(9))?;
        tables.add_key_package(key(1), &package(2))?;
        tables.add_key_package(key(2), &package(3))
    })
    .await;
    assert_eq!(look(&store, |view| view.key_packages_left(key(1))).await, 2);
    let mut taken = Vec::new();
    for _ in 0..4 {
        taken.push(change(&store, |tables| tables.take_key_package(key(1))).await.expect("taken"));
    }
    assert_eq!(taken, [1, 2, 9, 9].map(|number| Some(package(number))));
    assert_eq!(look(&store, |view| view.last_resort(key(1))).await, Some(package(9)));
    assert_eq!(look(&store, |view| view.last_resort(key(2))).await, None, "it has another");
    assert_eq!(look(&store, |view| view.key_packages_left(key(1))).await, 0);
    assert_eq!(
        change(&store, |tables| tables.take_key_package(key(2))).await.expect("taken"),
        Some(package(3))
    );
    assert_eq!(change(&store, |tables| tables.take_key_package(key(2))).await.expect("none"), None);
    with(&store, |tables| tables.drop_key_packages(key(1))).await;
    assert_eq!(change(&store, |tables| tables.take_key_package(key(1))).await.expect("none"), None);
}
