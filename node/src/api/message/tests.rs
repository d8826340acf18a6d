//! What the lines of the local API look like.

use jamsync_protocol::time::UtcTime;

use super::*;

#[test]
fn a_request_reads_as_documented() {
    let line = RequestLine::new(Request::Seek { to: SeekTo::ByMs(-10_000) });
    let text = serde_json::to_string(&line).expect("encodes");
    assert_eq!(text, r#"{"version":1,"request":{"verb":"seek","to":{"by_ms":-10000}}}"#);
    assert_eq!(serde_json::from_str::<RequestLine>(&text).expect("decodes"), line);
}

#[test]
fn a_reply_an_error_and_an_event_are_told_apart() {
    let error = ApiError::new(crate::api::ErrorCode::NotInJam, "no", "");
    for (line, expected) in [
        (ServerLine::from(Ok(Reply::Done)), r#"{"version":1,"reply":{"kind":"done"}}"#),
        (ServerLine::from(Err(error)), r#"{"version":1,"error":{"code":"not_in_jam","message":"no"}}"#),
        (
            Body::Event(Event::Missed { count: 3 }).into(),
            r#"{"version":1,"event":{"event":"missed","count":3}}"#,
        ),
    ] {
        let text = serde_json::to_string(&line).expect("encodes");
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<ServerLine>(&text).expect("decodes"), line);
    }
}

#[test]
fn contacts_say_how_old_they_are_only_where_they_are_not_live() {
    for (as_of, expected) in [
        (None, r#"{"version":1,"reply":{"kind":"contacts","contacts":[]}}"#),
        (
            Some(UtcTime::from_nanos(1_795_219_200_007_000_000)),
            r#"{"version":1,"reply":{"kind":"contacts","contacts":[],"as_of_unix_ms":1795219200007}}"#,
        ),
    ] {
        let line = ServerLine::from(Ok(Reply::Contacts { contacts: Vec::new(), as_of }));
        let text = serde_json::to_string(&line).expect("encodes");
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<ServerLine>(&text).expect("decodes"), line);
    }
}

#[test]
fn a_percentage_above_100_is_refused() {
    assert!(serde_json::from_str::<Percent>("101").is_err());
    assert_eq!(serde_json::from_str::<Percent>("100").expect("valid"), Percent::FULL);
}
