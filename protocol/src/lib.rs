//! Wire types and machines without IO for two or more listeners who hear the same music at the same instant.
//!
//! A player, a phone or a game embeds this crate to join a Jam; the programs `jamsync` and
//! `jamsync-coordinator` are thin shells over it. It is `no_std` with `alloc`, and never touches a socket, a
//! file, a clock, a thread or a source of randomness: all of that is handed in.
//!
//! # The parts
//!
//! | module | question it answers |
//! |---|---|
//! | [`clock`] | what does the other node's clock read, and how sure is that |
//! | [`timeline`] | which position of which track is heard at each instant of the shared clock |
//! | [`servo`] | how much faster or slower must the device be fed to stay on it |
//! | [`queue`] | what plays next, agreed by all, whoever edits and whoever is away |
//! | [`session`] | all of them joined: one participant's whole part in a Jam |
//! | [`chat`] | what do the listeners say to each other, once and in order, over every lost connection |
//! | [`conversation`] | what are conversations and messages called and made of, before they are sealed |
//! | [`activity`] | what do friends see of what somebody plays, live and no longer than it holds |
//! | [`readiness`] | is a side's sound there, told when that changes and not while it flickers |
//! | [`degrade`] | what is given up on a poor path, told when it begins and when it is over |
//! | [`identity`] | who may take part: device logs, grants, links |
//! | [`wire`] | the bytes of all this; `docs/wire.md` is the normative text |
//!
//! [`time`], [`media`], [`id`], [`text`] and [`limits`] are the nouns they share.
//!
//! # The drain rule
//!
//! Machines take inputs by `handle_*` and give outputs by `poll_*`; whatever depends on the time carries `now`. **After
//! every input, drain: poll every output until it gives nothing. Then sleep until the machine's `poll_timeout`, and
//! handle that.** Nothing else wakes a machine and nothing happens behind its back, so a run is repeatable: the same
//! inputs give the same outputs, in a test as on a stage.
//!
//! # The clock
//!
//! Every `now`, every arrival and every callback is a [`NodeTime`](time::NodeTime): a reading of one clock of this
//! machine, by one reader in the program. Two readers of different clocks are two machines that disagree.
//!
//! That clock must be one which nobody steers. On Linux it is `CLOCK_MONOTONIC_RAW`; `std::time::Instant` reads
//! `CLOCK_MONOTONIC` there, which time daemons slew by up to 500 ppm: more than a [`servo`] corrects, and the
//! [bound](clock::Estimate::bound) of an estimate holds only where both clocks run steadily. It is never the time of
//! day, which jumps. Where its zero lies is of no account.
//!
//! While the machine sleeps, such a clock stands still and the others' run on, so all that was learnt of them is out of
//! date. The shell notices: on Linux `CLOCK_BOOTTIME` less `CLOCK_MONOTONIC` is how long the machine has slept in all,
//! and no sleep is shorter than 50 ms. It looks before it handles what has arrived, and where that has grown it calls
//! both [`Session::handle_suspend`](session::Session::handle_suspend) and
//! [`AudibleLine::handle_suspend`](servo::AudibleLine::handle_suspend), once each.
//!
//! # A run loop
//!
//! Two sessions in one program, a "network" that takes 20 ms, and a clock that leaps to the next thing to do.
//! A real shell replaces the leap by a sleep and the channel by a connection: `embed_udp` in the package `examples`
//! does it with the standard library alone, `embed_tokio` on tokio, and both let a player be steered by it.
//!
//! ```
//! use jamsync_protocol::{
//!     id::{Participant, TrackId},
//!     media::{Frames, SampleRate, Track},
//!     queue::Intent,
//!     session::{Channel, Command, Session},
//!     text::Text,
//!     time::{NodeTime, Span},
//! };
//!
//! let (ana, ben) = (Participant::FIRST, Participant::new(1).ok_or("at most 32 take part")?);
//! let mut now = NodeTime::ZERO; // Both nodes read the same clock here; in the world they do not.
//! let mut sessions = [Session::alone(now), Session::guest(ben, ana)];
//! let song = Track {
//!     id: TrackId([7; 32]),
//!     title: Text::new("A song")?,
//!     artist: Text::default(),
//!     album: Text::default(),
//!     rate: SampleRate::HZ_44100,
//!     length: Frames(44_100 * 180),
//! };
//! sessions[0].handle_command(Command::Edit(Intent::Append(vec![song])), now)?;
//! sessions[0].handle_command(Command::Resume, now)?;
//! sessions[0].handle_connected(ben, 1, now);
//! sessions[1].handle_connected(ana, 1, now);
//!
//! type Packet = (NodeTime, usize, Channel, Vec<u8>); // arrives, for whom, where, what
//! let mut network: Vec<Packet> = Vec::new();
//! let end = now + Span::from_secs(3);
//! while now < end {
//!     // Inputs that are due: what has arrived, and timeouts.
//!     network.sort_by_key(|(arrives, ..)| *arrives);
//!     while network.first().is_some_and(|(arrives, ..)| *arrives <= now) {
//!         let (_, to, channel, bytes) = network.remove(0);
//!         sessions[to].handle_bytes(channel, &bytes, now)?;
//!     }
//!     for (who, session) in sessions.iter_mut().enumerate() {
//!         session.handle_timeout(now)?;
//!         // Drain: bytes to the network, events to people.
//!         while let Some(transmit) = session.poll_transmit(now) {
//!             network.push((now + Span::from_millis(20), 1 - who, transmit.channel, transmit.bytes));
//!         }
//!         while session.poll_event().is_some() {}
//!     }
//!     // Sleep: here, leap.
//!     let wakes = sessions.iter().filter_map(|session| session.poll_timeout(now));
//!     let arrivals = network.iter().map(|(arrives, ..)| *arrives);
//!     now = wakes.chain(arrivals).min().unwrap_or(end).max(now + Span::from_micros(1));
//! }
//! let heard = sessions.each_ref().map(|session| session.heard_at(now));
//! assert!(heard[0].is_some_and(|heard| heard.playing));
//! assert_eq!(heard[0], heard[1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

extern crate alloc;

pub mod activity;
mod budget;
pub mod chat;
pub mod clock;
pub mod conversation;
pub mod degrade;
pub mod id;
pub mod identity;
pub mod limits;
pub mod media;
pub mod queue;
pub mod readiness;
pub mod servo;
pub mod session;
pub mod text;
pub mod time;
pub mod timeline;
pub mod wire;
