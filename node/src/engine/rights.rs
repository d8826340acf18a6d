//! What the listener may demand of the coordinator: all that it holds about the account, and to forget it.

use std::path::{Path, PathBuf};

use jamsync_protocol::{
    id::Handle,
    wire::coord::{CoordReply, CoordRequest},
};
use serde_json::Value;

use super::{
    Apply, Engine,
    friends::{Work, link_error},
};
use crate::{
    api::{self, ApiError, ErrorCode, Reply},
    net::coordinator::{CoordinatorLink, LinkError},
};

impl Engine {
    /// All that the coordinator holds about the account.
    pub(super) fn export_account(&self) -> Result<Work, ApiError> {
        let (_, link) = self.signed_in()?;
        Ok(Box::pin(async move {
            let bytes = export(&link).await?;
            let data: Value = serde_json::from_slice(&bytes).map_err(|error| {
                ApiError::new(ErrorCode::Failed, format!("the export cannot be read: {error}"), "try again")
            })?;
            let apply: Apply = Box::new(move |_| Ok(Reply::Export { data: Box::new(data) }));
            Ok(apply)
        }))
    }

    /// Deletes the account, at the coordinator and here.
    pub(super) fn delete_account(&self, name: Handle) -> Result<Work, ApiError> {
        let (_, link) = self.signed_in()?;
        Ok(Box::pin(async move {
            let deleted = link.request(CoordRequest::DeleteAccount { handle: name }).await;
            deleted.map_err(link_error)?;
            let apply: Apply = Box::new(|engine| {
                engine.forget_account()?;
                Ok(Reply::Done)
            });
            Ok(apply)
        }))
    }

    fn forget_account(&mut self) -> Result<(), ApiError> {
        if self.jam.is_some() {
            // Leaving a Jam that there is succeeds.
            let _ = self.leave();
        }
        let open: Vec<_> = self.ledger.open().iter().map(|open| open.request).collect();
        open.into_iter().for_each(|request| self.end_request(request, api::RequestOutcome::Cancelled));
        (self.account, self.coordinator, self.courier) = (None, None, None);
        self.coordinator_state = api::Coordinator::Unset;
        let messages = ["", "-wal", "-shm"].map(|ending| {
            let mut name = self.messages_file.clone().into_os_string();
            name.push(ending);
            PathBuf::from(name)
        });
        std::iter::once(&self.account_file).chain(&messages).try_for_each(|file| remove(file))
    }
}

/// Removes a file of an account that is deleted, if it is there.
fn remove(file: &Path) -> Result<(), ApiError> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let what = format!("the account is deleted, but {} is not: {error}", file.display());
            Err(ApiError::new(ErrorCode::StateUnwritable, what, "remove that file"))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// All parts of an export of one moment.
async fn export(link: &CoordinatorLink) -> Result<Vec<u8>, ApiError> {
    let (mut bytes, mut of): (Vec<u8>, Option<[u8; 32]>) = (Vec::new(), None);
    for _ in 0..EXPORT_PARTS_MAX {
        let from = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let reply = link.request(CoordRequest::Export { from }).await.map_err(link_error)?;
        let CoordReply::Exported { part, total, hash } = reply else {
            return Err(link_error(LinkError::Unexpected));
        };
        if of.is_some_and(|of| of != hash) {
            // Something has changed meanwhile, so that the parts do not fit together.
            (bytes, of) = (Vec::new(), None);
            continue;
        }
        of = Some(hash);
        bytes.extend_from_slice(&part);
        if bytes.len() >= usize::try_from(total).unwrap_or(usize::MAX) {
            return Ok(bytes);
        }
        if part.is_empty() {
            return Err(link_error(LinkError::Unexpected));
        }
    }
    let what = "the export changes faster than it can be fetched, or is too long";
    Err(ApiError::new(ErrorCode::Failed, what, "try again when less happens"))
}

/// How many parts are fetched at most: 24 MiB.
const EXPORT_PARTS_MAX: usize = 2_048;
