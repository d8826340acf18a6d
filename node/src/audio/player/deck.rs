//! The files of a plan: which are open, which cannot be played.
//!
//! Opening a file can take long on a slow disk, so it happens elsewhere: the deck says what it wants opened
//! and is told the result.

use std::path::{Path, PathBuf};

use jamsync_protocol::{id::EntryId, time::Span};

use super::schedule::{Plan, Source};
use crate::audio::decode::{DecodeError, TrackReader};

/// Files by entry.
#[derive(Debug, Default)]
pub(super) struct Deck {
    slots: Vec<Slot>,
}

/// A file that is wanted open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenRequest {
    pub(super) entry: EntryId,
    pub(super) path: PathBuf,
}

#[derive(Debug)]
struct Slot {
    entry: EntryId,
    source: Source,
    state: State,
}

#[derive(Debug)]
enum State {
    Wanted,
    Opening,
    Ready(Box<TrackReader>),
    /// A voice has the reader.
    Lent,
    Unplayable,
}

impl Deck {
    /// Forgets what the plan no longer names, and wants what it newly names.
    pub(super) fn follow(&mut self, plan: &Plan) {
        self.slots.retain(|slot| plan.entries().any(|(entry, source)| slot.is_for(entry, source)));
        for (entry, source) in plan.entries() {
            if !self.slots.iter().any(|slot| slot.is_for(entry, source)) {
                self.slots.push(Slot { entry, source: source.clone(), state: State::Wanted });
            }
        }
    }

    /// The next file to open; answer with [`handle_opened`](Self::handle_opened).
    #[must_use]
    pub(super) fn poll_open(&mut self) -> Option<OpenRequest> {
        let slot = self.slots.iter_mut().find(|slot| matches!(slot.state, State::Wanted))?;
        slot.state = State::Opening;
        Some(OpenRequest { entry: slot.entry, path: slot.source.path.clone() })
    }

    /// A file was opened, or could not be: then the reason is the answer. A file whose rate or length is not
    /// what the queue says is another track than the peer plays.
    pub(super) fn handle_opened(
        &mut self,
        request: &OpenRequest,
        result: Result<TrackReader, DecodeError>,
    ) -> Result<(), String> {
        let Some(slot) = self.slots.iter_mut().find(|slot| {
            slot.entry == request.entry
                && slot.source.path == request.path
                && matches!(slot.state, State::Opening)
        }) else {
            return Ok(());
        };
        let checked = result.map_err(|error| error.to_string()).and_then(|reader| {
            let same = reader.rate() == slot.source.rate && reader.length() == slot.source.length;
            if same { Ok(reader) } else { Err("has changed since it was queued".to_owned()) }
        });
        match checked {
            Ok(reader) => {
                slot.state = State::Ready(Box::new(reader));
                Ok(())
            }
            Err(reason) => {
                slot.state = State::Unplayable;
                Err(named(&slot.source.path, &reason))
            }
        }
    }

    /// Whether a file is being opened.
    pub(super) fn is_opening(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot.state, State::Wanted | State::Opening))
    }

    /// Whether the entry's file is open, here or in a voice.
    pub(super) fn can_play(&self, entry: EntryId) -> bool {
        let open = |slot: &Slot| matches!(slot.state, State::Ready(_) | State::Lent);
        self.slots.iter().any(|slot| slot.entry == entry && open(slot))
    }

    /// Lends an open file to a voice.
    pub(super) fn lend(&mut self, entry: EntryId) -> Option<TrackReader> {
        let slot = self.slots.iter_mut().find(|slot| slot.entry == entry)?;
        let state = std::mem::replace(&mut slot.state, State::Lent);
        if let State::Ready(reader) = state {
            return Some(*reader);
        }
        slot.state = state;
        None
    }

    /// Takes a file back from a voice.
    pub(super) fn give_back(&mut self, entry: EntryId, reader: TrackReader) {
        let lent = |slot: &&mut Slot| slot.entry == entry && matches!(slot.state, State::Lent);
        if let Some(slot) = self.slots.iter_mut().find(lent) {
            slot.state = State::Ready(Box::new(reader));
        }
    }

    /// The answer says with its name that an entry's file was found damaged and plays on.
    pub(super) fn describe_damage(&self, entry: EntryId, at: Span) -> Option<String> {
        let slot = self.slots.iter().find(|slot| slot.entry == entry)?;
        let reason = format!(
            "is damaged at {at}: what is missing there is silent and the track goes on; another copy may be whole"
        );
        Some(named(&slot.source.path, &reason))
    }

    /// A file failed while it played; the answer says so with its name.
    pub(super) fn handle_fault(&mut self, entry: EntryId, reason: &str) -> String {
        match self.slots.iter_mut().find(|slot| slot.entry == entry) {
            Some(slot) => {
                slot.state = State::Unplayable;
                named(&slot.source.path, reason)
            }
            None => reason.to_owned(),
        }
    }
}

impl Slot {
    fn is_for(&self, entry: EntryId, source: &Source) -> bool {
        self.entry == entry && self.source == *source
    }
}

/// With the file's name and not its folder: the reason goes to the friend, too.
fn named(path: &Path, reason: &str) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    format!("{} {reason}", Path::new(name).display())
}
