//! The shared queue of a Jam: what plays next, in one order that all participants come to agree on.
//!
//! An edit names entries, never positions, so it keeps its meaning while others edit too. The host gives edits
//! their order; a guest applies its own edits at once and rebases them when the host's order comes back.
//! [`Queue`] is the pure state that ordered edits lead to; [`Replica`] is one participant's copy with its role.
//! What each edit does when its target or neighbour is gone stands in `docs/queue.md`.
//!
//! This module does no IO, asks no clock, draws no random numbers and knows nothing of playback: the session
//! feeds it what the listener wants and what peers sent, and tells it by [`Replica::freeze`] how far playback
//! is settled. It trusts the session to know who sent a message and who the host is.
//!
//! # The drain rule
//! After each call of a `&mut self` method call [`Replica::poll_event`] until it returns `None`, and
//! [`Replica::poll_transmit`] while the stream to that peer takes more. Nothing is lost by draining late:
//! messages are made from the state when they are asked for, so memory stays bounded.
//!
//! ```
//! use jamsync_protocol::{id::Participant, queue::{Intent, Replica}};
//!
//! let (ana, ben) = (Participant::new(0).unwrap(), Participant::new(1).unwrap());
//! let mut host = Replica::adopting(ana, 1, Vec::new()).unwrap();
//! let mut guest = Replica::new(ben);
//! guest.become_guest(ana);
//! host.handle_connected(ben);
//! guest.handle_connected(ana);
//! loop {
//!     let mut quiet = true;
//!     while let Some(transmit) = guest.poll_transmit() {
//!         host.handle_message(ben, transmit.message).unwrap();
//!         quiet = false;
//!     }
//!     while let Some(transmit) = host.poll_transmit() {
//!         guest.handle_message(ana, transmit.message).unwrap();
//!         quiet = false;
//!     }
//!     while host.poll_event().or_else(|| guest.poll_event()).is_some() {}
//!     if quiet {
//!         break;
//!     }
//! }
//! assert_eq!(host.ordered_through(), guest.ordered_through());
//! assert!(guest.edit(Intent::Undo).is_err(), "nothing to undo yet");
//! ```

mod edit;
mod error;
mod event;
mod exchange;
mod image;
mod limits;
mod log;
mod message;
mod rename;
mod replica;
mod role;
mod settled;
mod shuffle;
mod state;
mod undo;

#[cfg(test)]
mod tests;

pub use self::{
    edit::{Change, Edit, EditId, Entry, EntryId, Intent, Place},
    error::{QueueError, Refusal},
    event::{QueueEvent, What},
    image::{Image, Numbers, Saved, SlotImage},
    limits::*,
    log::{Fact, Head, Term},
    message::{Piece, QueueMessage, Transmit},
    replica::Replica,
    state::Queue,
    undo::{Effect, Reverse},
};
