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
    /// Which connection; `None`: every one.
    pub(super) connection: Option<Uuid>,
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
        let Asked { sub, connection, after, limit, .. } = &self.asked;
        if sub.as_deref().is_some_and(|sub| sub != &*seen.principal.sub) || Some(seen.connection_id) <= *after {
            return;
        }
        if connection.is_some_and(|connection| connection != seen.connection_id) {
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

/// The one session of a connection, wherever in the hub it lives.
///
/// # Errors
/// `session.unknown`; `session.unsure` when a worker that has not answered may have it.
pub(super) async fn find(directory: &Directory, scope: &Scope, connection: Uuid) -> Result<Seen, Refusal> {
    let asked = Asked { scope: scope.clone(), sub: None, connection: Some(connection), after: None, limit: 1 };
    call(directory, asked).await.only()
}

impl Roll {
    fn only(mut self) -> Result<Seen, Refusal> {
        match (self.seen.pop(), self.complete) {
            (Some(seen), _) => Ok(seen),
            (None, true) => Err(Code::SessionUnknown.into()),
            (None, false) => {
                Err(Refusal::new(Code::SessionUnsure, "a part of the hub has not answered; try again in a moment"))
            }
        }
    }
}

/// Which sessions somebody ends, in their own tenant and env: those of one principal, all or one. Those of others only where
/// they have no higher role.
#[derive(Clone)]
pub(super) struct Ends {
    scope: Scope,
    role: Role,
    own: bool,
    sub: String,
    connection: Option<Uuid>,
}

impl Ends {
    /// All sessions of `sub`.
    pub(super) fn all(by: &Principal, sub: &str) -> Self {
        let own = *by.sub == *sub;
        Self { scope: by.scope.clone(), role: by.role, own, sub: sub.to_owned(), connection: None }
    }

    /// One session of `sub`.
    pub(super) fn one(by: &Principal, sub: &str, connection: Uuid) -> Self {
        Self { connection: Some(connection), ..Self::all(by, sub) }
    }

    /// Whether they are the own sessions of who ends them.
    pub(super) fn are_own(&self) -> bool {
        self.own
    }

    fn reach(&self, connection: Uuid, principal: &Principal) -> bool {
        self.connection.is_none_or(|only| only == connection)
            && principal.scope == self.scope
            && *principal.sub == *self.sub
            && (self.own || principal.role <= self.role)
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
        if self.ends.reach(seen.connection_id, &seen.principal) {
            self.found.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How many sessions are to be ended, and whether every worker has answered in time.
pub(super) async fn count(directory: &Directory, ends: &Ends) -> (usize, bool) {
    let (over, all_answered) = oneshot::channel();
    let found = Arc::new(AtomicUsize::new(0));
    let survey: Arc<dyn Survey> = Arc::new(Count { ends: ends.clone(), found: found.clone(), _over: Over(over) });
    directory.outlets().send_all(|| ToOutlet::Survey(survey.clone()));
    drop(survey);
    let complete = timeout(WITHIN, all_answered).await.is_ok();
    (found.load(Ordering::Relaxed), complete)
}

/// Ends sessions, and says how many there were.
pub(super) async fn dismiss(directory: &Directory, ends: Ends) -> usize {
    let (over, all_answered) = oneshot::channel();
    let ended = Arc::new(Mutex::new(0));
    let (counted, over) = (ended.clone(), Over(over));
    let review: Review = Arc::new(move |connection, principal: &Arc<Principal>| {
        let _held = &over;
        if !ends.reach(connection, principal) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_not_found_may_still_be_where_nobody_answered() {
        let none = |complete| Roll { seen: Vec::new(), complete }.only().map_err(|refusal| refusal.code);
        assert_eq!(none(true).err(), Some(Code::SessionUnknown));
        assert_eq!(none(false).err(), Some(Code::SessionUnsure));
    }
}
