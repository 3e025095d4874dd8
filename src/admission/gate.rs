//! The same admission for what comes over a WebSocket: topics in frames, `hello` and `auth`.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use tambour_actors::entry::Entry;
use tambour_actors::log::{TopicRecord, Unavailable};
use tambour_actors::principal::{Principal, Proof};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::review::Reviewed;
use tambour_actors::session::gate::{Admission, Claim, Gate, Greeter, Hold, Identity, Proved, Proving, Right};
use tambour_actors::topic_key::{TopicKey, TopicKind};

use super::permit::Permit;
use super::proving::Shown;
use super::refused::{Known, is_audited};
use super::standing::Standing;
use super::standing::kill_switch::Doing;
use super::{Ground, rights};
use crate::identity::context::{RequestContext, ScopeGiven};
use crate::identity::{origin, stream_tokens};
use crate::routes::{ROUTES, Rate};

/// The action of a first frame.
const OPEN: &str = "session.open";
/// The action of a frame with another token.
const RENEW: &str = "session.renew";

/// Admits what sessions ask for. One per worker.
pub struct Gatekeeper(pub Arc<Ground>);

impl Gate for Gatekeeper {
    fn admit(self: Rc<Self>, principal: &Arc<Principal>, topic: &str, right: Right) -> Admission {
        let key = match TopicKey::parse(&principal.scope, topic) {
            Ok(key) => key,
            Err(error) => return Admission::Now(Err(Refusal::new(Code::NameInvalid, error.to_string()))),
        };
        let allowed = doing(key.kind(), right).and_then(|doing| {
            self.0.standing.allows(principal, doing)?;
            if doing.writes { self.0.terms().rates.take(Rate::Publish, doing.action, principal).1 } else { Ok(()) }
        });
        if let Err(refusal) = allowed {
            return Admission::Now(Err(refusal));
        }
        if let Some(handle) = self.0.directory.find_awake(&key) {
            return Admission::Now(rights::check(principal, &handle.record.topic, right).map(|()| handle));
        }
        let principal = principal.clone();
        Admission::Later(Box::pin(async move {
            let found = self.0.directory.find(&key).await.map_err(|error| unavailable(&error))?;
            let handle = found.ok_or_else(Refusal::topic_unknown)?;
            // It may have taken long.
            may(&self.0.standing, &principal, &handle.record, right).map(|()| handle)
        }))
    }

    fn may(&self, principal: &Principal, record: &TopicRecord, right: Right) -> Result<(), Refusal> {
        may(&self.0.standing, principal, record, right)
    }

    fn renew(self: Rc<Self>, identity: &Identity, from: IpAddr, token: String) -> Proving<Identity> {
        let before = identity.clone();
        Box::pin(async move {
            let ids = origin::ids(&before.origin);
            let known = Known::default();
            known.asks(RENEW, Some(from.into()));
            let renewed = self.renewed(before, from, &token, &known).await;
            renewed.inspect_err(|refusal| self.0.refused(&known, "session", ids.as_ref(), refusal))
        })
    }

    fn review(&self, principal: &Arc<Principal>) -> Reviewed {
        self.0.review(principal)
    }

    fn goes_on(&self, principal: &Principal, hold: &dyn Hold) -> Result<(), Refusal> {
        match ROUTES.get(usize::from(hold.opened_by())) {
            Some(route) => self.0.standing.allows(principal, route.doing()),
            None => Ok(()),
        }
    }

    fn reads(&self, principal: &Principal, kind: TopicKind) -> Result<(), Refusal> {
        self.0.standing.allows(principal, Doing::read(kind))
    }

    fn writes(&self, principal: &Principal, entry: &Entry) -> Result<(), Refusal> {
        self.0.standing.allows_entry(principal, entry)
    }

    fn refused(&self, identity: &Identity, from: IpAddr, claim: Claim<'_>, refusal: &Refusal) {
        if !is_audited(refusal.code) {
            return;
        }
        let principal = &identity.proved.principal;
        let Ok(key) = TopicKey::parse(&principal.scope, claim.topic) else { return };
        let known = Known::default();
        known.asks(doing(key.kind(), claim.right).map_or("feed.publish", |doing| doing.action), Some(from.into()));
        known.is(principal);
        self.0.refused(&known, claim.topic, origin::ids(&identity.origin).as_ref(), refusal);
    }
}

/// What a frame does that wants this of a topic of a kind.
fn doing(kind: TopicKind, right: Right) -> Result<Doing, Refusal> {
    match right {
        Right::Read => Ok(Doing::read(kind)),
        Right::Write | Right::Manage => Doing::publish(kind).ok_or_else(rights::not_written),
    }
}

/// Whether a principal has a right on a topic, and it is not switched off.
fn may(standing: &Standing, principal: &Principal, record: &TopicRecord, right: Right) -> Result<(), Refusal> {
    standing.allows(principal, doing(record.topic.key.kind(), right)?)?;
    rights::check(principal, &record.topic, right)
}

/// Whether a token is the one that its principal's session lives by.
fn is_held(principal: &Principal, token: &str) -> bool {
    match &principal.proof {
        Proof::Stream(proof) => stream_tokens::digest(token) == Some(proof.digest),
        Proof::Main { .. } | Proof::Key(_) => false,
    }
}

impl Gatekeeper {
    /// Whom another token of a session proves. `known`: told who that is, as soon as that is proved.
    async fn renewed(&self, before: Identity, from: IpAddr, token: &str, known: &Known) -> Result<Identity, Refusal> {
        let Identity { proved: before, origin } = before;
        if is_held(&before.principal, token) {
            // It was opened by this very session: opened again, it would be taken from it.
            known.is(&before.principal);
            let reviewed = self.0.review(&before.principal)?;
            let principal = reviewed.unwrap_or(before.principal);
            return Ok(Identity { proved: Proved { principal, lease: before.lease }, origin });
        }
        let (principal, terms) = (before.principal, self.0.terms());
        let given = ScopeGiven::of(&principal.scope);
        let shown = Shown { token, given: &given, is_stream: true, act_as: None, known };
        let renewed =
            self.0.prove(&terms, &shown).await.map_err(|refusal| terms.rates.refused(from.into(), refusal))?;
        if renewed.sub != principal.sub {
            return Err(Refusal::new(Code::IdentityChanged, "a session is renewed by the same sub, tenant and env"));
        }
        let origin = origin::renewed(&origin, &renewed);
        Ok(Identity { proved: self.0.proved(Arc::new(renewed)).await?, origin })
    }
}

/// Proves who opened a WebSocket without a token, from its first frame.
pub struct Handshake {
    /// What the upgrade said about itself.
    pub context: Rc<RequestContext>,
    /// Verifies.
    pub ground: Arc<Ground>,
    /// Room for the connection: so far its address's alone.
    pub permit: Rc<Permit>,
}

impl Greeter for Handshake {
    fn hello(self: Rc<Self>, token: String, tenant_id: Option<String>, env: Option<String>) -> Proving<Identity> {
        Box::pin(async move {
            self.ground.refuse_if_draining()?;
            let terms = self.ground.terms();
            let given = self.context.scope_given.clone().and_in_hello(tenant_id, env);
            let act_as = self.context.act_as.as_deref();
            let known = Known::default();
            known.asks(OPEN, Some(self.permit.address()));
            let shown = Shown { token: &token, given: &given, is_stream: true, act_as, known: &known };
            let proved = self.ground.prove(&terms, &shown).await;
            let proved =
                proved.inspect_err(|refusal| self.ground.refused(&known, "session", Some(&self.context.ids), refusal));
            let principal = proved.map_err(|refusal| terms.rates.refused(self.permit.address(), refusal))?;
            if let Some(route) = ROUTES.get(usize::from(self.permit.opened_by())) {
                let allowed = self.ground.standing.allows(&principal, route.doing());
                allowed.inspect_err(|refusal| {
                    self.ground.refused(&known, "session", Some(&self.context.ids), refusal);
                })?;
            }
            self.permit.prove(&principal, &terms.settings.limits)?;
            let origin = self.context.origin(&principal);
            Ok(Identity { proved: self.ground.proved(Arc::new(principal)).await?, origin })
        })
    }
}

/// The refusal for a store that can't answer; why is in the log.
pub(crate) fn unavailable(error: &Unavailable) -> Refusal {
    if error.full {
        // The store has said so in the log, once.
        return Refusal::store_full();
    }
    tracing::error!(%error, "the store can't answer");
    Refusal::new(Code::StoreUnavailable, "the store can't answer now; try again")
}
