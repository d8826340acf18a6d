//! `jamsync library add`: makes music known to the daemon, a few files at a time, so that a long walk shows how far
//! it has come.

use std::path::PathBuf;

use super::run::{Context, Failure, resolve};
use crate::{
    api::{ErrorCode, Queued, Reply, Request},
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
                Ok(file) => batch.push(file),
                Err(error) => total.skip(error.path(), error.reason()),
            }
        }
        if batch.is_empty() {
            continue;
        }
        match client.call(Request::LibraryAdd { paths: batch }).await {
            Ok(Reply::Queued(read)) => total.add(read),
            // A batch without any music; each file is told at the end only by the count.
            Err(error) if error.code == ErrorCode::Unplayable => total.skipped_total += 1,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
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
