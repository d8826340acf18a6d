//! Values of what is signed, and of the codes that people pass to each other.

use std::fmt::Display;

use jamsync_protocol::{
    id::{AccountId, DeviceKey, JamId},
    identity::{
        CodeToken, DeviceCode, DeviceLog, DeviceSecret, FriendLink, Grant, GrantParticipant, JoinCode,
        LinkToken, Quality, RecoveryCode, SignedGrant, Tier, VerifiedLog, device_code::CodeSecret,
        friend_link::LinkSecret, grant::LIFETIME_MAX, join_code::JoinSecret,
    },
    limits::COORD_FRAME_BYTES_MAX,
    time::UtcTime,
};
use serde::Serialize;

use super::{Golden, Line, decoded, list, participant, text};

pub(super) fn golden() -> Vec<Golden> {
    let limit = COORD_FRAME_BYTES_MAX;
    let logs = vec![
        ("one device", founded(1).as_log().clone()),
        ("three entries", grown().as_log().clone()),
        ("recovered", recovered().as_log().clone()),
    ];
    vec![
        Golden::bytes("identity-log", "DeviceLog", limit, logs),
        Golden::bytes("identity-grant", "Grant", limit, vec![("two participants", grant())]),
        Golden::bytes(
            "identity-signed-grant",
            "SignedGrant",
            limit,
            vec![("two participants", signed_grant())],
        ),
        codes("code-join", "JoinCodeBytes", &join_code()),
        codes("code-friend", "FriendLinkBytes", &friend_link()),
        codes("code-device", "DeviceCodeBytes", &device_code()),
        codes("code-recovery", "RecoveryCodeBytes", &recovery_code()),
    ]
}

/// A code as text; its JSON form is that of its only version.
fn codes(name: &'static str, kind: &'static str, code: &(impl Display + Serialize)) -> Golden {
    Golden { name, kind, lines: vec![Line { name: "V1", coded: code.to_string(), decoded: decoded(code) }] }
}

pub(super) fn secret(seed: u8) -> DeviceSecret {
    DeviceSecret::from_seed(&[seed; 32])
}

pub(super) fn founded(seed: u8) -> VerifiedLog {
    DeviceLog::found(&secret(seed), [seed; 16])
}

/// A device founds the account, adds a second one, and is revoked by it.
fn grown() -> VerifiedLog {
    let mut log = founded(1);
    let consent = log.consent(&secret(2));
    log.add(&secret(1), secret(2).public(), consent).expect("a new device");
    log.revoke(&secret(2), secret(1).public()).expect("an active device");
    log
}

/// A recovery key brings a second device in.
fn recovered() -> VerifiedLog {
    let mut log = founded(1);
    log.add_recovery(&secret(1), &secret(7)).expect("a new key");
    let consent = log.consent(&secret(2));
    log.add(&secret(7), secret(2).public(), consent).expect("a new device");
    log
}

fn grant() -> Grant {
    let taking_part = |seed: u8, handle: &str, tier, quality| GrantParticipant {
        account: founded(seed).account(),
        device: secret(seed).public(),
        handle: handle.parse().expect("a handle"),
        tier,
        quality,
    };
    let issued = UtcTime::from_nanos(1_795_219_200_000_000_000);
    Grant {
        jam: JamId([0xa5; 16]),
        participants: list([
            taking_part(1, "ana", Tier::Premium, Quality::Original),
            taking_part(2, "ben.b-2", Tier::Free, Quality::Standard),
        ]),
        host: participant(0),
        issued,
        expires: issued + LIFETIME_MAX,
    }
}

pub(super) fn signed_grant() -> SignedGrant {
    grant().signed_by(&secret(9)).expect("a small grant")
}

fn join_code() -> JoinCode {
    JoinCode {
        addresses: list([text("[2001:db8::1]:4470"), text("jam.example:4470")]),
        coordinator: secret(9).public(),
        secret: JoinSecret([0x5e; 16]),
    }
}

fn friend_link() -> FriendLink {
    FriendLink {
        token: LinkToken([7; 16]),
        secret: LinkSecret([8; 16]),
        creator: AccountId([1; 32]),
        coordinator: DeviceKey([9; 32]),
    }
}

fn device_code() -> DeviceCode {
    DeviceCode {
        addresses: list([text("jam.example:4470")]),
        coordinator: secret(9).public(),
        account: founded(1).account(),
        token: CodeToken([0xd0; 16]),
        secret: CodeSecret([0x0c; 16]),
    }
}

fn recovery_code() -> RecoveryCode {
    RecoveryCode {
        addresses: list([text("jam.example:4470")]),
        coordinator: secret(9).public(),
        account: founded(1).account(),
        seed: secret(7).seed(),
    }
}
