//! Virtual cards that ran dry: what the machine did to a run, told apart from what the nodes did.
//!
//! A card is served by a thread of its node. Where the machine stands still for longer than the card's latency, the card stops
//! as a real one does, and the sound has a gap that no engine could have kept away.

use jamsync_protocol::time::Span;
use serde::{Deserialize, Serialize};

use super::case::Who;
use crate::score::{Recording, TrueTime};

/// A card that stood still.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DryCard {
    /// When it began to.
    pub at_ns: TrueTime,
    /// Whose.
    pub of: Who,
    /// For how long. Unit ms.
    pub for_ms: f64,
}

/// Where the card of `of` stood still while it made this recording.
pub(super) fn dry(recording: &Recording, of: Who) -> Vec<DryCard> {
    let rate = recording.rate();
    let pairs = recording.stamps().windows(2).filter_map(|pair| match pair {
        [one, next] => Some((one.at, next.at - one.at, rate.span_of(next.frame.minus(one.frame)))),
        _ => None,
    });
    let still = pairs.map(|(at, passed, played)| (at, passed - played)).filter(|(_, still)| *still > LEAST);
    still.map(|(at_ns, still)| DryCard { at_ns, of, for_ms: still.as_secs_f64() * 1e3 }).collect()
}

/// More than a crystal's error makes of a period: 1,000 ppm of 10 ms are 10 us. Unit us, range 50 to 1,000, default 200; less
/// takes rounding for a stop, more leaves one out.
const LEAST: Span = Span::from_micros(200);

#[cfg(test)]
mod tests {
    use jamsync_protocol::media::{Frames, SampleRate};

    use super::*;
    use crate::score::Stamp;

    /// A card of 60 ppm that stood still before the periods named.
    fn recording(stops: &[(u64, Span)]) -> Recording {
        let rate = SampleRate::HZ_48000;
        let mut at = TrueTime::default();
        let stamps = (0..200).map(|period| {
            at = stops.iter().filter(|(before, _)| *before == period).fold(at, |at, (_, stop)| at + *stop);
            let stamp = Stamp { frame: Frames(480 * period), at };
            at = at + Span::from_nanos(9_999_400);
            stamp
        });
        let stamps = stamps.collect();
        Recording::new(rate, vec![vec![0.0; 96_000]; 2], stamps).expect("a recording")
    }

    #[test]
    fn a_card_that_stood_still_is_named_and_its_crystal_is_not() {
        assert_eq!(dry(&recording(&[]), Who::A), []);
        let stops = [(50, Span::from_millis(2)), (120, Span::from_millis(96))];
        let found = dry(&recording(&stops), Who::B);
        assert_eq!(found.len(), 2);
        for (found, (_, stop)) in found.iter().zip(stops) {
            assert!(
                found.of == Who::B && (found.for_ms - stop.as_secs_f64() * 1e3).abs() < 0.01,
                "{found:?}"
            );
        }
        assert_eq!(found[0].at_ns - TrueTime::default(), Span::from_nanos(49 * 9_999_400));
    }
}
