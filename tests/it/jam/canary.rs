//! The canary: words that a friend is told stand nowhere at the coordinator, neither in what it keeps, writes down, hands its
//! operator or has in its memory, nor on the wire. The same search finds them in the node that said them, and finds what the
//! coordinator does know.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
};

use jamsync_node::api::{Coordinator, Event};

use super::{
    messages::write,
    node::Node,
    stage::{Stage, befriend},
    tap::Tap,
};

const CANARY: &str = "the canary sings at midnight under the seventh bridge";

/// All the places of a coordinator where something may stand, with what stands there.
pub(super) fn places(stage: &Stage, tap: &Tap, backup: &str) -> Vec<(String, Vec<u8>)> {
    let to = stage.folder.path().join(backup);
    stage.operate("backup", &["--to", to.to_str().expect("a plain path")]);
    let mut places = vec![
        ("its memory".to_owned(), memory_of(stage.coordinator_process())),
        ("its log".to_owned(), fs::read(stage.folder.path().join("coordinator.log")).expect("a log")),
        ("what devices send".to_owned(), tap.by_devices()),
        ("what it sends".to_owned(), tap.by_server()),
    ];
    for folder in [stage.data(), to] {
        for entry in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_file() {
                places.push((entry.display().to_string(), fs::read(&entry).expect("a file")));
            }
        }
    }
    places
}

/// All that a process has in memory that can be read, as a core dump has it.
pub(super) fn memory_of(process: u32) -> Vec<u8> {
    let folder = Path::new("/proc").join(process.to_string());
    let maps = fs::read_to_string(folder.join("maps")).expect("its mappings");
    let memory = File::open(folder.join("mem")).expect("its memory, which its parent may read");
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| !line.ends_with("[vvar]")) {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
        if !rights.starts_with('r') {
            continue;
        }
        let ends = range.split_once('-').expect("a range");
        let [from, to] = [ends.0, ends.1].map(|end| u64::from_str_radix(end, 16).expect("an address"));
        let mut at = from;
        while at < to {
            let mut part = vec![0; usize::try_from((to - at).min(PART_BYTES)).expect("a part")];
            // A mapping may have gone meanwhile, or be the system's own.
            match memory.read_at(&mut part, at) {
                Ok(read) if read > 0 => all.extend_from_slice(&part[..read]),
                _ => break,
            }
            at += PART_BYTES;
        }
    }
    all
}

const PART_BYTES: u64 = 1 << 20;

/// Serves through the tap, with a log in detail.
pub(super) fn serve_tapped(stage: &mut Stage, tap: &Tap) {
    let settings = stage.folder.path().join("coordinator.toml");
    fs::write(&settings, "log = \"debug\"\n").expect("written");
    let settings = settings.to_str().expect("a plain path").to_owned();
    stage.serve_with(&[("CONFIG", &settings), ("PUBLIC", &tap.door().to_string())]);
}

/// Whether something stands there, as it is or in hexadecimal digits.
pub(super) fn holds(place: &[u8], what: &[u8]) -> bool {
    let digits: String = what.iter().map(|byte| format!("{byte:02x}")).collect();
    find(place, what) || find(place, digits.as_bytes())
}

fn find(place: &[u8], what: &[u8]) -> bool {
    let first = what[0];
    let mut rest = place;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        if rest[at..].starts_with(what) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

pub(super) fn assert_nowhere(places: &[(String, Vec<u8>)], what: &str) {
    for (place, bytes) in places {
        assert!(!bytes.is_empty() || place.ends_with("-wal") || place.ends_with("lock"), "{place} is empty");
        assert!(!holds(bytes, what.as_bytes()), "{what:?} stands in {place}");
    }
}

#[test]
fn what_is_said_stands_nowhere_at_the_coordinator_and_not_on_the_wire() {
    let mut stage = Stage::set();
    let tap = Tap::start(stage.address());
    serve_tapped(&mut stage, &tap);
    let [mut ana, mut ben] = ["ana", "ben"].map(|name| stage.person(name, "1990-05-17"));
    befriend(&ana, &mut ben);
    write(&ana, "ben", "hello");
    ben.event("the first message", told("hello"));

    // It waits for Ben at the coordinator.
    let home = ben.kill();
    let mark = ana.mark();
    let before = tap.by_devices().len();
    write(&ana, "ben", CANARY);
    ana.event_since(mark, "that the coordinator has it", told(CANARY));
    assert!(tap.by_devices().len() > before + CANARY.len(), "it went over the wire that is looked at");
    let waiting = places(&stage, &tap, "while it waits");
    assert_nowhere(&waiting, CANARY);

    // It is fetched.
    let mut ben = Node::start("ben", home);
    ben.until("the message is there", |ben| {
        super::messages::words(ben, "ana").iter().any(|(_, text)| text == CANARY).then_some(())
    });
    ben.until("it is acknowledged", |ben| {
        matches!(ben.status().coordinator, Coordinator::Connected { .. }).then_some(())
    });
    let fetched = places(&stage, &tap, "once it is fetched");
    assert_nowhere(&fetched, CANARY);

    // The search finds what is there: the words at the two, the sender's key at the coordinator, its log in detail.
    for node in [&ana, &ben] {
        assert!(holds(&memory_of(node.process()), CANARY.as_bytes()), "{} knows it", node.name);
        let kept = ["messages.sqlite", "messages.sqlite-wal"].map(|name| fs::read(node.home.join(name)));
        assert!(
            kept.into_iter().flatten().any(|kept| holds(&kept, CANARY.as_bytes())),
            "{} keeps it",
            node.name
        );
    }
    let key = ana.status().me.device.0;
    let knows: Vec<&str> =
        fetched.iter().filter(|(_, bytes)| holds(bytes, &key)).map(|(place, _)| place.as_str()).collect();
    assert!(knows.contains(&"its memory"), "the search finds what the coordinator knows: {knows:?}");
    assert!(knows.iter().any(|place| place.ends_with("coordinator.sqlite")), "{knows:?}");
    let log = fetched.iter().find(|(place, _)| place == "its log").expect("a log");
    assert!(holds(&log.1, b"DEBUG"), "its log is in detail");
}

/// The event that tells of a message with these words, once the coordinator has it.
fn told(text: &str) -> impl Fn(&Event) -> Option<()> {
    move |event| match event {
        Event::Message(message) => (message.text.as_str() == text && message.is_sent()).then_some(()),
        _ => None,
    }
}
