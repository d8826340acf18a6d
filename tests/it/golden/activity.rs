//! Listening activity: what passes through a coordinator, and what is sealed in it as it is before.

use jamsync_protocol::{
    activity::{
        Activity, ActivityNumber, Beat, BeatChain, Block, Cover, CoverAddress, CoverKey, PlayState,
        ReactionNote, SharedTrack, SlotGeneration,
    },
    chat::Reaction,
    conversation::Epoch,
    id::TrackId,
    limits::COORD_FRAME_BYTES_MAX,
    time::{Span, UtcTime},
    wire::coord::{ActivityCall, ActivityKey, ActivityNews, CoordRequest, Publication, ShownActivity},
};

use super::{
    Golden,
    identity::{founded, secret},
    list, text,
};

const EPOCH: Epoch = Epoch { generation: 1, number: 200 };
const AT: UtcTime = UtcTime::from_nanos(1_795_219_500_000_000_000);

pub(super) fn golden() -> Vec<Golden> {
    let limit = COORD_FRAME_BYTES_MAX;
    let reactions = Reaction::ALL.map(|reaction| (reaction.name(), ReactionNote { at: AT, reaction }));
    vec![
        Golden::bytes("activity-news", "ActivityNews", limit, news()),
        Golden::bytes("activity-state", "Activity", limit, activities()),
        Golden::bytes("activity-reaction", "ReactionNote", limit, reactions.into()),
    ]
}

pub(super) fn requests() -> Vec<(&'static str, CoordRequest)> {
    let calls = [
        ("Activity, Watch", ActivityCall::Watch),
        ("Activity, Publish", ActivityCall::Publish(publication())),
        ("Activity, Renew", ActivityCall::Renew { generation: SlotGeneration(3), beat: beat() }),
        ("Activity, Hide from all", ActivityCall::Hide { from: None, until: Some(AT) }),
        ("Activity, Hide", ActivityCall::Hide { from: Some(founded(2).account()), until: None }),
        (
            "Activity, React",
            ActivityCall::React { to: founded(2).account(), epoch: EPOCH, sealed: block(0xe0) },
        ),
        (
            "Activity, GiveCover",
            ActivityCall::GiveCover { generation: SlotGeneration(3), sealed: block(0xc0) },
        ),
        (
            "Activity, FetchCover",
            ActivityCall::FetchCover { of: founded(2).account(), address: CoverAddress::of(&block(0xc0)) },
        ),
    ];
    calls.into_iter().map(|(name, call)| (name, CoordRequest::Activity(call))).collect()
}

fn publication() -> Publication {
    let key = ActivityKey { viewer: founded(2).account(), epoch: EPOCH, sealed: block(0x4b) };
    Publication {
        number: ActivityNumber(1_795_219_500_000_001),
        starts: true,
        generation: SlotGeneration(300),
        whole: true,
        sealed: block(0xac),
        to: list([key]),
    }
}

fn news() -> Vec<(&'static str, ActivityNews)> {
    let shown = ShownActivity {
        of: founded(1).account(),
        device: secret(1).public(),
        number: ActivityNumber(1_795_219_500_000_001),
        epoch: EPOCH,
        key: block(0x4b),
        sealed: block(0xac),
        told_ago: Span::from_millis(4_200),
        renewed: Some((beat(), Span::from_millis(200))),
    };
    let (of, by) = (founded(1).account(), founded(2).account());
    vec![
        ("Shown", ActivityNews::Shown(shown)),
        ("Renewed", ActivityNews::Renewed { of, beat: beat() }),
        ("Hidden", ActivityNews::Hidden { of }),
        ("Reacted", ActivityNews::Reacted { by, epoch: EPOCH, sealed: block(0xe0) }),
        ("Silenced", ActivityNews::Silenced { until: Some(AT) }),
        ("Silenced for good", ActivityNews::Silenced { until: None }),
    ]
}

fn activities() -> Vec<(&'static str, Activity)> {
    let cover = Cover { address: CoverAddress::of(&block(0xc0)), key: CoverKey([0xce; 32]) };
    let activity = |state, cover| Activity {
        at: AT,
        state,
        track: SharedTrack {
            id: TrackId([7; 32]),
            title: text("Blue in Green"),
            artist: text("Größe & Söhne"),
            album: text(""),
            duration: Span::from_secs(337),
        },
        position: Span::from_millis(12_345),
        beats: BeatChain::new([5; 16]).anchor(),
        cover,
    };
    vec![
        ("Playing", activity(PlayState::Playing, Some(cover))),
        ("Paused", activity(PlayState::Paused, None)),
        ("Ended", activity(PlayState::Ended, None)),
    ]
}

fn beat() -> Beat {
    BeatChain::new([5; 16]).beat(200).expect("within the chain")
}

pub(super) fn block<const N: usize>(byte: u8) -> Block<N> {
    Block::new(vec![byte; N]).expect("of its size")
}
