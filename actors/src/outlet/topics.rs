//! The outlet's side of its talk with topics: subscribe, deliver, replay. What happens when one sleeps, wakes, dies or is
//! deleted is in `lives`.
//!
//! Nothing here waits.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, fut::wrap_future};
use slab::Slab;

use super::line::{Line, Sub};
use super::messages::ToSession;
use super::own::{FeedReading, Own};
use super::pump::Part;
use super::seats::{Delivery, NewSub, Pending, Seat};
use super::{Outlet, pump};
use crate::directory::TopicHandle;
use crate::frame::Batch;
use crate::frame::control::gap;
use crate::lag::LagQuestion;
use crate::log::{Bounds, TopicRecord};
use crate::meter::Readers;
use crate::review::{Reading, Survey};
use crate::topic::messages::{EndReason, Fold, FromOutlet, Life, LineId, Replayed, ToOutlet};
use crate::topic::state::{GapReason, OutletId, Started};
use crate::topic_key::TopicKey;

/// How long an outlet waits before it asks again for a topic whose store could not answer.
pub(super) const RETRY_MS: u64 = 500;
/// How long a client waits at least before it comes back to a hub that goes, in milliseconds.
const COME_BACK_MS_MIN: u64 = 500;

impl Outlet {
    pub(super) fn hear(&mut self, message: ToOutlet, ctx: &mut Context<Self>) {
        if let ToOutlet::Asleep { key, life } | ToOutlet::Lost { key, life } | ToOutlet::Awake { key, life } = &message
            && let Some(slot) = self.seats.slot(key)
            && let Some(seat) = self.seats.get_mut(slot).filter(|seat| seat.life != *life)
        {
            // What is being found may be that life, or the one before it.
            seat.attach_again = seat.attaching;
        }
        match message {
            ToOutlet::Deliver { key, life, batch } => self.deliver(&key, life, batch, ctx),
            ToOutlet::Subscribed { record, life, line, ticket, started, bounds } => {
                self.subscribed(record, life, (line, ticket), started, bounds);
            }
            ToOutlet::Head { key, life, head } => self.learn_head(&key, life, head, ctx),
            ToOutlet::Replayed { key, life, line, after, replayed, bounds } => {
                self.replayed((&key, life), (line, after), &replayed, bounds, ctx);
            }
            ToOutlet::Asleep { key, life } => self.unseat(&key, life, false, ctx),
            ToOutlet::Lost { key, life } => self.unseat(&key, life, true, ctx),
            ToOutlet::Awake { key, life } => {
                if let Some(slot) = self.seats.slot(&key)
                    && self.seats.get(slot).is_some_and(|seat| seat.life != life || seat.addr.is_none())
                {
                    self.attach(slot, ctx);
                }
            }
            ToOutlet::Changed { record } => self.changed(&record),
            ToOutlet::Review(review) => {
                for (_, line) in self.worker.lines.borrow().iter() {
                    line.tell(ToSession::Review(review.clone()));
                }
            }
            ToOutlet::Survey(survey) => self.survey(&survey),
            ToOutlet::Lag(question) => self.answer_lag(&question),
            ToOutlet::Drain { spread_ms } => self.drain(spread_ms),
            ToOutlet::Deleted { key, mark } => {
                if let Some(slot) = self.seats.slot(&key)
                    && self.seats.get(slot).is_some_and(|seat| seat.mark == mark)
                {
                    let worker = self.worker.clone();
                    self.deleted(&mut worker.lines.borrow_mut(), slot, ctx);
                }
            }
        }
    }

    /// Who reads a topic is asked anew whether they may.
    fn changed(&self, record: &Arc<TopicRecord>) {
        let seat = self.seats.slot(&record.topic.key).and_then(|slot| self.seats.get(slot));
        let Some(seat) = seat.filter(|seat| seat.mark == record.mark()) else { return };
        let lines = self.worker.lines.borrow();
        let readers = seat.readers.iter().map(|reader| &lines[reader.line as usize]);
        let pending = seat.pending.iter().filter_map(|pending| {
            lines.get(pending.line.slot as usize).filter(|line| line.turn == pending.line.turn && !pending.left)
        });
        for line in readers.chain(pending) {
            line.tell(ToSession::Changed { record: record.clone() });
        }
    }

    /// Every session tells its client to come back, spread over a time, and ends; so does who was admitted before and
    /// begins later.
    fn drain(&self, spread_ms: u64) {
        self.worker.come_back_ms.set(Some(COME_BACK_MS_MIN + spread_ms / 2));
        let lines = self.worker.lines.borrow();
        let count = lines.len().max(1) as u64;
        for (place, (_, line)) in (0_u64..).zip(lines.iter()) {
            line.tell(ToSession::Drain { retry_after_ms: COME_BACK_MS_MIN + spread_ms * place / count });
        }
    }

    /// Asks the sessions of a scope. What a session reads is all of its own scope.
    fn survey(&self, survey: &Arc<dyn Survey>) {
        for (_, line) in self.worker.lines.borrow().iter() {
            let reading = |sub: &Sub| {
                let seat = self.seats.get(sub.topic as usize)?;
                Some(Reading {
                    key: seat.key.clone(),
                    mark: seat.mark,
                    cursor: sub.cursor,
                    head: seat.head.max(sub.cursor),
                })
            };
            let is_foreign = |topic: &Reading| topic.key.scope() != *survey.scope();
            let first = line.subs.first().and_then(reading);
            if first.as_ref().is_some_and(is_foreign) {
                continue;
            }
            let topics = line.subs.iter().filter_map(reading).collect();
            line.tell(ToSession::Survey { survey: survey.clone(), topics });
        }
    }

    /// Tells how far readers are behind, by one look at each subscription.
    fn answer_lag(&self, question: &LagQuestion) {
        let lines = self.worker.lines.borrow();
        for (_, seat) in self.seats.iter() {
            let cursors =
                seat.readers.iter().map(|reader| lines[reader.line as usize].subs[reader.sub as usize].cursor);
            let lag = seat.lag(cursors);
            if lag.readers > 0 {
                question.answer(seat.key.scope(), lag);
            }
        }
    }

    pub(super) fn subscribe(
        &mut self,
        lines: &mut Slab<Line>,
        mut pending: Pending,
        topic: &TopicHandle,
        ctx: &mut Context<Self>,
    ) {
        let key = &topic.record.topic.key;
        if let Some(slot) = self.seats.slot(key)
            && let Some(seat) = self.seats.get(slot)
            && seat.mark != topic.record.mark()
        {
            // One of the two was deleted, and its name used again: the one that was started first.
            if seat.life.0 > topic.life.0 {
                let id = pending.line;
                if let Some(line) = lines.get(id.slot as usize).filter(|line| line.turn == id.turn) {
                    let (ticket, reason) = (pending.ticket, EndReason::Deleted);
                    line.tell(ToSession::Ended { key: key.clone(), ticket, reason });
                }
                return;
            }
            self.deleted(lines, slot, ctx);
        }
        let slot = self.seats.slot(key).unwrap_or_else(|| {
            self.seats.insert(Seat {
                key: key.clone(),
                mark: topic.record.mark(),
                addr: Some(topic.addr.clone()),
                life: topic.life,
                attaching: false,
                attach_again: false,
                died_ms: None,
                head: 0,
                closed: false,
                readers: Vec::new(),
                counted: Readers::new(topic.meter.clone()),
                pending: Vec::new(),
                delivery: None,
            })
        });
        pending.since_ms = self.worker.now_ms();
        let Some(seat) = self.seats.get_mut(slot) else { return };
        let asked = ask(self.id, &pending);
        seat.pending.push(pending);
        match seat.addr.as_ref().filter(|addr| addr.connected()) {
            Some(addr) => addr.do_send(asked),
            None => self.attach(slot, ctx),
        }
    }

    fn subscribed(
        &mut self,
        record: Arc<TopicRecord>,
        life: Life,
        id: (LineId, u32),
        started: Started,
        bounds: Bounds,
    ) {
        let Some(slot) = self.seats.slot(&record.topic.key) else { return };
        let Some(seat) = self.seats.get_mut(slot).filter(|seat| seat.life == life) else { return };
        let Some(place) = seat.pending.iter().position(|pending| (pending.line, pending.ticket) == id) else {
            return;
        };
        let mut pending = seat.pending.swap_remove(place);
        let (line, ticket) = id;
        seat.learn(bounds);
        let worker = self.worker.clone();
        let lines = &mut *worker.lines.borrow_mut();
        match lines.get_mut(line.slot as usize).filter(|target| target.turn == line.turn && !pending.left) {
            Some(target) => {
                let fold = Fold::starting(pending.fold, started.cursor, bounds.head);
                let new = NewSub { ticket, cursor: started.cursor, fold };
                self.seats.join(slot, line.slot, target, new);
                if let Some(view) = pending.view.take() {
                    let reading = FeedReading { topic: slot, view, told: started.cursor, floor: bounds.oldest };
                    target.own = Some(Box::new(Own::Feed(reading)));
                }
                target.tell(ToSession::Subscribed { record, ticket, started, bounds });
            }
            // Left meanwhile, and counted by the topic all the same.
            None => self.left(slot),
        }
    }

    pub(super) fn forget_pending(&mut self, line: LineId, key: &TopicKey) {
        if let Some(slot) = self.seats.slot(key)
            && let Some(seat) = self.seats.get_mut(slot)
        {
            // The topic's answer will find that nobody waits for it, and detach.
            seat.pending.iter_mut().filter(|pending| pending.line == line).for_each(|pending| pending.left = true);
        }
    }

    fn deliver(&mut self, key: &TopicKey, life: Life, batch: Arc<Batch>, ctx: &mut Context<Self>) {
        let Some(slot) = self.seats.slot(key) else { return };
        let Some(seat) = self.seats.get_mut(slot).filter(|seat| seat.life == life) else { return };
        seat.head = seat.head.max(batch.last());
        seat.closed |= batch.closes();
        if seat.delivery.is_some() {
            // A topic sends one at a time, but an old answer can be taken for a new one: readers will catch
            // up from the topic when the delivery under way is done.
            if let Some(addr) = &seat.addr {
                addr.do_send(FromOutlet::Delivered { outlet: self.id });
            }
            return;
        }
        let meter = seat.counted.meter().clone();
        seat.delivery = Some(Delivery { batch, next: 0, took: Duration::ZERO, written: Cell::new(0), meter });
        self.queue.push_back(slot);
        self.schedule(ctx);
    }

    fn learn_head(&mut self, key: &TopicKey, life: Life, head: u64, ctx: &mut Context<Self>) {
        let Some(slot) = self.seats.slot(key) else { return };
        let Some(seat) = self.seats.get_mut(slot).filter(|seat| seat.life == life) else { return };
        seat.head = seat.head.max(head);
        let readers: Vec<u32> = seat.readers.iter().map(|reader| reader.line).collect();
        let worker = self.worker.clone();
        let lines = &mut *worker.lines.borrow_mut();
        for line in readers {
            self.catch_up(lines, line, ctx);
        }
    }

    fn replayed(
        &mut self,
        (key, life): (&TopicKey, Life),
        (id, after): (LineId, u64),
        replayed: &Replayed,
        bounds: Bounds,
        ctx: &mut Context<Self>,
    ) {
        let worker = self.worker.clone();
        let lines = &mut *worker.lines.borrow_mut();
        let Some(line) = lines.get_mut(id.slot as usize).filter(|line| line.turn == id.turn) else { return };
        let Some(slot) = self.seats.slot(key) else { return };
        let Some(index) = line.subs.iter().position(|sub| sub.topic as usize == slot) else { return };
        let cursor = line.subs[index].cursor;
        // What an earlier subscription of the same session asked for may lie further on: it is no answer to this one.
        let Some(seat) = self.seats.get_mut(slot).filter(|seat| seat.life == life && after <= cursor) else { return };
        if line.replaying.take_if(|topic| *topic as usize == slot).is_none() {
            return;
        }
        seat.learn(bounds);
        // Where what can be had begins.
        let first = match replayed {
            Replayed::Frames(batch) => batch.first(),
            Replayed::UpToDate => bounds.oldest,
            Replayed::Unavailable => 0,
        };
        let now_ms = self.worker.now_ms();
        let writable = line.open() && line.subs[index].live;
        if first > cursor + 1 && writable {
            let (mark, requested) = (seat.mark, seat.mark.at(cursor).to_string());
            let ends = Bounds { oldest: first, ..bounds };
            line.stand(index, first - 1);
            let id = line.composite().map_or_else(|| mark.at(first - 1).to_string(), ToString::to_string);
            line.control(&gap(line.wire, key, mark, GapReason::Trimmed.as_str(), &requested, ends, &id), now_ms);
        }
        let cursor = line.subs[index].cursor;
        if writable {
            line.learn_floor(slot, index, (key, seat.mark), bounds, now_ms);
        }
        match replayed {
            Replayed::Frames(batch) if batch.last() > cursor => {
                if writable && line.open() {
                    let written = Cell::new(0);
                    pump::write_parts(line, &[Part { index, batch, written: &written }], now_ms);
                    seat.counted.meter().replayed(written.get());
                }
                if writable && line.is_ahead() == Some(slot) {
                    line.tell_place(seat.mark, now_ms);
                }
                self.serve(lines, id.slot, ctx);
            }
            Replayed::Frames(_) => self.serve(lines, id.slot, ctx),
            Replayed::UpToDate | Replayed::Unavailable if cursor < seat.head => {
                // Asked for again in a while, so that a store that can't answer is not asked in circles.
                let later = wrap_future::<_, Self>(tokio::time::sleep(Duration::from_millis(RETRY_MS)));
                ctx.spawn(later.map(move |(), outlet, ctx| {
                    let worker = outlet.worker.clone();
                    outlet.catch_up(&mut worker.lines.borrow_mut(), id.slot, ctx);
                }));
            }
            Replayed::UpToDate | Replayed::Unavailable => self.serve(lines, id.slot, ctx),
        }
    }

    /// Gives a line all it can have now: what is being delivered, the end of a closed topic, or the next page.
    pub(super) fn serve(&mut self, lines: &mut Slab<Line>, slot: u32, ctx: &mut Context<Self>) {
        let Some(line) = lines.get_mut(slot as usize) else { return };
        if line.open() && line.replaying.is_none() {
            pump::write_due(line, &self.seats, self.worker.now_ms());
        }
        self.end_at_head(lines, slot);
        self.catch_up(lines, slot, ctx);
    }
}

pub(super) fn ask(outlet: OutletId, pending: &Pending) -> FromOutlet {
    FromOutlet::Subscribe { outlet, line: pending.line, ticket: pending.ticket, start: pending.start }
}
