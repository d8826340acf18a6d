//! Tests of the settings: every source, in its order, and what is refused.

use std::io::Write;

use clap::Parser;
use proptest::{prelude::*, sample::Index};

use super::*;

/// A program that has nothing but the settings.
#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    config: Config,
}

fn sources(flags: &[&str], file: Option<PathBuf>) -> Sources {
    use clap::CommandFactory;
    let matches =
        Program::command().try_get_matches_from([&["program"], flags].concat()).expect("valid flags");
    Sources::new(&matches, file)
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("writes");
    file
}

#[test]
fn a_flag_stands_before_the_file_and_the_file_before_the_default() {
    let file = file("minimum_age = 18\nrequest_expiry_s = 60\npublic = [\"a.example:1\", \"b.example:2\"]\n");
    let sources = sources(&["--minimum-age", "14"], Some(file.path().to_owned()));
    let loaded = sources.load().expect("valid");
    let config = &loaded.config;
    assert_eq!((config.minimum_age, config.request_expiry_s, config.connections_max), (14, 60, 20_000));
    assert_eq!(config.public.len(), 2);
    let origin =
        |name: &str| loaded.settings.iter().find(|given| given.name == name).map(|given| given.origin);
    assert_eq!(origin("minimum_age"), Some(Origin::Flag));
    assert_eq!(origin("request_expiry_s"), Some(Origin::File(2)));
    assert_eq!(origin("connections_max"), Some(Origin::Default));
}

#[test]
fn what_a_check_prints_is_a_file_that_says_the_same() {
    let before = sources(&["--public=a.example:1,b.example:2", "--minimum-age=21", "--data=/srv/jam"], None);
    let before = before.load().expect("valid");
    let text: Vec<String> = before.settings.iter().map(ToString::to_string).collect();
    let file = file(&text.join("\n"));
    let after = sources(&[], Some(file.path().to_owned())).load().expect("valid");
    assert_eq!(after.config, before.config);
}

#[test]
fn a_wrong_line_is_named_with_what_is_allowed() {
    let wrong = |text: &str| sources::parse(text).expect_err("wrong").join("\n");
    assert_eq!(wrong("\nminimum_age = 200"), "line 2: `minimum_age` must be a whole number from 0 to 99");
    assert_eq!(wrong("minimum_age = -1"), "line 1: `minimum_age` must be a whole number from 0 to 99");
    assert_eq!(wrong("minimum_age = true"), "line 1: `minimum_age` cannot be of the kind boolean");
    assert_eq!(wrong("tier_default = \"gold\""), "line 1: `tier_default` must be one of free, premium");
    assert!(wrong("operations = \"0.0.0.0:80\"").contains("of this machine alone"));
    assert!(wrong("public = \"host\"").contains("must be host:port"));
    assert!(wrong("listen = 4470").contains("must be an address with a port"));
    assert!(wrong("a = ").starts_with("line 1 is not TOML: "));
    let unknown = wrong("minimumage = 3");
    assert!(unknown.starts_with("line 1: `minimumage` is no setting; there are data, listen,"), "{unknown}");
    assert!(unknown.contains("minimum_age"), "{unknown}");
    let two = wrong("x = 1\nminimum_age = 200\n");
    assert_eq!(two.lines().count(), 2, "every wrong line is named: {two}");
}

#[test]
fn a_file_that_is_missing_is_named() {
    let missing = sources(&[], Some("no/such/file.toml".into())).load().expect_err("missing");
    assert!(missing.to_string().contains("no/such/file.toml"), "{missing}");
}

#[test]
fn the_defaults_of_the_settings_are_those_of_the_rules_and_limits() {
    let config = sources(&[], None).load().expect("valid").config;
    assert_eq!(config.limits(), Limits::default());
    let (rules, default) = (config.rules(), rules::Settings::default());
    assert_eq!(rules.minimum_age, default.minimum_age);
    assert_eq!(rules.tier_default, default.tier_default);
    assert_eq!(rules.request_life, default.request_life);
}

#[test]
fn an_address_has_a_host_and_a_port() {
    for right in ["jam.example.org:4470", "192.0.2.1:1", "[2001:db8::1]:4470"] {
        assert!(public(right).is_ok(), "{right}");
    }
    for wrong in ["", "4470", "host", "host:", ":4470", "host:0", "host:70000", "2001:db8::1:4470"] {
        assert!(public(wrong).is_err(), "{wrong}");
    }
}

/// The example file with every setting in force.
fn example() -> String {
    let example = include_str!("../../coordinator.toml");
    let lines = example
        .lines()
        .map(|line| line.strip_prefix('#').unwrap_or(line))
        .filter(|line| !line.starts_with(' '));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_file_names_every_setting_with_its_default() {
    let file = file(&example());
    let of_file = sources(&[], Some(file.path().to_owned())).load().expect("valid");
    assert!(of_file.settings.iter().all(|given| matches!(given.origin, Origin::File(_))), "{of_file:?}");
    let default = sources(&[], None).load().expect("valid").config;
    // Two have no default, and so show an example.
    let expected =
        Config { data: of_file.config.data.clone(), public: of_file.config.public.clone(), ..default };
    assert_eq!(of_file.config, expected);
}

/// Reads a file of these bytes: settings, or every wrong line by its number, or that it is no text.
fn read(bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("writes");
    let lines_max = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
    match sources(&[], Some(file.path().to_owned())).load() {
        Ok(loaded) => assert!(std::str::from_utf8(bytes).is_ok() && !loaded.settings.is_empty()),
        Err(ConfigError::Unreadable { .. }) => assert!(std::str::from_utf8(bytes).is_err()),
        Err(ConfigError::Wrong { lines, .. }) => {
            assert!(!lines.is_empty());
            for line in lines {
                let words = line.strip_prefix("line ").expect("a line is named");
                let number = words.split([' ', ':']).next().and_then(|number| number.parse::<usize>().ok());
                assert!(number.is_some_and(|number| (1..=lines_max).contains(&number)), "{line}");
            }
        }
        // Two lines that are right each, and not together.
        Err(other) => assert!(matches!(other, ConfigError::Flag(_)), "{other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes_are_settings_or_lines_that_are_named(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read(&bytes);
    }

    #[test]
    fn random_lines_are_settings_or_lines_that_are_named(
        text in "((minimum_age|listen|public|markets|log|x) *[=\\[]{1,2} *[0-9a-zA-Z\"\\[\\]{}.:,_ -]{0,24}\n){0,4}"
    ) {
        read(text.as_bytes());
    }

    #[test]
    fn a_damaged_file_is_settings_or_lines_that_are_named(
        changes in prop::collection::vec((any::<Index>(), any::<u8>(), 0u8..3), 1..6),
    ) {
        let mut bytes = example().into_bytes();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.drain(at..(at + usize::from(byte)).min(bytes.len() - 1).max(at))),
            }
        }
        read(&bytes);
    }
}
