//! Tokens for tests: good ones, and every way of being bad.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// The secret of every hub that a test starts.
pub(crate) const SECRET: &str = "a-secret-that-only-these-tests-know-of";
/// The tenant in which tests act.
pub(crate) const TENANT: &str = "t_demo";
/// The env in which tests act.
pub(crate) const ENV: &str = "dev";

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// Claims that are good for an hour, in [`TENANT`] and every env.
pub(crate) fn claims(sub: &str, role: &str) -> Value {
    json!({"sub": sub, "tenant_ids": [TENANT], "role_map": {TENANT: role}, "exp": now() + 3_600})
}

/// Signs claims as the hub wants them.
pub(crate) fn sign(claims: &Value) -> String {
    sign_with(claims, Algorithm::HS256, SECRET)
}

/// Signs claims with another algorithm or secret.
pub(crate) fn sign_with(claims: &Value, algorithm: Algorithm, secret: &str) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// A good token.
pub(crate) fn token(sub: &str, role: &str) -> String {
    sign(&claims(sub, role))
}

/// Claims with some of them put, or with `null` taken away.
pub(crate) fn altered(mut claims: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    for (name, value) in changes {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(&name);
        } else {
            claims[name] = value;
        }
    }
    claims
}
