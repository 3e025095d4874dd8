//! Requests of somebody with a role, and what an admin does: keys, principals, revocations.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::http::{Answer, Ask};
use super::token::{altered, claims, now, sign, token};

/// A request by somebody with a role in the tests' tenant.
pub(crate) fn by(sub: &str, role: &str, method: &str, path: &str) -> Ask {
    Ask::by(sub, method, path).with("authorization", &format!("Bearer {}", token(sub, role)))
}

/// A request by an admin.
pub(crate) fn admin(method: &str, path: &str) -> Ask {
    by("ada", "admin", method, path)
}

/// The same request by the admin of another tenant or env.
pub(crate) fn foreign(ask: Ask, tenant: &str, env: &str) -> Ask {
    let claims = json!({ "tenant_ids": [tenant], "role_map": { tenant: "owner" } });
    let token = sign(&altered(claims_of("ada", "owner"), claims));
    ask.with("authorization", &format!("Bearer {token}")).with("x-tenant-id", tenant).with("x-env", env)
}

/// Claims of a token that was just made and has an id.
pub(crate) fn claims_of(sub: &str, role: &str) -> Value {
    altered(claims(sub, role), json!({ "iat": now(), "jti": format!("jti-of-{sub}") }))
}

/// A request with such claims.
pub(crate) fn with(ask: Ask, claims: &Value) -> Ask {
    ask.with("authorization", &format!("Bearer {}", sign(claims)))
}

/// Orders something of somebody.
#[track_caller]
pub(crate) fn put(addr: SocketAddr, sub: &str, body: &Value) -> Value {
    by("olga", "owner", "PUT", &format!("/v1/principals/{sub}")).json(body).send(addr).ok(200)
}

/// Revokes something.
#[track_caller]
pub(crate) fn revoke(addr: SocketAddr, body: &Value) -> Value {
    admin("POST", "/v1/revocations").json(body).send(addr).ok(201)
}

/// Replaces what is switched off, as an owner.
#[track_caller]
pub(crate) fn switch(addr: SocketAddr, body: &Value) -> Value {
    by("olga", "owner", "PUT", "/v1/kill-switch").json(body).send(addr).ok(200)
}

/// Of a refusal because of the kill switch: what it names.
#[track_caller]
pub(crate) fn blocked(answer: &Answer, member: &str) -> Value {
    assert_eq!(answer.refusal_with(&[member]), (403, "kill_switch.blocked".to_owned()), "{}", answer.text());
    answer.json()[member].clone()
}

/// Makes a key: its id and its token.
#[track_caller]
pub(crate) fn key(addr: SocketAddr, more: Value) -> (String, String) {
    let body = altered(json!({ "name": "bot", "actor_type": "agent", "role": "member" }), more);
    let made = admin("POST", "/v1/keys").json(body).send(addr).ok(201);
    (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
}

/// A request with a service key, which says no tenant and no env.
pub(crate) fn keyed(token: &str, method: &str, path: &str) -> Ask {
    Ask::new(method, path).with("authorization", &format!("Bearer {token}"))
}

/// Status and code of a refusal.
#[track_caller]
pub(crate) fn refused(answer: &Answer) -> (u16, String) {
    let more: &[&str] = if answer.json().get("permission").is_some() { &["permission"] } else { &[] };
    answer.refusal_with(more)
}
