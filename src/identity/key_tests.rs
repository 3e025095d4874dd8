//! Keys: those of every algorithm work, everything else is refused at the start.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use tambour_actors::refusal::Code;

use super::jwt::{JwtVerifier, KeyError};
use super::jwt_tests::{NOW, SECRET, claims, settings, token};

fn key_path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/identity/test_keys").join(file)
}

/// Signs with a private key of the tests and verifies with its public one.
fn with_pem(algorithm: &str, private: &str, public: &str) -> Result<bool, KeyError> {
    let path = key_path(public);
    let values = [("auth.algorithm", algorithm), ("auth.public_key_file", path.to_str().unwrap())];
    let verifier = JwtVerifier::from_settings(&settings(&values))?;
    let parsed: Algorithm = algorithm.parse().unwrap();
    let pem = std::fs::read(key_path(private)).unwrap();
    let key = match &algorithm[..2] {
        "ES" => EncodingKey::from_ec_pem(&pem),
        "Ed" => EncodingKey::from_ed_pem(&pem),
        _ => EncodingKey::from_rsa_pem(&pem),
    };
    let token = jsonwebtoken::encode(&Header::new(parsed), &claims(&json!({})), &key.unwrap()).unwrap();
    // The public key as an HMAC secret: the oldest trick.
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), URL_SAFE_NO_PAD.encode("{}"));
    let secret = EncodingKey::from_secret(&std::fs::read(path).unwrap());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &secret, Algorithm::HS256).unwrap();
    assert!(verifier.verify(&format!("{message}.{signature}"), NOW * 1_000).is_err());
    let first = verifier.verify(&token, NOW * 1_000);
    // Known by now, and still judged by the clock and by every byte.
    assert_eq!(verifier.verify(&token, NOW * 1_000), first);
    let later = |seconds: i64| verifier.verify(&token, (NOW + seconds) * 1_000);
    assert_eq!(later(89).map(|claims| claims.expires_at_ms), Ok((NOW + 90) * 1_000));
    assert_eq!(later(90).unwrap_err().code, Code::TokenExpired);
    assert!(verifier.verify(&format!("{token}A"), NOW * 1_000).is_err());
    Ok(first.is_ok())
}

#[test]
fn public_keys() {
    for (algorithm, private, public) in [
        ("RS256", "rsa.private.pem", "rsa.public.pem"),
        ("RS384", "rsa.private.pem", "rsa.public.pem"),
        ("RS512", "rsa.private.pem", "rsa.pkcs1.public.pem"),
        ("PS256", "rsa.private.pem", "rsa.public.pem"),
        ("PS384", "rsa.private.pem", "rsa.pkcs1.public.pem"),
        ("PS512", "rsa.private.pem", "rsa.public.pem"),
        ("ES256", "ec256.private.pem", "ec256.public.pem"),
        ("ES384", "ec384.private.pem", "ec384.public.pem"),
        ("EdDSA", "ed.private.pem", "ed.public.pem"),
    ] {
        assert!(with_pem(algorithm, private, public).unwrap(), "{algorithm}");
    }
    let publics = ["rsa", "ec256", "ec384", "ed"];
    for (algorithm, own) in
        [("RS256", "rsa"), ("PS512", "rsa"), ("ES256", "ec256"), ("ES384", "ec384"), ("EdDSA", "ed")]
    {
        for other in publics.into_iter().filter(|name| *name != own) {
            let error = with_pem(algorithm, &format!("{own}.private.pem"), &format!("{other}.public.pem"));
            assert!(matches!(error, Err(KeyError::NotAKey { .. })), "{algorithm} with {other}: {error:?}");
        }
    }
}

/// Settings that are no key, and what the error says.
#[track_caller]
fn check_key(values: &[(&str, &str)], words: &str) {
    let Err(error) = JwtVerifier::from_settings(&settings(values)) else { panic!("{values:?} is a key") };
    assert!(error.to_string().contains(words), "{error} does not say {words:?}");
    assert!(!error.to_string().contains("TINY"), "{error}");
}

#[test]
fn keys_that_are_refused() {
    let path = |file: &str| key_path(file).to_str().unwrap().to_owned();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    check_key(&[], "auth.secret_file");
    check_key(&[("auth.secret", "TINY")], "auth.secret has 4 bytes");
    check_key(&[("auth.secret", &"x".repeat(31))], "needs at least 32");
    check_key(&[("auth.secret_file", &file("short", b"  TINY\n\n"))], "auth.secret_file has 4 bytes");
    check_key(&[("auth.secret_file", "/nowhere/at/all")], "/nowhere/at/all");
    check_key(&[("auth.secret_file", &file("binary", &[0xff; 40]))], "can't read auth.secret_file");
    check_key(&[("auth.secret", SECRET), ("auth.secret_file", "x")], "auth.secret and auth.secret_file are both set");
    check_key(&[("auth.secret", SECRET), ("auth.public_key_file", "x")], "both set");
    check_key(&[("auth.secret", SECRET), ("auth.algorithm", "RS256")], "needs auth.public_key_file");
    check_key(&[("auth.public_key_file", &path("rsa.public.pem"))], "needs auth.secret_file");
    let pem = |algorithm: &str, file: &str, words: &str| {
        check_key(&[("auth.algorithm", algorithm), ("auth.public_key_file", file)], words);
    };
    pem("RS256", &path("rsa.private.pem"), "private key");
    pem("ES256", &path("ec256.private.pem"), "private key");
    pem("RS256", &path("rsa_small.public.pem"), "2048");
    pem("EdDSA", &path("ed448.public.pem"), "not a PEM public key");
    pem("RS256", &file("empty", b""), "not a PEM public key");
    pem("RS256", &file("cert", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"), "certificate");
    for empty in ["AA==", "MAA=", "MAMCAQA=", ""] {
        for (label, algorithm) in [("PUBLIC KEY", "ES256"), ("RSA PUBLIC KEY", "RS256"), ("PUBLIC KEY", "EdDSA")] {
            let text = format!("-----BEGIN {label}-----\n{empty}\n-----END {label}-----\n");
            pem(algorithm, &file("odd", text.as_bytes()), "not a PEM public key");
        }
    }
    let kept = file("long", format!("\n{SECRET}\n").as_bytes());
    let verifier = JwtVerifier::from_settings(&settings(&[("auth.secret_file", &kept)])).unwrap();
    assert!(verifier.verify(&token(&json!({})), NOW * 1_000).is_ok(), "white space around a secret is no part of it");
}
