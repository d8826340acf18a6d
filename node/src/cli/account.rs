//! `jamsync account`: the words for one's own account and its devices, and what they answer.

use clap::Subcommand;
use jamsync_protocol::id::Handle;

use super::{
    parse::BirthDate,
    run::{Context, Failure},
    show::{age, is_old, plain},
};
use crate::{
    api::{AccountDevice, Reply, Request},
    engine::utc_now,
};

#[derive(Debug, Subcommand)]
pub(super) enum Account {
    /// List, add, rename and revoke the devices that speak for you
    #[command(
        after_help = "Examples:\n  jamsync account devices\n  jamsync account devices add        then `jamsync init --device CODE` on the new one\n  jamsync account devices revoke laptop"
    )]
    Devices {
        #[command(subcommand)]
        edit: Option<Devices>,
    },
    /// Make a code to keep on paper, for when every device is lost; it replaces the one before
    #[command(after_help = "Example:\n  jamsync account recovery-code | lp")]
    RecoveryCode,
    /// Tell your birth date again, where the coordinator has raised its minimum age
    #[command(after_help = "Example:\n  jamsync account confirm-age 1998-04-30")]
    ConfirmAge {
        /// Your birth date; it is not kept where you are old enough
        #[arg(value_name = "YYYY-MM-DD")]
        birth: BirthDate,
    },
    /// Show all that the coordinator holds about you, as JSON
    #[command(after_help = "Example:\n  jamsync account export > me.json")]
    Export,
    /// Delete your account at the coordinator, and here; your friends lose you as a contact
    #[command(
        after_help = "Examples:\n  jamsync account delete ana             your own name, so that nothing goes by mistake\n  jamsync account delete ana --here      where its coordinator is gone for good"
    )]
    Delete {
        /// Your own name
        name: Handle,
        /// Forget it on this device without asking the coordinator, which may still know it
        #[arg(long)]
        here: bool,
    },
    /// Stay out of Jams: nobody can ask you for one, and you are shown as offline
    #[command(after_help = "Example:\n  jamsync account opt-out")]
    OptOut,
    /// Take part again
    #[command(after_help = "Example:\n  jamsync account opt-in")]
    OptIn,
}

#[derive(Debug, Subcommand)]
pub(super) enum Devices {
    /// Show them
    #[command(after_help = "Example:\n  jamsync account devices list")]
    List,
    /// Make a code that admits one more device within ten minutes, while this one runs
    #[command(
        after_help = "Examples:\n  jamsync account devices add\n  jamsync account devices add --qr    and shows it as a picture too, for a camera"
    )]
    Add {
        /// Show it as a QR code too
        #[arg(long)]
        qr: bool,
    },
    /// Call a device something else
    #[command(
        after_help = "Examples:\n  jamsync account devices rename laptop kitchen\n  jamsync account devices rename 3fa9 kitchen    the device whose key begins so"
    )]
    Rename {
        /// Its name, or the first digits of its key
        #[arg(value_name = "NAME|KEY")]
        device: String,
        /// Its new name
        name: String,
    },
    /// Cut a device off for ever: it speaks for you no more, and a Jam that it is in ends at once
    #[command(after_help = "Example:\n  jamsync account devices revoke laptop")]
    Revoke {
        /// Its name, or the first digits of its key
        #[arg(value_name = "NAME|KEY")]
        device: String,
    },
}

/// Carries a command out.
pub(super) async fn run(command: Account, context: &Context) -> Result<(), Failure> {
    let (request, done) = match command {
        Account::Devices { edit: Some(Devices::Add { qr: true }) } => {
            return context.ask_for_picture(Request::DeviceCode).await;
        }
        Account::Devices { edit: None | Some(Devices::List) } => (Request::AccountDevices, ""),
        Account::Devices { edit: Some(Devices::Add { qr: false }) } => (Request::DeviceCode, ""),
        Account::Devices { edit: Some(Devices::Rename { device, name }) } => {
            (Request::RenameDevice { device, name }, "Renamed.")
        }
        Account::Devices { edit: Some(Devices::Revoke { device }) } => {
            (Request::RevokeDevice { device }, "Revoked. It speaks for you no more.")
        }
        Account::RecoveryCode => (Request::RecoveryCode, ""),
        Account::ConfirmAge { birth } => (Request::ConfirmAge { birth: birth.0 }, "Confirmed."),
        Account::Export => (Request::ExportAccount, ""),
        Account::Delete { name, here: false } => (
            Request::DeleteAccount { name, here: false },
            "Deleted. This node plays alone now; your music and its key stay.",
        ),
        Account::Delete { name, here: true } => (
            Request::DeleteAccount { name, here: true },
            "Forgotten here. This node plays alone now; your music and its key stay. A coordinator that comes back \
             still knows the account, and so do your other devices.",
        ),
        Account::OptOut => (Request::OptOut { out: true }, "You stay out of Jams. A Jam that runs goes on."),
        Account::OptIn => (Request::OptOut { out: false }, "You take part in Jams again."),
    };
    context.ask(request, done).await
}

/// What the answers that belong to an account say.
#[expect(clippy::wildcard_enum_match_arm, reason = "every other answer has its words elsewhere")]
pub(super) fn words(reply: &Reply) -> Option<String> {
    Some(match reply {
        Reply::DeviceCode { code, expires_in } => format!(
            "{}\nOn the new device, within {}: jamsync init --device CODE. Keep this one running.",
            plain(code),
            age(*expires_in)
        ),
        Reply::RecoveryCode { code } => format!(
            "{}\nKeep it on paper: it is shown once, and codes made before count no more.\n\
             With every device lost: jamsync init --recovery CODE",
            plain(code)
        ),
        Reply::Export { data } => serde_json::to_string_pretty(data).unwrap_or_default(),
        Reply::AccountDevices { devices, as_of } => {
            let note = as_of.map(|as_of| is_old(utc_now() - as_of));
            devices.iter().map(device).chain(note).collect::<Vec<_>>().join("\n")
        }
        _ => return None,
    })
}

fn device(device: &AccountDevice) -> String {
    let name = if device.name.is_empty() { "(no name)".to_owned() } else { plain(&device.name) };
    let place = match (device.this, device.online) {
        (true, _) => "this device",
        (false, Some(true)) => "online",
        (false, Some(false)) => "offline",
        (false, None) => "",
    };
    let key: String = device.key.to_string().chars().take(KEY_DIGITS).collect();
    format!("{key}  {name:<24}  {place}").trim_end().to_owned()
}

/// How many digits of a key are shown: enough to tell the devices of one account apart.
const KEY_DIGITS: usize = 16;
