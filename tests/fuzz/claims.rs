//! Claims: what an issuer signs is read as it says, or refused; nobody gets a tenant, an env or a role that is not in it.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::Value;
use tambour::config::Settings;
use tambour::config::layers::Layers;
use tambour::identity::context::parse_scope;
use tambour::identity::jwt::{JwtVerifier, SUB_BYTES_MAX, TOKEN_BYTES_MAX};
use tambour_actors::refusal::Code;

use crate::harness::{self, Target, within};

const SECRET: &str = "a secret for tests, 32 bytes long";
/// The clock, in seconds since 1970.
pub(crate) const NOW: i64 = 1_800_000_000;
const LEEWAY_SECONDS: f64 = 30.0;

pub(crate) static SETTINGS: LazyLock<Settings> = LazyLock::new(|| {
    let mut layers = Layers::default();
    layers.flag("--test", "auth.secret", SECRET);
    Settings::resolve(&layers).unwrap()
});
pub(crate) static VERIFIER: LazyLock<JwtVerifier> = LazyLock::new(|| JwtVerifier::from_settings(&SETTINGS).unwrap());

/// A token that the hub's issuer signed.
pub(crate) fn signed(header: &[u8], claims: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

/// One text, or a list with it.
fn says(given: &Value, text: &str) -> bool {
    given == text || given.as_array().is_some_and(|list| list.iter().any(|item| item == text))
}

fn any_claims(input: &[u8]) -> String {
    let token = signed(br#"{"alg":"HS256"}"#, input);
    LazyLock::force(&VERIFIER);
    // JSON of one byte a value is a tree of 32 bytes a value, which grows by doubling.
    let verified = within(256 * TOKEN_BYTES_MAX, || VERIFIER.verify(&token, NOW * 1_000));
    let claims = match verified {
        Ok(claims) => claims,
        Err(refusal) => {
            assert!(matches!(refusal.code, Code::TokenInvalid | Code::TokenExpired), "{refusal}");
            return format!("{:?} {}", refusal.code, refusal.detail);
        }
    };
    assert!(token.len() <= TOKEN_BYTES_MAX);
    let said: Value = serde_json::from_slice(input).expect("claims are JSON for everybody");
    assert_eq!(said["sub"], *claims.sub);
    assert!((1..=SUB_BYTES_MAX).contains(&claims.sub.len()) && !claims.sub.chars().any(char::is_control));
    assert!(!claims.sub.starts_with("key:"), "only service keys are called so");
    let exp = said["exp"].as_f64().expect("exp is a number");
    assert!(exp + LEEWAY_SECONDS > NOW as f64, "it has expired");
    assert!(said.get("nbf").is_none_or(|nbf| nbf.as_f64().unwrap() <= NOW as f64 + LEEWAY_SECONDS), "not yet");
    let mut got = String::new();
    for (tenant, env) in [("t_demo", "dev"), ("t_demo", "prod"), ("t_other", "dev")] {
        let Ok(principal) = claims.principal(&parse_scope(tenant, env).unwrap(), &SETTINGS.roles) else { continue };
        assert!(says(&said["tenant_ids"], tenant), "nobody said {tenant}");
        assert!(said.get("envs").is_none_or(|envs| says(envs, env) || (env == "staging" && says(envs, "stage"))));
        let roles = said["role_map"].get(tenant).unwrap_or(&said["role_map"]);
        assert!(says(roles, principal.role.as_str()), "nobody said {:?}", principal.role);
        assert!(principal.expires_at_ms > NOW * 1_000);
        got.push_str(&format!("{tenant} {env} {:?};", principal.role));
    }
    got
}

#[test]
fn claims() {
    let words: &[&[u8]] = &[
        br#""sub":"alice","#,
        br#""exp":1800000060,"#,
        br#""nbf":1800000000,"#,
        br#""iat":1,"#,
        br#""jti":"j","#,
        br#""tenant_ids":["t_demo"],"#,
        br#""tenant_ids":"t_other","#,
        br#""role_map":{"t_demo":"member"},"#,
        br#""role_map":["viewer","owner"],"#,
        br#""envs":["dev","prod"],"#,
        br#""envs":"stage","#,
        br#""permissions":{"t_demo":["keys:write"]},"#,
        br#""permissions":["feed:read"],"#,
        b"key:",
        b"null",
        b"1e300",
        b"-1",
        b"1800000060.5",
        b"[[[[[[[[",
        b"\\u0000",
        b"owner",
        b"t_other",
        b"{}",
        b"\"x\":1,",
    ];
    harness::run(&Target { name: "claims", words, bytes_max: 8 * 1024, check: any_claims });
}
