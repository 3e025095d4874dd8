//! The ports of the store: logs, topics, and the feed, as the ring knows them. Each call is a command of the writer or a
//! question of the readers; nothing here waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use tambour_actors::deed::Deed;
use tambour_actors::event::Seq;
use tambour_actors::log::feed::{FeedEnds, FeedLimit, FeedLog, FeedPage, Position, Tap};
use tambour_actors::log::{
    Append, AppendError, Bounds, ChangeError, Class, CreateError, EventLog, FoldedPage, LogId, NewTopic, Page,
    PageLimit, PortFuture, Remembered, TopicChange, TopicQuery, TopicRecord, Topics, Unavailable,
};
use tambour_actors::topic_key::{Scope, TopicKey};

use super::SqliteStore;
use super::command::{Command, Trim};
use super::feed::From;
use super::readers::Question;

impl EventLog for SqliteStore {
    fn append(&self, items: Vec<Append>) -> PortFuture<Vec<Result<(), AppendError>>> {
        if items.iter().all(|item| item.class == Class::Ordinary) {
            return Box::pin(self.append_as(items, Class::Ordinary));
        }
        // Who has room for more is not refused together with who has none.
        let (store, count) = (self.clone(), items.len());
        let mut of_class = BTreeMap::<_, (Vec<usize>, Vec<Append>)>::new();
        for (index, item) in items.into_iter().enumerate() {
            // An emergency stands alone, because of whose it is.
            let alone = if item.class == Class::Ordinary { 0 } else { index + 1 };
            let (indexes, items) = of_class.entry((item.class, alone)).or_default();
            indexes.push(index);
            items.push(item);
        }
        let asked = of_class.into_iter().map(|((class, _), (indexes, items))| (indexes, store.append_as(items, class)));
        let asked: Vec<_> = asked.collect();
        Box::pin(async move {
            let mut answers = vec![Err(AppendError::Conflict); count];
            for (indexes, asked) in asked {
                for (index, answer) in indexes.into_iter().zip(asked.await) {
                    answers[index] = answer;
                }
            }
            answers
        })
    }

    fn bounds(&self, log: LogId) -> PortFuture<Result<Bounds, Unavailable>> {
        Box::pin(self.0.command(|answer| Command::Bounds { log, answer }).answer())
    }

    fn read(&self, log: LogId, after: Seq, limit: PageLimit) -> PortFuture<Result<Page, Unavailable>> {
        Box::pin(self.0.question(|answer| Question::Read { log, after, limit, answer }).answer())
    }

    fn read_folded(&self, log: LogId, after: Seq, limit: PageLimit) -> PortFuture<Result<FoldedPage, Unavailable>> {
        Box::pin(self.0.question(|answer| Question::ReadFolded { log, after, limit, answer }).answer())
    }

    fn recall(
        &self,
        log: LogId,
        sub: &str,
        key: &str,
        now_ms: i64,
    ) -> PortFuture<Result<Option<Remembered>, Unavailable>> {
        let (sub, key) = (sub.into(), key.into());
        Box::pin(self.0.question(|answer| Question::Recall { log, sub, key, now_ms, answer }).answer())
    }

    fn trim(&self, log: LogId, oldest: Seq) -> PortFuture<Result<Bounds, Unavailable>> {
        Box::pin(self.0.command(|answer| Command::Trim(Trim { log, oldest, answer })).answer())
    }
}

impl Topics for SqliteStore {
    fn create(&self, topic: NewTopic, by: Arc<Deed>) -> PortFuture<Result<TopicRecord, CreateError>> {
        let asked = self.0.command(|answer| Command::Create { topic, by, answer });
        Box::pin(async move { asked.answer().await? })
    }

    fn find(&self, key: &TopicKey) -> PortFuture<Result<Option<(TopicRecord, Bounds)>, Unavailable>> {
        let key = key.clone();
        Box::pin(self.0.question(|answer| Question::Find { key, answer }).answer())
    }

    fn list(&self, scope: &Scope, query: TopicQuery) -> PortFuture<Result<Vec<(TopicRecord, Bounds)>, Unavailable>> {
        let scope = scope.clone();
        Box::pin(self.0.question(|answer| Question::List { scope, query, answer }).answer())
    }

    fn change(
        &self,
        key: &TopicKey,
        change: TopicChange,
        by: Arc<Deed>,
    ) -> PortFuture<Result<Option<TopicRecord>, ChangeError>> {
        let key = key.clone();
        let asked = self.0.command(|answer| Command::Change { key, change, by, answer });
        Box::pin(async move { asked.answer().await? })
    }

    fn delete(&self, key: &TopicKey, by: Arc<Deed>) -> PortFuture<Result<bool, Unavailable>> {
        let key = key.clone();
        Box::pin(self.0.command(|answer| Command::Delete { key, by, answer }).answer())
    }
}

impl FeedLog for SqliteStore {
    fn tap(&self, scope: &Scope, tap: &Arc<Tap>) -> PortFuture<Result<FeedEnds, Unavailable>> {
        let (scope, tap) = (scope.clone(), tap.clone());
        Box::pin(self.0.command(|answer| Command::Tap { scope, tap, answer }).answer())
    }

    fn feed(&self, scope: &Scope, after: Position, limit: FeedLimit) -> PortFuture<Result<FeedPage, Unavailable>> {
        self.feed_from(scope, From::Behind(after), limit)
    }

    fn feed_before(
        &self,
        scope: &Scope,
        before: Position,
        limit: FeedLimit,
    ) -> PortFuture<Result<FeedPage, Unavailable>> {
        self.feed_from(scope, From::Before(before), limit)
    }
}

impl SqliteStore {
    /// Appends that are all for one thing; they are queued at once.
    fn append_as(
        &self,
        items: Vec<Append>,
        class: Class,
    ) -> impl Future<Output = Vec<Result<(), AppendError>>> + Send + use<> {
        let count = items.len();
        let asked = self.0.command(|answer| Command::append(items, class, answer));
        async move { asked.answer().await.unwrap_or_else(|error| vec![Err(error.into()); count]) }
    }

    /// A page; of a feed that is not there yet, behind the writer has made it.
    fn feed_from(&self, scope: &Scope, from: From, limit: FeedLimit) -> PortFuture<Result<FeedPage, Unavailable>> {
        let (store, scope) = (self.clone(), scope.clone());
        let ask = move |store: &Self, scope: Scope| {
            store.0.question(|answer| Question::Feed { scope, from, limit, answer }).answer()
        };
        let first = ask(&store, scope.clone());
        Box::pin(async move {
            if let Some(page) = first.await? {
                return Ok(page);
            }
            let made = scope.clone();
            store.0.command(|answer| Command::Feed { scope: made, answer }).answer().await?;
            ask(&store, scope).await?.ok_or_else(|| "the feed can't be made".into())
        })
    }
}
