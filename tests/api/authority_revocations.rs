//! What a revocation reaches, and how long it is kept: no token of a higher role than that of who asked for it, and one token
//! no longer than it would have been good.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::authority::{admin, by, claims_of, revoke, with};
use crate::support::http::{Ask, create};
use crate::support::hub::Running;
use crate::support::process::{Process, own_host};
use crate::support::token::{TENANT, altered};
use crate::support::ws::Ws;

#[test]
fn who_may_revoke_reaches_no_higher_role_than_their_own() {
    let hub = Running::start();
    let addr = hub.addr();
    create(addr, "alice", "x");
    let viewer = altered(claims_of("vic", "viewer"), json!({ "permissions": { TENANT: ["principals:write"] } }));
    let revoke_by = |ask: Ask, jti: &str| ask.json(json!({ "jti": jti })).send(addr).ok(201);
    let by_viewer = || with(Ask::by("vic", "POST", "/v1/revocations"), &viewer);
    let mut live = ["owner", "admin", "member", "viewer"].map(|role| {
        let claims = claims_of(role, role);
        let mut ws = Ws::open(addr, &with(Ask::by("", "GET", "/v1/ws"), &claims));
        ws.expect("welcome");
        (role, claims, ws)
    });
    for (role, ..) in &live {
        revoke_by(by_viewer(), &format!("jti-of-{role}"));
    }
    let status = |claims: &Value| with(Ask::by("", "GET", "/v1/threads"), claims).send(addr).status;
    assert_eq!(live.each_ref().map(|(_, claims, _)| status(claims)), [200, 200, 200, 401]);
    for (role, _, ws) in &mut live[..3] {
        ws.send(&json!({ "t": "ping" }));
        assert_eq!(ws.expect("pong")["t"], "pong", "{role}");
    }
    assert_eq!((live[3].2.error(), live[3].2.closed()), ("auth.token_revoked".to_owned(), 4401));
    // The same id by an admin, and by an owner.
    revoke_by(admin("POST", "/v1/revocations"), "jti-of-owner");
    revoke_by(admin("POST", "/v1/revocations"), "jti-of-admin");
    assert_eq!(live.each_ref().map(|(_, claims, _)| status(claims)), [200, 401, 200, 401]);
    revoke_by(by("oona", "owner", "POST", "/v1/revocations"), "jti-of-owner");
    assert_eq!(status(&live[0].1), 401);
}

#[test]
fn a_revocation_may_say_how_long_it_is_needed() {
    let dir = TempDir::new().unwrap();
    let mut hub = Process::start(dir.path(), &format!("{}:0", own_host()), &[]);
    let addr = hub.addr;
    let told = revoke(addr, &json!({ "jti": "jti-of-bob", "expires_at": "2099-01-01T01:00:00+01:00" }));
    assert_eq!((&told["jti"], &told["expires_at"]), (&json!("jti-of-bob"), &json!("2099-01-01T00:00:00.000Z")));
    assert!(revoke(addr, &json!({ "jti": "for-ever" })).get("expires_at").is_none());
    for bad in [
        json!({ "jti": "past", "expires_at": "2020-01-01T00:00:00Z" }),
        json!({ "jti": "none", "expires_at": "tomorrow" }),
        json!({ "jti": "null", "expires_at": null }),
        json!({ "sub": "bob", "expires_at": "2099-01-01T00:00:00Z" }),
    ] {
        let refused = admin("POST", "/v1/revocations").json(&bad).send(addr).refusal();
        assert_eq!(refused, (400, "body.invalid".to_owned()), "{bad}");
    }
    let refused = || with(Ask::by("bob", "GET", "/v1/threads"), &claims_of("bob", "member")).send(addr).refusal();
    assert_eq!(refused(), (401, "auth.token_revoked".to_owned()));
    hub.kill();
    let _hub = Process::start(dir.path(), &addr.to_string(), &[]);
    assert_eq!(refused(), (401, "auth.token_revoked".to_owned()), "it is kept");
}
