//! A full disk: writes are refused with a clear error, nothing that was acknowledged is lost, reading goes on, and
//! writing works again once there is room. The disk is a small file system in memory, which this same test program
//! mounts for itself, started again with its own view of the file systems. A device that is connected over QUIC hears of it
//! as its holder would.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::Command,
    sync::Arc,
    time::Instant,
};

use jamsync_coordinator::{
    env::SystemEnv,
    operations::{Facts, Operations},
    rules::Settings,
    server::Server,
    store::{JoinPermit, SqliteStore, Store, StoreError},
};
use jamsync_protocol::{
    identity::{DeviceSecret, LinkToken, join_code::JoinSecret},
    text::Text,
    time::{Span, UtcTime},
    wire::coord::{CoordCall, CoordReply, CoordRequest, DeviceName, IdempotencyKey, Refusal},
};

use crate::{
    device::{self, Device},
    served,
    writes::{are_there, permit, write},
};

const FOLDER: &str = "JAMSYNC_TEST_SMALL_DISK";
/// The number of the device that is connected.
const PERSON: u8 = 2;

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
        Err(error) => return not_tried(&format!("there is no `unshare` here ({error})")),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77)
        || why.contains("unshare failed")
        || why.contains("Operation not permitted")
    {
        return not_tried(&format!("this system lets nobody mount a small disk ({})", why.trim()));
    }
    assert!(output.status.success() && said.contains("WROTE "), "{said}\n{why}");
    println!("{}", said.lines().find(|line| line.contains("WROTE ")).unwrap_or_default());
}

/// Says so past the harness, which keeps to itself what a test prints that passes.
fn not_tried(why: &str) {
    let line = format!("NOT TRIED: a full disk of the coordinator, since {why}\n");
    io::stderr().write_all(line.as_bytes()).expect("somebody listens");
}

/// Somebody with a device, which the coordinator knows by the name that was acknowledged last.
struct Listener {
    device: Device,
    links: Vec<LinkToken>,
}

impl Listener {
    async fn sign_up(store: &SqliteStore, server: &Server) -> Self {
        let secret = JoinSecret([7; 16]);
        let expires = UtcTime::from_nanos(i64::MAX);
        let permit = JoinPermit { fingerprint: secret.fingerprint(), uses_left: 1, expires };
        store.write(move |tables| tables.put_join_permit(permit)).await.expect("writes");
        let device = Device::log_in(PERSON, server.address(), server.key()).await;
        device.sign_up(secret, "ana", "1990-01-01").await;
        Self { device, links: Vec::new() }
    }

    fn rename(key: u8, name: &str) -> CoordCall {
        let (device, name) = (device::secret(PERSON).public(), Text::truncated(name));
        CoordCall { key: IdempotencyKey([key; 16]), request: CoordRequest::RenameDevice { device, name } }
    }

    async fn name(&self) -> DeviceName {
        let reply = self.device.ask(CoordRequest::Devices).await;
        let CoordReply::Devices(devices) = &reply else { panic!("no devices: {reply:?}") };
        devices.first().expect("one").name.clone()
    }

    async fn writes(&mut self) {
        for _ in 0..10 {
            let reply = self.device.ask(CoordRequest::CreateFriendLink).await;
            let CoordReply::FriendLink { token, .. } = reply else { panic!("no link: {reply:?}") };
            self.links.push(token);
        }
        assert_eq!(self.device.call(&Self::rename(1, "before")).await, CoordReply::Done);
    }

    /// Every write is refused, with the time to wait; what was acknowledged is still read.
    async fn is_refused(&self) {
        for _ in 0..5 {
            for request in [CoordRequest::CreateFriendLink, Self::rename(0, "full").request] {
                let reply = self.device.ask(request).await;
                let CoordReply::Refused(Refusal::Unavailable { retry_after }) = reply else {
                    panic!("there is no room: {reply:?}");
                };
                assert!(retry_after > Span::ZERO && retry_after < Span::from_secs(60), "{retry_after}");
            }
            let refused = self.device.call(&Self::rename(2, "after")).await;
            assert!(matches!(refused, CoordReply::Refused(Refusal::Unavailable { .. })), "{refused:?}");
        }
        assert_eq!(self.name().await.as_str(), "before");
        let me = self.device.ask(CoordRequest::WhoAmI).await;
        assert!(matches!(&me, CoordReply::Me(me) if me.handle.as_str() == "ana"), "{me:?}");
    }

    /// What was refused is done when it is repeated.
    async fn goes_on(&self) {
        for _ in 0..2 {
            assert_eq!(self.device.call(&Self::rename(2, "after")).await, CoordReply::Done);
        }
        assert_eq!(self.name().await.as_str(), "after");
    }

    /// What a store that was opened again has of it.
    async fn is_kept_in(&self, store: &SqliteStore) {
        let links = self.links.clone();
        let kept = store.read(move |view| {
            let found: Result<Vec<_>, _> = links.iter().map(|token| view.link(*token)).collect();
            let devices = view.devices_of(device::log(PERSON).account())?;
            Ok((found?.into_iter().flatten().count(), devices[0].name.to_string()))
        });
        assert_eq!(kept.await.expect("reads"), (self.links.len(), "after".to_owned()));
    }
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
    let mut ana = Listener::sign_up(&store, &server).await;
    ana.writes().await;

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
    ana.is_refused().await;

    fs::remove_file(&filler).expect("removes");
    for number in 2_000_000..2_000_300 {
        write(&store, number).await.expect("there is room");
        acknowledged.push(number);
    }
    assert_eq!(ready().await, "ready\n");
    are_there(&store, &acknowledged).await;
    ana.goes_on().await;
    server.shut_down().await;
    drop(store);
    let again = SqliteStore::open(&folder.join("db")).expect("opens");
    are_there(&again, &acknowledged).await;
    ana.is_kept_in(&again).await;
    let refused = again.read(|view| Ok(view.join_permit(permit(1_000_000).fingerprint)?.is_some()));
    assert!(!refused.await.expect("reads"), "what was refused is not there");
    println!(
        "WROTE {first} writes before the disk was full, 300 after; a device was refused 15 times in between"
    );
}
