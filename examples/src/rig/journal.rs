//! What was commanded, and when it took effect: the plan by which the recordings are scored.

use jamsync_node::api::AnchorCause;
use jamsync_protocol::time::Span;

use super::node::{Effect, Node};
use crate::score::{Anchor, Plan, TrueRange, TrueTime};

/// The commands of the driver of a run that change what is heard.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    commands: Vec<Command>,
    /// What happened without a command, and until when it may be heard.
    happenings: Vec<(String, TrueRange)>,
    /// When the Jam's music began on both sides.
    begun: Option<TrueTime>,
    /// When the second side entered, where that is scored.
    entry: Option<TrueTime>,
    /// When the scored part of it was over.
    ended: Option<TrueTime>,
}

#[derive(Debug)]
struct Command {
    what: &'static str,
    cause: AnchorCause,
    /// Just before the command was run.
    at: TrueTime,
}

/// The longest that an anchor may take from its command to its effect: lead, latency and a slow machine.
pub(crate) const EFFECT_MAX: Span = Span::from_secs(2);
/// By how much a node's own statement of an instant may be off in true time: the injected rate counts from a
/// start that is known to within a second.
const CLOCK_SLACK: Span = Span::from_millis(1);
/// A pause stops the sound at once, but what a sound card has taken already is still heard, and faded; and its anchor
/// takes effect at once, before the other side can have heard of it.
const PAUSE_TAIL: Span = Span::from_millis(500);

impl Journal {
    /// The command `what` is about to be run.
    pub(crate) fn command(&mut self, what: &'static str, cause: AnchorCause, at: TrueTime) {
        self.commands.push(Command { what, cause, at });
    }

    /// Something happens that nobody commanded and that may be heard within `range`.
    pub(crate) fn happen(&mut self, what: &str, range: TrueRange) {
        self.happenings.push((what.to_owned(), range));
    }

    /// Both sides have begun to play together.
    pub(crate) fn begin(&mut self, at: TrueTime) {
        self.begun = Some(at);
    }

    /// The second side enters music that the first plays already. It is scored from here.
    pub(crate) fn enter(&mut self, at: TrueTime) {
        self.begun = Some(at);
        self.entry = Some(at);
    }

    /// What follows is not scored.
    pub(crate) fn end(&mut self, at: TrueTime) {
        self.ended = Some(at);
    }

    /// The plan, or none where the Jam never began.
    pub(crate) fn plan(&self, nodes: [&Node; 2]) -> Option<Plan> {
        let of = |node: &Node| node.seen.iter().filter_map(|event| node.effect(event)).collect::<Vec<_>>();
        self.plan_by(&nodes.map(of).concat())
    }

    /// The plan by the anchors that took effect at either side.
    pub(crate) fn plan_by(&self, effects: &[Effect]) -> Option<Plan> {
        let span = TrueRange { from: self.begun?, until: self.ended? };
        let entry = self.entry.map(|at| Anchor {
            what: "entry".to_owned(),
            effect: TrueRange { from: at - CLOCK_SLACK, until: at + CLOCK_SLACK },
            sounds: true,
        });
        let commanded = self.commands.iter().filter_map(|command| command.anchor(effects));
        let mut anchors: Vec<Anchor> = entry.into_iter().chain(commanded).collect();
        let mut pauses = Vec::new();
        for (index, pause) in anchors.iter().enumerate().filter(|(_, anchor)| !anchor.sounds) {
            let until = anchors.get(index + 1).map_or(span.until, |next| next.effect.from);
            pauses.push(TrueRange { from: pause.effect.until, until });
        }
        let happened = self.happenings.iter().cloned();
        anchors.extend(happened.map(|(what, effect)| Anchor { what, effect, sounds: true }));
        Some(Plan { span, anchors, pauses })
    }
}

impl Command {
    /// From the first to the last effect that either node names, within the time that one may take.
    fn anchor(&self, effects: &[Effect]) -> Option<Anchor> {
        let allowed = TrueRange { from: self.at - CLOCK_SLACK, until: self.at + EFFECT_MAX };
        let ours = effects.iter().filter(|effect| effect.cause == self.cause);
        let mut effects: Vec<(TrueTime, bool)> = ours
            .map(|effect| (effect.at, effect.playing))
            .filter(|(at, _)| allowed.holds(TrueRange { from: *at, until: *at }))
            .collect();
        effects.sort();
        let (&(first, _), &(last, sounds)) = (effects.first()?, effects.last()?);
        let tail = if sounds { CLOCK_SLACK } else { PAUSE_TAIL };
        let effect = TrueRange { from: first - CLOCK_SLACK, until: last + tail };
        Some(Anchor { what: self.what.to_owned(), effect, sounds })
    }
}
