//! Several issuers, JWKS files, and the tricks with algorithms and key names.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use proptest::prelude::*;
use serde_json::{Value, json};
use tambour_actors::refusal::Code;
use tambour_actors::topic_key::{Env, Scope, Tenant};

use super::jwt::{JwtVerifier, KeyError};
use super::jwt_tests::{NOW, SECRET, claims, settings};
use super::key_set::KeySet;
use crate::config::Settings;
use crate::config::value::Algorithm as Configured;

fn key_path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/identity/test_keys").join(file)
}

/// The private key of a family.
fn private(algorithm: Algorithm) -> EncodingKey {
    let read = |file: &str| std::fs::read(key_path(file)).unwrap();
    match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(&read("ec256.private.pem")),
        Algorithm::ES384 => EncodingKey::from_ec_pem(&read("ec384.private.pem")),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(&read("ed.private.pem")),
        _ => EncodingKey::from_rsa_pem(&read("rsa.private.pem")),
    }
    .unwrap()
}

/// The public key of it, as an issuer publishes it.
fn jwk(algorithm: Algorithm, kid: &str) -> Value {
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&private(algorithm), algorithm).unwrap()).unwrap();
    jwk["kid"] = kid.into();
    jwk
}

fn signed(algorithm: Algorithm, kid: Option<&str>, changes: &Value) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, &claims(changes), &private(algorithm)).unwrap()
}

fn file(dir: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn with_jwks(algorithm: &str, jwks: &Value) -> Result<JwtVerifier, KeyError> {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "jwks.json", &jwks.to_string());
    let values = [("auth.algorithm", algorithm), ("auth.jwks_file", path.as_str()), ("auth.issuer", "https://i")];
    JwtVerifier::from_settings(&settings(&values))
}

const ALL: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

#[test]
fn a_jwks_of_every_algorithm() {
    let ours = json!({"iss": "https://i"});
    for (name, algorithm) in ALL {
        let verifier = with_jwks(name, &json!({"keys": [jwk(algorithm, "one")]})).unwrap();
        let good = signed(algorithm, Some("one"), &ours);
        assert!(verifier.verify(&good, NOW * 1_000).is_ok(), "{name}");
        assert!(
            verifier.verify(&signed(algorithm, None, &ours), NOW * 1_000).is_ok(),
            "{name}: it can only mean that one"
        );
        for wrong in [
            signed(algorithm, Some("two"), &ours),
            signed(algorithm, Some(""), &ours),
            signed(algorithm, Some("one"), &json!({"iss": "https://j"})),
            signed(algorithm, Some("one"), &json!({})),
            good[..good.len() - 8].to_owned() + "AAAAAAAA",
        ] {
            assert_eq!(verifier.verify(&wrong, NOW * 1_000).unwrap_err().code, Code::TokenInvalid, "{name}");
        }
        // A token of another algorithm of the same key: the one that is configured counts.
        for (other, algorithm) in ALL.into_iter().filter(|(other, _)| *other != name) {
            let token = signed(algorithm, Some("one"), &ours);
            let refused = verifier.verify(&token, NOW * 1_000).unwrap_err();
            assert!(refused.detail.contains("algorithm"), "{other} with {name}: {refused}");
        }
    }
}

#[test]
fn secrets_of_every_algorithm() {
    let families = [("HS256", Algorithm::HS256), ("HS384", Algorithm::HS384), ("HS512", Algorithm::HS512)];
    let sign = |algorithm, secret: &str| {
        jsonwebtoken::encode(&Header::new(algorithm), &claims(&json!({})), &EncodingKey::from_secret(secret.as_bytes()))
            .unwrap()
    };
    for (name, algorithm) in families {
        let made: Vec<u8> = (0..64).map(|_| getrandom::u32().unwrap().to_le_bytes()[0] % 94 + 33).collect();
        let secret = String::from_utf8(made).unwrap();
        let values = [("auth.algorithm", name), ("auth.secret", secret.as_str())];
        let verifier = JwtVerifier::from_settings(&settings(&values)).unwrap();
        assert!(verifier.verify(&sign(algorithm, &secret), NOW * 1_000).is_ok(), "{name}");
        assert!(verifier.verify(&sign(algorithm, SECRET), NOW * 1_000).is_err(), "{name}");
        for (_, other) in families.into_iter().filter(|(other, _)| *other != name) {
            let refused = verifier.verify(&sign(other, &secret), NOW * 1_000).unwrap_err();
            assert!(refused.detail.contains("algorithm"), "{other:?} with {name}: {refused}");
        }
    }
}

#[test]
fn keys_that_are_passed_over() {
    let good = jwk(Algorithm::RS256, "k");
    let with = |changes: Value| {
        let mut key = good.clone();
        key.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        key
    };
    let small =
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiF";
    let algorithm = Configured(Algorithm::RS256);
    let usable = |key: Value| KeySet::parse(json!({"keys": [key]}).to_string().as_bytes(), algorithm, 1).unwrap().len();
    for kept in [
        good.clone(),
        with(json!({"use": "sig"})),
        with(json!({"key_ops": ["verify"]})),
        with(json!({"alg": "RS256", "x5c": ["AA=="], "x5u": "https://evil"})),
    ] {
        assert_eq!(usable(kept.clone()), 1, "{kept}");
    }
    for passed_over in [
        with(json!({"kty": "EC"})),
        with(json!({"kty": "oct", "k": "AAAA"})),
        with(json!({"use": "enc"})),
        with(json!({"key_ops": ["encrypt"]})),
        with(json!({"alg": "RS512"})),
        with(json!({"alg": "HS256"})),
        with(json!({"alg": "none"})),
        with(json!({"d": "AQAB"})),
        with(json!({"n": small})),
        with(json!({"n": "A".repeat(700)})),
        with(json!({"n": "_".repeat(700)})),
        with(json!({"n": "not base64!"})),
        with(json!({"e": ""})),
        with(json!({"e": "AQ"})),
        with(json!({"e": "AAAB"})),
        with(json!({"e": "Ag"})),
        with(json!({"kid": ["k"]})),
        with(json!({"kid": "k".repeat(257)})),
        jwk(Algorithm::ES256, "k"),
        jwk(Algorithm::EdDSA, "k"),
        json!("k"),
        json!(null),
        json!({}),
    ] {
        assert_eq!(usable(passed_over.clone()), 0, "{passed_over}");
    }
    // A key of another curve, under the name of the right one.
    let mut wrong_curve = jwk(Algorithm::ES384, "k");
    wrong_curve["crv"] = "P-256".into();
    wrong_curve["alg"] = "ES256".into();
    let set = json!({"keys": [wrong_curve, jwk(Algorithm::ES256, "k")]}).to_string();
    assert_eq!(KeySet::parse(set.as_bytes(), Configured(Algorithm::ES256), 1).unwrap().len(), 1);
}

#[test]
fn files_that_are_no_jwks() {
    let key = jwk(Algorithm::RS256, "k");
    for (jwks, words) in [
        (json!({"keys": vec![key.clone(); 65]}), "more than 64"),
        (json!({"keys": [], "pad": "x".repeat(256 * 1024)}), "256 KiB"),
        (json!({"keys": []}), "none of its keys"),
        (json!({"keys": [jwk(Algorithm::ES256, "k")]}), "none of its keys"),
        (json!({"keys": {}}), "no list `keys`"),
        (key, "no list `keys`"),
        (json!([]), "no list `keys`"),
    ] {
        let error = with_jwks("RS256", &jwks).unwrap_err().to_string();
        assert!(error.contains(words), "{error} does not say {words}");
    }
    let of = |values: &[(&str, &str)]| JwtVerifier::from_settings(&settings(values)).unwrap_err().to_string();
    assert!(of(&[("auth.algorithm", "RS256"), ("auth.jwks_file", "x")]).contains("needs auth.issuer"));
    assert!(
        of(&[("auth.jwks_file", "x"), ("auth.issuer", "i")]).contains("needs auth.secret_file"),
        "HS256 and a JWKS"
    );
    let url = [("auth.algorithm", "RS256"), ("auth.jwks_url", "http://127.0.0.1:1/"), ("auth.issuer", "i")];
    assert!(of(&[&url[..], &[("production", "true")]].concat()).contains("https://"));
    assert!(of(&[&url[..], &[("auth.jwks_file", "x")]].concat()).contains("both set"));
}

/// A header in front of good claims, signed with the private key however little it says.
fn with_header(header: &Value) -> String {
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    let message = format!("{}.{}", part(header.to_string()), part(claims(&json!({"iss": "https://i"})).to_string()));
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &private(Algorithm::RS256), Algorithm::RS256).unwrap();
    format!("{message}.{signature}")
}

#[test]
fn tricks_with_headers() {
    let two = json!({"keys": [jwk(Algorithm::RS256, "a"), jwk(Algorithm::RS256, "b")]});
    let verifier = with_jwks("RS256", &two).unwrap();
    let verify = |header: &Value| verifier.verify(&with_header(header), NOW * 1_000);
    assert!(verify(&json!({"alg": "RS256", "kid": "b"})).is_ok());
    for kid in [
        json!("../../../../dev/null"),
        json!("/etc/passwd"),
        json!("a' OR '1'='1"),
        json!("a\0"),
        json!("A"),
        json!(" a"),
        json!("x".repeat(4_000)),
        json!(["a"]),
        json!({"a": 1}),
        json!(1),
        json!(true),
        json!(null),
    ] {
        assert_eq!(verify(&json!({"alg": "RS256", "kid": kid})).unwrap_err().code, Code::TokenInvalid, "{kid}");
    }
    assert!(verify(&json!({"alg": "RS256"})).unwrap_err().detail.contains("names no key"));
    // Where a header points to is not gone to, and a key in it is no key: the signature below is of another.
    let mallory = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"});
    for name in ["jku", "x5u", "x5c", "jwk"] {
        let value = match name {
            "jwk" => mallory.clone(),
            "x5c" => json!(["AA=="]),
            _ => json!("http://127.0.0.1:1/"),
        };
        assert!(verify(&json!({"alg": "RS256", "kid": "a", name: value})).is_ok(), "{name} is not looked at");
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "kid": "a", name: value}).to_string()),
            URL_SAFE_NO_PAD.encode(claims(&json!({"iss": "https://i"})).to_string())
        );
        let key = EncodingKey::from_secret(value.to_string().as_bytes());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        assert!(verifier.verify(&format!("{message}.{signature}"), NOW * 1_000).is_err(), "{name}");
    }
    for crit in [json!(["exp"]), json!([]), json!(["b64"])] {
        assert!(verify(&json!({"alg": "RS256", "kid": "a", "crit": crit})).is_err(), "{crit}");
    }
    // The public key as the secret, in every form in which it can be had.
    let publics = ["rsa.public.pem", "rsa.pkcs1.public.pem"].map(|file| std::fs::read(key_path(file)).unwrap());
    let forms =
        publics.into_iter().chain([two.to_string().into_bytes(), jwk(Algorithm::RS256, "a").to_string().into_bytes()]);
    for secret in forms {
        let header = Header { kid: Some("a".to_owned()), ..Header::new(Algorithm::HS256) };
        let key = EncodingKey::from_secret(&secret);
        let token = jsonwebtoken::encode(&header, &claims(&json!({"iss": "https://i"})), &key).unwrap();
        assert!(verifier.verify(&token, NOW * 1_000).unwrap_err().detail.contains("algorithm"));
    }
    for alg in ["none", "None", "nOnE", "HS256", "RS512", "", "rs256"] {
        assert!(verify(&json!({"alg": alg, "kid": "a"})).is_err(), "{alg}");
    }
}

/// A hub that believes one issuer by its secret, and two by their JWKS files, each for tenants of its own.
fn three(dir: &tempfile::TempDir) -> JwtVerifier {
    let rsa = file(dir, "rsa.json", &json!({"keys": [jwk(Algorithm::RS256, "k")]}).to_string());
    let ec = file(dir, "ec.json", &json!({"keys": [jwk(Algorithm::ES256, "k")]}).to_string());
    let text = format!(
        "[[issuer]]\nissuer = 'https://a'\nalgorithm = 'RS256'\njwks_file = '{rsa}'\ntenants = ['t_a', 't_both']\n\
         [[issuer]]\nissuer = 'https://b'\nalgorithm = 'ES256'\njwks_file = '{ec}'\ntenants = ['t_b', 't_both']\nenvs = ['dev']"
    );
    let path = file(dir, "issuers.toml", &text);
    let values = [("auth.issuers_file", path.as_str()), ("auth.secret", SECRET), ("auth.issuer", "own")];
    JwtVerifier::from_settings(&settings(&values)).unwrap()
}

#[test]
fn an_issuer_speaks_for_its_own_tenants() {
    let dir = tempfile::tempdir().unwrap();
    let verifier = three(&dir);
    let every = json!(["t_a", "t_b", "t_both", "t_own"]);
    let says = |iss: &str| json!({"iss": iss, "tenant_ids": every, "role_map": "owner"});
    let good_for = |token: &str, env: Env| {
        let claims = verifier.verify(token, NOW * 1_000).map_err(|refusal| refusal.code)?;
        let is_good = |tenant: &&str| {
            let scope = Scope { tenant: Tenant::parse(tenant).unwrap(), env };
            claims.principal(&scope, &Settings::default().roles).is_ok()
        };
        Ok(["t_a", "t_b", "t_both", "t_own"].into_iter().filter(is_good).collect::<Vec<_>>().join(" "))
    };
    let (a, b) = (Algorithm::RS256, Algorithm::ES256);
    assert_eq!(good_for(&signed(a, Some("k"), &says("https://a")), Env::Dev), Ok("t_a t_both".to_owned()));
    assert_eq!(good_for(&signed(b, Some("k"), &says("https://b")), Env::Dev), Ok("t_b t_both".to_owned()));
    assert_eq!(good_for(&signed(b, Some("k"), &says("https://b")), Env::Prod), Ok(String::new()));
    let own =
        jsonwebtoken::encode(&Header::default(), &claims(&says("own")), &EncodingKey::from_secret(SECRET.as_bytes()));
    assert_eq!(good_for(&own.unwrap(), Env::Dev), Ok("t_a t_b t_both t_own".to_owned()));
    // One issuer's key under another's name, and names that are none.
    for wrong in [
        signed(a, Some("k"), &says("https://b")),
        signed(b, Some("k"), &says("https://a")),
        signed(a, Some("k"), &says("own")),
        signed(a, Some("k"), &says("https://c")),
        signed(a, Some("k"), &says("")),
        signed(a, Some("k"), &json!({})),
        signed(a, Some("k"), &json!({"iss": ["https://a"]})),
        signed(a, Some("k"), &json!({"iss": null})),
        "x.y.z".to_owned(),
        "x".to_owned(),
    ] {
        assert_eq!(good_for(&wrong, Env::Dev), Err(Code::TokenInvalid), "{wrong}");
    }
}

#[test]
fn issuers_that_are_not_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let jwks = file(&dir, "rsa.json", &json!({"keys": [jwk(Algorithm::RS256, "k")]}).to_string());
    let entry = |name: &str| {
        format!("[[issuer]]\nissuer = '{name}'\nalgorithm = 'RS256'\njwks_file = '{jwks}'\ntenants = ['t_a']\n")
    };
    let of = |text: &str, values: &[(&str, &str)]| {
        let path = file(&dir, "issuers.toml", text);
        let values = [&[("auth.issuers_file", path.as_str())], values].concat();
        JwtVerifier::from_settings(&settings(&values)).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(of(&entry("a"), &[]), Ok(()));
    let prod = [("production", "true")];
    assert!(of(&entry("a"), &prod).unwrap_err().contains("envs"));
    assert_eq!(of(&(entry("a") + "envs = ['prod']\n"), &prod), Ok(()));
    assert!(of(&(entry("a") + &entry("a")), &[]).unwrap_err().contains("\"a\" twice"));
    let secret = ("auth.secret", SECRET);
    assert!(of(&entry("a"), &[secret]).unwrap_err().contains("auth.issuer is needed"));
    assert!(of(&entry("a"), &[secret, ("auth.issuer", "a")]).unwrap_err().contains("twice"));
    assert!(of(&entry("a").replace(&jwks, "/nowhere"), &[]).unwrap_err().starts_with("issuer \"a\": can't read"));
    assert!(of(&entry("a").replace("RS256", "HS256"), &[]).unwrap_err().contains("issuer \"a\""));
    assert!(of("", &[]).unwrap_err().contains("no issuer"));
}

proptest! {
    #[test]
    fn no_jwks_panics(text in "\\PC{0,200}", n in "\\PC{0,40}", kty in prop::sample::select(vec!["RSA", "EC", "OKP", "oct"])) {
        let algorithm = Configured(Algorithm::RS256);
        let _ = KeySet::parse(text.as_bytes(), algorithm, 1);
        let key = json!({"keys": [{"kty": kty, "n": n, "e": "AQAB", "x": n, "y": n, "crv": "P-256"}]}).to_string();
        prop_assert_eq!(KeySet::parse(key.as_bytes(), algorithm, 1).unwrap().len(), 0);
        prop_assert_eq!(KeySet::parse(key.as_bytes(), Configured(Algorithm::ES256), 1).unwrap().len(), 0);
    }
}
