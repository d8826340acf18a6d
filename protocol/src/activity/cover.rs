//! The cover of what is shown: a small JPEG, sealed with a key of its own and found by the hash of its sealed bytes.
//!
//! A coordinator that keeps it learns neither the album nor whether two accounts show the same one: the key is random, and so are
//! the sealed bytes and their address. The state names both, so that nobody who merely sees it can put another in its place.
//!
//! A thumbnail comes from a contact, and a JPEG decoder is a large thing to give a contact's bytes to. None does so here: what is
//! taken is a baseline JPEG of the few parts that a plain encoder writes, looked at part by part and to its last byte. It carries
//! no words, no place where it was taken, no second picture and nothing behind its end.

use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::{
    Block, COVER_BYTES, COVER_SIDE_MAX, SEALED_COVER_BYTES,
    content::{LENGTH_BYTES, content, fill_up},
};
use crate::identity::keys::{Domain, digest};

/// Where a cover is: the hash of its sealed bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CoverAddress(pub [u8; 32]);

/// What opens a cover. It is never printed.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CoverKey(pub [u8; 32]);

/// The cover of what is shown, as the state names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cover {
    /// Where it is.
    pub address: CoverAddress,
    /// What opens it.
    pub key: CoverKey,
}

/// A JPEG that is small enough to be shown, and plain enough to be kept without being decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Thumbnail(Vec<u8>);

/// Bytes that are no thumbnail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ThumbnailError {
    /// They are too many, or filled up with something.
    #[error("a thumbnail has at most {} bytes", COVER_BYTES - LENGTH_BYTES)]
    Size,
    /// They begin or end otherwise than a JPEG, or end in the middle of a part.
    #[error("the picture is no whole jpeg")]
    NoJpeg,
    /// It has a part that a plain encoder does not write, one too often, or one in the wrong place.
    #[error("the jpeg has a part of kind {marker:#04x} where none may be")]
    Part {
        /// The second byte of its marker.
        marker: u8,
    },
    /// It is of another size, depth or number of colours.
    #[error("the jpeg is {width} x {height} pixels of {components} colours with {bits} bits each")]
    Frame {
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
        /// One for grey, three for colours.
        components: u8,
        /// Of each colour.
        bits: u8,
    },
}

impl CoverAddress {
    /// The address of these sealed bytes.
    #[must_use]
    pub fn of(sealed: &Block<SEALED_COVER_BYTES>) -> Self {
        Self(digest(Domain::ActivityCover, sealed))
    }
}

impl Thumbnail {
    /// These bytes, if they are a plain JPEG of at most [`COVER_SIDE_MAX`] pixels each way that fits [`COVER_BYTES`]. Takes time
    /// in proportion to their number.
    ///
    /// # Errors
    /// [`ThumbnailError`], with what is wrong first.
    pub fn new(jpeg: Vec<u8>) -> Result<Self, ThumbnailError> {
        if jpeg.len() > COVER_BYTES - LENGTH_BYTES {
            return Err(ThumbnailError::Size);
        }
        check(&jpeg)?;
        Ok(Self(jpeg))
    }

    /// The JPEG.
    #[must_use]
    pub fn jpeg(&self) -> &[u8] {
        &self.0
    }

    /// The bytes that are sealed, [`COVER_BYTES`] of them.
    ///
    /// # Errors
    /// [`ThumbnailError`], which no thumbnail gives.
    pub fn encode(&self) -> Result<Vec<u8>, ThumbnailError> {
        fill_up(&self.0, COVER_BYTES).map_err(|_| ThumbnailError::Size)
    }

    /// What was sealed.
    ///
    /// # Errors
    /// [`ThumbnailError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ThumbnailError> {
        Self::new(content(bytes, COVER_BYTES).map_err(|_| ThumbnailError::Size)?.to_vec())
    }
}

/// Walks over the parts of a JPEG, each once and in order.
fn check(jpeg: &[u8]) -> Result<(), ThumbnailError> {
    let mut rest = jpeg.strip_prefix(&BEGIN).ok_or(ThumbnailError::NoJpeg)?;
    let mut framed = false;
    loop {
        let &[0xff, marker, high, low, ref after @ ..] = rest else { return Err(ThumbnailError::NoJpeg) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let inside = length.checked_sub(2).and_then(|inside| after.split_at_checked(inside));
        let (part, after) = inside.ok_or(ThumbnailError::NoJpeg)?;
        rest = after;
        match marker {
            QUANTIZATION | HUFFMAN => {}
            // What the encoder of every camera and program writes first; a picture of its own may not stand in it.
            JFIF if part.starts_with(b"JFIF\0") && part.len() == JFIF_BYTES => {}
            FRAME if !framed => {
                check_frame(part)?;
                framed = true;
            }
            SCAN if framed => return check_scan(rest),
            marker => return Err(ThumbnailError::Part { marker }),
        }
    }
}

fn check_frame(part: &[u8]) -> Result<(), ThumbnailError> {
    let &[bits, high, low, wide, narrow, components, ref rest @ ..] = part else {
        return Err(ThumbnailError::NoJpeg);
    };
    let (height, width) = (u16::from_be_bytes([high, low]), u16::from_be_bytes([wide, narrow]));
    let sides = 1..=COVER_SIDE_MAX;
    let fits = sides.contains(&width) && sides.contains(&height) && bits == 8 && [1, 3].contains(&components);
    if !fits || rest.len() != 3 * usize::from(components) {
        return Err(ThumbnailError::Frame { width, height, components, bits });
    }
    Ok(())
}

/// The picture's own bytes: no further part in them, and nothing behind the end.
fn check_scan(scan: &[u8]) -> Result<(), ThumbnailError> {
    let body = scan.strip_suffix(&END).ok_or(ThumbnailError::NoJpeg)?;
    let marker =
        body.iter().zip(body.iter().skip(1)).find(|(first, second)| **first == 0xff && **second != 0);
    match (marker, body.last()) {
        (Some((_, marker)), _) => Err(ThumbnailError::Part { marker: *marker }),
        (None, Some(0xff) | None) => Err(ThumbnailError::NoJpeg),
        (None, Some(_)) => Ok(()),
    }
}

impl fmt::Debug for CoverAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CoverKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("key of a cover")
    }
}

impl fmt::Debug for Thumbnail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thumbnail of {} bytes", self.0.len())
    }
}

/// A JPEG begins with this marker.
const BEGIN: [u8; 2] = [0xff, 0xd8];
/// And ends with this one.
const END: [u8; 2] = [0xff, 0xd9];
/// What a pixel is and how large, without a word of text.
const JFIF: u8 = 0xe0;
/// The bytes of that part where no picture stands in it.
const JFIF_BYTES: usize = 14;
/// How exactly each frequency is kept.
const QUANTIZATION: u8 = 0xdb;
/// How the frequencies are written down.
const HUFFMAN: u8 = 0xc4;
/// The size of a baseline picture; of the other kinds none is taken.
const FRAME: u8 = 0xc0;
/// The picture itself follows.
const SCAN: u8 = 0xda;

#[cfg(test)]
mod tests;
