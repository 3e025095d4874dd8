//! Refusals in the document: which codes a route can answer with, and the shape of the answer.
//!
//! Codes, statuses and titles are those of the one table in `tambour_actors::refusal`. What follows from a route's
//! access is written here once; what is a route's own is beside its [`super::Doc`].

use std::collections::BTreeSet;

use tambour_actors::refusal::Code;
use utoipa::PartialSchema as _;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::schema::{AllOfBuilder, ComponentsBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::shapes;
use crate::problem::{Body, CONTENT_TYPE};
use crate::routes::Access;

/// What an identity and its context can lack.
const CALLER: &[Code] = &[
    Code::Draining,
    Code::RequestMalformed,
    Code::TargetTooLong,
    Code::HeadersTooLarge,
    Code::OriginForbidden,
    Code::TokenMissing,
    Code::TokenInvalid,
    Code::TokenExpired,
    Code::TokenRevoked,
    Code::TokenTier,
    Code::KeysUnavailable,
    Code::SigningKeyUnknown,
    Code::BadTokens,
    Code::ContextMissing,
    Code::ContextMalformed,
    Code::ContextMismatch,
    Code::TenantMismatch,
    Code::Suspended,
    // Of whom `X-Act-As` is not taken.
    Code::Forbidden,
    Code::KillSwitch,
    Code::Internal,
];
/// What a stream request can be besides; every GET becomes one by its headers.
const STREAM: &[Code] = &[Code::StreamBody, Code::StreamContextMissing, Code::TokenStore];
/// What a stream request needs room for, and an upload.
pub(super) const ROOM: &[Code] =
    &[Code::AddressConnections, Code::PrincipalConnections, Code::TenantConnections, Code::AllConnections];
/// What every change needs room for.
const CHANGE: &[Code] = &[Code::StoreFull];
/// What a topic can be, and the right on it.
const TOPIC: &[Code] = &[Code::NameInvalid, Code::TopicUnknown, Code::Forbidden, Code::StoreUnavailable];
/// What writing to a topic can meet.
pub(super) const WRITE: &[Code] = &[Code::TopicClosed, Code::TopicBusy, Code::PublishUnknown];
/// What an entry can be that is to be written.
pub(super) const WRITTEN: &[Code] = &[
    Code::TypeInvalid,
    Code::TypeReserved,
    Code::DataInvalid,
    Code::EventTooLarge,
    Code::CursorMalformed,
    Code::EventUnknown,
    Code::AppendForbidden,
    Code::AppendNotText,
    Code::AppendTooLarge,
    Code::ExpectMismatch,
    Code::IdempotencyMismatch,
];
/// What is rated can be too often.
pub(super) const RATED: &[Code] = &[Code::RateLimited];
/// What a body can be.
const BODY: &[Code] = &[Code::BodyType, Code::BodyTooLarge, Code::BodyLate, Code::BodyInvalid];
/// What is held of bodies is counted, and there can be too much of it.
const HELD: &[Code] = &[Code::PrincipalBodies, Code::AllBodies];

/// What the body of a route can be: one that anybody may send is so small that nobody counts it.
pub(super) fn of_body(access: Access) -> Vec<Code> {
    if access == Access::Public { BODY.to_vec() } else { [BODY, HELD].concat() }
}

/// What follows from a route's access and its method.
pub(super) fn of_access(access: Access, method: &str) -> Vec<Code> {
    let of: &[&[Code]] = match access {
        Access::Public => return Vec::new(),
        Access::Caller | Access::Permission(_) | Access::Hello => &[CALLER],
        Access::Topic => &[CALLER, TOPIC],
    };
    let by_method = if method == "GET" { [STREAM, ROOM].concat() } else { CHANGE.to_vec() };
    of.concat().into_iter().chain(by_method).collect()
}

/// The answers that refuse. Routes that refuse with the same codes name the same answer.
#[derive(Default)]
pub(super) struct Refusals(Vec<(String, Vec<Code>)>);

impl Refusals {
    /// The answers that refuse with these codes, by status.
    pub(super) fn answers(&mut self, codes: &[Code]) -> Vec<(u16, Ref)> {
        let statuses: BTreeSet<u16> = codes.iter().map(|code| code.status()).collect();
        let of = |status: u16| codes.iter().copied().filter(|code| code.status() == status).collect();
        statuses.into_iter().map(|status| (status, Ref::from_response_name(self.name(status, of(status))))).collect()
    }

    fn name(&mut self, status: u16, codes: Vec<Code>) -> String {
        if let Some((name, _)) = self.0.iter().find(|(_, known)| *known == codes) {
            return name.clone();
        }
        let others = self.0.iter().filter(|(_, known)| known[0].status() == status).count();
        let name = format!("Refused{status}-{}", others + 1);
        self.0.push((name.clone(), codes));
        name
    }

    /// Puts what operations refer to into the document.
    pub(super) fn components(self, mut components: ComponentsBuilder) -> ComponentsBuilder {
        for (name, words) in IDS {
            components = components.header(name, header(words));
        }
        for (name, words) in RATES {
            components = components.header(name, optional_header(words));
        }
        for (name, codes) in self.0 {
            components = components.response(name, response(&codes));
        }
        components.schema(PROBLEM, problem())
    }
}

/// The answer of these codes, which are of one status.
fn response(codes: &[Code]) -> Response {
    let told: Vec<_> = codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.title())).collect();
    let own = ObjectBuilder::new().property("code", shapes::one_of(codes.iter().map(|code| code.as_str())));
    let schema = AllOfBuilder::new().item(Ref::from_schema_name(PROBLEM)).item(own);
    let answer = ResponseBuilder::new()
        .description(told.join("\n\n"))
        .content(CONTENT_TYPE, ContentBuilder::new().schema(Some(schema)).build());
    let answer = match codes.first().map(|code| code.status()) {
        Some(401) => answer.header("WWW-Authenticate", header("How to identify, RFC 6750.")),
        Some(429 | 503) => answer.header("Retry-After", header("Seconds after which to try again.")),
        _ => answer,
    };
    let answer = with_ids(answer.build());
    if codes.contains(&Code::RateLimited) { with_rates(answer) } else { answer }
}

/// The schema of every refusal.
const PROBLEM: &str = "Problem";

/// What every refusal says, and what some say besides.
fn problem() -> RefOr<Schema> {
    let number = || ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    let more = ObjectBuilder::new()
        .property("head", shapes::of::<shapes::Cursor>("With `expect.mismatch`: the newest event."))
        .property("reason", shapes::of::<shapes::GoneReason>("With `cursor.gone`: why."))
        .property(
            "cursor",
            shapes::of::<shapes::PageCursor>(
                "With `cursor.gone`: as `after`, it gives everything that is kept, as a stream does.",
            ),
        )
        .property("oldest", shapes::of::<shapes::Cursor>("With `cursor.gone`: as on a page."))
        .property("newest", shapes::of::<shapes::Cursor>("With `cursor.gone`: as on a page."))
        .property(
            "permission",
            shapes::of::<shapes::Permission>("With `permission.denied`: the permission key that is lacking."),
        )
        .property(
            "action",
            shapes::of::<shapes::Action>("With `kill_switch.blocked`: the action that is switched off."),
        )
        .property(
            "provider",
            shapes::of::<shapes::Provider>("With `kill_switch.blocked`: the provider that is switched off."),
        )
        .property("line", number().description(Some("Of NDJSON: the number of the line, from 1.")))
        .property("retry_after_ms", number().description(Some("Of a rate: in how many milliseconds to try again.")))
        .property("accepted", number().description(Some("Of NDJSON: how many lines are written.")));
    let more = more.build();
    match Body::schema() {
        RefOr::T(Schema::Object(mut body)) => {
            body.properties.extend(more.properties);
            body.into()
        }
        other => other,
    }
}

/// Headers that every answer has.
const IDS: [(&str, &str); 2] = [
    (
        "X-Request-Id",
        "The request's id: `X-Request-Id` as it was sent, if it is 1 to 128 visible ASCII and no token, else a new one.",
    ),
    ("X-Trace-Id", "The trace id of `traceparent`, else the request's id."),
];

/// Headers of answers of what is rated, where it has a limit.
const RATES: [(&str, &str); 3] = [
    (
        "RateLimit-Limit",
        "How many there may be in 60 s. On answers of what is rated, refused or not, where there is a limit.",
    ),
    ("RateLimit-Remaining", "How many may follow at once."),
    ("RateLimit-Reset", "In how many seconds all of them may again."),
];

/// The same answer with the headers of what is rated.
pub(super) fn with_rates(mut answer: Response) -> Response {
    for (name, _) in RATES {
        answer.headers.insert(name.to_owned(), RefOr::Ref(Ref::new(format!("#/components/headers/{name}"))));
    }
    answer
}

/// The same answer with the headers that every answer has.
pub(super) fn with_ids(mut answer: Response) -> Response {
    for (name, _) in IDS {
        answer.headers.insert(name.to_owned(), RefOr::Ref(Ref::new(format!("#/components/headers/{name}"))));
    }
    answer
}

/// A header that is always there.
fn header(words: &str) -> Header {
    let required = Extensions::from_iter([("required", true)]);
    HeaderBuilder::new()
        .description(Some(words))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .extensions(Some(required))
        .build()
}

/// A header of a number that may be there.
fn optional_header(words: &str) -> Header {
    HeaderBuilder::new()
        .description(Some(words))
        .schema(Some(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0))))
        .build()
}
