//! Admission: the one pipeline from a request to what it may do.
//!
//! `Visitor → Caller → Grant`: each stage is made from the one before, so a handler that has a grant has passed
//! every check, in the order of the contract. A handler takes a [`Caller`]; there is no other way to a scope, and
//! without a scope no way to a tenant's topics. A stream request gets its [`Permit`] on the way: at the first stage
//! that of its address, at the second the rest.

mod administer;
pub mod bodies;
pub mod counts;
mod current;
mod draining;
pub(crate) mod gate;
pub mod leases;
mod named;
pub mod permit;
mod proving;
pub mod rates;
pub mod refused;
pub mod rights;
pub mod standing;
pub mod terms;

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use futures_util::future::LocalBoxFuture;
use tambour_actors::deed::Deed;
use tambour_actors::directory::{Directory, TopicHandle};
use tambour_actors::log::{Class, TopicRecord};
use tambour_actors::principal::Principal;
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::gate::{Proved, Right};
use tambour_actors::topic::now_ms;
use tambour_actors::topic_key::{Scope, TopicKey};
use tokio::sync::Notify;

use bodies::{Bodies, InHand};
pub use draining::Draining;
pub use gate::{Gatekeeper, Handshake};
use leases::{Lease, Leases};
pub use named::{Kind, Named};
use permit::{Address, Permit, Permits, Used};
use proving::Shown;
use refused::{Known, Refusals};
use standing::Standing;
use terms::{InForce, Terms};

use crate::config::Settings;
use crate::identity::address;
use crate::identity::context::{Incoming, RequestContext};
use crate::identity::head;
use crate::identity::web_origin;
use crate::problem::{Problem, StreamRequest, ids_of};
use crate::routes::{self, Access, RouteSpec};
use crate::store::sqlite::SqliteStore;
use crate::transport::rated::Rated;

/// What admission stands on; one per hub, shared by its workers.
pub struct Ground {
    terms: InForce,
    /// Finds topics.
    pub directory: Directory,
    /// Keeps events and topics.
    pub store: SqliteStore,
    /// What is said of identities beside their tokens.
    pub standing: Standing,
    /// Counts connections.
    pub permits: Permits,
    /// Counts what is held of bodies.
    pub bodies: Bodies,
    /// Set when the hub drains: nothing new is admitted.
    pub draining: Draining,
    /// Streams that live by a stream token.
    pub leases: Leases,
    /// Told when stream tokens are over by a change.
    endings: Notify,
    /// Whose turn it is to end sessions of others.
    pub dismissing: tokio::sync::Mutex<()>,
    /// Writes down what is refused to whom.
    pub refusals: Refusals,
}

/// A request before anybody has proved an identity: its context was read, and its address has room for it.
pub struct Visitor {
    /// What the request says about itself.
    pub context: RequestContext,
    /// Of a stream request: room for its connection.
    pub permit: Option<Rc<Permit>>,
    address: Address,
    terms: Arc<Terms>,
    /// Where it is said how the request stands with its rate.
    rated: Rated,
    /// Where it is said whom the request comes from.
    known: Known,
}

impl Ground {
    /// The ground of a hub that begins.
    #[must_use]
    pub fn new(terms: Terms, directory: Directory, store: SqliteStore, standing: Standing, leases: Leases) -> Self {
        let (permits, bodies, draining) = (Permits::default(), Bodies::default(), Draining::default());
        let (endings, dismissing, refusals) = (Notify::new(), tokio::sync::Mutex::default(), Refusals::default());
        let terms = InForce::new(terms);
        Self { terms, directory, store, standing, permits, bodies, draining, leases, endings, dismissing, refusals }
    }

    /// What is in force now. Who needs it more than once for the same thing keeps it.
    #[must_use]
    pub fn terms(&self) -> Arc<Terms> {
        self.terms.get()
    }

    /// Puts other terms in force.
    pub(crate) fn put_terms(&self, terms: Terms) {
        self.terms.put(terms);
    }

    /// The checks that need no identity, for requests that will prove theirs by `hello` as well.
    ///
    /// # Errors
    /// `draining`, `limit.connections_ip`, `origin.forbidden`, `request.stream_body`, or what [`RequestContext::read`]
    /// refuses.
    pub fn visit(&self, request: &HttpRequest) -> Result<Visitor, Problem> {
        let (ids, terms) = (ids_of(request), self.terms());
        let settings = &terms.settings;
        let incoming = Incoming {
            is_get: request.method() == Method::GET,
            query: request.query_string(),
            headers: request.headers(),
            allow_jwt_in_query: settings.auth.allow_jwt_in_query,
        };
        let refused = |refusal: Refusal, is_stream| Problem { refusal, ids: ids.clone(), is_stream };
        self.refuse_if_draining().map_err(|refusal| refused(refusal, true))?;
        let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        let address = address::client(peer, request.headers(), &settings.http.trusted_proxies).into();
        let permit = incoming.asks_for_stream().then(|| self.permits.enter(address, &settings.limits));
        let permit = permit.transpose().map_err(|refusal| refused(refusal, true))?;
        let sizes = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
        let target_bytes = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        let sized = head::check(target_bytes, sizes).and_then(|()| RequestContext::read(ids.clone(), &incoming));
        let context = sized.map_err(|refusal| refused(refusal, false))?;
        if context.takes_socket {
            request.extensions_mut().insert(StreamRequest);
        }
        let checked = refuse_body(request, context.takes_socket)
            .and_then(|()| web_origin::check(request.headers(), &settings.http.allowed_origins));
        checked.map_err(|refusal| refused(refusal, context.takes_socket))?;
        let rated = Rated::default();
        let known = Known::default();
        request.extensions_mut().insert(rated.clone());
        request.extensions_mut().insert(known.clone());
        Ok(Visitor { context, permit, address, terms, rated, known })
    }

    /// The first of all checks.
    ///
    /// # Errors
    /// `draining`.
    pub fn refuse_if_draining(&self) -> Result<(), Refusal> {
        if self.draining.is_begun() {
            return Err(Refusal::new(Code::Draining, "the hub is going; come back in a moment"));
        }
        Ok(())
    }
}

/// A body on a request for a stream would be read as frames, or as a request that answers into nothing.
fn refuse_body(request: &HttpRequest, takes_socket: bool) -> Result<(), Refusal> {
    let headers = request.headers();
    let length = headers.get("content-length").is_some_and(|length| length.as_bytes() != b"0");
    if takes_socket && (length || headers.contains_key("transfer-encoding")) {
        return Err(Refusal::new(Code::StreamBody, "a stream request has no body"));
    }
    Ok(())
}

/// A proved identity in a scope that it is good for: the first thing a handler takes.
#[derive(Clone)]
pub struct Caller {
    /// What the request says about itself.
    pub context: Rc<RequestContext>,
    /// Who.
    pub principal: Arc<Principal>,
    ground: Arc<Ground>,
    terms: Arc<Terms>,
    address: Address,
    permit: Option<Rc<Permit>>,
    route: &'static RouteSpec,
}

/// Right to a topic that a caller has.
pub struct Grant {
    /// Who.
    pub caller: Caller,
    /// On what.
    pub record: Arc<TopicRecord>,
}

impl Caller {
    /// Proves who sent a request whose context was read, and that they may do what its route does; of a stream request,
    /// also that there is room for it.
    ///
    /// # Errors
    /// `auth.*`, `context.*`, `permission.denied`, `kill_switch.blocked`, `rate.limited`, `limit.*`.
    pub async fn prove(ground: &Arc<Ground>, visitor: Visitor, route: &'static RouteSpec) -> Result<Self, Problem> {
        let Visitor { context, permit, address, terms, rated, known } = visitor;
        let proved = async {
            let token = context.token()?.text.expose();
            let act_as = context.act_as.as_deref();
            let is_stream = context.is_stream && route.streams();
            known.asks(route.action, Some(address));
            let shown = Shown { token, given: &context.scope_given, is_stream, act_as, known: &known };
            let proved = ground.prove(&terms, &shown).await;
            let principal = proved.map_err(|refusal| terms.rates.refused(address, refusal))?;
            if let Access::Permission(permission) = route.access {
                rights::require(&principal, permission)?;
            }
            ground.standing.allows(&principal, route.doing())?;
            if let Some(rate) = route.rate().filter(|_| !is_stream) {
                let (allowance, verdict) = terms.rates.take(rate, route.action, &principal);
                rated.0.set(allowance);
                verdict?;
            }
            if let Some(permit) = &permit {
                permit.opens(route);
                permit.prove(&principal, &terms.settings.limits)?;
            }
            Ok(principal)
        };
        match proved.await {
            Ok(principal) => {
                let (context, principal) = (Rc::new(context), Arc::new(principal));
                Ok(Self { context, principal, ground: ground.clone(), terms, address, permit, route })
            }
            Err(refusal) => Err(Problem::new(refusal, &context)),
        }
    }

    /// Room for the connection of a stream request. Who keeps it keeps the connection counted: a session for as
    /// long as it lives. A request that is answered by its handler, as a long poll is, need not ask: it is counted
    /// while there is a `Caller`.
    ///
    /// # Errors
    /// `request.malformed`: it is no stream request.
    pub fn permit(&self) -> Result<Rc<Permit>, Problem> {
        self.permit
            .clone()
            .ok_or_else(|| self.problem(Refusal::new(Code::RequestMalformed, "this is no request for a stream")))
    }

    /// Room for a connection that is held as long as a stream's by a request that is none: an upload. It is counted from
    /// now on, because only who reads its body knows what it is.
    ///
    /// # Errors
    /// `limit.connections_ip`, `limit.connections_principal`, `limit.connections_tenant`, `limit.connections`.
    pub fn occupy(&self) -> Result<Rc<Permit>, Refusal> {
        let limits = &self.settings().limits;
        let permit = self.ground.permits.enter(self.address, limits)?;
        permit.prove(&self.principal, limits)?;
        Ok(permit)
    }

    /// The body of the caller's request, of which nothing is held yet.
    #[must_use]
    pub fn body(&self) -> InHand {
        self.ground.bodies.begin(&self.principal, &self.settings().limits)
    }

    /// The caller as a session has them: the last check of a stream request, right before it is answered. A stream token
    /// is this stream's from now on, and taken from the one that has it.
    ///
    /// # Errors
    /// `auth.token_invalid`, `token.store_unavailable`.
    pub async fn proved(&self) -> Result<Proved, Problem> {
        self.ground.proved(self.principal.clone()).await.map_err(|refusal| self.problem(refusal))
    }

    /// The same for a stream request that its handler answers; `None` without a stream token.
    ///
    /// # Errors
    /// As [`Self::proved`].
    pub async fn lease(&self) -> Result<Option<Rc<Lease>>, Problem> {
        self.ground.lease(&self.principal).await.map_err(|refusal| self.problem(refusal))
    }

    /// What the caller has of what is limited.
    #[must_use]
    pub fn used(&self) -> Used {
        self.ground.permits.used(self.address, &self.principal)
    }

    /// What the caller does, for whoever writes it down in the transaction of what they change.
    #[must_use]
    pub fn deed(&self) -> Arc<Deed> {
        let (principal, ids) = (&self.principal, &self.context.ids);
        Arc::new(Deed {
            scope: principal.scope.clone(),
            action: self.route.action,
            sub: principal.sub.clone(),
            actor_type: principal.actor_type,
            role: principal.role,
            acts_for: principal.acts_for.clone(),
            ip: Some(self.address.to_string().into()),
            request_id: (*ids.request_id).into(),
            trace_id: (*ids.trace_id).into(),
            origin: self.context.origin(principal),
            at_ms: now_ms(),
            class: Class::Ordinary,
        })
    }

    /// Where the caller acts.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.principal.scope
    }

    /// The refusal as the answer to this caller's request.
    pub fn problem(&self, refusal: impl Into<Refusal>) -> Problem {
        Problem::new(refusal.into(), &self.context)
    }

    /// A right on a topic: 404 when it is unknown here, 403 when it is not the caller's to use.
    ///
    /// # Errors
    /// `topic.unknown`, `permission.denied`, `store.unavailable`; `auth.*` when the caller has no standing any more, and
    /// `kill_switch.blocked` when what they do was switched off meanwhile.
    pub async fn grant(&self, key: &TopicKey, right: Right) -> Result<Grant, Problem> {
        let found = self.ground.directory.record(key).await;
        let record = found
            .map_err(|error| gate::unavailable(&error))
            .and_then(|record| record.ok_or_else(Refusal::topic_unknown))
            .map_err(|refusal| self.problem(refusal))?;
        let principal = self.current().map_err(|refusal| self.problem(refusal))?;
        rights::check(&principal, &record.topic, right).map_err(|refusal| self.problem(refusal))?;
        Ok(Grant { caller: self.clone(), record })
    }

    /// How long the caller's body may take to come.
    #[must_use]
    pub fn body_patience(&self) -> Duration {
        Duration::from_millis(self.settings().http.body_timeout_ms)
    }

    /// The settings that this request is judged by, to its end.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.terms.settings
    }

    /// What admission stands on.
    #[must_use]
    pub fn ground(&self) -> &Arc<Ground> {
        &self.ground
    }
}

impl Grant {
    /// The topic's actor, woken if it sleeps.
    ///
    /// # Errors
    /// `topic.unknown` when it was deleted meanwhile, `store.unavailable`.
    pub async fn topic(&self) -> Result<TopicHandle, Problem> {
        let found = self.caller.ground.directory.find(&self.record.topic.key).await;
        found
            .map_err(|error| gate::unavailable(&error))
            .and_then(|handle| handle.ok_or_else(Refusal::topic_unknown))
            .map_err(|refusal| self.caller.problem(refusal))
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // At once: extractors that refuse meanwhile look at what the visit left in the request.
        let visited = (|| {
            let internal = || Problem::at(Code::Internal.into(), request);
            let ground = request.app_data::<Arc<Ground>>().ok_or_else(internal)?;
            let route = routes::of(request).ok_or_else(internal)?;
            Ok((ground.clone(), ground.visit(request)?, route))
        })();
        Box::pin(async move {
            let (ground, visitor, route) = visited?;
            Self::prove(&ground, visitor, route).await
        })
    }
}
