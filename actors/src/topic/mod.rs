//! The topic actor: owns the order of one log and knows which outlets have readers of it.
//!
//! Handlers call [`state`] and carry out its effects. The actor never waits for an outlet, a
//! session or the log: what takes time is answered by a message. Only the directory starts it.

pub mod messages;
mod placing;
mod start;
pub mod state;
mod tail;
pub mod write;
mod writing;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use actix::{Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, fut::wrap_future};
use tokio::sync::oneshot;

use crate::event::Seq;
use crate::frame::Batch;
use crate::log::appender::{Appended, Appender, Queue};
use crate::log::{
    Append, AppendError, Bounds, EventLog, FoldedPage, Page, PageLimit, PortFuture, TopicRecord, Unavailable,
};
use messages::{
    Changed, Delete, FromOutlet, Life, LineId, Outlets, Publish, Replayed, Reply, Sleep, ToOutlet, Trimmed, Watch,
};
use state::{Effect, OutletId, Replay, TopicLimits, TopicState};

/// Most messages that wait for a topic before publishers are told `topic.busy`.
pub const MAILBOX_MESSAGES_MAX: usize = 4_096;
/// Most events of one page of a replay from the log.
const REPLAY_EVENTS_MAX: usize = 1_000;

/// Milliseconds since 1970, by the system's clock.
#[must_use]
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// Most rows of one page of a folded replay: most of them are looked at and not given.
const FOLD_EVENTS_MAX: usize = 4_000;

/// From where a reader who is behind goes on, and how.
#[derive(Debug, Clone, Copy)]
struct ReplayFrom {
    cursor: Seq,
    bytes: usize,
    fold: bool,
}

/// What was read for a replay; the folded with where it begins.
enum Stretch {
    Plain(Page),
    Folded(Seq, FoldedPage),
}

/// What a topic is started with.
pub struct Birth {
    /// Which topic.
    pub record: Arc<TopicRecord>,
    /// The ends of its log, ordered behind all earlier appends.
    pub bounds: Bounds,
    /// Its limits.
    pub limits: TopicLimits,
    /// Which life this is.
    pub life: Life,
    /// Where its events are kept.
    pub log: Arc<dyn EventLog>,
    /// The batcher of its worker.
    pub appender: Addr<Appender>,
    /// The outlets of all workers.
    pub outlets: Outlets,
    /// Called if the actor ends in any other way than by [`Sleep`] or [`Delete`].
    pub on_death: Box<dyn FnOnce() + Send>,
}

/// The actor. See the module.
pub struct TopicActor {
    state: TopicState<Reply>,
    effects: Vec<Effect<Reply>>,
    life: Life,
    log: Arc<dyn EventLog>,
    appender: Addr<Appender>,
    outlets: Outlets,
    /// Who polls, and behind which seq.
    watchers: Vec<(Seq, oneshot::Sender<()>)>,
    on_death: Option<Box<dyn FnOnce() + Send>>,
}

impl TopicActor {
    /// The actor of a birth.
    #[must_use]
    pub fn new(birth: Birth) -> Self {
        Self {
            state: TopicState::new(birth.record, birth.bounds, birth.limits),
            effects: Vec::new(),
            life: birth.life,
            log: birth.log,
            appender: birth.appender,
            outlets: birth.outlets,
            watchers: Vec::new(),
            on_death: Some(birth.on_death),
        }
    }

    fn perform(&mut self, ctx: &mut Context<Self>) {
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Append(events, once) => {
                    let append = Append { log: self.state.record().log, events, once };
                    self.appender.do_send(Queue { append, reply: ctx.address().recipient() });
                }
                Effect::Deliver(outlet, batch) => {
                    let key = self.state.record().topic.key.clone();
                    self.outlets.send(outlet, ToOutlet::Deliver { key, life: self.life, batch });
                }
                Effect::Answer(reply, result) => reply.send(result),
                Effect::Recall(recall) => {
                    let once = recall.once();
                    let found = self.log.recall(self.state.record().log, &once.sub, &once.key, now_ms());
                    ctx.spawn(wrap_future::<_, Self>(found).map(move |found, topic, ctx| {
                        if let Err(error) = &found {
                            tracing::error!(topic = %topic.state.record().topic.key, %error, "a key can't be looked up");
                        }
                        topic.state.recalled(recall, &found, now_ms(), &mut topic.effects);
                        topic.perform(ctx);
                    }));
                }
            }
        }
    }

    fn tell(&self, outlet: OutletId, line: LineId, after: Seq, replayed: Replayed) {
        let (key, life, bounds) = (self.state.record().topic.key.clone(), self.life, self.state.bounds());
        self.outlets.send(outlet, ToOutlet::Replayed { key, life, line, after, replayed, bounds });
    }

    fn replay(&mut self, ctx: &mut Context<Self>, (outlet, line): (OutletId, LineId), asked: ReplayFrom) {
        let ReplayFrom { cursor, bytes, fold } = asked;
        match self.state.replay(cursor, bytes, fold) {
            Replay::Tail(batch) => self.tell(outlet, line, cursor, Replayed::Frames(batch)),
            Replay::UpToDate => self.tell(outlet, line, cursor, Replayed::UpToDate),
            Replay::Log => {
                self.state.reading(true);
                ctx.spawn(wrap_future::<_, Self>(self.read(asked)).map(move |stretch, topic, _| {
                    topic.state.reading(false);
                    let replayed = match stretch {
                        Ok(stretch) => topic.stretch(stretch),
                        Err(error) => {
                            tracing::error!(topic = %topic.state.record().topic.key, %error, "a replay can't be read");
                            Replayed::Unavailable
                        }
                    };
                    topic.tell(outlet, line, cursor, replayed);
                }));
            }
        }
    }

    fn read(&self, asked: ReplayFrom) -> PortFuture<Result<Stretch, Unavailable>> {
        let log = self.state.record().log;
        if asked.fold {
            let limit = PageLimit { events: FOLD_EVENTS_MAX, bytes: asked.bytes };
            let read = self.log.read_folded(log, asked.cursor, limit);
            Box::pin(async move { read.await.map(|page| Stretch::Folded(asked.cursor, page)) })
        } else {
            let limit = PageLimit { events: REPLAY_EVENTS_MAX, bytes: asked.bytes / 2 };
            let read = self.log.read(log, asked.cursor, limit);
            Box::pin(async move { read.await.map(Stretch::Plain) })
        }
    }

    fn stretch(&mut self, stretch: Stretch) -> Replayed {
        let batch = match stretch {
            Stretch::Plain(page) => {
                self.state.trimmed(page.bounds.oldest);
                Batch::new(self.state.encode(&page.events))
            }
            Stretch::Folded(after, page) => {
                self.state.trimmed(page.bounds.oldest);
                // What is not kept any more is told as a gap, as without folding.
                let after = after.max(page.bounds.oldest - 1);
                (page.upto > after).then(|| Batch::folded(after, page.upto, self.state.encode_folded(&page.items)))
            }
        };
        batch.map_or(Replayed::UpToDate, |batch| Replayed::Frames(Arc::new(batch)))
    }

    /// Tells who polls that there is something behind where they stand.
    fn wake_watchers(&mut self) {
        let head = self.state.bounds().head;
        for (_, watcher) in self.watchers.extract_if(.., |(after, _)| *after < head) {
            // Who left needs no answer.
            let _ = watcher.send(());
        }
    }

    fn stop(&mut self, ctx: &mut Context<Self>) {
        self.on_death = None;
        ctx.stop();
    }
}

impl Actor for TopicActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MESSAGES_MAX);
    }
}

impl Drop for TopicActor {
    fn drop(&mut self) {
        if let Some(on_death) = self.on_death.take() {
            on_death();
        }
    }
}

impl Handler<Publish> for TopicActor {
    type Result = ();

    fn handle(&mut self, publish: Publish, ctx: &mut Self::Context) {
        self.state.write(publish.write, publish.origin, now_ms(), publish.reply, &mut self.effects);
        self.perform(ctx);
    }
}

impl Handler<Appended> for TopicActor {
    type Result = ();

    fn handle(&mut self, Appended(result): Appended, ctx: &mut Self::Context) {
        let lost = matches!(result, Err(AppendError::Conflict));
        if let Err(error) = &result
            // Of a full disk the store has said so, once.
            && !matches!(error, AppendError::Rejected(_) | AppendError::Full(_))
        {
            tracing::error!(topic = %self.state.record().topic.key, %error, "an append failed");
        }
        let outlets = &self.outlets;
        self.state.keep_outlets(|outlet| outlets.has(outlet));
        self.state.appended(result, now_ms(), &mut self.effects);
        self.perform(ctx);
        self.wake_watchers();
        if lost {
            // The log is ahead of this actor: the directory starts a new one from the log.
            ctx.terminate();
        }
    }
}

impl Handler<FromOutlet> for TopicActor {
    type Result = ();

    fn handle(&mut self, message: FromOutlet, ctx: &mut Self::Context) {
        match message {
            FromOutlet::Subscribe { outlet, line, ticket, start } => {
                let started = self.state.locate(start);
                let bounds = self.state.bounds();
                let key = self.state.record().topic.key.clone();
                self.outlets.send(outlet, ToOutlet::Subscribed { key, life: self.life, line, ticket, started, bounds });
                self.state.attach(outlet, 1, bounds.head, &mut self.effects);
            }
            FromOutlet::Attach { outlet, readers, position } => {
                let key = self.state.record().topic.key.clone();
                let head = self.state.bounds().head;
                self.outlets.send(outlet, ToOutlet::Head { key, life: self.life, head });
                self.state.attach(outlet, readers, position, &mut self.effects);
            }
            FromOutlet::Detach { outlet, readers } => self.state.detach(outlet, readers),
            FromOutlet::Delivered { outlet } => self.state.delivered(outlet, &mut self.effects),
            FromOutlet::Replay { outlet, line, cursor, bytes, fold } => {
                self.replay(ctx, (outlet, line), ReplayFrom { cursor, bytes, fold });
            }
        }
        self.perform(ctx);
    }
}

impl Handler<Sleep> for TopicActor {
    type Result = ();

    fn handle(&mut self, sleep: Sleep, ctx: &mut Self::Context) {
        let outlets = &self.outlets;
        self.state.keep_outlets(|outlet| outlets.has(outlet));
        self.watchers.retain(|(_, watcher)| !watcher.is_closed());
        if self.state.idle() && self.watchers.is_empty() && (sleep.consent)() {
            for outlet in self.state.outlets() {
                let key = self.state.record().topic.key.clone();
                self.outlets.send(outlet, ToOutlet::Asleep { key, life: self.life });
            }
            self.stop(ctx);
        }
    }
}

impl Handler<Watch> for TopicActor {
    type Result = ();

    fn handle(&mut self, watch: Watch, _: &mut Self::Context) {
        self.watchers.retain(|(_, watcher)| !watcher.is_closed());
        self.watchers.push((watch.after, watch.reply));
        self.wake_watchers();
    }
}

impl Handler<Changed> for TopicActor {
    type Result = ();

    fn handle(&mut self, Changed(record): Changed, _: &mut Self::Context) {
        self.state.changed(record);
    }
}

impl Handler<Trimmed> for TopicActor {
    type Result = ();

    fn handle(&mut self, Trimmed(oldest): Trimmed, _: &mut Self::Context) {
        self.state.trimmed(oldest);
    }
}

impl Handler<Delete> for TopicActor {
    type Result = ();

    fn handle(&mut self, _: Delete, ctx: &mut Self::Context) {
        self.stop(ctx);
    }
}
