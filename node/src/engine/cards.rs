//! Cards: from files and what plays to what a message shows of it, and from a message to the own copies.
//!
//! Files are read through beside the loop. What a card says of one is what its tags say, unless the listener names it.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use jamsync_protocol::{
    conversation::{
        Card, CardError, CardText, ChapterCard, Content, EpisodeCard, PLAYLIST_COUNT_MAX, PLAYLIST_NAMED_MAX,
        PlaylistCard, PlaylistEntry, TrackCard,
    },
    id::Handle,
    media::Track,
};
use tokio::sync::oneshot;

use super::{
    Apply, Engine,
    courier::Errand,
    friends::Work,
    messages::{outcome, say},
};
use crate::{
    api::{ApiError, CardSource, ErrorCode, Reply},
    library::{self, Index, LibraryError},
};

impl Engine {
    /// Shows a contact music.
    pub(super) fn message_card(&self, to: &Handle, source: CardSource) -> Result<Work, ApiError> {
        let (courier, account) = (self.running_courier()?, self.contact_named(to)?);
        if source == CardSource::Playing {
            let card = TrackCard::of(&self.playing()?).map_err(|error| refused(&error))?;
            return self.message(to, Content::Card(Card::Track(card)));
        }
        let (index, to) = (Arc::clone(&self.index), to.clone());
        Ok(Box::pin(async move {
            let made = tokio::task::spawn_blocking(move || make(&index, source)).await;
            let card = made.map_err(|error| ApiError::new(ErrorCode::Failed, error.to_string(), ""))??;
            say(courier, account, to, Content::Card(card)).await
        }))
    }

    /// Finds the own copies of what a message shows.
    pub(super) fn message_tracks(&self, with: &Handle, message: String) -> Result<Work, ApiError> {
        let (courier, with) = (self.running_courier()?, self.contact_named(with)?);
        let (answer, found) = oneshot::channel();
        courier.send(Errand::Find { with, message, answer });
        let index = Arc::clone(&self.index);
        Ok(Box::pin(async move {
            let Content::Card(card) = outcome(found).await?.content else {
                let remedy = "`jamsync messages NAME` shows which messages are cards";
                return Err(ApiError::new(ErrorCode::NotFound, "that message shows no music", remedy));
            };
            let tracks = card.tracks();
            // An answer could not carry a path that is not UTF-8.
            let find = move |track| index.find(track).filter(|path| path.to_str().is_some());
            let look = move || tracks.into_iter().map(find).collect::<Vec<_>>();
            let found = tokio::task::spawn_blocking(look).await;
            let found = found.map_err(|error| ApiError::new(ErrorCode::Failed, error.to_string(), ""))?;
            let all = found.len();
            let paths: Vec<PathBuf> = found.into_iter().flatten().collect();
            let missing = u32::try_from(all - paths.len()).unwrap_or(u32::MAX);
            if paths.is_empty() {
                let what = format!("this node has no copy of {card}");
                let remedy =
                    "get the file and make it known with `jamsync library add`, or ask your friend for a Jam";
                return Err(ApiError::new(ErrorCode::NotFound, what, remedy));
            }
            let apply: Apply = Box::new(move |_| Ok(Reply::MessageTracks { paths, missing }));
            Ok(apply)
        }))
    }

    /// The track that plays or stands.
    fn playing(&self) -> Result<Track, ApiError> {
        let entry = self.current().and_then(|entry| self.stage.session().queue().entry(entry));
        entry.map(|entry| entry.track.clone()).ok_or_else(|| {
            ApiError::new(ErrorCode::NotFound, "nothing is playing", "name a file with `--track FILE`")
        })
    }
}

/// Makes a card of what the listener named.
fn make(index: &Index, source: CardSource) -> Result<Card, ApiError> {
    let card = match source {
        // The engine alone knows what plays, and has said it.
        CardSource::Playing => return Err(ApiError::new(ErrorCode::Failed, "nothing is playing", "")),
        CardSource::Track { path, title } => {
            let card = TrackCard::of(&read(index, &path)?).map_err(|error| refused(&error))?;
            Card::Track(TrackCard { title: title.unwrap_or(card.title), ..card })
        }
        CardSource::Episode { path, title, show } => {
            let TrackCard { id, title: tagged, artist, album, length } =
                TrackCard::of(&read(index, &path)?).map_err(|error| refused(&error))?;
            let show = show.or(album).or(artist).ok_or_else(|| unnamed("podcast", "--show"))?;
            Card::Episode(EpisodeCard { id, show, title: title.unwrap_or(tagged), length })
        }
        CardSource::Chapter { path, title, book, author } => {
            let TrackCard { id, title: tagged, artist, album, length } =
                TrackCard::of(&read(index, &path)?).map_err(|error| refused(&error))?;
            let book = book.or(album).ok_or_else(|| unnamed("book", "--book"))?;
            let (author, title) = (author.or(artist), title.unwrap_or(tagged));
            Card::Chapter(ChapterCard { id, book, author, title, length })
        }
        CardSource::Playlist { path, title } => Card::Playlist(playlist(index, &path, title)?),
    };
    Ok(card)
}

/// The card of a folder, or of a list of files. The first entries are read through and named, the others counted.
fn playlist(index: &Index, path: &Path, title: Option<CardText>) -> Result<PlaylistCard, ApiError> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let title = title.or_else(|| CardText::of_tag(&name)).ok_or_else(|| unnamed("playlist", "--title"))?;
    let files = if path.is_dir() { vec![path.to_owned()] } else { listed(path)? };
    let most = usize::try_from(PLAYLIST_COUNT_MAX).unwrap_or(usize::MAX);
    let (mut count, mut entries, mut first_trouble) = (0, Vec::new(), None);
    for file in library::scan(&files).take(most + 1) {
        let known = file
            .and_then(|file| (entries.len() < PLAYLIST_NAMED_MAX).then(|| index.identify(&file)).transpose());
        match known {
            Ok(Some(local)) => {
                let card = TrackCard::of(&local.track).map_err(|error| refused(&error))?;
                let TrackCard { id, title, artist, length, .. } = card;
                entries.push(PlaylistEntry { id, title, artist, length });
                count += 1;
            }
            Ok(None) => count += 1,
            Err(error) => first_trouble = first_trouble.or(Some(error)),
        }
    }
    if let (true, Some(error)) = (entries.is_empty(), first_trouble) {
        return Err(unreadable(&error));
    }
    PlaylistCard::new(title, count, entries).map_err(|error| refused(&error))
}

/// The files that a list names, one a line, from its own folder. Lines that begin with `#` are remarks.
fn listed(path: &Path) -> Result<Vec<PathBuf>, ApiError> {
    let failed = |error: std::io::Error| {
        let what = format!("{}: {error}", path.display());
        ApiError::new(ErrorCode::NotFound, what, "name a folder, or a file with one path a line")
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    let file = BufReader::new(File::open(path).map_err(failed)?.take(LIST_BYTES_MAX));
    let mut files = Vec::new();
    for line in file.lines() {
        let line = line.map_err(failed)?;
        let line = line.trim_start_matches('\u{feff}').trim();
        if !line.is_empty() && !line.starts_with('#') {
            files.push(folder.join(line));
        }
    }
    Ok(files)
}

fn read(index: &Index, path: &Path) -> Result<Track, ApiError> {
    index.identify(path).map(|local| local.track).map_err(|error| unreadable(&error))
}

fn unreadable(error: &LibraryError) -> ApiError {
    let what = format!("{}: {}", error.path().display(), error.reason());
    ApiError::new(ErrorCode::Unplayable, what, "name a WAV, FLAC, MP3 or Ogg Vorbis file")
}

fn unnamed(what: &str, flag: &str) -> ApiError {
    let said = format!("the file's tags do not name the {what}");
    ApiError::new(ErrorCode::Usage, said, format!("name it with `{flag} NAME`"))
}

fn refused(error: &CardError) -> ApiError {
    ApiError::from_sentence(ErrorCode::Usage, &error.to_string())
}

/// As much of a list of files is read: ten thousand lines of a hundred bytes.
const LIST_BYTES_MAX: u64 = 1024 * 1024;
