//! Commands that work on the data folder, beside a running server or without one.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use jamsync_protocol::{
    id::{DeviceKey, Handle},
    identity::{
        Date, DeviceSecret, JoinCode, Tier,
        join_code::{CoordinatorAddress, JoinSecret},
    },
    text::List,
    time::Span,
};
use serde_json::{Value, json};

use super::{AccountAction, CliError, JoinCodeOptions, say};
use crate::{
    data::{DataError, DataFolder},
    eligibility::Trust,
    env::{Env, SystemEnv},
    rules::{self, Context},
    store::{Account, JoinPermit, SqliteStore, Store, StoreError, Whereabouts},
};

pub(super) async fn join_code(options: JoinCodeOptions, json: bool) -> Result<(), CliError> {
    let (folder, public) = (options.place.folder()?, options.public);
    let (data, addresses) = in_time(PAUSE, async || addressed(&folder, &public).await).await?;
    let entropy = SystemEnv.entropy().map_err(DataError::from)?;
    let secret = JoinSecret(core::array::from_fn(|at| entropy.get(at).copied().unwrap_or_default()));
    let expires = SystemEnv.now() + Span::from_secs(i64::from(options.days) * 86_400);
    let permit = JoinPermit { fingerprint: secret.fingerprint(), uses_left: options.uses, expires };
    data.store.write(move |tables| tables.put_join_permit(permit)).await?;
    let code = JoinCode {
        addresses: List::new(addresses).map_err(|_| CliError::ManyAddresses)?,
        coordinator: data.secret.public(),
        secret,
    };
    if json {
        let until = Date::of(expires).to_string();
        say(&json!({ "join_code": code.to_string(), "uses": options.uses, "until": until }).to_string())
    } else {
        say(&code.to_string())
    }
}

/// The data folder, and the addresses that a join code is to name.
async fn addressed(
    folder: &Path,
    public: &[CoordinatorAddress],
) -> Result<(DataFolder, Vec<CoordinatorAddress>), CliError> {
    let data = DataFolder::open_existing(folder)?;
    let addresses: Vec<_> = if public.is_empty() {
        let noted = data.store.read(|view| view.public_addresses()).await?;
        noted.into_iter().filter_map(|address| CoordinatorAddress::new(address).ok()).collect()
    } else {
        public.to_vec()
    };
    if addresses.is_empty() { Err(CliError::NoAddress) } else { Ok((data, addresses)) }
}

/// Tries again for a while where there is no server's data yet: whoever starts `serve` and asks for a join code in one breath
/// asks before it has made them.
async fn in_time<T>(
    pause: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T, CliError>,
) -> Result<T, CliError> {
    for _ in 1..ATTEMPTS_MAX {
        match attempt().await {
            Err(CliError::Data(DataError::NoData(_)) | CliError::NoAddress) => {
                tokio::time::sleep(pause).await
            }
            outcome => return outcome,
        }
    }
    attempt().await
}

pub(super) async fn account(data: &Path, action: AccountAction, json: bool) -> Result<(), CliError> {
    let DataFolder { secret, store, .. } = DataFolder::open_existing(data)?;
    match action {
        AccountAction::List => list(&store, json).await,
        AccountAction::Show { handle } => show(&find(&store, handle).await?, json),
        AccountAction::Tier { handle, tier } => {
            let id = find(&store, handle.clone()).await?.id;
            store.write(move |tables| tables.set_tier(id, tier.into())).await?;
            show(&find(&store, handle).await?, json)
        }
        AccountAction::Delete { handle } => delete(&store, secret, handle, json).await,
    }
}

async fn delete(
    store: &SqliteStore,
    secret: DeviceSecret,
    handle: Handle,
    json: bool,
) -> Result<(), CliError> {
    let context = Context {
        now: SystemEnv.now(),
        calendar: Trust::Unproven,
        device: secret.public(),
        entropy: SystemEnv.entropy().map_err(DataError::from)?,
        settings: Arc::default(),
        secret: Arc::new(secret),
        whereabouts: Arc::new(Nowhere),
        spared: Vec::new(),
    };
    let named = handle.clone();
    if !store.write(move |tables| rules::delete(tables, &context, &named)).await? {
        return Err(CliError::NoAccount(handle));
    }
    let deleted = handle.as_str();
    say(&if json { json!({ "deleted": deleted }).to_string() } else { format!("{deleted} is deleted.") })
}

/// A command does not know who is connected to the server.
#[derive(Debug)]
struct Nowhere;

impl Whereabouts for Nowhere {
    fn is_online(&self, _: DeviceKey) -> bool {
        false
    }

    fn addresses(&self, _: DeviceKey) -> Vec<SocketAddr> {
        Vec::new()
    }
}

async fn list(store: &SqliteStore, json: bool) -> Result<(), CliError> {
    let mut after: Option<Handle> = None;
    loop {
        let page = store.read(move |view| view.accounts_after(after.as_ref(), PAGE)).await?;
        for account in &page {
            show(account, json)?;
        }
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.handle.clone());
    }
}

async fn find(store: &SqliteStore, handle: Handle) -> Result<Account, CliError> {
    let wanted = handle.clone();
    let found = store.read(move |view| view.account_by_handle(&wanted)).await?;
    found.ok_or(CliError::NoAccount(handle))
}

fn show(account: &Account, json: bool) -> Result<(), CliError> {
    let devices = account.log.verify().map_err(|_| StoreError::Corrupt("device log"))?.devices().len();
    let (tier, since) = (tier_name(account.tier), Date::of(account.created));
    if json {
        let line: Value = json!({
            "handle": account.handle.as_str(),
            "account": account.id.to_string(),
            "tier": tier,
            "market": account.market.as_str(),
            "age_checked": account.age.met,
            "devices": devices,
            "since": since.to_string(),
        });
        return say(&line.to_string());
    }
    let plural = if devices == 1 { "" } else { "s" };
    say(&format!(
        "{:<32} {tier:<8} {} {devices} device{plural}, since {since}, account {:?}",
        account.handle, account.market, account.id
    ))
}

const fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Free => "free",
        Tier::Premium => "premium",
    }
}

/// Accounts read at once.
const PAGE: u32 = 200;

/// Five seconds in all, in which a slow disk makes a new database; more keeps whoever named the wrong folder waiting.
const ATTEMPTS_MAX: u32 = 51;
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    /// How often an attempt is made that ends as told, the last way again and again, and what comes of it.
    async fn tried(ends: &[fn() -> Result<u8, CliError>]) -> (u32, Result<u8, CliError>) {
        let mut count = 0;
        let attempt = async || {
            let end = ends.get(count as usize).or(ends.last()).expect("an end");
            count += 1;
            end()
        };
        let outcome = in_time(Duration::ZERO, attempt).await;
        (count, outcome)
    }

    #[tokio::test]
    async fn a_join_code_waits_for_a_server_that_was_started_in_the_same_breath() {
        let nothing: fn() -> Result<u8, CliError> = || Err(DataError::NoData("D".into()).into());
        let unnoted: fn() -> Result<u8, CliError> = || Err(CliError::NoAddress);
        let (count, outcome) = tried(&[nothing, nothing, unnoted, || Ok(7)]).await;
        assert!(count == 4 && matches!(outcome, Ok(7)), "{count}: {outcome:?}");
        // A folder without a server is told of in the end, and whatever else is wrong at once.
        let (count, outcome) = tried(&[nothing]).await;
        assert!(count == ATTEMPTS_MAX && matches!(&outcome, Err(CliError::Data(DataError::NoData(_)))));
        let (count, outcome) = tried(&[|| Err(CliError::Data(DataError::BadKey("D".into())))]).await;
        assert!(count == 1 && outcome.is_err(), "{count}: {outcome:?}");
    }
}
