//! Cases of the contract about changes of topics.

use super::deed;
use super::{
    Bounds, Case, EventLog, Member, NewTopic, Store, TopicKind, TopicQuery, Topics, Visibility, events, home,
    new_topic, thread, wait,
};
use crate::log::{ChangeError, MEMBERS_MAX, TopicChange, TopicRecord, VisibleTo};

fn member(sub: &str, can_write: bool) -> Member {
    Member { sub: sub.into(), can_write }
}

/// What a change does to what is known of a topic.
type Step = fn(&mut NewTopic);

impl<L: EventLog, T: Topics> Store<L, T> {
    pub(super) const CHANGES: &'static [Case<L, T>] = &[
        ("a_change_changes_what_it_says", Self::a_change_changes_what_it_says),
        ("a_change_that_is_refused_changes_nothing", Self::a_change_that_is_refused_changes_nothing),
        ("who_was_let_in_sees_and_who_was_sent_out_does_not", Self::who_was_let_in_sees_and_who_was_sent_out_does_not),
    ];

    fn change(&self, id: &str, change: TopicChange) -> Option<TopicRecord> {
        wait(self.topics.change(&thread(id), change, deed())).expect("changed")
    }

    fn a_change_changes_what_it_says(&self) {
        let made = self.create("x");
        let other = self.create("y");
        self.append_all(made.log, events(1..=3));
        let mut expected = made.topic.clone();
        let long = "é'\"\u{0}".repeat(20);
        let steps: [(TopicChange, Step); 8] = [
            (TopicChange { title: Some(Some(long)), ..TopicChange::default() }, |t| {
                t.title = Some("é'\"\u{0}".repeat(20));
            }),
            (TopicChange { visibility: Some(Visibility::Private), ..TopicChange::default() }, |t| {
                t.visibility = Visibility::Private;
            }),
            (TopicChange { put_member: Some(member("bob", true)), ..TopicChange::default() }, |t| {
                t.members.push(member("bob", true));
            }),
            (TopicChange { put_member: Some(member("carol", true)), ..TopicChange::default() }, |t| {
                t.members.push(member("carol", true));
            }),
            (TopicChange { put_member: Some(member("bob", false)), ..TopicChange::default() }, |t| {
                t.members[0].can_write = false;
            }),
            (TopicChange { remove_member: Some("bob".into()), ..TopicChange::default() }, |t| {
                t.members.remove(0);
            }),
            (TopicChange { remove_member: Some("nobody".into()), ..TopicChange::default() }, |_| {}),
            (TopicChange { title: Some(None), visibility: Some(Visibility::Public), ..TopicChange::default() }, |t| {
                (t.title, t.visibility) = (None, Visibility::Public);
            }),
        ];
        for (change, step) in steps {
            step(&mut expected);
            let changed = self.change("x", change.clone()).expect("it is there");
            assert_eq!((changed.log, &changed.topic), (made.log, &expected), "{change:?}");
            let found = wait(self.topics.find(&thread("x")));
            assert_eq!(found, Ok(Some((changed, super::bounds(1, 3)))));
        }
        assert_eq!(self.change("x", TopicChange::default()).expect("it is there").topic, expected);
        assert_eq!(wait(self.topics.find(&thread("y"))), Ok(Some((other, Bounds::EMPTY))));
        self.append_all(made.log, events(4..=4));
    }

    fn a_change_that_is_refused_changes_nothing(&self) {
        let members: Vec<_> = (0..MEMBERS_MAX).map(|n| member(&format!("m{n}"), n % 2 == 0)).collect();
        let full = NewTopic { members, ..new_topic(thread("x")) };
        let made = wait(self.topics.create(full, deed())).expect("created");
        let one_more = TopicChange {
            title: Some(Some("new".into())),
            put_member: Some(member("one more", true)),
            ..TopicChange::default()
        };
        assert_eq!(wait(self.topics.change(&thread("x"), one_more.clone(), deed())), Err(ChangeError::MembersFull));
        assert_eq!(wait(self.topics.find(&thread("x"))), Ok(Some((made, Bounds::EMPTY))));
        // One who is in it can still be changed, and makes room when they leave.
        let known = TopicChange { put_member: Some(member("m1", true)), ..TopicChange::default() };
        assert_eq!(self.change("x", known).expect("it is there").topic.members[1], member("m1", true));
        assert!(self.change("x", TopicChange { remove_member: Some("m0".into()), ..TopicChange::default() }).is_some());
        assert_eq!(self.change("x", one_more).expect("it is there").topic.members.len(), MEMBERS_MAX);
        // There is nothing to change.
        assert_eq!(self.change("unknown", TopicChange::default()), None);
        assert_eq!(wait(self.topics.delete(&thread("x"), deed())), Ok(true));
        assert_eq!(self.change("x", TopicChange { title: Some(None), ..TopicChange::default() }), None);
    }

    fn who_was_let_in_sees_and_who_was_sent_out_does_not(&self) {
        let private = NewTopic { visibility: Visibility::Private, ..new_topic(thread("x")) };
        assert!(wait(self.topics.create(private, deed())).is_ok());
        let seen = || {
            let visible_to = Some(VisibleTo { sub: "bob".into(), team: true });
            self.ids(&home(), TopicQuery { kind: TopicKind::Thread, after_id: None, visible_to, limit: 9 })
        };
        assert_eq!(seen(), [""; 0]);
        self.change("x", TopicChange { put_member: Some(member("bob", false)), ..TopicChange::default() });
        assert_eq!(seen(), ["thread/x"]);
        self.change("x", TopicChange { remove_member: Some("bob".into()), ..TopicChange::default() });
        assert_eq!(seen(), [""; 0]);
        self.change("x", TopicChange { visibility: Some(Visibility::Team), ..TopicChange::default() });
        assert_eq!(seen(), ["thread/x"]);
    }
}
