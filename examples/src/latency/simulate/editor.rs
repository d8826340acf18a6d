//! Edits the queue at random, as a listener would, and notes who sees which edit when.

use std::collections::HashMap;

use jamsync_protocol::{
    id::EntryId,
    media::Track,
    queue::{EditId, Intent, Place, Replica},
    session::Command,
    time::Span,
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
    /// Since when both queues have been equal without a break.
    equal_since: Option<Span>,
}

impl Editor {
    pub(super) fn new(edits: Edits, seed: u64, tracks: Vec<Track>) -> Self {
        let random = ChaCha8Rng::seed_from_u64(seed);
        Self { edits, random, tracks, made: 0, last: Span::ZERO, equal_since: None }
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
        let mut tries = (0..TRIES).map(|_| self.intent(side.session.queue())).collect::<Vec<_>>().into_iter();
        let _ = tries.any(|intent| side.session.handle_command(Command::Edit(intent), node_now).is_ok());
        who
    }

    fn intent(&mut self, queue: &Replica) -> Intent {
        let entries: Vec<EntryId> = queue.entries().map(|entry| entry.id).collect();
        let random = &mut self.random;
        let track: Vec<Track> = self.tracks.choose(random).cloned().into_iter().collect();
        let (one, other) = (entries.choose(random).copied(), entries.choose(random).copied());
        match (random.random_range(0..100), one, other) {
            (0..40, ..) | (_, None, _) | (_, _, None) => Intent::Append(track),
            (40..50, ..) => Intent::PlayNext { after: None, tracks: track },
            (50..70, Some(entry), Some(other)) => Intent::Move { entry, place: Place::After(other) },
            (70..92, Some(entry), _) => Intent::Remove(vec![entry]),
            (92..97, ..) => Intent::Undo,
            (97..99, ..) => Intent::Shuffle { seed: random.random() },
            _ => Intent::Clear,
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

/// How often something else is tried.
const TRIES: u32 = 8;
/// After so long without an edit it is settled whether both are equal.
const QUIET: Span = Span::from_secs(2);
