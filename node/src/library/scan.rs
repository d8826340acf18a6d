//! From what a listener named to the files to play, in the order to play them in.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{LibraryError, natural::Natural, tags};

/// The files of the named files and folders, found as they are asked for: the first one of a large library comes at
/// once.
///
/// Named files come as they are, whatever they hold. A folder gives the music in it, its own files first and then its
/// folders, each in natural order; files of which all have a track number are ordered by album, disc and number.
/// Links are followed, but no folder is entered twice. Hidden files and folders are left out.
#[derive(Debug)]
pub struct Scan {
    /// What is still to do, the next step last.
    steps: Vec<Step>,
    entered: HashSet<(u64, u64)>,
    found: usize,
}

/// The files of `paths`; see [`Scan`].
#[must_use]
pub fn scan(paths: &[PathBuf]) -> Scan {
    Scan { steps: paths.iter().rev().cloned().map(Step::Named).collect(), entered: HashSet::new(), found: 0 }
}

#[derive(Debug)]
enum Step {
    /// What the listener named.
    Named(PathBuf),
    Folder(PathBuf, usize),
    File(PathBuf),
    /// A file of a kind that is music and cannot be played.
    Unsupported(PathBuf),
    /// A named folder is done.
    Done(PathBuf),
}

impl Iterator for Scan {
    type Item = Result<PathBuf, LibraryError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let found = match self.steps.pop()? {
                Step::Named(path) => self.named(path),
                Step::Folder(path, depth) => self.folder(path, depth).err().map(Err),
                Step::File(path) => {
                    self.found += 1;
                    Some(Ok(path))
                }
                Step::Unsupported(path) => Some(Err(LibraryError::OtherKind {
                    path,
                    what: "a kind of file that cannot be played yet",
                })),
                Step::Done(path) => (self.found == 0).then_some(Err(LibraryError::NoMusic { path })),
            };
            if found.is_some() {
                return found;
            }
        }
    }
}

impl Scan {
    fn named(&mut self, path: PathBuf) -> Option<Result<PathBuf, LibraryError>> {
        match fs::metadata(&path) {
            Ok(about) if about.is_dir() => {
                self.found = 0;
                self.entered.clear();
                self.steps.push(Step::Done(path.clone()));
                self.steps.push(Step::Folder(path, 0));
                None
            }
            Ok(about) if about.is_file() => Some(Ok(path)),
            Ok(_) => Some(Err(LibraryError::NotAFile { path })),
            Err(error) => Some(Err(unreadable(path, &error))),
        }
    }

    /// Puts what is in the folder before all that is still to do.
    fn folder(&mut self, path: PathBuf, depth: usize) -> Result<(), LibraryError> {
        if depth > DEPTH {
            return Err(LibraryError::TooDeep { path, limit: DEPTH });
        }
        let listed = fs::metadata(&path).and_then(|about| Ok((about, fs::read_dir(&path)?)));
        let (about, listing) = listed.map_err(|error| unreadable(path, &error))?;
        if !self.entered.insert((about.dev(), about.ino())) {
            return Ok(());
        }
        let (mut files, mut folders, mut unsupported) = (Vec::new(), Vec::new(), Vec::new());
        for path in listing.flatten().map(|entry| entry.path()).filter(|path| !hidden(path)) {
            // A link that leads nowhere, or a file that has just gone, is not worth a word.
            let Ok(about) = fs::metadata(&path) else { continue };
            match kind(&path) {
                _ if about.is_dir() => folders.push(path),
                Kind::Playable if about.is_file() => files.push(path),
                Kind::Unsupported if about.is_file() => unsupported.push(path),
                Kind::Playable | Kind::Unsupported | Kind::Other => {}
            }
        }
        folders.sort_by_cached_key(|path| natural(path));
        unsupported.sort_by_cached_key(|path| natural(path));
        let files = in_order(files);
        self.steps.extend(folders.into_iter().rev().map(|path| Step::Folder(path, depth + 1)));
        self.steps.extend(unsupported.into_iter().rev().map(Step::Unsupported));
        self.steps.extend(files.into_iter().rev().map(Step::File));
        Ok(())
    }
}

/// The files of one folder in the order of their album, or of their names where not all have a place in one.
fn in_order(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    files.sort_by_cached_key(|path| natural(path));
    if files.len() > TAGGED_FILES {
        return files;
    }
    let mut places = Vec::with_capacity(files.len());
    for path in &files {
        let tags = tags::read(path);
        let Some(number) = tags.number else { return files };
        places.push((Natural::new(&tags.album), tags.disc.unwrap_or(1), number));
    }
    let mut placed: Vec<_> = places.into_iter().zip(files).collect();
    // Stable, so that equal places stay in the order of their names.
    placed.sort_by(|(a, _), (b, _)| a.cmp(b));
    placed.into_iter().map(|(_, path)| path).collect()
}

enum Kind {
    Playable,
    Unsupported,
    Other,
}

fn kind(path: &Path) -> Kind {
    let extension =
        path.extension().and_then(|extension| extension.to_str()).unwrap_or("").to_ascii_lowercase();
    match extension.as_str() {
        "wav" | "wave" | "flac" | "mp3" | "ogg" | "oga" => Kind::Playable,
        "opus" | "m4a" | "m4b" | "mp4" | "aac" | "alac" | "aif" | "aiff" | "wma" | "ape" | "wv" | "mpc"
        | "dsf" | "xm" | "mod" | "it" | "s3m" | "mid" => Kind::Unsupported,
        _ => Kind::Other,
    }
}

fn hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn natural(path: &Path) -> Natural {
    Natural::new(&path.file_name().unwrap_or_default().to_string_lossy())
}

fn unreadable(path: PathBuf, error: &io::Error) -> LibraryError {
    let missing = error.kind() == io::ErrorKind::NotFound;
    let reason = if missing { "there is no such file or folder".to_owned() } else { error.to_string() };
    LibraryError::Unreadable { path, reason }
}

/// How deep folders are looked into, in number. Range 8 to 1,000, default 64; less misses music, more only matters
/// where a file system is broken.
const DEPTH: usize = 64;

/// The most files of one folder whose tags are read to order them, in number. Range 0 to 10,000, default 300; less
/// orders long albums by their names, more delays the first sound of a folder that is no album.
const TAGGED_FILES: usize = 300;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn touch(root: &Path, name: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("makes folders");
        fs::write(path, "x").expect("writes");
    }

    fn found(paths: &[PathBuf]) -> (Vec<String>, Vec<LibraryError>) {
        let (files, wrong): (Vec<_>, Vec<_>) = scan(paths).take(1_000).partition(Result::is_ok);
        let root = paths[0].clone();
        let name = |path: PathBuf| path.strip_prefix(&root).unwrap_or(&path).display().to_string();
        (files.into_iter().flatten().map(name).collect(), wrong.into_iter().filter_map(Result::err).collect())
    }

    #[test]
    fn folders_are_walked_in_natural_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        for name in
            ["10.mp3", "9.FLAC", "b 2/1.ogg", "b 10/1.wav", "cover.jpg", ".hidden/1.mp3", ".2.mp3", "a/x.m4a"]
        {
            touch(root, name);
        }
        let (files, wrong) = found(&[root.to_owned()]);
        assert_eq!(files, ["9.FLAC", "10.mp3", "b 2/1.ogg", "b 10/1.wav"]);
        assert_eq!(wrong.len(), 1);
        assert_eq!(wrong[0].path(), root.join("a/x.m4a"));
    }

    #[test]
    fn links_in_a_circle_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        touch(root, "a/1.mp3");
        symlink(root, root.join("a/up")).expect("links");
        symlink(root.join("gone"), root.join("nowhere.mp3")).expect("links");
        assert_eq!(found(&[root.to_owned()]), (vec!["a/1.mp3".to_owned()], vec![]));
    }

    #[test]
    fn what_gives_no_music_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        touch(root, "empty/readme.txt");
        touch(root, "full/1.mp3");
        let paths = [root.join("empty"), root.join("full"), root.join("missing")];
        let (files, wrong) = found(&paths);
        assert_eq!(files.len(), 1);
        assert_eq!(wrong[0], LibraryError::NoMusic { path: root.join("empty") });
        assert_eq!(wrong[1].reason(), "cannot be read: there is no such file or folder");
        let (_, wrong) = found(&["/dev/null".into()]);
        assert_eq!(wrong, [LibraryError::NotAFile { path: "/dev/null".into() }]);
    }

    #[test]
    fn a_named_file_is_taken_whatever_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        touch(folder.path(), "notes.txt");
        let path = folder.path().join("notes.txt");
        assert_eq!(scan(std::slice::from_ref(&path)).next(), Some(Ok(path)));
    }
}
