//! The covers of what this node shows: drawn beside the loop from its own files, sealed once, and given to the coordinator once the
//! state that names them is told. Those of what comes next are drawn ahead, so that a skip shows its cover at once.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use jamsync_protocol::{
    activity::{Cover, CoverAddress, SlotGeneration, Thumbnail},
    id::{AccountId, TrackId},
    wire::coord::{ActivityCall, CoordRequest, SealedCover},
};
use tokio::task::spawn_blocking;

use super::super::{Apply, Engine};
use crate::{
    activity::{Sealer, thumbnail},
    api::Reply,
    net::coordinator::LinkError,
};

/// What was drawn, and what of it the coordinator has.
#[derive(Debug, Default)]
pub(super) struct OwnCovers {
    /// Of the tracks of late, oldest first; none where a track has no cover.
    made: VecDeque<(TrackId, Option<Arc<Made>>)>,
    making: bool,
    /// What the state names that was told last.
    named: Option<Named>,
    /// What of it was given.
    given: Option<Named>,
    giving: bool,
    /// How often the coordinator forgot all it was given.
    round: u64,
}

/// A cover, and as how manieth device the account's activity named it.
type Named = (CoverAddress, SlotGeneration);

/// A cover as it was sealed.
#[derive(Debug)]
struct Made {
    thumbnail: Thumbnail,
    cover: Cover,
    sealed: SealedCover,
}

impl OwnCovers {
    /// The cover of a track, once it is drawn.
    pub(super) fn of(&self, track: TrackId) -> Option<Cover> {
        let made = self.made.iter().find(|(known, _)| *known == track)?;
        Some(made.1.as_ref()?.cover)
    }

    /// The coordinator has none of them, as it began anew or the activity was hidden.
    pub(super) fn handle_forgotten(&mut self) {
        (self.named, self.given) = (None, None);
        self.round += 1;
    }

    /// Keeps what was drawn of a track. A picture that was sealed before stays as it was, so that nobody fetches it twice.
    fn keep(&mut self, track: TrackId, thumbnail: Option<Thumbnail>, (by, sealer): (AccountId, &Sealer)) {
        let made = thumbnail.and_then(|thumbnail| {
            let known = self.made.iter().filter_map(|(_, made)| made.as_ref());
            let same = known.into_iter().find(|made| made.thumbnail == thumbnail).map(Arc::clone);
            same.or_else(|| {
                let (cover, sealed) = sealer.seal_cover(by, &thumbnail)?;
                Some(Arc::new(Made { thumbnail, cover, sealed }))
            })
        });
        if self.made.len() >= MADE_MAX {
            self.made.pop_front();
        }
        self.made.push_back((track, made));
    }

    fn sealed(&self, address: CoverAddress) -> Option<SealedCover> {
        let made = self.made.iter().filter_map(|(_, made)| made.as_ref());
        Some(made.into_iter().find(|made| made.cover.address == address)?.sealed.clone())
    }
}

impl Engine {
    /// Draws the cover of what is on or comes next, if one is still to be drawn: one at a time.
    pub(super) fn make_covers(&mut self) {
        let Some(by) = self.account.as_ref().and_then(|account| account.id()) else { return };
        if self.activity.own_covers.making {
            return;
        }
        let Some((track, path)) = self.track_to_draw() else { return };
        self.activity.own_covers.making = true;
        self.beside(None, async move {
            // A decoder that falls over takes the cover with it, and nothing else.
            let drawn = spawn_blocking(move || thumbnail(&path)).await.unwrap_or_default();
            let apply: Apply = Box::new(move |engine| {
                let desk = &mut engine.activity;
                desk.own_covers.making = false;
                desk.own_covers.keep(track, drawn, (by, &desk.sealer));
                Ok(Reply::Done)
            });
            Ok(apply)
        });
    }

    fn track_to_draw(&self) -> Option<(TrackId, std::path::PathBuf)> {
        let queue = self.stage.session().queue();
        let first = queue.entry(self.stage.heard()?.entry);
        let entries = std::iter::successors(first, |entry| queue.next_after(entry.id)).take(DRAWN_AHEAD);
        let is_made = |track: TrackId| self.activity.own_covers.made.iter().any(|(known, _)| *known == track);
        entries.map(|entry| entry.track.id).filter(|track| !is_made(*track)).find_map(|track| {
            // One whose file is not known yet is looked for elsewhere, and comes again.
            Some((track, self.stage.file_of(track)?.clone()))
        })
    }

    /// The state that was told last names this cover.
    pub(super) fn cover_was_named(&mut self, address: CoverAddress, generation: SlotGeneration) {
        self.activity.own_covers.named = Some((address, generation));
        self.give_cover();
    }

    /// Gives the coordinator the cover that is named, unless it has it: one at a time, the newest alone.
    fn give_cover(&mut self) {
        let covers = &mut self.activity.own_covers;
        let Some(named) = covers.named.filter(|named| covers.given != Some(*named)) else { return };
        let (Some(link), false) = (self.coordinator.clone(), covers.giving) else { return };
        let Some(sealed) = covers.sealed(named.0) else { return };
        covers.giving = true;
        let (generation, round) = (named.1, covers.round);
        self.beside(None, async move {
            let request = CoordRequest::Activity(ActivityCall::GiveCover { generation, sealed });
            let given = link.request(request).await;
            let wait = match &given {
                Err(LinkError::Refused(refusal)) => refusal.retry_after(),
                Ok(_) | Err(_) => None,
            };
            if let Some(wait) = wait {
                tokio::time::sleep(wait.as_duration().min(PAUSE_MAX)).await;
            }
            let apply: Apply = Box::new(move |engine| {
                engine.cover_was_given(named, round, given.err().filter(|_| wait.is_none()), wait.is_some());
                Ok(Reply::Done)
            });
            Ok(apply)
        });
    }

    /// What came of giving it: done, given up, or to be tried again.
    fn cover_was_given(&mut self, named: Named, round: u64, trouble: Option<LinkError>, again: bool) {
        let covers = &mut self.activity.own_covers;
        covers.giving = false;
        if covers.round == round && !again {
            if let Some(error) = trouble {
                tracing::info!(%error, "the coordinator has not taken a cover; friends see the activity without it");
            }
            // One that was refused is not given again before something else is shown.
            covers.given = Some(named);
        }
        self.give_cover();
    }
}

/// Of how many tracks the covers are kept. Count, default 32: an album and a half, a quarter of a mebibyte at most.
const MADE_MAX: usize = 32;
/// Of how many tracks they are drawn, the one that is on among them. Count, default 3: two skips at once are shown with their covers;
/// more reads files that nobody hears.
const DRAWN_AHEAD: usize = 3;
/// How long a coordinator that has too much to do is left alone at most.
const PAUSE_MAX: Duration = Duration::from_secs(60);
