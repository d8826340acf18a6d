//! What must hold where the host changes: one host once the two have met, and at most one jump of the sound.

use jamsync_protocol::time::Span;

use super::Checks;
use crate::world::side::Side;

/// So long after a change of host what the servo does is put down to it.
const CHANGES: Span = Span::from_secs(12);
/// So long a process may be silent that begins anew, or hears again.
const BEGINS_WITHIN: Span = Span::from_secs(4);

impl Checks {
    /// A process is killed.
    pub(crate) fn dies(&mut self) {
        self.counters.kills += 1;
    }

    /// A process begins anew: until it has found its place its own sound may jump, but not the other's.
    pub(crate) fn begins_anew(&mut self, who: usize, now: Span) {
        self.begun[who] = now + Span::from_secs(8);
        let begun = now + BEGINS_WITHIN;
        // Where the path goes meanwhile in either direction, it begins when that is back.
        let outages = self.path.a_to_b.outages.iter().chain(&self.path.b_to_a.outages);
        let parted = outages.filter(|outage| outage.from < begun && now < outage.from + outage.lasts);
        let back = parted.map(|outage| outage.from + outage.lasts + BEGINS_WITHIN);
        self.blind = back.fold(self.blind.max(begun), Span::max);
        self.troubled = now;
        self.acted = now;
        self.last[who] = None;
    }

    /// A Jam begins once both meet: what its host adds until then has another name from then on.
    pub(crate) fn another_jam(&mut self) {
        self.renames = true;
    }

    /// The host's queue begins anew.
    pub(super) fn replaced(&mut self) {
        if std::mem::take(&mut self.renames) {
            self.ledger = super::Ledger::default();
        }
    }

    /// No more than one jump of the servo comes of a change of host.
    pub(super) fn judge_change(&mut self, now: Span, sides: &[Side; 2]) -> Result<(), String> {
        for (who, side) in sides.iter().enumerate() {
            let Some((at, before)) = self.changed[who] else { continue };
            let calm = self.learning == Span::ZERO && !self.coarse && self.begun[who] < at;
            if now - at > CHANGES || !side.is_awake() || self.troubled > at {
                self.changed[who] = None;
            } else if calm && side.player.reanchors > before + 1 {
                let jumps = side.player.reanchors - before;
                return Err(format!("a change of host jumps more than once: side {who}, {jumps} times"));
            }
        }
        Ok(())
    }
}

/// Whether a side is the host, and not only for now.
pub(crate) fn by_right(side: &Side) -> bool {
    side.session.is_host() && !side.session.is_provisional()
}

/// Once all is quiet one of both is the host by right, and both know it.
pub(super) fn judge_host(sides: &[Side; 2]) -> Result<(), String> {
    let [here, there] = sides.each_ref().map(|side| &side.session);
    let one = by_right(&sides[0]) != by_right(&sides[1]) && here.is_host() != there.is_host();
    if one && here.term() == there.term() && here.host() == there.host() {
        return Ok(());
    }
    let of = |side: &Side| (side.session.is_host(), side.session.is_provisional(), side.session.term());
    Err(format!("not one host after quiet: {:?} and {:?}", of(&sides[0]), of(&sides[1])))
}

/// Whether both will sound the same once all agreed has taken effect, whoever said it.
pub(super) fn sounds_the_same(here: &Side, there: &Side) -> bool {
    let last = |side: &Side| {
        side.session.timeline().last().map(|last| (last.entry, last.position, last.at, last.playing))
    };
    last(here) == last(there)
}

/// Whether a side has been told what plays before it has the queue in which that stands. It waits behind whatever else is on
/// the path, and until it is there nothing can sound.
pub(super) fn lacks_what_plays(side: &Side) -> bool {
    let plays = side.session.timeline().last().and_then(|anchor| anchor.entry);
    plays.is_some_and(|entry| side.session.queue().entry(entry).is_none())
}
