//! What one direction of the path has shown: one-way samples of the offset, condensed into buckets of time.
//!
//! A sample is the difference of the two clocks that one packet saw, so it is the offset and the packet's delay at
//! once: too large by the delay on the way there, too small by it on the way back.

use alloc::collections::VecDeque;

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
    buckets: VecDeque<Bucket>,
    /// Raised whenever the least delay changed: levels of different segments are not comparable, slopes are.
    segment: u32,
    /// Samples in the current segment.
    count: u32,
}

/// The samples of a short stretch of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    slot: i64,
    segment: u32,
    count: u32,
    first: Sample,
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
        Self { direction, buckets: VecDeque::new(), segment: 0, count: 0 }
    }

    /// Enters a sample into the bucket of its time; `line` tells which of two samples was less late.
    pub(super) fn push(&mut self, sample: Sample, width: Span, line: &Line) {
        self.count = self.count.saturating_add(1);
        let new = Bucket::of(sample, width, self.segment);
        match self.buckets.back_mut() {
            // A straggler is entered where the newest are; its own instant counts, not the bucket's.
            Some(last) if last.segment == new.segment && new.slot <= last.slot => {
                last.merge(&new, self.direction, line);
            }
            Some(_) | None => self.buckets.push_back(new),
        }
    }

    /// Merges neighbours into buckets of `width`.
    pub(super) fn coarsen(&mut self, width: Span, line: &Line) {
        let mut coarse: VecDeque<Bucket> = VecDeque::with_capacity(self.buckets.len());
        for bucket in &self.buckets {
            let slot = slot(bucket.first.at, width);
            match coarse.back_mut() {
                Some(last) if last.segment == bucket.segment && last.slot == slot => {
                    last.merge(bucket, self.direction, line);
                }
                Some(_) | None => coarse.push_back(Bucket { slot, ..*bucket }),
            }
        }
        self.buckets = coarse;
    }

    /// Drops the oldest buckets beyond [`BUCKETS_MAX`].
    pub(super) fn truncate(&mut self) {
        while self.buckets.len() > BUCKETS_MAX {
            self.buckets.pop_front();
        }
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
    pub(super) fn means(&self, line: &Line, points: &mut alloc::vec::Vec<Point>) {
        points.clear();
        points.extend(self.buckets.iter().map(|bucket| {
            let count = f64::from(bucket.count);
            let x = (bucket.first.at - line.at).as_secs_f64() + bucket.sum_at / count;
            let y = (bucket.first.offset - line.offset).as_secs_f64() + bucket.sum_offset / count;
            Point { x, y: self.direction.sign() * y, weight: count, segment: bucket.segment }
        }));
    }

    /// The sample of least delay in each group of `group` neighbours, counted from the newest.
    pub(super) fn minima(&self, group: usize, line: &Line, points: &mut alloc::vec::Vec<Point>) {
        points.clear();
        let mut left = 0;
        let mut least = f64::INFINITY;
        for bucket in self.buckets.iter().rev() {
            let late = bucket.best.lateness(self.direction, line);
            match points.last_mut() {
                Some(point) if left > 0 && point.segment == bucket.segment => {
                    left -= 1;
                    if late < least {
                        least = late;
                        *point = self.point(bucket, line);
                    }
                }
                Some(_) | None => {
                    left = group - 1;
                    least = late;
                    points.push(self.point(bucket, line));
                }
            }
        }
        points.reverse();
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
    fn of(sample: Sample, width: Span, segment: u32) -> Self {
        Self {
            slot: slot(sample.at, width),
            segment,
            count: 1,
            first: sample,
            sum_at: 0.0,
            sum_offset: 0.0,
            best: sample,
        }
    }

    /// The sample with the least delay.
    pub(super) fn best(&self) -> Sample {
        self.best
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
        if other.best.lateness(direction, line) < self.best.lateness(direction, line) {
            self.best = other.best;
        }
    }
}

/// The number of the bucket of `width` that `at` falls into.
fn slot(at: NodeTime, width: Span) -> i64 {
    at.as_nanos().div_euclid(width.as_nanos().max(1))
}

/// At the coarsest width of 4 s this is a window of 512 s.
pub(super) const BUCKETS_MAX: usize = 128;
/// Older segments add little to the slope; a path that changes all the time must not fill the fit with levels.
const SEGMENTS_MAX: u32 = 4;
