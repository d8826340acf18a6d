//! Key packages over weeks: none runs out while its device is there now and then.

use std::{cell::RefCell, rc::Rc};

use jamsync_protocol::{
    text::List,
    time::Span,
    wire::coord::{CoordReply, CoordRequest, KeyPackage},
};

use super::World;

const ANA: usize = 0;
const BEN: usize = 1;

/// The package of Ana's that Ben gets next.
fn take(world: &mut World) -> KeyPackage {
    let [ana, ben] = [ANA, BEN].map(|number| world.devices[number].secret.public());
    let taken = world.ask(ben, CoordRequest::TakeKeyPackages { devices: List::new(vec![ana]).expect("one") });
    match taken {
        Ok(CoordReply::TakenPackages(taken)) => taken.first().expect("one").package.clone(),
        other => panic!("none: {other:?}"),
    }
}

#[test]
fn packages_that_nobody_used_are_replaced_before_they_run_out() {
    let mut world = World::of(&["ana", "ben"], 21);
    world.settle();
    let published: Rc<RefCell<Vec<CoordRequest>>> = Rc::default();
    let (kept, mut days) = (Rc::clone(&published), Vec::new());
    world.lie = Some(Box::new(move |request, answer| {
        if matches!(request, CoordRequest::PublishKeyPackages { .. }) {
            kept.borrow_mut().push(request.clone());
        }
        answer
    }));
    // Ben is away for good, or his would count.
    world.kill(BEN);
    for day in 1..=90 {
        world.now += Span::from_secs(86_400);
        world.settle();
        for request in published.borrow_mut().drain(..) {
            let CoordRequest::PublishKeyPackages { packages, last_resort, anew } = request else { continue };
            assert!(anew && last_resort.is_some(), "all of them, the last resort among them");
            assert_eq!(packages.len(), 24);
            days.push((day, packages));
        }
    }
    let on: Vec<i32> = days.iter().map(|(day, _)| *day).collect();
    assert!(matches!(on[..], [28 | 29, 56..=58, 84..=87]), "{on:?}");
    let (_, newest) = days.last().expect("some");
    assert!(newest.contains(&take(&mut world)), "no old one is handed out");
}

#[test]
fn a_calendar_that_was_a_year_ahead_keeps_no_package_for_a_year() {
    let mut world = World::of(&["ana", "ben"], 22);
    world.kill(BEN);
    let year = Span::from_secs(365 * 86_400);
    world.now += year;
    world.settle();
    let before = take(&mut world);
    world.now += Span::ZERO - year;
    world.kill(ANA);
    world.start(ANA);
    let count = Rc::new(RefCell::new(0));
    let counted = Rc::clone(&count);
    world.lie = Some(Box::new(move |request, answer| {
        if matches!(request, CoordRequest::PublishKeyPackages { anew: true, .. }) {
            *counted.borrow_mut() += 1;
        }
        answer
    }));
    world.settle();
    assert_eq!(*count.borrow(), 1);
    assert_ne!(take(&mut world), before);
}
