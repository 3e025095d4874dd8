//! Lines: each is written as it arrives, and whatever goes wrong, those before stay and the sender learns where it was.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::http::{Answer, Ask, Connection, chunk, create, publish};
use crate::support::hub::Running;
use crate::support::process::{Process, own_host};
use crate::support::sse::Stream;
use crate::support::token::{altered, claims, now, sign};

const PATH: &str = "/v1/threads/x/events";

fn hub() -> Running {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    hub
}

fn line(data: &Value) -> String {
    json!({ "type": "note", "data": data }).to_string() + "\n"
}

/// Sends a body with its length, and reads the answer.
fn post(hub: &Running, body: &str) -> Answer {
    Ask::by("alice", "POST", PATH).json(body).with("content-type", "application/x-ndjson").send(hub.addr())
}

/// A body that is being sent.
fn begin(hub: &Running) -> Connection {
    let mut connection = Connection::open(hub.addr());
    connection.send(&Ask::by("alice", "POST", PATH).lines().bytes());
    connection
}

/// The data of everything in the thread.
fn all(hub: &Running) -> Vec<Value> {
    let page = Ask::by("bob", "GET", PATH).query("after=earliest&limit=500").send(hub.addr()).ok(200);
    page["events"].as_array().unwrap().iter().map(|event| event["data"].clone()).collect()
}

/// Status and code, the line and how many lines are on disk.
#[track_caller]
fn refused(answer: &Answer) -> (u16, String, u64, u64) {
    let (status, code) = answer.refusal_with(&["line", "accepted"]);
    let (line, accepted) = (answer.json()["line"].as_u64().unwrap(), answer.json()["accepted"].as_u64().unwrap());
    (status, code, line, accepted)
}

fn bad(status: u16, code: &str, line: u64, accepted: u64) -> (u16, String, u64, u64) {
    (status, code.to_owned(), line, accepted)
}

#[test]
fn a_line_never_waits_for_a_later_one() {
    let hub = hub();
    let mut stream = Stream::open(hub.addr(), &Ask::stream("bob", PATH));
    let mut connection = begin(&hub);
    let mut last = Value::Null;
    for n in 1..=5 {
        connection.chunk(line(&json!(n)).as_bytes());
        last = stream.event();
        assert_eq!((&last["seq"], &last["data"]), (&json!(n), &json!(n)));
    }
    // Nor for its own end.
    connection.chunk(b"{\"type\":\"note\",");
    connection.chunk(b"\"data\":6}");
    connection.chunk(b"");
    let answer = connection.answer().ok(201);
    let sixth = stream.event();
    assert_eq!((&answer["count"], &answer["last"]["id"]), (&json!(6), &sixth["id"]));
    assert_eq!((&answer["first"]["seq"], &answer["last"]["seq"], &last["seq"]), (&json!(1), &json!(6), &json!(5)));
    // The connection goes on.
    connection.send(&Ask::by("alice", "GET", "/v1/threads/x").bytes());
    assert_eq!(connection.answer().status, 200);
}

#[test]
fn bodies() {
    let hub = hub();
    let text = format!("\n{}\r\n\n{}   \n{}", line(&json!(1)).trim(), line(&json!(2)).trim(), line(&json!(3)).trim());
    let answer = post(&hub, &text).ok(201);
    assert_eq!((&answer["count"], &answer["last"]["seq"]), (&json!(3), &json!(3)));
    assert_eq!(all(&hub), [1, 2, 3]);
    let other = Ask::by("alice", "POST", PATH).json(line(&json!(4))).with("content-type", "application/ndjson; a=b");
    assert_eq!(other.send(hub.addr()).ok(201)["count"], 1);
    // The first line that is missing.
    for (empty, line) in [("", 1), ("\n\n\r\n", 4), ("\n ", 3)] {
        assert_eq!(refused(&post(&hub, empty)), bad(400, "body.invalid", line, 0), "{empty:?}");
    }
    assert_eq!(all(&hub).len(), 4);
    // The topic is looked for before a line is read.
    let unknown = Ask::by("alice", "POST", "/v1/threads/nope/events").lines().send(hub.addr());
    assert_eq!(unknown.refusal(), (404, "topic.unknown".to_owned()));
    assert_eq!(unknown.header("connection"), Some("close"));
}

#[test]
fn a_bad_line_is_told_by_its_number_and_what_is_before_it_stays() {
    let hub = hub();
    let mut written = 0;
    for (text, status, code) in [
        ("oops", 400, "body.invalid"),
        ("[]", 400, "body.invalid"),
        ("{\"type\":\"gap\",\"data\":1}", 400, "type.reserved"),
        ("{\"append\":{\"event_id\":\"nonsense\",\"data\":\"a\"}}", 400, "cursor.malformed"),
        ("{\"append\":{\"event_id\":\"AAAAAAAAAAAAAAAA.1\",\"data\":\"a\"}}", 404, "event.unknown"),
        ("{\"type\":\"note\",\"data\":1,\"expect\":\"empty\"}", 409, "expect.mismatch"),
        (&line(&json!("x".repeat(65_536))), 413, "event.too_large"),
        (&" ".repeat(80_000), 413, "event.too_large"),
    ] {
        let body = [&line(&json!("a")), "\n", &line(&json!("b")), text, "\n", &line(&json!("never"))].concat();
        let answer = post(&hub, &body);
        let more: &[&str] =
            if code == "expect.mismatch" { &["line", "accepted", "head"] } else { &["line", "accepted"] };
        assert_eq!(answer.refusal_with(more), (status, code.to_owned()), "{text}");
        assert_eq!((&answer.json()["line"], &answer.json()["accepted"]), (&json!(4), &json!(2)), "{text}");
        written += 2;
        assert_eq!(all(&hub).len(), written, "{text}");
    }
    let first = post(&hub, "{\"append\":{\"data\":\"to what?\"}}\n");
    assert_eq!(refused(&first), bad(400, "body.invalid", 1, 0));
}

#[test]
fn a_refusal_is_sent_while_the_body_goes_on() {
    let hub = hub();
    let mut connection = begin(&hub);
    connection.chunk([line(&json!(1)), "oops\n".to_owned()].concat().as_bytes());
    let answer = connection.answer();
    assert_eq!(refused(&answer), bad(400, "body.invalid", 2, 1));
    assert_eq!(answer.header("connection"), Some("close"));
    // A client that sends all of it before it reads gets the answer all the same.
    for kind in ["chunked", "length"] {
        let mut connection = Connection::open(hub.addr());
        let rest = line(&json!("y".repeat(1_000))).repeat(8_000);
        let ask = Ask::by("alice", "POST", PATH).with("content-type", "application/x-ndjson");
        let whole = if kind == "chunked" {
            [ask.lines().bytes(), chunk(b"oops\n"), chunk(rest.as_bytes()), chunk(b"")].concat()
        } else {
            let length = (5 + rest.len()).to_string();
            [&ask.with("content-length", &length).bytes(), &b"oops\n"[..], rest.as_bytes()].concat()
        };
        connection.send(&whole);
        assert_eq!(refused(&connection.answer()), bad(400, "body.invalid", 1, 0), "{kind}");
        assert_eq!(connection.rest(), b"", "{kind}");
    }
    assert_eq!(all(&hub), [1]);
}

#[test]
fn who_breaks_off_has_written_the_lines_that_arrived_in_whole() {
    let hub = Running::start();
    let body: Vec<u8> = (0..4).flat_map(|n| line(&json!(n)).into_bytes()).collect();
    for (kind, resets) in [("chunked", false), ("chunked", true), ("length", false), ("length", true)] {
        for cut in 0..=body.len() {
            let id = format!("{kind}-{resets}-{cut}");
            create(hub.addr(), "alice", &id);
            let path = format!("/v1/threads/{id}/events");
            let ask = Ask::by("alice", "POST", &path).with("content-type", "application/x-ndjson");
            let mut connection = Connection::open(hub.addr());
            let sent = &body[..cut];
            if kind == "chunked" {
                // The chunk is cut, not only the body.
                let size = format!("{:x}\r\n", body.len());
                connection.send(&[&ask.lines().bytes(), size.as_bytes(), sent].concat());
            } else {
                let length = (body.len() + 100).to_string();
                connection.send(&[&ask.with("content-length", &length).bytes(), sent].concat());
            }
            if resets {
                connection.reset();
            } else {
                drop(connection);
            }
            let whole = u64::try_from(sent.iter().filter(|byte| **byte == b'\n').count()).unwrap();
            let head = || {
                let shown = Ask::by("bob", "GET", &format!("/v1/threads/{id}")).send(hub.addr()).ok(200);
                shown["newest"].as_str().unwrap().split('.').nth(1).unwrap().parse::<u64>().unwrap()
            };
            eventually(&format!("{whole} lines of {id}"), || (head() >= whole).then_some(()));
            // One that is complete but for its line feed is no whole line.
            assert_eq!(head(), whole, "{id}");
        }
    }
}

#[test]
fn half_a_connection_learns_how_far_it_came() {
    let hub = hub();
    let mut connection = begin(&hub);
    connection.chunk(format!("{}{}", line(&json!(1)), line(&json!(2)).trim()).as_bytes());
    connection.finish();
    assert_eq!(refused(&connection.answer()), bad(400, "request.malformed", 2, 1));
    assert_eq!(all(&hub), [1]);
}

#[test]
fn a_chunk_that_is_none_is_told() {
    let hub = hub();
    // Once the topic was found.
    eventually("it is answered", || {
        let mut connection = begin(&hub);
        connection.try_send(b"zz\r\n");
        let answer = connection.try_answer().ok()?;
        assert_eq!(refused(&answer), bad(400, "request.malformed", 1, 0));
        assert_eq!(connection.rest(), b"");
        Some(())
    });
    // Behind a line that is written, once the intake has heard of it: a moment behind its readers.
    let mut stream = Stream::open(hub.addr(), &Ask::stream("bob", PATH));
    eventually("it is answered", || {
        let mut connection = begin(&hub);
        connection.chunk(line(&json!(1)).as_bytes());
        stream.event();
        connection.send(b"-1\r\n");
        let answer = connection.try_answer().ok()?;
        assert_eq!(refused(&answer), bad(400, "request.malformed", 2, 1));
        Some(())
    });
    assert!(all(&hub).iter().all(|data| *data == 1));
}

#[test]
fn what_a_request_sends_for_the_last_event() {
    let hub = hub();
    let append = |text: &str| json!({ "append": { "data": text } }).to_string() + "\n";
    let lines = [
        json!({ "type": "message", "data": {} }).to_string() + "\n",
        append("a"),
        append("b"),
        line(&json!("between")),
        append("c"),
        line(&json!("last")),
        append("d"),
        append("e"),
    ];
    let answer = post(&hub, &lines.concat()).ok(201);
    assert_eq!((&answer["count"], &answer["last"]["seq"]), (&json!(8), &json!(8)));
    let page = Ask::by("bob", "GET", PATH).send(hub.addr()).ok(200);
    let targets: Vec<_> = page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            let target = event["data"]["event_id"].as_str()?;
            Some((target.split('.').nth(1)?.parse::<u64>().ok()?, event["data"]["data"].as_str()?.to_owned()))
        })
        .collect();
    let to = |seq: u64, text: &str| Some((seq, text.to_owned()));
    assert_eq!(targets, [None, to(1, "a"), to(1, "b"), None, to(4, "c"), None, to(6, "d"), to(6, "e")]);
    // One of many that can't be written is found, and only what is before it is written.
    let own = answer["first"]["id"].as_str().unwrap();
    let theirs = publish(hub.addr(), "bob", "x", &json!("theirs")).0;
    let to = |id: &str| json!({ "append": { "event_id": id, "data": "x" } }).to_string() + "\n";
    let body = [line(&json!(1)), to(own), to(own), to(&theirs), to(own)].concat();
    assert_eq!(refused(&post(&hub, &body)), bad(403, "append.forbidden", 4, 3));
    assert_eq!(all(&hub).len(), 12);
}

#[test]
fn keys_and_expectations_of_lines() {
    let hub = hub();
    let keyed =
        |key: &str, data: u64| json!({ "type": "note", "data": data, "idempotency_key": key }).to_string() + "\n";
    let body = [keyed("a", 1), line(&json!(2)), keyed("b", 3)].concat();
    let first = post(&hub, &body).ok(201);
    assert_eq!((&first["count"], &first["first"]["seq"], &first["last"]["seq"]), (&json!(3), &json!(1), &json!(3)));
    // What has a key is not written again.
    let again = post(&hub, &body).ok(201);
    assert_eq!((&again["count"], &again["first"]["seq"], &again["last"]["seq"]), (&json!(3), &json!(1), &json!(3)));
    assert_eq!(all(&hub), [1, 2, 3, 2]);
    let other = post(&hub, &[line(&json!(5)), keyed("a", 9), line(&json!(6))].concat());
    assert_eq!(refused(&other), bad(409, "idempotency.mismatch", 2, 1));
    assert_eq!(all(&hub), [1, 2, 3, 2, 5]);
    let head = Ask::by("bob", "GET", "/v1/threads/x").send(hub.addr()).ok(200)["cursor"].clone();
    let expects = json!({ "type": "note", "data": 7, "expect": head }).to_string() + "\n";
    let answer = post(&hub, &[expects.clone(), line(&json!(8)), expects].concat());
    assert_eq!(answer.refusal_with(&["line", "accepted", "head"]), (409, "expect.mismatch".to_owned()));
    assert_eq!((&answer.json()["line"], &answer.json()["accepted"]), (&json!(3), &json!(2)));
    assert_eq!(answer.json()["head"].as_str().unwrap().split('.').nth(1), Some("7"));
}

#[test]
fn more_than_is_held_at_once() {
    let hub = hub();
    let mut connection = begin(&hub);
    let mut sent = 0_u64;
    for _ in 0..40 {
        let lines: String = (0..500).map(|n| line(&json!({ "n": sent + n, "pad": "p".repeat(200) }))).collect();
        connection.chunk(lines.as_bytes());
        sent += 500;
    }
    connection.chunk(b"");
    let answer = connection.answer().ok(201);
    assert_eq!((&answer["count"], &answer["last"]["seq"]), (&json!(sent), &json!(sent)));
    let mut stream = Stream::open(hub.addr(), &Ask::stream("bob", PATH).query("after=earliest"));
    for n in 0..sent {
        assert_eq!(stream.event()["data"]["n"], n);
    }
}

#[test]
fn a_busy_topic_is_waited_for() {
    // So little room that a turn of one sender is always in the way of another's.
    let hub = Running::with(|settings| settings.topic.backlog_bytes = 64 * 1024);
    create(hub.addr(), "alice", "x");
    let senders: Vec<_> = (0..4_u64)
        .map(|sender| {
            let addr = hub.addr();
            std::thread::spawn(move || {
                let body: String = (0..200).map(|n| line(&json!([sender, n, "p".repeat(1_000)]))).collect();
                let ask = Ask::by("alice", "POST", PATH).json(body).with("content-type", "application/x-ndjson");
                ask.send(addr).ok(201)["count"].clone()
            })
        })
        .collect();
    for sender in senders {
        assert_eq!(sender.join().unwrap(), 200);
    }
    let mut next = [0; 4];
    let mut stream = Stream::open(hub.addr(), &Ask::stream("bob", PATH).query("after=earliest"));
    for _ in 0..800 {
        let event = stream.event();
        let (sender, n) = (event["data"][0].as_u64().unwrap(), event["data"][1].as_u64().unwrap());
        let next = &mut next[usize::try_from(sender).unwrap()];
        assert_eq!(*next, n, "of sender {sender}");
        *next += 1;
    }
}

#[test]
fn what_ends_a_topic_ends_its_lines() {
    let hub = hub();
    let mut connection = begin(&hub);
    let mut stream = Stream::open(hub.addr(), &Ask::stream("bob", PATH));
    connection.chunk(line(&json!(1)).as_bytes());
    stream.event();
    Ask::by("alice", "POST", "/v1/threads/x/close").send(hub.addr()).ok(200);
    connection.chunk(line(&json!(2)).as_bytes());
    assert_eq!(refused(&connection.answer()), bad(409, "topic.closed", 2, 1));
    // Deleted and made anew, it is another topic.
    Ask::by("alice", "DELETE", "/v1/threads/x").send(hub.addr()).ok(204);
    create(hub.addr(), "alice", "x");
    let mut connection = begin(&hub);
    let mut stream = Stream::open(hub.addr(), &Ask::stream("bob", PATH));
    connection.chunk(line(&json!(1)).as_bytes());
    stream.event();
    Ask::by("alice", "DELETE", "/v1/threads/x").send(hub.addr()).ok(204);
    create(hub.addr(), "alice", "x");
    connection.chunk(line(&json!(2)).as_bytes());
    assert_eq!(refused(&connection.answer()), bad(404, "topic.unknown", 2, 1));
    assert_eq!(all(&hub), [0; 0]);
}

#[test]
fn who_may_not_write_any_more_is_told_so() {
    let hub = hub();
    let soon = sign(&altered(claims("alice", "member"), json!({ "exp": now() + 1 })));
    let mut connection = Connection::open(hub.addr());
    let ask = Ask::by("alice", "POST", PATH).with("authorization", &format!("Bearer {soon}"));
    connection.send(&ask.lines().bytes());
    let mut sent = 0;
    let answer = loop {
        connection.chunk(line(&json!(sent)).as_bytes());
        sent += 1;
        eventually("it is written or refused", || (connection.readable() || all(&hub).len() == sent).then_some(()));
        if connection.readable() {
            break connection.answer();
        }
    };
    let (status, code, line, accepted) = refused(&answer);
    assert_eq!((status, code.as_str(), line, accepted), (401, "auth.token_expired", sent as u64, sent as u64 - 1));
}

#[test]
fn a_body_of_which_nothing_comes() {
    let hub = Running::with(|settings| settings.http.ndjson_idle_seconds = 1);
    create(hub.addr(), "alice", "x");
    let mut connection = begin(&hub);
    connection.chunk(format!("{}{{", line(&json!(1))).as_bytes());
    assert_eq!(refused(&connection.answer()), bad(408, "body.late", 2, 1));
}

#[test]
fn whatever_comes_little_is_held() {
    let dir = tempfile::TempDir::new().unwrap();
    let hub = Process::start(dir.path(), &format!("{}:0", own_host()), &[]);
    create(hub.addr, "alice", "x");
    let ask = Ask::by("alice", "POST", PATH).lines().bytes();
    let before = hub.resident_kib();
    // A line that does not end, refused long before it would.
    let mut endless = Connection::open(hub.addr);
    endless.send(&ask);
    let piece = chunk(&vec![b'x'; 64 * 1024]);
    eventually("it is refused", || {
        endless.try_send(&piece);
        endless.readable().then_some(())
    });
    assert_eq!(refused(&endless.answer()), bad(413, "event.too_large", 1, 0));
    // Nothing but line feeds.
    let mut blank = Connection::open(hub.addr);
    blank.send(&ask);
    let megabytes = if crate::support::soak() { 1_024 } else { 64 };
    let piece = chunk(&vec![b'\n'; 1024 * 1024]);
    let mut most = 0;
    for _ in 0..megabytes {
        blank.send(&piece);
        most = most.max(hub.resident_kib());
    }
    blank.chunk(line(&json!(1)).as_bytes());
    blank.chunk(b"");
    assert_eq!(blank.answer().ok(201)["count"], 1);
    assert!(most < before + 24 * 1024, "{before} KiB, then {most} KiB");
}

#[test]
fn a_drain_finishes_what_came() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut hub = Process::start(dir.path(), &format!("{}:0", own_host()), &[]);
    create(hub.addr, "alice", "x");
    let mut connection = Connection::open(hub.addr);
    connection.send(&Ask::by("alice", "POST", PATH).lines().bytes());
    let mut stream = Stream::open(hub.addr, &Ask::stream("bob", PATH));
    connection.chunk([line(&json!(1)), line(&json!(2)), "{".to_owned()].concat().as_bytes());
    assert_eq!((stream.event()["seq"].clone(), stream.event()["seq"].clone()), (json!(1), json!(2)));
    let began = std::time::Instant::now();
    hub.child.signal("TERM");
    assert_eq!(refused(&connection.answer()), bad(503, "draining", 3, 2));
    drop((connection, stream));
    assert_eq!(hub.child.ended().code(), Some(0), "{}", hub.said());
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
}
