//! What the coordinator's answers change.

use jamsync_protocol::{
    conversation::{ConversationId, Epoch},
    time::{Span, UtcTime},
    wire::coord::{
        ConversationEntry, ConversationItem, ConversationState, CoordReply, CoordRequest, Refusal, Sequence,
        TakenPackage,
    },
};

use super::{
    Ask, Conversations, Listing, Trouble,
    asks::{MISSING_SPAN, RENEWED},
    rows::{Known, Unsent, set_setting},
};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The coordinator refused.
    Refused(Refusal),
    /// It cannot be reached, or does not answer as it should.
    Away,
}

impl Conversations {
    /// Takes the answer to what was asked, or why there is none.
    ///
    /// # Errors
    /// [`Trouble`] of the database.
    pub fn handle_answer(
        &mut self,
        ask: Ask,
        answer: Result<CoordReply, NoAnswer>,
        now: UtcTime,
    ) -> Result<(), Trouble> {
        let Ask { request, about } = ask;
        if let Some(live) = about.and_then(|id| self.live.get_mut(&id)) {
            live.stir();
        }
        match answer {
            Ok(reply) => self.handle_reply(request, about, reply, now),
            Err(NoAnswer::Away) => {
                self.connected = false;
                Ok(())
            }
            Err(NoAnswer::Refused(refusal)) => self.handle_refusal(&request, about, &refusal, now),
        }
    }

    fn handle_reply(
        &mut self,
        request: CoordRequest,
        about: Option<ConversationId>,
        reply: CoordReply,
        now: UtcTime,
    ) -> Result<(), Trouble> {
        match (about, reply) {
            (None, CoordReply::Conversations { conversations, more, key_packages }) => {
                self.packages_left = Some(key_packages);
                let last = conversations.last().map(|state| state.conversation);
                for state in conversations.into_vec() {
                    self.learn(&state)?;
                }
                self.listing = if more && last.is_some() { Listing::Wanted(last) } else { Listing::Done };
            }
            (None, CoordReply::KeyPackages { left }) => {
                // One that keeps none is not asked again and again.
                self.packages_left = Some(left.max(u16::MAX / 2));
                if matches!(request, CoordRequest::PublishKeyPackages { anew: true, .. }) {
                    set_setting(&self.database, RENEWED, now.as_nanos())?;
                }
            }
            (Some(id), CoordReply::TakenPackages(taken)) => {
                let packages = &mut self.live.entry(id).or_default().packages;
                packages.extend(
                    taken.into_vec().into_iter().map(|TakenPackage { device, package }| (device, package)),
                );
            }
            (Some(id), CoordReply::Placed { sequence, at }) => {
                self.placed(id, request, (sequence, at), now)?
            }
            (Some(id), CoordReply::Entries { entries, newest }) => {
                self.fetched(id, entries.into_vec(), newest)?
            }
            (Some(id), CoordReply::Conversation(state)) => {
                let mut known = Known::load(&self.database, id)?;
                known.acknowledged = known.read;
                known.save(&self.database)?;
                let live = self.live.entry(id).or_default();
                live.acknowledge_at = None;
                live.newest = live.newest.max(state.newest);
            }
            (Some(id), CoordReply::Log(log)) => {
                self.roster.learn(&log);
                let live = self.live.entry(id).or_default();
                live.asked_log = live.wants_log.take();
            }
            _ => {
                tracing::warn!("the coordinator answered something else than was asked");
                self.quiet_until = Some(now + PAUSE);
            }
        }
        Ok(())
    }

    /// How a conversation stands, as the coordinator says after a time without it.
    fn learn(&mut self, state: &ConversationState) -> Result<(), Trouble> {
        let mut others = state.members.others(self.keys.account);
        let (Some(friend), None) = (others.next(), others.next()) else { return Ok(()) };
        let Some((id, _)) = self.roster.conversation_with(friend).filter(|(id, _)| *id == state.conversation)
        else {
            return Ok(());
        };
        let mut known = Known::load(&self.database, id)?;
        if known.read < state.acknowledged || known.read > state.newest {
            if known.read > state.newest {
                tracing::warn!(conversation = ?id, "the coordinator's log has become shorter");
            }
            // The keys of this device, or the coordinator's log, are of an earlier day.
            (known.read, known.joined) = (state.acknowledged.min(state.newest), false);
        }
        known.acknowledged = state.acknowledged;
        known.save(&self.database)?;
        let live = self.live.entry(id).or_default();
        (live.newest, live.generation) = (state.newest, state.epoch.generation);
        live.stir();
        Ok(())
    }

    /// What was asked for stands in the log. Where nothing else came between, it is dealt with at once.
    fn placed(
        &mut self,
        id: ConversationId,
        request: CoordRequest,
        (sequence, at): (Sequence, UtcTime),
        now: UtcTime,
    ) -> Result<(), Trouble> {
        let mut known = Known::load(&self.database, id)?;
        let live = self.live.entry(id).or_default();
        live.newest = live.newest.max(sequence);
        if sequence.0 > live.last(known.read).0.saturating_add(1) {
            live.missing_until = Some(now + MISSING_SPAN);
        }
        if sequence <= known.read {
            // It has shown entries that were none.
            known.read = Sequence(sequence.0.saturating_sub(1));
            known.save(&self.database)?;
        }
        if sequence > live.last(known.read)
            && let Some((epoch, what)) = item_of(request)
        {
            live.bring(known.read, ConversationEntry { sequence, epoch, at, what });
        }
        Ok(())
    }

    fn fetched(
        &mut self,
        id: ConversationId,
        entries: Vec<ConversationEntry>,
        newest: Sequence,
    ) -> Result<(), Trouble> {
        let mut known = Known::load(&self.database, id)?;
        let live = self.live.entry(id).or_default();
        let mut last = live.last(known.read);
        for entry in entries {
            // Whatever is not behind the one before was shown already, and behind the newest there is nothing.
            if entry.sequence > last && entry.sequence <= newest {
                last = entry.sequence;
                live.entries.push_back(entry);
            }
        }
        // Some may have been told while the answer was under way.
        live.join_up(known.read);
        last = live.last(last);
        (live.newest, live.unsure) = (newest.max(last), false);
        if live.entries.is_empty() && newest > known.read {
            // All that this device has not read is gone.
            (known.read, known.joined) = (newest, false);
            known.save(&self.database)?;
            let name = self.name_of(id);
            self.warn(format!(
                "messages with {name} were not fetched in time and are lost here; your other devices may have them"
            ));
        }
        Ok(())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else is refused is tried again later")]
    fn handle_refusal(
        &mut self,
        request: &CoordRequest,
        about: Option<ConversationId>,
        refusal: &Refusal,
        now: UtcTime,
    ) -> Result<(), Trouble> {
        let Some(id) = about else {
            self.quiet_until = Some(now + refusal.retry_after().unwrap_or(PAUSE));
            return Ok(());
        };
        let mut known = Known::load(&self.database, id)?;
        let live = self.live.entry(id).or_default();
        match refusal {
            Refusal::EpochMoved { epoch, newest } if *newest > known.read => {
                live.newest = *newest;
                live.generation = live.generation.max(epoch.generation);
            }
            Refusal::EpochMoved { epoch, newest } => {
                // All was read, and still the epochs differ: the coordinator's log is another than it was.
                live.generation = live.generation.max(epoch.generation);
                live.waiting_since = Some(now);
                (known.read, known.joined) = (*newest, false);
                super::rows::Waiting::drop(&self.database, id)?;
                known.save(&self.database)?;
            }
            Refusal::UnknownConversation => {
                (known.read, known.acknowledged, known.joined) = (Sequence(0), Sequence(0), false);
                known.save(&self.database)?;
                live.newest = Sequence(0);
                live.held_until = Some(now + PAUSE);
            }
            other => {
                live.held_until = Some(now + other.retry_after().unwrap_or(PAUSE));
                live.wants_log = None;
                let waits =
                    matches!(request, CoordRequest::Post { .. } | CoordRequest::BeginConversation { .. });
                if waits && other.retry_after().is_none() && Unsent::is_any_shown(&self.database, id)? {
                    let name = self.name_of(id);
                    self.warn(format!("what you said to {name} waits: {other}"));
                }
            }
        }
        Ok(())
    }
}

/// The entry that a request makes.
#[expect(clippy::wildcard_enum_match_arm, reason = "no other request makes an entry")]
fn item_of(request: CoordRequest) -> Option<(Epoch, ConversationItem)> {
    match request {
        CoordRequest::BeginConversation { generation, welcome, .. } => {
            Some((Epoch::begun(generation), ConversationItem::Begun { welcome }))
        }
        CoordRequest::ChangeConversation { epoch, commit, welcome, .. } => {
            Some((epoch, ConversationItem::Changed { commit, welcome }))
        }
        CoordRequest::Post { epoch, id, sealed, .. } => Some((epoch, ConversationItem::Post { id, sealed })),
        _ => None,
    }
}

/// How long to leave a coordinator alone that refuses without saying for how long.
const PAUSE: Span = Span::from_secs(60);
