//! A coordinator that is sent the pinned calls of the wire with bytes flipped, cut out and put in: each stream is answered
//! or closed with a named reason, and the server is none the worse for it. `JAMSYNC_SEED` says which.

use std::{collections::BTreeMap, env};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::golden::coord_calls;

/// Streams that carry a mutated frame.
const MUTATED: usize = 600;
/// Each on a connection of its own with so many others: fewer than one client may ask at once.
const EACH: usize = 60;
/// What a frame begins with: its length.
const LENGTH_BYTES: usize = 4;

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// By a reply of its own.
    Answered,
    /// Without a word, as a stream of events does on which nothing happens.
    Silent,
    /// With a reason.
    Closed(Fault),
}

/// The bytes with one to three changes.
fn mutate(bytes: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..random.random_range(1..=3) {
        let at = random.random_range(0..=bytes.len());
        match random.random_range(0..3) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            1 => {
                let to = (at + random.random_range(1..=8)).min(bytes.len());
                drop(bytes.drain(at..to));
            }
            _ => {
                let new: Vec<u8> = (0..random.random_range(1..=8)).map(|_| random.random()).collect();
                drop(bytes.splice(at..at, new));
            }
        }
    }
    bytes
}

/// Sends it on a stream of its own, and looks how that ends.
async fn send(connection: &Connection, bytes: &[u8]) -> Ended {
    let (mut send, mut receive) = connection.open_bi().await.expect("the connection lives");
    // The coordinator may close the stream before it has read all.
    drop(send.write_all(bytes).await);
    drop(send.finish());
    let answer = tokio::time::timeout(PATIENCE, receive.read_to_end(2 * COORD_FRAME_BYTES_MAX));
    match answer.await.expect("ends in time") {
        Ok(answer) if answer.is_empty() => Ended::Silent,
        Ok(answer) => {
            let mut frames = codec::FrameReader::new(COORD_FRAME_BYTES_MAX);
            frames.handle_bytes(&answer);
            let reply = frames.poll_frame().expect("a frame").expect("a whole one");
            let reply = codec::decode::<CoordReply>(&reply);
            assert!(reply.is_ok() && frames.is_at_boundary(), "{answer:?}: {reply:?}");
            Ended::Answered
        }
        Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(code))) => {
            Ended::Closed(Fault::from_code(code.into_inner()).expect("a reason that the wire names"))
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_with_bytes_flipped_cut_and_put_in_are_answered_or_closed_by_name_within_the_bound() {
    let seed = env::var("JAMSYNC_SEED").ok().map_or(8, |text| text.parse().expect("a number"));
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let stage = Stage::set();
    let bystander = stage.bystander().await;
    let calls: Vec<(&str, Vec<u8>)> = coord_calls()
        .into_iter()
        .map(|(name, call)| (name, codec::encode_frame(&call, COORD_FRAME_BYTES_MAX).expect("fits")))
        .collect();
    // As they are pinned, all of them are calls.
    let who = Persona::new(1, 0).expect("a person");
    let device = log_in(&stage, &who).await;
    for (name, frame) in &calls {
        let is_stream = ["Events", "Activity, Watch"].contains(name);
        let expected = if is_stream { Ended::Silent } else { Ended::Answered };
        assert_eq!(send(&device.connection, frame).await, expected, "{name}");
    }
    let mut ended: BTreeMap<String, usize> = BTreeMap::new();
    let mut clients = vec![device];
    for number in 0..MUTATED {
        if number % EACH == 0 {
            let who = Persona::new(2, u32::try_from(number).expect("few")).expect("a person");
            clients.push(log_in(&stage, &who).await);
        }
        let (name, frame) = &calls[random.random_range(0..calls.len())];
        // Every second one is of the length that it announces, so that more than the length is looked at.
        let bytes = if number % 2 == 0 {
            mutate(frame, &mut random)
        } else {
            codec::frame(&mutate(&frame[LENGTH_BYTES..], &mut random), COORD_FRAME_BYTES_MAX).expect("fits")
        };
        let client = &clients.last().expect("one").connection;
        let how = send(client, &bytes).await;
        *ended.entry(format!("{how:?}")).or_default() += 1;
        assert_eq!(client.close_reason(), None, "{name}, {bytes:02x?}");
    }
    let (grown, clients) = (stage.grown_kib(), clients.len() + 2);
    println!("{MUTATED} mutated calls ended so: {ended:?}; {clients} clients, {grown:.0} KiB in all");
    assert!(ended.len() > 3, "hardly any of them is understood, or all");
    let bound = KEPT_KIB_MAX * f64::from(u32::try_from(clients).expect("few"));
    assert!(grown < bound, "{grown} KiB of {bound}");

    let whole = Persona::new(3, 0).expect("a person");
    let device = log_in(&stage, &whole).await;
    let me = device.ask(CoordRequest::WhoAmI).await.expect("a reply");
    assert!(matches!(&me, CoordReply::Me(me) if me.handle == whole.handle), "{me:?}");
    bystander.check("mutated calls").await;
}
