//! The readers: threads with a read-only connection each, that answer from snapshots.
//!
//! Every answer is one short read transaction, so that no reader holds a checkpoint up. A
//! reader never writes, and sees only what was synced: SQLite shows a commit after its fsync.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rusqlite::Connection;
use tambour_actors::event::Seq;
use tambour_actors::log::feed::{FeedLimit, FeedPage};
use tambour_actors::log::{
    Bounds, FoldedPage, LogId, Page, PageLimit, Remembered, TopicQuery, TopicRecord, Unavailable,
};
use tambour_actors::principal::Digest;
use tambour_actors::topic_key::{Scope, TopicKey};

use super::audit::{AuditPage, AuditQuery};
use super::endings::{self, Ending};
use super::failure::unavailable;
use super::overdue::{Keeps, Overdue, overdue};
use super::pages::PageReader;
use super::queue::{Queue, Taken, Weight, Weighted};
use super::{Answer, administer, audit, feed, once, rows, tokens};
use crate::admission::standing::change::Change;
use crate::identity::stream_tokens::TokenRecord;

/// A question to the readers.
pub(super) enum Question {
    Read {
        log: LogId,
        after: Seq,
        limit: PageLimit,
        answer: Answer<Page>,
    },
    ReadFolded {
        log: LogId,
        after: Seq,
        limit: PageLimit,
        answer: Answer<FoldedPage>,
    },
    Recall {
        log: LogId,
        sub: Box<str>,
        key: Box<str>,
        now_ms: i64,
        answer: Answer<Option<Remembered>>,
    },
    Overdue {
        after: LogId,
        keeps: Keeps,
        now_ms: i64,
        answer: Answer<Overdue>,
    },
    Standing {
        answer: Answer<Vec<Change>>,
    },
    Endings {
        after: i64,
        answer: Answer<Vec<Ending>>,
    },
    Token {
        digest: Digest,
        now_ms: i64,
        answer: Answer<Option<TokenRecord>>,
    },
    Find {
        key: TopicKey,
        answer: Answer<Option<(TopicRecord, Bounds)>>,
    },
    /// `None`: there is no such feed yet.
    Feed {
        scope: Scope,
        from: feed::From,
        limit: FeedLimit,
        answer: Answer<Option<FeedPage>>,
    },
    Audit {
        scope: Scope,
        query: AuditQuery,
        answer: Answer<AuditPage>,
    },
    List {
        scope: Scope,
        query: TopicQuery,
        answer: Answer<Vec<(TopicRecord, Bounds)>>,
    },
}

impl Weighted for Question {
    fn weight(&self) -> Weight {
        Weight { events: 1, bytes: 0 }
    }

    /// A topic that is woken and a key that is looked up are a few look-ups, and somebody waits to write: they don't wait for
    /// the pages of thousands who come back at once.
    fn is_short(&self) -> bool {
        matches!(self, Self::Find { .. } | Self::Recall { .. } | Self::Token { .. } | Self::Endings { .. })
    }
}

/// Answers questions until the queue ends.
pub(super) fn run(conn: &Connection, questions: &Arc<Queue<Question>>) {
    let mut pages = PageReader::default();
    let one = Weight { events: 1, bytes: 0 };
    loop {
        let Taken::Some(taken) = questions.take(one, None) else { return };
        for question in taken {
            // A question that panics costs its own answer, not the thread; the buffers are
            // cleared by the next page.
            let caught = catch_unwind(AssertUnwindSafe(|| reply(conn, &mut pages, question)));
            if caught.is_err() {
                end_transaction(conn);
                tracing::error!("a reader of the store panicked over a question; it goes on with the next");
            }
        }
    }
}

fn reply(conn: &Connection, pages: &mut PageReader, question: Question) {
    // Who dropped the future left; whether the other end hears the answer is not our business.
    match question {
        Question::Read { answer, .. } if answer.is_closed() => {}
        Question::Read { log, after, limit, answer } => {
            let _ = answer.send(snapshot(conn, |conn| page(conn, pages, log, after, limit)));
        }
        Question::ReadFolded { answer, .. } if answer.is_closed() => {}
        Question::ReadFolded { log, after, limit, answer } => {
            let _ = answer.send(snapshot(conn, |conn| pages.folded(conn, log, after, limit)));
        }
        Question::Recall { log, sub, key, now_ms, answer } => {
            let _ = answer.send(snapshot(conn, |conn| once::recall(conn, log, &sub, &key, now_ms)));
        }
        Question::Overdue { after, keeps, now_ms, answer } => {
            let _ = answer.send(snapshot(conn, |conn| overdue(conn, after, keeps, now_ms)));
        }
        Question::Standing { answer } => {
            let _ = answer.send(snapshot(conn, administer::kept));
        }
        Question::Endings { after, answer } => {
            let _ = answer.send(snapshot(conn, |conn| endings::left(conn, after)));
        }
        Question::Token { digest, now_ms, answer } => {
            let _ = answer.send(snapshot(conn, |conn| tokens::find(conn, digest, now_ms)));
        }
        Question::Find { key, answer } => {
            let _ = answer.send(snapshot(conn, |conn| {
                rows::find(conn, &key)?.map(|record| with_bounds(conn, record)).transpose()
            }));
        }
        Question::Feed { answer, .. } if answer.is_closed() => {}
        Question::Feed { scope, from, limit, answer } => {
            let _ = answer.send(snapshot(conn, |conn| feed::page(conn, pages, &scope, from, limit)));
        }
        Question::Audit { scope, query, answer } => {
            let _ = answer.send(snapshot(conn, |conn| audit::page(conn, &scope, &query)));
        }
        Question::List { scope, query, answer } => {
            let _ = answer.send(snapshot(conn, |conn| {
                rows::list(conn, &scope, &query)?.into_iter().map(|record| with_bounds(conn, record)).collect()
            }));
        }
    }
}

/// Reads in one transaction, begun and ended by statements that are prepared once.
fn snapshot<T>(conn: &Connection, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Unavailable> {
    let read_all = || {
        conn.prepare_cached("BEGIN")?.execute([])?;
        let value = read(conn);
        conn.prepare_cached("COMMIT")?.execute([])?;
        value
    };
    read_all().map_err(|error| {
        tracing::error!(%error, "the store can't be read");
        end_transaction(conn);
        unavailable(&error)
    })
}

/// Leaves no transaction open behind an error or a panic.
fn end_transaction(conn: &Connection) {
    if !conn.is_autocommit()
        && let Err(error) = conn.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a read transaction can't be ended");
    }
}

fn page(conn: &Connection, pages: &mut PageReader, log: LogId, after: Seq, limit: PageLimit) -> rusqlite::Result<Page> {
    let bounds = rows::bounds(conn, log)?;
    let events = if after < bounds.head { pages.events(conn, log, after, limit)? } else { Vec::new() };
    Ok(Page { events, bounds })
}

fn with_bounds(conn: &Connection, record: TopicRecord) -> rusqlite::Result<(TopicRecord, Bounds)> {
    let bounds = rows::bounds(conn, record.log)?;
    Ok((record, bounds))
}
