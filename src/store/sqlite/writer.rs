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
use rusqlite::{Connection, Statement};
use tambour_actors::event::Event;
use tambour_actors::log::{Class, Unavailable};

use super::checkpoint::Gate;
use super::command::{Command, Outcome};
use super::conditions::Conditions;
use super::failure::{is_full, is_of_rows, no_room, unavailable};
use super::heads::Heads;
use super::insert::Insert;
use super::once::Keys;
use super::queue::{Obituary, Queue, Taken, Weight};
use super::reserve::{Claim, Reserve, Room};
use super::schema;
use super::stats::Counters;
use super::taps::Taps;
use super::trim::Trimmer;
use super::wipe::Wiper;

/// Most events in a transaction (a larger item has one of its own): about 25 ms of work, so
/// that the first in line does not wait for a long line behind it.
const TRANSACTION_EVENTS_MAX: usize = 4_096;
/// Most bytes in a transaction, likewise.
const TRANSACTION_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long the writer sleeps before it tries again to wipe after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// When nobody has written for so long, what else is to be done is done: whoever writes one event behind the other has
/// the writer at once.
const QUIET: Duration = Duration::from_millis(2);
/// How long behind a failure the writer tries by itself whether it can write again.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Room that it tries to get: what a few events need.
const PROBE_BYTES: i64 = 64 * 1024;

/// What the writer shares with the rest of the store.
pub(super) struct Shared {
    pub(super) commands: Arc<Queue<Command>>,
    pub(super) counters: Arc<Counters>,
    pub(super) gate: Arc<Gate>,
    /// How large the database may be.
    pub(super) room: Arc<Mutex<Room>>,
}

/// Carries out commands until the queue ends.
pub(super) fn run(conn: &Connection, shared: &Shared) {
    let _obituary = Obituary(&shared.commands);
    match Writer::new(conn, shared) {
        Ok(mut writer) => writer.run(),
        Err(error) => tracing::error!(%error, "the writer of the store can't start"),
    }
}

pub(super) struct Writer<'c> {
    pub(super) conn: &'c Connection,
    shared: &'c Shared,
    begin: Statement<'c>,
    commit: Statement<'c>,
    pub(super) insert: Insert<'c>,
    pub(super) conditions: Conditions<'c>,
    pub(super) keys: Keys<'c>,
    pub(super) heads: Heads<'c>,
    /// Who is told of commits.
    pub(super) taps: Taps,
    /// Whether the transaction takes data away.
    pub(super) redacts: bool,
    /// When a write is tried although nobody asks for one, if the store is failing still.
    probe_at: Option<Instant>,
    /// Which writes have room.
    reserve: Reserve,
    /// Whether the last transaction that came through has changed a row.
    changed: bool,
    /// How long the file may get, in pages, as the engine was told.
    pages_max: Option<u64>,
    /// The position of the next event. Never one that was used before, not by events that are gone
    /// nor in a transaction that failed: the order of the whole store is by it.
    pub(super) next_position: i64,
    wiper: Wiper,
    trimmer: Trimmer,
    /// When nobody will have written for [`QUIET`], as far as is known.
    quiet_at: Instant,
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
            insert: Insert::new(conn)?,
            conditions: Conditions::new(conn)?,
            keys: Keys::new(conn)?,
            heads: Heads::new(conn)?,
            taps: Taps::new(),
            redacts: false,
            probe_at: None,
            reserve: Reserve::default(),
            changed: false,
            pages_max: None,
            next_position,
            wiper: Wiper::load(conn)?,
            trimmer: Trimmer::default(),
            quiet_at: Instant::now(),
        })
    }

    fn run(&mut self) {
        let limit = Weight { events: TRANSACTION_EVENTS_MAX, bytes: TRANSACTION_BYTES_MAX };
        loop {
            match self.shared.commands.take(limit, self.patience(Instant::now())) {
                Taken::Some(commands) => {
                    self.carry_out(commands);
                    self.quiet_at = Instant::now() + QUIET;
                }
                Taken::Nothing => {}
                Taken::End => return,
            }
            let is_due = |due_at: Option<Instant>| due_at.is_some_and(|due_at| due_at <= Instant::now());
            if is_due(self.wiper.due_at(self.quiet_at)) {
                self.wipe();
            }
            if is_due(self.trimmer.due_at(self.quiet_at)) {
                self.trim();
            }
            if is_due(self.probe_at) {
                self.probe();
            }
        }
    }

    /// How long the writer may wait for something better to do; `None`: for ever.
    fn patience(&self, now: Instant) -> Option<Duration> {
        let due = [self.probe_at, self.wiper.due_at(self.quiet_at), self.trimmer.due_at(self.quiet_at)];
        due.into_iter().flatten().min().map(|due_at| due_at.saturating_duration_since(now))
    }

    /// Everything in one transaction, answered behind its fsync.
    fn carry_out(&mut self, mut commands: Vec<Command>) {
        for command in commands.extract_if(.., |command| matches!(command, Command::Trim(_))) {
            if let Command::Trim(trim) = command {
                self.trimmer.push(trim);
            }
        }
        if commands.is_empty() {
            return;
        }
        // Whoever begins to listen does so behind everything of this transaction: it is in pages.
        commands.sort_by_key(|command| matches!(command, Command::Tap { .. }));
        let mut outcomes = Vec::with_capacity(commands.len());
        self.taps.begin();
        let claim = self.claim(&commands);
        let class = claim.class;
        let done = self.transaction(claim, |writer| {
            for command in &commands {
                outcomes.push(writer.outcome(command)?);
            }
            writer.taps.resolve(writer.conn)?;
            writer.keys.purge()
        });
        match done {
            Ok(()) => {
                self.tell(&commands, &outcomes);
                if self.changed && commands.iter().any(|command| command.class() == Class::Ordinary) {
                    self.shared.counters.well();
                }
                self.count(&commands, &outcomes);
                commands.into_iter().zip(outcomes).for_each(|(command, outcome)| command.answer(outcome));
            }
            Err(error) if commands.len() > 1 && is_of_rows(&error) => {
                // One of them is to blame: the halves are tried by themselves, until it stands alone.
                let later = commands.split_off(commands.len() / 2);
                self.carry_out(commands);
                self.carry_out(later);
            }
            Err(error) => {
                self.refuse(commands, class, &unavailable(&error));
            }
        }
    }

    /// What all of it together may have room for. Emergencies use the reserve one by one: each is somebody's.
    fn claim(&self, commands: &[Command]) -> Claim {
        match commands.iter().map(Command::class).min().unwrap_or(Class::Upkeep) {
            Class::Emergency(_) if commands.len() > 1 => Claim::of(Class::Relief),
            class @ Class::Emergency(_) => {
                Claim { class, scope: commands.first().and_then(|command| self.scope(command)) }
            }
            class => Claim::of(class),
        }
    }

    /// What could not be written with room for this class: what has more room is tried by itself.
    fn refuse(&mut self, commands: Vec<Command>, class: Class, why: &Unavailable) {
        let alone = commands.len() == 1;
        let is_over = |command: &Command| !why.full || alone || command.class() <= class;
        let (refused, others): (Vec<_>, Vec<_>) = commands.into_iter().partition(is_over);
        if why.full && matches!(class, Class::Emergency(_)) && self.reserve.used_up() {
            tracing::error!("there is no room for emergencies of a tenant: raise store.file_bytes_max, or make room");
        }
        if refused.is_empty() {
            others.into_iter().for_each(|command| self.carry_out(vec![command]));
        } else {
            refused.into_iter().for_each(|command| command.refuse(why));
            self.carry_out(others);
        }
    }

    /// Tells whoever listens what was committed, and lets those begin who asked to.
    fn tell(&mut self, commands: &[Command], outcomes: &[Outcome]) {
        self.taps.committed(self.next_position.cast_unsigned().saturating_sub(1));
        for asked in commands.iter().zip(outcomes) {
            if let (Command::Tap { scope, tap, .. }, Outcome::Tapped(ends)) = asked {
                tap.begin(ends.head);
                self.taps.push(scope.clone(), tap);
            }
        }
    }

    /// Runs `work` and commits; on any error nothing of it is kept.
    fn transaction(
        &mut self,
        claim: Claim,
        work: impl FnOnce(&mut Self) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let shared = self.shared;
        let turn = shared.gate.turn();
        let done = self.attempt(claim, work);
        let redacts = std::mem::take(&mut self.redacts);
        if let Err(error) = &done {
            if is_of_rows(error) {
                tracing::error!(%error, "a change is refused, because of rows that are not as this hub writes them");
            } else {
                if shared.counters.failed(is_full(error)) {
                    tracing::error!(%error, "the store can't be written; it is tried again every second");
                }
                self.probe_at.get_or_insert_with(|| Instant::now() + PROBE_EVERY);
            }
            self.heads.clear();
            self.conditions.clear();
            self.keys.clear();
            self.taps.failed();
            // Some errors end the transaction by themselves.
            if !self.conn.is_autocommit()
                && let Err(error) = self.conn.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "a transaction can't be taken back");
            }
        }
        drop(turn);
        match &done {
            Ok(()) if redacts => shared.gate.redacted(),
            Err(error) if is_full(error) => shared.gate.full(),
            _ => {}
        }
        done
    }

    fn attempt(&mut self, claim: Claim, work: impl FnOnce(&mut Self) -> rusqlite::Result<()>) -> rusqlite::Result<()> {
        let room = *self.shared.room.lock();
        if !self.reserve.is(room) {
            self.reserve.put(room, schema::page_bytes(self.conn)?, schema::used_pages(self.conn)?);
        }
        let before = self.used_pages()?;
        let pages_max = self.reserve.pages_max(&claim, before);
        if self.pages_max != pages_max {
            schema::limit(self.conn, pages_max)?;
            self.pages_max = pages_max;
        }
        self.begin.raw_execute()?;
        let changes = self.conn.total_changes();
        work(self)?;
        let after = self.used_pages()?;
        self.changed = self.conn.total_changes() > changes;
        // The engine stops a file that gets too long, and does not know whose the pages are that it has free.
        if self.changed && pages_max.is_some_and(|most| after > most) {
            return Err(no_room());
        }
        let start = Instant::now();
        self.commit.raw_execute()?;
        self.shared.counters.commit_took(start.elapsed());
        self.reserve.committed(claim, before, after);
        Ok(())
    }

    /// How many pages are in use; 0 where nobody asks.
    fn used_pages(&self) -> rusqlite::Result<u64> {
        if self.reserve.is_limited() { schema::used_pages(self.conn) } else { Ok(0) }
    }

    /// One slice of the events of deleted logs.
    fn wipe(&mut self) {
        let floor = self.next_position;
        let mut progress = None;
        let done = self.transaction(Claim::of(Class::Upkeep), |writer| {
            progress = Some(writer.wiper.slice(writer.conn, floor)?);
            Ok(())
        });
        match (done, progress) {
            (Ok(()), Some(progress)) => self.wiper.done(progress, Instant::now()),
            (Err(error), _) => {
                // Of a full disk the transaction has told, once.
                if !is_full(&error) {
                    tracing::error!(%error, "events of deleted topics can't be removed");
                }
                self.wiper.failed(Instant::now() + AFTER_FAILURE);
            }
            (Ok(()), None) => {}
        }
    }

    /// Tries to write when the last write failed. Room is asked for and given back in one transaction, so that nothing
    /// stays of it.
    fn probe(&mut self) {
        self.probe_at = None;
        if !self.shared.counters.failing() {
            return;
        }
        let done = self.transaction(Claim::of(Class::Ordinary), |writer| {
            writer.conn.prepare_cached("INSERT INTO probe VALUES (zeroblob(?1))")?.execute([PROBE_BYTES])?;
            let most = writer.pages_max.unwrap_or(u64::MAX);
            if writer.used_pages()? > most {
                return Err(no_room());
            }
            writer.conn.prepare_cached("DELETE FROM probe")?.execute([])?;
            Ok(())
        });
        match done {
            Ok(()) => {
                self.shared.counters.well();
                tracing::info!("the store can be written again");
            }
            Err(error) => tracing::debug!(%error, "the store still can't be written"),
        }
    }

    /// One slice of what is to be trimmed.
    fn trim(&mut self) {
        let start = Instant::now();
        let mut slice = None;
        let done = self.transaction(Claim::of(Class::Upkeep), |writer| {
            slice = Some(writer.trimmer.slice(writer.conn)?);
            Ok(())
        });
        if slice.as_ref().is_some_and(|slice| slice.removed) {
            // What is remembered of targets may be of events that are gone.
            self.conditions.clear();
        }
        let done = done.map(|()| slice.unwrap_or_default()).map_err(|error| {
            tracing::error!(%error, "events can't be trimmed");
            unavailable(&error)
        });
        self.trimmer.finished(start, done);
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
