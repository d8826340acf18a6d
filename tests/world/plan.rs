//! What a seed stands for: the path, the clocks, the cards, and what the listeners do.

use jamsync_examples::link::{
    Bursts, LinkConfig, Loss, Outage, PathConfig, RouteChange, Scenario, ScenarioError,
};
use jamsync_protocol::{
    media::SampleRate,
    time::{Ppm, Span},
};
use rand::{Rng, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::dac::DacPlan;
pub use super::{fate::Fate, liar::Lie};

/// All that is random about a world, drawn from its seed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it comes from.
    pub seed: u64,
    /// How long it lasts.
    pub lasts: Span,
    /// The name of the path.
    pub scenario: String,
    /// What the listeners do, in order of time.
    pub actions: Vec<Action>,
    /// A wrong build to be caught, for tests of the tests.
    pub fault: Fault,
    /// How the host lies about its clock for a while, if it does.
    pub lie: Option<Lie>,
    pub(super) path: PathConfig,
    pub(super) clocks: [ClockPlan; 2],
    pub(super) dacs: [DacPlan; 2],
}

/// How a node's clock runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockPlan {
    pub(super) offset: Span,
    pub(super) rate: Ppm,
}

/// Something that happens to a side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Action {
    /// When, in true time.
    pub at: Span,
    /// 0 is the host, 1 the guest.
    pub side: usize,
    /// What.
    pub deed: Deed,
}

/// What listeners and machines do. Numbers choose among what is there at that moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Deed {
    /// Play on.
    Resume,
    /// Stop.
    Pause,
    /// Go to this share of the entry, 0 to 1.
    Seek(f64),
    /// Go to the next entry.
    Skip,
    /// Play an entry.
    Play(u32),
    /// Add this many tracks at the end.
    Append(u32),
    /// Add tracks behind what plays.
    PlayNext(u32),
    /// Move one entry behind another.
    Move(u32, u32),
    /// Remove an entry.
    Remove(u32),
    /// Remove all that is to come.
    Clear,
    /// Shuffle what is to come.
    Shuffle(u64),
    /// Take back the last edit.
    Undo,
    /// Let guests control, or not.
    GuestControls(bool),
    /// Set the other side's volume.
    Volume,
    /// Find that an entry's file is missing here.
    Lack(u32),
    /// The connection breaks and is made anew.
    Disconnect,
    /// The machine sleeps.
    Suspend(Span),
    /// The node's clock jumps by so much, and nobody is told.
    ClockStep(Span),
    /// The sound card stands still for so long, and nobody is told.
    CardStops(Span),
    /// The order of the Jam is troubled.
    Befalls(Fate),
}

/// A build that is wrong in one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// None: the build as it is.
    #[default]
    None,
    /// The drift of the peer's clock is held at zero.
    DriftZero,
    /// The clock claims half its bound.
    HalfBound,
    /// The resampler's position is taken to be one frame off, on the guest.
    FrameOff,
    /// The guest takes its probes at face value: the mean of the last exchanges, whatever queues they stood in.
    FaceValue,
    /// The guest's card is timed by the guest's own clock, which then cannot be seen to be wrong.
    OwnClockDac,
    /// The guest forgets one edit that it was told of.
    EditLost,
    /// The disk holds what it held once both had met, and nothing of what came later.
    StaleDisk,
}

/// How much the listeners and the network trouble a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Everything.
    Everything,
    /// The scenario alone: nobody touches anything after the start.
    None,
}

impl Plan {
    /// The world of `seed`, `lasts` long, on a scenario of the seed's choice.
    ///
    /// # Errors
    /// [`ScenarioError`] if a built-in scenario cannot be read.
    pub fn draw(seed: u64, lasts: Span, trouble: Trouble) -> Result<Self, ScenarioError> {
        let names: Vec<&str> = Scenario::names().collect();
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
        let name = names.get(random.random_range(0..names.len())).copied().unwrap_or("lan");
        Self::on(name, seed, lasts, trouble)
    }

    /// The world of `seed` on a scenario.
    ///
    /// # Errors
    /// [`ScenarioError::Unknown`] for a scenario that is not built in.
    pub fn on(name: &str, seed: u64, lasts: Span, trouble: Trouble) -> Result<Self, ScenarioError> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut path = Scenario::built_in(name)?.path;
        let mut clocks = [(); 2].map(|()| ClockPlan {
            offset: Span::from_secs(random.random_range(-3_600_000..3_600_000)),
            rate: Ppm(random.random_range(-25.0..25.0)),
        });
        let mut dacs = [(); 2].map(|()| dac(&mut random));
        let mut actions = Vec::new();
        if trouble == Trouble::None {
            // The errors that every measurement of a scenario injects.
            (clocks[0].rate, clocks[1].rate) = (Ppm::ZERO, Ppm(30.0));
            (dacs[0].error, dacs[1].error) = (Ppm::ZERO, Ppm(50.0));
        }
        if trouble == Trouble::Everything {
            for link in [&mut path.a_to_b, &mut path.b_to_a] {
                disturb(link, lasts, &mut random);
            }
            dacs.iter_mut().for_each(|dac| spoil(dac, &mut random));
            actions = deeds(lasts, &mut random);
            actions.extend(clock_step(seed, lasts));
            actions.extend(long_queue(seed, lasts));
            actions.extend(card_stops(seed, lasts));
            actions.sort_by_key(|action| action.at);
        }
        for link in [&mut path.a_to_b, &mut path.b_to_a] {
            end_outages(link, lasts);
        }
        Ok(Self {
            seed,
            lasts,
            scenario: name.to_owned(),
            actions,
            fault: Fault::None,
            lie: None,
            path,
            clocks,
            dacs,
        })
    }
}

/// How long before the end nobody does anything and the path is whole, so that all can come to rest.
pub(super) const QUIET_END: Span = Span::from_secs(30);

fn dac(random: &mut ChaCha8Rng) -> DacPlan {
    let rate = if random.random_bool(0.7) { SampleRate::HZ_48000 } else { SampleRate::HZ_44100 };
    DacPlan {
        rate,
        error: Ppm(random.random_range(-80.0..80.0)),
        latency: Span::from_millis(random.random_range(20..150)),
        step: Span::ZERO,
        nonsense: 0,
        seed: random.random(),
    }
}

fn spoil(dac: &mut DacPlan, random: &mut ChaCha8Rng) {
    if random.random_bool(0.1) {
        dac.step = Span::from_micros(random.random_range(3_000..9_500));
    }
    if random.random_bool(0.1) {
        dac.nonsense = 3;
    }
}

fn disturb(link: &mut LinkConfig, lasts: Span, random: &mut ChaCha8Rng) {
    if random.random_bool(0.1) {
        link.loss = Loss::Bursts(Bursts { begin: 0.01, end: 0.3, share: 0.9 });
    }
    if random.random_bool(0.2) {
        link.duplicates = 0.02;
    }
    link.keeps_order = random.random_bool(0.7);
    if random.random_bool(0.2) {
        let lasts_for = Span::from_secs(random.random_range(2..40));
        link.outages.push(Outage { from: instant(lasts, random), lasts: lasts_for });
    }
    if random.random_bool(0.15) {
        let delay = link.delay.scaled(random.random_range(0.5..1.5));
        link.routes.push(RouteChange { at: instant(lasts, random), delay });
    }
}

/// The path is whole at the end.
fn end_outages(link: &mut LinkConfig, lasts: Span) {
    let end = lasts - QUIET_END - Span::from_secs(5);
    for outage in &mut link.outages {
        outage.lasts = outage.lasts.min((end - outage.from).max(Span::ZERO));
    }
}

/// One clock in twenty worlds jumps, by more than any path's round trip: less passes for another route. Drawn by itself, so
/// that the other worlds are what they would be without.
fn clock_step(seed: u64, lasts: Span) -> Option<Action> {
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0xc10c);
    let steps = random.random_bool(0.05);
    let by = Span::from_millis(random.random_range(700..3_000) * if random.random() { 1 } else { -1 });
    let (at, side) = (instant(lasts, &mut random), random.random_range(0..2));
    steps.then_some(Action { at, side, deed: Deed::ClockStep(by) })
}

/// One world in ten has hundreds of entries, so that its queue lets go of what was played. Drawn by itself, as the above.
fn long_queue(seed: u64, lasts: Span) -> Vec<Action> {
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x1009);
    if !random.random_bool(0.1) {
        return Vec::new();
    }
    let adds = (0..FOLDERS).map(|_| {
        let (at, side) = (instant(lasts, &mut random).scaled(0.5), random.random_range(0..2));
        Action { at, side, deed: Deed::Append(48) }
    });
    adds.collect()
}

/// Cards stand still in one world of five, some of them before anything is settled. Drawn by itself, as the above.
fn card_stops(seed: u64, lasts: Span) -> Vec<Action> {
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0xd1e5);
    if !random.random_bool(0.2) {
        return Vec::new();
    }
    let stops = (0..random.random_range(1..5)).map(|stop| {
        let early = Span::from_millis(random.random_range(1_000..12_000));
        let at = if stop == 0 { early } else { instant(lasts, &mut random) };
        // As many of a millisecond as of ten and of a hundred.
        let by = Span::from_secs_f64(1e-4 * 10_f64.powf(random.random_range(0.6..3.0)));
        Action { at, side: random.random_range(0..2), deed: Deed::CardStops(by) }
    });
    stops.collect()
}

/// How many times 48 tracks somebody adds to a long queue.
const FOLDERS: u32 = 10;

fn instant(lasts: Span, random: &mut ChaCha8Rng) -> Span {
    lasts.scaled(random.random_range(0.15..0.75))
}

/// Fifty deeds in ten minutes, some in quick succession.
fn deeds(lasts: Span, random: &mut ChaCha8Rng) -> Vec<Action> {
    let end = lasts - QUIET_END - Span::from_secs(5);
    let count = (lasts.as_millis() / 12_000).max(20);
    let mut actions = Vec::new();
    for _ in 0..count {
        let mut at = Span::from_secs(4) + (end - Span::from_secs(4)).scaled(random.random());
        if let Some(Action { at: last, .. }) = actions.last().filter(|_| random.random_bool(0.3)) {
            at = *last + Span::from_millis(random.random_range(1..400));
        }
        let (side, deed) = (random.random_range(0..2), deed(random));
        actions.push(Action { at, side, deed });
        if matches!(deed, Deed::Pause | Deed::Clear | Deed::Lack(_)) {
            let (add, go) = (Span::from_millis(random.random_range(500..4_000)), random.random_range(0..2));
            actions.push(Action { at: at + add, side: go, deed: Deed::Append(3) });
            actions.push(Action { at: at + add.scaled(2.0), side: 0, deed: Deed::GuestControls(true) });
            actions.push(Action { at: at + add.scaled(2.0), side: 0, deed: Deed::Resume });
        }
    }
    actions.sort_by_key(|action| action.at);
    actions.retain(|action| action.at < end);
    for action in &mut actions {
        if let Deed::Suspend(lasts)
        | Deed::Befalls(Fate::Kill(lasts) | Fate::Partition(lasts) | Fate::HostLeaves(lasts)) =
            &mut action.deed
        {
            *lasts = (*lasts).min(end - action.at);
        }
    }
    actions
}

/// What makes another side the host, for a while or for good.
fn fate(random: &mut ChaCha8Rng) -> Fate {
    match random.random_range(0..10) {
        0..3 => Fate::HandOver,
        3..6 => Fate::Kill(Span::from_millis(random.random_range(300..40_000))),
        6..9 => Fate::Partition(Span::from_millis(random.random_range(5_000..90_000))),
        _ => Fate::HostLeaves(Span::from_millis(random.random_range(2_000..20_000))),
    }
}

fn deed(random: &mut ChaCha8Rng) -> Deed {
    let pick = random.random_range(0..100);
    let number: u32 = random.random();
    match pick {
        0..12 => Deed::Resume,
        12..22 => Deed::Pause,
        22..38 => Deed::Seek(random.random()),
        38..44 => Deed::Skip,
        44..50 => Deed::Play(number),
        50..60 => Deed::Append(1 + number % 4),
        60..65 => Deed::PlayNext(1 + number % 2),
        65..71 => Deed::Move(number, random.random()),
        71..76 => Deed::Remove(number),
        76..78 => Deed::Clear,
        78..83 => Deed::Shuffle(random.random()),
        83..88 => Deed::Undo,
        88..92 => Deed::GuestControls(random.random_bool(0.7)),
        92..93 => Deed::Volume,
        93..95 => Deed::Lack(number),
        95..96 => Deed::Disconnect,
        96..98 => Deed::Befalls(fate(random)),
        _ => Deed::Suspend(Span::from_millis(random.random_range(300..40_000))),
    }
}
