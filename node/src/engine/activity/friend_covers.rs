//! The covers of what contacts show: fetched one at a time, opened, and kept as files while they are shown. What a contact sealed is
//! looked at, and never decoded here.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    time::Duration,
};

use jamsync_protocol::{
    activity::{Cover, CoverAddress},
    id::AccountId,
    wire::coord::{ActivityCall, CoordReply, CoordRequest, Refusal, SealedCover},
};
use tokio::task::spawn_blocking;

use super::super::{Apply, Engine};
use crate::{
    activity::{
        CoverError, Sealer,
        album::{self, Album},
    },
    api::{self, Reply},
    net::coordinator::{CoordinatorLink, LinkError},
};

/// What is there, and what is still to be fetched.
#[derive(Debug)]
pub(super) struct FriendCovers {
    album: Album,
    /// Whose covers are wanted, each once.
    wanted: VecDeque<AccountId>,
    fetching: bool,
}

/// What came of fetching a cover.
#[derive(Debug)]
enum Fetched {
    /// Its file is written.
    Written,
    /// It is to be tried again.
    Again,
    /// It is not to be had; whoever shows it says so again once it is.
    Missing,
}

/// Why a cover was left out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum KeepError {
    #[error(transparent)]
    Cover(#[from] CoverError),
    #[error("its file cannot be written: {0}")]
    File(#[from] std::io::Error),
}

impl FriendCovers {
    /// None, in a folder of which what is in it is removed.
    pub(super) fn begin(folder: PathBuf) -> Self {
        Self { album: Album::begin(folder), wanted: VecDeque::new(), fetching: false }
    }

    /// The file of a cover that is there.
    pub(super) fn file(&self, of: AccountId, address: CoverAddress) -> Option<PathBuf> {
        self.album.file(of, address)
    }
}

impl Engine {
    /// Fetches the cover of what a contact shows, unless it is there.
    pub(super) fn want_cover(&mut self, of: AccountId) {
        let covers = &mut self.activity.friend_covers;
        if !covers.wanted.contains(&of) {
            covers.wanted.push_back(of);
        }
        self.fetch_cover();
    }

    /// The cover of what a contact shows now.
    fn cover_shown_by(&self, of: AccountId) -> Option<Cover> {
        self.activity.seen.get(&of)?.cover().filter(|_| self.is_activity_of_friend(of))
    }

    fn fetch_cover(&mut self) {
        let Some(link) = self.coordinator.clone() else { return };
        while !self.activity.friend_covers.fetching {
            let Some(of) = self.activity.friend_covers.wanted.pop_front() else { return };
            let Some(cover) = self.cover_shown_by(of) else { continue };
            let covers = &mut self.activity.friend_covers;
            if covers.album.file(of, cover.address).is_some() {
                continue;
            }
            covers.fetching = true;
            let (link, path) = (link.clone(), covers.album.path(of, cover.address));
            self.beside(None, async move {
                let fetched = fetch(&link, (of, cover), path).await;
                let apply: Apply = Box::new(move |engine| {
                    engine.cover_was_fetched(of, cover, &fetched);
                    Ok(Reply::Done)
                });
                Ok(apply)
            });
        }
    }

    fn cover_was_fetched(&mut self, of: AccountId, cover: Cover, fetched: &Fetched) {
        let is_shown = self.cover_shown_by(of) == Some(cover);
        let covers = &mut self.activity.friend_covers;
        covers.fetching = false;
        match fetched {
            Fetched::Written if is_shown => {
                covers.album.add(of, cover.address);
                let file = covers.album.path(of, cover.address).display().to_string();
                if let Some(with) = self.account.as_ref().and_then(|account| account.name_of(of)) {
                    self.tell(api::Event::ActivityCover { with: with.clone(), cover: file });
                }
            }
            // It was hidden, or something else is shown, while it was under way.
            Fetched::Written => album::remove(&covers.album.path(of, cover.address)),
            Fetched::Again => covers.wanted.push_back(of),
            Fetched::Missing => {}
        }
        self.fetch_cover();
    }

    /// Removes the covers of whoever shows nothing any more.
    pub(super) fn forget_hidden_covers(&mut self) {
        for of in self.activity.friend_covers.album.whose() {
            let is_shown = self.activity.seen.get(&of).is_some_and(super::Seen::is_shown);
            if !is_shown || !self.is_activity_of_friend(of) {
                self.activity.friend_covers.album.forget(of);
            }
        }
    }
}

/// Fetches a cover, opens it and writes it to `path`.
async fn fetch(link: &CoordinatorLink, (of, cover): (AccountId, Cover), path: PathBuf) -> Fetched {
    let address = cover.address;
    let request = CoordRequest::Activity(ActivityCall::FetchCover { of, address });
    let sealed = match link.request(request).await {
        Ok(CoordReply::Cover { sealed }) => sealed,
        Err(LinkError::Refused(Refusal::UnknownCover)) => return Fetched::Missing,
        Err(LinkError::Refused(refusal)) => {
            let Some(wait) = refusal.retry_after() else { return Fetched::Missing };
            tokio::time::sleep(wait.as_duration().clamp(PAUSE_LEAST, PAUSE_MAX)).await;
            return Fetched::Again;
        }
        Ok(_) | Err(_) => return Fetched::Missing,
    };
    let kept = spawn_blocking(move || keep(of, cover, &sealed, &path)).await;
    match kept {
        Ok(Ok(())) => Fetched::Written,
        Ok(Err(error)) => {
            tracing::info!(?of, ?address, %error, "the cover of what a contact shows is left out");
            Fetched::Missing
        }
        Err(error) => {
            tracing::info!(?of, ?address, %error, "the cover of what a contact shows is left out");
            Fetched::Missing
        }
    }
}

fn keep(of: AccountId, cover: Cover, sealed: &SealedCover, path: &Path) -> Result<(), KeepError> {
    let thumbnail = Sealer::default().open_cover(of, cover, sealed)?;
    Ok(album::write(path, &thumbnail)?)
}

/// How long a coordinator that has too much to do is left alone at least, whatever it says, and at most.
const PAUSE_LEAST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
