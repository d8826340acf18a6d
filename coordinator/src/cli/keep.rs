//! Commands for what is kept: `backup`, `restore`, `verify`, `migrate`.

use std::path::Path;

use serde_json::json;

use super::{CliError, say};
use crate::{
    backup::{self, Contents},
    data::{DataFolder, ServerLock, State},
    env::SystemEnv,
};

pub(super) fn backup(data: &Path, to: &Path, json: bool) -> Result<(), CliError> {
    let contents = backup::create(data, to, &SystemEnv)?;
    tell(&contents, json, |what| {
        format!("{} holds {what}. It holds the key too: keep it as secret as the server.", to.display())
    })
}

pub(super) fn restore(from: &Path, data: &Path, json: bool) -> Result<(), CliError> {
    let contents = backup::restore(from, data)?;
    tell(&contents, json, |what| {
        format!("{} holds {what}. Start `serve` with it; never run the old server again.", data.display())
    })
}

pub(super) fn verify(folder: &Path, json: bool) -> Result<(), CliError> {
    let contents = backup::verify(folder)?;
    tell(&contents, json, |what| format!("{} is sound: {what}.", folder.display()))
}

pub(super) fn migrate(data: &Path, json: bool) -> Result<(), CliError> {
    let before = DataFolder::state(data)?;
    let _lock = ServerLock::take(data)?;
    let copy = DataFolder::open(data, &SystemEnv)?.migrated;
    let (State::Older(version), Some(copy)) = (before, copy) else {
        let said = if json { json!({ "migrated": false }).to_string() } else { "Nothing to do.".to_owned() };
        return say(&said);
    };
    let copy = copy.display();
    say(&if json {
        json!({ "migrated": true, "from": version, "copy": copy.to_string() }).to_string()
    } else {
        format!("The database was of version {version} and is up to date now. A copy of the old one: {copy}")
    })
}

fn tell(contents: &Contents, json: bool, sentence: impl Fn(&str) -> String) -> Result<(), CliError> {
    let Contents { schema, accounts, devices, contacts, events } = contents;
    if json {
        return say(&json!({
            "schema": schema, "accounts": accounts, "devices": devices, "contacts": contacts, "events": events,
        })
        .to_string());
    }
    say(&sentence(&format!(
        "{accounts} accounts with {devices} devices, {contacts} contacts and {events} events that wait"
    )))
}
