//! What the listener asks and sets about activities.

use jamsync_protocol::{
    id::Handle,
    time::{Span, UtcTime},
};

use super::{
    super::{
        Apply, Engine,
        friends::{Work, usage},
        utc_now,
    },
    Hide,
};
use crate::{
    activity::{Audience, Heeded, PRIVATE_SPAN_MAX},
    api::{
        ActivityRequest, ActivityState, ActivityView, ApiError, ErrorCode, FriendReaction, OwnActivity, Reply,
    },
};

impl Engine {
    /// Does what was asked, or says what is still to be waited for.
    pub(in crate::engine) fn activity_call(&mut self, what: ActivityRequest) -> Result<Work, ApiError> {
        let reply = match what {
            ActivityRequest::Show { name } => self.show_activity(name.as_ref())?,
            ActivityRequest::On { all } => {
                self.signed_in()?;
                self.share_activity(all);
                self.activity_kept("your activity is on")?;
                self.show_activity(None)?
            }
            ActivityRequest::Off => {
                self.hide_all_activity(None);
                self.activity_kept("nobody sees what you play")?
            }
            ActivityRequest::Private { span } => {
                if span <= Span::ZERO || span > PRIVATE_SPAN_MAX {
                    let error = "a private session lasts up to thirty days";
                    return Err(usage(&error, "name a time such as 30m, 6h or 2d"));
                }
                self.hide_all_activity(Some(utc_now() + span));
                self.activity_kept("nobody sees what you play for that time")?
            }
            ActivityRequest::Allow { name } => {
                let contact = self.contact_named(&name)?;
                self.activity.settings.permit(contact, true);
                self.activity_kept(&format!("{name} may see what you play"))?
            }
            ActivityRequest::Deny { name } => {
                let contact = self.contact_named(&name)?;
                self.activity.settings.permit(contact, false);
                self.activity.hides.push_back(Hide { from: Some(contact), until: None });
                self.activity_kept(&format!("{name} does not see what this device plays"))?
            }
            ActivityRequest::Find { name } => return self.find_own_copy(&name),
            ActivityRequest::Share { name, with } => return self.share_track_of(&name, &with),
            ActivityRequest::Artist { name } => return self.find_artist_of(&name),
            ActivityRequest::Save { name, playlist } => self.save_activity(&name, playlist)?,
            ActivityRequest::Saved { playlist } => self.saved(playlist.as_ref()),
            ActivityRequest::React { name, reaction } => return self.react_to_activity(&name, reaction),
        };
        Ok(Box::pin(async move {
            let apply: Apply = Box::new(move |_| Ok(reply));
            Ok(apply)
        }))
    }

    /// Keeps what the listener has set. Where that fails it holds all the same for as long as this node runs, and `now` says what
    /// it is.
    fn activity_kept(&self, now: &str) -> Result<Reply, ApiError> {
        self.activity.settings.save(&self.activity.file).map(|()| Reply::Done).map_err(|error| {
            let file = self.activity.file.display();
            let what = format!("{now}, until this node is started again: {file} cannot be written ({error})");
            ApiError::new(
                ErrorCode::StateUnwritable,
                what,
                "make room or mend the permissions, and do it again",
            )
        })
    }

    fn share_activity(&mut self, all: bool) {
        self.set_private(None);
        let settings = &mut self.activity.settings;
        settings.on = true;
        if all {
            settings.audience = Audience::All;
        } else if settings.audience == Audience::All {
            settings.audience = Audience::Chosen;
        }
        self.ask_for_activity_keys(self.contact_ids());
    }

    /// Shows nothing any more, or nothing until then.
    fn hide_all_activity(&mut self, until: Option<UtcTime>) {
        self.set_private(until);
        let desk = &mut self.activity;
        if until.is_none() {
            desk.settings.on = false;
        }
        desk.settings.untold = true;
        desk.publisher.handle_hidden();
        desk.own_covers.handle_forgotten();
        desk.told_to.clear();
        desk.hides.clear();
        desk.hides.push_back(Hide { from: None, until });
    }

    /// Another device of this account has hidden its activity: this one does the same, for as long.
    pub(super) fn activity_silenced(&mut self, until: Option<UtcTime>) {
        let until = match self.activity.settings.heed_silence(until, utc_now()) {
            Heeded::Not => return,
            Heeded::Off => None,
            Heeded::Until(until) => Some(until),
        };
        self.set_private(until);
        let desk = &mut self.activity;
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
            private_until: settings.private_until.filter(|_| self.is_private()),
            shown_to,
            waiting,
            elsewhere: self.activity.publisher.is_elsewhere(),
        }
    }

    /// The activity that stands above the messages with a contact; none where nothing is shown.
    pub(in crate::engine) fn activity_above(&self, with: &Handle) -> Option<crate::api::FriendActivity> {
        let contact = self.contact_named(with).ok()?;
        self.friend_activity(contact).filter(|shown| shown.state != ActivityState::Hidden)
    }
}

/// How long a reaction is shown.
const REACTION_SHOWN: Span = Span::from_secs(600);
