//! The messages between node and coordinator: refusals as sentences, unknown variants, addresses.

use alloc::{string::ToString, vec};
use core::net::SocketAddr;

use super::*;
use crate::{limits::COORD_FRAME_BYTES_MAX, text::List, time::Span, wire::codec};

#[test]
fn refusals_read_as_sentences() {
    let wait = Refusal::TooMany { retry_after: Span::from_millis(1_500) };
    assert_eq!(wait.to_string(), "too many requests; try again in 2 seconds");
    assert_eq!(wait.retry_after(), Some(Span::from_millis(1_500)));
    let long = Refusal::Unavailable { retry_after: Span::from_secs(300) };
    assert_eq!(long.to_string(), "the coordinator cannot do this at present; try again in 5 minutes");
    let mine = Refusal::AlreadyRequested { by_me: true };
    assert_eq!(mine.to_string(), "you have already asked this friend; wait for the answer or cancel");
    assert_eq!(mine.retry_after(), None);
    let over = Refusal::RequestOver(RequestEnd::Expired);
    assert_eq!(over.to_string(), "the Jam request expired before it was answered");
}

#[test]
fn an_unknown_variant_is_malformed() {
    assert_eq!(codec::decode::<CoordReply>(&[200, 0]), Err(codec::CodecError::Malformed));
}

#[test]
fn addresses_of_both_families_survive() {
    let reply = CoordReply::Observed("[2001:db8::1]:4470".parse().expect("an address"));
    let bytes = codec::encode(&reply, COORD_FRAME_BYTES_MAX).expect("fits");
    assert_eq!(codec::decode(&bytes), Ok(reply));
    let many = vec!["192.0.2.1:1".parse::<SocketAddr>().expect("an address"); CANDIDATES_MAX];
    let request = CoordRequest::Candidates { addresses: List::new(many).expect("fits") };
    let bytes = codec::encode(&request, COORD_FRAME_BYTES_MAX).expect("fits");
    assert_eq!(codec::decode(&bytes), Ok(request));
}
