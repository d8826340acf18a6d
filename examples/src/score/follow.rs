//! Following one recording through known music: where in it the recording is, and when it goes elsewhere.

use jamsync_protocol::time::Span;

use super::{
    Recording, TrueTime,
    correlate::{Correlator, emphasised},
    number::float,
    resample::{AXIS_HZ, aligned, span_of},
};

/// Sound at 48 kHz, by channel.
pub(crate) type Sound = Vec<Vec<f32>>;

/// What `recording` holds from `from` on; silence where it holds nothing.
pub(crate) fn rendered(recording: &Recording, from: TrueTime, length: Span) -> Sound {
    aligned(recording, from, samples(length), |_| 0.0)
}

/// How long after the start of `music` the stretch `sound` begins in it; none where no place stands out.
pub(crate) fn place_in(music: &Sound, sound: &Sound) -> Option<Span> {
    let length = sound.first()?.len();
    let reach = music.first()?.len().checked_sub(length)? / 2;
    let framed = |channel: &Vec<f32>| [vec![0.0; reach], channel.clone()].concat();
    let framed: Sound = emphasised(sound).iter().map(framed).collect();
    let peak = Correlator::new(length, reach).measure(&framed, &emphasised(music), reach)?;
    peak.is_clear().then(|| Span::from_secs_f64((float(reach) + peak.lag) / float(AXIS_HZ)))
}

/// How long after its start `sound` leaves `old` for `new`: where both halves together are explained best. None where
/// it never does.
pub(crate) fn change(sound: &Sound, old: &Sound, new: &Sound) -> Option<Span> {
    let length = sound.first()?.len();
    let apart = |other: &Sound, n: usize| -> f64 {
        let both = sound.iter().zip(other);
        both.filter_map(|(x, y)| Some(f64::from(x.get(n)? - y.get(n)?).powi(2))).sum()
    };
    // By how much more is left unexplained if the change comes one sample later.
    let (mut left, mut least, mut place) = (0.0, 0.0, 0);
    for n in 0..length {
        left += apart(old, n) - apart(new, n);
        if left < least {
            (least, place) = (left, n + 1);
        }
    }
    (place > 0 && place < length).then(|| span_of(place))
}

fn samples(length: Span) -> usize {
    usize::try_from(length.as_micros().max(0) * 48 / 1_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tones::Piece;

    #[test]
    fn a_place_and_a_change_are_found_to_a_millisecond() {
        let piece = |seed| -> Sound {
            let sound =
                Piece::new(seed, 4).render(jamsync_protocol::media::SampleRate::HZ_48000, 4, 0.0, 0.0);
            [0, 1].map(|side| sound.iter().map(|frame| frame[side]).collect()).into()
        };
        let part = |sound: &Sound, from: usize, until: usize| -> Sound {
            sound.iter().map(|channel| channel[from..until].to_vec()).collect()
        };
        let (old, new) = (piece(1), piece(2));
        let place = place_in(&old, &part(&old, 60_000, 74_400)).expect("it is in there");
        assert!((place - Span::from_millis(1_250)).abs() < Span::from_micros(100), "{place}");
        assert_eq!(place_in(&new, &part(&old, 60_000, 74_400)), None);

        let (x, y) = (part(&old, 0, 48_000), part(&new, 0, 48_000));
        let changed: Sound = x.iter().zip(&y).map(|(x, y)| [&x[..9_600], &y[9_600..]].concat()).collect();
        let at = change(&changed, &x, &y).expect("it changes");
        assert!((at - Span::from_millis(200)).abs() < Span::from_millis(1), "{at}");
        assert_eq!(change(&x, &x, &y), None);
    }
}
