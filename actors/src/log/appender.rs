//! Collects the appends of one worker's topics and hands them to the log together.
//!
//! Waking another thread costs more than an append, so the topics of a worker share one call
//! and one answer. The appender never holds an append back for longer than the turn of its
//! worker, and never reorders.

use std::sync::Arc;

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, Recipient, ResponseFuture};

use super::{Append, AppendError, Bounds, EventLog, LogId, Unavailable};

/// Append this with whatever else this turn brings; answered by [`Appended`].
#[derive(Message)]
#[rtype(result = "()")]
pub struct Queue {
    /// What.
    pub append: Append,
    /// Whom to tell.
    pub reply: Asker,
}

/// An append is durable, or was refused. `None`: whoever carried it out is gone, and nobody knows.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Appended(pub Option<Result<(), AppendError>>);

/// Whoever asked for an append: told what became of it, also when it is lost on the way, so that nobody waits for ever.
pub struct Asker(Option<Recipient<Appended>>);

impl Asker {
    /// Tells this one.
    #[must_use]
    pub fn new(asker: Recipient<Appended>) -> Self {
        Self(Some(asker))
    }

    fn tell(mut self, result: Result<(), AppendError>) {
        if let Some(asker) = self.0.take() {
            asker.do_send(Appended(Some(result)));
        }
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        if let Some(asker) = self.0.take() {
            asker.do_send(Appended(None));
        }
    }
}

/// What is to be done when the appender dies of a panic: start another.
#[derive(Message)]
#[rtype(result = "()")]
pub struct OnDeath(pub Box<dyn FnOnce() + Send>);

/// The ends of a log, behind every append that was queued before: a topic that is started again must know
/// of what its earlier life left here.
#[derive(Message)]
#[rtype(result = "Result<Bounds, Unavailable>")]
pub struct Ends(pub LogId);

/// The actor. See the module.
pub struct Appender {
    log: Arc<dyn EventLog>,
    appends: Vec<Append>,
    replies: Vec<Asker>,
    on_death: Option<OnDeath>,
}

impl Appender {
    /// An appender in front of a log.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log, appends: Vec::new(), replies: Vec::new(), on_death: None }
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        if self.appends.is_empty() {
            return;
        }
        let replies = std::mem::take(&mut self.replies);
        let appended = self.log.append(std::mem::take(&mut self.appends));
        ctx.spawn(wrap_future::<_, Self>(appended).map(move |results, _, _| {
            debug_assert_eq!(results.len(), replies.len(), "one answer for each append");
            for (reply, result) in replies.into_iter().zip(results) {
                reply.tell(result);
            }
        }));
    }
}

impl Actor for Appender {
    type Context = Context<Self>;
}

impl Drop for Appender {
    /// After a panic: whoever asked it for an append is told that nobody knows, and another takes its place.
    fn drop(&mut self) {
        if let Some(OnDeath(revive)) = self.on_death.take().filter(|_| std::thread::panicking()) {
            actix::spawn(async move { revive() });
        }
    }
}

impl Handler<OnDeath> for Appender {
    type Result = ();

    fn handle(&mut self, on_death: OnDeath, _: &mut Self::Context) {
        self.on_death = Some(on_death);
    }
}

impl Handler<Queue> for Appender {
    type Result = ();

    fn handle(&mut self, queue: Queue, ctx: &mut Self::Context) {
        self.appends.push(queue.append);
        self.replies.push(queue.reply);
        if self.appends.len() == 1 {
            // The other topics of this worker get their turn first, then all go together.
            ctx.spawn(wrap_future::<_, Self>(tokio::task::yield_now()).map(|(), appender, ctx| appender.flush(ctx)));
        }
    }
}

impl Handler<Ends> for Appender {
    type Result = ResponseFuture<Result<Bounds, Unavailable>>;

    fn handle(&mut self, Ends(log): Ends, ctx: &mut Self::Context) -> Self::Result {
        self.flush(ctx);
        self.log.bounds(log)
    }
}
