//! Refusals of principals who are known: one entry of the audit each, up to a bound, and nobody waits for it.
//!
//! One hook for requests, where a refusal has become an answer, and one for frames. Whom a request comes from must be proved,
//! in the tenant and env that it names; of anybody else nothing is written into anybody's audit.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::dev::ServiceResponse;
use actix_web::{HttpMessage as _, HttpRequest};
use bytes::Bytes;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tambour_actors::deed::Deed;
use tambour_actors::event::Origin;
use tambour_actors::log::Class;
use tambour_actors::principal::Principal;
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::token_form::without_tokens;
use tambour_actors::topic::now_ms;
use tambour_actors::topic_key::Scope;

use super::Ground;
use super::permit::Address;
use crate::audit::entry::Happened;
use crate::identity::context::RequestIds;
use crate::problem::Problem;
use crate::routes;

/// The window of the bound, in milliseconds.
const WINDOW_MS: i64 = 60_000;
/// Principals who are counted at once.
const PRINCIPALS_MAX: usize = 10_000;
/// Entries that may wait for the disk.
const WAITING_MAX: usize = 1_000;
/// Longest name of what is refused, in bytes: paths are as long as callers like.
const RESOURCE_BYTES_MAX: usize = 256;
/// Counts refusals that have no entry, and that no entry counts.
const LOST: &str = "tambour_audit_refusals_lost_total";

/// Whom a request or a frame comes from, once that is proved. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Known(Rc<RefCell<About>>);

#[derive(Debug, Default)]
struct About {
    principal: Option<Arc<Principal>>,
    action: &'static str,
    address: Option<Address>,
}

impl Known {
    /// What is asked for, and from where.
    pub(super) fn asks(&self, action: &'static str, address: Option<Address>) {
        let mut about = self.0.borrow_mut();
        (about.action, about.address) = (action, address);
    }

    /// Who asks.
    pub(super) fn is(&self, principal: &Principal) {
        self.0.borrow_mut().principal = Some(Arc::new(principal.clone()));
    }

    /// The deed that was refused; `None` where nobody is proved.
    fn deed(&self, ids: Option<&RequestIds>) -> Option<Deed> {
        let about = self.0.borrow();
        let principal = about.principal.as_ref()?;
        let id = |id: Option<&str>| Arc::from(id.unwrap_or_default());
        Some(Deed {
            scope: principal.scope.clone(),
            action: about.action,
            sub: principal.sub.clone(),
            actor_type: principal.actor_type,
            role: principal.role,
            acts_for: principal.acts_for.clone(),
            ip: about.address.map(|address| address.to_string().into()),
            request_id: id(ids.map(|ids| &*ids.request_id)),
            trace_id: id(ids.map(|ids| &*ids.trace_id)),
            // Nothing is told of it in the feed.
            origin: Origin { routing: Bytes::new(), meta: Bytes::new() },
            at_ms: now_ms(),
            // Whoever is refused decides how often: it has no part of what the store keeps in reserve.
            class: Class::Ordinary,
        })
    }
}

/// Whether a refusal has an entry: what somebody may not do, and what they do too often. A tenant is not told who else's
/// tokens are shown in its name.
pub(super) fn is_audited(code: Code) -> bool {
    (code.status() == 403 && code != Code::TenantMismatch) || code == Code::RateLimited
}

/// How many refusals there were of whom.
#[derive(Debug, Default)]
pub struct Refusals {
    counted: Mutex<FxHashMap<(Scope, Arc<str>), Counted>>,
    waiting: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Counted {
    /// When entries were written, in milliseconds since 1970; those within the window.
    written: VecDeque<i64>,
    suppressed: u64,
}

impl Refusals {
    /// One more of somebody. Whether it has an entry, and how many before it have none.
    fn take(&self, scope: &Scope, sub: &Arc<str>, now_ms: i64, most: usize) -> Option<u64> {
        let mut counted = self.counted.lock();
        let who = (scope.clone(), sub.clone());
        let recent = |written: &VecDeque<i64>| written.back().is_some_and(|at_ms| now_ms - at_ms < WINDOW_MS);
        if counted.len() >= PRINCIPALS_MAX && !counted.contains_key(&who) {
            counted.retain(|_, of| {
                let stays = recent(&of.written);
                if !stays && of.suppressed > 0 {
                    metrics::counter!(LOST).increment(of.suppressed);
                }
                stays
            });
            if counted.len() >= PRINCIPALS_MAX {
                metrics::counter!(LOST).increment(1);
                return None;
            }
        }
        let of = counted.entry(who).or_default();
        while of.written.front().is_some_and(|at_ms| now_ms - at_ms >= WINDOW_MS) {
            of.written.pop_front();
        }
        if of.written.len() >= most {
            of.suppressed += 1;
            return None;
        }
        of.written.push_back(now_ms);
        Some(std::mem::take(&mut of.suppressed))
    }
}

impl Ground {
    /// Something was refused. Its entry goes to the store's queue: nobody waits for it, and what does not fit is counted.
    pub(super) fn refused(&self, known: &Known, resource: &str, ids: Option<&RequestIds>, refusal: &Refusal) {
        if !is_audited(refusal.code) {
            return;
        }
        let Some(deed) = known.deed(ids) else { return };
        let most = self.terms().settings.audit.refusals_per_minute;
        let Some(suppressed) = self.refusals.take(&deed.scope, &deed.sub, deed.at_ms, most) else { return };
        let waiting = self.refusals.waiting.clone();
        if waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            waiting.fetch_sub(1, Ordering::Relaxed);
            metrics::counter!(LOST).increment(suppressed + 1);
            return;
        }
        let happened = Happened::refused(name(resource), refusal.code.as_str(), suppressed);
        let written = self.store.record(Arc::new(deed), happened);
        actix_rt::spawn(async move {
            if written.await.is_err() {
                metrics::counter!(LOST).increment(suppressed + 1);
            }
            waiting.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// The hook of requests: their refusal has become their answer.
pub fn note<B>(answer: &ServiceResponse<B>, ids: &RequestIds) {
    let problem = answer.response().error().and_then(|error| error.as_error::<Problem>());
    let (Some(problem), request) = (problem, answer.request()) else { return };
    let known = request.extensions().get::<Known>().cloned();
    if let (Some(known), Some(ground)) = (known, request.app_data::<Arc<Ground>>()) {
        ground.refused(&known, &resource(request), Some(ids), &problem.refusal);
    }
}

/// What is refused, as it is written down: callers write what they like, and no token gets into it.
fn name(resource: &str) -> String {
    let mut name = without_tokens(resource.to_owned().into()).into_owned();
    name.truncate(name.floor_char_boundary(RESOURCE_BYTES_MAX));
    name
}

/// What a request is about: a topic, a key, a principal, else its path.
fn resource(request: &HttpRequest) -> String {
    let path = request.match_info();
    let kind = routes::of(request).and_then(routes::RouteSpec::kind);
    let named = |name: &str, value: &str| format!("{name}/{value}");
    match (kind, path.get("id"), path.get("key"), path.get("sub")) {
        (Some(kind), Some(id), ..) => named(kind.as_str(), id),
        (None, _, Some(key), _) => named("key", key),
        (None, _, _, Some(sub)) => named("principal", sub),
        _ => request.path().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tambour_actors::topic_key::{Env, Tenant};

    use super::*;

    fn scope(tenant: &str) -> Scope {
        Scope { tenant: Tenant::parse(tenant).unwrap(), env: Env::Dev }
    }

    #[test]
    fn in_any_minute_so_many_and_the_rest_is_counted() {
        let refusals = Refusals::default();
        let (demo, other, alice) = (scope("t_demo"), scope("t_other"), Arc::from("alice"));
        let taken: Vec<_> = (0..15).map(|n| refusals.take(&demo, &alice, 1_000 + n, 10)).collect();
        assert_eq!(taken, [[Some(0); 10].as_slice(), &[None; 5]].concat());
        assert_eq!(refusals.take(&other, &alice, 1_020, 10), Some(0), "in another tenant they are somebody else");
        assert_eq!(refusals.take(&demo, &alice, 60_999, 10), None);
        assert_eq!(refusals.take(&demo, &alice, 61_000, 10), Some(6), "the first is a minute ago");
        assert_eq!(refusals.take(&demo, &alice, 61_000, 10), None);
    }

    #[test]
    fn principals_without_number_take_no_memory_without_number() {
        let refusals = Refusals::default();
        let demo = scope("t_demo");
        for n in 0..2 * PRINCIPALS_MAX {
            let taken = refusals.take(&demo, &Arc::from(n.to_string()), 0, 10);
            assert_eq!(taken.is_some(), n < PRINCIPALS_MAX);
        }
        assert_eq!(refusals.take(&demo, &Arc::from("later"), WINDOW_MS, 10), Some(0));
        assert_eq!(refusals.counted.lock().len(), 1);
    }

    #[test]
    fn names_are_short_and_have_no_token() {
        let token = format!("tsk_{}", "a".repeat(43));
        assert!(!name(&format!("/v1/principals/{token}")).contains(&token));
        assert_eq!(name(&"ü".repeat(300)).len(), RESOURCE_BYTES_MAX);
        assert_eq!(name("thread/x"), "thread/x");
    }

    #[test]
    fn what_has_an_entry() {
        for code in [Code::Forbidden, Code::Suspended, Code::KillSwitch, Code::RateLimited] {
            assert!(is_audited(code), "{code:?}");
        }
        for code in [Code::TenantMismatch, Code::TokenInvalid, Code::TopicUnknown, Code::BadTokens, Code::StoreFull] {
            assert!(!is_audited(code), "{code:?}");
        }
    }
}
