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
    complaints::Complaint,
    keys::Keys,
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
                // Whether the coordinator is gone is said by whoever holds the connection; one answer that did not come says little.
                self.quiet_until = Some(now + PAUSE);
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
                    self.learn(&state, now)?;
                }
                // Each page must lead on, and what was missed while it was under way is asked for from the start.
                let leads_on = matches!(request, CoordRequest::Conversations { after } if last > after);
                self.listing = match (self.has_missed, more && leads_on) {
                    (true, _) => Listing::Wanted(None),
                    (false, true) => Listing::Wanted(last),
                    (false, false) => Listing::Done,
                };
            }
            (None, CoordReply::KeyPackages { left }) => {
                // One that keeps none is not asked again and again.
                self.packages_left = Some(left.max(u16::MAX / 2));
                if matches!(request, CoordRequest::PublishKeyPackages { anew: true, .. }) {
                    set_setting(&self.database, RENEWED, now.as_nanos())?;
                }
            }
            (Some(id), CoordReply::TakenPackages(taken)) => {
                let taken: Vec<TakenPackage> = taken.into_vec();
                let sound = taken.into_iter().filter(|taken| is_sound(&self.keys, &request, taken));
                let sound = sound.map(|TakenPackage { device, package }| (device, package));
                self.live.entry(id).or_default().packages.extend(sound);
            }
            (Some(id), CoordReply::Placed { sequence, at }) => {
                self.placed(id, request, (sequence, at), now)?
            }
            (Some(id), CoordReply::Entries { entries, newest }) => {
                self.fetched(id, entries.into_vec(), newest, now)?
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
    fn learn(&mut self, state: &ConversationState, now: UtcTime) -> Result<(), Trouble> {
        let mut others = state.members.others(self.keys.account);
        let (Some(friend), None) = (others.next(), others.next()) else { return Ok(()) };
        let Some((id, _)) = self.roster.conversation_with(friend).filter(|(id, _)| *id == state.conversation)
        else {
            return Ok(());
        };
        let mut known = Known::load(&self.database, id)?;
        let went_back = known.read > state.newest || state.acknowledged < known.acknowledged;
        if known.read < state.acknowledged || went_back {
            if went_back {
                let sentence = format!(
                    "the coordinator's log of messages with {} is not the one that it was, as if it had been put back to an \
                     earlier day: the conversation begins anew, and something that was said meanwhile may be missing here",
                    self.name_of(id)
                );
                self.complain(id, Complaint::Missing, now, sentence);
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
        now: UtcTime,
    ) -> Result<(), Trouble> {
        let mut known = Known::load(&self.database, id)?;
        if newest < known.read {
            // The coordinator's log is another than it was: how it stands is asked for anew.
            self.handle_missed();
            self.quiet_until = Some(now + PAUSE);
            return Ok(());
        }
        let live = self.live.entry(id).or_default();
        let mut last = live.last(known.read);
        for entry in entries {
            // Whatever is not behind the one before was shown already, and behind the newest there is nothing.
            if entry.sequence > last && entry.sequence <= newest {
                last = entry.sequence;
                live.entries.push_back(entry);
            }
        }
        // What was told while the answer was under way may not be in it.
        live.join_up(known.read);
        last = live.last(last);
        (live.newest, live.unsure) = (newest.max(last), live.told);
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
            Refusal::EpochMoved { newest, .. } if *newest < known.read => {
                // The coordinator's log is another than it was: how it stands is asked for anew.
                self.handle_missed();
                self.quiet_until = Some(now + PAUSE);
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
                let until = Some(now + other.retry_after().unwrap_or(PAUSE));
                let reads = matches!(
                    request,
                    CoordRequest::ConversationLog { .. }
                        | CoordRequest::AcknowledgeLog { .. }
                        | CoordRequest::LookUpLog { .. }
                );
                if reads {
                    live.reads_again = until
                } else {
                    live.held_until = until
                }
                live.wants_log = None;
                let waits =
                    matches!(request, CoordRequest::Post { .. } | CoordRequest::BeginConversation { .. });
                if waits && other.retry_after().is_none() && Unsent::is_any_shown(&self.database, id)? {
                    let sentence = format!("what you said to {} waits: {other}", self.name_of(id));
                    self.complain(id, Complaint::Waits, now, sentence);
                }
            }
        }
        Ok(())
    }
}

/// Whether a key package is one that was asked for, is valid, and was made by the device that it is given for.
fn is_sound(keys: &Keys, request: &CoordRequest, taken: &TakenPackage) -> bool {
    let wanted = matches!(
        request,
        CoordRequest::TakeKeyPackages { devices } if devices.contains(&taken.device)
    );
    wanted && keys.read_package(&taken.package).is_some_and(|(_, device, _)| device == taken.device)
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
