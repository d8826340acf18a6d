//! Files into the queue: reading them beside the loop, a few at a time, so that the first one plays while the
//! others are still being read.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use jamsync_protocol::{
    id::EntryId,
    limits::TRACKS_PER_EDIT_MAX,
    media::Track,
    queue::{Entry, Intent},
    session::Command,
    text::Text,
    wire::peer::Availability,
};
use tokio::sync::mpsc;

use super::{Answer, Apply, Completion, Engine};
use crate::{
    api::{self, ApiError, ErrorCode, Queued, Reply},
    library::{self, Index, LocalTrack},
};

/// What to do with files once they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Play the first of them now; alone, they replace the queue.
    Play,
    /// Add them at the end.
    Append,
    /// Add them behind what plays.
    Next,
    /// Only know them.
    Know,
}

/// Files on their way into the queue.
#[derive(Debug)]
struct Intake {
    purpose: Purpose,
    /// Where the next ones go, for those that are not added at the end.
    behind: Option<EntryId>,
    /// Whether some were added before.
    begun: bool,
    /// Why some of them are not in the queue or do not play, for who asked.
    failed: Option<ApiError>,
    /// Whether who asked has been answered; what fails later is told as a warning.
    answered: bool,
}

impl Engine {
    /// Plays files now.
    pub(super) fn play(&mut self, paths: Vec<PathBuf>, answer: Answer) {
        self.take_in(paths, Purpose::Play, answer);
    }

    /// Adds files to the queue.
    pub(super) fn add(&mut self, paths: Vec<PathBuf>, next: bool, answer: Answer) {
        self.take_in(paths, if next { Purpose::Next } else { Purpose::Append }, answer);
    }

    /// Reads files through without adding them, and looks again for what was missing.
    pub(super) fn know(&mut self, paths: Vec<PathBuf>, answer: Answer) {
        self.take_in(paths, Purpose::Know, answer);
    }

    fn take_in(&mut self, paths: Vec<PathBuf>, purpose: Purpose, answer: Answer) {
        let reader = Reader {
            index: Arc::clone(&self.index),
            completions: self.completions.clone(),
            intake: Arc::new(Mutex::new(Intake {
                purpose,
                behind: None,
                begun: false,
                failed: None,
                answered: false,
            })),
            answer: Some(answer),
            queued: Queued::default(),
            answers_early: purpose != Purpose::Know,
        };
        tokio::task::spawn_blocking(move || reader.read(&paths));
    }

    /// Puts some files into the queue.
    fn admit(&mut self, intake: &mut Intake, read: Vec<LocalTrack>) -> Result<(), ApiError> {
        let tracks: Vec<Track> = read.iter().map(|local| local.track.clone()).collect();
        for local in read {
            self.stage.remember_file(local.track.id, local.path);
        }
        if intake.purpose == Purpose::Know {
            self.stage.seek_missing_again();
            return Ok(());
        }
        let plays_now = intake.purpose == Purpose::Play && !intake.begun;
        if plays_now && self.jam.is_none() {
            let all = self.stage.session().queue().entries().map(|entry| entry.id).collect::<Vec<_>>();
            if !all.is_empty() {
                self.edit(Intent::Remove(all))?;
            }
        }
        let before = self.newest_of_mine();
        match intake.purpose {
            Purpose::Play if self.jam.is_none() => self.edit(Intent::Append(tracks))?,
            Purpose::Append => self.edit(Intent::Append(tracks))?,
            Purpose::Play | Purpose::Next | Purpose::Know => {
                let after = intake.behind.or_else(|| self.current());
                self.edit(Intent::PlayNext { after, tracks })?;
            }
        }
        intake.begun = true;
        let added = self.mine_since(before);
        self.found_all(&added)?;
        intake.behind = added.last().copied().or(intake.behind);
        if plays_now && let Some(first) = added.first() {
            self.command(Command::Play(*first))?;
        }
        Ok(())
    }

    /// This listener's entries are numbered upwards: the newest there is.
    fn newest_of_mine(&self) -> Option<u32> {
        let session = self.stage.session();
        let mine = session.queue().entries().filter(|entry| entry.id.author == session.me());
        mine.map(|entry| entry.id.number).max()
    }

    fn mine_since(&self, before: Option<u32>) -> Vec<EntryId> {
        let session = self.stage.session();
        let new = session.queue().entries().map(|entry| entry.id);
        let mut new: Vec<EntryId> =
            new.filter(|id| id.author == session.me() && Some(id.number) > before).collect();
        new.sort_unstable();
        new
    }

    fn found_all(&mut self, entries: &[EntryId]) -> Result<(), ApiError> {
        for entry in entries {
            let outcome = self.stage.found(*entry, Availability::Ready);
            outcome.map_err(|error| super::run::session_error(&error))?;
        }
        Ok(())
    }

    /// Looks for the files of entries that came from the other side.
    pub(super) fn seek_files(&mut self) {
        let unsought = self.stage.take_unsought();
        let (known, unknown): (Vec<Entry>, Vec<Entry>) =
            unsought.into_iter().partition(|entry| self.stage.file_of(entry.track.id).is_some());
        for entry in known {
            if let Err(error) = self.stage.found(entry.id, Availability::Ready) {
                self.warn(error.to_string());
            }
        }
        if unknown.is_empty() {
            return;
        }
        let index = Arc::clone(&self.index);
        self.beside(None, async move {
            let look = move || -> Vec<(Entry, Option<PathBuf>)> {
                let found = |entry: Entry| {
                    let path = index.find(entry.track.id);
                    (entry, path)
                };
                unknown.into_iter().map(found).collect()
            };
            let looked = tokio::task::spawn_blocking(look).await;
            let looked = looked.map_err(|error| ApiError::new(ErrorCode::Failed, error.to_string(), ""))?;
            let apply: Apply = Box::new(move |engine| {
                for (entry, found) in looked {
                    engine.file_sought(&entry, found)?;
                }
                Ok(Reply::Done)
            });
            Ok(apply)
        });
    }

    fn file_sought(&mut self, entry: &Entry, found: Option<PathBuf>) -> Result<(), ApiError> {
        let availability = match found {
            Some(path) => {
                self.stage.remember_file(entry.track.id, path);
                Availability::Ready
            }
            None => Availability::Missing,
        };
        let outcome = self.stage.found(entry.id, availability);
        outcome.map_err(|error| super::run::session_error(&error))
    }
}

/// Reads files on a thread of its own.
struct Reader {
    index: Arc<Index>,
    completions: mpsc::UnboundedSender<Completion>,
    intake: Arc<Mutex<Intake>>,
    answer: Option<Answer>,
    queued: Queued,
    /// Whether who asked is answered while files are still being read.
    answers_early: bool,
}

impl Reader {
    fn read(mut self, paths: &[PathBuf]) {
        let began = Instant::now();
        let files: Vec<_> = library::scan(paths).collect();
        let mut batch = Vec::new();
        let total = files.len();
        for (done, file) in files.into_iter().enumerate() {
            match file.and_then(|file| self.index.identify(&file)) {
                Ok(local) => batch.push(local),
                Err(error) => self.queued.skip(error.path(), error.reason()),
            }
            self.queued.pending = u32::try_from(total - done - 1).unwrap_or(u32::MAX);
            // The first one is handed over at once, so that music plays; the others in a few edits.
            let first = self.queued.added == 0 && batch.len() == 1;
            if first || batch.len() == TRACKS_PER_EDIT_MAX {
                self.hand_over(std::mem::take(&mut batch));
            }
            if self.answers_early && began.elapsed().as_millis() > ANSWER_AFTER_MS && self.queued.added > 0 {
                self.reply();
            }
        }
        if !batch.is_empty() {
            self.hand_over(batch);
        }
        self.reply();
    }

    fn hand_over(&mut self, batch: Vec<LocalTrack>) {
        self.queued.added += u32::try_from(batch.len()).unwrap_or(u32::MAX);
        let intake = Arc::clone(&self.intake);
        self.complete(
            Box::new(move |engine| {
                let mut intake = locked(&intake);
                match engine.admit(&mut intake, batch) {
                    Err(error) if !intake.answered => intake.failed = intake.failed.take().or(Some(error)),
                    outcome => outcome?,
                }
                Ok(Reply::Done)
            }),
            None,
        );
    }

    /// Answers who waits, once.
    fn reply(&mut self) {
        let Some(answer) = self.answer.take() else { return };
        let only_known = !self.answers_early;
        let queued = self.queued.clone();
        let intake = Arc::clone(&self.intake);
        self.complete(
            Box::new(move |_| {
                let mut intake = locked(&intake);
                intake.answered = true;
                match intake.failed.take() {
                    Some(error) => Err(error),
                    // Who has a whole library read, a few files at a time, wants to hear of each that is left out.
                    None if queued.added > 0 || only_known => Ok(Reply::Queued(queued)),
                    None => Err(queued.nothing()),
                }
            }),
            Some(answer),
        );
    }

    fn complete(&self, apply: Apply, answer: Option<Answer>) {
        // An engine that is gone plays nothing.
        let _ = self.completions.send(Completion { outcome: Ok(apply), answer });
    }
}

/// What the mutexes here guard is whole after a panic too.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// After how long who asked is answered although files are still being read, in milliseconds.
const ANSWER_AFTER_MS: u128 = 1_500;

impl Engine {
    /// Tells the listener that a side lacks a track or cannot play it.
    pub(super) fn tell_availability(
        &self,
        entry: EntryId,
        of: jamsync_protocol::id::Participant,
        availability: Availability,
    ) {
        let side = if of == self.stage.session().me() { api::Side::Here } else { api::Side::Peer };
        let title: Text<256> = self
            .stage
            .session()
            .queue()
            .entry(entry)
            .map(|entry| entry.track.title.clone())
            .unwrap_or_default();
        let key = super::view::entry_key(entry);
        match availability {
            Availability::Ready => {}
            Availability::Missing => self.tell(api::Event::TrackMissing { entry: key, title, side }),
            Availability::Unplayable { reason } => {
                let reason = Text::truncated(reason.as_str());
                self.tell(api::Event::TrackUnplayable { entry: Some(key), title, side, reason });
            }
        }
    }
}
