//! While a friend is away the music waits, where the listeners have chosen so.

use jamsync_node::api::{Event, Peer};
use rustix::process::Signal;

use super::stage::Friends;

#[test]
fn the_music_waits_for_a_friend_and_goes_on_when_both_are_there() {
    let mut friends = Friends::who_wait();
    let music = friends.stage.music(1, 200);
    friends.begin_jam_with(&music);
    // First the host waits for its guest, then the guest for its host.
    for guest_waits in [false, true] {
        let Friends { ana, ben, .. } = &mut friends;
        let (away, waiting) = if guest_waits { (ben, ana) } else { (ana, ben) };
        let mark = waiting.mark();
        away.signal(Signal::STOP);
        let told = waiting.event_since(mark, "the loss of its friend", |event| match event {
            Event::PeerLost { waits, .. } => Some(*waits),
            _ => None,
        });
        assert!(told, "it is told that the music waits");
        let now = waiting.status().now.expect("something is on");
        assert!(!now.playing, "{now:?}");
        let peer = waiting.status().jam.map(|jam| jam.peer);
        assert!(matches!(peer, Some(Peer::Lost { waits: true, .. })), "{peer:?}");
        away.signal(Signal::CONT);
        waiting.event_since(mark, "its friend's return", |event| {
            matches!(event, Event::PeerBack { .. }).then_some(())
        });
        friends.hear("the music goes on", |heard| heard.playing && heard.position >= now.position);
    }
    friends.assert_sound();
}
