//! What one connected device is told in passing: entries of conversations, for as long as they are few, and of the rest that
//! there are some. A device that does not read along finds them in the log.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jamsync_protocol::{
    conversation::ConversationId,
    limits::COORD_FRAME_BYTES_MAX,
    wire::{
        codec,
        coord::{CoordEvent, EventNumber, NumberedEvent, Sequence},
    },
};

/// A frame as it goes out, made once for all who are told.
pub(super) type Frame = Arc<[u8]>;

/// What waits for a device.
#[derive(Debug, Default)]
pub(super) struct Passing {
    /// In the order of their logs, because of two that were written together the later may come here first.
    entries: BTreeMap<(ConversationId, Sequence), Frame>,
    bytes: usize,
    /// Of which more has to be read. It grows with the contacts and not with what they say.
    grown: BTreeSet<ConversationId>,
}

impl Passing {
    /// A conversation has grown by an entry, which comes without a frame where none holds it.
    pub(super) fn add(&mut self, place: (ConversationId, Sequence), frame: Option<&Frame>) {
        let known = self.grown.contains(&place.0);
        match frame {
            Some(frame) if !known && self.bytes + frame.len() <= BYTES_MAX => {
                self.bytes += frame.len();
                self.entries.insert(place, Arc::clone(frame));
            }
            _ => drop(self.grown.insert(place.0)),
        }
    }

    /// What to send next.
    pub(super) fn take(&mut self) -> Option<Frame> {
        if let Some((_, frame)) = self.entries.pop_first() {
            self.bytes -= frame.len();
            return Some(frame);
        }
        let conversation = self.grown.pop_first()?;
        frame_of(CoordEvent::ConversationGrew { conversation })
    }
}

/// The frame in which something is told in passing; none where it does not fit.
pub(super) fn frame_of(event: CoordEvent) -> Option<Frame> {
    let event = NumberedEvent { number: EventNumber(0), event };
    codec::encode_frame(&event, COORD_FRAME_BYTES_MAX).ok().map(Frame::from)
}

/// The most that waits for one device. Bytes, default 32 KiB, some eighty messages: fewer make a device ask that reads along,
/// more let one that does not hold more memory.
const BYTES_MAX: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const TALK: ConversationId = ConversationId([1; 32]);

    fn drain(passing: &mut Passing) -> Vec<Frame> {
        std::iter::from_fn(|| passing.take()).collect()
    }

    fn frame(byte: u8) -> Frame {
        Frame::from(vec![byte; 400])
    }

    #[test]
    fn entries_go_out_in_the_order_of_their_log() {
        let mut passing = Passing::default();
        for number in [2, 1, 3] {
            passing.add((TALK, Sequence(number.into())), Some(&frame(number)));
        }
        assert_eq!(drain(&mut passing), [1, 2, 3].map(frame));
    }

    #[test]
    fn who_does_not_read_along_is_told_once_that_there_is_more_and_holds_no_more_memory() {
        let mut passing = Passing::default();
        for number in 0..100_000 {
            passing.add((TALK, Sequence(number)), Some(&frame(7)));
            passing.add((ConversationId([2; 32]), Sequence(number)), None);
        }
        assert!(passing.bytes <= BYTES_MAX && passing.entries.len() == BYTES_MAX / 400, "{}", passing.bytes);
        let told = drain(&mut passing);
        let more =
            [TALK, ConversationId([2; 32])].map(|conversation| CoordEvent::ConversationGrew { conversation });
        let more = more.map(|event| frame_of(event).expect("it is short"));
        assert_eq!(told.get(BYTES_MAX / 400..), Some(&more[..]));
        // Whoever reads along again is told the entries again.
        passing.add((TALK, Sequence(100_001)), Some(&frame(8)));
        assert_eq!(drain(&mut passing), [frame(8)]);
        assert_eq!(passing.bytes, 0);
    }
}
