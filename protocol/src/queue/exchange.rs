//! What a replica does with messages, and how the order reaches what is shown.

use alloc::vec::Vec;

use super::{
    edit::{Change, Edit, EntryId, Intent, Place},
    error::QueueError,
    event::QueueEvent,
    image::{Arriving, Image},
    limits::{ENTRIES_MAX, EVENTS_MAX, OWN_BYTES},
    log::{Fact, Head, Log, Term},
    message::{Piece, QueueMessage},
    replica::Replica,
    role::{Feed, Link, Role},
    shuffle::shuffle,
    state::Queue,
};
use crate::{id::Participant, limits::TRACKS_PER_EDIT_MAX, media::Track, text::List};

impl Replica {
    pub(super) fn handle_resume(
        &mut self,
        from: Participant,
        question: u32,
        at: Head,
    ) -> Result<(), QueueError> {
        let known = self.log.head().number;
        let Role::Host { term, feeds } = &mut self.role else { return Err(QueueError::NotHost { from }) };
        if at.term == *term && at.number > known {
            return Err(QueueError::FromTheFuture { known, actual: at.number });
        }
        let feed = feeds.get_mut(&from).ok_or(QueueError::NotConnected(from))?;
        *feed = Feed::Answer { question, at };
        Ok(())
    }

    pub(super) fn handle_propose(&mut self, from: Participant, edit: Edit) -> Result<(), QueueError> {
        let Role::Host { term, feeds } = &self.role else { return Err(QueueError::NotHost { from }) };
        let (term, feed) = (*term, feeds.get(&from).ok_or(QueueError::NotConnected(from))?);
        if edit.id.author != from {
            return Err(QueueError::ForeignAuthor { claimed: edit.id.author, actual: from });
        }
        if matches!(feed, Feed::Quiet) {
            // Said to this participant when it was the host before; what came ahead of it may be missing. Its
            // author says it again once it has an answer.
            return Ok(());
        }
        if edit.id.number > self.ordered.seen(from) {
            self.order(term, Fact::Edit(edit));
            return Ok(());
        }
        // Proposed before a reconnection and ordered since: its author learns that from the order.
        match self.log.edit(edit.id) {
            Some(known) if *known != edit => Err(QueueError::EditReused(edit.id)),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn handle_resumed(&mut self, from: Participant, answered: u32) -> Result<(), QueueError> {
        let seen = self.ordered.seen(self.me);
        if let Link::Asked { question, proposed: proposed @ None, .. } = self.link_to(from)?
            && *question == answered
        {
            *proposed = Some(seen);
        }
        Ok(())
    }

    pub(super) fn handle_piece(
        &mut self,
        from: Participant,
        answered: u32,
        at: Head,
        piece: Piece,
    ) -> Result<(), QueueError> {
        let Link::Asked { question, arriving, .. } = self.link_to(from)? else { return Ok(()) };
        if *question != answered {
            return Ok(());
        }
        match Arriving::take(arriving, at, piece)? {
            Some(image) => self.replace(image),
            None => Ok(()),
        }
    }

    pub(super) fn handle_ordered(
        &mut self,
        from: Participant,
        at: Head,
        fact: Fact,
    ) -> Result<(), QueueError> {
        // Before the host has answered, its order may lead from another history than this one.
        let Link::Asked { proposed: Some(_), .. } = self.link_to(from)? else { return Ok(()) };
        let expected = self.log.head().number.saturating_add(1);
        if at.number > expected {
            return Err(QueueError::OrderGap { expected, actual: at.number });
        }
        if at.number < expected {
            let known = self.log.record(at.number);
            let conflicts = known.is_some_and(|known| *known != (at, fact));
            return if conflicts { Err(QueueError::OrderConflict(at.number)) } else { Ok(()) };
        }
        if let Fact::Edit(edit) = &fact
            && edit.id.author == self.me
        {
            if self.own.iter().any(|own| own.id == edit.id && own != edit) {
                return Err(QueueError::EditReused(edit.id));
            }
            self.number_past(edit);
        }
        self.order(at.term, fact);
        Ok(())
    }

    /// Gives `fact` the next number and applies it: as the host, or because the host says so.
    pub(super) fn order(&mut self, term: Term, fact: Fact) {
        let event = match &fact {
            Fact::Edit(edit) => {
                let next_pending = self.pending().next().map(|own| own.id);
                // What is shown has it already where the host ordered nothing in between, and the listener was
                // told of an own edit when it was made.
                let shown_already = self.shown.is_some() && next_pending == Some(edit.id);
                let outcome = self.ordered.apply(edit);
                if !shown_already || self.pending().next().is_none() {
                    self.rebase();
                }
                match outcome {
                    Err(reason) => Some(QueueEvent::Refused { edit: edit.id, reason }),
                    Ok(_) if shown_already => None,
                    Ok(what) => Some(QueueEvent::Changed { edit: edit.id, what }),
                }
            }
            Fact::Freeze(entry) => {
                self.ordered.freeze(*entry);
                self.rebase();
                Some(QueueEvent::Frozen { entry: *entry })
            }
        };
        self.log.push(term, fact);
        if let Some(event) = event {
            self.tell(event);
        }
    }

    /// Makes what is shown the ordered queue plus the pending edits.
    pub(super) fn rebase(&mut self) {
        self.shown = None;
        if matches!(self.role, Role::Host { .. }) || self.pending().next().is_none() {
            return;
        }
        let mut shown = self.ordered.clone();
        for edit in self.pending() {
            // What is refused now is told once the host has ordered it.
            let _ = shown.apply(edit);
        }
        self.shown = Some(shown);
    }

    /// The edit that an intent means for the queue as it is shown.
    pub(super) fn change_of(&self, intent: Intent) -> Result<Change, QueueError> {
        let queue = self.queue();
        match intent {
            Intent::Append(tracks) => self.add(tracks, Place::End),
            Intent::PlayNext { after: None, tracks } => self.add(tracks, Place::Start),
            Intent::PlayNext { after: Some(id), tracks } => {
                queue.entry(id).ok_or(QueueError::UnknownEntry(id))?;
                self.add(tracks, Place::After(id))
            }
            Intent::Move { entry, place } => {
                let named = if let Place::After(id) = place { queue.entry(id).map(|_| ()) } else { Some(()) };
                if !queue.contains(entry) || named.is_none() {
                    return Err(QueueError::UnknownEntry(entry));
                }
                Ok(Change::Move { entry, place })
            }
            Intent::Remove(ids) => match ids.iter().find(|id| !queue.contains(**id)) {
                Some(id) => Err(QueueError::UnknownEntry(*id)),
                None => Ok(Change::Remove { entries: named(ids)? }),
            },
            Intent::Clear => Ok(Change::Clear { seen: named(queue.unsettled())? }),
            Intent::Shuffle { seed } => {
                let mut order = queue.unsettled();
                shuffle(&mut order, seed);
                Ok(Change::Shuffle { order: named(order)? })
            }
            Intent::Undo => {
                let edit = queue.last_undoable(self.me).ok_or(QueueError::NothingToUndo)?;
                Ok(Change::Undo { edit })
            }
        }
    }

    /// Takes the numbers of an own edit out of use.
    pub(super) fn number_past(&mut self, edit: &Edit) {
        self.next_edit = self.next_edit.max(edit.id.number.saturating_add(1));
        if let Change::Add { first, tracks, .. } = &edit.change {
            let count = u32::try_from(tracks.len()).unwrap_or(u32::MAX);
            self.next_entry = self.next_entry.max(first.saturating_add(count));
        }
    }

    /// Keeps an own edit until there is no room and it is ordered.
    pub(super) fn keep(&mut self, edit: Edit) {
        self.own_bytes += edit.bytes();
        self.own.push_back(edit);
        let seen = self.ordered.seen(self.me);
        while self.own_bytes > OWN_BYTES && self.own.front().is_some_and(|edit| edit.id.number <= seen) {
            let Some(oldest) = self.own.pop_front() else { break };
            self.own_bytes -= oldest.bytes();
        }
    }

    pub(super) fn tell(&mut self, event: QueueEvent) {
        if self.events.len() >= EVENTS_MAX {
            self.events.clear();
            self.events.push_back(QueueEvent::Replaced);
        }
        self.events.push_back(event);
    }

    fn add(&self, tracks: Vec<Track>, place: Place) -> Result<Change, QueueError> {
        let too_many = QueueError::TooMany { actual: tracks.len(), limit: TRACKS_PER_EDIT_MAX };
        Ok(Change::Add { first: self.next_entry, place, tracks: List::new(tracks).map_err(|_| too_many)? })
    }

    /// The link to the host, which must be `from`.
    fn link_to(&mut self, from: Participant) -> Result<&mut Link, QueueError> {
        let expected = self.host();
        match &mut self.role {
            Role::Guest { host, link } if *host == from => Ok(link),
            Role::Guest { .. } | Role::Host { .. } | Role::Alone => {
                Err(QueueError::NotFromHost { expected, actual: from })
            }
        }
    }

    /// Replaces the ordered queue by the host's. Own edits that it lacks are pending by that.
    fn replace(&mut self, image: Image) -> Result<(), QueueError> {
        let (queue, at) = image.into_queue()?;
        let used = queue.used(self.me);
        self.rename_unheard(used);
        self.next_edit = self.next_edit.max(used.edit.saturating_add(1));
        self.next_entry = self.next_entry.max(used.entry.saturating_add(1));
        self.ordered = queue;
        self.log = Log::starting_at(at);
        if let Role::Guest { link: Link::Asked { proposed, .. }, .. } = &mut self.role {
            *proposed = Some(used.edit);
        }
        self.rebase();
        self.tell(QueueEvent::Replaced);
        Ok(())
    }
}

impl Feed {
    /// The next message to the guest whose feed this is.
    pub(super) fn poll(&mut self, log: &Log, queue: &Queue) -> Option<QueueMessage> {
        loop {
            match self {
                Self::Quiet => return None,
                Self::Answer { question, at } if log.shares(*at) => {
                    let question = *question;
                    *self = Self::Tail { question, next: at.number.saturating_add(1) };
                    return Some(QueueMessage::Resumed { question });
                }
                Self::Answer { question, .. } => *self = Self::pieces(*question, log, queue),
                Self::Tail { next, .. } if *next > log.head().number => return None,
                Self::Tail { question, next } => match log.record(*next) {
                    Some((at, fact)) => {
                        *next = next.saturating_add(1);
                        return Some(QueueMessage::Ordered { at: *at, fact: fact.clone() });
                    }
                    // The guest reads so slowly that the log has forgotten what it lacks.
                    None => *self = Self::pieces(*question, log, queue),
                },
                Self::Pieces { question, at, pieces } => {
                    let question = *question;
                    match pieces.pop_front() {
                        Some(piece) => return Some(QueueMessage::Snapshot { question, at: *at, piece }),
                        None => *self = Self::Tail { question, next: at.number.saturating_add(1) },
                    }
                }
            }
        }
    }

    fn pieces(question: u32, log: &Log, queue: &Queue) -> Self {
        let at = log.head();
        Self::Pieces { question, at, pieces: Image::of(queue, at).into_pieces() }
    }
}

/// `ids` as an edit names them.
fn named(ids: Vec<EntryId>) -> Result<List<EntryId, ENTRIES_MAX>, QueueError> {
    let too_many = QueueError::TooMany { actual: ids.len(), limit: ENTRIES_MAX };
    List::new(ids).map_err(|_| too_many)
}
