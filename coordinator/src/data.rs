//! The data folder: the coordinator's key, its database, and a lock that keeps a second server out.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use jamsync_protocol::identity::DeviceSecret;
use rustix::{fs::FlockOperation, io::Errno};

use crate::{
    env::{Env, NoRandomness},
    store::{SqliteStore, StoreError, archive},
};

/// An opened data folder.
#[derive(Debug)]
pub struct DataFolder {
    /// The coordinator's key: its certificate's, and what grants are signed with.
    pub secret: DeviceSecret,
    /// The database.
    pub store: SqliteStore,
    /// Where a copy of the database is, if it was of an older version and has been brought up to date.
    pub migrated: Option<PathBuf>,
}

/// How a data folder stands that nobody has opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its database is of this version.
    Current,
    /// Its database is of this older version.
    Older(i64),
}

/// Keeps a second server out while it lives.
#[derive(Debug)]
pub struct ServerLock {
    _file: File,
}

impl ServerLock {
    /// Locks the folder for a server, and makes it where there is none. It is taken before anything in the folder is
    /// opened: a newer version may change the database, which a server that runs would not expect. Other commands
    /// work beside a server.
    ///
    /// # Errors
    /// [`DataError::Locked`] where another server has it.
    pub fn take(folder: &Path) -> Result<Self, DataError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable(folder))?;
        let _opening = lock(&folder.join(OPENING_LOCK_FILE), FlockOperation::LockExclusive)?;
        match lock(&folder.join(SERVER_LOCK_FILE), FlockOperation::NonBlockingLockExclusive)? {
            Some(file) => Ok(Self { _file: file }),
            None => Err(DataError::Locked(folder.to_owned())),
        }
    }

    /// Whether a server has the folder. Nothing is made or changed.
    #[must_use]
    pub fn is_taken(folder: &Path) -> bool {
        let Ok(file) = File::open(folder.join(SERVER_LOCK_FILE)) else { return false };
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
    }
}

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The folder or a file in it cannot be made, read or written.
    #[error("cannot use the data folder {}: {reason}; choose another with --data, or correct its permissions", .path.display())]
    Unusable {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The key file does not hold a key.
    #[error("{} does not hold a coordinator's key; restore it from a backup, because every join code and contact relies on it", .0.display())]
    BadKey(PathBuf),
    /// No server ever used the folder.
    #[error("{} holds no coordinator's data; start `serve` with it first, or correct --data", .0.display())]
    NoData(PathBuf),
    /// Another server has the folder.
    #[error("another coordinator already serves {}; stop it first", .0.display())]
    Locked(PathBuf),
    /// A newer version wrote the database.
    #[error("the database in {} was written by a newer version ({actual}, this one knows {known}); install that version or restore a backup", .path.display())]
    Newer {
        /// The folder.
        path: PathBuf,
        /// The version found.
        actual: i64,
        /// The newest version known.
        known: i64,
    },
    /// A server of an older version has the database open.
    #[error("the coordinator that serves {} is of an older version than this command; use the command of its version, or restart it with this one first", .0.display())]
    OlderServer(PathBuf),
    /// The database cannot be opened.
    #[error("cannot open the database in {}: {reason}; restore it from a backup if the disk is sound", .path.display())]
    Database {
        /// The folder.
        path: PathBuf,
        /// What the database says.
        reason: String,
    },
    /// No random bytes for a new key.
    #[error("cannot make the coordinator's key: {0}")]
    Randomness(#[from] NoRandomness),
}

impl DataFolder {
    /// Opens the folder, and makes what is missing: the folder itself, the key, the database.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn open(path: &Path, env: &dyn Env) -> Result<Self, DataError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable(path))?;
        let _opening = lock(&path.join(OPENING_LOCK_FILE), FlockOperation::LockExclusive)?;
        let file = path.join(KEY_FILE);
        let secret = match read_key(&file)? {
            Some(secret) => secret,
            None => make_key(&file, env)?,
        };
        Self::with_key(path, secret)
    }

    /// Opens a folder that a server has used, perhaps beside that server, whose database is not changed then.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn open_existing(path: &Path) -> Result<Self, DataError> {
        let secret = read_key(&path.join(KEY_FILE))?.ok_or_else(|| DataError::NoData(path.to_owned()))?;
        // A server takes its lock under this one, so it does not start between the question and the opening.
        let _opening = lock(&path.join(OPENING_LOCK_FILE), FlockOperation::LockExclusive)?;
        let served = lock(&path.join(SERVER_LOCK_FILE), FlockOperation::NonBlockingLockExclusive)?.is_none();
        if served && matches!(Self::state(path)?, State::Older(_)) {
            return Err(DataError::OlderServer(path.to_owned()));
        }
        Self::with_key(path, secret)
    }

    /// How the folder stands. Nothing is made or changed.
    ///
    /// # Errors
    /// [`DataError`], also where a newer version wrote the database.
    pub fn state(path: &Path) -> Result<State, DataError> {
        let no_data = || DataError::NoData(path.to_owned());
        read_key(&path.join(KEY_FILE))?.ok_or_else(no_data)?;
        let database = path.join(DATABASE_FILE);
        if fs::metadata(&database).map_or(0, |file| file.len()) == 0 {
            return Err(no_data());
        }
        let (version, known) = (archive::version(&database).map_err(refused(path))?, archive::newest());
        match version {
            0 => Err(no_data()),
            actual if actual > known => Err(DataError::Newer { path: path.to_owned(), actual, known }),
            actual if actual < known => Ok(State::Older(actual)),
            _ => Ok(State::Current),
        }
    }

    fn with_key(path: &Path, secret: DeviceSecret) -> Result<Self, DataError> {
        let migrated = match Self::state(path) {
            Ok(State::Older(version)) => Some(keep_older(path, version)?),
            Ok(State::Current) | Err(DataError::NoData(_)) => None,
            Err(error) => return Err(error),
        };
        let store = SqliteStore::open(&path.join(DATABASE_FILE)).map_err(refused(path))?;
        Ok(Self { secret, store, migrated })
    }
}

/// Copies a database that is about to be changed; the version that wrote it can go on with the copy.
fn keep_older(folder: &Path, version: i64) -> Result<PathBuf, DataError> {
    let copy = folder.join(format!("{DATABASE_FILE}.v{version}"));
    let unfinished = copy.with_extension("new");
    // SQLite writes only into a file that is empty, and would let others read one that it makes.
    let made = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unfinished);
    let file = made.map_err(unusable(&unfinished))?;
    archive::copy(&folder.join(DATABASE_FILE), &unfinished).map_err(refused(folder))?;
    file.sync_all().map_err(unusable(&unfinished))?;
    fs::rename(&unfinished, &copy).map_err(unusable(&copy))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(unusable(folder))?;
    Ok(copy)
}

/// Takes the lock of a file, which is made where there is none; `None` where another has it and `how` does not wait.
fn lock(path: &Path, how: FlockOperation) -> Result<Option<File>, DataError> {
    let file = match OpenOptions::new().create_new(true).write(true).mode(0o600).open(path) {
        Ok(file) => {
            // A command of root makes it in a folder of the server, which has to open it too. Whoever else has no right to
            // give files away needs none: the folder is theirs.
            if let Some((user, group)) = path.parent().and_then(owner) {
                drop(std::os::unix::fs::fchown(&file, Some(user), Some(group)));
            }
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            OpenOptions::new().write(true).open(path)
        }
        Err(error) => Err(error),
    };
    let file = file.map_err(unusable(path))?;
    match rustix::fs::flock(&file, how) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(unusable(path)(error.into())),
    }
}

/// User and group to whom a file or folder belongs.
pub(crate) fn owner(path: &Path) -> Option<(u32, u32)> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    fs::metadata(path).map(|found| (found.uid(), found.gid())).ok()
}

fn refused(folder: &Path) -> impl Fn(StoreError) -> DataError {
    let path = folder.to_owned();
    move |error| {
        let path = path.clone();
        if let StoreError::Newer { actual, known } = error {
            DataError::Newer { path, actual, known }
        } else {
            DataError::Database { path, reason: error.to_string() }
        }
    }
}

pub(crate) fn read_key(path: &Path) -> Result<Option<DeviceSecret>, DataError> {
    match fs::read(path) {
        Ok(bytes) => {
            let seed = bytes.try_into().map_err(|_| DataError::BadKey(path.to_owned()))?;
            Ok(Some(DeviceSecret::from_seed(&seed)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(path)(error)),
    }
}

/// Makes a key. It is on disk under its name before it is used, whole or not at all.
fn make_key(path: &Path, env: &dyn Env) -> Result<DeviceSecret, DataError> {
    let secret = DeviceSecret::from_seed(&env.entropy()?);
    keep(path, &secret.seed()).map_err(unusable(path))?;
    Ok(secret)
}

fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    // A link, unlike a rename, never replaces.
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    linked?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn unusable(path: &Path) -> impl Fn(io::Error) -> DataError {
    let path = path.to_owned();
    move |error| DataError::Unusable { path: path.clone(), reason: error.to_string() }
}

pub(crate) const KEY_FILE: &str = "coordinator.key";
pub(crate) const DATABASE_FILE: &str = "coordinator.sqlite";
const SERVER_LOCK_FILE: &str = "serve.lock";
/// Held while the database is opened: SQLite lets one of two that make or migrate a file at once fail.
const OPENING_LOCK_FILE: &str = "opening.lock";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SystemEnv;

    #[test]
    fn the_key_is_made_once_and_only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data");
        let first = DataFolder::open(&path, &SystemEnv).expect("opens").secret.public();
        assert_eq!(DataFolder::open(&path, &SystemEnv).expect("opens").secret.public(), first);
        let mode = fs::metadata(path.join(KEY_FILE)).expect("a key file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_second_server_is_kept_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data");
        let lock = ServerLock::take(&path).expect("free, though there is no folder yet");
        assert!(matches!(ServerLock::take(&path), Err(DataError::Locked(_))));
        assert!(!path.join(DATABASE_FILE).exists(), "the lock comes before the database");
        drop(lock);
        assert!(ServerLock::take(&path).is_ok());
    }

    #[test]
    fn many_open_a_new_folder_at_once() {
        for _ in 0..10 {
            let folder = tempfile::tempdir().expect("a folder");
            std::thread::scope(|all| {
                for _ in 0..4 {
                    all.spawn(|| DataFolder::open(folder.path(), &SystemEnv).expect("opens"));
                }
            });
        }
    }

    #[test]
    fn a_command_leaves_the_database_of_an_older_server_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        drop(DataFolder::open(path, &SystemEnv).expect("opens"));
        let version = |to: &str| {
            let connection = rusqlite::Connection::open(path.join(DATABASE_FILE)).expect("opens");
            connection.execute_batch(&format!("PRAGMA user_version = {to}")).expect("sets");
        };
        let lock = ServerLock::take(path).expect("free");
        assert!(DataFolder::open_existing(path).is_ok(), "beside a server of the same version");
        version("1");
        let refused = DataFolder::open_existing(path).expect_err("older");
        assert!(matches!(refused, DataError::OlderServer(_)), "{refused}");
        version(&archive::newest().to_string());
        drop(lock);
        assert!(DataFolder::open_existing(path).is_ok(), "without a server");
    }

    #[test]
    fn a_damaged_key_and_a_newer_database_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(KEY_FILE), b"short").expect("writes");
        assert!(matches!(DataFolder::open(folder.path(), &SystemEnv), Err(DataError::BadKey(_))));

        let folder = tempfile::tempdir().expect("a folder");
        drop(DataFolder::open(folder.path(), &SystemEnv).expect("opens"));
        let connection = rusqlite::Connection::open(folder.path().join(DATABASE_FILE)).expect("opens");
        connection.execute_batch("PRAGMA user_version = 999").expect("sets");
        drop(connection);
        let newer = DataFolder::open(folder.path(), &SystemEnv).expect_err("newer");
        assert!(matches!(newer, DataError::Newer { actual: 999, .. }), "{newer}");
    }
}
