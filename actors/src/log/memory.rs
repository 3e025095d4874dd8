//! A log and a topic store in memory: for tests of the actors, and as the plainest reading of
//! the contract. It keeps nothing across a restart, so no hub is ever run on it.

mod feed;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use bytes::Bytes;

use super::{
    Append, AppendError, Bounds, ChangeError, CreateError, EventLog, Folded, FoldedPage, FoldedText,
    IDEMPOTENCY_KEPT_MS, LogId, NewTopic, Page, PageLimit, PortFuture, Rejected, Remembered, TopicChange, TopicQuery,
    TopicRecord, Topics, Unavailable, Why,
};
use crate::deed::Deed;
use crate::event::{APPENDED_BYTES_MAX, Event, Seq};
use crate::system::{TopicDeed, happened};
use crate::topic_key::{Scope, TopicKey};

/// An in-memory [`EventLog`] and [`Topics`]. Clones share their contents.
#[derive(Clone, Default)]
pub struct MemoryLog(Arc<Mutex<Contents>>);

#[derive(Default)]
struct Contents {
    next_log: i64,
    topics: BTreeMap<TopicKey, TopicRecord>,
    logs: HashMap<LogId, Kept>,
    order: feed::Order,
}

#[derive(Default)]
struct Kept {
    trimmed: Seq,
    events: Vec<Event>,
    /// By subject and key: when, and what.
    once: HashMap<(Arc<str>, Arc<str>), (i64, Remembered)>,
}

impl Kept {
    fn bounds(&self) -> Bounds {
        let head = self.trimmed + self.events.len() as Seq;
        let closed = self.events.last().is_some_and(|e| e.kind.as_str() == "closed");
        Bounds { oldest: self.trimmed + 1, head, closed }
    }

    fn at(&self, seq: Seq) -> Option<&Event> {
        let index = seq.checked_sub(self.trimmed + 1)?;
        self.events.get(usize::try_from(index).ok()?)
    }

    fn appends_to(&self, target: Seq) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.kind.as_str() == "append" && event.target == Some(target))
    }

    fn remembers(&self, sub: &Arc<str>, key: &Arc<str>, now_ms: i64) -> Option<Remembered> {
        let (time_ms, remembered) = self.once.get(&(sub.clone(), key.clone()))?;
        (now_ms - time_ms < IDEMPOTENCY_KEPT_MS).then_some(*remembered)
    }

    /// Appends, or says what is wrong; a rejected append leaves nothing.
    fn append(&mut self, item: &Append) -> Result<(), AppendError> {
        let head = self.bounds().head;
        if item.events.iter().zip(head + 1..).any(|(event, seq)| event.seq != seq) {
            return Err(AppendError::Conflict);
        }
        let mut standing = Vec::new();
        let mut rejected = Vec::new();
        let mut skip_to = 0;
        for event in item.events.iter() {
            let once = item.once.iter().find(|write| write.places.first == event.seq);
            if let Some(write) = once
                && let Some(known) = self.remembers(&write.once.sub, &write.once.key, event.time_ms)
            {
                rejected.push(Rejected { seq: event.seq, why: Why::Repeated(known) });
                skip_to = write.places.last;
            }
            if event.seq > skip_to {
                match self.check_target(event, &standing) {
                    Ok(()) => standing.push(event),
                    Err(why) => rejected.push(Rejected { seq: event.seq, why }),
                }
            }
        }
        if !rejected.is_empty() {
            return Err(AppendError::Rejected(rejected));
        }
        self.events.extend(item.events.iter().cloned());
        for event in item.events.iter().filter(|event| event.kind.as_str() == "redacted") {
            self.redact(event.target.unwrap_or(0));
        }
        for write in &item.once {
            let time_ms = self.at(write.places.first).map_or(0, |first| first.time_ms);
            let remembered = Remembered { digest: write.once.digest, places: write.places };
            self.once.insert((write.once.sub.clone(), write.once.key.clone()), (time_ms, remembered));
        }
        Ok(())
    }

    /// Whether the event's target can be meant; `standing` is what stands before it in the same append.
    fn check_target(&self, event: &Event, standing: &[&Event]) -> Result<(), Why> {
        let Some(seq) = event.target else { return Ok(()) };
        let target = self.at(seq).or_else(|| standing.iter().copied().find(|event| event.seq == seq));
        let target = target.filter(|target| !matches!(target.kind.as_str(), "append" | "redacted" | "closed"));
        let target = target.ok_or(Why::TargetUnknown)?;
        if event.kind.as_str() != "append" {
            return Ok(());
        }
        let about_it = |kind| move |event: &&Event| event.kind.as_str() == kind && event.target == Some(seq);
        let before = standing.iter().copied().filter(about_it("append"));
        let appended: usize = self.appends_to(seq).chain(before).map(|append| append.data.len()).sum();
        match () {
            () if target.is_redacted() || standing.iter().copied().any(|e| about_it("redacted")(&e)) => {
                Err(Why::TargetUnknown)
            }
            () if target.origin.actor() != event.origin.actor() => Err(Why::TargetForbidden),
            () if appended + event.data.len() > APPENDED_BYTES_MAX => Err(Why::TargetFull),
            () => Ok(()),
        }
    }

    fn redact(&mut self, target: Seq) {
        let is_part =
            |event: &Event| event.seq == target || (event.kind.as_str() == "append" && event.target == Some(target));
        for event in self.events.iter_mut().filter(|event| is_part(event)) {
            event.data = Bytes::new();
        }
    }

    fn fold(&self, event: &Event) -> Option<Folded> {
        let of = if event.kind.as_str() == "append" { event.target? } else { event.seq };
        let plain = |event: &Event| Folded { at: event.seq, event: event.clone(), text: None };
        let (Some(target), Some(last)) = (self.at(of), self.appends_to(of).last()) else { return Some(plain(event)) };
        if last.seq != event.seq {
            return None;
        }
        if target.is_redacted() {
            return Some(Folded { at: event.seq, ..plain(target) });
        }
        let mut text = b"\"".to_vec();
        for append in self.appends_to(of) {
            text.extend_from_slice(&append.data[1..append.data.len() - 1]);
        }
        text.push(b'"');
        let text = FoldedText { text: text.into(), appends: self.appends_to(of).count() as u64 };
        Some(Folded { at: event.seq, event: target.clone(), text: Some(text) })
    }
}

impl Contents {
    fn append(&mut self, item: &Append) -> Result<(), AppendError> {
        self.logs.get_mut(&item.log).ok_or(AppendError::Gone)?.append(item)?;
        let before = self.head();
        self.place(item.log, item.events.iter().map(|event| event.seq), None);
        if let Some(record) = self.order.records.get(&item.log).cloned() {
            if let Some(by) = &item.closing {
                self.happened(&record, TopicDeed::Closed, None, by);
            }
            self.tell(&record.topic.key.scope(), before);
        }
        Ok(())
    }
}

impl EventLog for MemoryLog {
    fn append(&self, items: Vec<Append>) -> PortFuture<Vec<Result<(), AppendError>>> {
        let mut contents = self.0.lock();
        let answers = items.into_iter().map(|item| contents.append(&item)).collect();
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

    fn read_folded(&self, log: LogId, after: Seq, limit: PageLimit) -> PortFuture<Result<FoldedPage, Unavailable>> {
        let contents = self.0.lock();
        let mut page = FoldedPage { items: Vec::new(), upto: after, bounds: Bounds::EMPTY };
        if let Some(kept) = contents.logs.get(&log) {
            page.bounds = kept.bounds();
            let mut bytes = 0;
            for event in kept.events.iter().filter(|event| event.seq > after).take(limit.events) {
                if bytes >= limit.bytes && !page.items.is_empty() {
                    break;
                }
                page.upto = event.seq;
                if let Some(folded) = kept.fold(event) {
                    bytes += folded.event.size_bytes() + folded.text.as_ref().map_or(0, |text| text.text.len());
                    page.items.push(folded);
                }
            }
        }
        Box::pin(std::future::ready(Ok(page)))
    }

    fn recall(
        &self,
        log: LogId,
        sub: &str,
        key: &str,
        now_ms: i64,
    ) -> PortFuture<Result<Option<Remembered>, Unavailable>> {
        let contents = self.0.lock();
        let found = contents.logs.get(&log).and_then(|kept| kept.remembers(&sub.into(), &key.into(), now_ms));
        Box::pin(std::future::ready(Ok(found)))
    }

    fn trim(&self, log: LogId, oldest: Seq) -> PortFuture<Result<Bounds, Unavailable>> {
        let mut contents = self.0.lock();
        let bounds = contents.logs.get_mut(&log).map_or(Bounds::EMPTY, |kept| {
            let most = kept.events.len().saturating_sub(1);
            let count = usize::try_from(oldest.saturating_sub(kept.trimmed + 1)).unwrap_or(usize::MAX).min(most);
            kept.events.drain(..count);
            kept.trimmed += count as Seq;
            kept.bounds()
        });
        contents.order.forget(log, bounds.oldest, false);
        Box::pin(std::future::ready(Ok(bounds)))
    }
}

impl Topics for MemoryLog {
    fn create(&self, topic: NewTopic, by: Arc<Deed>) -> PortFuture<Result<TopicRecord, CreateError>> {
        let mut contents = self.0.lock();
        let answer = if contents.topics.contains_key(&topic.key) {
            Err(CreateError::Exists)
        } else {
            contents.next_log += 1;
            let record = TopicRecord { log: LogId(contents.next_log), topic };
            contents.logs.insert(record.log, Kept::default());
            contents.topics.insert(record.topic.key.clone(), record.clone());
            contents.order.records.insert(record.log, Arc::new(record.clone()));
            let before = contents.head();
            contents.happened(&record, TopicDeed::Created, None, &by);
            contents.tell(&record.topic.key.scope(), before);
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
        let visible = |record: &TopicRecord| query.visible_to.as_ref().is_none_or(|who| who.sees(&record.topic));
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

    fn change(
        &self,
        key: &TopicKey,
        change: TopicChange,
        by: Arc<Deed>,
    ) -> PortFuture<Result<Option<TopicRecord>, ChangeError>> {
        let mut contents = self.0.lock();
        let changed = contents.topics.get_mut(key).map(|record| {
            let before = record.topic.clone();
            change.apply(&mut record.topic).map(|()| (before, record.clone()))
        });
        let changed = changed.transpose().map(|changed| {
            changed.map(|(before, record)| {
                contents.order.records.insert(record.log, Arc::new(record.clone()));
                let head = contents.head();
                for (deed, member) in happened(&before, &change) {
                    contents.happened(&record, deed, member.as_ref(), &by);
                }
                contents.tell(&key.scope(), head);
                record
            })
        });
        Box::pin(std::future::ready(changed))
    }

    fn delete(&self, key: &TopicKey, by: Arc<Deed>) -> PortFuture<Result<bool, Unavailable>> {
        let mut contents = self.0.lock();
        let deleted = contents.topics.remove(key);
        if let Some(record) = &deleted {
            contents.logs.remove(&record.log);
            contents.order.forget(record.log, 0, true);
            let before = contents.head();
            contents.happened(record, TopicDeed::Deleted, None, &by);
            contents.tell(&key.scope(), before);
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
    #[test]
    fn passes_the_contract_of_the_feed() {
        super::super::contract::feed::run(|| {
            let log = MemoryLog::default();
            (log.clone(), log.clone(), log)
        });
    }
}
