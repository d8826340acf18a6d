//! What a listener does about what a contact plays: plays the own copy, keeps it, shows it to somebody else, looks for more of
//! the artist, and reacts to it.

use std::sync::Arc;

use jamsync_protocol::{
    activity::ReactionNote,
    chat::Reaction,
    conversation::{Card, CardError, CardLength, CardText, Content, TrackCard},
    id::{AccountId, Handle},
    text::Text,
    time::Span,
    wire::coord::{ActivityCall, CoordReply, CoordRequest},
};

use super::super::{
    Apply, Engine,
    friends::{Work, link_error, no_account, refused},
    utc_now,
};
use crate::{
    activity::KeptEntry,
    api::{ActivityTrack, ApiError, ErrorCode, OwnTrack, Reply, SavedEntry},
    library::LocalTrack,
    net::coordinator::LinkError,
};

impl Engine {
    /// What a contact plays or played last.
    fn shown_track(&self, name: &Handle) -> Result<ActivityTrack, ApiError> {
        let contact = self.contact_named(name)?;
        let shown = self.friend_activity(contact).and_then(|shown| shown.track);
        shown.ok_or_else(|| {
            let what = format!("{name} shows nothing");
            ApiError::new(ErrorCode::NotFound, what, "`jamsync activity show` lists who does")
        })
    }

    /// Where this node's own copy is of what a contact plays.
    pub(super) fn find_own_copy(&self, name: &Handle) -> Result<Work, ApiError> {
        let (contact, track) = (self.contact_named(name)?, self.shown_track(name)?);
        let (index, name) = (Arc::clone(&self.index), name.clone());
        let known = self.stage.file_of(track.track).cloned();
        Ok(Box::pin(async move {
            let wanted = track.track;
            let found = match known {
                Some(path) => Some(path),
                None => tokio::task::spawn_blocking(move || index.find(wanted)).await.unwrap_or_default(),
            };
            let path = found.ok_or_else(|| lacks(&track, &name))?;
            let apply: Apply = Box::new(move |engine| {
                let now = engine.stage.now();
                let position = engine.activity.seen.get(&contact).and_then(|seen| seen.position(now));
                let position = position.unwrap_or(Span::ZERO);
                Ok(Reply::OwnCopy { path: path.display().to_string(), track, position })
            });
            Ok(apply)
        }))
    }

    pub(super) fn save_activity(&mut self, name: &Handle, list: Text<64>) -> Result<Reply, ApiError> {
        let track = self.shown_track(name)?;
        let entry = KeptEntry {
            list: list.clone(),
            track: track.track,
            title: track.title,
            artist: track.artist,
            album: track.album,
            length: track.length,
            from: name.clone(),
            at: utc_now(),
        };
        let added = self.activity.kept.add(entry);
        added.map_err(|full| ApiError::from_sentence(ErrorCode::Refused, &full.to_string()))?;
        self.activity.kept.save(&self.activity.kept_file).map_err(|error| {
            let what = format!("it is not kept: {error}");
            ApiError::new(ErrorCode::StateUnwritable, what, "make room or mend the permissions")
        })?;
        Ok(self.saved(Some(&list)))
    }

    pub(super) fn saved(&self, list: Option<&Text<64>>) -> Reply {
        let entries = self.activity.kept.0.iter().filter(|entry| list.is_none_or(|list| entry.list == *list));
        let entry = |entry: &KeptEntry| SavedEntry {
            playlist: entry.list.clone(),
            track: ActivityTrack {
                track: entry.track,
                title: entry.title.clone(),
                artist: entry.artist.clone(),
                album: entry.album.clone(),
                length: entry.length,
            },
            from: entry.from.clone(),
        };
        Reply::Saved { entries: entries.map(entry).collect() }
    }

    pub(super) fn react_to_activity(&mut self, name: &Handle, reaction: Reaction) -> Result<Work, ApiError> {
        let contact = self.contact_named(name)?;
        self.shown_track(name)?;
        let (account, link) = self.signed_in()?;
        let by: AccountId = account.id().ok_or_else(no_account)?;
        let ring = self.activity.keys.get(&contact);
        let sealed = ring.and_then(|ring| {
            let note = ReactionNote { at: utc_now(), reaction };
            Some((ring.now.epoch, self.activity.sealer.seal_reaction(by, &note, &ring.now)?))
        });
        let (epoch, sealed) = sealed.ok_or_else(|| {
            let what =
                format!("there is no conversation with {name} yet; it begins when both nodes are there");
            refused(&what, "try again later")
        })?;
        Ok(Box::pin(async move {
            let request = CoordRequest::Activity(ActivityCall::React { to: contact, epoch, sealed });
            if link.request(request).await.map_err(link_error)? != CoordReply::Done {
                return Err(link_error(LinkError::Unexpected));
            }
            let apply: Apply = Box::new(|_| Ok(Reply::Done));
            Ok(apply)
        }))
    }

    /// Shows a contact what another one plays, as a card among their messages.
    pub(super) fn share_track_of(&self, name: &Handle, with: &Handle) -> Result<Work, ApiError> {
        let card = card_of(&self.shown_track(name)?)
            .map_err(|error| ApiError::from_sentence(ErrorCode::Refused, &error.to_string()))?;
        self.message(with, Content::Card(Card::Track(card)))
    }

    /// What this node has of the artist whom a contact plays.
    pub(super) fn find_artist_of(&self, name: &Handle) -> Result<Work, ApiError> {
        let artist = self.shown_track(name)?.artist;
        if artist.as_str().trim().is_empty() {
            let what = format!("what {name} plays names no artist");
            return Err(ApiError::new(ErrorCode::NotFound, what, format!("ask with `jamsync msg {name}`")));
        }
        let index = Arc::clone(&self.index);
        Ok(Box::pin(async move {
            let wanted = artist.clone();
            let look = tokio::task::spawn_blocking(move || index.by_artist(wanted.as_str())).await;
            let found =
                look.map_err(|error| ApiError::new(ErrorCode::Failed, error.to_string(), "try again"))?;
            let own = |LocalTrack { path, track, .. }| OwnTrack {
                path: path.display().to_string(),
                track: ActivityTrack {
                    track: track.id,
                    length: track.duration(),
                    title: track.title,
                    artist: track.artist,
                    album: track.album,
                },
            };
            let tracks = found.into_iter().map(own).collect();
            let apply: Apply = Box::new(move |_| Ok(Reply::OwnTracks { artist, tracks }));
            Ok(apply)
        }))
    }
}

/// A card of what a contact plays, as far as what it says of itself can be on one.
fn card_of(track: &ActivityTrack) -> Result<TrackCard, CardError> {
    Ok(TrackCard {
        id: track.track,
        title: CardText::of_tag(track.title.as_str()).ok_or(CardError::Empty)?,
        artist: CardText::of_tag(track.artist.as_str()),
        album: CardText::of_tag(track.album.as_str()),
        length: CardLength::new(track.length)?,
    })
}

fn lacks(track: &ActivityTrack, name: &Handle) -> ApiError {
    let by = if track.artist.as_str().is_empty() { String::new() } else { format!(" by {}", track.artist) };
    let what = format!("you have no copy of {}{by}", track.title);
    let remedy = format!(
        "`jamsync library add FOLDER` makes yours known, `jamsync activity save {name}` keeps its name, and \
         `jamsync msg {name} TEXT` asks for it"
    );
    ApiError::new(ErrorCode::NotFound, what, remedy)
}
