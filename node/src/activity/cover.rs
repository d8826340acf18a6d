//! The cover of a track as friends see it: a thumbnail of the picture in its file, or else of one that lies beside it.
//!
//! One's own music comes from strangers as well. What is read is bounded in bytes, what is decoded in pixels and in memory, and
//! whatever goes wrong costs the cover alone. The thumbnail is drawn anew from the pixels, so that nothing else of the picture goes
//! with it, such as who took it and where. All this takes time, and is called on threads that may block.

use std::{
    fs::{self, File},
    io::{self, BufReader, Cursor, Read, Seek, SeekFrom},
    path::Path,
};

use image::{DynamicImage, ImageReader, Limits, codecs::jpeg::JpegEncoder};
use jamsync_protocol::activity::{COVER_SIDE_MAX, Thumbnail};
use lofty::{config::ParseOptions, file::TaggedFileExt, picture::PictureType, probe::Probe};

/// The thumbnail of the cover of the track in this file; none where it has none that can be shown.
pub(crate) fn thumbnail(track: &Path) -> Option<Thumbnail> {
    let inside = pictures(track).and_then(|picture| draw(&picture));
    inside.or_else(|| beside(track).and_then(|picture| draw(&picture)))
}

/// The picture that stands in the file, the front cover before any other.
fn pictures(track: &Path) -> Option<Vec<u8>> {
    let file = Bounded { file: regular(track)?, left: TAG_BYTES_MAX };
    let mut options = ParseOptions::new();
    options.read_properties(false);
    let parsed = Probe::new(BufReader::new(file)).options(options).guess_file_type().ok()?.read().ok()?;
    let pictures = || parsed.tags().iter().flat_map(|tag| tag.pictures());
    let front = pictures().find(|picture| picture.pic_type() == PictureType::CoverFront);
    Some(front.or_else(|| pictures().next())?.data().to_vec())
}

/// The picture that lies in the track's folder under one of the usual names.
fn beside(track: &Path) -> Option<Vec<u8>> {
    let folder = track.parent()?;
    NAMES.iter().flat_map(|name| ENDINGS.map(|ending| folder.join(format!("{name}.{ending}")))).find_map(
        |path| {
            let mut bytes = Vec::new();
            let read = regular(&path)?.take(PICTURE_BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
            u64::try_from(read).is_ok_and(|read| read <= PICTURE_BYTES_MAX).then_some(bytes)
        },
    )
}

/// The file at `path`, if it is one; opening a pipe would wait for ever.
fn regular(path: &Path) -> Option<File> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    File::open(path).ok()
}

/// Draws it small: in the best quality that fits, and smaller where none does.
fn draw(picture: &[u8]) -> Option<Thumbnail> {
    let mut reader = ImageReader::new(Cursor::new(picture)).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(PICTURE_SIDE_MAX);
    limits.max_image_height = Some(PICTURE_SIDE_MAX);
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    reader.limits(limits);
    let picture = reader.decode().ok()?;
    let side = u32::from(COVER_SIDE_MAX);
    [side, side / 2].into_iter().find_map(|side| {
        let small = shrink(&picture, side);
        QUALITIES.iter().find_map(|quality| encode(&small, *quality))
    })
}

fn shrink(picture: &DynamicImage, side: u32) -> image::RgbImage {
    if picture.width() <= side && picture.height() <= side {
        return picture.to_rgb8();
    }
    picture.thumbnail(side, side).to_rgb8()
}

fn encode(small: &image::RgbImage, quality: u8) -> Option<Thumbnail> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, quality).encode_image(small).ok()?;
    Thumbnail::new(jpeg).ok()
}

/// A file of which so much is read and no more, however much it claims to have in its tags.
struct Bounded {
    file: File,
    left: u64,
}

impl Read for Bounded {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(to)?;
        let left = u64::try_from(read).ok().and_then(|read| self.left.checked_sub(read));
        self.left = left.ok_or(io::ErrorKind::QuotaExceeded)?;
        Ok(read)
    }
}

impl Seek for Bounded {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// How a picture beside the music is called.
const NAMES: [&str; 6] = ["cover", "Cover", "folder", "Folder", "front", "Front"];
/// How its name ends.
const ENDINGS: [&str; 3] = ["jpg", "jpeg", "png"];
/// How much of a file is read for the picture in its tags. Bytes, default 32 MiB: the largest that people put there, several times.
const TAG_BYTES_MAX: u64 = 32 << 20;
/// The longest picture beside the music. Bytes, default 16 MiB.
const PICTURE_BYTES_MAX: u64 = 16 << 20;
/// How wide and high a picture is at most. Pixels, default 4,096: more than any shop sells; decoding one takes about a second.
const PICTURE_SIDE_MAX: u32 = 4_096;
/// What a decoded picture takes at most. Bytes, default 64 MiB: the largest with four bytes for each pixel.
const DECODED_BYTES_MAX: u64 = 64 << 20;
/// In what quality it is tried, best first. Per cent: above the first nobody sees a difference, below the last everybody does.
const QUALITIES: [u8; 4] = [85, 70, 50, 30];

#[cfg(test)]
mod tests;
