//! Two sides that talk over connections which come, go and lose what is under way at every point.

use alloc::{collections::VecDeque, format, string::String, string::ToString, vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::text::Text;

const ANA: Participant = Participant::FIRST;
const START: NodeTime = NodeTime::from_nanos(1_000);
const CALENDAR: UtcTime = UtcTime::from_nanos(1_763_753_000_000_000_000);

fn ben() -> Participant {
    Participant::new(1).expect("a guest")
}

fn text(text: &str) -> ChatText {
    text.parse().expect("may be said")
}

/// Frames under way to a side: the number of their connection, and their bytes.
type Pipe = VecDeque<(u32, Vec<u8>)>;

struct Side {
    chat: Chat,
    run: u32,
    /// The connection it believes in.
    on: Option<u32>,
    inbox: Pipe,
    said: Vec<String>,
    heard: Vec<String>,
    delivered: u32,
    reactions: usize,
}

struct World {
    sides: [Side; 2],
    /// The newest connection, and whether it carries anything.
    connection: u32,
    broken: bool,
    now: NodeTime,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Say(usize),
    React(usize),
    /// A new connection can be had; the old one carries nothing any more.
    Dial,
    /// A side comes to know of the newest connection.
    Connect(usize),
    /// A side takes in one frame.
    Take(usize),
    /// The connection breaks: of what is under way to each side, only so much still arrives.
    Break(usize, usize),
    /// A side notices.
    Notice(usize),
}

impl World {
    fn new() -> Self {
        let side = |chat, run| Side {
            chat,
            run,
            on: None,
            inbox: Pipe::new(),
            said: vec![],
            heard: vec![],
            delivered: 0,
            reactions: 0,
        };
        let sides = [side(Chat::new(ANA, ben()), 11), side(Chat::new(ben(), ANA), 22)];
        Self { sides, connection: 0, broken: true, now: START }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Say(who) => {
                let side = &mut self.sides[who];
                let words = format!("{who} says {}", side.said.len());
                if side.chat.say(text(&words), CALENDAR, self.now).is_ok() {
                    side.said.push(words);
                }
            }
            Step::React(who) => drop(self.sides[who].chat.react(Reaction::Fire, self.now)),
            Step::Dial => {
                self.connection += 1;
                self.broken = false;
            }
            Step::Connect(who) => self.connect(who),
            Step::Take(who) => self.take(who),
            Step::Break(first, second) => {
                self.broken = true;
                self.sides[0].inbox.truncate(first);
                self.sides[1].inbox.truncate(second);
            }
            Step::Notice(who) => {
                let side = &mut self.sides[who];
                if self.broken && side.on.take().is_some() {
                    side.chat.handle_disconnected();
                }
            }
        }
        (0..2).for_each(|who| self.drain(who));
    }

    fn connect(&mut self, who: usize) {
        let (newest, run) = (self.connection, self.sides[1 - who].run);
        let side = &mut self.sides[who];
        if self.broken || side.on == Some(newest) {
            return;
        }
        // A newer connection takes over also where the loss of the older was not noticed.
        if side.on.replace(newest).is_some() {
            side.chat.handle_disconnected();
        }
        side.chat.handle_connected(run);
    }

    /// What came over a connection that is no longer in use is not handed in.
    fn take(&mut self, who: usize) {
        let side = &mut self.sides[who];
        while let Some((number, bytes)) = side.inbox.pop_front() {
            if side.on == Some(number) {
                side.chat.handle_bytes(&bytes, self.now).expect("an honest peer");
                return;
            }
            if side.on.is_none_or(|on| number > on) {
                side.inbox.push_front((number, bytes));
                return;
            }
        }
    }

    fn drain(&mut self, who: usize) {
        let (carries, newest) = (!self.broken, self.connection);
        let side = &mut self.sides[who];
        while let Some(event) = side.chat.poll_event() {
            match event {
                ChatEvent::Heard(said) => side.heard.push(said.text.as_str().to_string()),
                ChatEvent::Delivered { up_to } => {
                    assert!(up_to > side.delivered, "told once");
                    side.delivered = up_to;
                }
                ChatEvent::Reacted(_) => side.reactions += 1,
            }
        }
        let on = side.on;
        let mut sent = Vec::new();
        while let Some(bytes) = side.chat.poll_transmit() {
            sent.extend(on.filter(|on| carries && *on == newest).map(|on| (on, bytes)));
        }
        self.sides[1 - who].inbox.extend(sent);
    }

    /// A connection that lasts.
    fn come_to_rest(&mut self) {
        for step in [Step::Dial, Step::Connect(0), Step::Connect(1)] {
            self.step(step);
        }
        while self.sides.iter().any(|side| !side.inbox.is_empty()) {
            self.step(Step::Take(0));
            self.step(Step::Take(1));
        }
    }

    fn restart(&mut self, who: usize) {
        self.broken = true;
        let (me, peer) = if who == 0 { (ANA, ben()) } else { (ben(), ANA) };
        let side = &mut self.sides[who];
        (side.chat, side.on, side.run) = (Chat::new(me, peer), None, side.run + 1);
        (side.said, side.heard, side.delivered) = (vec![], vec![], 0);
        self.step(Step::Notice(1 - who));
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0usize..2;
    let step = prop_oneof![
        3 => who.clone().prop_map(Step::Say),
        1 => who.clone().prop_map(Step::React),
        1 => Just(Step::Dial),
        3 => who.clone().prop_map(Step::Connect),
        6 => who.clone().prop_map(Step::Take),
        1 => (0usize..4, 0usize..4).prop_map(|(first, second)| Step::Break(first, second)),
        2 => who.prop_map(Step::Notice),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn everything_arrives_once_and_in_order_wherever_connections_break(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            for (who, side) in world.sides.iter().enumerate() {
                let said = &world.sides[1 - who].said;
                prop_assert!(said.starts_with(&side.heard), "{:?} was heard of {said:?}", side.heard);
            }
        }
        world.come_to_rest();
        for (who, side) in world.sides.iter().enumerate() {
            prop_assert_eq!(&side.heard, &world.sides[1 - who].said);
            prop_assert_eq!(usize::try_from(side.delivered), Ok(side.said.len()));
            prop_assert_eq!(side.chat.waiting().len(), 0);
        }
    }

    #[test]
    fn any_bytes_are_taken_or_refused_by_name_and_memory_is_bounded(
        frames in prop::collection::vec(prop::collection::vec(0u8..8, 0..12), 0..300),
    ) {
        let mut chat = Chat::new(ANA, ben());
        chat.handle_connected(1);
        for frame in frames {
            let _ = chat.handle_bytes(&frame, START);
        }
        prop_assert!(chat.events.len() <= 400, "{} events", chat.events.len());
        prop_assert!(core::iter::from_fn(|| chat.poll_transmit()).count() <= 2, "one resume and one confirmation");
    }
}

/// A chat with a connection on which the peer has said that it has heard nothing.
fn met() -> Chat {
    let mut chat = Chat::new(ANA, ben());
    chat.handle_connected(22);
    take(&mut chat, &ChatMessage::Resume { heard: 0 }).expect("the first");
    chat
}

fn take(chat: &mut Chat, message: &ChatMessage) -> Result<(), ChatError> {
    chat.handle_bytes(&codec::encode(message, PEER_FRAME_BYTES_MAX).expect("fits"), START)
}

fn said(number: u32) -> ChatMessage {
    ChatMessage::Say(Said { id: MessageId { author: ben(), number }, at: CALENDAR, text: text("hello") })
}

fn sent(chat: &mut Chat) -> Vec<ChatMessage> {
    let bytes = core::iter::from_fn(|| chat.poll_transmit());
    bytes.map(|bytes| codec::decode(&bytes).expect("own message")).collect()
}

#[test]
fn what_is_said_while_the_peer_is_away_waits_in_order_up_to_a_bound() {
    let mut chat = Chat::new(ANA, ben());
    let mut now = START;
    for number in 1..=64 {
        assert_eq!(chat.say(text("hi"), CALENDAR, now), Ok(MessageId { author: ANA, number }));
        now += Span::from_secs(1);
    }
    assert_eq!(chat.say(text("hi"), CALENDAR, now), Err(ChatError::Full { waiting: 64 }));
    assert_eq!(sent(&mut chat), []);
    chat.handle_connected(22);
    assert_eq!(
        sent(&mut chat),
        [ChatMessage::Resume { heard: 0 }],
        "nothing before the peer has said what it has"
    );
    take(&mut chat, &ChatMessage::Resume { heard: 0 }).expect("the first");
    let number_of = |message| if let ChatMessage::Say(said) = message { said.id.number } else { 0 };
    assert!(sent(&mut chat).into_iter().map(number_of).eq(1..=64));
    take(&mut chat, &ChatMessage::Heard { number: 60 }).expect("sent");
    assert_eq!(chat.poll_event(), Some(ChatEvent::Delivered { up_to: 60 }));
    assert_eq!(chat.waiting().len(), 4);
    assert!(chat.say(text("hi"), CALENDAR, now).is_ok());
}

#[test]
fn a_reaction_is_sent_at_once_or_not_at_all() {
    let mut chat = Chat::new(ANA, ben());
    assert_eq!(chat.react(Reaction::Clap, START), Err(ChatError::Away));
    let mut chat = met();
    assert_eq!(sent(&mut chat), [ChatMessage::Resume { heard: 0 }]);
    for _ in 0..5 {
        assert_eq!(chat.react(Reaction::Clap, START), Ok(()));
    }
    assert_eq!(chat.react(Reaction::Clap, START), Err(ChatError::TooFast { again_in: Span::from_secs(1) }));
    assert_eq!(sent(&mut chat).len(), 5);
    assert_eq!(chat.react(Reaction::Clap, START + Span::from_secs(1)), Ok(()));
    chat.handle_disconnected();
    chat.handle_connected(22);
    assert_eq!(sent(&mut chat), [ChatMessage::Resume { heard: 0 }]);
}

#[test]
fn a_side_that_began_anew_hears_what_waits_and_counts_from_one() {
    let mut world = World::new();
    world.come_to_rest();
    world.step(Step::Say(0));
    world.step(Step::Say(1));
    world.come_to_rest();
    world.restart(1);
    world.step(Step::Say(0));
    world.step(Step::Say(1));
    world.come_to_rest();
    assert_eq!(world.sides[1].heard, ["0 says 1"], "what had arrived before is not repeated");
    assert_eq!(world.sides[0].heard, ["1 says 0", "1 says 0"], "two messages of two lives");
    assert_eq!((world.sides[0].delivered, world.sides[1].delivered), (2, 1));
}

#[test]
fn a_peer_that_says_more_than_it_may_is_refused_by_name() {
    let mut chat = met();
    let refused = (1..).find_map(|number| Some((number, take(&mut chat, &said(number)).err()?)));
    assert_eq!(refused, Some((125, ChatError::Flooded("messages"))));
    assert_eq!(core::iter::from_fn(|| chat.poll_event()).count(), 124);
    let react = ChatMessage::React(Reaction::Sad);
    let refused = (1..).find_map(|count| Some((count, take(&mut chat, &react).err()?)));
    assert_eq!(refused, Some((21, ChatError::Flooded("reactions"))));
    chat.handle_disconnected();
    chat.handle_connected(23);
    take(&mut chat, &ChatMessage::Resume { heard: 0 }).expect("the first");
    assert_eq!(take(&mut chat, &said(1)), Err(ChatError::Flooded("messages")), "nor by coming back");
}

#[test]
fn what_a_peer_repeats_is_confirmed_again_and_heard_once() {
    let mut chat = met();
    assert_eq!(sent(&mut chat), [ChatMessage::Resume { heard: 0 }]);
    for number in [1, 2, 1, 2] {
        take(&mut chat, &said(number)).expect("said");
    }
    assert_eq!(core::iter::from_fn(|| chat.poll_event()).count(), 2);
    assert_eq!(sent(&mut chat), [ChatMessage::Heard { number: 2 }]);
}

#[test]
fn every_broken_rule_has_a_name_and_changes_nothing() {
    let in_anas_name =
        ChatMessage::Say(Said { id: MessageId { author: ANA, number: 3 }, at: CALENDAR, text: text("I") });
    let cases = [
        (ChatMessage::Resume { heard: 0 }, ChatError::OutOfTurn("a second resume")),
        (in_anas_name, ChatError::NotTheirs { author: ANA }),
        (said(4), ChatError::Gap { expected: 3, actual: 4 }),
        (said(u32::MAX), ChatError::Gap { expected: 3, actual: u32::MAX }),
        (ChatMessage::Heard { number: 2 }, ChatError::NeverSaid { actual: 2, last: 1 }),
    ];
    let mut chat = met();
    chat.say(text("mine"), CALENDAR, START).expect("room");
    for number in [1, 2] {
        take(&mut chat, &said(number)).expect("said");
    }
    sent(&mut chat);
    while chat.poll_event().is_some() {}
    for (message, error) in cases {
        assert_eq!(take(&mut chat, &message), Err(error));
        assert_eq!((chat.heard, chat.waiting().len()), (2, 1), "{error}");
        assert_eq!((chat.poll_event(), sent(&mut chat)), (None, vec![]), "{error}");
    }
    chat.handle_disconnected();
    assert_eq!(take(&mut chat, &said(3)), Err(ChatError::Away));
    chat.handle_connected(22);
    let early = ChatError::OutOfTurn("something else before its resume");
    assert_eq!(take(&mut chat, &said(3)), Err(early));
    let future = ChatMessage::Resume { heard: 2 };
    assert_eq!(take(&mut chat, &future), Err(ChatError::NeverSaid { actual: 2, last: 1 }));
    let long =
        codec::encode(&(1u32, ben(), 3u32, CALENDAR, Text::<8_000>::truncated(&"x".repeat(5_000))), 9_000);
    take(&mut chat, &ChatMessage::Resume { heard: 1 }).expect("the first");
    assert!(matches!(chat.handle_bytes(&long.expect("encodes"), START), Err(ChatError::Codec(_))));
}
