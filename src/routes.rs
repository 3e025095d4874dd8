//! The table of routes: the one list from which the server is built and the checks are tested.
//!
//! A route names its action; what guards it is in [`Access`]. A test walks the table, so a route
//! without the checks does not pass.

use actix_web::http::Method;
use actix_web::{HttpRequest, Route, guard};
use tambour_actors::principal::Permission;
use tambour_actors::topic_key::TopicKind;

use crate::admission::standing::kill_switch::{self, Doing};
use crate::openapi::{
    Doc, audit, authority, events, kill_switches, limits, public, sockets, stats, stream_tokens, topics,
};

/// What a route asks of its caller before its handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: health, readiness, the description of the interface, the console's files and its sign-in, and no others. What a
    /// browser asks beforehand (`transport::cors`) is public on every path, and no row of the table.
    Public,
    /// An identity in a scope.
    Caller,
    /// An identity with this permission key.
    Permission(Permission),
    /// An identity, and a right on the topic in the path, or on each that the query names.
    Topic,
    /// An identity in the upgrade or in a `hello` frame.
    Hello,
}

/// What a route counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// How often a principal publishes.
    Publish,
    /// How often a tenant does what the route does.
    Action,
}

/// What is never rated, by the first name of an action: what is needed most when there is too much of everything.
const UNRATED: [&str; 4] = ["audit", "health", "kill_switches", "stats"];
/// Actions that are never rated, because they end what somebody else does.
const EMERGENCIES: [&str; 3] = ["keys.revoke", "principals.put", "revocations.create"];

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
    /// What it is, for who calls it.
    pub doc: fn(&RouteSpec) -> Doc,
}

impl RouteSpec {
    /// Whether it opens streams, or waits: the routes that a stream token is for. Of others a request is never a stream,
    /// whatever its headers say.
    #[must_use]
    pub fn streams(&self) -> bool {
        matches!(self.action.rsplit('.').next(), Some("read" | "stream" | "open"))
    }

    /// The kind of topic that the route is about.
    #[must_use]
    pub fn kind(&self) -> Option<TopicKind> {
        let mut segments = self.path.split('/').skip(1);
        match (segments.next(), segments.next()) {
            (Some("v1"), Some("threads")) => Some(TopicKind::Thread),
            (Some("v1"), Some("canvases")) => Some(TopicKind::Canvas),
            (Some("v1"), Some("feed")) => Some(TopicKind::Feed),
            _ => None,
        }
    }

    /// What it does, as kill switches ask.
    #[must_use]
    pub fn doing(&self) -> Doing {
        Doing { action: self.action, writes: (self.method)() != Method::GET }
    }

    /// Whether it can be switched off.
    #[must_use]
    pub fn can_be_off(&self) -> bool {
        self.access != Access::Public && kill_switch::can_be_off(self.action)
    }

    /// The methods that it takes, as `Allow` names them.
    #[must_use]
    pub fn methods(&self) -> Vec<Method> {
        let head = (self.access == Access::Public && (self.method)() == Method::GET).then_some(Method::HEAD);
        std::iter::once((self.method)()).chain(head).collect()
    }

    /// Where it stands in the table.
    #[must_use]
    pub fn place(&self) -> u8 {
        let place = ROUTES.iter().position(|route| route.action == self.action);
        place.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
    }

    /// What the route counts against. Opening streams is bound by the limits on connections alone.
    #[must_use]
    pub fn rate(&self) -> Option<Rate> {
        let (first, last) = (self.action.split('.').next(), self.action.rsplit('.').next());
        match (self.access, last) {
            // Whoever floods an action of theirs must not keep others from ending what they do.
            _ if EMERGENCIES.contains(&self.action) => None,
            (Access::Public | Access::Hello, _) | (_, Some("stream" | "open")) => None,
            _ if UNRATED.contains(&first.unwrap_or_default()) => None,
            (_, Some("publish")) => Some(Rate::Publish),
            _ => Some(Rate::Action),
        }
    }
}

/// The routes of one path, where requests find theirs.
#[derive(Clone, Copy)]
pub struct OfPath(pub &'static str);

/// The route of a request; `None` for what is in no table.
#[must_use]
pub fn of(request: &HttpRequest) -> Option<&'static RouteSpec> {
    let OfPath(path) = *request.app_data::<OfPath>()?;
    ROUTES.iter().find(|route| route.path == path && (route.method)() == *request.method())
}

/// A route that takes requests of a method. Of what is public HEAD is as GET, without the body (RFC 9110, section 9.3.2).
fn taking(method: Method, access: Access) -> Route {
    match (&method, access) {
        (&Method::GET, Access::Public) => Route::new().guard(guard::Any(guard::Get()).or(guard::Head())),
        _ => actix_web::web::method(method),
    }
}

macro_rules! routes {
    ($($method:ident $path:literal $action:literal $access:ident $(($permission:ident))? $handler:path, $doc:path;)+) => {
        /// Every route of the client address.
        pub const ROUTES: &[RouteSpec] = &[$(RouteSpec {
            method: || Method::$method,
            path: $path,
            action: $action,
            access: Access::$access $((Permission::$permission))?,
            route: || taking(Method::$method, Access::$access $((Permission::$permission))?).to($handler),
            doc: $doc,
        }),+];
    };
}

routes! {
    GET "/" "console.show" Public crate::transport::console::index, public::console;
    GET "/client.js" "console.client" Public crate::transport::console::client, public::client;
    POST "/console/sign-in" "console.sign_in" Public crate::transport::console::sign_in::sign_in, public::sign_in;
    GET "/console/{file}" "console.file" Public crate::transport::console::file, public::console_file;
    GET "/healthz" "health.live" Public crate::transport::health::healthz, public::healthz;
    GET "/readyz" "health.ready" Public crate::transport::health::readyz, public::readyz;
    GET "/openapi.json" "openapi.show" Public crate::openapi::show, public::openapi;
    GET "/v1/limits" "limits.show" Caller crate::control::limits::show, limits::show;
    GET "/v1/stats" "stats.show" Permission(StatsRead) crate::control::stats::routes::show, stats::show;
    POST "/v1/keys" "keys.create" Permission(KeysWrite) crate::control::authority::keys::create, authority::create_key;
    GET "/v1/keys" "keys.list" Permission(KeysWrite) crate::control::authority::keys::list, authority::list_keys;
    POST "/v1/keys/{key}/rotate" "keys.rotate" Permission(KeysWrite) crate::control::authority::keys::rotate, authority::rotate_key;
    DELETE "/v1/keys/{key}" "keys.revoke" Permission(KeysWrite) crate::control::authority::keys::revoke, authority::revoke_key;
    GET "/v1/principals/{sub}" "principals.get" Permission(PrincipalsWrite) crate::control::authority::principals::get, authority::get_principal;
    PUT "/v1/principals/{sub}" "principals.put" Permission(PrincipalsWrite) crate::control::authority::principals::put, authority::put_principal;
    POST "/v1/revocations" "revocations.create" Permission(PrincipalsWrite) crate::control::authority::principals::revoke, authority::revoke;
    GET "/v1/kill-switch" "kill_switches.show" Caller crate::control::kill_switch::routes::show, kill_switches::show;
    PUT "/v1/kill-switch" "kill_switches.put" Permission(KillSwitchesWrite) crate::control::kill_switch::routes::put, kill_switches::put;
    GET "/v1/sessions" "sessions.list" Caller crate::control::authority::sessions::list, authority::list_sessions;
    DELETE "/v1/sessions" "sessions.end" Caller crate::control::authority::sessions::end, authority::end_sessions;
    DELETE "/v1/sessions/{connection_id}" "sessions.end_one" Caller crate::control::authority::sessions::end_one, authority::end_session;
    GET "/v1/audit" "audit.list" Permission(AuditRead) crate::control::audit::routes::list, audit::list;
    GET "/v1/audit/verify" "audit.verify" Permission(AuditRead) crate::control::audit::routes::verify, audit::verify;
    GET "/v1/audit/export" "audit.export" Permission(AuditRead) crate::control::audit::routes::export, audit::export;
    POST "/v1/stream-tokens" "stream_tokens.create" Caller crate::control::stream_tokens::routes::create, stream_tokens::create;
    POST "/v1/threads" "threads.create" Caller crate::control::topics::routes::create, topics::create;
    GET "/v1/threads" "threads.list" Caller crate::control::topics::routes::list, topics::list;
    GET "/v1/threads/{id}" "threads.get" Topic crate::control::topics::routes::get, topics::get;
    PATCH "/v1/threads/{id}" "threads.change" Topic crate::control::topics::routes::patch, topics::change;
    DELETE "/v1/threads/{id}" "threads.delete" Topic crate::control::topics::routes::delete, topics::delete;
    GET "/v1/threads/{id}/snapshot" "threads.snapshot" Topic crate::control::topics::routes::snapshot, topics::snapshot;
    PUT "/v1/threads/{id}/members/{sub}" "threads.members.put" Topic crate::control::topics::members::put, topics::put_member;
    DELETE "/v1/threads/{id}/members/{sub}" "threads.members.remove" Topic crate::control::topics::members::delete, topics::remove_member;
    POST "/v1/threads/{id}/close" "threads.close" Topic crate::control::topics::routes::close, topics::close;
    POST "/v1/threads/{id}/events" "threads.publish" Topic crate::transport::publish::publish, events::publish;
    GET "/v1/threads/{id}/events" "threads.read" Topic crate::transport::read::read, events::read;
    DELETE "/v1/threads/{id}/events/{event_id}" "threads.redact" Topic crate::transport::redact::redact, events::redact;
    GET "/v1/threads/{id}/ws" "threads.stream" Topic crate::transport::ws::topic, sockets::topic;
    POST "/v1/canvases" "canvases.create" Caller crate::control::topics::routes::create, topics::create;
    GET "/v1/canvases" "canvases.list" Caller crate::control::topics::routes::list, topics::list;
    GET "/v1/canvases/{id}" "canvases.get" Topic crate::control::topics::routes::get, topics::get;
    PATCH "/v1/canvases/{id}" "canvases.change" Topic crate::control::topics::routes::patch, topics::change;
    DELETE "/v1/canvases/{id}" "canvases.delete" Topic crate::control::topics::routes::delete, topics::delete;
    GET "/v1/canvases/{id}/snapshot" "canvases.snapshot" Topic crate::control::topics::routes::snapshot, topics::snapshot;
    PUT "/v1/canvases/{id}/members/{sub}" "canvases.members.put" Topic crate::control::topics::members::put, topics::put_member;
    DELETE "/v1/canvases/{id}/members/{sub}" "canvases.members.remove" Topic crate::control::topics::members::delete, topics::remove_member;
    POST "/v1/canvases/{id}/close" "canvases.close" Topic crate::control::topics::routes::close, topics::close;
    POST "/v1/canvases/{id}/events" "canvases.publish" Topic crate::transport::publish::publish, events::publish;
    GET "/v1/canvases/{id}/events" "canvases.read" Topic crate::transport::read::read, events::read;
    DELETE "/v1/canvases/{id}/events/{event_id}" "canvases.redact" Topic crate::transport::redact::redact, events::redact;
    GET "/v1/canvases/{id}/ws" "canvases.stream" Topic crate::transport::ws::topic, sockets::topic;
    GET "/v1/feed" "feed.read" Permission(FeedRead) crate::transport::read::read, events::feed;
    GET "/v1/stream" "stream.open" Topic crate::transport::stream::open, events::stream;
    GET "/v1/ws" "session.open" Hello crate::transport::ws::open, sockets::open;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is never switched off: with it nobody could see what is, or switch it on again.
    const NEVER_OFF: [&str; 13] = [
        "audit.list",
        "audit.verify",
        "audit.export",
        "console.show",
        "console.client",
        "console.sign_in",
        "console.file",
        "health.live",
        "health.ready",
        "openapi.show",
        "kill_switches.show",
        "kill_switches.put",
        "stats.show",
    ];

    #[test]
    fn what_can_be_switched_off() {
        for route in ROUTES {
            assert_eq!(route.can_be_off(), !NEVER_OFF.contains(&route.action), "{}", route.action);
        }
        assert!(NEVER_OFF.iter().all(|action| ROUTES.iter().any(|route| route.action == *action)));
    }

    #[test]
    fn every_route_has_a_place_by_its_action() {
        for (index, route) in ROUTES.iter().enumerate() {
            assert_eq!(usize::from(route.place()), index, "{}", route.action);
        }
    }

    #[test]
    fn what_is_rated() {
        let of = |rate: Option<Rate>| ROUTES.iter().filter(move |route| route.rate() == rate).map(|route| route.action);
        let unrated = [
            "console.show",
            "console.client",
            "console.sign_in",
            "console.file",
            "health.live",
            "health.ready",
            "openapi.show",
            "threads.stream",
            "canvases.stream",
            "stream.open",
            "session.open",
            "audit.list",
            "audit.verify",
            "audit.export",
            "kill_switches.show",
            "kill_switches.put",
            "stats.show",
        ];
        let is_known = |action: &&str| unrated.contains(action) || EMERGENCIES.contains(action);
        assert_eq!(of(None).filter(|action| !is_known(action)).collect::<Vec<_>>(), [""; 0]);
        assert_eq!(of(None).count(), unrated.len() + EMERGENCIES.len());
        assert_eq!(of(Some(Rate::Publish)).collect::<Vec<_>>(), ["threads.publish", "canvases.publish"]);
        assert!(of(Some(Rate::Action)).any(|action| action == "threads.create"));
    }
}
