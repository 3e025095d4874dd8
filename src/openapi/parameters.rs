//! Parameters: those of paths, by their names in the table, those of identity and routing, and how those of a query
//! are written.

use utoipa::ToSchema;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr, Required};

use super::shapes;
use crate::identity::context::ROUTING;
use crate::routes::Access;
use crate::transport::console;

/// The parameters of a path.
pub(super) fn of_path(path: &str) -> Vec<Parameter> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameter = |name| {
        let (words, schema) = match name {
            "id" => ("The topic.", of::<shapes::TopicId>()),
            "sub" => ("Who.", of::<shapes::Sub>()),
            "key" => ("The service key.", of::<shapes::KeyId>()),
            "event_id" => ("The event.", of::<shapes::Cursor>()),
            "connection_id" => ("The session's connection.", of::<shapes::ConnectionId>()),
            "file" => ("One of the console's files.", shapes::one_of(console::names()).into()),
            name => panic!("say here what {{{name}}} in a path is"),
        };
        parameter(ParameterIn::Path, Required::True, name, words, schema)
    };
    names.map(parameter).collect()
}

/// An optional header.
fn header(name: &str, words: &str, schema: RefOr<Schema>) -> Parameter {
    parameter(ParameterIn::Header, Required::False, name, words, schema)
}

fn of<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

/// What an `EventSource` that comes back says.
pub(super) fn last_event_id() -> Parameter {
    let words = "Streams: the `id` of the last block that was read. It wins over the query.";
    header("Last-Event-ID", words, of::<shapes::CursorOrEarliest>())
}

/// The same of a stream of several topics.
pub(super) fn last_composite() -> Parameter {
    let words = "The `id` of the last block that was read. It wins over the query.";
    header("Last-Event-ID", words, of::<shapes::CompositeOrEarliest>())
}

fn parameter(place: ParameterIn, required: Required, name: &str, words: &str, schema: RefOr<Schema>) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(words))
        .schema(Some(schema))
        .build()
}

/// The headers that every route with an identity takes; they are components, because every such route names them.
/// `needed`: where the caller acts must be said, else a `hello` frame may say it.
fn headers(needed: bool) -> Vec<Parameter> {
    let text = || RefOr::from(ObjectBuilder::new().schema_type(Type::String));
    let required = if needed { Required::True } else { Required::False };
    let context = [
        ("X-Tenant-Id", "The tenant in which the caller acts.", of::<shapes::Tenant>()),
        ("X-Env", "The env in which the caller acts; `stage` is read as `staging`.", of::<shapes::Env>()),
    ];
    let acting =
        ("X-Act-As", "For whom a service key with `principals:act` does this: somebody's `sub`.", of::<shapes::Sub>());
    let ids = [
        acting,
        (
            "X-Request-Id",
            "The request's id, kept if it is 1 to 128 visible ASCII and no token; else one is made.",
            text(),
        ),
        ("traceparent", "W3C trace context; one that is malformed is not used.", text()),
    ];
    let context =
        context.map(|(name, words, shape)| parameter(ParameterIn::Header, required.clone(), name, words, shape));
    let ids = ids.map(|(name, words, shape)| header(name, words, shape));
    let routing = ROUTING.map(|(name, field)| {
        let words = format!("Becomes `routing.{field}` of the events that the request causes.");
        header(&name_of(name), &words, of::<shapes::RoutingKey>())
    });
    context.into_iter().chain(ids).chain(routing).collect()
}

/// `x-run-id` as it is written: `X-Run-Id`.
fn name_of(header: &str) -> String {
    let capital = |part: &str| part[..1].to_uppercase() + &part[1..];
    header.split('-').map(capital).collect::<Vec<_>>().join("-")
}

/// The headers of identity and routing, for a route of this access.
pub(super) fn identity(access: Access) -> (Vec<Parameter>, Vec<Ref>) {
    let refer = |header: &Parameter| Ref::new(format!("#/components/parameters/{}", header.name));
    match access {
        Access::Public => (Vec::new(), Vec::new()),
        Access::Caller | Access::Permission(_) | Access::Topic => {
            (Vec::new(), headers(true).iter().map(refer).collect())
        }
        Access::Hello => {
            let headers = headers(false);
            (headers[..2].to_vec(), headers[2..].iter().map(refer).collect())
        }
    }
}

/// Puts what operations refer to into the document.
pub(super) fn components(components: ComponentsBuilder) -> ComponentsBuilder {
    headers(true).into_iter().fold(components, |components, header| components.parameter(header.name.clone(), header))
}
