//! How far readers are behind: a question to every outlet, which looks at its own subscriptions. No session is asked.
//!
//! Nothing here is kept: who asks often keeps the answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::topic::messages::{Outlets, ToOutlet};
use crate::topic_key::Scope;

/// How far the readers of a scope are behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// How many of them are behind the head of what they read.
    pub readers: u64,
    /// How many events the most behind one is. Of the feed it is not said: its places are no events of the scope alone.
    pub events_max: u64,
}

impl Lag {
    /// With what another outlet has found, or another topic.
    pub fn join(&mut self, other: Self) {
        self.readers += other.readers;
        self.events_max = self.events_max.max(other.events_max);
    }
}

/// By scope; who is not in it has nobody behind.
pub type Lags = HashMap<Scope, Lag>;

/// The question on its way. When the last outlet lets go of it, all have answered.
#[derive(Debug)]
pub struct LagQuestion {
    found: Arc<Mutex<Lags>>,
    _over: oneshot::Sender<()>,
}

impl LagQuestion {
    /// An outlet answers for the readers of a topic.
    pub fn answer(&self, scope: Scope, lag: Lag) {
        self.found.lock().entry(scope).or_default().join(lag);
    }
}

/// Asks all outlets. What those have found that answered `within` the time, and whether that were all.
pub async fn ask(outlets: &Outlets, within: Duration) -> (Lags, bool) {
    let (over, all_answered) = oneshot::channel();
    let found = Arc::new(Mutex::new(Lags::new()));
    let question = Arc::new(LagQuestion { found: found.clone(), _over: over });
    outlets.send_all(|| ToOutlet::Lag(question.clone()));
    drop(question);
    let complete = timeout(within, all_answered).await.is_ok();
    let lags = std::mem::take(&mut *found.lock());
    (lags, complete)
}
