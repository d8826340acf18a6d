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
    let mut lines: [Option<Fit>; DEPTHS.len() + 1] = [None; DEPTHS.len() + 1];
    for (line, depth) in lines.iter_mut().zip(core::iter::once(None).chain(DEPTHS.map(Some))) {
        for (history, points) in [(there, &mut out), (back, &mut home)] {
            match depth {
                None => history.means(reference, points),
                Some(group) => history.minima(group, reference, points),
            }
        }
        // The first depth is always there to fall back on.
        if depth == Some(1) || newest(&out).min(newest(&home)) >= POINTS_MIN {
            *line = fit(&out, &home, prior);
        }
    }
    let deepest = lines.iter().rev().find_map(|&line| line)?;
    let mut sum = Sum::default();
    for line in lines.into_iter().flatten() {
        sum.add(&line, &deepest);
    }
    Some(sum.mean())
}

/// A weighted mean of lines.
#[derive(Default)]
struct Sum {
    weight: f64,
    offset: f64,
    slope: f64,
    offset_deviation: f64,
    slope_deviation: f64,
}

impl Sum {
    fn add(&mut self, line: &Fit, deepest: &Fit) {
        let apart = line.offset - deepest.offset;
        let chance = line.offset_variance + deepest.offset_variance;
        let bias = (apart * apart - CHANCE * chance).max(0.0);
        let error = line.offset_variance + bias;
        let weight = 1.0 / (error * error);
        self.weight += weight;
        self.offset += weight * line.offset;
        self.slope += weight * line.slope;
        // The lines share their samples, so their errors do not average out.
        self.offset_deviation += weight * libm::sqrt(error);
        self.slope_deviation += weight * libm::sqrt(line.slope_variance);
    }

    fn mean(&self) -> Fit {
        let square = |x: f64| x * x;
        Fit {
            offset: self.offset / self.weight,
            slope: self.slope / self.weight,
            offset_variance: square(self.offset_deviation / self.weight),
            slope_variance: square(self.slope_deviation / self.weight),
        }
    }
}

/// How many points the newest segment has.
fn newest(points: &[Point]) -> usize {
    let segment = points.last().map(|point| point.segment);
    points.iter().rev().take_while(|point| Some(point.segment) == segment).count()
}

/// The depths beside the plain line: how many buckets share one sample of least delay.
const DEPTHS: [usize; 3] = [1, 4, 16];
/// A line needs this many points in the newest segment of each direction for its errors to be told from its residuals.
const POINTS_MIN: usize = 6;
/// Two lines further apart than the root of this many variances disagree by more than chance.
const CHANCE: f64 = 4.0;
