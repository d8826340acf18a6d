//! A robust line through a few dozen points: Huber's loss, late points counting less, a prior on the slope.
//!
//! Pure mathematics: it knows nothing of devices. Points come from [`AudibleLine`](super::AudibleLine).

use alloc::vec::Vec;

/// One point of the fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Abscissa in seconds, near zero for the newest point.
    pub(super) x: f64,
    /// Ordinate in nanoseconds.
    pub(super) y: f64,
    /// How much the point counts before its residual is known; above zero.
    pub(super) weight: f64,
}

/// What is believed of the line before any point is seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prior {
    /// Expected slope in nanoseconds per second (1,000 are one ppm).
    pub(super) slope: f64,
    /// Standard deviation of that expectation, in the same unit; above zero.
    pub(super) slope_sd: f64,
    /// Expected standard deviation of a point about the line, in nanoseconds; above zero.
    pub(super) scale: f64,
    /// Weight of a point above the line relative to one below: 1 gives a plain line, less a lower envelope.
    pub(super) late_weight: f64,
}

/// The line `offset + slope * x`, with what its points say of its quality.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    /// Ordinate at `x = 0`, in nanoseconds.
    pub(super) offset: f64,
    /// Slope in nanoseconds per second.
    pub(super) slope: f64,
    /// Robust standard deviation of the points about the line, in nanoseconds.
    pub(super) scale: f64,
    /// Standard error of `offset`, in nanoseconds.
    pub(super) offset_se: f64,
    /// Standard error of `slope`, in nanoseconds per second.
    pub(super) slope_se: f64,
}

/// Fits `samples`; `scratch` is used for medians and keeps its capacity. `None` without a sample.
pub(super) fn fit(samples: &[Sample], prior: Prior, scratch: &mut Vec<f64>) -> Option<Fit> {
    scratch.clear();
    scratch.extend(samples.iter().map(|s| s.y - prior.slope * s.x));
    let mut line = Fit {
        offset: median(scratch)?,
        slope: prior.slope,
        scale: prior.scale,
        offset_se: prior.scale,
        slope_se: prior.slope_sd,
    };
    for _ in 0..ROUNDS {
        line.scale = scale_about(&line, samples, prior.scale, scratch);
        line = reweighted(&line, samples, prior);
    }
    Some(line)
}

/// The median of `values`, which it reorders; the upper one of two. `None` without a value.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let (_, value, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    Some(*value)
}

/// A count for arithmetic, saturating at four milliards.
pub(super) fn count_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The robust standard deviation of the samples about `line`, blended with the prior one.
fn scale_about(line: &Fit, samples: &[Sample], prior: f64, scratch: &mut Vec<f64>) -> f64 {
    scratch.clear();
    scratch.extend(samples.iter().map(|s| libm::fabs(s.y - line.offset - line.slope * s.x)));
    let count = count_f64(scratch.len());
    let seen = median(scratch).unwrap_or(prior) * MAD_TO_SD;
    libm::sqrt((SCALE_PRIOR_POINTS * prior * prior + count * seen * seen) / (SCALE_PRIOR_POINTS + count))
}

/// One round of weighted least squares, the weights taken from the residuals about `line`.
fn reweighted(line: &Fit, samples: &[Sample], prior: Prior) -> Fit {
    let variance = line.scale * line.scale;
    let stiffness = variance / (prior.slope_sd * prior.slope_sd);
    let (mut sum, mut sum_x, mut sum_xx) = (0.0, 0.0, stiffness);
    let (mut sum_y, mut sum_xy) = (0.0, stiffness * prior.slope);
    for s in samples {
        let residual = s.y - line.offset - line.slope * s.x;
        let size = libm::fabs(residual);
        let side = if residual > 0.0 { prior.late_weight } else { 1.0 };
        let huber = if size > HUBER * line.scale { HUBER * line.scale / size } else { 1.0 };
        let weight = s.weight * side * huber;
        sum += weight;
        sum_x += weight * s.x;
        sum_xx += weight * s.x * s.x;
        sum_y += weight * s.y;
        sum_xy += weight * s.x * s.y;
    }
    let determinant = sum * sum_xx - sum_x * sum_x;
    if !(determinant.is_finite() && determinant > 0.0) {
        return *line;
    }
    Fit {
        offset: (sum_xx * sum_y - sum_x * sum_xy) / determinant,
        slope: (sum * sum_xy - sum_x * sum_y) / determinant,
        scale: line.scale,
        offset_se: libm::sqrt(variance * sum_xx / determinant),
        slope_se: libm::sqrt(variance * sum / determinant),
    }
}

/// Rounds of reweighting; the weights have settled to a part in a thousand after five.
const ROUNDS: usize = 6;
/// Residuals beyond this many standard deviations count linearly: Huber's constant for 95 % efficiency.
const HUBER: f64 = 1.345;
/// The prior scale counts as this many points.
const SCALE_PRIOR_POINTS: f64 = 4.0;
/// Ratio of a standard deviation to a median absolute deviation.
const MAD_TO_SD: f64 = 1.4826;

#[cfg(test)]
mod tests {
    use super::*;

    const PRIOR: Prior = Prior { slope: 0.0, slope_sd: 1e5, scale: 10.0, late_weight: 1.0 };

    /// Fifty points, 0.1 s apart, on 700 + 30 x, each moved by what `noise` says.
    fn samples(noise: impl Fn(u32) -> f64) -> Vec<Sample> {
        (0..50)
            .map(|n| (n, f64::from(n) / 10.0 - 5.0))
            .map(|(n, x)| Sample { x, y: 700.0 + 30.0 * x + noise(n), weight: 1.0 })
            .collect()
    }

    fn line(samples: &[Sample], prior: Prior) -> Fit {
        fit(samples, prior, &mut Vec::new()).expect("there are samples")
    }

    #[test]
    fn no_sample_gives_no_line_and_one_the_prior_slope() {
        assert!(fit(&[], PRIOR, &mut Vec::new()).is_none());
        let prior = Prior { slope: 12.0, ..PRIOR };
        let one = line(&[Sample { x: 0.0, y: 5.0, weight: 1.0 }], prior);
        assert!((one.offset - 5.0).abs() < 1e-9 && (one.slope - 12.0).abs() < 1e-9);
    }

    #[test]
    fn outliers_do_not_move_it() {
        let seen = line(&samples(|n| if n % 7 == 3 { 1e7 } else { f64::from(n % 3) - 1.0 }), PRIOR);
        assert!((seen.offset - 700.0).abs() < 3.0, "{seen:?}");
        assert!((seen.slope - 30.0).abs() < 1.0, "{seen:?}");
    }

    #[test]
    fn lateness_moves_the_envelope_less_than_the_plain_line() {
        // Quantiles of an exponential with mean 100, in an order that looks random.
        let late = samples(|n| -100.0 * libm::log(1.0 - (f64::from(n * 17 % 50) + 0.5) / 50.0));
        let plain = line(&late, PRIOR).offset - 700.0;
        let envelope = line(&late, Prior { late_weight: 0.3, ..PRIOR }).offset - 700.0;
        assert!(0.0 < envelope && envelope < 0.7 * plain, "{envelope} against {plain}");
    }
}
