//! Cursors and composite ids: texts that a client gives back.

use tambour_actors::composite::{COMPOSITE_BYTES_MAX, Composite, STREAM_TOPICS_MAX};
use tambour_actors::cursor::{CURSOR_BYTES_MAX, Cursor, Incarnation, Mark, PLACE_BYTES_MAX};
use tambour_actors::session::request::start;
use tambour_actors::topic::state::Start;
use tambour_actors::topic_key::{Env, Scope, Tenant, TopicKey};

use crate::harness::{self, Target, within};

fn mark(topic: &str, incarnation: u64) -> (TopicKey, Mark) {
    let scope = Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev };
    let key = TopicKey::parse(&scope, topic).unwrap();
    let mark = Mark::new(&key, Incarnation(incarnation));
    (key, mark)
}

/// Of every text: exactly what was printed once is taken, and it prints as it was.
fn any_text(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let cursor = within(0, || Cursor::parse(&text));
    if let Ok(cursor) = cursor {
        assert_eq!(cursor.to_string(), text);
        assert!(text.len() <= CURSOR_BYTES_MAX);
    }
    // The same and more: what is before the floor that its holder knows.
    let place = within(0, || Cursor::parse_place(&text));
    match place {
        Ok(place) => {
            assert_eq!(place.to_string(), text);
            assert!(text.len() <= PLACE_BYTES_MAX && (place.floor == 0 || place.floor > place.seq));
            assert_eq!(cursor.is_ok(), place.floor == 0);
        }
        Err(_) => assert!(cursor.is_err()),
    }
    // 32 places of 16 bytes; what grows doubles.
    let composite = within(4 * 16 * STREAM_TOPICS_MAX, || Composite::parse(&text));
    if let Ok(composite) = &composite {
        assert_eq!(composite.to_string(), text);
        assert!(text.len() <= COMPOSITE_BYTES_MAX && place.is_err(), "no text is both");
    }
    match start(Some(&text), None, Start::Head) {
        Ok(Start::After(at)) => assert_eq!(Ok(at), place),
        Ok(start) => assert!(start == Start::Earliest && text == "earliest"),
        Err(_) => assert!(place.is_err()),
    }
    format!(
        "{} {} {:?}",
        cursor.is_ok(),
        place.is_ok(),
        composite.map(|composite| composite.to_string().split('~').count())
    )
}

/// Of every set of places: what is printed is read back as the same, and each topic is where it was, or told to be another.
fn any_places(input: &[u8]) -> String {
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let places: Vec<_> = input.chunks(17).take(STREAM_TOPICS_MAX).enumerate().collect();
    if places.is_empty() {
        return String::new();
    }
    let lives: Vec<_> = places
        .iter()
        .map(|(index, bytes)| {
            let (life, seq) = bytes.split_at(bytes.len().min(8));
            // Names of one length: their order is that of the numbers.
            let (key, mark) = mark(&format!("thread/{index:02}"), number(life));
            (key, mark, number(seq.get(..8).unwrap_or(seq)))
        })
        .collect();
    let mut composite = Composite::new(lives.iter().map(|(key, mark, _)| (key, *mark)));
    for (index, (_, mark, seq)) in lives.iter().enumerate() {
        composite.put(index, *mark, *seq);
    }
    let back = Composite::parse(&composite.to_string()).expect("what was printed is read");
    assert_eq!(back, composite);
    for (index, (_, mark, seq)) in lives.iter().enumerate() {
        assert_eq!(back.start(index, *mark), Start::After(mark.at(*seq)));
        let Start::After(elsewhere) = back.start(index, mark.of_another_life()) else { panic!("a place is a cursor") };
        assert!(elsewhere.mark != mark.of_another_life() && elsewhere.mark.same_topic(mark), "another life is told");
        assert_eq!(Cursor::parse(&mark.at(*seq).to_string()), Ok(mark.at(*seq)));
    }
    format!("{}", lives.len())
}

#[test]
fn cursors() {
    let words: &[&[u8]] = &[
        b"AAAAAAAAAAAAAAAA.",
        b"AAAAAAAAAAAAAAAA.2.1",
        b"~BBBBBB.1",
        b"18446744073709551615",
        b"18446744073709551616",
        b"earliest",
        b"\xef\xbc\x91",
        b"=",
        b"+",
    ];
    harness::run(&Target { name: "cursors", words, bytes_max: 4 * 1024, check: any_text });
}

#[test]
fn places() {
    let words: &[&[u8]] = &[b"\0\0\0\0\0\0\0\0", b"\xff\xff\xff\xff\xff\xff\xff\xff"];
    harness::run(&Target { name: "places", words, bytes_max: 17 * STREAM_TOPICS_MAX, check: any_places });
}
