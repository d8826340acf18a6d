//! What a file says of itself. Tags are decoration: a file whose tags are broken plays all the same.

use std::{io::BufReader, path::Path};

use lofty::{config::ParseOptions, file::TaggedFileExt, prelude::Accessor, probe::Probe};

/// The tags of a file that matter here; empty or none where it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tags {
    pub(super) title: String,
    pub(super) artist: String,
    pub(super) album: String,
    pub(super) disc: Option<u32>,
    pub(super) number: Option<u32>,
}

/// The tags of the file at `path`; those that cannot be read are as if they were not there.
pub(super) fn read(path: &Path) -> Tags {
    let Ok(file) = std::fs::File::open(path) else { return Tags::default() };
    let mut options = ParseOptions::new();
    options.read_properties(false).read_cover_art(false);
    let parsed = Probe::new(BufReader::new(file))
        .options(options)
        .guess_file_type()
        .ok()
        .and_then(|probe| probe.read().ok());
    let Some(parsed) = parsed else { return Tags::default() };
    let Some(tag) = parsed.primary_tag().or_else(|| parsed.first_tag()) else { return Tags::default() };
    let text = |value: Option<std::borrow::Cow<'_, str>>| {
        value.map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    Tags {
        title: text(tag.title()),
        artist: text(tag.artist()),
        album: text(tag.album()),
        disc: tag.disk(),
        number: tag.track(),
    }
}
