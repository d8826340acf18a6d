//! How clean a tone is: for the benchmark of quality and for the tests of the resampler.

/// What remains of the sound, relative to it, when the best fitting tone is taken out. The phases are where the
/// resampler says that each sample lies, so that the bend itself is no distortion.
pub(crate) fn residue(sound: &[(f64, f64)]) -> f64 {
    let (mut ss, mut cc, mut sc, mut sy, mut cy, mut yy) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for (phase, value) in sound {
        let (s, c) = phase.sin_cos();
        ss += s * s;
        cc += c * c;
        sc += s * c;
        sy += s * value;
        cy += c * value;
        yy += value * value;
    }
    let scale = ss * cc - sc * sc;
    let (a, b) = ((sy * cc - cy * sc) / scale, (cy * ss - sy * sc) / scale);
    ((yy - a * sy - b * cy).max(0.0) / yy).sqrt()
}
