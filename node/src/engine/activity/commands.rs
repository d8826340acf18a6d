//! What the listener asks and sets about activities.

use jamsync_protocol::{
    activity::ReactionNote,
    chat::Reaction,
    id::{AccountId, Handle},
    text::Text,
    time::{Span, UtcTime},
    wire::coord::{ActivityCall, CoordReply, CoordRequest},
};

use super::{
    super::{
        Apply, Engine,
        friends::{Work, link_error, refused, usage},
        utc_now,
    },
    Hide,
};
use crate::{
    activity::{Audience, KeptEntry},
    api::{
        ActivityRequest, ActivityState, ActivityTrack, ActivityView, ApiError, ErrorCode, FriendReaction,
        OwnActivity, Reply, SavedEntry,
    },
    net::coordinator::LinkError,
};

impl Engine {
    /// Does what was asked, or says what is still to be waited for.
    pub(in crate::engine) fn activity_call(&mut self, what: ActivityRequest) -> Result<Work, ApiError> {
        let reply = match what {
            ActivityRequest::Show { name } => self.show_activity(name.as_ref())?,
            ActivityRequest::On { all } => {
                self.signed_in()?;
                self.share_activity(all);
                self.show_activity(None)?
            }
            ActivityRequest::Off => {
                self.hide_all_activity(None);
                Reply::Done
            }
            ActivityRequest::Private { span } => {
                if span <= Span::ZERO || span > PRIVATE_SPAN_MAX {
                    let error = "a private session lasts up to thirty days";
                    return Err(usage(&error, "name a time such as 30m, 6h or 2d"));
                }
                self.hide_all_activity(Some(utc_now() + span));
                Reply::Done
            }
            ActivityRequest::Allow { name } => {
                let contact = self.contact_named(&name)?;
                self.activity.settings.permit(contact, true);
                self.keep_activity_settings();
                Reply::Done
            }
            ActivityRequest::Deny { name } => {
                let contact = self.contact_named(&name)?;
                self.activity.settings.permit(contact, false);
                self.keep_activity_settings();
                self.activity.hides.push_back(Hide { from: Some(contact), until: None });
                Reply::Done
            }
            ActivityRequest::Find { name } => return self.find_own_copy(&name),
            ActivityRequest::Save { name, playlist } => self.save_activity(&name, playlist)?,
            ActivityRequest::Saved { playlist } => self.saved(playlist.as_ref()),
            ActivityRequest::React { name, reaction } => return self.react_to_activity(&name, reaction),
        };
        Ok(Box::pin(async move {
            let apply: Apply = Box::new(move |_| Ok(reply));
            Ok(apply)
        }))
    }

    fn share_activity(&mut self, all: bool) {
        let settings = &mut self.activity.settings;
        settings.on = true;
        settings.private_until = None;
        if all {
            settings.audience = Audience::All;
        } else if settings.audience == Audience::All {
            settings.audience = Audience::Chosen;
        }
        self.keep_activity_settings();
        self.ask_for_activity_keys(self.contact_ids());
    }

    /// Shows nothing any more, or nothing until then.
    fn hide_all_activity(&mut self, until: Option<UtcTime>) {
        let desk = &mut self.activity;
        if until.is_none() {
            desk.settings.on = false;
        }
        (desk.settings.private_until, desk.settings.untold) = (until, true);
        desk.publisher.handle_hidden();
        desk.own_covers.handle_forgotten();
        desk.told_to.clear();
        desk.hides.clear();
        desk.hides.push_back(Hide { from: None, until });
        self.keep_activity_settings();
    }

    /// Another device of this account has hidden its activity: this one does the same, for as long.
    pub(super) fn activity_silenced(&mut self, until: Option<UtcTime>) {
        let until = until.filter(|until| *until - utc_now() <= PRIVATE_SPAN_MAX);
        let desk = &mut self.activity;
        if !desk.settings.on || until.is_some() && desk.settings.private_until == until {
            return;
        }
        desk.settings.private_until = until;
        desk.settings.on = until.is_some();
        if desk.publisher.is_asking() {
            // What is under way may come behind the other device's word, and is taken back.
            desk.hides.push_back(Hide { from: None, until });
        }
        desk.publisher.handle_hidden();
        desk.own_covers.handle_forgotten();
        desk.told_to.clear();
        self.keep_activity_settings();
        self.warn(match until {
            Some(_) => "another device of yours began a private session; this one shows nothing for as long",
            None => "another device of yours switched your listening activity off; it is off here too",
        });
    }

    fn show_activity(&self, name: Option<&Handle>) -> Result<Reply, ApiError> {
        let shown = match name {
            Some(name) => vec![self.contact_named(name)?],
            None => self.contact_ids(),
        };
        let mut friends: Vec<_> = shown.iter().filter_map(|of| self.friend_activity(*of)).collect();
        friends.sort_by(|one, other| one.with.cmp(&other.with));
        let now = self.stage.now();
        let reactions = self.activity.reactions.iter().filter(|recent| now - recent.at < REACTION_SHOWN);
        let reactions = reactions.filter(|recent| shown.contains(&recent.by)).filter_map(|recent| {
            let with = self.account.as_ref()?.name_of(recent.by)?.clone();
            Some(FriendReaction { with, reaction: recent.reaction, age: now - recent.at })
        });
        let reactions = reactions.collect();
        Ok(Reply::Activity(Box::new(ActivityView { own: self.own_activity(), friends, reactions })))
    }

    fn own_activity(&self) -> OwnActivity {
        let settings = &self.activity.settings;
        let contacts = self.account.iter().flat_map(|account| &account.contacts);
        let (mut shown_to, mut waiting) = (Vec::new(), Vec::new());
        for contact in contacts.filter(|contact| settings.includes(contact.account) && !contact.blocked) {
            let has_keys = self.activity.keys.contains_key(&contact.account);
            if has_keys { &mut shown_to } else { &mut waiting }.push(contact.handle.clone());
        }
        OwnActivity {
            on: settings.on,
            all: settings.audience == Audience::All,
            private_until: settings.private_until.filter(|_| settings.is_private(utc_now())),
            shown_to,
            waiting,
            elsewhere: self.activity.publisher.is_elsewhere(),
        }
    }

    /// What a contact plays or played last.
    fn shown_track(&self, name: &Handle) -> Result<ActivityTrack, ApiError> {
        let contact = self.contact_named(name)?;
        let shown = self.friend_activity(contact).and_then(|shown| shown.track);
        shown.ok_or_else(|| {
            let what = format!("{name} shows nothing");
            ApiError::new(ErrorCode::NotFound, what, "`jamsync activity show` lists who does")
        })
    }

    /// Where this node's own copy is of what a contact plays.
    fn find_own_copy(&self, name: &Handle) -> Result<Work, ApiError> {
        let (contact, track) = (self.contact_named(name)?, self.shown_track(name)?);
        let (index, name) = (std::sync::Arc::clone(&self.index), name.clone());
        let known = self.stage.file_of(track.track).cloned();
        Ok(Box::pin(async move {
            let wanted = track.track;
            let found = match known {
                Some(path) => Some(path),
                None => tokio::task::spawn_blocking(move || index.find(wanted)).await.unwrap_or_default(),
            };
            let path = found.ok_or_else(|| lacks(&track, &name))?;
            let apply: Apply = Box::new(move |engine| {
                let now = engine.stage.now();
                let position = engine.activity.seen.get(&contact).and_then(|seen| seen.position(now));
                let position = position.unwrap_or(Span::ZERO);
                Ok(Reply::OwnCopy { path: path.display().to_string(), track, position })
            });
            Ok(apply)
        }))
    }

    fn save_activity(&mut self, name: &Handle, list: Text<64>) -> Result<Reply, ApiError> {
        let track = self.shown_track(name)?;
        let entry = KeptEntry {
            list: list.clone(),
            track: track.track,
            title: track.title,
            artist: track.artist,
            album: track.album,
            length: track.length,
            from: name.clone(),
            at: utc_now(),
        };
        let added = self.activity.kept.add(entry);
        added.map_err(|full| ApiError::from_sentence(ErrorCode::Refused, &full.to_string()))?;
        self.activity.kept.save(&self.activity.kept_file).map_err(|error| {
            let what = format!("it is not kept: {error}");
            ApiError::new(ErrorCode::StateUnwritable, what, "make room or mend the permissions")
        })?;
        Ok(self.saved(Some(&list)))
    }

    fn saved(&self, list: Option<&Text<64>>) -> Reply {
        let entries = self.activity.kept.0.iter().filter(|entry| list.is_none_or(|list| entry.list == *list));
        let entry = |entry: &KeptEntry| SavedEntry {
            playlist: entry.list.clone(),
            track: ActivityTrack {
                track: entry.track,
                title: entry.title.clone(),
                artist: entry.artist.clone(),
                album: entry.album.clone(),
                length: entry.length,
            },
            from: entry.from.clone(),
        };
        Reply::Saved { entries: entries.map(entry).collect() }
    }

    fn react_to_activity(&mut self, name: &Handle, reaction: Reaction) -> Result<Work, ApiError> {
        let contact = self.contact_named(name)?;
        self.shown_track(name)?;
        let (account, link) = self.signed_in()?;
        let by: AccountId = account.id().ok_or_else(super::super::friends::no_account)?;
        let ring = self.activity.keys.get(&contact);
        let sealed = ring.and_then(|ring| {
            let note = ReactionNote { at: utc_now(), reaction };
            Some((ring.now.epoch, self.activity.sealer.seal_reaction(by, &note, &ring.now)?))
        });
        let (epoch, sealed) = sealed.ok_or_else(|| {
            let what =
                format!("there is no conversation with {name} yet; it begins when both nodes are there");
            refused(&what, "try again later")
        })?;
        Ok(Box::pin(async move {
            let request = CoordRequest::Activity(ActivityCall::React { to: contact, epoch, sealed });
            if link.request(request).await.map_err(link_error)? != CoordReply::Done {
                return Err(link_error(LinkError::Unexpected));
            }
            let apply: Apply = Box::new(|_| Ok(Reply::Done));
            Ok(apply)
        }))
    }

    /// The activity that stands above the messages with a contact; none where nothing is shown.
    pub(in crate::engine) fn activity_above(&self, with: &Handle) -> Option<crate::api::FriendActivity> {
        let contact = self.contact_named(with).ok()?;
        self.friend_activity(contact).filter(|shown| shown.state != ActivityState::Hidden)
    }
}

fn lacks(track: &ActivityTrack, name: &Handle) -> ApiError {
    let by = if track.artist.as_str().is_empty() { String::new() } else { format!(" by {}", track.artist) };
    let what = format!("you have no copy of {}{by}", track.title);
    let remedy = format!(
        "`jamsync library add FOLDER` makes yours known, `jamsync activity save {name}` keeps its name, and \
         `jamsync msg {name} TEXT` asks for it"
    );
    ApiError::new(ErrorCode::NotFound, what, remedy)
}

/// The longest private session. Whoever wants longer switches it off.
const PRIVATE_SPAN_MAX: Span = Span::from_secs(30 * 86_400);
/// How long a reaction is shown.
const REACTION_SHOWN: Span = Span::from_secs(600);
