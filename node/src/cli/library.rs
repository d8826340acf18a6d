//! `jamsync library add`: makes music known to the daemon, a few files at a time, so that a long walk shows how far
//! it has come.

use std::path::PathBuf;

use super::run::{Context, Failure, resolve};
use crate::{
    api::{Queued, Reply, Request},
    library,
};

/// Has the daemon read all music in `paths` through.
pub(super) async fn add(paths: &[PathBuf], context: &Context) -> Result<(), Failure> {
    let mut client = context.connect().await?;
    let mut total = Queued::default();
    let mut files = library::scan(&resolve(paths)?).peekable();
    while files.peek().is_some() {
        let mut batch = Vec::new();
        for file in files.by_ref().take(BATCH) {
            match file {
                // A request could not carry it.
                Ok(file) if file.to_str().is_none() => total.skip(&file, NOT_UTF8.to_owned()),
                Ok(file) => batch.push(file),
                Err(error) => total.skip(error.path(), error.reason()),
            }
        }
        if batch.is_empty() {
            continue;
        }
        if let Reply::Queued(read) = client.call(Request::LibraryAdd { paths: batch }).await? {
            total.add(read);
        }
        context.output.progress(&format!("{} files read", total.added + total.skipped_total));
    }
    if total.added == 0 {
        return Err(total.nothing().into());
    }
    context.output.reply(Reply::Queued(total), |reply| context.words(reply, "", "Known:"))?;
    Ok(())
}

/// How many files are read per request.
const BATCH: usize = 24;

const NOT_UTF8: &str = "its name is not UTF-8; rename it";
