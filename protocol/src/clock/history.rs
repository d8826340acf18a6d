//! What one direction of the path has shown: one-way samples of the offset, condensed into buckets of equally many.
//!
//! A sample is the difference of the two clocks that one packet saw, so it is the offset and the packet's delay at
//! once: too large by the delay on the way there, too small by it on the way back.
//!
//! Buckets count samples, not time: the least delay of many samples is less than that of few, so that buckets of equal time
//! would bend the line through their least samples wherever the probing grows thinner.

use alloc::vec::Vec;

use super::fit::Point;
use crate::time::{NodeTime, Ppm, Span};

/// The way a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From this node to the peer: samples are the offset plus a delay.
    There,
    /// From the peer to this node: samples are the offset less a delay.
    Back,
}

/// The peer's clock less this node's, as one packet saw it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// When the packet was at this node.
    pub(super) at: NodeTime,
    /// What it saw.
    pub(super) offset: Span,
}

/// A line over this node's clock, that samples are held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// Where `offset` belongs.
    pub(super) at: NodeTime,
    /// The peer's clock less this node's.
    pub(super) offset: Span,
    /// The rate of the peer's clock against this node's.
    pub(super) drift: Ppm,
}

/// The samples of one direction, oldest first. Holds at most [`BUCKETS_MAX`] buckets.
#[derive(Clone, Debug)]
pub(super) struct History {
    direction: Direction,
    buckets: Vec<Bucket>,
    /// The samples of a full bucket.
    quota: u32,
    /// Whether the newest bucket takes no more samples.
    is_closed: bool,
    /// Raised whenever the least delay changed: levels of different segments are not comparable, slopes are.
    segment: u32,
    /// Samples in the current segment.
    count: u32,
}

/// Neighbouring samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    segment: u32,
    count: u32,
    first: Sample,
    last: NodeTime,
    /// Sums of the distances from `first`, in seconds.
    sum_at: f64,
    sum_offset: f64,
    /// The sample with the least delay.
    best: Sample,
}

impl Direction {
    /// The sign that makes a delay positive.
    pub(super) const fn sign(self) -> f64 {
        match self {
            Self::There => 1.0,
            Self::Back => -1.0,
        }
    }
}

impl Line {
    /// The offset on the line at `t`.
    pub(super) fn offset_at(&self, t: NodeTime) -> Span {
        self.offset + (t - self.at).gained_at(self.drift)
    }
}

impl Sample {
    /// How late the packet was against `line`, in seconds: its delay, plus what is constant in one direction.
    pub(super) fn lateness(&self, direction: Direction, line: &Line) -> f64 {
        direction.sign() * (self.offset - line.offset_at(self.at)).as_secs_f64()
    }
}

impl History {
    pub(super) fn new(direction: Direction) -> Self {
        Self { direction, buckets: Vec::new(), quota: 1, is_closed: false, segment: 0, count: 0 }
    }

    /// Enters a sample into the newest bucket, or a new one; `line` tells which of two samples was less late.
    pub(super) fn push(&mut self, sample: Sample, line: &Line) {
        self.count = self.count.saturating_add(1);
        let new = Bucket::of(sample, self.segment);
        let is_open = !core::mem::take(&mut self.is_closed);
        match self.buckets.last_mut() {
            Some(last) if is_open && last.segment == new.segment && last.count < self.quota => {
                last.merge(&new, self.direction, line);
            }
            Some(_) | None => self.buckets.push(new),
        }
    }

    /// The next sample begins a bucket.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    /// Merges neighbours into buckets of `quota` samples.
    pub(super) fn coarsen(&mut self, quota: u32, line: &Line) {
        self.quota = quota;
        let mut coarse: Vec<Bucket> = Vec::with_capacity(self.buckets.len());
        for bucket in &self.buckets {
            match coarse.last_mut() {
                Some(last) if last.segment == bucket.segment && last.count + bucket.count <= quota => {
                    last.merge(bucket, self.direction, line);
                }
                Some(_) | None => coarse.push(*bucket),
            }
        }
        self.buckets = coarse;
    }

    /// Drops the oldest buckets beyond [`BUCKETS_MAX`], and of more than half as many those that ended before `oldest`.
    pub(super) fn truncate(&mut self, oldest: NodeTime) {
        let beyond = |most: usize| self.buckets.len().saturating_sub(most);
        let aged = self.buckets.iter().take_while(|bucket| bucket.last < oldest).count();
        let dropped = aged.min(beyond(BUCKETS_MAX / 2)).max(beyond(BUCKETS_MAX));
        self.buckets.drain(..dropped);
    }

    /// The least delay has changed: what follows has a level of its own.
    pub(super) fn begin_segment(&mut self) {
        self.segment = self.segment.saturating_add(1);
        self.count = 0;
        self.forget_old_segments();
    }

    /// The least delay has changed some time ago: so have the levels of all buckets that lie wholly after `since`.
    pub(super) fn begin_segment_at(&mut self, since: NodeTime) {
        self.begin_segment();
        for bucket in self.buckets.iter_mut().filter(|bucket| bucket.first.at > since) {
            bucket.segment = self.segment;
            self.count = self.count.saturating_add(bucket.count);
        }
    }

    fn forget_old_segments(&mut self) {
        let oldest = self.segment.saturating_sub(SEGMENTS_MAX);
        self.buckets.retain(|bucket| bucket.segment > oldest || oldest == 0);
    }

    pub(super) fn is_full(&self) -> bool {
        self.buckets.len() > BUCKETS_MAX
    }

    /// When the oldest sample was taken.
    pub(super) fn since(&self) -> Option<NodeTime> {
        self.buckets.first().map(|bucket| bucket.first.at)
    }

    /// Samples in the current segment.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn buckets(&self) -> impl DoubleEndedIterator<Item = &Bucket> {
        self.buckets.iter()
    }

    /// The buckets of the current segment.
    pub(super) fn current(&self) -> impl DoubleEndedIterator<Item = &Bucket> {
        self.buckets.iter().filter(|bucket| bucket.segment == self.segment)
    }

    /// The mean of each bucket, as points for a line relative to `line`.
    pub(super) fn means(&self, line: &Line, points: &mut Vec<Point>) {
        points.clear();
        points.extend(self.buckets.iter().map(|bucket| {
            let count = f64::from(bucket.count);
            let x = (bucket.first.at - line.at).as_secs_f64() + bucket.sum_at / count;
            let y = (bucket.first.offset - line.offset).as_secs_f64() + bucket.sum_offset / count;
            Point { x, y: self.direction.sign() * y, weight: count, segment: bucket.segment }
        }));
    }

    /// The sample of least delay in each group of `group` neighbours, counted from the newest full bucket. Groups and
    /// buckets that are not full are left out where there are others, because their least delay does not compare.
    pub(super) fn minima(&self, group: usize, line: &Line, points: &mut Vec<Point>) {
        points.clear();
        for run in self.buckets.chunk_by(|a, b| a.segment == b.segment) {
            let full =
                run.iter().rposition(|bucket| bucket.count >= self.quota).map_or(run.len(), |last| last + 1);
            let spare = if full < group { 0 } else { full % group };
            let groups = run.get(spare..full).unwrap_or_default().chunks(group);
            points.extend(groups.filter_map(|group| {
                let lateness = |bucket: &&Bucket| bucket.best.lateness(self.direction, line);
                let best = group.iter().min_by(|a, b| lateness(a).total_cmp(&lateness(b)))?;
                Some(self.point(best, line))
            }));
        }
    }

    fn point(&self, bucket: &Bucket, line: &Line) -> Point {
        Point {
            x: (bucket.best.at - line.at).as_secs_f64(),
            y: self.direction.sign() * (bucket.best.offset - line.offset).as_secs_f64(),
            weight: 1.0,
            segment: bucket.segment,
        }
    }
}

impl Bucket {
    fn of(sample: Sample, segment: u32) -> Self {
        Self { segment, count: 1, first: sample, last: sample.at, sum_at: 0.0, sum_offset: 0.0, best: sample }
    }

    /// The sample with the least delay.
    pub(super) fn best(&self) -> Sample {
        self.best
    }

    /// When its first and its last sample were taken.
    pub(super) fn lasts(&self) -> [NodeTime; 2] {
        [self.first.at, self.last]
    }

    /// The mean of its samples.
    pub(super) fn mean(&self) -> Sample {
        let count = f64::from(self.count);
        Sample {
            at: self.first.at + Span::from_secs_f64(self.sum_at / count),
            offset: self.first.offset + Span::from_secs_f64(self.sum_offset / count),
        }
    }

    /// How many samples it holds.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    fn merge(&mut self, other: &Self, direction: Direction, line: &Line) {
        let count = f64::from(other.count);
        self.sum_at += other.sum_at + count * (other.first.at - self.first.at).as_secs_f64();
        self.sum_offset += other.sum_offset + count * (other.first.offset - self.first.offset).as_secs_f64();
        self.count = self.count.saturating_add(other.count);
        self.last = self.last.max(other.last);
        if other.best.lateness(direction, line) < self.best.lateness(direction, line) {
            self.best = other.best;
        }
    }
}

/// At four samples a second in each direction and 16 to a bucket this is a window of 512 s.
pub(super) const BUCKETS_MAX: usize = 128;
/// Older segments add little to the slope; a path that changes all the time must not fill the fit with levels.
const SEGMENTS_MAX: u32 = 4;
