//! The digits that two contacts compare: the same at both, on every device, without the coordinator, and another for others.

use jamsync_node::api::{ErrorCode, Reply};

use super::{devices::second_device, node::Node, stage::Friends};

/// The code of `node` and `friend`, and how many devices it covers on either side.
fn safety(node: &Node, friend: &str) -> (String, [u32; 2]) {
    match node.run(&["safety", friend]) {
        Reply::Safety { code, devices, friend_devices, .. } => (code, [devices, friend_devices]),
        other => panic!("no safety code, but {other:?}"),
    }
}

#[test]
fn friends_see_the_same_safety_code_on_every_device_and_others_another() {
    let mut friends = Friends::meet();
    let (code, devices) = safety(&friends.ana, "ben");
    assert_eq!((code.split(' ').count(), devices), (12, [1, 1]));
    assert_eq!(safety(&friends.ben, "ana"), (code.clone(), [1, 1]));
    friends.ana.run(&["safety", "ben", "--compare", &code.replace(' ', "")]);

    // A further device is covered by the same digits.
    let mut laptop = second_device(&friends.stage, &friends.ana, "laptop");
    let seen = laptop.until("the laptop knows the friend", |laptop| {
        laptop.try_run(&["safety", "ben"]).is_ok().then(|| safety(laptop, "ben"))
    });
    assert_eq!(seen, (code.clone(), [2, 1]));
    friends
        .ben
        .until("Ben knows of the laptop", |ben| (safety(ben, "ana") == (code.clone(), [1, 2])).then_some(()));

    // The node itself knows both accounts: no coordinator is asked.
    friends.stage.kill_coordinator();
    assert_eq!(safety(&friends.ben, "ana").0, code);

    // One digit that differs is said loudly, with what to do.
    let mut digits = code.into_bytes();
    digits[0] = if digits[0] == b'9' { b'0' } else { digits[0] + 1 };
    let other = String::from_utf8(digits).expect("digits");
    let refused = friends.ben.fails(&["safety", "ana", "--compare", &other], ErrorCode::Refused);
    assert!(refused.contains("DIFFERENT") && refused.contains("contacts remove ana"), "{refused}");
    friends.ben.fails(&["safety", "nobody"], ErrorCode::NotFound);
}
