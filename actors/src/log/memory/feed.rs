//! The order of commits over all logs in memory, and the events of `system/tenant` that changes leave in it.
//!
//! One list of everything, looked through from end to end: the plainest reading of the port.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Weak};

use super::{Contents, Kept, MemoryLog};
use crate::cursor::Incarnation;
use crate::deed::Deed;
use crate::event::{Event, EventType, Seq};
use crate::log::feed::{FEED_ROWS_MAX, FeedEnds, FeedItem, FeedLimit, FeedLog, FeedPage, Position, Tap};
use crate::log::{LogId, Member, NewTopic, PortFuture, TopicRecord, Unavailable, Visibility};
use crate::system::{TopicDeed, topic_event};
use crate::topic_key::{Scope, TopicKey};

/// What is known of the order of commits.
#[derive(Default)]
pub(super) struct Order {
    head: Position,
    /// Which event of which log stands where; of an event about a topic, of which one.
    rows: BTreeMap<Position, (LogId, Seq, Option<LogId>)>,
    /// Topics by their log; of those that were deleted, what they were at the end.
    pub(super) records: HashMap<LogId, Arc<TopicRecord>>,
    feeds: HashMap<Scope, Feed>,
}

struct Feed {
    floor: Position,
    /// The topic `system/tenant`; its incarnation is that of the feed.
    system: Arc<TopicRecord>,
    taps: Vec<Weak<Tap>>,
}

impl Order {
    /// Forgets the rows of a log before `oldest`. Unless all of it goes, its feed says that something is missing.
    pub(super) fn forget(&mut self, log: LogId, oldest: Seq, is_deleted: bool) {
        let gone = |(of, seq, _): &(LogId, Seq, Option<LogId>)| *of == log && (is_deleted || *seq < oldest);
        let last = self.rows.iter().filter(|(_, row)| gone(row)).map(|(position, _)| *position).next_back();
        self.rows.retain(|_, row| !gone(row));
        let scope = self.records.get(&log).map(|record| record.topic.key.scope());
        if let Some(feed) = scope.filter(|_| !is_deleted).and_then(|scope| self.feeds.get_mut(&scope)) {
            feed.floor = feed.floor.max(last.unwrap_or(0));
        }
    }
}

impl Contents {
    fn feed(&mut self, scope: &Scope) -> &mut Feed {
        if !self.order.feeds.contains_key(scope) {
            let log = LogId(-1 - i64::try_from(self.order.feeds.len()).unwrap_or(i64::MAX));
            let topic = NewTopic {
                key: TopicKey::system(scope),
                creator: "".into(),
                title: None,
                visibility: Visibility::Team,
                members: Vec::new(),
                created_at_ms: 0,
                incarnation: Incarnation(RandomState::new().hash_one(scope)),
            };
            let system = Arc::new(TopicRecord { log, topic });
            self.logs.insert(log, Kept::default());
            self.order.records.insert(log, system.clone());
            self.order.feeds.insert(scope.clone(), Feed { floor: 0, system, taps: Vec::new() });
        }
        self.order.feeds.get_mut(scope).expect("it was made")
    }

    fn item(&self, position: Position) -> Option<FeedItem> {
        let (log, seq, about) = self.order.rows.get(&position)?;
        let event = self.logs.get(log)?.at(*seq)?.clone();
        let topic = self.order.records.get(log)?.clone();
        let about = about.and_then(|about| self.order.records.get(&about)).cloned();
        Some(FeedItem { position, event, topic, about })
    }

    /// Gives events of a log their places.
    pub(super) fn place(&mut self, log: LogId, seqs: impl IntoIterator<Item = Seq>, about: Option<LogId>) {
        for seq in seqs {
            self.order.head += 1;
            self.order.rows.insert(self.order.head, (log, seq, about));
        }
    }

    /// Something happened to a topic: `system/tenant` says so.
    pub(super) fn happened(&mut self, topic: &TopicRecord, deed: TopicDeed, member: Option<&Member>, by: &Deed) {
        let Some((kind, data)) = topic_event(deed, &topic.topic, member) else { return };
        let log = self.feed(&topic.topic.key.scope()).system.log;
        let kept = self.logs.entry(log).or_default();
        let kind = EventType::stored(kind.as_str()).expect("it is a type");
        let seq = kept.bounds().head + 1;
        kept.events.push(Event {
            seq,
            time_ms: by.at_ms,
            kind,
            origin: by.origin.clone(),
            data,
            target: None,
            taken: None,
        });
        self.place(log, [seq], Some(topic.log));
    }

    /// Where the order is, for [`Self::tell`].
    pub(super) fn head(&self) -> Position {
        self.order.head
    }

    /// Everything behind a place was committed by one scope, at once.
    pub(super) fn tell(&mut self, scope: &Scope, after: Position) {
        let head = self.order.head;
        let Some(feed) = self.order.feeds.get_mut(scope).filter(|_| head > after) else { return };
        let taps: Vec<Arc<Tap>> = feed.taps.iter().filter_map(Weak::upgrade).collect();
        feed.taps.retain(|tap| tap.strong_count() > 0);
        if !taps.is_empty() {
            let items: Vec<FeedItem> = (after + 1..=head).filter_map(|position| self.item(position)).collect();
            taps.iter().for_each(|tap| tap.tell(items.clone(), head));
        }
    }

    fn ends(&mut self, scope: &Scope) -> FeedEnds {
        let head = self.order.head;
        let feed = self.feed(scope);
        FeedEnds { floor: feed.floor, head, incarnation: feed.system.topic.incarnation }
    }

    /// Takes from rows what is of a scope, up to a limit. Also where it stopped: behind the last that was looked at; `None`: there
    /// are no more.
    fn gather(
        &self,
        rows: impl Iterator<Item = Position>,
        scope: &Scope,
        limit: FeedLimit,
    ) -> (Vec<FeedItem>, Option<Position>) {
        let (mut items, mut bytes) = (Vec::new(), 0);
        for (looked, position) in (1..).zip(rows) {
            if let Some(item) = self.item(position).filter(|item| item.topic.topic.key.scope() == *scope) {
                bytes += item.event.size_bytes();
                items.push(item);
            }
            let full = !items.is_empty() && (items.len() >= limit.events || bytes >= limit.bytes);
            if full || looked == FEED_ROWS_MAX {
                return (items, Some(position));
            }
        }
        (items, None)
    }
}

impl FeedLog for MemoryLog {
    fn tap(&self, scope: &Scope, tap: &Arc<Tap>) -> PortFuture<Result<FeedEnds, Unavailable>> {
        let mut contents = self.0.lock();
        let ends = contents.ends(scope);
        tap.begin(ends.head);
        contents.feed(scope).taps.push(Arc::downgrade(tap));
        Box::pin(std::future::ready(Ok(ends)))
    }

    fn feed(&self, scope: &Scope, after: Position, limit: FeedLimit) -> PortFuture<Result<FeedPage, Unavailable>> {
        let mut contents = self.0.lock();
        let ends = contents.ends(scope);
        let rows = contents.order.rows.range(after.saturating_add(1)..).map(|(position, _)| *position);
        let (items, stopped) = contents.gather(rows, scope, limit);
        let upto = stopped.unwrap_or(ends.head.max(after));
        Box::pin(std::future::ready(Ok(FeedPage { items, after, upto, ends })))
    }

    fn feed_before(
        &self,
        scope: &Scope,
        before: Position,
        limit: FeedLimit,
    ) -> PortFuture<Result<FeedPage, Unavailable>> {
        let mut contents = self.0.lock();
        let ends = contents.ends(scope);
        let rows = contents.order.rows.range(..before).rev().map(|(position, _)| *position);
        let (mut items, stopped) = contents.gather(rows, scope, limit);
        items.reverse();
        let (after, upto) = (stopped.map_or(0, |position| position - 1), before.saturating_sub(1));
        Box::pin(std::future::ready(Ok(FeedPage { items, after, upto, ends })))
    }
}
