//! A device that nobody has let in, whoever tries to bring it in, and by whatever way: nobody speaks while it listens.

use jamsync_protocol::{
    conversation::{Epoch, PostId},
    identity::DeviceSecret,
    time::UtcTime,
    wire::coord::{Commit, ConversationEntry, ConversationItem, GroupWelcome, Sealed, Sequence},
};
use openmls::prelude::KeyPackage;
use rusqlite::Connection;

use super::{
    Note,
    bad_input::{Pair, text},
    database,
    group::Group,
    inbox::Dealt,
    keys::Keys,
    rows::Known,
};

/// A device of no account, which says that it is one of Ana's, and its own database.
fn ghost(pair: &Pair) -> (Keys, Connection, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let (database, _) = database::open(&folder.path().join("ghost")).expect("opens");
    (Keys::new(&DeviceSecret::from_seed(&[66; 32]), pair.ana.keys.account), database, folder)
}

fn package_of_ben(pair: &Pair) -> KeyPackage {
    let package = pair.ben.keys.make_package(&pair.ben.database, false).expect("made");
    pair.ben.keys.read_package(&package).expect("sound").0
}

impl Pair {
    /// Ben's device takes an entry that names somebody whom it has to look up first, and finds out nothing more.
    fn take_after_a_look(&mut self, epoch: Epoch, what: ConversationItem) {
        self.sequence += 1;
        let entry = ConversationEntry { sequence: Sequence(self.sequence), epoch, at: UtcTime::ZERO, what };
        let looks = self.ben.take(self.talk, &entry, UtcTime::ZERO).expect("its database works");
        let Dealt::WantsLog(account) = looks else { panic!("nobody is looked up") };
        assert_eq!(account, self.ana.keys.account);
        self.ben.live.entry(self.talk).or_default().asked_log = Some(account);
        let dealt = self.ben.take(self.talk, &entry, UtcTime::ZERO).expect("its database works");
        assert!(matches!(dealt, Dealt::Done), "it is left out");
    }

    fn is_joined(&self) -> bool {
        Known::load(&self.ben.database, self.talk).expect("read").joined
    }

    fn warned_of_somebody_else(&mut self) -> bool {
        self.told().iter().any(|note| matches!(note, Note::Warning(text) if text.contains("SOMEBODY ELSE")))
    }
}

#[test]
fn a_ghost_that_begins_the_conversation_itself_is_refused_and_named() {
    let mut pair = Pair::new();
    let (keys, database, _folder) = ghost(&pair);
    // The coordinator has Ben's key packages, so it can let him into a group of its own.
    let package = package_of_ben(&pair);
    let welcome = Group::begin(&database, &keys, pair.talk, 2, &[package]).expect("begun");
    let welcome = GroupWelcome::new(welcome).expect("short");
    pair.take_after_a_look(Epoch::begun(2), ConversationItem::Begun { welcome });
    assert!(!pair.is_joined(), "nothing is said where it listens");
    assert!(pair.warned_of_somebody_else());
}

#[test]
fn a_ghost_that_a_change_lets_in_is_refused_and_named() {
    let mut pair = Pair::new();
    let (keys, database, _folder) = ghost(&pair);
    let package = keys.make_package(&database, false).expect("made");
    let (package, ..) = keys.read_package(&package).expect("sound");
    // Ana's device, or whoever has its key, lets in a device that Ana's log does not name.
    let (ana, talk) = (&pair.ana, pair.talk);
    let mut group = Group::load(&ana.database, &ana.keys, talk, 1).expect("read").expect("she is in it");
    let change = group.change(vec![package], &[]).expect("made");
    let commit = Commit::new(change.commit).expect("short");
    let welcome = change.welcome.map(|welcome| GroupWelcome::new(welcome).expect("short"));
    pair.take_after_a_look(Epoch::begun(1), ConversationItem::Changed { commit, welcome });
    assert!(!pair.is_joined(), "nothing is said where it listens");
    assert!(pair.warned_of_somebody_else());
}

#[test]
fn a_fork_is_told_from_damage_by_what_each_message_says_of_its_epoch() {
    for forks in [true, false] {
        let mut pair = Pair::new();
        let (ana, ben, talk) = (&pair.ana, &pair.ben, pair.talk);
        let mut group = Group::load(&ana.database, &ana.keys, talk, 1).expect("read").expect("she is in it");
        if forks {
            // Each is told that its own change is the one that was taken: the epochs are called alike.
            group.change(vec![], &[]).expect("made");
            group.enact().expect("enacted");
            let mut other = Group::load(&ben.database, &ben.keys, talk, 1).expect("read").expect("he too");
            other.change(vec![], &[]).expect("made");
            other.enact().expect("enacted");
        }
        let id = PostId([5; 16]);
        let message =
            jamsync_protocol::conversation::Message { number: 1, at: UtcTime::ZERO, content: text("hello") };
        let mut sealed = group.seal(id, &message.encode().expect("encodes")).expect("sealed");
        if !forks {
            *sealed.last_mut().expect("bytes") ^= 1;
        }
        drop(group);
        let sealed = Sealed::new(sealed).expect("short");
        pair.hand_over(ConversationItem::Post { id, sealed });
        let told = pair.told();
        let [Note::Warning(warning)] = &told[..] else { panic!("{told:?}") };
        assert_eq!(warning.contains("different conversations"), forks, "{warning}");
        assert_eq!(pair.is_joined(), !forks, "a fork is left, and the conversation begun anew");
        assert_eq!(pair.shown(), []);
    }
}
