//! What befalls the order of a Jam: hosts hand over, leave and die, and the network parts in two.

use jamsync_protocol::{id::Participant, session::Command, time::Span};

use super::{WHO, World, checks::by_right};

/// What befalls the order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// Whoever is the host makes the other the host.
    HandOver,
    /// The process is killed, and begins anew from its disk after so long.
    Kill(Span),
    /// Nothing passes in either direction.
    Partition(Span),
    /// Whoever is the host leaves for good, and joins another Jam with the one who went on after so long.
    HostLeaves(Span),
}

/// How long a farewell has to arrive before the one who says it is gone.
const FAREWELL: Span = Span::from_millis(1_500);
/// A process that is back so soon answers for the old connection before the other takes it for lost.
const RESETS_WITHIN: Span = Span::from_secs(8);

impl World<'_> {
    /// Whether something of this kind can happen now, and what follows at once.
    pub(super) fn befall(&mut self, who: usize, fate: Fate) -> Result<(), String> {
        let host = (0..2).find(|who| self.sides[*who].is_awake() && by_right(&self.sides[*who]));
        match fate {
            Fate::HandOver => host.map_or(Ok(()), |host| self.command(host, &Command::HandOver)),
            Fate::Kill(lasts) => {
                self.checks.dies();
                self.sides[who].die(self.now + lasts);
                if lasts < RESETS_WITHIN {
                    self.checks.disconnected(self.now);
                    self.sides[1 - who].reset_at = Some(self.now + lasts);
                }
                Ok(())
            }
            Fate::Partition(lasts) => {
                self.cut_until = self.now + lasts;
                Ok(())
            }
            Fate::HostLeaves(lasts) => match host.filter(|host| self.can_be_left(*host)) {
                Some(host) => {
                    self.leaves = Some((host, self.now + FAREWELL, lasts));
                    self.command(host, &Command::Leave)
                }
                None => Ok(()),
            },
        }
    }

    /// Whether the other side knows the Jam, so that it goes on without this host.
    fn can_be_left(&self, host: usize) -> bool {
        let other = &self.sides[1 - host];
        let knows = other.session.timeline().last().is_some();
        self.leaves.is_none() && self.sides[host].connected && knows && other.is_awake()
    }

    /// Who has said farewell goes.
    pub(super) fn go(&mut self, who: usize) {
        if let Some((leaver, at, lasts)) = self.leaves
            && leaver == who
            && at <= self.now
            && self.sides[who].is_awake()
        {
            self.sides[who].die(self.now + lasts);
            self.leaves = Some((who, Span::MAX, lasts));
        }
    }

    /// A dead side's time has come: it begins anew, as whatever it was. Whether it did.
    pub(super) fn revive(&mut self, who: usize) -> Result<bool, String> {
        if self.sides[who].dead_until.is_some_and(|until| until > self.now) {
            return Ok(false);
        }
        self.sides[who].dac.resume(self.now);
        self.checks.begins_anew(who, self.now);
        if self.leaves.is_none_or(|(leaver, ..)| leaver != who) {
            let outcome = self.sides[who].restart(self.now);
            outcome.map_err(|error| format!("side {who} cannot read its disk: {error}"))?;
            self.drain(who)?;
            return Ok(true);
        }
        if !self.sides[1 - who].is_awake() {
            self.sides[who].dead_until = Some(self.now + Span::from_secs(1));
            return Ok(false);
        }
        self.begin_another_jam(who)?;
        Ok(true)
    }

    /// The one who left joins the other again: the coordinator has told that one, whatever the farewell did.
    fn begin_another_jam(&mut self, guest: usize) -> Result<(), String> {
        self.leaves = None;
        let host = 1 - guest;
        let side = &mut self.sides[host];
        side.over = false;
        side.disconnect();
        side.session.handle_peer_left(side.time(self.now));
        if !side.session.is_host() {
            return Err(format!("the Jam did not survive its host: side {host} knew it and is no host"));
        }
        self.drain(host)?;
        self.places[host] = Participant::FIRST;
        self.places[guest] = WHO[1];
        self.sides[guest].join_anew(self.now);
        self.checks.another_jam();
        Ok(())
    }
}
