//! A tap on the wire: devices reach the coordinator through it, and it keeps every byte that passes.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// A running tap. Its threads end with it.
#[derive(Debug)]
pub(super) struct Tap {
    door: SocketAddr,
    passed: Arc<Passed>,
}

/// What has passed, by who sent it.
#[derive(Debug, Default)]
struct Passed {
    by_devices: Mutex<Vec<u8>>,
    by_server: Mutex<Vec<u8>>,
    ended: AtomicBool,
}

impl Tap {
    /// A tap before the server at `server`.
    pub(super) fn start(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let (door, passed) = (socket.local_addr().expect("an address"), Arc::<Passed>::default());
        let theirs = Arc::clone(&passed);
        thread::spawn(move || pass_on(&Arc::new(socket), server, &theirs));
        Self { door, passed }
    }

    /// Where devices find the server.
    pub(super) const fn door(&self) -> SocketAddr {
        self.door
    }

    /// What devices have sent so far.
    pub(super) fn by_devices(&self) -> Vec<u8> {
        copy(&self.passed.by_devices)
    }

    /// What the server has sent so far.
    pub(super) fn by_server(&self) -> Vec<u8> {
        copy(&self.passed.by_server)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.passed.ended.store(true, Ordering::Relaxed);
    }
}

/// Passes datagrams of devices on, each device's from a port of its own, so that answers find their way back.
fn pass_on(door: &Arc<UdpSocket>, server: SocketAddr, passed: &Arc<Passed>) {
    let mut ports: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
    each_datagram(door, passed, |bytes, device| {
        keep(&passed.by_devices, bytes);
        let port = ports.entry(device).or_insert_with(|| {
            let port = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"));
            let (back, door, passed) = (Arc::clone(&port), Arc::clone(door), Arc::clone(passed));
            thread::spawn(move || {
                each_datagram(&back, &passed, |bytes, _| {
                    keep(&passed.by_server, bytes);
                    // What gets lost is sent again.
                    drop(door.send_to(bytes, device));
                });
            });
            port
        });
        drop(port.send_to(bytes, server));
    });
}

fn each_datagram(socket: &UdpSocket, passed: &Passed, mut work: impl FnMut(&[u8], SocketAddr)) {
    socket.set_read_timeout(Some(LOOK)).expect("set");
    let mut buffer = vec![0; DATAGRAM_MAX];
    while !passed.ended.load(Ordering::Relaxed) {
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => work(&buffer[..length], from),
            // A server that is away is told of by an error of the socket; nothing came then.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => panic!("{error}"),
            Err(_) => {}
        }
    }
}

fn keep(all: &Mutex<Vec<u8>>, bytes: &[u8]) {
    all.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
}

fn copy(all: &Mutex<Vec<u8>>) -> Vec<u8> {
    all.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// How often a thread looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);
/// The largest UDP datagram.
const DATAGRAM_MAX: usize = 65_535;
