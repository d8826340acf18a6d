//! The programs that embed the protocol, where the other side is not there.

use std::process::Command;

use super::stage::told;

#[test]
fn a_guest_is_given_the_name_of_a_host() {
    for program in [env!("CARGO_BIN_EXE_embed_udp"), env!("CARGO_BIN_EXE_embed_tokio")] {
        // Nobody listens there, which only who has looked the name up can find.
        let output = Command::new(program).args(["guest", "localhost:1"]).output().unwrap();
        let (code, _, complaint) = told(&output);
        assert_eq!(code, Some(2), "{program}: {complaint}");
        assert!(complaint.contains("refused"), "{program}: {complaint}");
    }
}
