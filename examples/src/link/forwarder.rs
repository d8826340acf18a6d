//! The link model between two real processes: a thread that takes in their UDP datagrams, asks the model what
//! becomes of each, and sends it on when the model says so.
//!
//! Each side talks to a port of its own, so that neither learns the other's address. The model's time begins
//! with [`Forwarder::connect`]. A datagram counts as sent when this thread has read it: what the system takes to
//! wake the thread, some tens of microseconds, adds to the delay. How late datagrams went out is recorded.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use jamsync_protocol::time::Span;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    thread::set_current_timer_slack,
};

use super::{Link, LinkCounts, PathConfig};

/// A running forwarder. Dropping it ends its thread.
#[derive(Debug)]
pub struct Forwarder {
    doors: [SocketAddr; 2],
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Forwarded>>,
}

/// What a forwarder has done.
#[derive(Clone, Debug, Default)]
pub struct Forwarded {
    /// What became of the datagrams from A to B and from B to A.
    pub counts: [LinkCounts; 2],
    /// How long after it was due each datagram went out.
    pub lateness: Vec<Span>,
}

/// What the thread and its owner share.
#[derive(Debug, Default)]
struct Shared {
    /// The addresses of A and B, and when the model's time began.
    ends: OnceLock<([SocketAddr; 2], Instant)>,
    /// How often the dialler got a new address.
    moves: AtomicU32,
    /// What the path has become and the thread has not heard of.
    change: Mutex<Option<PathConfig>>,
    stop: AtomicBool,
}

/// The thread stops waiting this long before a datagram is due, and looks at the clock until then: a sleep of
/// Linux ends late by about this much.
const SPIN: Span = Span::from_micros(60);
/// How often the thread looks whether it should end.
const LOOK: Span = Span::from_millis(20);
/// The largest UDP datagram.
const DATAGRAM_MAX: usize = 65_535;

impl Forwarder {
    /// Opens the two doors and starts the thread. Nothing passes before [`connect`](Self::connect).
    ///
    /// # Errors
    /// Where no port can be had or no thread started.
    pub fn start(path: &PathConfig, seed: u64) -> io::Result<Self> {
        let sockets = [door()?, door()?];
        let doors = [sockets[0].local_addr()?, sockets[1].local_addr()?];
        let shared = Arc::new(Shared::default());
        let links = [
            Link::new(path.a_to_b.clone(), seed.wrapping_mul(2)),
            Link::new(path.b_to_a.clone(), seed.wrapping_mul(2).wrapping_add(1)),
        ];
        let worker = Worker {
            sockets,
            links,
            shared: Arc::clone(&shared),
            dialler: None,
            moved: 0,
            lateness: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("link".to_owned()).spawn(move || worker.run())?;
        Ok(Self { doors, shared, thread: Some(thread) })
    }

    /// Where A and where B finds the other.
    #[must_use]
    pub const fn doors(&self) -> [SocketAddr; 2] {
        self.doors
    }

    /// Says where A and B are, and begins the model's time. Only the first call counts.
    pub fn connect(&self, ends: [SocketAddr; 2]) {
        self.shared.ends.get_or_init(|| (ends, Instant::now()));
    }

    /// Gives the dialler, which is the side that spoke first, a new address: what it sends leaves from another port, and
    /// what is sent to the old one is lost. The other side could not be found at a new one by who knows only its door.
    pub fn move_dialler(&self) {
        self.shared.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// From about now on the path is `path`. Datagrams under way arrive as they would have.
    pub fn change(&self, path: PathConfig) {
        *self.shared.change.lock().unwrap_or_else(PoisonError::into_inner) = Some(path);
    }

    /// Ends the thread and says what it has done.
    #[must_use]
    pub fn stop(mut self) -> Forwarded {
        self.shared.stop.store(true, Ordering::Relaxed);
        // A thread that panicked has said so on standard error.
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

fn door() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

struct Worker {
    /// What A and what B talk to.
    sockets: [UdpSocket; 2],
    links: [Link<Vec<u8>>; 2],
    shared: Arc<Shared>,
    /// Which side spoke first.
    dialler: Option<usize>,
    /// How many of its moves are done.
    moved: u32,
    lateness: Vec<Span>,
}

impl Worker {
    fn run(mut self) -> Forwarded {
        if let Some(exact) = std::num::NonZeroU64::new(1) {
            // Without it, waits end 50 us later; they are recorded either way.
            let _ = set_current_timer_slack(Some(exact));
        }
        let mut buffer = vec![0; DATAGRAM_MAX];
        while !self.shared.stop.load(Ordering::Relaxed) {
            let Some(&(ends, begun)) = self.shared.ends.get() else {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            self.move_dialler();
            self.change_path();
            self.take_in(ends, begun, &mut buffer);
            self.send_on(ends, begun);
            self.wait(begun);
        }
        let counts = [self.links[0].counts(), self.links[1].counts()];
        Forwarded { counts, lateness: self.lateness }
    }

    /// A new address of A is a new door of B's, and the other way round.
    fn move_dialler(&mut self) {
        let wanted = self.shared.moves.load(Ordering::Relaxed);
        let Some(dialler) = self.dialler.filter(|_| wanted != self.moved) else { return };
        // Where no port is to be had it is tried again the next time round.
        if let Ok(new) = door() {
            self.sockets[1 - dialler] = new;
            self.moved = wanted;
        }
    }

    fn change_path(&mut self) {
        let change = self.shared.change.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(PathConfig { a_to_b, b_to_a }) = change else { return };
        let [there, back] = &mut self.links;
        there.change(a_to_b);
        back.change(b_to_a);
    }

    /// Takes in what has arrived. Datagrams of strangers are dropped.
    fn take_in(&mut self, ends: [SocketAddr; 2], begun: Instant, buffer: &mut [u8]) {
        let sides = self.sockets.iter().zip(&mut self.links).zip(ends);
        for (side, ((socket, link), end)) in sides.enumerate() {
            while let Ok((length, from)) = socket.recv_from(buffer) {
                if from == end {
                    self.dialler.get_or_insert(side);
                    link.handle_packet(since(begun), length, buffer[..length].to_vec());
                }
            }
        }
    }

    fn send_on(&mut self, ends: [SocketAddr; 2], begun: Instant) {
        for (index, link) in self.links.iter_mut().enumerate() {
            let other = 1 - index;
            while let Some(due) = link.poll_timeout() {
                let now = since(begun);
                let Some(datagram) = link.poll_packet(now) else { break };
                // A datagram that the system refuses is lost, as on any network.
                let _ = self.sockets[other].send_to(&datagram, ends[other]);
                self.lateness.push(now - due);
            }
        }
    }

    /// Waits until a datagram arrives or shortly before one is due.
    fn wait(&self, begun: Instant) {
        let due = self.links.iter().filter_map(Link::poll_timeout).min();
        let now = since(begun);
        let longest = due.map_or(LOOK, |due| (due - now - SPIN).min(LOOK));
        if longest <= Span::ZERO {
            std::hint::spin_loop();
            return;
        }
        let timeout = Timespec { tv_sec: 0, tv_nsec: longest.as_nanos() };
        let [a, b] = &self.sockets;
        let mut doors = [PollFd::new(a, PollFlags::IN), PollFd::new(b, PollFlags::IN)];
        // An interrupted wait is a short one.
        let _ = poll(&mut doors, Some(&timeout));
    }
}

fn since(begun: Instant) -> Span {
    Span::from_nanos(i64::try_from(begun.elapsed().as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{LinkConfig, Loss, RandomLoss};

    #[test]
    fn datagrams_pass_both_ways_after_their_delay_and_strangers_are_not_heard() {
        let link = LinkConfig { delay: Span::from_millis(20), ..LinkConfig::default() };
        let forwarder = Forwarder::start(&PathConfig::symmetric(link), 1).expect("starts");
        let end = || UdpSocket::bind("127.0.0.1:0").expect("a port");
        let (a, b, stranger) = (end(), end(), end());
        let address = |socket: &UdpSocket| socket.local_addr().expect("bound");
        forwarder.connect([address(&a), address(&b)]);
        let [door_a, door_b] = forwarder.doors();
        let sent = Instant::now();
        stranger.send_to(b"no", door_a).expect("sends");
        a.send_to(b"hello", door_a).expect("sends");
        let mut buffer = [0; 16];
        let (length, from) = b.recv_from(&mut buffer).expect("arrives");
        assert!(sent.elapsed() >= Duration::from_millis(20));
        assert_eq!((&buffer[..length], from), (&b"hello"[..], door_b));
        b.send_to(b"yes", door_b).expect("sends");
        let (length, from) = a.recv_from(&mut buffer).expect("arrives");
        assert!(sent.elapsed() >= Duration::from_millis(40));
        assert_eq!((&buffer[..length], from), (&b"yes"[..], door_a));
        let forwarded = forwarder.stop();
        assert_eq!(forwarded.counts.map(|counts| (counts.sent, counts.delivered)), [(1, 1); 2]);
        assert_eq!(forwarded.lateness.len(), 2);
    }

    #[test]
    fn who_dialled_and_moves_is_heard_from_a_new_address_and_no_longer_at_its_old_one() {
        let forwarder = Forwarder::start(&PathConfig::default(), 1).expect("starts");
        let [a, b] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a port"));
        forwarder.connect([&a, &b].map(|socket| socket.local_addr().expect("bound")));
        let [door_a, door_b] = forwarder.doors();
        let heard = |socket: &UdpSocket| socket.recv_from(&mut [0; 16]).expect("arrives").1;
        a.send_to(b"1", door_a).expect("sends");
        assert_eq!(heard(&b), door_b);
        forwarder.move_dialler();
        let moved = loop {
            a.send_to(b"2", door_a).expect("sends");
            let from = heard(&b);
            if from != door_b {
                break from;
            }
        };
        b.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        // Nobody is at the old address any more, which the system may say or not.
        let _ = b.send_to(b"lost", door_b);
        b.send_to(b"found", moved).expect("sends");
        let mut buffer = [0; 16];
        let (length, from) = a.recv_from(&mut buffer).expect("arrives");
        assert_eq!((&buffer[..length], from), (&b"found"[..], door_a));
    }

    #[test]
    fn a_link_that_loses_all_lets_nothing_pass() {
        let link = LinkConfig { loss: Loss::Random(RandomLoss { share: 1.0 }), ..LinkConfig::default() };
        let path = PathConfig { a_to_b: link, b_to_a: LinkConfig::default() };
        let forwarder = Forwarder::start(&path, 1).expect("starts");
        let a = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let b = UdpSocket::bind("127.0.0.1:0").expect("a port");
        forwarder.connect([a.local_addr().expect("bound"), b.local_addr().expect("bound")]);
        let [door_a, door_b] = forwarder.doors();
        a.send_to(b"lost", door_a).expect("sends");
        b.send_to(b"back", door_b).expect("sends");
        let mut buffer = [0; 16];
        let (length, _) = a.recv_from(&mut buffer).expect("arrives");
        assert_eq!(&buffer[..length], b"back");
        // What came back left later than what was lost, so that the thread has seen both by now.
        let [there, back] = forwarder.stop().counts;
        assert_eq!((there.delivered, back.delivered), (0, 1));
    }

    #[test]
    fn a_path_that_changes_is_another_for_what_is_sent_from_then_on() {
        let lost = LinkConfig { loss: Loss::Random(RandomLoss { share: 1.0 }), ..LinkConfig::default() };
        let forwarder = Forwarder::start(&PathConfig::symmetric(lost), 1).expect("starts");
        let [a, b] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a port"));
        forwarder.connect([&a, &b].map(|socket| socket.local_addr().expect("bound")));
        b.set_read_timeout(Some(Duration::from_millis(20))).expect("a time above zero");
        let [door_a, _] = forwarder.doors();
        let arrives = |text: &[u8]| {
            a.send_to(text, door_a).expect("sends");
            let mut buffer = [0; 16];
            b.recv_from(&mut buffer).ok().map(|(length, _)| buffer[..length].to_vec())
        };
        assert_eq!(arrives(b"lost"), None);
        forwarder.change(PathConfig::default());
        // The thread may hear of the change a moment after what was sent.
        let arrived = (0..500).find_map(|_| arrives(b"there"));
        assert_eq!(arrived.as_deref(), Some(&b"there"[..]));
    }
}
