//! The token, case by case: one token and one set of settings in, the principal or the refusal out.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use proptest::prelude::*;
use serde_json::{Value, json};
use tambour_actors::refusal::Code;
use tambour_actors::topic_key::{Env, Scope, Tenant};

use super::jwt::{Claims, JwtVerifier, TOKEN_BYTES_MAX};
use crate::config::Settings;
use crate::config::layers::Layers;

pub(super) const SECRET: &str = "a secret for tests, 32 bytes long";
/// The clock of every case, in seconds since 1970.
pub(super) const NOW: i64 = 1_800_000_000;

pub(super) fn settings(values: &[(&str, &str)]) -> Settings {
    let mut layers = Layers::default();
    for (name, value) in values {
        layers.flag("--test", name, *value);
    }
    Settings::resolve(&layers).unwrap()
}

pub(super) fn verifier(values: &[(&str, &str)]) -> JwtVerifier {
    let secret = [("auth.secret", SECRET)];
    JwtVerifier::from_settings(&settings(&[&secret, values].concat())).unwrap()
}

/// Claims of a good token, with some replaced; `"-"` takes one out.
pub(super) fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "sub": "alice", "exp": NOW + 60, "tenant_ids": ["t_demo", "t_other"],
        "role_map": {"t_demo": "member", "t_two": "owner"},
    });
    for (name, value) in changes.as_object().unwrap() {
        if value == "-" {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

pub(super) fn sign(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

pub(super) fn token(changes: &Value) -> String {
    sign(r#"{"alg":"HS256","typ":"JWT"}"#, &claims(changes).to_string())
}

/// A token, verified with settings, gives claims or the code and words of a refusal that repeats
/// nothing of the token.
#[track_caller]
fn check_token(values: &[(&str, &str)], token: &str, expected: Result<(), (Code, &str)>) -> Option<Claims> {
    match (verifier(values).verify(token, NOW * 1_000), expected) {
        (Ok(claims), Ok(())) => Some(claims),
        (Err(refusal), Err((code, words))) => {
            assert_eq!(refusal.code, code, "{token}: {refusal}");
            assert!(refusal.detail.contains(words), "{token}: {refusal} does not say {words:?}");
            None
        }
        (got, expected) => panic!("{token} with {values:?} gave {got:?}, expected {expected:?}"),
    }
}

#[track_caller]
fn check(values: &[(&str, &str)], changes: &Value, expected: Result<(), (Code, &str)>) -> Option<Claims> {
    check_token(values, &token(changes), expected)
}

/// A refusal that names the claim.
fn bad(words: &str) -> Result<(), (Code, &str)> {
    Err((Code::TokenInvalid, words))
}

const EXPIRED: Result<(), (Code, &str)> = Err((Code::TokenExpired, "expired"));

#[test]
fn dates_and_the_leeway() {
    for good in [json!(NOW + 1), json!(NOW), json!(NOW - 29), json!(NOW as f64 + 0.5), json!(253_402_300_799_i64)] {
        check(&[], &json!({"exp": good}), Ok(()));
    }
    for gone in [json!(NOW - 30), json!(NOW - 31), json!(0), json!(-1), json!(NOW as f64 - 30.5), json!(-1e300)] {
        check(&[], &json!({"exp": gone}), EXPIRED);
    }
    let at_now = NOW.to_string();
    for wrong in [json!(null), json!(at_now), json!(true), json!(""), json!(1e300), json!(253_402_300_800_i64)] {
        check(&[], &json!({"exp": wrong}), bad("exp"));
        check(&[], &json!({"nbf": wrong}), bad("nbf"));
        check(&[], &json!({"iat": wrong}), bad("iat"));
    }
    for wrong in [json!([NOW]), json!({}), json!({"x": NOW})] {
        check(&[], &json!({"exp": wrong}), bad(""));
        check(&[], &json!({"nbf": wrong}), bad(""));
        check(&[], &json!({"iat": wrong}), bad("iat"));
    }
    check(&[], &json!({"exp": "-"}), bad("exp is missing"));
    for good in [json!(NOW), json!(NOW + 30), json!(0), json!(NOW as f64 + 29.9)] {
        check(&[], &json!({"nbf": good}), Ok(()));
    }
    for early in [json!(NOW + 31), json!(NOW as f64 + 30.5), json!(NOW + 100_000)] {
        check(&[], &json!({"nbf": early}), bad("nbf"));
    }
    let strict = [("auth.leeway_seconds", "0")];
    check(&strict, &json!({"exp": NOW + 1}), Ok(()));
    check(&strict, &json!({"exp": NOW}), EXPIRED);
    check(&strict, &json!({"nbf": NOW}), Ok(()));
    check(&strict, &json!({"nbf": NOW + 1}), bad("nbf"));
    for raw in ["1e999", "-", "NaN", "Infinity", "0x10", "1 2"] {
        let text = claims(&json!({})).to_string().replace(&(NOW + 60).to_string(), raw);
        check_token(&[], &sign(r#"{"alg":"HS256"}"#, &text), bad(""));
    }
}

#[test]
fn sessions_end_at_exp_or_with_the_leeway() {
    let ends = |exp: i64| check(&[], &json!({"exp": exp}), Ok(())).unwrap().expires_at_ms;
    assert_eq!(ends(NOW + 60), (NOW + 60) * 1_000);
    assert_eq!(ends(NOW + 1), (NOW + 1) * 1_000);
    assert_eq!(ends(NOW), (NOW + 30) * 1_000);
    assert_eq!(ends(NOW - 29), (NOW + 1) * 1_000);
}

#[test]
fn subjects_and_texts() {
    for good in ["a", "alice@example.org", "auth0|5", "日本", "a b", &"x".repeat(256)] {
        assert_eq!(*check(&[], &json!({"sub": good}), Ok(())).unwrap().sub, *good);
    }
    let wrong = [json!(""), json!("x".repeat(257)), json!("a\n"), json!("\u{0}"), json!("a\u{85}"), json!("\u{7f}")];
    for sub in wrong.into_iter().chain([json!(7), json!(null), json!("-")]) {
        check(&[], &json!({"sub": sub}), bad("sub"));
    }
    for sub in [json!(["a"]), json!({}), json!({"alice": 1})] {
        check(&[], &json!({"sub": sub}), bad(""));
    }
    for name in ["email", "jti"] {
        for good in [json!("x"), json!(null), json!("-")] {
            check(&[], &json!({name: good}), Ok(()));
        }
        for wrong in [json!(1), json!(true), json!([]), json!({})] {
            check(&[], &json!({name: wrong}), bad(name));
        }
    }
}

#[test]
fn issuers_and_audiences() {
    let issuer = [("auth.issuer", "https://issuer")];
    check(&[], &json!({"iss": "anybody"}), Ok(()));
    check(&issuer, &json!({"iss": "https://issuer"}), Ok(()));
    for wrong in [json!("https://other"), json!(""), json!("https://issuer/"), json!("HTTPS://ISSUER")] {
        check(&issuer, &json!({"iss": wrong}), bad("iss"));
    }
    for wrong in [json!("-"), json!(null), json!(1), json!(["https://issuer"]), json!({"x": 1}), json!([])] {
        check(&issuer, &json!({"iss": wrong}), bad(""));
    }
    let audience = [("auth.audience", "tambour")];
    for good in [json!("tambour"), json!(["tambour"]), json!(["other", "tambour"])] {
        check(&audience, &json!({"aud": good}), Ok(()));
        check(&[], &json!({"aud": good}), bad("aud"));
    }
    for wrong in [json!("other"), json!([]), json!(["other"]), json!(""), json!("tambour2"), json!("Tambour")] {
        check(&audience, &json!({"aud": wrong}), bad("aud"));
    }
    for wrong in [json!("-"), json!(null), json!(1), json!({"tambour": 1}), json!([1])] {
        check(&audience, &json!({"aud": wrong}), bad(""));
    }
}

#[test]
fn forms() {
    let wrong_lists = [json!("-"), json!(null), json!(7), json!({}), json!([1]), json!(["t_demo", null])];
    for wrong in wrong_lists {
        check(&[], &json!({"tenant_ids": wrong}), bad("tenant_ids"));
    }
    for wrong in [json!("-"), json!(null), json!(7), json!([1]), json!({"t_demo": 1}), json!({"t_demo": null})] {
        check(&[], &json!({"role_map": wrong}), bad("role_map"));
    }
    for wrong in [json!(null), json!(7), json!({}), json!([1]), json!(["dev", null])] {
        check(&[], &json!({"envs": wrong}), bad("envs"));
    }
    check(&[("auth.envs_claim_required", "true")], &json!({}), bad("envs is missing"));
    check(&[("auth.envs_claim_required", "true")], &json!({"envs": []}), Ok(()));
    let twice = |name: &str, value: &str| {
        let text = claims(&json!({})).to_string().replacen('{', &format!("{{\"{name}\":{value},"), 1);
        check_token(&[], &sign(r#"{"alg":"HS256"}"#, &text), bad("JSON"));
    };
    twice("exp", "99999999999");
    twice("sub", "\"mallory\"");
    twice("tenant_ids", "[]");
    twice("role_map", "{\"t_demo\":\"owner\"}");
}

#[test]
fn tokens_that_are_none() {
    let good = token(&json!({}));
    check_token(&[], &good, Ok(()));
    let parts: Vec<&str> = good.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let none = |header: &str| format!("{}.{body}.", URL_SAFE_NO_PAD.encode(header));
    for wrong in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        " ".into(),
        "a.b.c".into(),
        "Bearer x".into(),
        good.to_uppercase(),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        format!("{good}="),
        format!("{good}."),
        format!("{good}.x"),
        format!("{head}.{body}"),
        format!("{head}.{body}."),
        format!("{head}..{signature}"),
        format!(".{body}.{signature}"),
        format!("{head}.{body}.{}", &signature[1..]),
        format!("{head}.{body}.{}", signature.chars().rev().collect::<String>()),
        format!("{body}.{head}.{signature}"),
        none(r#"{"alg":"none"}"#),
        none(r#"{"alg":"None"}"#),
        none(r#"{"alg":"HS256"}"#),
        none("{}"),
        "日本.日本.日本".into(),
        "\0.\0.\0".into(),
    ] {
        check_token(&[], &wrong, bad(""));
    }
    for header in [
        r#"{"alg":"HS384"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"none"}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256""#,
        "[]",
        "",
        "null",
    ] {
        check_token(&[], &sign(header, &claims(&json!({})).to_string()), bad(""));
    }
    // A header may name keys and places to find them; they are not used.
    for header in [r#"{"alg":"HS256","kid":"x","jku":"http://127.0.0.1:1/"}"#, r#"{"typ":"at+jwt","alg":"HS256"}"#] {
        check_token(&[], &sign(header, &claims(&json!({})).to_string()), Ok(()));
    }
    for body in ["", "null", "[]", "1", "\"x\"", "{", "{}", "{\"exp\":1}", &"[".repeat(3_000)] {
        check_token(&[], &sign(r#"{"alg":"HS256"}"#, body), bad(""));
    }
}

#[test]
fn every_bit_of_a_token_counts() {
    let good = token(&json!({}));
    let verifier = verifier(&[]);
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(verifier.verify(&changed, NOW * 1_000).is_err(), "byte {at} can be changed");
    }
}

#[test]
fn a_refusal_repeats_nothing_of_the_token() {
    let marked = token(&json!({"sub": ["MARKER"], "role_map": "MARKER", "iss": "MARKER", "exp": "MARKER"}));
    for text in [marked.as_str(), "MARKER.MARKER.MARKER", "MARKER"] {
        let refusal = verifier(&[]).verify(text, NOW * 1_000).unwrap_err();
        assert!(!refusal.to_string().contains("MARKER"), "{refusal}");
    }
}

#[test]
fn the_size_is_checked_before_anything_else() {
    check_token(&[], &"x".repeat(TOKEN_BYTES_MAX), bad("three parts"));
    check_token(&[], &"x".repeat(TOKEN_BYTES_MAX + 1), bad("8 KiB"));
    check(&[], &json!({"pad": "x".repeat(TOKEN_BYTES_MAX)}), bad("8 KiB"));
    check(&[], &json!({"pad": "x".repeat(5_000)}), Ok(()));
}

#[test]
fn principals() {
    let role = |settings: &[(&str, &str)], changes: Value, tenant: &str, env: Env| {
        let claims = check(settings, &changes, Ok(())).unwrap();
        let scope = Scope { tenant: Tenant::parse(tenant).unwrap(), env };
        let principal = claims.principal(&scope, &Settings::default().roles);
        principal.map(|p| p.role.as_str()).map_err(|r| (r.code, r.detail))
    };
    let refused = || Err((Code::TenantMismatch, "this token is not good for this tenant and env".into()));
    for name in ["owner", "admin", "member", "viewer"] {
        assert_eq!(role(&[], json!({"role_map": {"t_demo": name}}), "t_demo", Env::Dev), Ok(name));
    }
    assert_eq!(role(&[], json!({}), "t_other", Env::Dev), refused(), "a tenant without a role");
    assert_eq!(role(&[], json!({}), "t_two", Env::Dev), refused(), "a role without the tenant");
    assert_eq!(role(&[], json!({}), "t_third", Env::Dev), refused());
    assert_eq!(role(&[], json!({"tenant_ids": []}), "t_demo", Env::Dev), refused());
    for wrong in ["", "Member", "root", "system", " member"] {
        assert_eq!(role(&[], json!({"role_map": {"t_demo": wrong}}), "t_demo", Env::Dev), refused(), "{wrong}");
    }
    // Key says, claim says: both must be content.
    for (key, claim, good) in [
        ("", json!("-"), "dev staging prod"),
        ("dev", json!("-"), "dev"),
        ("dev,staging", json!("-"), "dev staging"),
        ("", json!(["prod"]), "prod"),
        ("", json!(["stage"]), "staging"),
        ("dev,prod", json!(["prod", "staging"]), "prod"),
        ("dev", json!(["prod"]), ""),
        ("", json!([]), ""),
        ("", json!(["Dev", "production", "*", ""]), ""),
    ] {
        for env in [Env::Dev, Env::Staging, Env::Prod] {
            let got = role(&[("auth.envs", key)], json!({"envs": claim}), "t_demo", env);
            assert_eq!(got.is_ok(), good.split(' ').any(|name| name == env.as_str()), "{key} {claim} {env}");
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("\\PC{0,4}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_panics_or_passes(text in "\\PC{0,200}", now in any::<i64>()) {
        prop_assert!(verifier(&[]).verify(&text, now).is_err());
    }

    #[test]
    fn no_bytes_panic_or_pass(header in any::<Vec<u8>>(), body in any::<Vec<u8>>(), signature in any::<Vec<u8>>()) {
        let part = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        let text = format!("{}.{}.{}", part(header), part(body), part(signature));
        prop_assert!(verifier(&[]).verify(&text, NOW * 1_000).is_err());
    }

    #[test]
    fn no_claim_panics(name in prop::sample::select(vec!["sub", "exp", "nbf", "iat", "iss", "aud", "tenant_ids", "role_map", "permissions", "envs", "email", "jti"]),
                       value in any_json(), now in any::<i64>()) {
        let both = verifier(&[("auth.issuer", "i"), ("auth.audience", "a")]);
        let signed = token(&json!({name: value}));
        for verifier in [both, verifier(&[])] {
            if let Ok(claims) = verifier.verify(&signed, now) {
                let scope = Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev };
                let _ = claims.principal(&scope, &Settings::default().roles);
            }
        }
    }
}
