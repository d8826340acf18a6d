//! From a command to a daemon that listens: connects to the one that runs, or starts one and waits until it is ready.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::Stdio,
    time::Duration,
};

use jamsync_protocol::text::printable;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use crate::{
    api::{ApiError, Body, ErrorCode, ServerLine, client::Client},
    config::Options,
    paths::{Paths, PathsError},
};

/// A connection, and whether the daemon was started for it.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) started: bool,
}

/// The daemon that runs, or `None`.
pub(super) async fn running(paths: &Paths) -> Result<Option<Client>, ApiError> {
    use io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound, PermissionDenied};
    match Client::connect(&paths.socket()).await {
        Ok(client) => Ok(Some(client)),
        Err(error) if matches!(error.kind(), NotFound | ConnectionRefused | NotADirectory) => Ok(None),
        Err(error) if error.kind() == PermissionDenied => {
            let path = paths.state().display().to_string();
            Err(PathsError::Unwritable { path, reason: error.to_string() }.into())
        }
        Err(error) => Err(no_daemon(format!("cannot reach {}: {error}", paths.socket().display()), paths)),
    }
}

/// The daemon that runs, or one that is started with `options`.
pub(super) async fn connect(paths: &Paths, options: &Options) -> Result<Connected, ApiError> {
    if let Some(client) = running(paths).await? {
        return Ok(Connected { client, started: false });
    }
    match launch(paths, options).await {
        Ok(()) => Ok(Connected { client: reach(paths).await?, started: true }),
        // Another command was a moment earlier, and its daemon will listen as soon as it is ready.
        Err(error) if error.code == ErrorCode::AlreadyRunning => match reach(paths).await {
            Ok(client) => Ok(Connected { client, started: false }),
            Err(_) => Err(ApiError::new(
                ErrorCode::NoDaemon,
                format!("{}, but it does not answer", error.message),
                "end that process and run the command again",
            )),
        },
        Err(error) => Err(error),
    }
}

/// Starts a daemon and returns when it listens.
async fn launch(paths: &Paths, options: &Options) -> Result<(), ApiError> {
    paths.prepare()?;
    let (log, log_start) = open_log(&paths.log()).map_err(|error| {
        let what = format!("cannot write {}: {error}", paths.log().display());
        ApiError::new(
            ErrorCode::StateUnwritable,
            what,
            "make it writable for you, or set JAMSYNC_HOME elsewhere",
        )
    })?;
    let cannot = |error: io::Error| no_daemon(format!("the daemon cannot be started: {error}"), paths);
    let mut child = Command::new(std::env::current_exe().map_err(cannot)?)
        .args(options.to_flags().map_err(cannot)?)
        .args(["daemon", "--detached"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(cannot)?;
    match timeout(READY, first_line(&mut child)).await {
        Ok(Some(Body::Ready { .. })) => Ok(()),
        Ok(Some(Body::Error(error))) => Err(error),
        Ok(_) => {
            let status = child.wait().await.map_err(cannot)?;
            let last = last_line(&paths.log(), log_start);
            Err(no_daemon(format!("the daemon ended at its start with {status}: {last}"), paths))
        }
        Err(_) => {
            // It is ours and of no use; whether it could still be ended makes no difference to what is said.
            let _ = child.kill().await;
            let last = last_line(&paths.log(), log_start);
            Err(no_daemon(format!("the daemon was not ready within {} s: {last}", READY.as_secs()), paths))
        }
    }
}

/// The line in which the daemon says how its start went, or `None` where it ends without one.
async fn first_line(child: &mut Child) -> Option<Body> {
    let mut line = Vec::new();
    let stdout = child.stdout.take()?;
    BufReader::new(stdout.take(FIRST_LINE_BYTES)).read_until(b'\n', &mut line).await.ok()?;
    serde_json::from_slice::<ServerLine>(&line).ok().map(|line| line.body)
}

/// Connects to a daemon that may still be on its way.
async fn reach(paths: &Paths) -> Result<Client, ApiError> {
    let deadline = Instant::now() + READY;
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(client) = running(paths).await? {
            return Ok(client);
        }
        if Instant::now() >= deadline {
            return Err(no_daemon("the daemon does not listen".to_owned(), paths));
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

/// The log, and where this start's part of it begins. A log that has grown long makes way for a new one.
fn open_log(path: &Path) -> io::Result<(File, u64)> {
    if fs::metadata(path).is_ok_and(|log| log.len() > LOG_BYTES) {
        fs::rename(path, path.with_extension("log.old"))?;
    }
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let length = log.metadata()?.len();
    Ok((log, length))
}

/// What the daemon said last since `start`, fit for a terminal.
fn last_line(path: &Path, start: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut log = File::open(path)?;
        let end = log.metadata()?.len();
        log.seek(SeekFrom::Start(start.max(end.saturating_sub(TAIL_BYTES))))?;
        let mut tail = Vec::new();
        log.take(TAIL_BYTES).read_to_end(&mut tail)?;
        Ok(tail)
    };
    let tail = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&tail);
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    last.map_or_else(|| "it said nothing".to_owned(), printable)
}

fn no_daemon(what: String, paths: &Paths) -> ApiError {
    let remedy = format!("the log is {}; `jamsync daemon` shows it as it comes", paths.log().display());
    ApiError::new(ErrorCode::NoDaemon, what, remedy)
}

/// How long a daemon may take to be ready. Range 2 to 120 s, default 20 s; less gives up on a slow sound server, more
/// keeps a person waiting before an explanation.
const READY: Duration = Duration::from_secs(20);

/// The longest first line of a daemon, in bytes: an error with two paths.
const FIRST_LINE_BYTES: u64 = 64 << 10;

/// How long the log may be when a daemon starts, in bytes. Range 64 KiB to 1 GiB, default 4 MiB; less loses what led
/// to a failure, more fills the disk of somebody who never looks.
const LOG_BYTES: u64 = 4 << 20;

/// How much of the log is looked through for its last line, in bytes.
const TAIL_BYTES: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_of_this_start_and_fit_for_a_terminal() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        fs::write(&path, "earlier\n").expect("writes");
        assert_eq!(last_line(&path, 8), "it said nothing");
        fs::write(&path, "earlier\none\ntwo \u{1b}[2J\n\n").expect("writes");
        assert_eq!(last_line(&path, 8), "two \u{fffd}[2J");
        assert_eq!(last_line(&folder.path().join("none"), 0), "it said nothing");
    }

    #[test]
    fn a_long_log_makes_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("daemon.log");
        File::create(&path).and_then(|log| log.set_len(LOG_BYTES + 1)).expect("writes");
        assert_eq!(open_log(&path).expect("opens").1, 0);
        assert!(folder.path().join("daemon.log.old").exists());
    }
}
