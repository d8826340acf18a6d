//! Edits the queue at random, as a listener would who wants the music to play on, and notes who sees which edit when.

use std::collections::HashMap;

use jamsync_protocol::{
    id::EntryId,
    media::{Frames, Track},
    queue::{EditId, Intent, Place},
    session::{Command, Session},
    time::{NodeTime, Span},
};
use rand::{Rng as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;

use super::{GUEST, HOST, side::Side};
use crate::{
    latency::{EditDelay, EditRecord, Edits, case::Who},
    score::TrueTime,
};

/// Makes the edits of a case.
#[derive(Debug)]
pub(super) struct Editor {
    edits: Edits,
    random: ChaCha8Rng,
    tracks: Vec<Track>,
    made: u32,
    last: Span,
    /// How many edits each side has made and not taken back: what it did before is none of the editor's.
    own: [u32; 2],
    /// Since when both queues have been equal without a break.
    equal_since: Option<Span>,
}

impl Editor {
    pub(super) fn new(edits: Edits, seed: u64, tracks: Vec<Track>) -> Self {
        let random = ChaCha8Rng::seed_from_u64(seed);
        Self { edits, random, tracks, made: 0, last: Span::ZERO, own: [0; 2], equal_since: None }
    }

    /// When the next edit is due, where the guest entered at `entered`.
    pub(super) fn due(&self, entered: Span) -> Option<Span> {
        let at_s = self.edits.at_s + f64::from(self.made) / self.edits.per_s;
        (self.made < self.edits.count).then(|| entered + Span::from_secs_f64(at_s))
    }

    /// Makes an edit at either side, and says at which.
    pub(super) fn edit(&mut self, sides: &mut [Side; 2], now: Span) -> usize {
        let who = if self.random.random() { GUEST } else { HOST };
        let side = &mut sides[who];
        let node_now = side.time(now);
        (self.made, self.last) = (self.made + 1, now);
        // What would change nothing is refused at once, and a listener tries something else.
        for _ in 0..TRIES {
            let intent = self.intent(&side.session, self.own[who] > 0, node_now);
            let undoes = matches!(intent, Intent::Undo);
            if side.session.handle_command(Command::Edit(intent), node_now).is_ok() {
                self.own[who] = if undoes { self.own[who].saturating_sub(1) } else { self.own[who] + 1 };
                break;
            }
        }
        who
    }

    /// An edit at random that leaves alone what plays. While little is ahead, or what plays is about to end, it is an
    /// addition: an empty queue stops the music, and nobody here would resume it.
    fn intent(&mut self, session: &Session, may_undo: bool, now: NodeTime) -> Intent {
        let random = &mut self.random;
        let track: Vec<Track> = self.tracks.choose(random).cloned().into_iter().collect();
        let entries: Vec<EntryId> = session.queue().entries().map(|entry| entry.id).collect();
        let heard =
            session.intended(now).and_then(|heard| Some((heard, session.queue().entry(heard.entry)?)));
        let Some((heard, plays)) = heard else { return Intent::Append(track) };
        let left = plays.track.length.0.saturating_sub(heard.position.0);
        let ends_soon = plays.track.rate.span_of(Frames(left)) < ENDS_SOON;
        let ahead = entries.iter().rev().take_while(|entry| **entry != heard.entry).count();
        if ahead < AHEAD_MIN || ends_soon {
            return Intent::Append(track);
        }
        let others: Vec<EntryId> = entries.into_iter().filter(|entry| *entry != heard.entry).collect();
        let (one, other) = (others.choose(random).copied(), others.choose(random).copied());
        match (random.random_range(0..100), one, other) {
            (40..50, ..) => Intent::PlayNext { after: None, tracks: track },
            (50..70, Some(entry), Some(other)) => Intent::Move { entry, place: Place::After(other) },
            (70..92, Some(entry), _) => Intent::Remove(vec![entry]),
            (92..97, ..) if may_undo => Intent::Undo,
            (97..99, ..) => Intent::Shuffle { seed: random.random() },
            (99, ..) => Intent::Clear,
            _ => Intent::Append(track),
        }
    }

    /// Looks at both queues, after anything has happened.
    pub(super) fn look(&mut self, sides: &[Side; 2], now: Span) {
        if self.made < self.edits.count || self.equal_since.is_some() && now - self.last > QUIET {
            return;
        }
        let order = |side: &Side| side.session.queue().entries().map(|entry| entry.id).collect::<Vec<_>>();
        let pending = sides.iter().any(|side| side.session.queue().pending().next().is_some());
        let equal = !pending && order(&sides[GUEST]) == order(&sides[HOST]);
        self.equal_since = equal.then(|| self.equal_since.unwrap_or(now));
    }

    /// What became of the edits.
    pub(super) fn record(&self, sides: &[Side; 2]) -> EditRecord {
        let seen: [HashMap<EditId, Span>; 2] =
            sides.each_ref().map(|side| side.edits.iter().rev().copied().collect());
        let mut delays = Vec::new();
        for (index, by) in [(GUEST, Who::A), (HOST, Who::B)] {
            let me = sides[index].session.me();
            let own = seen[index].iter().filter(|(edit, _)| edit.author == me);
            for (edit, made) in own.filter(|(_, made)| self.began() <= **made) {
                let until = seen[1 - index].get(edit).map(|at| (*at - *made).as_secs_f64() * 1e3);
                delays.push(EditDelay { at_ns: TrueTime::default() + *made, by, until_other_ms: until });
            }
        }
        delays.sort_by_key(|delay| (delay.at_ns, delay.by == Who::B));
        let equal = self.equal_since.map(|since| (since - self.last).as_secs_f64() * 1e3);
        EditRecord { delays, equal_after_ms: equal, entries: sides[HOST].session.queue().entries().count() }
    }

    /// Edits before this are the making of the queue.
    fn began(&self) -> Span {
        let all = f64::from(self.made.saturating_sub(1)) / self.edits.per_s;
        self.last - Span::from_secs_f64(all) - Span::from_millis(1)
    }
}

/// With fewer entries behind what plays only additions are made: both sides may take away one at the same time.
const AHEAD_MIN: usize = 3;
/// What plays is about to end so long before its end: until then a queue that was cleared is filled again.
const ENDS_SOON: Span = Span::from_secs(10);
/// How often something else is tried.
const TRIES: u32 = 8;
/// After so long without an edit it is settled whether both are equal.
const QUIET: Span = Span::from_secs(2);
