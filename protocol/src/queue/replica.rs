//! One participant's copy of the queue and its part in giving the order.

use alloc::{
    collections::{BTreeSet, VecDeque},
    vec::Vec,
};

use super::{
    edit::{Edit, EditId, Entry, EntryId, Intent},
    error::QueueError,
    event::QueueEvent,
    image::{Image, Saved, bounded},
    limits::{PENDING_BYTES, PENDING_MAX},
    log::{Fact, Head, Log, Term},
    message::{QueueMessage, Transmit},
    role::{Feed, Link, Role},
    state::{Queue, Used},
};
use crate::{id::Participant, media::Track};

/// One participant's copy of the queue. What is shown is the ordered queue plus the own edits that are not ordered
/// yet; once all is quiet every copy shows the same.
#[derive(Clone, Debug)]
pub struct Replica {
    pub(super) me: Participant,
    pub(super) role: Role,
    pub(super) connected: BTreeSet<Participant>,
    /// What all agree on, up to the log's head.
    pub(super) ordered: Queue,
    pub(super) log: Log,
    /// The ordered queue with the pending edits applied; `None` while there are none.
    pub(super) shown: Option<Queue>,
    /// Own edits, oldest first. Those above the newest that is ordered are pending; which these are follows from
    /// the ordered queue alone, so a change of host needs no bookkeeping.
    pub(super) own: VecDeque<Edit>,
    pub(super) own_bytes: usize,
    pub(super) next_edit: u32,
    pub(super) next_entry: u32,
    /// The highest epoch in which this participant gave the order.
    pub(super) hosted_epoch: u32,
    /// Whether a host may know an own edit by its name.
    pub(super) has_proposed: bool,
    /// The number of the newest `Resume`.
    pub(super) question: u32,
    pub(super) events: VecDeque<QueueEvent>,
}

/// How many numbers a restored replica leaves out, so that names given out after the state was written are not
/// given again.
const RESTORE_GAP: u32 = 1_024;

impl Replica {
    /// An empty copy that knows of no host: its edits wait until one is named.
    #[must_use]
    pub fn new(me: Participant) -> Self {
        Self::from_parts(me, Queue::default(), Head::ZERO)
    }

    /// The host's copy at the start of a Jam: `tracks`, its own queue until now, in order. `epoch` is the host's,
    /// at least 1.
    ///
    /// # Errors
    /// [`Refusal::Full`](super::Refusal::Full) above [`TO_COME_MAX`](super::TO_COME_MAX) tracks.
    pub fn adopting(me: Participant, epoch: u32, tracks: Vec<Track>) -> Result<Self, QueueError> {
        let term = Term { epoch, host: me };
        let queue = Queue::adopting(me, tracks)?;
        let mut replica = Self::from_parts(me, queue, Head { number: 1, term });
        replica.role = Role::host(term, &replica.connected);
        replica.hosted_epoch = epoch;
        Ok(replica)
    }

    /// The copy that was saved, without role and connections: name the host next. A host that was restored takes a
    /// new epoch or becomes a guest. Write [`snapshot`](Self::snapshot) at once: the names that were left out to
    /// be safe are then left out for good.
    ///
    /// # Errors
    /// [`QueueError::BadSnapshot`] where what was saved contradicts itself.
    pub fn restore(saved: Saved) -> Result<Self, QueueError> {
        let (queue, at) = saved.image.into_queue()?;
        let mut replica = Self::from_parts(saved.me, queue, at);
        let ascending = saved.own.is_sorted_by(|a, b| a.id.number < b.id.number);
        if !ascending || saved.own.iter().any(|edit| edit.id.author != saved.me) {
            return Err(QueueError::BadSnapshot("own edits are not one's own or not in order"));
        }
        for edit in saved.own {
            replica.number_past(&edit);
            replica.keep(edit);
        }
        replica.next_edit = replica.next_edit.max(saved.next_edit).saturating_add(RESTORE_GAP);
        replica.next_entry = replica.next_entry.max(saved.next_entry).saturating_add(RESTORE_GAP);
        replica.hosted_epoch = saved.hosted_epoch;
        replica.has_proposed = true;
        replica.rebase();
        Ok(replica)
    }

    /// The state for the disk. Write it before the messages that follow a call are sent: then what a peer was told
    /// is never forgotten.
    #[must_use]
    pub fn snapshot(&self) -> Saved {
        Saved {
            me: self.me,
            image: Image::of(&self.ordered, self.log.head()),
            own: bounded(self.own.iter().cloned().collect()),
            next_edit: self.next_edit,
            next_entry: self.next_entry,
            hosted_epoch: self.hosted_epoch,
        }
    }

    /// The queue as shown to the listener: own edits are in it from the moment they are made.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        self.shown.as_ref().unwrap_or(&self.ordered)
    }

    /// The entries in order, the last played ones included.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> + Clone {
        self.queue().entries()
    }

    /// The first entry.
    #[must_use]
    pub fn first(&self) -> Option<&Entry> {
        self.entries().next()
    }

    /// The entry of that name, also where it was removed and is remembered.
    #[must_use]
    pub fn entry(&self, id: EntryId) -> Option<&Entry> {
        self.queue().entry(id)
    }

    /// The entry that plays after `id`, also where `id` was removed and is remembered.
    #[must_use]
    pub fn next_after(&self, id: EntryId) -> Option<&Entry> {
        self.queue().next_after(id)
    }

    /// Own edits that are not ordered yet, oldest first.
    pub fn pending(&self) -> impl Iterator<Item = &Edit> {
        self.own_after(self.ordered.seen(self.me))
    }

    /// The newest point of the order that is known here.
    #[must_use]
    pub fn ordered_through(&self) -> Head {
        self.log.head()
    }

    /// Whom this participant takes for the host, itself included.
    #[must_use]
    pub fn host(&self) -> Option<Participant> {
        self.role.host_of(self.me)
    }

    /// Makes an edit of what the listener wants. It shows at once; a host orders it, a guest proposes it.
    ///
    /// # Errors
    /// Where the edit would do nothing or has no room; nothing has changed then.
    pub fn edit(&mut self, intent: Intent) -> Result<EditId, QueueError> {
        if self.next_edit == u32::MAX {
            return Err(QueueError::NumbersExhausted);
        }
        let change = self.change_of(intent)?;
        let edit = Edit { id: EditId { author: self.me, number: self.next_edit }, change };
        self.queue().check(&edit)?;
        if self.pending().count() >= PENDING_MAX
            || self.pending().map(Edit::bytes).sum::<usize>() + edit.bytes() > PENDING_BYTES
        {
            return Err(QueueError::TooManyPending);
        }
        let id = edit.id;
        self.number_past(&edit);
        if let Role::Host { term, .. } = self.role {
            self.keep(edit.clone());
            self.order(term, Fact::Edit(edit));
        } else {
            let outcome = self.shown.get_or_insert_with(|| self.ordered.clone()).apply(&edit);
            self.keep(edit);
            self.tell(outcome.map_or_else(
                |reason| QueueEvent::Refused { edit: id, reason },
                |what| QueueEvent::Changed { edit: id, what },
            ));
        }
        Ok(id)
    }

    /// As the host, settles playback up to and including `entry`, which plays or is about to. From here on every
    /// edit, also one that is under way, goes behind it.
    ///
    /// # Errors
    /// [`QueueError::NotFromHost`] for a guest, [`QueueError::UnknownEntry`] for an entry that is not remembered.
    pub fn freeze(&mut self, entry: EntryId) -> Result<(), QueueError> {
        let Role::Host { term, .. } = self.role else {
            return Err(QueueError::NotFromHost { expected: self.host(), actual: self.me });
        };
        if self.entry(entry).is_none() {
            return Err(QueueError::UnknownEntry(entry));
        }
        if self.ordered.frozen() != Some(entry) {
            self.order(term, Fact::Freeze(entry));
        }
        Ok(())
    }

    /// As the host, lets the order begin anew with the queue as it is: what was removed or has been played, which edit
    /// did what, and how to take it back is forgotten, so that nobody who joins from here on is told of it. Names are
    /// still never given twice. `heard` is what plays or is about to; it is kept even where it was removed, and with
    /// nothing heard nothing counts as played. What others added is the host's own from here on, but for `heard`. A
    /// guest keeps everything.
    pub fn forget_history(&mut self, heard: &[EntryId]) {
        if matches!(self.role, Role::Host { .. }) {
            self.ordered.forget_history(self.me, heard);
            self.next_entry = self.next_entry.max(self.ordered.used(self.me).entry.saturating_add(1));
            self.log = Log::starting_at(self.log.head());
            self.own.clear();
            self.own_bytes = 0;
            self.tell(QueueEvent::Replaced);
        }
    }

    /// As a host without guests, goes on under another participant's name: its place in the Jam that begins. Numbers go
    /// on above all that anyone used under that name.
    pub(crate) fn take_place(&mut self, me: Participant) {
        let Used { edit, entry } = self.ordered.used(me);
        self.me = me;
        self.next_edit = self.next_edit.max(edit.saturating_add(1));
        self.next_entry = self.next_entry.max(entry.saturating_add(1));
        self.own.clear();
        self.own_bytes = 0;
    }

    /// By what a snapshot is told from an older one: the newest point of the order and the number of the next edit.
    pub(crate) fn mark(&self) -> (Head, u32) {
        (self.log.head(), self.next_edit)
    }

    /// Gives the order from now on, own pending edits first. The epoch is above all that are known, and no host
    /// uses one twice.
    ///
    /// # Errors
    /// [`QueueError::StaleEpoch`].
    pub fn become_host(&mut self, epoch: u32) -> Result<(), QueueError> {
        let expected = self.hosted_epoch.max(self.log.head().term.epoch).saturating_add(1);
        if epoch < expected {
            return Err(QueueError::StaleEpoch { expected, actual: epoch });
        }
        let term = Term { epoch, host: self.me };
        self.hosted_epoch = epoch;
        self.role = Role::host(term, &self.connected);
        let pending: Vec<Edit> = self.pending().cloned().collect();
        for edit in pending {
            self.order(term, Fact::Edit(edit));
        }
        self.shown = None;
        Ok(())
    }

    /// Follows the order of `host` from now on. Own edits that it lacks are proposed to it under their names.
    pub fn become_guest(&mut self, host: Participant) {
        self.role = Role::guest(host, &self.connected);
    }

    /// A connection to `peer` stands. Nothing of an older connection to it may be handed in any more.
    pub fn handle_connected(&mut self, peer: Participant) {
        self.connected.insert(peer);
        match &mut self.role {
            Role::Host { feeds, .. } => drop(feeds.insert(peer, Feed::Quiet)),
            Role::Guest { host, link } if *host == peer => *link = Link::Asking,
            Role::Guest { .. } | Role::Alone => {}
        }
    }

    /// The connection to `peer` is gone.
    pub fn handle_disconnected(&mut self, peer: Participant) {
        self.connected.remove(&peer);
        match &mut self.role {
            Role::Host { feeds, .. } => drop(feeds.remove(&peer)),
            Role::Guest { host, link } if *host == peer => *link = Link::Down,
            Role::Guest { .. } | Role::Alone => {}
        }
    }

    /// A message that `from` sent.
    ///
    /// # Errors
    /// Nothing has changed then. [`QueueError::NotFromHost`] and [`QueueError::NotHost`] happen around a change of
    /// host; any other error is the sender's fault, and the session closes the connection.
    pub fn handle_message(&mut self, from: Participant, message: QueueMessage) -> Result<(), QueueError> {
        match message {
            QueueMessage::Resume { question, at } => self.handle_resume(from, question, at),
            QueueMessage::Propose(edit) => self.handle_propose(from, edit),
            QueueMessage::Resumed { question } => self.handle_resumed(from, question),
            QueueMessage::Snapshot { question, at, piece } => self.handle_piece(from, question, at, piece),
            QueueMessage::Ordered { at, fact } => self.handle_ordered(from, at, fact),
        }
    }

    /// The next message to send, if any.
    #[must_use]
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        match &mut self.role {
            Role::Alone => None,
            Role::Host { feeds, .. } => feeds.iter_mut().find_map(|(peer, feed)| {
                let message = feed.poll(&self.log, &self.ordered)?;
                Some(Transmit { to: *peer, message })
            }),
            Role::Guest { host, link } => {
                let message = match link {
                    Link::Down | Link::Asked { proposed: None, .. } => return None,
                    Link::Asking => {
                        self.question = self.question.wrapping_add(1);
                        let question = self.question;
                        *link = Link::Asked { question, arriving: None, proposed: None };
                        QueueMessage::Resume { question, at: self.log.head() }
                    }
                    Link::Asked { proposed: Some(proposed), .. } => {
                        let next = self.own.partition_point(|edit| edit.id.number <= *proposed);
                        let edit = self.own.get(next)?;
                        *proposed = edit.id.number;
                        self.has_proposed = true;
                        QueueMessage::Propose(edit.clone())
                    }
                };
                Some(Transmit { to: *host, message })
            }
        }
    }

    /// The next event, if any.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<QueueEvent> {
        self.events.pop_front()
    }

    /// Own edits above `number`, oldest first.
    fn own_after(&self, number: u32) -> impl Iterator<Item = &Edit> {
        self.own.range(self.own.partition_point(|edit| edit.id.number <= number)..)
    }

    fn from_parts(me: Participant, queue: Queue, at: Head) -> Self {
        let Used { edit, entry } = queue.used(me);
        Self {
            me,
            role: Role::Alone,
            connected: BTreeSet::new(),
            ordered: queue,
            log: Log::starting_at(at),
            shown: None,
            own: VecDeque::new(),
            own_bytes: 0,
            next_edit: edit.saturating_add(1),
            next_entry: entry.saturating_add(1),
            hosted_epoch: 0,
            has_proposed: false,
            question: 0,
            events: VecDeque::new(),
        }
    }
}
