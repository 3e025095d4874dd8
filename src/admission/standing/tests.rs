//! The rules of standing as tables: what overrides which token, who may say so, and that nothing of one tenant or env is
//! looked at in another.

use std::sync::Arc;

use tambour_actors::principal::{
    ActorType, Granted, KeyToken, Permission, Permissions, Principal, Proof, Role, StreamProof,
};
use tambour_actors::refusal::Code;
use tambour_actors::topic_key::{Env, Scope, Tenant};

use super::change::{Change, KEPT_BEHIND_MS, Revocation, Revoked, State};
use super::decide::{NewKey, REVOCATIONS_MAX, Wish};
use super::*;
use crate::config::Settings;
use crate::identity::service_key::new_id;

/// When everything here happens, in milliseconds.
const NOW: i64 = 1_000_000;
/// When tokens expire.
const FAR: i64 = 1_000 * NOW;

/// Of the token that every key here is made with.
const FIRST: Digest = [7; 32];

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
        expires_at_ms: FAR,
    })
}

/// With a stream token made then: of their own, or of a key for them.
fn streaming(of: &Principal, issuer: Option<&str>, issued_at_ms: i64) -> Arc<Principal> {
    let parent = if issuer.is_some() { Proof::Key(KeyToken::of(&FIRST)) } else { of.proof.clone() };
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
    Wish::Revoke { revoked: Revoked::Sub(sub.into()), expires_at_ms: None }
}

fn of_jti(jti: &str, expires_at_ms: Option<i64>) -> Wish {
    Wish::Revoke { revoked: Revoked::Jti(jti.into()), expires_at_ms }
}

fn new_key(role: Role, permissions: &[Permission]) -> Wish {
    Wish::MakeKey(NewKey {
        id: new_id(),
        name: "bot".to_owned(),
        actor_type: ActorType::Agent,
        role,
        permissions: permissions.iter().copied().collect(),
        expires_at_ms: None,
        digest: FIRST,
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
    let key = Arc::new(Principal { proof: Proof::Key(KeyToken::of(&FIRST)), ..(*bob).clone() });
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
    apply(&standing, &admin, of_jti("stolen", None)).unwrap();
    let stolen = person("bob", Role::Admin, Some("stolen"), i64::MAX);
    assert_eq!(left(&standing, &stolen), Err(Code::TokenRevoked), "whose it was is not known");
    let owners = person("olga", Role::Owner, Some("stolen"), i64::MAX);
    assert_eq!([left(&standing, &owners), left(&standing, &streaming(&owners, None, NOW + 1))], [Ok("same"); 2]);
    apply(&standing, &person("otto", Role::Owner, None, 0), of_jti("stolen", None)).unwrap();
    assert_eq!(left(&standing, &owners), Err(Code::TokenRevoked));
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
    let again = Standing::of(vec![Change::PutKey(Box::new(standing.key(&key.scope, &key.id).unwrap()))], NOW);
    assert!(again.prove_key(&[1; 32], &roles(), NOW).is_ok() && again.prove_key(&[2; 32], &roles(), NOW).is_ok());
    apply(&standing, &admin, Wish::RemoveKey { id: key.id.clone() }).unwrap();
    assert_eq!(all.map(|digest| proves(&digest, NOW)), [const { Err(Code::TokenInvalid) }; 3]);
    assert!(standing.keys(&key.scope, "", 9).is_empty());
}

#[test]
fn what_a_key_s_token_made_ends_with_that_token() {
    let (standing, admin) = (Standing::default(), person("ada", Role::Admin, None, 0));
    let key = made(&standing, &admin, Role::Member);
    let of = |digest: Digest| {
        let mut person = (*streaming(&person("bob", Role::Member, None, 0), Some(&key.id), NOW)).clone();
        let Proof::Stream(stream) = &person.proof else { unreachable!() };
        let stream = StreamProof { parent: Proof::Key(KeyToken::of(&digest)), ..(**stream).clone() };
        person.proof = Proof::Stream(Arc::new(stream));
        // The key for itself, and by a stream token of its own.
        let own = Principal { sub: key.id.clone(), proof: Proof::Key(KeyToken::of(&digest)), ..person.clone() };
        let streaming = streaming(&own, None, NOW);
        [Arc::new(person), Arc::new(own), streaming]
    };
    let ends = |digest: Digest| {
        of(digest).map(|of| match standing.review(&of, &roles()) {
            Ok(None) => Ok(FAR),
            Ok(Some(left)) => Ok(left.expires_at_ms),
            Err(refusal) => Err(refusal.code),
        })
    };
    assert_eq!(ends(FIRST), [Ok(FAR); 3]);
    apply(&standing, &admin, Wish::RotateKey { id: key.id.clone(), digest: [1; 32], grace_ms: 10 }).unwrap();
    assert_eq!((ends(FIRST), ends([1; 32])), ([Ok(NOW + 10); 3], [Ok(FAR); 3]));
    apply(&standing, &admin, Wish::RotateKey { id: key.id.clone(), digest: [2; 32], grace_ms: 20 }).unwrap();
    let over = [Err(Code::TokenRevoked); 3];
    assert_eq!((ends(FIRST), ends([1; 32]), ends([2; 32])), (over, [Ok(NOW + 20); 3], [Ok(FAR); 3]));
    // A replaced token administers no keys, also where its grace is not what ends it first.
    let [_, mut own, _] = of([1; 32]);
    Arc::make_mut(&mut own).permissions = [Permission::KeysWrite].into_iter().collect();
    assert_eq!(apply(&standing, &own, new_key(Role::Viewer, &[])), Err(Code::Forbidden));
    apply(&standing, &admin, Wish::RemoveKey { id: key.id.clone() }).unwrap();
    assert_eq!([ends([1; 32]), ends([2; 32])], [over; 2]);
}

#[test]
fn a_revocation_is_kept_while_its_token_is_good() {
    let (standing, admin) = (Standing::default(), person("ada", Role::Admin, None, 0));
    let olga = person("olga", Role::Owner, None, 0);
    let at = |now_ms: i64, by: &Principal, wish: Wish| {
        let change = standing.decide(by, wish, now_ms).map_err(|refusal| refusal.code)?;
        standing.apply(change);
        Ok::<_, Code>(())
    };
    let revoked = |jti: &str, role| left(&standing, &person("bob", role, Some(jti), 0)).is_err();
    at(NOW, &admin, of_jti("short", Some(NOW + 1))).unwrap();
    at(NOW, &admin, of_jti("longer", Some(NOW + 1))).unwrap();
    // What is said again makes nothing weaker.
    at(NOW, &admin, of_jti("longer", Some(NOW + 3))).unwrap();
    at(NOW, &admin, of_jti("longer", Some(NOW + 2))).unwrap();
    at(NOW, &admin, of_jti("for ever", None)).unwrap();
    at(NOW, &admin, of_jti("for ever", Some(NOW + 1))).unwrap();
    at(NOW, &olga, of_jti("short", Some(NOW + 3))).unwrap();
    let behind = |ms| NOW + ms + KEPT_BEHIND_MS;
    let kept = |jti| (revoked(jti, Role::Admin), revoked(jti, Role::Owner));
    at(behind(1), &admin, of_jti("other", None)).unwrap();
    assert_eq!([kept("short"), kept("longer"), kept("for ever")], [(true, true), (true, false), (true, false)]);
    at(behind(3), &admin, of_sub("bobby")).unwrap();
    assert_eq!([kept("short"), kept("longer")], [(true, true), (true, false)], "to the end");
    at(behind(3) + 1, &admin, of_sub("bobby")).unwrap();
    assert_eq!([kept("short"), kept("longer"), kept("for ever")], [(false, false), (false, false), (true, false)]);
    for (wish, now_ms) in [(of_jti("past", Some(NOW)), behind(0) + 1), (of_jti("past", Some(i64::MIN)), NOW)] {
        assert_eq!(at(now_ms, &admin, wish), Err(Code::BodyInvalid));
    }
    let of_sub = Wish::Revoke { revoked: Revoked::Sub("bob".into()), expires_at_ms: Some(NOW + 1) };
    assert_eq!(at(NOW, &admin, of_sub), Err(Code::BodyInvalid));
}

#[test]
fn revocations_that_nobody_needs_take_no_place() {
    let admin = person("ada", Role::Admin, None, 0);
    let revoke = |number: usize, expires_at_ms| {
        let revocation = Revocation { authority: Role::Admin, at_ms: NOW, expires_at_ms };
        Change::Revoke(admin.scope.clone(), Revoked::Jti(number.to_string().into()), revocation)
    };
    let full = |expires_at_ms| (0..REVOCATIONS_MAX).map(|number| revoke(number, expires_at_ms)).collect::<Vec<_>>();
    let later = NOW + KEPT_BEHIND_MS + 2;
    let may = |standing: &Standing, now_ms| {
        standing.decide(&admin, of_jti("one more", None), now_ms).map(drop).map_err(|refusal| refusal.code)
    };
    let standing = Standing::of(full(Some(NOW + 1)), NOW);
    assert_eq!([may(&standing, NOW), may(&standing, later)], [Err(Code::AuthorityLimit), Ok(())]);
    assert_eq!(may(&Standing::of(full(Some(NOW + 1)), later), NOW), Ok(()), "nor when a hub starts");
    assert_eq!(may(&Standing::of(full(None), NOW), later), Err(Code::AuthorityLimit));
}
