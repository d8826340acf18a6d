//! What the listener asks for, verb by verb.

use jamsync_protocol::{
    conversation::Content,
    queue::{Intent, Place},
    session::Command,
    time::Span,
};

use super::{Answer, Engine, jamming::not_in_jam, run::session_error, view};
use crate::{
    api::{self, ApiError, Call, ErrorCode, Reply, Request, SeekTo},
    audio::sink::cards,
};

impl Engine {
    /// Carries out a call. A call to stop is answered when all is put away: its answer is given back.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all other requests need no work beside the loop")]
    pub(super) fn handle_call(&mut self, Call { request, answer }: Call) -> Option<Answer> {
        if matches!(request, Request::Play { .. } | Request::Resume) {
            self.activity.handle_play();
        }
        let work = match request {
            Request::Stop => {
                self.stopping = true;
                return Some(answer);
            }
            Request::Play { paths } if !paths.is_empty() => {
                self.play(paths, answer);
                return None;
            }
            Request::QueueAdd { paths, next } => {
                self.add(paths, next, answer);
                return None;
            }
            Request::LibraryAdd { paths } => {
                self.know(paths, answer);
                return None;
            }
            Request::SignUp { join_code, handle, birth, market } => {
                self.sign_up(&join_code, handle, &birth, &market)
            }
            Request::DeviceCode => self.make_device_code(),
            Request::JoinAccount { code, name } => self.join_account(&code, &name),
            Request::RecoverAccount { code, name } => self.recover_account(&code, &name),
            Request::AccountDevices => self.list_devices(),
            Request::RenameDevice { device, name } => self.rename_device(device, &name),
            Request::RevokeDevice { device } => self.revoke_device(device),
            Request::RecoveryCode => self.make_recovery_code(),
            Request::MarkContact { name, mark, on } => self.mark_contact(&name, mark, on),
            Request::RemoveContact { name } => self.remove_contact(&name),
            Request::ReportContact { name, reason, words } => self.report_contact(&name, reason, &words),
            Request::OptOut { out } => self.opt_out(out),
            Request::ConfirmAge { birth } => self.confirm_age(&birth),
            Request::ExportAccount => self.export_account(),
            Request::DeleteAccount { name, here } => self.delete_account(name, here),
            Request::Link => self.make_link(),
            Request::Join { link } => self.open_link(&link),
            Request::Contacts => self.list_contacts(),
            Request::Message { to, text } => self.message(&to, Content::Text(text)),
            Request::MessageCard { to, card } => self.message_card(&to, card),
            Request::Messages { with, last, peek } => self.messages(with.as_ref(), last, peek),
            Request::MessageReact { with, message, reaction } => {
                self.react_to_message(&with, message, reaction)
            }
            Request::AnswerMessages { with, accept } => self.answer_messages(&with, accept),
            Request::ReadReceipts { on } => self.read_receipts(on),
            Request::MessageTracks { with, message } => self.message_tracks(&with, message),
            Request::RequestJam { to } => self.request_jam(to),
            Request::Accept { from } => self.answer_request(from.as_ref(), true),
            Request::Decline { from } => self.answer_request(from.as_ref(), false),
            Request::Cancel { to } => self.cancel_request(to.as_ref()),
            Request::Activity { what } => self.activity_call(what),
            other => {
                let outcome = self.do_at_once(other);
                self.answer(answer, outcome);
                return None;
            }
        };
        match work {
            Ok(work) => self.beside(Some(answer), work),
            Err(error) => drop(answer.send(Err(error))),
        }
        None
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "requests with work beside the loop do not come here")]
    fn do_at_once(&mut self, request: Request) -> Result<Reply, ApiError> {
        match request {
            Request::Status | Request::Watch => return Ok(Reply::Status(Box::new(self.snapshot()))),
            Request::Devices => return Ok(Reply::Devices { devices: devices()? }),
            Request::Say { text } => return self.say(text),
            Request::React { reaction } => self.react(reaction)?,
            Request::Chat { last } => return self.chat(last),
            Request::Safety { name } => return self.safety_code(name),
            Request::Leave => self.leave()?,
            Request::HandOver => self.hand_over()?,
            Request::Play { .. } | Request::Resume => {
                self.end_waiting();
                self.command(Command::Resume)?;
            }
            // A sound that is held is silent, and goes on with the friend's return only.
            Request::Pause if self.stage.held().is_some() => {}
            Request::Pause => {
                self.end_waiting();
                // What was to begin stands already, and nothing lets it begin by itself any more.
                self.end_hold_for_good();
                self.command(Command::Pause)?;
            }
            Request::Skip => self.command(Command::Skip)?,
            Request::Seek { to } => self.seek(to)?,
            Request::Volume { percent } => self.set_volume(percent, api::Who::You),
            Request::PeerVolume { percent } => {
                self.require_jam()?;
                self.command(Command::PeerVolume(percent.as_u8()))?;
            }
            Request::GuestControls { allowed } => {
                self.require_jam()?;
                self.command(Command::GuestControls(allowed))?;
            }
            Request::QueueMove { entry, after } => {
                let entry = view::entry_id(&entry)?;
                let behind = after.as_ref().map(view::entry_id).transpose()?.or_else(|| self.current());
                let place = behind.map_or(Place::Start, Place::After);
                self.edit(Intent::Move { entry, place })?;
            }
            Request::QueueRemove { entries } => {
                let entries = entries.iter().map(view::entry_id).collect::<Result<Vec<_>, _>>()?;
                self.edit(Intent::Remove(entries))?;
            }
            Request::QueueClear => self.edit(Intent::Clear)?,
            Request::QueueShuffle => self.edit(Intent::Shuffle { seed: rand::random() })?,
            Request::QueueUndo => self.edit(Intent::Undo)?,
            _ => return Err(ApiError::new(ErrorCode::Usage, "this daemon does not know that request", "")),
        }
        Ok(Reply::Done)
    }

    pub(super) fn command(&mut self, command: Command) -> Result<(), ApiError> {
        self.stage.command(command).map_err(|error| session_error(&error))
    }

    pub(super) fn edit(&mut self, intent: Intent) -> Result<(), ApiError> {
        self.command(Command::Edit(intent))
    }

    /// The entry that plays or stands.
    pub(super) fn current(&self) -> Option<jamsync_protocol::id::EntryId> {
        self.stage.session().heard_at(self.stage.now()).map(|heard| heard.entry)
    }

    /// Sets the loudness of this node, on whose behalf tells `by`.
    pub(super) fn set_volume(&mut self, percent: api::Percent, by: api::Who) {
        self.volume = percent;
        self.apply_volume();
        self.tell(api::Event::Volume { percent, by });
    }

    pub(super) fn apply_volume(&self) {
        self.stage.player().set_volume(f32::from(self.volume.as_u8()) / 100.0);
    }

    fn seek(&mut self, to: SeekTo) -> Result<(), ApiError> {
        let session = self.stage.session();
        let nothing =
            || ApiError::new(ErrorCode::NotFound, "nothing is playing", "add music with `jamsync play`");
        let heard = session.intended(self.stage.now()).ok_or_else(nothing)?;
        let track = &session.queue().entry(heard.entry).ok_or_else(nothing)?.track;
        let (rate, length) = (track.rate, track.duration());
        let wanted = match to {
            SeekTo::PositionMs(ms) => Span::from_millis(i64::try_from(ms).unwrap_or(i64::MAX)),
            // A step beyond the end goes to the end, a place that the track has not got is a mistake.
            SeekTo::ByMs(ms) => rate.span_of(heard.position) + Span::from_millis(ms),
        };
        if matches!(to, SeekTo::PositionMs(_)) && wanted > length {
            let what = format!("the track is {} long", clock(length));
            return Err(ApiError::new(ErrorCode::Usage, what, "name a place before its end"));
        }
        self.command(Command::Seek(rate.frames_in(wanted)))
    }

    fn require_jam(&self) -> Result<(), ApiError> {
        if self.jam.is_some() { Ok(()) } else { Err(not_in_jam()) }
    }
}

/// A length as people write it: `4:51`.
fn clock(length: Span) -> String {
    let seconds = length.as_millis() / 1_000;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// The audio devices of this computer.
pub(crate) fn devices() -> Result<Vec<api::Device>, ApiError> {
    let names = cards().map_err(|error| ApiError::new(ErrorCode::NoAudioDevice, error.to_string(), ""))?;
    let device = |name: String| api::Device { default: name == "default", name };
    Ok(names.into_iter().map(device).collect())
}
