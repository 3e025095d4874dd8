//! The rule of the kill switch, against a slower one that says the same in other words, and under any sequence of changes.

use proptest::prelude::*;
use tambour_actors::principal::{Granted, Permissions, Proof};
use tambour_actors::topic_key::{Env, Scope, Tenant};

use super::*;
use crate::routes::ROUTES;

const ROLES: [Role; 4] = [Role::Viewer, Role::Member, Role::Admin, Role::Owner];
const NAMES: [&str; 8] = [
    "*",
    "threads.*",
    "threads.read",
    "threads.stream",
    "threads.members.*",
    "canvases.publish",
    "sessions.end",
    "session.open",
];

fn somebody(role: Role) -> Principal {
    Principal {
        sub: role.as_str().into(),
        scope: Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev },
        granted: Granted { role, permissions: Permissions::NONE },
        role,
        actor_type: ActorType::Human,
        read_only: false,
        permissions: Permissions::NONE,
        acts_for: None,
        proof: Proof::Main { jti: None, issued_at_ms: 0 },
        expires_at_ms: 0,
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    let names = prop::sample::subsequence(&NAMES[..], 0..=NAMES.len());
    let providers = prop::sample::subsequence(vec!["acme", "other"], 0..=2);
    (names, any::<bool>(), providers).prop_map(|(actions, autonomy, providers)| Asked {
        actions: actions.into_iter().map(Arc::from).collect(),
        autonomy,
        providers: providers.into_iter().map(Arc::from).collect(),
        reason: None,
    })
}

fn put(before: Option<&KillSwitch>, asked: &Asked, by: Role) -> Result<KillSwitch, Code> {
    KillSwitch::replaced(before, asked.clone(), &somebody(by), 7).map_err(|refusal| refusal.code)
}

/// Everything that is off, with the role that put it, under names that can't be confused.
fn held(said: &KillSwitch) -> BTreeMap<String, Role> {
    let actions = said.actions.iter().map(|(name, role)| (format!("action {name}"), *role));
    let providers = said.providers.iter().map(|(name, role)| (format!("provider {name}"), *role));
    actions.chain(providers).chain(said.autonomy.map(|role| ("autonomy".to_owned(), role))).collect()
}

fn wanted(asked: &Asked) -> BTreeSet<String> {
    let actions = asked.actions.iter().map(|name| format!("action {name}"));
    let providers = asked.providers.iter().map(|name| format!("provider {name}"));
    actions.chain(providers).chain(asked.autonomy.then(|| "autonomy".to_owned())).collect()
}

proptest! {
    #[test]
    fn nobody_lifts_what_a_higher_role_put(steps in prop::collection::vec((asked(), 0_usize..4), 1..12)) {
        let mut said: Option<KillSwitch> = None;
        for (asked, by) in steps {
            let by = ROLES[by];
            let before = said.as_ref().map(held).unwrap_or_default();
            let lifts = before.iter().any(|(name, role)| *role > by && !wanted(&asked).contains(name));
            match put(said.as_ref(), &asked, by) {
                Err(code) => prop_assert!(lifts && code == Code::Forbidden),
                Ok(next) => {
                    prop_assert!(!lifts);
                    let after = held(&next);
                    prop_assert_eq!(after.keys().cloned().collect::<BTreeSet<_>>(), wanted(&asked));
                    for (name, role) in &after {
                        let expected = before.get(name).map_or(by, |role| by.max(*role));
                        prop_assert_eq!(*role, expected, "{}", name);
                    }
                    prop_assert_eq!((&*next.changed_by, next.changed_at_ms), (by.as_str(), 7));
                    prop_assert_eq!(next.is_idle(), wanted(&asked).is_empty());
                    said = Some(next);
                }
            }
        }
    }

    #[test]
    fn what_is_named_is_refused_and_nothing_else(asked in asked()) {
        let said = put(None, &asked, Role::Owner).unwrap();
        for route in ROUTES.iter().filter(|route| route.access != crate::routes::Access::Public) {
            let doing = route.doing();
            let parts: Vec<&str> = route.action.split('.').collect();
            let named = |name: &str| match name {
                "*" => true,
                name if name.ends_with(".*") => {
                    let family: Vec<&str> = name.split('.').collect();
                    family.len() <= parts.len() && family[..family.len() - 1] == parts[..family.len() - 1]
                }
                name => name == route.action || (name == "threads.read" && route.action == "threads.stream"),
            };
            let off = route.can_be_off() && asked.actions.iter().any(|name| named(name));
            for actor in [ActorType::Human, ActorType::System, ActorType::Agent] {
                let agent = actor == ActorType::Agent && asked.autonomy && doing.writes;
                let told = said.check(actor, doing);
                prop_assert_eq!(told.is_err(), off || agent, "{} {:?}", route.action, asked);
                if let Err(refusal) = told {
                    prop_assert_eq!(refusal.code, Code::KillSwitch);
                    prop_assert!(refusal.more.unwrap().contains_key("action"));
                }
            }
        }
        for provider in ["acme", "ACME", "other", "nobody", ""] {
            let off = asked.providers.contains(provider.to_lowercase().as_str());
            prop_assert_eq!(said.check_provider(provider).is_err(), off, "{}", provider);
        }
    }
}

#[test]
fn what_is_read_by_frames_and_streams_is_the_action_of_its_pages() {
    for kind in [TopicKind::Thread, TopicKind::Canvas] {
        let of = |last: &str| {
            ROUTES.iter().find(|route| route.kind() == Some(kind) && route.action.ends_with(last)).unwrap()
        };
        assert_eq!(Doing::read(kind), of(".read").doing());
        assert_eq!(Doing::publish(kind), Some(of(".publish").doing()));
        let also = ALSO.iter().find(|(own, _)| *own == of(".stream").action);
        assert_eq!(also.map(|(_, also)| *also), Some(of(".read").action));
    }
    assert_eq!([TopicKind::Feed, TopicKind::System].map(|kind| Doing::read(kind).action), ["feed.read"; 2]);
    assert_eq!([TopicKind::Feed, TopicKind::System].map(Doing::publish), [None; 2]);
}
