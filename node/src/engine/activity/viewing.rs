//! What this node sees of its contacts' activities. What the coordinator passes on is believed as far as it opens with the keys of
//! the conversation, comes from a device in the contact's pinned log, and is newer than what was seen.

use std::collections::VecDeque;

use jamsync_protocol::{
    activity::{Activity, Cover, Newest, PlayState, ReactionNote, ViewState, Viewed},
    chat::Reaction,
    conversation::Epoch,
    id::{AccountId, DeviceKey},
    time::{NodeTime, Span, UtcTime},
    wire::coord::{ActivityNews, SealedReaction, ShownActivity},
};

use super::{super::Engine, super::utc_now, Keyring};
use crate::{
    activity::Origin,
    api::{self, ActivityState, FriendActivity},
    conversation::ActivityKeys,
};

/// One contact's activity.
#[derive(Debug, Default)]
pub(super) struct Seen {
    newest: Newest,
    viewed: Option<Viewed>,
    /// What came before its key; the newest alone.
    waiting: Option<Box<(ShownActivity, NodeTime)>>,
    /// Whether the listener was told that it is stale.
    told_stale: bool,
    /// Reactions that came before their keys.
    early: VecDeque<(Epoch, SealedReaction)>,
    /// When the newest reaction was made, so that none is shown twice.
    reacted: UtcTime,
}

/// A reaction of the last minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recent {
    pub(super) by: AccountId,
    pub(super) reaction: Reaction,
    pub(super) at: NodeTime,
}

impl Seen {
    /// When it changes by time alone.
    pub(super) fn poll_timeout(&self, now: NodeTime) -> Option<NodeTime> {
        self.viewed.as_ref().and_then(|viewed| viewed.poll_timeout(now))
    }

    /// Where the contact is in its track now; none where it does not play.
    pub(super) fn position(&self, now: NodeTime) -> Option<Span> {
        match self.viewed.as_ref()?.state(now) {
            ViewState::Playing { position } | ViewState::Paused { position, .. } => Some(position),
            ViewState::Last { .. } | ViewState::Stale { .. } => None,
        }
    }
}

impl Seen {
    /// Where the cover is of what is shown; none where there is none.
    pub(super) fn cover(&self) -> Option<Cover> {
        self.viewed.as_ref()?.activity().cover
    }

    /// Whether anything is shown.
    pub(super) const fn is_shown(&self) -> bool {
        self.viewed.is_some()
    }
}

impl Keyring {
    fn of(&self, epoch: Epoch) -> Option<&ActivityKeys> {
        [Some(&self.now), self.before.as_ref()].into_iter().flatten().find(|keys| keys.epoch == epoch)
    }
}

impl Engine {
    /// What the coordinator tells of activities.
    pub(in crate::engine) fn hear_of_activity(&mut self, news: ActivityNews) {
        match news {
            ActivityNews::Shown(shown) => {
                let of = shown.of;
                if self.is_activity_of_friend(of) {
                    let now = self.stage.now();
                    self.activity.seen.entry(of).or_default().waiting = Some(Box::new((shown, now)));
                    self.open_waiting_activity(of);
                    if self.activity.seen.get(&of).is_some_and(|seen| seen.waiting.is_some()) {
                        self.ask_for_activity_keys(vec![of]);
                    }
                }
            }
            ActivityNews::Renewed { of, beat } => {
                let now = self.stage.now();
                let seen = self.activity.seen.get_mut(&of);
                let renewed = seen.and_then(|seen| {
                    let proven = seen.viewed.as_mut()?.handle_beat(beat, Span::ZERO, now);
                    (proven && std::mem::take(&mut seen.told_stale)).then_some(())
                });
                if renewed.is_some() {
                    self.tell_activity_of(of);
                }
            }
            ActivityNews::Hidden { of } => {
                let seen = self.activity.seen.get_mut(&of);
                let had = seen.is_some_and(|seen| {
                    seen.waiting = None;
                    seen.viewed.take().is_some()
                });
                if had {
                    self.tell_activity_of(of);
                }
            }
            ActivityNews::Reacted { by, epoch, sealed } => {
                let keys = self.activity.keys.get(&by).and_then(|ring| ring.of(epoch));
                if keys.is_some() {
                    self.hear_reaction(by, epoch, &sealed);
                } else if self.is_activity_of_friend(by) {
                    let early = &mut self.activity.seen.entry(by).or_default().early;
                    if early.len() >= REACTIONS_SHOWN_MAX {
                        early.pop_front();
                    }
                    early.push_back((epoch, sealed));
                    self.ask_for_activity_keys(vec![by]);
                }
            }
            ActivityNews::Silenced { until } => self.activity_silenced(until),
        }
    }

    pub(super) fn is_activity_of_friend(&self, of: AccountId) -> bool {
        let contacts = self.account.iter().flat_map(|account| &account.contacts);
        contacts.into_iter().any(|contact| contact.account == of && !contact.blocked)
    }

    /// Opens what waits for its key, if that is there now.
    pub(super) fn open_waiting_activity(&mut self, of: AccountId) {
        let early = self.activity.seen.get_mut(&of).map(|seen| std::mem::take(&mut seen.early));
        for (epoch, sealed) in early.into_iter().flatten() {
            self.hear_reaction(of, epoch, &sealed);
        }
        let speaks = |device: DeviceKey| {
            let contacts = self.account.iter().flat_map(|account| &account.contacts);
            let log = contacts.into_iter().find(|contact| contact.account == of)?.log.verify().ok()?;
            Some(log.is_active(device))
        };
        let Some(seen) = self.activity.seen.get(&of) else { return };
        let Some((shown, came)) = seen.waiting.as_deref() else { return };
        let keys = self.activity.keys.get(&of).and_then(|ring| ring.of(shown.epoch));
        let (Some(keys), Some(true)) = (keys, speaks(shown.device)) else { return };
        let origin = Origin { account: of, device: shown.device, number: shown.number };
        let opened = self.activity.sealer.open_activity(origin, (&shown.key, &shown.sealed), keys);
        let (shown, came) = (shown.clone(), *came);
        let Some(seen) = self.activity.seen.get_mut(&of) else { return };
        seen.waiting = None;
        match opened {
            Some(activity) => {
                if seen.take(&shown, activity, (came, utc_now())) {
                    self.tell_activity_of(of);
                }
                // Also of a state that was seen before: its cover may be there only now.
                self.want_cover(of);
            }
            None => tracing::info!(?shown, "an activity cannot be opened; it was left out"),
        }
    }

    fn hear_reaction(&mut self, by: AccountId, epoch: Epoch, sealed: &SealedReaction) {
        if !self.is_activity_of_friend(by) {
            return;
        }
        let keys = self.activity.keys.get(&by).and_then(|ring| ring.of(epoch));
        let note = keys.and_then(|keys| self.activity.sealer.open_reaction(by, sealed, keys));
        let Some(ReactionNote { at, reaction }) = note else {
            tracing::info!("a reaction cannot be opened; it was left out");
            return;
        };
        let (now, seen) = (self.stage.now(), self.activity.seen.entry(by).or_default());
        if at <= seen.reacted {
            return;
        }
        seen.reacted = at;
        let recent = &mut self.activity.reactions;
        if recent.len() >= REACTIONS_SHOWN_MAX {
            recent.pop_front();
        }
        recent.push_back(Recent { by, reaction, at: now });
        if let Some(with) = self.account.as_ref().and_then(|account| account.name_of(by)) {
            self.tell(api::Event::ActivityReaction { with: with.clone(), reaction });
        }
    }

    /// Tells whoever watches which activities have become stale.
    pub(super) fn note_stale_activity(&mut self) {
        let now = self.stage.now();
        let slept = self.stage.slept();
        let lately = slept - std::mem::replace(&mut self.activity.slept, slept);
        self.activity.publisher.handle_slept(lately);
        self.activity.seen.values_mut().filter_map(|seen| seen.viewed.as_mut()).for_each(|viewed| {
            viewed.handle_slept(lately);
        });
        let became = |seen: &mut Seen| {
            let state = seen.viewed.as_ref().map(|viewed| viewed.state(now));
            matches!(state, Some(ViewState::Stale { .. })) && !std::mem::replace(&mut seen.told_stale, true)
        };
        let stale: Vec<AccountId> =
            self.activity.seen.iter_mut().filter_map(|(of, seen)| became(seen).then_some(*of)).collect();
        stale.into_iter().for_each(|of| self.tell_activity_of(of));
    }

    fn tell_activity_of(&self, of: AccountId) {
        if let Some(shown) = self.friend_activity(of) {
            self.tell(api::Event::Activity(Box::new(shown)));
        }
    }

    /// A contact's activity as the listener sees it now; none for whoever is no contact.
    pub(in crate::engine) fn friend_activity(&self, of: AccountId) -> Option<FriendActivity> {
        let with = self.account.as_ref()?.name_of(of)?.clone();
        let viewed = self.activity.seen.get(&of).and_then(|seen| seen.viewed.as_ref());
        let Some(viewed) = viewed.filter(|_| self.is_activity_of_friend(of)) else {
            return Some(FriendActivity {
                with,
                state: ActivityState::Hidden,
                track: None,
                cover: None,
                clock_off: false,
            });
        };
        let (shown, now) = (viewed.activity(), self.stage.now());
        let state = match viewed.state(now) {
            ViewState::Playing { position } => ActivityState::Playing { position },
            ViewState::Paused { position, age } => ActivityState::Paused { position, age },
            ViewState::Last { age } => ActivityState::Last { age },
            ViewState::Stale { age } => ActivityState::Stale { age },
        };
        let track = api::ActivityTrack {
            track: shown.track.id,
            title: shown.track.title.clone(),
            artist: shown.track.artist.clone(),
            album: shown.track.album.clone(),
            length: shown.track.duration,
        };
        let cover = shown.cover.and_then(|cover| self.activity.friend_covers.file(of, cover.address));
        let cover = cover.map(|file| file.display().to_string());
        Some(FriendActivity { with, state, track: Some(track), cover, clock_off: viewed.is_doubted() })
    }
}

impl Seen {
    /// Takes what was opened, unless it was seen before. Whether something is shown otherwise now.
    fn take(
        &mut self,
        shown: &ShownActivity,
        activity: Activity,
        (came, today): (NodeTime, UtcTime),
    ) -> bool {
        let renewed = shown.renewed;
        let is_same = |viewed: &mut Viewed| {
            let is = viewed.is(shown.device, shown.number);
            if let (true, Some((beat, ago))) = (is, renewed) {
                viewed.handle_beat(beat, ago, came);
            }
            is
        };
        if self.viewed.as_mut().is_some_and(is_same) || !self.newest.admit(shown.device, shown.number) {
            return false;
        }
        let plays = activity.state == PlayState::Playing;
        let mut viewed = Viewed::new((shown.device, shown.number), activity, shown.told_ago, came, today);
        if let Some((beat, renewed_ago)) = renewed.filter(|_| plays) {
            // Without its proof a renewal counts for nothing.
            viewed.handle_beat(beat, renewed_ago, came);
        }
        (self.viewed, self.told_stale) = (Some(viewed), false);
        true
    }
}

/// How many reactions are shown at once, as many as the palette has.
const REACTIONS_SHOWN_MAX: usize = 6;
