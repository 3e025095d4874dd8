//! What a request says about itself, case by case.

use std::sync::Arc;

use proptest::prelude::*;
use tambour_actors::principal::{ActorType, Granted, Permissions, Principal, Proof, Role};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic_key::{Env, Scope, Tenant};

use super::context::{Incoming, RequestContext, RequestIds, TokenPlace, parse_scope};

type Headers<'a> = &'a [(&'a str, &'a str)];
const SSE: (&str, &str) = ("accept", "text/event-stream");
const UPGRADE: (&str, &str) = ("upgrade", "websocket");

fn read(allow_jwt_in_query: bool, headers: Headers<'_>, query: &str) -> Result<RequestContext, Refusal> {
    let ids = RequestIds { request_id: "r1".into(), trace_id: "t1".into() };
    RequestContext::read(ids, &Incoming { is_get: true, query, headers, allow_jwt_in_query })
}

/// The token that a request gives, or the code it is refused with.
#[track_caller]
fn check_token(allow: bool, headers: Headers<'_>, query: &str, expected: Result<(&str, TokenPlace), Code>) {
    let context = read(allow, headers, query);
    let got = context.as_ref().map_err(|refusal| refusal.code).and_then(|context| match context.token() {
        Ok(token) => Ok((token.text.expose(), token.place)),
        Err(refusal) => Err(refusal.code),
    });
    assert_eq!(got, expected, "{headers:?} ?{query}");
    assert!(!format!("{context:?}").contains("secret.token"), "{context:?}");
}

#[test]
fn tokens() {
    use TokenPlace::{Header, Query, Subprotocol};
    const T: &str = "secret.token.x";
    let bearer = ("authorization", "Bearer secret.token.x");
    let protocol = ("sec-websocket-protocol", "tambour.v1, bearer.secret.token.x");
    check_token(false, &[], "", Err(Code::TokenMissing));
    check_token(false, &[bearer], "", Ok((T, Header)));
    check_token(false, &[("authorization", "bEARER   secret.token.x ")], "", Ok((T, Header)));
    for wrong in ["", "Bearer", "Bearer ", "Basic secret.token.x", "secret.token.x", "Bearersecret.token.x"] {
        check_token(true, &[("authorization", wrong), SSE], "token=a", Err(Code::TokenInvalid));
    }
    check_token(false, &[bearer, bearer], "", Err(Code::RequestMalformed));
    check_token(false, &[UPGRADE, protocol], "", Ok((T, Subprotocol)));
    check_token(false, &[protocol], "", Err(Code::TokenMissing));
    check_token(false, &[UPGRADE, ("sec-websocket-protocol", "tambour.v1")], "", Err(Code::TokenMissing));
    check_token(false, &[UPGRADE, ("sec-websocket-protocol", "tambour.v1"), protocol], "", Ok((T, Subprotocol)));
    check_token(false, &[UPGRADE, protocol, protocol], "", Err(Code::RequestMalformed));
    check_token(false, &[UPGRADE, protocol, ("authorization", "Bearer other")], "", Ok(("other", Header)));
    check_token(false, &[SSE], "token=secret.token.x", Err(Code::TokenMissing));
    check_token(true, &[SSE], "token=secret.token.x", Ok((T, Query)));
    check_token(true, &[UPGRADE], "token=secret.token.x", Ok((T, Query)));
    check_token(true, &[], "wait=5&token=secret.token.x", Ok((T, Query)));
    check_token(true, &[], "wait=0&token=secret.token.x", Err(Code::TokenMissing));
    check_token(true, &[], "token=secret.token.x", Err(Code::TokenMissing));
    check_token(true, &[SSE], "x=1&token=secret%2Etoken.x&after=", Ok((T, Query)));
    check_token(true, &[SSE, bearer], "token=other", Ok((T, Header)));
    check_token(true, &[UPGRADE, protocol], "token=other", Ok((T, Subprotocol)));
    check_token(true, &[SSE], "token=a&token=a", Err(Code::RequestMalformed));
    check_token(true, &[SSE], "token=%zz", Err(Code::RequestMalformed));
    check_token(true, &[SSE], "%", Err(Code::RequestMalformed));
    check_token(true, &[SSE], "token=%ff", Err(Code::RequestMalformed));
}

#[test]
fn a_post_is_never_a_stream() {
    let ids = RequestIds::read(&[][..]);
    let headers: Headers<'_> = &[SSE, UPGRADE];
    let incoming = Incoming { is_get: false, query: "token=a&wait=1", headers, allow_jwt_in_query: true };
    let context = RequestContext::read(ids, &incoming).unwrap();
    assert!(!context.is_stream && !context.is_upgrade);
    assert_eq!(context.token().unwrap_err().code, Code::TokenMissing);
}

#[test]
fn streams() {
    let stream = |headers: Headers<'_>, query: &str| read(false, headers, query).unwrap().is_stream;
    for accept in [
        "text/event-stream",
        "TEXT/event-stream",
        "application/json, text/event-stream;q=0.5",
        "text/event-stream; charset=utf-8",
    ] {
        assert!(stream(&[("accept", accept)], ""), "{accept}");
    }
    for accept in [
        "*/*",
        "text/*",
        "",
        "application/json",
        "text/event-stream;q=0",
        "text/event-stream; q=0.0",
        "text/event-streams",
    ] {
        assert!(!stream(&[("accept", accept)], ""), "{accept}");
    }
    assert!(stream(&[("upgrade", "WebSocket")], "") && stream(&[("upgrade", "h2c, websocket")], ""));
    assert!(!stream(&[("upgrade", "h2c")], ""));
    assert!(stream(&[], "wait=1") && stream(&[], "a&wait=x") && !stream(&[], "wait=") && !stream(&[], "wait=00"));
    let offers =
        |value: &str| read(false, &[UPGRADE, ("sec-websocket-protocol", value)], "").unwrap().offers_subprotocol;
    assert!(offers("tambour.v1") && offers("a, tambour.v1,bearer.x") && !offers("tambour.v2") && !offers(""));
}

/// The scope that a request asks for and agrees with, or the code of the refusal.
#[track_caller]
fn check_scope(allow: bool, headers: Headers<'_>, query: &str, expected: Result<(&str, Env), Code>) {
    let scope = read(allow, headers, query).and_then(|context| {
        let scope = context.scope_given.scope()?;
        context.scope_given.agrees_with(&scope).map(|()| scope)
    });
    let got = scope.as_ref().map(|scope| (scope.tenant.as_str(), scope.env)).map_err(|refusal| refusal.code);
    assert_eq!(got, expected, "{headers:?} ?{query}");
}

#[test]
fn scopes() {
    let tenant = ("x-tenant-id", "t_demo");
    let env = ("x-env", "dev");
    let good = Ok(("t_demo", Env::Dev));
    check_scope(false, &[tenant, env], "", good);
    check_scope(false, &[tenant, ("x-env", "stage")], "", Ok(("t_demo", Env::Staging)));
    for missing in [&[][..], &[tenant], &[env]] {
        check_scope(false, missing, "", Err(Code::ContextMissing));
        let stream = [missing, &[SSE]].concat();
        check_scope(false, &stream, "", Err(Code::StreamContextMissing));
        check_scope(false, &stream, "tenant_id=t_demo&env=dev", Err(Code::StreamContextMissing));
        check_scope(true, &stream, "tenant_id=t_demo&env=dev", good);
        check_scope(true, missing, "tenant_id=t_demo&env=dev", Err(Code::ContextMissing));
    }
    for wrong in ["", "demo", "t_", "t_Demo", "t_unknown", "t_a b", "t_é"] {
        check_scope(false, &[("x-tenant-id", wrong), env], "", Err(Code::ContextMalformed));
        check_scope(true, &[SSE], &format!("tenant_id={wrong}&env=dev"), Err(Code::ContextMalformed));
    }
    for wrong in ["", "Dev", "production", "*"] {
        check_scope(false, &[tenant, ("x-env", wrong)], "", Err(Code::ContextMalformed));
    }
    // Said twice: it must agree, honoured or not.
    for allow in [false, true] {
        for extra in [&[][..], &[SSE]] {
            let headers = [&[tenant, env], extra].concat();
            check_scope(allow, &headers, "tenant_id=t_demo&env=dev", good);
            for query in
                ["tenant_id=t_other", "env=prod", "tenant_id=t_other&env=dev", "tenant_id=", "env=Dev", "tenant_id=x"]
            {
                check_scope(allow, &headers, query, Err(Code::ContextMismatch));
            }
        }
    }
    check_scope(false, &[tenant, ("x-env", "staging")], "env=stage", Ok(("t_demo", Env::Staging)));
    check_scope(false, &[tenant, tenant, env], "", Err(Code::RequestMalformed));
    check_scope(false, &[tenant, env, env], "", Err(Code::RequestMalformed));
    check_scope(true, &[SSE], "tenant_id=t_demo&tenant_id=t_demo&env=dev", Err(Code::RequestMalformed));
    check_scope(true, &[SSE], "tenant_id=t_demo&env=dev&%65nv=prod", Err(Code::RequestMalformed));
}

#[test]
fn whether_a_scope_is_given() {
    let given = |allow, headers: Headers<'_>, query: &str| read(allow, headers, query).unwrap().scope_given.is_given();
    assert!(given(false, &[("x-env", "dev")], "") && given(true, &[SSE], "env=dev"));
    assert!(!given(false, &[SSE], "env=dev") && !given(true, &[SSE], "a=b"));
    assert_eq!(parse_scope("t_demo", "nope").unwrap_err().code, Code::ContextMalformed);
}

fn principal(sub: &str) -> Principal {
    Principal {
        sub: Arc::from(sub),
        scope: Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev },
        granted: Granted { role: Role::Member, permissions: Permissions::NONE },
        role: Role::Member,
        actor_type: ActorType::Human,
        read_only: false,
        permissions: Permissions::NONE,
        acts_for: None,
        proof: Proof::Main { jti: None, issued_at_ms: 0 },
        expires_at_ms: 0,
    }
}

#[test]
fn origins() {
    let origin = read(false, &[], "").unwrap().origin(&principal("alice"));
    assert_eq!(origin.routing, r#""actor_id":"alice","actor_type":"human""#);
    assert_eq!(origin.meta, r#""request_id":"r1","trace_id":"t1""#);
    let headers: Headers<'_> = &[
        ("x-step-id", "s"),
        ("x-run-id", "a\"b\\c"),
        ("x-project-id", "p"),
        ("x-app-id", "a"),
        ("x-surface-id", "u"),
        ("x-device-id", "d"),
    ];
    let origin = read(false, headers, "").unwrap().origin(&principal("a\"},\u{2028}é"));
    assert_eq!(
        origin.routing,
        "\"actor_id\":\"a\\\"},\u{2028}é\",\"actor_type\":\"human\",\"project_id\":\"p\",\"app_id\":\"a\",\
         \"surface_id\":\"u\",\"device_id\":\"d\",\"run_id\":\"a\\\"b\\\\c\",\"step_id\":\"s\""
    );
}

#[test]
fn routing_keys() {
    for name in ["x-project-id", "x-app-id", "x-surface-id", "x-device-id", "x-run-id", "x-step-id"] {
        for good in ["a", "~!{}", &"x".repeat(128)] {
            assert!(read(false, &[(name, good)], "").is_ok(), "{name}: {good}");
        }
        for bad in ["", " ", "a b", "é", "a\r\nb", "\0", &"x".repeat(129)] {
            let code = read(false, &[(name, bad)], "").map(|_| ()).map_err(|refusal| refusal.code);
            assert_eq!(code, Err(Code::RequestMalformed), "{name}: {bad:?}");
        }
        let twice = read(false, &[(name, "a"), (name, "a")], "");
        assert_eq!(twice.map(|_| ()).map_err(|refusal| refusal.code), Err(Code::RequestMalformed));
    }
}

const NAMES: [&str; 10] = [
    "authorization",
    "x-tenant-id",
    "x-env",
    "x-run-id",
    "accept",
    "upgrade",
    "sec-websocket-protocol",
    "traceparent",
    "x-request-id",
    "origin",
];

proptest! {
    #[test]
    fn no_request_panics(
        headers in prop::collection::vec((prop::sample::select(NAMES.to_vec()), "\\PC{0,60}"), 0..8),
        query in "\\PC{0,60}",
        allow in any::<bool>(),
        sub in "\\PC{0,20}",
    ) {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let ids = RequestIds::read(&headers[..]);
        let incoming = Incoming { is_get: true, query: &query, headers: &headers[..], allow_jwt_in_query: allow };
        if let Ok(context) = RequestContext::read(ids, &incoming) {
            let _ = context.scope_given.scope();
            let origin = context.origin(&principal(&sub));
            for members in [origin.routing, origin.meta] {
                let text = format!("{{{}}}", std::str::from_utf8(&members).unwrap());
                let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
                prop_assert!(parsed.as_object().unwrap().len() >= 2);
                prop_assert!(!text.contains(['\r', '\n', '\0']));
            }
        }
    }
}
