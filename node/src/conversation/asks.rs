//! What to ask the coordinator next, as it follows from what is kept. Asked again without an answer in between, the same
//! comes out, so that nothing has to be remembered of what was asked before a crash.

use jamsync_protocol::{
    conversation::{ConversationId, Epoch, KEY_PACKAGES_PER_CALL_MAX, Members, Message, PostId},
    id::{AccountId, DeviceKey},
    text::List,
    time::{Span, UtcTime},
    wire::coord::{Commit, CoordRequest, GroupWelcome, Sealed},
};
use openmls::prelude::KeyPackage;

use super::{
    Ask, Conversations, Friend, Listing, Live, Trouble,
    group::{Group, Leaf},
    inbox::Dealt,
    rows::{Known, Unsent, Waiting, setting},
};

impl Conversations {
    /// What to ask next, if anything is to be asked now. Whoever asks brings the answer, or that there is none, before
    /// asking for more.
    ///
    /// # Errors
    /// [`Trouble`] of the database.
    pub fn poll_ask(&mut self, now: UtcTime) -> Result<Option<Ask>, Trouble> {
        if !self.connected || self.quiet_until.is_some_and(|until| now < until) {
            return Ok(None);
        }
        self.quiet_until = None;
        if let Listing::Wanted(after) = self.listing {
            self.has_missed = false;
            return Ok(Some(Ask { request: CoordRequest::Conversations { after }, about: None }));
        }
        if let Some(ask) = self.ask_to_publish(now)? {
            return Ok(Some(ask));
        }
        if !self.roster.speaks_for(self.keys.device, self.keys.account) {
            // A device that was revoked is in no conversation.
            return Ok(None);
        }
        for friend in self.roster.friends().to_vec() {
            let Some((id, members)) = self.roster.conversation_with(friend.account) else { continue };
            let live = self.live.entry(id).or_default();
            if live.settled || live.due.is_some_and(|due| now < due) {
                continue;
            }
            match self.ask_about(id, &members, &friend, now) {
                Ok(Some(request)) => {
                    let live = self.live.entry(id).or_default();
                    (live.due, live.told) = (None, false);
                    return Ok(Some(Ask { request, about: Some(id) }));
                }
                Ok(None) => {
                    let live = self.live.entry(id).or_default();
                    let later = [
                        live.held_until,
                        live.reads_again,
                        live.packages_again,
                        live.receipt_at,
                        live.acknowledge_at,
                        live.missing_until,
                    ];
                    let later = later.into_iter().flatten();
                    live.due = Some(later.filter(|due| now < *due).min().unwrap_or(now + LOOK_SPAN));
                }
                // What one friend's node has brought about must not stop the messages of others.
                Err(Trouble::Keys(why)) => {
                    let live = self.live.entry(id).or_default();
                    (live.held_until, live.due) =
                        (Some(now + PACKAGES_SPAN_MOST), Some(now + PACKAGES_SPAN_MOST));
                    self.warn(format!("messages with {} wait: {why}", friend.name));
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(None)
    }

    /// When something is to be asked though nothing else happens, at the earliest.
    #[must_use]
    pub fn poll_wake(&self) -> Option<UtcTime> {
        let waiting = self.live.values().filter(|live| !live.settled);
        let due = waiting.filter_map(|live| live.due).chain(self.quiet_until).min();
        due.filter(|_| self.connected)
    }

    /// Keeps as many key packages with the coordinator as may be used while this device is away, and none that is old.
    fn ask_to_publish(&mut self, now: UtcTime) -> Result<Option<Ask>, Trouble> {
        let renewed = setting(&self.database, RENEWED)?.map(UtcTime::from_nanos);
        // Also where the calendar was ahead when they were made.
        let anew = renewed.is_none_or(|at| (now - at).abs() >= PACKAGES_AGE_MAX);
        if !anew && self.packages_left.is_none_or(|left| left >= PACKAGES_LEAST) {
            return Ok(None);
        }
        let transaction = self.database.unchecked_transaction()?;
        let mut packages = Vec::new();
        for _ in 0..KEY_PACKAGES_PER_CALL_MAX {
            packages.push(self.keys.make_package(&transaction, false)?);
        }
        let last_resort = if anew { Some(self.keys.make_package(&transaction, true)?) } else { None };
        transaction.commit()?;
        let packages = List::new(packages).map_err(Trouble::mls)?;
        let request = CoordRequest::PublishKeyPackages { packages, last_resort, anew };
        Ok(Some(Ask { request, about: None }))
    }

    fn ask_about(
        &mut self,
        id: ConversationId,
        members: &Members,
        friend: &Friend,
        now: UtcTime,
    ) -> Result<Option<CoordRequest>, Trouble> {
        self.deal_with_entries(id, now)?;
        let known = Known::load(&self.database, id)?;
        let live = self.live.entry(id).or_default();
        if live.reads_again.is_some_and(|until| now < until) {
            return Ok(None);
        }
        if let Some(account) = live.wants_log {
            return Ok(Some(CoordRequest::LookUpLog { account }));
        }
        if live.newest > known.read || live.unsure {
            if !live.unsure && live.missing_until.is_some_and(|until| now < until) {
                return Ok(None);
            }
            live.missing_until = None;
            return Ok(Some(CoordRequest::ConversationLog { conversation: id, after: known.read }));
        }
        if live.acknowledges(&known, now) {
            return Ok(Some(CoordRequest::AcknowledgeLog { conversation: id, upto: known.read }));
        }
        if friend.blocked {
            live.settled = live.acknowledge_at.is_none();
            return Ok(None);
        }
        if live.held_until.is_some_and(|until| now < until) {
            return Ok(None);
        }
        if let Some(waiting) = Waiting::load(&self.database, id)? {
            return request_of(id, members, waiting).map(Some);
        }
        if known.joined {
            return self.ask_in_group(&known, members, now);
        }
        self.ask_to_begin(&known, members, now)
    }

    /// Begins a conversation that nobody has begun, or of which this device has lost its keys.
    fn ask_to_begin(
        &mut self,
        known: &Known,
        members: &Members,
        now: UtcTime,
    ) -> Result<Option<CoordRequest>, Trouble> {
        let id = known.id;
        let is_first = members.iter().next() == Some(&self.keys.account);
        let live = self.live.entry(id).or_default();
        let begun = live.generation.max(known.generation);
        let patience = match begun {
            0 if is_first => Span::ZERO,
            0 => TURN_SPAN,
            _ => WELCOME_SPAN,
        };
        if now - *live.waiting_since.get_or_insert(now) < patience {
            return Ok(None);
        }
        let others: Vec<_> =
            self.roster.devices(members).filter(|(key, _)| *key != self.keys.device).collect();
        if let Some(request) = self.ask_for_packages(id, &others, now) {
            return Ok(Some(request));
        }
        let packages = self.packages_of(id, &others);
        let is_there = |account| packages.iter().any(|(_, _, of)| *of == account);
        if !members.others(self.keys.account).all(is_there) {
            return Ok(None);
        }
        let packages: Vec<KeyPackage> = packages.into_iter().map(|(package, _, _)| package).collect();
        let generation = begun.saturating_add(1);
        let transaction = self.database.unchecked_transaction()?;
        let welcome = Group::begin(&transaction, &self.keys, id, generation, &packages)?;
        let waiting = Waiting { epoch: Epoch::begun(generation), commit: Vec::new(), welcome: Some(welcome) };
        waiting.save(&transaction, id)?;
        transaction.commit()?;
        self.live.entry(id).or_default().packages.clear();
        request_of(id, members, waiting).map(Some)
    }

    /// Lets devices in and takes them out until the group is as the logs say, then says what waits to be said.
    fn ask_in_group(
        &mut self,
        known: &Known,
        members: &Members,
        now: UtcTime,
    ) -> Result<Option<CoordRequest>, Trouble> {
        let id = known.id;
        let Some(group) = Group::load(&self.database, &self.keys, id, known.generation)? else {
            Known { joined: false, ..*known }.save(&self.database)?;
            return self.ask_to_begin(known, members, now);
        };
        let (leaves, epoch) = (group.leaves(), group.epoch(known.generation));
        let missing: Vec<(DeviceKey, AccountId)> = self
            .roster
            .devices(members)
            .filter(|(device, _)| leaves.iter().all(|leaf| leaf.device != *device))
            .collect();
        let unfit: Vec<Leaf> = leaves
            .iter()
            .copied()
            .filter(|leaf| !self.roster.speaks_for(leaf.device, leaf.account))
            .collect();
        let differs = !missing.is_empty() || !unfit.is_empty();
        if differs && let Some(request) = self.ask_to_change(known, epoch, &missing, &unfit, now)? {
            return Ok(Some(request));
        }
        if !unfit.is_empty() {
            // Nothing is sealed to a device that does not speak for its account any more.
            return Ok(None);
        }
        if let Some(unsent) = Unsent::all(&self.database, id, 1)?.into_iter().next() {
            return self.ask_to_post(known, epoch, unsent).map(Some);
        }
        if let Some(request) = self.ask_to_tell(known, epoch, &leaves, now)? {
            return Ok(Some(request));
        }
        let live = self.live.entry(id).or_default();
        live.settled = !differs && live.receipt_at.is_none() && live.acknowledge_at.is_none();
        if !differs {
            live.differs_since = None;
        }
        Ok(None)
    }

    fn ask_to_change(
        &mut self,
        known: &Known,
        epoch: Epoch,
        missing: &[(DeviceKey, AccountId)],
        unfit: &[Leaf],
        now: UtcTime,
    ) -> Result<Option<CoordRequest>, Trouble> {
        let (id, me) = (known.id, self.keys.account);
        // Each account looks after its own devices; the others help where it does not.
        let is_mine =
            missing.iter().any(|(_, account)| *account == me) || unfit.iter().any(|leaf| leaf.account == me);
        let since = *self.live.entry(id).or_default().differs_since.get_or_insert(now);
        if !is_mine && now - since < TURN_SPAN {
            return Ok(None);
        }
        if let Some(request) = self.ask_for_packages(id, missing, now) {
            return Ok(Some(request));
        }
        let packages = self.packages_of(id, missing).into_iter().take(ADDED_TOGETHER_MAX);
        let (mut add, mut added) = (Vec::new(), Vec::new());
        for (package, device, _) in packages {
            add.push(package);
            added.push(device);
        }
        if add.is_empty() && unfit.is_empty() {
            return Ok(None);
        }
        let transaction = self.database.unchecked_transaction()?;
        let Some(mut group) = Group::load(&transaction, &self.keys, id, known.generation)? else {
            return Ok(None);
        };
        let change = group.change(add, unfit)?;
        let waiting = Waiting { epoch, commit: change.commit, welcome: change.welcome };
        waiting.save(&transaction, id)?;
        transaction.commit()?;
        let live = self.live.entry(id).or_default();
        live.packages.retain(|device, _| !added.contains(device));
        Ok(Some(change_request(id, waiting)?))
    }

    /// The next message, sealed for the epoch as it is. What was sealed for it once is never sealed anew for it.
    pub(super) fn ask_to_post(
        &self,
        known: &Known,
        epoch: Epoch,
        unsent: Unsent,
    ) -> Result<CoordRequest, Trouble> {
        let (conversation, id) = (known.id, unsent.id);
        let sealed = match unsent.sealed {
            Some((of, sealed)) if of == epoch => sealed,
            _ => {
                let message = Message { number: unsent.count, at: unsent.at, content: unsent.content };
                let message = message.encode().map_err(Trouble::value)?;
                self.seal(known, id, epoch, &message)?
            }
        };
        let sealed = Sealed::new(sealed).map_err(Trouble::mls)?;
        Ok(CoordRequest::Post { conversation, epoch, id, sealed })
    }

    /// Seals a message, and keeps in one transaction that a key was used and what for.
    fn seal(&self, known: &Known, id: PostId, epoch: Epoch, message: &[u8]) -> Result<Vec<u8>, Trouble> {
        let transaction = self.database.unchecked_transaction()?;
        let group = Group::load(&transaction, &self.keys, known.id, known.generation)?;
        let mut group = group.ok_or_else(|| Trouble::Keys("its keys are gone".to_owned()))?;
        let sealed = group.seal(id, message)?;
        Unsent::set_sealed(&transaction, id, epoch, &sealed)?;
        transaction.commit()?;
        Ok(sealed)
    }

    /// Asks for key packages that are not in hand, now and then.
    fn ask_for_packages(
        &mut self,
        id: ConversationId,
        wanted: &[(DeviceKey, AccountId)],
        now: UtcTime,
    ) -> Option<CoordRequest> {
        let live = self.live.entry(id).or_default();
        let lacking =
            wanted.iter().map(|(device, _)| *device).filter(|device| !live.packages.contains_key(device));
        let lacking: Vec<DeviceKey> = lacking.take(KEY_PACKAGES_PER_CALL_MAX).collect();
        if lacking.is_empty() || live.packages_again.is_some_and(|again| now < again) {
            return None;
        }
        // A device that is new publishes in a moment; one of an older version never does.
        let span = Span::from_secs(1 << live.packages_tries.min(10)).min(PACKAGES_SPAN_MOST);
        (live.packages_again, live.packages_tries) = (Some(now + span), live.packages_tries + 1);
        Some(CoordRequest::TakeKeyPackages { devices: List::new(lacking).unwrap_or_default() })
    }

    /// The packages in hand that are what they should be: made by the device that was asked for.
    fn packages_of(
        &self,
        id: ConversationId,
        wanted: &[(DeviceKey, AccountId)],
    ) -> Vec<(KeyPackage, DeviceKey, AccountId)> {
        let Some(live) = self.live.get(&id) else { return Vec::new() };
        let packages = wanted.iter().filter_map(|of| {
            let (package, device, account) = self.keys.read_package(live.packages.get(&of.0)?)?;
            ((device, account) == *of).then_some((package, device, account))
        });
        packages.collect()
    }

    fn deal_with_entries(&mut self, id: ConversationId, now: UtcTime) -> Result<(), Trouble> {
        while let Some(entry) = self.live.entry(id).or_default().entries.pop_front() {
            let dealt = self.take(id, &entry, now)?;
            let live: &mut Live = self.live.entry(id).or_default();
            match dealt {
                Dealt::Done => live.asked_log = None,
                Dealt::WantsLog(account) => {
                    live.wants_log = Some(account);
                    live.entries.push_front(entry);
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Live {
    /// Whether it is time to tell how far the log was read: each time costs the coordinator a write.
    fn acknowledges(&mut self, known: &Known, now: UtcTime) -> bool {
        let count = known.read.0.saturating_sub(known.acknowledged.0);
        if count == 0 {
            self.acknowledge_at = None;
            return false;
        }
        count >= ACKNOWLEDGED_TOGETHER || now >= *self.acknowledge_at.get_or_insert(now + ACKNOWLEDGE_AFTER)
    }
}

fn request_of(id: ConversationId, members: &Members, waiting: Waiting) -> Result<CoordRequest, Trouble> {
    if !waiting.is_beginning() {
        return change_request(id, waiting);
    }
    let welcome = GroupWelcome::new(waiting.welcome.unwrap_or_default()).map_err(Trouble::mls)?;
    let (members, generation) = (members.clone(), waiting.epoch.generation);
    Ok(CoordRequest::BeginConversation { members, generation, welcome })
}

fn change_request(conversation: ConversationId, waiting: Waiting) -> Result<CoordRequest, Trouble> {
    let commit = Commit::new(waiting.commit).map_err(Trouble::mls)?;
    let welcome = waiting.welcome.map(GroupWelcome::new).transpose().map_err(Trouble::mls)?;
    Ok(CoordRequest::ChangeConversation { conversation, epoch: waiting.epoch, commit, welcome })
}

/// The setting that tells when all key packages were published anew.
pub(super) const RENEWED: &str = "packages renewed";
/// After how long all key packages are replaced, the last resort among them. Days, default 28: one is good for 84, so that a
/// device that is away for eight weeks can still be let in; fewer make it write more, more let one run out.
pub(super) const PACKAGES_AGE_MAX: Span = Span::from_secs(28 * 86_400);
/// Below how many key packages more are made. Count, default 12.
const PACKAGES_LEAST: u16 = 12;
/// How long an entry may be missing of which a later one is known before it is asked for. Milliseconds, default 100: where friends
/// write at once one is on its way, less asks for it all the same, more keeps a friend waiting where it was lost.
pub(super) const MISSING_SPAN: Span = Span::from_millis(100);
/// How many entries are acknowledged together at least, where time does not press. Count, default 32: fewer cost the coordinator
/// more writes, more make it keep more that was read.
const ACKNOWLEDGED_TOGETHER: u64 = 32;
/// After how long they are acknowledged in any case. Seconds, default 5: less costs more writes, more lets a device that is put
/// back in time fetch more again.
const ACKNOWLEDGE_AFTER: Span = Span::from_secs(5);
/// How many devices one change lets in, so that it fits a frame.
const ADDED_TOGETHER_MAX: usize = 4;
/// How long the other account is left the first word where both could do the same: a package of each device is used up for
/// nothing otherwise.
const TURN_SPAN: Span = Span::from_secs(2);
/// How long a device waits to be let in before it begins the conversation anew. Seconds, default 15: less begins anew what
/// another device was about to do, more leaves a device that lost its keys without messages.
const WELCOME_SPAN: Span = Span::from_secs(15);
/// After how long at most it is asked again for key packages that are not there. Seconds, default 600: less asks a coordinator
/// for what a friend with an older version never has, more keeps a new device waiting that was away for long.
const PACKAGES_SPAN_MOST: Span = Span::from_secs(600);
/// How often it is looked whether a time is over for which another device was left the first word.
const LOOK_SPAN: Span = Span::from_millis(500);
