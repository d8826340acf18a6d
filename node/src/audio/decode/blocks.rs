//! Symphonia behind one seam: a file as blocks of frames, each with the frame at which it begins.

use std::{
    fs::File,
    io::ErrorKind,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use jamsync_protocol::media::{Frames, SampleRate};
use symphonia::core::{
    codecs::audio::{AudioDecoder, AudioDecoderOptions, well_known::CODEC_ID_MP3},
    errors::{Error, SeekErrorKind},
    formats::{FormatOptions, FormatReader, SeekMode, SeekTo, Track, TrackType, probe::Hint},
    io::{MediaSourceStream, MediaSourceStreamOptions},
    meta::MetadataOptions,
    packet::Packet,
    units::Timestamp,
};

use super::{
    DecodeError,
    ahead::{ReadAhead, Source},
    ogg,
};
use crate::audio::playout::Stereo;

/// The blocks of one file, in order.
pub(super) struct Blocks {
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    rate: SampleRate,
    channels: usize,
    /// MP3 needs care at seeks, and its container may only guess its length.
    mp3: bool,
    samples: Vec<f32>,
    ahead: ReadAhead,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").field("rate", &self.rate).finish_non_exhaustive()
    }
}

impl Blocks {
    pub(super) fn open(path: &Path) -> Result<Self, DecodeError> {
        let mut file = File::open(path).map_err(|error| unreadable(&error))?;
        let meta = file.metadata().map_err(|error| unreadable(&error))?;
        if !meta.is_file() {
            return Err(DecodeError::Unreadable { reason: "it is no regular file".into() });
        }
        if meta.len() == 0 {
            return Err(DecodeError::Empty);
        }
        let cut_off = ogg::is_cut_off(&mut file).map_err(|error| unreadable(&error))?;
        guarded(|| {
            let (source, ahead) = Source::new(file, meta.len());
            let stream = MediaSourceStream::new(Box::new(source), MediaSourceStreamOptions::default());
            // No hint from the name: it says nothing of what is inside.
            let format = symphonia::default::get_probe()
                .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
                .map_err(|error| not_a_track(&error))?;
            let mut blocks = Self::over(format, ahead)?;
            if cut_off {
                let actual = blocks.rate.span_of(blocks.length()?);
                return Err(DecodeError::CutOff { actual });
            }
            Ok(blocks)
        })
    }

    pub(super) fn read_ahead(&self) {
        self.ahead.begin();
    }

    pub(super) fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Whether packets right after a seek may fail in a file that is whole.
    pub(super) fn needs_run_up(&self) -> bool {
        self.mp3
    }

    /// Appends the next block's frames to `out` and gives the frame at which they begin, negative within the
    /// encoder's delay; `None` at the end of the file.
    pub(super) fn next(&mut self, out: &mut Vec<Stereo>) -> Result<Option<i64>, DecodeError> {
        guarded(|| {
            let mut damaged = 0;
            while let Some(packet) = self.packet()? {
                match self.decoder.decode(&packet) {
                    Ok(sound) if sound.frames() > 0 => {
                        let spec = sound.spec();
                        if spec.channels().count() != self.channels || spec.rate() != self.rate.hz() {
                            return Err(DecodeError::Corrupt { reason: "its format changes midway".into() });
                        }
                        self.samples.resize(sound.samples_interleaved(), 0.0);
                        sound.copy_to_slice_interleaved(&mut self.samples);
                        to_stereo(&self.samples, self.channels, out);
                        let trimmed = if self.mp3 { 0 } else { packet.trim_start.get() };
                        return Ok(Some(packet.pts.get().saturating_add_unsigned(trimmed)));
                    }
                    Ok(_) => {}
                    Err(Error::DecodeError(_)) if damaged < DAMAGED_MAX => damaged += 1,
                    Err(error) => return Err(broken(&error)),
                }
            }
            Ok(None)
        })
    }

    /// Goes to a place from which reading on yields correct frames at `to`.
    pub(super) fn seek(&mut self, to: Frames) -> Result<(), DecodeError> {
        guarded(|| {
            let settle = if self.mp3 { MP3_SETTLE } else { 0 };
            let target = i64::try_from(to.0).unwrap_or(i64::MAX).saturating_sub(settle).max(0);
            match self.seek_packet(target) {
                // A guessed length can be too short: go to the start and read on from there.
                Err(Error::SeekError(SeekErrorKind::OutOfRange)) => self.seek_packet(0),
                result => result,
            }
            .map_err(|error| broken(&error))?;
            self.decoder.reset();
            Ok(())
        })
    }

    /// The exact number of frames. Where it reads next is undefined afterwards: seek.
    pub(super) fn length(&mut self) -> Result<Frames, DecodeError> {
        let (claimed, tagged) =
            self.track().map_or((None, false), |track| (track.num_frames, track.delay.is_some()));
        if let (Some(frames), false) = (claimed, self.mp3) {
            return Ok(Frames(frames));
        }
        let counted = guarded(|| self.count())?;
        match claimed.filter(|_| tagged) {
            // A tag that counts delay and padding is right unless packets are missing.
            Some(frames) if counted.plus(MP3_TAG_SLACK) >= Frames(frames) => Ok(Frames(frames)),
            Some(frames) => Err(DecodeError::Truncated {
                expected: self.rate.span_of(Frames(frames)),
                actual: self.rate.span_of(counted),
            }),
            None => Ok(counted),
        }
    }

    /// Reads all packets without decoding them.
    fn count(&mut self) -> Result<Frames, DecodeError> {
        let mut end = 0;
        while let Some(packet) = self.packet()? {
            end = packet.pts.get().saturating_add_unsigned(packet.dur.get()).max(end);
        }
        Ok(Frames(u64::try_from(end).unwrap_or(0)))
    }

    fn packet(&mut self) -> Result<Option<Packet>, DecodeError> {
        loop {
            match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track => return Ok(Some(packet)),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(Error::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(broken(&error)),
            }
        }
    }

    fn seek_packet(&mut self, frame: i64) -> Result<(), Error> {
        let to = SeekTo::Timestamp { ts: Timestamp::from(frame), track_id: self.track };
        self.format.seek(SeekMode::Accurate, to).map(|_| ())
    }

    fn track(&self) -> Option<&Track> {
        self.format.tracks().iter().find(|track| track.id == self.track)
    }

    fn over(format: Box<dyn FormatReader>, ahead: ReadAhead) -> Result<Self, DecodeError> {
        let track = format.default_track(TrackType::Audio).ok_or(DecodeError::NoSound)?;
        let id = track.id;
        let parameters = track.codec_params.as_ref().and_then(|p| p.audio()).ok_or(DecodeError::NoSound)?;
        let hertz = parameters.sample_rate.unwrap_or(0);
        let rate = SampleRate::new(hertz).ok_or(DecodeError::Rate { actual: hertz })?;
        let channels = parameters.channels.as_ref().map_or(0, |channels| channels.count());
        if !(1..=2).contains(&channels) {
            return Err(DecodeError::Channels { actual: channels });
        }
        let mp3 = parameters.codec == CODEC_ID_MP3;
        // An MP3's end may be guessed, and a decoder that trims by a guess cuts music off: the reader trims.
        let options = AudioDecoderOptions::default().gapless(!mp3);
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(parameters, &options)
            .map_err(|error| DecodeError::UnknownCodec { codec: error.to_string() })?;
        Ok(Self { format, decoder, track: id, rate, channels, mp3, samples: Vec::new(), ahead })
    }
}

/// Runs a call into the decoder, whose authors promise much, but not that no file on earth can panic it.
fn guarded<T>(call: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(DecodeError::Corrupt { reason: "the decoder gave up on it".into() }))
}

fn to_stereo(samples: &[f32], channels: usize, out: &mut Vec<Stereo>) {
    if channels == 2 {
        out.extend(samples.as_chunks::<2>().0);
    } else {
        out.extend(samples.iter().map(|sample| [*sample; 2]));
    }
}

fn unreadable(error: &std::io::Error) -> DecodeError {
    DecodeError::Unreadable { reason: error.to_string() }
}

/// What an error means while the format is still unknown.
fn not_a_track(error: &Error) -> DecodeError {
    system_fault(error).unwrap_or(DecodeError::UnknownFormat)
}

/// What an error means in a file that was recognised.
fn broken(error: &Error) -> DecodeError {
    system_fault(error).unwrap_or_else(|| DecodeError::Corrupt { reason: error.to_string() })
}

/// The system's refusal to read, which says nothing of the file's content. An early end does.
fn system_fault(error: &Error) -> Option<DecodeError> {
    if let Error::IoError(error) = error
        && error.kind() != ErrorKind::UnexpectedEof
    {
        return Some(unreadable(error));
    }
    None
}

/// Undecodable packets in a row before a file counts as damaged. An MP3 has up to four after a seek.
const DAMAGED_MAX: usize = 16;

/// How far before the target an MP3 is entered: two packets, because the first after a seek are wrong.
const MP3_SETTLE: i64 = 2 * 1_152;

/// How many frames a tag may claim beyond the packets that are there: one packet.
const MP3_TAG_SLACK: Frames = Frames(1_152);
