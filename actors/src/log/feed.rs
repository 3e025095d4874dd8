//! The port of the feed: everything that is committed in one tenant and env, in commit order.
//!
//! A place in it is a [`Position`]: one number for the whole store, ascending with every commit, with holes (what others
//! commit, what is trimmed or deleted). Who reads live is told through a [`Tap`]; who is behind reads pages. This file never
//! decides who may see what: [`crate::feed`] does.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{PortFuture, TopicRecord, Unavailable};
use crate::cursor::Incarnation;
use crate::event::Event;
use crate::topic_key::Scope;

/// A place in commit order; 0 is before the first.
pub type Position = u64;

/// Most rows of the store that one page looks at, whoever they belong to.
pub const FEED_ROWS_MAX: usize = 5_000;
/// Most bytes of events that wait in a tap for whoever it tells; above, they are read from the store.
pub const TAP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The ends of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedEnds {
    /// The newest position that retention has taken from a topic that is there still; 0 when it took none. Who stands before
    /// it may have missed something.
    pub floor: Position,
    /// The newest position of the whole store that is committed.
    pub head: Position,
    /// Of the cursors: new when the store is made and when it is restored.
    pub incarnation: Incarnation,
}

/// An event as the feed has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedItem {
    /// Where it stands.
    pub position: Position,
    /// The event, with the seq of its own topic.
    pub event: Event,
    /// Its topic, as it is known at the moment of the read; live, at that of the commit. Of what happens beside topics:
    /// `system/tenant`.
    pub topic: Arc<TopicRecord>,
    /// Of an event of `system/tenant` that is about a topic: that topic, of a deleted one as it was at the end. Who may
    /// read it may see the event.
    pub about: Option<Arc<TopicRecord>>,
}

/// Part of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    /// Ascending.
    pub items: Vec<FeedItem>,
    /// The page stands for everything of the scope behind this…
    pub after: Position,
    /// …up to this.
    pub upto: Position,
    /// The ends in the same snapshot.
    pub ends: FeedEnds,
}

impl FeedPage {
    /// Where a reader stands who has this page's newest events, up to so many, before them: the page was read backwards.
    #[must_use]
    pub fn before_last(&self, events: usize) -> Position {
        match self.items.first() {
            Some(first) if self.items.len() == events => first.position - 1,
            _ => self.after,
        }
    }
}

/// How much of a feed one read may give. It looks at no more than [`FEED_ROWS_MAX`] rows in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedLimit {
    /// At most this many events.
    pub events: usize,
    /// Stop behind the event that brings the sum of [`Event::size_bytes`] to this; one is given when there is one.
    pub bytes: usize,
}

/// What a tap has been told since it was asked last.
#[derive(Debug, PartialEq, Eq)]
pub struct Tapped {
    /// It stands for everything of the scope behind this…
    pub after: Position,
    /// …up to this.
    pub upto: Position,
    /// The events; `None`: there were more than may wait, and they are to be read from the store.
    pub items: Option<Vec<FeedItem>>,
}

/// How a store tells of the commits of one scope, in their order, as they become durable. It is told by the store's own
/// thread, so nothing here waits.
pub struct Tap {
    waiting: Mutex<Waiting>,
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Waiting {
    after: Position,
    upto: Position,
    bytes: usize,
    items: Vec<FeedItem>,
    overflowed: bool,
    is_woken: bool,
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tap")
    }
}

impl Tap {
    /// A tap that calls `wake` when there is something after there was nothing. `wake` must not wait.
    #[must_use]
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { waiting: Mutex::default(), wake: Box::new(wake) }
    }

    /// The store begins to tell behind this position.
    pub fn begin(&self, head: Position) {
        let mut waiting = self.waiting.lock();
        (waiting.after, waiting.upto) = (head, head);
    }

    /// Something was committed: these events, ascending, and nothing else of the scope up to `upto`.
    pub fn tell(&self, items: Vec<FeedItem>, upto: Position) {
        let mut waiting = self.waiting.lock();
        waiting.upto = waiting.upto.max(upto);
        waiting.bytes += items.iter().map(|item| item.event.size_bytes()).sum::<usize>();
        if waiting.overflowed || waiting.bytes > TAP_BYTES_MAX {
            waiting.overflowed = true;
            waiting.items = Vec::new();
        } else {
            waiting.items.extend(items);
        }
        let wakes = !std::mem::replace(&mut waiting.is_woken, true);
        drop(waiting);
        if wakes {
            (self.wake)();
        }
    }

    /// What was told since the last time; `None`: nothing.
    #[must_use]
    pub fn take(&self) -> Option<Tapped> {
        let mut waiting = self.waiting.lock();
        waiting.is_woken = false;
        if waiting.upto <= waiting.after {
            return None;
        }
        let taken = std::mem::take(&mut *waiting);
        (waiting.after, waiting.upto) = (taken.upto, taken.upto);
        let items = (!taken.overflowed).then_some(taken.items);
        Some(Tapped { after: taken.after, upto: taken.upto, items })
    }
}

/// A store that knows in which order everything was committed.
pub trait FeedLog: Send + Sync + 'static {
    /// Tells `tap` of every commit of the scope from now on, until the tap is dropped by everybody else. The answer is where it
    /// begins: what was committed before is in pages, what comes behind is told, nothing is between.
    fn tap(&self, scope: &Scope, tap: &Arc<Tap>) -> PortFuture<Result<FeedEnds, Unavailable>>;

    /// Reads behind `after`, ascending, from one snapshot; topics that were deleted have nothing in it. Behind the last event
    /// that fits, or the last row that was looked at, the page ends.
    fn feed(&self, scope: &Scope, after: Position, limit: FeedLimit) -> PortFuture<Result<FeedPage, Unavailable>>;

    /// Reads before `before`: the newest that fit, ascending.
    fn feed_before(
        &self,
        scope: &Scope,
        before: Position,
        limit: FeedLimit,
    ) -> PortFuture<Result<FeedPage, Unavailable>>;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;

    use super::*;
    use crate::event::{EventType, Origin};
    use crate::log::{LogId, NewTopic, Visibility};
    use crate::topic_key::{Env, Tenant, TopicKey};

    fn item(position: Position, bytes: usize) -> FeedItem {
        let scope = Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev };
        let topic = NewTopic {
            key: TopicKey::parse(&scope, "thread/x").unwrap(),
            creator: "alice".into(),
            title: None,
            visibility: Visibility::Team,
            members: Vec::new(),
            created_at_ms: 0,
            incarnation: Incarnation(1),
        };
        let origin = Origin { routing: Bytes::new(), meta: Bytes::new() };
        let event = Event {
            seq: 1,
            time_ms: 0,
            kind: EventType::parse("x").unwrap(),
            origin,
            data: Bytes::from(vec![b'1'; bytes]),
            target: None,
            taken: None,
        };
        FeedItem { position, event, topic: Arc::new(TopicRecord { log: LogId(1), topic }), about: None }
    }

    #[test]
    fn a_tap_wakes_once_and_gives_what_it_was_told_in_one_stretch() {
        let woken = Arc::new(AtomicUsize::new(0));
        let counted = woken.clone();
        let tap = Tap::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        tap.begin(10);
        assert_eq!(tap.take(), None);
        tap.tell(vec![item(12, 1)], 12);
        tap.tell(vec![item(15, 1), item(16, 1)], 16);
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        let Some(Tapped { after: 10, upto: 16, items: Some(items) }) = tap.take() else { panic!("a stretch") };
        assert_eq!(items.iter().map(|item| item.position).collect::<Vec<_>>(), [12, 15, 16]);
        tap.tell(vec![item(20, 1)], 20);
        assert_eq!(woken.load(Ordering::Relaxed), 2);
        assert!(matches!(tap.take(), Some(Tapped { after: 16, upto: 20, items: Some(items) }) if items.len() == 1));
    }

    #[test]
    fn what_is_too_much_is_to_be_read_from_the_store() {
        let tap = Tap::new(|| ());
        tap.begin(0);
        tap.tell(vec![item(1, TAP_BYTES_MAX)], 1);
        tap.tell(vec![item(2, 1)], 2);
        assert_eq!(tap.take(), Some(Tapped { after: 0, upto: 2, items: None }));
        tap.tell(vec![item(3, 1)], 3);
        assert!(matches!(tap.take(), Some(Tapped { after: 2, upto: 3, items: Some(_) })), "it begins anew");
    }
}
