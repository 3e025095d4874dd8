//! A roll call: every session of a tenant and env says that it is there, on whichever worker it lives.
//!
//! It keeps what fits on one page and no more, however many answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tambour_actors::directory::Directory;
use tambour_actors::principal::{Principal, Role};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::review::{Review, Seen, Survey};
use tambour_actors::topic::messages::ToOutlet;
use tambour_actors::topic_key::Scope;
use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;

/// How long the workers have for their answers.
const WITHIN: Duration = Duration::from_secs(1);

/// Which sessions are asked for.
pub(super) struct Asked {
    /// Of which tenant and env.
    pub(super) scope: Scope,
    /// Of whom; `None`: of everybody.
    pub(super) sub: Option<String>,
    /// Behind which connection.
    pub(super) after: Option<Uuid>,
    /// At most so many.
    pub(super) limit: usize,
}

/// Who was there.
pub(super) struct Roll {
    /// Ascending by connection.
    pub(super) seen: Vec<Seen>,
    /// Whether every worker has answered in time.
    pub(super) complete: bool,
}

type Kept = Arc<Mutex<BTreeMap<Uuid, Seen>>>;

/// The question on its way. When the last worker lets go of it, all have answered.
struct Call {
    asked: Asked,
    kept: Kept,
    _over: Over,
}

/// Says by its drop that something is over.
struct Over(#[allow(dead_code, reason = "its drop is the message")] oneshot::Sender<()>);

impl Survey for Call {
    fn scope(&self) -> &Scope {
        &self.asked.scope
    }

    fn seen(&self, seen: Seen) {
        let Asked { sub, after, limit, .. } = &self.asked;
        if sub.as_deref().is_some_and(|sub| sub != &*seen.principal.sub) || Some(seen.connection_id) <= *after {
            return;
        }
        let mut kept = self.kept.lock();
        kept.insert(seen.connection_id, seen);
        if kept.len() > *limit {
            kept.pop_last();
        }
    }
}

/// Calls the roll.
pub(super) async fn call(directory: &Directory, asked: Asked) -> Roll {
    let (over, all_answered) = oneshot::channel();
    let kept = Kept::default();
    let survey: Arc<dyn Survey> = Arc::new(Call { asked, kept: kept.clone(), _over: Over(over) });
    directory.outlets().send_all(|| ToOutlet::Survey(survey.clone()));
    drop(survey);
    let complete = timeout(WITHIN, all_answered).await.is_ok();
    let seen = std::mem::take(&mut *kept.lock()).into_values().collect();
    Roll { seen, complete }
}

/// Whose sessions somebody may end, in their own tenant and env: their own, and those of who has no higher role.
struct Ends {
    scope: Scope,
    role: Role,
    own: bool,
    sub: String,
}

impl Ends {
    fn of(by: &Principal, sub: &str) -> Self {
        Self { scope: by.scope.clone(), role: by.role, own: *by.sub == *sub, sub: sub.to_owned() }
    }

    fn reach(&self, principal: &Principal) -> bool {
        principal.scope == self.scope && *principal.sub == *self.sub && (self.own || principal.role <= self.role)
    }
}

/// The question how many there are.
struct Count {
    ends: Ends,
    found: Arc<AtomicUsize>,
    _over: Over,
}

impl Survey for Count {
    fn scope(&self) -> &Scope {
        &self.ends.scope
    }

    fn seen(&self, seen: Seen) {
        if self.ends.reach(&seen.principal) {
            self.found.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How many sessions of somebody `by` may end, and whether every worker has answered in time.
pub(super) async fn count(directory: &Directory, by: &Principal, sub: &str) -> (usize, bool) {
    let (over, all_answered) = oneshot::channel();
    let found = Arc::new(AtomicUsize::new(0));
    let survey: Arc<dyn Survey> = Arc::new(Count { ends: Ends::of(by, sub), found: found.clone(), _over: Over(over) });
    directory.outlets().send_all(|| ToOutlet::Survey(survey.clone()));
    drop(survey);
    let complete = timeout(WITHIN, all_answered).await.is_ok();
    (found.load(Ordering::Relaxed), complete)
}

/// Ends the sessions of somebody that `by` may end, and says how many there were.
pub(super) async fn dismiss(directory: &Directory, by: &Principal, sub: &str) -> usize {
    let (over, all_answered) = oneshot::channel();
    let ended = Arc::new(Mutex::new(0));
    let (ends, counted, over) = (Ends::of(by, sub), ended.clone(), Over(over));
    let review: Review = Arc::new(move |principal: &Arc<Principal>| {
        let _held = &over;
        if !ends.reach(principal) {
            return Ok(None);
        }
        *counted.lock() += 1;
        Err(Refusal::new(Code::SessionEnded, "your session was ended; you may come back"))
    });
    directory.outlets().send_all(|| ToOutlet::Review(review.clone()));
    drop(review);
    // Who is slow to hear of it ends all the same, and is not counted.
    let _ = timeout(WITHIN, all_answered).await;
    *ended.lock()
}
