//! The rules of standing as tables: what overrides which token, who may say so, and that nothing of one tenant or env is
//! looked at in another.

use std::sync::Arc;

use tambour_actors::principal::{ActorType, Granted, Permission, Permissions, Principal, Proof, Role, StreamProof};
use tambour_actors::refusal::Code;
use tambour_actors::topic_key::{Env, Scope, Tenant};

use super::change::{Change, Revoked, State};
use super::decide::{NewKey, Wish};
use super::*;
use crate::config::Settings;
use crate::identity::service_key::new_id;

/// When everything here happens, in milliseconds.
const NOW: i64 = 1_000_000;

fn scope(tenant: &str, env: Env) -> Scope {
    Scope { tenant: Tenant::parse(tenant).unwrap(), env }
}

fn roles() -> Roles {
    Settings::default().roles
}

/// Somebody with a main token of this id, made then.
fn person(sub: &str, role: Role, jti: Option<&str>, issued_at_ms: i64) -> Arc<Principal> {
    let permissions = roles().permissions(role);
    Arc::new(Principal {
        sub: sub.into(),
        scope: scope("t_demo", Env::Dev),
        granted: Granted { role, permissions },
        role,
        actor_type: ActorType::Human,
        read_only: false,
        permissions,
        acts_for: None,
        proof: Proof::Main { jti: jti.map(Into::into), issued_at_ms },
        expires_at_ms: i64::MAX,
    })
}

/// With a stream token made then: of their own, or of a key for them.
fn streaming(of: &Principal, issuer: Option<&str>, issued_at_ms: i64) -> Arc<Principal> {
    let parent = if issuer.is_some() { Proof::Key } else { of.proof.clone() };
    let stream = StreamProof { digest: [0; 32], parent, issuer: issuer.map(Into::into), issued_at_ms, topics: None };
    Arc::new(Principal { proof: Proof::Stream(Arc::new(stream)), ..of.clone() })
}

fn elsewhere(of: &Principal, tenant: &str, env: Env) -> Arc<Principal> {
    Arc::new(Principal { scope: scope(tenant, env), ..of.clone() })
}

/// Carries a wish out, as the hub does.
fn apply(standing: &Standing, by: &Principal, wish: Wish) -> Result<Change, Code> {
    let change = standing.decide(by, wish, NOW).map_err(|refusal| refusal.code)?;
    standing.apply(change.clone());
    Ok(change)
}

fn put(sub: &str, state: State, role: Option<Role>) -> Wish {
    Wish::PutPrincipal { sub: sub.into(), state, role }
}

fn suspend(sub: &str) -> Wish {
    put(sub, State::Suspended, None)
}

fn of_sub(sub: &str) -> Wish {
    Wish::Revoke(Revoked::Sub(sub.into()))
}

fn new_key(role: Role, permissions: &[Permission]) -> Wish {
    let token = crate::identity::service_key::NewToken::make().unwrap();
    Wish::MakeKey(NewKey {
        id: new_id(),
        name: "bot".to_owned(),
        actor_type: ActorType::Agent,
        role,
        permissions: permissions.iter().copied().collect(),
        expires_at_ms: None,
        digest: token.digest,
    })
}

fn made(standing: &Standing, by: &Principal, role: Role) -> ServiceKey {
    match apply(standing, by, new_key(role, &[])).unwrap() {
        Change::PutKey(key) => *key,
        other => panic!("{other:?}"),
    }
}

/// What is left of somebody: a role in words, or a code.
fn left(standing: &Standing, of: &Arc<Principal>) -> Result<&'static str, Code> {
    let reviewed = standing.review(of, &roles()).map_err(|refusal| refusal.code)?;
    Ok(reviewed.map_or("same", |other| other.role.as_str()))
}

#[test]
fn who_waits_is_told_of_changes_in_their_own_tenant_and_env() {
    let (standing, admin) = (Standing::default(), person("root", Role::Admin, None, 0));
    let mut own = standing.changes(&admin.scope);
    let others =
        [("t_other", Env::Dev), ("t_demo", Env::Prod)].map(|(tenant, env)| standing.changes(&scope(tenant, env)));
    let changed = |told: &watch::Receiver<()>| told.has_changed().expect("the standing lives");
    for sub in ["bob", "carol"] {
        apply(&standing, &admin, suspend(sub)).unwrap();
        assert!(changed(&own) && !others.iter().any(changed));
        own.mark_unchanged();
    }
    // Where nobody waits any more nothing is kept for long, and who waits goes on.
    for number in 0..1_000 {
        drop(standing.changes(&scope(&format!("t_{number}"), Env::Dev)));
    }
    assert!(standing.changes.lock().len() < 30, "{}", standing.changes.lock().len());
    apply(&standing, &admin, put("bob", State::Active, None)).unwrap();
    assert!(changed(&own));
}

#[test]
fn of_whom_nothing_is_said_nothing_changes() {
    let standing = Standing::default();
    let bob = person("bob", Role::Member, Some("j"), NOW);
    assert_eq!([left(&standing, &bob), left(&standing, &streaming(&bob, None, NOW))], [Ok("same"); 2]);
    let key = Arc::new(Principal { proof: Proof::Key, ..(*bob).clone() });
    assert_eq!(left(&standing, &key), Err(Code::TokenRevoked), "a key that is not there was revoked");
}

#[test]
fn who_is_suspended_stays_out_until_they_are_active_again() {
    let (standing, admin) = (Standing::default(), person("root", Role::Admin, None, 0));
    let (bob, carol) = (person("bob", Role::Member, None, 0), person("carol", Role::Member, None, 0));
    apply(&standing, &admin, suspend("bob")).unwrap();
    assert_eq!(left(&standing, &bob), Err(Code::Suspended));
    assert_eq!(left(&standing, &streaming(&bob, None, NOW + 1)), Err(Code::Suspended));
    assert_eq!(left(&standing, &carol), Ok("same"));
    for (tenant, env) in [("t_other", Env::Dev), ("t_demo", Env::Prod)] {
        assert_eq!(left(&standing, &elsewhere(&bob, tenant, env)), Ok("same"), "{tenant} {env}");
    }
    apply(&standing, &admin, put("bob", State::Active, None)).unwrap();
    assert_eq!(left(&standing, &bob), Ok("same"));
    assert!(standing.told(&bob.scope, &bob.sub).order.is_none(), "nothing is kept of whom nothing is said");
}

#[test]
fn a_role_takes_the_place_of_the_token_s_and_gives_it_back() {
    let (standing, owner) = (Standing::default(), person("root", Role::Owner, None, 0));
    let bob = person("bob", Role::Member, None, 0);
    apply(&standing, &owner, put("bob", State::Active, Some(Role::Viewer))).unwrap();
    let lowered = standing.review(&bob, &roles()).unwrap().expect("another role");
    assert_eq!((lowered.role, lowered.permissions), (Role::Viewer, roles().permissions(Role::Viewer)));
    assert_eq!(left(&standing, &lowered), Ok("same"));
    apply(&standing, &owner, put("bob", State::Active, Some(Role::Admin))).unwrap();
    assert_eq!(left(&standing, &lowered), Ok("admin"));
    let raised = standing.review(&lowered, &roles()).unwrap().unwrap();
    // What was said is taken back: whoever is connected has again what the token gives.
    apply(&standing, &owner, put("bob", State::Active, None)).unwrap();
    assert_eq!(
        [left(&standing, &raised), left(&standing, &lowered), left(&standing, &bob)],
        [Ok("member"), Ok("member"), Ok("same")]
    );
}

#[test]
fn who_is_signed_in_by_a_key_has_never_more_than_the_key_gave() {
    let (standing, owner) = (Standing::default(), person("root", Role::Owner, None, 0));
    let key = made(&standing, &owner, Role::Member);
    let signed_in = streaming(&person("bob", Role::Member, None, 0), Some(&key.id), NOW + 1);
    apply(&standing, &owner, put("bob", State::Active, Some(Role::Owner))).unwrap();
    assert_eq!(left(&standing, &signed_in), Ok("same"));
    apply(&standing, &owner, put("bob", State::Active, Some(Role::Viewer))).unwrap();
    assert_eq!(left(&standing, &signed_in), Ok("viewer"));
    apply(&standing, &owner, suspend(&key.id)).unwrap();
    assert_eq!(left(&standing, &signed_in), Err(Code::Suspended));
    apply(&standing, &owner, Wish::RemoveKey { id: key.id }).unwrap();
    assert_eq!(left(&standing, &signed_in), Err(Code::TokenRevoked));
}

#[test]
fn what_was_made_before_is_revoked_and_a_later_login_is_not() {
    let (standing, admin) = (Standing::default(), person("root", Role::Admin, None, 0));
    let key = made(&standing, &admin, Role::Viewer);
    apply(&standing, &admin, of_sub("bob")).unwrap();
    for (issued_at_ms, expected) in [
        (0, Err(Code::TokenRevoked)),
        (NOW - 1, Err(Code::TokenRevoked)),
        (NOW, Err(Code::TokenRevoked)),
        (NOW + 1, Ok("same")),
    ] {
        let bob = person("bob", Role::Member, None, issued_at_ms);
        assert_eq!(left(&standing, &bob), expected, "made at {issued_at_ms}");
        assert_eq!(left(&standing, &streaming(&bob, None, NOW + 5)), expected, "its parent made at {issued_at_ms}");
        let by_key = streaming(&bob, Some(&key.id), issued_at_ms);
        assert_eq!(left(&standing, &by_key), expected, "made by a key at {issued_at_ms}");
    }
    let late = streaming(&person("bob", Role::Member, None, NOW + 1), None, NOW);
    assert_eq!(left(&standing, &late), Err(Code::TokenRevoked), "the stream token was made before");
    assert_eq!(left(&standing, &elsewhere(&person("bob", Role::Member, None, 0), "t_other", Env::Dev)), Ok("same"));
}

#[test]
fn one_token_is_revoked_by_its_id() {
    let (standing, admin) = (Standing::default(), person("root", Role::Admin, None, 0));
    apply(&standing, &admin, Wish::Revoke(Revoked::Jti("stolen".into()))).unwrap();
    let stolen = person("bob", Role::Owner, Some("stolen"), i64::MAX);
    assert_eq!(left(&standing, &stolen), Err(Code::TokenRevoked), "whose it was is not known");
    assert_eq!(left(&standing, &streaming(&stolen, None, NOW + 1)), Err(Code::TokenRevoked));
    for other in [Some("kept"), None] {
        assert_eq!(left(&standing, &person("bob", Role::Member, other, 0)), Ok("same"));
    }
    assert_eq!(left(&standing, &elsewhere(&stolen, "t_other", Env::Dev)), Ok("same"));
    assert_eq!(left(&standing, &elsewhere(&stolen, "t_demo", Env::Staging)), Ok("same"));
}

#[test]
fn an_admin_does_not_reach_an_owner() {
    let standing = Standing::default();
    let (admin, owner) = (person("ada", Role::Admin, None, 0), person("olga", Role::Owner, None, 0));
    for wish in [suspend("olga"), put("olga", State::Active, Some(Role::Viewer)), of_sub("olga")] {
        apply(&standing, &admin, wish).unwrap();
        assert_eq!(left(&standing, &owner), Ok("same"));
    }
    assert_eq!(left(&standing, &person("olga", Role::Admin, None, 0)), Err(Code::TokenRevoked), "by another token");
    // What an owner says an admin does not unsay, nor with a revocation of their own.
    apply(&standing, &owner, of_sub("otto")).unwrap();
    apply(&standing, &admin, of_sub("otto")).unwrap();
    assert_eq!(left(&standing, &person("otto", Role::Owner, None, 0)), Err(Code::TokenRevoked));
    apply(&standing, &owner, suspend("otto")).unwrap();
    assert_eq!(apply(&standing, &admin, put("otto", State::Active, None)), Err(Code::Forbidden));
    assert_eq!(left(&standing, &person("otto", Role::Owner, None, NOW + 1)), Err(Code::Suspended));
    // Who is an owner because an owner said so, too.
    apply(&standing, &owner, put("bob", State::Active, Some(Role::Owner))).unwrap();
    assert_eq!(apply(&standing, &admin, suspend("bob")), Err(Code::Forbidden));
    assert_eq!(apply(&standing, &admin, put("bob", State::Active, Some(Role::Owner))), Err(Code::Forbidden));
    assert_eq!(apply(&standing, &admin, put("carol", State::Active, Some(Role::Owner))), Err(Code::Forbidden));
}

#[test]
fn nobody_gives_a_key_more_than_they_have() {
    use Permission::{KeysWrite, PrincipalsAct, SessionsRead, ThreadsRead};
    let standing = Standing::default();
    let (owner, admin) = (person("olga", Role::Owner, None, 0), person("ada", Role::Admin, None, 0));
    let member = Principal {
        permissions: [KeysWrite, ThreadsRead].into_iter().collect::<Permissions>(),
        ..(*person("mia", Role::Member, None, 0)).clone()
    };
    let make = |by: &Principal, role, permissions: &[Permission]| {
        standing.decide(by, new_key(role, permissions), NOW).map(drop).map_err(|refusal| refusal.code)
    };
    assert_eq!(make(&owner, Role::Owner, Permission::ALL), Ok(()));
    assert_eq!(make(&admin, Role::Owner, &[]), Err(Code::Forbidden));
    assert_eq!(make(&admin, Role::Admin, Permission::ALL), Ok(()));
    assert_eq!(make(&member, Role::Member, &[KeysWrite, ThreadsRead]), Ok(()));
    assert_eq!(make(&member, Role::Admin, &[]), Err(Code::Forbidden));
    // Who has lost the permission while they waited for their turn, and of it the wrong one.
    assert_eq!(make(&person("mia", Role::Member, None, 0), Role::Viewer, &[]), Err(Code::Forbidden));
    assert_eq!(apply(&standing, &member, suspend("bob")), Err(Code::Forbidden));
    for lacking in [SessionsRead, PrincipalsAct] {
        assert_eq!(make(&member, Role::Viewer, &[lacking]), Err(Code::Forbidden), "{lacking:?}");
    }
    // Who rotates a key gets its token, so the same holds.
    let (of_owner, of_member) = (made(&standing, &owner, Role::Owner), made(&standing, &owner, Role::Member));
    let rotate = |by: &Principal, id: &Arc<str>| {
        let wish = Wish::RotateKey { id: id.clone(), digest: [1; 32], grace_ms: 0 };
        standing.decide(by, wish, NOW).map(drop).map_err(|refusal| refusal.code)
    };
    assert_eq!([rotate(&admin, &of_owner.id), rotate(&member, &of_member.id)], [Err(Code::Forbidden), Ok(())]);
    assert_eq!(apply(&standing, &admin, Wish::RemoveKey { id: of_owner.id.clone() }), Err(Code::Forbidden));
    assert_eq!(apply(&standing, &admin, suspend(&of_owner.id)), Err(Code::Forbidden));
    assert_eq!(apply(&standing, &owner, put(&of_owner.id, State::Active, Some(Role::Viewer))), Err(Code::BodyInvalid));
    let foreign = elsewhere(&owner, "t_other", Env::Dev);
    assert_eq!(rotate(&foreign, &of_member.id), Err(Code::KeyUnknown));
    assert_eq!(apply(&standing, &foreign, Wish::RemoveKey { id: of_member.id.clone() }), Err(Code::KeyUnknown));
    assert_eq!(apply(&standing, &foreign, suspend(&of_member.id)), Err(Code::KeyUnknown));
}

#[test]
fn a_rotated_key_has_two_tokens_and_a_removed_one_none() {
    let (standing, admin) = (Standing::default(), person("ada", Role::Admin, None, 0));
    let key = made(&standing, &admin, Role::Member);
    let proves = |digest: &Digest, now_ms| {
        standing.prove_key(digest, &roles(), now_ms).map(|principal| principal.sub).map_err(|refusal| refusal.code)
    };
    for digest in [[1; 32], [2; 32]] {
        apply(&standing, &admin, Wish::RotateKey { id: key.id.clone(), digest, grace_ms: 10 }).unwrap();
    }
    let all = [key.digest, [1; 32], [2; 32]];
    let known = || Ok(key.id.clone());
    assert_eq!(all.map(|digest| proves(&digest, NOW + 9)), [Err(Code::TokenInvalid), known(), known()]);
    assert_eq!(proves(&[1; 32], NOW + 10), Err(Code::TokenExpired));
    // A hub that starts again knows the same.
    let again = Standing::of(vec![Change::PutKey(Box::new(standing.key(&key.scope, &key.id).unwrap()))]);
    assert!(again.prove_key(&[1; 32], &roles(), NOW).is_ok() && again.prove_key(&[2; 32], &roles(), NOW).is_ok());
    apply(&standing, &admin, Wish::RemoveKey { id: key.id.clone() }).unwrap();
    assert_eq!(all.map(|digest| proves(&digest, NOW)), [const { Err(Code::TokenInvalid) }; 3]);
    assert!(standing.keys(&key.scope, "", 9).is_empty());
}
