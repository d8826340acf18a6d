//! Who may be in a conversation: the devices that the pinned logs of the accounts name, and nobody else.

use std::collections::BTreeMap;

use jamsync_protocol::{
    conversation::{ConversationId, Members},
    id::{AccountId, DeviceKey, Handle},
    identity::{DeviceLog, VerifiedLog},
};

/// This account and its contacts, as far as this node trusts what it was told of them.
#[derive(Clone, Debug)]
pub struct Roster {
    me: AccountId,
    logs: BTreeMap<AccountId, VerifiedLog>,
    friends: Vec<Friend>,
}

/// Somebody with whom there may be a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Friend {
    /// The account.
    pub account: AccountId,
    /// The name under which the listener knows it.
    pub name: Handle,
    /// Whether the listener has blocked it: nothing is said then.
    pub blocked: bool,
}

impl Roster {
    /// The roster of an account and its contacts. A log that does not verify is left out, and with it its account.
    #[must_use]
    pub fn new(own: &DeviceLog, contacts: impl IntoIterator<Item = (Friend, DeviceLog)>) -> Option<Self> {
        let own = own.verify().ok()?;
        let me = own.account();
        let mut roster = Self { me, logs: BTreeMap::from([(me, own)]), friends: Vec::new() };
        for (friend, log) in contacts {
            if let Ok(log) = log.verify()
                && log.account() == friend.account
            {
                roster.logs.insert(friend.account, log);
                roster.friends.push(friend);
            }
        }
        Some(roster)
    }

    /// This account.
    #[must_use]
    pub const fn me(&self) -> AccountId {
        self.me
    }

    /// The contacts.
    #[must_use]
    pub fn friends(&self) -> &[Friend] {
        &self.friends
    }

    /// The contact of that name.
    #[must_use]
    pub fn by_name(&self, name: &Handle) -> Option<&Friend> {
        self.friends.iter().find(|friend| friend.name == *name)
    }

    /// The contact of that account.
    #[must_use]
    pub fn friend(&self, account: AccountId) -> Option<&Friend> {
        self.friends.iter().find(|friend| friend.account == account)
    }

    /// The conversation with a contact.
    pub(super) fn conversation_with(&self, account: AccountId) -> Option<(ConversationId, Members)> {
        let members = Members::new([self.me, account]).ok()?;
        Some((ConversationId::of(&members), members))
    }

    /// Whether the device speaks for the account now.
    pub(super) fn speaks_for(&self, device: DeviceKey, account: AccountId) -> bool {
        self.logs.get(&account).is_some_and(|log| log.is_active(device))
    }

    /// Every device of these accounts, with its account.
    pub(super) fn devices<'a>(
        &'a self,
        members: &'a Members,
    ) -> impl Iterator<Item = (DeviceKey, AccountId)> + 'a {
        let logs = members.iter().filter_map(|account| self.logs.get(account));
        logs.flat_map(|log| log.devices().iter().map(|device| (*device, log.account())))
    }

    /// Takes a log as the coordinator has it, where it continues the one that is known, and says whether it did.
    pub(super) fn learn(&mut self, log: &DeviceLog) -> bool {
        let Ok(shown) = log.verify() else { return false };
        let Some(known) = self.logs.get_mut(&shown.account()) else { return false };
        let continues = shown.extends(&known.pin()).is_ok();
        if continues {
            *known = shown;
        }
        continues
    }

    /// Takes another roster over, and keeps what is known of a log beyond it.
    pub(super) fn renew(&mut self, other: Self) {
        let before = std::mem::replace(self, other);
        for log in before.logs.values() {
            self.learn(log.as_log());
        }
    }
}
