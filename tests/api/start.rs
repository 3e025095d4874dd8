//! Starting: many hubs at once, a directory that is taken, settings that are not accepted.
//!
//! What keeps a hub from starting must be said in words, with the exit code for it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use tempfile::TempDir;

use crate::support::http::{Ask, create};
use crate::support::hub::Running;
use crate::support::process::{Process, finished, own_host, tambour};
use crate::support::tls::Pair;
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
fn the_data_is_its_owners_alone() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let hub = Process::start(&data, &format!("{}:0", own_host()), &[]);
    create(hub.addr, "alice", "x");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let files: Vec<_> = std::fs::read_dir(&data).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
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
fn a_certificate_and_its_key() {
    let (pair, other) = (Pair::make(), Pair::make());
    let dir = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let sealed = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let start_with = |cert: &Path, key: &Path| {
        start(&["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()], &[])
    };
    let (cert, key) = (pair.cert(), pair.key());
    refused(&start(&["--tls-cert", cert.to_str().unwrap()], &[]), 2, &["--tls-cert", "--tls-key", "both or neither"]);
    let variable = [("TAMBOUR__TLS__KEY_FILE", key.to_str().unwrap())];
    refused(&start(&[], &variable), 2, &["tls.key_file", "tls.cert_file", "both or neither"]);
    refused(&start_with(&dir.path().join("x"), &key), 2, &["can't read", "/x", "tls.cert_file"]);
    refused(&start_with(&cert, &dir.path().join("y")), 2, &["can't read", "/y", "tls.key_file"]);
    refused(&start_with(&file("empty", ""), &key), 2, &["empty", "no certificate in it", "BEGIN CERTIFICATE"]);
    refused(&start_with(&key, &cert), 2, &["no certificate in it"]);
    refused(&start_with(&cert, &file("sealed", sealed)), 2, &["sealed", "no key in it", "not encrypted"]);
    refused(&start_with(&cert, &cert), 2, &["no key in it"]);
    refused(&start_with(&file("nonsense", nonsense), &key), 2, &["nonsense", "can't be used"]);
    let words = ["is not that of the first certificate", cert.to_str().unwrap(), "put the hub's own certificate first"];
    refused(&start_with(&cert, &other.key()), 2, &words);
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
