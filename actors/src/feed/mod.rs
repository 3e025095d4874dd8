//! The feed: everything that happens in one tenant and env, in commit order, through the same ring as a topic.
//!
//! The actor is told by its store, through a tap, and tells outlets as a topic does; readers are cursors here too. It has no
//! log of its own and writes nothing. It never decides who sees an event: outlets do, by the [`view::View`] of each reader.

pub mod encoder;
pub mod start;
pub mod state;
pub mod view;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, fut::wrap_future};
use tokio::sync::oneshot;

use crate::event::Seq;
use crate::frame::Batch;
use crate::log::feed::{FeedEnds, FeedLimit, FeedLog, FeedPage, Position, Tap};
use crate::log::{Bounds, PortFuture, TopicRecord, Unavailable};
use crate::meter::Awake;
use crate::topic::messages::{FromOutlet, Life, LineId, Outlets, Replayed, Sleep, ToOutlet, Watch};
use crate::topic::state::{OutletId, Replay, Start, Started, TopicLimits};
use start::Located;
use state::FeedState;

/// Most events of one page of a replay.
const REPLAY_EVENTS_MAX: usize = 1_000;
/// How long the feed waits before it asks a store again that could not answer.
const RETRY: Duration = Duration::from_millis(500);

/// What a feed is started with.
pub struct Birth {
    /// What stands for it where others have the record of a topic.
    pub record: Arc<TopicRecord>,
    /// Where its tap begins.
    pub ends: FeedEnds,
    /// Its limits.
    pub limits: TopicLimits,
    /// Which life this is.
    pub life: Life,
    /// Where the events are.
    pub log: Arc<dyn FeedLog>,
    /// How it is told of commits; it wakes the actor by [`Told`].
    pub tap: Arc<Tap>,
    /// The outlets of all workers.
    pub outlets: Outlets,
    /// Counts it.
    pub awake: Awake,
    /// Called if the actor ends in any other way than by [`Sleep`].
    pub on_death: Box<dyn FnOnce() + Send>,
}

/// There is something in the tap.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Told;

/// The actor. See the module.
pub struct FeedActor {
    state: FeedState,
    life: Life,
    log: Arc<dyn FeedLog>,
    tap: Arc<Tap>,
    outlets: Outlets,
    _awake: Awake,
    /// Who polls, and behind which place.
    watchers: Vec<(Seq, oneshot::Sender<()>)>,
    on_death: Option<Box<dyn FnOnce() + Send>>,
}

/// Who waits to be told where they start.
#[derive(Clone, Copy)]
struct Asked {
    outlet: OutletId,
    line: LineId,
    ticket: u32,
    start: Start,
}

impl FeedActor {
    /// The actor of a birth.
    #[must_use]
    pub fn new(birth: Birth) -> Self {
        Self {
            state: FeedState::new(birth.record, birth.ends, birth.limits),
            life: birth.life,
            log: birth.log,
            tap: birth.tap,
            outlets: birth.outlets,
            _awake: birth.awake,
            watchers: Vec::new(),
            on_death: Some(birth.on_death),
        }
    }

    /// How outlets are sent what is new.
    fn send(&self) -> impl FnMut(OutletId, Arc<Batch>) + use<> {
        let (outlets, key, life) = (self.outlets.clone(), self.state.record().topic.key.clone(), self.life);
        move |outlet, batch| outlets.send(outlet, ToOutlet::Deliver { key: key.clone(), life, batch })
    }

    fn read(&self, after: Position, limit: FeedLimit) -> PortFuture<Result<FeedPage, Unavailable>> {
        self.log.feed(&self.state.record().topic.key.scope(), after, limit)
    }

    /// A reader wants to start: at once where that is known, else when the store has said.
    fn subscribe(&mut self, asked: Asked, ctx: &mut Context<Self>) {
        if let Start::After(cursor) = asked.start
            && self.state.is_ahead(asked.start)
        {
            let read = self.read(cursor.seq, FeedLimit { events: 1, bytes: 0 });
            self.ask(ctx, read, move |feed, page, ctx| match page {
                Some(page) => feed.begin(asked, feed.state.locate_ahead(asked.start, page.ends.head)),
                None => feed.subscribe_later(asked, ctx),
            });
            return;
        }
        match self.state.locate(asked.start) {
            Located::Last(count) => {
                let events = usize::try_from(count).unwrap_or(usize::MAX);
                let (scope, before) = (self.state.record().topic.key.scope(), self.state.bounds().head + 1);
                let read = self.log.feed_before(&scope, before, FeedLimit { events, bytes: usize::MAX });
                self.ask(ctx, read, move |feed, page, ctx| {
                    let Some(page) = page else { return feed.subscribe_later(asked, ctx) };
                    let cursor = page.before_last(events);
                    feed.begin(asked, Located::At(Started { cursor, gap: None }));
                });
            }
            located => self.begin(asked, located),
        }
    }

    /// A store that can't say where somebody starts is asked again in a while: nothing is skipped for want of an answer.
    fn subscribe_later(&self, asked: Asked, ctx: &mut Context<Self>) {
        ctx.run_later(RETRY, move |feed, ctx| feed.subscribe(asked, ctx));
    }

    /// Asks the store.
    fn ask(
        &mut self,
        ctx: &mut Context<Self>,
        read: PortFuture<Result<FeedPage, Unavailable>>,
        then: impl FnOnce(&mut Self, Option<FeedPage>, &mut Context<Self>) + 'static,
    ) {
        self.state.asking(true);
        ctx.spawn(wrap_future::<_, Self>(read).map(move |read, feed, ctx| {
            feed.state.asking(false);
            if let Err(error) = &read {
                tracing::error!(feed = %feed.state.record().topic.key, %error, "the feed can't be read");
            }
            then(feed, read.ok(), ctx);
        }));
    }

    fn begin(&mut self, asked: Asked, located: Located) {
        let Located::At(started) = located else { return };
        let Asked { outlet, line, ticket, start } = asked;
        let (record, life, bounds) = (self.state.record().clone(), self.life, self.state.bounds_for(start, started));
        self.outlets.send(outlet, ToOutlet::Subscribed { record, life, line, ticket, started, bounds });
        let send = self.send();
        self.state.attach(outlet, 1, bounds.head, send);
    }

    fn replay(&mut self, ctx: &mut Context<Self>, to: (OutletId, LineId), cursor: Position, bytes: usize) {
        // Only a page says how far retention has come: what the tail has is whole.
        let head = self.state.bounds().head;
        let whole = Bounds { oldest: 0, head, closed: false };
        match self.state.replay(cursor, bytes) {
            Replay::Tail(batch) => self.tell(to, cursor, Replayed::Frames(batch), whole),
            Replay::UpToDate => self.tell(to, cursor, Replayed::UpToDate, whole),
            Replay::Log => {
                let read = self.read(cursor, FeedLimit { events: REPLAY_EVENTS_MAX, bytes: bytes / 2 });
                self.ask(ctx, read, move |feed, page, _| match page {
                    Some(page) => {
                        let batch = feed.state.page(&page);
                        let bounds = Bounds { oldest: page.ends.floor, ..feed.state.bounds() };
                        let replayed = batch.map_or(Replayed::UpToDate, |batch| Replayed::Frames(Arc::new(batch)));
                        feed.tell(to, cursor, replayed, bounds);
                    }
                    None => feed.tell(to, cursor, Replayed::Unavailable, whole),
                });
            }
        }
    }

    fn tell(&self, (outlet, line): (OutletId, LineId), after: Position, replayed: Replayed, bounds: Bounds) {
        let (key, life) = (self.state.record().topic.key.clone(), self.life);
        self.outlets.send(outlet, ToOutlet::Replayed { key, life, line, after, replayed, bounds });
    }

    /// Tells who polls that there is something behind where they stand.
    fn wake_watchers(&mut self) {
        let head = self.state.bounds().head;
        for (_, watcher) in self.watchers.extract_if(.., |(after, _)| *after < head) {
            // Who left needs no answer.
            let _ = watcher.send(());
        }
    }
}

impl Actor for FeedActor {
    type Context = Context<Self>;
}

impl Drop for FeedActor {
    fn drop(&mut self) {
        if let Some(on_death) = self.on_death.take() {
            on_death();
        }
    }
}

impl Handler<Told> for FeedActor {
    type Result = ();

    fn handle(&mut self, _: Told, _: &mut Self::Context) {
        let Some(tapped) = self.tap.take() else { return };
        let outlets = &self.outlets;
        self.state.keep_outlets(|outlet| outlets.has(outlet));
        let send = self.send();
        self.state.told(tapped, send);
        self.wake_watchers();
    }
}

impl Handler<FromOutlet> for FeedActor {
    type Result = ();

    fn handle(&mut self, message: FromOutlet, ctx: &mut Self::Context) {
        match message {
            FromOutlet::Subscribe { outlet, line, ticket, start } => {
                self.subscribe(Asked { outlet, line, ticket, start }, ctx);
            }
            FromOutlet::Attach { outlet, readers, position } => {
                let (key, head) = (self.state.record().topic.key.clone(), self.state.bounds().head);
                self.outlets.send(outlet, ToOutlet::Head { key, life: self.life, head });
                let send = self.send();
                self.state.attach(outlet, readers, position, send);
            }
            FromOutlet::Detach { outlet, readers } => self.state.detach(outlet, readers),
            FromOutlet::Delivered { outlet } => {
                let send = self.send();
                self.state.delivered(outlet, send);
            }
            FromOutlet::Replay { outlet, line, cursor, bytes, .. } => self.replay(ctx, (outlet, line), cursor, bytes),
        }
    }
}

impl Handler<Watch> for FeedActor {
    type Result = ();

    fn handle(&mut self, watch: Watch, _: &mut Self::Context) {
        self.watchers.retain(|(_, watcher)| !watcher.is_closed());
        self.watchers.push((watch.after, watch.reply));
        self.wake_watchers();
    }
}

impl Handler<Sleep> for FeedActor {
    type Result = ();

    fn handle(&mut self, sleep: Sleep, ctx: &mut Self::Context) {
        self.watchers.retain(|(_, watcher)| !watcher.is_closed());
        let outlets = &self.outlets;
        self.state.keep_outlets(|outlet| outlets.has(outlet));
        if self.state.idle() && self.watchers.is_empty() && (sleep.consent)() {
            self.on_death = None;
            ctx.stop();
        }
    }
}
