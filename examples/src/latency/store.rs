//! The folder of finished runs, so that an interrupted measurement goes on where it was.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Case, RunRecord, SCHEMA_VERSION};

/// Finished runs on disk, a JSON file each.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The store in `folder`, which is made where it is missing.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The finished run of `case` with `seed`, if the same build played it under the same conditions and it was scored.
    #[must_use]
    pub fn find(&self, case: &Case, seed: u64, build: &str) -> Option<RunRecord> {
        let text = std::fs::read_to_string(self.path(case, seed)).ok()?;
        let record: RunRecord = serde_json::from_str(&text).ok()?;
        let same = record.schema_version == SCHEMA_VERSION && record.case == *case && record.build == build;
        (same && record.score.is_some()).then_some(record)
    }

    /// Keeps a finished run, in place of an older one under the same name.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep(&self, record: &RunRecord) -> anyhow::Result<()> {
        let path = self.path(&record.case, record.seed);
        // A run that is cut off while it writes must not be taken for a finished one.
        let half = path.with_extension("new");
        std::fs::write(&half, serde_json::to_vec(record)?)
            .and_then(|()| std::fs::rename(&half, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn path(&self, case: &Case, seed: u64) -> PathBuf {
        self.folder.join(format!("{}-{}s-{seed}.json", case.name, case.seconds))
    }
}
