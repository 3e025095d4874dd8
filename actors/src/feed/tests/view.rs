//! Who sees what, as a table; and what a filter lets pass.

use super::*;
use crate::cursor::Incarnation;
use crate::log::{LogId, Member, NewTopic, Visibility};
use crate::principal::{ActorType, Granted, Proof, Role};
use crate::topic_key::{Env, Tenant};

fn scope() -> Scope {
    Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev }
}

fn principal(role: Role, permissions: &[Permission]) -> Principal {
    let permissions: Permissions = permissions.iter().copied().collect();
    Principal {
        sub: "alice".into(),
        scope: scope(),
        granted: Granted { role, permissions },
        role,
        actor_type: ActorType::Human,
        read_only: false,
        permissions,
        acts_for: None,
        proof: Proof::Main { jti: None, issued_at_ms: 0 },
        expires_at_ms: i64::MAX,
    }
}

fn record(key: TopicKey, visibility: Visibility, creator: &str, member: Option<&str>) -> TopicRecord {
    let members = member.map(|sub| Member { sub: sub.into(), can_write: false }).into_iter().collect();
    let topic = NewTopic {
        key,
        creator: creator.into(),
        title: None,
        visibility,
        members,
        created_at_ms: 0,
        incarnation: Incarnation(1),
    };
    TopicRecord { log: LogId(1), topic }
}

fn topic(name: &str, visibility: Visibility) -> TopicRecord {
    record(TopicKey::parse(&scope(), name).unwrap(), visibility, "bob", None)
}

fn system() -> TopicRecord {
    record(TopicKey::system(&scope()), Visibility::Team, "", None)
}

#[test]
fn events_of_topics_are_seen_by_who_reads_them() {
    use Visibility::{Private, Public, Team};
    let nobody = Sight::of(&principal(Role::Member, &[]));
    let reader = Sight::of(&principal(Role::Viewer, &[Permission::ThreadsRead]));
    let admin = Sight::of(&principal(Role::Admin, &[]));
    let seen = |sight: &Sight, topic: &TopicRecord| sight.sees("note", topic, None);
    for (visibility, by_nobody, by_reader) in [(Private, false, false), (Team, false, true), (Public, true, true)] {
        let thread = topic("thread/x", visibility);
        let all = [seen(&nobody, &thread), seen(&reader, &thread), seen(&admin, &thread)];
        assert_eq!(all, [by_nobody, by_reader, true], "{visibility:?}");
    }
    assert!(!seen(&reader, &topic("canvas/x", Team)), "a canvas is no thread");
    let key = || TopicKey::parse(&scope(), "thread/x").unwrap();
    assert!(seen(&nobody, &record(key(), Private, "alice", None)), "their own");
    assert!(seen(&nobody, &record(key(), Private, "bob", Some("alice"))), "they are a member");
    assert!(!seen(&nobody, &record(key(), Private, "bob", Some("eve"))));
}

#[test]
fn events_of_the_tenant_have_their_audience() {
    let sees = |permissions: &[Permission], kind: &str, about: Option<&TopicRecord>| {
        Sight::of(&principal(Role::Member, permissions)).sees(kind, &system(), about)
    };
    let (private, public) = (topic("thread/x", Visibility::Private), topic("thread/y", Visibility::Public));
    assert!(sees(&[], "thread.created", Some(&public)) && !sees(&[], "thread.created", Some(&private)));
    assert!(!sees(&[Permission::AuditRead], "thread.deleted", None), "about nothing that is known");
    assert!(!sees(&[], "key.created", None) && sees(&[Permission::KeysWrite], "key.created", None));
    assert!(!sees(&[Permission::KeysWrite], "tokens.revoked", None));
    assert!(sees(&[], "kill_switch.changed", None));
    assert!(!sees(Permission::ALL, "what.is_this", None), "of a later version");
    let owner = Sight::of(&principal(Role::Owner, &[]));
    assert!(owner.sees("what.is_this", &system(), None) && owner.sees("thread.created", &system(), Some(&private)));
}

#[test]
fn a_filter_is_of_types_and_of_topics() {
    let filter = |types: &[&str], topics: &[&str]| Filter::parse(&scope(), types, topics).unwrap();
    let (x, y) = (topic("thread/x", Visibility::Team), topic("canvas/y", Visibility::Team));
    assert!(filter(&[], &[]).is_none() && filter(&[], &[]).passes("note", &x, None));
    let types = filter(&["run.*", "note"], &[]);
    assert!(types.passes("run.started", &x, None) && types.passes("run.", &x, None) && types.passes("note", &y, None));
    assert!(!types.passes("run", &x, None) && !types.passes("notes", &x, None));
    assert!(filter(&["*"], &[]).passes("whatever", &x, None));
    let topics = filter(&[], &["thread/x"]);
    assert!(topics.passes("note", &x, None) && !topics.passes("note", &y, None));
    assert!(topics.passes("thread.changed", &system(), Some(&x)) && !topics.passes("key.created", &system(), None));
    assert!(filter(&[], &["system/tenant"]).passes("canvas.changed", &system(), Some(&y)));
    let both = filter(&["note"], &["thread/x"]);
    assert!(both.passes("note", &x, None) && !both.passes("run", &x, None) && !both.passes("note", &y, None));
}

#[test]
fn what_is_no_filter_is_refused() {
    let refused = |types: &[&str], topics: &[&str]| Filter::parse(&scope(), types, topics).map_err(|error| error.code);
    let long = "a".repeat(65);
    for bad in ["", "A", "a*b", "**", "_a", "é", "1", "a b", &long, &format!("{long}*"), "1*"] {
        assert_eq!(refused(&[bad], &[]), Err(Code::QueryInvalid), "{bad:?}");
    }
    for bad in ["", "feed", "thread/", "thread/*", "system/x", "room/x", "thread/a b"] {
        assert_eq!(refused(&[], &[bad]), Err(Code::QueryInvalid), "{bad:?}");
    }
    assert!(refused(&["a"; FILTER_MAX], &["thread/x"; FILTER_MAX]).is_ok());
    assert_eq!(refused(&["a"; FILTER_MAX + 1], &[]), Err(Code::QueryInvalid));
    assert_eq!(refused(&[], &["thread/x"; FILTER_MAX + 1]), Err(Code::QueryInvalid));
}

#[test]
fn only_who_administers_and_asks_for_nothing_gets_the_whole() {
    let view = |role, types: &[&str]| {
        View::of(&principal(role, Permission::ALL), Arc::new(Filter::parse(&scope(), types, &[]).unwrap())).is_whole()
    };
    assert!(view(Role::Owner, &[]) && view(Role::Admin, &[]));
    assert!(!view(Role::Member, &[]) && !view(Role::Admin, &["note"]));
}
