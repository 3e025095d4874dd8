//! The table of routes: the one list from which the server is built and the checks are tested.
//!
//! A route names its action; what guards it is in [`Access`]. A test walks the table, so a route
//! without the checks does not pass.

use actix_web::Route;
use actix_web::http::Method;
use tambour_actors::topic_key::TopicKind;

/// What a route asks of its caller before its handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: health, readiness and the console's static files, and no others.
    Public,
    /// An identity in a scope.
    Caller,
    /// An identity, and a right on the topic in the path.
    Topic,
    /// An identity in the upgrade or in a `hello` frame.
    Hello,
}

/// A route.
#[derive(Clone, Copy)]
pub struct RouteSpec {
    /// The method.
    pub method: fn() -> Method,
    /// The path, in the syntax of the router.
    pub path: &'static str,
    /// What is done; permissions, rates and kill switches are named by it.
    pub action: &'static str,
    /// What guards it.
    pub access: Access,
    /// Makes the route.
    pub route: fn() -> Route,
}

impl RouteSpec {
    /// The kind of topic that the route is about.
    #[must_use]
    pub fn kind(&self) -> Option<TopicKind> {
        let mut segments = self.path.split('/').skip(1);
        match (segments.next(), segments.next()) {
            (Some("v1"), Some("threads")) => Some(TopicKind::Thread),
            (Some("v1"), Some("canvases")) => Some(TopicKind::Canvas),
            _ => None,
        }
    }
}

macro_rules! routes {
    ($($method:ident $path:literal $action:literal $access:ident $handler:path;)+) => {
        /// Every route of the client address.
        pub const ROUTES: &[RouteSpec] = &[$(RouteSpec {
            method: || Method::$method,
            path: $path,
            action: $action,
            access: Access::$access,
            route: || actix_web::web::method(Method::$method).to($handler),
        }),+];
    };
}

routes! {
    GET "/" "console.show" Public crate::transport::console::index;
    GET "/console/{file}" "console.show" Public crate::transport::console::file;
    GET "/healthz" "health.show" Public crate::transport::health::healthz;
    GET "/readyz" "health.show" Public crate::transport::health::readyz;
    GET "/v1/limits" "limits.show" Caller crate::control::limits::show;
    POST "/v1/threads" "threads.create" Caller crate::control::topics::routes::create;
    GET "/v1/threads" "threads.list" Caller crate::control::topics::routes::list;
    GET "/v1/threads/{id}" "threads.get" Topic crate::control::topics::routes::get;
    PATCH "/v1/threads/{id}" "threads.change" Topic crate::control::topics::routes::patch;
    DELETE "/v1/threads/{id}" "threads.delete" Topic crate::control::topics::routes::delete;
    GET "/v1/threads/{id}/snapshot" "threads.snapshot" Topic crate::control::topics::routes::snapshot;
    PUT "/v1/threads/{id}/members/{sub}" "threads.members.put" Topic crate::control::topics::members::put;
    DELETE "/v1/threads/{id}/members/{sub}" "threads.members.remove" Topic crate::control::topics::members::delete;
    POST "/v1/threads/{id}/close" "threads.close" Topic crate::control::topics::routes::close;
    POST "/v1/threads/{id}/events" "threads.publish" Topic crate::transport::publish::publish;
    GET "/v1/threads/{id}/events" "threads.read" Topic crate::transport::read::read;
    DELETE "/v1/threads/{id}/events/{event_id}" "threads.redact" Topic crate::transport::redact::redact;
    GET "/v1/threads/{id}/ws" "threads.stream" Topic crate::transport::ws::topic;
    POST "/v1/canvases" "canvases.create" Caller crate::control::topics::routes::create;
    GET "/v1/canvases" "canvases.list" Caller crate::control::topics::routes::list;
    GET "/v1/canvases/{id}" "canvases.get" Topic crate::control::topics::routes::get;
    PATCH "/v1/canvases/{id}" "canvases.change" Topic crate::control::topics::routes::patch;
    DELETE "/v1/canvases/{id}" "canvases.delete" Topic crate::control::topics::routes::delete;
    GET "/v1/canvases/{id}/snapshot" "canvases.snapshot" Topic crate::control::topics::routes::snapshot;
    PUT "/v1/canvases/{id}/members/{sub}" "canvases.members.put" Topic crate::control::topics::members::put;
    DELETE "/v1/canvases/{id}/members/{sub}" "canvases.members.remove" Topic crate::control::topics::members::delete;
    POST "/v1/canvases/{id}/close" "canvases.close" Topic crate::control::topics::routes::close;
    POST "/v1/canvases/{id}/events" "canvases.publish" Topic crate::transport::publish::publish;
    GET "/v1/canvases/{id}/events" "canvases.read" Topic crate::transport::read::read;
    DELETE "/v1/canvases/{id}/events/{event_id}" "canvases.redact" Topic crate::transport::redact::redact;
    GET "/v1/canvases/{id}/ws" "canvases.stream" Topic crate::transport::ws::topic;
    GET "/v1/ws" "session.open" Hello crate::transport::ws::open;
}
