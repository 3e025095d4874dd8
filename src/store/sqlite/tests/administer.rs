//! What is said of identities is kept whole, read back as it was, and changed by nothing else.

use tambour_actors::principal::{ActorType, Permission, Role};

use super::*;
use crate::admission::standing::change::{Change, KEPT_BEHIND_MS, Order, Revocation, Revoked, State};
use crate::admission::standing::kill_switch::KillSwitch;
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

fn kill_switch(actions: &[(&str, Role)]) -> KillSwitch {
    KillSwitch {
        actions: actions.iter().map(|(action, role)| ((*action).into(), *role)).collect(),
        autonomy: (!actions.is_empty()).then_some(Role::Owner),
        providers: actions.iter().map(|(_, role)| ("acme".into(), *role)).collect(),
        reason: (!actions.is_empty()).then(|| "\"quoted\" \\ ünïcode".into()),
        changed_by: "alice".into(),
        changed_at_ms: 3,
    }
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
    let until = |revoked: Revoked, authority, at_ms, expires_at_ms| {
        Change::Revoke(demo.clone(), revoked, Revocation { authority, at_ms, expires_at_ms })
    };
    let revoke = |revoked: Revoked, authority, at_ms| until(revoked, authority, at_ms, None);
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
        until(Revoked::Jti("longest".into()), Role::Admin, 9, Some(30)),
        Change::PutKillSwitch(demo.clone(), kill_switch(&[("*", Role::Owner), ("threads.read", Role::Admin)])),
        Change::PutKillSwitch(other.clone(), kill_switch(&[])),
    ];
    let before = [
        Change::PutKey(Box::new(service_key(demo.clone(), "key:a"))),
        Change::PutKey(Box::new(ServiceKey { digest: [5; 32], ..service_key(demo.clone(), "key:gone") })),
        Change::PutPrincipal(demo.clone(), "bob".into(), order(State::Active, Some(Role::Admin))),
        Change::PutPrincipal(demo.clone(), "carol".into(), order(State::Suspended, None)),
        revoke(sub(), Role::Admin, 4),
        until(Revoked::Jti("longest".into()), Role::Admin, 3, Some(20)),
        Change::PutKillSwitch(demo.clone(), kill_switch(&[("canvases.*", Role::Admin)])),
        Change::PutKillSwitch(other.clone(), kill_switch(&[("*", Role::Member)])),
        // For ever once is for ever.
        until(jti(), Role::Admin, 9, Some(5)),
    ];
    let behind = [
        Change::RemoveKey(demo.clone(), "key:gone".into()),
        Change::RemovePrincipal(demo.clone(), "carol".into()),
        // Of another env, and of nobody: nothing goes.
        Change::RemoveKey(other, "key:b".into()),
        Change::RemovePrincipal(demo.clone(), "nobody".into()),
        // A clock that went back.
        revoke(sub(), Role::Owner, 2),
        until(Revoked::Jti("longest".into()), Role::Admin, 3, Some(10)),
        until(jti(), Role::Admin, 9, Some(5)),
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
    let off = Change::PutKillSwitch(scope("t_demo", Env::Dev), kill_switch(&[("*", Role::Owner)]));
    wait(store.administer(off, deed())).unwrap();
    raw(&dir).execute("UPDATE principals SET state = 'whatever'", []).unwrap();
    // Who is suspended must not come in because of it.
    assert!(wait(store.standing()).is_err());
    raw(&dir).execute("UPDATE principals SET state = 'suspended'", []).unwrap();
    assert!(wait(store.standing()).is_ok());
    // Nor may what is switched off be on.
    raw(&dir).execute("UPDATE kill_switches SET body = '{\"actions\":{},\"providers\":{},\"more\":1}'", []).unwrap();
    assert!(wait(store.standing()).is_err());
}

#[test]
fn revocations_go_when_their_tokens_are_over() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let revoke = |number: i64, at_ms, expires_at_ms| {
        let revocation = Revocation { authority: Role::Admin, at_ms, expires_at_ms };
        let revoked = Revoked::Jti(number.to_string().into());
        wait(store.administer(Change::Revoke(scope("t_demo", Env::Dev), revoked, revocation), deed())).unwrap();
    };
    (0..100).for_each(|number| revoke(number, 0, Some(1)));
    (100..200).for_each(|number| revoke(number, 0, (number % 2 == 0).then_some(2)));
    revoke(200, KEPT_BEHIND_MS + 1, None);
    assert_eq!(kept(&store).len(), 201, "they are needed");
    // Some at a time, and more than come in.
    let counts: Vec<_> =
        (201..204).map(|number| (revoke(number, KEPT_BEHIND_MS + 2, None), kept(&store).len()).1).collect();
    assert_eq!(counts, [201 + 1 - 64, 201 + 2 - 100, 201 + 3 - 100]);
}

#[test]
fn what_ends_tokens_is_left_until_it_was_carried_out() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let demo = scope("t_demo", Env::Dev);
    let revoke = |authority, at_ms| {
        let revocation = Revocation { authority, at_ms, expires_at_ms: None };
        Change::Revoke(demo.clone(), Revoked::Sub("bob".into()), revocation)
    };
    let ends = [
        revoke(Role::Admin, 1),
        revoke(Role::Owner, 2),
        Change::Revoke(
            demo.clone(),
            Revoked::Jti("j".into()),
            Revocation { authority: Role::Viewer, at_ms: 3, expires_at_ms: Some(4) },
        ),
        Change::PutPrincipal(demo.clone(), "carol".into(), order(State::Suspended, None)),
        Change::RemoveKey(demo.clone(), "key:a".into()),
    ];
    let others = [
        Change::PutKey(Box::new(service_key(demo.clone(), "key:a"))),
        Change::PutPrincipal(demo.clone(), "carol".into(), order(State::Active, Some(Role::Viewer))),
        Change::RemovePrincipal(demo.clone(), "carol".into()),
    ];
    for change in others.iter().chain(&ends) {
        wait(store.administer(change.clone(), deed())).unwrap();
    }
    let expected: Vec<_> = ends.iter().map(|change| change.ends_tokens().unwrap()).collect();
    let left = |after| wait(store.endings(after)).unwrap();
    let which = |left: &[Ending]| left.iter().map(|ending| ending.which.clone()).collect::<Vec<_>>();
    let first = left(0);
    assert_eq!(which(&first), expected);
    assert_eq!(which(&left(first[2].id)), expected[3..]);
    wait(store.ended(first[0].id)).unwrap();
    // Said once more while it is carried out: that one is left.
    wait(store.administer(revoke(Role::Owner, 9), deed())).unwrap();
    wait(store.administer(revoke(Role::Owner, 8), deed())).unwrap();
    wait(store.ended(first[1].id)).unwrap();
    let again = revoke(Role::Owner, 9).ends_tokens().unwrap();
    let expected = [&expected[2..], &[again]].concat();
    assert_eq!(which(&left(0)), expected);
    store.close();
    assert_eq!(which(&wait(open(&dir).endings(0)).unwrap()), expected, "after a restart");
}
