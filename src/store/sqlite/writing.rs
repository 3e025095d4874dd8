//! What the writer does for each command, inside of its transaction: the change, and what is written down of it.
//!
//! Everything administrative goes through [`Writer::record`]: an entry of the audit and events of `system/tenant`, in the
//! transaction of the change, so that all of it is there or nothing. It commits nothing: `writer` does.

use tambour_actors::deed::Deed;
use tambour_actors::event::{Event, EventType};
use tambour_actors::log::{Append, AppendError, Class, LogId, TopicChange, TopicRecord};
use tambour_actors::topic_key::{Scope, TopicKey};

use super::command::{Command, Outcome};
use super::heads::Head;
use super::insert::Place;
use super::redact::redact;
use super::rows::Gone;
use super::writer::Writer;
use super::{administer, audit, endings, feeds, rows, tokens, topics};
use crate::admission::standing::change::Change as StandingChange;
use crate::audit::entry::{Happened, SystemEvent};
use crate::audit::{standing as told_of_standing, topics as told_of_topics};

impl Writer<'_> {
    pub(super) fn outcome(&mut self, command: &Command) -> rusqlite::Result<Outcome> {
        Ok(match command {
            Command::Append { items, .. } => {
                let answers: rusqlite::Result<Vec<_>> = items.iter().map(|item| self.append(item)).collect();
                Outcome::Appended(answers?)
            }
            Command::Bounds { log, .. } => Outcome::Bounds(rows::bounds(self.conn, *log)?),
            Command::Create { topic, by, .. } => {
                let created = topics::create(self.conn, topic)?;
                if let Ok(record) = &created {
                    self.heads.set(record.log, Head::default());
                    self.taps.put(record);
                    self.record(by, &told_of_topics::created(record))?;
                }
                Outcome::Created(created)
            }
            Command::Change { key, change, by, .. } => {
                Outcome::Changed(match topics::change(self.conn, key, change)? {
                    Ok(Some(changed)) => Ok(Some(self.changed(changed, change, by)?)),
                    Ok(None) => Ok(None),
                    Err(refused) => Err(refused),
                })
            }
            Command::Delete { key, by, .. } => Outcome::Deleted(self.delete(key, by)?),
            Command::Administer { change, by, .. } => {
                self.administer(change, by)?;
                Outcome::Done
            }
            Command::Ended { ending, .. } => {
                endings::remove(self.conn, *ending)?;
                Outcome::Done
            }
            Command::Record { by, happened, .. } => {
                self.record(by, happened)?;
                Outcome::Done
            }
            Command::Feed { scope, .. } => {
                feeds::ensure(self.conn, scope)?;
                Outcome::Done
            }
            Command::Tap { scope, .. } => Outcome::Tapped(feeds::ensure(self.conn, scope)?.ends(self.conn)?),
            Command::Tokens { ask, .. } => Outcome::Tokens(tokens::carry_out(self.conn, ask)?),
            Command::Trim(_) => unreachable!("trims are carried out in slices"),
            #[cfg(test)]
            Command::Panic => panic!("asked to by a test"),
        })
    }

    /// In whose tenant and env an emergency is.
    pub(super) fn scope(&self, command: &Command) -> Option<Scope> {
        match command {
            Command::Change { by, .. }
            | Command::Delete { by, .. }
            | Command::Administer { by, .. }
            | Command::Record { by, .. } => Some(by.scope.clone()),
            Command::Append { items, class: Class::Emergency(_), .. } => {
                let record = rows::of_log(self.conn, items.first()?.log, Gone::Unknown).ok()??;
                Some(record.topic.key.scope())
            }
            _ => None,
        }
    }

    /// Writes down what happened: the one way. An error takes the change back, too.
    fn record(&mut self, deed: &Deed, happened: &Happened) -> rusqlite::Result<()> {
        audit::write(self.conn, deed, happened)?;
        if happened.events.is_empty() {
            return Ok(());
        }
        let log = feeds::ensure(self.conn, &deed.scope)?.log();
        for event in &happened.events {
            self.tell_of(deed, log, event)?;
        }
        Ok(())
    }

    /// One event of `system/tenant`.
    fn tell_of(&mut self, deed: &Deed, log: LogId, told: &SystemEvent) -> rusqlite::Result<()> {
        let head = self.heads.find_system(self.conn, log)?;
        let kind = EventType::stored(told.kind.as_str());
        let event = Event {
            seq: head.seq + 1,
            time_ms: deed.at_ms,
            kind: kind.map_err(|_| rows::unreadable(0, "not an event type"))?,
            origin: deed.origin.clone(),
            data: told.data.clone(),
            target: None,
            taken: None,
        };
        let head = self.put(log, head, &event, None, told.about)?;
        self.heads.set(log, head);
        Ok(())
    }

    /// A topic was changed; the answer is what it is now.
    fn changed(
        &mut self,
        topics::Changed { before, after }: topics::Changed,
        change: &TopicChange,
        by: &Deed,
    ) -> rusqlite::Result<TopicRecord> {
        if let Some(happened) = told_of_topics::changed(&before, &after, change) {
            self.taps.put(&after);
            self.record(by, &happened)?;
        }
        Ok(after)
    }

    fn delete(&mut self, key: &TopicKey, by: &Deed) -> rusqlite::Result<bool> {
        let Some(record) = rows::find(self.conn, key)? else { return Ok(false) };
        let head = self.heads.find(record.log)?.unwrap_or_default();
        topics::delete(self.conn, &record)?;
        self.heads.forget(record.log);
        self.taps.forget(record.log);
        self.record(by, &told_of_topics::deleted(&record, head.seq))?;
        Ok(true)
    }

    fn administer(&mut self, change: &StandingChange, by: &Deed) -> rusqlite::Result<()> {
        let before = administer::before(self.conn, change)?;
        administer::keep(self.conn, change)?;
        match told_of_standing::changed(before.as_ref(), change) {
            Some(happened) => self.record(by, &happened),
            None => Ok(()),
        }
    }

    fn append(&mut self, item: &Append) -> rusqlite::Result<Result<(), AppendError>> {
        let Some(mut head) = self.heads.find(item.log)? else { return Ok(Err(AppendError::Gone)) };
        let consecutive = item.events.iter().zip(head.seq + 1..).all(|(event, seq)| event.seq == seq);
        if !consecutive {
            return Ok(Err(AppendError::Conflict));
        }
        let checked = match self.conditions.check(item, &self.keys)? {
            Ok(checked) => checked,
            Err(rejected) => return Ok(Err(AppendError::Rejected(rejected))),
        };
        let mut appended_bytes = checked.appended_bytes.iter().copied();
        for event in item.events.iter() {
            let is_append = event.target.is_some() && event.kind.as_str() == "append";
            let appended_bytes = if is_append { appended_bytes.next() } else { None };
            head = self.put(item.log, head, event, appended_bytes, None)?;
        }
        self.heads.set(item.log, head);
        self.conditions.kept(item.log, checked);
        for event in item.events.iter() {
            if let Some(target) = event.target
                && event.kind.as_str() == "redacted"
            {
                redact(self.conn, item.log, target)?;
                self.redacts = true;
            }
        }
        for write in &item.once {
            let place = item.events.first().and_then(|first| write.places.first.checked_sub(first.seq));
            let event = place.and_then(|place| item.events.get(usize::try_from(place).ok()?));
            self.keys.remember(item.log, write, event.map_or(0, |event| event.time_ms))?;
        }
        if let Some(by) = &item.closing
            && let Some(record) = rows::of_log(self.conn, item.log, Gone::Unknown)?
        {
            self.record(by, &told_of_topics::closed(&record, head.seq))?;
        }
        Ok(Ok(()))
    }

    /// Inserts an event at the next position; the answer is where its log ends then.
    fn put(
        &mut self,
        log: LogId,
        before: Head,
        event: &Event,
        appended_bytes: Option<usize>,
        about: Option<LogId>,
    ) -> rusqlite::Result<Head> {
        let head = Head { seq: event.seq, bytes: before.bytes + event.size_bytes() as u64 };
        let position = self.next_position;
        let place = Place { position, log, log_bytes: head.bytes, appended_bytes, about };
        self.insert.row(&place, event)?;
        self.taps.wrote(position, log, about, event);
        self.next_position += 1;
        Ok(head)
    }
}
