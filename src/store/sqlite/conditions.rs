//! Whether an append may be kept: its keys, and the targets of what it appends or redacts.
//!
//! Looked at by the writer inside of its transaction, before the first row of the item is inserted, so that a rejected
//! item leaves nothing. An item without keys and targets costs one look at its events. This file never changes a row.

use std::collections::hash_map::Entry;
use std::ops::RangeInclusive;

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Statement};
use rustc_hash::FxHashMap;
use tambour_actors::event::{APPENDED_BYTES_MAX, Event, Origin, Seq};
use tambour_actors::log::{Append, LogId, OnceWrite, Rejected, Why};

use super::once::Keys;
use super::recent::Recent;
use super::rows::sql_seq;

/// Events that text was appended to lately, which are remembered.
const TARGETS_MAX: usize = 16_384;

/// Who sent an event that is kept, and what it is.
const TARGET: &str = "SELECT type, routing, data = '' FROM events WHERE log = ?1 AND seq = ?2";
/// The bytes that all appends to an event have; no row when there is none.
const APPENDED: &str = "
    SELECT appended_bytes FROM events
    WHERE log = ?1 AND target = ?2 AND appended_bytes IS NOT NULL ORDER BY seq DESC LIMIT 1";

/// An event that can be appended to, or redacted.
#[derive(Debug, Clone)]
struct Target {
    /// As [`Origin::actor`] has it.
    actor: Box<[u8]>,
    appended_bytes: usize,
    redacted: bool,
}

/// What the writer knows of the conditions of appends.
pub(super) struct Conditions<'c> {
    target: Statement<'c>,
    appended: Statement<'c>,
    targets: Recent<(LogId, Seq), Target>,
}

/// An item that may be kept.
#[derive(Default)]
pub(super) struct Checked {
    /// For each of its events that is an `append`, in their order: the bytes that all appends to its target then have.
    pub(super) appended_bytes: Vec<usize>,
    /// What its targets are behind it.
    targets: FxHashMap<Seq, Target>,
}

/// An item that is being looked at.
struct Look<'i> {
    item: &'i Append,
    /// Events of the item that are rejected, ascending: nothing behind them can mean them.
    gone: Vec<RangeInclusive<Seq>>,
    rejected: Vec<Rejected>,
    checked: Checked,
}

/// Whether an event is the hub's word about another one: then it is nobody's target.
fn can_be_target(kind: &[u8]) -> bool {
    !matches!(kind, b"append" | b"redacted" | b"closed")
}

fn is_gone(gone: &[RangeInclusive<Seq>], seq: Seq) -> bool {
    let next = gone.partition_point(|gone| *gone.end() < seq);
    gone.get(next).is_some_and(|gone| gone.contains(&seq))
}

impl<'c> Conditions<'c> {
    pub(super) fn new(conn: &'c Connection) -> rusqlite::Result<Self> {
        let targets = Recent::new(TARGETS_MAX);
        Ok(Self { target: conn.prepare(TARGET)?, appended: conn.prepare(APPENDED)?, targets })
    }

    /// Looks at every condition of an item whose seqs are right.
    pub(super) fn check(&mut self, item: &Append, keys: &Keys<'_>) -> rusqlite::Result<Result<Checked, Vec<Rejected>>> {
        if item.once.is_empty() && item.events.iter().all(|event| event.target.is_none()) {
            return Ok(Ok(Checked::default()));
        }
        let mut look = Look { item, gone: Vec::new(), rejected: Vec::new(), checked: Checked::default() };
        let mut once = item.once.iter().peekable();
        let mut behind = 0;
        for event in item.events.iter() {
            let write = once.next_if(|write| write.places.first == event.seq);
            if let Some(OnceWrite { once, places }) = write
                && let Some(known) = keys.recall(item.log, once, event.time_ms)?
            {
                behind = places.last;
                look.reject(places.first..=places.last, Why::Repeated(known));
            } else if event.seq > behind
                && let Some(target) = event.target
                && let Err(why) = self.point(&mut look, event, target)?
            {
                look.reject(event.seq..=event.seq, why);
            }
        }
        debug_assert!(once.next().is_none(), "the places of a keyed write are those of events, in their order");
        Ok(if look.rejected.is_empty() { Ok(look.checked) } else { Err(look.rejected) })
    }

    /// The item was inserted.
    pub(super) fn kept(&mut self, log: LogId, checked: Checked) {
        for (seq, target) in checked.targets {
            self.targets.set((log, seq), target);
        }
    }

    /// Events were removed, or a transaction failed: what is remembered may be wrong.
    pub(super) fn clear(&mut self) {
        self.targets.clear();
    }

    /// Whether `event` may be about `target`; if so, that counts for what follows in the item.
    fn point(&mut self, look: &mut Look<'_>, event: &Event, target: Seq) -> rusqlite::Result<Result<(), Why>> {
        let Some(known) = self.find(look, event, target)? else { return Ok(Err(Why::TargetUnknown)) };
        if event.kind.as_str() != "append" {
            known.redacted |= event.kind.as_str() == "redacted";
            return Ok(Ok(()));
        }
        let appended_bytes = known.appended_bytes + event.data.len();
        let why = match () {
            () if known.redacted => Why::TargetUnknown,
            () if *known.actor != *event.origin.actor() => Why::TargetForbidden,
            () if appended_bytes > APPENDED_BYTES_MAX => Why::TargetFull,
            () => {
                known.appended_bytes = appended_bytes;
                look.checked.appended_bytes.push(appended_bytes);
                return Ok(Ok(()));
            }
        };
        Ok(Err(why))
    }

    /// The target as it is behind what stands before `event`.
    fn find<'l>(
        &mut self,
        look: &'l mut Look<'_>,
        event: &Event,
        seq: Seq,
    ) -> rusqlite::Result<Option<&'l mut Target>> {
        let (log, events) = (look.item.log, &look.item.events);
        let known = match look.checked.targets.entry(seq) {
            Entry::Occupied(known) => return Ok(Some(known.into_mut())),
            Entry::Vacant(vacant) => vacant,
        };
        let found = if seq >= events[0].seq {
            let stands = seq < event.seq && !is_gone(&look.gone, seq);
            let within = usize::try_from(seq - events[0].seq).ok().and_then(|place| events.get(place));
            let within = within.filter(|target| stands && can_be_target(target.kind.as_str().as_bytes()));
            within.map(|target| Target { actor: target.origin.actor().into(), appended_bytes: 0, redacted: false })
        } else if let Some(known) = self.targets.get(&(log, seq)) {
            Some(known.clone())
        } else {
            self.stored(log, seq)?
        };
        Ok(found.map(|target| known.insert(target)))
    }

    fn stored(&mut self, log: LogId, seq: Seq) -> rusqlite::Result<Option<Target>> {
        let found = self.target.query_row((log.0, sql_seq(seq)), |row| {
            if !matches!(row.get_ref(0)?, ValueRef::Text(kind) if can_be_target(kind)) {
                return Ok(None);
            }
            let routing = Bytes::copy_from_slice(row.get_ref(1)?.as_bytes()?);
            let actor = Origin { routing, meta: Bytes::new() }.actor().into();
            Ok(Some(Target { actor, appended_bytes: 0, redacted: row.get(2)? }))
        });
        let Some(mut target) = found.optional()?.flatten() else { return Ok(None) };
        let appended = self.appended.query_row((log.0, sql_seq(seq)), |row| row.get::<_, i64>(0)).optional()?;
        target.appended_bytes = appended.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
        Ok(Some(target))
    }
}

impl Look<'_> {
    fn reject(&mut self, seqs: RangeInclusive<Seq>, why: Why) {
        self.rejected.push(Rejected { seq: *seqs.start(), why });
        self.gone.push(seqs);
    }
}
