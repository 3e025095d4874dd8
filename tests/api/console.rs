//! The console's side of the hub: its files with their tags, the client for all pages, and whom it signs in by itself.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tambour::config::value::Secret;
use tambour::development;
use tambour::transport::console::FILES;
use tempfile::TempDir;

use crate::support::http::{Answer, Ask, Connection};
use crate::support::hub::Running;
use crate::support::process::{Process, own_host};
use crate::support::tls::Pair;
use crate::support::token::{SECRET, now};

/// A hub on its development secret.
fn development_hub(listen: [u8; 4]) -> Running {
    Running::with(|settings| {
        settings.auth.secret = Some(development::secret(&settings.store.data_dir).unwrap());
        settings.http.listen = SocketAddr::from((listen, 0));
    })
}

/// The answer to a request without its body, on a connection that goes on behind it.
fn head(addr: SocketAddr, ask: &Ask) -> Answer {
    let mut connection = Connection::open(addr);
    connection.send(&ask.bytes());
    let head = connection.head();
    connection.send(&Ask::new("GET", "/healthz").bytes());
    assert_eq!(connection.answer().status, 200, "nothing came behind the head");
    head
}

#[test]
fn a_file_is_sent_once() {
    let hub = Running::start();
    for file in FILES {
        let ask = Ask::new("GET", file.path);
        let answer = ask.send(hub.addr());
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-cache")), "{}", file.path);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{}", file.path);
        let tag = answer.header("etag").unwrap().to_owned();
        assert!(tag.len() == 34 && tag.starts_with('"') && tag.ends_with('"'), "{tag} is strong");
        let length = answer.body.len().to_string();
        for had in [&tag, "*", &format!("W/{tag}"), &format!("\"another\", {tag}")] {
            for method in ["GET", "HEAD"] {
                let again = head(hub.addr(), &Ask::new(method, file.path).with("if-none-match", had));
                assert_eq!((again.status, again.header("etag")), (304, Some(tag.as_str())), "{had}");
                assert_eq!(again.header("cache-control"), Some("no-cache"));
            }
        }
        let two = ask.clone().and("if-none-match", "\"another\"").and("if-none-match", &tag);
        assert_eq!(two.send(hub.addr()).status, 304);
        for other in ["\"another\"", "", tag.trim_matches('"'), &tag.to_uppercase().replace('"', "\"\"")] {
            let answer = ask.clone().with("if-none-match", other).send(hub.addr());
            assert_eq!((answer.status, answer.body.len().to_string()), (200, length.clone()), "{other}");
        }
        let asked = head(hub.addr(), &Ask::new("HEAD", file.path));
        assert_eq!((asked.status, asked.header("content-length")), (200, Some(length.as_str())), "{}", file.path);
        assert_eq!(asked.header("content-type"), answer.header("content-type"));
        assert_eq!(asked.header("etag"), Some(tag.as_str()));
    }
    let unknown = Ask::new("GET", "/console/nothing.js").with("if-none-match", "*").send(hub.addr());
    assert_eq!(unknown.refusal(), (404, "route.unknown".to_owned()));
    assert_eq!(head(hub.addr(), &Ask::new("HEAD", "/healthz")).status, 200);
    assert_eq!(Ask::new("POST", "/").send(hub.addr()).header("allow"), Some("GET, HEAD"));
}

#[test]
fn the_console_is_its_own_and_the_client_everybodys() {
    let hub = development_hub([127, 0, 0, 1]);
    let evil = ("host", "evil.example");
    for file in FILES {
        let ask = Ask::new("GET", file.path).with("origin", "https://page.example");
        let here = ask.clone().with("host", "localhost").send(hub.addr());
        let there = ask.with(evil.0, evil.1).send(hub.addr());
        assert_eq!(here.status, 200, "{}", file.path);
        let header = |name: &str| here.header(name).unwrap_or_default();
        let resource = header("cross-origin-resource-policy");
        if file.path == "/client.js" {
            assert_eq!((there.status, header("access-control-allow-origin"), resource), (200, "*", "cross-origin"));
            assert!(here.text().contains("export{"), "an ES module");
            continue;
        }
        assert_eq!(there.refusal(), (403, "origin.forbidden".to_owned()), "{}", file.path);
        assert_eq!((header("access-control-allow-origin"), resource), ("", "same-origin"));
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert!(header("permissions-policy").contains("camera=()"));
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.split("; ").any(|given| given == part), "{part} in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}

/// The request of the hub's own page, opened by a name.
fn page(host: &str) -> Ask {
    Ask::new("POST", "/console/sign-in").with("host", host).with("origin", &format!("http://{host}")).json("{}")
}

#[track_caller]
fn asks_for_a_token(answer: &Answer) {
    assert_eq!((answer.status, answer.body.len()), (204, 0), "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[track_caller]
fn foreign(answer: &Answer) {
    assert_eq!(answer.refusal(), (403, "origin.forbidden".to_owned()));
}

/// Uses what a sign-in answered.
fn by(signed_in: &Value, path: &str) -> Ask {
    let text = |name: &str| signed_in[name].as_str().unwrap();
    let ask = Ask::new("GET", path).with("authorization", &format!("Bearer {}", text("token")));
    ask.with("x-tenant-id", text("tenant_id")).with("x-env", text("env"))
}

#[test]
fn a_development_hub_signs_its_page_in() {
    let hub = development_hub([127, 0, 0, 1]);
    let addr = hub.addr();
    for host in [format!("127.0.0.1:{}", addr.port()), "localhost:8080".to_owned(), "[::1]:1".to_owned()] {
        let answer = page(&host).send(addr);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let signed_in = answer.ok(200);
        assert_eq!((&signed_in["sub"], &signed_in["role"]), (&json!("ada"), &json!("admin")));
        assert_eq!((&signed_in["tenant_id"], &signed_in["env"]), (&json!("t_demo"), &json!("dev")));
        let ends = signed_in["expires_at"].as_str().unwrap();
        let ends = time::OffsetDateTime::parse(ends, &time::format_description::well_known::Rfc3339).unwrap();
        assert!((3_500..=3_600).contains(&(ends.unix_timestamp() - now())), "{ends}");
        // What admins alone may.
        by(&signed_in, "/v1/audit").send(addr).ok(200);
    }
    let without_body = Ask { body: None, ..page("localhost:8080").without("content-type") };
    assert_eq!(without_body.send(addr).ok(200)["sub"], "ada");
    let named = page("localhost:8080").json(json!({ "sub": "bob|7" })).send(addr).ok(200);
    assert_eq!(named["sub"], "bob|7");
    assert_eq!(by(&named, "/v1/threads").send(addr).status, 200);
    let get = Ask::new("GET", "/console/sign-in").send(addr);
    assert_eq!((get.refusal().1, get.header("allow")), ("route.method".to_owned(), Some("POST")));
}

#[test]
fn nobody_else_is_signed_in() {
    let hub = development_hub([127, 0, 0, 1]);
    let addr = hub.addr();
    let own = page("localhost:8080");
    foreign(&own.clone().without("origin").send(addr));
    for origin in
        ["http://localhost:8081", "https://localhost:8080", "http://127.0.0.1:8080", "https://evil.example", "null"]
    {
        foreign(&own.clone().with("origin", origin).send(addr));
    }
    foreign(&own.clone().and("origin", "http://localhost:8080").send(addr));
    for host in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example"] {
        asks_for_a_token(&page(host).send(addr));
    }
    for header in ["forwarded", "via", "x-forwarded-for", "x-forwarded-host"] {
        asks_for_a_token(&own.clone().with(header, "127.0.0.1").send(addr));
    }
    // An origin that may use the hub is not the hub's own.
    let listed = "http://localhost:5173";
    hub.reload(|settings| {
        let mut layers = tambour::config::layers::Layers::default();
        layers.flag("--test", "http.allowed_origins", listed);
        settings.http.allowed_origins = tambour::config::Settings::resolve(&layers).unwrap().http.allowed_origins;
    });
    foreign(&own.clone().with("origin", listed).send(addr));
    let code = |ask: Ask| ask.send(addr).refusal();
    for body in [r#"{"sub":""}"#, r#"{"sub":"key:1"}"#, r#"{"role":"owner"}"#, "[]", "{"] {
        assert_eq!(code(own.clone().json(body)), (400, "body.invalid".to_owned()), "{body}");
    }
    assert_eq!(code(own.clone().with("content-type", "text/plain")), (415, "body.type".to_owned()));
    let large = json!({ "sub": "x".repeat(4_096) });
    assert_eq!(code(own.clone().json(large)), (413, "body.too_large".to_owned()));
    // A form that is wrong is told also where nobody is signed in.
    assert_eq!(code(page("evil.example").json("[]")), (400, "body.invalid".to_owned()));
    assert_eq!(own.send(addr).status, 200);
}

#[test]
fn a_hub_that_others_reach_or_that_has_a_key_signs_nobody_in() {
    let open = development_hub([0, 0, 0, 0]);
    asks_for_a_token(&page(&format!("127.0.0.1:{}", open.addr().port())).send(open.addr()));
    asks_for_a_token(&page("localhost").without("origin").send(open.addr()));
    let keyed = Running::start();
    asks_for_a_token(&page("localhost").send(keyed.addr()));
    // One that takes a key of its own while it runs signs nobody in from then on.
    let hub = development_hub([127, 0, 0, 1]);
    assert_eq!(page("localhost").send(hub.addr()).status, 200);
    hub.reload(|settings| settings.auth.secret = Some(Secret::new(SECRET)));
    asks_for_a_token(&page("localhost").send(hub.addr()));
}

#[test]
fn over_tls_the_scheme_is_https() {
    let pair = Pair::make();
    let hub = Running::with(|settings| {
        settings.auth.secret = Some(development::secret(&settings.store.data_dir).unwrap());
        pair.set(settings);
    });
    let own = page("localhost:8080");
    foreign(&own.send(hub.addr()));
    assert_eq!(own.with("origin", "https://localhost:8080").send(hub.addr()).status, 200);
}

#[test]
fn its_token_is_in_no_log_and_production_makes_none() {
    let dir = TempDir::new().unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("tambour.toml"));
    std::fs::write(&file, "[log]\nlevel = \"trace\"\n").unwrap();
    let host = own_host();
    let hub = Process::configured(&data, &format!("{host}:0"), &file);
    let signed_in = page(&hub.addr.to_string()).send(hub.addr).ok(200);
    let token = signed_in["token"].as_str().unwrap();
    by(&signed_in, "/v1/threads").send(hub.addr).ok(200);
    let signature = token.rsplit('.').next().unwrap();
    assert!(!hub.said().contains(signature), "{}", hub.said());
    drop(hub);
    // Also where somebody gives a production hub the very secret of an earlier run.
    let secret = std::fs::read_to_string(data.join(development::SECRET_FILE)).unwrap();
    let variables =
        [("TAMBOUR__PRODUCTION", "true"), ("TAMBOUR__AUTH__SECRET", secret.trim()), ("TAMBOUR__AUTH__ENVS", "dev")];
    let hub = Process::start(&data, &format!("{host}:0"), &variables);
    asks_for_a_token(&page(&hub.addr.to_string()).send(hub.addr));
}
