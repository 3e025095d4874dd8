//! Where issuers put what: tokens of exactly the forms that well-known ones make, and every other form of a claim.

use proptest::prelude::*;
use serde_json::{Value, json};
use tambour_actors::principal::{Permission, Principal};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic_key::{Env, Scope, Tenant};

use super::jwt::JwtVerifier;
use super::jwt_tests::{NOW, SECRET, sign, token, verifier};
use crate::config::Settings;

/// The principal that claims prove in a tenant.
fn principal_in(tenant: &str, settings: &[(&str, &str)], claims: &Value) -> Result<Principal, Refusal> {
    let claims = verifier(settings).verify(&sign(r#"{"alg":"HS256"}"#, &claims.to_string()), NOW * 1_000)?;
    let scope = Scope { tenant: Tenant::parse(tenant).unwrap(), env: Env::Dev };
    claims.principal(&scope, &Settings::default().roles)
}

/// Where Auth0 puts what an Action adds: under names that are URLs.
const AUTH0: &[(&str, &str)] = &[
    ("auth.issuer", "https://example.eu.auth0.com/"),
    ("auth.audience", "https://hub.example"),
    ("auth.claim_tenant_ids", "\"https://example.com/tenants\""),
    ("auth.claim_role_map", "\"https://example.com/roles\""),
];

#[test]
fn a_token_of_auth0() {
    let token = json!({
        "https://example.com/tenants": ["t_acme"],
        "https://example.com/roles": ["member", "billing"],
        "iss": "https://example.eu.auth0.com/",
        "sub": "auth0|65f1c0ffee",
        "aud": ["https://hub.example", "https://example.eu.auth0.com/userinfo"],
        "iat": NOW - 5, "exp": NOW + 86_400,
        "scope": "openid profile email", "azp": "c3F1YXJl",
        "permissions": ["keys:write", "read:invoices"],
    });
    let alice = principal_in("t_acme", AUTH0, &token).unwrap();
    assert_eq!((&*alice.sub, alice.role.as_str()), ("auth0|65f1c0ffee", "member"));
    assert!(alice.has(Permission::KeysWrite) && !alice.has(Permission::SessionsRead));
    assert_eq!(principal_in("t_other", AUTH0, &token).unwrap_err().code, Code::TenantMismatch);
    // The same names without their quotes lead nowhere in it.
    let mut plain = token;
    let tenants = plain.as_object_mut().unwrap().remove("https://example.com/tenants").unwrap();
    plain["tenant_ids"] = tenants;
    let refused = principal_in("t_acme", AUTH0, &plain).unwrap_err();
    assert!(refused.detail.contains("\"https://example.com/tenants\" is missing"), "{refused}");
}

/// Where Supabase puts what only its operator can write.
const SUPABASE: &[(&str, &str)] = &[
    ("auth.issuer", "https://abcd.supabase.co/auth/v1"),
    ("auth.audience", "authenticated"),
    ("auth.claim_tenant_ids", "app_metadata.tenant_ids"),
    ("auth.claim_role_map", "app_metadata.roles"),
];

#[test]
fn a_token_of_supabase() {
    let token = json!({
        "iss": "https://abcd.supabase.co/auth/v1", "sub": "7f3c9a5e-2f0b-4b57-9d38-2f6b5d3f8a10", "aud": "authenticated",
        "exp": NOW + 3_600, "iat": NOW, "email": "alice@example.org", "phone": "", "role": "authenticated", "aal": "aal1",
        "app_metadata": {"provider": "email", "providers": ["email"], "tenant_ids": ["t_acme", "t_beta"],
                         "roles": {"t_acme": "admin", "t_beta": "viewer"}},
        // What users write themselves is not looked at.
        "user_metadata": {"tenant_ids": ["t_evil"], "roles": {"t_evil": "owner"}},
        "amr": [{"method": "password", "timestamp": NOW}], "session_id": "6f1c", "is_anonymous": false,
    });
    let role = |tenant| principal_in(tenant, SUPABASE, &token).map(|alice| alice.role.as_str()).map_err(|r| r.code);
    assert_eq!(role("t_acme"), Ok("admin"));
    assert_eq!(role("t_beta"), Ok("viewer"));
    assert_eq!(role("t_evil"), Err(Code::TenantMismatch));
    let mut without = token.clone();
    without["app_metadata"] = json!({"provider": "email"});
    assert_eq!(principal_in("t_acme", SUPABASE, &without).unwrap_err().code, Code::TokenInvalid);
}

#[test]
fn one_tenant_and_one_role() {
    let role = |changes: Value, tenant: &str| {
        let claims = verifier(&[]).verify(&token(&changes), NOW * 1_000).unwrap();
        let scope = Scope { tenant: Tenant::parse(tenant).unwrap(), env: Env::Dev };
        claims.principal(&scope, &Settings::default().roles).map(|p| p.role.as_str()).map_err(|r| r.code)
    };
    let refused = Err(Code::TenantMismatch);
    assert_eq!(role(json!({"tenant_ids": "t_demo"}), "t_demo"), Ok("member"));
    assert_eq!(role(json!({"tenant_ids": "t_demo"}), "t_other"), refused);
    // A role that is said once is that of every tenant of the token, and of no other.
    for given in [json!("admin"), json!(["admin"]), json!(["viewer", "admin", "member"]), json!(["admin", "root"])] {
        assert_eq!(role(json!({"role_map": given}), "t_demo"), Ok("admin"));
        assert_eq!(role(json!({"role_map": given}), "t_other"), Ok("admin"));
        assert_eq!(role(json!({"role_map": given}), "t_two"), refused);
    }
    assert_eq!(role(json!({"role_map": {"t_demo": ["viewer", "member"]}}), "t_demo"), Ok("member"));
    for nothing in [json!([]), json!("root"), json!(["root"]), json!(""), json!({}), json!({"t_demo": []})] {
        assert_eq!(role(json!({"role_map": nothing}), "t_demo"), refused, "{nothing}");
    }
    assert_eq!(role(json!({"envs": "dev"}), "t_demo"), Ok("member"));
    assert_eq!(role(json!({"envs": "prod"}), "t_demo"), refused);
}

#[test]
fn permissions_for_all_tenants_or_each() {
    let has = |given: Value, tenant: &str| {
        let changes = json!({"permissions": given, "role_map": {"t_demo": "viewer", "t_other": "viewer"}});
        let claims = verifier(&[]).verify(&token(&changes), NOW * 1_000).unwrap();
        let scope = Scope { tenant: Tenant::parse(tenant).unwrap(), env: Env::Dev };
        claims.principal(&scope, &Settings::default().roles).unwrap().has(Permission::KeysWrite)
    };
    assert!(has(json!(["keys:write"]), "t_demo") && has(json!(["keys:write"]), "t_other"));
    assert!(has(json!({"t_demo": ["keys:write"]}), "t_demo") && !has(json!({"t_demo": ["keys:write"]}), "t_other"));
    assert!(!has(json!(["read:invoices"]), "t_demo") && !has(json!(null), "t_demo"));
    for wrong in [json!("keys:write"), json!([1]), json!({"t_demo": "keys:write"}), json!(7)] {
        let refused = verifier(&[]).verify(&token(&json!({"permissions": wrong})), NOW * 1_000).unwrap_err();
        assert!(refused.detail.contains("permissions"), "{refused}");
    }
}

#[test]
fn a_name_that_is_there_twice_is_refused_wherever_it_is() {
    let of = |body: &str| verifier(SUPABASE).verify(&sign(r#"{"alg":"HS256"}"#, body), NOW * 1_000);
    let good = r#"{"iss":"https://abcd.supabase.co/auth/v1","aud":"authenticated","sub":"a","exp":1800000060,
                   "app_metadata":{"tenant_ids":"t_a","roles":"member"}}"#;
    assert!(of(good).is_ok());
    for (once, twice) in [
        ("\"sub\":\"a\"", "\"sub\":\"b\",\"sub\":\"a\""),
        ("\"roles\":\"member\"", "\"roles\":\"member\",\"roles\":\"owner\""),
        ("\"roles\":\"member\"", "\"roles\":\"member\",\"\\u0072oles\":\"owner\""),
        ("\"app_metadata\":", "\"app_metadata\":{},\"app_metadata\":"),
        ("\"exp\":1800000060", "\"exp\":1,\"exp\":1800000060"),
        ("\"iss\":", "\"iss\":\"x\",\"iss\":"),
    ] {
        let body = good.replace(once, twice);
        assert_ne!(body, good);
        assert_eq!(of(&body).unwrap_err().code, Code::TokenInvalid, "{body}");
    }
}

proptest! {
    #[test]
    fn a_claim_is_found_where_its_path_says(names in prop::collection::vec("[a-z./:\"]{1,8}", 1..4)) {
        let quoted: Vec<_> = names.iter().map(|name| format!("\"{}\"", name.replace('"', "\\\""))).collect();
        let path = quoted.join(".");
        let mut claims = json!({"sub": "a", "exp": NOW + 60, "role_map": "member"});
        let inner = names[1..].iter().rev().fold(json!("t_demo"), |inner, name| json!({name: inner}));
        // One that is in the way of a name of our own is somebody else's test.
        prop_assume!(!["sub", "exp", "nbf", "iat", "iss", "aud", "jti", "role_map", "envs", "email"].contains(&&*names[0]));
        claims[&names[0]] = inner;
        let settings = [("auth.claim_tenant_ids", path.as_str())];
        prop_assert!(principal_in("t_demo", &settings, &claims).is_ok(), "{} in {}", path, claims);
        let elsewhere = [("auth.claim_tenant_ids", "nowhere")];
        prop_assert!(principal_in("t_demo", &elsewhere, &claims).is_err());
    }
}

#[test]
fn a_secret_is_needed_for_all_of_it() {
    // The helper above signs with the tests' secret; another verifier believes none of it.
    let other = JwtVerifier::from_settings(&super::jwt_tests::settings(&[("auth.secret", &SECRET.to_uppercase())]));
    assert!(other.unwrap().verify(&token(&json!({})), NOW * 1_000).is_err());
}
