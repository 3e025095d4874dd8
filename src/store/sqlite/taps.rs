//! Who is told of commits as they come: taps, kept as long as somebody else keeps them.
//!
//! When there is none, nothing is looked up and nothing is kept. Otherwise each transaction gathers its events, finds out
//! whose they are before it ends, and tells behind its end.

use std::sync::{Arc, Weak};

use rusqlite::Connection;
use tambour_actors::event::Event;
use tambour_actors::log::feed::{FeedItem, Position, Tap};
use tambour_actors::log::{LogId, TopicRecord};
use tambour_actors::topic_key::Scope;

use super::feeds;
use super::recent::Recent;
use super::rows::Gone;

/// Topics that are remembered, so that an event needs no look-up.
const RECORDS_MAX: usize = 65_536;

/// Every tap, and what is to be told.
pub(super) struct Taps {
    taps: Vec<(Scope, Weak<Tap>)>,
    /// Topics as they are in the transaction.
    records: Recent<LogId, Arc<TopicRecord>>,
    written: Vec<Written>,
    items: Vec<FeedItem>,
}

/// An event of the transaction.
struct Written {
    position: i64,
    log: LogId,
    about: Option<LogId>,
    event: Event,
}

impl Taps {
    pub(super) fn new() -> Self {
        Self { taps: Vec::new(), records: Recent::new(RECORDS_MAX), written: Vec::new(), items: Vec::new() }
    }

    /// A transaction begins.
    pub(super) fn begin(&mut self) {
        if !self.is_empty() {
            self.taps.retain(|(_, tap)| tap.strong_count() > 0);
            if self.taps.is_empty() {
                self.records.clear();
            }
        }
    }

    /// Whether nobody listens.
    pub(super) fn is_empty(&self) -> bool {
        self.taps.is_empty()
    }

    /// Somebody listens from the next commit on.
    pub(super) fn push(&mut self, scope: Scope, tap: &Arc<Tap>) {
        self.taps.push((scope, Arc::downgrade(tap)));
    }

    /// An event was written.
    pub(super) fn wrote(&mut self, position: i64, log: LogId, about: Option<LogId>, event: &Event) {
        if !self.is_empty() {
            self.written.push(Written { position, log, about, event: event.clone() });
        }
    }

    /// A topic is there, or is another.
    pub(super) fn put(&mut self, record: &TopicRecord) {
        if !self.is_empty() {
            self.records.set(record.log, Arc::new(record.clone()));
        }
    }

    /// A topic is gone.
    pub(super) fn forget(&mut self, log: LogId) {
        self.records.forget(&log);
    }

    /// The transaction is about to end: finds out whose its events are.
    pub(super) fn resolve(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        for written in std::mem::take(&mut self.written) {
            // Of a topic that was deleted behind it there is nothing to tell.
            let Some(topic) = self.topic(conn, written.log, Gone::Unknown)? else { continue };
            let scope = topic.topic.key.scope();
            if !self.taps.iter().any(|(tapped, _)| *tapped == scope) {
                continue;
            }
            let about = written.about.map(|log| self.topic(conn, log, Gone::Known)).transpose()?.flatten();
            let position = written.position.cast_unsigned();
            self.items.push(FeedItem { position, event: written.event, topic, about });
        }
        Ok(())
    }

    fn topic(&mut self, conn: &Connection, log: LogId, gone: Gone) -> rusqlite::Result<Option<Arc<TopicRecord>>> {
        if let Some(known) = self.records.get(&log) {
            return Ok(Some(known.clone()));
        }
        let found = feeds::topic_of(conn, log, gone)?;
        // One that is gone is not remembered: its log must stay unknown to events.
        if let Some(record) = found.as_ref().filter(|_| gone == Gone::Unknown) {
            self.records.set(log, record.clone());
        }
        Ok(found)
    }

    /// The transaction is on disk, up to this position.
    pub(super) fn committed(&mut self, upto: Position) {
        let items = std::mem::take(&mut self.items);
        if items.is_empty() {
            return;
        }
        for (scope, tap) in &self.taps {
            let Some(tap) = tap.upgrade() else { continue };
            let own = items.iter().filter(|item| item.topic.topic.key.scope() == *scope);
            let own: Vec<_> = own.cloned().collect();
            if !own.is_empty() {
                tap.tell(own, upto);
            }
        }
    }

    /// Nothing of the transaction was kept.
    pub(super) fn failed(&mut self) {
        self.written.clear();
        self.items.clear();
        self.records.clear();
    }
}
