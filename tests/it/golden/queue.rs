//! Values of the queue stream. The pieces of a snapshot are those of a queue that was edited.

use jamsync_protocol::{
    limits::PEER_FRAME_BYTES_MAX,
    queue::{Change, Edit, EditId, Fact, Head, Intent, Piece, Place, QueueMessage, Replica, Term},
};

use super::{Golden, entry, list, participant, track};

pub(super) fn golden() -> Vec<Golden> {
    let mut values = vec![
        ("Resume from nothing", QueueMessage::Resume { question: 1, at: Head::ZERO }),
        ("Resume", QueueMessage::Resume { question: 300, at: head(41) }),
        ("Resumed", QueueMessage::Resumed { question: 300 }),
    ];
    values.extend(changes().map(|(name, change)| (name, QueueMessage::Propose(edit(change)))));
    let undo = Fact::Edit(edit(Change::Undo { edit: EditId { author: participant(1), number: 12 } }));
    values.push(("Ordered, Edit", QueueMessage::Ordered { at: head(42), fact: undo }));
    let freeze = Fact::Freeze(entry(0, 3));
    values.push(("Ordered, Freeze", QueueMessage::Ordered { at: head(u64::MAX), fact: freeze }));
    values.extend(snapshot());
    vec![Golden::bytes("peer-queue", "QueueMessage", PEER_FRAME_BYTES_MAX, values)]
}

fn changes() -> [(&'static str, Change); 8] {
    let (one, two) = (entry(0, 1), entry(1, 200));
    [
        (
            "Propose, Add",
            Change::Add {
                first: 201,
                place: Place::After(one),
                tracks: list([track(0x11, "A title"), track(0x22, "誰も")]),
            },
        ),
        ("Propose, Add at the start", Change::Add { first: 203, place: Place::Start, tracks: list([]) }),
        ("Propose, Move", Change::Move { entry: two, place: Place::End }),
        ("Propose, Remove", Change::Remove { entries: list([one, two]) }),
        ("Propose, Remove nothing", Change::Remove { entries: list([]) }),
        ("Propose, Clear", Change::Clear { seen: list([one]) }),
        ("Propose, Shuffle", Change::Shuffle { order: list([two, one]) }),
        ("Propose, Undo", Change::Undo { edit: EditId { author: participant(1), number: 12 } }),
    ]
}

/// What a host sends that adopted three tracks, edited them in every way, and is asked by a newcomer.
fn snapshot() -> Vec<(&'static str, QueueMessage)> {
    let (host, guest) = (participant(0), participant(1));
    let tracks = vec![track(1, "one"), track(2, "two"), track(3, "three")];
    let mut replica = Replica::adopting(host, 1, tracks).expect("room for three");
    for intent in [
        Intent::Append(vec![track(4, "four"), track(5, "five")]),
        Intent::Move { entry: entry(0, 5), place: Place::After(entry(0, 1)) },
        Intent::Shuffle { seed: 1 },
        Intent::Remove(vec![entry(0, 2)]),
    ] {
        replica.edit(intent).expect("an edit that changes something");
    }
    replica.freeze(entry(0, 1)).expect("an entry of the queue");
    replica.handle_connected(guest);
    let resume = QueueMessage::Resume { question: 1, at: Head::ZERO };
    replica.handle_message(guest, resume).expect("the host is asked");
    let mut values = Vec::new();
    while let Some(transmit) = replica.poll_transmit() {
        let QueueMessage::Snapshot { piece, .. } = &transmit.message else {
            panic!("a newcomer gets a snapshot")
        };
        let name = match piece {
            Piece::Start { .. } => "Snapshot, Start",
            Piece::Slots(_) => "Snapshot, Slots",
            Piece::Effects(_) => "Snapshot, Effects",
            Piece::End => "Snapshot, End",
        };
        values.push((name, transmit.message));
    }
    values
}

fn edit(change: Change) -> Edit {
    Edit { id: EditId { author: participant(1), number: 13 }, change }
}

fn head(number: u64) -> Head {
    Head { number, term: Term { epoch: 1, host: participant(0) } }
}
