//! What may be asked of a stream token, by whom, and that it is never worth more than its maker.

use proptest::prelude::*;
use serde_json::{Value, json};
use tambour_actors::principal::{Granted, KeyToken, Permission, Permissions};
use tambour_actors::topic_key::{Env, Scope, Tenant};

use super::*;

const NOW_MS: i64 = 1_795_330_000_000;

fn granted(role: Role) -> Granted {
    Granted { role, permissions: Settings::default().roles.permissions(role) }
}

fn alice() -> Principal {
    Principal {
        sub: "alice".into(),
        scope: Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev },
        granted: granted(Role::Member),
        role: Role::Member,
        actor_type: ActorType::Human,
        read_only: false,
        permissions: granted(Role::Member).permissions,
        acts_for: None,
        proof: Proof::Main { jti: Some("j".into()), issued_at_ms: 7 },
        expires_at_ms: NOW_MS + 3_600_000,
    }
}

/// A service key of a backend.
fn key(role: Role) -> Principal {
    Principal {
        sub: "key:backend".into(),
        granted: granted(role),
        role,
        actor_type: ActorType::System,
        permissions: granted(role).permissions.or([Permission::PrincipalsSignIn].into_iter().collect()),
        proof: Proof::Key(KeyToken(1)),
        ..alice()
    }
}

fn ask(maker: &Principal, body: &Value) -> Result<Wanted, Refusal> {
    let asked: AskToken = serde_json::from_value(body.clone()).map_err(|error| invalid(error.to_string()))?;
    asked.wanted(maker, &Settings::default(), NOW_MS)
}

#[track_caller]
fn refused(maker: &Principal, body: &Value, code: Code) {
    assert_eq!(ask(maker, body).expect_err("it is refused").code, code, "{body}");
}

#[test]
fn by_default_it_reads_what_its_maker_reads() {
    let record = ask(&alice(), &json!({})).unwrap().record([1; 32]);
    let proof =
        StreamProof { digest: [1; 32], parent: alice().proof, issuer: None, issued_at_ms: NOW_MS, topics: None };
    let expected = Principal { read_only: true, proof: Proof::Stream(Arc::new(proof)), ..alice() };
    assert_eq!(record, TokenRecord { principal: Arc::new(expected), ttl_ms: 60_000, single_use: false });
}

#[test]
fn what_can_be_asked_for() {
    let record = |body: Value| ask(&alice(), &body).unwrap().record([0; 32]);
    for rights in [json!(["read", "write"]), json!(["write", "read"])] {
        assert!(!record(json!({ "rights": rights })).principal.read_only);
    }
    assert!(record(json!({"rights": ["read"]})).principal.read_only);
    assert_eq!(record(json!({"ttl_seconds": 300})).ttl_ms, 300_000);
    assert_eq!(record(json!({"ttl_seconds": 90.0})).ttl_ms, 90_000);
    assert!(record(json!({"single_use": true})).single_use);
    let wanted = ask(&alice(), &json!({"topics": ["thread/b", "canvas/a"]})).unwrap();
    assert_eq!(wanted.topics().map(TopicKey::topic).collect::<Vec<_>>(), ["thread/b", "canvas/a"]);
}

#[test]
fn what_can_t_be_asked_for() {
    let many: Vec<_> = (0..=TOPICS_MAX).map(|id| format!("thread/{id}")).collect();
    for body in [
        json!({"ttl_seconds": 0}),
        json!({"ttl_seconds": 301}),
        json!({"ttl_seconds": -1}),
        json!({"ttl_seconds": 1.5}),
        json!({"ttl_seconds": 1e300}),
        json!({"ttl_seconds": "60"}),
        json!({"ttl_seconds": null}),
        json!({"rights": []}),
        json!({"rights": ["write"]}),
        json!({"rights": ["read", "read"]}),
        json!({"rights": ["read", "manage"]}),
        json!({"topics": []}),
        json!({"topics": many}),
        json!({"topics": ["thread/a", "thread/a"]}),
        json!({"topic": "thread/a"}),
        json!({"for": null}),
    ] {
        refused(&alice(), &body, Code::BodyInvalid);
    }
    for topic in ["a", "thread/", "thread/a b", "chat/a"] {
        refused(&alice(), &json!({"topics": [topic]}), Code::NameInvalid);
    }
}

#[test]
fn a_service_key_signs_people_in() {
    let made = ask(&key(Role::Admin), &json!({"for": {"sub": "bob", "role": "viewer"}})).unwrap().record([0; 32]);
    let bob = &made.principal;
    assert_eq!((&*bob.sub, bob.role, bob.actor_type), ("bob", Role::Viewer, ActorType::Human));
    assert_eq!(bob.permissions, Settings::default().roles.permissions(Role::Viewer));
    let proof = made.proof().unwrap();
    assert_eq!((&proof.parent, proof.issuer.as_deref()), (&Proof::Key(KeyToken(1)), Some("key:backend")));
    let own = ask(&key(Role::Member), &json!({})).unwrap().record([0; 32]);
    assert_eq!((&*own.principal.sub, own.principal.actor_type), ("key:backend", ActorType::System));
}

#[test]
fn a_service_key_gives_no_more_than_it_has() {
    let of = |role: &str| json!({"for": {"sub": "bob", "role": role}});
    refused(&key(Role::Member), &of("admin"), Code::Forbidden);
    refused(&key(Role::Admin), &of("owner"), Code::Forbidden);
    refused(&alice(), &of("viewer"), Code::Forbidden);
    refused(&key(Role::Admin), &of("king"), Code::BodyInvalid);
    for sub in ["", "key:other", "a\nb", &"x".repeat(257)] {
        refused(&key(Role::Admin), &json!({"for": {"sub": sub, "role": "viewer"}}), Code::BodyInvalid);
    }
    let narrow = [Permission::ThreadsRead, Permission::PrincipalsSignIn];
    let narrow = Principal { permissions: narrow.into_iter().collect(), ..key(Role::Member) };
    let bob = ask(&narrow, &of("member")).unwrap().record([0; 32]);
    assert_eq!(bob.principal.permissions.iter().collect::<Vec<_>>(), [Permission::ThreadsRead]);
    // To sign people in is a right of its own, also for an owner's key.
    let own = |role| Principal { permissions: granted(role).permissions, ..key(role) };
    refused(&own(Role::Member), &of("viewer"), Code::Forbidden);
    refused(&own(Role::Owner), &of("viewer"), Code::Forbidden);
}

proptest! {
    /// Whatever is asked for, what comes is no more than its maker.
    #[test]
    fn never_more_than_its_maker(
        role in 0..4_usize,
        keys in any::<[bool; Permission::ALL.len()]>(),
        is_key in any::<bool>(),
        of in proptest::option::of(0..4_usize),
        read_only in any::<bool>(),
        left_ms in 1..100_000_000_i64,
        writes in any::<bool>(),
    ) {
        let roles = [Role::Viewer, Role::Member, Role::Admin, Role::Owner];
        let permissions: Permissions =
            Permission::ALL.iter().zip(keys).filter(|(_, has)| *has).map(|(permission, _)| *permission).collect();
        let maker = if is_key { key(roles[role]) } else { alice() };
        let expires_at_ms = NOW_MS + left_ms;
        let maker = Principal { role: roles[role], permissions, read_only, expires_at_ms, ..maker };
        let mut body = json!({"rights": if writes { json!(["read", "write"]) } else { json!(["read"]) }});
        if let Some(of) = of {
            body["for"] = json!({"sub": "bob", "role": roles[of].as_str()});
        }
        let Ok(wanted) = ask(&maker, &body) else {
            let may = is_key && maker.has(Permission::PrincipalsSignIn);
            prop_assert!(of.is_some_and(|of| !may || of > role), "only what is too much is refused");
            return Ok(());
        };
        let made = wanted.record([0; 32]).principal;
        prop_assert!(made.role <= maker.role && made.scope == maker.scope);
        prop_assert!(Permission::ALL.iter().all(|permission| !made.has(*permission) || maker.has(*permission)));
        prop_assert!(made.expires_at_ms <= maker.expires_at_ms && made.expires_at_ms <= NOW_MS + 43_200_000);
        prop_assert!(made.read_only >= maker.read_only && (writes || made.read_only));
    }
}
