//! A robust line through the samples of both directions: one slope, and a level for each direction and segment.
//!
//! Iterated weighted least squares. A point counts less the further it lies off (Huber), and not at all if it is far
//! too late, because queues only ever delay. The model stands in `docs/clock.md`.

use alloc::vec::Vec;

/// One point of a line: seconds over seconds, lateness upwards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// Seconds after now; negative.
    pub(super) x: f64,
    /// Lateness in seconds against any fixed line.
    pub(super) y: f64,
    /// How many samples it stands for.
    pub(super) weight: f64,
    /// Points of one segment share a level.
    pub(super) segment: u32,
}

/// What is known of the slope before any point is seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prior {
    /// The expected slope, as a fraction.
    pub(super) slope: f64,
    /// The slope to begin the rounds with: the last one found.
    pub(super) start: f64,
    /// Its standard deviation, as a fraction.
    pub(super) deviation: f64,
    /// The slope is never further from zero than this.
    pub(super) limit: f64,
    /// The slope's own wander, as a fraction per root of a second.
    pub(super) wander: f64,
}

/// The line found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    /// Seconds at x = 0, half way between the two directions.
    pub(super) offset: f64,
    /// Slope, as a fraction.
    pub(super) slope: f64,
    /// Variance of `offset`.
    pub(super) offset_variance: f64,
    /// Variance of `slope`.
    pub(super) slope_variance: f64,
    /// Points of the newest segment that it rests on, in the direction that has fewer: those that met no queue.
    pub(super) points: usize,
}

/// One direction's points while they are fitted.
struct Side<'a> {
    sign: f64,
    points: &'a [Point],
    /// The level of each segment, oldest first, with the sums it rests on.
    levels: Vec<(f64, Sums)>,
    /// Standard deviation of a point of weight 1.
    sigma: f64,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    /// Points that are not late.
    points: usize,
    w: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

/// Fits the points of the way there and the way back. `None` where a direction has none in its newest segment
/// that could be trusted.
pub(super) fn fit(there: &[Point], back: &[Point], prior: &Prior) -> Option<Fit> {
    let mut sides = [Side::new(1.0, there, prior), Side::new(-1.0, back, prior)];
    let mut slope = prior.start;
    let mut information = 0.0;
    for _ in 0..ROUNDS {
        information = 1.0 / (prior.deviation * prior.deviation);
        let mut moment = prior.slope * information;
        for side in &mut sides {
            let (more_moment, more_information) = side.gather(slope, prior);
            moment += more_moment;
            information += more_information;
        }
        slope = (moment / information).clamp(-prior.limit, prior.limit);
        for side in &mut sides {
            side.settle(slope);
        }
    }
    let [there, back] = &sides;
    let (there_sums, back_sums) = (there.newest()?, back.newest()?);
    let (there_x, there_y) = there_sums.centre()?;
    let (back_x, back_y) = back_sums.centre()?;
    let (there_excess, back_excess) = (there.excess(slope, prior), back.excess(slope, prior));
    let lever = (there_x + back_x) / 2.0;
    let slope_variance = there_excess.max(back_excess) / information;
    Some(Fit {
        offset: (there_y - back_y) / 2.0 - slope * lever,
        slope,
        offset_variance: (there_excess / there_sums.w + back_excess / back_sums.w) / 4.0
            + slope_variance * lever * lever,
        slope_variance,
        points: there_sums.points.min(back_sums.points),
    })
}

impl<'a> Side<'a> {
    /// Levels and deviation to start from: quantiles, which a queue that stands for less than half the time cannot move.
    fn new(sign: f64, points: &'a [Point], prior: &Prior) -> Self {
        let mut levels = Vec::new();
        let mut widths = 0.0;
        let mut sorted = Vec::new();
        for run in runs(points) {
            sorted.clear();
            sorted.extend(run.iter().map(|point| point.y - sign * prior.start * point.x));
            sorted.sort_unstable_by(f64::total_cmp);
            let quantile = |q: usize| sorted.get((sorted.len() - 1) * q / 100).copied().unwrap_or_default();
            levels.push((quantile(35), Sums::default()));
            let weight = run.iter().map(|point| point.weight).sum::<f64>();
            widths += (quantile(50) - quantile(10)) * libm::sqrt(weight * count(run));
        }
        Self { sign, points, levels, sigma: (widths / count(points).max(1.0)).max(SIGMA_MIN) }
    }

    /// Adds up the points around the present levels; returns the slope's moment and information.
    fn gather(&mut self, slope: f64, prior: &Prior) -> (f64, f64) {
        let (mut moment, mut information) = (0.0, 0.0);
        let (mut squares, mut trusted) = (0.0, 0.0);
        let (sign, sigma) = (self.sign, self.sigma);
        for (run, (level, level_sums)) in runs(self.points).zip(&mut self.levels) {
            let mut sums = Sums::default();
            for point in run {
                let variance = variance(point, sigma, prior);
                let z = (point.y - sign * slope * point.x - *level) / libm::sqrt(variance);
                let trust = trust(z);
                squares += trust * z * z;
                trusted += trust;
                sums.add(point, trust / variance);
            }
            if let Some((x, _)) = sums.centre() {
                moment += sign * (sums.xy - x * sums.y);
                information += sums.xx - x * sums.x;
            }
            *level_sums = sums;
        }
        if trusted > 0.0 {
            self.sigma = (sigma * libm::sqrt(squares / trusted * HUBER_LOSS)).max(SIGMA_MIN);
        }
        (moment, information)
    }

    /// Moves the level of each segment to where the new slope has it.
    fn settle(&mut self, slope: f64) {
        for (level, sums) in &mut self.levels {
            if let Some((x, y)) = sums.centre() {
                *level = y - self.sign * slope * x;
            }
        }
    }

    fn newest(&self) -> Option<Sums> {
        self.levels.last().map(|&(_, sums)| sums)
    }

    /// How much less the points tell than independent ones would: neighbours are alike, or there are few.
    fn excess(&self, slope: f64, prior: &Prior) -> f64 {
        let (mut products, mut squares) = (0.0, 0.0);
        let mut counted = 0.0_f64;
        for (run, &(level, _)) in runs(self.points).zip(&self.levels) {
            let mut before = 0.0;
            for point in run {
                let late = point.y - self.sign * slope * point.x - level;
                let z = late / libm::sqrt(variance(point, self.sigma, prior));
                let (kept, counts) = if z > LATE_MAX { (0.0, 0.0) } else { (z, 1.0) };
                counted += counts;
                products += kept * before;
                squares += kept * kept;
                before = kept;
            }
        }
        let alike = if squares > 0.0 { (products / squares).clamp(0.0, 0.9) } else { 0.0 };
        // What was left out as late says nothing, and where it was much the others agree by chance.
        let few = 1.0 + 3.0 / (counted - 2.0).max(1.0);
        few * (1.0 + alike) / (1.0 - alike)
    }
}

/// The variance of a point: its own, and what the drift has wandered since.
fn variance(point: &Point, sigma: f64, prior: &Prior) -> f64 {
    let age = -point.x.min(0.0);
    sigma * sigma / point.weight + prior.wander * prior.wander * age * age * age / 3.0
}

impl Sums {
    fn add(&mut self, point: &Point, w: f64) {
        self.points += usize::from(w > 0.0);
        self.w += w;
        self.x += w * point.x;
        self.y += w * point.y;
        self.xx += w * point.x * point.x;
        self.xy += w * point.x * point.y;
    }

    /// The centre of gravity, if anything has weight.
    fn centre(&self) -> Option<(f64, f64)> {
        (self.w > 0.0).then(|| (self.x / self.w, self.y / self.w))
    }
}

/// How much a point counts whose residual is `z` standard deviations.
fn trust(z: f64) -> f64 {
    if z > LATE_MAX {
        0.0
    } else if z.abs() > HUBER {
        HUBER / z.abs()
    } else {
        1.0
    }
}

/// Neighbouring points of the same segment.
fn runs(points: &[Point]) -> impl Iterator<Item = &[Point]> {
    points.chunk_by(|a, b| a.segment == b.segment)
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred points")]
fn count(points: &[Point]) -> f64 {
    points.len() as f64
}

/// Rounds of reweighting. The first slope is the last fit's, so that few are needed.
const ROUNDS: u32 = 3;
/// Residuals beyond this many standard deviations count less: Huber's usual tuning, 95 % efficient for normal noise.
const HUBER: f64 = 1.345;
/// What the weights of Huber take off the variance of normal noise.
const HUBER_LOSS: f64 = 1.17;
/// A packet later than this many standard deviations met a queue and tells nothing.
const LATE_MAX: f64 = 6.0;
/// No clock is read better than this, in seconds.
const SIGMA_MIN: f64 = 2e-7;
