//! Replies in words: the status, the queue and the lists. Pure functions of what the daemon said.
//!
//! Whatever a friend may have written passes through `printable` here, so that it cannot steer the terminal.

use jamsync_protocol::{text::Text, time::Span};

use super::{
    parse::clock,
    show_chat,
    width::{cut, fit, width},
};
use crate::api::{
    BothReadiness, Contact, Coordinator, Device, Direction, EntryState, Jam, JamRequest, NowPlaying, Output,
    Path, Peer, Precision, QueueEntry, Queued, Readiness, Role, Side, SideReadiness, Snapshot, Sync, Who,
};

/// All of the status, in lines of at most `columns`.
pub(super) fn status(snapshot: &Snapshot, log: &str, columns: Option<usize>) -> String {
    let mut lines = vec![you(snapshot)];
    if let Some(jam) = &snapshot.jam {
        lines.push(row("Jam", &jam_words(jam)));
        lines.push(row("Ready", &ready_words(jam)));
        lines.extend(show_chat::latest(&jam.chat, &jam.with).map(|words| row("Chat", &words)));
    }
    if snapshot.jam.is_none() && snapshot.own_music_waits {
        lines.push(row("Parked", "your own music waits; `jamsync leave` brings it back"));
    }
    match &snapshot.now {
        Some(now) => lines.extend(now_words(now, snapshot)),
        None if snapshot.queue.is_empty() => {
            lines.push(row("Silent", "nothing is queued; `jamsync play FILE|DIR` plays"));
        }
        None => lines.push(row("Silent", "nothing plays; `jamsync resume` plays what is next")),
    }
    match (&snapshot.sync, &snapshot.jam) {
        (Some(sync), _) => lines.extend(sync_words(sync)),
        (None, Some(_)) => lines.push(row("Sync", "not measured yet")),
        (None, None) => {}
    }
    lines.push(row("Output", &output_words(&snapshot.output, snapshot.volume_percent.as_u8())));
    lines.extend(snapshot.requests.iter().map(|request| row("Request", &request_words(request))));
    if snapshot.now.is_some() || !snapshot.queue.is_empty() {
        lines.extend(next_words(snapshot, columns, STATUS_ENTRIES));
    }
    lines.extend(snapshot.warnings.iter().map(|warning| row("Warning", &plain(warning))));
    lines.push(row("Log", log));
    finish(&lines, columns)
}

/// What plays and all that comes next.
pub(super) fn queue(snapshot: &Snapshot, columns: Option<usize>) -> String {
    let mut lines = match &snapshot.now {
        Some(now) => now_words(now, snapshot),
        None => vec![row("Silent", "nothing plays")],
    };
    lines.extend(next_words(snapshot, columns, usize::MAX));
    finish(&lines, columns)
}

/// The contacts, one per line; below them how old that is, where the coordinator did not tell it just now.
pub(super) fn contacts(contacts: &[Contact], old: Option<Span>) -> String {
    let note = old.map(is_old);
    if contacts.is_empty() {
        let nobody = "No contacts yet. `jamsync link` makes a link to send to a friend.".to_owned();
        return [nobody].into_iter().chain(note).collect::<Vec<_>>().join("\n");
    }
    let line = |contact: &Contact| {
        let place = match contact.online {
            Some(true) => "online",
            Some(false) => "offline",
            None => "",
        };
        let marks = [(contact.blocked, "blocked"), (contact.muted, "muted")];
        let marks = marks.iter().filter(|(holds, _)| *holds).map(|(_, mark)| *mark);
        let words: Vec<&str> = [place].into_iter().chain(marks).filter(|word| !word.is_empty()).collect();
        format!("{:<32}  {}", contact.handle, words.join(", ")).trim_end().to_owned()
    };
    contacts.iter().map(line).chain(note).collect::<Vec<_>>().join("\n")
}

/// What stands below what the coordinator told some time ago.
pub(super) fn is_old(old: Span) -> String {
    format!("The coordinator does not answer; this is as of {} ago.", age(old))
}

/// The audio devices, one per line.
pub(super) fn devices(devices: &[Device]) -> String {
    if devices.is_empty() {
        return "No audio devices. Without one, `--sink null` or `--sink virtual` runs all the same."
            .to_owned();
    }
    let line = |device: &Device| {
        let mark = if device.default { '*' } else { ' ' };
        format!("{mark} {}", plain(&device.name))
    };
    let lines: Vec<String> = devices.iter().map(line).collect();
    format!("{}\n* is used where `--device` names none.", lines.join("\n"))
}

/// What became of files that were named.
pub(super) fn queued(queued: &Queued, verb: &str) -> String {
    let tracks = |count: u32| if count == 1 { "1 track".to_owned() } else { format!("{count} tracks") };
    let mut text = format!("{verb} {}", tracks(queued.added));
    if queued.pending > 0 {
        text.push_str(&format!("; {} more are being read", queued.pending));
    }
    text.push('.');
    for skipped in &queued.skipped {
        text.push_str(&format!("\nNot added: {}: {}", plain(&skipped.path), plain(&skipped.reason)));
    }
    let named = u32::try_from(queued.skipped.len()).unwrap_or(u32::MAX);
    if let Some(more) = queued.skipped_total.checked_sub(named).filter(|more| *more > 0) {
        text.push_str(&format!("\nNot added: {more} more files"));
    }
    text
}

/// How anyone is named.
pub(super) fn who(who: &Who) -> String {
    match who {
        Who::You => "you".to_owned(),
        Who::Peer(handle) => handle.to_string(),
        Who::Program => "jamsync".to_owned(),
    }
}

/// Title and artist on one line.
pub(super) fn title(title: &Text<256>, artist: &Text<256>) -> String {
    if artist.as_str().is_empty() {
        title.printable()
    } else {
        format!("{} · {}", title.printable(), artist.printable())
    }
}

/// Which side has not got a track, or cannot play it, seen from `with`.
pub(super) fn trouble(state: &EntryState, with: Option<&str>) -> Option<String> {
    let friend = with.unwrap_or("your friend");
    match state {
        EntryState::Ready => None,
        EntryState::Checking => Some("being checked".to_owned()),
        EntryState::Missing { side: Side::Here } => {
            Some("you have no identical copy of this file: both skip it".to_owned())
        }
        EntryState::Missing { side: Side::Peer } => {
            Some(format!("{friend} has no identical copy of this file: both skip it"))
        }
        EntryState::Unplayable { side: Side::Here, reason } => {
            Some(format!("cannot be played here: {}", reason.printable()))
        }
        EntryState::Unplayable { side: Side::Peer, reason } => {
            Some(format!("cannot be played by {friend}: {}", reason.printable()))
        }
    }
}

/// Text of the daemon or a friend, harmless to a terminal.
pub(super) fn plain(text: &str) -> String {
    jamsync_protocol::text::printable(text)
}

fn you(snapshot: &Snapshot) -> String {
    let me = match &snapshot.me.handle {
        Some(handle) => format!("{handle}, "),
        None => String::new(),
    };
    let link = match &snapshot.coordinator {
        Coordinator::Unset => "no coordinator: solo play only".to_owned(),
        Coordinator::Connecting { address } => format!("connecting to {}", plain(address)),
        Coordinator::Connected { address } => format!("connected to {}", plain(address)),
        Coordinator::Offline { address, reason } => {
            format!("{} does not answer: {}", plain(address), plain(reason))
        }
    };
    row("You", &format!("{me}{link}; UDP {}", snapshot.me.listen))
}

fn jam_words(jam: &Jam) -> String {
    let role = match jam.role {
        Role::Host => "you are the host",
        Role::Guest => "you are the guest",
    };
    let controls = if jam.guest_controls { "guest controls on" } else { "guest controls off" };
    let peer = match jam.peer {
        Peer::Connecting => "connecting".to_owned(),
        Peer::Connected { path: Path::Direct, address } => format!("direct to {address}"),
        Peer::Connected { path: Path::Relayed, address } => format!("relayed by {address}"),
        Peer::Returning { for_time } => {
            format!("coming back after a restart, looking for {} for {}", jam.with, age(for_time))
        }
        Peer::Lost { for_time, waits } => {
            let music = if waits { "; the music waits" } else { "" };
            format!("lost for {}, looking{music}", age(for_time))
        }
    };
    format!("with {} for {}; {role}, {controls}; {peer}", jam.with, age(jam.age))
}

fn ready_words(jam: &Jam) -> String {
    let BothReadiness { you, friend } = jam.readiness;
    if [you.is, friend.is] == [Readiness::Ready; 2] {
        return "both".to_owned();
    }
    let side = |name: &str, verb: &str, side: SideReadiness| match side.is {
        Readiness::Ready => format!("{name} {verb}"),
        Readiness::Buffering => format!("{name} not yet: loading the music for {}", age(side.for_time)),
        Readiness::Stalled => format!("{name} not: no sound for {}", age(side.for_time)),
        Readiness::Away => format!("{name} not: away for {}", age(side.for_time)),
    };
    format!("{}; {}", side("you", "are", you), side(jam.with.as_str(), "is", friend))
}

fn now_words(now: &NowPlaying, snapshot: &Snapshot) -> Vec<String> {
    let ended = !now.playing && now.position >= now.length;
    let state = match now.playing {
        true => "Playing",
        false if ended => "Ended",
        false => "Paused",
    };
    let place = format!("{} / {}", place(now.position), place(now.length));
    let mut notes = vec![format!("added by {}", who(&now.added_by))];
    if ended {
        notes.push("`jamsync seek 0` plays it again".to_owned());
    } else if snapshot.jam.is_some() && now.by != Who::Program {
        let did = if now.playing { "started" } else { "paused" };
        notes.push(format!("{did} by {}", who(&now.by)));
    }
    notes.extend(trouble(&now.state, friend(snapshot).as_deref()));
    vec![row(state, &format!("{place}  {}", title(&now.title, &now.artist))), row("", &notes.join("; "))]
}

/// A distance of sounds as people say it: `3 ms`.
pub(super) fn rounded(off: Span) -> String {
    match off.as_micros() {
        micros @ ..1_000 => format!("{micros} µs"),
        micros => format!("{} ms", (micros + 500) / 1_000),
    }
}

fn precision_words(sync: &Sync) -> String {
    match sync.precision {
        Precision::Full => "in step".to_owned(),
        Precision::Range => {
            format!("in step within about {} only", rounded(sync.spread.max(sync.servo_error.abs())))
        }
        Precision::Unknown => "out of step".to_owned(),
    }
}

fn sync_words(sync: &Sync) -> [String; 2] {
    let jumps = match sync.reanchors {
        0 => "no jumps".to_owned(),
        1 => "1 jump".to_owned(),
        jumps => format!("{jumps} jumps"),
    };
    let lost = sync.loss.map(|loss| format!(", {} % lost", loss.as_u8())).unwrap_or_default();
    [
        row(
            "Sync",
            &format!(
                "{}; clocks within ±{}, likely ±{}; round trip {}, lead {} ms{lost}",
                precision_words(sync),
                sync.bound,
                sync.spread,
                sync.round_trip,
                sync.lead.as_millis()
            ),
        ),
        row(
            "",
            &format!(
                "output {} off; rate {:+.1} ppm, drift {:+.1} ppm; {jumps}",
                sync.servo_error, sync.rate.0, sync.drift.0
            ),
        ),
    ]
}

fn output_words(output: &Output, volume: u8) -> String {
    let mut words = vec![plain(&output.sink)];
    if !output.device.is_empty() {
        words.push(plain(&output.device));
    }
    words.extend(output.rate.map(|rate| format!("{} Hz", rate.hz())));
    words.push(format!("latency {}", output.latency));
    words.push(format!("volume {volume} %"));
    if output.underruns > 0 {
        words.push(format!("{} underruns", output.underruns));
    }
    words.join(", ")
}

fn request_words(request: &JamRequest) -> String {
    let (with, left) = (&request.with, age(request.expires_in));
    match request.direction {
        Direction::Incoming => format!("{with} asks you for a Jam ({left} left): jamsync accept {with}"),
        Direction::Outgoing => format!("you asked {with} for a Jam ({left} left): jamsync cancel {with}"),
    }
}

fn next_words(snapshot: &Snapshot, columns: Option<usize>, most: usize) -> Vec<String> {
    if snapshot.queue.is_empty() {
        return vec![row("Next", "nothing")];
    }
    let friend = friend(snapshot);
    let columns = columns.unwrap_or(WIDE);
    let mut lines = vec!["Next".to_owned()];
    for (number, entry) in (1..).zip(snapshot.queue.iter().take(most)) {
        lines.push(entry_line(number, entry, columns));
        if let Some(trouble) = trouble(&entry.state, friend.as_deref()) {
            lines.push(format!("      ! {trouble}"));
        }
    }
    if let Some(more) = snapshot.queue.len().checked_sub(most).filter(|more| *more > 0) {
        lines.push(format!("      and {more} more: jamsync queue"));
    }
    lines
}

/// `  12  Title · Artist          4:51  ana`
fn entry_line(number: usize, entry: &QueueEntry, columns: usize) -> String {
    let head = format!("{number:>4}  ");
    let tail = format!("  {:>5}  {}", place(entry.length), who(&entry.added_by));
    let tail = cut(&tail, columns / 2);
    // Names differ in length; the column of times stays straight where they are short, as names mostly are.
    let tail_columns = width(&tail).max(TAIL.min(columns / 2));
    let room = columns.saturating_sub(width(&head) + tail_columns).min(TITLE);
    format!("{head}{}{tail}", fit(&title(&entry.title, &entry.artist), room))
}

fn friend(snapshot: &Snapshot) -> Option<String> {
    snapshot.jam.as_ref().map(|jam| jam.with.to_string())
}

fn place(span: Span) -> String {
    clock(u64::try_from(span.as_millis()).unwrap_or(0))
}

/// A length of time as people say it.
pub(super) fn age(span: Span) -> String {
    match span.as_millis() / 1_000 {
        seconds @ ..120 => format!("{} s", seconds.max(0)),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

fn row(name: &str, words: &str) -> String {
    format!("{name:<8} {words}")
}

/// The lines under each other; on a terminal a line too long goes on below its own words.
fn finish(lines: &[String], columns: Option<usize>) -> String {
    let wrap = |line: &String| match columns {
        Some(columns) => wrapped(line, columns),
        None => line.clone(),
    };
    lines.iter().map(wrap).collect::<Vec<_>>().join("\n")
}

fn wrapped(line: &str, columns: usize) -> String {
    if width(line) <= columns {
        return line.to_owned();
    }
    let mut text = String::new();
    let mut used = 0;
    for word in line.split(' ') {
        let next = width(word) + usize::from(used > 0);
        if used > INDENT && used + next > columns {
            text = text.trim_end().to_owned();
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', INDENT));
            text.push_str(word);
            used = INDENT + width(word);
        } else {
            if used > 0 || (word.is_empty() && text.is_empty()) {
                text.push(' ');
            }
            text.push_str(word);
            used += next.max(usize::from(word.is_empty()));
        }
    }
    text
}

/// Where the words of a row begin, in columns.
const INDENT: usize = 9;
/// The column of a title is no wider than this, in columns.
const TITLE: usize = 60;
/// A length and a name of eight letters, in columns.
const TAIL: usize = 17;
/// What counts as the width where there is no terminal, in columns.
const WIDE: usize = 120;
/// How many entries the status shows, in number.
const STATUS_ENTRIES: usize = 10;

#[cfg(test)]
mod tests;
