//! A full disk: writes are refused with a clear error, nothing that was acknowledged is lost, reading goes on, and
//! writing works again once there is room. The disk is a small file system in memory, which this same test program
//! mounts for itself, started again with its own view of the file systems.

use std::{fs, path::Path, process::Command, sync::Arc, time::Instant};

use jamsync_coordinator::{
    env::SystemEnv,
    operations::{Facts, Operations},
    rules::Settings,
    server::Server,
    store::{SqliteStore, Store, StoreError},
};
use jamsync_protocol::identity::DeviceSecret;

use crate::{
    served,
    writes::{are_there, permit, write},
};

const FOLDER: &str = "JAMSYNC_TEST_SMALL_DISK";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_loses_nothing_and_recovers() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return fill(Path::new(&folder)).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mount = "mount -t tmpfs -o size=3m tmpfs \"$JAMSYNC_TEST_SMALL_DISK\" || exit 77; exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", mount, "sh"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", "full_disk::a_full_disk_refuses_writes_loses_nothing_and_recovers", "--nocapture"])
        .env(FOLDER, folder.path())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return println!("not tried: no `unshare` here ({error})"),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77)
        || why.contains("unshare failed")
        || why.contains("Operation not permitted")
    {
        return println!("not tried: this system lets nobody mount a small disk ({why})");
    }
    assert!(output.status.success() && said.contains("WROTE "), "{said}\n{why}");
}

async fn fill(folder: &Path) {
    let store = SqliteStore::open(&folder.join("db")).expect("opens");
    let secret = DeviceSecret::from_seed(&[1; 32]);
    let listen = "127.0.0.1:0".parse().expect("an address");
    let server = Server::start(listen, secret, Settings::default(), store.clone(), Arc::new(SystemEnv));
    let server = server.expect("serves");
    let facts = Facts {
        server: server.metrics(),
        store: store.metrics(),
        data: folder.to_owned(),
        started: Instant::now(),
    };
    let operations = Operations::start(listen, facts).await.expect("serves");
    let ready = || {
        let address = operations.address().to_string();
        async move { tokio::task::spawn_blocking(move || served::get(&address, "/readyz").1).await.expect("asks") }
    };
    assert_eq!(ready().await, "ready\n");

    // Room for some writes, not for many.
    let filler = folder.join("filler");
    fs::write(&filler, vec![0; 2 << 20]).expect("writes");
    let mut acknowledged = Vec::new();
    let full = loop {
        let number = u64::try_from(acknowledged.len()).expect("few");
        match write(&store, number).await {
            Ok(()) => acknowledged.push(number),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, StoreError::Full), "{full}");
    assert!(full.to_string().contains("the disk is full; make room"), "{full}");
    let first = acknowledged.len();
    assert!(first > 10, "{first}");
    assert!(ready().await.starts_with("writes fail: make room"), "{}", ready().await);
    for number in 0..100 {
        assert!(write(&store, 1_000_000 + number).await.is_err(), "there is no room");
    }
    are_there(&store, &acknowledged).await;

    fs::remove_file(&filler).expect("removes");
    for number in 2_000_000..2_000_300 {
        write(&store, number).await.expect("there is room");
        acknowledged.push(number);
    }
    assert_eq!(ready().await, "ready\n");
    are_there(&store, &acknowledged).await;
    server.shut_down().await;
    drop(store);
    let again = SqliteStore::open(&folder.join("db")).expect("opens");
    are_there(&again, &acknowledged).await;
    let refused = again.read(|view| Ok(view.join_permit(permit(1_000_000).fingerprint)?.is_some()));
    assert!(!refused.await.expect("reads"), "what was refused is not there");
    println!("WROTE {first} writes before the disk was full, 300 after");
}
