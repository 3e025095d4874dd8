//! The outlet's side of its talk with topics: subscribe, attach, deliver, replay, and what happens when
//! a topic sleeps, wakes, dies or is deleted.
//!
//! Whatever is lost with a topic is asked for again; nothing here waits.

use actix::{ActorFutureExt, AsyncContext, Context, fut::wrap_future};
use slab::Slab;

use super::line::Line;
use super::messages::ToSession;
use super::seats::{Delivery, Pending, Seat};
use super::{Outlet, pump};
use crate::directory::TopicHandle;
use crate::frame::{Batch, Wire, control::Control};
use crate::log::Bounds;
use crate::topic::messages::{EndReason, FromOutlet, Life, LineId, Replayed, ToOutlet};
use crate::topic::state::{GapReason, Start, Started};
use crate::topic_key::TopicKey;

/// A subscription that has no answer after this long is asked for again.
const ANSWER_MS: u64 = 2_000;
/// How long an outlet waits before it asks again for a topic whose store could not answer.
const RETRY: std::time::Duration = std::time::Duration::from_millis(500);

impl Outlet {
    pub(super) fn hear(&mut self, message: ToOutlet, ctx: &mut Context<Self>) {
        match message {
            ToOutlet::Deliver { key, life, batch } => self.deliver(&key, life, batch, ctx),
            ToOutlet::Subscribed { key, life, line, started, bounds } => {
                self.subscribed(&key, life, line, started, bounds);
            }
            ToOutlet::Head { key, life, head } => self.learn_head(&key, life, head, ctx),
            ToOutlet::Replayed { key, line, replayed, bounds } => self.replayed(&key, line, &replayed, bounds, ctx),
            ToOutlet::Asleep { key, life } | ToOutlet::Lost { key, life } => self.unseat(&key, life, ctx),
            ToOutlet::Awake { key, life } => {
                if let Some(slot) = self.seats.slot(&key)
                    && self.seats.get(slot).is_some_and(|seat| seat.life != life || seat.addr.is_none())
                {
                    self.attach(slot, ctx);
                }
            }
            ToOutlet::Deleted { key, life } => {
                if let Some(slot) = self.seats.slot(&key)
                    && self.seats.get(slot).is_some_and(|seat| seat.life == life)
                {
                    self.deleted(slot);
                }
            }
        }
    }

    pub(super) fn subscribe(&mut self, line: LineId, topic: &TopicHandle, start: Start, ctx: &mut Context<Self>) {
        let key = &topic.record.topic.key;
        let slot = self.seats.slot(key).unwrap_or_else(|| {
            self.seats.insert(Seat {
                key: key.clone(),
                mark: topic.record.mark(),
                addr: Some(topic.addr.clone()),
                life: topic.life,
                attaching: false,
                head: 0,
                closed: false,
                readers: Vec::new(),
                pending: Vec::new(),
                delivery: None,
            })
        });
        let since_ms = self.worker.now_ms();
        let Some(seat) = self.seats.get_mut(slot) else { return };
        seat.pending.push(Pending { line, start, since_ms });
        match seat.addr.as_ref().filter(|addr| addr.connected()) {
            Some(addr) => addr.do_send(FromOutlet::Subscribe { outlet: self.id, line, start }),
            None => self.attach(slot, ctx),
        }
    }

    fn subscribed(&mut self, key: &TopicKey, life: Life, line: LineId, started: Started, bounds: Bounds) {
        let Some(slot) = self.seats.slot(key) else { return };
        let Some(seat) = self.seats.get_mut(slot).filter(|seat| seat.life == life) else { return };
        let Some(place) = seat.pending.iter().position(|pending| pending.line == line) else {
            // Unsubscribed meanwhile, and counted by the topic all the same.
            self.left(slot);
            return;
        };
        seat.pending.swap_remove(place);
        learn(seat, bounds);
        let mark = seat.mark;
        let worker = self.worker.clone();
        let lines = &mut *worker.lines.borrow_mut();
        match lines.get_mut(line.slot as usize).filter(|target| target.turn == line.turn) {
            Some(target) => {
                self.seats.join(slot, line.slot, target, started.cursor);
                target.tell(ToSession::Subscribed { key: key.clone(), started, bounds, mark });
            }
            None => self.left(slot),
        }
    }

    pub(super) fn forget_pending(&mut self, line: LineId, key: &TopicKey) {
        if let Some(slot) = self.seats.slot(key)
            && let Some(seat) = self.seats.get_mut(slot)
        {
            // The topic's answer will find nobody waiting, and detach.
            seat.pending.retain(|pending| pending.line != line);
        }
    }

    fn deliver(&mut self, key: &TopicKey, life: Life, batch: std::sync::Arc<Batch>, ctx: &mut Context<Self>) {
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
        seat.delivery = Some(Delivery { batch, next: 0, took: std::time::Duration::ZERO });
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

    fn replayed(&mut self, key: &TopicKey, id: LineId, replayed: &Replayed, bounds: Bounds, ctx: &mut Context<Self>) {
        let worker = self.worker.clone();
        let lines = &mut *worker.lines.borrow_mut();
        let Some(line) = lines.get_mut(id.slot as usize).filter(|line| line.turn == id.turn) else { return };
        let Some(slot) = self.seats.slot(key) else { return };
        if line.replaying.take_if(|topic| *topic as usize == slot).is_none() {
            return;
        }
        let Some(seat) = self.seats.get_mut(slot) else { return };
        learn(seat, bounds);
        let Some(index) = line.subs.iter().position(|sub| sub.topic as usize == slot) else { return };
        let cursor = line.subs[index].cursor;
        match replayed {
            Replayed::Frames(batch) if batch.last() > cursor => {
                if line.open() {
                    let now_ms = self.worker.now_ms();
                    if batch.first() > cursor + 1 {
                        let requested = seat.mark.at(cursor).to_string();
                        let frame = gap(line.wire, key, seat.mark, GapReason::Trimmed, &requested, bounds);
                        line.control(&frame, now_ms);
                        line.subs[index].cursor = batch.first() - 1;
                    }
                    if line.open() {
                        pump::write_parts(line, &[(index, batch)], now_ms);
                    }
                }
                self.serve(lines, id.slot, ctx);
            }
            Replayed::Frames(_) => self.serve(lines, id.slot, ctx),
            Replayed::UpToDate | Replayed::Unavailable if cursor < seat.head => {
                // Asked for again in a while, so that a store that can't answer is not asked in circles.
                let later = wrap_future::<_, Self>(tokio::time::sleep(RETRY));
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

    /// A life of a topic is over: whatever was asked of it is asked of the next.
    fn unseat(&mut self, key: &TopicKey, life: Life, ctx: &mut Context<Self>) {
        let Some(slot) = self.seats.slot(key) else { return };
        let worker = self.worker.clone();
        let lines = &mut *worker.lines.borrow_mut();
        let Some(seat) = self.seats.get_mut(slot).filter(|seat| seat.life == life) else { return };
        seat.addr = None;
        let mut needed = !seat.pending.is_empty();
        for reader in &seat.readers {
            let line = &mut lines[reader.line as usize];
            line.replaying.take_if(|topic| *topic as usize == slot);
            needed |= line.subs[reader.sub as usize].cursor < seat.head;
        }
        if needed {
            self.attach(slot, ctx);
        }
    }

    /// Finds the topic again, and tells it of the readers that it has here.
    pub(super) fn attach(&mut self, slot: usize, ctx: &mut Context<Self>) {
        let Some(seat) = self.seats.get_mut(slot) else { return };
        if seat.attaching {
            return;
        }
        seat.attaching = true;
        let (directory, key) = (self.worker.directory.clone(), seat.key.clone());
        let find = async move { (directory.find(&key).await, key) };
        ctx.spawn(wrap_future::<_, Self>(find).map(|(found, key), outlet, ctx| {
            let Some(slot) = outlet.seats.slot(&key) else { return };
            if let Some(seat) = outlet.seats.get_mut(slot) {
                seat.attaching = false;
            }
            match found {
                Ok(Some(topic)) => outlet.attached(slot, &topic),
                Ok(None) => outlet.deleted(slot),
                Err(error) => {
                    tracing::error!(topic = %key, %error, "a topic with readers can't be woken");
                    ctx.spawn(wrap_future::<_, Self>(tokio::time::sleep(RETRY)).map(move |(), outlet, ctx| {
                        if let Some(slot) = outlet.seats.slot(&key) {
                            outlet.attach(slot, ctx);
                        }
                    }));
                }
            }
        }));
    }

    fn attached(&mut self, slot: usize, topic: &TopicHandle) {
        let Some(seat) = self.seats.get_mut(slot) else { return };
        if seat.mark != topic.record.mark() {
            // Deleted and created anew: these readers' topic is gone.
            self.deleted(slot);
            return;
        }
        if seat.life == topic.life && seat.addr.is_some() {
            return;
        }
        seat.life = topic.life;
        seat.addr = Some(topic.addr.clone());
        let outlet = self.id;
        if !seat.readers.is_empty() {
            let (readers, position) = (seat.readers.len(), seat.head);
            topic.addr.do_send(FromOutlet::Attach { outlet, readers, position });
        }
        for pending in &seat.pending {
            topic.addr.do_send(FromOutlet::Subscribe { outlet, line: pending.line, start: pending.start });
        }
    }

    fn deleted(&mut self, slot: usize) {
        let worker = self.worker.clone();
        let lines = &mut *worker.lines.borrow_mut();
        let Some(seat) = self.seats.get_mut(slot) else { return };
        let key = seat.key.clone();
        seat.addr = None;
        for pending in std::mem::take(&mut seat.pending) {
            if let Some(line) = lines.get(pending.line.slot as usize).filter(|line| line.turn == pending.line.turn) {
                line.tell(ToSession::Ended { key: key.clone(), reason: EndReason::Deleted });
            }
        }
        while let Some(reader) = self.seats.get(slot).and_then(|seat| seat.readers.last().copied()) {
            self.end(lines, reader.line, reader.sub as usize, EndReason::Deleted);
        }
        self.seats.prune(slot);
    }

    /// Asks again for what should have been answered by now.
    pub(super) fn retry(&mut self, _: &mut Slab<Line>, now_ms: u64, ctx: &mut Context<Self>) {
        let late = |seat: &Seat| seat.pending.iter().any(|pending| now_ms > pending.since_ms + ANSWER_MS);
        let slots: Vec<usize> = self.seats.iter().filter(|(_, seat)| late(seat)).map(|(slot, _)| slot).collect();
        for slot in slots {
            if let Some(seat) = self.seats.get_mut(slot) {
                for pending in &mut seat.pending {
                    pending.since_ms = now_ms;
                }
                if seat.addr.as_ref().is_none_or(|addr| !addr.connected()) {
                    seat.addr = None;
                    self.attach(slot, ctx);
                }
            }
        }
    }
}

/// The `gap` frame of a topic.
#[must_use]
pub(crate) fn gap(
    wire: Wire,
    key: &TopicKey,
    mark: crate::cursor::Mark,
    reason: GapReason,
    requested: &str,
    bounds: Bounds,
) -> Vec<u8> {
    let topic = key.topic();
    let (oldest, newest) = (mark.at(bounds.oldest).to_string(), mark.at(bounds.head).to_string());
    let frame = Control::Gap { topic: &topic, reason: reason.as_str(), requested, oldest: &oldest, newest: &newest };
    match wire {
        Wire::Ws => frame.ws(&None),
        Wire::Sse => frame.sse(Some(&mark.at(bounds.oldest - 1).to_string())),
    }
}

fn learn(seat: &mut Seat, bounds: Bounds) {
    seat.head = seat.head.max(bounds.head);
    seat.closed |= bounds.closed;
}
