//! When an output obeyed a command, by its recording alone.
//!
//! A pause is obeyed where silence begins, a resume where it ends. A seek or a skip is obeyed where the music goes on
//! from another place, which needs the music itself: see `whereabouts`.

use jamsync_protocol::{media::Frames, time::Span};

use super::Deed;
use crate::score::{Recording, TrueTime};

/// Below this a sample is silent: -60 dB of full scale.
const SILENCE: f32 = 1e-3;
/// How long silence must last to be a pause rather than a crossing of zero.
const QUIET: Span = Span::from_millis(60);
/// How long after a command its effect is looked for.
const PATIENCE: Span = Span::from_secs(2);

/// From a command at `at` until `recording` shows its effect.
pub(super) fn delay(recording: &Recording, deed: Deed, at: TrueTime) -> Option<Span> {
    let rate = recording.rate();
    let loud =
        |frame: usize| recording.channels().iter().any(|c| c.get(frame).is_some_and(|s| s.abs() > SILENCE));
    let frame_at = |at: TrueTime| recording.frame_at(at).and_then(|frame| usize::try_from(frame.0).ok());
    let (first, last) = (frame_at(at)?, frame_at(at + PATIENCE)?);
    let quiet = usize::try_from(rate.frames_in(QUIET).0).ok()?;
    let obeyed = match deed {
        Deed::Pause => {
            let mut since = first;
            (first..last).find_map(|frame| {
                if loud(frame) {
                    since = frame + 1;
                }
                (frame - since.min(frame) >= quiet).then_some(since)
            })?
        }
        Deed::Resume => {
            if (first..first + quiet).any(loud) {
                return None;
            }
            (first..last).find(|frame| loud(*frame))?
        }
        Deed::Seek | Deed::Skip => return None,
    };
    let heard = recording.time_of(Frames(u64::try_from(obeyed).ok()?))?;
    Some(heard - at)
}

/// The first frame that is heard.
pub(super) fn first_sound(recording: &Recording) -> Option<u64> {
    let channels = recording.channels();
    let firsts = channels.iter().filter_map(|c| c.iter().position(|sample| sample.abs() > SILENCE));
    u64::try_from(firsts.min()?).ok()
}

#[cfg(test)]
mod tests {
    use jamsync_protocol::media::SampleRate;

    use super::*;

    #[test]
    fn silence_and_its_end_are_found_to_a_millisecond() {
        let tone = |frames: usize| (0..frames).map(|n| if n % 40 < 20 { 0.3 } else { -0.3 });
        let sound: Vec<f32> =
            tone(48_000).chain(std::iter::repeat_n(0.0, 48_000)).chain(tone(144_000)).collect();
        let recording = Recording::on_one_clock(SampleRate::HZ_48000, vec![sound]).expect("valid");
        let at = |ms: i64| TrueTime::from_nanos(ms * 1_000_000);
        let millis = |deed, ms| delay(&recording, deed, at(ms)).map(|span| span.as_millis());
        assert_eq!(millis(Deed::Pause, 900), Some(100));
        assert_eq!(millis(Deed::Resume, 1_800), Some(200));
        assert_eq!(millis(Deed::Pause, 2_500), None, "nothing falls silent there");
        assert_eq!(millis(Deed::Resume, 500), None, "it plays already");
    }
}
