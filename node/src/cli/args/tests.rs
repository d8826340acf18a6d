//! How commands are read, and what their help says.

use clap::CommandFactory;

use super::*;
use crate::api::ErrorCode;

fn parse(line: &str) -> Result<Command, clap::error::ErrorKind> {
    Cli::try_parse_from(line.split(' ')).map(|cli| cli.command).map_err(|error| error.kind())
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_an_example() {
    fn check(command: &clap::Command) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("Example"), "{}", command.get_name());
        command.get_subcommands().for_each(check);
    }
    Cli::command().get_subcommands().for_each(check);
}

#[test]
fn every_exit_status_is_documented() {
    for code in ErrorCode::ALL {
        let status = code.exit_status();
        assert!(AFTER_HELP.contains(&format!("{status:>2}  ")), "{status}");
    }
}

#[test]
fn steps_back_are_no_flags() {
    assert!(matches!(parse("jamsync seek -10"), Ok(Command::Seek { to: SeekTo::ByMs(-10_000) })));
    assert!(matches!(parse("jamsync seek -1:30 --json"), Ok(Command::Seek { to: SeekTo::ByMs(-90_000) })));
    assert!(matches!(
        parse("jamsync --json seek 1:30"),
        Ok(Command::Seek { to: SeekTo::PositionMs(90_000) })
    ));
}

#[test]
fn messages_of_a_contact_are_no_commands_and_commands_no_contacts() {
    assert!(matches!(
        parse("jamsync messages ben --peek"),
        Ok(Command::Messages { what: None, name: Some(_), peek: true, .. })
    ));
    assert!(matches!(
        parse("jamsync messages accept ben"),
        Ok(Command::Messages { what: Some(Messages::Accept { .. }), name: None, .. })
    ));
    assert!(matches!(
        parse("jamsync messages -- accept"),
        Ok(Command::Messages { what: None, name: Some(_), .. })
    ));
    for line in ["jamsync react ben --message 3f2a none", "jamsync react ben none --message 3f2a"] {
        let Ok(Command::React { words, message: Some(_) }) = parse(line) else { panic!("{line}") };
        assert_eq!(words, ["ben", "none"], "{line}");
    }
}

#[test]
fn mistakes_are_refused() {
    for line in [
        "jamsync queue add",
        "jamsync queue move 0 1",
        "jamsync queue move 1 0",
        "jamsync volume 101",
        "jamsync seek soon",
        "jamsync request a",
        "jamsync guests maybe",
        "jamsync say",
        "jamsync react",
        "jamsync react ben fire now",
        "jamsync msg ben",
        "jamsync msg ben hello --playing",
        "jamsync msg ben --playing --track a.flac",
        "jamsync msg ben --track a.flac --show A",
        "jamsync msg ben --title A",
        "jamsync messages --peek",
        "jamsync messages accept",
        "jamsync messages receipts maybe",
        "jamsync safety ben --compare 12345",
        "jamsync init --handle ana",
        "jamsync --dac-ppm 1001 status",
        "jamsync dance",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}
