//! The matrix of admission: every route, in each way to use it, with every identity that is none or not enough.
//!
//! The rows are [`wrongs`], the columns the routes of the hub's own table (`crate::refusals::shapes`, which fails for a
//! route that it does not know). What a route does when nothing is wrong is tested elsewhere.

mod rights;
mod switched_off;
mod wires;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tambour::routes::{Access, ROUTES};

use crate::refusals::{Shape, Stream, create_both, shapes};
use crate::support::authority::{admin, claims_of, key, keyed, put, revoke};
use crate::support::http::{Answer, Ask};
use crate::support::hub::Running;
use crate::support::token::{ENV, SECRET, TENANT, altered, claims, now, sign, sign_with};

/// Status, code, and the close code of a session that is refused so.
type Told = (u16, &'static str, u16);

const INVALID: Told = (401, "auth.token_invalid", 4401);
const EXPIRED: Told = (401, "auth.token_expired", 4401);
const REVOKED: Told = (401, "auth.token_revoked", 4401);
const TIER: Told = (401, "auth.wrong_tier", 4401);
const MISSING: Told = (401, "auth.token_missing", 4401);
const FOREIGN: Told = (403, "auth.tenant_mismatch", 4403);
const SUSPENDED: Told = (403, "auth.suspended", 4403);
const NOWHERE: Told = (400, "context.missing", 4403);
const NOWHERE_ON_STREAM: Told = (403, "context.missing", 4403);
const MALFORMED: Told = (400, "context.malformed", 4400);
const MISMATCH: Told = (400, "context.mismatch", 4400);

/// Somebody who is refused: what they show, and what they are told. `None`: there they are let in.
struct Wrong {
    name: &'static str,
    token: Option<String>,
    tenant: Option<&'static str>,
    env: Option<&'static str>,
    on_streams: Option<Told>,
    elsewhere: Option<Told>,
}

impl Wrong {
    fn of(name: &'static str, token: impl Into<Option<String>>, told: Told) -> Self {
        let (tenant, env, told) = (Some(TENANT), Some(ENV), Some(told));
        Self { name, token: token.into(), tenant, env, on_streams: told, elsewhere: told }
    }

    /// A token that knows where it acts.
    fn own(name: &'static str, token: &str, on_streams: Option<Told>, elsewhere: Option<Told>) -> Self {
        Self { name, token: Some(token.to_owned()), tenant: None, env: None, on_streams, elsewhere }
    }

    fn saying(self, tenant: Option<&'static str>, env: Option<&'static str>) -> Self {
        Self { tenant, env, ..self }
    }

    fn told(&self, stream: Stream) -> Option<Told> {
        if stream == Stream::No { self.elsewhere } else { self.on_streams }
    }

    /// The same request by this somebody, without their token.
    fn context(&self, ask: &Ask) -> Ask {
        let mut ask = ask.clone().without("authorization").without("x-tenant-id").without("x-env");
        for (header, said) in [("x-tenant-id", self.tenant), ("x-env", self.env)] {
            if let Some(said) = said {
                ask = ask.with(header, said);
            }
        }
        ask
    }

    /// The same request by this somebody, as a header shows it.
    fn by_header(&self, ask: &Ask) -> Ask {
        let ask = self.context(ask);
        match &self.token {
            Some(token) => ask.with("authorization", &format!("Bearer {token}")),
            None => ask,
        }
    }
}

/// A stream token of a JWT.
#[track_caller]
fn stream_token(addr: SocketAddr, claims: &Value, body: &Value) -> String {
    let ask = Ask::by("", "POST", "/v1/stream-tokens").with("authorization", &format!("Bearer {}", sign(claims)));
    ask.json(body).send(addr).ok(201)["token"].as_str().unwrap().to_owned()
}

/// A hub with topics `open` (anybody's) and `private` (carol's).
fn hub() -> Running {
    let hub = Running::start();
    create_both(hub.addr(), "alice", &json!({ "id": "open" }));
    create_both(hub.addr(), "carol", &json!({ "id": "private", "visibility": "private" }));
    hub
}

/// JWTs that are none, or nobody's here.
fn wrong_jwts() -> Vec<Wrong> {
    let good = claims_of("alice", "admin");
    let jwt = |changes: Value| sign(&altered(good.clone(), changes));
    let another_secret = sign_with(&good, Algorithm::HS256, "another-secret-of-at-least-32-bytes");
    let another_algorithm = sign_with(&good, Algorithm::HS512, SECRET);
    let elsewhere = altered(good.clone(), json!({ "tenant_ids": ["t_other"], "role_map": { "t_other": "owner" } }));
    vec![
        Wrong::of("no token", None, MISSING),
        Wrong::of("malformed", "not-a-token".to_owned(), INVALID),
        Wrong::of("expired", jwt(json!({ "exp": now() - 60 })), EXPIRED),
        Wrong::of("not yet", jwt(json!({ "nbf": now() + 600 })), INVALID),
        Wrong::of("wrong signature", another_secret, INVALID),
        Wrong::of("wrong algorithm", another_algorithm, INVALID),
        Wrong::of("wrong audience", jwt(json!({ "aud": "somebody" })), INVALID),
        Wrong::of("says to be a key", jwt(json!({ "sub": "key:019ab0c4-7a3e-7cc0-8f0e-3d1c2b4a5968" })), INVALID),
        Wrong::of("wrong env", jwt(json!({ "envs": ["staging", "prod"] })), FOREIGN),
        Wrong::of("no role", jwt(json!({ "role_map": {} })), FOREIGN),
        Wrong::of("owner of another tenant", sign(&elsewhere), FOREIGN),
        Wrong::of("other tenant", jwt(json!({})), FOREIGN).saying(Some("t_other"), Some(ENV)),
        Wrong { on_streams: Some(NOWHERE_ON_STREAM), ..Wrong::of("no tenant", jwt(json!({})), NOWHERE) }
            .saying(None, Some(ENV)),
        Wrong { on_streams: Some(NOWHERE_ON_STREAM), ..Wrong::of("no env", jwt(json!({})), NOWHERE) }
            .saying(Some(TENANT), None),
        Wrong::of("no such tenant", jwt(json!({})), MALFORMED).saying(Some("t_unknown"), Some(ENV)),
        Wrong::of("no such env", jwt(json!({})), MALFORMED).saying(Some(TENANT), Some("production")),
    ]
}

/// Everybody who is refused. What makes them so is done to the hub first.
fn wrongs(addr: SocketAddr) -> Vec<Wrong> {
    let open = json!({});
    let [suspended, taken, gone] = ["mallory", "trudy", "oscar"].map(|sub| claims_of(sub, "member"));
    let of = [&suspended, &taken, &gone].map(|claims| stream_token(addr, claims, &open));
    put(addr, "mallory", &json!({ "state": "suspended" }));
    revoke(addr, &json!({ "jti": taken["jti"] }));
    revoke(addr, &json!({ "sub": "oscar" }));
    let alice = stream_token(addr, &claims("alice", "admin"), &open);
    let (_, good) = key(addr, json!({ "role": "admin" }));
    let (deleted_id, deleted) = key(addr, json!({}));
    let of_deleted = keyed(&deleted, "POST", "/v1/stream-tokens").send(addr).ok(201)["token"].clone();
    admin("DELETE", &format!("/v1/keys/{deleted_id}")).send(addr).ok(204);
    let (suspended_id, suspended_key) = key(addr, json!({}));
    put(addr, &suspended_id, &json!({ "state": "suspended" }));
    let (no_stream, no_key) = (format!("tst_{}", "A".repeat(43)), format!("tsk_{}", "A".repeat(43)));
    let (tier, invalid, mismatch) = (Some(TIER), Some(INVALID), Some(MISMATCH));
    let mut wrongs = wrong_jwts();
    wrongs.extend([
        Wrong::of("suspended", sign(&suspended), SUSPENDED),
        Wrong::of("revoked", sign(&taken), REVOKED),
        Wrong::of("revoked by sub", sign(&gone), REVOKED),
        Wrong::own("stream token", &alice, None, tier),
        Wrong::own("stream token of a suspended", &of[0], invalid, tier),
        Wrong::own("stream token of a revoked jti", &of[1], invalid, tier),
        Wrong::own("stream token of a revoked sub", &of[2], invalid, tier),
        Wrong::own("stream token of a deleted key", of_deleted.as_str().unwrap(), invalid, tier),
        Wrong::own("unknown stream token", &no_stream, invalid, tier),
        Wrong::own("half a stream token", &alice[..30], invalid, tier),
        Wrong::own("stream token, other tenant", &alice, mismatch, tier).saying(Some("t_other"), None),
        Wrong::own("stream token, other env", &alice, mismatch, tier).saying(None, Some("prod")),
        Wrong::own("key", &good, tier, None),
        Wrong::own("unknown key", &no_key, tier, invalid),
        Wrong::own("half a key", &good[..30], tier, invalid),
        Wrong::own("deleted key", &deleted, tier, invalid),
        Wrong::own("suspended key", &suspended_key, tier, Some(SUSPENDED)),
        Wrong::own("key, other tenant", &good, tier, mismatch).saying(Some("t_other"), None),
        Wrong::own("key, other env", &good, tier, mismatch).saying(None, Some("prod")),
    ]);
    wrongs
}

/// What RFC 6750, section 3, wants a 401 to say.
#[track_caller]
fn challenged(answer: &Answer, code: &str) {
    let challenge = answer.header("www-authenticate");
    match code {
        "auth.token_missing" => assert_eq!(challenge, Some("Bearer")),
        code if code.starts_with("auth.") && answer.status == 401 => {
            assert!(challenge.is_some_and(|said| said.starts_with("Bearer error=\"invalid_token\"")), "{challenge:?}");
        }
        _ => assert_eq!(challenge, None),
    }
}

/// A refusal of a row in a column.
#[track_caller]
fn is_told(answer: &Answer, told: Told, what: &str) {
    let (status, code, _) = told;
    let problem = answer.json();
    assert_eq!((answer.status, problem["code"].as_str()), (status, Some(code)), "{what}: {}", answer.text());
    assert_eq!(answer.refusal(), (status, code.to_owned()), "{what}");
    challenged(answer, code);
}

#[test]
fn every_route_refuses_everybody_who_is_none() {
    let hub = hub();
    let addr = hub.addr();
    let (mut walked, mut cells) = (BTreeSet::new(), 0);
    for wrong in wrongs(addr) {
        for shape in shapes("open") {
            // An upgrade of `/v1/ws` without a token may still say `hello`.
            let later = wrong.token.is_none() && shape.access == Access::Hello;
            let Some(told) = wrong.told(shape.stream).filter(|_| !later) else { continue };
            let what = format!("{}: {}", wrong.name, shape.name);
            let answer = wrong.by_header(&shape.ask).send(addr);
            is_told(&answer, told, &what);
            if let Some(token) = &wrong.token {
                assert!(!answer.text().contains(token), "{what}: no answer repeats a token");
            }
            cells += 1;
            walked.insert(shape.action);
        }
    }
    let guarded: BTreeSet<_> = ROUTES.iter().filter(|of| of.access != Access::Public).map(|of| of.action).collect();
    assert_eq!(walked, guarded, "every route that is not public is walked");
    assert!(cells > 1_000, "{cells} cells");
    // Nothing of all that came to pass.
    Ask::by("alice", "GET", "/v1/threads/open").send(addr).ok(200);
    let topics = Ask::by("alice", "GET", "/v1/threads").send(addr).ok(200);
    assert_eq!(topics["threads"].as_array().unwrap().len(), 1, "{topics}");
}

#[test]
fn a_query_says_nothing_that_a_header_must_say() {
    let hub = hub();
    let addr = hub.addr();
    let good = sign(&claims_of("alice", "admin"));
    let (_, key) = key(addr, json!({ "role": "admin" }));
    for Shape { name, access, stream, ask, .. } in shapes("open") {
        for token in [&good, &key] {
            let bare = ask.clone().without("authorization").query(&format!("token={token}"));
            if access == Access::Hello {
                // It is not looked at: the session still has to say who it is.
                let mut ws = crate::support::ws::Ws::open(addr, &bare);
                ws.send(&json!({ "t": "unsubscribe", "topic": "thread/open" }));
                assert_eq!((ws.error(), ws.closed()), ("hello.missing".to_owned(), 4401));
                continue;
            }
            is_told(&bare.send(addr), MISSING, &name);
        }
        if stream == Stream::No {
            // Neither in a subprotocol, nor in a cookie.
            let ask =
                ask.without("authorization").with("sec-websocket-protocol", &format!("tambour.v1, bearer.{good}"));
            is_told(
                &ask.with("cookie", &format!("token={good}; authorization=Bearer {good}")).send(addr),
                MISSING,
                &name,
            );
        }
    }
}
