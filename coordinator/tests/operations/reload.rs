//! What reading the settings again changes, and what a wrong file does not, as those notice who ask for a Jam.

use std::{fs, path::Path};

use jamsync_coordinator::env::{Env, SystemEnv};
use jamsync_protocol::{
    identity::{Date, JoinCode},
    time::Span,
    wire::coord::{CoordReply, CoordRequest, Refusal},
};
use rustix::process::Signal;

use crate::{
    device::Device,
    served::{Served, said, text},
};

/// Whether ben may be asked for a Jam. A request that was made is taken back.
async fn asks(device: &Device) -> Result<(), Refusal> {
    let reply = device.ask(CoordRequest::RequestJam { to: "ben".parse().expect("a handle") }).await;
    if let CoordReply::Refused(refusal) = reply {
        return Err(refusal);
    }
    let CoordReply::Requested { request, .. } = reply else { panic!("no request: {reply:?}") };
    assert_eq!(device.ask(CoordRequest::CancelRequest { request }).await, CoordReply::Done);
    Ok(())
}

fn reload(served: &mut Served, file: &Path, settings: &str, heard: &str) {
    fs::write(file, settings).expect("writes");
    served.signal(Signal::HUP);
    served.hear(heard);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minimum_age_is_in_force_once_it_is_read_and_a_wrong_one_never() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, file) = (folder.path().join("data"), folder.path().join("coordinator.toml"));
    fs::write(&file, "minimum_age = 14\n").expect("writes");
    let mut served = Served::start(&data, &["--config", text(&file)]);
    let code: JoinCode = said(&["join-code", "--data", text(&data)]).trim().parse().expect("a join code");
    let (kid, ben) = (served.device(1).await, served.device(2).await);
    // Fifteen and a half years old, whenever this runs.
    let born = Date::of(SystemEnv.now() - Span::from_secs(86_400 * (15 * 365 + 186)));
    kid.sign_up(code.secret, "kid", &born.to_string()).await;
    ben.sign_up(code.secret, "ben", "1990-01-01").await;
    kid.befriend(&ben).await;
    assert_eq!(asks(&kid).await, Ok(()), "old enough");

    let (taken, not_taken) =
        ("the configuration was read again", "the configuration is not taken; the one before holds");
    reload(&mut served, &file, "minimum_age = 16\n", taken);
    // Fourteen was all that had been checked, and no date was kept.
    assert_eq!(asks(&kid).await, Err(Refusal::AgeUnknown { minimum_age: 16 }));
    for (device, birth_date) in [(&kid, born), (&ben, "1990-01-01".parse().expect("a date"))] {
        assert_eq!(device.ask(CoordRequest::ConfirmAge { birth_date }).await, CoordReply::Done);
    }
    let too_young = Err(Refusal::TooYoung { minimum_age: 16 });
    assert_eq!(asks(&kid).await, too_young);

    for wrong in ["minimum_age = 140\n", "minimum_age = 15\nmarkets = [\"Atlantis\"]\n", "minimum_age = \n"] {
        reload(&mut served, &file, wrong, not_taken);
        assert_eq!(asks(&kid).await, too_young, "nothing of {wrong:?} is taken");
    }

    reload(&mut served, &file, "minimum_age = 15\n", taken);
    assert_eq!(asks(&kid).await, Ok(()));
    drop(served.stop());
}
