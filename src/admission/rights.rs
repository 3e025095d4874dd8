//! Rights on a topic: who may read, write and manage it. Pure; the one rule for every transport.

use tambour_actors::log::{NewTopic, Visibility};
use tambour_actors::principal::{Permission, Principal, Role};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::gate::Right;
use tambour_actors::topic_key::TopicKind;

/// Checks a right of a principal on a topic of their own scope.
///
/// # Errors
/// `permission.denied`.
pub fn check(principal: &Principal, topic: &NewTopic, right: Right) -> Result<(), Refusal> {
    debug_assert_eq!(principal.scope, topic.key.scope());
    let member = topic.members.iter().find(|member| member.sub == principal.sub);
    let kind = topic.key.kind();
    if matches!(kind, TopicKind::System | TopicKind::Feed) {
        return match right {
            Right::Read if !principal.reaches(&topic.key) => Err(out_of_reach()),
            Right::Read => require(principal, Permission::read(kind)),
            Right::Write | Right::Manage => Err(not_written()),
        };
    }
    let own = principal.role.administers() || topic.creator == principal.sub;
    let shared = topic.visibility != Visibility::Private;
    // A viewer never writes, whatever they made or were let into.
    let writes = principal.role >= Role::Member && !principal.read_only;
    let allowed = principal.reaches(&topic.key)
        && match right {
            Right::Read => {
                let team = topic.visibility == Visibility::Team && principal.has(Permission::read(kind));
                own || member.is_some() || topic.visibility == Visibility::Public || team
            }
            Right::Write => {
                let shared = shared && Permission::write(kind).is_some_and(|key| principal.has(key));
                writes && (own || shared || member.is_some_and(|member| member.can_write))
            }
            Right::Manage => writes && own,
        };
    if allowed {
        return Ok(());
    }
    let detail = match right {
        _ if !principal.reaches(&topic.key) => return Err(out_of_reach()),
        Right::Read => "this topic is not shared with you: you are no member of it",
        Right::Write if check(principal, topic, Right::Read).is_err() => {
            "this topic is not shared with you: you are no member of it"
        }
        Right::Write => "you may read this topic, not write to it",
        Right::Manage => "only its creator, an owner or an admin may do this",
    };
    Err(Refusal::new(Code::Forbidden, detail))
}

/// Checks that a principal may create topics of a kind.
///
/// # Errors
/// `permission.denied`.
pub fn check_create(principal: &Principal, kind: TopicKind) -> Result<(), Refusal> {
    if principal.role == Role::Viewer {
        return Err(Refusal::new(Code::Forbidden, "a viewer creates no topics"));
    }
    Permission::write(kind).map_or_else(|| Err(not_written()), |key| require(principal, key))
}

/// Of what a stream token is not for.
fn out_of_reach() -> Refusal {
    Refusal::new(Code::Forbidden, "your stream token is for other topics")
}

/// Of what nobody writes: the feed, and `system/tenant`.
#[must_use]
pub fn not_written() -> Refusal {
    Refusal::new(Code::Forbidden, "the hub alone writes here")
}

/// Checks that a principal has a permission key.
///
/// # Errors
/// `permission.denied`, with the key that is missing.
pub fn require(principal: &Principal, permission: Permission) -> Result<(), Refusal> {
    if principal.has(permission) {
        return Ok(());
    }
    let key = permission.as_str();
    Err(Refusal::new(Code::Forbidden, format!("this needs the permission {key}")).with("permission", key))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tambour_actors::cursor::Incarnation;
    use tambour_actors::log::Member;
    use tambour_actors::principal::{ActorType, Granted, Proof, StreamProof};
    use tambour_actors::topic_key::{Env, Scope, Tenant, TopicKey};

    use super::*;

    const READ: &[Permission] = &[Permission::ThreadsRead];
    const BOTH: &[Permission] = &[Permission::ThreadsRead, Permission::ThreadsWrite];

    /// Somebody in the demo tenant, with the keys of their role.
    fn principal(role: Role, sub: &str) -> Principal {
        let keys = if role == Role::Viewer { READ } else { BOTH };
        Principal {
            sub: sub.into(),
            scope: Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev },
            granted: Granted { role, permissions: keys.iter().copied().collect() },
            role,
            actor_type: ActorType::Human,
            read_only: false,
            permissions: keys.iter().copied().collect(),
            acts_for: None,
            proof: Proof::Main { jti: None, issued_at_ms: 0 },
            expires_at_ms: i64::MAX,
        }
    }

    fn topic_of(principal: &Principal, visibility: Visibility, can_write: Option<bool>) -> NewTopic {
        NewTopic {
            key: TopicKey::new(&principal.scope, TopicKind::Thread, "x").unwrap(),
            creator: "creator".into(),
            title: None,
            visibility,
            members: can_write.map(|can_write| Member { sub: "alice".into(), can_write }).into_iter().collect(),
            created_at_ms: 0,
            incarnation: Incarnation(0),
        }
    }

    /// r, w, m for each right that they have on thread/x.
    fn rights_of(principal: &Principal, visibility: Visibility, can_write: Option<bool>) -> String {
        let topic = topic_of(principal, visibility, can_write);
        [(Right::Read, 'r'), (Right::Write, 'w'), (Right::Manage, 'm')]
            .iter()
            .filter(|(right, _)| check(principal, &topic, *right).is_ok())
            .map(|(_, letter)| letter)
            .collect()
    }

    fn rights(role: Role, sub: &str, visibility: Visibility, can_write: Option<bool>) -> String {
        rights_of(&principal(role, sub), visibility, can_write)
    }

    #[test]
    fn keys_open_what_is_shared_with_the_team() {
        use Visibility::{Private, Public, Team};
        let with = |keys: &[Permission]| Principal {
            permissions: keys.iter().copied().collect(),
            ..principal(Role::Member, "alice")
        };
        assert_eq!(rights_of(&with(&[]), Team, None), "");
        assert_eq!(rights_of(&with(&[]), Public, None), "r");
        assert_eq!(rights_of(&with(&[]), Private, Some(true)), "rw");
        assert_eq!(rights_of(&with(READ), Team, None), "r");
        assert_eq!(rights_of(&with(READ), Public, None), "r");
        assert_eq!(rights_of(&with(&[Permission::CanvasesRead, Permission::CanvasesWrite]), Team, None), "");
        let owner = Principal { role: Role::Owner, ..with(&[]) };
        assert_eq!(rights_of(&owner, Private, None), "rwm");
        assert_eq!(require(&with(&[]), Permission::KeysWrite).unwrap_err().code, Code::Forbidden);
        assert!(require(&owner, Permission::KeysWrite).is_ok());
        assert!(require(&owner, Permission::PrincipalsAct).is_err(), "people act for themselves");
    }

    #[test]
    fn a_stream_token_has_less_than_its_parent() {
        let stream = |id: Option<&str>| {
            let admin = principal(Role::Admin, "alice");
            let topics = id.map(|id| vec![TopicKey::new(&admin.scope, TopicKind::Thread, id).unwrap()]);
            let parent = admin.proof.clone();
            Principal {
                proof: Proof::Stream(Arc::new(StreamProof {
                    digest: [0; 32],
                    parent,
                    issuer: None,
                    issued_at_ms: 0,
                    topics,
                })),
                ..admin
            }
        };
        assert_eq!(rights_of(&stream(None), Visibility::Private, None), "rwm");
        assert_eq!(rights_of(&stream(Some("x")), Visibility::Private, None), "rwm");
        assert_eq!(rights_of(&stream(Some("y")), Visibility::Public, None), "");
        let feed = |principal: &Principal| {
            let key = TopicKey::feed(&principal.scope);
            let topic = NewTopic { key, ..topic_of(principal, Visibility::Team, None) };
            check(principal, &topic, Right::Read).is_ok()
        };
        assert!(feed(&stream(None)) && !feed(&stream(Some("x"))), "a token for topics is not for all of them");
        let read_only = Principal { read_only: true, ..stream(Some("x")) };
        assert_eq!(rights_of(&read_only, Visibility::Public, Some(true)), "r");
    }

    #[test]
    fn the_whole_table() {
        use Role::{Admin, Member, Owner, Viewer};
        use Visibility::{Private, Public, Team};
        for visibility in [Private, Team, Public] {
            assert_eq!(rights(Owner, "alice", visibility, None), "rwm");
            assert_eq!(rights(Admin, "alice", visibility, None), "rwm");
            assert_eq!(rights(Member, "creator", visibility, None), "rwm");
            assert_eq!(rights(Viewer, "creator", visibility, None), "r");
            assert_eq!(rights(Viewer, "alice", visibility, Some(true)), "r");
        }
        assert_eq!(rights(Member, "alice", Private, None), "");
        assert_eq!(rights(Viewer, "alice", Private, None), "");
        assert_eq!(rights(Member, "alice", Private, Some(false)), "r");
        assert_eq!(rights(Member, "alice", Private, Some(true)), "rw");
        for visibility in [Team, Public] {
            assert_eq!(rights(Member, "alice", visibility, None), "rw");
            assert_eq!(rights(Viewer, "alice", visibility, None), "r");
        }
    }
}
