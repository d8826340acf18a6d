//! The rows of the feature list about what is sealed end to end, messages M1 to M6 and listening activity L1 to L13, walked with
//! real processes: Ana and Ben with two devices each, one of which is away for a part of it, and Carl with one. Each row has its
//! permitted and its refused case, each judged by what the devices of others print; what passed and what failed is printed by its
//! feature id. All of it is walked where the readers are in UTC, and again where they are half an hour beside it.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use jamsync_node::api::{ConversationMessage, Event};
use jamsync_protocol::time::{Span, UtcTime};

use super::{
    activity::view,
    devices::second_device,
    messages::{messages, told, write},
    node::Node,
    pictured::noisy,
    stage::{Stage, befriend, piece},
};

mod activity;
mod audience;
mod messages;

/// Ana and Ben with two devices each, and Carl with one.
struct Walk {
    ana: Node,
    tablet: Node,
    ben: Node,
    phone: Node,
    carl: Node,
    music: Vec<PathBuf>,
    zone: Zone,
    /// How often something was said so that all before it has come.
    heralds: u32,
    stage: Stage,
}

/// A time zone, by a name that needs no list of zones, and how far it is ahead of UTC.
#[derive(Clone, Copy, Debug)]
struct Zone {
    name: &'static str,
    ahead: Span,
}

const UTC: Zone = Zone { name: "UTC0", ahead: Span::ZERO };
/// Ahead of UTC by half an hour beside the hours.
const EAST: Zone = Zone { name: "IST-5:30", ahead: Span::from_secs(5 * 3_600 + 1_800) };
/// Behind it by as much.
const WEST: Zone = Zone { name: "NST3:30", ahead: Span::from_secs(-3 * 3_600 - 1_800) };

impl Zone {
    /// The hour and the minute there.
    fn clock(self, at: UtcTime) -> String {
        let minutes = (at - UtcTime::ZERO + self.ahead).as_millis() / 60_000;
        format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60)
    }
}

impl Walk {
    fn begin(zone: Zone) -> Self {
        let stage = Stage::set();
        let [ana, mut ben, mut carl] = ["ana", "ben", "carl"].map(|name| stage.person(name, "1990-05-17"));
        befriend(&ana, &mut ben);
        befriend(&ana, &mut carl);
        befriend(&ben, &mut carl);
        let (tablet, phone) = (second_device(&stage, &ana, "tablet"), second_device(&stage, &ben, "phone"));
        let music = tracks(&stage);
        let mut walk = Self { ana, tablet, ben, phone, carl, music, zone, heralds: 0, stage };
        for node in walk.all() {
            node.zone = Some(zone.name);
        }
        // A device that may show something to a friend has been let into the conversation.
        let Self { ana, tablet, ben, phone, .. } = &mut walk;
        for (node, friend) in [(ana, "ben"), (tablet, "ben"), (ben, "ana"), (phone, "ana")] {
            node.until("it is let into the conversation", |node| {
                node.try_run(&["activity", "allow", friend]).ok()?;
                let own = view(node, &["activity"]).own;
                own.shown_to.iter().any(|name| name.as_str() == friend).then_some(())
            });
        }
        write(&walk.ben, "ana", "hello Ana");
        walk.ana.until("Ben's first message", |ana| (messages(ana, "ben").len() == 1).then_some(()));
        walk.all_has_come();
        walk
    }

    fn all(&mut self) -> [&mut Node; 5] {
        [&mut self.ana, &mut self.tablet, &mut self.ben, &mut self.phone, &mut self.carl]
    }

    /// The devices of Ana and Ben but the one that is at it.
    fn others(&mut self) -> [&mut Node; 3] {
        [&mut self.tablet, &mut self.ben, &mut self.phone]
    }

    /// Ana says something, and all other devices of both show it: what was on its way to them before has come too.
    fn all_has_come(&mut self) {
        self.heralds += 1;
        let text = format!("herald {}", self.heralds);
        self.says(&text);
    }

    /// Ana says something, and it comes to all other devices of both.
    fn says(&mut self, text: &str) -> ConversationMessage {
        let marks = self.others().map(Node::mark);
        write(&self.ana, "ben", text);
        let mut came = None;
        for (node, mark) in self.others().into_iter().zip(marks) {
            came = Some(node.event_since(mark, text, told(text)));
        }
        came.expect("three devices")
    }

    /// Nothing of a kind has been told on the devices of Ben since the marks, nor will be of what was on its way.
    fn nothing_came<T>(&mut self, marks: [usize; 2], what: &str, of: impl Fn(&Event) -> Option<T>) {
        self.all_has_come();
        for (node, mark) in [&mut self.ben, &mut self.phone].into_iter().zip(marks) {
            let came = node.events_since(mark).iter().filter_map(&of).count();
            assert_eq!(came, 0, "{}: {what}", node.name);
        }
    }

    fn ben_marks(&mut self) -> [usize; 2] {
        [&mut self.ben, &mut self.phone].map(Node::mark)
    }

    /// A row that failed may have left a device away, or her activity off, which is not to fail the rows behind it.
    fn recover(&mut self) {
        for node in self.all() {
            if !node.runs() {
                node.start_again();
            }
        }
        let _ = self.ana.try_run(&["activity", "on"]);
    }
}

/// Three tracks of two minutes, in a folder with a cover. The first names its artist, the second one that steers terminals.
fn tracks(stage: &Stage) -> Vec<PathBuf> {
    let music = stage.music(3, 120);
    for (file, artist) in music.iter().zip(["Ann Other", "Eve\u{1b}[2J\u{202e}"]) {
        name_artist(file, artist);
    }
    let folder = music[0].parent().expect("a folder");
    fs::write(folder.join("cover.png"), noisy([192, 96, 0], 320, 1)).expect("written");
    music
}

/// Writes an artist behind the sound of a WAV file.
fn name_artist(file: &Path, artist: &str) {
    let mut bytes = fs::read(file).expect("a file");
    let mut words = artist.as_bytes().to_vec();
    words.resize(words.len() + 2 - words.len() % 2, 0);
    let size = |bytes: usize| u32::try_from(bytes).expect("small").to_le_bytes();
    let info = [b"INFOIART", &size(words.len())[..], &words].concat();
    bytes.extend([b"LIST", &size(info.len())[..], &info].concat());
    let whole = size(bytes.len() - 8);
    bytes[4..8].copy_from_slice(&whole);
    fs::write(file, bytes).expect("written");
}

/// A piece that is over soon.
fn short(stage: &Stage) -> PathBuf {
    piece(&stage.folder.path().join("Short.wav"), 9, 2)
}

fn walk_in(zone: Zone) {
    type Row = (&'static str, fn(&mut Walk));
    let rows: [Row; 19] = [
        ("M1", Walk::m1),
        ("M2", Walk::m2),
        ("M3", Walk::m3),
        ("M4", Walk::m4),
        ("M5", Walk::m5),
        ("M6", Walk::m6),
        ("L1", Walk::l1),
        ("L2", Walk::l2),
        ("L3", Walk::l3),
        ("L4", Walk::l4),
        ("L5", Walk::l5),
        ("L6", Walk::l6),
        ("L7", Walk::l7),
        ("L8", Walk::l8),
        ("L9", Walk::l9),
        ("L10", Walk::l10),
        ("L11", Walk::l11),
        ("L12", Walk::l12),
        ("L13", Walk::l13),
    ];
    let mut walk = Walk::begin(zone);
    let mut failed = Vec::new();
    for (id, row) in rows {
        let began = std::time::Instant::now();
        let passed = catch_unwind(AssertUnwindSafe(|| row(&mut walk))).is_ok();
        println!("{id}  {}  {} ({:.1?})", if passed { "pass" } else { "FAIL" }, zone.name, began.elapsed());
        if !passed {
            failed.push(id);
            walk.recover();
        }
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
    for node in walk.all() {
        node.assert_sound();
    }
}

#[test]
fn every_row_of_messages_and_activity_has_its_permitted_and_its_refused_case() {
    walk_in(UTC);
}

#[test]
fn every_row_of_messages_and_activity_holds_for_readers_half_an_hour_beside_utc() {
    walk_in(EAST);
}
