//! What came of a world: failure, counts, skews.

use jamsync_protocol::time::Span;

/// Something that must not be.
#[derive(Clone, Debug)]
pub struct Failure {
    /// When, in true time.
    pub at: Span,
    /// What, with figures.
    pub what: String,
}

/// How often things happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Jumps of the servo.
    pub reanchors: u32,
    /// Times in which the connection was lost for want of packets, or broken.
    pub outages: u32,
    /// Sleeps, each of which begins a new clock epoch.
    pub epochs: u32,
    /// Clocks that jumped.
    pub steps: u32,
    /// Sound cards that stood still.
    pub stops: u32,
    /// Anchors that came and were not newer than what was known.
    pub stale: u32,
    /// Commands and edits that were carried out.
    pub accepted: u32,
    /// Commands that a session refused in words.
    pub refused: u32,
    /// Hosts that handed over, as each side is told.
    pub handovers: u32,
    /// Guests that took over after silence.
    pub takeovers: u32,
    /// Guests that took over and yielded when the host was back.
    pub returns: u32,
    /// Sides that got another host because one of them began anew.
    pub restarts: u32,
    /// Guests that went on as hosts where the host left for good.
    pub lefts: u32,
    /// Processes that were killed.
    pub kills: u32,
    /// Warnings that the other side's clock makes no sense.
    pub doubts: u32,
    /// Entries that both sides let go of, because they had been played long ago.
    pub let_go: usize,
}

/// How far apart the outputs were, beside half the path's asymmetry.
#[derive(Clone, Debug, Default)]
pub struct Score {
    /// Scored a minute and more after the clocks were last troubled, in seconds.
    pub settled: Vec<f64>,
    /// Scored before that.
    pub settling: Vec<f64>,
    /// Scored at any time where a card reports in steps of milliseconds.
    pub coarse: Vec<f64>,
    /// Scored in the first 20 s, from the first instant at which both sound, in a world where nobody does anything.
    pub first: Vec<f64>,
    /// The largest error of a clock over its bound.
    pub bound_used: f64,
    /// The guest's largest bound, in seconds, once settled and while the host told the truth; and while it lied.
    pub bounds: [f64; 2],
    /// The guest's rate that was furthest from nominal while the host lied, in ppm.
    pub rate_lied_to: f64,
}

impl Failure {
    /// Which rule it breaks: its words before the figures.
    #[must_use]
    pub fn rule(&self) -> String {
        self.what.split(':').next().unwrap_or_default().to_owned()
    }
}
