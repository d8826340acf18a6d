//! Where a node keeps what it keeps: the state folder, the configuration file, and the lock that makes sure that one
//! daemon alone works in a state folder.
//!
//! Input is the environment of the process, read once and passed in; nothing here looks inside the files.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use crate::api::{ApiError, ErrorCode};

/// The folders of one node. All paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    state: PathBuf,
    config: PathBuf,
}

/// The right to work in a state folder; given back when dropped, also by a crash.
#[derive(Debug)]
pub struct StateLock {
    // Held for its lock only.
    _file: File,
}

/// A state folder that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathsError {
    /// Neither `JAMSYNC_HOME` nor `HOME` says where to keep anything.
    #[error("neither JAMSYNC_HOME nor HOME is set")]
    NoHome,
    /// The socket's path does not fit into a socket address.
    #[error("the path {path} is {actual} bytes long where a socket's may have {limit}")]
    SocketTooLong {
        /// The path.
        path: String,
        /// Its length.
        actual: usize,
        /// The longest that fits.
        limit: usize,
    },
    /// The folder or a file in it cannot be made or written.
    #[error("cannot write {path}: {reason}")]
    Unwritable {
        /// Which one.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// Another daemon holds the lock.
    #[error("another daemon (process {pid}) already works in {path}")]
    Locked {
        /// The state folder.
        path: String,
        /// The other's process id, or `?` where it has not written it yet.
        pid: String,
    },
}

impl Paths {
    /// The folders that the environment asks for: all in `JAMSYNC_HOME`, else the places of the XDG base directory
    /// specification. `variable` reads one variable of the environment.
    ///
    /// # Errors
    /// [`PathsError::NoHome`], [`PathsError::SocketTooLong`], or [`PathsError::Unwritable`] where a relative path
    /// cannot be resolved.
    pub fn from_env(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, PathsError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let (state, config) = if let Some(home) = set("JAMSYNC_HOME") {
            let home = std::path::absolute(&home).map_err(|error| unwritable(&home, &error))?;
            (home.clone(), home)
        } else {
            // The specification has relative paths ignored.
            let base = |name: &str, default: &str| {
                set(name)
                    .filter(|path| path.is_absolute())
                    .or_else(|| Some(set("HOME")?.join(default)))
                    .map(|path| path.join("jamsync"))
                    .ok_or(PathsError::NoHome)
            };
            (base("XDG_DATA_HOME", ".local/share")?, base("XDG_CONFIG_HOME", ".config")?)
        };
        let paths = Self { state, config };
        let actual = paths.socket().as_os_str().as_bytes().len();
        if actual > SOCKET_PATH_BYTES {
            let path = paths.socket().display().to_string();
            return Err(PathsError::SocketTooLong { path, actual, limit: SOCKET_PATH_BYTES });
        }
        Ok(paths)
    }

    /// The folder of keys, index, queue, log, socket and lock.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The configuration file. It need not exist.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The socket of the local API. It stands beside the lock, so that whoever sees the one finds the other.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.state.join("control.sock")
    }

    /// What the daemon says when nobody looks.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.state.join("daemon.log")
    }

    /// What is known of local music files.
    #[must_use]
    pub fn library_index(&self) -> PathBuf {
        self.state.join("library.ndjson")
    }

    /// How fast each audio device was last found to run.
    #[must_use]
    pub fn device_rates(&self) -> PathBuf {
        self.state.join("devices.json")
    }

    /// The Jams that the listener has asked for or accepted and that have not begun.
    #[must_use]
    pub fn agreements(&self) -> PathBuf {
        self.state.join("agreements.json")
    }

    /// The Jam that this node is in, for its return after a crash.
    #[must_use]
    pub fn jam(&self) -> PathBuf {
        self.state.join("jam.state")
    }

    fn lock_file(&self) -> PathBuf {
        self.state.join("daemon.lock")
    }

    /// Makes the state folder, closed to other users, where it is missing.
    ///
    /// # Errors
    /// [`PathsError::Unwritable`].
    pub fn prepare(&self) -> Result<(), PathsError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.state)
            .map_err(|error| unwritable(&self.state, &error))?;
        // A folder that somebody else made is closed as well, because the device's key will lie in it.
        fs::set_permissions(&self.state, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .map_err(|error| unwritable(&self.state, &error))
    }

    /// Whether a daemon works in the state folder at this moment.
    #[must_use]
    pub fn in_use(&self) -> bool {
        File::open(self.lock_file())
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Takes the state folder for this process and makes it where it is missing.
    ///
    /// # Errors
    /// [`PathsError::Locked`] where another daemon has it, [`PathsError::Unwritable`].
    pub fn lock(&self) -> Result<StateLock, PathsError> {
        self.prepare()?;
        let path = self.lock_file();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| unwritable(&path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Only for the message: a file that cannot be read leaves the number unknown.
                let _ = file.take(PID_BYTES).read_to_string(&mut pid);
                let known = !pid.is_empty() && pid.trim().bytes().all(|b| b.is_ascii_digit());
                let pid = if known { pid.trim().to_owned() } else { "?".to_owned() };
                return Err(PathsError::Locked { path: self.state.display().to_string(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(unwritable(&path, &error)),
        }
        // The lock holds without the number, which a full disk has no room for.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(StateLock { _file: file })
    }
}

/// Writes `path` whole, for this user's eyes only, so that a crash leaves the old file or the new one.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Puts a file that cannot be used beside, in place of one that was put there before, and says where.
///
/// # Errors
/// What the system says where it cannot be renamed.
pub(crate) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = path.with_extension("damaged");
    fs::rename(path, &aside)?;
    Ok(aside)
}

fn unwritable(path: &Path, error: &std::io::Error) -> PathsError {
    PathsError::Unwritable { path: path.display().to_string(), reason: error.to_string() }
}

impl From<PathsError> for ApiError {
    fn from(error: PathsError) -> Self {
        let (code, remedy) = match &error {
            PathsError::NoHome => {
                (ErrorCode::StateUnwritable, "set JAMSYNC_HOME to a folder of yours".to_owned())
            }
            PathsError::SocketTooLong { .. } => {
                (ErrorCode::StateUnwritable, "set JAMSYNC_HOME to a shorter path".to_owned())
            }
            PathsError::Unwritable { .. } => (
                ErrorCode::StateUnwritable,
                "make it writable for you, or set JAMSYNC_HOME to a folder that is".to_owned(),
            ),
            PathsError::Locked { .. } => (
                ErrorCode::AlreadyRunning,
                "end it with `jamsync stop`, or set JAMSYNC_HOME to another folder for a second node"
                    .to_owned(),
            ),
        };
        Self::new(code, error.to_string(), remedy)
    }
}

/// The longest path in a Unix socket's address on Linux, its final zero taken off, in bytes.
const SOCKET_PATH_BYTES: usize = 107;

/// Enough for any process id, in bytes.
const PID_BYTES: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(variables: &[(&str, &str)]) -> Result<Paths, PathsError> {
        Paths::from_env(|name| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn jamsync_home_moves_everything() {
        let paths = paths(&[("JAMSYNC_HOME", "/a"), ("HOME", "/h"), ("XDG_DATA_HOME", "/d")]).expect("valid");
        assert_eq!(paths.socket(), Path::new("/a/control.sock"));
        assert_eq!(paths.config_file(), Path::new("/a/config.toml"));
    }

    #[test]
    fn without_it_the_xdg_folders_hold() {
        let plain = paths(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "relative")]).expect("valid");
        assert_eq!(plain.state(), Path::new("/h/.local/share/jamsync"));
        assert_eq!(plain.config_file(), Path::new("/h/.config/jamsync/config.toml"));
        let moved = paths(&[("XDG_DATA_HOME", "/d"), ("XDG_CONFIG_HOME", "/c")]).expect("valid");
        assert_eq!(moved.state(), Path::new("/d/jamsync"));
        assert_eq!(paths(&[]), Err(PathsError::NoHome));
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_named() {
        let long = format!("/{}", "x".repeat(120));
        assert!(matches!(
            paths(&[("JAMSYNC_HOME", &long)]),
            Err(PathsError::SocketTooLong { actual: 134, .. })
        ));
    }

    #[test]
    fn a_second_lock_is_refused_and_names_the_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().join("new").display().to_string();
        let paths = paths(&[("JAMSYNC_HOME", &home)]).expect("valid");
        assert!(!paths.in_use());
        let lock = paths.lock().expect("free");
        assert!(paths.in_use());
        let pid = std::process::id().to_string();
        assert_eq!(paths.lock().err(), Some(PathsError::Locked { path: home, pid }));
        drop(lock);
        paths.lock().expect("free again");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "").expect("writes");
        let home = file.join("below").display().to_string();
        let error =
            ApiError::from(paths(&[("JAMSYNC_HOME", &home)]).expect("valid").lock().expect_err("fails"));
        assert_eq!(error.code, ErrorCode::StateUnwritable);
        assert!(error.message.contains(&home), "{error}");
    }
}
