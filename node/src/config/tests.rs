//! What flags, environment and the configuration file set, and what they are refused for.

use clap::Parser;
use proptest::prelude::*;

use super::*;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    options: Options,
}

#[test]
fn a_wrong_line_is_named_and_the_others_hold() {
    let text = "listen = 4472\nsink = \"loud\"\n\ndac_ppm = -40.5\ncolour = \"red\"\nclock_ppm = [1]\ndevice = \nclock_offset = \"2h\"\n";
    let (options, warnings) = read_file(text);
    assert_eq!(options.listen, Some(SocketAddr::from(([0, 0, 0, 0], 4472))));
    assert_eq!(options.dac_ppm, Some(Ppm(-40.5)));
    assert_eq!(options.clock_offset, Some(Span::from_secs(7_200)));
    assert_eq!(options.device, None);
    let lines: Vec<&str> = warnings.iter().map(|warning| &warning[..6]).collect();
    assert_eq!(lines, ["line 2", "line 5", "line 6", "line 7"], "{warnings:#?}");
    assert!(warnings[0].contains("`sink` must be cpal, virtual, wav or null"), "{}", warnings[0]);
}

#[test]
fn flags_come_before_the_file_and_the_file_before_defaults() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().as_os_str().to_owned();
    let paths = Paths::from_env(|name| (name == "JAMSYNC_HOME").then(|| home.clone())).expect("valid");
    fs::write(paths.config_file(), "sink = \"null\"\ndevice = \"file\"\noops").expect("writes");
    let options = Options { device: Some("flag".into()), ..Options::default() };
    let (settings, warnings) = Settings::load(&paths, &options);
    assert_eq!((settings.sink, settings.device.as_deref()), (SinkKind::Null, Some("flag")));
    assert_eq!(settings.dac_latency, DAC_LATENCY);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("config.toml: line 3 "), "{warnings:?}");
}

#[test]
fn a_recording_that_no_sink_makes_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().as_os_str().to_owned();
    let paths = Paths::from_env(|name| (name == "JAMSYNC_HOME").then(|| home.clone())).expect("valid");
    let record = Some(PathBuf::from("/var/ana"));
    for (sink, records) in [
        (None, false),
        (Some(SinkKind::Null), false),
        (Some(SinkKind::Wav), true),
        (Some(SinkKind::Virtual), true),
    ] {
        let options = Options { sink, record: record.clone(), ..Options::default() };
        let (settings, warnings) = Settings::load(&paths, &options);
        assert_eq!((settings.records(), warnings.len()), (records, 0), "{sink:?}");
    }
    assert!(Settings::load(&paths, &Options::default()).0.records(), "nothing is to be recorded");
    // The file keeps no program from starting.
    fs::write(paths.config_file(), "record = \"/var/ana\"").expect("writes");
    let (settings, warnings) = Settings::load(&paths, &Options::default());
    assert!(!settings.records());
    assert!(
        warnings.len() == 1 && warnings[0].contains("config.toml: `record` does nothing"),
        "{warnings:?}"
    );
}

#[test]
fn spans_name_their_unit() {
    for (text, expected) in [
        ("-90", Some(Span::from_secs(-90))),
        ("1000h", Some(Span::from_secs(3_600_000))),
        ("1.5ms", Some(Span::from_micros(1_500))),
        ("9223372036854775807ns", Some(Span::MAX)),
        ("9223372036854775807h", None),
        ("1 day", None),
        ("nan", None),
        ("", None),
    ] {
        assert_eq!(span(text).ok(), expected, "{text:?}");
    }
}

proptest! {
    #[test]
    fn the_daemon_understands_the_flags_it_is_passed(
        port: Option<u16>, sink in prop::option::of(0usize..4), device in prop::option::of("[^\0]{0,20}"),
        ppm in prop::option::of(-1000.0..1000.0f64), offset: Option<i64>, zero: bool,
    ) {
        let options = Options {
            listen: port.map(|port| SocketAddr::from(([127, 0, 0, 1], port))),
            sink: sink.map(|i| [SinkKind::Cpal, SinkKind::Virtual, SinkKind::Wav, SinkKind::Null][i]),
            device,
            record: Some("/var/a b".into()),
            when_away: Some(WhenAway::Wait),
            dac_ppm: ppm.map(Ppm),
            dac_latency_ms: Some(Span::from_micros(12_500)),
            clock_offset: offset.map(Span::from_nanos),
            clock_ppm: None,
            clock_step: offset.map(|offset| (Span::from_secs(9), Span::from_nanos(offset))),
            test_sleep: offset.map(|offset| (Span::from_nanos(offset), Span::from_secs(6))),
            test_zero_offset: zero,
            test_hold_rate: !zero,
            test_peer_via: port.map(|port| SocketAddr::from(([127, 0, 0, 1], port))),
        };
        let flags = options.to_flags().expect("absolute");
        let parsed = Flags::try_parse_from([OsString::from("jamsync")].into_iter().chain(flags));
        prop_assert_eq!(parsed.map_err(|error| error.to_string()).map(|flags| flags.options), Ok(options));
    }
}
