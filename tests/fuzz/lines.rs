//! NDJSON: any pieces give the same lines, and those that a much simpler reading gives.

use std::collections::VecDeque;

use tambour::transport::ndjson::LINE_BYTES_MAX;
use tambour::transport::ndjson::lines::Lines;
use tambour_actors::entry::{Entry, Object, RawEntry};
use tambour_actors::refusal::{Code, DETAIL_BYTES_MAX};

use crate::harness::{self, Target, cut, head, within};

/// The number, length and entry of each line, and the number and code of a bad one.
type Read = (Vec<(u64, usize, Entry)>, Option<(u64, Code)>);

fn read(pieces: &[&[u8]]) -> Read {
    let (mut lines, mut queue) = (Lines::default(), VecDeque::new());
    let fed = pieces.iter().try_for_each(|piece| lines.feed(piece, &mut queue));
    let bad = fed.and_then(|()| lines.end(&mut queue)).err();
    assert!(bad.as_ref().is_none_or(|bad| bad.refusal.detail.len() <= DETAIL_BYTES_MAX), "a refusal is short");
    let bad = bad.map(|bad| (bad.line, bad.refusal.code));
    (queue.into_iter().map(|line| (line.number, line.bytes, line.entry)).collect(), bad)
}

/// The same from the whole body at once.
fn simply(body: &[u8]) -> Read {
    let mut good = Vec::new();
    for (number, line) in (1..).zip(body.split(|byte| *byte == b'\n')) {
        if line.len() > LINE_BYTES_MAX {
            return (good, Some((number, Code::EventTooLarge)));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let Ok(Object(raw)) = serde_json::from_slice::<Object<RawEntry<'_>>>(line) else {
            return (good, Some((number, Code::BodyInvalid)));
        };
        match raw.parse() {
            Ok(entry) => good.push((number, line.len(), entry)),
            Err(refusal) => return (good, Some((number, refusal.code))),
        }
    }
    (good, None)
}

fn any_body(input: &[u8]) -> String {
    let (rhythm, body) = head(input);
    let pieces = cut(rhythm, body);
    let expected = simply(body);
    assert_eq!(read(&pieces), expected);
    assert_eq!(read(&[body]), expected);
    // Whoever takes the entries away holds one line: what grows doubles, and an entry copies its data; a parser's complaint may
    // have all of a line in it for a moment.
    within(8 * LINE_BYTES_MAX, || {
        let (mut lines, mut queue) = (Lines::default(), VecDeque::new());
        for piece in &pieces {
            if lines.feed(piece, &mut queue).is_err() {
                return;
            }
            queue.clear();
        }
    });
    format!("{} {:?}", expected.0.len().min(6), expected.1.map(|(line, code)| (line.min(4), code)))
}

#[test]
fn lines() {
    let words: &[&[u8]] = &[
        b"\n",
        b"\r\n",
        b" ",
        br#"{"type":"note","data":1}"#,
        br#"{"append":{"data":"x"}}"#,
        br#"{"append":{"event_id":"AAAAAAAAAAAAAAAA.1","data":"x"}}"#,
        br#","idempotency_key":"k""#,
        br#","expect":"empty""#,
        b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        b"\x0c",
        b"\x0b",
        b"null",
    ];
    harness::run(&Target { name: "lines", words, bytes_max: 80 * 1024, check: any_body });
}
