//! What the listener may demand of the coordinator: all that it holds about the account, and to forget it.

use std::path::Path;

use jamsync_protocol::{
    id::Handle,
    wire::coord::{CoordReply, CoordRequest, Refusal},
};
use serde_json::Value;

use super::{
    Apply, Engine,
    friends::{Work, link_error, no_account},
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

    /// Deletes the account, at the coordinator and here; or `here` alone, for a coordinator that is gone for good.
    pub(super) fn delete_account(&self, name: Handle, here: bool) -> Result<Work, ApiError> {
        let own = &self.account.as_ref().ok_or_else(no_account)?.handle;
        let is_own = name == *own;
        let forget: Apply = Box::new(|engine| {
            engine.forget_account()?;
            Ok(Reply::Done)
        });
        if here && !is_own {
            let what = format!("the account on this device is {own}");
            let remedy = format!("`jamsync account delete {own} --here` forgets it");
            return Err(ApiError::new(ErrorCode::Usage, what, remedy));
        }
        if here {
            return Ok(Box::pin(async move { Ok(forget) }));
        }
        let (_, link) = self.signed_in()?;
        Ok(Box::pin(async move {
            let deleted = link.request(CoordRequest::DeleteAccount { handle: name.clone() }).await;
            deleted.map(drop).or_else(|error| gone_there(error, &name, is_own))?;
            Ok(forget)
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
        (self.messages_stopped, self.calendar_wrong, self.account_unknown) = (None, None, None);
        self.coordinator_state = api::Coordinator::Unset;
        self.activity.forget_account();
        self.ledger.forget_account();
        let folder = self.account_file.parent().unwrap_or(Path::new(""));
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut own = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_of_account));
        // First what would bring the account back.
        remove(&self.account_file)?;
        own.try_for_each(|entry| remove(&entry.path()))
    }
}

/// Whether the coordinator has nothing of the account although it has not deleted it now; else why not.
#[expect(clippy::wildcard_enum_match_arm, reason = "every other error leaves the account where it is")]
fn gone_there(error: LinkError, name: &Handle, is_own: bool) -> Result<(), ApiError> {
    match error {
        LinkError::Refused(Refusal::NotSignedUp) if is_own => Ok(()),
        LinkError::Unreachable { reason } => {
            let what = format!("the coordinator cannot be reached ({reason}), so nothing is deleted");
            let remedy = format!(
                "try again later, or, where it is gone for good, `jamsync account delete {name} --here`"
            );
            Err(ApiError::new(ErrorCode::Unreachable, what, remedy))
        }
        other => Err(link_error(other)),
    }
}

/// Whether a file of the state folder goes with the account: what it is, its conversations, what it shows and has saved, its
/// requests and Jams, and what of these was damaged and put aside. The device's key, and what is known of music and sound cards, stay.
fn is_of_account(name: &str) -> bool {
    let kinds = ["account", "messages", "activity", "saved", "agreements", "jam"];
    let endings = ["json", "state", "sqlite", "damaged", "new"];
    name.split_once('.').is_some_and(|(kind, ending)| {
        // A database has a log beside it, and one that was damaged a number.
        let ending = ending.split('-').next().unwrap_or_default();
        kinds.contains(&kind) && endings.contains(&ending)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_coordinator_does_not_know_any_more_is_deleted_and_what_it_cannot_say_is_not() {
        let ana: Handle = "ana".parse().unwrap();
        let unknown = LinkError::Refused(Refusal::NotSignedUp);
        assert_eq!(gone_there(unknown.clone(), &ana, true), Ok(()));
        let other = gone_there(unknown, &ana, false).unwrap_err();
        assert!(other.remedy.contains("account delete"), "{other:?}");
        let away = LinkError::Unreachable { reason: "no answer".to_owned() };
        let away = gone_there(away, &ana, true).unwrap_err();
        assert!(away.remedy.contains("account delete ana --here"), "{away:?}");
    }
}
