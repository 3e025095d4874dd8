//! Heads of requests: what one says about itself is read the same by everybody, and its token prints nowhere.

use std::collections::HashSet;

use serde_json::Value;
use tambour::identity::context::{Incoming, REQUEST_ID_BYTES_MAX, RequestContext, RequestIds, Tier, TokenPlace};
use tambour::identity::source::HeaderSource;
use tambour::identity::web_origin;
use tambour_actors::refusal::Code;

use crate::claims::{NOW, SETTINGS, VERIFIER, signed};
use crate::harness::{self, Target, head, within};

/// Headers as bytes: their names in lower case, their values without line breaks, as an HTTP parser leaves them.
struct Headers<'a>(Vec<(String, &'a [u8])>);

impl HeaderSource for Headers<'_> {
    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| *value)
    }
}

impl<'a> Headers<'a> {
    fn read(lines: &'a [u8]) -> Self {
        let pair = |line: &'a [u8]| {
            let at = line.iter().position(|byte| *byte == b':')?;
            Some((String::from_utf8_lossy(&line[..at]).to_lowercase(), line[at + 1..].trim_ascii()))
        };
        Self(lines.split(|byte| matches!(byte, b'\n' | b'\r' | 0)).filter_map(pair).collect())
    }
}

/// The first line is the method and the query, the others are headers.
fn any_head(input: &[u8]) -> String {
    let (first, lines) = head(input);
    let first = String::from_utf8_lossy(first);
    let (method, query) = first.split_once(' ').unwrap_or((&first, ""));
    let headers = Headers::read(lines);
    let incoming =
        Incoming { is_get: method == "GET", query, headers: &headers, allow_jwt_in_query: method.ends_with('!') };
    let ids = RequestIds::read(&headers);
    for id in [&ids.request_id, &ids.trace_id] {
        assert!((1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    let read = within(4 * input.len() + 4 * 1024, || RequestContext::read(ids, &incoming));
    let _ = web_origin::check(&headers, &SETTINGS.http.allowed_origins);
    let context = match read {
        Ok(context) => context,
        Err(refusal) => {
            assert_eq!(refusal.code, Code::RequestMalformed);
            return refusal.detail.chars().take(24).collect();
        }
    };
    assert_eq!(context.is_stream, incoming.asks_for_stream(), "a stream is told from the head alone");
    assert!(incoming.is_get || !(context.is_stream || context.takes_socket || context.is_upgrade));
    let mut said = format!("{} {}", context.is_stream, context.is_upgrade);
    match context.token() {
        Ok(token) => {
            let text = token.text.expose();
            // A short one may be anywhere by chance.
            let lonely =
                text.len() > 16 && input.windows(text.len()).filter(|part| *part == text.as_bytes()).count() == 1;
            assert!(!lonely || !format!("{context:?}").contains(text), "{context:?}");
            if token.place == TokenPlace::Query {
                assert!(context.is_stream && (incoming.allow_jwt_in_query || Tier::of(text) == Tier::Stream));
                assert_eq!(headers.values("authorization").count(), 0, "the header wins");
            }
            said.push_str(&format!(" {:?} {:?}", token.place, Tier::of(text)));
        }
        Err(refusal) => said.push_str(&format!(" {:?}", refusal.code)),
    }
    match context.scope_given.scope() {
        Ok(scope) => {
            let one = |name: &str| headers.values(name).map(<[u8]>::to_vec).collect::<HashSet<_>>();
            let agrees = context.scope_given.agrees_with(&scope).is_ok();
            assert!(agrees || !incoming.query.is_empty(), "headers alone agree with themselves");
            assert!(one("x-tenant-id").len() <= 1 && one("x-env").len() <= 1);
            said.push_str(&format!(" scope {agrees}"));
        }
        Err(refusal) => said.push_str(&format!(" {:?}", refusal.code)),
    }
    check_origin(&context);
    said
}

/// What a request says travels in its events: it stays inside of its members.
fn check_origin(context: &RequestContext) {
    let claims = format!(r#"{{"sub":"a\"b","exp":{},"tenant_ids":["t_demo"],"role_map":"member"}}"#, NOW + 60);
    let claims = VERIFIER.verify(&signed(br#"{"alg":"HS256"}"#, claims.as_bytes()), NOW * 1_000).unwrap();
    let scope = tambour::identity::context::parse_scope("t_demo", "dev").unwrap();
    let origin = context.origin(&claims.principal(&scope, &SETTINGS.roles).unwrap());
    for members in [&origin.routing, &origin.meta] {
        let json = [b"{", &members[..], b"}"].concat();
        assert!(!json.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        let value: Value = serde_json::from_slice(&json).expect("members are JSON");
        assert!(value.as_object().unwrap().values().all(Value::is_string));
    }
    assert_eq!(origin.actor(), br#""a\"b""#);
}

#[test]
fn heads() {
    let words: &[&[u8]] = &[
        b"GET ",
        b"POST ",
        b"GET! ",
        b"token=tst_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        b"&token=a.b.c",
        b"&tenant_id=t_demo&env=dev",
        b"&wait=1",
        b"&wait=00",
        b"%77ait=5",
        b"%",
        b"%00",
        b"%c3%a9",
        b"+",
        b"\nAccept: text/event-stream",
        b";q=0",
        b"\nUpgrade: websocket",
        b"\nAuthorization: Bearer aaaaaaaaaaaaaaaaaaaaaaaaa.b.c",
        b"\nSec-WebSocket-Protocol: tambour.v1, bearer.x",
        b"\nX-Tenant-Id: t_demo",
        b"\nX-Env: stage",
        b"\nX-Run-Id: r",
        b"\nX-Request-Id: id",
        b"\nX-Act-As: bob",
        b"\nOrigin: https://evil.example",
        b"\nHost: hub",
        b"\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"\"",
        b"\\",
        b"\xff",
    ];
    harness::run(&Target { name: "heads", words, bytes_max: 8 * 1024, check: any_head });
}
