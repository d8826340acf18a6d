//! Listening activity: what this node shows of what it plays, and when. What it sees of others is in [`viewing`], what the
//! listener sets in [`commands`], and what is done about what a contact plays in [`actions`].
//!
//! The [`Publisher`] says when there is something to tell; in [`telling`] it is sealed for those who may see it and carried to the
//! coordinator, one call after the other. Covers are in [`own_covers`] and [`friend_covers`]. A contact with whom there is no
//! conversation yet waits until there is one.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
};

use jamsync_protocol::{
    activity::{ActivityNumber, BeatChain, PlayState, Publisher, SharedTrack, Sharing},
    conversation::CARD_LENGTH_MAX,
    id::AccountId,
    time::{NodeTime, Span, UtcTime},
};
use tokio::sync::oneshot;

use super::{Apply, Engine, courier::Errand, utc_now};
use crate::{
    activity::{Kept, PrivateSession, Sealer, Settings},
    api::Reply,
    conversation::ActivityKeys,
};

mod actions;
mod commands;
mod friend_covers;
mod own_covers;
mod telling;
mod viewing;

use self::{
    friend_covers::FriendCovers,
    own_covers::OwnCovers,
    viewing::{Recent, Seen},
};

/// All that this node knows of activities.
#[derive(Debug)]
pub(super) struct Desk {
    file: PathBuf,
    kept_file: PathBuf,
    settings: Settings,
    /// The private session that `settings` tells of.
    session: Option<PrivateSession>,
    kept: Kept,
    publisher: Publisher,
    sealer: Sealer,
    keys: BTreeMap<AccountId, Keyring>,
    seen: BTreeMap<AccountId, Seen>,
    own_covers: OwnCovers,
    friend_covers: FriendCovers,
    /// Reactions of the last minutes, which nobody keeps.
    reactions: VecDeque<Recent>,
    /// The renewals of the state that was told last.
    chain: BeatChain,
    /// To whom the state was told last.
    told_to: Vec<AccountId>,
    /// The contacts when this was looked at last.
    contacts: Vec<AccountId>,
    /// What has still to be hidden.
    hides: VecDeque<Hide>,
    hiding: bool,
    /// How long the machine had slept in all when it was looked at last.
    slept: Span,
}

/// The keys with one contact: in the epoch as it is, and in the one before, for what was sealed just then.
#[derive(Clone, Debug)]
struct Keyring {
    now: ActivityKeys,
    before: Option<ActivityKeys>,
}

/// From whom to hide the activity, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hide {
    from: Option<AccountId>,
    until: Option<UtcTime>,
}

impl Desk {
    /// What is kept in the state folder.
    pub(super) fn load(state: &Path, now: UtcTime, lived: NodeTime, troubles: &mut Vec<String>) -> Self {
        let (file, kept_file) = (state.join("activity.json"), state.join("saved.json"));
        // No process uses a number twice, as long as the calendar is not set back by as much as one ran.
        let last = u64::try_from((now - UtcTime::ZERO).as_micros()).unwrap_or_default();
        let settings = Settings::load(&file, troubles);
        Self {
            session: settings.private_until.map(|until| PrivateSession::until(until, now, lived)),
            settings,
            kept: Kept::load(&kept_file, troubles),
            publisher: Publisher::new(ActivityNumber(last)),
            sealer: Sealer::default(),
            keys: BTreeMap::new(),
            seen: BTreeMap::new(),
            own_covers: OwnCovers::default(),
            friend_covers: FriendCovers::begin(state.join("covers")),
            reactions: VecDeque::new(),
            chain: BeatChain::new(rand::random()),
            told_to: Vec::new(),
            contacts: Vec::new(),
            hides: VecDeque::new(),
            hiding: false,
            slept: Span::ZERO,
            file,
            kept_file,
        }
    }

    /// The account is gone, and with it all that was set, shown, seen and saved. Its files are removed elsewhere.
    pub(super) fn forget_account(&mut self) {
        (self.settings, self.session, self.kept) = (Settings::default(), None, Kept::default());
        (self.keys, self.seen) = (BTreeMap::new(), BTreeMap::new());
        self.reactions.clear();
        self.told_to.clear();
        self.contacts.clear();
        self.hides.clear();
        self.own_covers.handle_forgotten();
    }

    /// When there is something to do though nothing happens.
    pub(super) fn poll_timeout(&self, now: NodeTime) -> Option<NodeTime> {
        let stale = self.seen.values().filter_map(|seen| seen.poll_timeout(now)).min();
        let publisher = self.publisher.poll_timeout().filter(|_| !self.hiding);
        let session = self.session.filter(|_| self.settings.on).map(|session| session.end() - self.slept);
        [publisher, stale, session].into_iter().flatten().min()
    }

    /// The coordinator knows how the listener stands to a contact. What was told before it did may have been kept from that one.
    pub(super) fn handle_marked(&mut self) {
        self.publisher.handle_again();
    }

    /// The listener has said here that it is to play.
    pub(super) const fn handle_play(&mut self) {
        self.publisher.handle_play();
    }

    /// The coordinator is away.
    pub(super) fn handle_disconnected(&mut self) {
        self.publisher.handle_disconnected();
    }
}

impl Engine {
    /// The coordinator answers, and this device is signed up there.
    pub(super) fn activity_connected(&mut self) {
        let (Some(link), true) = (&self.coordinator, self.account.is_some()) else { return };
        link.watch_activity();
        let shows = self.shows_activity();
        let desk = &mut self.activity;
        desk.publisher.handle_connected();
        desk.own_covers.handle_forgotten();
        if desk.settings.untold && !shows {
            let until = desk.settings.private_until.filter(|_| desk.settings.on);
            desk.hides.push_back(Hide { from: None, until });
        }
        self.ask_for_activity_keys(self.contact_ids());
    }

    /// After anything has happened: tells what plays, where that is otherwise now, and what has become stale.
    pub(super) fn look_after_activity(&mut self) {
        self.note_stale_activity();
        let contacts = self.contact_ids();
        if contacts != self.activity.contacts {
            self.activity_contacts_changed(contacts);
        }
        if self.shows_activity() {
            if self.activity.session.is_some() {
                // The private session is over.
                self.set_private(None);
                self.keep_activity_settings();
            }
            let audience = self.audience();
            if audience != self.activity.told_to {
                self.activity.told_to = audience;
                self.activity.publisher.handle_again();
            }
            if !self.activity.told_to.is_empty() {
                self.make_covers();
                let sharing = self.sharing();
                self.activity.publisher.handle_sharing(sharing);
            }
        }
        self.forget_hidden_covers();
        self.tell_activity();
    }

    /// Whether anything is shown now.
    fn shows_activity(&self) -> bool {
        self.activity.settings.on && !self.is_private()
    }

    /// Whether nothing is shown for a time.
    fn is_private(&self) -> bool {
        self.activity.session.is_some_and(|session| !session.is_over(self.lived()))
    }

    /// From now on nothing is shown until then.
    fn set_private(&mut self, until: Option<UtcTime>) {
        let session = until.map(|until| PrivateSession::until(until, utc_now(), self.lived()));
        (self.activity.settings.private_until, self.activity.session) = (until, session);
    }

    /// The node's time, which stands still while its machine sleeps, and that sleep.
    fn lived(&self) -> NodeTime {
        self.stage.now() + self.stage.slept()
    }

    /// Those who may see it and with whom there are keys.
    fn audience(&self) -> Vec<AccountId> {
        let Some(account) = &self.account else { return Vec::new() };
        let desk = &self.activity;
        let contacts = account.contacts.iter().filter(|contact| !contact.blocked);
        let ids = contacts.map(|contact| contact.account);
        ids.filter(|id| desk.settings.includes(*id) && desk.keys.contains_key(id)).collect()
    }

    /// What plays here; none where nothing is on.
    fn sharing(&self) -> Option<Sharing> {
        let heard = self.stage.heard()?;
        let track = &self.stage.session().queue().entry(heard.entry)?.track;
        let ended = heard.position >= track.length && !heard.playing;
        let state = match (heard.playing, ended) {
            (true, _) => PlayState::Playing,
            (false, true) => PlayState::Ended,
            (false, false) => PlayState::Paused,
        };
        Some(Sharing {
            state,
            track: SharedTrack {
                id: track.id,
                title: track.title.clone(),
                artist: track.artist.clone(),
                album: track.album.clone(),
                duration: track.duration().min(CARD_LENGTH_MAX),
            },
            position: track.rate.span_of(heard.position.min(track.length)).min(CARD_LENGTH_MAX),
            at: self.stage.now(),
            cover: self.activity.own_covers.of(track.id),
        })
    }

    /// Asks what activities of these contacts are sealed with.
    pub(super) fn ask_for_activity_keys(&self, of: Vec<AccountId>) {
        let Ok(courier) = self.running_courier() else { return };
        if of.is_empty() {
            return;
        }
        let (answer, keyed) = oneshot::channel();
        courier.send(Errand::Keys { of, answer });
        self.beside(None, async move {
            // A courier that has ended has said why.
            let keyed = keyed.await.unwrap_or_default();
            let apply: Apply = Box::new(move |engine| {
                for (account, keys) in keyed {
                    engine.take_activity_keys(account, keys);
                }
                Ok(Reply::Done)
            });
            Ok(apply)
        });
    }

    fn take_activity_keys(&mut self, account: AccountId, keys: Option<ActivityKeys>) {
        let desk = &mut self.activity;
        let Some(now) = keys else { return };
        let known = desk.keys.get(&account).map(|ring| ring.now.clone());
        if known.as_ref() != Some(&now) {
            let before = known.filter(|known| known.epoch < now.epoch);
            desk.keys.insert(account, Keyring { now, before });
            if desk.told_to.contains(&account) {
                // It is sealed anew in every epoch.
                desk.publisher.handle_again();
            }
        }
        self.open_waiting_activity(account);
    }

    fn activity_contacts_changed(&mut self, contacts: Vec<AccountId>) {
        let desk = &mut self.activity;
        let is_known = |account: &AccountId| contacts.contains(account);
        desk.keys.retain(|account, _| is_known(account));
        desk.seen.retain(|account, _| is_known(account));
        let new: Vec<AccountId> =
            contacts.iter().copied().filter(|account| !desk.contacts.contains(account)).collect();
        let had_some = !desk.contacts.is_empty();
        desk.contacts = contacts;
        if had_some && desk.settings.keep_only(&desk.contacts) {
            self.keep_activity_settings();
        }
        self.ask_for_activity_keys(new);
    }

    fn keep_activity_settings(&self) {
        if let Err(error) = self.activity.settings.save(&self.activity.file) {
            self.warn(format!("what you set for your listening activity is not kept: {error}"));
        }
    }
}
