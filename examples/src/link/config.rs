//! How a link behaves, as written in a scenario file. Unknown keys and values out of range are refused by the
//! line in which they stand.

use jamsync_protocol::time::Span;
use serde::{Deserialize, Serialize};

use super::unit;

/// A path between two nodes, A and B: one link each way. Both begin at the same instant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathConfig {
    /// From A to B.
    #[serde(default)]
    pub a_to_b: LinkConfig,
    /// From B to A.
    #[serde(default)]
    pub b_to_a: LinkConfig,
}

/// One direction. The default is a perfect link: no delay, no jitter, nothing lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkConfig {
    /// Delay of every packet. 0 to 10,000 ms, default 0.
    #[serde(rename = "delay_ms", with = "unit::delay_ms")]
    pub delay: Span,
    /// What is added at random; default nothing.
    pub jitter: Jitter,
    /// Rare long delays on top, as radio links have them; default none.
    pub spikes: Option<Spikes>,
    /// Whether no packet overtakes another; a late packet then holds up those behind it. Default true.
    #[serde(rename = "keep_order")]
    pub keeps_order: bool,
    /// Which packets are lost; default none.
    pub loss: Loss,
    /// Share of packets that arrive twice. 0 to 1, default 0.
    #[serde(with = "unit::share")]
    pub duplicates: f64,
    /// The slowest hop and the queue before it; default none.
    pub bottleneck: Option<Bottleneck>,
    /// When every packet is lost; at most 1,000, in any order.
    #[serde(with = "unit::outages")]
    pub outages: Vec<Outage>,
    /// When the delay changes; at most 1,000. The last one that has come counts.
    #[serde(with = "unit::routes")]
    pub routes: Vec<RouteChange>,
}

/// The law of the jitter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// Nothing is added.
    #[default]
    None,
    /// One-sided, as queues make it.
    Exponential(Exponential),
    /// Both ways, never below no delay at all.
    Normal(Normal),
}

/// Exponential jitter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exponential {
    /// Its mean. 0 to 10,000 ms.
    #[serde(rename = "mean_ms", with = "unit::delay_ms")]
    pub mean: Span,
}

/// Normal jitter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normal {
    /// Its standard deviation. 0 to 10,000 ms.
    #[serde(rename = "sd_ms", with = "unit::delay_ms")]
    pub sd: Span,
}

/// Rare long delays, uniform between two limits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spikes {
    /// Share of packets that meet one. 0 to 1.
    #[serde(with = "unit::share")]
    pub share: f64,
    /// The shortest. 0 to 10,000 ms.
    #[serde(rename = "least_ms", with = "unit::delay_ms")]
    pub least: Span,
    /// The longest. 0 to 10,000 ms; below the shortest it counts as the shortest.
    #[serde(rename = "most_ms", with = "unit::delay_ms")]
    pub most: Span,
}

/// Which packets are lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each by itself.
    Random(RandomLoss),
    /// In bursts, by the model of Gilbert (1960): a good state that loses nothing and a bad one.
    Bursts(Bursts),
}

/// Loss of each packet by itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomLoss {
    /// Share of packets lost. 0 to 1.
    #[serde(with = "unit::share")]
    pub share: f64,
}

/// Gilbert's model. The mean length of a bad state is 1/`end` packets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bursts {
    /// Chance per packet that the bad state begins. 0 to 1.
    #[serde(with = "unit::share")]
    pub begin: f64,
    /// Chance per packet that it ends. 0 to 1.
    #[serde(with = "unit::share")]
    pub end: f64,
    /// Share of packets lost in the bad state. 0 to 1.
    #[serde(with = "unit::share")]
    pub share: f64,
}

/// The slowest hop: a rate, a drop-tail queue before it, and perhaps others who fill that queue.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bottleneck {
    /// Its rate. 1 to 10,000,000 kbit/s.
    #[serde(rename = "kbit_per_s", with = "unit::kbit_per_s")]
    pub rate: f64,
    /// The queue's size; a packet that does not fit is lost. 1,500 to 100,000,000 bytes.
    #[serde(with = "unit::queue_bytes")]
    pub queue_bytes: u32,
    /// What others send through it; default nothing.
    #[serde(default)]
    pub load: Option<Load>,
}

/// Traffic of others: on for a while, off for a while, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Its rate while on. 1 to 10,000,000 kbit/s; above the bottleneck's it fills the queue.
    #[serde(rename = "kbit_per_s", with = "unit::kbit_per_s")]
    pub rate: f64,
    /// When it begins first. 0 to 100,000 s.
    #[serde(rename = "from_s", with = "unit::instant_s")]
    pub from: Span,
    /// For how long it is on. 0 to 100,000 s.
    #[serde(rename = "on_s", with = "unit::instant_s")]
    pub on: Span,
    /// For how long it is off then. 0 to 100,000 s.
    #[serde(rename = "off_s", with = "unit::instant_s")]
    pub off: Span,
}

/// A time in which every packet that is sent is lost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// When it begins. 0 to 100,000 s.
    #[serde(rename = "from_s", with = "unit::instant_s")]
    pub from: Span,
    /// How long it lasts. 0 to 100,000 s.
    #[serde(rename = "for_s", with = "unit::instant_s")]
    pub lasts: Span,
}

/// From an instant on, packets take another way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteChange {
    /// When. 0 to 100,000 s.
    #[serde(rename = "at_s", with = "unit::instant_s")]
    pub at: Span,
    /// The delay from then on. 0 to 10,000 ms.
    #[serde(rename = "delay_ms", with = "unit::delay_ms")]
    pub delay: Span,
}

/// Why a scenario was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// The text is not a scenario.
    #[error("{0}")]
    Malformed(String),
    /// No scenario of that name is built in.
    #[error("no scenario is called {name:?}; there are {known}")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            delay: Span::ZERO,
            jitter: Jitter::None,
            spikes: None,
            keeps_order: true,
            loss: Loss::None,
            duplicates: 0.0,
            bottleneck: None,
            outages: Vec::new(),
            routes: Vec::new(),
        }
    }
}

impl LinkConfig {
    /// The delay without jitter of a packet sent at `now`.
    #[must_use]
    pub fn delay_at(&self, now: Span) -> Span {
        let come = self.routes.iter().filter(|route| route.at <= now);
        come.max_by_key(|route| route.at).map_or(self.delay, |route| route.delay)
    }

    /// Whether a packet sent at `now` is lost in an outage.
    #[must_use]
    pub fn is_out_at(&self, now: Span) -> bool {
        self.outages.iter().any(|outage| outage.from <= now && now < outage.from + outage.lasts)
    }
}

impl PathConfig {
    /// The same link both ways.
    #[must_use]
    pub fn symmetric(link: LinkConfig) -> Self {
        Self { a_to_b: link.clone(), b_to_a: link }
    }

    /// By how much the delay without jitter from A to B exceeds that from B to A at `now`.
    #[must_use]
    pub fn asymmetry_at(&self, now: Span) -> Span {
        self.a_to_b.delay_at(now) - self.b_to_a.delay_at(now)
    }
}
