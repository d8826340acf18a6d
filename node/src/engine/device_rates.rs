//! How fast each output device has run, kept over restarts, so that the servo begins where it left off.
//!
//! The rates are hints: the servo believes its stamps more. What claims more than any converter does is
//! left out.

use std::{io, path::PathBuf};

use jamsync_protocol::{
    media::SampleRate,
    time::{NodeTime, Ppm, Span},
};
use serde::{Deserialize, Serialize};

use crate::{
    config::{Settings, SinkKind},
    kept,
};

/// The rates of the devices that were used last.
#[derive(Clone, Debug)]
pub(super) struct DeviceRates {
    file: PathBuf,
    /// The one used last comes last.
    known: Vec<Known>,
    /// When the device was opened, or its rate noted last.
    noted: NodeTime,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Known {
    device: String,
    hz: u32,
    ppm: f64,
}

impl DeviceRates {
    /// The rates kept in `file`; none where it cannot be used, of which `troubles` is told.
    pub(super) fn load(file: PathBuf, now: NodeTime, troubles: &mut Vec<String>) -> Self {
        let what = "how fast your audio devices run is not known any more";
        let then = "it is learnt again while music plays";
        let mut known: Vec<Known> = kept::load(&file, what, then, troubles);
        known.retain(Known::is_sane);
        known.drain(..known.len().saturating_sub(KNOWN_MAX));
        Self { file, known, noted: now }
    }

    /// How fast the device of `settings` ran at `rate` when it was last used.
    pub(super) fn of(&self, settings: &Settings, rate: SampleRate) -> Option<Ppm> {
        let device = device(settings)?;
        let known = self.known.iter().find(|known| known.device == device && known.hz == rate.hz())?;
        Some(Ppm(known.ppm))
    }

    /// A device was opened: it is watched from now on.
    pub(super) const fn begin(&mut self, now: NodeTime) {
        self.noted = now;
    }

    /// Notes how fast the device runs now, once that has been watched for a while, and no more often than that.
    ///
    /// # Errors
    /// What the system says where the file cannot be written; the rate is then known until the program ends.
    pub(super) fn note(
        &mut self,
        settings: &Settings,
        rate: SampleRate,
        dac: Ppm,
        now: NodeTime,
    ) -> io::Result<()> {
        let Some(device) = device(settings) else { return Ok(()) };
        let new = Known { device, hz: rate.hz(), ppm: dac.0 };
        if now - self.noted < WATCHED || !new.is_sane() {
            return Ok(());
        }
        self.noted = now;
        if self.of(settings, rate).is_some_and(|known| (known.0 - new.ppm).abs() < NEWS.0) {
            return Ok(());
        }
        self.known.retain(|known| known.device != new.device || known.hz != new.hz);
        self.known.push(new);
        self.known.drain(..self.known.len().saturating_sub(KNOWN_MAX));
        kept::save(&self.file, &self.known)
    }
}

impl Known {
    fn is_sane(&self) -> bool {
        self.ppm.abs() <= RATE_MAX.0
            && self.device.len() <= NAME_BYTES_MAX
            && SampleRate::new(self.hz).is_some()
    }
}

/// What names the device; none where the output has no rate of its own.
fn device(settings: &Settings) -> Option<String> {
    match settings.sink {
        SinkKind::Cpal => Some(format!("card {}", settings.device.as_deref().unwrap_or("by default"))),
        // Both its rate and the clock's that it is measured by are as they are told to be: others make another device.
        SinkKind::Virtual => Some(format!("virtual {} {}", settings.dac_rate.0, settings.clock_rate.0)),
        SinkKind::Wav | SinkKind::Null => None,
    }
}

/// How long a device is watched before its rate is noted, and how often that is looked at: a full window of the servo's
/// line and as much again.
const WATCHED: Span = Span::from_secs(60);

/// A smaller change is not written: crystals wander by as much between a cold and a warm evening.
const NEWS: Ppm = Ppm(1.0);

/// A rate beyond this is a mistake: converters are within 200 ppm.
const RATE_MAX: Ppm = Ppm(500.0);

/// Devices remembered, in number; the one not used for longest goes first.
const KNOWN_MAX: usize = 32;

/// The longest name of a device that is kept, in bytes.
const NAME_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Options;

    fn settings(device: &str) -> Settings {
        Options { device: Some(device.to_owned()), ..Options::default() }.complete()
    }

    fn load(file: PathBuf, now: NodeTime) -> DeviceRates {
        let mut troubles = Vec::new();
        let rates = DeviceRates::load(file, now, &mut troubles);
        assert_eq!(troubles, Vec::<String>::new());
        rates
    }

    fn at(secs: i64) -> NodeTime {
        NodeTime::ZERO + Span::from_secs(secs)
    }

    #[test]
    fn a_rate_is_known_again_after_a_restart_for_the_same_device_and_rate_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("devices.json");
        let mut rates = load(file.clone(), at(0));
        let (dac, hz) = (Ppm(-41.5), SampleRate::HZ_48000);
        rates.note(&settings("a"), hz, dac, at(59)).unwrap();
        assert_eq!(rates.of(&settings("a"), hz), None, "it has not been watched for long enough");
        rates.note(&settings("a"), hz, dac, at(60)).unwrap();
        let rates = load(file, at(0));
        assert_eq!(rates.of(&settings("a"), hz), Some(dac));
        assert_eq!(rates.of(&settings("a"), SampleRate::HZ_44100), None);
        assert_eq!(rates.of(&settings("b"), hz), None);
    }

    #[test]
    fn a_device_that_was_opened_again_is_watched_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut rates = load(folder.path().join("devices.json"), at(0));
        rates.begin(at(50));
        let (hz, dac) = (SampleRate::HZ_48000, Ppm(80.0));
        rates.note(&settings("a"), hz, dac, at(109)).unwrap();
        assert_eq!(rates.of(&settings("a"), hz), None);
        rates.note(&settings("a"), hz, dac, at(110)).unwrap();
        assert_eq!(rates.of(&settings("a"), hz), Some(dac));
    }

    #[test]
    fn absurd_rates_count_for_nothing_and_damaged_files_are_named_too() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("devices.json");
        let mut rates = load(file.clone(), at(0));
        for absurd in [501.0, f64::NAN, f64::NEG_INFINITY] {
            rates.note(&settings("a"), SampleRate::HZ_48000, Ppm(absurd), at(100)).unwrap();
        }
        assert!(!file.exists());
        std::fs::write(&file, r#"[{"device":"card a","hz":48000,"ppm":1e9}]"#).unwrap();
        assert_eq!(load(file.clone(), at(0)).known, []);
        for (text, named) in [("", "damaged"), ("[1]", "another version")] {
            std::fs::write(&file, text).unwrap();
            let mut troubles = Vec::new();
            assert_eq!(DeviceRates::load(file.clone(), at(0), &mut troubles).known, []);
            let [trouble] = &troubles[..] else { panic!("{troubles:?}") };
            assert!(trouble.contains(named) && trouble.contains("devices.damaged"), "{trouble}");
            assert_eq!(load(file.clone(), at(0)).known, [], "the next start is not troubled by it");
        }
    }

    #[test]
    fn no_more_devices_are_remembered_than_anybody_has() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("devices.json");
        let mut rates = load(file.clone(), at(0));
        for n in 0..40_i64 {
            let device = settings(&n.to_string());
            rates.note(&device, SampleRate::HZ_48000, Ppm(5.0), at(60 * (n + 1))).unwrap();
        }
        let rates = load(file, at(0));
        assert_eq!(rates.known.len(), KNOWN_MAX);
        assert!(rates.of(&settings("39"), SampleRate::HZ_48000).is_some());
    }
}
