//! Shapes of single values: ids, cursors, types, numbers with limits. Each limit is the constant that is checked.
//!
//! A shape is a type without a value: what is parsed or written names it as its schema. JSON Schema counts characters
//! where the hub counts bytes of UTF-8: there the limit is an upper bound, and the words say that bytes are meant.

use serde_json::json;
use tambour_actors::composite::STREAM_TOPICS_MAX;
use tambour_actors::cursor::{CURSOR_BYTES_MAX, MARK_CHARS, PLACE_BYTES_MAX};
use tambour_actors::event::TYPE_BYTES_MAX;
use tambour_actors::feed::view::FILTER_MAX;
use tambour_actors::log::{IDEMPOTENCY_KEY_BYTES_MAX, TITLE_BYTES_MAX};
use tambour_actors::principal;
use tambour_actors::session::request::LAST_MAX;
use tambour_actors::topic_key::{TENANT_BYTES_MAX, TOPIC_ID_BYTES_MAX};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, RefBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::admission::standing::kill_switch::{PROVIDER_BYTES_MAX, REASON_BYTES_MAX};
use crate::config::TOKEN_TTL_SECONDS_MAX;
use crate::control::audit::model::TEXT_BYTES_MAX;
use crate::control::authority::model::JTI_BYTES_MAX;
use crate::control::kill_switch::model as kill_switch;
use crate::control::topics::routes as topics;
use crate::identity::context::ROUTING_BYTES_MAX;
use crate::identity::jwt::SUB_BYTES_MAX;
use crate::identity::service_key::NAME_BYTES_MAX;
use crate::transport::read;

/// Text without control characters.
const NO_CONTROL: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

macro_rules! shapes {
    ($($(#[doc = $doc:literal])+ $name:ident = $shape:expr;)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug)]
            pub struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    $shape.description(Some(concat!($($doc),+).trim())).into()
                }
            }

            impl ToSchema for $name {}
        )+

        /// Every shape, by its name in the document.
        pub(super) fn all() -> Vec<(String, RefOr<Schema>)> {
            vec![$(($name::name().into_owned(), $name::schema())),+]
        }
    };
}

shapes! {
    /// A cursor: opaque, good for one life of one topic.
    Cursor = form(format!("^{}$", cursor())).max_length(Some(CURSOR_BYTES_MAX)).examples(["GzUtezx6Zl28O70t.1"]);
    /// A cursor to read on from: an event's, or a page's, which in the feed may say besides how far retention had come.
    PageCursor = form(format!("^{}$", place())).max_length(Some(PLACE_BYTES_MAX)).examples(["GzUtezx6Zl28O70t.1"]);
    /// A cursor, or `earliest`: the oldest event that is kept.
    CursorOrEarliest = form(format!("^(earliest|{})$", place())).examples(["earliest"]);
    /// An id of a stream of several topics, or `earliest`: the oldest events that are kept.
    CompositeOrEarliest = form(format!("^(earliest|{})$", composite())).examples(["earliest"]);
    /// Names of topics with commas between them.
    TopicNames = form(format!("^{0}(,{0}){{0,{1}}}$", topic(), STREAM_TOPICS_MAX - 1)).examples(["thread/plan,canvas/sketch"]);
    /// Types of events, or what they begin with and then `*`, with commas between them.
    FeedTypes = form(format!("^{0}(,{0}){{0,{1}}}$", r"([a-z][a-z0-9_.]{0,63}|([a-z][a-z0-9_.]{0,63})?\*)", FILTER_MAX - 1))
        .examples(["chat_message,thread.*"]);
    /// Names of topics with commas between them; `system/tenant` is what happens beside topics.
    FeedTopics = form(format!("^{0}(,{0}){{0,{1}}}$", format!("({}|system/tenant)", topic()), FILTER_MAX - 1))
        .examples(["thread/plan,system/tenant"]);
    /// Why a cursor can't be honoured.
    GoneReason = one_of(["trimmed", "reset", "unknown"]);
    /// A topic, or `feed`.
    TopicOrFeed = form(format!("^(feed|{})$", topic())).examples(["thread/plan"]);
    /// A cursor, or `empty`: no event was ever written.
    CursorOrEmpty = form(format!("^(empty|{})$", cursor())).examples(["empty"]);
    /// The place of an event in its topic: 1, 2, 3… without holes. 0 is before the first.
    Seq = number().format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64))).minimum(Some(0)).examples([1]);
    /// A topic's id.
    TopicId = form(format!("^{}$", topic_id())).examples(["plan"]);
    /// A topic as frames and streams name it.
    TopicName = form(format!("^{}$", topic())).examples(["thread/plan"]);
    /// The type of an event.
    EventType = form(format!("^[a-z][a-z0-9_.]{{0,{}}}$", TYPE_BYTES_MAX - 1)).examples(["chat_message"]);
    /// The `sub` of somebody's token: bytes are counted, and none of it is a control character.
    Sub = form(NO_CONTROL).min_length(Some(1)).max_length(Some(SUB_BYTES_MAX)).examples(["alice"]);
    /// A title for people: bytes are counted, and none of it is a control character.
    Title = form(NO_CONTROL).max_length(Some(TITLE_BYTES_MAX)).examples(["The plan"]);
    /// Who may see a topic: its members, everybody of the tenant who reads such topics, everybody of the tenant.
    Visibility = one_of(["private", "team", "public"]);
    /// What a member may do.
    Can = one_of(["read", "write"]);
    /// A tenant.
    Tenant = form(format!("^t_[a-z0-9_-]{{1,{}}}$", TENANT_BYTES_MAX - 2)).examples(["t_demo"]);
    /// An env.
    Env = one_of(["dev", "staging", "prod"]);
    /// What kind of sender: a person, or one of two kinds of programs.
    ActorType = one_of(["human", "agent", "system"]);
    /// What kind of sender a service key is: a program that acts by itself, or one that is part of the tenant's systems.
    KeyActorType = one_of(["agent", "system"]);
    /// What somebody is in a tenant.
    Role = one_of(["owner", "admin", "member", "viewer"]);
    /// A permission key.
    Permission = one_of(principal::Permission::ALL.iter().map(|permission| permission.as_str()));
    /// An action, as the `operationId`s name it.
    Action = form(r"^[a-z_]+(\.[a-z_]+)+$").examples(["threads.publish"]);
    /// An action, a family of them, or all: what never can be switched off can't be named.
    SwitchedAction = one_of(kill_switch::names().iter().map(String::as_str)).examples(["threads.publish", "threads.*", "*"]);
    /// To what something was done, as entries of the audit name it: bytes are counted.
    AuditResource = text().min_length(Some(1)).max_length(Some(TEXT_BYTES_MAX)).examples(["thread/plan"]);
    /// A provider of models or tools, as `run_start` and `tool_call` name it.
    Provider = form(format!("^[a-z0-9_.-]{{1,{PROVIDER_BYTES_MAX}}}$")).examples(["acme"]);
    /// Why, for people: bytes are counted, and none of it is a control character.
    Reason = form(NO_CONTROL).min_length(Some(1)).max_length(Some(REASON_BYTES_MAX)).examples(["the agents run wild"]);
    /// Whether somebody may come in.
    PrincipalState = one_of(["active", "suspended"]);
    /// The id of a service key.
    KeyId = text().examples(["key:019ab0c4-7a3e-7cc0-8f0e-3d1c2b4a5968"]);
    /// The token of a service key.
    KeyToken = form("^tsk_[A-Za-z0-9_-]{43}$");
    /// A name for people: bytes are counted, and none of it is a control character.
    KeyName = form(NO_CONTROL).min_length(Some(1)).max_length(Some(NAME_BYTES_MAX)).examples(["summaries"]);
    /// The id of a main token, its claim `jti`: bytes are counted.
    Jti = text().min_length(Some(1)).max_length(Some(JTI_BYTES_MAX)).examples(["5f0c"]);
    /// The id of a connection, a UUID.
    ConnectionId = form("^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$")
        .examples(["019ab0c4-7a3e-7cc0-8f0e-3d1c2b4a5968"]);
    /// What a client speaks.
    WireName = one_of(["websocket", "sse"]);
    /// What a stream token is for: reading, or, on a WebSocket, writing too.
    StreamRights = ObjectBuilder::new()
        .schema_type(Type::Array)
        .enum_values(Some([json!(["read"]), json!(["read", "write"]), json!(["write", "read"])]));
    /// A stream token: 256 random bits in base64url behind `tst_`.
    StreamToken = form("^tst_[A-Za-z0-9_-]{43}$").examples(["tst_JhS0z6q3m2y5dW8cR1tX4vB7nK9pL0aE_gU-fYiOqHs"]);
    /// How long a stream token lives that no stream holds, in seconds; a hub may allow less (`tokens.ttl_seconds_max`).
    TokenTtl = number().minimum(Some(1)).maximum(Some(TOKEN_TTL_SECONDS_MAX as usize)).examples([60]);
    /// An action, or how one begins, with `*` behind.
    ActionFilter = form("^([a-z_.]+|[a-z_.]*\\*)$").examples(["threads.*"]);
    /// How what an entry of the audit tells of ended.
    AuditOutcome = one_of(["done", "refused"]);
    /// What a file of entries is.
    AuditFormat = one_of(["ndjson", "json", "csv"]);
    /// SHA-256 in hexadecimal.
    AuditHash = form("^[0-9a-f]{64}$");
    /// A time in UTC.
    Time = text()
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .examples(["2026-11-22T08:25:14.303Z"]);
    /// The writer's own name for a write, for 24 hours. The same again has the first answer; another body is refused.
    IdempotencyKey = visible(IDEMPOTENCY_KEY_BYTES_MAX).examples(["0f8e-1"]);
    /// A routing key.
    RoutingKey = visible(ROUTING_BYTES_MAX).examples(["r-17"]);
    /// How many topics a list has at most.
    ListLimit = number().minimum(Some(1)).maximum(Some(topics::LIMIT_MAX)).default(Some(json!(topics::LIMIT_DEFAULT)));
    /// How many events a page has at most.
    PageLimit = number().minimum(Some(1)).maximum(Some(read::LIMIT_MAX)).default(Some(json!(read::LIMIT_DEFAULT)));
    /// How many events before the head a reader starts.
    Last = number().minimum(Some(0)).maximum(Some(LAST_MAX as usize));
    /// How long a page waits for its first event, in seconds.
    Wait = number().minimum(Some(0)).maximum(Some(read::WAIT_SECONDS_MAX as usize)).default(Some(json!(0)));
}

/// A shape, in words of its use.
pub(super) fn of<T: ToSchema>(words: &str) -> Ref {
    RefBuilder::new().ref_location_from_schema_name(T::name()).description(Some(words)).build()
}

/// What a cursor looks like: a mark, a dot, and a seq without leading zeros.
fn cursor() -> String {
    format!(r"[A-Za-z0-9_-]{{{MARK_CHARS}}}\.(0|[1-9][0-9]{{0,18}})")
}

/// What a cursor to read on from looks like: between the two there may be a floor.
fn place() -> String {
    format!(r"[A-Za-z0-9_-]{{{MARK_CHARS}}}\.([1-9][0-9]{{0,18}}\.)?(0|[1-9][0-9]{{0,18}})")
}

/// What an id of several topics looks like: which they are, then of each a fingerprint, a dot and a seq.
fn composite() -> String {
    format!(r"[A-Za-z0-9_-]{{8}}(~[A-Za-z0-9_-]{{6}}\.(0|[1-9][0-9]{{0,18}})){{1,{STREAM_TOPICS_MAX}}}")
}

fn topic() -> String {
    format!("(thread|canvas)/{}", topic_id())
}

fn topic_id() -> String {
    format!("[A-Za-z0-9_.:-]{{1,{TOPIC_ID_BYTES_MAX}}}")
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn number() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer)
}

fn visible(bytes_max: usize) -> ObjectBuilder {
    form(format!("^[!-~]{{1,{bytes_max}}}$"))
}

/// A text of a form.
pub(super) fn form(pattern: impl Into<String>) -> ObjectBuilder {
    text().pattern(Some(pattern))
}

/// One of some texts.
pub(super) fn one_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> ObjectBuilder {
    text().enum_values(Some(texts))
}
