//! The topic actor: owns the order of one log and knows which outlets have readers of it.
//!
//! Handlers call [`state`] and carry out its effects. The actor never waits for an outlet, a
//! session or the log: what takes time is answered by a message. Only the directory starts it.

pub(crate) mod fanout;
pub mod messages;
mod placing;
mod replaying;
mod start;
pub mod state;
mod tail;
pub mod write;
mod writing;

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use actix::{Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, fut::wrap_future};
use tokio::sync::oneshot;

use crate::event::Seq;
use crate::log::appender::{Appended, Appender, Asker, Queue};
use crate::log::{Append, AppendError, Bounds, EventLog, TopicRecord};
use crate::meter::Awake;
use messages::{Changed, Delete, FromOutlet, Life, Outlets, Publish, Reply, Sleep, ToOutlet, Trimmed, Watch};
use replaying::Early;
use state::{Effect, TopicLimits, TopicState};

/// Most messages that wait for a topic before publishers are told `topic.busy`.
pub const MAILBOX_MESSAGES_MAX: usize = 4_096;

/// Milliseconds since 1970, by the system's clock.
#[must_use]
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
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
    /// Counts it, and what it commits.
    pub awake: Awake,
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
    awake: Awake,
    /// Who is answered behind the append in flight, because they know of it, or would.
    early: Vec<Early>,
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
            awake: birth.awake,
            early: Vec::new(),
            watchers: Vec::new(),
            on_death: Some(birth.on_death),
        }
    }

    fn perform(&mut self, ctx: &mut Context<Self>) {
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Append(events, once, closing, class) => {
                    let append = Append { log: self.state.record().log, events, once, closing, class };
                    self.appender.do_send(Queue { append, reply: Asker::new(ctx.address().recipient()) });
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
                        topic.state.recalled(*recall, &found, now_ms(), &mut topic.effects);
                        topic.perform(ctx);
                    }));
                }
            }
        }
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

    fn handle(&mut self, mut publish: Publish, ctx: &mut Self::Context) {
        publish.write.taken = Some(Instant::now());
        self.state.write(publish.write, publish.origin, now_ms(), publish.reply, &mut self.effects);
        self.perform(ctx);
    }
}

impl Handler<Appended> for TopicActor {
    type Result = ();

    fn handle(&mut self, Appended(result): Appended, ctx: &mut Self::Context) {
        let Some(result) = result else {
            // Its writers are told that nobody knows, and the directory starts another from the log.
            tracing::error!(topic = %self.state.record().topic.key, "what became of an append is lost");
            ctx.terminate();
            return;
        };
        let lost = matches!(result, Err(AppendError::Conflict));
        if let Err(error) = &result
            // Of a full disk the store has said so, once.
            && !matches!(error, AppendError::Rejected(_) | AppendError::Full(_))
        {
            tracing::error!(topic = %self.state.record().topic.key, %error, "an append failed");
        }
        let outlets = &self.outlets;
        self.state.keep_outlets(|outlet| outlets.has(outlet));
        let before = self.state.bounds().head;
        self.state.appended(result, now_ms(), &mut self.effects);
        self.awake.meter().committed(self.state.bounds().head - before);
        self.perform(ctx);
        self.answer_early(ctx);
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
            FromOutlet::Subscribe { start, .. } if self.state.is_early(start) => self.early.push(Early::Asked(message)),
            FromOutlet::Subscribe { outlet, line, ticket, start } => {
                let (started, bounds) = (self.state.locate(start), self.state.bounds());
                let (record, life) = (self.state.record().clone(), self.life);
                self.outlets.send(outlet, ToOutlet::Subscribed { record, life, line, ticket, started, bounds });
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
                self.replay(ctx, (outlet, line), (cursor, bytes, fold));
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
