//! `jamsync safety`: shows the digits that two contacts compare, or compares them.

use jamsync_protocol::{id::Handle, identity::SafetyCode};

use super::{
    qr,
    run::{Context, Failure},
    width,
};
use crate::api::{ApiError, ErrorCode, Reply, Request};

/// Shows the safety code with `name`, or holds `theirs` against it.
pub(super) async fn run(
    name: Handle,
    theirs: Option<SafetyCode>,
    as_picture: bool,
    context: &Context,
) -> Result<(), Failure> {
    let reply = context.connect().await?.call(Request::Safety { name }).await?;
    let Reply::Safety { name, code, .. } = &reply else {
        return Err(ApiError::new(ErrorCode::Failed, "the daemon did not tell the code", "").into());
    };
    let words = match theirs {
        Some(theirs) if theirs.to_string() == *code => {
            format!("Equal: nobody stands between you and {name}.")
        }
        Some(_) => return Err(differs(name).into()),
        None => words(&reply),
    };
    let picture = if as_picture { qr::picture(code, width::terminal()) } else { String::new() };
    context.output.reply(reply, |_| format!("{picture}{words}"))?;
    Ok(())
}

/// The digits in three lines, and what to do with them.
pub(super) fn words(reply: &Reply) -> String {
    let Reply::Safety { name, code, devices, friend_devices } = reply else { return String::new() };
    let groups: Vec<&str> = code.split(' ').collect();
    let lines: String =
        groups.chunks(GROUPS_PER_LINE).map(|line| format!("  {}\n", line.join(" "))).collect();
    format!(
        "{lines}Compare these digits with {name} by voice or face to face: the same at both means that nobody stands between \
         you.\nThey cover both accounts: {} of yours, {} of {name}'s.",
        plural(*devices),
        plural(*friend_devices)
    )
}

fn plural(devices: u32) -> String {
    if devices == 1 { "1 device".to_owned() } else { format!("{devices} devices") }
}

fn differs(name: &Handle) -> ApiError {
    ApiError::new(
        ErrorCode::Refused,
        format!(
            "DIFFERENT: these are not the digits that this node sees. Either they were miscopied, or {name} is not who you think, \
             or somebody stands between you"
        ),
        format!(
            "compare again; if they differ still, `jamsync contacts remove {name}` and exchange a new link by a way that you trust"
        ),
    )
}

const GROUPS_PER_LINE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_stand_in_three_lines() {
        let code = SafetyCode::of(
            jamsync_protocol::id::AccountId([1; 32]),
            jamsync_protocol::id::AccountId([2; 32]),
        );
        let name = "ben".parse().expect("a name");
        let reply = Reply::Safety { name, code: code.to_string(), devices: 1, friend_devices: 2 };
        let shown = words(&reply);
        assert!(shown.starts_with(
            "  78074 33338 45380 81456\n  99061 66561 59994 30096\n  72090 64126 98513 28141\nCompare"
        ));
        assert!(shown.ends_with("1 device of yours, 2 devices of ben's."), "{shown}");
    }
}
