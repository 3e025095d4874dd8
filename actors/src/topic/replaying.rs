//! Replays: pages of the log, plain or folded, for readers who are behind what the tail has.
//!
//! A page may hold what is on disk already and was not shown by the topic yet: it waits until it is shown, so that nobody is
//! ahead of the topic. Nothing here decides what a reader is given: the state does.

use std::sync::Arc;

use actix::fut::wrap_future;
use actix::{ActorFutureExt, AsyncContext, Context, Handler};

use super::TopicActor;
use super::messages::{Fold, FromOutlet, LineId, Replayed, ToOutlet};
use super::state::{OutletId, Replay};
use crate::event::Seq;
use crate::frame::Batch;
use crate::log::{Bounds, FoldedPage, Page, PageLimit, PortFuture, Unavailable};

/// Most events of one page of a replay from the log.
const REPLAY_EVENTS_MAX: usize = 1_000;
/// Most rows of one page of a folded replay: most of them are looked at and not given.
const FOLD_EVENTS_MAX: usize = 4_000;

/// What was read for a replay; the folded with where it begins.
pub(super) enum Stretch {
    Plain(Page),
    Folded(Seq, FoldedPage),
}

impl Stretch {
    fn bounds(&self) -> Bounds {
        match self {
            Self::Plain(page) => page.bounds,
            Self::Folded(_, page) => page.bounds,
        }
    }
}

/// Who is answered behind the append in flight.
pub(super) enum Early {
    /// A reader who comes with a cursor of what is being appended.
    Asked(FromOutlet),
    /// A page, for this line and behind this place, with what is being appended.
    Read((OutletId, LineId), Seq, Stretch),
}

impl TopicActor {
    pub(super) fn replay(
        &mut self,
        ctx: &mut Context<Self>,
        (outlet, line): (OutletId, LineId),
        (cursor, bytes, fold): (Seq, usize, Fold),
    ) {
        match self.state.replay(cursor, bytes, fold) {
            Replay::Tail(batch) => self.tell(outlet, line, cursor, Replayed::Frames(batch)),
            Replay::UpToDate => self.tell(outlet, line, cursor, Replayed::UpToDate),
            Replay::Log => {
                self.state.reading(true);
                let read = self.read(cursor, bytes, fold);
                ctx.spawn(wrap_future::<_, Self>(read).map(move |stretch, topic, _| {
                    topic.state.reading(false);
                    topic.was_read((outlet, line), cursor, stretch);
                }));
            }
        }
    }

    fn read(&self, cursor: Seq, bytes: usize, fold: Fold) -> PortFuture<Result<Stretch, Unavailable>> {
        let log = self.state.record().log;
        if fold == Fold::No {
            let limit = PageLimit { events: REPLAY_EVENTS_MAX, bytes: bytes / 2 };
            let read = self.log.read(log, cursor, limit);
            Box::pin(async move { read.await.map(Stretch::Plain) })
        } else {
            let limit = PageLimit { events: FOLD_EVENTS_MAX, bytes };
            let read = self.log.read_folded(log, cursor, limit);
            Box::pin(async move { read.await.map(|page| Stretch::Folded(cursor, page)) })
        }
    }

    fn was_read(&mut self, (outlet, line): (OutletId, LineId), after: Seq, stretch: Result<Stretch, Unavailable>) {
        let replayed = match stretch {
            Ok(stretch) if self.state.appends_up_to(stretch.bounds().head) => {
                self.early.push(Early::Read((outlet, line), after, stretch));
                return;
            }
            Ok(stretch) => self.frames(stretch),
            Err(error) => {
                tracing::error!(topic = %self.state.record().topic.key, %error, "a replay can't be read");
                Replayed::Unavailable
            }
        };
        self.tell(outlet, line, after, replayed);
    }

    fn frames(&mut self, stretch: Stretch) -> Replayed {
        self.state.trimmed(stretch.bounds().oldest);
        let batch = match stretch {
            Stretch::Plain(page) => Batch::new(self.state.encode(&page.events)),
            Stretch::Folded(after, page) => {
                // What is not kept any more is told as a gap, as without folding.
                let after = after.max(page.bounds.oldest - 1);
                let whole = page.upto >= page.bounds.head;
                let frames = || self.state.encode_folded(&page.items);
                (page.upto > after).then(|| Batch::folded(after, page.upto, whole, frames()))
            }
        };
        batch.map_or(Replayed::UpToDate, |batch| Replayed::Frames(Arc::new(batch)))
    }

    fn tell(&self, outlet: OutletId, line: LineId, after: Seq, replayed: Replayed) {
        let (key, life, bounds) = (self.state.record().topic.key.clone(), self.life, self.state.bounds());
        self.outlets.send(outlet, ToOutlet::Replayed { key, life, line, after, replayed, bounds });
    }

    /// The append in flight was answered: whoever knew of it early is not early any more.
    pub(super) fn answer_early(&mut self, ctx: &mut Context<Self>) {
        for early in std::mem::take(&mut self.early) {
            match early {
                Early::Asked(message) => self.handle(message, ctx),
                Early::Read((outlet, line), after, stretch) => {
                    let replayed = self.frames(stretch);
                    self.tell(outlet, line, after, replayed);
                }
            }
        }
    }
}
