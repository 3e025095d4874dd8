//! The command line against a hub: create, publish, tail through a crash, token, health, config, and exit codes.
//!
//! Every command is the real binary; what it prints is what a script would read.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::eventually;
use crate::support::http::Ask;
use crate::support::process::{Guarded, Process, finished, own_host, tambour};
use crate::support::sse::Stream;
use crate::support::tls::Pair;
use crate::support::token::token;

/// A hub, and a file with a token for it.
struct Place {
    dir: TempDir,
    hub: Process,
    pair: Option<Pair>,
}

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("token"), token("cli", "member")).unwrap();
        let hub = Process::start(&dir.path().join("data"), &format!("{}:0", own_host()), &[]);
        Self { dir, hub, pair: None }
    }

    /// Beside it, a certificate for the hub.
    fn with_tls() -> Self {
        let (dir, host) = (TempDir::new().unwrap(), own_host());
        let pair = Pair::of(&host);
        std::fs::write(dir.path().join("token"), token("cli", "member")).unwrap();
        let hub = Process::with_tls(&dir.path().join("data"), &format!("{host}:0"), &pair, &[]);
        Self { dir, hub, pair: Some(pair) }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = tambour(args);
        command.args(["--url", &self.hub.url, "--token-file"]);
        command.arg(self.dir.path().join("token"));
        if let Some(pair) = &self.pair {
            command.arg("--ca").arg(pair.cert());
        }
        command
    }

    /// Runs a command to its end: exit code, standard output and standard error.
    #[track_caller]
    fn run(&self, args: &[&str]) -> (i32, String, String) {
        outcome(self.command(args))
    }
}

#[track_caller]
fn outcome(command: Command) -> (i32, String, String) {
    let output = finished(command);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn create_publish_and_read_again() {
    let place = Place::new();
    assert_eq!(place.run(&["create", "thread/x", "--title", "A title"]), (0, "thread/x\n".to_owned(), String::new()));
    let (code, out, err) = place.run(&["create", "thread/x"]);
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.contains("409 topic.exists"), "{err}");
    let (code, id, _) = place.run(&["publish", "thread/x", "hello"]);
    assert!(code == 0 && id.trim_end().ends_with(".1"), "{id}");
    let (code, _, _) = place.run(&["publish", "thread/x", "--type", "note", "--json", r#"{"n":2}"#, "--quiet"]);
    assert_eq!(code, 0);
    let mut lines = place.command(&["publish", "thread/x", "--type", "line"]);
    let mut lines = Guarded(lines.stdin(Stdio::piped()).spawn().unwrap());
    lines.0.stdin.take().unwrap().write_all(b"one\n\ntwo\nthree").unwrap();
    assert_eq!(lines.ended().code(), Some(0));
    let (code, out, _) = place.run(&["tail", "thread/x", "--after", "earliest", "--count", "5", "--json"]);
    assert_eq!(code, 0);
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<_> =
        events.iter().map(|event| (event["type"].as_str().unwrap(), event["data"].to_string())).collect();
    let text = |text: &str| format!(r#"{{"text":"{text}"}}"#);
    assert_eq!(
        shown,
        [
            ("chat_message", text("hello")),
            ("note", r#"{"n":2}"#.to_owned()),
            ("line", text("one")),
            ("line", text("two")),
            ("line", text("three"))
        ]
    );
    let (code, out, _) = place.run(&["tail", "thread/x", "--last", "1", "--count", "1"]);
    assert!(code == 0 && out.contains("three") && out.contains("cli"), "{out}");
    let (code, _, err) = place.run(&["publish", "thread/x", "--type", "closed", "x"]);
    assert!(code == 3 && err.contains("400 type.reserved"), "{err}");
}

#[test]
fn exit_codes() {
    let place = Place::new();
    let code = |args: &[&str]| place.run(args).0;
    assert_eq!(code(&["tail", "thread/nope"]), 3);
    assert_eq!(code(&["publish", "thread/nope", "x"]), 3);
    assert_eq!(code(&["publish", "nope", "x"]), 2);
    assert_eq!(code(&["tail", "thread/x", "--last", "501"]), 2);
    assert_eq!(code(&["tail", "thread/x", "--nonsense"]), 2);
    let url = format!("http://{}", place.hub.addr);
    assert_eq!(outcome(tambour(&["health", "--url", &url])), (0, "ready\n".to_owned(), String::new()));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{free}");
    assert_eq!(outcome(tambour(&["health", "--url", &nobody])).0, 4);
    let mut lost = tambour(&["publish", "thread/x", "x", "--url", &nobody, "--token-file"]);
    lost.arg(place.dir.path().join("token"));
    let (code, _, err) = outcome(lost);
    assert!(code == 4 && err.contains("no hub answers"), "{err}");
    let mut unsigned = tambour(&["publish", "thread/x", "x", "--url", &url]);
    unsigned.arg("--data").arg(place.dir.path());
    assert_eq!(outcome(unsigned).0, 1, "there is no secret");
}

#[test]
fn tail_goes_on_through_a_crash() {
    through_a_crash(Place::new());
}

#[test]
fn tail_goes_on_through_a_crash_over_tls() {
    through_a_crash(Place::with_tls());
}

fn through_a_crash(mut place: Place) {
    place.run(&["create", "thread/x"]);
    let mut tail = Guarded(place.command(&["tail", "thread/x", "--after", "earliest", "--json"]).spawn().unwrap());
    let mut lines = BufReader::new(tail.0.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    for seq in 1..=4 {
        assert_eq!(place.run(&["publish", "thread/x", "hello"]).0, 0);
        assert_eq!(next()["seq"], seq);
        if seq % 2 == 0 {
            place.hub.kill();
            let (addr, data) = (place.hub.addr.to_string(), place.dir.path().join("data"));
            place.hub = match &place.pair {
                None => Process::start(&data, &addr, &[]),
                Some(pair) => Process::with_tls(&data, &addr, pair, &[]),
            };
        }
    }
    let close = Ask::by("cli", "POST", "/v1/threads/x/close").send(place.hub.addr).ok(200);
    assert_eq!((next()["type"].clone(), close["seq"].clone()), ("closed".into(), 5.into()));
    assert_eq!(tail.ended().code(), Some(0), "nothing can follow");
}

#[test]
fn commands_over_tls() {
    let place = Place::with_tls();
    assert!(place.hub.url.starts_with("https://"), "{}", place.hub.url);
    assert_eq!(place.run(&["create", "thread/x"]), (0, "thread/x\n".to_owned(), String::new()));
    let (code, id, err) = place.run(&["publish", "thread/x", "hello"]);
    assert!(code == 0 && id.trim_end().ends_with(".1"), "{id} {err}");
    let (code, out, _) = place.run(&["tail", "thread/x", "--last", "1", "--count", "1"]);
    assert!(code == 0 && out.contains("hello"), "{out}");
    let (code, _, err) = place.run(&["create", "thread/x"]);
    assert!(code == 3 && err.contains("409 topic.exists"), "{err}");
    // Whom to believe may be in a variable.
    let pair = place.pair.as_ref().unwrap();
    let health = |url: &str| {
        let mut command = tambour(&["health", "--url", url]);
        command.env("TAMBOUR_CA", pair.cert());
        outcome(command)
    };
    assert_eq!(health(&place.hub.url), (0, "ready\n".to_owned(), String::new()));

    let plain = Place::new();
    let (other, addr) = (Pair::make(), place.hub.addr);
    for (args, code, words) in [
        (vec!["--url", &place.hub.url, "--ca", other.cert().to_str().unwrap()], 1, "--ca"),
        (vec!["--url", &format!("http://{addr}")], 3, "use https://"),
        (vec!["--url", &plain.hub.url.replace("http", "https"), "--ca", pair.cert().to_str().unwrap()], 2, "http://"),
    ] {
        for command in [&["health"][..], &["publish", "thread/x", "x"], &["tail", "thread/x"]] {
            let mut command = tambour(&[command, &args].concat());
            if !command.get_args().any(|arg| arg == "health") {
                command.arg("--token-file").arg(place.dir.path().join("token"));
            }
            let (got, _, err) = outcome(command);
            assert!(got == code && err.contains(words), "{args:?}: {got} {err}");
        }
    }
}

#[test]
fn the_first_run_needs_nothing() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let mut hub = tambour(&["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data", data]);
    let mut hub = Guarded(hub.spawn().unwrap());
    let mut lines = BufReader::new(hub.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let url = lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned)).unwrap();
    let (code, out, err) = outcome(tambour(&["token", "--data", data, "--sub", "alice"]));
    assert_eq!((code, err.as_str()), (0, ""));
    let signed = out.trim_end();
    assert!(signed.split('.').count() == 3 && !signed.contains(char::is_whitespace), "a token and nothing else");
    let addr = url.strip_prefix("http://").unwrap().parse().unwrap();
    let ask = Ask::by("x", "GET", "/v1/threads/welcome").with("authorization", &format!("Bearer {signed}"));
    assert_eq!(ask.send(addr).ok(200)["id"], "welcome");
    let published = outcome(tambour(&["publish", "thread/welcome", "hi", "--url", &url, "--data", data]));
    assert_eq!(published.0, 0, "{}", published.2);
    // The settings that it runs with, without the secret.
    let (code, out, _) = outcome(tambour(&["config", "--data", data]));
    assert_eq!(code, 0);
    let secret = std::fs::read_to_string(dir.path().join("data/development.secret")).unwrap();
    assert!(out.contains("stall_seconds") && out.contains(data) && !out.contains(secret.trim()), "{out}");
    hub.signal("TERM");
    assert_eq!(eventually("it ends", || hub.0.try_wait().unwrap()).code(), Some(0));
}

/// Starts an upload, whose input is not ended.
fn upload(place: &Place, topic: &str) -> (Guarded, ChildStdin) {
    let mut command = place.command(&["publish", topic, "--ndjson"]);
    let mut upload = Guarded(command.stdin(Stdio::piped()).spawn().unwrap());
    let input = upload.0.stdin.take().unwrap();
    (upload, input)
}

/// Exit code, standard output and standard error of an upload that has come to its end.
#[track_caller]
fn told(mut upload: Guarded) -> (i32, String, String) {
    let code = upload.ended().code().unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    upload.0.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    upload.0.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (code, out, err)
}

fn uploads(place: &Place) {
    assert_eq!(place.run(&["create", "canvas/x"]), (0, "canvas/x\n".to_owned(), String::new()));
    let mut stream = Stream::open(place.hub.addr, &Ask::stream("cli", "/v1/canvases/x/events"));
    let (running, mut input) = upload(place, "canvas/x");
    let mut last = Value::Null;
    for n in 1..=3 {
        input.write_all(format!("{{\"type\":\"note\",\"data\":{n}}}\n").as_bytes()).unwrap();
        last = stream.event();
        assert_eq!(last["data"], n);
    }
    drop(input);
    let (code, out, err) = told(running);
    let mark = last["id"].as_str().unwrap().split('.').next().unwrap();
    assert_eq!((code, out.as_str(), err.as_str()), (0, format!("{mark}.1\n{mark}.3\n").as_str(), ""));
    // A refusal is told while the input goes on, whether it is quiet or not.
    for goes_on in [false, true] {
        let (mut running, mut input) = upload(place, "canvas/x");
        input.write_all(b"{\"type\":\"note\",\"data\":4}\noops\n").unwrap();
        eventually("it ends", || {
            let ended = running.0.try_wait().unwrap();
            // Once it has ended nobody reads its input.
            let _ = input.write_all(if goes_on { b"{\"type\":\"note\",\"data\":5}\n" } else { b"" });
            ended
        });
        let (code, out, err) = told(running);
        assert_eq!((code, out.as_str()), (3, ""), "{err}");
        assert!(err.contains("400 body.invalid") && err.contains("(line 2; 1 written)"), "{err}");
    }
}

#[test]
fn lines_are_uploaded_as_they_come() {
    uploads(&Place::new());
}

#[test]
fn lines_are_uploaded_as_they_come_over_tls() {
    uploads(&Place::with_tls());
}
