//! Frames on the streams of a connection to the coordinator.

use jamsync_protocol::{
    limits::COORD_FRAME_BYTES_MAX,
    wire::{
        codec::{self, CodecError, FrameReader},
        coord::{CoordCall, CoordReply, Fault},
    },
};
use quinn::{Connection, ReadError, RecvStream, WriteError};

use super::LinkError;

/// Why there is no reply.
#[derive(Debug)]
pub(super) enum AskError {
    /// The connection is gone: the same call may be repeated on the next.
    Lost,
    /// The call itself failed.
    Failed(LinkError),
}

impl From<CodecError> for AskError {
    fn from(error: CodecError) -> Self {
        Self::Failed(error.into())
    }
}

/// One call and its reply on a stream of its own.
pub(super) async fn ask(connection: &Connection, call: &CoordCall) -> Result<CoordReply, AskError> {
    let (mut send, mut receive) = connection.open_bi().await.map_err(|_| AskError::Lost)?;
    let frame = codec::encode_frame(call, COORD_FRAME_BYTES_MAX)?;
    if let Err(error) = send.write_all(&frame).await {
        return Err(if let WriteError::Stopped(code) = error { closed(code) } else { AskError::Lost });
    }
    // Fails only where the stream was stopped, which the read reports with its reason.
    drop(send.finish());
    let mut frames = FrameReader::new(COORD_FRAME_BYTES_MAX);
    let reply = next_frame(&mut receive, &mut frames).await?.ok_or(CodecError::Truncated)?;
    Ok(codec::decode(&reply)?)
}

/// The next frame, or `None` at the end of the stream. May be cancelled without loss.
pub(super) async fn next_frame(
    receive: &mut RecvStream,
    frames: &mut FrameReader,
) -> Result<Option<Vec<u8>>, AskError> {
    loop {
        if let Some(frame) = frames.poll_frame()? {
            return Ok(Some(frame));
        }
        match receive.read_chunk(COORD_FRAME_BYTES_MAX, true).await {
            Ok(Some(chunk)) => frames.handle_bytes(&chunk.bytes),
            Ok(None) if frames.is_at_boundary() => return Ok(None),
            Ok(None) => return Err(CodecError::Truncated.into()),
            Err(ReadError::Reset(code)) => return Err(closed(code)),
            Err(_) => return Err(AskError::Lost),
        }
    }
}

fn closed(code: quinn::VarInt) -> AskError {
    AskError::Failed(match Fault::from_code(code.into_inner()) {
        Some(fault) => LinkError::Closed(fault),
        None => LinkError::Unexpected,
    })
}
