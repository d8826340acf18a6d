//! The daemon process: takes the state folder, starts the engine, listens for clients, and ends cleanly.
//!
//! Whoever started it reads one line on its standard output: that it is ready, or why it is not.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tracing::{error, info, warn};

use crate::{
    api::{ApiError, Body, Engine, EngineHandle, ErrorCode, Request, ServerLine, encode, server::Server},
    config::{Boot, Options, Settings},
    paths::Paths,
};

/// How the daemon was asked to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// In a session of its own, started by another command.
    pub(super) detached: bool,
    /// The first line is JSON.
    pub(super) json: bool,
}

/// Runs until it is told to end.
pub(super) async fn run<F>(paths: Paths, options: &Options, manner: Manner, start: F) -> Result<(), ApiError>
where
    F: AsyncFnOnce(Boot) -> Result<Engine, ApiError>,
{
    if manner.detached {
        // This fails only for a leader of a process group, which then has no terminal to lose.
        let _ = rustix::process::setsid();
        // Every path is absolute by now. Where this fails, all that is lost is that a disk cannot be taken out.
        let _ = std::env::set_current_dir("/");
    }
    start_log();
    let mut signals = Signals::new().map_err(|error| failed(&error))?;
    let lock = paths.lock()?;
    let (settings, warnings) = Settings::load(&paths, options);
    if options.record.is_some() && !settings.records() {
        let what = format!("nothing would be recorded with the sink {}", settings.sink.as_str());
        let remedy = "choose `--sink virtual`, which also stamps when each frame is heard, or `--sink wav`; or leave out `--record`";
        return Err(ApiError::new(ErrorCode::Usage, what, remedy));
    }
    for warning in &warnings {
        warn!("{warning}");
    }
    let socket = paths.socket();
    let engine = start(Boot { paths: paths.clone(), settings, warnings }).await?;
    let server = match Server::listen(&socket, engine.handle.clone()) {
        Ok(server) => server,
        Err(error) => {
            end(&engine.handle).await;
            let what = format!("cannot listen on {}: {error}", socket.display());
            let remedy = "make the folder writable for you, or set JAMSYNC_HOME to one that is";
            return Err(ApiError::new(ErrorCode::StateUnwritable, what, remedy));
        }
    };
    announce(&paths, manner);
    info!(socket = %socket.display(), pid = std::process::id(), "ready");
    let Engine { handle, mut task } = engine;
    let mut told = false;
    let outcome = loop {
        tokio::select! {
            ended = &mut task => break ended.map_err(|error| failed(&error)),
            () = signals.next() => {
                if told {
                    break Err(ApiError::new(ErrorCode::Failed, "ended at once by a second signal", ""));
                }
                told = true;
                info!("ending");
                let handle = handle.clone();
                tokio::spawn(async move { end(&handle).await });
            }
        }
    };
    server.close().await;
    // Nobody listens any more; a file that stays behind is replaced at the next start.
    let _ = std::fs::remove_file(&socket);
    drop(lock);
    outcome
}

/// Tells the command that started this daemon why it did not come up. In the foreground the failure is told like any
/// other command's.
pub(super) fn announce_failure(error: &ApiError, manner: Manner) {
    if manner.detached && !manner.json {
        write_line(&Body::Error(error.clone()).into());
    }
}

fn announce(paths: &Paths, manner: Manner) {
    let socket = paths.socket().display().to_string();
    if manner.detached || manner.json {
        write_line(&Body::Ready { socket, pid: std::process::id() }.into());
    } else {
        // The reader may be gone, and the daemon runs all the same.
        let _ = writeln!(io::stdout(), "Ready. Commands reach this daemon through {socket}; Ctrl-C ends it.");
    }
}

fn write_line(line: &ServerLine) {
    match encode(line) {
        // The reader may be gone, and the daemon runs all the same.
        Ok(text) => drop(io::stdout().write_all(text.as_bytes())),
        Err(error) => error!(%error, "cannot say how the start went"),
    }
}

/// Asks the engine to end, and gives it a bounded time.
async fn end(engine: &EngineHandle) {
    match timeout(ENDING, engine.call(Request::Stop)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => error!(%error, "the engine did not end cleanly"),
        Err(_) => {
            error!("the engine did not end within {} s", ENDING.as_secs());
            std::process::exit(ErrorCode::Failed.exit_status().into());
        }
    }
}

fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("JAMSYNC_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // A log that is set up already, as in a test, is as good as this one.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours)
        .try_init();
}

fn failed(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(
        ErrorCode::Failed,
        format!("the daemon failed: {error}"),
        "start it again and report this if it recurs",
    )
}

/// The signals that ask for an end.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

/// How long the engine may take to leave a Jam and put everything away. Range 1 to 30 s, default 5 s; less cuts the
/// farewell to a distant friend, more makes a hanging daemon a nuisance.
const ENDING: Duration = Duration::from_secs(5);
