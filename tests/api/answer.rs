//! `tambour answer` against a hub: a program's output as an event that grows, through a crash, to its end or to a stop.
//!
//! The program writes what the test gives it through a named pipe, so nothing waits for time to pass.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::eventually;
use crate::support::http::Ask;
use crate::support::process::{Guarded, Process, own_host, tambour};
use crate::support::token::token;

const EVENTS: &str = "/v1/threads/x/events";

/// A hub with a thread, and somebody who answers in it.
struct Place {
    dir: TempDir,
    hub: Process,
    answering: Guarded,
}

impl Place {
    /// The program is a shell script that is run in the directory.
    fn answering(script: &str) -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("token"), token("model", "member")).unwrap();
        assert!(Command::new("mkfifo").arg(dir.path().join("pipe")).status().unwrap().success());
        let hub = Process::start(&dir.path().join("data"), &format!("{}:0", own_host()), &[]);
        Ask::by("ada", "POST", "/v1/threads").json(json!({ "id": "x" })).send(hub.addr).ok(201);
        let mut command = tambour(&["answer", "thread/x", "--url", &hub.url, "--token-file", "token"]);
        command.current_dir(dir.path()).args(["--", "sh", "-c", script]);
        let mut answering = Guarded(command.spawn().unwrap());
        // It hears what is said from now on.
        let mut said = BufReader::new(answering.0.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(said.any(|line| line.contains("answering in thread/x")));
        std::thread::spawn(move || said.for_each(drop));
        Self { dir, hub, answering }
    }

    fn say(&self, text: &str) {
        self.publish(&json!({ "type": "chat_message", "data": { "text": text } }));
    }

    fn publish(&self, event: &Value) {
        Ask::by("ada", "POST", EVENTS).json(event).send(self.hub.addr).ok(201);
    }

    /// What the program writes from now on.
    fn pipe(&self) -> File {
        OpenOptions::new().write(true).open(self.dir.path().join("pipe")).unwrap()
    }

    /// The events of the thread, each with what was appended to it.
    fn folded(&self) -> Vec<Value> {
        let page = Ask::by("ada", "GET", &format!("{EVENTS}?after=earliest&fold=true")).send(self.hub.addr).ok(200);
        page["events"].as_array().unwrap().clone()
    }

    /// Waits until the answer is so long, and gives its event.
    fn answered(&self, text: &str) -> Value {
        eventually(text, || {
            self.folded().into_iter().find(|event| event["type"] == "message" && event["fold"]["text"] == text)
        })
    }

    /// Waits for the end of the run, and gives its reason.
    fn ended(&self) -> Value {
        let end = eventually("the run ends", || self.folded().into_iter().find(|event| event["type"] == "run_end"));
        end["data"]["reason"].clone()
    }
}

#[test]
fn an_answer_grows_as_the_program_writes_and_is_whole_behind_a_crash() {
    let mut place = Place::answering("cat > asked; cat pipe");
    place.say("how are you?");
    let mut pipe = place.pipe();
    pipe.write_all(b"I am ").unwrap();
    let event = place.answered("I am ");
    assert_eq!(event["data"]["role"], "assistant");
    pipe.write_all("f\u{fc}r ".as_bytes()).unwrap();
    place.answered("I am f\u{fc}r ");
    place.hub.kill();
    pipe.write_all(b"ever ").unwrap();
    place.hub = Process::start(&place.dir.path().join("data"), &place.hub.addr.to_string(), &[]);
    let again = place.answered("I am f\u{fc}r ever ");
    assert_eq!(again["id"], event["id"]);
    pipe.write_all(b"yours").unwrap();
    drop(pipe);
    assert_eq!(place.ended(), "stop");
    assert_eq!(std::fs::read_to_string(place.dir.path().join("asked")).unwrap(), "how are you?");
    let types: Vec<_> = place.folded().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types, ["chat_message", "message", "run_end"], "one answer, made once");
    place.answered("I am f\u{fc}r ever yours");
}

#[test]
fn a_stop_ends_the_program_and_what_it_started() {
    let place = Place::answering("sh -c 'echo $$ > inner; cat pipe'; echo behind");
    place.say("go on for ever");
    let mut pipe = place.pipe();
    pipe.write_all(b"and on").unwrap();
    let event = place.answered("and on");
    place.publish(&json!({ "type": "stop", "data": { "event_id": event["id"] } }));
    assert_eq!(place.ended(), "stopped");
    place.answered("and on");
    let inner = std::fs::read_to_string(place.dir.path().join("inner")).unwrap();
    eventually("the inner program is gone", || {
        (!Command::new("kill").args(["-0", inner.trim()]).output().unwrap().status.success()).then_some(())
    });
}

#[test]
fn what_is_no_question_is_not_answered_and_a_failure_is_told() {
    let place = Place::answering("cat; exit 3");
    place.publish(&json!({ "type": "chat_message", "data": { "text": "I am a model", "role": "assistant" } }));
    place.publish(&json!({ "type": "note", "data": { "text": "a note" } }));
    place.say("the question");
    assert_eq!(place.ended(), "exit status: 3");
    place.answered("the question");
    assert_eq!(place.folded().iter().filter(|event| event["type"] == "message").count(), 1);
}

#[test]
fn nobody_else_can_take_the_stop_away() {
    let place = Place::answering("cat pipe");
    place.say("go on");
    let mut pipe = place.pipe();
    pipe.write_all(b"and on").unwrap();
    let event = place.answered("and on");
    let claims = json!({ "type": "message", "data": { "role": "assistant", "run_id": event["data"]["run_id"] } });
    Ask::by("mallory", "POST", EVENTS).json(claims).send(place.hub.addr).ok(201);
    place.publish(&json!({ "type": "stop", "data": { "event_id": event["id"] } }));
    assert_eq!(place.ended(), "stopped");
}

#[test]
fn an_answer_that_never_ends_is_cut_and_its_end_told() {
    let place = Place::answering("cat >/dev/null; yes a");
    place.say("how much?");
    assert_eq!(place.ended(), "the answer is longer than 262144 bytes");
    let folded = place.folded();
    let answer = folded.iter().find(|event| event["type"] == "message").unwrap();
    let text = answer["fold"]["text"].as_str().unwrap();
    assert!(text.starts_with("a\na\n") && text.len() > 100_000 && text.len() <= 262_144, "{} bytes", text.len());
}

#[test]
fn who_is_told_to_end_leaves_no_program_and_says_so() {
    let mut place = Place::answering("echo $$ > inner; echo here; sleep 1000");
    place.say("go on");
    place.answered("here\n");
    let inner = std::fs::read_to_string(place.dir.path().join("inner")).unwrap();
    place.answering.signal("TERM");
    assert_eq!(place.answering.ended().code(), Some(0));
    assert_eq!(place.ended(), "stopped");
    assert!(!Command::new("kill").args(["-0", inner.trim()]).output().unwrap().status.success());
}
