//! The writer: the one thread that changes the file.
//!
//! It takes whatever is queued, carries it out in one transaction, and answers when the
//! transaction is on disk: one fsync for many callers. An item is checked before its first row
//! is inserted, so it is kept whole or not at all although it shares the transaction; an
//! engine's failure takes the whole transaction back and tells everybody in it. The writer
//! never waits for a reader, and leaves checkpoints to `checkpoint`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, Statement};
use tambour_actors::event::{Event, Seq};
use tambour_actors::log::{Append, AppendError, Bounds, CreateError, LogId, NewTopic, TopicRecord, Unavailable};
use tambour_actors::topic_key::TopicKey;

use super::checkpoint::Gate;
use super::heads::Heads;
use super::insert::Insert;
use super::probe::{self, Probe};
use super::queue::{Queue, Taken, Weight, Weighted};
use super::stats::Counters;
use super::wipe::Wiper;
use super::{Answer, rows, schema};

/// Most events in a transaction (a larger item has one of its own): about 25 ms of work, so
/// that the first in line does not wait for a long line behind it.
const TRANSACTION_EVENTS_MAX: usize = 4_096;
/// Most bytes in a transaction, likewise.
const TRANSACTION_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long the writer sleeps before it tries again to wipe after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What the writer is asked to do.
pub(super) enum Command {
    Append {
        items: Vec<Append>,
        weight: Weight,
        answer: Answer<Vec<Result<(), AppendError>>>,
    },
    Bounds {
        log: LogId,
        answer: Answer<Bounds>,
    },
    Create {
        topic: NewTopic,
        answer: Answer<Result<TopicRecord, CreateError>>,
    },
    Delete {
        key: TopicKey,
        answer: Answer<bool>,
    },
    #[cfg(test)]
    Panic,
}

impl Command {
    /// A call to append, weighed by the caller's thread.
    pub(super) fn append(items: Vec<Append>, answer: Answer<Vec<Result<(), AppendError>>>) -> Self {
        let mut weight = Weight::default();
        for item in &items {
            weight.events += item.events.len();
            weight.bytes += item.events.iter().map(Event::size_bytes).sum::<usize>();
        }
        Self::Append { items, weight, answer }
    }

    fn answer(self, outcome: Result<Outcome, &Unavailable>) {
        // A caller who dropped the future does not hear the answer: that is theirs to decide.
        match (self, outcome) {
            (Self::Append { answer, .. }, Ok(Outcome::Appended(answers))) => drop(answer.send(Ok(answers))),
            (Self::Bounds { answer, .. }, Ok(Outcome::Bounds(bounds))) => drop(answer.send(Ok(bounds))),
            (Self::Create { answer, .. }, Ok(Outcome::Created(created))) => drop(answer.send(Ok(created))),
            (Self::Delete { answer, .. }, Ok(Outcome::Deleted(deleted))) => drop(answer.send(Ok(deleted))),
            (Self::Append { answer, .. }, Err(why)) => drop(answer.send(Err(why.clone()))),
            (Self::Bounds { answer, .. }, Err(why)) => drop(answer.send(Err(why.clone()))),
            (Self::Create { answer, .. }, Err(why)) => drop(answer.send(Err(why.clone()))),
            (Self::Delete { answer, .. }, Err(why)) => drop(answer.send(Err(why.clone()))),
            (_, Ok(_)) => unreachable!("an outcome is made from its own command"),
            #[cfg(test)]
            (Self::Panic, Err(_)) => {}
        }
    }
}

impl Weighted for Command {
    fn weight(&self) -> Weight {
        match self {
            Self::Append { weight, .. } => *weight,
            Self::Bounds { .. } => Weight { events: 1, bytes: 0 },
            Self::Create { .. } | Self::Delete { .. } => Weight { events: 1, bytes: 1_024 },
            #[cfg(test)]
            Self::Panic => Weight { events: 1, bytes: 0 },
        }
    }
}

/// What a command came to, told when the transaction is on disk.
enum Outcome {
    Appended(Vec<Result<(), AppendError>>),
    Bounds(Bounds),
    Created(Result<TopicRecord, CreateError>),
    Deleted(bool),
}

/// What the writer shares with the rest of the store.
pub(super) struct Shared {
    pub(super) commands: Arc<Queue<Command>>,
    pub(super) counters: Arc<Counters>,
    pub(super) gate: Arc<Gate>,
    /// Largest database file, in bytes; `None`: what the disk holds.
    pub(super) file_bytes_max: Arc<Mutex<Option<u64>>>,
}

/// Tells the queue when the thread ends, however it ends: nobody waits for a dead writer.
struct Obituary<'s>(&'s Queue<Command>);

impl Drop for Obituary<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Carries out commands until the queue ends.
pub(super) fn run(conn: &Connection, shared: &Shared) {
    let _obituary = Obituary(&shared.commands);
    match Writer::new(conn, shared) {
        Ok(mut writer) => writer.run(),
        Err(error) => tracing::error!(%error, "the writer of the store can't start"),
    }
}

struct Writer<'c> {
    conn: &'c Connection,
    shared: &'c Shared,
    begin: Statement<'c>,
    commit: Statement<'c>,
    head: Statement<'c>,
    insert: Insert<'c>,
    heads: Heads,
    /// The position of the next event. Never one that was used before, not by events that are gone
    /// nor in a transaction that failed: the order of the whole store is by it.
    next_position: i64,
    wiper: Wiper,
    probe: Probe,
    /// What the file is limited to now.
    file_bytes_max: Option<u64>,
}

impl<'c> Writer<'c> {
    fn new(conn: &'c Connection, shared: &'c Shared) -> rusqlite::Result<Self> {
        let next_position = conn.query_row(
            "SELECT max((SELECT value FROM numbers WHERE name = 'position_floor'),
                        (SELECT coalesce(max(position), 0) + 1 FROM events))",
            [],
            |row| row.get(0),
        )?;
        Ok(Self {
            conn,
            shared,
            begin: conn.prepare("BEGIN IMMEDIATE")?,
            commit: conn.prepare("COMMIT")?,
            head: conn.prepare(
                "SELECT (SELECT seq FROM events WHERE log = ?1 ORDER BY seq DESC LIMIT 1) FROM topics WHERE id = ?1",
            )?,
            insert: Insert::new(conn)?,
            heads: Heads::default(),
            next_position,
            wiper: Wiper::load(conn)?,
            probe: Probe::default(),
            file_bytes_max: None,
        })
    }

    fn run(&mut self) {
        let limit = Weight { events: TRANSACTION_EVENTS_MAX, bytes: TRANSACTION_BYTES_MAX };
        loop {
            let now = Instant::now();
            let patience = self.wiper.patience(now).into_iter().chain(self.probe.patience(now)).min();
            match self.shared.commands.take(limit, patience) {
                Taken::Some(commands) => self.carry_out(commands),
                Taken::Nothing => {}
                Taken::End => return,
            }
            let idle = self.shared.commands.len() == 0;
            if self.wiper.is_due(Instant::now(), idle) {
                self.wipe();
            }
            if self.probe.take(Instant::now()) && self.transaction(|writer| probe::write(writer.conn)).is_ok() {
                self.shared.counters.well();
                tracing::info!("the store can be written again");
            }
        }
    }

    /// Everything in one transaction, answered behind its fsync.
    fn carry_out(&mut self, commands: Vec<Command>) {
        let mut outcomes = Vec::with_capacity(commands.len());
        let done = self.transaction(|writer| {
            for command in &commands {
                outcomes.push(writer.outcome(command)?);
            }
            Ok(())
        });
        match done {
            Ok(()) => {
                self.count(&commands, &outcomes);
                for (command, outcome) in commands.into_iter().zip(outcomes) {
                    command.answer(Ok(outcome));
                }
            }
            Err(error) => {
                let why = probe::unavailable(&error);
                // What adds nothing may come through alone: readers ask for ends, and deletes make room.
                let adds = |command: &Command| matches!(command, Command::Append { .. } | Command::Create { .. });
                let (refused, others): (Vec<_>, Vec<_>) =
                    commands.into_iter().partition(|command| !why.full || adds(command));
                let (refused, others) = if refused.is_empty() { (others, refused) } else { (refused, others) };
                refused.into_iter().for_each(|command| command.answer(Err(&why)));
                if !others.is_empty() {
                    self.carry_out(others);
                }
            }
        }
    }

    /// Runs `work` and commits; on any error nothing of it is kept.
    fn transaction(&mut self, work: impl FnOnce(&mut Self) -> rusqlite::Result<()>) -> rusqlite::Result<()> {
        let shared = self.shared;
        let turn = shared.gate.turn();
        self.limit();
        let done = self.begin.raw_execute().and_then(|_| work(self)).and_then(|()| {
            let start = Instant::now();
            self.commit.raw_execute()?;
            shared.counters.commit_took(start.elapsed());
            Ok(())
        });
        if let Err(error) = &done {
            if shared.counters.failed(probe::is_full(error)) {
                tracing::error!(%error, "the store can't be written; it is tried again every second");
            }
            self.probe.failed(Instant::now());
            self.heads.clear();
            // Some errors end the transaction by themselves.
            if !self.conn.is_autocommit()
                && let Err(error) = self.conn.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "a transaction can't be taken back");
            }
        }
        drop(turn);
        done
    }

    /// Takes another limit of the file over.
    fn limit(&mut self) {
        let wanted = *self.shared.file_bytes_max.lock();
        if wanted != self.file_bytes_max {
            match schema::limit(self.conn, wanted) {
                Ok(()) => self.file_bytes_max = wanted,
                Err(error) => tracing::error!(%error, "the size of the file can't be limited"),
            }
        }
    }

    fn outcome(&mut self, command: &Command) -> rusqlite::Result<Outcome> {
        Ok(match command {
            Command::Append { items, .. } => {
                let answers: rusqlite::Result<Vec<_>> = items.iter().map(|item| self.append(item)).collect();
                Outcome::Appended(answers?)
            }
            Command::Bounds { log, .. } => Outcome::Bounds(rows::bounds(self.conn, *log)?),
            Command::Create { topic, .. } => Outcome::Created(self.create(topic)?),
            Command::Delete { key, .. } => Outcome::Deleted(self.delete(key)?),
            #[cfg(test)]
            Command::Panic => panic!("asked to by a test"),
        })
    }

    fn append(&mut self, item: &Append) -> rusqlite::Result<Result<(), AppendError>> {
        let Some(head) = self.head(item.log)? else { return Ok(Err(AppendError::Gone)) };
        let consecutive = item.events.iter().zip(head + 1..).all(|(event, seq)| event.seq == seq);
        if !consecutive {
            return Ok(Err(AppendError::Conflict));
        }
        for event in item.events.iter() {
            self.insert.row(self.next_position, item.log, event)?;
            self.next_position += 1;
        }
        self.heads.set(item.log, head + item.events.len() as Seq);
        Ok(Ok(()))
    }

    /// The head of a log; `None` when there is no such log.
    fn head(&mut self, log: LogId) -> rusqlite::Result<Option<Seq>> {
        if let Some(head) = self.heads.get(log) {
            return Ok(Some(head));
        }
        let found = self.head.query_row([log.0], |row| row.get::<_, Option<i64>>(0)).optional()?;
        let head = found.map(|head| head.unwrap_or(0).cast_unsigned());
        if let Some(head) = head {
            self.heads.set(log, head);
        }
        Ok(head)
    }

    fn create(&mut self, topic: &NewTopic) -> rusqlite::Result<Result<TopicRecord, CreateError>> {
        let members =
            rows::members_text(&topic.members).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        let key = &topic.key;
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO topics
                 (tenant, env, kind, topic, creator, title, visibility, members, incarnation, created_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (tenant, env, kind, topic) DO NOTHING",
        )?;
        let inserted = insert.execute((
            key.tenant().as_str(),
            key.env().as_str(),
            key.kind().as_str(),
            key.id(),
            &*topic.creator,
            &topic.title,
            topic.visibility.as_str(),
            members,
            topic.incarnation.0.cast_signed(),
            topic.created_at_ms,
        ))?;
        if inserted == 0 {
            return Ok(Err(CreateError::Exists));
        }
        let log = LogId(self.conn.last_insert_rowid());
        self.heads.set(log, 0);
        Ok(Ok(TopicRecord { log, topic: topic.clone() }))
    }

    fn delete(&mut self, key: &TopicKey) -> rusqlite::Result<bool> {
        let Some(record) = rows::find(self.conn, key)? else { return Ok(false) };
        self.conn.prepare_cached("DELETE FROM topics WHERE id = ?1")?.execute([record.log.0])?;
        self.conn.prepare_cached("INSERT INTO deleted_logs VALUES (?1)")?.execute([record.log.0])?;
        self.heads.forget(record.log);
        Ok(true)
    }

    /// One slice of the events of deleted logs.
    fn wipe(&mut self) {
        let floor = self.next_position;
        let mut progress = None;
        let done = self.transaction(|writer| {
            progress = Some(writer.wiper.slice(writer.conn, floor)?);
            Ok(())
        });
        match (done, progress) {
            (Ok(()), Some(progress)) => self.wiper.done(progress, Instant::now()),
            (Err(error), _) => {
                tracing::warn!(%error, "events of deleted topics can't be removed");
                self.wiper.failed(Instant::now() + AFTER_FAILURE);
            }
            (Ok(()), None) => {}
        }
    }

    fn count(&mut self, commands: &[Command], outcomes: &[Outcome]) {
        for (command, outcome) in commands.iter().zip(outcomes) {
            match (command, outcome) {
                (Command::Append { items, weight, .. }, Outcome::Appended(answers)) => {
                    if answers.iter().all(Result::is_ok) {
                        self.shared.counters.appended(items.len(), *weight);
                    } else {
                        for (item, _) in items.iter().zip(answers).filter(|(_, answer)| answer.is_ok()) {
                            let bytes = item.events.iter().map(Event::size_bytes).sum();
                            self.shared.counters.appended(1, Weight { events: item.events.len(), bytes });
                        }
                    }
                }
                (_, Outcome::Deleted(true)) => self.wiper.more(),
                _ => {}
            }
        }
    }
}
