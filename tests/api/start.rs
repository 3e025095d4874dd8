//! Starting: many hubs at once, a directory that is taken, settings that are not accepted.
//!
//! What keeps a hub from starting must be said in words, with the exit code for it.

use std::process::Output;

use tempfile::TempDir;

use crate::support::http::Ask;
use crate::support::hub::Running;
use crate::support::process::{Process, finished, own_host, tambour};
use crate::support::token::SECRET;

#[test]
fn every_worker_finds_its_seat() {
    // Workers start at the same time: two that took the same seat left the hub waiting for ever.
    let hubs: Vec<_> = (0..12).map(|_| std::thread::spawn(|| Running::with(|set| set.http.workers = 8))).collect();
    for hub in hubs {
        let hub = hub.join().unwrap();
        assert_eq!(Ask::new("GET", "/readyz").send(hub.addr()).status, 200);
    }
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "it does not say {word:?}: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// What a hub says that must not start.
fn start(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let addresses = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"];
    let mut command = tambour(&[&addresses, &[data.to_str().unwrap()][..], args].concat());
    command.envs(variables.iter().copied());
    let output = finished(command);
    assert!(!data.exists(), "a refused start leaves nothing behind");
    output
}

#[test]
fn one_hub_per_directory() {
    let dir = TempDir::new().unwrap();
    let first = Process::start(dir.path(), &format!("{}:0", own_host()), &[]);
    let data = dir.path().to_str().unwrap();
    let mut second = tambour(&["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data", data]);
    second.env("TAMBOUR__AUTH__SECRET", SECRET);
    refused(&finished(second), 1, &["the data directory", data, "in use by another hub"]);
    assert_eq!(Ask::new("GET", "/readyz").send(first.addr).status, 200, "the first one goes on");
}

#[test]
fn unknown_settings() {
    refused(&start(&[], &[("TAMBOUR__HTTP__LISTN", "x")]), 2, &["TAMBOUR__HTTP__LISTN", "TAMBOUR__HTTP__LISTEN"]);
    refused(
        &start(&[], &[("TAMBOUR__SESSION__TOPICS_MAX", "many")]),
        2,
        &["TAMBOUR__SESSION__TOPICS_MAX", "whole number"],
    );
    let dir = TempDir::new().unwrap();
    let file = |text: &str| {
        let path = dir.path().join("settings.toml");
        std::fs::write(&path, text).unwrap();
        start(&["--config", path.to_str().unwrap()], &[])
    };
    refused(&file("[http]\nworkrs = 2\n"), 2, &["settings.toml", "http.workrs", "http.workers"]);
    refused(&file("[htp]\nworkers = 2\n"), 2, &["settings.toml", "htp", "http"]);
    refused(&file("[http]\nworkers = 257\n"), 2, &["settings.toml", "http.workers", "256"]);
    refused(&start(&["--config", "/nowhere/settings.toml"], &[]), 2, &["/nowhere/settings.toml"]);
    refused(&start(&["--lisen", "x"], &[]), 2, &["--lisen", "--listen"]);
}

#[test]
fn production_needs_keys() {
    refused(&start(&["--production"], &[]), 2, &["TAMBOUR__AUTH__SECRET_FILE", "auth.public_key_file"]);
    refused(&start(&["--production"], &[("TAMBOUR__AUTH__SECRET", SECRET)]), 2, &["TAMBOUR__AUTH__ENVS"]);
    refused(&start(&[], &[("TAMBOUR__AUTH__SECRET", "short")]), 2, &["at least 32"]);
}

#[test]
fn an_address_that_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let dir = TempDir::new().unwrap();
    let data = dir.path().to_str().unwrap();
    let output = finished(tambour(&["serve", "--listen", &addr, "--admin-listen", "127.0.0.1:0", "--data", data]));
    refused(&output, 1, &[&addr, "--listen"]);
}
