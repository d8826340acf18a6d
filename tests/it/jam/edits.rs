//! Edits from both sides, at the same time and one after the other, end in one queue with every author named.

use std::{path::PathBuf, thread};

use jamsync_node::api::{Event, QueueEdit, Who};

use super::{
    node::Node,
    stage::{Friends, titles},
};

fn queue(node: &Node, words: &[&str], files: &[PathBuf]) {
    let words = std::iter::once(&"queue").chain(words).map(PathBuf::from);
    node.run(&words.chain(files.iter().cloned()).collect::<Vec<_>>());
}

#[test]
fn edits_on_both_sides_at_once_end_in_the_same_queue_with_their_authors() {
    let mut friends = Friends::meet();
    let music = friends.stage.music(8, 30);
    friends.ana.run(&[&[PathBuf::from("library"), "add".into()], &music[..]].concat());
    friends.begin_jam_with(&music[..4]);
    friends.agree("as the host began", |queue| titles(queue) == ["Piece 2", "Piece 3", "Piece 4"]);

    let Friends { ana, ben, .. } = &mut friends;
    thread::scope(|both| {
        let music = &music;
        both.spawn(move || {
            queue(ana, &["add"], &music[4..6]);
            queue(ana, &["move", "3", "1"], &[]);
            queue(ana, &["next"], &music[6..7]);
        });
        both.spawn(move || {
            queue(ben, &["add"], &music[7..8]);
            queue(ben, &["remove", "1"], &[]);
            queue(ben, &["shuffle"], &[]);
            queue(ben, &["undo"], &[]);
        });
    });
    // Three there were; Ana added three, Ben one, and took one away.
    let edited = friends.agree("after edits from both", |queue| queue.len() == 6);
    for entry in &edited {
        let title = entry.title.as_str();
        let anas = ["Piece 5", "Piece 6", "Piece 7"].contains(&title);
        assert_eq!(entry.added_by == Who::You, anas, "{title} by {:?}", entry.added_by);
    }
    let bens = friends.ben.status().queue;
    // Whose entry Ben took away depends on whose edits came first; both sides agree on it.
    let by_ana = edited.iter().filter(|entry| entry.added_by == Who::You).count();
    let by_friend: Vec<_> = bens.iter().filter(|entry| entry.added_by != Who::You).collect();
    assert_eq!(by_friend.len(), by_ana, "{bens:?}");
    assert!(by_friend.iter().all(|entry| matches!(&entry.added_by, Who::Peer(ana) if ana.as_str() == "ana")));

    let mark = friends.ana.mark();
    queue(&friends.ben, &["clear"], &[]);
    friends.agree("cleared by the host", |queue| queue.is_empty());
    friends.ana.event_since(mark, "who cleared", |event| match event {
        Event::QueueEdited { by: Who::Peer(ben), edit: QueueEdit::Cleared { count: 6 } } => {
            (ben.as_str() == "ben").then_some(())
        }
        _ => None,
    });
    queue(&friends.ben, &["undo"], &[]);
    let again = friends.agree("taken back", |queue| queue.len() == 6);
    assert_eq!(super::stage::ids(&again), super::stage::ids(&edited), "the same entries in the same order");
    friends.assert_sound();
}
