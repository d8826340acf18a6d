//! The covers of what contacts show, as files that a screen or another program can read. They are there only as long as the contact
//! shows something: who hides it leaves nothing here, and the next process begins with none.

use std::{
    collections::VecDeque,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use jamsync_protocol::{
    activity::{CoverAddress, Thumbnail},
    id::AccountId,
};

use crate::paths::replace_file;

/// The covers that are there.
#[derive(Debug)]
pub(crate) struct Album {
    folder: PathBuf,
    /// Oldest first.
    covers: VecDeque<(AccountId, CoverAddress)>,
}

impl Album {
    /// An empty album in `folder`, of which what is in it is removed.
    pub(crate) fn begin(folder: PathBuf) -> Self {
        let album = Self { folder, covers: VecDeque::new() };
        album.remove_folder();
        if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(&album.folder) {
            tracing::warn!(%error, "covers of friends cannot be kept in {}", album.folder.display());
        }
        album
    }

    /// Where the file of a cover is, or is to be.
    pub(crate) fn path(&self, of: AccountId, address: CoverAddress) -> PathBuf {
        let name = blake3::hash(&[of.0, address.0].concat()).to_hex();
        self.folder.join(format!("{}.jpg", &name.as_str()[..NAME_DIGITS]))
    }

    /// The file of a cover that is there.
    pub(crate) fn file(&self, of: AccountId, address: CoverAddress) -> Option<PathBuf> {
        self.covers.contains(&(of, address)).then(|| self.path(of, address))
    }

    /// A cover was [written](write) to its path. The oldest goes where there are too many.
    pub(crate) fn add(&mut self, of: AccountId, address: CoverAddress) {
        self.covers.retain(|known| *known != (of, address));
        self.covers.push_back((of, address));
        let theirs = self.covers.iter().filter(|(known, _)| *known == of).count();
        let oldest_of_theirs = self.covers.iter().position(|(known, _)| *known == of);
        let gone = match oldest_of_theirs {
            Some(oldest) if theirs > COVERS_OF_ONE_MAX => self.covers.remove(oldest),
            _ if self.covers.len() > COVERS_MAX => self.covers.pop_front(),
            _ => None,
        };
        if let Some((of, address)) = gone {
            remove(&self.path(of, address));
        }
    }

    /// Whose covers are there, each once.
    pub(crate) fn whose(&self) -> Vec<AccountId> {
        let mut whose: Vec<AccountId> = self.covers.iter().map(|(of, _)| *of).collect();
        whose.sort_unstable();
        whose.dedup();
        whose
    }

    /// Removes the covers of a contact.
    pub(crate) fn forget(&mut self, of: AccountId) {
        let (gone, kept) = self.covers.drain(..).partition(|(known, _)| *known == of);
        self.covers = kept;
        let gone: VecDeque<(AccountId, CoverAddress)> = gone;
        gone.into_iter().for_each(|(of, address)| remove(&self.path(of, address)));
    }

    fn remove_folder(&self) {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "old covers of friends are still in {}", self.folder.display());
            }
            _ => {}
        }
    }
}

/// A process that ends leaves nothing of what friends showed it.
impl Drop for Album {
    fn drop(&mut self) {
        self.remove_folder();
    }
}

/// Writes a cover to its path, whole or not at all. Blocks.
///
/// # Errors
/// What the system says.
pub(crate) fn write(path: &Path, thumbnail: &Thumbnail) -> io::Result<()> {
    replace_file(path, thumbnail.jpeg())
}

/// Removes a file that may be there.
pub(crate) fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "a cover is still in {}", path.display());
        }
        _ => {}
    }
}

/// Digits of a file's name, of a hash: no two covers that anybody can make have the same.
const NAME_DIGITS: usize = 40;
/// How many covers of one contact are kept. Count, default 8: somebody who plays a handful of albums in turn is not asked again.
const COVERS_OF_ONE_MAX: usize = 8;
/// How many are kept in all. Count, default 256, which is 2 MiB at most.
const COVERS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: AccountId = AccountId([1; 32]);

    fn address(number: usize) -> CoverAddress {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
        CoverAddress(bytes)
    }

    fn put(album: &mut Album, of: AccountId, number: usize) -> PathBuf {
        let path = album.path(of, address(number));
        fs::write(&path, b"a cover").unwrap();
        album.add(of, address(number));
        path
    }

    fn files(album: &Album) -> usize {
        fs::read_dir(&album.folder).unwrap().count()
    }

    #[test]
    fn the_newest_of_each_and_of_all_are_kept_and_who_hides_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut album = Album::begin(folder.path().join("covers"));
        for number in 0..20 {
            let path = put(&mut album, ANA, number);
            assert_eq!(album.file(ANA, address(number)), Some(path));
        }
        assert_eq!((files(&album), album.file(ANA, address(0))), (COVERS_OF_ONE_MAX, None));
        for number in 0..400_usize {
            let of = AccountId(blake3::hash(&number.to_be_bytes()).into());
            put(&mut album, of, 1);
        }
        assert_eq!(files(&album), COVERS_MAX);
        assert!(!album.whose().contains(&ANA));
        put(&mut album, ANA, 1);
        let kept = put(&mut album, AccountId([2; 32]), 1);
        album.forget(ANA);
        assert_eq!((files(&album), album.file(ANA, address(1))), (COVERS_MAX - 1, None));
        assert!(kept.exists(), "the same cover of another contact is another file");
    }

    #[test]
    fn a_process_begins_and_ends_with_none() {
        let folder = tempfile::tempdir().unwrap();
        let covers = folder.path().join("covers");
        fs::create_dir(&covers).unwrap();
        fs::write(covers.join("left by one that was killed.jpg"), b"a cover").unwrap();
        let mut album = Album::begin(covers.clone());
        assert_eq!(files(&album), 0);
        put(&mut album, ANA, 1);
        drop(album);
        assert!(!covers.exists());
    }
}
