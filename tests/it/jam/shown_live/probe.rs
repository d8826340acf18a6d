//! A publisher whose changes are stamped, a friend's node that is followed, and times as figures.

use std::{fmt, ops::Range, path::Path};

use jamsync_node::api::{ActivityState, Event, FriendActivity, Reply, Request, SeekTo, client::Client};
use jamsync_node::clock::NodeClock;
use jamsync_protocol::time::{NodeTime, Span};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::{sync::mpsc, time::timeout};

use crate::jam::process::PATIENCE;

/// What a node says, and when it was heard: all clocks of one machine are the same.
type Stamped<T> = mpsc::UnboundedReceiver<(NodeTime, T)>;

/// What the player of the publisher says of a change.
#[derive(Clone, Debug)]
pub(super) struct Done {
    /// When it took effect, by its node.
    pub(super) at: NodeTime,
    pub(super) title: String,
    pub(super) position: Span,
    pub(super) playing: bool,
}

/// One whose changes are measured.
pub(super) struct Publisher {
    client: Client,
    done: Stamped<Done>,
    pub(super) random: ChaCha8Rng,
    /// Which change comes next.
    turn: u32,
    /// Where the last one was.
    reached_ms: u64,
}

/// A friend's node, as a program sees it that follows it.
pub(super) struct Viewer(Stamped<FriendActivity>);

impl Publisher {
    pub(super) async fn of(home: &Path, seed: u64) -> Self {
        let (client, done) = (connect(home).await, follow(home, done).await);
        Self { client, done, random: ChaCha8Rng::seed_from_u64(seed), turn: 0, reached_ms: 0 }
    }

    /// Makes the next change, and tells what its player has done.
    pub(super) async fn change(&mut self) -> Done {
        while self.done.try_recv().is_ok() {}
        // Far from where it is: a step of less than 0.3 s is none.
        let to = (self.reached_ms + self.random.random_range(SEEK_MS)) % SEEK_MS_MAX;
        let to = SeekTo::PositionMs(to);
        let request = match self.turn % 5 {
            0 | 3 => Request::Seek { to },
            1 => Request::Pause,
            2 => Request::Resume,
            _ => Request::Skip,
        };
        self.turn += 1;
        self.ask(request).await;
        let done = self.next_done().await;
        self.reached_ms = u64::try_from(done.position.as_millis()).expect("a position");
        done
    }

    pub(super) async fn ask(&mut self, request: Request) -> Reply {
        self.client.call(request).await.expect("it is done")
    }

    pub(super) async fn next_done(&mut self) -> Done {
        let next = timeout(PATIENCE, self.done.recv()).await;
        next.expect("the player does it in time").expect("the node lives").1
    }
}

impl Viewer {
    pub(super) async fn of(home: &Path) -> Self {
        Self(
            follow(home, |event| match event {
                Event::Activity(shown) => Some(*shown),
                _ => None,
            })
            .await,
        )
    }

    /// When this was seen first; and how many other states were told before it.
    pub(super) async fn sees(&mut self, fits: impl Fn(&FriendActivity) -> bool) -> (NodeTime, usize) {
        let mut others = 0;
        loop {
            let next = timeout(PATIENCE, self.0.recv()).await;
            let (at, shown) = next.expect("it is shown in time").expect("the node lives");
            if fits(&shown) {
                return (at, others);
            }
            others += 1;
        }
    }

    pub(super) fn forget(&mut self) {
        while self.0.try_recv().is_ok() {}
    }
}

impl Done {
    /// Whether a friend's node shows just this.
    pub(super) fn is_shown_as(&self, shown: &FriendActivity) -> bool {
        let (playing, position) = match shown.state {
            ActivityState::Playing { position } => (true, position),
            ActivityState::Paused { position, .. } => (false, position),
            ActivityState::Hidden | ActivityState::Last { .. } | ActivityState::Stale { .. } => return false,
        };
        let title = shown.track.as_ref().map_or("", |track| track.title.as_str());
        title == self.title && playing == self.playing && (position - self.position).abs() < SAME_PLACE
    }
}

fn done(event: Event) -> Option<Done> {
    match event {
        Event::Anchor { title, position, playing, node_time_ns: at, .. } => {
            Some(Done { at, title: title.as_str().to_owned(), position, playing })
        }
        _ => None,
    }
}

async fn connect(home: &Path) -> Client {
    Client::connect(&home.join("control.sock")).await.expect("the node listens")
}

/// Follows what happens at a node, as far as `of` picks it; each with the moment at which it was told.
async fn follow<T: Send + 'static>(home: &Path, of: fn(Event) -> Option<T>) -> Stamped<T> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut client = connect(home).await;
    client.watch().await.expect("it can be followed");
    // The first is the state at that moment: what happens from now on is told.
    assert!(matches!(client.event().await, Ok(Some(Event::Snapshot(_)))));
    let clock = NodeClock::system();
    tokio::spawn(async move {
        while let Ok(Some(event)) = client.event().await {
            let now = clock.now();
            if of(event).is_some_and(|what| sender.send((now, what)).is_err()) {
                return;
            }
        }
    });
    receiver
}

/// Times of many, as figures.
pub(super) struct Figures(Vec<Span>);

impl Figures {
    pub(super) fn of(mut all: Vec<Span>) -> Self {
        all.sort_unstable();
        Self(all)
    }

    /// The time within which so many of a hundred came.
    pub(super) fn within(&self, percent: usize) -> Span {
        self.0[(self.0.len() * percent).div_ceil(100).max(1) - 1]
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, most] = [50, 99, 100].map(|percent| self.within(percent).as_secs_f64() * 1e3);
        write!(f, "p50 {p50:.1} ms, p99 {p99:.1} ms, at most {most:.1} ms, of {}", self.0.len())
    }
}

/// Where a seek goes at most: so much of each track is left that none ends by itself.
const SEEK_MS_MAX: u64 = 60_000;
/// How far a seek goes ahead, round about [`SEEK_MS_MAX`].
const SEEK_MS: Range<u64> = 10_000..50_000;
/// How far two positions are apart at most that are the same: what plays on until it is told, on a machine that is busy.
const SAME_PLACE: Span = Span::from_secs(2);
