//! Leases: streams that live by a stream token, and tell its store so.
//!
//! A token lives while a stream of it does, on whatever hub: every few seconds the store is told of all streams here at
//! once. A stream that begins takes the token from the one that has it; a stream that ends gives it back. No stream is
//! cut because the store can't answer, and none begins.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::Recipient;
use parking_lot::Mutex;
use tambour_actors::log::Unavailable;
use tambour_actors::outlet::messages::ToSession;
use tambour_actors::principal::{Digest, Principal};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::gate;
use tambour_actors::topic::now_ms;
use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval, timeout};
use uuid::Uuid;

use crate::identity::stream_tokens::{
    Held, IssueError, Kept, NewToken, Notice, Revoke, StreamId, StreamTokens, TokenRecord,
};

/// How long somebody waits for the store before they are told that it can't answer.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Most tokens in one call to the store.
const CALL_TOKENS_MAX: usize = 512;

/// The streams of a hub that live by a stream token. Clones share them.
#[derive(Clone)]
pub struct Leases(Arc<Inner>);

struct Inner {
    tokens: Arc<dyn StreamTokens>,
    keep_every: Duration,
    live: Mutex<HashMap<StreamId, Arc<Live>>>,
    /// Those that ended and were not given back yet: as many as there were streams since the last call.
    over: Mutex<Vec<Held>>,
    ended: Notify,
    failing: AtomicBool,
}

/// A stream here.
struct Live {
    digest: Digest,
    state: Mutex<State>,
    lost: Notify,
}

#[derive(Default)]
struct State {
    /// The store gave it the token.
    opened: bool,
    session: Option<Recipient<ToSession>>,
    lost: Option<Lost>,
}

/// So near its end a token may be gone already by the clock of its store, in milliseconds.
const END_MS: i64 = 1_000;

/// How a stream lost its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Replaced,
    Revoked,
}

/// A stream's hold on its token. Its drop gives it back.
pub struct Lease {
    leases: Leases,
    stream: StreamId,
    live: Arc<Live>,
}

impl Leases {
    /// Leases of the tokens of a store.
    #[must_use]
    pub fn new(tokens: Arc<dyn StreamTokens>, keep_every: Duration) -> Self {
        Self(Arc::new(Inner {
            tokens,
            keep_every,
            live: Mutex::default(),
            over: Mutex::default(),
            ended: Notify::new(),
            failing: AtomicBool::new(false),
        }))
    }

    /// Keeps a new token.
    ///
    /// # Errors
    /// `token.outstanding`, `token.store_unavailable`.
    pub async fn issue(&self, token: NewToken) -> Result<(), Refusal> {
        match timeout(PATIENCE, self.0.tokens.issue(token, now_ms())).await {
            Ok(Ok(())) => {
                self.well();
                Ok(())
            }
            Ok(Err(IssueError::Outstanding)) => {
                let detail = "as many stream tokens as there may be were made and never opened: open one, or wait for \
                              their end";
                Err(Refusal::new(Code::TokenOutstanding, detail))
            }
            Ok(Err(IssueError::Unavailable(error))) => Err(self.unavailable(&error)),
            Err(_) => Err(self.unavailable(&"no answer in time".into())),
        }
    }

    /// What a token is good for, if a stream may open it.
    ///
    /// # Errors
    /// `auth.token_invalid`, `token.store_unavailable`.
    pub async fn find(&self, digest: Digest) -> Result<TokenRecord, Refusal> {
        self.answered(self.0.tokens.find(digest, now_ms())).await?.ok_or_else(no_such_token)
    }

    /// Gives a token to a stream that begins now; the one that has it is told.
    ///
    /// # Errors
    /// `auth.token_invalid` when it is gone meanwhile, `token.store_unavailable`.
    pub async fn open(&self, digest: Digest) -> Result<Rc<Lease>, Refusal> {
        let stream = StreamId(Uuid::now_v7());
        let live = Arc::new(Live { digest, state: Mutex::default(), lost: Notify::new() });
        // Before the store knows: whoever takes over from this one must find it.
        self.0.live.lock().insert(stream, live.clone());
        let lease = Lease { leases: self.clone(), stream, live };
        let keep_ms = i64::try_from(self.0.keep_every.as_millis()).unwrap_or(i64::MAX);
        let opened = self.answered(self.0.tokens.open(Held { digest, stream }, keep_ms, now_ms())).await?;
        lease.live.state.lock().opened = true;
        if let Some(before) = opened.ok_or_else(no_such_token)?.before {
            self.tell(before, Lost::Replaced);
        }
        Ok(Rc::new(lease))
    }

    /// Takes tokens away and ends their streams, on every hub of the store.
    ///
    /// # Errors
    /// `token.store_unavailable`.
    pub async fn revoke(&self, which: Revoke) -> Result<usize, Refusal> {
        let gone = self.answered(self.0.tokens.revoke(which, now_ms())).await?;
        gone.iter().for_each(|digest| self.revoked(*digest));
        Ok(gone.len())
    }

    /// How many streams here live by a token.
    #[must_use]
    pub fn live(&self) -> usize {
        self.0.live.lock().len()
    }

    async fn answered<T>(&self, asked: impl Future<Output = Result<T, Unavailable>>) -> Result<T, Refusal> {
        match timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => {
                self.well();
                Ok(answer)
            }
            Ok(Err(error)) => Err(self.unavailable(&error)),
            Err(_) => Err(self.unavailable(&"no answer in time".into())),
        }
    }

    /// Says so once, until it is well again.
    fn unavailable(&self, error: &Unavailable) -> Refusal {
        if !self.0.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the store of stream tokens can't answer: no stream token is made or opened");
        }
        Refusal::new(Code::TokenStore, "stream tokens can't be made or opened now; try again")
    }

    fn well(&self) {
        if self.0.failing.load(Ordering::Relaxed) && self.0.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the store of stream tokens answers again");
        }
    }

    fn tell(&self, stream: StreamId, lost: Lost) {
        let live = self.0.live.lock().get(&stream).cloned();
        if let Some(live) = live {
            live.lose(lost);
        }
    }

    fn revoked(&self, digest: Digest) {
        let of_it: Vec<_> = self.0.live.lock().values().filter(|live| live.digest == digest).cloned().collect();
        of_it.iter().for_each(|live| live.lose(Lost::Revoked));
    }

    /// Keeps what lives and gives back what is over, for as long as the hub runs.
    pub async fn run(self) {
        let mut notices = self.0.tokens.notices();
        let mut ticks = interval(self.0.keep_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                notice = heard(&mut notices) => match notice {
                    Notice::Replaced(stream) => self.tell(stream, Lost::Replaced),
                    Notice::Revoked(digest) => self.revoked(digest),
                },
                () = self.0.ended.notified() => self.give_back().await,
                _ = ticks.tick() => self.keep().await,
            }
        }
    }

    /// Tells the store which streams are over.
    pub async fn give_back(&self) {
        let over = std::mem::take(&mut *self.0.over.lock());
        for held in over.chunks(CALL_TOKENS_MAX) {
            // What is not given back runs out by itself, a little later.
            if self.answered(self.0.tokens.release(held.to_vec(), now_ms())).await.is_err() {
                return;
            }
        }
    }

    async fn keep(&self) {
        let keep_ms = i64::try_from(self.0.keep_every.as_millis()).unwrap_or(i64::MAX);
        let live: Vec<Held> = {
            let live = self.0.live.lock();
            let mine = live.iter().filter(|(_, live)| live.is_kept());
            mine.map(|(stream, live)| Held { digest: live.digest, stream: *stream }).collect()
        };
        // With nothing to keep, too: the store takes the occasion to remove what ran out.
        let calls = if live.is_empty() { vec![&live[..]] } else { live.chunks(CALL_TOKENS_MAX).collect() };
        for held in calls {
            let Ok(kept) = self.answered(self.0.tokens.keep(held.to_vec(), keep_ms, now_ms())).await else { return };
            for (held, kept) in held.iter().zip(kept) {
                match kept {
                    Kept::Lives => {}
                    Kept::Taken => self.tell(held.stream, Lost::Replaced),
                    Kept::Gone => self.tell(held.stream, Lost::Revoked),
                }
            }
        }
    }
}

/// The next notice; never, where there are no other hubs.
async fn heard(notices: &mut Option<mpsc::Receiver<Notice>>) -> Notice {
    if let Some(receiver) = notices {
        if let Some(notice) = receiver.recv().await {
            return notice;
        }
        *notices = None;
    }
    std::future::pending().await
}

fn no_such_token() -> Refusal {
    Refusal::new(Code::TokenInvalid, "there is no such stream token: it ran out, was used or was taken back")
}

impl Live {
    fn is_kept(&self) -> bool {
        let state = self.state.lock();
        state.opened && state.lost.is_none()
    }

    fn lose(&self, lost: Lost) {
        let mut state = self.state.lock();
        if state.lost.is_some() {
            return;
        }
        state.lost = Some(lost);
        if let Some(session) = &state.session {
            // Not bounded by its mailbox, and at most one for each session.
            session.do_send(lost.message());
        }
        self.lost.notify_one();
    }
}

impl Lost {
    fn refusal(self) -> Refusal {
        match self {
            Self::Replaced => Refusal::new(Code::Replaced, "another stream of this token goes on in place of this one"),
            Self::Revoked => Refusal::new(Code::TokenRevoked, "the stream token is gone: it was taken back"),
        }
    }

    fn message(self) -> ToSession {
        match self {
            Self::Replaced => ToSession::Replaced,
            Self::Revoked => ToSession::Review(Arc::new(move |_, principal: &Arc<Principal>| {
                // A token that is gone at its own end was not taken back: the session ends by its own clock.
                if principal.expires_at_ms <= now_ms() + END_MS { Ok(None) } else { Err(self.refusal()) }
            })),
        }
    }
}

impl Lease {
    /// Waits until the token is lost, and says how. For streams without a session.
    pub async fn lost(&self) -> Refusal {
        loop {
            if let Some(lost) = self.live.state.lock().lost {
                return lost.refusal();
            }
            self.live.lost.notified().await;
        }
    }
}

impl gate::Lease for Lease {
    fn begun(&self, session: &Recipient<ToSession>) {
        let mut state = self.live.state.lock();
        if let Some(lost) = state.lost {
            session.do_send(lost.message());
        }
        state.session = Some(session.clone());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let inner = &self.leases.0;
        inner.live.lock().remove(&self.stream);
        inner.over.lock().push(Held { digest: self.live.digest, stream: self.stream });
        inner.ended.notify_one();
    }
}

#[cfg(test)]
mod tests;
