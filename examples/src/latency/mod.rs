//! The latency harness: how far apart two listeners hear the same music, under conditions that are named and
//! seeded, judged from the sound that comes out.
//!
//! A [`Case`] says what a run is put through. [`live`] plays it with real processes: a coordinator, two nodes
//! whose clocks and virtual sound cards are wrong by known amounts, and between the nodes the link model as a
//! forwarder of their datagrams. [`simulate`] plays it in virtual time. Every run becomes a [`RunRecord`]; a
//! [`Report`] pools the runs of one case. The nodes' own opinions are recorded beside the measurement and never enter
//! it, except that the true clock error, which is known because both clocks are shifted on purpose, is held against
//! the bound they claim. [`peer`] compares two recordings of two real machines, whose clocks nobody knows.

mod allowed;
mod case;
mod claim;
mod compare;
mod csv;
mod dry;
mod edits;
mod goals;
mod happening;
mod html;
mod incident;
mod judge;
pub mod live;
mod measure;
mod music;
mod observe;
mod onset;
pub mod peer;
mod plot;
mod progress;
mod range;
mod record;
mod recovery;
mod report;
mod sense;
mod series;
pub mod simulate;
mod store;
mod table;
mod whereabouts;
mod words;

pub use case::{Action, Case, CaseError, Deed, Who};
pub use claim::{Claim, ClaimError};
pub use compare::Comparison;
pub use csv::write_series;
pub use dry::DryCard;
pub use edits::{EditDelay, EditFigures, EditRecord, Edits};
pub use goals::Goal;
pub use happening::{ClockStep, Happening, Sleep};
pub use html::page;
pub use incident::{Kill, NewAddress, Process};
pub use progress::Played;
pub use record::{CommandDelay, Lateness, Mode, Observation, RunRecord, SCHEMA_VERSION, Voidness};
pub use recovery::{Blow, Recovery, RecoveryFigures};
pub use report::{CommandFigures, Figures, Machine, Report};
pub use series::{Player, Series};
pub use store::Store;
pub use table::tables;
