//! What a path names: the kind of topic that its route is about, and the topic.
//!
//! The kind comes from the table of routes and from nowhere else, so one handler serves threads and canvases.
//! This file never looks whether what is named exists.

use std::future::Future;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::gate::Right;
use tambour_actors::topic_key::{TopicKey, TopicKind};

use super::{Caller, Grant};
use crate::problem::Problem;
use crate::routes::{self, RouteSpec};

/// A caller, and the kind of topic that the route is about.
#[derive(Clone)]
pub struct Kind {
    /// Who.
    pub caller: Caller,
    /// Threads, canvases, or the feed.
    pub kind: TopicKind,
}

/// A caller, and the topic that the path names; the feed has no other name. Whether it exists, and what the caller may do there, [`Named::grant`] says.
#[derive(Clone)]
pub struct Named {
    /// Who.
    pub caller: Caller,
    /// Of which topic.
    pub key: TopicKey,
}

impl Kind {
    /// The key of a topic of this kind in the caller's scope.
    ///
    /// # Errors
    /// `name.invalid`.
    pub fn key(&self, id: &str) -> Result<TopicKey, Problem> {
        TopicKey::new(self.caller.scope(), self.kind, id)
            .map_err(|error| self.caller.problem(Refusal::new(Code::NameInvalid, error.to_string())))
    }

    async fn of(request: HttpRequest, caller: impl Future<Output = Result<Caller, Problem>>) -> Result<Self, Problem> {
        let caller = caller.await?;
        let kind = routes::of(&request).and_then(RouteSpec::kind);
        let kind = kind.ok_or_else(|| caller.problem(Code::Internal))?;
        Ok(Self { caller, kind })
    }
}

impl Named {
    /// A right on the topic: 404 when it is unknown here, 403 when it is not the caller's to use.
    ///
    /// # Errors
    /// `topic.unknown`, `permission.denied`, `store.unavailable`.
    pub async fn grant(&self, right: Right) -> Result<Grant, Problem> {
        self.caller.grant(&self.key, right).await
    }

    /// The refusal as the answer to this caller's request.
    pub fn problem(&self, refusal: impl Into<Refusal>) -> Problem {
        self.caller.problem(refusal)
    }
}

impl FromRequest for Kind {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        Box::pin(Self::of(request.clone(), Caller::from_request(request, payload)))
    }
}

impl FromRequest for Named {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, caller) = (request.clone(), Caller::from_request(request, payload));
        Box::pin(async move {
            let kind = Kind::of(request.clone(), caller).await?;
            let key = match kind.kind {
                TopicKind::Feed => TopicKey::feed(kind.caller.scope()),
                _ => kind.key(request.match_info().get("id").unwrap_or_default())?,
            };
            Ok(Self { caller: kind.caller, key })
        })
    }
}
