//! What the clock costs: one probe taken in, with the update it may cause, over a full window of history.

use divan::{Bencher, black_box};
use jamsync_protocol::{
    clock::{Clock, ClockConfig, Probe},
    time::{NodeTime, Span},
};

fn main() {
    divan::main();
}

/// Two clocks a few milliseconds apart, and the instant up to which they have run.
struct Pair {
    own: Clock,
    peer: Clock,
    now: NodeTime,
    noise: u64,
}

impl Pair {
    fn after(seconds: i64) -> Self {
        let clock = || Clock::new(ClockConfig::default(), 1, NodeTime::ZERO);
        let mut pair = Self { own: clock(), peer: clock(), now: NodeTime::ZERO, noise: 1 };
        while pair.now < NodeTime::ZERO + Span::from_secs(seconds) {
            let (probe, at) = pair.next();
            pair.own.handle_probe(&probe, at).expect("an honest probe");
        }
        pair
    }

    /// The peer's next probe and when it arrives. Packets take turns, so that time only runs forward.
    fn next(&mut self) -> (Probe, NodeTime) {
        loop {
            self.now = self.own.poll_timeout().min(self.peer.poll_timeout()).max(self.now);
            if let Some(probe) = self.own.poll_probe(self.now) {
                self.wait();
                let _ = self.peer.handle_probe(&probe, self.now);
            }
            if let Some(probe) = self.peer.poll_probe(self.now) {
                self.wait();
                return (probe, self.now);
            }
        }
    }

    /// Lets 1 to 5 ms pass. A multiplicative generator is noise enough for a bench, and the same on every run.
    fn wait(&mut self) {
        self.noise = self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.now += Span::from_nanos(1_000_000 + i64::from(u32::try_from(self.noise >> 42).unwrap_or(0)));
    }
}

/// One update falls on eight samples, so that a 64th of this is the cost per probe as a node pays it.
#[divan::bench(args = [1, 120, 600])]
fn handle_64_probes(bencher: Bencher<'_, '_>, seconds: i64) {
    let mut pair = Pair::after(seconds);
    let begin = pair.own.clone();
    let probes: Vec<_> = (0..64)
        .map(|_| {
            let (probe, at) = pair.next();
            pair.own.handle_probe(&probe, at).expect("an honest probe");
            (probe, at)
        })
        // The clock that is measured sends nothing, so it only takes in what needs no probe of its own.
        .map(|(probe, at)| (Probe { echo: None, ..probe }, at))
        .collect();
    bencher.with_inputs(|| begin.clone()).bench_local_values(|mut clock| {
        for (probe, at) in &probes {
            let _ = black_box(clock.handle_probe(probe, *at));
        }
        clock
    });
}

#[divan::bench]
fn estimate(bencher: Bencher<'_, '_>) {
    let pair = Pair::after(600);
    bencher.bench_local(|| black_box(&pair.own).estimate(black_box(pair.now)));
}
