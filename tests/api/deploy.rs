//! The files that hubs are deployed with, against the hub: what they set exists, what they ask answers, and their
//! numbers fit its defaults. (The proxies' files are run in `proxies`.)
//!
//! Nothing here needs a container engine or a cluster; it can't say whether those accept the files.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tambour::config::Settings;
use tempfile::TempDir;

use crate::support::eventually;
use crate::support::http::Ask;
use crate::support::process::{BINARY, Guarded, clean, finished, own_host, tambour};
use crate::support::token::{SECRET, altered, claims, sign};

/// The longest `wait` of a long poll, in seconds: a silence that a proxy must bear.
const WAIT_SECONDS_MAX: u64 = 60;

fn shipped(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The number behind a text in a file, where the text is alone with it on each line that begins with it.
#[track_caller]
fn number(text: &str, name: &str) -> u64 {
    let mut found = text.lines().filter_map(|line| line.trim().strip_prefix(name)).map(|rest| {
        let digits: String = rest.trim_start_matches([' ', ':']).chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_else(|_| panic!("{name}{rest}"))
    });
    let number = found.next().unwrap_or_else(|| panic!("{name} is not there"));
    assert!(found.all(|other| other == number), "{name} is there more than once");
    number
}

#[test]
fn numbers_fit_the_defaults() {
    let defaults = Settings::default();
    let (nginx, caddy) = (shipped("deploy/nginx.conf"), shipped("deploy/Caddyfile"));
    for idle in [number(&nginx, "keepalive_timeout"), number(&caddy, "keepalive")] {
        assert!(idle < defaults.http.keep_alive_seconds, "who keeps a connection must close it first");
    }
    let session = &defaults.session;
    let silence = [session.sse_comment_seconds, session.ws_ping_seconds, WAIT_SECONDS_MAX].into_iter().max().unwrap();
    assert!(number(&nginx, "proxy_read_timeout") > silence + 10, "the hub may be silent for {silence} s");
    assert!(number(&nginx, "client_body_timeout") > defaults.http.ndjson_idle_seconds, "a producer may think");
    let (compose, kubernetes) = (shipped("compose.yaml"), shipped("deploy/kubernetes.yaml"));
    let (hub, proxy) = compose.split_once("\n  proxy:").unwrap();
    let drain = defaults.http.shutdown_seconds;
    assert!(number(hub, "stop_grace_period") > drain + 5, "a hub is killed that would have gone");
    assert!(number(proxy, "stop_grace_period") > number(&caddy, "grace_period") + 5);
    assert!(number(&kubernetes, "terminationGracePeriodSeconds") > drain + 5);
    // What the files say of a setting in a comment is its default.
    for text in [&nginx, &caddy, &compose, &kubernetes] {
        for (name, value) in [
            ("shutdown_seconds", drain),
            ("keep_alive_seconds", defaults.http.keep_alive_seconds),
            ("ndjson_idle_seconds", defaults.http.ndjson_idle_seconds),
        ] {
            for said in text.split(&format!("http.{name} (")).skip(1) {
                assert!(said.starts_with(&format!("{value})")), "http.{name} is {value}: {said:.20}");
            }
        }
    }
}

/// A hub that was started in its own way.
struct Started {
    child: Guarded,
    addr: SocketAddr,
}

impl Started {
    #[track_caller]
    fn by(mut command: Command) -> Self {
        let mut child = Guarded(command.spawn().unwrap());
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map_while(Result::ok);
        let Some(addr) = lines.find_map(|line| line.strip_prefix("listening on http://").map(str::to_owned)) else {
            panic!("it does not start: {}", std::io::read_to_string(child.0.stderr.take().unwrap()).unwrap());
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, addr: addr.parse().unwrap() }
    }
}

#[test]
fn the_pod_is_a_hub() {
    let text = shipped("deploy/kubernetes.yaml");
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let variables: Vec<_> = lines
        .windows(2)
        .filter_map(|pair| Some((pair[0].strip_prefix("- name: ")?, pair[1].strip_prefix("value: ")?)))
        .collect();
    assert!(variables.len() >= 5, "{variables:?}");
    let args = lines.iter().find_map(|line| line.strip_prefix("args: [")?.strip_suffix(']')).unwrap();
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("secret"), SECRET).unwrap();
    let mut command = tambour(&args.split(", ").collect::<Vec<_>>());
    for (name, value) in variables {
        // Addresses and paths are the pod's; all the rest is as it is there.
        let value = match name {
            "TAMBOUR__HTTP__LISTEN" | "TAMBOUR__HTTP__ADMIN_LISTEN" => {
                assert!(value.starts_with("0.0.0.0:"), "{value}");
                format!("{}:0", own_host())
            }
            "TAMBOUR__STORE__DATA_DIR" => dir.path().join("data").display().to_string(),
            "TAMBOUR__AUTH__SECRET_FILE" => dir.path().join("secret").display().to_string(),
            _ => value.to_owned(),
        };
        command.env(name, value);
    }
    // What Kubernetes says to every pod beside a service called tambour, unless it is told not to.
    command.env("TAMBOUR_PORT", "tcp://10.0.0.1:8080").env("TAMBOUR_SERVICE_HOST", "10.0.0.1");
    command.env("TAMBOUR_PORT_8080_TCP_ADDR", "10.0.0.1").env("TAMBOUR_SERVICE_PORT_HTTP", "8080");
    let hub = Started::by(command);
    let probes: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("path: ")).collect();
    assert_eq!(probes, ["/healthz", "/healthz", "/readyz"]);
    for path in probes {
        assert_eq!(Ask::new("GET", path).send(hub.addr).status, 200, "{path}");
    }
    let signed = |env: &str| {
        let claims = altered(claims("alice", "owner"), json!({ "envs": [env] }));
        Ask::by("alice", "GET", "/v1/threads").with("authorization", &format!("Bearer {}", sign(&claims)))
    };
    assert_eq!(signed("prod").with("x-env", "prod").send(hub.addr).status, 200);
    assert_eq!(signed("dev").send(hub.addr).refusal().0, 403, "its key is good for production alone");
}

/// What stands behind an instruction of the last stage of the Dockerfile, lines put together.
#[track_caller]
fn instruction(name: &str) -> String {
    let text = shipped("Dockerfile").replace("\\\n", " ");
    let stage = text.rsplit("\nFROM ").next().unwrap();
    let found = stage.lines().rev().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    found.unwrap_or_else(|| panic!("the image has no {name}"))
}

#[track_caller]
fn words(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

#[test]
fn the_image_is_a_hub_that_writes_only_into_its_volume() {
    let dir = TempDir::new().unwrap();
    let (data, trace) = (dir.path().join("data"), dir.path().join("trace"));
    assert_eq!(words(&instruction("ENTRYPOINT")), ["tambour"]);
    let mut hub = Command::new("strace");
    // Not as the hub's parent: then signals are the hub's, and it does not outlive the test.
    hub.args(["--daemonize", "--follow-forks", "--trace=%file", "--output"]).arg(&trace).arg(BINARY);
    clean(hub.args(words(&instruction("CMD"))));
    for (name, value) in instruction("ENV").split(' ').map(|pair| pair.split_once('=').unwrap()) {
        match name {
            "TAMBOUR__HTTP__LISTEN" => assert_eq!(value, "0.0.0.0:8080"),
            "TAMBOUR__STORE__DATA_DIR" => assert_eq!(value, instruction("VOLUME")),
            _ => drop(hub.env(name, value)),
        }
    }
    hub.env("TAMBOUR__HTTP__LISTEN", format!("{}:0", own_host())).env("TAMBOUR__HTTP__ADMIN_LISTEN", "127.0.0.1:0");
    let mut hub = Started::by({
        hub.env("TAMBOUR__STORE__DATA_DIR", &data).current_dir("/");
        hub
    });
    // Its own health check, and the commands that a first day knows.
    let (_, health) =
        instruction("HEALTHCHECK").split_once(" CMD ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let publish = r#"["tambour", "publish", "thread/welcome", "hello"]"#;
    for command in [health.as_str(), publish] {
        let command = words(command);
        let mut inside = tambour(&command[1..].iter().map(String::as_str).collect::<Vec<_>>());
        inside.env("TAMBOUR__STORE__DATA_DIR", &data).env("TAMBOUR_URL", format!("http://{}", hub.addr));
        let output = finished(inside);
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    hub.child.signal("TERM");
    assert_eq!(hub.child.ended().code(), Some(0));
    let pid = hub.child.0.id().to_string();
    let trace = eventually("the trace is whole", || {
        let trace = std::fs::read_to_string(&trace).unwrap();
        let ended = |line: &str| line.starts_with(&pid) && line.ends_with("+++ exited with 0 +++");
        trace.lines().any(ended).then_some(trace)
    });
    let changes = ["O_WRONLY", "O_RDWR", "O_CREAT", "mkdir", "rename", "unlink", "chmod", "chown", "truncate", "link("];
    let (inside, outside): (Vec<_>, Vec<_>) = trace
        .lines()
        .filter(|line| changes.iter().any(|change| line.contains(change)) && !line.contains("readlink"))
        .filter(|line| !line.contains("\"/dev/") && !line.contains("\"/proc/"))
        .partition(|line| line.contains(&format!("\"{}", data.display())));
    assert!(inside.iter().any(|line| line.contains("tambour.db")), "{trace}");
    assert!(outside.is_empty(), "{outside:#?}");
}

#[test]
fn the_image_is_built_from_what_it_is_given() {
    let ignored = shipped(".dockerignore");
    let text = shipped("Dockerfile");
    let copied: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|line| !line.starts_with("--from"))
        .flat_map(|line| line.rsplit_once(' ').unwrap().0.split(' '))
        .collect();
    for from in &copied {
        let in_context = |line: &str| line.strip_prefix('!').is_some_and(|kept| Path::new(from).starts_with(kept));
        assert!(ignored.lines().any(in_context), "{from} is not in the build's context");
    }
    // Files that are built into the binary.
    let mut included = 0;
    let mut directories = vec!["src".to_owned(), "actors/src".to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{directory}/{}", entry.file_name().to_string_lossy());
            if entry.file_type().unwrap().is_dir() {
                directories.push(path);
                continue;
            }
            let source = std::fs::read_to_string(entry.path()).unwrap_or_default();
            let code = source.split("#[cfg(test)]").next().unwrap();
            for file in code.split("include_").skip(1).filter_map(|rest| rest.split('"').nth(1)) {
                let file = Path::new(&directory).join(file);
                let mut parts = Vec::new();
                for part in file.components().map(|part| part.as_os_str().to_string_lossy().into_owned()) {
                    if part == ".." { drop(parts.pop()) } else { parts.push(part) }
                }
                let file = parts.join("/");
                let is_copied = copied.iter().any(|from| Path::new(&file).starts_with(from));
                assert!(is_copied, "{path} has {file} in it, which is not copied");
                included += 1;
            }
        }
    }
    assert!(included > 0, "the console is built in");
}
