//! The order of system calls: an event's bytes go to the disk, then an fsync returns, then its acknowledgement is written.
//!
//! A kill shows only what the kernel keeps; that the disk had it in time is seen in a trace of the calls.

use std::collections::HashMap;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::support::http::{Ask, create};
use crate::support::process::{BINARY, Process, own_host};
use crate::support::ws::Ws;

/// A finished call of a trace: when it began and ended (in lines), and what it was.
struct Call {
    began: usize,
    ended: usize,
    text: String,
}

/// Puts calls together that were interrupted by others of other threads.
fn calls(trace: &str) -> Vec<Call> {
    let mut unfinished: HashMap<String, (usize, String)> = HashMap::new();
    let mut calls = Vec::new();
    for (line, text) in trace.lines().enumerate() {
        let Some((pid, call)) = text.split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some(head) = call.strip_suffix("<unfinished ...>") {
            unfinished.insert(pid.to_owned(), (line, head.trim_end().to_owned()));
        } else if let Some(rest) = call.strip_prefix("<... ") {
            let Some((began, head)) = unfinished.remove(pid) else { continue };
            let rest = rest.split_once("resumed>").map_or("", |(_, rest)| rest);
            calls.push(Call { began, ended: line, text: format!("{head}{rest}") });
        } else {
            calls.push(Call { began: line, ended: line, text: call.to_owned() });
        }
    }
    calls
}

impl Call {
    fn is(&self, names: &[&str]) -> bool {
        self.text.split('(').next().is_some_and(|name| names.contains(&name))
    }
}

/// The hub below its tracer, which neither passes signals on nor takes the hub along when it is killed.
struct Traced {
    hub: Process,
    pid: String,
}

impl Traced {
    fn spawn(strace: Command, dir: &TempDir) -> Self {
        let hub = Process::spawn(strace, &dir.path().join("data"), &format!("{}:0", own_host()), &[]);
        let tracer = hub.child.0.id();
        let children = std::fs::read_to_string(format!("/proc/{tracer}/task/{tracer}/children")).unwrap();
        let pid = children.trim().to_owned();
        assert!(pid.parse::<u32>().is_ok(), "the tracer has one child: {children}");
        Self { hub, pid }
    }

    fn signal(&self, name: &str) -> bool {
        Command::new("kill").args([&format!("-{name}"), &self.pid]).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // Only while its tracer is there is the number still the hub's.
        if matches!(self.hub.child.0.try_wait(), Ok(None)) {
            self.signal("KILL");
        }
    }
}

#[test]
fn every_acknowledgement_follows_its_fsync() {
    if Command::new("strace").arg("-V").output().is_err() {
        // Whoever runs the tests by hand may do without; where they decide, it must be there.
        assert!(std::env::var_os("CI").is_none(), "strace is needed here");
        println!("skipped: strace is not installed");
        return;
    }
    let dir = TempDir::new().unwrap();
    let trace = dir.path().join("trace");
    let mut strace = Command::new("strace");
    // -y names each descriptor's file; strings are long enough for a page of the log and an answer.
    strace.args(["-f", "-y", "-s", "20000", "-e"]);
    strace.arg("trace=fsync,fdatasync,write,writev,pwrite64,pwritev,sendto,sendmsg");
    strace.arg("-o").arg(&trace).arg(BINARY);
    let mut traced = Traced::spawn(strace, &dir);
    let hub = &traced.hub;
    create(hub.addr, "alice", "x");
    let marks: Vec<String> = (0..30).map(|n| format!("MARK-{n:04}-{}", "z".repeat(20))).collect();
    let (http, ws) = marks.split_at(15);
    for mark in http {
        let body = json!({ "type": "note", "data": mark });
        let ask = Ask::by("alice", "POST", "/v1/threads/x/events").with("x-request-id", &format!("ACK-{mark}"));
        ask.json(body).send(hub.addr).ok(201);
    }
    let mut session = Ws::session(hub.addr, "alice");
    let mut reader = Ws::open(hub.addr, &Ask::by("bob", "GET", "/v1/threads/x/ws"));
    reader.expect("welcome");
    reader.expect("subscribed");
    for mark in ws {
        let reference = format!("ACK-{mark}");
        session.send(&json!({ "t": "publish", "topic": "thread/x", "type": "note", "data": mark, "ref": reference }));
    }
    ws.iter().for_each(|_| drop(session.expect("published")));
    ws.iter().for_each(|mark| assert_eq!(reader.event()["data"], mark.as_str()));
    drop((session, reader));
    assert!(traced.signal("TERM"));
    // The tracer ends with what it traces, and as it.
    assert_eq!(traced.hub.child.ended().code(), Some(0));
    let text = std::fs::read_to_string(&trace).unwrap();
    let calls = calls(&text);
    for mark in &marks {
        check(&calls, mark);
    }
}

/// The log's write of an event, then a sync that ends well, then its acknowledgement and its delivery.
fn check(calls: &[Call], mark: &str) {
    let writes = ["write", "writev", "pwrite64", "pwritev", "sendto", "sendmsg"];
    let to_log = |call: &&Call| call.is(&writes) && call.text.contains(".db-wal>") && call.text.contains(mark);
    let logged = calls.iter().filter(to_log).map(|call| call.ended).min();
    let logged = logged.unwrap_or_else(|| panic!("{mark} was never written to the log"));
    let is_sync = |call: &&Call| {
        call.is(&["fsync", "fdatasync"]) && call.text.contains(".db-wal>") && call.text.trim_end().ends_with("= 0")
    };
    let synced = calls.iter().filter(is_sync).filter(|call| call.began > logged).map(|call| call.ended).min();
    let synced = synced.unwrap_or_else(|| panic!("{mark} was never synced"));
    let told: Vec<_> = calls
        .iter()
        .filter(|call| call.is(&writes) && call.text.contains("socket:") | call.text.contains("TCP"))
        .filter(|call| call.text.contains(mark))
        .collect();
    assert!(!told.is_empty(), "{mark} was acknowledged to somebody");
    for call in told {
        assert!(call.began > synced, "{mark}: told in line {} before the sync of line {synced} ended", call.began);
    }
}
