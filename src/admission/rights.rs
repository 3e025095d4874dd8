//! Rights on a topic: who may read, write and manage it. Pure; the one rule for every transport.

use tambour_actors::log::{NewTopic, Visibility};
use tambour_actors::principal::{Principal, Role};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::gate::Right;

/// Checks a right of a principal on a topic of their own scope.
///
/// # Errors
/// `permission.denied`.
pub fn check(principal: &Principal, topic: &NewTopic, right: Right) -> Result<(), Refusal> {
    debug_assert_eq!(principal.scope, topic.key.scope());
    let member = topic.members.iter().find(|member| member.sub == principal.sub);
    let own = principal.role.administers() || topic.creator == principal.sub;
    let shared = topic.visibility != Visibility::Private;
    let writes = principal.role >= Role::Member;
    let allowed = match right {
        Right::Read => own || shared || member.is_some(),
        // A viewer never writes, whatever they made or were let into.
        Right::Write => writes && (own || shared || member.is_some_and(|member| member.can_write)),
        Right::Manage => writes && own,
    };
    if allowed {
        return Ok(());
    }
    let detail = match right {
        Right::Read => "this topic is private and you are no member of it",
        Right::Write if check(principal, topic, Right::Read).is_err() => {
            "this topic is private and you are no member of it"
        }
        Right::Write => "you may read this topic, not write to it",
        Right::Manage => "only its creator, an owner or an admin may do this",
    };
    Err(Refusal::new(Code::Forbidden, detail))
}

/// Checks that a principal may create topics.
///
/// # Errors
/// `permission.denied`.
pub fn check_create(principal: &Principal) -> Result<(), Refusal> {
    if principal.role >= Role::Member {
        return Ok(());
    }
    Err(Refusal::new(Code::Forbidden, "a viewer creates no topics"))
}

#[cfg(test)]
mod tests {
    use tambour_actors::cursor::Incarnation;
    use tambour_actors::log::Member;
    use tambour_actors::principal::ActorType;
    use tambour_actors::topic_key::{Env, Scope, Tenant, TopicKey, TopicKind};

    use super::*;

    /// `expected`: r, w, m for each right that is given.
    fn rights(role: Role, sub: &str, visibility: Visibility, can_write: Option<bool>) -> String {
        let scope = Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev };
        let topic = NewTopic {
            key: TopicKey::new(&scope, TopicKind::Thread, "x").unwrap(),
            creator: "creator".into(),
            title: None,
            visibility,
            members: can_write.map(|can_write| Member { sub: "alice".into(), can_write }).into_iter().collect(),
            created_at_ms: 0,
            incarnation: Incarnation(0),
        };
        let principal =
            Principal { sub: sub.into(), scope, role, actor_type: ActorType::Human, expires_at_ms: i64::MAX };
        [(Right::Read, 'r'), (Right::Write, 'w'), (Right::Manage, 'm')]
            .iter()
            .filter(|(right, _)| check(&principal, &topic, *right).is_ok())
            .map(|(_, letter)| letter)
            .collect()
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
