//! A log and a topic store in memory: for tests of the actors, and as the plainest reading of
//! the contract. It keeps nothing across a restart, so no hub is ever run on it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{
    Append, AppendError, Bounds, CreateError, EventLog, LogId, NewTopic, Page, PageLimit, PortFuture, TopicQuery,
    TopicRecord, Topics, Unavailable, Visibility,
};
use crate::event::{Event, Seq};
use crate::topic_key::{Scope, TopicKey};

/// An in-memory [`EventLog`] and [`Topics`]. Clones share their contents.
#[derive(Clone, Default)]
pub struct MemoryLog(Arc<Mutex<Contents>>);

#[derive(Default)]
struct Contents {
    next_log: i64,
    topics: BTreeMap<TopicKey, TopicRecord>,
    logs: HashMap<LogId, Kept>,
}

#[derive(Default)]
struct Kept {
    trimmed: Seq,
    events: Vec<Event>,
}

impl Kept {
    fn bounds(&self) -> Bounds {
        let head = self.trimmed + self.events.len() as Seq;
        let closed = self.events.last().is_some_and(|e| e.kind.as_str() == "closed");
        Bounds { oldest: self.trimmed + 1, head, closed }
    }
}

impl MemoryLog {
    /// Forgets the events up to and with `seq`, as retention does.
    pub fn trim(&self, log: LogId, seq: Seq) {
        if let Some(kept) = self.0.lock().logs.get_mut(&log) {
            let count = usize::try_from(seq.saturating_sub(kept.trimmed)).unwrap_or(usize::MAX).min(kept.events.len());
            kept.events.drain(..count);
            kept.trimmed += count as Seq;
        }
    }
}

impl EventLog for MemoryLog {
    fn append(&self, items: Vec<Append>) -> PortFuture<Vec<Result<(), AppendError>>> {
        let mut contents = self.0.lock();
        let answers = items
            .into_iter()
            .map(|item| {
                let kept = contents.logs.get_mut(&item.log).ok_or(AppendError::Gone)?;
                let head = kept.bounds().head;
                if item.events.iter().zip(head + 1..).any(|(event, seq)| event.seq != seq) {
                    return Err(AppendError::Conflict);
                }
                kept.events.extend(item.events.iter().cloned());
                Ok(())
            })
            .collect();
        Box::pin(std::future::ready(answers))
    }

    fn bounds(&self, log: LogId) -> PortFuture<Result<Bounds, Unavailable>> {
        let bounds = self.0.lock().logs.get(&log).map_or(Bounds::EMPTY, Kept::bounds);
        Box::pin(std::future::ready(Ok(bounds)))
    }

    fn read(&self, log: LogId, after: Seq, limit: PageLimit) -> PortFuture<Result<Page, Unavailable>> {
        let contents = self.0.lock();
        let page = contents.logs.get(&log).map_or(Page { events: Vec::new(), bounds: Bounds::EMPTY }, |kept| {
            let mut events = Vec::new();
            let mut bytes = 0;
            // Seqs have no holes, so the place is known without a look at what is before it.
            let skipped = after.saturating_sub(kept.trimmed).min(kept.events.len() as Seq);
            for event in &kept.events[usize::try_from(skipped).unwrap_or(usize::MAX)..] {
                if events.len() == limit.events || (bytes >= limit.bytes && !events.is_empty()) {
                    break;
                }
                bytes += event.size_bytes();
                events.push(event.clone());
            }
            Page { events, bounds: kept.bounds() }
        });
        Box::pin(std::future::ready(Ok(page)))
    }
}

impl Topics for MemoryLog {
    fn create(&self, topic: NewTopic) -> PortFuture<Result<TopicRecord, CreateError>> {
        let mut contents = self.0.lock();
        let answer = if contents.topics.contains_key(&topic.key) {
            Err(CreateError::Exists)
        } else {
            contents.next_log += 1;
            let record = TopicRecord { log: LogId(contents.next_log), topic };
            contents.logs.insert(record.log, Kept::default());
            contents.topics.insert(record.topic.key.clone(), record.clone());
            Ok(record)
        };
        Box::pin(std::future::ready(answer))
    }

    fn find(&self, key: &TopicKey) -> PortFuture<Result<Option<(TopicRecord, Bounds)>, Unavailable>> {
        let contents = self.0.lock();
        let found = contents.topics.get(key).map(|record| (record.clone(), contents.logs[&record.log].bounds()));
        Box::pin(std::future::ready(Ok(found)))
    }

    fn list(&self, scope: &Scope, query: TopicQuery) -> PortFuture<Result<Vec<(TopicRecord, Bounds)>, Unavailable>> {
        let contents = self.0.lock();
        let visible = |record: &TopicRecord| {
            query.visible_to.as_ref().is_none_or(|sub| {
                record.topic.visibility != Visibility::Private
                    || record.topic.creator == *sub
                    || record.topic.members.iter().any(|member| member.sub == *sub)
            })
        };
        let found = contents
            .topics
            .values()
            .filter(|r| r.topic.key.scope() == *scope && r.topic.key.kind() == query.kind)
            .filter(|r| query.after_id.as_ref().is_none_or(|after| r.topic.key.id() > after.as_str()))
            .filter(|r| visible(r))
            .take(query.limit)
            .map(|record| (record.clone(), contents.logs[&record.log].bounds()))
            .collect();
        Box::pin(std::future::ready(Ok(found)))
    }

    fn delete(&self, key: &TopicKey) -> PortFuture<Result<bool, Unavailable>> {
        let mut contents = self.0.lock();
        let deleted = contents.topics.remove(key);
        if let Some(record) = &deleted {
            contents.logs.remove(&record.log);
        }
        Box::pin(std::future::ready(Ok(deleted.is_some())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_the_contract() {
        super::super::contract::run(|| {
            let log = MemoryLog::default();
            (log.clone(), log)
        });
    }
}
