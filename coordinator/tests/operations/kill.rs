//! kill -9 after a random number of acknowledgements: what was acknowledged before it is there afterwards. The victim is this same test
//! program, started again as a writer that says on its standard output what has been acknowledged to it.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use jamsync_coordinator::store::SqliteStore;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::writes::{are_there, write};

const ROUNDS: u64 = 25;
const FOLDER: &str = "JAMSYNC_TEST_WRITE_INTO";

/// Writes without end, several at once as a server does, and prints each number once it is acknowledged.
async fn write_forever(path: &Path, first: u64) {
    let store = SqliteStore::open(path).expect("opens");
    let mut writers = tokio::task::JoinSet::new();
    for lane in 0..8 {
        let store = store.clone();
        writers.spawn(async move {
            for number in (first + lane..).step_by(8) {
                write(&store, number).await.expect("writes");
                let mut out = std::io::stdout().lock();
                writeln!(out, "ACK {number}").expect("the test listens");
                out.flush().expect("the test listens");
            }
        });
    }
    while writers.join_next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kill_9() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let first = std::env::var("JAMSYNC_TEST_FIRST").expect("a number").parse().expect("a number");
        write_forever(&PathBuf::from(folder).join("db"), first).await;
        return;
    }
    let seed = 2026;
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let mut acknowledged: Vec<u64> = Vec::new();
    for round in 0..ROUNDS {
        let mut victim = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "kill::what_was_acknowledged_survives_kill_9", "--nocapture"])
            .env(FOLDER, folder.path())
            .env("JAMSYNC_TEST_FIRST", (round * 1_000_000).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let lines = BufReader::new(victim.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let enough = random.random_range(1..200);
        let mut heard = 0;
        // What the victim says between the decision and the kill counts too.
        for line in lines {
            let Some((_, number)) = line.split_once("ACK ") else { continue };
            acknowledged.push(number.parse().expect("a number"));
            heard += 1;
            if heard == enough {
                victim.kill().expect("killed");
            }
        }
        victim.wait().expect("gone");
        assert!(heard >= enough, "round {round}: the writer ended by itself");
        let store = SqliteStore::open(&folder.path().join("db")).expect("opens after a kill");
        println!("round {round}");
        are_there(&store, &acknowledged).await;
    }
    println!("{} acknowledged writes, none lost in {ROUNDS} kills", acknowledged.len());
}
