//! Events in words, one line each. Pure functions of what the daemon said.

use jamsync_protocol::{
    id::{DeviceKey, Handle},
    text::Text,
    time::Span,
};

use super::{
    activity, messages,
    parse::clock,
    show::{age, plain, rounded, trouble, who},
    show_chat,
};
use crate::api::{
    AnchorCause, Direction, EntryState, Event, JamEnd, Precision, QueueEdit, Readiness, RequestOutcome, Role,
    RoleWhy, Side, Who,
};

/// `event` in words; none for those that only programs need.
pub(super) fn event(event: &Event) -> Option<String> {
    Some(match event {
        Event::Snapshot(_) => return None,
        Event::Missed { count } => format!("{count} events were missed"),
        Event::RequestOpened { with, direction, expires_in } => opened(with, *direction, *expires_in),
        Event::RequestClosed { with, direction, outcome } => closed(with, *direction, *outcome),
        Event::ContactAdded { with } => format!("{with} is now a contact: jamsync request {with}"),
        Event::ContactRemoved { with } => format!("{with} is no contact any more"),
        Event::DeviceAdded { key } => device_added(*key),
        Event::DeviceRevoked { key } => format!("a device of your account was revoked: {key}"),
        Event::JamStarted { with, role: Role::Host } => format!("in a Jam with {with}; you are the host"),
        Event::JamStarted { with, role: Role::Guest } => format!("in a Jam with {with}; {with} is the host"),
        Event::JamEnded { with, reason, own_music_waits } => ended(with, reason, *own_music_waits),
        Event::OwnMusicBack => "your own music is back, paused where it was".to_owned(),
        Event::RoleChanged { role, why } => role_changed(*role, *why).to_owned(),
        Event::PeerLost { with, reason, waits } => {
            let music = if *waits { format!("waits until {with} is back") } else { "goes on".to_owned() };
            format!("the connection to {with} is lost ({}); the music {music}", plain(reason))
        }
        Event::PeerBack { with } => format!("{with} is back"),
        Event::Anchor { entry, title, position, by, cause, .. } => match entry {
            Some(_) => anchor(title, *position, by, *cause),
            None => "the queue is at its end".to_owned(),
        },
        Event::Reanchored { error, .. } => format!("jumped by {error} to be in step again"),
        Event::QueueEdited { by, edit } => edited(by, edit),
        Event::TrackMissing { title, side, .. } => {
            let why = trouble(&EntryState::Missing { side: *side }, None).unwrap_or_default();
            format!("{}: {why} (another rip or other tags make another file)", title.printable())
        }
        Event::TrackUnplayable { title, side, reason, .. } => {
            let place = match side {
                Side::Here => "here",
                Side::Peer => "at your friend's",
            };
            format!("{} cannot be played {place}: {}", title.printable(), reason.printable())
        }
        Event::GuestControls { allowed: true } => "the guest may control the music".to_owned(),
        Event::GuestControls { allowed: false } => "only the host controls the music".to_owned(),
        Event::Volume { percent, by } => format!("{} set the volume to {} %", who(by), percent.as_u8()),
        Event::Readiness { with, side, is } => return readiness(with, *side, *is),
        Event::Precision { precision, off, .. } => in_step(*precision, *off),
        Event::SlowControls { slow: true, lead, .. } => {
            format!("the path is slow: play, seek and skip take effect after {:.1} s", lead.as_secs_f64())
        }
        Event::SlowControls { slow: false, lead, .. } => {
            format!("the path is better: play, seek and skip take effect after {:.1} s", lead.as_secs_f64())
        }
        Event::LateEdits { with, late: true, loss } => {
            let lost = loss.as_u8();
            format!(
                "{lost} % of what {with} sends is lost on the way: {with}'s edits and commands may arrive late"
            )
        }
        Event::LateEdits { with, late: false, .. } => {
            format!(
                "little of what {with} sends is lost any more: {with}'s edits and commands arrive at once"
            )
        }
        Event::Message(_) | Event::MessageReaction { .. } | Event::MessageProgress { .. } => {
            return messages::event(event);
        }
        Event::Activity(_) | Event::ActivityCover { .. } | Event::ActivityReaction { .. } => {
            return activity::event(event);
        }
        Event::Said(message) => show_chat::live(message),
        Event::Delivered { with, count, waited, .. } => return show_chat::delivered(with, *count, *waited),
        Event::Reacted { by, reaction } => show_chat::reacted(by, *reaction),
        Event::Coordinator { connected, reason } => coordinator(*connected, reason),
        Event::Warning { message } => format!("warning: {}", plain(message)),
    })
}

fn device_added(key: DeviceKey) -> String {
    format!("a device was added to your account: {key}; if it is not yours, revoke it at once")
}

fn coordinator(connected: bool, reason: &str) -> String {
    if connected {
        return "the coordinator answers".to_owned();
    }
    format!("the coordinator does not answer ({}); a running Jam is not affected", plain(reason))
}

fn opened(with: &Handle, direction: Direction, expires_in: Span) -> String {
    let left = age(expires_in);
    match direction {
        Direction::Incoming => format!("{with} asks you for a Jam ({left} left): jamsync accept {with}"),
        Direction::Outgoing => format!("you asked {with} for a Jam ({left} left)"),
    }
}

fn closed(with: &Handle, direction: Direction, outcome: RequestOutcome) -> String {
    match (direction, outcome) {
        (Direction::Incoming, RequestOutcome::Accepted) => format!("you accepted {with}'s request"),
        (Direction::Incoming, RequestOutcome::Declined) => format!("you declined {with}'s request"),
        (Direction::Incoming, RequestOutcome::Cancelled) => format!("{with} took the request back"),
        (Direction::Outgoing, RequestOutcome::Accepted) => format!("{with} accepted"),
        (Direction::Outgoing, RequestOutcome::Declined) => format!("{with} declined"),
        (Direction::Outgoing, RequestOutcome::Cancelled) => format!("you took your request to {with} back"),
        (Direction::Incoming, RequestOutcome::Expired) => format!("{with}'s request expired"),
        (Direction::Outgoing, RequestOutcome::Expired) => format!("your request to {with} expired"),
    }
}

fn role_changed(role: Role, why: RoleWhy) -> &'static str {
    match (role, why) {
        (Role::Host, RoleWhy::Agreed) => "you are the host now: it was handed over to you",
        (Role::Guest, RoleWhy::Agreed) => "you are the guest now: you handed over",
        (Role::Host, RoleWhy::Silence) => {
            "the host is silent, so you are the host until it is back; nothing stops"
        }
        (Role::Guest, RoleWhy::Silence) => "you were not heard, so your friend is the host now",
        (Role::Host, RoleWhy::Returned) => "you are the host again; your friend's changes were taken over",
        (Role::Guest, RoleWhy::Returned) => "the host is back and the host again; your changes are kept",
        (Role::Host, RoleWhy::Restarted) => {
            "you are the host now, because your friend's jamsync was restarted"
        }
        (Role::Guest, RoleWhy::Restarted) => "you are the guest now, because this jamsync was restarted",
    }
}

fn ended(with: &Handle, reason: &JamEnd, own_music_waits: bool) -> String {
    match reason {
        JamEnd::PeerLeft if own_music_waits => format!(
            "{with} left the Jam; its music goes on here as yours, and `jamsync leave` brings your own back"
        ),
        JamEnd::YouLeft => format!("you left the Jam with {with}"),
        JamEnd::PeerLeft => format!("{with} left the Jam; you are alone with your own music"),
        JamEnd::Unreachable => format!("the Jam with {with} is over: the connection did not come back"),
        JamEnd::Refused { reason } => format!("the Jam with {with} is over: {}", plain(reason)),
    }
}

fn anchor(title: &Text<256>, position: Span, by: &Who, cause: AnchorCause) -> String {
    let (name, title) = (who(by), title.printable());
    let place = clock(u64::try_from(position.as_millis()).unwrap_or(0));
    match cause {
        AnchorCause::Start | AnchorCause::Rejoin => format!("now: {title}, at {place}"),
        AnchorCause::Resume => format!("{name} resumed {title}, at {place}"),
        AnchorCause::Pause => format!("{name} paused {title}, at {place}"),
        AnchorCause::Wait => format!("waiting until both are ready for {title}"),
        AnchorCause::Seek => format!("{name} went to {place} in {title}"),
        AnchorCause::Skip => format!("{name} skipped to {title}"),
        AnchorCause::TrackEnd => format!("now: {title}"),
        AnchorCause::Unplayable => format!("now: {title}, because the one before cannot be played"),
    }
}

fn readiness(with: &Handle, side: Side, is: Readiness) -> Option<String> {
    Some(match (side, is) {
        // The loss of the connection is an event of its own.
        (_, Readiness::Away) => return None,
        (Side::Here, Readiness::Ready) => "your node is ready".to_owned(),
        (Side::Here, Readiness::Buffering) => {
            "your node is not ready yet: it is loading the music".to_owned()
        }
        (Side::Here, Readiness::Stalled) => {
            "your sound has stopped: this computer is too busy, or its audio device is gone".to_owned()
        }
        (Side::Peer, Readiness::Ready) => format!("{with} is ready"),
        (Side::Peer, Readiness::Buffering) => format!("{with} is not ready yet: loading the music"),
        (Side::Peer, Readiness::Stalled) => {
            format!("{with} hears nothing: that computer is too busy, or its audio device is gone")
        }
    })
}

fn in_step(precision: Precision, off: Span) -> String {
    match precision {
        Precision::Full => "in step again".to_owned(),
        Precision::Range => {
            format!("in step within about {} only: the path is uneven, or a computer busy", rounded(off))
        }
        Precision::Unknown => format!(
            "out of step, perhaps by {}: the path is too uneven, or a computer too busy",
            rounded(off)
        ),
    }
}

fn edited(by: &Who, edit: &QueueEdit) -> String {
    let name = who(by);
    match edit {
        QueueEdit::Added { count: 0 | 1, title } => format!("{name} added {}", title.printable()),
        QueueEdit::Added { count, title } => {
            format!("{name} added {count} tracks, {} first", title.printable())
        }
        QueueEdit::PlayNext { title } => format!("{name} put {} next", title.printable()),
        QueueEdit::Moved { title } => format!("{name} moved {}", title.printable()),
        QueueEdit::Removed { count: 1 } => format!("{name} removed an entry"),
        QueueEdit::Removed { count } => format!("{name} removed {count} entries"),
        QueueEdit::Cleared { count } => format!("{name} cleared the queue ({count} entries)"),
        QueueEdit::Shuffled => format!("{name} shuffled the queue"),
        QueueEdit::Undone => format!("{name} took the last edit back"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Percent;

    #[test]
    fn events_are_one_line_that_cannot_steer_a_terminal() {
        let nasty = Text::<256>::truncated("a\u{1b}[2J\nb");
        let ana: Handle = "ana".parse().expect("valid");
        for (told, expected) in [
            (
                Event::QueueEdited {
                    by: Who::Peer(ana.clone()),
                    edit: QueueEdit::Added { count: 1, title: nasty.clone() },
                },
                "ana added a\u{fffd}[2J\u{fffd}b",
            ),
            (
                Event::TrackUnplayable { entry: None, title: nasty.clone(), side: Side::Here, reason: nasty },
                "a\u{fffd}[2J\u{fffd}b cannot be played here: a\u{fffd}[2J\u{fffd}b",
            ),
            (
                Event::LateEdits { with: ana.clone(), late: true, loss: Percent::of_share(0.124) },
                "12 % of what ana sends is lost on the way: ana's edits and commands may arrive late",
            ),
            (Event::Warning { message: "x\ny".into() }, "warning: x\u{fffd}y"),
            (
                Event::RequestOpened {
                    with: ana,
                    direction: Direction::Incoming,
                    expires_in: Span::from_secs(299),
                },
                "ana asks you for a Jam (4 min left): jamsync accept ana",
            ),
        ] {
            assert_eq!(event(&told).as_deref(), Some(expected));
        }
    }
}
