//! Lines of several depths, blended by how well each of them does.
//!
//! The plain line goes through the means of all buckets; deeper ones go through the sample of least delay of each
//! bucket, or of each group of buckets. Over one-sided queueing the deep lines are better by far, over symmetric jitter
//! the plain one is. A line that disagrees with the deepest by more than chance explains is biased by queues.

use alloc::vec::Vec;

use super::{
    fit::{Fit, Point, Prior, fit},
    history::{History, Line},
};

/// Fits lines of every depth that the histories support and blends them. `None` where there are no points.
pub(super) fn blend(there: &History, back: &History, reference: &Line, prior: &Prior) -> Option<Fit> {
    let (mut out, mut home) = (Vec::new(), Vec::new());
    let mut lines: Vec<Fit> = Vec::with_capacity(DEPTHS.len() + 2);
    there.means(reference, &mut out);
    back.means(reference, &mut home);
    lines.extend(fit(&out, &home, prior).filter(is_enough));
    for group in DEPTHS.into_iter().rev() {
        there.minima(group, reference, &mut out);
        back.minima(group, reference, &mut home);
        // Single buckets are always there to fall back on.
        lines.extend(fit(&out, &home, prior).filter(|line| group == 1 || is_enough(line)));
    }
    let steadiest = lines.iter().min_by(|a, b| a.slope_variance.total_cmp(&b.slope_variance))?;
    let deepest = envelope(&out, &home, steadiest, prior).or(lines.last().copied())?;
    lines.push(deepest);
    let mut sum = Sum::default();
    for line in &lines {
        sum.add(line, &deepest);
    }
    Some(sum.mean())
}

/// The deepest line of all: it has the slope of `steady` and rests on one sample of each direction.
fn envelope(there: &[Point], back: &[Point], steady: &Fit, prior: &Prior) -> Option<Fit> {
    // The least of many samples does not compare with the least of few.
    let newest = |points: &[Point]| {
        let segment = points.last().map(|point| point.segment);
        points.iter().rev().take_while(|point| Some(point.segment) == segment).count()
    };
    let count = newest(there).min(newest(back));
    let there = Touch::of(1.0, there, count, steady, prior)?;
    let back = Touch::of(-1.0, back, count, steady, prior)?;
    let lever = (there.x + back.x) / 2.0;
    Some(Fit {
        offset: (there.level - back.level) / 2.0,
        offset_variance: there.variance.max(back.variance) / 2.0 + steady.slope_variance * lever * lever,
        ..*steady
    })
}

/// Where an envelope touches the points of one direction.
struct Touch {
    x: f64,
    level: f64,
    variance: f64,
}

impl Touch {
    /// The least late of the newest `count` points, old ones counting as later because the slope is not certain. Its error is told by the
    /// next ones: of `n` exponential delays the least has a mean and deviation of 1/n, and so has each step to the next.
    fn of(sign: f64, points: &[Point], count: usize, steady: &Fit, prior: &Prior) -> Option<Self> {
        let doubt = libm::sqrt(steady.slope_variance);
        let newest = points.iter().rev().take(count);
        let mut ranked: Vec<(f64, &Point)> = newest
            .map(|point| {
                let age = point.x.abs();
                let aged = doubt * age + prior.wander * age * libm::sqrt(age / 3.0);
                (point.y - sign * steady.slope * point.x + aged, point)
            })
            .collect();
        if ranked.len() <= STEPS {
            return None;
        }
        ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let &(first, point) = ranked.first()?;
        let step =
            |steps: usize, divisor: f64| ranked.get(steps).map_or(0.0, |(late, _)| (late - first) / divisor);
        let deviation = step(STEPS, 2.0).max(step(STEPS_MANY, 5.0));
        Some(Self {
            x: point.x,
            level: point.y - sign * steady.slope * point.x,
            variance: deviation * deviation,
        })
    }
}

/// A weighted mean of lines.
#[derive(Default)]
struct Sum {
    weight: f64,
    offset: f64,
    offset_square: f64,
    slope: f64,
    offset_deviation: f64,
    slope_deviation: f64,
    points: usize,
}

impl Sum {
    fn add(&mut self, line: &Fit, deepest: &Fit) {
        let apart = line.offset - deepest.offset;
        let chance = line.offset_variance + deepest.offset_variance;
        let bias = (apart * apart - CHANCE * chance).max(0.0);
        let error = line.offset_variance + bias;
        let weight = 1.0 / (error * error * error);
        self.weight += weight;
        self.points = self.points.max(line.points);
        self.offset += weight * line.offset;
        self.offset_square += weight * line.offset * line.offset;
        self.slope += weight * line.slope;
        // The lines share their samples, so their errors do not average out.
        self.offset_deviation += weight * libm::sqrt(error);
        self.slope_deviation += weight * libm::sqrt(line.slope_variance);
    }

    /// Its variance holds how far the lines lie apart, too: none of them knows that it is the wrong one.
    fn mean(&self) -> Fit {
        let square = |x: f64| x * x;
        Fit {
            offset: self.offset / self.weight,
            slope: self.slope / self.weight,
            offset_variance: square(self.offset_deviation / self.weight)
                + (self.offset_square / self.weight - square(self.offset / self.weight)).max(0.0),
            slope_variance: square(self.slope_deviation / self.weight),
            points: self.points,
        }
    }
}

/// Whether a line rests on points enough for their errors to be told from the residuals. Late ones do not count: where half of
/// six were left out, the three others may lie on a line by chance.
fn is_enough(line: &Fit) -> bool {
    line.points >= POINTS_MIN
}

/// The depths beside the plain line: how many buckets share one sample of least delay.
const DEPTHS: [usize; 3] = [1, 4, 16];
/// A line needs this many points in the newest segment of each direction.
const POINTS_MIN: usize = 6;
/// The steps from the least late point by which its error is told: half of three is a careful guess for one,
const STEPS: usize = 3;
/// and a fifth of these, where three lie close together by chance.
const STEPS_MANY: usize = 8;
/// Two lines further apart than the root of this many variances disagree by more than chance.
const CHANCE: f64 = 9.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::history::{Direction, Sample},
        time::{NodeTime, Ppm, Span},
    };

    const PRIOR: Prior = Prior { slope: 0.0, start: 0.0, deviation: 3e-5, limit: 5e-4, wander: 5e-8 };

    #[test]
    fn three_points_of_six_that_agree_by_chance_make_no_line() {
        // Seen over normal jitter, each the least late of 16 buckets, in microseconds: half were left out as late, the others
        // promised 0.13 ms and lay 3.3 ms off.
        let points = |late_us: [f64; 6]| -> Vec<Point> {
            let ages = [-181.0, -175.0, -171.0, -151.0, -118.0, -15.0];
            let points = ages.into_iter().zip(late_us);
            points.map(|(x, late)| Point { x, y: late * 1e-6, weight: 1.0, segment: 0 }).collect()
        };
        let there = points([-2.0, 2_428.0, -59.0, 47.0, 3_624.0, 4_656.0]);
        let back = points([-27.0, -93.0, -45.0, 106.0, -411.0, 559.0]);
        let line = fit(&there, &back, &PRIOR).expect("a line");
        assert_eq!(line.points, 3, "{line:?}");
        assert!(!is_enough(&line));
    }

    /// Two minutes of samples; for 20 s of each minute those of the way there meet a queue of 200 ms.
    fn bufferbloat() -> (History, History) {
        let flat = Line { at: NodeTime::ZERO, offset: Span::ZERO, drift: Ppm::ZERO };
        let (mut there, mut back) = (History::new(Direction::There), History::new(Direction::Back));
        for millis in (0..120_000).step_by(125) {
            let at = NodeTime::ZERO + Span::from_millis(millis);
            let late = Span::from_micros(25_000 + millis * 7_919 % 997);
            let queue = if millis % 60_000 < 20_000 { Span::from_millis(200) } else { Span::ZERO };
            there.push(Sample { at, offset: late + queue }, &flat);
            back.push(Sample { at, offset: -late }, &flat);
        }
        (there, back)
    }

    #[test]
    fn queues_that_would_bend_a_line_through_everything_leave_the_blend_alone() {
        let (there, back) = bufferbloat();
        let now = Line { at: NodeTime::ZERO + Span::from_secs(120), offset: Span::ZERO, drift: Ppm::ZERO };
        let blended = blend(&there, &back, &now, &PRIOR).expect("a line");
        assert!(blended.offset.abs() < 1e-4, "{blended:?}");
        let mean = |history: &History| {
            let mut points = Vec::new();
            history.means(&now, &mut points);
            points.iter().map(|point| point.y).sum::<f64>() / 120.0
        };
        let face_value = (mean(&there) - mean(&back)) / 2.0;
        assert!(face_value > 1e-2, "taken at face value the queue shifts the clock: {face_value}");
    }
}
