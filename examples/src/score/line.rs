//! A straight line through points, by least squares.

use super::number::float;

/// The line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    middle: f64,
    height: f64,
    pub(super) slope: f64,
    /// Root of the mean square about the line, over the root of the count.
    pub(super) scatter: f64,
}

impl Line {
    /// Through points of (place, height); level where they all stand in one place, and none without points.
    pub(super) fn through(points: &[(f64, f64)]) -> Option<Self> {
        if points.is_empty() {
            return None;
        }
        let count = float(points.len());
        let middle = points.iter().map(|p| p.0).sum::<f64>() / count;
        let height = points.iter().map(|p| p.1).sum::<f64>() / count;
        let spread: f64 = points.iter().map(|p| (p.0 - middle).powi(2)).sum();
        let product: f64 = points.iter().map(|p| (p.0 - middle) * (p.1 - height)).sum();
        let slope = if spread > 0.0 { product / spread } else { 0.0 };
        let line = Self { middle, height, slope, scatter: 0.0 };
        let squares: f64 = points.iter().map(|p| (p.1 - line.at(p.0)).powi(2)).sum();
        Some(Self { scatter: (squares / count).sqrt() / count.sqrt(), ..line })
    }

    /// Its height at a place.
    pub(super) fn at(&self, place: f64) -> f64 {
        self.height + self.slope * (place - self.middle)
    }
}
