//! Jam requests, Jams, events and what else passes: links, codes, permits, complaints, receipts, addresses.

use jamsync_protocol::{
    time::{Span, UtcTime},
    wire::coord::{CoordReply, EventNumber, IdempotencyKey, RequestEnd},
};

use super::{
    change, look,
    rows::{code, contact, event, grant, id, jam, key, link, permit, report, request, second_device, time},
    with, with_people,
};
use crate::store::{
    ContactRow, ENDED_CONTACTS_KEPT, EVENTS_KEPT_MAX, JamRequest, JoinPermit, Latest, Link, Store, StoreError,
};

pub(super) async fn at_most_one_request_is_open_between_two_and_ends_once(store: impl Store) {
    with_people(&store).await;
    with(&store, |tables| tables.insert_request(request(1, 1, 2, 1))).await;
    for (from, to) in [(1, 2), (2, 1)] {
        let another = change(&store, move |tables| tables.insert_request(request(2, from, to, 2)));
        another.await.expect_err("one is open");
        let found = look(&store, move |view| view.request_between(id(from), id(to))).await;
        assert_eq!(found, Some(request(1, 1, 2, 1)));
    }
    let first = request(1, 1, 2, 1).id;
    with(&store, move |tables| {
        tables.end_request(first, RequestEnd::Declined)?;
        tables.insert_request(request(2, 2, 1, 2))
    })
    .await;
    let again = change(&store, move |tables| tables.end_request(first, RequestEnd::Cancelled));
    again.await.expect_err("it has ended");
    let ended = look(&store, move |view| view.request(first)).await;
    assert_eq!(ended, Some(JamRequest { end: Some(RequestEnd::Declined), ..request(1, 1, 2, 1) }));
    assert_eq!(look(&store, |view| view.requests_of(id(1), 9)).await, [request(2, 2, 1, 2)]);
}

pub(super) async fn requests_are_over_at_their_end_the_earliest_first(store: impl Store) {
    with_people(&store).await;
    let [early, late, other] = [request(3, 2, 1, 1), request(2, 1, 3, 2), request(1, 3, 2, 2)];
    with(&store, move |tables| {
        [late, other, early].into_iter().try_for_each(|one| tables.insert_request(one))
    })
    .await;
    let (none, one, all, page, mine, next) = look(&store, |view| {
        Ok((
            view.requests_overdue(time(5), 9)?,
            view.requests_overdue(time(6), 9)?,
            view.requests_overdue(time(7), 9)?,
            view.requests_overdue(time(7), 2)?,
            view.requests_of(id(1), 1)?,
            view.next_expiry()?,
        ))
    })
    .await;
    assert_eq!((none, one, page), (vec![], vec![early], vec![early, other]));
    assert_eq!((all, mine), (vec![early, other, late], vec![early]));
    assert_eq!(next, Some(time(6)));
    with(&store, move |tables| {
        [early, late, other].iter().try_for_each(|one| tables.end_request(one.id, RequestEnd::Expired))
    })
    .await;
    let after = look(&store, |view| Ok((view.requests_overdue(time(9), 9)?, view.next_expiry()?))).await;
    assert_eq!(after, (vec![], None));
}

pub(super) async fn a_jam_ends_with_its_grant_or_by_hand(store: impl Store) {
    with_people(&store).await;
    with(&store, |tables| {
        for jam in [jam(2, 1, 2, 5), jam(1, 3, 1, 9), jam(3, 2, 3, 9)] {
            tables.insert_jam(&jam, &grant(&jam))?;
        }
        Ok(())
    })
    .await;
    let (before, at, id) = (time(4), time(5), jam(1, 3, 1, 9).id);
    assert_eq!(
        look(&store, move |view| view.jams_of(key(1), before)).await,
        [jam(1, 3, 1, 9), jam(2, 1, 2, 5)]
    );
    assert_eq!(look(&store, move |view| view.jams_of(key(1), at)).await, [jam(1, 3, 1, 9)]);
    with(&store, move |tables| tables.end_jam(id)).await;
    assert_eq!(look(&store, move |view| view.jams_of(key(1), at)).await, []);
    assert!(look(&store, move |view| view.jam(id)).await.is_some_and(|jam| jam.ended));
}

pub(super) async fn events_are_numbered_from_one_and_the_oldest_give_way(store: impl Store) {
    const EXTRA: u32 = 3;
    with_people(&store).await;
    let (none, unknown) =
        look(&store, |view| Ok((view.newest_event(key(1))?, view.newest_event(key(5))?))).await;
    assert_eq!((none, unknown), (Some(EventNumber(0)), None));
    let newest = change(&store, |tables| {
        tables.push_event(key(2), &event(3))?;
        for _ in 1..EVENTS_KEPT_MAX + EXTRA {
            tables.push_event(key(1), &event(2))?;
        }
        tables.push_event(key(1), &event(3))
    });
    let newest = newest.await.expect("written");
    assert_eq!(newest, EventNumber(u64::from(EVENTS_KEPT_MAX + EXTRA)));
    let kept = look(&store, |view| view.events_after(key(1), EventNumber(0), 2_000)).await;
    assert_eq!(kept.len(), usize::try_from(EVENTS_KEPT_MAX).expect("few"));
    let numbers = kept.iter().map(|kept| kept.number.0);
    assert!(numbers.eq(u64::from(EXTRA) + 1..=newest.0), "one after the other");
    assert_eq!(kept.last().map(|kept| &kept.event), Some(&event(3)));
    let other = look(&store, |view| view.events_after(key(2), EventNumber(0), 9)).await;
    assert_eq!(other.len(), 1, "each device has its own");
    with(&store, move |tables| tables.drop_events(key(1), EventNumber(newest.0 - 2))).await;
    let left = look(&store, move |view| view.events_after(key(1), EventNumber(newest.0 - 1), 9)).await;
    assert_eq!(left.len(), 1);
    let left = look(&store, |view| view.events_after(key(1), EventNumber(0), 9)).await;
    assert_eq!(left.len(), 2);
    let page = look(&store, |view| view.events_after(key(1), EventNumber(0), 1)).await;
    assert_eq!(page.len(), 1);
    assert_eq!(look(&store, |view| view.newest_event(key(1))).await, Some(newest));
}

pub(super) async fn lifted_events_keep_their_order_above_a_gap(store: impl Store) {
    with_people(&store).await;
    with(&store, |tables| {
        for about in [2, 3] {
            tables.push_event(key(1), &event(about))?;
            tables.push_event(key(2), &event(about))?;
        }
        tables.lift_events(key(1), EventNumber(40))
    })
    .await;
    let next = change(&store, |tables| tables.push_event(key(1), &event(1))).await.expect("written");
    let lifted = look(&store, |view| view.events_after(key(1), EventNumber(0), 9)).await;
    let events: Vec<_> = lifted.iter().map(|kept| kept.event.clone()).collect();
    assert_eq!(events, [event(2), event(3), event(1)]);
    let first = lifted[0].number.0;
    assert!(first > 41 && lifted.iter().map(|kept| kept.number.0).eq(first..=next.0), "{lifted:?}");
    assert_eq!(look(&store, |view| view.newest_event(key(2))).await, Some(EventNumber(2)), "nobody else's");
}

pub(super) async fn a_number_of_a_complaint_is_given_out_once(store: impl Store) {
    with_people(&store).await;
    with(&store, |tables| {
        tables.insert_report(&report(1, 2, 1))?;
        tables.insert_report(&report(1, 3, 2))?;
        assert!(tables.drop_report(2)?);
        tables.insert_report(&report(3, 2, 3))
    })
    .await;
    let numbers =
        |reports: Vec<crate::store::Report>| reports.iter().map(|one| one.number).collect::<Vec<_>>();
    let (all, behind, page) = look(&store, |view| {
        Ok((view.reports_after(0, 9)?, view.reports_after(1, 9)?, view.reports_after(0, 1)?))
    })
    .await;
    assert_eq!((numbers(all), numbers(behind), numbers(page)), (vec![1, 3], vec![3], vec![1]));
}

pub(super) async fn what_is_counted_lies_after_the_time_asked_for_and_comes_in_order(store: impl Store) {
    with_people(&store).await;
    with(&store, |tables| {
        for at in [4, 2, 3] {
            tables.put_device_code(code(at, 1, at))?;
            tables.insert_link(link(at, 1, at))?;
            tables.insert_report(&report(1, 2, at))?;
            tables.insert_request(request(at, 1, 2, at))?;
            tables.end_request(request(at, 1, 2, at).id, RequestEnd::Declined)?;
        }
        for (with, since) in [(2, 4), (3, 2), (1, 3)] {
            tables.put_contact(&contact(1, with, since))?;
        }
        // Of others, or to others.
        tables.put_device_code(code(5, 2, 5))?;
        tables.insert_link(link(5, 2, 5))?;
        tables.insert_report(&report(2, 1, 5))?;
        tables.insert_request(request(5, 1, 3, 5))?;
        tables.put_contact(&contact(2, 1, 5))
    })
    .await;
    let counted = look(&store, |view| {
        let (me, after) = (id(1), time(2));
        Ok([
            view.code_ends(me, after)?,
            view.link_ends(me, after)?,
            view.reports_made(me, after)?,
            view.requests_made(me, id(2), after)?,
            view.contacts_since(me, after)?,
        ])
    })
    .await;
    for times in counted {
        assert_eq!(times, [time(3), time(4)]);
    }
}

pub(super) async fn only_what_is_of_no_use_any_more_is_pruned(store: impl Store) {
    with_people(&store).await;
    with(&store, |tables| {
        for (number, at) in [(1, 4), (2, 5)] {
            tables.put_join_permit(permit(number, at))?;
            tables.put_device_code(code(number, 1, at))?;
            tables.insert_link(link(number, 1, at))?;
            tables.insert_jam(&jam(number, 1, 2, at), &grant(&jam(number, 1, 2, at)))?;
            tables.insert_request(request(number, 1, 2, at))?;
            tables.end_request(request(number, 1, 2, at).id, RequestEnd::Accepted)?;
            let key_of = IdempotencyKey([number; 16]);
            tables.insert_receipt(key(1), key_of, [number; 32], &CoordReply::Done, time(at))?;
        }
        tables.insert_request(request(3, 1, 2, 4))?;
        assert_eq!(tables.prune(time(5), u32::MAX)?, 6);
        Ok(())
    })
    .await;
    for (number, stays) in [(1, false), (2, true)] {
        let there = look(&store, move |view| {
            Ok([
                view.join_permit([number; 32])?.is_some(),
                view.device_code(code(number, 1, 1).token)?.is_some(),
                view.link(link(number, 1, 1).token)?.is_some(),
                view.jam(jam(number, 1, 2, 1).id)?.is_some(),
                view.request(request(number, 1, 2, 1).id)?.is_some(),
                view.receipt(key(1), IdempotencyKey([number; 16]))?.is_some(),
            ])
        })
        .await;
        assert_eq!(there, [stays; 6], "{number}");
    }
    let open = look(&store, |view| view.request(request(3, 1, 2, 4).id)).await;
    assert!(open.is_some(), "an open request ends first");
    assert_eq!(look(&store, |view| view.jams_of(key(1), UtcTime::ZERO)).await.len(), 1);
}

pub(super) async fn a_contact_that_has_ended_is_kept_for_a_while_and_a_block_for_good(store: impl Store) {
    with_people(&store).await;
    with(&store, |tables| {
        let ended = |with, at| ContactRow { removed: true, ..contact(1, with, at) };
        tables.put_contact(&ended(2, 4))?;
        tables.put_contact(&ended(3, 5))?;
        tables.put_contact(&ContactRow { blocked: true, ..ContactRow { of: id(2), ..ended(3, 4) } })?;
        tables.put_contact(&contact(3, 1, 4))
    })
    .await;
    let made = look(&store, |view| view.contacts_since(id(1), UtcTime::ZERO)).await;
    assert_eq!(made, [], "what has ended does not count");
    let pruned = change(&store, |tables| tables.prune(time(5) + ENDED_CONTACTS_KEPT, u32::MAX)).await;
    assert_eq!(pruned.expect("written"), 1);
    let there = look(&store, |view| {
        let is = |of, with| Ok::<_, StoreError>(view.contact(id(of), id(with))?.is_some());
        Ok([is(1, 2)?, is(1, 3)?, is(2, 3)?, is(3, 1)?])
    });
    assert_eq!(there.await, [false, true, true, true]);
}

pub(super) async fn what_is_put_again_takes_the_place_of_what_was(store: impl Store) {
    with_people(&store).await;
    with(&store, |tables| {
        for ends in [4, 5] {
            tables.put_join_permit(permit(1, ends))?;
            tables.put_device_code(code(1, ends - 3, ends))?;
            tables.set_public_addresses(&[format!("host{ends}:1"), "always:1".to_owned()])?;
        }
        // A link is new and open, whatever it says of itself, and is closed once.
        tables.insert_link(Link { accepter: Some(id(3)), ..link(1, 1, 9) })?;
        tables.close_link(link(1, 1, 9).token, id(2))?;
        tables.insert_device(&second_device(1))
    })
    .await;
    let again = change(&store, |tables| tables.close_link(link(1, 1, 9).token, id(3)));
    again.await.expect_err("it is closed");
    let (permitted, coded, linked, addresses) = look(&store, |view| {
        let (permitted, coded) = (view.join_permit([1; 32])?, view.device_code(code(1, 1, 1).token)?);
        Ok((permitted, coded, view.link(link(1, 1, 9).token)?, view.public_addresses()?))
    })
    .await;
    assert_eq!((permitted, coded), (Some(permit(1, 5)), Some(code(1, 2, 5))));
    assert_eq!(linked, Some(Link { accepter: Some(id(2)), ..link(1, 1, 9) }));
    assert_eq!(addresses, ["host5:1", "always:1"]);
}

pub(super) async fn what_is_under_way_moves_with_the_calendar(store: impl Store) {
    with_people(&store).await;
    with(&store, |tables| {
        tables.put_join_permit(permit(1, 9))?;
        tables.put_device_code(code(1, 1, 9))?;
        tables.insert_link(link(1, 1, 9))?;
        tables.insert_jam(&jam(1, 1, 2, 9), &grant(&jam(1, 1, 2, 9)))?;
        tables.insert_request(request(1, 1, 2, 4))?;
        tables.insert_request(request(2, 1, 3, 4))?;
        tables.end_request(request(2, 1, 3, 4).id, RequestEnd::Declined)?;
        tables.insert_receipt(key(1), IdempotencyKey([1; 16]), [1; 32], &CoordReply::Done, time(4))?;
        tables.put_join_permit(JoinPermit { expires: UtcTime::from_nanos(i64::MAX), ..permit(2, 9) })?;
        for (with, at) in [(2, 3), (3, 4)] {
            tables.put_contact(&contact(1, with, at))?;
            tables.insert_report(&report(1, with, at))?;
        }
        Ok(())
    })
    .await;
    for (step, moved) in [(Span::from_secs(11), 11), (Span::from_secs(-9), 2), (Span::from_secs(-2), 0)] {
        let before = 4 + u8::try_from(i64::from(moved) - step.as_nanos() / 1_000_000_000).expect("seconds");
        with(&store, move |tables| tables.move_times(step, time(before)..=time(before + 1))).await;
        let done = look(&store, |view| {
            Ok([view.contacts_since(id(1), UtcTime::ZERO)?, view.reports_made(id(1), UtcTime::ZERO)?])
        });
        for times in done.await {
            assert_eq!(times, [time(3), time(4 + moved)], "the older one is a fact, the newer one counts");
        }
        let (ends, [open, ended]) = look(&store, |view| {
            let ends = [
                view.join_permit([1; 32])?.map(|row| row.expires),
                view.device_code(code(1, 1, 1).token)?.map(|row| row.expires),
                view.link(link(1, 1, 1).token)?.map(|row| row.expires),
                view.jam(jam(1, 1, 2, 1).id)?.map(|row| row.expires),
            ];
            Ok((ends, [view.request(request(1, 1, 2, 1).id)?, view.request(request(2, 1, 3, 1).id)?]))
        })
        .await;
        assert_eq!(ends, [Some(time(9 + moved)); 4]);
        assert_eq!(open, Some(request(1, 1, 2, 4 + moved)));
        let end = Some(RequestEnd::Declined);
        assert_eq!(ended, Some(JamRequest { end, ..request(2, 1, 3, 4 + moved) }));
        // A receipt shows its time only by when it is forgotten.
        let kept = change(&store, move |tables| {
            tables.prune(time(4 + moved), u32::MAX)?;
            tables.receipt(key(1), IdempotencyKey([1; 16]))
        });
        assert!(kept.await.expect("written").is_some(), "{moved}");
    }
    let far = look(&store, |view| view.join_permit([2; 32])).await.expect("it is there").expires;
    assert_eq!(far, UtcTime::from_nanos(i64::MAX) - Span::from_secs(11), "it stopped where numbers end");
    with(&store, |tables| tables.prune(time(5), u32::MAX).map(drop)).await;
    assert_eq!(look(&store, |view| view.receipt(key(1), IdempotencyKey([1; 16]))).await, None);
}

pub(super) async fn what_lies_further_ahead_than_it_can_is_brought_back(store: impl Store) {
    with_people(&store).await;
    with(&store, |tables| {
        for at in [1, 9] {
            tables.put_join_permit(permit(at, at))?;
            tables.put_device_code(code(at, 1, at))?;
            tables.insert_link(link(at, 1, at))?;
            tables.insert_request(request(at, at.min(2), 3, at))?;
            tables.insert_receipt(key(1), IdempotencyKey([at; 16]), [1; 32], &CoordReply::Done, time(at))?;
        }
        Ok(())
    })
    .await;
    let latest = Latest { done: time(2), request: time(7), link: time(4), code: time(5) };
    for expected in [5, 0] {
        let rows = change(&store, move |tables| tables.bound_times(latest)).await.expect("written");
        assert_eq!(rows, expected);
    }
    for (number, code_ends, link_ends, permit_ends) in [(1, 1, 1, 1), (9, 5, 4, 9)] {
        let ends = look(&store, move |view| {
            Ok([
                view.device_code(code(number, 1, 1).token)?.map(|row| row.expires),
                view.link(link(number, 1, 1).token)?.map(|row| row.expires),
                view.join_permit([number; 32])?.map(|row| row.expires),
            ])
        });
        assert_eq!(ends.await, [code_ends, link_ends, permit_ends].map(|end| Some(time(end))));
    }
    let requests = look(&store, |view| view.requests_of(id(3), 9)).await;
    assert_eq!(requests, [request(1, 1, 3, 1), JamRequest { expires: time(7), ..request(9, 2, 3, 2) }]);
}

pub(super) async fn no_more_is_pruned_at_once_than_was_asked(store: impl Store) {
    with_people(&store).await;
    with(&store, |tables| {
        for number in 1..=5 {
            let key_of = IdempotencyKey([number; 16]);
            tables.insert_receipt(key(1), key_of, [number; 32], &CoordReply::Done, time(number))?;
            tables.insert_link(link(number, 1, number))?;
        }
        Ok(())
    })
    .await;
    // Four receipts and four links are old; the last of each is not.
    for expected in [3, 3, 2, 0] {
        let pruned = change(&store, |tables| tables.prune(time(5), 3)).await.expect("written");
        assert_eq!(pruned, expected);
    }
    let left = look(&store, |view| {
        Ok((
            view.receipt(key(1), IdempotencyKey([5; 16]))?.is_some(),
            view.link(link(5, 1, 5).token)?.is_some(),
        ))
    });
    assert_eq!(left.await, (true, true));
}
