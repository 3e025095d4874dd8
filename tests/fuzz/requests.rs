//! What a client says in a WebSocket message: a request with everything in order, or a refusal.

use std::collections::HashMap;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tambour_actors::cursor::Cursor;
use tambour_actors::entry::{Entry, EntryWhat};
use tambour_actors::event::{DATA_BYTES_MAX, RESERVED_TYPES};
use tambour_actors::log::IDEMPOTENCY_KEY_BYTES_MAX;
use tambour_actors::refusal::{DETAIL_BYTES_MAX, Refusal};
use tambour_actors::session::request::{LAST_MAX, Request, parse};
use tambour_actors::topic::state::{Expect, Start};

use crate::harness::{self, Target, within};

/// What is written has the form that everything behind relies on.
fn check_entry(entry: &Entry) {
    let data = match &entry.what {
        EntryWhat::Event(event) => {
            assert!(!RESERVED_TYPES.contains(&event.kind.as_str()), "{} is the hub's own", event.kind.as_str());
            &event.data
        }
        EntryWhat::Append { text, .. } => text,
    };
    assert!(data.len() <= DATA_BYTES_MAX && !data.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    // Numbers of any size are JSON (RFC 8259, section 6), and only passed on.
    serde_json::from_slice::<IgnoredAny>(data).expect("data is JSON");
    assert!(matches!(entry.what, EntryWhat::Event(_)) || data.starts_with(b"\""), "what is appended is text");
    if let Some(key) = &entry.conditions.idempotency_key {
        assert!((1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()));
    }
    if let Some(Expect::At(cursor)) = &entry.conditions.expect {
        assert_eq!(Cursor::parse(&cursor.to_string()), Ok(*cursor));
    }
}

fn any_text(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    // A frame is bounded before it is parsed. What is parsed of it is copied once; a refusal may name a member of it.
    let (reference, request) = within(8 * text.len() + 4 * 1024, || parse(&text));
    if let Some(reference) = &reference {
        // As it was written: half a surrogate pair is a client's own affair.
        let given: HashMap<String, &RawValue> = serde_json::from_str(&text).expect("what has a ref is JSON");
        assert_eq!(given["ref"].get(), reference.get());
        let first = reference.get().as_bytes()[0];
        assert!(reference.get().len() <= 256 && (matches!(first, b'"' | b'-') || first.is_ascii_digit()));
    }
    let spaced = format!(" \n{text}\t ");
    let shown = |request: Result<Request, Refusal>| match request {
        Ok(request) => format!("{request:?}"),
        Err(refusal) => format!("{:?}", refusal.code),
    };
    assert_eq!(shown(parse(&spaced).1), shown(parse(&text).1), "blanks around it mean nothing");
    match request {
        Ok(Request::Publish { entry, .. }) => {
            check_entry(&entry);
            format!("publish {} {}", entry.conditions.idempotency_key.is_some(), entry.conditions.expect.is_some())
        }
        Ok(Request::Subscribe { start, requested, .. }) => match start {
            Start::After(cursor) => {
                assert_eq!(requested, Some(cursor.to_string()));
                "after".to_owned()
            }
            Start::Last(last) => {
                assert!(last <= LAST_MAX && requested.is_none());
                "last".to_owned()
            }
            start => format!("{start:?}"),
        },
        Ok(request) => format!("{request:?}").chars().take(8).collect(),
        Err(refusal) => {
            assert!(refusal.detail.len() <= DETAIL_BYTES_MAX, "a refusal is short");
            format!("{:?} {}", refusal.code, refusal.detail.chars().take(12).collect::<String>())
        }
    }
}

#[test]
fn requests() {
    let words: &[&[u8]] = &[
        br#"{"t":"hello","token":"x"}"#,
        br#""t":"subscribe","#,
        br#""t":"publish","#,
        br#""t":"append","#,
        br#","ref":1"#,
        br#","ref":"r""#,
        br#""topic":"thread/x""#,
        br#","after":"AAAAAAAAAAAAAAAA.1""#,
        br#","last":500"#,
        br#","fold":true"#,
        br#","type":"note""#,
        br#","type":"closed""#,
        br#","type":"chat_message""#,
        br#","data":{"text":"x"}"#,
        br#","data":"x""#,
        br#","event_id":"AAAAAAAAAAAAAAAA.1""#,
        br#","idempotency_key":"k""#,
        br#","expect":"empty""#,
        b"null",
        b"\\u0000",
        b"\\ud800",
        b"1e999",
        b"[[[[[[[[",
        b"\n",
    ];
    harness::run(&Target { name: "requests", words, bytes_max: 80 * 1024, check: any_text });
}
