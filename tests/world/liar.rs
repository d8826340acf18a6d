//! A host that lies about its clock for a minute. Its own music goes on by its true clock; only what its probes say
//! is false.

use clap::ValueEnum;
use jamsync_protocol::{
    limits::DATAGRAM_BYTES_MAX,
    time::Span,
    wire::{codec, peer::Datagram},
};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// What a peer claims of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lie {
    /// It jumps every few seconds, by up to five seconds either way.
    Jumps,
    /// It runs at twice the rate.
    TwiceTheRate,
    /// It echoes probes that were never sent, were echoed before, or came later than it says.
    Echoes,
}

/// Who tells it.
#[derive(Debug)]
pub(super) struct Liar {
    lie: Option<Lie>,
    random: ChaCha8Rng,
    leap: Span,
    leaps: Span,
    told: u32,
}

/// When the lying begins: all has settled by then.
pub(super) const LIES_FROM: Span = Span::from_secs(60);
/// When it ends.
pub(super) const LIES_UNTIL: Span = Span::from_secs(120);
const LEAP_EVERY: Span = Span::from_secs(7);

impl Liar {
    pub(super) fn new(lie: Option<Lie>, seed: u64) -> Self {
        let random = ChaCha8Rng::seed_from_u64(seed);
        Self { lie, random, leap: Span::ZERO, leaps: LIES_FROM, told: 0 }
    }

    /// Whether it lies at `now`.
    pub(super) fn lies_at(&self, now: Span) -> bool {
        self.lie.is_some() && (LIES_FROM..LIES_UNTIL).contains(&now)
    }

    /// What it sends in place of `bytes`.
    pub(super) fn twist(&mut self, bytes: Vec<u8>, now: Span) -> Vec<u8> {
        let Some(lie) = self.lie.filter(|_| self.lies_at(now)) else { return bytes };
        let Ok(Datagram::Probe(mut probe)) = codec::decode(&bytes) else { return bytes };
        self.told += 1;
        let shift = match lie {
            Lie::Jumps => {
                if self.leaps <= now {
                    self.leaps = now + LEAP_EVERY;
                    self.leap = Span::from_millis(self.random.random_range(-5_000..5_000));
                }
                self.leap
            }
            Lie::TwiceTheRate => now - LIES_FROM,
            Lie::Echoes => Span::ZERO,
        };
        probe.t_tx += shift;
        if let Some(echo) = &mut probe.echo {
            echo.rx += shift;
            if lie == Lie::Echoes {
                match self.told % 3 {
                    0 => echo.seq = echo.seq.saturating_add(1_000),
                    1 => echo.seq = echo.seq.saturating_sub(1),
                    _ => echo.rx = probe.t_tx + Span::from_secs(1),
                }
            }
        }
        codec::encode(&Datagram::Probe(probe), DATAGRAM_BYTES_MAX).unwrap_or(bytes)
    }
}
