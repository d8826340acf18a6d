//! Lists in small files of JSON in the state folder, each replaced whole. One that cannot be used is put aside, so that
//! the next start is not troubled by it, and named once. What the entries mean, and which count, is decided elsewhere.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::paths::{replace_file, set_aside};

/// Why a list is not known any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum KeptError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    File(#[from] io::Error),
    /// It is longer than any that this program writes.
    #[error("it is longer than the {FILE_BYTES_MAX} bytes that it may have")]
    TooLong,
    /// It is whole, and of another form than this program writes.
    #[error("another version of jamsync has written it")]
    OtherVersion,
    /// It ends early or its bytes have changed.
    #[error("it is damaged")]
    Damaged,
}

/// The list kept in `file`; empty where there is none, and where there is one that cannot be used. Of that one
/// `troubles` is told: `what` is lost with it, and what is to be done about it `then`.
pub(crate) fn load<T: DeserializeOwned>(
    file: &Path,
    what: &str,
    then: &str,
    troubles: &mut Vec<String>,
) -> Vec<T> {
    let error = match read(file) {
        Ok(list) => return list,
        Err(KeptError::File(error)) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => error,
    };
    let aside = match set_aside(file) {
        Ok(aside) => format!("it was put aside as {}, and {then}", aside.display()),
        Err(why) => format!("move it away, which failed here ({why}), and {then}"),
    };
    let sentence = format!("{what}, for {} is of no use ({error}); {aside}", file.display());
    tracing::warn!("{sentence}");
    troubles.push(sentence);
    Vec::new()
}

/// Keeps `list` in `file`, so that a crash leaves the old one or the new one.
///
/// # Errors
/// What the system says where the file cannot be written.
pub(crate) fn save<T: Serialize>(file: &Path, list: &[T]) -> io::Result<()> {
    replace_file(file, &serde_json::to_vec_pretty(list)?)
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<Vec<T>, KeptError> {
    let mut bytes = Vec::new();
    let read = File::open(file)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read > FILE_BYTES_MAX) {
        return Err(KeptError::TooLong);
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| if error.is_data() { KeptError::OtherVersion } else { KeptError::Damaged })
}

/// The longest file: many times what the longest list takes.
const FILE_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_list_that_cannot_be_used_is_named_once_and_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("numbers.json");
        let load =
            |troubles: &mut Vec<String>| load::<u8>(&file, "nothing is known", "count again", troubles);
        let mut troubles = Vec::new();
        assert!(load(&mut troubles).is_empty());
        save(&file, &[1, 2]).unwrap();
        assert_eq!(load(&mut troubles), [1, 2]);
        assert_eq!(troubles, Vec::<String>::new());
        let endless = vec![b' '; 2 << 20];
        for (bytes, named) in [
            (&b""[..], "damaged"),
            (b"[1, 2", "damaged"),
            (&[0xff; 99], "damaged"),
            (br#"{"version": 2, "numbers": [1]}"#, "another version"),
            (br#"[1, "two"]"#, "another version"),
            (&endless, "longer than"),
        ] {
            fs::write(&file, bytes).unwrap();
            let mut troubles = Vec::new();
            assert!(load(&mut troubles).is_empty());
            let [trouble] = &troubles[..] else { panic!("{troubles:?}") };
            assert!(trouble.starts_with("nothing is known, for "), "{trouble}");
            assert!(
                trouble.contains(named) && trouble.ends_with("numbers.damaged, and count again"),
                "{trouble}"
            );
            assert_eq!(fs::read(folder.path().join("numbers.damaged")).unwrap(), bytes);
            assert!(load(&mut troubles).is_empty());
            assert_eq!(troubles.len(), 1, "the next start is not troubled by it");
        }
    }
}
