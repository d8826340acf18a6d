//! What a contact who has changed its program may seal: every wrong size and kind is left out, counted and named, and what
//! follows is heard.

use jamsync_protocol::{
    chat::Reaction,
    conversation::{Content, ConversationId, Epoch, Message, PostId},
    identity::{DeviceLog, DeviceSecret, VerifiedLog},
    time::{Span, UtcTime},
    wire::coord::{ConversationEntry, ConversationItem, Sequence},
};

use super::{Conversations, Friend, Note, Roster, Said, group::Group, rows::Known};

/// Two devices in one conversation, of which one seals whatever it likes, and no coordinator between them.
pub(super) struct Pair {
    pub(super) ana: Conversations,
    pub(super) ben: Conversations,
    pub(super) talk: ConversationId,
    pub(super) sequence: u64,
    _folder: tempfile::TempDir,
}

fn open(folder: &std::path::Path, seed: u8, own: &VerifiedLog, other: &VerifiedLog) -> Conversations {
    let name = if seed == 1 { "ben" } else { "ana" };
    let friend = Friend { account: other.account(), name: name.parse().expect("a handle"), blocked: false };
    let roster = Roster::new(own.as_log(), [(friend, other.as_log().clone())]).expect("sound");
    let secret = DeviceSecret::from_seed(&[seed; 32]);
    Conversations::open(&folder.join(format!("{seed}")), &secret, roster).expect("opens").0
}

impl Pair {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [one, two] = [1, 2].map(|seed| DeviceLog::found(&DeviceSecret::from_seed(&[seed; 32]), [7; 16]));
        let ana = open(folder.path(), 1, &one, &two);
        let ben = open(folder.path(), 2, &two, &one);
        let (talk, _) = ana.roster.conversation_with(two.account()).expect("two");
        let package = ben.keys.make_package(&ben.database, false).expect("made");
        let (package, ..) = ben.keys.read_package(&package).expect("sound");
        let welcome = Group::begin(&ana.database, &ana.keys, talk, 1, &[package]).expect("begun");
        let known = Known::load(&ana.database, talk).expect("read");
        Known { generation: 1, joined: true, ..known }.save(&ana.database).expect("kept");
        let mut pair = Self { ana, ben, talk, sequence: 0, _folder: folder };
        let welcome = jamsync_protocol::wire::coord::GroupWelcome::new(welcome).expect("short");
        pair.hand_over(ConversationItem::Begun { welcome });
        assert!(Known::load(&pair.ben.database, talk).expect("read").joined);
        pair
    }

    /// Ben's device takes an entry of the log.
    pub(super) fn hand_over(&mut self, what: ConversationItem) {
        self.sequence += 1;
        let sequence = Sequence(self.sequence);
        let entry = ConversationEntry { sequence, epoch: Epoch::begun(1), at: UtcTime::ZERO, what };
        // So much later than the one before that what is wrong with it is told again.
        let hours = i64::try_from(self.sequence).expect("few") * 2;
        let now = UtcTime::ZERO + Span::from_secs(hours * 3_600);
        assert!(self.ben.take(self.talk, &entry, now).is_ok(), "nothing ends it");
    }

    /// Ana seals these bytes; Ben's device deals with them.
    fn seal(&mut self, bytes: &[u8]) -> PostId {
        let id = PostId((self.sequence + 1).to_be_bytes().repeat(2).try_into().expect("sixteen"));
        let group = Group::load(&self.ana.database, &self.ana.keys, self.talk, 1).expect("read");
        let sealed = group.expect("she is in it").seal(id, bytes).expect("sealed");
        let sealed = jamsync_protocol::wire::coord::Sealed::new(sealed).expect("fits");
        self.hand_over(ConversationItem::Post { id, sealed });
        id
    }

    pub(super) fn say(&mut self, number: u64, content: Content) -> PostId {
        let message = Message { number, at: UtcTime::ZERO, content };
        self.seal(&message.encode().expect("encodes"))
    }

    pub(super) fn shown(&self) -> Vec<Said> {
        self.ben.history(self.ana.keys.account, 1_000).expect("read").said
    }

    /// What Ben is told since the last time.
    pub(super) fn told(&mut self) -> Vec<Note> {
        let notes = std::iter::from_fn(|| self.ben.poll_note());
        // Keys are for activities, of which nobody is told.
        notes.filter(|note| !matches!(note, Note::Rekeyed { .. })).collect()
    }
}

pub(super) fn text(words: &str) -> Content {
    Content::Text(words.parse().expect("may be said"))
}

/// The bytes of a message with a content that no constructor makes.
fn forged(number: u64, content: &[u8]) -> Vec<u8> {
    let head = Message { number, at: UtcTime::ZERO, content: text("x") }.encode().expect("encodes");
    // Behind the number and the time stand the kind, the length and the one letter.
    [&head[..head.len() - 3], content].concat()
}

/// A text as it is on the wire.
fn bytes_of(text: &[u8]) -> Vec<u8> {
    let mut bytes = postcard_length(text.len());
    bytes.extend_from_slice(text);
    bytes
}

fn postcard_length(mut length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while length > 0x7f {
        bytes.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).expect("seven bits"));
    bytes
}

/// A track card whose title and length are anything at all.
fn card(title: &[u8], length_nanos: i64) -> Vec<u8> {
    let zigzag = (length_nanos.cast_unsigned() << 1) ^ (length_nanos >> 63).cast_unsigned();
    let mut length = zigzag;
    let mut bytes = [&[1, 0][..], &[7; 32], &bytes_of(title), &[0, 0]].concat();
    while length > 0x7f {
        bytes.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).expect("seven bits"));
    bytes
}

#[test]
fn every_wrong_size_and_kind_is_left_out_and_named_and_what_follows_is_heard() {
    let second = 1_000_000_000;
    let long = vec![b'x'; 4_097];
    let wrong: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("half a number", vec![0x80]),
        ("a kind that there is not", forged(1, &[9])),
        ("a kind beyond all kinds", forged(1, &[0xff, 0xff, 0xff, 0xff, 0x7f])),
        ("bytes after the end", forged(1, &[0, 1, b'x', 0])),
        ("a text that ends early", forged(1, &[0, 9, b'x'])),
        ("a text that is empty", forged(1, &[0, 0])),
        ("a text of blanks", forged(1, &[0, 2, b' ', b'\n'])),
        ("a text that is too long", forged(1, &[&[0][..], &bytes_of(&long)].concat())),
        ("invalid UTF-8", forged(1, &[0, 2, 0xc3, 0x28])),
        ("a terminal escape", forged(1, &[&[0][..], &bytes_of(b"\x1b]0;owned\x07")].concat())),
        ("a control character", forged(1, &[0, 2, b'a', 0x08])),
        ("a card without a title", forged(1, &card(b"", second))),
        ("a card's escape", forged(1, &card(b"\x1b[2J", second))),
        ("a card's lines", forged(1, &card(b"a\nb", second))),
        ("a card's long title", forged(1, &card(&long[..257], second))),
        ("a card that lasts nothing", forged(1, &card(b"a", 0))),
        ("a card that lasts less than nothing", forged(1, &card(b"a", -second))),
        ("a card that lasts for ever", forged(1, &card(b"a", i64::MAX))),
        ("a card that lasts 101 hours", forged(1, &card(b"a", 101 * 3_600 * second))),
        ("a playlist of nothing", forged(1, &[&[1, 3][..], &bytes_of(b"Mix"), &[0, 0]].concat())),
        (
            "a playlist that announces a thousand",
            forged(1, &[&[1, 3][..], &bytes_of(b"Mix"), &[1, 0xe8, 7]].concat()),
        ),
        ("a reaction outside the palette", forged(1, &[&[2][..], &[7; 16], &[1, 6]].concat())),
        ("a receipt that ends early", forged(1, &[&[3][..], &[7; 9]].concat())),
        ("6 KiB of noise", vec![0xaa; 5_500]),
    ];
    let mut pair = Pair::new();
    let good = forged(1, &card(b"a", second));
    assert!(Message::decode(&good).is_ok(), "the forger forges well");
    for (name, bytes) in wrong {
        assert!(Message::decode(&bytes).is_err(), "{name} is wrong");
        pair.seal(&bytes);
        assert_eq!(pair.shown().len(), 0, "{name} is shown");
        let told = pair.told();
        let warned = told.iter().any(|note| matches!(note, Note::Warning(text) if text.contains("left out")));
        assert!(warned, "{name}: {told:?}");
    }
    pair.say(2, text("still here"));
    assert_eq!(pair.shown().len(), 1);
}

#[test]
fn what_is_left_out_is_counted_and_names_no_message_as_missing() {
    let mut pair = Pair::new();
    pair.say(1, text("one"));
    pair.seal(&forged(2, &[9]));
    pair.told();
    pair.say(3, text("three"));
    let told = pair.told();
    assert!(matches!(told[..], [Note::Said { .. }]), "{told:?}");
    pair.say(9, text("nine"));
    let told = pair.told();
    assert!(matches!(&told[0], Note::Warning(text) if text.starts_with("5 messages")), "{told:?}");
}

#[test]
fn reactions_and_receipts_about_what_there_is_not_change_nothing() {
    let mut pair = Pair::new();
    let own = pair.say(1, text("mine"));
    pair.told();
    let unknown = PostId([0xee; 16]);
    for content in [
        Content::Reaction { to: unknown, reaction: Some(Reaction::Fire) },
        Content::Receipt { delivered: unknown, read: Some(unknown) },
        // Nobody has received or read one's own message for others.
        Content::Receipt { delivered: own, read: Some(own) },
    ] {
        pair.say(2, content);
        assert_eq!(pair.told(), []);
    }
    // Whoever reacts a thousand times has one reaction.
    for reaction in Reaction::ALL.into_iter().cycle().take(60) {
        pair.say(3, Content::Reaction { to: own, reaction: Some(reaction) });
    }
    let reactions = &pair.shown()[0].reactions;
    assert_eq!(reactions, &[(pair.ana.keys.account, Reaction::Sad)]);
}

#[test]
fn letters_from_the_right_and_overrides_come_but_steer_nothing() {
    let mut pair = Pair::new();
    pair.say(1, text("\u{202e}evil שלום"));
    let [Said { content: Content::Text(words), .. }] = &pair.shown()[..] else { panic!("no text") };
    assert_eq!(words.lines().collect::<Vec<_>>(), ["\u{2068}\u{fffd}evil שלום\u{2069}"]);
}
