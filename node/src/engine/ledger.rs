//! The Jam requests that this node knows: which are open, and to which of them a grant may answer.
//!
//! A coordinator that is not honest may call anything granted. So what this node itself asked or accepted is noted
//! here and on disk, before the coordinator hears of it, and a grant counts only where it answers that, once.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

use jamsync_protocol::{
    id::AccountId,
    time::{Span, UtcTime},
    wire::coord::{OPEN_REQUESTS_MAX, OpenRequest, RequestId},
};
use serde::{Deserialize, Serialize};

use crate::kept;

/// Open requests, agreements, and the names of requests that are over.
#[derive(Debug)]
pub(super) struct Ledger {
    open: Vec<OpenRequest>,
    agreements: Vec<Agreement>,
    /// Where the agreements are kept.
    file: PathBuf,
    /// The newest last. Answers to what was asked before may still call them open.
    over: VecDeque<RequestId>,
}

/// What the listener has agreed to: a Jam with a friend, in one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Agreement {
    friend: AccountId,
    part: Part,
    /// None while the coordinator has not yet said how it calls the request.
    request: Option<RequestId>,
    until: UtcTime,
}

/// Who asks becomes the guest, who accepts the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Part {
    Guest,
    Host,
}

/// Why a grant is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAgreed {
    #[error("nobody here asked for it or accepted it")]
    Unasked,
    #[error("it comes too late, when the request is over")]
    Late,
    #[error("it gives you the other part than was agreed")]
    OtherPart,
    #[error("you have blocked that friend")]
    Blocked,
}

impl Ledger {
    /// The ledger of a node that starts, with the agreements in `file` that still hold; none where it cannot be used,
    /// of which `troubles` is told.
    pub(super) fn load(file: &Path, now: UtcTime, troubles: &mut Vec<String>) -> Self {
        let what = "which Jams you asked for or accepted before this start is not known any more";
        let mut agreements: Vec<Agreement> = kept::load(file, what, "ask or accept again", troubles);
        // What ends later than any agreement can was written by another calendar.
        agreements.retain(|known| known.until >= now && known.until - now <= AGREEMENT_LIFE_MAX);
        agreements.truncate(AGREEMENTS_MAX);
        Self { open: Vec::new(), agreements, file: file.to_owned(), over: VecDeque::new() }
    }

    /// The open requests, oldest first.
    pub(super) fn open(&self) -> &[OpenRequest] {
        &self.open
    }

    /// Notes an open request. False for one that is known, or over already, or too many.
    pub(super) fn insert(&mut self, request: OpenRequest) -> bool {
        let known = self.open.iter().any(|open| open.request == request.request);
        let new = !known && !self.over.contains(&request.request) && self.open.len() < OPEN_REQUESTS_MAX;
        if new {
            self.open.push(request);
        }
        new
    }

    /// Notes that a request is over, and gives it where it was open.
    pub(super) fn close(&mut self, id: RequestId) -> Option<OpenRequest> {
        if !self.over.contains(&id) {
            self.over.push_back(id);
        }
        while self.over.len() > OVER_MAX {
            self.over.pop_front();
        }
        let place = self.open.iter().position(|open| open.request == id)?;
        Some(self.open.remove(place))
    }

    /// The listener asks `friend` now.
    pub(super) fn asking(&mut self, friend: AccountId, now: UtcTime) {
        self.agree(Agreement { friend, part: Part::Guest, request: None, until: now + ANSWER_PATIENCE });
    }

    /// The coordinator has passed the question on as `request`.
    pub(super) fn asked(&mut self, friend: AccountId, request: RequestId, expires: UtcTime) {
        // One that was answered before this reply came is spent or withdrawn.
        let over = self.over.contains(&request);
        let nameless = |known: &Agreement| known.friend == friend && known.request.is_none();
        if over {
            self.agreements.retain(|known| !nameless(known));
        } else if let Some(known) = self.agreements.iter_mut().find(|known| nameless(known)) {
            (known.request, known.until) = (Some(request), expires + CALENDAR_GRACE);
        }
        self.keep();
    }

    /// The coordinator refused to ask `friend`.
    pub(super) fn not_asked(&mut self, friend: AccountId) {
        self.agreements.retain(|known| known.friend != friend || known.request.is_some());
        self.keep();
    }

    /// The listener accepts a request of `friend` now.
    pub(super) fn accepting(&mut self, friend: AccountId, request: RequestId, now: UtcTime) {
        let until = now + ANSWER_PATIENCE;
        self.agree(Agreement { friend, part: Part::Host, request: Some(request), until });
    }

    /// The account is gone, and with it all that was agreed. The file is removed elsewhere.
    pub(super) fn forget_account(&mut self) {
        self.agreements.clear();
    }

    /// No Jam comes of a request any more.
    pub(super) fn withdraw(&mut self, request: RequestId) {
        let before = self.agreements.len();
        self.agreements.retain(|known| known.request != Some(request));
        if self.agreements.len() < before {
            self.keep();
        }
    }

    /// Uses the agreement that a grant for `request` fulfils: a Jam with `friend` in which this node has `part`.
    ///
    /// # Errors
    /// [`NotAgreed`], and nothing has changed.
    pub(super) fn fulfil(
        &mut self,
        request: RequestId,
        friend: AccountId,
        part: Part,
        now: UtcTime,
    ) -> Result<(), NotAgreed> {
        let answers =
            |known: &Agreement| known.friend == friend && known.request.is_none_or(|named| named == request);
        let place = self.agreements.iter().position(answers).ok_or(NotAgreed::Unasked)?;
        let agreement = self.agreements.get(place).ok_or(NotAgreed::Unasked)?;
        if agreement.part != part {
            return Err(NotAgreed::OtherPart);
        }
        if agreement.until < now {
            return Err(NotAgreed::Late);
        }
        self.agreements.remove(place);
        self.keep();
        Ok(())
    }

    fn agree(&mut self, agreement: Agreement) {
        self.agreements.retain(|known| {
            known.until >= agreement.until - AGREEMENT_LIFE_MAX
                && (known.friend != agreement.friend || known.request != agreement.request)
        });
        let surplus = (self.agreements.len() + 1).saturating_sub(AGREEMENTS_MAX);
        self.agreements.drain(..surplus);
        self.agreements.push(agreement);
        self.keep();
    }

    /// Without a disk the node still works until it ends.
    fn keep(&self) {
        if let Err(error) = kept::save(&self.file, &self.agreements) {
            tracing::warn!(%error, "what was agreed is not kept over a restart");
        }
    }
}

/// How long past its end a request may still be answered: in case this computer's calendar is a little ahead.
pub(super) const CALENDAR_GRACE: Span = Span::from_secs(30);

/// How long a question or an answer holds of which the coordinator has not said that it arrived: as long as a
/// request is open by default.
const ANSWER_PATIENCE: Span = Span::from_secs(300);

/// Agreements are forgotten a day after their end: nothing that comes later can be told from what nobody asked.
const AGREEMENT_LIFE_MAX: Span = Span::from_secs(86_400);

/// Agreements at once, in number: as many as there can be open requests, each way.
const AGREEMENTS_MAX: usize = 2 * OPEN_REQUESTS_MAX;

/// Requests remembered as over, in number: far more than are answered within one reply's way.
const OVER_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const BEN: AccountId = AccountId([2; 32]);
    const CLEO: AccountId = AccountId([3; 32]);
    const ONE: RequestId = RequestId([1; 16]);
    const TWO: RequestId = RequestId([2; 16]);

    fn at(seconds: i64) -> UtcTime {
        UtcTime::from_nanos(0) + Span::from_secs(seconds)
    }

    fn ledger(folder: &Path) -> Ledger {
        load(&folder.join("agreements.json"), at(0))
    }

    fn load(file: &Path, now: UtcTime) -> Ledger {
        let mut troubles = Vec::new();
        let ledger = Ledger::load(file, now, &mut troubles);
        assert_eq!(troubles, Vec::<String>::new());
        ledger
    }

    fn open(request: RequestId) -> OpenRequest {
        let friend = "ben".parse().unwrap();
        OpenRequest { request, friend, account: BEN, incoming: false, expires: at(300) }
    }

    #[test]
    fn a_grant_needs_a_question_or_an_answer_of_ours_and_uses_it_up() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = ledger(folder.path());
        // What the coordinator merely calls open is no agreement.
        assert!(ledger.insert(open(ONE)));
        assert_eq!(ledger.fulfil(ONE, BEN, Part::Guest, at(0)), Err(NotAgreed::Unasked));
        ledger.asking(BEN, at(0));
        ledger.asked(BEN, ONE, at(300));
        assert_eq!(ledger.fulfil(ONE, CLEO, Part::Guest, at(1)), Err(NotAgreed::Unasked));
        assert_eq!(ledger.fulfil(TWO, BEN, Part::Guest, at(1)), Err(NotAgreed::Unasked));
        assert_eq!(ledger.fulfil(ONE, BEN, Part::Host, at(1)), Err(NotAgreed::OtherPart));
        assert_eq!(ledger.fulfil(ONE, BEN, Part::Guest, at(1)), Ok(()));
        assert_eq!(ledger.fulfil(ONE, BEN, Part::Guest, at(1)), Err(NotAgreed::Unasked));
        ledger.accepting(CLEO, TWO, at(2));
        assert_eq!(ledger.fulfil(TWO, CLEO, Part::Host, at(3)), Ok(()));
    }

    #[test]
    fn a_grant_that_comes_when_the_request_is_over_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = ledger(folder.path());
        ledger.asking(BEN, at(0));
        ledger.asked(BEN, ONE, at(300));
        assert_eq!(ledger.fulfil(ONE, BEN, Part::Guest, at(331)), Err(NotAgreed::Late));
        ledger.withdraw(ONE);
        assert_eq!(ledger.fulfil(ONE, BEN, Part::Guest, at(1)), Err(NotAgreed::Unasked));
    }

    #[test]
    fn an_answer_that_overtakes_the_reply_is_taken_and_leaves_nothing_open() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = ledger(folder.path());
        ledger.asking(BEN, at(0));
        assert_eq!(ledger.fulfil(ONE, BEN, Part::Guest, at(1)), Ok(()));
        assert_eq!(ledger.close(ONE), None);
        ledger.asked(BEN, ONE, at(300));
        assert!(!ledger.insert(open(ONE)), "it is over");
        // The same with a decline: no later grant under that name counts.
        ledger.asking(BEN, at(2));
        assert_eq!(ledger.close(TWO), None);
        ledger.asked(BEN, TWO, at(300));
        assert_eq!(ledger.fulfil(TWO, BEN, Part::Guest, at(3)), Err(NotAgreed::Unasked));
    }

    #[test]
    fn what_the_coordinator_refused_to_pass_on_is_no_agreement() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = ledger(folder.path());
        ledger.asking(BEN, at(0));
        ledger.not_asked(BEN);
        assert_eq!(ledger.fulfil(ONE, BEN, Part::Guest, at(1)), Err(NotAgreed::Unasked));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = ledger(folder.path());
        for number in 0..1_000_u16 {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&number.to_be_bytes());
            ledger.accepting(BEN, RequestId(id), at(0));
            ledger.close(RequestId(id));
        }
        assert_eq!((ledger.agreements.len(), ledger.over.len()), (AGREEMENTS_MAX, OVER_MAX));
    }

    #[test]
    fn a_restart_forgets_no_agreement_and_brings_none_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agreements.json");
        let mut asked = ledger(folder.path());
        asked.asking(BEN, at(0));
        asked.asked(BEN, ONE, at(300));
        asked.accepting(CLEO, TWO, at(0));
        let mut again = load(&file, at(100));
        assert_eq!(again.fulfil(ONE, CLEO, Part::Guest, at(100)), Err(NotAgreed::Unasked));
        assert_eq!(again.fulfil(ONE, BEN, Part::Guest, at(100)), Ok(()));
        let mut spent = load(&file, at(101));
        assert_eq!(spent.fulfil(ONE, BEN, Part::Guest, at(101)), Err(NotAgreed::Unasked), "once");
        assert_eq!(spent.fulfil(TWO, CLEO, Part::Host, at(101)), Ok(()));
        let late = load(&file, at(1_000));
        assert_eq!(late.agreements, []);
        asked.accepting(CLEO, TWO, at(0));
        assert_eq!(load(&file, at(900)).agreements, [], "what is over is over");
    }

    #[test]
    fn agreements_that_are_of_no_use_are_named_and_none_holds() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agreements.json");
        let mut asked = ledger(folder.path());
        asked.accepting(CLEO, TWO, at(0));
        let whole = std::fs::read_to_string(&file).unwrap();
        for (text, named) in [
            (&whole[..whole.len() / 2], "damaged"),
            ("", "damaged"),
            (&whole.replace("Host", "Listener"), "another version"),
        ] {
            std::fs::write(&file, text).unwrap();
            let mut troubles = Vec::new();
            let mut again = Ledger::load(&file, at(0), &mut troubles);
            assert_eq!(again.fulfil(TWO, CLEO, Part::Host, at(1)), Err(NotAgreed::Unasked));
            let [trouble] = &troubles[..] else { panic!("{troubles:?}") };
            assert!(trouble.contains(named) && trouble.contains("agreements.damaged"), "{trouble}");
            assert_eq!(load(&file, at(0)).agreements, [], "the next start is not troubled by it");
        }
    }
}
