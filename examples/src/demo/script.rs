//! The script: what two friends do in about a minute of music.

use std::time::Duration;

use jamsync_node::api::{AnchorCause, Event, Reply, Snapshot};
use jamsync_protocol::time::Span;
use tokio::time::{Instant, sleep};

use super::{music::Music, session::Session};
use crate::rig::clock::true_now;

/// Plays the script to its end. A step that fails is noted, and the next one is tried.
pub(super) async fn play(session: &mut Session, music: &Music) {
    meet(session).await;
    alone(session, music).await;
    if let Err(error) = jam(session).await {
        session.note("the Jam begins", Err(error));
        return;
    }
    session.listen(11.0).await;
    edits(session, music).await;
    session.listen(4.0).await;
    session.control("ana", &["pause"], "pause", AnchorCause::Pause).await;
    session.listen(3.0).await;
    session.control("ben", &["resume"], "resume", AnchorCause::Resume).await;
    session.listen(7.0).await;
    session.control("ana", &["seek", "+7"], "seek", AnchorCause::Seek).await;
    session.listen(9.0).await;
    session.control("ben", &["skip"], "skip", AnchorCause::Skip).await;
    session.listen(9.0).await;
    end_of_track(session).await;
    session.listen(8.0).await;
    session.journal.end(true_now());
    session.command("ana", &["leave"]).await;
}

/// Sign-up, link, contact.
async fn meet(session: &mut Session) {
    let code = session.stage.coordinator.join_code.clone();
    for name in ["ana", "ben"] {
        let birth = "1990-05-17";
        let sign_up = ["init", "--coordinator", &code, "--handle", name, "--birth", birth, "--market", "DE"];
        session.command(name, &sign_up).await;
        let story = session.story();
        let followed = session.stage.node(name).follow(Some(story)).await;
        session.note(&format!("{name}'s events can be followed"), followed);
    }
    if let Some(Reply::Link { link }) = session.command("ana", &["link"]).await {
        session.command("ben", &["join", &link]).await;
    }
    for (name, friend) in [("ana", "ben"), ("ben", "ana")] {
        let reply = session.command(name, &["contacts"]).await;
        let known = matches!(&reply, Some(Reply::Contacts { contacts, .. })
            if contacts.iter().any(|contact| contact.handle.as_str() == friend));
        session.note(&format!("{friend} is {name}'s contact"), expect(known, || format!("found {reply:?}")));
    }
}

/// Both play by themselves, the same files in another order.
async fn alone(session: &mut Session, music: &Music) {
    let files: Vec<&str> = music.files.iter().filter_map(|path| path.to_str()).collect();
    let reversed: Vec<&str> = files.iter().rev().copied().collect();
    session.command("ben", &[&["play"][..], &files].concat()).await;
    session.command("ana", &[&["play"][..], &reversed].concat()).await;
    session.listen(2.0).await;
}

/// Request, acceptance, and the instant at which both play together.
async fn jam(session: &mut Session) -> anyhow::Result<()> {
    let from = [session.stage.ana.catch_up(), session.stage.ben.catch_up()];
    session.command("ana", &["request", "ben"]).await;
    let asked = |event: &Event| matches!(event, Event::RequestOpened { .. });
    session.stage.ben.wait(from[1], SEEN_MAX, asked).await?;
    session.command("ben", &["accept"]).await;
    let joined = |event: &Event| matches!(event, Event::JamStarted { .. });
    let plays = |event: &Event| matches!(event, Event::Anchor { playing: true, .. });
    for (name, from) in ["ana", "ben"].into_iter().zip(from) {
        session.stage.node(name).wait(from, SEEN_MAX, joined).await?;
    }
    // The host's music goes on as it was: it is the guest who enters.
    let began = session.stage.ana.seen.iter().rposition(joined).unwrap_or(0);
    session.stage.ana.wait(began, SEEN_MAX, plays).await?;
    session.journal.begin(true_now() + ENTRY);
    session.tell("Both play together. What is recorded from here on is scored.");
    Ok(())
}

/// Both edit the queue at the same time, and see the same queue afterwards.
async fn edits(session: &mut Session, music: &Music) {
    let added = music.files.first().and_then(|path| path.to_str()).unwrap_or_default().to_owned();
    session.tell("$ ana: jamsync queue move 2 1, while ben: jamsync queue add ...");
    let (move_one, add_one) = (["queue", "move", "2", "1"], ["queue", "add", &added]);
    let (moved, queued) = tokio::join!(session.stage.ana.run(&move_one), session.stage.ben.run(&add_one));
    session.note("ana moves an entry", moved.map(drop));
    session.note("ben adds an entry at the same time", queued.map(drop));
    agree(session, "after edits from both sides at once").await;
    session.command("ana", &["queue", "remove", "1"]).await;
    session.command("ana", &["queue", "undo"]).await;
    agree(session, "after a removal and its undoing").await;
}

/// Waits until both show the same queue.
async fn agree(session: &mut Session, when: &str) {
    let until = Instant::now() + Duration::from_secs(3);
    let entries = |status: &Snapshot| -> Vec<_> {
        status.queue.iter().map(|entry| (entry.entry.clone(), entry.title.to_string())).collect()
    };
    let mut shown = String::new();
    let mut equal = false;
    while !equal && Instant::now() < until {
        let (ana, ben) = tokio::join!(session.stage.ana.status(), session.stage.ben.status());
        if let (Ok(ana), Ok(ben)) = (ana, ben) {
            let (ana, ben) = (entries(&ana), entries(&ben));
            equal = ana == ben && !ana.is_empty();
            shown = format!("ana shows {ana:?}, ben shows {ben:?}");
        }
        if !equal {
            sleep(Duration::from_millis(100)).await;
        }
    }
    session.note(&format!("both show the same queue {when}"), expect(equal, || shown));
}

/// Goes close to the end of the track, and hears the next one follow.
async fn end_of_track(session: &mut Session) {
    let Ok(status) = session.stage.ben.status().await else { return };
    let Some(now) = status.now else { return };
    let place = now.length - NEAR_THE_END;
    let place = format!("{}", place.as_millis() / 1_000);
    session.control("ana", &["seek", &place], "seek", AnchorCause::Seek).await;
    let from = [session.stage.ana.catch_up(), session.stage.ben.catch_up()];
    for (name, from) in ["ana", "ben"].into_iter().zip(from) {
        let ended = |event: &Event| matches!(event, Event::Anchor { cause: AnchorCause::TrackEnd, .. });
        let seen = session.stage.node(name).wait(from, END_MAX, ended).await;
        session.note(&format!("the next track follows at {name}"), seen);
    }
}

/// What the guest may take from the anchor's taking effect to the first sound, as with every anchor.
const ENTRY: Span = Span::from_millis(500);

fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> anyhow::Result<()> {
    if holds { Ok(()) } else { Err(anyhow::Error::msg(otherwise())) }
}

/// How long before the end of a track the script goes there.
const NEAR_THE_END: Span = Span::from_secs(7);
/// How long to wait for the end of the track.
const END_MAX: Duration = Duration::from_secs(15);
/// How long to wait for what the coordinator or the friend does.
const SEEN_MAX: Duration = Duration::from_secs(15);
