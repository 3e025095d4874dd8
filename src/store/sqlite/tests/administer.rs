//! What is said of identities is kept whole, read back as it was, and changed by nothing else.

use tambour_actors::principal::{ActorType, Permission, Role};

use super::*;
use crate::admission::standing::change::{Change, Order, Revocation, Revoked, State};
use crate::identity::service_key::ServiceKey;

fn scope(tenant: &str, env: Env) -> Scope {
    Scope { tenant: Tenant::parse(tenant).unwrap(), env }
}

fn service_key(scope: Scope, id: &str) -> ServiceKey {
    ServiceKey {
        id: id.into(),
        scope,
        name: "The bot's name: ünïcode".to_owned(),
        actor_type: ActorType::System,
        role: Role::Admin,
        permissions: [Permission::KeysWrite, Permission::PrincipalsAct].into_iter().collect(),
        expires_at_ms: Some(7),
        created_by: "alice".into(),
        created_at_ms: 5,
        digest: [1; 32],
        rotated: None,
    }
}

fn order(state: State, role: Option<Role>) -> Order {
    Order { state, role, authority: Role::Owner, changed_by: "alice".into(), changed_at_ms: 3 }
}

/// In an order that does not matter.
fn kept(store: &SqliteStore) -> Vec<String> {
    let mut kept: Vec<_> = wait(store.standing()).unwrap().iter().map(|change| format!("{change:?}")).collect();
    kept.sort();
    kept
}

#[test]
fn what_is_kept_comes_back_and_what_is_removed_does_not() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let (demo, other) = (scope("t_demo", Env::Dev), scope("t_demo", Env::Prod));
    let plain = ServiceKey { expires_at_ms: None, digest: [2; 32], ..service_key(demo.clone(), "key:b") };
    let rotated = service_key(demo.clone(), "key:a").rotated([3; 32], 10, 20);
    let revoke =
        |revoked: Revoked, authority, at_ms| Change::Revoke(demo.clone(), revoked, Revocation { authority, at_ms });
    let (jti, sub) = (|| Revoked::Jti("same".into()), || Revoked::Sub("same".into()));
    let stays = [
        Change::PutKey(Box::new(plain)),
        Change::PutKey(Box::new(rotated)),
        Change::PutKey(Box::new(ServiceKey { digest: [4; 32], ..service_key(other.clone(), "key:a") })),
        Change::PutPrincipal(demo.clone(), "bob".into(), order(State::Suspended, None)),
        Change::PutPrincipal(other.clone(), "bob".into(), order(State::Active, Some(Role::Viewer))),
        revoke(jti(), Role::Admin, 9),
        revoke(sub(), Role::Admin, 9),
        revoke(sub(), Role::Owner, 8),
    ];
    let before = [
        Change::PutKey(Box::new(service_key(demo.clone(), "key:a"))),
        Change::PutKey(Box::new(ServiceKey { digest: [5; 32], ..service_key(demo.clone(), "key:gone") })),
        Change::PutPrincipal(demo.clone(), "bob".into(), order(State::Active, Some(Role::Admin))),
        Change::PutPrincipal(demo.clone(), "carol".into(), order(State::Suspended, None)),
        revoke(sub(), Role::Admin, 4),
    ];
    let behind = [
        Change::RemoveKey(demo.clone(), "key:gone".into()),
        Change::RemovePrincipal(demo.clone(), "carol".into()),
        // Of another env, and of nobody: nothing goes.
        Change::RemoveKey(other, "key:b".into()),
        Change::RemovePrincipal(demo.clone(), "nobody".into()),
        // A clock that went back.
        revoke(sub(), Role::Owner, 2),
    ];
    for change in before.iter().chain(&stays).chain(&behind) {
        wait(store.administer(change.clone(), deed())).unwrap();
    }
    let mut expected: Vec<_> = stays.iter().map(|change| format!("{change:?}")).collect();
    expected.sort();
    assert_eq!(kept(&store), expected);
    store.close();
    assert_eq!(kept(&open(&dir)), expected, "after a restart");
}

#[test]
fn a_row_that_is_none_keeps_the_hub_from_starting() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let suspended = Change::PutPrincipal(scope("t_demo", Env::Dev), "bob".into(), order(State::Suspended, None));
    wait(store.administer(suspended, deed())).unwrap();
    raw(&dir).execute("UPDATE principals SET state = 'whatever'", []).unwrap();
    // Who is suspended must not come in because of it.
    assert!(wait(store.standing()).is_err());
}
