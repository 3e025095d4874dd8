//! Keys that are fetched: from an issuer that publishes, rotates, hangs, fails and lies, and of several issuers at once.

use std::net::SocketAddr;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tambour::config::Settings;
use tambour::config::layers::Layers;
use tempfile::TempDir;

use crate::support::eventually;
use crate::support::http::{Answer, Ask};
use crate::support::hub::Running;
use crate::support::jwks::{Behaviour, Publisher, SigningKey, jwks};
use crate::support::process::{Process, own_host};
use crate::support::sse::Stream;
use crate::support::tls::Pair;
use crate::support::token::{altered, claims, token};
use crate::support::ws::Ws;

const ISS: &str = "https://issuer.example/";

/// Settings of a hub whose tokens are of one issuer.
fn from(settings: &mut Settings, url: &str) {
    let mut layers = Layers::default();
    for (name, value) in [("auth.algorithm", "ES256"), ("auth.issuer", ISS), ("auth.jwks_url", url)] {
        layers.flag("--test", name, value);
    }
    settings.auth = Settings::resolve(&layers).unwrap().auth;
}

fn hub(publisher: &Publisher) -> Running {
    Running::with(|settings| from(settings, &publisher.url()))
}

/// A hub that has fetched its issuer's keys.
fn hub_of(publisher: &Publisher, key: &SigningKey) -> Running {
    let hub = hub(publisher);
    eventually("the keys are there", || (ask(hub.addr(), &key.token(ISS, "alice")).status == 200).then_some(()));
    hub
}

fn ask(addr: SocketAddr, token: &str) -> Answer {
    Ask::by("alice", "GET", "/v1/limits").with("authorization", &format!("Bearer {token}")).send(addr)
}

#[test]
fn a_rotated_key_is_fetched_when_it_is_first_seen() {
    let (old, new) = (SigningKey::make("old"), SigningKey::make("new"));
    let publisher = Publisher::start(Behaviour::Serves(jwks(&[&old])));
    let hub = hub_of(&publisher, &old);
    assert_eq!(publisher.asked(), 1);
    publisher.behave(Behaviour::Serves(jwks(&[&old, &new])));
    // Many at once wait for one fetch.
    let addr = hub.addr();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| ask(addr, &new.token(ISS, "alice")).ok(200));
        }
    });
    assert_eq!(publisher.asked(), 2);
    ask(addr, &old.token(ISS, "alice")).ok(200);
    // Within a minute tokens that name what nobody has cause no other.
    for kid in ["x", "../new", "' OR 1=1 --", &"k".repeat(4_000)] {
        let refused = ask(addr, &SigningKey::make(kid).token(ISS, "alice"));
        not_yet(&refused);
    }
    // A key of the same name by somebody else.
    assert_eq!(ask(addr, &SigningKey::make("new").token(ISS, "alice")).status, 401);
    assert_eq!(publisher.asked(), 2);
}

/// The answer to a token whose key may come to be known.
#[track_caller]
fn not_yet(answer: &Answer) {
    assert_eq!(answer.refusal_with(&["retry_after_ms"]), (503, "auth.signing_key_unknown".to_owned()));
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(answer.header("www-authenticate"), None);
}

#[test]
fn rubbish_does_not_make_a_rotated_key_bad() {
    let (old, new) = (SigningKey::make("old"), SigningKey::make("new"));
    let publisher = Publisher::start(Behaviour::Serves(jwks(&[&old])));
    let hub = Running::with(|settings| {
        from(settings, &publisher.url());
        settings.rates.bad_tokens_per_minute = 5;
    });
    let addr = hub.addr();
    eventually("the keys are there", || (ask(addr, &old.token(ISS, "alice")).status == 200).then_some(()));
    // Somebody uses up the fetch of this minute, and is told that theirs is bad: the issuer has said so.
    let rubbish = || SigningKey::make("rubbish").token(ISS, "alice");
    assert_eq!(ask(addr, &rubbish()).refusal(), (401, "auth.token_invalid".to_owned()));
    // Then the issuer rotates. Nobody knows yet whether it is good.
    publisher.behave(Behaviour::Serves(jwks(&[&old, &new])));
    not_yet(&ask(addr, &new.token(ISS, "alice")));
    // An EventSource comes again, and not before.
    let stream = Ask::stream("alice", "/v1/threads/x/events").with("last-event-id", "AAAAAAAAAAAAAAAA.1");
    let told = stream.with("authorization", &format!("Bearer {}", new.token(ISS, "alice"))).send(addr);
    let text = told.text();
    let retry_ms = text.lines().find_map(|line| line.strip_prefix("retry: ")?.parse::<u64>().ok());
    assert!(told.status == 200 && text.contains("auth.signing_key_unknown"), "{text}");
    assert!(retry_ms.is_some_and(|ms| (50_000..=60_000).contains(&ms)), "{text}");
    // Whoever goes on with rubbish is counted, as with every bad token.
    not_yet(&ask(addr, &rubbish()));
    not_yet(&ask(addr, &rubbish()));
    assert_eq!(ask(addr, &rubbish()).refusal_with(&["retry_after_ms"]), (429, "limit.bad_tokens".to_owned()));
    ask(addr, &old.token(ISS, "alice")).ok(200);
    assert_eq!(publisher.asked(), 2);
}

#[test]
fn an_issuer_that_does_not_answer_says_nothing_of_a_new_key() {
    let (old, new) = (SigningKey::make("old"), SigningKey::make("new"));
    let publisher = Publisher::start(Behaviour::Serves(jwks(&[&old])));
    let hub = hub_of(&publisher, &old);
    publisher.behave(Behaviour::Status(500, String::new()));
    not_yet(&ask(hub.addr(), &new.token(ISS, "alice")));
    ask(hub.addr(), &old.token(ISS, "alice")).ok(200);
    assert_eq!(publisher.asked(), 2);
}

#[test]
fn a_key_that_was_taken_away_is_not_believed_and_one_that_cannot_be_fetched_is() {
    let (old, new) = (SigningKey::make("old"), SigningKey::make("new"));
    let publisher = Publisher::start(Behaviour::Serves(jwks(&[&old])));
    let hub = Running::with(|settings| {
        from(settings, &publisher.url());
        settings.auth.jwks_refresh_seconds = 1;
    });
    let token = old.token(ISS, "alice");
    eventually("the keys are there", || (ask(hub.addr(), &token).status == 200).then_some(()));
    for broken in [
        Behaviour::Status(500, String::new()),
        Behaviour::Status(302, publisher.url()),
        Behaviour::Serves("<html>".to_owned()),
        Behaviour::Serves(json!({"keys": vec![old.public(); 65]}).to_string()),
        Behaviour::Floods,
    ] {
        let asked = publisher.asked();
        publisher.behave(broken);
        eventually("it is asked again, twice", || (publisher.asked() > asked + 1).then_some(()));
        ask(hub.addr(), &token).ok(200);
    }
    // The token was verified before, and is none any more.
    publisher.behave(Behaviour::Serves(jwks(&[&new])));
    eventually("the old key is gone", || (ask(hub.addr(), &token).status == 401).then_some(()));
    ask(hub.addr(), &new.token(ISS, "alice")).ok(200);
    // What a reload keeps was fetched before it.
    publisher.behave(Behaviour::Status(500, String::new()));
    let asked = publisher.asked();
    assert_eq!(hub.reload(|settings| settings.auth.leeway_seconds = 29), ["auth.leeway_seconds"]);
    ask(hub.addr(), &new.token(ISS, "alice")).ok(200);
    eventually("it goes on asking", || (publisher.asked() > asked).then_some(()));
    ask(hub.addr(), &new.token(ISS, "alice")).ok(200);
    assert!(publisher.flooded_bytes() < 64 * 1024 * 1024, "{} bytes were taken", publisher.flooded_bytes());
}

#[test]
fn keys_that_were_never_fetched() {
    let key = SigningKey::make("k");
    let elsewhere = Publisher::start(Behaviour::Serves(jwks(&[&key])));
    for broken in [
        Behaviour::Status(500, String::new()),
        Behaviour::Status(301, elsewhere.url()),
        Behaviour::Status(307, elsewhere.url()),
        Behaviour::Serves("{}".to_owned()),
    ] {
        let publisher = Publisher::start(broken);
        let hub = hub(&publisher);
        let refused = ask(hub.addr(), &key.token(ISS, "alice"));
        assert_eq!(refused.refusal(), (503, "auth.keys_unavailable".to_owned()));
        assert!(refused.header("retry-after").is_some());
        // A stream is told the same, and a session may say hello again.
        let stream = Ask::stream("alice", "/v1/threads/x/events");
        let stream = stream.with("authorization", &format!("Bearer {}", key.token(ISS, "alice"))).send(hub.addr());
        assert_eq!(stream.refusal().1, "auth.keys_unavailable");
        let hello = |ws: &mut Ws| {
            let token = key.token(ISS, "alice");
            ws.send(&json!({"t": "hello", "token": token, "tenant_id": "t_demo", "env": "dev"}));
        };
        let mut ws = Ws::open(hub.addr(), &Ask::new("GET", "/v1/ws"));
        hello(&mut ws);
        assert_eq!(ws.error(), "auth.keys_unavailable");
        assert_eq!(elsewhere.asked(), 0, "a redirect is not followed");
    }
}

#[test]
fn a_hub_gets_well_with_its_issuer() {
    let key = SigningKey::make("k");
    let publisher = Publisher::start(Behaviour::Hangs);
    let hub = hub(&publisher);
    // It waits as long as a fetch may take, and serves others meanwhile.
    let addr = hub.addr();
    let token = key.token(ISS, "alice");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| ask(addr, &token));
        Ask::new("GET", "/healthz").send(addr).ok(200);
        assert_eq!(waits.join().unwrap().refusal().1, "auth.keys_unavailable");
    });
    publisher.behave(Behaviour::Serves(jwks(&[&key])));
    eventually("the keys are there", || (ask(addr, &token).status == 200).then_some(()));
}

#[test]
fn a_token_names_no_place() {
    let key = SigningKey::make("k");
    let publisher = Publisher::start(Behaviour::Serves(jwks(&[&key])));
    let evil = SigningKey::make("evil");
    let trap = Publisher::start(Behaviour::Serves(jwks(&[&evil])));
    let hub = hub_of(&publisher, &key);
    let url = trap.url();
    let token = evil.token(ISS, "alice");
    let (_, rest) = token.split_once('.').unwrap();
    for header in [
        json!({"alg": "ES256", "kid": "evil", "jku": url}),
        json!({"alg": "ES256", "kid": url, "x5u": url}),
        json!({"alg": "ES256", "kid": "k", "jwk": evil.public(), "jku": url}),
    ] {
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        // The issuer is asked for the first; the second has to wait until it may be asked again.
        let answer = ask(hub.addr(), &format!("{header}.{rest}"));
        assert!(matches!(answer.status, 401 | 503), "{}", answer.text());
    }
    assert_eq!(trap.asked(), 0);
}

#[test]
fn keys_over_tls() {
    let pair = Pair::make();
    let key = SigningKey::make("k");
    let publisher = Publisher::with_tls(Behaviour::Serves(jwks(&[&key])), pair.server());
    let url = format!("https://localhost:{}/keys", publisher.port());
    let trusting = Running::with(|settings| {
        from(settings, &url);
        settings.auth.jwks_ca_file = Some(pair.cert());
    });
    eventually("the keys are there", || (ask(trusting.addr(), &key.token(ISS, "alice")).status == 200).then_some(()));
    // Of an authority that is not known here nothing is believed.
    let other = Pair::make();
    let wary = Running::with(|settings| {
        from(settings, &url);
        settings.auth.jwks_ca_file = Some(other.cert());
    });
    assert_eq!(ask(wary.addr(), &key.token(ISS, "alice")).refusal().1, "auth.keys_unavailable");
}

/// The file of two issuers.
fn file(dir: &Path, a: &Publisher, b: &Publisher, tenants_of_b: &str) {
    let entry = |name: &str, publisher: &Publisher, tenants: &str| {
        let url = publisher.url();
        format!("[[issuer]]\nissuer = 'https://{name}'\nalgorithm = 'ES256'\njwks_url = '{url}'\ntenants = {tenants}\n")
    };
    let text = entry("a", a, "['t_demo']") + &entry("b", b, tenants_of_b);
    std::fs::write(dir.join("issuers.toml"), text).unwrap();
}

#[test]
fn an_issuer_never_speaks_for_another_ones_tenants() {
    let dir = TempDir::new().unwrap();
    let (of_a, of_b) = (SigningKey::make("k"), SigningKey::make("k"));
    let a = Publisher::start(Behaviour::Serves(jwks(&[&of_a])));
    let b = Publisher::start(Behaviour::Serves(jwks(&[&of_b])));
    file(dir.path(), &a, &b, "['t_other']");
    std::fs::write(
        dir.path().join("tambour.toml"),
        format!("auth.issuers_file = '{}/issuers.toml'", dir.path().display()),
    )
    .unwrap();
    let hub =
        Process::configured(&dir.path().join("data"), &format!("{}:0", own_host()), &dir.path().join("tambour.toml"));
    let both = altered(claims("alice", "owner"), json!({"tenant_ids": ["t_demo", "t_other"], "role_map": "owner"}));
    let status = |key: &SigningKey, iss: &str, tenant: &str| {
        let ask = Ask::by("alice", "GET", "/v1/limits").with("x-tenant-id", tenant);
        let answer = ask.with("authorization", &format!("Bearer {}", key.sign(iss, &both))).send(hub.addr);
        if answer.status == 200 { "good".to_owned() } else { answer.refusal().1 }
    };
    eventually("the keys are there", || (status(&of_a, "https://a", "t_demo") == "good").then_some(()));
    eventually("the keys are there", || (status(&of_b, "https://b", "t_other") == "good").then_some(()));
    assert_eq!(status(&of_a, "https://a", "t_other"), "auth.tenant_mismatch");
    assert_eq!(status(&of_b, "https://b", "t_demo"), "auth.tenant_mismatch");
    // One issuer's key, and the other one's name.
    assert_eq!(status(&of_b, "https://a", "t_demo"), "auth.token_invalid");
    assert_eq!(status(&of_a, "https://c", "t_demo"), "auth.token_invalid");
    let own =
        Ask::by("alice", "GET", "/v1/limits").with("authorization", &format!("Bearer {}", token("alice", "owner")));
    assert_eq!(own.send(hub.addr).status, 401, "the development secret is no issuer");
    // The file is read again, and a stream that is open goes on.
    Ask::by("alice", "POST", "/v1/threads")
        .with("authorization", &format!("Bearer {}", of_a.sign("https://a", &both)))
        .json(json!({"id": "x"}))
        .send(hub.addr)
        .ok(201);
    let stream = Ask::stream("alice", "/v1/threads/x/events");
    let _stream =
        Stream::open(hub.addr, &stream.with("authorization", &format!("Bearer {}", of_a.sign("https://a", &both))));
    file(dir.path(), &a, &b, "['*']");
    hub.reload_until("the configuration and the keys were read again");
    assert_eq!(status(&of_b, "https://b", "t_demo"), "good");
    assert_eq!(hub.sessions(), 1);
    // What is no file of issuers changes nothing.
    std::fs::write(dir.path().join("issuers.toml"), "[[issuer]]\nissuer = 'https://a'").unwrap();
    hub.reload_until("the configuration is not accepted; nothing has changed");
    assert_eq!(status(&of_a, "https://a", "t_demo"), "good");
    assert!(!hub.said().contains("eyJ"), "a token is in the log");
}
