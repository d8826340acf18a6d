//! Jams of real processes: the coordinator and two nodes as users run them, driven by the commands that users
//! type and judged by what `--json` says.
//!
//! Nothing here reads a node's memory. Where something has to have happened, a test waits for the event that
//! tells of it, for a bounded time. Every process ends with the test that started it, also when that fails.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test names the event that it waits for and passes over all others"
)]

mod activity;
mod alone;
mod away;
mod broken_music;
mod canary;
mod canary_cover;
mod chat;
mod coordinator_gone;
mod covers;
mod cut_off;
mod damaged;
mod devices;
mod edits;
mod hostile;
mod hosts;
mod killed;
mod liar;
mod messages;
mod messages_killed;
mod messages_shown;
mod missed;
mod moved;
mod node;
mod pictured;
mod poor_path;
pub(crate) mod process;
mod prompt;
mod readiness;
mod refusals;
mod restart;
mod restored;
mod roles;
mod rounds;
mod rows;
mod safety;
mod sealed_rows;
mod shown_live;
mod stage;
mod standing;
mod stranger;
mod tap;
mod told_twice;
mod unasked;
