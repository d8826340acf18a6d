//! Cards, reactions, receipts and requests between real nodes: what one does, as the other sees it.

use std::path::Path;

use jamsync_node::api::{ConversationMessage, ErrorCode, Event, MessageCard, MessageProgress, Reply, Talk};
use jamsync_protocol::chat::Reaction;

use super::{
    messages::{messages, write},
    node::Node,
    stage::Friends,
};

/// The last message, looked at without a word to its author.
pub(super) fn last(node: &Node, with: &str) -> ConversationMessage {
    match node.run(&["messages", with, "--last", "1", "--peek"]) {
        Reply::Messages { mut messages, .. } => messages.pop().expect("a message"),
        other => panic!("no messages, but {other:?}"),
    }
}

pub(super) fn talk(node: &Node) -> Talk {
    match node.run(&["messages"]) {
        Reply::Messages { mut talks, .. } => talks.pop().expect("a conversation"),
        other => panic!("no messages, but {other:?}"),
    }
}

/// Waits until the newest message of `node` has come so far.
pub(super) fn until_it_is(node: &mut Node, with: &str, progress: MessageProgress) {
    node.until(&format!("{progress:?}"), |node| (last(node, with).progress == Some(progress)).then_some(()));
}

/// Both have written to each other.
fn acquainted() -> Friends {
    let mut friends = Friends::meet();
    write(&friends.ana, "ben", "hello");
    friends.ben.until("hello", |ben| (messages(ben, "ana").len() == 1).then_some(()));
    write(&friends.ben, "ana", "hello Ana");
    friends.ana.until("an answer", |ana| (messages(ana, "ben").len() == 2).then_some(()));
    friends
}

#[test]
fn a_card_arrives_whole_and_plays_the_own_copy() {
    let mut friends = acquainted();
    let music = friends.stage.music(3, 2);
    let folder = music[0].parent().expect("a folder").to_owned();
    let show = |arguments: &[&str], file: &Path, ben: &mut Node| {
        let all: Vec<&str> = [&["msg", "ben"], arguments, &[file.to_str().expect("UTF-8")]].concat();
        let Reply::Message { message } = friends.ana.run(&all) else { panic!("no message") };
        ben.until("the card", |ben| {
            let seen = last(ben, "ana");
            (seen.id == message.id)
                .then(|| assert_eq!((&seen.card, &seen.text), (&message.card, &message.text)))
        });
        message
    };
    let ben = &mut friends.ben;
    let track = show(&["--track"], &music[0], ben);
    assert_eq!(track.text.as_str(), "track: Piece 1 (0:02)");
    let episode = show(&["--show", "Night Talk", "--episode"], &music[1], ben);
    assert_eq!(episode.text.as_str(), "episode: Piece 2, of Night Talk (0:02)");
    let chapter = show(&["--book", "The Book", "--author", "A. Uthor", "--chapter"], &music[1], ben);
    assert_eq!(chapter.text.as_str(), "chapter: Piece 2, of The Book, by A. Uthor (0:02)");
    let playlist = show(&["--title", "Mine", "--playlist"], &folder, ben);
    assert_eq!(playlist.text.as_str(), "playlist: Mine (3 entries)");
    let Some(MessageCard::Playlist { entries, count: 3, .. }) = playlist.card else { panic!("no playlist") };
    assert_eq!(
        entries.iter().map(|entry| entry.title.as_str()).collect::<Vec<_>>(),
        ["Piece 1", "Piece 2", "Piece 3"]
    );

    // Ben has no copy yet.
    let refused = ben.fails(&["messages", "play", "ana", &track.id[..8]], ErrorCode::NotFound);
    assert!(refused.contains("no copy of track: Piece 1"), "{refused}");
    ben.fails(&["messages", "play", "ana", "ffff"], ErrorCode::NotFound);
    ben.run(&["library", "add", music[0].to_str().expect("UTF-8")]);
    ben.run(&["messages", "play", "ana", &track.id[..8]]);
    ben.until("it plays", |ben| {
        ben.status().now.is_some_and(|now| now.title.as_str() == "Piece 1").then_some(())
    });
    // What plays is shown in turn; of the playlist Ben has one.
    ben.run(&["msg", "ana", "--playing"]);
    friends.ana.until("what Ben hears", |ana| {
        (last(ana, "ben").text.as_str() == "track: Piece 1 (0:02)").then_some(())
    });
    ben.run(&["messages", "add", "ana", &playlist.id]);

    let ana = &friends.ana;
    let file = music[0].to_str().expect("UTF-8");
    ana.fails(&["msg", "ben", "--playing"], ErrorCode::NotFound);
    ana.fails(&["msg", "ben", "--track", "no such file"], ErrorCode::NotFound);
    let unnamed = ana.fails(&["msg", "ben", "--episode", file], ErrorCode::Usage);
    assert!(unnamed.contains("--show"), "{unnamed}");
    ana.fails(&["msg", "ben", "--track", file, "--title", "\u{1b}[2J"], ErrorCode::Usage);
    ana.fails(&["msg", "ben", "--track", file, "--title", ""], ErrorCode::Usage);
    ana.fails(&["msg", "ben", "--track", file, "--title", &"x".repeat(257)], ErrorCode::Usage);
    let empty = friends.stage.subfolder("empty");
    ana.fails(&["msg", "ben", "--playlist", empty.to_str().expect("UTF-8")], ErrorCode::Unplayable);
}

#[test]
fn a_reaction_stands_beside_its_message_until_it_is_taken_back() {
    let mut friends = acquainted();
    let id = last(&friends.ana, "ben").id;
    friends.ana.run(&["react", "ben", "--message", &id[..6], "fire"]);
    let seen = friends.ben.event("the reaction", |event| match event {
        Event::MessageReaction { mine: false, id, reaction, .. } => Some((id.clone(), *reaction)),
        _ => None,
    });
    assert_eq!(seen, (id.clone(), Some(Reaction::Fire)));
    let [ana, ben] = [last(&friends.ana, "ben"), last(&friends.ben, "ana")];
    assert_eq!(
        ana.reactions.iter().map(|one| (one.mine, one.reaction)).collect::<Vec<_>>(),
        [(true, Reaction::Fire)]
    );
    assert_eq!(
        ben.reactions.iter().map(|one| (one.mine, one.reaction)).collect::<Vec<_>>(),
        [(false, Reaction::Fire)]
    );
    friends.ana.run(&["react", "ben", "--message", &id, "none"]);
    friends.ben.until("it is taken back", |ben| last(ben, "ana").reactions.is_empty().then_some(()));
    friends.ana.fails(&["react", "ben", "--message", "ffffffff", "fire"], ErrorCode::NotFound);
    friends.ana.fails(&["react", "ben", "--message", "\u{1b}[2J", "fire"], ErrorCode::NotFound);
    friends.ana.fails(&["react", "ben", "--message", &id, "pizza"], ErrorCode::Usage);
    friends.ana.fails(&["react", "nobody", "--message", &id, "fire"], ErrorCode::NotFound);
}

#[test]
fn a_first_message_waits_at_the_door_and_what_was_read_is_told_once_it_is_opened() {
    let mut friends = Friends::meet();
    write(&friends.ana, "ben", "may I?");
    let asked = friends.ben.event("the request", |event| match event {
        Event::Message(message) => Some(message.clone()),
        _ => None,
    });
    assert!(asked.request, "{asked:?}");
    assert_eq!(messages(&friends.ben, "ana").len(), 1);
    assert!(talk(&friends.ben).request);
    assert_eq!(last(&friends.ana, "ben").progress, Some(MessageProgress::Sent), "Ben's looking is his own");
    friends.ben.run(&["messages", "accept", "ana"]);
    until_it_is(&mut friends.ana, "ben", MessageProgress::Read);
    friends.ben.fails(&["messages", "decline", "ana"], ErrorCode::NotFound);

    // Reading is told by who tells it alone.
    let Reply::ReadReceipts { on: false } = friends.ben.run(&["messages", "receipts", "off"]) else {
        panic!("they are on")
    };
    write(&friends.ana, "ben", "and now?");
    until_it_is(&mut friends.ana, "ben", MessageProgress::Delivered);
    assert_eq!(talk(&friends.ben).unread, 1);
    assert_eq!(messages(&friends.ben, "ana").len(), 2);
    assert_eq!(talk(&friends.ben).unread, 0);
    let Reply::ReadReceipts { on: false } = friends.ben.run(&["messages", "receipts"]) else {
        panic!("kept")
    };
    friends.ben.run(&["messages", "receipts", "on"]);
    until_it_is(&mut friends.ana, "ben", MessageProgress::Read);
}
