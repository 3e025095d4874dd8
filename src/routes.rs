//! The table of routes: the one list from which the server is built and the checks are tested.
//!
//! A route names its action; what guards it is in [`Access`]. A test walks the table, so a route
//! without the checks does not pass.

use actix_web::Route;
use actix_web::http::Method;

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
    POST "/v1/threads" "threads.create" Caller crate::control::threads::routes::create;
    GET "/v1/threads" "threads.list" Caller crate::control::threads::routes::list;
    GET "/v1/threads/{id}" "threads.get" Topic crate::control::threads::routes::get;
    DELETE "/v1/threads/{id}" "threads.delete" Topic crate::control::threads::routes::delete;
    POST "/v1/threads/{id}/close" "threads.close" Topic crate::control::threads::routes::close;
    POST "/v1/threads/{id}/events" "threads.publish" Topic crate::transport::publish::publish;
    GET "/v1/threads/{id}/events" "threads.read" Topic crate::transport::read::read;
    GET "/v1/threads/{id}/ws" "threads.stream" Topic crate::transport::ws::thread;
    GET "/v1/ws" "session.open" Hello crate::transport::ws::open;
}
