//! Topics that sleep, wake, die or are deleted under their readers.
//!
//! Whatever is lost with a life of a topic is asked of the next; nothing here waits.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, fut::wrap_future};
use slab::Slab;

use super::Outlet;
use super::line::Line;
use super::messages::ToSession;
use super::seats::{Reader, Seat};
use super::topics::{RETRY_MS, ask};
use crate::directory::TopicHandle;
use crate::topic::messages::{EndReason, FromOutlet, Life};
use crate::topic_key::TopicKey;

/// A subscription that has no answer after this long is asked for again.
const ANSWER_MS: u64 = 2_000;

impl Outlet {
    /// A life of a topic is over: whatever was asked of it is asked of the next. Who slept had told
    /// everything; who died may have left events in the log that nobody was told of.
    pub(super) fn unseat(&mut self, key: &TopicKey, life: Life, died: bool, ctx: &mut Context<Self>) {
        let Some(slot) = self.seats.slot(key) else { return };
        let worker = self.worker.clone();
        let lines = &mut *worker.lines.borrow_mut();
        let Some(seat) = self.seats.get_mut(slot).filter(|seat| seat.life == life) else { return };
        seat.addr = None;
        seat.pending.retain(|pending| !pending.left);
        let freed = give_up_replays(lines, slot, &seat.readers);
        let behind = |reader: &Reader| lines[reader.line as usize].subs[reader.sub as usize].cursor < seat.head;
        let needed = !seat.pending.is_empty() || seat.readers.iter().any(|reader| died || behind(reader));
        let now_ms = self.worker.now_ms();
        let again = died && seat.died_ms.replace(now_ms).is_some_and(|then| now_ms < then + RETRY_MS);
        if needed && again && !seat.attaching {
            // A topic that dies again and again is not started in circles.
            seat.attaching = true;
            self.attach_later(key.clone(), ctx);
        } else if needed {
            self.attach(slot, ctx);
        }
        for line in freed {
            self.catch_up(lines, line, ctx);
        }
        self.seats.prune(slot);
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
            let Some(seat) = outlet.seats.get_mut(slot) else { return };
            seat.attaching = false;
            let again = std::mem::take(&mut seat.attach_again);
            match found {
                Ok(Some(topic)) => outlet.attached(slot, &topic, ctx),
                Ok(None) => {
                    let worker = outlet.worker.clone();
                    outlet.deleted(&mut worker.lines.borrow_mut(), slot, ctx);
                }
                Err(error) => {
                    tracing::error!(topic = %key, %error, "a topic with readers can't be woken");
                    outlet.attach_later(key.clone(), ctx);
                }
            }
            if again && let Some(slot) = outlet.seats.slot(&key) {
                outlet.attach(slot, ctx);
            }
        }));
    }

    fn attach_later(&mut self, key: TopicKey, ctx: &mut Context<Self>) {
        let later = wrap_future::<_, Self>(tokio::time::sleep(Duration::from_millis(RETRY_MS)));
        ctx.spawn(later.map(move |(), outlet, ctx| {
            if let Some(slot) = outlet.seats.slot(&key) {
                if let Some(seat) = outlet.seats.get_mut(slot) {
                    seat.attaching = false;
                }
                outlet.attach(slot, ctx);
            }
        }));
    }

    pub(super) fn attached(&mut self, slot: usize, topic: &TopicHandle, ctx: &mut Context<Self>) {
        let worker = self.worker.clone();
        let lines = &mut *worker.lines.borrow_mut();
        let Some(seat) = self.seats.get_mut(slot) else { return };
        if seat.mark != topic.record.mark() {
            // Deleted and created anew: these readers' topic is gone.
            self.deleted(lines, slot, ctx);
            return;
        }
        if seat.life == topic.life && seat.addr.is_some() {
            return;
        }
        // What an earlier life was asked for is lost, whether or not that was said already.
        seat.pending.retain(|pending| !pending.left);
        let freed = give_up_replays(lines, slot, &seat.readers);
        seat.life = topic.life;
        seat.addr = Some(topic.addr.clone());
        let outlet = self.id;
        if !seat.readers.is_empty() {
            let (readers, position) = (seat.readers.len(), seat.head);
            topic.addr.do_send(FromOutlet::Attach { outlet, readers, position });
        }
        for pending in &seat.pending {
            topic.addr.do_send(ask(outlet, pending));
        }
        for line in freed {
            self.catch_up(lines, line, ctx);
        }
        self.seats.prune(slot);
    }

    pub(super) fn deleted(&mut self, lines: &mut Slab<Line>, slot: usize, ctx: &mut Context<Self>) {
        let Some(seat) = self.seats.get_mut(slot) else { return };
        let key = seat.key.clone();
        seat.addr = None;
        for pending in std::mem::take(&mut seat.pending) {
            let target = lines.get(pending.line.slot as usize).filter(|line| line.turn == pending.line.turn);
            if let Some(line) = target.filter(|_| !pending.left) {
                let (ticket, reason) = (pending.ticket, EndReason::Deleted);
                line.tell(ToSession::Ended { key: key.clone(), ticket, reason });
            }
        }
        while let Some(reader) = self.seats.get(slot).and_then(|seat| seat.readers.last().copied()) {
            self.end(lines, reader.line, reader.sub as usize, EndReason::Deleted);
            self.catch_up(lines, reader.line, ctx);
        }
        self.seats.prune(slot);
    }

    /// Asks again for what should have been answered by now, and looks for topics that went without a word:
    /// one that slept while this outlet was attaching knew of no reader here.
    pub(super) fn retry(&mut self, now_ms: u64, ctx: &mut Context<Self>) {
        let gone = |seat: &Seat| seat.addr.as_ref().is_some_and(|addr| !addr.connected());
        let late = |seat: &Seat| seat.pending.iter().any(|pending| now_ms > pending.since_ms + ANSWER_MS);
        let silent = self.seats.iter().filter(|(_, seat)| gone(seat) || (seat.addr.is_none() && late(seat)));
        let slots: Vec<usize> = silent.map(|(slot, _)| slot).collect();
        for slot in slots {
            let Some(seat) = self.seats.get_mut(slot) else { continue };
            seat.pending.iter_mut().for_each(|pending| pending.since_ms = now_ms);
            let (key, life, gone) = (seat.key.clone(), seat.life, gone(seat));
            if gone {
                self.unseat(&key, life, true, ctx);
            } else {
                self.attach(slot, ctx);
            }
        }
    }
}

/// Lines whose page of a topic will not come: they are free to ask for another.
fn give_up_replays(lines: &mut Slab<Line>, slot: usize, readers: &[Reader]) -> Vec<u32> {
    let mut free = |line: u32| lines[line as usize].replaying.take_if(|topic| *topic as usize == slot).is_some();
    readers.iter().map(|reader| reader.line).filter(|line| free(*line)).collect()
}
