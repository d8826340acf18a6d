//! One group of MLS for each beginning of a conversation: made, changed, sealed for and opened, always inside a transaction
//! of the database, so that a key that was used and the use of it are kept together.
//!
//! The group is read from the database each time and forgotten afterwards: what a transaction that was taken back has done to
//! it is nowhere.

use jamsync_protocol::{
    conversation::{ConversationId, Epoch, PostId},
    id::{AccountId, DeviceKey},
};
use openmls::prelude::{
    GroupId, KeyPackage, LeafNodeIndex, MlsGroup, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn,
    MlsMessageOut, OpenMlsProvider as _, PURE_CIPHERTEXT_WIRE_FORMAT_POLICY, ProcessMessageError,
    ProcessedMessageContent, ProtocolMessage, StagedWelcome, WelcomeError,
    tls_codec::{Deserialize as _, Serialize as _},
};
use rusqlite::Connection;

use super::{
    Trouble,
    keys::{CIPHERSUITE, Keys, account_in},
};

/// To how many bytes a sealed message is filled up, or to a multiple: its length tells little of what is said.
const PADDING_BYTES: usize = 256;

/// How long a message's name is, and what stands behind it for its epoch: enough that no two are alike by chance, and
/// nobody but a member can make one.
const NAME_BYTES: usize = 16;
const LINEAGE_BYTES: usize = 16;

/// A group inside a transaction.
pub(super) struct Group<'a> {
    database: &'a Connection,
    keys: &'a Keys,
    group: MlsGroup,
}

/// A device in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    place: LeafNodeIndex,
    pub(super) device: DeviceKey,
    pub(super) account: AccountId,
}

/// What a change is, as it goes to the coordinator.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) commit: Vec<u8>,
    pub(super) welcome: Option<Vec<u8>>,
}

/// What was inside of something sealed.
#[derive(Debug)]
pub(super) enum Opened {
    /// Somebody says something.
    Said { device: DeviceKey, account: AccountId, id: PostId, bytes: Vec<u8> },
    /// This device has sealed it, which cannot open what it has sealed.
    Own { id: PostId },
    /// The devices or keys have changed; the group is in its next epoch.
    Changed,
}

/// Something that was not made for this group as it is, or by nobody in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(pub(super) String);

/// Why something cannot be opened: it is at fault, or the database is.
pub(super) enum OpenError {
    /// It is of an epoch that is called like this group's and is another.
    Forked,
    Unreadable(Unreadable),
    Trouble(Trouble),
}

impl<'a> Group<'a> {
    /// The group of a beginning, if this device is in it.
    pub(super) fn load(
        database: &'a Connection,
        keys: &'a Keys,
        conversation: ConversationId,
        generation: u32,
    ) -> Result<Option<Self>, Trouble> {
        let id = group_id(conversation, generation);
        let group = MlsGroup::load(keys.provider(database).storage(), &id)?;
        Ok(group.map(|group| Self { database, keys, group }))
    }

    /// Makes the group of a beginning with this device and those of the packages in it, and what lets them in.
    pub(super) fn begin(
        database: &'a Connection,
        keys: &'a Keys,
        conversation: ConversationId,
        generation: u32,
        packages: &[KeyPackage],
    ) -> Result<Vec<u8>, Trouble> {
        let provider = keys.provider(database);
        let made = MlsGroup::builder()
            .with_group_id(group_id(conversation, generation))
            .replace_old_group()
            .ciphersuite(CIPHERSUITE)
            .with_wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .padding_size(PADDING_BYTES)
            .use_ratchet_tree_extension(true)
            .build(&provider, keys, keys.credential());
        let mut group = made.map_err(Trouble::mls)?;
        let (_, welcome, _) = group.add_members(&provider, keys, packages).map_err(Trouble::mls)?;
        // Nobody else was in it, so that no other change can have been faster.
        group.merge_pending_commit(&provider).map_err(Trouble::mls)?;
        bytes_of(&welcome)
    }

    /// Joins the group of a beginning.
    pub(super) fn join(
        database: &'a Connection,
        keys: &'a Keys,
        conversation: ConversationId,
        generation: u32,
        welcome: &[u8],
    ) -> Result<Self, OpenError> {
        let MlsMessageBodyIn::Welcome(welcome) = message_in(welcome)?.extract() else {
            return Err(unreadable("what should let this device in does not"));
        };
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .padding_size(PADDING_BYTES)
            .use_ratchet_tree_extension(true)
            .build();
        let provider = keys.provider(database);
        let staged = StagedWelcome::build_from_welcome(&provider, &config, welcome).map_err(of_welcome)?;
        // A device in a group may be older than its key package was to become.
        let staged = staged.skip_lifetime_validation().replace_old_group().build().map_err(of_welcome)?;
        if *staged.group_context().group_id() != group_id(conversation, generation) {
            return Err(unreadable("what lets this device in is of another conversation"));
        }
        let group = staged.into_group(&provider).map_err(of_welcome)?;
        Ok(Self { database, keys, group })
    }

    pub(super) fn epoch(&self, generation: u32) -> Epoch {
        Epoch { generation, number: self.group.epoch().as_u64() }
    }

    /// Whether this device is still in it.
    pub(super) fn is_active(&self) -> bool {
        self.group.is_active()
    }

    /// Every device in it. One that names nobody has the account of no log.
    pub(super) fn leaves(&self) -> Vec<Leaf> {
        let leaf = |member: openmls::prelude::Member| Leaf {
            place: member.index,
            device: DeviceKey(member.signature_key.try_into().unwrap_or_default()),
            account: account_in(&member.credential).unwrap_or(AccountId([0; 32])),
        };
        self.group.members().map(leaf).collect()
    }

    /// Makes a change that waits until the coordinator has taken it. One that was made before is given up.
    pub(super) fn change(&mut self, add: Vec<KeyPackage>, remove: &[Leaf]) -> Result<Change, Trouble> {
        let provider = self.keys.provider(self.database);
        self.group.clear_pending_commit(provider.storage())?;
        let places = remove.iter().map(|leaf| leaf.place);
        let builder = self.group.commit_builder().propose_adds(add).propose_removals(places);
        let builder = builder.load_psks(provider.storage()).map_err(Trouble::mls)?;
        let built =
            builder.build(provider.rand(), provider.crypto(), self.keys, |_| true).map_err(Trouble::mls)?;
        let (commit, welcome, _) = built.stage_commit(&provider).map_err(Trouble::mls)?.into_messages();
        Ok(Change { commit: bytes_of(&commit)?, welcome: welcome.as_ref().map(bytes_of).transpose()? })
    }

    /// The coordinator has taken the change that waited.
    pub(super) fn enact(&mut self) -> Result<(), Trouble> {
        self.group.merge_pending_commit(&self.keys.provider(self.database)).map_err(Trouble::mls)
    }

    /// What stands for all that has led to this epoch: who has been led elsewhere has another for it. It tells nothing of
    /// the keys.
    fn lineage(&self) -> Vec<u8> {
        self.group.epoch_authenticator().as_slice().iter().copied().take(LINEAGE_BYTES).collect()
    }

    /// Seals a message. Its name and what stands for its epoch are not secret, and cannot be changed.
    pub(super) fn seal(&mut self, id: PostId, message: &[u8]) -> Result<Vec<u8>, Trouble> {
        self.group.set_aad([&id.0[..], &self.lineage()].concat());
        let sealed = self.group.create_message(&self.keys.provider(self.database), self.keys, message);
        bytes_of(&sealed.map_err(Trouble::mls)?)
    }

    /// Opens what somebody else in the group has sealed.
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other kind is refused alike")]
    pub(super) fn open(&mut self, sealed: &[u8]) -> Result<Opened, OpenError> {
        if let Some(label) = Label::read(sealed)
            && label.group == self.group.group_id().as_slice()
            && label.epoch == self.group.epoch().as_u64()
            && label.lineage != self.lineage()
        {
            return Err(OpenError::Forked);
        }
        let message = message_in(sealed)?.try_into_protocol_message();
        let message: ProtocolMessage = message.map_err(|error| unreadable(error.to_string()))?;
        let provider = self.keys.provider(self.database);
        let processed = self.group.process_message(&provider, message).map_err(|error| {
            if let ProcessMessageError::StorageError(error) = error {
                return OpenError::Trouble(error.into());
            }
            unreadable(error.to_string())
        })?;
        let openmls::prelude::Sender::Member(place) = *processed.sender() else {
            return Err(unreadable("it comes from nobody in the conversation"));
        };
        let name = processed.aad().get(..NAME_BYTES).unwrap_or_default().to_vec();
        match processed.into_content() {
            ProcessedMessageContent::OwnPrivateMessage => {
                let id = PostId(name.try_into().map_err(|_| unreadable("it has no name"))?);
                Ok(Opened::Own { id })
            }
            ProcessedMessageContent::ApplicationMessage(said) => {
                let Some(leaf) = self.leaves().into_iter().find(|leaf| leaf.place == place) else {
                    return Err(unreadable("it comes from nobody in the conversation"));
                };
                let id = PostId(name.try_into().map_err(|_| unreadable("it has no name"))?);
                Ok(Opened::Said { device: leaf.device, account: leaf.account, id, bytes: said.into_bytes() })
            }
            ProcessedMessageContent::StagedCommitMessage(staged) => {
                let merged = self.group.merge_staged_commit(&provider, *staged);
                merged.map_err(|error| OpenError::Trouble(Trouble::mls(error)))?;
                Ok(Opened::Changed)
            }
            _ => Err(unreadable("it is of a kind that conversations do not have")),
        }
    }

    /// A secret of the epoch as it is, for a purpose of its own.
    pub(super) fn export(&self, label: &str, context: &[u8]) -> Result<[u8; 32], Trouble> {
        let provider = self.keys.provider(self.database);
        let secret = self.group.export_secret(provider.crypto(), label, context, 32).map_err(Trouble::mls)?;
        secret.try_into().map_err(|_| Trouble::Keys("the exporter gave another length".to_owned()))
    }

    /// Forgets the group and its keys.
    pub(super) fn forget(mut self) -> Result<(), Trouble> {
        Ok(self.group.delete(self.keys.provider(self.database).storage())?)
    }
}

impl std::fmt::Debug for Group<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("epoch", &self.group.epoch()).finish_non_exhaustive()
    }
}

impl From<Trouble> for OpenError {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// What a sealed message shows without being opened. Nobody has proven it yet.
struct Label<'a> {
    group: &'a [u8],
    epoch: u64,
    lineage: &'a [u8],
}

impl<'a> Label<'a> {
    /// The label of a message in the form of MLS (RFC 9420, section 6.3); none for anything else.
    fn read(sealed: &'a [u8]) -> Option<Self> {
        // Version 1, a private message.
        let rest = sealed.strip_prefix(&[0, 1, 0, 2])?;
        let (group, rest) = Self::bytes(rest)?;
        let (epoch, rest) = rest.split_first_chunk::<8>()?;
        // Application data.
        let (data, _) = Self::bytes(rest.strip_prefix(&[1])?)?;
        let lineage = data.get(NAME_BYTES..).filter(|lineage| lineage.len() == LINEAGE_BYTES)?;
        Some(Self { group, epoch: u64::from_be_bytes(*epoch), lineage })
    }

    /// Bytes behind their length, which is at most 63 for all that a label holds.
    fn bytes(rest: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let (length, rest) = rest.split_first()?;
        if *length < 64 { rest.split_at_checked(usize::from(*length)) } else { None }
    }
}

/// The name of a group: the conversation's, and how often it was begun.
fn group_id(conversation: ConversationId, generation: u32) -> GroupId {
    let mut id = conversation.0.to_vec();
    id.extend(generation.to_be_bytes());
    GroupId::from_slice(&id)
}

fn bytes_of(message: &MlsMessageOut) -> Result<Vec<u8>, Trouble> {
    message.tls_serialize_detached().map_err(Trouble::mls)
}

fn message_in(mut bytes: &[u8]) -> Result<MlsMessageIn, OpenError> {
    let message = MlsMessageIn::tls_deserialize(&mut bytes).map_err(|error| unreadable(error.to_string()))?;
    if bytes.is_empty() { Ok(message) } else { Err(unreadable("it goes on after its end")) }
}

fn of_welcome(error: WelcomeError<super::storage::ShelfError>) -> OpenError {
    if let WelcomeError::StorageError(error) = error {
        return OpenError::Trouble(error.into());
    }
    unreadable(error.to_string())
}

fn unreadable(why: impl Into<String>) -> OpenError {
    OpenError::Unreadable(Unreadable(why.into()))
}
