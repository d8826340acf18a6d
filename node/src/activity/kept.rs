//! What a listener has kept of what friends played: entries without files, in lists by name. A file that turns up later is found
//! by the entry's identity.

use std::{io, path::Path};

use jamsync_protocol::{
    id::{Handle, TrackId},
    text::Text,
    time::{Span, UtcTime},
};
use serde::{Deserialize, Serialize};

use crate::kept;

/// All that was kept, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept(pub(crate) Vec<KeptEntry>);

/// A track that somebody played.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptEntry {
    /// The playlist; empty for what was saved alone.
    pub(crate) list: Text<64>,
    pub(crate) track: TrackId,
    pub(crate) title: Text<256>,
    pub(crate) artist: Text<256>,
    pub(crate) album: Text<256>,
    pub(crate) length: Span,
    /// Who played it.
    pub(crate) from: Handle,
    pub(crate) at: UtcTime,
}

/// There are as many as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{ENTRIES_MAX} entries are kept already; remove some from saved.json in the state folder")]
pub(crate) struct Full;

impl Kept {
    /// What is kept in `file`.
    pub(crate) fn load(file: &Path, troubles: &mut Vec<String>) -> Self {
        let then = "what you save from now on is kept anew";
        Self(kept::load(file, "what you saved of your friends' music is not known any more", then, troubles))
    }

    /// Keeps it.
    ///
    /// # Errors
    /// What the system says where the file cannot be written.
    pub(crate) fn save(&self, file: &Path) -> io::Result<()> {
        kept::save(file, &self.0)
    }

    /// Adds an entry to its list, once.
    ///
    /// # Errors
    /// [`Full`].
    pub(crate) fn add(&mut self, entry: KeptEntry) -> Result<(), Full> {
        if self.0.iter().any(|known| known.track == entry.track && known.list == entry.list) {
            return Ok(());
        }
        if self.0.len() >= ENTRIES_MAX {
            return Err(Full);
        }
        self.0.push(entry);
        Ok(())
    }
}

/// How many entries are kept. With some 1,000 bytes each at most they fit the file.
const ENTRIES_MAX: usize = 500;
