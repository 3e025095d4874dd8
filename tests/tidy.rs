//! Tidiness as a test: rules of the house that no lint knows.
//!
//! It reads the sources as text and never runs them.

use std::fs;
use std::path::{Path, PathBuf};

use actix_web::http::Method;
use tambour::routes::{ROUTES, RouteSpec};
use tambour_actors::catalogue::{self, CATALOGUE};
use tambour_actors::event::RESERVED_TYPES;
use tambour_actors::refusal::Code;
use tambour_actors::topic_key::TopicKind;

/// Longest source file, in lines.
const FILE_LINES_MAX: usize = 400;
/// Longest file of tests, in lines.
const TEST_LINES_MAX: usize = 450;
/// Packages that the actors must not know: HTTP, TLS, SQL, Redis and tokens are the server's.
const NOT_FOR_ACTORS: [&str; 7] =
    ["actix-http", "actix-web", "actix-web-actors", "jsonwebtoken", "redis", "rusqlite", "rustls"];
/// Directories that are not sources.
const SKIPPED: [&str; 4] = ["target", "node_modules", ".git", "data"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the repository, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut directories = vec![root().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !SKIPPED.contains(&name.as_str()) {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    assert!(found.len() > 10, "the sources were not found under {}", root().display());
    found
}

/// Fails with every file that breaks the rule, not with the first.
fn check(rule: &str, breaks: impl Fn(&Path, &str) -> Option<String>) {
    let broken: Vec<_> = sources()
        .iter()
        .filter_map(|(path, text)| breaks(path, text).map(|how| format!("{}: {how}", path.display())))
        .collect();
    assert!(broken.is_empty(), "{rule}\n{}", broken.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    check("a file opens with //! and a sentence", |_, text| {
        let first = text.lines().next().unwrap_or_default();
        let said = first.strip_prefix("//! ").is_some_and(|sentence| sentence.trim().len() > 10);
        (!said).then(|| format!("{first:?}"))
    });
}

#[test]
fn files_stay_readable() {
    check("a file has few enough lines to be read", |path, text| {
        let is_test = path.components().any(|part| part.as_os_str() == "tests");
        let (lines, most) = (text.lines().count(), if is_test { TEST_LINES_MAX } else { FILE_LINES_MAX });
        (lines > most).then(|| format!("{lines} lines, more than {most}"))
    });
}

#[test]
fn nothing_is_left_for_later() {
    // Put together, so that this file does not break its own rule.
    let left = [["to", "do!"], ["unimpl", "emented!"], ["#[ign", "ore"]].map(|parts| parts.concat());
    check("what is in the tree works and is tested", |_, text| {
        left.iter().find(|mark| text.contains(mark.as_str())).map(|mark| format!("has {mark}"))
    });
}

#[test]
fn actors_know_no_server() {
    let manifest = fs::read_to_string(root().join("actors/Cargo.toml")).unwrap();
    let named: Vec<_> = manifest
        .lines()
        .filter_map(|line| line.split(['.', '=', ' ', ']']).next())
        .filter(|name| NOT_FOR_ACTORS.contains(name))
        .collect();
    assert!(manifest.contains("[dependencies]") && named.is_empty(), "actors/Cargo.toml names {named:?}");
}

#[test]
fn the_handshake_package_is_named_in_one_file() {
    let package = ["actix_web", "actors"].join("_");
    let naming: Vec<_> = sources()
        .into_iter()
        .filter(|(path, text)| path.starts_with("src") && text.contains(&package))
        .map(|(path, _)| path)
        .collect();
    assert!(naming.len() <= 1, "{package} belongs behind one file, and these name it: {naming:?}");
}

#[test]
fn the_protocol_page_is_the_code() {
    let page = fs::read_to_string(root().join("docs/protocol.md")).unwrap();
    let refusals = page.split_once("| code | status | close | |\n").expect("a table of refusals").1;
    let documented: Vec<_> = refusals.lines().filter(|line| line.starts_with("| `")).collect();
    let close = |code: &Code| code.close().map_or("–".to_owned(), |close| close.to_string());
    let row = |code: &Code| format!("| `{}` | {} | {} | {} |", code.as_str(), code.status(), close(code), code.title());
    let known: Vec<_> = Code::ALL.iter().map(row).collect();
    assert_eq!(documented, known, "the table of refusals and Code::ALL");
    for close in Code::ALL.iter().filter_map(|code| code.close()) {
        assert!(page.contains(&format!("\n| {close} | ")), "close code {close} is not explained");
    }
    // What is said of threads holds for canvases, which have the same routes.
    let route = |method: &Method, path: &str| format!("**`{method} {path}`**");
    for spec in ROUTES.iter().filter(|spec| spec.kind() != Some(TopicKind::Canvas)) {
        let name = route(&(spec.method)(), spec.path);
        assert!(page.contains(&name), "{name} is not documented");
    }
    let of = |kind: TopicKind| -> Vec<_> {
        let name = |spec: &RouteSpec| route(&(spec.method)(), &spec.path.replace("canvases", "threads"));
        ROUTES.iter().filter(|spec| spec.kind() == Some(kind)).map(name).collect()
    };
    assert!(page.contains("`/v1/canvases`"), "canvases are not documented");
    assert_eq!(of(TopicKind::Thread), of(TopicKind::Canvas), "threads and canvases have the same routes");
    for kind in RESERVED_TYPES {
        assert!(page.contains(&format!("`{kind}`")), "the reserved type {kind} is not documented");
    }
}

#[test]
fn the_page_of_event_types_is_the_catalogue() {
    let page = fs::read_to_string(root().join("docs/event-types.md")).unwrap();
    let documented: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let member = |member: &catalogue::Member| {
        let name = if member.needed { format!("**`{}`**", member.name) } else { format!("`{}`", member.name) };
        let shape = member.shape.words();
        format!("{name} {}", shape.strip_prefix("an ").or_else(|| shape.strip_prefix("a ")).unwrap_or(shape))
    };
    let rows: Vec<_> = CATALOGUE
        .iter()
        .map(|known| {
            format!("| `{}` | {} |", known.kind, known.members.iter().map(member).collect::<Vec<_>>().join(", "))
        })
        .collect();
    let same = documented.len() == rows.len() && documented.iter().zip(&rows).all(|(line, row)| line.starts_with(row));
    assert!(same, "docs/event-types.md has\n{}\nand the catalogue\n{}", documented.join("\n"), rows.join("\n"));
}

#[test]
fn the_description_is_the_code() {
    let kept = fs::read_to_string(root().join("openapi.json")).unwrap();
    let made = tambour::openapi::text();
    let first = kept.lines().zip(made.lines()).position(|(kept, made)| kept != made);
    let line = first.unwrap_or_else(|| kept.lines().count().min(made.lines().count())) + 1;
    // Not `assert_eq`, which would print both.
    assert!(
        kept == made,
        "openapi.json is not what the code makes, from line {line}: cargo run -- openapi > openapi.json"
    );
}

/// Whether a file has a test of this name: in Rust a function behind `#[test]`, in JavaScript the words of a `test(…)`.
fn has_test(path: &str, text: &str, name: &str) -> bool {
    if path.ends_with(".mjs") {
        return text.contains(&format!("test(\"{name}\", "));
    }
    let is_function =
        |line: &str| line.trim_start().strip_prefix("fn ").is_some_and(|rest| rest.starts_with(&format!("{name}(")));
    let lines: Vec<_> = text.lines().collect();
    lines.windows(2).any(|pair| pair[0].trim() == "#[test]" && is_function(pair[1]))
}

#[test]
fn every_promise_of_the_security_page_has_its_tests() {
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let named: Vec<_> = page.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")).collect();
    let missing: Vec<_> = named
        .iter()
        .filter(|(path, name)| !fs::read_to_string(root().join(path)).is_ok_and(|text| has_test(path, &text, name)))
        .collect();
    assert!(named.len() > 50 && missing.is_empty(), "of {} tests these are none: {missing:#?}", named.len());
    let promises = page
        .split("| promise | shown by |\n|---|---|\n")
        .skip(1)
        .flat_map(|table| table.lines().take_while(|line| line.starts_with('|')));
    let alone: Vec<_> = promises.filter(|row| !row.contains("::")).collect();
    assert!(alone.is_empty(), "promised, and shown by no test: {alone:#?}");
}
