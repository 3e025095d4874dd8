//! What a request says about itself: token, tenant and env, routing keys, ids. Read once, in
//! one place, before a handler runs.
//!
//! Nothing here is believed: a token is verified by [`super::jwt`], and the scope a request
//! asks for counts only once a principal has proved it.

use std::fmt;

use tambour_actors::event::Origin;
use tambour_actors::principal::Principal;
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic_key::{Env, NameError, Scope, Tenant};

use super::source::HeaderSource;
use super::trace::sayable;
pub use super::trace::{REQUEST_ID_BYTES_MAX, RequestIds};
use super::{origin, percent};
use crate::config::value::Secret;

/// The subprotocol that our WebSocket clients offer.
pub const SUBPROTOCOL: &str = "tambour.v1";
/// What a subprotocol that carries a token begins with.
const SUBPROTOCOL_BEARER: &str = "bearer.";
/// What a stream token begins with.
pub const STREAM_TOKEN_PREFIX: &str = "tst_";
/// What a service key begins with.
pub const SERVICE_KEY_PREFIX: &str = "tsk_";
/// Longest value of a routing key in bytes.
pub const ROUTING_BYTES_MAX: usize = 128;

/// Headers of routing keys, and the fields they become in `routing`.
pub const ROUTING: [(&str, &str); 6] = [
    ("x-project-id", "project_id"),
    ("x-app-id", "app_id"),
    ("x-surface-id", "surface_id"),
    ("x-device-id", "device_id"),
    ("x-run-id", "run_id"),
    ("x-step-id", "step_id"),
];

/// A request as its transport sees it.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a, H: HeaderSource + ?Sized> {
    /// Whether the method is GET. Others are never stream requests.
    pub is_get: bool,
    /// What is behind the `?`, still encoded; empty without one.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a H,
    /// `auth.allow_jwt_in_query`: whether a stream request may say who it is in its query.
    pub allow_jwt_in_query: bool,
}

impl<H: HeaderSource + ?Sized> Incoming<'_, H> {
    /// Whether this is a stream request: told from the head alone, also when the head is malformed otherwise.
    #[must_use]
    pub fn asks_for_stream(&self) -> bool {
        let waits = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            !value.bytes().all(|b| b == b'0') && decoded(name).is_ok_and(|name| name == "wait")
        };
        self.asks_for_socket() || (self.is_get && self.query.split('&').any(waits))
    }

    /// Whether it is a stream request whose socket is given to a session.
    fn asks_for_socket(&self) -> bool {
        self.asks_to_upgrade() || (self.is_get && lists(self.headers, "accept", accepts_sse))
    }

    fn asks_to_upgrade(&self) -> bool {
        self.is_get && lists(self.headers, "upgrade", |item| item.eq_ignore_ascii_case("websocket"))
    }
}

/// The kinds of token, told by how they begin. What a token is good for is checked elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// A JWT.
    Main,
    /// `tst_…`: opens streams and long polls, and nothing else.
    Stream,
    /// `tsk_…`: a program's; opens no stream.
    Key,
}

impl Tier {
    /// The kind of a token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        match token.get(..4) {
            Some(STREAM_TOKEN_PREFIX) => Self::Stream,
            Some(SERVICE_KEY_PREFIX) => Self::Key,
            _ => Self::Main,
        }
    }
}

/// Where a token was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPlace {
    /// `Authorization: Bearer …`.
    Header,
    /// `Sec-WebSocket-Protocol: tambour.v1, bearer.…`.
    Subprotocol,
    /// `?token=…` of a stream request: a stream token; another where that is allowed.
    Query,
}

/// A token as it was given, not verified. It never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Its text.
    pub text: Secret,
    /// Where it was found.
    pub place: TokenPlace,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(*** in {:?})", self.place)
    }
}

/// Tenant and env as a request says them, in up to three places; not parsed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopeGiven {
    hello: Said,
    headers: Said,
    query: Said,
    query_counts: bool,
    is_stream: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Said {
    tenant: Option<Box<str>>,
    env: Option<Box<str>>,
}

impl ScopeGiven {
    /// What somebody says who has a scope already.
    #[must_use]
    pub fn of(scope: &Scope) -> Self {
        let headers = Said { tenant: Some(scope.tenant.as_str().into()), env: Some(scope.env.as_str().into()) };
        Self { headers, ..Self::default() }
    }

    /// The same, and what a `hello` frame says.
    #[must_use]
    pub fn and_in_hello(self, tenant: Option<String>, env: Option<String>) -> Self {
        Self { hello: Said { tenant: tenant.map(Into::into), env: env.map(Into::into) }, ..self }
    }

    /// The scope that the request asks for: its `hello`'s, else its headers', else (where that is allowed) its query's.
    ///
    /// # Errors
    /// `context.missing` when it says no tenant or no env; `context.malformed` when one has the wrong form.
    pub fn scope(&self) -> Result<Scope, Refusal> {
        let query = self.query_counts.then_some(&self.query);
        let said = [Some(&self.hello), Some(&self.headers), query];
        let tenant = said.iter().flatten().find_map(|said| said.tenant.as_deref());
        let env = said.iter().flatten().find_map(|said| said.env.as_deref());
        let (Some(tenant), Some(env)) = (tenant, env) else {
            let code = if self.is_stream { Code::StreamContextMissing } else { Code::ContextMissing };
            return Err(Refusal::new(code, "say where you act: X-Tenant-Id and X-Env"));
        };
        parse_scope(tenant, env)
    }

    /// Checks that whatever the request says besides agrees with the scope it acts in.
    ///
    /// # Errors
    /// [`Code::ContextMismatch`].
    pub fn agrees_with(&self, scope: &Scope) -> Result<(), Refusal> {
        let agrees = |said: &Said| {
            said.tenant.as_deref().is_none_or(|tenant| tenant == scope.tenant.as_str())
                && said.env.as_deref().is_none_or(|env| Env::parse(env) == Ok(scope.env))
        };
        if agrees(&self.hello) && agrees(&self.headers) && agrees(&self.query) {
            return Ok(());
        }
        Err(Refusal::new(Code::ContextMismatch, "tenant or env is said twice, and not the same"))
    }

    /// Whether headers or an honoured query name a tenant or an env.
    #[must_use]
    pub fn is_given(&self) -> bool {
        let said = |said: &Said| said.tenant.is_some() || said.env.is_some();
        said(&self.headers) || (self.query_counts && said(&self.query))
    }
}

/// Parses a tenant and an env.
///
/// # Errors
/// [`Code::ContextMalformed`] with what the form is.
pub fn parse_scope(tenant: &str, env: &str) -> Result<Scope, Refusal> {
    let malformed = |error: NameError| Refusal::new(Code::ContextMalformed, error.to_string());
    Ok(Scope { tenant: Tenant::parse(tenant).map_err(malformed)?, env: Env::parse(env).map_err(malformed)? })
}

/// What a request says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// Its ids.
    pub ids: RequestIds,
    /// Tenant and env as it says them.
    pub scope_given: ScopeGiven,
    /// A WebSocket upgrade, a request for SSE, or a page with `wait` above 0.
    pub is_stream: bool,
    /// A WebSocket upgrade, or a request for SSE: its socket is given to a session. A page that waits is a stream request
    /// and keeps to HTTP.
    pub takes_socket: bool,
    /// A WebSocket upgrade.
    pub is_upgrade: bool,
    /// The upgrade offers [`SUBPROTOCOL`].
    pub offers_subprotocol: bool,
    /// `X-Act-As`: on whose behalf a service key acts.
    pub act_as: Option<Box<str>>,
    token: Result<Option<Token>, Refusal>,
    routing: [Option<Box<str>>; ROUTING.len()],
}

impl RequestContext {
    /// Reads what a request says about itself.
    ///
    /// # Errors
    /// `request.malformed`: what must be single is given twice, is no text, or is a routing key of the wrong form.
    pub fn read<H: HeaderSource + ?Sized>(ids: RequestIds, incoming: &Incoming<'_, H>) -> Result<Self, Refusal> {
        let headers = incoming.headers;
        let query = Query::read(incoming.query)?;
        let (is_upgrade, is_stream) = (incoming.asks_to_upgrade(), incoming.asks_for_stream());
        let takes_socket = incoming.asks_for_socket();
        let query_counts = incoming.allow_jwt_in_query && is_stream;
        let scope_given = ScopeGiven {
            hello: Said::default(),
            headers: Said { tenant: single(headers, "x-tenant-id")?, env: single(headers, "x-env")? },
            query: query.said,
            query_counts,
            is_stream,
        };
        let mut routing = [const { None }; ROUTING.len()];
        for (slot, (header, _)) in routing.iter_mut().zip(ROUTING) {
            *slot = routing_key(headers, header)?;
        }
        let act_as = single(headers, "x-act-as")?;
        let authorization = single(headers, "authorization")?;
        let subprotocol = if is_upgrade { subprotocol_token(headers)? } else { None };
        let token = match authorization {
            Some(value) => bearer(&value).map(Some),
            None => Ok(subprotocol.map(|text| Token { text, place: TokenPlace::Subprotocol }).or_else(|| {
                let counts = |text: &Secret| query_counts || (is_stream && Tier::of(text.expose()) == Tier::Stream);
                query.token.filter(counts).map(|text| Token { text, place: TokenPlace::Query })
            })),
        };
        let offers_subprotocol = is_upgrade && lists(headers, "sec-websocket-protocol", |item| item == SUBPROTOCOL);
        Ok(Self { ids, scope_given, is_stream, takes_socket, is_upgrade, offers_subprotocol, act_as, token, routing })
    }

    /// The token that was given; the header's before the subprotocol's before the query's.
    ///
    /// # Errors
    /// `auth.token_missing` (a WebSocket may say `hello` then), `auth.token_invalid` when it is not `Bearer` and a token.
    pub fn token(&self) -> Result<&Token, Refusal> {
        match &self.token {
            Ok(Some(token)) => Ok(token),
            Ok(None) => Err(Refusal::new(Code::TokenMissing, "send a token: Authorization: Bearer …")),
            Err(refusal) => Err(refusal.clone()),
        }
    }

    /// Who and what causes the events of this request.
    #[must_use]
    pub fn origin(&self, principal: &Principal) -> Origin {
        let keys = ROUTING.iter().zip(&self.routing);
        origin::of(principal, keys.filter_map(|((_, field), value)| Some((*field, value.as_deref()?))), &self.ids)
    }
}

fn malformed(what: String) -> Refusal {
    Refusal::new(Code::RequestMalformed, what)
}

/// The one value of a header, as text.
fn single<H: HeaderSource + ?Sized>(headers: &H, name: &str) -> Result<Option<Box<str>>, Refusal> {
    let mut values = headers.values(name);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(malformed(format!("{name} is given more than once")));
    }
    let text = std::str::from_utf8(value).map_err(|_| malformed(format!("{name} is not text")))?;
    Ok(Some(text.into()))
}

fn routing_key<H: HeaderSource + ?Sized>(headers: &H, name: &str) -> Result<Option<Box<str>>, Refusal> {
    let Some(value) = single(headers, name)? else { return Ok(None) };
    match sayable(value.as_bytes(), ROUTING_BYTES_MAX) {
        Some(_) => Ok(Some(value)),
        None => Err(malformed(format!("{name} is 1 to {ROUTING_BYTES_MAX} visible ASCII characters, and no token"))),
    }
}

/// Whether any item of a comma-separated header, all its lines together, is what is looked for.
fn lists<H: HeaderSource + ?Sized>(headers: &H, name: &str, is: impl Fn(&str) -> bool) -> bool {
    headers
        .values(name)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .flat_map(|line| line.split(','))
        .any(|item| is(item.trim()))
}

/// `text/event-stream`, not with `q=0`.
fn accepts_sse(item: &str) -> bool {
    let mut parts = item.split(';').map(str::trim);
    let is_sse = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/event-stream"));
    let zero = |parameter: &str| {
        let weight = parameter.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        weight.is_some_and(|(_, weight)| weight.trim().parse() == Ok(0.0_f32))
    };
    is_sse && !parts.any(zero)
}

fn bearer(authorization: &str) -> Result<Token, Refusal> {
    let (scheme, token) = authorization.split_once(' ').unwrap_or((authorization, ""));
    let token = token.trim_matches(' ');
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() {
        return Ok(Token { text: Secret::new(token), place: TokenPlace::Header });
    }
    Err(Refusal::new(Code::TokenInvalid, "Authorization must be Bearer and a token"))
}

fn subprotocol_token<H: HeaderSource + ?Sized>(headers: &H) -> Result<Option<Secret>, Refusal> {
    let lines = headers.values("sec-websocket-protocol").filter_map(|line| std::str::from_utf8(line).ok());
    let mut tokens =
        lines.flat_map(|line| line.split(',')).filter_map(|item| item.trim().strip_prefix(SUBPROTOCOL_BEARER));
    let token = tokens.next().map(Secret::new);
    if tokens.next().is_some() {
        return Err(malformed("sec-websocket-protocol has more than one bearer".to_owned()));
    }
    Ok(token)
}

/// The parameters of a query that identity looks at; all others are for the route.
#[derive(Default)]
struct Query {
    said: Said,
    token: Option<Secret>,
}

impl Query {
    fn read(query: &str) -> Result<Self, Refusal> {
        let mut read = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let taken = match &*decoded(name)? {
                "tenant_id" => read.said.tenant.replace(decoded(value)?.into()).is_some(),
                "env" => read.said.env.replace(decoded(value)?.into()).is_some(),
                "token" => read.token.replace(Secret::new(decoded(value)?)).is_some(),
                _ => false,
            };
            if taken {
                return Err(malformed("token, tenant_id or env is in the query more than once".to_owned()));
            }
        }
        Ok(read)
    }
}

/// Undoes the encoding of a query's name or value (`%41`, `+`).
fn decoded(text: &str) -> Result<String, Refusal> {
    let what = "the query has a % that is not followed by two hex digits, or is not UTF-8";
    percent::decoded(text, true).ok_or_else(|| malformed(what.to_owned()))
}
