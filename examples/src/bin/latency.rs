//! `latency`: measures how far apart two listeners hear the same music, under named and seeded conditions.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use jamsync_examples::{
    latency::{
        Case, Claim, Comparison, Goal, Player, Report, SCHEMA_VERSION, Series, live, page,
        peer::{self, Code, Meeting, PeerOptions},
        simulate::{self, Machine},
        tables, write_series,
    },
    score::{Assertion, Plan, Recording, score},
};
use jamsync_node::clock::NodeClock;
use jamsync_protocol::time::Span;
use tokio::signal::unix::{SignalKind, signal};

/// Measure how far apart two listeners hear the same music, from the sound that comes out.
///
/// Exit status 0 when every assertion holds, 1 when one does not, 2 for wrong use, 4 when nothing could be
/// measured, also because the machine was too busy.
#[derive(Debug, Parser)]
#[command(name = "latency", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Name the scenarios that are built in
    List,
    /// Run real nodes through a scenario
    #[command(
        after_help = "Examples:\n  latency live lan --seconds 60\n  latency live wan50 --seeds 3 --html wan50.html --assert 'net_p99_us<=250'\n  latency live my-scenario.toml\n  latency live goals controls suspend --seeds 3 --table results.md"
    )]
    Live(Runs),
    /// Run the same machines through a scenario in virtual time, faster than they would play
    #[command(
        after_help = "Examples:\n  latency simulate wan50 --seeds 10\n  latency simulate lan --lateness-us 0 --assert 'net_p99_us<=100'"
    )]
    Simulate {
        #[command(flatten)]
        runs: Runs,
        /// How late a node's process runs on the machine that is imagined: the mean in us
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=10_000))]
        lateness_us: u32,
    },
    /// Score one recording that holds both sides: left against right, or channels 1-2 against 3-4
    #[command(after_help = "Example:\n  latency recording both.wav --assert 'p99_us<=1000'")]
    Recording {
        /// A WAV file.
        file: PathBuf,
        /// Fail unless this holds, for example p99_us<=1000. May be given several times
        #[arg(long = "assert", value_name = "FIGURE<=NUMBER")]
        assertions: Vec<Assertion>,
    },
    /// Compare the recordings of two real machines, far apart: both run this while they play and record
    #[command(after_help = PEER_EXAMPLES)]
    Peer(PeerArguments),
    /// Put the figures of two results side by side
    #[command(after_help = "Example:\n  latency compare before.json after.json")]
    Compare {
        /// What `--json` wrote before.
        before: PathBuf,
        /// And after.
        after: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Runs {
    /// Names of scenarios, TOML files that describe one, or `goals` for all that have a goal
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// How many seeds, counted from --first-seed
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// How long each run is scored; the scenario says otherwise
    #[arg(long, value_parser = clap::value_parser!(u32).range(20..=3_600))]
    seconds: Option<u32>,
    /// Where finished runs are kept; those of the same build are not repeated, unless --keep is given
    #[arg(long, value_name = "DIR", default_value = "target/latency")]
    results: PathBuf,
    /// How many runs at once; more than two disturb each other where they play in real time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Keep the recordings of live runs in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Write tables with a row for each scenario to this file, in Markdown
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Write the whole result to this file; with several scenarios, one file for each, its name in the file's
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the series to this folder
    #[arg(long, value_name = "DIR")]
    csv: Option<PathBuf>,
    /// Write a page with plots to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Fail unless this holds, for example net_p99_us<=250. May be given several times
    #[arg(long = "assert", value_name = "FIGURE<=NUMBER")]
    claims: Vec<Claim>,
    /// Where the binaries are; by default beside this one
    #[arg(long, value_name = "DIR", hide = true)]
    binaries: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct PeerArguments {
    /// Where the other machine listens, HOST:PORT; with --listen where this one does. TCP and UDP
    address: String,
    /// This machine's recording: NAME of NAME.wav and NAME.stamps.csv. It may still be growing
    recording: PathBuf,
    /// Wait for the other machine, and print the code that it needs
    #[arg(long)]
    listen: bool,
    /// How long the clocks are compared, while both record
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(i64).range(10..=300), conflicts_with = "code")]
    seconds: i64,
    /// What the listening machine printed
    #[arg(long, required_unless_present = "listen", conflicts_with = "listen")]
    code: Option<Code>,
    /// Write the whole result to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

const PEER_EXAMPLES: &str = "This measures nodes with virtual sound cards, which record what they play and stamp it. \
    Both first start theirs so, after `jamsync stop`, and play together:\n\n\
    Ana:  mkdir -p recordings; jamsync daemon --sink virtual --record recordings/ana\n\
    Ben:  mkdir -p recordings; jamsync daemon --sink virtual --record recordings/ben\n\n\
    and while the music plays:\n\n\
    Ana:  latency peer 0.0.0.0:4490 recordings/ana --listen\n\
    Ben:  latency peer ana.example:4490 recordings/ben --code CODE-FROM-ANA\n\n\
    For a recorder of your own, write NAME.wav, and beside it NAME.stamps.csv: lines of frame,nanoseconds, where \
    the first counts the frames of the WAV from 0 and the second is what CLOCK_MONOTONIC_RAW reads when that frame is \
    heard. Both rise from line to line; the first line may be a heading.\n\n\
    The recordings of that time travel unencrypted, as one channel of 16 bit.";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => return trouble(&error.into()),
    };
    // The branch that is not taken is dropped, and with it every process that it started.
    let outcome = tokio::select! {
        outcome = run(arguments.command) => outcome,
        _ = tokio::signal::ctrl_c() => return ExitCode::from(130),
        _ = terminate.recv() => return ExitCode::from(143),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => trouble(&error),
    }
}

fn trouble(error: &anyhow::Error) -> ExitCode {
    eprintln!("latency: {error:#}");
    ExitCode::from(if error.is::<WrongUse>() { 2 } else { 4 })
}

/// What the command line or a scenario file asks for cannot be, and nothing was begun.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
struct WrongUse(anyhow::Error);

/// Whether every assertion holds.
async fn run(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::List => {
            let widest = Case::names().map(str::len).max().unwrap_or_default();
            for name in Case::names() {
                println!("{name:<widest$}  {}", Case::built_in(name)?.about);
            }
            Ok(true)
        }
        Command::Live(options) => play(&options, None).await,
        Command::Simulate { runs, lateness_us } => {
            let machine = Machine { lateness: Span::from_micros(i64::from(lateness_us)) };
            play(&runs, Some(machine)).await
        }
        Command::Recording { file, assertions } => recording(&file, &assertions),
        Command::Peer(arguments) => peer(arguments).await,
        Command::Compare { before, after } => {
            print!("{}", Comparison::of(&read(&before)?, &read(&after)?));
            Ok(true)
        }
    }
}

/// Plays every scenario by each seed, in virtual time where a machine is given, and reports.
async fn play(options: &Runs, machine: Option<Machine>) -> anyhow::Result<bool> {
    // What cannot be played or asserted is said before hours have passed.
    let cases = cases(options, machine.is_some()).map_err(WrongUse)?;
    let (mut reports, mut all_hold) = (Vec::new(), true);
    for case in cases {
        let report = report(options, machine, case).await?;
        print!("\n{report}");
        write_out(options, &report)?;
        for claim in &options.claims {
            all_hold &= holds(claim, &report)?;
        }
        reports.push(report);
        if let Some(path) = &options.table {
            std::fs::write(path, tables(&reports))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    if reports.iter().any(|report| report.seeds.is_empty()) {
        bail!("no run counts: the machine was too busy each time; close other programs and run it again");
    }
    if let Some(report) = reports.iter().find(|report| !report.is_measured()) {
        let why = report.troubles.first().map_or("no sound was compared", String::as_str);
        bail!("nothing could be measured of {}: {why}; the lines above name each step", report.case.name);
    }
    Ok(all_hold)
}

/// The cases to play, each of which can be played and judged.
fn cases(options: &Runs, is_simulated: bool) -> anyhow::Result<Vec<Case>> {
    if is_simulated && options.keep.is_some() {
        bail!("--keep is for the recordings of live runs, and a simulated one makes none: leave it out");
    }
    let with_goal = || Case::names().filter(|name| Goal::of(name).is_some());
    let names = options.scenarios.iter().flat_map(|name| match name.as_str() {
        "goals" => with_goal().map(str::to_owned).collect(),
        name => vec![name.to_owned()],
    });
    let mut cases: Vec<Case> = Vec::new();
    for name in names {
        let whole = case(&name)?;
        let case = whole.clone().lasting(options.seconds);
        if is_simulated { simulate::check(&case) } else { live::check(&case) }?;
        if cases.iter().any(|other| other.name == case.name) {
            bail!("{0} is asked for twice, and one result would replace the other: name it once", case.name);
        }
        let nothing = Report::of(case.clone(), Vec::new());
        options.claims.iter().try_for_each(|claim| judged(claim, &nothing).map(drop))?;
        for left_out in case.left_out_of(&whole) {
            println!("{}: {left_out}", case.name);
        }
        cases.push(case);
    }
    Ok(cases)
}

async fn report(options: &Runs, machine: Option<Machine>, case: Case) -> anyhow::Result<Report> {
    let music = options.results.join("music");
    let player = match machine {
        Some(machine) => Player::Simulated { music, machine },
        None => {
            let binaries = live::binaries(options.binaries.as_deref())?;
            Player::Live(live::Places { binaries, music, recordings: options.keep.clone() })
        }
    };
    let seeds = options.first_seed..options.first_seed.saturating_add(options.seeds);
    let series = Series::new(case.clone(), player, &options.results)?;
    Ok(Report::of(case, series.play(seeds, options.jobs.into()).await?))
}

/// Whether a claim holds; says so where it does not.
fn holds(claim: &Claim, report: &Report) -> anyhow::Result<bool> {
    let holds = judged(claim, report)?;
    if !holds {
        println!("does not hold      {claim}");
    }
    Ok(holds)
}

/// What a claim comes to; refused where there is no such figure.
fn judged(claim: &Claim, report: &Report) -> anyhow::Result<bool> {
    claim.holds(report).with_context(|| {
        let known: Vec<&str> = report.figures().into_iter().map(|(name, _)| name).collect();
        format!("{claim}: there is no such figure; there are {}", known.join(", "))
    })
}

fn case(name: &str) -> anyhow::Result<Case> {
    let path = Path::new(name);
    let is_file = path.extension().is_some_and(|extension| extension == "toml");
    if !is_file {
        return Ok(Case::built_in(name)?);
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    Case::from_toml(&text).with_context(|| format!("{name} is no scenario"))
}

fn write_out(options: &Runs, report: &Report) -> anyhow::Result<()> {
    let failed = |path: &Path| format!("cannot write {}", path.display());
    let is_one = matches!(options.scenarios.as_slice(), [one] if one != "goals");
    let named = |path: &Path| if is_one { path.to_owned() } else { of_case(path, &report.case.name) };
    if let Some(path) = &options.json.as_deref().map(named) {
        std::fs::write(path, serde_json::to_vec_pretty(report)?).with_context(|| failed(path))?;
    }
    if let Some(folder) = &options.csv.as_deref().map(named) {
        write_series(report, folder).with_context(|| failed(folder))?;
    }
    if let Some(path) = &options.html.as_deref().map(named) {
        std::fs::write(path, page(report)).with_context(|| failed(path))?;
    }
    Ok(())
}

/// The file for one of several cases: its name before the ending, whatever other dots there are.
fn of_case(path: &Path, case: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ending = path.extension().map(|ending| format!(".{}", ending.to_string_lossy())).unwrap_or_default();
    path.with_file_name(format!("{stem}-{case}{ending}"))
}

fn recording(file: &Path, assertions: &[Assertion]) -> anyhow::Result<bool> {
    let (a, b) = Recording::read_both_sides(file)?;
    let score = score(&a, &b, &Plan::everything_in(&a, &b))?;
    score.judged()?;
    print!("{score}");
    let broken: Vec<&Assertion> = assertions.iter().filter(|claim| !claim.holds(&score)).collect();
    for assertion in &broken {
        println!("does not hold      {assertion}");
    }
    Ok(broken.is_empty())
}

async fn peer(arguments: PeerArguments) -> anyhow::Result<bool> {
    let PeerArguments { address, recording, listen: _, seconds, code, json } = arguments;
    let meeting = match code {
        Some(code) => Meeting::Connect { address, code },
        None => Meeting::Listen { address, lasts: Span::from_secs(seconds) },
    };
    let options = PeerOptions { meeting, recording, clock: NodeClock::system() };
    let report = peer::run(&options, |progress| println!("{progress}")).await?;
    print!("\n{report}");
    if let Some(path) = &json {
        let failed = || format!("cannot write {}", path.display());
        std::fs::write(path, serde_json::to_vec_pretty(&report)?).with_context(failed)?;
    }
    Ok(true)
}

fn read(path: &Path) -> anyhow::Result<Report> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let foreign = || format!("{} is no result of this program", path.display());
    let value: serde_json::Value = serde_json::from_str(&text).with_context(foreign)?;
    let version = value.get("schema_version").and_then(serde_json::Value::as_u64).with_context(foreign)?;
    anyhow::ensure!(
        version == u64::from(SCHEMA_VERSION),
        "{} is of version {version} of the results and this program reads version {SCHEMA_VERSION}: measure it again",
        path.display()
    );
    serde_json::from_value(value).with_context(foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_case_stands_before_the_ending_of_its_file_and_replaces_nothing() {
        for (path, wanted) in [
            ("out/results-0.1.json", "out/results-0.1-lan.json"),
            ("results", "results-lan"),
            ("page.html", "page-lan.html"),
        ] {
            assert_eq!(of_case(Path::new(path), "lan"), Path::new(wanted));
        }
    }
}
