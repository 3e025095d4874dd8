//! The session actor: one per connection, for WebSocket and SSE alike, on the worker of its socket.
//!
//! It reads the socket, knows who the client is, and tells the outlet what the client wants to
//! read; the outlet writes the events. It keeps no event, and holds what was given to it until it ends.

pub mod decoder;
pub mod gate;
mod identity;
mod io;
mod opening;
mod pace;
mod readings;
pub mod request;
mod ws;

use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message};
use uuid::Uuid;

use crate::cursor::{Cursor, Mark};
use crate::directory::TopicHandle;
use crate::entry::Entry;
use crate::feed::view::Filter;
use crate::frame::control::{self, Control, Ref};
use crate::frame::{Wire, time_text};
use crate::log::{Bounds, TopicRecord};
use crate::outlet::line::Line;
use crate::outlet::messages::{FromSession, ToSession};
use crate::outlet::own::Own;
use crate::outlet::worker::Worker;
use crate::principal::Principal;
use crate::refusal::{Refusal, close};
use crate::topic::messages::{EndReason, LineId, Publish};
use crate::topic::now_ms;
use crate::topic::state::{Published, Start, Started};
use crate::topic_key::TopicKey;
use decoder::Decoder;
use gate::{Claim, Gate, Hold, Identity, Proving, Right};
pub use opening::{Greeting, Opening, SessionLimits, Wanted, Who};
use pace::Paced;

/// Above this many bytes of the hub's own frames behind a full socket, a session stops reading.
const WAITING_BYTES_MAX: usize = 64 * 1024;
/// How long an ending session waits for the client to take its last bytes and close.
const FAREWELL_MS: u64 = 2_000;

/// A subscription as the client knows it.
struct Subscription {
    ticket: u32,
    key: TopicKey,
    /// How it was asked for, until the client is told where it starts.
    asked: Option<Box<Asked>>,
}

struct Asked {
    reference: Ref,
    requested: Option<String>,
    resumed: bool,
    /// Of one of several topics, until all have answered.
    begun: Option<Begun>,
}

/// What became of the wish to read a topic.
enum Begun {
    /// The reader starts, in a log with these ends and cursors.
    At(Started, Bounds, Mark),
    /// There is no more to read.
    Ended(EndReason),
}

/// Which topics a session reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// Those that the client asks for.
    Any,
    /// One from its start, with which it ends.
    One,
    /// Several from its start, under one id; it ends with the last.
    Many,
}

/// What waits for a topic to be found.
enum Task {
    Subscribe { start: Start, requested: Option<String>, fold: bool, filter: Option<Arc<Filter>> },
    Publish { entry: Entry },
}

impl Task {
    fn right(&self) -> Right {
        match self {
            Self::Subscribe { .. } => Right::Read,
            Self::Publish { .. } => Right::Write,
        }
    }
}

/// What a session waits for before it does anything else that its client asks for.
#[allow(clippy::large_enum_variant, reason = "it is boxed where it waits")]
enum Waiting {
    /// A topic of this name is being found.
    Topic(Task, String, Ref, Proving<TopicHandle>),
    /// The same for a publish whose topic was gone when it was sent, of which nothing may come before it; how often it was
    /// looked for.
    Again(Publish, u8, Proving<TopicHandle>),
    /// A publish came to a topic that is still to say where this session's reader starts: it must not be there first.
    Start(TopicHandle, Entry, Ref),
    /// An identity is being proved: the first one, or another.
    Identity(Ref, Proving<Identity>),
}

/// The actor. See the module.
pub struct Session {
    worker: Rc<Worker>,
    line: LineId,
    gate: Rc<dyn Gate>,
    limits: Arc<SessionLimits>,
    wire: Wire,
    who: Who,
    /// Gone once the client was greeted.
    greeting: Option<Box<Greeting>>,
    /// Only while input is incomplete.
    decoder: Option<Box<Decoder>>,
    subscriptions: Vec<Subscription>,
    /// How many subscriptions there ever were.
    tickets: u32,
    reads: Reads,
    waiting: Option<Box<Waiting>>,
    publishes_in_flight: usize,
    paced: Paced,
    warned: bool,
    ending: bool,
    finished: bool,
    connection_id: Uuid,
    hold: Rc<dyn Hold>,
}

/// A publish of a session was answered.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Answered {
    reference: Ref,
    result: Result<Published, Refusal>,
    record: Arc<TopicRecord>,
}

/// Starts a session on this thread.
pub fn open(worker: &Rc<Worker>, opening: Opening) -> Addr<Session> {
    let Opening { wire, socket, early, greeting, who, topics, composite, hold, gate, limits } = opening;
    let worker = worker.clone();
    let reads = match (&composite, topics.is_empty()) {
        (Some(_), _) => Reads::Many,
        (None, true) => Reads::Any,
        (None, false) => Reads::One,
    };
    Session::create(move |ctx| {
        // The default mailbox is counted in slots, not reserved; it needs no change.
        let session = ctx.address().recipient();
        who.begin(&session);
        let line = worker.add(|turn, now_ms| Line::new(socket, wire, limits.pace, session, turn, now_ms));
        let mut session = Session {
            worker,
            line,
            gate,
            limits,
            wire,
            who,
            connection_id: greeting.connection_id,
            greeting: Some(greeting),
            decoder: None,
            subscriptions: Vec::new(),
            tickets: 0,
            reads,
            waiting: None,
            publishes_in_flight: 0,
            paced: Paced::default(),
            warned: false,
            ending: false,
            finished: false,
            hold,
        };
        if !early.is_empty() {
            session.decoder.get_or_insert_default().feed(&early);
        }
        if wire == Wire::Ws {
            session.welcome(&None);
        }
        session.set_alarm();
        session.with_line(|line, _| line.own = composite.map(|id| Box::new(Own::Several(*id))));
        session.review(None, ctx);
        for wanted in topics {
            session.subscribe(wanted, None);
        }
        if let Some(retry_after_ms) = session.worker.come_back_ms() {
            ctx.notify(ToSession::Drain { retry_after_ms });
        }
        session
    })
}

impl Session {
    fn with_line<T>(&self, act: impl FnOnce(&mut Line, u64) -> T) -> Option<T> {
        let now_ms = self.worker.now_ms();
        self.worker.with(self.line, |line| act(line, now_ms))
    }

    fn control(&self, frame: &[u8]) {
        self.with_line(|line, now_ms| line.control(frame, now_ms));
    }

    fn ask_outlet(&self, message: FromSession) {
        if let Some(outlet) = self.worker.outlet() {
            outlet.do_send(message);
        }
    }

    fn principal(&self) -> Option<&Arc<Principal>> {
        self.who.proved().map(|proved| &proved.principal)
    }

    fn heartbeat_seconds(&self) -> u64 {
        u64::from(self.limits.pace.beat_ms(self.wire) / 1_000)
    }

    fn welcome(&mut self, reference: &Ref) {
        let Some(principal) = self.principal().cloned() else { return };
        let greeting = self.greeting.take();
        let welcome = Control::Welcome {
            connection_id: greeting.as_ref().map(|greeting| greeting.connection_id),
            request_id: greeting.as_ref().map(|greeting| &*greeting.request_id),
            sub: &principal.sub,
            tenant_id: principal.scope.tenant.as_str(),
            env: principal.scope.env.as_str(),
            heartbeat_seconds: self.heartbeat_seconds(),
            expires_at: &time_text(principal.expires_at_ms),
        };
        self.control(&welcome.ws(reference));
    }

    /// Asks to be woken when something about the identity is due.
    fn set_alarm(&self) {
        let in_ms = match self.principal() {
            None => self.limits.hello_timeout_ms,
            Some(principal) => {
                let left_ms = principal.expires_at_ms.saturating_sub(now_ms());
                let until_ms = if self.warned { left_ms } else { left_ms - self.limits.expiry_warning_ms };
                u64::try_from(until_ms).unwrap_or(0)
            }
        };
        self.with_line(|line, now_ms| line.alarm_ms = now_ms.saturating_add(in_ms));
    }

    fn alarm(&mut self, ctx: &mut Context<Self>) {
        if self.ending {
            ctx.stop();
            return;
        }
        let Some(principal) = self.principal() else {
            self.refuse(&crate::refusal::Code::HelloLate.into());
            return;
        };
        let expires_at_ms = principal.expires_at_ms;
        if now_ms() >= expires_at_ms {
            self.refuse(&Refusal::new(crate::refusal::Code::TokenExpired, "the session's token expired"));
            return;
        }
        // `connected` is the first block of a stream, however long its topic takes: the warning comes with a later look.
        let is_greeted = !self.wire.is_sse() || self.greeting.is_none();
        if !self.warned && is_greeted && now_ms() >= expires_at_ms - self.limits.expiry_warning_ms {
            self.warned = true;
            let expires_at = time_text(expires_at_ms);
            self.control(&Control::TokenExpiring { expires_at: &expires_at }.wire(self.wire));
        }
        self.set_alarm();
    }

    /// Tells the client why it can't go on, and ends.
    fn refuse(&mut self, refusal: &Refusal) {
        if self.wire == Wire::Ws && !self.ending {
            self.control(&control::error(refusal, &None));
        }
        self.finish(refusal.code.ends(), refusal.code.as_str());
    }

    /// Ends as soon as the client has taken what waits for it.
    fn finish(&mut self, code: u16, reason: &str) {
        if std::mem::replace(&mut self.ending, true) {
            return;
        }
        if self.wire == Wire::Ws {
            self.control(&control::ws_close(code, reason));
        }
        self.with_line(|line, now_ms| {
            line.dead = true;
            line.alarm_ms = now_ms + FAREWELL_MS;
        });
    }

    /// Answers of one turn go out together, when the pump is polled behind the messages of this turn.
    fn answered(&mut self, answered: &Answered) {
        self.publishes_in_flight -= 1;
        let frame = match &answered.result {
            Ok(published) => {
                let cursor: Cursor = answered.record.mark().at(published.last);
                let id = cursor.to_string();
                Control::Published { id: &id, seq: published.last }.ws(&answered.reference)
            }
            Err(refusal) => {
                let topic = &answered.record.topic.key.topic();
                self.refused(refusal, &answered.reference, Some(Claim { topic, right: Right::Write }))
            }
        };
        self.with_line(|line, _| line.queue(&frame));
    }
}

impl Actor for Session {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(io::Pump);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        match self.worker.outlet() {
            Some(outlet) if outlet.connected() => outlet.do_send(FromSession::Gone { line: self.line }),
            _ => self.worker.remove(self.line),
        }
    }
}

impl Handler<ToSession> for Session {
    type Result = ();

    fn handle(&mut self, message: ToSession, ctx: &mut Self::Context) {
        match message {
            ToSession::Subscribed { record, ticket, started, bounds } => {
                self.subscribed(&record, ticket, started, bounds);
            }
            ToSession::Ended { key, ticket, reason } => self.ended(&key, ticket, reason),
            ToSession::Changed { record } => self.changed(&record),
            // Handling any message polls the pump, which sees that the socket is full.
            ToSession::Blocked => {}
            ToSession::Broken => ctx.stop(),
            ToSession::Cut => {
                self.with_line(|line, _| line.socket().abandon());
                ctx.stop();
            }
            ToSession::Alarm => self.alarm(ctx),
            ToSession::Review(review) => self.review(Some(&review), ctx),
            ToSession::Survey { survey, topics } => self.seen(&*survey, topics),
            ToSession::Replaced => self.replaced(),
            ToSession::Drain { retry_after_ms } => {
                self.control(&Control::Reconnect { retry_after_ms }.wire(self.wire));
                if self.wire.is_sse() {
                    self.control(&control::sse_retry(retry_after_ms));
                }
                self.finish(close::DRAIN, "draining");
            }
        }
    }
}

impl Handler<Answered> for Session {
    type Result = ();

    fn handle(&mut self, answered: Answered, _: &mut Self::Context) {
        self.answered(&answered);
    }
}
