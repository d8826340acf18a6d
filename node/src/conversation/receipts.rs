//! Receipts: telling others how far this account has come with what they said, and taking theirs.
//!
//! One receipt stands for all before it, so that a hundred messages that come at once cost one. It waits for a moment, in
//! which more may come, and in which another device of this account may be faster. A receipt is answered by nobody, and
//! whoever has not let a contact in tells nothing at all.

use jamsync_protocol::{
    conversation::{Content, ConversationId, Epoch, PostId},
    id::AccountId,
    time::{Span, UtcTime},
    wire::coord::CoordRequest,
};
use rusqlite::Connection;

use super::{
    Conversations, Progress, Trouble,
    group::Leaf,
    history::{Place, newest_of_others, place_of_others},
    rows::Known,
    standing::{Decision, Mark, Standing, tells_reading},
};

impl Conversations {
    /// The receipt that is owed, once it has waited for long enough.
    pub(super) fn ask_to_tell(
        &mut self,
        known: &Known,
        epoch: Epoch,
        leaves: &[Leaf],
        now: UtcTime,
    ) -> Result<Option<CoordRequest>, Trouble> {
        let owed = owed(&self.database, known.id, self.keys.account)?;
        let free_at = self.receipts_again.map_or(now, |again| again.min(now + RECEIPT_GAP));
        let turn = self.turn_among(leaves);
        let live = self.live.entry(known.id).or_default();
        let Some(content) = owed else {
            (live.owes_since, live.receipt_at) = (None, None);
            return Ok(None);
        };
        // A clock that was set back does not put it off for long.
        let since = live.owes_since.map_or(now, |since| since.min(now));
        let at =
            (since + RECEIPT_SPAN + Span::from_nanos(TURN_SPAN.as_nanos().saturating_mul(turn))).max(free_at);
        live.owes_since = Some(since);
        if now < at {
            live.receipt_at = Some(at);
            return Ok(None);
        }
        (live.owes_since, live.receipt_at) = (None, None);
        self.receipts_again = Some(now + RECEIPT_GAP);
        let unsent = self.keep(known.id, content, now)?;
        self.ask_to_post(known, epoch, unsent).map(Some)
    }

    /// How many devices of this account come before this one.
    fn turn_among(&self, leaves: &[Leaf]) -> i64 {
        let before =
            leaves.iter().filter(|leaf| leaf.account == self.keys.account && leaf.device < self.keys.device);
        i64::try_from(before.count()).unwrap_or_default()
    }

    /// How far what this account said at `place` has come with everybody else.
    pub(super) fn progress_of(&self, id: ConversationId, place: Place) -> Result<Progress, Trouble> {
        let reads = tells_reading(&self.database)?;
        let mut least = Progress::Read;
        for other in self.others_in(id) {
            let mark = Mark::load(&self.database, id, other)?;
            let progress = if reads && mark.read >= place {
                Progress::Read
            } else if mark.delivered >= place {
                Progress::Delivered
            } else {
                Progress::Sent
            };
            least = least.min(progress);
        }
        Ok(least)
    }

    /// The other accounts of a conversation.
    fn others_in(&self, id: ConversationId) -> Vec<AccountId> {
        self.friend_in(id).map(|friend| friend.account).into_iter().collect()
    }
}

/// The receipt that this account owes to others: none where it has told all, or has let nobody in.
fn owed(database: &Connection, id: ConversationId, me: AccountId) -> Result<Option<Content>, Trouble> {
    let standing = Standing::load(database, id)?;
    if standing.decision != Decision::Accepted {
        return Ok(None);
    }
    let Some((newest, delivered)) = newest_of_others(database, id, me, Place(u64::MAX))? else {
        return Ok(None);
    };
    let told = Mark::load(database, id, me)?;
    let read =
        if tells_reading(database)? { newest_of_others(database, id, me, standing.seen)? } else { None };
    let owes_read = read.is_some_and(|(place, _)| place > told.read);
    let owes = newest > told.delivered || owes_read;
    Ok(owes.then(|| Content::Receipt { delivered, read: read.map(|(_, id)| id) }))
}

/// Takes a receipt of an account, and says what it brings that is new: up to which message, and whether that was read. One
/// about a message that is not known here, or that is the account's own, says nothing.
pub(super) fn take(
    database: &Connection,
    id: ConversationId,
    by: AccountId,
    delivered: PostId,
    read: Option<PostId>,
) -> Result<Option<(PostId, Progress)>, Trouble> {
    let before = Mark::load(database, id, by)?;
    let mut mark = before;
    let mut brings = None;
    if let Some(place) = place_of_others(database, id, delivered, by)?
        && place > mark.delivered
    {
        mark.delivered = place;
        brings = Some((delivered, Progress::Delivered));
    }
    if let Some(read) = read
        && let Some(place) = place_of_others(database, id, read, by)?
        && place > mark.read
    {
        (mark.read, mark.delivered) = (place, mark.delivered.max(place));
        brings = Some((read, Progress::Read));
    }
    if mark != before {
        mark.save(database, id, by)?;
    }
    Ok(brings)
}

/// What a receipt of this account says to be read was seen, on whichever device.
pub(super) fn see_what_was_read(
    database: &Connection,
    id: ConversationId,
    me: AccountId,
) -> Result<(), Trouble> {
    let (read, standing) = (Mark::load(database, id, me)?.read, Standing::load(database, id)?);
    if read > standing.seen {
        Standing { seen: read, ..standing }.save(database, id)?;
    }
    Ok(())
}

/// How long a receipt waits for more to tell. Milliseconds, default 500: less sends one for each of several messages that
/// come together, more lets a friend wonder.
const RECEIPT_SPAN: Span = Span::from_millis(500);
/// How much longer each further device of the account waits, so that the first to be there tells alone.
const TURN_SPAN: Span = Span::from_secs(2);
/// The least time between two receipts of this device, in all conversations. Seconds, default 2: less takes what a coordinator
/// lets a device say away from its listener, more makes receipts late where many friends write.
const RECEIPT_GAP: Span = Span::from_secs(2);
