//! kill -9 at random moments under load: what was acknowledged is there, once; readers go on, each event once, in order.
//!
//! Short here; with `TAMBOUR_SOAK=1` it goes on for minutes. A failure is repeated with its seed.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tambour::cli::sse_parser::SseParser;
use tempfile::TempDir;
use tungstenite::Message;

use crate::support::http::{Answer, Ask, create};
use crate::support::process::{Process, own_host};
use crate::support::random::Random;
use crate::support::{WITHIN, eventually, soak};

const THREADS: [&str; 3] = ["a", "b", "c"];
const WRITERS: usize = 4;

type Reader = fn(SocketAddr, &str, &AtomicU64) -> Read;

/// What a run learns while hubs come and go.
#[derive(Default)]
struct Seen {
    over: AtomicBool,
    /// The seq of each event that was acknowledged, by thread and name.
    acknowledged: Mutex<BTreeMap<(&'static str, String), u64>>,
    acknowledgements: AtomicU64,
}

impl Seen {
    fn over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

/// Asks a hub that may go at any moment. `None`: nobody knows whether it was done.
fn ask(addr: SocketAddr, ask: &Ask) -> Option<Answer> {
    use std::io::{Read, Write};
    let mut socket = TcpStream::connect_timeout(&addr, WITHIN).ok()?;
    socket.set_read_timeout(Some(WITHIN)).ok()?;
    socket.write_all(&ask.clone().with("connection", "close").bytes()).ok()?;
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).ok()?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let status = std::str::from_utf8(bytes.get(9..12)?).ok()?.parse().ok()?;
    Some(Answer { status, headers: Vec::new(), body: bytes.split_off(end) })
}

/// Publishes single events and arrays, never the same twice, and notes what was acknowledged.
fn write(addr: SocketAddr, writer: usize, mut random: Random, seen: &Seen) {
    let mut count = 0_u64;
    while !seen.over() {
        let thread = THREADS[usize::try_from(random.below(3)).unwrap()];
        let events = 1 + random.below(4);
        let names: Vec<_> = (0..events).map(|n| format!("{writer}-{count}-{n}")).collect();
        count += 1;
        let event = |name: &String| json!({ "type": "note", "data": name });
        let body = if names.len() == 1 { event(&names[0]) } else { names.iter().map(event).collect() };
        let publish = Ask::by("alice", "POST", &format!("/v1/threads/{thread}/events")).json(body);
        let Some(answer) = ask(addr, &publish) else { continue };
        if answer.status == 503 {
            continue;
        }
        let Ok(answer) = serde_json::from_slice::<Value>(&answer.body) else { continue };
        let first = answer["seq"].as_u64().or_else(|| answer["first"]["seq"].as_u64()).expect("an acknowledgement");
        let mut acknowledged = seen.acknowledged.lock().unwrap();
        for (seq, name) in (first..).zip(names) {
            acknowledged.insert((thread, name), seq);
        }
        seen.acknowledgements.fetch_add(1, Ordering::SeqCst);
    }
}

/// What a reader has: every event once, in order, or the test fails.
#[derive(Default)]
struct Read {
    cursor: String,
    names: Vec<String>,
}

impl Read {
    fn take(&mut self, event: &Value) {
        assert_eq!(event["seq"], self.names.len() as u64 + 1, "each once, and in order: {event}");
        event["id"].as_str().unwrap().clone_into(&mut self.cursor);
        self.names.push(event["data"].as_str().unwrap().to_owned());
    }

    fn done(&self, head: &AtomicU64) -> bool {
        head.load(Ordering::SeqCst) == self.names.len() as u64
    }
}

/// Reads a thread over SSE through everything, to its last event.
fn read_sse(addr: SocketAddr, thread: &str, head: &AtomicU64) -> Read {
    use std::io::{Read as _, Write};
    let mut read = Read { cursor: "earliest".to_owned(), ..Read::default() };
    let mut piece = vec![0; 64 * 1024];
    while !read.done(head) {
        let open = || {
            let mut socket = TcpStream::connect_timeout(&addr, WITHIN).ok()?;
            socket.set_read_timeout(Some(Duration::from_millis(200))).ok()?;
            let path = format!("/v1/threads/{thread}/events?after={}", read.cursor);
            socket.write_all(&Ask::stream("bob", &path).bytes()).ok()?;
            Some(socket)
        };
        let Some(mut socket) = open() else { continue };
        let (mut parser, mut has_head, mut head_bytes) = (SseParser::new(""), false, Vec::new());
        while !read.done(head) {
            let came = match socket.read(&mut piece) {
                Ok(0) => break,
                Ok(came) => &piece[..came],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(_) => break,
            };
            let rest = if has_head {
                came.to_vec()
            } else {
                head_bytes.extend_from_slice(came);
                let Some(end) = head_bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
                has_head = true;
                assert!(head_bytes.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head_bytes));
                head_bytes.split_off(end + 4)
            };
            for event in parser.feed(&rest).unwrap() {
                assert_ne!(event.name, "gap", "{}", event.data);
                if event.name == "note" {
                    read.take(&serde_json::from_str(&event.data).unwrap());
                }
            }
        }
    }
    read
}

/// Reads a thread over WebSocket through everything, to its last event.
fn read_ws(addr: SocketAddr, thread: &str, head: &AtomicU64) -> Read {
    let mut read = Read { cursor: "earliest".to_owned(), ..Read::default() };
    while !read.done(head) {
        let open = || {
            let socket = TcpStream::connect_timeout(&addr, WITHIN).ok()?;
            let path = format!("/v1/threads/{thread}/ws?after={}", read.cursor);
            let mut request = tungstenite::handshake::client::Request::builder().uri(format!("ws://{addr}{path}"));
            let ask = Ask::by("carol", "GET", &path).with("host", &addr.to_string()).upgrade();
            for (name, value) in ask.headers {
                request = request.header(name, value);
            }
            let (socket, _) = tungstenite::client(request.body(()).unwrap(), socket).ok()?;
            socket.get_ref().set_read_timeout(Some(Duration::from_millis(200))).ok()?;
            Some(socket)
        };
        let Some(mut socket) = open() else { continue };
        while !read.done(head) {
            match socket.read() {
                Ok(Message::Text(text)) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    match frame["t"].as_str().unwrap() {
                        "event" => read.take(&frame["event"]),
                        "welcome" | "subscribed" => {}
                        _ => panic!("{frame}"),
                    }
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    }
    read
}

/// Everything in a thread, by pages.
fn read_pages(addr: SocketAddr, thread: &str) -> Read {
    let mut read = Read { cursor: "earliest".to_owned(), ..Read::default() };
    loop {
        let path = format!("/v1/threads/{thread}/events?limit=500&after={}", read.cursor);
        let page = Ask::by("dave", "GET", &path).send(addr).ok(200);
        page["events"].as_array().unwrap().iter().for_each(|event| read.take(event));
        if page["has_more"] == false {
            return read;
        }
    }
}

/// Kills and restarts the hub at random moments while it is written to and read from.
fn crash(kills: Option<u64>, random: &mut Random, dir: &TempDir, mut hub: Process, seen: &Seen) -> Process {
    let until = Instant::now() + Duration::from_secs(120);
    let mut killed = 0;
    while kills.map_or_else(|| Instant::now() < until, |kills| killed < kills) {
        let before = seen.acknowledgements.load(Ordering::SeqCst);
        let more = 1 + random.below(40);
        eventually("writes are acknowledged", || {
            (seen.acknowledgements.load(Ordering::SeqCst) >= before + more).then_some(())
        });
        // Anywhere within what comes next, by the clock: a moment that no event of ours marks.
        std::thread::sleep(Duration::from_micros(random.below(20_000)));
        hub.kill();
        killed += 1;
        let addr = hub.addr.to_string();
        hub = Process::start(dir.path(), &addr, &[]);
    }
    hub
}

#[test]
fn what_was_acknowledged_survives_kills_and_readers_miss_nothing() {
    let mut random = Random::seeded("crash");
    let dir = TempDir::new().unwrap();
    let hub = Process::start(dir.path(), &format!("{}:0", own_host()), &[]);
    let addr = hub.addr;
    THREADS.iter().for_each(|thread| drop(create(addr, "alice", thread)));
    let seen = Arc::new(Seen::default());
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (seen, random) = (seen.clone(), Random::from(1 + random.below(u64::from(u32::MAX))));
            std::thread::spawn(move || write(addr, writer, random, &seen))
        })
        .collect();
    // Readers go on to a thread's head, which is known only once all is written.
    let heads: Arc<[AtomicU64; 3]> = Arc::new([0, 1, 2].map(|_| AtomicU64::new(u64::MAX)));
    let readers: Vec<_> = (0..6)
        .map(|n| {
            let heads = heads.clone();
            let reader: Reader = if n < 3 { read_sse } else { read_ws };
            (n % 3, std::thread::spawn(move || reader(addr, THREADS[n % 3], &heads[n % 3])))
        })
        .collect();
    let hub = crash((!soak()).then_some(6), &mut random, &dir, hub, &seen);
    seen.over.store(true, Ordering::SeqCst);
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let written: Vec<Read> = THREADS.iter().map(|thread| read_pages(hub.addr, thread)).collect();
    for (head, read) in heads.iter().zip(&written) {
        head.store(read.names.len() as u64, Ordering::SeqCst);
    }
    for (thread, reader) in readers {
        assert_eq!(reader.join().unwrap().names, written[thread].names, "what a reader got is what is there");
    }
    let acknowledged = seen.acknowledged.lock().unwrap();
    for ((thread, name), seq) in acknowledged.iter() {
        let read = &written[THREADS.iter().position(|one| one == thread).unwrap()];
        assert_eq!(read.names.get(usize::try_from(*seq).unwrap() - 1), Some(name), "{name} was acknowledged as {seq}");
    }
    for read in &written {
        let mut names: Vec<_> = read.names.iter().collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|two| two[0] != two[1]), "nothing is there twice");
    }
    println!(
        "{} events acknowledged, {:?} there",
        acknowledged.len(),
        written.iter().map(|r| r.names.len()).collect::<Vec<_>>()
    );
}
