//! Entering a Jam, meeting the peer, losing it, leaving.

use std::net::SocketAddr;

use jamsync_protocol::{
    id::JamId,
    identity::{device_log::VerifiedLog, grant::SignedGrant},
    session::Command,
    time::Span,
    wire::{
        coord::{CoordRequest, Introduction, RequestId},
        peer::Hello,
    },
};

use super::{
    Apply, Completion, Engine,
    account::EndedJam,
    friends::dials,
    jam::{ActiveJam, Trust},
    ledger::{NotAgreed, Part},
    run::session_error,
    utc_now,
};
use crate::{
    api::{self, ApiError, ErrorCode, Reply},
    net::{
        coordinator::LinkError,
        peer::{CloseCode, PeerLink},
    },
};

impl Engine {
    /// The coordinator permits a Jam and says how to meet the peer.
    pub(super) fn begin_jam(
        &mut self,
        request: RequestId,
        signed: &SignedGrant,
        introduction: &Introduction,
    ) {
        let logs = self.logs();
        let Some(trust) = self.trust(&logs) else { return };
        let now = self.stage.now();
        let mut jam = match ActiveJam::granted(
            signed,
            self.identity.key(),
            dials(introduction.role),
            self.run,
            trust,
            now,
        ) {
            Ok(jam) => jam,
            Err(error) => {
                self.warn(format!("the coordinator's grant for a Jam is not valid: {error}"));
                return;
            }
        };
        self.name_peer(&mut jam);
        if self.jam.as_ref().is_some_and(|known| known.id == jam.id) || self.has_ended(jam.id) {
            // Told again after a restart of either program: leaving is final.
            tracing::info!(jam = ?jam.id, "a grant that was used before is left alone");
            return;
        }
        if let Err(reason) = self.check_agreed(request, &jam) {
            self.refuse_jam(&jam, &reason);
            return;
        }
        if self.jam.is_some() {
            // The newer Jam is the one the listener has just agreed to.
            let _ = self.leave();
        }
        jam.candidates = self.candidates(introduction.candidates.iter().copied().collect());
        self.port.seek(jam.target());
        let role = if jam.is_host() { api::Role::Host } else { api::Role::Guest };
        self.tell(api::Event::JamStarted { with: jam.with().clone(), role });
        self.jam = Some(jam);
        self.keeper.note_change();
    }

    /// Calls the peer as the listener knows it.
    pub(super) fn name_peer(&self, jam: &mut ActiveJam) {
        if let Some(name) = self.account.as_ref().and_then(|account| account.name_of(jam.peer.account)) {
            jam.peer.handle = name.clone();
        }
    }

    /// Whether a grant answers what the listener asked or accepted, in time for the peer to be waiting still.
    fn check_agreed(&mut self, request: RequestId, jam: &ActiveJam) -> Result<(), NotAgreed> {
        if self.account.as_ref().is_some_and(|account| account.has_blocked(jam.peer.account)) {
            return Err(NotAgreed::Blocked);
        }
        let now = utc_now();
        let part = if jam.is_host() { Part::Host } else { Part::Guest };
        self.ledger.fulfil(request, jam.peer.account, part, now)?;
        if now - jam.issued > GRANT_AGE_MAX { Err(NotAgreed::Late) } else { Ok(()) }
    }

    /// Leaves a granted Jam alone, for good, and lets the other side hear of it.
    fn refuse_jam(&mut self, jam: &ActiveJam, reason: &NotAgreed) {
        let with = jam.with();
        self.warn(format!(
            "the coordinator announced a Jam with {with}, but {reason}; it was not entered: for one, \
             `jamsync request {with}`"
        ));
        self.note_ended(EndedJam { jam: jam.id, until: jam.enterable_until(), told: false });
    }

    /// The peer's addresses are known anew.
    pub(super) fn seek_peer_at(&mut self, id: JamId, candidates: Vec<SocketAddr>) {
        let candidates = self.candidates(candidates);
        let Some(jam) = self.jam.as_mut().filter(|jam| jam.id == id) else { return };
        jam.candidates = candidates;
        self.keeper.note_change();
        // While the connection stands they are only kept: its loss may not have been noticed yet.
        if jam.link.is_none() || jam.renewing {
            self.port.seek(jam.target());
        }
    }

    /// Where to look for the peer: where the coordinator says, unless a test says otherwise.
    pub(super) fn candidates(&self, introduced: Vec<SocketAddr>) -> Vec<SocketAddr> {
        self.settings.peer_via.map_or(introduced, |via| vec![via])
    }

    /// A peer has connected and said hello: judge it.
    pub(super) fn meet(&mut self, link: PeerLink, hello: &Hello) {
        let logs = self.logs();
        let admitted = match (&self.jam, self.trust(&logs)) {
            (Some(jam), Some(trust)) => {
                jam.admit(link.key(), hello, trust).map_err(|error| error.to_string())
            }
            _ => Err("there is no such Jam here".to_owned()),
        };
        if let Err(reason) = admitted {
            self.warn(format!("refused a connection from {}: {reason}", link.address()));
            link.close(CloseCode::Refused, &reason);
            if link.dialled() {
                self.look_again();
            }
            return;
        }
        let now = self.stage.now();
        let Some(jam) = &mut self.jam else { return };
        if !jam.prefers(link.dialled(), hello.run, now) {
            link.close(CloseCode::Superseded, "the connection that was made at the same time is kept");
            return;
        }
        let back = jam.met.is_some() && (jam.lost_since.is_some() || jam.peer_run != Some(hello.run));
        let (me, host, peer, with) = (jam.me, jam.host, jam.peer_place, jam.with().clone());
        (jam.linked, jam.heard, jam.peer_run) = (now, now, Some(hello.run));
        (jam.lost_since, jam.renewing, jam.returning) = (None, false, false);
        if let Some(older) = jam.link.replace(link) {
            // Nothing is heard of this change: music and clock go on, and both sides say again where they stand.
            older.close(CloseCode::Superseded, "a newer connection has taken over");
            self.stage.disconnected();
        }
        jam.talk.handle_connected(hello.run);
        self.port.met();
        if jam.met.is_none() {
            jam.met = Some(utc_now());
            // Until now the listener's own music went on: a Jam that never came about leaves it untouched.
            self.stage.enter_jam(me, host);
        }
        self.stage.connected(peer, self.run ^ hello.run);
        self.keeper.note_change();
        if back {
            self.tell(api::Event::PeerBack { with });
        }
    }

    /// A connection is gone.
    pub(super) fn lose(&mut self, link: u64, reason: String) {
        let now = self.stage.now();
        let Some(jam) = self.jam.as_mut().filter(|jam| jam.uses(link)) else { return };
        jam.lose(now);
        jam.talk.handle_disconnected();
        let with = jam.with().clone();
        self.look_again();
        self.stage.disconnected();
        let waits = self.begin_waiting();
        self.tell(api::Event::PeerLost { with, reason, waits });
    }

    /// Looks for the peer again, where there is no connection to it.
    fn look_again(&mut self) {
        if let Some(jam) = self.jam.as_ref().filter(|jam| jam.link.is_none()) {
            self.port.miss(jam.target());
        }
    }

    /// Makes a second connection beside one on which nothing has come for a while, and gives that up where something
    /// comes after all.
    pub(super) fn renew_silent_link(&mut self) {
        let now = self.stage.now();
        let Some(jam) = &mut self.jam else { return };
        let silent = jam.is_silent(now);
        if silent && !jam.renewing {
            tracing::info!("the peer is silent; dialling it anew");
            self.port.seek(jam.target());
        } else if !silent && jam.renewing && jam.link.is_some() {
            self.port.met();
        }
        jam.renewing = silent;
    }

    /// The listener leaves for good.
    pub(super) fn leave(&mut self) -> Result<(), ApiError> {
        if self.jam.is_none() {
            return self.leave_what_is_left();
        }
        // A peer that is away hears of it from the coordinator.
        let farewell = self.stage.command(Command::Leave).map_err(|error| session_error(&error));
        if let Err(error) = farewell {
            tracing::debug!(%error, "nobody to say goodbye to");
        }
        self.flush();
        self.end_jam(api::JamEnd::YouLeft);
        Ok(())
    }

    /// The Jam is over for this node.
    pub(super) fn end_jam(&mut self, reason: api::JamEnd) {
        let Some(jam) = self.jam.take() else { return };
        self.port.forget(jam.id);
        let with = jam.with().clone();
        if let Some(lost) = jam.talk.undelivered() {
            self.warn(format!("{lost} did not reach {with} before the Jam ended"));
        }
        let peer_left = reason == api::JamEnd::PeerLeft;
        let ended = EndedJam { jam: jam.id, until: jam.enterable_until(), told: peer_left };
        if let Some(link) = jam.link {
            match &reason {
                // The other side waits for this to know that its farewell has arrived.
                api::JamEnd::PeerLeft => link.close(CloseCode::Left, "the Jam is over"),
                api::JamEnd::Refused { reason } => link.close(CloseCode::Refused, reason),
                api::JamEnd::YouLeft | api::JamEnd::Unreachable => {
                    self.farewells.spawn(link.finish());
                }
            }
        }
        if jam.met.is_some() && reason == api::JamEnd::YouLeft {
            self.stage.leave_jam();
        } else if jam.met.is_some() {
            self.stage.peer_left();
        }
        let own_music_waits = self.stage.has_parked();
        self.tell(api::Event::JamEnded { with, reason, own_music_waits });
        // Noted before the state goes, so that a crash in between brings nothing back.
        self.note_ended(ended);
        self.forget_jam_state();
    }

    fn note_ended(&mut self, ended: EndedJam) {
        if let Some(account) = &mut self.account {
            account.note_ended(ended, utc_now());
        }
        if let Err(error) = self.save_account() {
            self.warn(error.to_string());
        }
        self.tell_ended();
    }

    /// Tells the coordinator of Jams that are over and of which it does not know; where it is away, when it is
    /// back.
    pub(super) fn tell_ended(&mut self) {
        // Those that have arrived need not be waited for at the end.
        while self.farewells.try_join_next().is_some() {}
        let ended = self.account.iter().flat_map(|account| &account.ended);
        let untold: Vec<JamId> = ended.filter(|known| !known.told).map(|known| known.jam).collect();
        for id in untold {
            let Some(coordinator) = self.coordinator.clone() else { return };
            let completions = self.completions.clone();
            self.farewells.spawn(async move {
                match coordinator.request(CoordRequest::EndJam { jam: id }).await {
                    // One that it does not know (any more) needs no end.
                    Ok(_) | Err(LinkError::Refused(_)) => {}
                    Err(error) => {
                        return tracing::debug!(%error, "the coordinator was not told of a Jam's end");
                    }
                }
                let apply: Apply = Box::new(move |engine| engine.ended_told(id));
                // An engine that is gone tells it again next time.
                let _ = completions.send(Completion { outcome: Ok(apply), answer: None });
            });
        }
    }

    fn ended_told(&mut self, id: JamId) -> Result<Reply, ApiError> {
        let ended = self.account.iter_mut().flat_map(|account| &mut account.ended);
        ended.filter(|known| known.jam == id).for_each(|known| known.told = true);
        self.save_account()?;
        Ok(Reply::Done)
    }

    pub(super) fn has_ended(&self, id: JamId) -> bool {
        self.account.as_ref().is_some_and(|account| account.has_ended(id))
    }

    /// Gives up a peer that never came, or that has been away for too long.
    pub(super) fn give_up_unreachable_peer(&mut self) {
        let now = self.stage.now();
        let Some(jam) = &mut self.jam else { return };
        let (with, waited) = (jam.with().clone(), now - jam.granted);
        if jam.met.is_none() && waited > MEETING_PATIENCE {
            self.warn(format!(
                "could not reach {with} directly within {} minutes; let UDP through in both firewalls, or use \
                 another network (a telephone's, say) on one side, and ask again",
                MEETING_PATIENCE.as_millis() / 60_000
            ));
            self.end_jam(api::JamEnd::Unreachable);
        } else if jam.met.is_none() && waited > MEETING_USUAL && !jam.told_waiting {
            jam.told_waiting = true;
            let places: Vec<String> = jam.candidates.iter().map(ToString::to_string).collect();
            let places =
                if places.is_empty() { "no address is known yet".to_owned() } else { places.join(", ") };
            self.warn(format!(
                "still looking for {with} ({places}); if it takes long, a firewall or a network on one of \
                 both sides blocks UDP: allow it, or try another network"
            ));
        } else if jam.lost_since.is_some() && jam.is_too_old(utc_now()) {
            self.end_jam(api::JamEnd::Unreachable);
        }
    }

    /// What is known of a friend's devices has changed: a Jam with one that was revoked ends at once.
    pub(super) fn judge_again(&mut self) {
        let logs = self.logs();
        let judged =
            self.jam.as_ref().zip(self.trust(&logs)).map(|(jam, trust)| jam.judge(&jam.hello, trust));
        if let Some(Err(error)) = judged {
            self.end_jam(api::JamEnd::Refused { reason: error.to_string() });
        }
    }

    pub(super) fn logs(&self) -> Vec<VerifiedLog> {
        self.account.as_ref().map(super::Account::verified_logs).unwrap_or_default()
    }

    pub(super) fn trust<'a>(&self, logs: &'a [VerifiedLog]) -> Option<Trust<'a>> {
        let coordinator = self.account.as_ref()?.coordinator;
        Some(Trust { coordinator, logs, now: utc_now() })
    }
}

pub(super) fn not_in_jam() -> ApiError {
    ApiError::new(
        ErrorCode::NotInJam,
        "you are in no Jam",
        "ask a friend with `jamsync request NAME`, or accept with `jamsync accept`",
    )
}

/// How long a granted Jam waits for its first connection. Range 30 s to 10 min, default 2 min; less gives up before
/// somebody has allowed UDP in a firewall, more keeps a person in front of what will not be.
const MEETING_PATIENCE: Span = Span::from_secs(120);

/// After how long the listener is told that the meeting takes longer than it should.
const MEETING_USUAL: Span = Span::from_secs(10);

/// How old a grant may be: the other side gives up after [`MEETING_PATIENCE`], and calendars differ by minutes.
const GRANT_AGE_MAX: Span = Span::from_secs(600);
