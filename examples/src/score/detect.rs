//! Disturbances: places where one side does not simply go on playing what the other plays.
//!
//! Both sides are laid over each other along the measured skew, and every 10 ms the first is explained by
//! the second, a small shift and a volume (least squares). What is left over shows a click; a shift that
//! jumps shows frames lost, repeated or cross-faded; a side that falls silent alone shows a gap. Only
//! stretches whose windows were scored are examined: elsewhere the windows themselves are failures.

use jamsync_protocol::time::Span;

use super::{
    Disturbance, DisturbanceKind, Plan, Recording, Side, TrueRange, TrueTime, Window,
    correlate::{emphasised, millis},
    line::Line,
    number::float,
    resample::{AXIS_HZ, Both, MARGIN, aligned, sample_count, span_of},
    windows::{covered, scored_runs},
};

/// Length of a block.
const BLOCK: usize = millis(10);
/// How many blocks before and after a place are laid along a line to see whether the line jumps there.
const LINE: usize = 10;
/// The least jump that counts, in frames of the recording: one frame lost shows as 1.
const JUMP_MIN: f64 = 0.4;
/// A jump must stand out from the scatter about the lines by this factor.
const JUMP_OVER_SCATTER: f64 = 8.0;
/// The least click that counts, where full scale is 1: -54 dB.
const CLICK_MIN: f64 = 2e-3;
/// A click must stand out from what is left over around it by this factor.
const CLICK_OVER_REST: f64 = 12.0;
/// A click must reach this share of the music around it, since what a resampler leaves over follows it.
const CLICK_OVER_MUSIC: f64 = 0.05;
/// A click must reach this share of how sharply both sides bend beside it. Near the top of the spectrum two resamplers
/// differ, and a servo that corrects by 300 ppm shifts a block of 10 ms by 3 us from its beginning to its end, a quarter
/// of a radian at 15 kHz: both are heard as nothing but are left over where a cymbal is struck.
const CLICK_OVER_BEND: f64 = 0.05;
/// How far before and behind a sharp sound a resampler rings.
const RINGING: usize = millis(2);
/// The shortest gap.
const GAP_MIN: usize = millis(1);
/// At or below this a sample of a gap is silence.
const GAP_SILENCE: f32 = 1e-5;
/// The least root of the mean square of the other side during a gap: -50 dB.
const GAP_MUSIC: f64 = 3e-3;
/// Disturbances closer than this are one.
const MERGE: Span = Span::from_millis(60);

/// Every disturbance within the runs of scored windows, in order of time.
pub(super) fn find(
    a: &Recording,
    b: &Recording,
    both: &Both,
    windows: &[Window],
    plan: &Plan,
) -> Vec<Disturbance> {
    let mut found = gaps(both, plan);
    let frame = float(AXIS_HZ) / a.rate().as_f64().max(b.rate().as_f64());
    for run in scored_runs(windows) {
        let Some(run) = windows.get(run) else { continue };
        let Some(range) = covered(run) else { continue };
        let mut skews = Skews::of(run);
        let Some(mut stretch) = Stretch::of(a, b, both, range, &skews) else { continue };
        let mut blocks = stretch.blocks();
        found.extend(stretch.jumps(&blocks, JUMP_MIN * frame));
        // Clicks are sought along finer skews, so that a jump leaves nothing over in what stands around it.
        for _ in 0..REFINEMENTS {
            skews = skews.refined(&stretch, &blocks);
            let Some(finer) = Stretch::of(a, b, both, range, &skews) else { break };
            stretch = finer;
            blocks = stretch.blocks();
        }
        found.extend(stretch.clicks(&blocks));
    }
    merged(found)
}

/// The measured skew as a function of time, in seconds.
struct Skews(Vec<(TrueTime, f64)>);

impl Skews {
    /// As the windows measured it, each at its middle.
    fn of(run: &[Window]) -> Self {
        let skew = |window: &Window| Some((window.at, window.verdict.skew()?.as_secs_f64()));
        Self(run.iter().filter_map(skew).collect())
    }

    /// With what each block is shifted beyond it.
    fn refined(&self, stretch: &Stretch, blocks: &[Option<Block>]) -> Self {
        let trusted = blocks.iter().flatten().filter(|block| block.shift.abs() < SHIFT_TRUSTED);
        let refined = trusted.map(|block| {
            let middle = stretch.from + span_of(block.start + BLOCK / 2);
            (middle, self.at(middle) + block.shift / float(AXIS_HZ))
        });
        let noisy: Vec<(TrueTime, f64)> = refined.collect();
        // A median keeps a jump where it is, and does not follow a single block that is taken for its neighbour's tone.
        let smooth = |index: usize| {
            let around = noisy.iter().take(index + MEDIAN_REACH + 1).skip(index.saturating_sub(MEDIAN_REACH));
            let mut skews: Vec<f64> = around.map(|(_, skew)| *skew).collect();
            skews.sort_by(f64::total_cmp);
            skews.get(skews.len() / 2).copied().unwrap_or(0.0)
        };
        Self(noisy.iter().enumerate().map(|(index, (at, _))| (*at, smooth(index))).collect())
    }

    /// On the straight line between the two nearest points, which is continued beyond the ends.
    fn at(&self, at: TrueTime) -> f64 {
        let next = self.0.partition_point(|(time, _)| *time <= at).clamp(1, self.0.len().max(2) - 1);
        match self.0.get(next - 1..=next) {
            Some([(t0, s0), (t1, s1)]) => {
                s0 + (s1 - s0) * (at - *t0).as_secs_f64() / (*t1 - *t0).as_secs_f64()
            }
            _ => self.0.first().map_or(0.0, |(_, skew)| *skew),
        }
    }
}

/// How often the skews are refined: the second time takes away what the straight slope misses in the treble.
const REFINEMENTS: usize = 2;
/// How many blocks to either side the median of the refined skews takes in.
const MEDIAN_REACH: usize = 3;
/// A shift of a block that is still explained by a straight slope, in samples.
const SHIFT_TRUSTED: f64 = 2.0;

/// Both sides of one run of windows, laid over each other.
struct Stretch {
    from: TrueTime,
    a: Vec<Vec<f32>>,
    b: Vec<Vec<f32>>,
}

/// How one block of the first side is explained by the second.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// The first sample.
    start: usize,
    /// By how much the second is late beyond the measured skew, in samples.
    shift: f64,
    /// Root of the mean square of the first side.
    music: f64,
    /// Root of the mean square of what is left over.
    rest: f64,
    /// The sample that is left over most, and by how much.
    worst: (usize, f64),
    /// How sharply the smoother side bends at most.
    bend: f64,
}

impl Stretch {
    /// Lays `b` over `a` along `skews`, as far as `range` and both recordings reach.
    fn of(a: &Recording, b: &Recording, both: &Both, range: TrueRange, skews: &Skews) -> Option<Self> {
        let delayed = |at| at - Span::from_secs_f64(skews.at(at));
        let held = TrueRange {
            from: a.range().from.max(delayed(b.range().from)) + KERNEL_REACH,
            until: a.range().until.min(delayed(b.range().until)) - KERNEL_REACH,
        };
        let range = TrueRange { from: range.from.max(held.from), until: range.until.min(held.until) };
        let first = both.sample_at(range.from)?;
        let length = (MARGIN + both.samples).min(first + sample_count(range)) - first;
        let a: Option<Vec<Vec<f32>>> =
            both.a.iter().map(|channel| Some(channel.get(first..first + length)?.to_vec())).collect();
        let b = aligned(b, both.time_of(first), length, |at| skews.at(at));
        Some(Self { from: both.time_of(first), a: emphasised(&a?), b: emphasised(&b) })
    }

    /// Every block in which there is enough music to tell.
    fn blocks(&self) -> Vec<Option<Block>> {
        let length = self.a.first().map_or(0, Vec::len);
        (1..length / BLOCK).map(|n| self.explain(n * BLOCK)).collect()
    }

    /// Explains one block by least squares: a = g b + h b', so that the shift is h / g.
    fn explain(&self, start: usize) -> Option<Block> {
        let (mut bb, mut bd, mut dd, mut ab, mut ad, mut aa) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        for (x, y, slope) in self.points(start) {
            bb += y * y;
            bd += y * slope;
            dd += slope * slope;
            ab += x * y;
            ad += x * slope;
            aa += x * x;
        }
        let determinant = bb * dd - bd * bd;
        let count = float(BLOCK * self.a.len().max(1));
        let music = (aa / count).sqrt();
        if music < BLOCK_MUSIC_MIN || determinant <= 1e-9 * bb * dd {
            return None;
        }
        let gain = (ab * dd - ad * bd) / determinant;
        let shift = (ad * bb - ab * bd) / determinant;
        let (mut rest, mut worst) = (0.0, (start, 0.0));
        for (index, (x, y, slope)) in self.points(start).enumerate() {
            let left = (x - gain * y - shift * slope).abs();
            rest += left * left;
            if left > worst.1 {
                worst = (start + index % BLOCK, left);
            }
        }
        Some(Block {
            start,
            shift: shift / gain,
            music,
            rest: (rest / count).sqrt(),
            worst,
            bend: self.bend(start),
        })
    }

    /// How sharply the sound of the block and beside it bends at most, on the side where it bends least: a click is on one
    /// side alone, the attack of a cymbal on both.
    fn bend(&self, start: usize) -> f64 {
        let most = |side: &Vec<Vec<f32>>| {
            let around = start.saturating_sub(RINGING)..start + BLOCK + RINGING;
            around.map(|sample| roughness(side, sample)).fold(0.0, f64::max)
        };
        most(&self.a).min(most(&self.b))
    }

    /// The samples of one block, channel after channel: first side, second side, slope of the second.
    fn points(&self, start: usize) -> impl Iterator<Item = (f64, f64, f64)> {
        self.a.iter().zip(&self.b).flat_map(move |(a, b)| {
            let a = a.iter().skip(start).take(BLOCK);
            let b = b.windows(3).skip(start.saturating_sub(1));
            a.zip(b).filter_map(|(x, trio)| match trio {
                [before, here, after] => {
                    let slope = (f64::from(*after) - f64::from(*before)) / 2.0;
                    Some((f64::from(*x), f64::from(*here), slope))
                }
                _ => None,
            })
        })
    }

    /// Places where the line through the shifts before does not meet the line through those after.
    fn jumps(&self, blocks: &[Option<Block>], least: f64) -> Vec<Disturbance> {
        let steps: Vec<f64> = (0..blocks.len()).map(|index| step_at(blocks, index, least)).collect();
        let is_highest = |index: usize| {
            let around = steps.iter().take(index + LINE).skip(index.saturating_sub(LINE));
            steps[index].abs() > 0.0
                && around.fold(0.0, |most: f64, x| most.max(x.abs())) <= steps[index].abs()
        };
        let jump = |index: usize| Disturbance {
            at: self.from + span_of((index + 1) * BLOCK),
            kind: DisturbanceKind::Jump { by: Span::from_secs_f64(steps[index] / float(AXIS_HZ)) },
        };
        (0..steps.len()).filter(|index| is_highest(*index)).map(jump).collect()
    }

    /// Blocks in which a moment is left over that neither shift nor volume explains.
    fn clicks(&self, blocks: &[Option<Block>]) -> Vec<Disturbance> {
        let rest_around = |index: usize| {
            let around = blocks.iter().take(index + LINE).skip(index.saturating_sub(LINE)).flatten();
            let mut rests: Vec<f64> = around.map(|block| block.rest).collect();
            rests.sort_by(f64::total_cmp);
            rests.get(rests.len() / 2).copied().unwrap_or(0.0)
        };
        let numbered = blocks.iter().enumerate().filter_map(|(index, block)| Some((index, (*block)?)));
        numbered
            .filter(|(index, block)| {
                let (_, height) = block.worst;
                height > CLICK_MIN
                    && height > CLICK_OVER_REST * rest_around(*index)
                    && height > CLICK_OVER_MUSIC * block.music
                    && height > CLICK_OVER_BEND * block.bend
            })
            .map(|(_, block)| {
                let (sample, height) = block.worst;
                let side = if roughness(&self.a, sample) >= roughness(&self.b, sample) {
                    Side::First
                } else {
                    Side::Second
                };
                Disturbance { at: self.from + span_of(sample), kind: DisturbanceKind::Click { side, height } }
            })
            .collect()
    }
}

/// What reading between samples needs on either side; nearer to its ends a recording is not examined.
const KERNEL_REACH: Span = Span::from_millis(2);
/// Below this root of the mean square, with the treble raised, a block says nothing: -90 dB.
const BLOCK_MUSIC_MIN: f64 = 3e-5;

/// By how much the shift jumps before block `index`, or 0 where it does not.
fn step_at(blocks: &[Option<Block>], index: usize, least: f64) -> f64 {
    let line = |blocks: Option<&[Option<Block>]>| line_through(blocks?);
    let before = index.checked_sub(LINE).and_then(|from| line(blocks.get(from..index)));
    let after = line(blocks.get(index..index + LINE));
    let (Some(before), Some(after)) = (before, after) else { return 0.0 };
    let place = float(index * BLOCK + BLOCK / 2);
    let step = after.at(place) - before.at(place);
    let scatter = before.scatter.hypot(after.scatter);
    if step.abs() >= least && step.abs() >= JUMP_OVER_SCATTER * scatter { step } else { 0.0 }
}

/// A line through the shifts of some blocks, if at least half of them tell one.
fn line_through(blocks: &[Option<Block>]) -> Option<Line> {
    let shift = |block: &Block| (float(block.start), block.shift);
    let points: Vec<(f64, f64)> = blocks.iter().flatten().map(shift).collect();
    if points.len() * 2 < blocks.len() { None } else { Line::through(&points) }
}

/// How sharply the sound bends at a sample: a click bends where the music does not.
fn roughness(channels: &[Vec<f32>], sample: usize) -> f64 {
    let bend = |channel: &Vec<f32>| match channel.get(sample.saturating_sub(1)..sample + 2) {
        Some([before, here, after]) => f64::from((before - 2.0 * here + after).abs()),
        _ => 0.0,
    };
    channels.iter().map(bend).fold(0.0, f64::max)
}

/// Stretches in which one side alone is silent.
fn gaps(both: &Both, plan: &Plan) -> Vec<Disturbance> {
    let mut found = Vec::new();
    for (side, quiet, other) in [(Side::First, &both.a, &both.b), (Side::Second, &both.b, &both.a)] {
        let silent =
            |n: usize| quiet.iter().all(|channel| channel.get(n).is_none_or(|x| x.abs() <= GAP_SILENCE));
        let mut from = MARGIN;
        while from < MARGIN + both.samples {
            let until = (from..MARGIN + both.samples).find(|n| !silent(*n)).unwrap_or(MARGIN + both.samples);
            let range = TrueRange { from: both.time_of(from), until: both.time_of(until) };
            let heard = || super::correlate::rms(other, from, until - from) > GAP_MUSIC;
            if until - from >= GAP_MIN && !plan.has_anchor_in(range) && heard() {
                let kind = DisturbanceKind::Gap { side, length: range.length() };
                found.push(Disturbance { at: range.from, kind });
            }
            from = until + 1;
        }
    }
    found
}

/// In order of time, those that stand close together counted once: a gap says more than a jump, and a jump
/// more than a click.
fn merged(mut found: Vec<Disturbance>) -> Vec<Disturbance> {
    let rank = |disturbance: &Disturbance| match disturbance.kind {
        DisturbanceKind::Gap { .. } => 0,
        DisturbanceKind::Jump { .. } => 1,
        DisturbanceKind::Click { .. } => 2,
    };
    found.sort_by_key(|disturbance| (rank(disturbance), disturbance.at));
    let mut kept: Vec<Disturbance> = Vec::new();
    for disturbance in found {
        let near = |other: &&Disturbance| (other.at - disturbance.at).abs() < MERGE;
        if !kept.iter().filter(|other| rank(other) < rank(&disturbance)).any(|other| near(&other)) {
            kept.push(disturbance);
        }
    }
    kept.sort_by_key(|disturbance| disturbance.at);
    kept
}
