//! The topic actor: owns the order of one log and knows which outlets have readers of it.
//!
//! Handlers call [`state`] and carry out its effects. The actor never waits for an outlet, a
//! session or the log: what takes time is answered by a message. Only the directory starts it.

pub mod messages;
mod start;
pub mod state;
mod tail;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use actix::{Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, fut::wrap_future};

use crate::event::Seq;
use crate::frame::Batch;
use crate::log::appender::{Appended, Appender, Queue};
use crate::log::{Append, AppendError, Bounds, EventLog, PageLimit, TopicRecord};
use messages::{Delete, FromOutlet, Life, LineId, Outlets, Publish, Replayed, Reply, Sleep, ToOutlet};
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
            on_death: Some(birth.on_death),
        }
    }

    fn perform(&mut self, ctx: &mut Context<Self>) {
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Append(events) => {
                    let append = Append { log: self.state.record().log, events };
                    self.appender.do_send(Queue { append, reply: ctx.address().recipient() });
                }
                Effect::Deliver(outlet, batch) => {
                    let key = self.state.record().topic.key.clone();
                    self.outlets.send(outlet, ToOutlet::Deliver { key, life: self.life, batch });
                }
                Effect::Answer(reply, result) => reply.send(result),
            }
        }
    }

    fn tell(&self, outlet: OutletId, line: LineId, after: Seq, replayed: Replayed) {
        let (key, life, bounds) = (self.state.record().topic.key.clone(), self.life, self.state.bounds());
        self.outlets.send(outlet, ToOutlet::Replayed { key, life, line, after, replayed, bounds });
    }

    fn replay(&mut self, ctx: &mut Context<Self>, outlet: OutletId, line: LineId, cursor: Seq, bytes: usize) {
        match self.state.replay(cursor, bytes) {
            Replay::Tail(batch) => self.tell(outlet, line, cursor, Replayed::Frames(Arc::new(batch))),
            Replay::UpToDate => self.tell(outlet, line, cursor, Replayed::UpToDate),
            Replay::Log => {
                self.state.reading(true);
                let read = self.log.read(
                    self.state.record().log,
                    cursor,
                    PageLimit { events: REPLAY_EVENTS_MAX, bytes: bytes / 2 },
                );
                ctx.spawn(wrap_future::<_, Self>(read).map(move |page, topic, _| {
                    topic.state.reading(false);
                    let replayed = match page {
                        Ok(page) => {
                            topic.state.trimmed(page.bounds.oldest);
                            Batch::new(topic.state.encode(&page.events))
                                .map_or(Replayed::UpToDate, |batch| Replayed::Frames(Arc::new(batch)))
                        }
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
            // The store has said so, once.
            && !matches!(error, AppendError::Full(_))
        {
            tracing::error!(topic = %self.state.record().topic.key, %error, "an append failed");
        }
        let outlets = &self.outlets;
        self.state.keep_outlets(|outlet| outlets.has(outlet));
        self.state.appended(result, now_ms(), &mut self.effects);
        self.perform(ctx);
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
            FromOutlet::Replay { outlet, line, cursor, bytes } => self.replay(ctx, outlet, line, cursor, bytes),
        }
        self.perform(ctx);
    }
}

impl Handler<Sleep> for TopicActor {
    type Result = ();

    fn handle(&mut self, sleep: Sleep, ctx: &mut Self::Context) {
        let outlets = &self.outlets;
        self.state.keep_outlets(|outlet| outlets.has(outlet));
        if self.state.idle() && (sleep.consent)() {
            for outlet in self.state.outlets() {
                let key = self.state.record().topic.key.clone();
                self.outlets.send(outlet, ToOutlet::Asleep { key, life: self.life });
            }
            self.stop(ctx);
        }
    }
}

impl Handler<Delete> for TopicActor {
    type Result = ();

    fn handle(&mut self, _: Delete, ctx: &mut Self::Context) {
        self.stop(ctx);
    }
}
