//! The outlet: one per worker, writes what topics deliver to the sockets of that worker's sessions.
//!
//! A topic sends one message per outlet, however many readers it has; the outlet writes once per
//! socket and turn. It has no queue: who can't be written to now reads on from the log later.
//! It never decides who may read.

mod blocks;
pub mod line;
mod lives;
pub mod messages;
pub mod own;
mod pump;
mod seats;
pub mod socket;
mod topics;
pub mod worker;

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, fut::wrap_future};
use slab::Slab;

use crate::directory::Address;
use crate::frame::{Wire, control};
use crate::topic::messages::{EndReason, FromOutlet, ToOutlet};
use crate::topic::state::OutletId;
use line::Line;
use messages::{FromSession, ToSession};
use seats::{Pending, Seats};
use worker::Worker;

/// After so many writes, or [`SLICE_TIME`], a fan-out lets other topics and requests of its worker go on.
const SLICE_WRITES: usize = 256;
/// See [`SLICE_WRITES`].
const SLICE_TIME: Duration = Duration::from_millis(1);
/// How many writes there are between two looks at the clock.
const CLOCK_WRITES: usize = 32;
/// The longest pause after a long fan-out, in which what commits is merged.
const PAUSE_MAX: Duration = Duration::from_millis(5);
/// How often timers of lines are looked at.
const TICK: Duration = Duration::from_millis(250);
/// How much a reader who is behind gets before others do.
const REPLAY_BYTES: usize = 64 * 1024;

/// The actor. See the module.
pub struct Outlet {
    worker: Rc<Worker>,
    id: OutletId,
    seats: Seats,
    /// Topics with a delivery under way, in the order of their turns.
    queue: VecDeque<usize>,
    turning: bool,
}

/// Starts the outlet of a worker, on the worker's thread. Also starts it again after a panic.
pub fn start(worker: &Rc<Worker>) {
    // Whoever came while there was no outlet was not heard; their sessions end with their lines.
    for line in worker.lines.borrow_mut().drain() {
        line.tell(ToSession::Broken);
    }
    let life = worker.lives.get();
    worker.lives.set(life + 1);
    let id = OutletId { worker: worker.index, life };
    let outlet = Outlet { worker: worker.clone(), id, seats: Seats::default(), queue: VecDeque::new(), turning: false };
    let addr = outlet.start();
    worker.directory.outlets().seat(id, addr.clone().recipient());
    *worker.outlet.borrow_mut() = Some(addr);
}

impl Outlet {
    fn schedule(&mut self, ctx: &mut Context<Self>) {
        if !self.turning && !self.queue.is_empty() {
            self.turning = true;
            // Other tasks of this thread go first, so a turn finds all that they have brought.
            ctx.spawn(wrap_future::<_, Self>(tokio::task::yield_now()).map(|(), outlet, ctx| outlet.turn(ctx)));
        }
    }

    fn turn(&mut self, ctx: &mut Context<Self>) {
        let began = Instant::now();
        let worker = self.worker.clone();
        let lines = &mut *worker.lines.borrow_mut();
        let mut writes = 0;
        while let Some(slot) = self.queue.pop_front() {
            let (done, written) = self.fan_out(lines, slot, SLICE_WRITES - writes, began, ctx);
            writes += written.max(1);
            if !done {
                self.queue.push_back(slot);
            }
            if writes >= SLICE_WRITES || began.elapsed() >= SLICE_TIME {
                break;
            }
        }
        self.turning = false;
        self.schedule(ctx);
    }

    /// Writes a slice of a delivery. Whether it is done, and how many readers it looked at.
    fn fan_out(
        &mut self,
        lines: &mut Slab<Line>,
        slot: usize,
        most: usize,
        turn_began: Instant,
        ctx: &mut Context<Self>,
    ) -> (bool, usize) {
        let now_ms = self.worker.now_ms();
        let began = Instant::now();
        let mut looked = 0;
        let mut ended = Vec::new();
        let mut behind = Vec::new();
        while looked < most && (looked % CLOCK_WRITES != CLOCK_WRITES - 1 || turn_began.elapsed() < SLICE_TIME) {
            let Some(seat) = self.seats.get_mut(slot) else { return (true, looked) };
            let Some(delivery) = &mut seat.delivery else { return (true, looked) };
            let Some(reader) = seat.readers.get(delivery.next).copied() else { break };
            delivery.next += 1;
            looked += 1;
            let (last, closes) = (delivery.batch.last(), delivery.batch.closes());
            let line = &mut lines[reader.line as usize];
            pump::write_due(line, &self.seats, now_ms);
            let sub = line.subs[reader.sub as usize];
            if sub.live && sub.cursor < last && line.open() && line.replaying.is_none() {
                behind.push(reader.line);
            } else if closes && sub.live && sub.cursor == last {
                ended.push(reader.line);
            }
        }
        if let Some(delivery) = self.seats.get(slot).and_then(|seat| seat.delivery.as_ref()) {
            delivery.count(Instant::now());
        }
        for line in behind {
            self.catch_up(lines, line, ctx);
        }
        for line in ended {
            self.end_at_head(lines, line);
            self.catch_up(lines, line, ctx);
        }
        let took = began.elapsed();
        let Some(seat) = self.seats.get_mut(slot) else { return (true, looked) };
        let Some(delivery) = &mut seat.delivery else { return (true, looked) };
        delivery.took += took;
        if delivery.next < seat.readers.len() {
            return (false, looked);
        }
        self.finish(lines, slot, ctx);
        (true, looked)
    }

    /// A delivery reached every reader: tells the topic, after a pause if it was long work.
    fn finish(&mut self, lines: &mut Slab<Line>, slot: usize, ctx: &mut Context<Self>) {
        let Some(seat) = self.seats.get_mut(slot) else { return };
        let Some(delivery) = seat.delivery.take() else { return };
        if let Some(addr) = seat.addr.clone() {
            let outlet = self.id;
            if delivery.took >= SLICE_TIME {
                let pause = delivery.took.min(PAUSE_MAX);
                ctx.run_later(pause, move |_, _| addr.do_send(FromOutlet::Delivered { outlet }));
            } else {
                addr.do_send(FromOutlet::Delivered { outlet });
            }
        }
        if seat.head > delivery.batch.last() {
            // Something was set aside while this delivery was written.
            let readers: Vec<u32> = seat.readers.iter().map(|reader| reader.line).collect();
            for line in readers {
                self.catch_up(lines, line, ctx);
            }
        }
    }

    /// Asks for the next page of whatever a line is behind with, one page at a time.
    fn catch_up(&mut self, lines: &mut Slab<Line>, line_slot: u32, ctx: &mut Context<Self>) {
        let Some(line) = lines.get_mut(line_slot as usize) else { return };
        if !line.open() || line.replaying.is_some() {
            return;
        }
        let Some(index) = pump::next_behind(line, &self.seats) else { return };
        let sub = line.subs[index];
        line.next = u32::try_from(index + 1).unwrap_or(0);
        let slot = sub.topic as usize;
        let addr = self.seats.get(slot).and_then(|seat| seat.addr.clone()).filter(Address::connected);
        let Some(addr) = addr else {
            self.attach(slot, ctx);
            return;
        };
        line.replaying = Some(sub.topic);
        let id = crate::topic::messages::LineId { slot: line_slot, turn: line.turn };
        addr.do_send(FromOutlet::Replay {
            outlet: self.id,
            line: id,
            cursor: sub.cursor,
            bytes: REPLAY_BYTES,
            fold: sub.fold,
        });
    }

    /// Ends the subscriptions of a line that have reached the `closed` event of their topics.
    fn end_at_head(&mut self, lines: &mut Slab<Line>, line_slot: u32) {
        let at_end = |line: &Line, seats: &Seats| {
            line.subs.iter().position(|sub| {
                sub.live && seats.get(sub.topic as usize).is_some_and(|seat| seat.closed && sub.cursor >= seat.head)
            })
        };
        while let Some(line) = lines.get(line_slot as usize) {
            let Some(index) = at_end(line, &self.seats) else { return };
            self.end(lines, line_slot, index, EndReason::Closed);
        }
    }

    fn end(&mut self, lines: &mut Slab<Line>, line_slot: u32, sub: usize, reason: EndReason) {
        let line = &lines[line_slot as usize];
        let slot = line.subs[sub].topic as usize;
        if let Some(seat) = self.seats.get(slot) {
            line.tell(ToSession::Ended { key: seat.key.clone(), ticket: line.subs[sub].ticket, reason });
        }
        self.unsubscribe(lines, line_slot, sub);
    }

    fn unsubscribe(&mut self, lines: &mut Slab<Line>, line_slot: u32, sub: usize) {
        let slot = lines[line_slot as usize].subs[sub].topic as usize;
        self.seats.leave(lines, line_slot, sub);
        self.left(slot);
    }

    /// A reader left a topic, or never came to it.
    fn left(&mut self, slot: usize) {
        if let Some(addr) = self.seats.get(slot).and_then(|seat| seat.addr.as_ref()) {
            addr.do_send(FromOutlet::Detach { outlet: self.id, readers: 1 });
        }
        self.seats.prune(slot);
    }

    fn tick(&self) {
        let now_ms = self.worker.now_ms();
        let worker = self.worker.clone();
        let lines = &mut *worker.lines.borrow_mut();
        for (_, line) in lines.iter_mut() {
            if line.alarm_ms <= now_ms {
                line.alarm_ms = u64::MAX;
                line.tell(ToSession::Alarm);
            }
            if line.dead {
                continue;
            }
            let silent_ms = now_ms.saturating_sub(line.heard_ms);
            let every_ms = u64::from(line.every_ms);
            let stalled = line.blocked && now_ms.saturating_sub(line.accepted_ms) >= u64::from(line.stall_ms);
            let zombie = line.wire == Wire::Ws && !line.blocked && silent_ms > 2 * every_ms + every_ms / 5;
            if stalled || zombie {
                line.tell(ToSession::Cut);
                line.dead = true;
                continue;
            }
            let frame = match line.wire {
                Wire::Ws => control::WS_PING,
                Wire::Sse | Wire::SseUnnamed => control::SSE_KEEP_ALIVE,
            };
            if !line.blocked && now_ms.saturating_sub(line.beat_ms) >= every_ms {
                line.beat_ms = now_ms;
                let ahead = line.is_ahead().and_then(|slot| self.seats.get(slot));
                if let Some(feed) = ahead {
                    line.tell_place(feed.mark, now_ms);
                }
                // A place keeps an SSE stream alive as well; a ping asks for an answer.
                if ahead.is_none() || line.wire == Wire::Ws {
                    line.control(frame, now_ms);
                }
            }
        }
    }
}

impl Actor for Outlet {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(TICK, |outlet, ctx| {
            outlet.tick();
            outlet.retry(outlet.worker.now_ms(), ctx);
        });
    }
}

impl Drop for Outlet {
    /// After a panic, nobody knows which half of a write happened: every socket of this worker is closed,
    /// its clients resume, and a new outlet takes over.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        tracing::error!(worker = self.id.worker, "an outlet died; its sockets are closed and it is started again");
        if let Ok(mut lines) = self.worker.lines.try_borrow_mut() {
            for line in lines.drain() {
                line.tell(ToSession::Broken);
            }
        }
        let worker = self.worker.clone();
        actix::spawn(async move { start(&worker) });
    }
}

impl Handler<ToOutlet> for Outlet {
    type Result = ();

    fn handle(&mut self, message: ToOutlet, ctx: &mut Self::Context) {
        self.hear(message, ctx);
    }
}

impl Handler<FromSession> for Outlet {
    type Result = ();

    fn handle(&mut self, message: FromSession, ctx: &mut Self::Context) {
        let worker = self.worker.clone();
        let lines = &mut *worker.lines.borrow_mut();
        let known = |lines: &Slab<Line>, id: crate::topic::messages::LineId| {
            lines.get(id.slot as usize).is_some_and(|line| line.turn == id.turn)
        };
        match message {
            FromSession::Subscribe { line, ticket, topic, start, fold, view } if known(lines, line) => {
                let pending = Pending { line, ticket, left: false, start, fold, view, since_ms: 0 };
                self.subscribe(lines, pending, &topic, ctx);
            }
            FromSession::Go { line, ticket } if known(lines, line) => {
                let target = &mut lines[line.slot as usize];
                if let Some(sub) = target.subs.iter_mut().find(|sub| sub.ticket == ticket) {
                    sub.live = true;
                    self.serve(lines, line.slot, ctx);
                }
            }
            FromSession::Unsubscribe { line, key } if known(lines, line) => {
                if let Some(sub) = self.seats.sub_of(&lines[line.slot as usize], &key) {
                    self.unsubscribe(lines, line.slot, sub);
                    // It may have been the one whose page the others waited for.
                    self.serve(lines, line.slot, ctx);
                } else {
                    self.forget_pending(line, &key);
                }
            }
            FromSession::Drained { line } if known(lines, line) => self.serve(lines, line.slot, ctx),
            FromSession::Gone { line } if known(lines, line) => {
                while !lines[line.slot as usize].subs.is_empty() {
                    self.unsubscribe(lines, line.slot, 0);
                }
                lines.remove(line.slot as usize);
            }
            _ => {}
        }
    }
}
