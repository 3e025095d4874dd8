//! The intake of one body: reads, sends and waits, each while the others do.
//!
//! One turn is in flight, and meanwhile the next lines are read, up to a bound; then the client waits, by TCP.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::web;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tambour_actors::directory::{Directory, TopicHandle};
use tambour_actors::event::{Origin, Seq};
use tambour_actors::log::TopicRecord;
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::gate::Right;
use tambour_actors::topic::messages::{Publish, Reply};
use tambour_actors::topic::now_ms;
use tambour_actors::topic::state::{Published, Write};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};

use super::lines::{Bad, Line, Lines};
use super::turn::{self, Place, Then, Turn};
use crate::admission::bodies::InHand;
use crate::admission::{Caller, Grant, gate, rights};

/// Most bytes of lines that are held, but for the piece of the body that goes beyond.
const HELD_BYTES_MAX: usize = 1024 * 1024;
/// Most lines that are held, likewise.
const HELD_LINES_MAX: usize = 4_000;
/// How long a busy topic is asked again.
const BUSY_PATIENCE: Duration = Duration::from_secs(30);
/// Between the first two times that it is asked; twice as long before each next, up to the second figure.
const BUSY_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// Why a body was not taken in to its end.
#[derive(Debug)]
pub(super) struct Failed {
    /// With `line` and `accepted`.
    pub(super) refusal: Refusal,
    /// Whether there is nothing more of the body to be read.
    pub(super) is_read: bool,
}

/// How many lines were written, and the first and the last event.
type Taken = (u64, Seq, Seq);
type Answers = Vec<Result<Published, Refusal>>;

/// See the file.
pub(super) struct Intake {
    grant: Grant,
    payload: web::Payload,
    lines: Lines,
    queue: VecDeque<Line>,
    held_bytes: usize,
    in_hand: InHand,
    place: Place,
    /// Whether there is nothing more of the body.
    is_read: bool,
    /// Why no more of it is taken, though there may be: told when everything before is written.
    bad: Option<Bad>,
    /// The first lines that each are a write of their own.
    split: usize,
    /// Since when the topic has been busy, and the pause before it is asked again.
    busy: Option<(Instant, Duration)>,
}

/// A turn that is in flight.
struct Flight {
    turn: Turn,
    answers: Pin<Box<dyn Future<Output = Answers>>>,
}

impl Intake {
    pub(super) fn new(grant: Grant, payload: web::Payload) -> Self {
        Self {
            in_hand: grant.caller.body(),
            grant,
            payload,
            lines: Lines::default(),
            queue: VecDeque::new(),
            held_bytes: 0,
            place: Place::default(),
            is_read: false,
            bad: None,
            split: 0,
            busy: None,
        }
    }

    /// Takes the body in.
    pub(super) async fn run(mut self) -> Result<Taken, Failed> {
        let ground = self.grant.caller.ground().clone();
        let idle = Duration::from_secs(self.grant.caller.settings().http.ndjson_idle_seconds);
        let mut idle_until = Instant::now() + idle;
        let mut flight: Option<Flight> = None;
        let mut changes = ground.standing.changes(&self.grant.caller.principal.scope);
        loop {
            if flight.is_none() && !self.queue.is_empty() {
                flight = Some(self.begin().map_err(|bad| self.failed(bad))?);
            }
            let ended = self.is_read || self.bad.is_some();
            if flight.is_none() && ended {
                return self.finish();
            }
            let reads = !ended && self.held_bytes < HELD_BYTES_MAX && self.queue.len() < HELD_LINES_MAX;
            tokio::select! {
                biased;
                answers = landed(&mut flight), if flight.is_some() => {
                    if let Some(Flight { turn, .. }) = flight.take() {
                        self.judge(&turn, answers).map_err(|bad| self.failed(bad))?;
                    }
                    idle_until = Instant::now() + idle;
                }
                () = ground.draining.begun(), if !ended => {
                    self.stop(Refusal::new(Code::Draining, "the hub is going; send the rest again in a moment"));
                }
                _ = changes.changed(), if !ended => {
                    if let Err(refusal) = self.grant.caller.current() {
                        self.stop(refusal);
                    }
                }
                piece = self.payload.next(), if reads => {
                    self.take(piece);
                    idle_until = Instant::now() + idle;
                }
                () = sleep_until(idle_until), if reads => {
                    self.stop(Refusal::new(Code::BodyLate, "nothing more of the body came in time"));
                }
            }
        }
    }

    /// What was read is written, and no more is read.
    fn stop(&mut self, refusal: Refusal) {
        self.bad = Some(Bad { line: self.lines.next(), refusal });
    }

    /// A piece of the body, or its end.
    fn take(&mut self, piece: Option<Result<Bytes, PayloadError>>) {
        let known = self.queue.len();
        match piece {
            Some(Ok(piece)) => self.bad = self.lines.feed(&piece, &mut self.queue).err(),
            Some(Err(_)) => {
                self.is_read = true;
                self.stop(Refusal::new(Code::RequestMalformed, "the body breaks off"));
            }
            None => {
                self.is_read = true;
                self.bad = self.lines.end(&mut self.queue).err();
            }
        }
        self.held_bytes += self.queue.range(known..).map(|line| line.bytes).sum::<usize>();
        // What is there already is written; more of it has to wait for somebody's else.
        if let Err(refusal) = self.in_hand.hold(self.held_bytes + self.lines.rest_bytes())
            && self.bad.is_none()
        {
            self.stop(refusal);
        }
    }

    /// A line that starts what is switched off, and what is behind it, is not written.
    fn cut_off(&mut self) -> Result<(), Bad> {
        let caller = &self.grant.caller;
        let blocked = |(index, line): (usize, &Line)| Some((index, caller.allows_entry(&line.entry).err()?));
        let Some((index, refusal)) = self.queue.iter().enumerate().find_map(blocked) else { return Ok(()) };
        let bad = Bad { line: self.queue[index].number, refusal };
        if index == 0 {
            return Err(bad);
        }
        self.held_bytes -= self.queue.drain(index..).map(|line| line.bytes).sum::<usize>();
        self.bad = Some(bad);
        Ok(())
    }

    /// Sends the next turn.
    fn begin(&mut self) -> Result<Flight, Bad> {
        self.cut_off()?;
        let caller = self.grant.caller.clone();
        let mark = self.grant.record.mark();
        let mut turn = turn::form(&self.queue, mark, &caller.principal.sub, self.place, self.split)?;
        let writes = std::mem::take(&mut turn.writes);
        let to =
            Addressee { record: self.grant.record.clone(), origin: caller.context.origin(&caller.principal), caller };
        let pause = self.busy.map(|(_, pause)| pause);
        let answers = Box::pin(async move {
            if let Some(pause) = pause {
                sleep(pause).await;
            }
            to.send(writes).await
        });
        Ok(Flight { turn, answers })
    }

    /// What the answers to a turn mean for the lines in it.
    fn judge(&mut self, turn: &Turn, answers: Answers) -> Result<(), Bad> {
        let held = self.queue.len();
        let then = turn.judge(answers, &mut self.queue, &mut self.place);
        self.held_bytes = self.queue.iter().map(|line| line.bytes).sum();
        // Less than before, so there is room for it.
        let _ = self.in_hand.hold(self.held_bytes + self.lines.rest_bytes());
        if self.queue.len() < held {
            self.busy = None;
        }
        self.split = 0;
        let line = self.queue.front().map_or(0, |line| line.number);
        match then {
            Then::Go => {}
            Then::Split(lines) => self.split = lines,
            Then::Refuse(refusal) => return Err(Bad { line, refusal }),
            Then::Wait(refusal) => {
                let (since, pause) = self.busy.unwrap_or((Instant::now(), BUSY_PAUSE.0 / 2));
                if since.elapsed() > BUSY_PATIENCE {
                    return Err(Bad { line, refusal });
                }
                self.busy = Some((since, (2 * pause).min(BUSY_PAUSE.1)));
            }
        }
        Ok(())
    }

    fn failed(&self, Bad { line, refusal }: Bad) -> Failed {
        Failed { refusal: refusal.with("line", line).with("accepted", self.place.accepted), is_read: self.is_read }
    }

    /// Everything that was read is written.
    fn finish(mut self) -> Result<Taken, Failed> {
        if let Some(bad) = self.bad.take() {
            return Err(self.failed(bad));
        }
        match self.place {
            Place { first: Some(first), last: Some(last), accepted, .. } => Ok((accepted, first, last)),
            _ => {
                let refusal = Refusal::new(Code::BodyInvalid, "there is no line in the body");
                Err(self.failed(Bad { line: self.lines.next(), refusal }))
            }
        }
    }
}

/// The answers to the turn that is in flight.
async fn landed(flight: &mut Option<Flight>) -> Answers {
    match flight {
        Some(flight) => flight.answers.as_mut().await,
        None => std::future::pending().await,
    }
}

/// The topic that the lines are for, and from whom they are.
struct Addressee {
    record: Arc<TopicRecord>,
    caller: Caller,
    origin: Origin,
}

impl Addressee {
    /// Sends writes, in their order. When the topic is gone meanwhile it is found again, once what was sent is answered. The
    /// answers end at the first refusal for the topic's sake.
    async fn send(&self, writes: Vec<Write>) -> Answers {
        let mut answers = Vec::with_capacity(writes.len());
        let mut asked = Vec::with_capacity(writes.len());
        let mut writes = writes.into_iter();
        let mut left = writes.next().map(|write| self.publish(write));
        while let Some((mut publish, mut answered)) = left.take() {
            let topic = match self.find().await {
                Ok(topic) => topic,
                Err(refusal) => {
                    answers.push(Err(refusal));
                    break;
                }
            };
            loop {
                if let Err(unsent) = Directory::try_publish(&topic, publish) {
                    left = Some((unsent, answered));
                    break;
                }
                asked.push(answered);
                let Some(write) = writes.next() else { break };
                (publish, answered) = self.publish(write);
            }
            for answer in asked.drain(..) {
                answers.push(answer.await.unwrap_or_else(|_| Err(Code::PublishUnknown.into())));
            }
            if answers.iter().any(Result::is_err) {
                break;
            }
        }
        answers
    }

    fn publish(&self, write: Write) -> (Publish, oneshot::Receiver<Result<Published, Refusal>>) {
        let (answer, answered) = oneshot::channel();
        let reply = Reply::new(move |result| drop(answer.send(result)));
        (Publish { write, origin: self.origin.clone(), reply }, answered)
    }

    /// The topic, if it is still the same and may still be written to.
    async fn find(&self) -> Result<TopicHandle, Refusal> {
        let principal = self.caller.current()?;
        if now_ms() >= principal.expires_at_ms {
            return Err(Code::TokenExpired.into());
        }
        let found = self
            .caller
            .ground()
            .directory
            .find(&self.record.topic.key)
            .await
            .map_err(|error| gate::unavailable(&error))?;
        let topic = found.filter(|topic| topic.record.log == self.record.log).ok_or_else(Refusal::topic_unknown)?;
        rights::check(&principal, &topic.record.topic, Right::Write)?;
        Ok(topic)
    }
}
