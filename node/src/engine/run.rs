//! The loop: what happens next, and what has to be done after anything has happened.

use std::time::Duration;

use jamsync_protocol::{
    queue::{QueueEvent, What},
    session::{Event, SessionError},
    text::Text,
    time::Span,
    wire::peer::{Availability, Verb},
};
use tokio::{sync::mpsc, time::sleep};

use super::{Completion, Engine};
use crate::{
    api::{self, ApiError, Call, Reply},
    audio::player::PlayerEvent,
    net::{
        coordinator::LinkEvent,
        peer::{CloseCode, PeerEvent},
    },
};

/// Everything the loop listens to.
pub(super) struct Sources {
    pub(super) calls: mpsc::Receiver<Call>,
    pub(super) peer_events: mpsc::Receiver<PeerEvent>,
    pub(super) player_events: mpsc::UnboundedReceiver<PlayerEvent>,
    pub(super) completed: mpsc::UnboundedReceiver<Completion>,
    pub(super) link_events: mpsc::Receiver<LinkEvent>,
}

impl Engine {
    /// Runs until it is told to stop.
    pub(super) async fn run(mut self, mut sources: Sources) {
        let mut stop_answer = None;
        while !self.stopping {
            let pause = self.pause();
            tokio::select! {
                // Probes are worth most when they are looked at first.
                biased;
                Some(event) = sources.peer_events.recv() => self.handle_peer(event),
                () = sleep(pause) => self.wake(),
                Some(call) = sources.calls.recv() => {
                    if let Some(answer) = self.handle_call(call) {
                        stop_answer = Some(answer);
                    }
                }
                Some(event) = sources.player_events.recv() => self.handle_player(event),
                Some(completion) = sources.completed.recv() => self.complete(completion),
                Some(event) = sources.link_events.recv() => self.handle_link(event),
            }
            self.settle();
        }
        self.put_away().await;
        if let Some(answer) = stop_answer {
            let _ = answer.send(Ok(Reply::Done));
        }
    }

    /// How long nothing needs to be done.
    fn pause(&self) -> Duration {
        let now = self.stage.now();
        let idle = if self.jam.is_some() { JAM_TICK } else { IDLE_TICK };
        let due = [self.stage.wake_at(), self.activity.poll_timeout(now)].into_iter().flatten().min();
        let wait = due.map_or(idle, |due| (due - now).min(idle)).max(Span::ZERO);
        wait.as_duration()
    }

    fn wake(&mut self) {
        if let Err(error) = self.stage.wake() {
            self.warn(format!("the music cannot go on: {error}"));
        }
        self.note_device_rate();
        self.forget_expired_requests();
        self.give_up_unreachable_peer();
        self.watch_readiness();
        self.end_hold();
        self.watch_path();
        self.renew_silent_link();
    }

    /// Keeps how fast the output runs, for the next start.
    fn note_device_rate(&mut self) {
        let (player, now) = (self.stage.player(), self.stage.now());
        let (rate, dac) = (player.rate(), player.report().dac);
        if let Err(error) = self.device_rates.note(&self.settings, rate, dac, now) {
            tracing::warn!(%error, "the rate of the audio device is not kept");
        }
    }

    fn complete(&mut self, completion: Completion) {
        let outcome = completion.outcome.and_then(|apply| apply(self));
        if let Some(answer) = completion.answer {
            self.answer(answer, outcome);
        } else if let Err(error) = outcome {
            self.warn(error.to_string());
        }
    }

    /// After anything has happened: events out, bytes out, the player in step.
    pub(super) fn settle(&mut self) {
        self.take_events();
        self.look_after_activity();
        self.look_after_waiting();
        self.seek_files();
        self.tell_chat();
        self.flush();
        self.keep_jam();
        self.stage.sync_player();
        while let Some(effect) = self.stage.poll_effect() {
            self.tell(self.anchor_event(&effect));
        }
    }

    /// Tells what has happened in the session.
    pub(super) fn take_events(&mut self) {
        while let Some(event) = self.stage.poll_event() {
            self.handle_session(event);
        }
    }

    /// Hands the session's bytes to the connection.
    pub(super) fn flush(&mut self) {
        while let Some(transmit) = self.stage.poll_transmit() {
            if let Some(link) = self.jam.as_ref().and_then(|jam| jam.link.as_ref()) {
                link.send(transmit);
            }
        }
        self.flush_chat();
    }

    fn handle_peer(&mut self, event: PeerEvent) {
        match event {
            PeerEvent::Connected { link, hello } => self.meet(link, &hello),
            PeerEvent::Bytes { link, channel, bytes, at } => {
                let Some(jam) = self.jam.as_mut().filter(|jam| jam.uses(link)) else { return };
                jam.heard = jam.heard.max(at);
                match self.stage.bytes(channel, &bytes, at) {
                    Ok(()) => {}
                    Err(error @ SessionError::NothingLeft) => {
                        self.end_jam(api::JamEnd::Refused { reason: error.to_string() });
                    }
                    Err(error) => self.blame_peer(&error),
                }
            }
            PeerEvent::Chat { link, bytes, at } => self.hear(link, &bytes, at),
            PeerEvent::Lost { link, reason } => self.lose(link, reason),
            PeerEvent::Failed { address, reason } => tracing::debug!(%address, reason, "no connection"),
        }
    }

    /// The peer broke the protocol: the connection is closed with the rule it broke, and what still waits from
    /// it is not looked at. The dialling side comes back with a clean one; what was agreed before stands.
    pub(super) fn blame_peer(&mut self, error: &impl ToString) {
        let Some(link) = self.jam.as_ref().and_then(|jam| jam.link.as_ref()) else { return };
        let (id, reason) = (link.id(), error.to_string());
        link.close(CloseCode::Violation, &reason);
        self.lose(id, format!("closed the connection: {reason}"));
    }

    fn handle_player(&mut self, event: PlayerEvent) {
        match event {
            PlayerEvent::Unplayable { entry, reason } => {
                let reason = Text::truncated(&reason);
                let outcome = self.stage.found(entry, Availability::Unplayable { reason });
                if let Err(error) = outcome {
                    self.warn(format!("cannot pass over the track: {error}"));
                }
            }
            PlayerEvent::Damaged { reason } => self.warn(reason),
            PlayerEvent::Reanchored { by } => {
                if let Some(jam) = &mut self.jam {
                    jam.reanchors += 1;
                }
                self.tell(api::Event::Reanchored { error: by, node_time_ns: self.stage.now() });
            }
            PlayerEvent::DeviceLost { reason } => self.lose_output(&reason),
            PlayerEvent::Stalled => {
                self.warn("this computer was too busy to play for a moment; closing other programs helps");
            }
            PlayerEvent::Entered(_) | PlayerEvent::Recovered => {}
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the enum may grow; an event nobody shows is harmless"
    )]
    fn handle_session(&mut self, event: Event) {
        match event {
            Event::Moved(announcement) => self.heed_start(&announcement),
            Event::Queue(event) => self.handle_queue(event),
            Event::HostChanged { why, .. } => self.host_changed(why),
            Event::WishFailed(Some(reason)) => {
                self.warn(format!("your friend's node did not do it: {reason}"))
            }
            Event::WishFailed(None) => {
                self.warn("your friend's node did not answer, so the change was taken back; try again");
            }
            Event::GuestControls(allowed) => self.tell(api::Event::GuestControls { allowed }),
            Event::Availability { entry, of, availability } => {
                self.tell_availability(entry, of, availability);
            }
            Event::VolumeAsked { percent } => {
                if let Some(percent) = api::Percent::new(percent) {
                    self.set_volume(percent, self.friend());
                }
            }
            Event::Joined => tracing::info!("in step with the host"),
            Event::PeerLeft => self.end_jam(api::JamEnd::PeerLeft),
            Event::ClockDoubted => self.warn(
                "your friend's clock jumped or makes no sense, so both may be out of step until it is learnt anew; \
                 if this comes again and again, your friend should restart jamsync",
            ),
            _ => {}
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the enum may grow; an event nobody shows is harmless"
    )]
    fn handle_queue(&mut self, event: QueueEvent) {
        match event {
            QueueEvent::Changed { edit, what } => {
                if let Some(edited) = self.queue_edit(what) {
                    self.tell(api::Event::QueueEdited { by: self.who(edit.author), edit: edited });
                }
            }
            QueueEvent::Refused { edit, reason } if edit.author == self.stage.session().me() => {
                self.warn(format!("your change of the queue was not taken over: {reason}"));
            }
            _ => {}
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the enum may grow; an edit that changes nothing is not shown"
    )]
    fn queue_edit(&self, what: What) -> Option<api::QueueEdit> {
        let title = |entry| {
            self.stage
                .session()
                .queue()
                .entry(entry)
                .map(|entry| entry.track.title.clone())
                .unwrap_or_default()
        };
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Some(match what {
            What::Added { first, count: added } => {
                api::QueueEdit::Added { count: count(added), title: title(first) }
            }
            What::Moved(entry) => api::QueueEdit::Moved { title: title(entry) },
            What::Removed(removed) => api::QueueEdit::Removed { count: count(removed) },
            What::Cleared(cleared) => api::QueueEdit::Cleared { count: count(cleared) },
            What::Shuffled(_) => api::QueueEdit::Shuffled,
            What::Undid(_) => api::QueueEdit::Undone,
            _ => return None,
        })
    }

    fn anchor_event(&self, effect: &super::stage::TakenEffect) -> api::Event {
        let anchor = effect.announcement.anchor;
        let entry = anchor.entry.and_then(|entry| self.stage.session().queue().entry(entry));
        api::Event::Anchor {
            revision: format!("{}.{:010}", anchor.revision.epoch, anchor.revision.counter),
            entry: entry.map(|entry| super::view::entry_key(entry.id)),
            title: entry.map(|entry| entry.track.title.clone()).unwrap_or_default(),
            position: entry.map_or(Span::ZERO, |entry| entry.track.rate.span_of(anchor.position)),
            playing: anchor.playing,
            by: self.who_did(effect.announcement.by, effect.announcement.verb),
            cause: cause(effect.announcement.verb),
            jam_time_ns: anchor.at,
            node_time_ns: effect.at,
        }
    }

    /// Leaves the Jam and lets go of everything, in bounded time.
    async fn put_away(&mut self) {
        if self.jam.is_some() {
            // A Jam whose peer is away has nobody to tell.
            let _ = self.leave();
        }
        // With when the coordinator told of its contacts last, for the next start.
        self.keep_account();
        self.put_jam_state_away().await;
        let farewells = std::mem::take(&mut self.farewells);
        let _ = tokio::time::timeout(FAREWELL, farewells.join_all()).await;
        self.endpoint.close(quinn::VarInt::from_u32(CloseCode::Left as u32), b"the node ends");
        // Waiting until peers have the farewell keeps them from waiting for a timeout.
        let _ = tokio::time::timeout(FAREWELL, self.endpoint.wait_idle()).await;
    }
}

fn cause(verb: Verb) -> api::AnchorCause {
    match verb {
        Verb::Start => api::AnchorCause::Start,
        Verb::Play | Verb::Resume => api::AnchorCause::Resume,
        Verb::Pause => api::AnchorCause::Pause,
        Verb::Wait => api::AnchorCause::Wait,
        Verb::Seek => api::AnchorCause::Seek,
        Verb::Skip | Verb::Removed => api::AnchorCause::Skip,
        Verb::TrackEnd => api::AnchorCause::TrackEnd,
        Verb::Unplayable => api::AnchorCause::Unplayable,
    }
}

/// An error of the session in words for the listener.
#[expect(clippy::wildcard_enum_match_arm, reason = "every other error of the session is a plain failure")]
pub(super) fn session_error(error: &SessionError) -> ApiError {
    use api::ErrorCode;
    let code = match error {
        SessionError::GuestControlsOff | SessionError::HostOnly => ErrorCode::Refused,
        SessionError::NothingOn | SessionError::NothingNext | SessionError::UnknownEntry => {
            ErrorCode::NotFound
        }
        SessionError::Unplayable => ErrorCode::Unplayable,
        SessionError::Alone => ErrorCode::NotInJam,
        _ => ErrorCode::Failed,
    };
    match error {
        SessionError::NothingNext => ApiError::new(code, error.to_string(), NOTHING_NEXT_REMEDY),
        _ => ApiError::from_sentence(code, &error.to_string()),
    }
}

const NOTHING_NEXT_REMEDY: &str =
    "`jamsync play FILE|DIR` plays something else, `jamsync seek 0` this track again";

/// How often the loop looks around in a Jam and alone. A shorter one wakes the processor for nothing, a longer
/// one delays what nobody announces, such as the end of a request's life.
const JAM_TICK: Span = Span::from_millis(250);
const IDLE_TICK: Span = Span::from_secs(1);

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_millis(800);
