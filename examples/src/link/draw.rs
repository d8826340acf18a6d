//! The random parts of a link: jitter and loss.

use std::f64::consts::TAU;

use jamsync_protocol::time::Span;
use rand::{Rng, RngCore};

use super::config::{Jitter, LinkConfig, Loss};

/// Whether Gilbert's model is in its bad state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BurstState {
    bad: bool,
}

impl BurstState {
    /// Whether the next packet is lost.
    pub(super) fn loses(&mut self, loss: Loss, random: &mut impl RngCore) -> bool {
        let (change, lost) = (random.random::<f64>(), random.random::<f64>());
        match loss {
            Loss::None => false,
            Loss::Random(loss) => lost < loss.share,
            Loss::Bursts(bursts) => {
                let chance = if self.bad { bursts.end } else { bursts.begin };
                self.bad ^= change < chance;
                self.bad && lost < bursts.share
            }
        }
    }
}

/// What is added to the delay of one packet. Never so negative that the packet arrives before it was sent.
pub(super) fn jitter(config: &LinkConfig, random: &mut impl RngCore) -> Span {
    let (first, second) = (random.random::<f64>(), random.random::<f64>());
    let (spike, height) = (random.random::<f64>(), random.random::<f64>());
    let jitter = match config.jitter {
        Jitter::None => Span::ZERO,
        Jitter::Exponential(law) => law.mean.scaled(-(1.0 - first).ln()),
        // Box and Muller (1958).
        Jitter::Normal(law) => law.sd.scaled((-2.0 * (1.0 - first).ln()).sqrt() * (TAU * second).cos()),
    };
    let jitter = jitter.max(-config.least_delay());
    match config.spikes {
        Some(spikes) if spike < spikes.share => {
            jitter + spikes.least + (spikes.most - spikes.least).max(Span::ZERO).scaled(height)
        }
        Some(_) | None => jitter,
    }
}

impl LinkConfig {
    /// The least delay of any route.
    fn least_delay(&self) -> Span {
        self.routes.iter().map(|route| route.delay).fold(self.delay, Span::min)
    }
}
