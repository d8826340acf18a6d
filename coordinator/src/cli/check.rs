//! `check`: what `serve` would do with these settings, without doing it.

use std::path::Path;

use serde_json::json;

use super::{CliError, say};
use crate::{
    config::{Loaded, Sources},
    data::{DataError, DataFolder, ServerLock, State},
    server::bind_dual,
};

pub(super) fn check(sources: &Sources, json: bool) -> Result<(), CliError> {
    let loaded = sources.load()?;
    let facts = match loaded.data() {
        Ok(data) => facts(&loaded, data),
        Err(error) => vec![Err(error.to_string())],
    };
    if json {
        let settings: Vec<_> = loaded
            .settings
            .iter()
            .map(|given| {
                let values: Vec<_> = given.values.iter().map(|value| value.to_string_lossy()).collect();
                json!({ "name": given.name, "values": values, "origin": given.origin.to_string() })
            })
            .collect();
        let (good, bad): (Vec<_>, Vec<_>) = facts.iter().partition(|fact| fact.is_ok());
        let of = |facts: Vec<&Result<String, String>>| -> Vec<String> {
            facts.into_iter().map(|fact| fact.clone().unwrap_or_else(|bad| bad)).collect()
        };
        say(&json!({ "settings": settings, "good": of(good), "bad": of(bad) }).to_string())?;
    } else {
        for given in &loaded.settings {
            say(&format!("{:<44} # {}", given.to_string(), given.origin))?;
        }
        for fact in &facts {
            match fact {
                Ok(good) => say(&format!("# good: {good}"))?,
                Err(bad) => say(&format!("# BAD:  {bad}"))?,
            }
        }
    }
    match facts.iter().filter(|fact| fact.is_err()).count() {
        0 => Ok(()),
        bad => Err(CliError::Unfit(bad)),
    }
}

/// What is found, good or bad. Nothing is made or changed.
fn facts(loaded: &Loaded, data: &Path) -> Vec<Result<String, String>> {
    let serves = ServerLock::is_taken(data);
    let mut facts = vec![folder(data)];
    if serves {
        facts.push(Ok(format!("a coordinator serves {} now, so its port was not tried", data.display())));
    } else {
        let listen = loaded.config.listen;
        facts.push(match bind_dual(listen) {
            Ok(_) => Ok(format!("UDP {listen} is free")),
            Err(error) => {
                Err(format!("cannot listen on UDP {listen}: {error}; choose another with `listen`"))
            }
        });
    }
    if loaded.config.public.is_empty() {
        facts.push(Ok(
            "`public` is not set: join codes name the addresses of this machine, which friends outside its \
             network may not reach"
                .to_owned(),
        ));
    }
    facts
}

fn folder(data: &Path) -> Result<String, String> {
    let named = data.display();
    match DataFolder::state(data) {
        Ok(State::Current) => Ok(format!("{named} holds a coordinator's key and database of this version")),
        Ok(State::Older(version)) => Ok(format!(
            "{named} holds a database of version {version}, which `serve` brings up to date; it keeps a copy"
        )),
        Err(DataError::NoData(_)) => {
            Ok(format!("{named} holds no data yet; `serve` makes a new coordinator"))
        }
        Err(error) => Err(error.to_string()),
    }
}
