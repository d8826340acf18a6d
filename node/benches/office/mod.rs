//! A coordinator as conversations see one: it keeps one log and the key packages in memory, refuses nobody, and costs next
//! to nothing, so that what is measured is the node's.

use std::collections::{BTreeMap, VecDeque};

use jamsync_node::conversation::{Ask, Conversations};
use jamsync_protocol::{
    conversation::{ConversationId, Epoch, Members},
    id::DeviceKey,
    text::List,
    time::UtcTime,
    wire::coord::{
        ConversationEntry, ConversationItem, ConversationState, CoordReply, CoordRequest, KeyPackage,
        Sequence, TakenPackage,
    },
};

/// The log of one conversation, and key packages.
pub(crate) struct Office {
    members: Members,
    epoch: Epoch,
    log: Vec<ConversationEntry>,
    packages: BTreeMap<DeviceKey, VecDeque<KeyPackage>>,
    cursors: BTreeMap<DeviceKey, Sequence>,
}

impl Office {
    pub(crate) fn new(members: Members) -> Self {
        let (log, packages, cursors) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { members, epoch: Epoch::default(), log, packages, cursors }
    }

    /// The conversation that it keeps.
    pub(crate) fn conversation(&self) -> ConversationId {
        ConversationId::of(&self.members)
    }

    /// Lets a machine ask until it has nothing more to ask, and returns how often it asked.
    pub(crate) fn serve(&mut self, device: DeviceKey, machine: &mut Conversations, now: UtcTime) -> usize {
        let mut asked = 0;
        while let Some(ask) = machine.poll_ask(now).expect("its database works") {
            self.answer(device, machine, ask, now);
            asked += 1;
        }
        asked
    }

    /// Answers one request.
    pub(crate) fn answer(&mut self, device: DeviceKey, machine: &mut Conversations, ask: Ask, now: UtcTime) {
        let reply = self.reply(device, &ask.request, now);
        machine.handle_answer(ask, Ok(reply), now).expect("its database works");
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "conversations ask for nothing else")]
    fn reply(&mut self, device: DeviceKey, request: &CoordRequest, now: UtcTime) -> CoordReply {
        match request.clone() {
            CoordRequest::Conversations { .. } => {
                let conversations = if self.log.is_empty() { Vec::new() } else { vec![self.state(device)] };
                let conversations = List::new(conversations).expect("one at most");
                CoordReply::Conversations { conversations, more: false, key_packages: self.left(device) }
            }
            CoordRequest::PublishKeyPackages { packages, .. } => {
                self.packages.entry(device).or_default().extend(packages.into_vec());
                CoordReply::KeyPackages { left: self.left(device) }
            }
            CoordRequest::TakeKeyPackages { devices } => {
                let take = |device: &DeviceKey| {
                    let package = self.packages.get_mut(device)?.pop_front()?;
                    Some(TakenPackage { device: *device, package })
                };
                let taken = devices.iter().filter_map(take).collect();
                CoordReply::TakenPackages(List::new(taken).expect("no more than were asked for"))
            }
            CoordRequest::BeginConversation { generation, welcome, .. } => {
                let begun = Epoch::begun(generation);
                self.place(begun, begun, ConversationItem::Begun { welcome }, now)
            }
            CoordRequest::ChangeConversation { epoch, commit, welcome, .. } => {
                self.place(epoch, epoch.next(), ConversationItem::Changed { commit, welcome }, now)
            }
            CoordRequest::Post { epoch, id, sealed, .. } => {
                self.place(epoch, epoch, ConversationItem::Post { id, sealed }, now)
            }
            CoordRequest::ConversationLog { after, .. } => {
                let new = self.log.iter().filter(|entry| entry.sequence > after).take(1).cloned();
                let entries = List::new(new.collect()).expect("one at most");
                CoordReply::Entries { entries, newest: self.newest() }
            }
            CoordRequest::AcknowledgeLog { upto, .. } => {
                self.cursors.insert(device, upto);
                CoordReply::Conversation(self.state(device))
            }
            other => panic!("asked for {other:?}"),
        }
    }

    fn place(&mut self, of: Epoch, after: Epoch, what: ConversationItem, at: UtcTime) -> CoordReply {
        let sequence = Sequence(self.newest().0 + 1);
        self.epoch = after;
        self.log.push(ConversationEntry { sequence, epoch: of, at, what });
        CoordReply::Placed { sequence, at }
    }

    fn state(&self, device: DeviceKey) -> ConversationState {
        ConversationState {
            conversation: self.conversation(),
            members: self.members.clone(),
            epoch: self.epoch,
            newest: self.newest(),
            acknowledged: self.cursors.get(&device).copied().unwrap_or_default(),
        }
    }

    fn newest(&self) -> Sequence {
        self.log.last().map_or(Sequence(0), |entry| entry.sequence)
    }

    fn left(&self, device: DeviceKey) -> u16 {
        let left = self.packages.get(&device).map_or(0, VecDeque::len);
        u16::try_from(left).expect("few")
    }
}
