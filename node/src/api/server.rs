//! The listening side of the local API: one task per connection, requests to the engine, events back.
//!
//! It never interprets a request beyond telling a watch from the rest. Input comes from processes of the same user,
//! which may still be broken: every line is bounded, and so is the number of connections.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use tokio::{
    io::BufReader,
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, broadcast, watch},
    task::JoinSet,
    time::timeout,
};
use tracing::{debug, warn};

use super::{
    ApiError, Body, EngineHandle, ErrorCode, Event, LineError, Reply, Request, RequestLine, ServerLine,
    VERSION, line,
};

/// A socket that is being listened on.
#[derive(Debug)]
pub struct Server {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Listens on `socket`, for its owner only, and serves `engine` until [`close`](Self::close). A socket file that
    /// is there already is replaced: whoever calls this holds the lock of the state folder, so nobody listens on it.
    ///
    /// # Errors
    /// Where the socket cannot be made.
    pub fn listen(socket: &Path, engine: EngineHandle) -> io::Result<Self> {
        match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // The folder is closed to others before the socket appears in it, so there is no moment at which another
        // user could connect.
        let listener = UnixListener::bind(socket)?;
        fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(listener, engine, stopped));
        Ok(Self { stop, task })
    }

    /// Takes no more connections and waits, briefly, until answers under way are written.
    pub async fn close(self) {
        // Nobody listens only where the task has ended already.
        let _ = self.stop.send(true);
        if timeout(CLOSING, self.task).await.is_err() {
            warn!("clients did not read their answers in time");
        }
    }
}

async fn accept(listener: UnixListener, engine: EngineHandle, mut stopped: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let stopping = stopped.clone();
    loop {
        tokio::select! {
            () = closing(&mut stopped) => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => match Arc::clone(&room).try_acquire_owned() {
                    Ok(place) => {
                        let serving = serve(stream, engine.clone(), stopping.clone(), FIRST_REQUEST);
                        connections.spawn(async move {
                            if let Err(error) = serving.await {
                                debug!(%error, "a client was dropped");
                            }
                            drop(place);
                        });
                    }
                    Err(_) => turn_away(&stream),
                },
                // Out of file descriptors, most likely: those that end make room, so waiting helps.
                Err(error) => {
                    warn!(%error, "a client could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Says why there is no place, as far as the socket takes it at once.
fn turn_away(stream: &UnixStream) {
    warn!("more than {CONNECTIONS} clients at once: one was turned away");
    let what = format!("{CONNECTIONS} programs talk to the daemon already");
    let full =
        ApiError::new(ErrorCode::Failed, what, "end some of them, such as `jamsync watch`, and try again");
    let answer: Result<Reply, ApiError> = Err(full);
    if let Ok(line) = line::encode(&ServerLine::from(answer)) {
        // The daemon waits for nobody whom it does not serve.
        let _ = stream.try_write(line.as_bytes());
    }
}

/// Serves one connection until it closes, asks nothing for too long, breaks the rules, or the server ends.
async fn serve(
    stream: UnixStream,
    engine: EngineHandle,
    mut stopped: watch::Receiver<bool>,
    mut patience: Duration,
) -> Result<(), LineError> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut buffer = Vec::new();
    loop {
        let read = tokio::select! {
            // What has come counts, however late it is read.
            biased;
            read = line::read::<_, RequestLine>(&mut reader, &mut buffer, REQUEST_BYTES) => read,
            () = closing(&mut stopped) => return Ok(()),
            // Whoever holds a connection and asks nothing would in the end hold them all.
            () = tokio::time::sleep(patience) => return Ok(()),
        };
        patience = NEXT_REQUEST;
        let request = match read {
            Ok(None) => return Ok(()),
            Ok(Some(line)) => line,
            Err(error @ LineError::Json(_)) => {
                answer(&mut writer, Err(bad_line(&error))).await?;
                continue;
            }
            Err(error @ LineError::TooLong { .. }) => {
                answer(&mut writer, Err(bad_line(&error))).await?;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        if request.version != VERSION {
            answer(&mut writer, Err(other_version(request.version))).await?;
        } else if request.request == Request::Watch {
            return watch_events(reader, writer, &engine, stopped).await;
        } else {
            answer(&mut writer, engine.call(request.request).await).await?;
        }
    }
}

/// Sends a snapshot and then every event, until the client closes.
async fn watch_events(
    mut reader: BufReader<OwnedReadHalf>,
    mut writer: OwnedWriteHalf,
    engine: &EngineHandle,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), LineError> {
    // Listening begins before the snapshot is taken, so that nothing falls between the two.
    let mut events = engine.subscribe();
    send_snapshot(&mut writer, engine).await?;
    let mut ignored = Vec::new();
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = closing(&mut stopped) => return Ok(()),
            // A watcher has nothing more to say: whatever comes, its end above all, ends the watch.
            _ = line::read::<_, serde::de::IgnoredAny>(&mut reader, &mut ignored, REQUEST_BYTES) => return Ok(()),
        };
        match event {
            Ok(event) => send(&mut writer, &Body::Event(event).into()).await?,
            Err(broadcast::error::RecvError::Lagged(count)) => {
                send(&mut writer, &Body::Event(Event::Missed { count }).into()).await?;
                send_snapshot(&mut writer, engine).await?;
            }
            Err(broadcast::error::RecvError::Closed) => return Ok(()),
        }
    }
}

async fn send_snapshot(writer: &mut OwnedWriteHalf, engine: &EngineHandle) -> Result<(), LineError> {
    match engine.call(Request::Status).await {
        Ok(Reply::Status(snapshot)) => send(writer, &Body::Event(Event::Snapshot(snapshot)).into()).await,
        Ok(_) => Ok(()),
        Err(error) => answer(writer, Err(error)).await,
    }
}

async fn answer(writer: &mut OwnedWriteHalf, answer: Result<Reply, ApiError>) -> Result<(), LineError> {
    send(writer, &answer.into()).await
}

/// Writes a line to a client that reads; one that does not is dropped, so that it cannot hold memory for ever.
async fn send(writer: &mut OwnedWriteHalf, line: &ServerLine) -> Result<(), LineError> {
    match timeout(WRITING, line::write(writer, line)).await {
        Ok(written) => written,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
}

/// Waits until the server closes.
async fn closing(stopped: &mut watch::Receiver<bool>) {
    // An error means that the server itself is gone, which is an end as well.
    let _ = stopped.wait_for(|stop| *stop).await;
}

fn bad_line(error: &LineError) -> ApiError {
    ApiError::new(
        ErrorCode::Usage,
        format!("the request is not valid: {error}"),
        "send one JSON object per line, such as {\"version\":1,\"request\":{\"verb\":\"status\"}}",
    )
}

fn other_version(version: u32) -> ApiError {
    ApiError::new(
        ErrorCode::Usage,
        format!("the request is in version {version} and this daemon speaks version {VERSION}"),
        "run `jamsync stop` and try again, so that the daemon is the version of the command",
    )
}

/// The longest request, in bytes. Range 4 KiB to 16 MiB, default 1 MiB; less refuses a `play` of some thousand
/// files, more lets a broken client fill memory.
pub const REQUEST_BYTES: usize = 1 << 20;

/// Connections at once, in number. Range 4 to 1,000, default 64; fewer turn away scripts, more use up descriptors.
const CONNECTIONS: usize = 64;

/// How long a client may take to its first request. Range 1 to 300 s, default 30 s; less drops a person who types
/// JSON by hand, more lets clients that ask nothing hold places.
const FIRST_REQUEST: Duration = Duration::from_secs(30);

/// How long a client may take from one request to the next; a watch has no end. Range 1 min to 1 day, default 10 min;
/// less drops scripts that hold a connection, more lets forgotten ones hold places.
const NEXT_REQUEST: Duration = Duration::from_secs(600);

/// How long a client may leave an answer unread. Range 1 to 60 s, default 10 s; less drops one that is suspended for
/// a moment, more keeps the memory of one that hangs.
const WRITING: Duration = Duration::from_secs(10);

/// How long the end waits for answers under way. Range 0.1 to 10 s, default 1 s; less may cut the answer to `stop`,
/// more delays the end.
const CLOSING: Duration = Duration::from_secs(1);

/// The pause after a connection that could not be accepted. Range 10 ms to 1 s, default 100 ms; less spins, more
/// makes clients wait.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

    use super::*;
    use crate::api::client::Client;

    /// An engine that does everything, and says so as an event.
    fn echo() -> EngineHandle {
        let (handle, mut calls) = EngineHandle::channel();
        let events = handle.events();
        tokio::spawn(async move {
            while let Some(call) = calls.recv().await {
                let message = format!("{:?}", call.request);
                let _ = events.send(Event::Warning { message });
                let _ = call.answer.send(Ok(Reply::Done));
            }
        });
        handle
    }

    struct Fixture {
        folder: tempfile::TempDir,
        server: Server,
    }
    impl Fixture {
        fn start() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let server = Server::listen(&folder.path().join("s"), echo()).expect("listens");
            Self { folder, server }
        }
        fn socket(&self) -> std::path::PathBuf {
            self.folder.path().join("s")
        }
    }

    /// Writes `input` and returns what comes back until the server closes or `lines` lines came.
    async fn exchange(fixture: &Fixture, input: &[u8], lines: usize) -> Vec<String> {
        let mut stream = UnixStream::connect(fixture.socket()).await.expect("connects");
        let (read, mut write) = stream.split();
        // A server that refuses a line may close before all of it is written.
        let _ = write.write_all(input).await;
        let mut reader = BufReader::new(read).lines();
        let mut answers = Vec::new();
        while answers.len() < lines {
            match reader.next_line().await {
                Ok(Some(line)) => answers.push(line),
                _ => break,
            }
        }
        answers
    }

    #[tokio::test]
    async fn only_the_owner_may_open_the_socket() {
        let fixture = Fixture::start();
        let mode = fs::metadata(fixture.socket()).expect("exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_request_that_cannot_be_written_is_refused_at_once() {
        use std::os::unix::ffi::OsStrExt as _;
        let fixture = Fixture::start();
        let mut client = Client::connect(&fixture.socket()).await.expect("connects");
        let path = std::ffi::OsStr::from_bytes(b"/caf\xe9.wav").into();
        let asked = client.call(Request::LibraryAdd { paths: vec![path] });
        let refused = timeout(Duration::from_secs(10), asked).await.expect("without waiting");
        assert!(refused.is_err_and(|error| error.remedy.contains("UTF-8")));
        assert_eq!(client.call(Request::Skip).await, Ok(Reply::Done), "the connection lives on");
    }

    #[tokio::test]
    async fn rubbish_is_refused_and_the_connection_lives_on() {
        let fixture = Fixture::start();
        let input = b"\xff\xfe\n{\"version\":1,\"request\":{\"verb\":\"dance\"}}\n{\"version\":9,\"request\":{\"verb\":\"pause\"}}\n{\"version\":1,\"request\":{\"verb\":\"pause\"}}\n";
        let answers = exchange(&fixture, input, 4).await;
        assert!(answers[0].contains("\"usage\"") && answers[1].contains("dance"), "{answers:?}");
        assert!(answers[2].contains("version 9"), "{answers:?}");
        assert_eq!(answers[3], r#"{"version":1,"reply":{"kind":"done"}}"#);
    }

    #[tokio::test]
    async fn a_line_without_end_is_refused_at_the_limit() {
        let fixture = Fixture::start();
        let answers = exchange(&fixture, &vec![b' '; REQUEST_BYTES + 2], 2).await;
        // The refusal may be lost where the socket closes with unread bytes; what counts is that it closes.
        assert!(answers.len() <= 1, "{answers:?}");
    }

    #[tokio::test]
    async fn half_a_request_does_nothing() {
        let fixture = Fixture::start();
        let mut watcher = Client::connect(&fixture.socket()).await.expect("connects");
        watcher.watch().await.expect("asks");
        assert_eq!(watcher.event().await, Ok(Some(Event::Warning { message: "Status".into() })));
        let mut stream = UnixStream::connect(fixture.socket()).await.expect("connects");
        stream.write_all(br#"{"version":1,"request":{"verb":"pause"}}"#).await.expect("writes");
        drop(stream);
        let mut client = Client::connect(&fixture.socket()).await.expect("connects");
        assert_eq!(client.call(Request::Resume).await, Ok(Reply::Done));
        assert_eq!(watcher.event().await, Ok(Some(Event::Warning { message: "Resume".into() })));
    }

    #[tokio::test]
    async fn a_full_server_says_so() {
        let fixture = Fixture::start();
        let mut holding = Vec::new();
        for _ in 0..CONNECTIONS {
            holding.push(UnixStream::connect(fixture.socket()).await.expect("connects"));
        }
        let mut late = Client::connect(&fixture.socket()).await.expect("connects");
        let full = late.call(Request::Pause).await.expect_err("no place");
        assert!(full.message.contains("64 programs"), "{full}");
    }

    #[tokio::test]
    async fn a_client_that_asks_nothing_is_let_go_and_one_that_watches_stays() {
        let engine = echo();
        let (_stop, stopped) = watch::channel(false);
        let (_silent, ours) = UnixStream::pair().expect("a pair");
        let ended = serve(ours, engine.clone(), stopped.clone(), Duration::ZERO).await;
        assert!(ended.is_ok(), "{ended:?}");
        let (mut watcher, ours) = UnixStream::pair().expect("a pair");
        let watch = b"{\"version\":1,\"request\":{\"verb\":\"watch\"}}\n";
        watcher.write_all(watch).await.expect("writes");
        tokio::spawn(serve(ours, engine.clone(), stopped, Duration::ZERO));
        let mut lines = BufReader::new(watcher).lines();
        let mut told = async || lines.next_line().await.expect("reads").expect("stays");
        assert!(told().await.contains("Status"), "how things stand");
        assert_eq!(engine.call(Request::Pause).await, Ok(Reply::Done));
        assert!(told().await.contains("Pause"), "and all that happens");
    }

    #[tokio::test]
    async fn closing_ends_connections_and_frees_the_socket() {
        let fixture = Fixture::start();
        let mut watcher = Client::connect(&fixture.socket()).await.expect("connects");
        watcher.watch().await.expect("asks");
        assert!(watcher.event().await.expect("an event").is_some());
        let socket = fixture.socket();
        fixture.server.close().await;
        assert_eq!(watcher.event().await, Ok(None));
        assert!(Client::connect(&socket).await.is_err());
    }
}
