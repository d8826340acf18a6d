//! What a message costs a node: saying it, sealing it, opening it, and showing what was said, by the machine that a node runs
//! and with its database, for groups of several sizes. Each step is with all that it writes: `say` keeps the words, `seal` uses
//! a key for them, `placed` takes in that the coordinator has them, `open` is the reader's fetching, opening and acknowledging,
//! `history` what a screen shows, and the last column what the keys of the conversation take in the database. A database in
//! memory shows what the keys cost, one on the disk what the syncs add.

#![expect(clippy::panic, reason = "what is not measured as it should be is not to be shown")]

mod office;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use jamsync_node::conversation::{Conversations, Friend, Roster};
use jamsync_protocol::{
    chat::ChatText,
    conversation::{Content, Members},
    id::{AccountId, DeviceKey},
    identity::{DeviceLog, DeviceSecret, VerifiedLog},
    time::UtcTime,
    wire::coord::CoordRequest,
};
use office::Office;
use rusqlite::Connection;

/// Messages of each size, one after the other.
const MESSAGES: usize = 300;
/// How many messages a listener sees on a screen.
const SHOWN: u32 = 50;
const NOW: UtcTime = UtcTime::from_nanos(1_795_219_200_000_000_000);
/// A folder that is in memory, on Linux.
const IN_MEMORY: &str = "/dev/shm";

/// Two who write, the office between them, and their other devices, which are away.
struct Pair {
    office: Office,
    author: Conversations,
    reader: Conversations,
    keys: [DeviceKey; 2],
    accounts: [AccountId; 2],
}

/// How long each step took, of all messages.
#[derive(Default)]
struct Times {
    say: Vec<Duration>,
    seal: Vec<Duration>,
    placed: Vec<Duration>,
    open: Vec<Duration>,
    history: Vec<Duration>,
    whole: Vec<Duration>,
    bytes: usize,
}

fn main() {
    println!("times in ms, p50 / p99 of {MESSAGES}");
    println!(
        "{:8}{:>7}{:>8}{:>10}{:>16}{:>16}{:>16}{:>16}{:>16}{:>16}{:>8}",
        "database",
        "leaves",
        "text B",
        "sealed B",
        "say",
        "seal",
        "placed",
        "open",
        "history",
        "all",
        "keys B"
    );
    let disk = tempfile::tempdir().expect("a folder");
    let memory = tempfile::tempdir_in(IN_MEMORY).ok();
    let places = [Some(("disk", disk.path())), memory.as_ref().map(|memory| ("memory", memory.path()))];
    for (name, folder) in places.into_iter().flatten() {
        // Two devices of each of two, and six: as many as a coordinator lets one account have.
        for devices in [2, 6] {
            let folder = folder.join(devices.to_string());
            std::fs::create_dir(&folder).expect("a folder");
            let mut pair = Pair::meet(&folder, devices);
            for length in [20, 4_096] {
                let times = pair.talk(length);
                let size = size_of_keys(&folder.join("0-0"));
                println!("{name:8}{:7}{length:8}{:10}{times}{size:8}", devices * 2, times.bytes);
            }
        }
    }
}

impl Pair {
    fn meet(folder: &Path, devices: u8) -> Self {
        let logs = [0, 1].map(|account| log(account, devices));
        let accounts = [0, 1].map(|account: usize| logs[account].account());
        let mut office = Office::new(Members::new(accounts).expect("two"));
        let mut machine = |account: u8, device: u8| {
            let (mine, other) = (&logs[usize::from(account)], &logs[usize::from(1 - account)]);
            let name = "friend".parse().expect("a handle");
            let friend = Friend { account: other.account(), name, blocked: false };
            let roster = Roster::new(mine.as_log(), [(friend, other.as_log().clone())]).expect("sound");
            let (path, secret) = (folder.join(format!("{account}-{device}")), secret(account, device));
            let (mut machine, _) = Conversations::open(&path, &secret, roster).expect("opens");
            machine.handle_connected();
            // It publishes its key packages; nobody else has, so that nothing begins yet.
            while let Some(ask) = machine.poll_ask(NOW).expect("its database works") {
                let begins = matches!(ask.request, CoordRequest::TakeKeyPackages { .. });
                if begins {
                    break;
                }
                office.answer(secret.public(), &mut machine, ask, NOW);
            }
            machine
        };
        let mut first = [0, 1].map(|account| machine(account, 0));
        for (account, device) in
            [0, 1].into_iter().flat_map(|account| (1..devices).map(move |d| (account, d)))
        {
            machine(account, device);
        }
        let keys = [0, 1].map(|account| secret(account, 0).public());
        let conversation = office.conversation();
        // Whoever is first among the two begins.
        for _ in 0..4 {
            for (machine, key) in first.iter_mut().zip(keys) {
                machine.handle_connected();
                machine.handle_grown(conversation);
                office.serve(key, machine, NOW);
            }
        }
        let [author, reader] = first;
        Self { office, author, reader, keys, accounts }
    }

    /// The author says so many bytes again and again, and the reader reads.
    fn talk(&mut self, length: usize) -> Times {
        let mut times = Times::default();
        for number in 0..MESSAGES {
            let words = format!("{number:0length$}");
            self.say(&words, &mut times);
        }
        times
    }

    fn say(&mut self, words: &str, times: &mut Times) {
        let Self { office, author, reader, keys, accounts } = self;
        let text: ChatText = words.parse().expect("may be said");
        let begun = Instant::now();
        author.say(accounts[1], Content::Text(text), NOW).expect("said");
        let said = Instant::now();
        let ask = author.poll_ask(NOW).expect("its database works").expect("a message");
        let sealed = Instant::now();
        if let CoordRequest::Post { sealed, .. } = &ask.request {
            times.bytes = sealed.len();
        } else {
            panic!("no message is sent, but {:?}", ask.request);
        }
        office.answer(keys[0], author, ask, NOW);
        office.serve(keys[0], author, NOW);
        let placed = Instant::now();
        reader.handle_grown(office.conversation());
        let ask = reader.poll_ask(NOW).expect("its database works").expect("the log");
        office.answer(keys[1], reader, ask, NOW);
        office.serve(keys[1], reader, NOW);
        let opened = Instant::now();
        let shown = reader.history(accounts[0], SHOWN).expect("its database works");
        let done = Instant::now();
        let Some(Content::Text(last)) = shown.said.last().map(|said| &said.content) else {
            panic!("nothing came")
        };
        assert_eq!(last.as_str(), words);
        let Times { say, seal, placed: own, open, history, whole, .. } = times;
        let steps = [(say, begun, said), (seal, said, sealed), (own, sealed, placed), (open, placed, opened)];
        for (all, from, to) in steps.into_iter().chain([(history, opened, done), (whole, begun, done)]) {
            all.push(to - from);
        }
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for times in [&self.say, &self.seal, &self.placed, &self.open, &self.history, &self.whole] {
            let mut sorted = times.clone();
            sorted.sort_unstable();
            let at = |part: usize| sorted[sorted.len() * part / 100].as_secs_f64() * 1e3;
            write!(f, "{:8.2} /{:6.2}", at(50), at(99))?;
        }
        Ok(())
    }
}

fn secret(account: u8, device: u8) -> DeviceSecret {
    DeviceSecret::from_seed(&[account * 100 + device + 1; 32])
}

/// The log of an account with so many devices.
fn log(account: u8, devices: u8) -> VerifiedLog {
    let first = secret(account, 0);
    let mut log = DeviceLog::found(&first, [7; 16]);
    for device in 1..devices {
        let added = secret(account, device);
        let consent = log.consent(&added);
        log.add(&first, added.public(), consent).expect("added");
    }
    log
}

/// What the keys of the conversation take in the database, without those that others may begin one with.
fn size_of_keys(path: &Path) -> i64 {
    let database = Connection::open(path).expect("opens");
    let sql = "SELECT sum(length(value)) FROM mls WHERE kind NOT IN ('key package', 'encryption')";
    database.query_row(sql, [], |row| row.get(0)).expect("read")
}
