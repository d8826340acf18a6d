//! Warnings that a friend, a stranger or a coordinator could bring about without end: of each kind one an hour and a conversation, with
//! how many there were since, so that neither the listener's screen nor the log is filled.

use std::collections::BTreeMap;

use jamsync_protocol::{
    conversation::ConversationId,
    time::{Span, UtcTime},
};

use super::Conversations;

/// What is warned of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Complaint {
    /// Something cannot be read.
    Unreadable,
    /// Something of a kind that this version does not know.
    Unknown,
    /// Messages are missing.
    Missing,
    /// What was said is not taken.
    Waits,
}

/// What was warned of lately in one conversation.
#[derive(Debug, Default)]
pub(super) struct Complaints(BTreeMap<Complaint, Last>);

#[derive(Clone, Copy, Debug)]
struct Last {
    at: UtcTime,
    /// How many were kept from the listener since.
    kept_back: u64,
}

impl Complaints {
    /// Whether to warn of it now, and then of how many more that was not done.
    fn admit(&mut self, what: Complaint, now: UtcTime) -> Option<u64> {
        let last = self.0.get_mut(&what);
        if let Some(last) = last.filter(|last| (now - last.at).abs() < COMPLAINT_SPAN) {
            last.kept_back = last.kept_back.saturating_add(1);
            return None;
        }
        let before = self.0.insert(what, Last { at: now, kept_back: 0 });
        Some(before.map_or(0, |last| last.kept_back))
    }
}

impl Conversations {
    /// Warns the listener, unless that was done lately.
    pub(super) fn complain(&mut self, id: ConversationId, what: Complaint, now: UtcTime, sentence: String) {
        let complaints = &mut self.live.entry(id).or_default().complaints;
        match complaints.admit(what, now) {
            None => tracing::debug!(conversation = ?id, sentence, "once more"),
            Some(0) => self.warn(sentence),
            Some(more) => self.warn(format!("{sentence} ({more} more like it before)")),
        }
    }
}

/// For how long one warning stands for all of its kind. An hour: less lets whoever sends rubbish fill the log, more hides that it goes on.
const COMPLAINT_SPAN: Span = Span::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_warning_an_hour_stands_for_all_of_its_kind_and_the_next_says_how_many_there_were() {
        let mut complaints = Complaints::default();
        let at = |seconds| UtcTime::ZERO + Span::from_secs(seconds);
        assert_eq!(complaints.admit(Complaint::Unreadable, at(0)), Some(0));
        let admitted =
            (1..3_600).filter(|second| complaints.admit(Complaint::Unreadable, at(*second)).is_some());
        assert_eq!(admitted.count(), 0);
        assert_eq!(complaints.admit(Complaint::Missing, at(10)), Some(0), "another kind");
        assert_eq!(complaints.admit(Complaint::Unreadable, at(3_600)), Some(3_599));
        assert_eq!(complaints.admit(Complaint::Unreadable, at(7_200)), Some(0));
        assert_eq!(complaints.admit(Complaint::Unreadable, at(0)), Some(0), "the calendar was set back");
    }
}
