//! The coordinator's log holds nothing of what people do: no name, no code, no address of a device, at any level of its own.

use std::fs::File;

use jamsync_examples::load::{Dialer, Persona, Server};
use jamsync_protocol::{
    identity::friend_link::LinkSecret,
    wire::coord::{CoordReply, CoordRequest},
};

use super::jam::process::binary;

#[tokio::test(flavor = "multi_thread")]
async fn a_log_names_nobody_and_holds_no_secret() {
    let binaries = binary("jamsync-coordinator").parent().expect("a folder").to_owned();
    let folder = tempfile::tempdir().expect("a folder");
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let settings = ["--log", "info,jamsync_coordinator=trace", "--log-format", "json"];
    let written = File::create(&log).expect("a file");
    let server = Server::start_with_log(&binaries, &data, "127.0.0.1:0", &settings, written.into());
    let server = server.expect("serves");
    let code = Server::join_code(&binaries, &data, 10).expect("a code");
    let dialer = Dialer::new(server.address, code.coordinator, 1).expect("sockets");
    let [ana, ben] = [1, 2].map(|run| Persona::new(run, 0).expect("a person"));
    let mut online = Vec::new();
    for who in [&ana, &ben] {
        let device = dialer.log_in(who).await.expect("logs in");
        device.sign_up(who, code.secret).await.expect("signs up");
        online.push(device);
    }
    let made = online[0].ask(CoordRequest::CreateFriendLink).await.expect("a reply");
    let CoordReply::FriendLink { token, .. } = made else { panic!("no link: {made:?}") };
    let proof = LinkSecret([1; 16]).prove(ana.log.account(), ben.log.account());
    online[1].ask(CoordRequest::AcceptFriendLink { token, proof }).await.expect("a reply");
    online[0].ask(CoordRequest::RequestJam { to: ben.handle.clone() }).await.expect("a reply");
    // A stream that is closed for what is on it says so in the log.
    let (mut send, _receive) = online[0].connection.open_bi().await.expect("opens");
    send.write_all(&[0xff; 8]).await.expect("sends");
    send.stopped().await.expect("is closed");
    drop(online);
    server.stop().expect("stops");

    let log = std::fs::read_to_string(log).expect("reads");
    for line in log.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
    for said in ["connected", "hello", "stream closed", "shutting down"] {
        assert!(log.contains(said), "`{said}` is not in\n{log}");
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let secrets = [ana.handle.to_string(), ben.handle.to_string(), hex(&code.secret.0), hex(&token.0)];
    for secret in secrets.iter().map(String::as_str).chain(["127.0.0.1:", "1990-01-01"]) {
        assert!(!log.contains(secret), "`{secret}` is in\n{log}");
    }
}
