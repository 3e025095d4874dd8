//! What a route says of itself beside its row in the table: words, parameters, body, answers, refusals. From both
//! comes its operation. Nothing of what the table knows is written here again.

use std::collections::BTreeMap;

use serde_json::Value;
use tambour_actors::refusal::Code;
use tambour_actors::topic_key::TopicKind;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{
    Content, ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Responses, SecurityRequirement,
};

use utoipa::{IntoParams, ToSchema};

use super::refusals::{self, Refusals, with_ids, with_rates};
use super::{BEARER, parameters};
use crate::routes::{Access, RouteSpec};

/// Operations about threads.
pub(super) const THREADS: &str = "threads";
/// Operations about canvases.
pub(super) const CANVASES: &str = "canvases";
/// Operations that publish and read.
pub(super) const EVENTS: &str = "events";
/// Upgrades.
pub(super) const SOCKETS: &str = "websocket";
/// Who may come in.
pub(super) const AUTHORITY: &str = "authority";
/// Who may do what, and what proves it.
pub(super) const IDENTITY: &str = "identity";
/// What is about the hub itself.
pub(super) const SERVICE: &str = "service";
/// What asks for no token.
pub(super) const PUBLIC: &str = "public";

/// The tags, in the order in which they are shown.
pub(super) const TAGS: [(&str, &str); 8] = [
    (THREADS, "Threads as resources."),
    (CANVASES, "Canvases as resources, just like threads."),
    (EVENTS, "Publishing and reading: pages, and streams over SSE."),
    (SOCKETS, "WebSocket upgrades. The frames are in `docs/protocol.md`: OpenAPI has no words for them."),
    (AUTHORITY, "Service keys, what is said of principals beside their tokens, and who is connected."),
    (IDENTITY, "Who may do what, and what proves it."),
    (SERVICE, "The hub itself."),
    (PUBLIC, "Health, this document and the console's files: they ask for no token and tell nothing of tenants."),
];

/// JSON.
pub(super) const JSON: &str = "application/json";
/// Lines of JSON.
pub(super) const NDJSON: &str = "application/x-ndjson";
/// Streams.
pub(super) const SSE: &str = "text/event-stream";

/// The documentation of one route.
pub struct Doc {
    tag: &'static str,
    summary: String,
    words: String,
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    answers: Vec<(u16, Response)>,
    refusals: Vec<Code>,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Doc {
    /// A route of a group, in a few words.
    pub(super) fn new(tag: &'static str, summary: impl Into<String>) -> Self {
        Self {
            tag,
            summary: summary.into(),
            words: String::new(),
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            refusals: Vec::new(),
            schemas: Vec::new(),
        }
    }

    /// A route about threads or canvases: `{}` in the summary is which of them.
    pub(super) fn of_kind(tag: &'static str, route: &RouteSpec, summary: &str) -> Self {
        Self::new(tag, summary.replace("{}", route.kind().map_or("topic", TopicKind::as_str)))
    }

    /// What there is to know about it.
    pub(super) fn says(mut self, words: impl Into<String>) -> Self {
        self.words = words.into();
        self
    }

    /// Takes these parameters, beside those of the path and of identity.
    pub(super) fn takes(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// Takes the query that a type is parsed from.
    pub(super) fn query<T: IntoParams>(self) -> Self {
        self.refuses(&[Code::QueryInvalid]).takes(T::into_params(|| Some(ParameterIn::Query)))
    }

    /// Takes these parameters of the query that a type is parsed from; the others are refused.
    pub(super) fn query_of<T: IntoParams>(self, names: &[&str]) -> Self {
        let parameters = T::into_params(|| Some(ParameterIn::Query));
        let named: Vec<_> = parameters.into_iter().filter(|parameter| names.contains(&&*parameter.name)).collect();
        debug_assert_eq!(named.len(), names.len(), "{names:?} are parameters");
        self.refuses(&[Code::QueryInvalid]).takes(named)
    }

    /// Takes a body: what it may be, by media type.
    pub(super) fn body(self, words: &str, contents: impl IntoIterator<Item = (&'static str, Typed)>) -> Self {
        self.with_body(Required::True, words, contents)
    }

    /// Takes a body, or none.
    pub(super) fn optional_body(self, words: &str, contents: impl IntoIterator<Item = (&'static str, Typed)>) -> Self {
        self.with_body(Required::False, words, contents)
    }

    fn with_body(
        mut self,
        required: Required,
        words: &str,
        contents: impl IntoIterator<Item = (&'static str, Typed)>,
    ) -> Self {
        let mut body = RequestBodyBuilder::new().description(Some(words)).required(Some(required));
        for (kind, typed) in contents {
            self.schemas.extend(typed.schemas);
            body = body.content(kind, typed.content);
        }
        self.body = Some(body.build());
        self
    }

    /// Answers so when nothing is refused.
    pub(super) fn answers(
        mut self,
        status: u16,
        words: &str,
        contents: impl IntoIterator<Item = (&'static str, Typed)>,
    ) -> Self {
        let mut answer = ResponseBuilder::new().description(words);
        for (kind, typed) in contents {
            self.schemas.extend(typed.schemas);
            answer = answer.content(kind, typed.content);
        }
        self.answers.push((status, answer.build()));
        self
    }

    /// Refuses with these codes, beside those that follow from its access, its body and its query.
    pub(super) fn refuses(mut self, codes: &[Code]) -> Self {
        self.refusals.extend(codes);
        self
    }

    /// The schemas that it names.
    pub(super) fn schemas(&self) -> &[(String, RefOr<Schema>)] {
        &self.schemas
    }

    /// Every code that the route can answer with, in the order of the table of refusals.
    pub(super) fn codes(&self, route: &RouteSpec) -> Vec<Code> {
        let mut codes = refusals::of_access(route.access, (route.method)().as_str());
        if self.body.is_some() {
            codes.extend(refusals::of_body(route.access));
        }
        if route.rate().is_some() {
            codes.extend(refusals::RATED);
        }
        codes.extend(&self.refusals);
        Code::ALL.iter().copied().filter(|code| codes.contains(code)).collect()
    }

    /// The operation of a route.
    pub(super) fn operation(self, route: &RouteSpec, refusals: &mut Refusals) -> Operation {
        let codes = self.codes(route);
        let (own, shared) = parameters::identity(route.access);
        let mut operation = OperationBuilder::new()
            .tag(self.tag)
            .operation_id(Some(route.action))
            .summary(Some(self.summary))
            .description((!self.words.is_empty()).then_some(self.words))
            .request_body(self.body);
        for parameter in parameters::of_path(route.path).into_iter().chain(self.parameters).chain(own) {
            operation = operation.parameter(parameter);
        }
        for parameter in shared {
            operation = operation.parameter_ref(parameter);
        }
        let is_rated = route.rate().is_some();
        let with_headers = |answer| if is_rated { with_rates(with_ids(answer)) } else { with_ids(answer) };
        let answers = self.answers.into_iter().map(|(status, answer)| (status, RefOr::T(with_headers(answer))));
        let refused = refusals.answers(&codes).into_iter().map(|(status, answer)| (status, RefOr::Ref(answer)));
        let all: Vec<(u16, RefOr<Response>)> = answers.chain(refused).collect();
        let responses: BTreeMap<_, _> = all.iter().cloned().collect();
        assert_eq!(responses.len(), all.len(), "{}: a status is told once", route.action);
        let none: [&str; 0] = [];
        let securities = match route.access {
            Access::Public => vec![],
            // A session may say who it is in its first frame.
            Access::Hello => vec![SecurityRequirement::new(BEARER, none), SecurityRequirement::default()],
            Access::Caller | Access::Permission(_) | Access::Topic => vec![SecurityRequirement::new(BEARER, none)],
        };
        operation
            .securities(Some(securities))
            .responses(
                responses.into_iter().map(|(status, answer)| (status.to_string(), answer)).collect::<Responses>(),
            )
            .build()
    }
}

/// A body of some type, with the schemas that it names.
pub(super) struct Typed {
    content: Content,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Typed {
    /// A body of a type that is serialised or parsed.
    pub(super) fn of<T: ToSchema>() -> Self {
        let mut schemas = Vec::new();
        T::schemas(&mut schemas);
        schemas.push((T::name().into_owned(), T::schema()));
        let schema = Ref::from_schema_name(T::name());
        Self { content: ContentBuilder::new().schema(Some(schema)).build(), schemas }
    }

    /// A body that is told in words.
    pub(super) fn told(schema: impl Into<RefOr<Schema>>) -> Self {
        Self { content: ContentBuilder::new().schema(Some(schema)).build(), schemas: Vec::new() }
    }

    /// The same, which names these schemas.
    pub(super) fn with(mut self, schemas: Vec<(String, RefOr<Schema>)>) -> Self {
        self.schemas.extend(schemas);
        self
    }

    /// The same, which names the schema of this type.
    pub(super) fn and<T: ToSchema>(self) -> Self {
        let named = Self::of::<T>().schemas;
        self.with(named)
    }

    /// An example, by a name of small letters.
    pub(super) fn example(mut self, name: &str, words: &str, value: impl Into<Value>) -> Self {
        let example = ExampleBuilder::new().summary(words).value(Some(value.into())).build();
        self.content.examples.insert(name.to_owned(), example.into());
        self
    }
}
