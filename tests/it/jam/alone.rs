//! What keeps a node from starting is one sentence with the remedy, and an exit status of its own.

use std::{fs, net::UdpSocket, os::unix::fs::PermissionsExt, path::Path};

use jamsync_node::api::{ApiError, ErrorCode};

use super::{
    node::{jamsync, try_run},
    stage::Stage,
};

/// Starts a daemon that has to fail.
fn refused(home: &Path, flags: &[&str], code: ErrorCode) -> ApiError {
    let error = try_run(jamsync(home).args(["--json", "daemon"]).args(flags)).expect_err("it cannot start");
    assert_eq!(error.code, code, "{error}");
    let sentence = error.to_string();
    assert!(!error.remedy.is_empty() || sentence.contains(';'), "no remedy: {sentence}");
    assert!(!sentence.contains('\n') && !sentence.ends_with('.'), "more than one sentence: {sentence}");
    error
}

#[test]
fn a_port_that_is_taken_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let error = refused(folder.path(), &["--sink", "null", "--listen", &address], ErrorCode::NoPort);
    assert!(error.message.contains(&address), "{error}");
}

#[test]
fn a_missing_audio_device_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags = ["--sink", "cpal", "--device", "no such card", "--listen", "127.0.0.1:0"];
    let error = refused(folder.path(), &flags, ErrorCode::NoAudioDevice);
    assert!(error.message.contains("no such card"), "{error}");
}

#[test]
fn a_state_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").expect("written");
    // Also root cannot make a folder inside a file.
    let home = file.join("state");
    let error = refused(&home, &["--sink", "null", "--listen", "127.0.0.1:0"], ErrorCode::StateUnwritable);
    assert!(error.message.contains("file"), "{error}");

    let locked = folder.path().join("locked");
    fs::create_dir(&locked).expect("a folder");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).expect("its owner may");
    if fs::write(locked.join("probe"), "").is_ok() {
        eprintln!("skipped: this user may write everywhere, so that permissions cannot be tested");
        return;
    }
    let error = refused(&locked, &["--sink", "null", "--listen", "127.0.0.1:0"], ErrorCode::StateUnwritable);
    assert!(error.message.contains("locked"), "{error}");
}

#[test]
fn a_second_daemon_on_the_same_state_is_refused_and_the_first_goes_on() {
    let stage = Stage::set();
    let mut first = stage.node("ana");
    let error =
        refused(&first.home, &["--sink", "null", "--listen", "127.0.0.1:0"], ErrorCode::AlreadyRunning);
    assert!(error.to_string().contains("jamsync stop") || error.message.contains("daemon"), "{error}");
    first.status();
    first.assert_sound();
}
