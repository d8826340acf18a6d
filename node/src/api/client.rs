//! The asking side of the local API, as commands and tests use it.

use std::{io, path::Path};

use jamsync_protocol::text::printable;
use tokio::{
    io::BufReader,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{
    ApiError, Body, ErrorCode, Event, LineError, Reply, Request, RequestLine, ServerLine, VERSION, line,
};

/// A connection to a daemon.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects to the daemon at `socket`.
    ///
    /// # Errors
    /// Where nobody listens there.
    pub async fn connect(socket: &Path) -> io::Result<Self> {
        let (reader, writer) = UnixStream::connect(socket).await?.into_split();
        Ok(Self { reader: BufReader::new(reader), writer, buffer: Vec::new() })
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// What the daemon answers, or [`ErrorCode::NoDaemon`] where it ends without an answer.
    pub async fn call(&mut self, request: Request) -> Result<Reply, ApiError> {
        match self.send(request).await {
            Ok(()) => {}
            // Nothing was asked, so nothing will be answered.
            Err(error @ LineError::Json(_)) => return Err(unwritable(&error)),
            Err(error) => {
                // Whoever closed before it was asked may have said why.
                return Err(match self.receive().await {
                    Ok(Some(Body::Error(told))) => told,
                    _ => lost(&error),
                });
            }
        }
        match self.receive().await? {
            Some(Body::Reply(reply)) => Ok(reply),
            Some(Body::Error(error)) => Err(error),
            Some(Body::Event(_) | Body::Ready { .. }) => {
                Err(lost(&"something else came where an answer belongs"))
            }
            None => Err(lost(&"it ended")),
        }
    }

    /// Asks for events. They are read with [`event`](Self::event).
    ///
    /// # Errors
    /// Where the daemon has ended.
    pub async fn watch(&mut self) -> Result<(), ApiError> {
        self.send(Request::Watch).await.map_err(|error| lost(&error))
    }

    /// The next event, or `None` when the daemon has ended.
    ///
    /// # Errors
    /// What the daemon answers in place of an event.
    pub async fn event(&mut self) -> Result<Option<Event>, ApiError> {
        match self.receive().await? {
            Some(Body::Event(event)) => Ok(Some(event)),
            Some(Body::Error(error)) => Err(error),
            Some(Body::Reply(_) | Body::Ready { .. }) => {
                Err(lost(&"something else came where an event belongs"))
            }
            None => Ok(None),
        }
    }

    async fn send(&mut self, request: Request) -> Result<(), LineError> {
        line::write(&mut self.writer, &RequestLine::new(request)).await
    }

    async fn receive(&mut self) -> Result<Option<Body>, ApiError> {
        match line::read::<_, ServerLine>(&mut self.reader, &mut self.buffer, REPLY_BYTES).await {
            Ok(Some(line)) if line.version == VERSION => Ok(Some(line.body)),
            Ok(Some(line)) => {
                Err(lost(&format!("it speaks version {}, this command {VERSION}", line.version)))
            }
            Ok(None) => Ok(None),
            Err(LineError::Json(error)) => Err(lost(&format!("it speaks another version: {error}"))),
            Err(error) => Err(lost(&error)),
        }
    }
}

fn unwritable(why: &LineError) -> ApiError {
    let what = format!("the request cannot be written: {}", printable(&why.to_string()));
    ApiError::new(ErrorCode::Usage, what, "rename what is not UTF-8")
}

fn lost(why: &dyn std::fmt::Display) -> ApiError {
    let why = printable(&why.to_string());
    ApiError::new(
        ErrorCode::NoDaemon,
        format!("the daemon gave no answer: {why}"),
        "run the command again; if this comes back, `jamsync stop` and look into the log that `jamsync status` names",
    )
}

/// The longest line taken from a daemon, in bytes. Range 1 to 256 MiB, default 16 MiB; less refuses the snapshot of
/// a queue of ten thousand entries, more only matters where the daemon is broken.
const REPLY_BYTES: usize = 16 << 20;
