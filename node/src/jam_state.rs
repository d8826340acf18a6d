//! What a running Jam needs to come back after its node was cut short: one file, replaced whole.
//!
//! The file begins with a line that says what it is and in which version, then come a checksum and the state. Damage
//! and other versions have a name each, and a file that cannot be read is set aside rather than read again at every
//! start. What the state means, and whether the Jam may still be entered, is decided elsewhere.

use std::{
    fs::{self, File},
    io::{self, Read},
    net::SocketAddr,
    path::Path,
};

use jamsync_protocol::{
    session::SavedSession,
    text::List,
    time::UtcTime,
    wire::{codec, coord::CANDIDATES_MAX},
};
use serde::{Deserialize, Serialize};

use crate::paths::replace_file;

/// A Jam that this node is in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct JamState {
    /// The signed grant, byte for byte as the coordinator gave it.
    pub(crate) grant: List<u8, 4096>,
    /// Whether the introduction lets this side dial.
    pub(crate) dials: bool,
    /// Where the friend may be, where it was met last first.
    pub(crate) candidates: List<SocketAddr, { CANDIDATES_MAX + 2 }>,
    /// This node's own UDP port, under which the friend knows it; 0 where that is not known.
    pub(crate) port: u16,
    /// The Jam as it stands, once the friend was met.
    pub(crate) met: Option<MetState>,
}

/// A Jam in which the two have met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MetState {
    /// When they met first: from then on the Jam may be entered again for a day.
    pub(crate) since: UtcTime,
    /// This side's part.
    pub(crate) session: SavedSession,
    /// A guest's own music, which waits for the end of the Jam.
    pub(crate) parked: Option<SavedSession>,
}

/// Why there is no state. The sentence names no remedy: there is nothing to be done but to ask for another Jam.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum JamStateError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    File(#[from] io::Error),
    /// It is longer than any that this program writes.
    #[error("it is longer than the {STATE_BYTES_MAX} bytes that it may have")]
    TooLong,
    /// It does not begin as such a file does.
    #[error("it is no file of jamsync's")]
    Unknown,
    /// It was written by another version.
    #[error("another version of jamsync has written it")]
    OtherVersion,
    /// It ends early or its bytes have changed.
    #[error("it is damaged")]
    Damaged,
}

impl JamState {
    /// The state kept in `path`; none where this node is in no Jam.
    ///
    /// # Errors
    /// [`JamStateError`]: [`set_aside`](crate::paths::set_aside) the file, or the next start finds the same.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, JamStateError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        let read = file.take(STATE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if u64::try_from(read).is_ok_and(|read| read > STATE_BYTES_MAX) {
            return Err(JamStateError::TooLong);
        }
        Self::decode(&bytes).map(Some)
    }

    /// The state of a file's `bytes`.
    fn decode(bytes: &[u8]) -> Result<Self, JamStateError> {
        let Some(rest) = bytes.strip_prefix(TITLE) else {
            return Err(if bytes.is_empty() { JamStateError::Damaged } else { JamStateError::Unknown });
        };
        let rest = rest.strip_prefix(VERSION).ok_or(JamStateError::OtherVersion)?;
        let (sum, body) = rest.split_first_chunk::<{ blake3::OUT_LEN }>().ok_or(JamStateError::Damaged)?;
        if blake3::hash(body) != blake3::Hash::from_bytes(*sum) {
            return Err(JamStateError::Damaged);
        }
        codec::decode(body).map_err(|_| JamStateError::Damaged)
    }

    fn encode(&self) -> io::Result<Vec<u8>> {
        let limit = usize::try_from(STATE_BYTES_MAX).unwrap_or(usize::MAX)
            - TITLE.len()
            - VERSION.len()
            - blake3::OUT_LEN;
        let body = codec::encode(self, limit).map_err(io::Error::other)?;
        Ok([TITLE, VERSION, blake3::hash(&body).as_bytes(), &body].concat())
    }

    /// Keeps the state in `path`, so that a crash leaves the old file or the new one.
    ///
    /// # Errors
    /// What the system says where the file cannot be written.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        replace_file(path, &self.encode()?)
    }
}

/// Removes the state of a Jam that is over.
///
/// # Errors
/// What the system says where there is one and it cannot be removed.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// How the file begins.
const TITLE: &[u8] = b"jamsync Jam, version ";

/// Counted up with every change of the state's form.
const VERSION: &[u8] = b"1\n";

/// The longest file: two full queues with everything that could be undone in them and all own edits.
const STATE_BYTES_MAX: u64 = 32 << 20;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use jamsync_protocol::{
        id::{Participant, TrackId},
        media::{Frames, SampleRate, Track},
        queue::Intent,
        session::{Command, Session},
        text::Text,
        time::{NodeTime, Span},
    };
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;
    use crate::paths::set_aside;

    fn state() -> JamState {
        let now = NodeTime::ZERO + Span::from_secs(5);
        let mut alone = Session::alone(now);
        let track = Track {
            id: TrackId([7; 32]),
            title: Text::new("A song").unwrap(),
            artist: Text::default(),
            album: Text::default(),
            rate: SampleRate::HZ_44100,
            length: Frames(44_100),
        };
        alone.handle_command(Command::Edit(Intent::Append(vec![track])), now).unwrap();
        let mut guest = Session::guest(Participant::new(1).unwrap(), Participant::FIRST);
        let utc = UtcTime::from_nanos(1_700_000_000_000_000_000);
        JamState {
            grant: List::new(vec![1, 2, 3]).unwrap(),
            dials: true,
            candidates: List::new(vec!["127.0.0.1:9".parse().unwrap()]).unwrap(),
            port: 4472,
            met: Some(MetState {
                since: utc,
                session: guest.snapshot(now),
                parked: Some(alone.snapshot(now)),
            }),
        }
    }

    fn file() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("jam.state");
        (folder, file)
    }

    #[test]
    fn what_was_kept_is_read_again_and_gone_when_it_was_removed() {
        let (_folder, file) = file();
        assert!(JamState::load(&file).unwrap().is_none());
        state().save(&file).unwrap();
        assert_eq!(JamState::load(&file).unwrap(), Some(state()));
        remove(&file).unwrap();
        remove(&file).unwrap();
        assert!(JamState::load(&file).unwrap().is_none());
    }

    #[test]
    fn every_change_of_a_byte_and_every_end_is_noticed() {
        let whole = state().encode().unwrap();
        for at in 0..whole.len() {
            let mut wrong = whole.clone();
            wrong[at] ^= 1;
            assert!(JamState::decode(&wrong).is_err(), "byte {at}");
            assert!(JamState::decode(&whole[..at]).is_err(), "cut at {at}");
        }
        assert!(matches!(JamState::decode(&[&whole[..], &[0]].concat()), Err(JamStateError::Damaged)));
    }

    #[test]
    fn rubbish_has_a_name_and_is_put_beside() {
        let (_folder, file) = file();
        let mut newer = state().encode().unwrap();
        newer[TITLE.len()] = b'2';
        for (bytes, named) in [
            (&b""[..], "damaged"),
            (b"jamsync", "no file of jamsync's"),
            (&[0xff; 999], "no file of jamsync's"),
            (&newer, "another version"),
            (b"jamsync Jam, version 1\nshort", "damaged"),
        ] {
            fs::write(&file, bytes).unwrap();
            let error = JamState::load(&file).unwrap_err().to_string();
            assert!(error.contains(named), "{error} does not say {named}");
            let aside = set_aside(&file).unwrap();
            assert_eq!(fs::read(aside).unwrap(), bytes);
            assert!(JamState::load(&file).unwrap().is_none(), "the next start is not troubled by it");
        }
    }

    #[test]
    fn a_state_with_a_right_sum_and_a_wrong_body_never_panics() {
        let seed = 20_251_121;
        let mut random = StdRng::seed_from_u64(seed);
        let body = state().encode().unwrap()[TITLE.len() + VERSION.len() + blake3::OUT_LEN..].to_vec();
        for round in 0..20_000 {
            let mut wrong = body.clone();
            for _ in 0..random.random_range(1..6) {
                let at = random.random_range(0..wrong.len());
                wrong[at] = random.random();
            }
            wrong.truncate(random.random_range(0..=wrong.len()));
            let bytes = [TITLE, VERSION, blake3::hash(&wrong).as_bytes(), &wrong].concat();
            if let Ok(JamState { met: Some(met), .. }) = JamState::decode(&bytes) {
                let both = [Some(met.session), met.parked];
                for saved in both.into_iter().flatten() {
                    let restored = Session::restore(saved, NodeTime::ZERO + Span::from_secs(9));
                    drop(restored.map(|mut session| session.handle_timeout(NodeTime::ZERO)));
                }
            }
            assert!(round < 20_000, "seed {seed}");
        }
    }

    #[test]
    fn a_file_that_never_ends_is_not_read_to_its_end() {
        let (_folder, file) = file();
        File::create(&file).unwrap().set_len(STATE_BYTES_MAX * 1_000).unwrap();
        assert!(matches!(JamState::load(&file), Err(JamStateError::TooLong)));
    }
}
