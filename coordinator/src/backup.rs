//! Backups: a folder with the coordinator's key, its database at one moment, and a manifest with the digests of both.
//!
//! A backup is made beside a running server and is complete or not there: it gets its name last. Restoring makes a new
//! data folder and never changes one. Nothing here serves anyone.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, lchown},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    data::{DATABASE_FILE, DataError, KEY_FILE, owner, read_key},
    env::Env,
    store::{StoreError, archive},
};

pub use crate::store::archive::Contents;

/// What a backup says of itself.
#[derive(Debug, Deserialize, Serialize)]
struct Manifest {
    /// The layout of the folder.
    format: u32,
    /// The version that made it.
    program: String,
    /// When, in nanoseconds since 1970.
    made_at_ns: i64,
    /// BLAKE3 of the files.
    key: String,
    database: String,
}

/// Why a backup was not made, not restored, or is not sound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The data folder cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// What is to be made is there already.
    #[error("{} exists already and is never overwritten; name a folder that does not exist", .0.display())]
    Exists(PathBuf),
    /// Files cannot be read or written.
    #[error("cannot use {}: {reason}", .path.display())]
    Unusable {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The folder does not hold what it should.
    #[error("{} is damaged: {what}; use another backup", .path.display())]
    Damaged {
        /// Which file or folder.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A newer version made it.
    #[error("{} was made by a newer version (database {actual}, this one knows {known}); install that version", .path.display())]
    Newer {
        /// The folder.
        path: PathBuf,
        /// The version found.
        actual: i64,
        /// The newest version known.
        known: i64,
    },
}

/// Copies key and database of `data` into the new folder `to`, at one moment, beside a server or without one.
///
/// # Errors
/// [`BackupError`]; then there is no folder `to`.
pub fn create(data: &Path, to: &Path, env: &dyn Env) -> Result<Contents, BackupError> {
    let secret = read_key(&data.join(KEY_FILE))?.ok_or_else(|| DataError::NoData(data.to_owned()))?;
    let folder = Draft::begin(to)?;
    write_new(&folder.path.join(KEY_FILE), &secret.seed())?;
    let database = folder.path.join(DATABASE_FILE);
    // SQLite would let others read it.
    write_new(&database, &[])?;
    archive::copy(&data.join(DATABASE_FILE), &database).map_err(damaged(data))?;
    sync(&database)?;
    let manifest = Manifest {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        made_at_ns: env.now().as_nanos(),
        key: digest(&folder.path.join(KEY_FILE))?,
        database: digest(&database)?,
    };
    let text = toml::to_string(&manifest)
        .map_err(|error| BackupError::Damaged { path: to.to_owned(), what: error.to_string() })?;
    write_new(&folder.path.join(MANIFEST_FILE), text.as_bytes())?;
    let contents = verify(&folder.path)?;
    folder.finish()?;
    Ok(contents)
}

/// Makes the data folder `data`, which must not exist or be empty, from the backup `from`. Made by root it belongs to whom
/// the empty folder belonged, or else the folder around it, so that a server which is not root can use it.
///
/// Events that are yet to come get numbers far above those before the backup, because the server that it was made of
/// may have given out some since: a node that has seen those would take the new ones for repeated.
///
/// # Errors
/// [`BackupError`]; then there is no folder `data`.
pub fn restore(from: &Path, data: &Path) -> Result<Contents, BackupError> {
    if !from.join(MANIFEST_FILE).is_file() {
        let what = format!("it holds no {MANIFEST_FILE}, so it is no backup");
        return Err(BackupError::Damaged { path: from.to_owned(), what });
    }
    let contents = verify(from)?;
    let folder = Draft::begin(data)?;
    for name in [KEY_FILE, DATABASE_FILE] {
        copy_new(&from.join(name), &folder.path.join(name))?;
    }
    let database = folder.path.join(DATABASE_FILE);
    archive::leave_room_in_event_numbers(&database).map_err(damaged(from))?;
    sync(&database)?;
    folder.give_away()?;
    folder.finish()?;
    Ok(contents)
}

/// Reads everything in a data folder or a backup.
///
/// # Errors
/// [`BackupError`], which names what is not sound.
pub fn verify(folder: &Path) -> Result<Contents, BackupError> {
    let (key, database) = (folder.join(KEY_FILE), folder.join(DATABASE_FILE));
    if read_key(&key)?.is_none() {
        return Err(DataError::NoData(folder.to_owned()).into());
    }
    let path = folder.join(MANIFEST_FILE);
    let wrong = |what: String| BackupError::Damaged { path: path.clone(), what };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let manifest: Manifest =
                toml::from_str(&text).map_err(|error| wrong(error.message().to_owned()))?;
            if manifest.format != FORMAT {
                return Err(wrong(format!("its format is {}, not {FORMAT}", manifest.format)));
            }
            for (file, expected) in [(&key, &manifest.key), (&database, &manifest.database)] {
                if digest(file)? != *expected {
                    let what = "it is not the file that was written".to_owned();
                    return Err(BackupError::Damaged { path: file.clone(), what });
                }
            }
        }
        // A data folder has none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(&path)(error)),
    }
    archive::verify(&database).map_err(damaged(folder))
}

/// A folder under a name of its own until it is complete.
struct Draft {
    path: PathBuf,
    to: PathBuf,
    done: bool,
}

impl Draft {
    fn begin(to: &Path) -> Result<Self, BackupError> {
        match fs::read_dir(to).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => return Err(BackupError::Exists(to.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(to)(error)),
        }
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(".unfinished");
        let path = to.with_file_name(name);
        // Left by one that was killed.
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(&path)(error)),
            Ok(()) | Err(_) => {}
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(unusable(&path))?;
        Ok(Self { path, to: to.to_owned(), done: false })
    }

    /// Gives the folder and what is in it to whom its place belongs. Only root can, and need.
    fn give_away(&self) -> Result<(), BackupError> {
        let place = owner(&self.to).or_else(|| owner(self.to.parent()?));
        let Some((user, group)) = place.filter(|_| rustix::process::geteuid().is_root()) else {
            return Ok(());
        };
        let entries = fs::read_dir(&self.path).map_err(unusable(&self.path))?;
        let inside = entries.map_while(Result::ok).map(|entry| entry.path());
        for path in inside.chain([self.path.clone()]) {
            // Never what a link points to.
            lchown(&path, Some(user), Some(group)).map_err(unusable(&path))?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), BackupError> {
        sync(&self.path)?;
        // Replaces nothing but an empty folder.
        fs::rename(&self.path, &self.to).map_err(unusable(&self.to))?;
        self.done = true;
        match self.to.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync(parent),
            _ => sync(Path::new(".")),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.done {
            // It is cleared before the next attempt in any case.
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let write = || {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(unusable(path))
}

fn copy_new(from: &Path, to: &Path) -> Result<(), BackupError> {
    let mut source = File::open(from).map_err(unusable(from))?;
    write_new(to, &[])?;
    let mut copy = || {
        let mut file = OpenOptions::new().write(true).open(to)?;
        io::copy(&mut source, &mut file)?;
        file.sync_all()
    };
    copy().map_err(unusable(to))
}

fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(unusable(path))
}

fn digest(path: &Path) -> Result<String, BackupError> {
    let mut hasher = blake3::Hasher::new();
    File::open(path).and_then(|mut file| io::copy(&mut file, &mut hasher)).map_err(unusable(path))?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn unusable(path: &Path) -> impl Fn(io::Error) -> BackupError {
    let path = path.to_owned();
    move |error| BackupError::Unusable { path: path.clone(), reason: error.to_string() }
}

fn damaged(folder: &Path) -> impl Fn(StoreError) -> BackupError {
    let path = folder.to_owned();
    move |error| {
        let path = path.clone();
        if let StoreError::Newer { actual, known } = error {
            BackupError::Newer { path, actual, known }
        } else if matches!(error, StoreError::Full) {
            BackupError::Unusable { path, reason: error.to_string() }
        } else {
            BackupError::Damaged { path, what: error.to_string() }
        }
    }
}

const MANIFEST_FILE: &str = "backup.toml";
/// The layout that this version writes and reads.
const FORMAT: u32 = 1;

#[cfg(test)]
mod tests;
