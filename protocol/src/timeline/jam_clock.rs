//! The Jam clock as a line: how this node's clock is read as Jam time.

use crate::time::{JamTime, NodeTime, Ppm, Span};

/// A straight line from node time to Jam time, exact to a nanosecond near its base.
///
/// On the host the line has rate 0; on a guest it follows the clock estimate. Only differences from the base
/// are scaled, so clocks that are thousands of hours apart lose nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JamMap {
    /// A reading of the node's clock.
    pub node: NodeTime,
    /// The Jam time at that reading.
    pub jam: JamTime,
    /// How much faster the Jam clock runs than the node's clock.
    pub rate: Ppm,
}

impl JamMap {
    /// The Jam time at `node`.
    #[must_use]
    pub fn jam_at(&self, node: NodeTime) -> JamTime {
        let elapsed = node - self.node;
        self.jam + elapsed + elapsed.gained_at(self.rate)
    }

    /// The node time at which the Jam clock reads `jam`.
    #[must_use]
    pub fn node_at(&self, jam: JamTime) -> NodeTime {
        let elapsed = jam - self.jam;
        let lost = Span::from_secs_f64(elapsed.as_secs_f64() * (1.0 - 1.0 / self.rate.as_factor()));
        self.node + (elapsed - lost)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_line_can_be_walked_both_ways(node0 in any::<i32>(), jam0 in any::<i32>(), ppm in -500.0..500.0, elapsed in -3_600_000_000_000i64..3_600_000_000_000) {
            let map = JamMap {
                node: NodeTime::from_nanos(i64::from(node0) * 1_000_000_000),
                jam: JamTime::from_nanos(i64::from(jam0)),
                rate: Ppm(ppm),
            };
            let node = map.node + Span::from_nanos(elapsed);
            let error = map.node_at(map.jam_at(node)) - node;
            prop_assert!(error.abs() <= Span::from_nanos(2), "{error:?}");
        }
    }
}
