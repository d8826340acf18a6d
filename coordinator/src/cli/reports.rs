//! `report`: what accounts complain about. It shows what a reporter chose to disclose, and nothing else is known.

use std::path::Path;

use jamsync_protocol::{id::AccountId, identity::Date, text::printable, wire::coord::ReportReason};
use serde_json::json;

use super::{CliError, ReportAction, say};
use crate::{
    data::DataFolder,
    store::{Report, SqliteStore, Store},
};

/// Carries a command out.
pub(super) async fn run(data: &Path, action: ReportAction, json: bool) -> Result<(), CliError> {
    let store = DataFolder::open_existing(data)?.store;
    match action {
        ReportAction::List => list(&store, json).await,
        ReportAction::Close { number } => {
            let dropped = store.write(move |tables| tables.drop_report(number)).await?;
            if dropped { Ok(()) } else { Err(CliError::NoReport(number)) }
        }
    }
}

async fn list(store: &SqliteStore, json: bool) -> Result<(), CliError> {
    let mut after = 0;
    loop {
        let page = store.read(move |view| view.reports_after(after, PAGE)).await?;
        for report in &page {
            let (by, about) = (name(store, report.by).await?, name(store, report.about).await?);
            show(report, &by, &about, json)?;
        }
        let Some(last) = page.last() else { return Ok(()) };
        after = last.number;
    }
}

fn show(report: &Report, by: &str, about: &str, json: bool) -> Result<(), CliError> {
    let (on, reason) = (Date::of(report.at).to_string(), reason_name(report.reason));
    if json {
        let words = report.words.as_str();
        let line = json!({
            "number": report.number, "on": on, "by": by, "about": about, "reason": reason, "words": words,
        });
        return say(&line.to_string());
    }
    let words: Vec<String> =
        report.words.as_str().lines().map(|line| format!("    {}", printable(line))).collect();
    say(&format!("{} {on}: {by} about {about}: {reason}\n{}", report.number, words.join("\n")))
}

async fn name(store: &SqliteStore, account: Option<AccountId>) -> Result<String, CliError> {
    let Some(id) = account else { return Ok(GONE.to_owned()) };
    let found = store.read(move |view| view.account(id)).await?;
    Ok(found.map_or_else(|| GONE.to_owned(), |account| account.handle.to_string()))
}

const fn reason_name(reason: ReportReason) -> &'static str {
    match reason {
        ReportReason::Spam => "spam",
        ReportReason::Harassment => "harassment",
        ReportReason::Impersonation => "impersonation",
        ReportReason::Other => "other",
    }
}

/// What stands for an account that was deleted.
const GONE: &str = "(deleted)";

/// Complaints read at once.
const PAGE: u32 = 100;
