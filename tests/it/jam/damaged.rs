//! A node whose database of messages is damaged while it runs: it says so, puts the file aside, and goes on without being started
//! anew. Nothing of others is lost.

use std::{
    fs,
    time::{Duration, Instant},
};

use jamsync_node::api::Event;
use rusqlite::Connection;

use super::{
    messages::{told, words, write},
    process::{PATIENCE, POLL},
    stage::Friends,
};

/// How often Ben asks.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// Ben asks every other second until Ana's node hears him: it waits a quarter of a minute for others to let it in, and then begins anew.
fn asked_until_heard(friends: &mut Friends) -> String {
    let until = Instant::now() + 3 * PATIENCE;
    for number in 0.. {
        let text = format!("still there? {number}");
        write(&friends.ben, "ana", &text);
        let again = Instant::now() + ASK_EVERY;
        while Instant::now() < again {
            if words(&friends.ana, "ben").contains(&(false, text.clone())) {
                return text;
            }
            friends.ben.next_until(Instant::now() + 5 * POLL);
        }
        assert!(Instant::now() < until, "Ana is not let in again: {}", friends.ana.log());
    }
    unreachable!("there are enough numbers")
}

#[test]
fn a_database_that_is_damaged_while_the_node_runs_is_put_aside_and_messages_go_on() {
    let mut friends = Friends::meet();
    for text in ["one", "two"] {
        let mark = friends.ben.mark();
        write(&friends.ana, "ben", text);
        friends.ben.event_since(mark, text, told(text));
    }
    let file = friends.ana.home.join("messages.sqlite");
    // What is still to be sent is looked at when the coordinator is back.
    friends.stage.stop_coordinator();
    write(&friends.ana, "ben", "this is lost");
    let damaged = Connection::open(&file).and_then(|database| {
        database.busy_timeout(Duration::from_secs(5))?;
        database.execute("UPDATE outbox SET content = x'ff'", [])
    });
    assert_eq!(damaged, Ok(1));
    let mark = friends.ana.mark();
    friends.stage.start_coordinator();
    let warned = friends.ana.event_since(mark, "that it is damaged", |event| match event {
        Event::Warning { message } if message.contains("put aside") => Some(message.clone()),
        _ => None,
    });
    assert!(warned.contains("messages.damaged"), "{warned}");
    assert!(fs::metadata(file.with_extension("damaged")).is_ok_and(|aside| aside.len() > 0), "it is kept");
    // The node lives, is let in again, and both hear each other.
    let heard = asked_until_heard(&mut friends);
    let mark = friends.ben.mark();
    write(&friends.ana, "ben", "here again");
    friends.ben.event_since(mark, "her answer", told("here again"));
    let kept = words(&friends.ben, "ana");
    for text in ["one", "two", "here again"] {
        assert!(kept.contains(&(false, text.to_owned())), "Ben has lost {text}: {kept:?}");
    }
    assert!(kept.contains(&(true, heard)), "{kept:?}");
    friends.assert_sound();
}
