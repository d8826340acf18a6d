//! A case: what a run is put through. The link's scenario, and around it the sound cards and the listeners.

use jamsync_protocol::time::Span;
use serde::{Deserialize, Serialize};

use super::{
    edits::Edits,
    happening::{ClockStep, Sleep},
    incident::{Kill, NewAddress},
    range::{Kept as _, ranged, shown},
};
use crate::link::{PathConfig, Scenario, ScenarioError};

/// What a run is put through, as written in a TOML file. A scenario of the link model is one, too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it is called; part of file names.
    pub name: String,
    /// What it stands for, in one line.
    pub about: String,
    /// The path from A, the guest, to B, the host, and back. Default: a perfect one.
    #[serde(default)]
    pub path: PathConfig,
    /// Latency of the sound cards of A and B. 6 to 1,000 ms each, default 60 and 90: a busy
    /// machine does not run them dry.
    #[serde(default = "dac_latency_ms", deserialize_with = "dac_latencies")]
    pub dac_latency_ms: [u16; 2],
    /// How long B has played alone before A joins. 0 to 600 s, default 2.
    #[serde(default = "join_after_s", deserialize_with = "join_after")]
    pub join_after_s: f64,
    /// How long the run is scored. 20 to 3,600 s, default 180. The command line may say otherwise.
    #[serde(default = "seconds", deserialize_with = "run_seconds")]
    pub seconds: u32,
    /// What the listeners do.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// Clocks that jump, one for each node at most.
    #[serde(default)]
    pub clock_steps: Vec<ClockStep>,
    /// Machines that sleep, once each at most.
    #[serde(default)]
    pub sleeps: Vec<Sleep>,
    /// Processes that are killed and started again, each once at most. `live` only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kills: Vec<Kill>,
    /// Nodes that get a new address. `live` only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new_addresses: Vec<NewAddress>,
    /// How long the pieces of music are, of which two play by turns. 20 to 240 s, default 240.
    #[serde(default = "piece_s", deserialize_with = "piece_seconds")]
    pub piece_s: u32,
    /// Whether A has the second piece in another encoding only: the same music, but not the same file.
    #[serde(default)]
    pub two_encodings: bool,
    /// Random edits of the queue; default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edits: Option<Edits>,
}

/// Something that a listener does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// When, counted from A's joining. 0 to 3,600 s.
    #[serde(deserialize_with = "action_at")]
    pub at_s: f64,
    /// Who: a or b.
    pub by: Who,
    /// What.
    #[serde(rename = "do")]
    pub deed: Deed,
    /// For a seek: by how many seconds. -3,600 to 3,600.
    #[serde(default, deserialize_with = "seek_by")]
    pub by_s: i32,
    /// Again and again after so long, until the end of the run; default once. 4 to 3,600 s.
    #[serde(default, deserialize_with = "again_after", skip_serializing_if = "Option::is_none")]
    pub every_s: Option<f64>,
}

/// One of the two listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The guest.
    A,
    /// The host.
    B,
}

/// What a listener does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Stop the music.
    Pause,
    /// Go on.
    Resume,
    /// Go to another place.
    Seek,
    /// Go to the next track.
    Skip,
}

/// Why a case was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// The text is not a case; the message names the line and what is allowed there.
    #[error("{0}")]
    Malformed(String),
    /// No case of that name is built in.
    #[error("no scenario is called {name:?}; `latency list` names them all")]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// A link scenario that is built in cannot be read.
    #[error(transparent)]
    Link(#[from] ScenarioError),
}

/// The cases that are more than a link, in TOML. The link is that of the named scenario, or the file's own.
const FILES: [(&str, Option<&str>, &str); 14] = [
    ("dac200", Some("lan"), include_str!("cases/dac200.toml")),
    ("pause-resume", Some("wan50"), include_str!("cases/pause-resume.toml")),
    ("join-late", Some("wan50"), include_str!("cases/join-late.toml")),
    ("controls", Some("wan50"), include_str!("cases/controls.toml")),
    ("edits150", Some("wan150"), include_str!("cases/edits150.toml")),
    ("clock-step", Some("wan50"), include_str!("cases/clock-step.toml")),
    ("suspend", Some("wan50"), include_str!("cases/suspend.toml")),
    ("outage60", None, include_str!("cases/outage60.toml")),
    ("new-address", Some("wan50"), include_str!("cases/new-address.toml")),
    ("guest-killed", Some("wan50"), include_str!("cases/guest-killed.toml")),
    ("host-killed", Some("wan50"), include_str!("cases/host-killed.toml")),
    ("coordinator-killed", Some("wan50"), include_str!("cases/coordinator-killed.toml")),
    ("two-encodings", Some("wan50"), include_str!("cases/two-encodings.toml")),
    ("long", Some("wifi"), include_str!("cases/long.toml")),
];

/// The same commands as in `controls` over other links.
const CONTROLS: [(&str, &str); 5] = [
    ("controls-lan", "lan"),
    ("controls-wifi", "wifi"),
    ("controls-wan50-jitter", "wan50-jitter"),
    ("controls-wan-normal", "wan-normal"),
    ("controls-wan150", "wan150"),
];

impl Case {
    /// The case of that name.
    ///
    /// # Errors
    /// [`CaseError::Unknown`] for any other name.
    pub fn built_in(name: &str) -> Result<Self, CaseError> {
        if let Some((_, link)) = CONTROLS.iter().find(|(known, _)| *known == name) {
            let link = Scenario::built_in(link)?;
            let about = format!("{} Both pause, resume, seek and skip by turns, every 4 s.", link.about);
            return Ok(Self { name: name.to_owned(), about, path: link.path, ..Self::built_in("controls")? });
        }
        if let Some((_, link, text)) = FILES.iter().find(|(known, _, _)| *known == name) {
            let mut case = Self::from_toml(text)?;
            if let Some(link) = link {
                case.path = Scenario::built_in(link)?.path;
            }
            return Ok(case);
        }
        if !Scenario::names().any(|known| known == name) {
            return Err(CaseError::Unknown { name: name.to_owned() });
        }
        let Scenario { name, about, path } = Scenario::built_in(name)?;
        Ok(Self {
            name,
            about,
            path,
            dac_latency_ms: dac_latency_ms(),
            join_after_s: join_after_s(),
            seconds: seconds(),
            actions: Vec::new(),
            clock_steps: Vec::new(),
            sleeps: Vec::new(),
            kills: Vec::new(),
            new_addresses: Vec::new(),
            piece_s: piece_s(),
            two_encodings: false,
            edits: None,
        })
    }

    /// The names of all cases that are built in.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let files = FILES.iter().map(|(name, _, _)| *name);
        Scenario::names().chain(files).chain(CONTROLS.iter().map(|(name, _)| *name))
    }

    /// Reads a case from a file's text.
    ///
    /// # Errors
    /// [`CaseError::Malformed`] names the line, and the allowed range or keys.
    pub fn from_toml(text: &str) -> Result<Self, CaseError> {
        let case: Self = toml::from_str(text).map_err(|error| CaseError::Malformed(error.to_string()))?;
        match case.misfit() {
            Some(misfit) => Err(CaseError::Malformed(misfit.in_text(text))),
            None => Ok(case),
        }
    }

    /// The same with a time of its own, and with no more edits than fit into it.
    #[must_use]
    pub fn lasting(mut self, seconds: Option<u32>) -> Self {
        self.seconds = seconds.unwrap_or(self.seconds);
        self.edits = self.edits.take().and_then(|edits| edits.within(f64::from(self.seconds)));
        self
    }

    /// What the listeners do in the time of the run, in order, each with its time.
    #[must_use]
    pub fn deeds(&self) -> Vec<(Span, Action)> {
        let end = f64::from(self.seconds);
        let mut all = Vec::new();
        for action in &self.actions {
            let mut at_s = action.at_s;
            while at_s < end {
                all.push((Span::from_secs_f64(at_s), action.clone()));
                at_s += action.every_s.unwrap_or(end);
            }
        }
        all.sort_by_key(|(at, _)| *at);
        all
    }

    /// How late B sounds because half of the path's asymmetry cannot be measured, `elapsed` after the link began.
    #[must_use]
    pub fn hidden_skew_at(&self, elapsed: Span) -> Span {
        self.path.asymmetry_at(elapsed).scaled(0.5)
    }
}

const fn dac_latency_ms() -> [u16; 2] {
    [60, 90]
}

const fn join_after_s() -> f64 {
    2.0
}

const fn seconds() -> u32 {
    180
}

const fn piece_s() -> u32 {
    240
}

ranged!(join_after: f64, 0.0 to 600.0 "s");
ranged!(run_seconds: u32, 20.0 to 3600.0 "whole seconds");
ranged!(piece_seconds: u32, 20.0 to 240.0 "whole seconds");
ranged!(action_at: f64, 0.0 to 3600.0 "s");
ranged!(seek_by: i32, -3600.0 to 3600.0 "whole seconds");

ranged!(period: f64, 4.0 to 3600.0 "s");

fn again_after<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    period(from).map(Some)
}

fn dac_latencies<'de, D: serde::Deserializer<'de>>(from: D) -> Result<[u16; 2], D::Error> {
    let both = <[i64; 2]>::deserialize(from)?;
    let fit = |ms: i64| u16::try_from(ms).ok().filter(|ms| (6..=1_000).contains(ms));
    match both.map(fit) {
        [Some(a), Some(b)] => Ok([a, b]),
        _ => Err(serde::de::Error::custom(format!("{both:?} is outside 6 to 1000 ms each"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_that_is_built_in_reads_and_an_unknown_one_is_named() {
        for name in Case::names() {
            let case = Case::built_in(name).expect(name);
            assert_eq!(case.name, name);
            let again = Case::from_toml(&toml::to_string(&case).expect("writes")).expect("reads");
            assert_eq!(again, case);
        }
        assert!(Case::built_in("moon").unwrap_err().to_string().contains("moon"));
    }

    #[test]
    fn the_scenario_that_shows_every_key_reads_and_its_actions_come_again() {
        let case = Case::from_toml(include_str!("../../latency/my-link.toml")).expect("reads");
        assert!(!case.sleeps.is_empty() && !case.clock_steps.is_empty());
        let seeks = case.deeds().into_iter().filter(|(_, action)| action.deed == Deed::Seek);
        let times: Vec<i64> = seeks.map(|(at, _)| at.as_millis() / 1_000).collect();
        assert_eq!(times, [35, 55]);
    }

    #[test]
    fn the_scenario_that_shows_every_key_shows_every_one_and_reads_with_all_of_them() {
        let text = include_str!("../../latency/my-link.toml");
        let is_key = |line: &str| {
            let key = line.split(['=', ' ']).next().unwrap_or_default();
            let fits = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
            line.starts_with("[[")
                || line.starts_with("[edits]")
                || line.contains(" = ") && key.chars().all(fits)
        };
        let uncommented = |line: &str| match line.strip_prefix("# ") {
            Some(rest) if is_key(rest) => format!("{rest}\n"),
            _ => format!("{line}\n"),
        };
        let all: String = text.lines().map(uncommented).collect();
        let case = Case::from_toml(&all).expect("reads");
        assert!(case.edits.is_some() && !case.kills.is_empty() && !case.new_addresses.is_empty());
        // A key that is not known is refused with those that are.
        for place in [
            "x = 1",
            "path.x = 1",
            "path.a_to_b.x = 1",
            "path.a_to_b.jitter = \"x\"",
            "path.a_to_b.jitter.exponential.x = 1",
            "path.a_to_b.jitter.normal.x = 1",
            "path.a_to_b.spikes.x = 1",
            "path.a_to_b.loss = \"x\"",
            "path.a_to_b.loss.random.x = 1",
            "path.a_to_b.loss.bursts.x = 1",
            "path.a_to_b.bottleneck.x = 1",
            "path.a_to_b.bottleneck.load.x = 1",
            "path.a_to_b.outages = [{ x = 1 }]",
            "path.a_to_b.routes = [{ x = 1 }]",
            "actions = [{ x = 1 }]",
            "actions = [{ do = \"x\" }]",
            "clock_steps = [{ x = 1 }]",
            "sleeps = [{ x = 1 }]",
            "kills = [{ x = 1 }]",
            "kills = [{ of = \"x\" }]",
            "new_addresses = [{ x = 1 }]",
            "edits = { x = 1 }",
        ] {
            let refused = Case::from_toml(&format!("{place}\n")).unwrap_err().to_string();
            let (_, known) = refused.split_once("expected").expect(place);
            let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
            assert!(!known.is_empty(), "{place}: {refused}");
            for key in known {
                let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                assert!(all.split(|c| !is_word(c)).any(|word| word == key), "{place}: {key} is not shown");
            }
        }
    }

    #[test]
    fn a_number_of_300_digits_is_refused_without_printing_them() {
        let refused = Case::from_toml("name = \"x\"\nabout = \"y\"\nseconds = 1e300\n").unwrap_err();
        assert!(refused.to_string().contains("1e300 is outside 20 to 3600 whole seconds"), "{refused}");
    }

    #[test]
    fn what_a_case_must_not_say_is_refused_by_line_and_range() {
        let head = "name = \"x\"\nabout = \"y\"\n";
        for (text, wanted) in [
            ("seconds = 5\n", ["line 3", "20 to 3600 whole seconds"]),
            ("secnods = 50\n", ["line 3", "secnods"]),
            ("join_after_s = -1\n", ["line 3", "0 to 600 s"]),
            ("dac_latency_ms = [1, 60]\n", ["line 3", "6 to 1000 ms"]),
            ("[[actions]]\nat_s = 1\nby = \"c\"\n", ["line 5", "`a` or `b`"]),
            ("[[actions]]\nat_s = -1\n", ["line 4", "0 to 3600 s"]),
            ("[[clock_steps]]\nat_s = 9\nof = \"a\"\nby_s = 9000\n", ["line 6", "-3600 to 3600 s"]),
            ("[[sleeps]]\nat_s = 9\nof = \"b\"\nfor_s = 0\n", ["line 6", "1 to 8 s"]),
            ("[[kills]]\nat_s = 9\nof = \"a\"\naway_s = 500\n", ["line 6", "0 to 120 s"]),
            ("[[kills]]\nat_s = 9\nof = \"c\"\naway_s = 5\n", ["line 5", "`coordinator`"]),
            ("[[new_addresses]]\nat_s = 1\n", ["line 4", "5 to 3600 s"]),
            ("piece_s = 3\n", ["line 3", "20 to 240 whole seconds"]),
            ("[path.a_to_b]\ndelay_ms = -3\n", ["line 4", "0 to 10000 ms"]),
        ] {
            let refused = Case::from_toml(&format!("{head}{text}")).unwrap_err().to_string();
            for part in wanted {
                assert!(refused.contains(part), "{text:?} is refused without {part:?}: {refused}");
            }
        }
    }
}
