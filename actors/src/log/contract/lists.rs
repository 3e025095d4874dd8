//! Cases of the contract about lists of topics: order, pages, and who sees what.

use super::deed;
use super::{Env, NewTopic, TopicKey, TopicKind};
use super::{EventLog, Member, Store, TopicQuery, Topics, Visibility, home, new_topic, scope, wait};
use crate::log::VisibleTo;

impl<L: EventLog, T: Topics> Store<L, T> {
    fn thread_ids(&self, visible_to: Option<(&str, bool)>, after: Option<&str>, limit: usize) -> Vec<String> {
        let visible_to = visible_to.map(|(sub, team)| VisibleTo { sub: sub.into(), team });
        let after_id = after.map(str::to_owned);
        self.ids(&home(), TopicQuery { kind: TopicKind::Thread, after_id, visible_to, limit })
    }

    pub(super) fn lists_are_paged_by_id(&self) {
        // Created in another order than the bytes of the ids have.
        for id in ["b", "a", "Z", "b.1", "10", "9", "_"] {
            self.create(id);
        }
        let page = |after, limit| self.thread_ids(None, after, limit);
        let all = ["thread/10", "thread/9", "thread/Z", "thread/_", "thread/a", "thread/b", "thread/b.1"];
        assert_eq!(page(None, 100), all);
        assert_eq!(page(None, 3), all[..3]);
        assert_eq!(page(Some("Z"), 3), all[3..6]);
        assert_eq!(page(Some("aa"), 3), all[5..]);
        assert_eq!(page(Some("b.1"), 3), all[7..]);
        assert_eq!(page(None, 0), all[7..]);
    }

    pub(super) fn lists_hold_what_one_may_read(&self) {
        let member = |sub: &str, can_write| Member { sub: sub.into(), can_write };
        let make = |id: &str, creator: &str, visibility, members: Vec<Member>| {
            let key = super::thread(id);
            let topic = NewTopic { creator: creator.into(), visibility, members, ..new_topic(key) };
            assert!(wait(self.topics.create(topic, deed())).is_ok());
        };
        make("a", "alice", Visibility::Private, vec![]);
        make("b", "bob", Visibility::Private, vec![member("alice", false), member("carol", true)]);
        make("c", "bob", Visibility::Team, vec![]);
        make("d", "bob", Visibility::Public, vec![]);
        make("e", "bob", Visibility::Private, vec![member("alic", true), member("alicee", true)]);
        let seen = |sub| self.thread_ids(Some((sub, true)), None, 100);
        assert_eq!(seen("alice"), ["thread/a", "thread/b", "thread/c", "thread/d"]);
        let alone = self.thread_ids(Some(("alice", false)), None, 100);
        assert_eq!(alone, ["thread/a", "thread/b", "thread/d"], "the team's are not hers");
        assert_eq!(seen("bob"), ["thread/b", "thread/c", "thread/d", "thread/e"]);
        assert_eq!(seen("carol"), ["thread/b", "thread/c", "thread/d"]);
        assert_eq!(seen("\"alice\""), ["thread/c", "thread/d"]);
        assert_eq!(seen(""), ["thread/c", "thread/d"]);
        assert_eq!(self.thread_ids(None, None, 100).len(), 5);
        // What is not seen does not count: a page is full while there is something to fill it.
        assert_eq!(self.thread_ids(Some(("bob", true)), None, 1), ["thread/b"]);
        assert_eq!(self.thread_ids(Some(("bob", true)), Some("b"), 2), ["thread/c", "thread/d"]);
    }

    pub(super) fn scopes_and_kinds_never_mix(&self) {
        let scopes = [
            scope("t_demo", Env::Dev),
            scope("t_demo", Env::Staging),
            scope("t_demo", Env::Prod),
            scope("t_demo2", Env::Dev),
            scope("t_dem", Env::Dev),
        ];
        let keys: Vec<TopicKey> = scopes
            .iter()
            .flat_map(|scope| [(scope, TopicKind::Thread), (scope, TopicKind::Canvas)])
            .map(|(scope, kind)| TopicKey::new(scope, kind, "x").expect("a topic's id"))
            .collect();
        for key in &keys {
            assert!(wait(self.topics.create(new_topic(key.clone()), deed())).is_ok(), "{key}");
        }
        for scope in &scopes {
            for kind in [TopicKind::Thread, TopicKind::Canvas] {
                let query = TopicQuery { kind, after_id: None, visible_to: None, limit: 100 };
                let found = wait(self.topics.list(scope, query)).expect("listed");
                let found: Vec<_> = found.into_iter().map(|(record, _)| record.topic.key).collect();
                assert_eq!(found, [TopicKey::new(scope, kind, "x").expect("a topic's id")]);
            }
        }
        assert_eq!(wait(self.topics.delete(&keys[0], deed())), Ok(true));
        assert_eq!(wait(self.topics.find(&keys[0])), Ok(None));
        for key in &keys[1..] {
            let found = wait(self.topics.find(key)).expect("found").expect("there");
            assert_eq!(found.0.topic.key, *key);
        }
    }
}
