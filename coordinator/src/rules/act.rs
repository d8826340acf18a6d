//! One write under way: which rule each request comes to, and what the rules share.

use jamsync_protocol::{
    id::DeviceKey,
    wire::coord::{CoordEvent, CoordReply, CoordRequest},
};

use super::{Applied, Context, Outcome, Stop, Written, devices_of, my_account};
use crate::store::{Account, StoreError, Tables};

/// One write under way.
pub(super) struct Act<'a> {
    pub(super) tables: &'a mut dyn Tables,
    pub(super) context: &'a Context,
    pub(super) wake: Vec<DeviceKey>,
    pub(super) written: Option<Written>,
    pub(super) revoked: Vec<DeviceKey>,
}

impl<'a> Act<'a> {
    pub(super) fn new(tables: &'a mut dyn Tables, context: &'a Context) -> Self {
        Self { tables, context, wake: Vec::new(), written: None, revoked: Vec::new() }
    }

    pub(super) fn done(self, reply: CoordReply) -> Applied {
        let Self { wake, written, revoked, .. } = self;
        Applied { reply, wake, written, revoked }
    }

    pub(super) fn write(&mut self, request: &CoordRequest) -> Outcome {
        match request {
            CoordRequest::SignUp { secret, handle, birth_date, market, log } => {
                self.sign_up(*secret, handle, *birth_date, *market, log)
            }
            CoordRequest::ConfirmAge { birth_date } => self.confirm_age(*birth_date),
            CoordRequest::CreateFriendLink => self.create_link(),
            CoordRequest::AcceptFriendLink { token, proof } => self.accept_link(*token, *proof),
            CoordRequest::RequestJam { to } => self.request_jam(to),
            CoordRequest::CancelRequest { request } => self.cancel(*request),
            CoordRequest::AnswerRequest { request, answer } => self.answer(*request, *answer),
            CoordRequest::Candidates { .. } => self.trickle_candidates(),
            CoordRequest::EndJam { jam } => self.end_jam(*jam),
            CoordRequest::MakeDeviceCode => self.make_device_code(),
            CoordRequest::AskToJoin { token, consent, code_proof, name } => {
                self.ask_to_join(*token, *consent, *code_proof, name)
            }
            CoordRequest::ExtendLog { account, entry, name } => self.extend_log(*account, entry, name),
            CoordRequest::RenameDevice { device, name } => self.rename_device(*device, name),
            CoordRequest::VouchForContact { vouch } => self.vouch_for(vouch),
            CoordRequest::MarkContact { contact, mark, on } => self.mark_contact(*contact, *mark, *on),
            CoordRequest::RemoveContact { contact } => self.remove_contact(*contact),
            CoordRequest::Report { contact, reason, words } => self.report(*contact, *reason, words),
            CoordRequest::OptOut { out } => self.opt_out(*out),
            CoordRequest::DeleteAccount { handle } => self.delete_account(handle),
            CoordRequest::PublishKeyPackages { packages, last_resort, anew } => {
                self.publish_key_packages(packages, last_resort.as_ref(), *anew)
            }
            CoordRequest::TakeKeyPackages { devices } => self.take_key_packages(devices),
            CoordRequest::BeginConversation { members, generation, welcome } => {
                self.begin_conversation(members, *generation, welcome)
            }
            CoordRequest::ChangeConversation { conversation, epoch, commit, welcome } => {
                self.change_conversation(*conversation, *epoch, commit, welcome.as_ref())
            }
            CoordRequest::Post { conversation, epoch, id, sealed } => {
                self.post(*conversation, *epoch, *id, sealed)
            }
            CoordRequest::AcknowledgeLog { conversation, upto } => self.acknowledge_log(*conversation, *upto),
            CoordRequest::Hello { .. }
            | CoordRequest::WhoAmI
            | CoordRequest::Contacts { .. }
            | CoordRequest::Devices
            | CoordRequest::LookUpLog { .. }
            | CoordRequest::Export { .. }
            | CoordRequest::ConversationLog { .. }
            | CoordRequest::Conversations { .. }
            | CoordRequest::Activity(_)
            | CoordRequest::Events { .. } => Err(Stop::Store(StoreError::Corrupt("request"))),
        }
    }

    /// The account that asks. A birth date that is no longer needed is erased on the way.
    pub(super) fn me(&mut self) -> Result<Account, Stop> {
        let mut account = my_account(&*self.tables, self.context)?;
        let Context { now, calendar, settings, .. } = self.context;
        if let Some(settled) = account.age.settled(settings.minimum_age, *now, *calendar) {
            self.tables.set_age(account.id, settled)?;
            account.age = settled;
        }
        Ok(account)
    }

    /// Tells every device of `account` but `except`.
    pub(super) fn tell(
        &mut self,
        account: &Account,
        except: Option<DeviceKey>,
        event: &CoordEvent,
    ) -> Result<(), StoreError> {
        for device in devices_of(account)? {
            if Some(device) != except {
                self.tables.push_event(device, event)?;
                self.wake.push(device);
            }
        }
        Ok(())
    }

    pub(super) fn new_id(&self) -> [u8; 16] {
        core::array::from_fn(|at| self.context.entropy.get(at).copied().unwrap_or_default())
    }
}
