//! Framing: values to bytes and back. Decoding is total: any bytes give a value or a named error.
//!
//! A frame on a stream is a big-endian `u32` length followed by that many bytes of postcard. The length is
//! held against the stream's limit before anything is kept.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// Bytes that are not a message, or a message that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The frame announces, or the value needs, more than the stream allows.
    #[error("frame of {actual} bytes where at most {limit} are allowed")]
    TooLong {
        /// Announced or needed length in bytes.
        actual: usize,
        /// The stream's limit in bytes.
        limit: usize,
    },
    /// The bytes end inside a value.
    #[error("message truncated")]
    Truncated,
    /// A whole value was read and bytes are left over.
    #[error("{0} bytes after the end of the message")]
    TrailingBytes(usize),
    /// A variant, length or value that this version does not know or allow.
    #[error("unknown variant or value out of bounds")]
    Malformed,
}

/// How many bytes announce a frame's length.
const PREFIX_BYTES: usize = 4;

/// The bytes of `value`, without a length prefix: the form of a datagram and of what is signed.
///
/// # Errors
/// [`CodecError::TooLong`] above `limit` bytes, [`CodecError::Malformed`] for a type postcard cannot write.
pub fn encode<T: Serialize>(value: &T, limit: usize) -> Result<Vec<u8>, CodecError> {
    let bytes = postcard::to_allocvec(value).map_err(|_| CodecError::Malformed)?;
    check_length(bytes.len(), limit)?;
    Ok(bytes)
}

/// The value of exactly `bytes`.
///
/// # Errors
/// [`CodecError`] where the bytes end early, go on after the value, or hold something unknown.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CodecError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(CodecError::TrailingBytes(rest.len())),
        Err(postcard::Error::DeserializeUnexpectedEnd) => Err(CodecError::Truncated),
        Err(_) => Err(CodecError::Malformed),
    }
}

/// The bytes of `value` behind their length, as they go onto a stream.
///
/// # Errors
/// As [`encode`].
pub fn encode_frame<T: Serialize>(value: &T, limit: usize) -> Result<Vec<u8>, CodecError> {
    frame(&encode(value, limit)?, limit)
}

/// A body that is encoded already behind its length, as it goes onto a stream.
///
/// # Errors
/// [`CodecError::TooLong`] above `limit` bytes.
pub fn frame(body: &[u8], limit: usize) -> Result<Vec<u8>, CodecError> {
    check_length(body.len(), limit)?;
    let length = u32::try_from(body.len()).map_err(|_| CodecError::TooLong { actual: body.len(), limit })?;
    let mut frame = Vec::with_capacity(PREFIX_BYTES + body.len());
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(body);
    Ok(frame)
}

/// Cuts a stream of bytes into frames. It keeps at most one frame and one piece of input.
#[derive(Debug)]
pub struct FrameReader {
    limit: usize,
    buffer: Vec<u8>,
}

impl FrameReader {
    /// A reader that refuses frames longer than `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit, buffer: Vec::new() }
    }

    /// Takes what the stream delivered. Drain [`poll_frame`](Self::poll_frame) before the next piece.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The body of the next whole frame.
    ///
    /// # Errors
    /// [`CodecError::TooLong`]: the stream cannot be read on and has to be closed.
    pub fn poll_frame(&mut self) -> Result<Option<Vec<u8>>, CodecError> {
        let Some((prefix, rest)) = self.buffer.split_first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
        check_length(length, self.limit)?;
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let body = body.to_vec();
        self.buffer.drain(..PREFIX_BYTES + length);
        Ok(Some(body))
    }

    /// Whether the stream ended between two frames; otherwise its last frame was cut off.
    #[must_use]
    pub fn is_at_boundary(&self) -> bool {
        self.buffer.is_empty()
    }
}

fn check_length(actual: usize, limit: usize) -> Result<(), CodecError> {
    if actual > limit { Err(CodecError::TooLong { actual, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn trailing_bytes_are_refused() {
        assert_eq!(decode::<u8>(&[1, 2, 3]), Err(CodecError::TrailingBytes(2)));
    }

    #[test]
    fn truncation_and_unknown_variants_have_names() {
        assert_eq!(decode::<(u8, u8)>(&[1]), Err(CodecError::Truncated));
        assert_eq!(decode::<Option<u8>>(&[7, 1]), Err(CodecError::Malformed));
    }

    #[test]
    fn a_frame_longer_than_allowed_is_refused_by_its_prefix_alone() {
        let mut reader = FrameReader::new(8);
        reader.handle_bytes(&9u32.to_be_bytes());
        assert_eq!(reader.poll_frame(), Err(CodecError::TooLong { actual: 9, limit: 8 }));
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut_of_the_stream(values in prop::collection::vec(any::<(u64, Vec<u8>)>(), 0..5), cut in 1usize..40) {
            let stream: Vec<u8> = values.iter().flat_map(|v| encode_frame(v, 65_536).unwrap()).collect();
            let mut reader = FrameReader::new(65_536);
            let mut read = vec![];
            for piece in stream.chunks(cut) {
                reader.handle_bytes(piece);
                while let Some(body) = reader.poll_frame().unwrap() {
                    read.push(decode::<(u64, Vec<u8>)>(&body).unwrap());
                }
            }
            prop_assert_eq!(read, values);
            prop_assert!(reader.is_at_boundary());
        }
    }
}
