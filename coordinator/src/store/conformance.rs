//! What every store must do, run against SQLite and against the model in memory alike. A database that is added later
//! joins by one more module in [`on_every_store`].

use super::{SqliteStore, Store, StoreError, Tables, View, memory::MemoryStore};

mod accounts;
mod conversations;
mod damaged;
mod histories;
mod requests;
mod rows;

use accounts::*;
use conversations::*;
use requests::*;

/// Makes of each case a test for each store.
macro_rules! on_every_store {
    ($($case:ident)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $case() {
                let (store, _folder) = super::sqlite();
                super::$case(store).await;
            })*
        }
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                super::$case(super::MemoryStore::default()).await;
            })*
        }
    };
}

on_every_store! {
    what_fails_half_way_leaves_nothing
    a_change_sees_what_it_has_done
    what_this_process_does_is_not_done_by_others
    an_account_is_found_by_id_name_and_device
    an_account_is_what_was_last_said_of_it
    birth_dates_come_with_the_oldest_person_first
    what_is_there_cannot_be_added_again
    what_is_not_there_cannot_be_changed
    what_names_nobody_is_refused
    a_page_begins_behind_the_last_name_and_is_no_longer_than_asked
    a_revoked_device_speaks_for_nobody_and_nothing_waits_for_it
    contacts_that_have_ended_are_found_but_not_listed
    at_most_one_request_is_open_between_two_and_ends_once
    requests_are_over_at_their_end_the_earliest_first
    a_jam_ends_with_its_grant_or_by_hand
    events_are_numbered_from_one_and_the_oldest_give_way
    lifted_events_keep_their_order_above_a_gap
    a_number_of_a_complaint_is_given_out_once
    what_is_counted_lies_after_the_time_asked_for_and_comes_in_order
    only_what_is_of_no_use_any_more_is_pruned
    a_contact_that_has_ended_is_kept_for_a_while_and_a_block_for_good
    no_more_is_pruned_at_once_than_was_asked
    an_erased_account_leaves_nothing_that_tells_of_it_but_the_farewell
    what_is_shown_of_an_account_is_its_own
    receipts_are_shown_as_a_number
    what_is_put_again_takes_the_place_of_what_was
    what_is_under_way_moves_with_the_calendar
    what_lies_further_ahead_than_it_can_is_brought_back
    a_conversation_is_found_by_its_name_and_by_who_is_in_it
    a_log_keeps_its_order_and_forgets_what_all_have_read
    a_message_has_one_place_in_its_conversation
    each_device_has_a_place_of_its_own_in_a_log
    a_key_package_is_handed_out_once_and_the_last_resort_again_and_again
}

fn sqlite() -> (SqliteStore, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    (SqliteStore::open(&folder.path().join("db")).expect("opens"), folder)
}

/// Changes what a store holds.
async fn change<T: Send + 'static>(
    store: &impl Store,
    change: impl FnOnce(&mut dyn Tables) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    store.write(change).await
}

/// Makes what the case needs.
async fn with(
    store: &impl Store,
    rows: impl FnOnce(&mut dyn Tables) -> Result<(), StoreError> + Send + 'static,
) {
    change(store, rows).await.expect("written");
}

/// What a store shows.
async fn look<T: Send + 'static>(
    store: &impl Store,
    look: impl FnOnce(&dyn View) -> Result<T, StoreError> + Send + 'static,
) -> T {
    store.read(look).await.expect("read")
}

/// Three people, numbered 1 to 3.
async fn with_people(store: &impl Store) {
    with(store, |tables| (1..=3).try_for_each(|number| tables.insert_account(&rows::account(number)))).await;
}
