//! Events and pages as clients see them. The hub writes them by hand, once for all readers, so these types are for
//! the document alone. A test reads what the encoder writes through them, strictly; a client must not be so strict.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::shapes;

/// An event of a topic's log.
#[derive(Debug, Deserialize, ToSchema)]
#[cfg_attr(test, serde(deny_unknown_fields))]
pub struct Event {
    /// The version of this form.
    #[schema(schema_with = version)]
    pub v: u8,
    /// The event's cursor.
    #[schema(value_type = shapes::Cursor)]
    pub id: String,
    /// The event's place.
    #[schema(value_type = shapes::Seq)]
    pub seq: u64,
    /// What it is.
    #[serde(rename = "type")]
    #[schema(value_type = shapes::EventType)]
    pub kind: String,
    /// When it was written.
    #[schema(value_type = shapes::Time)]
    pub time: String,
    /// Where it belongs, and who sent it.
    pub routing: Routing,
    /// What was published; `null` once it is redacted.
    #[schema(value_type = Value)]
    pub data: Value,
    /// True where the data was taken away.
    #[serde(default)]
    pub redacted: bool,
    /// With `fold=true`: what was appended to it.
    #[serde(default)]
    #[schema(value_type = Fold)]
    pub fold: Option<Fold>,
    /// The request that published it.
    pub meta: Meta,
    /// In the feed: where it stands there.
    #[serde(default)]
    #[schema(value_type = shapes::Cursor)]
    pub feed_id: Option<String>,
}

/// What was appended to an event.
#[derive(Debug, Deserialize, ToSchema)]
#[cfg_attr(test, serde(deny_unknown_fields))]
pub struct Fold {
    /// All of it, joined; none any more, where the event was redacted.
    #[serde(default)]
    #[schema(value_type = String)]
    pub text: Option<String>,
    /// How many appends it was; as `text`.
    #[serde(default)]
    #[schema(value_type = u64)]
    pub appends: Option<u64>,
    /// The cursor of the last of them: what is appended behind it is still to be added.
    #[schema(value_type = shapes::Cursor)]
    pub until: String,
}

/// Where an event belongs, and who sent it.
#[derive(Debug, Deserialize, ToSchema)]
#[cfg_attr(test, serde(deny_unknown_fields))]
pub struct Routing {
    /// The tenant.
    #[schema(value_type = shapes::Tenant)]
    pub tenant_id: String,
    /// The env.
    #[schema(value_type = shapes::Env)]
    pub env: String,
    /// The thread, if it is one's.
    #[serde(default)]
    #[schema(value_type = shapes::TopicId)]
    pub thread_id: Option<String>,
    /// The canvas, if it is one's.
    #[serde(default)]
    #[schema(value_type = shapes::TopicId)]
    pub canvas_id: Option<String>,
    /// `tenant`, if it tells of what happened beside topics.
    #[serde(default)]
    #[schema(value_type = String)]
    pub system_id: Option<String>,
    /// Who sent it, by their token.
    #[schema(value_type = shapes::Sub)]
    pub actor_id: String,
    /// What sent it, by its token.
    #[schema(value_type = shapes::ActorType)]
    pub actor_type: String,
    /// On whose behalf a service key sent it.
    #[serde(default)]
    #[schema(value_type = shapes::Sub)]
    pub acts_for: Option<String>,
    /// `X-Project-Id` of the request.
    #[serde(default)]
    #[schema(value_type = String)]
    pub project_id: Option<String>,
    /// `X-App-Id` of the request.
    #[serde(default)]
    #[schema(value_type = String)]
    pub app_id: Option<String>,
    /// `X-Surface-Id` of the request.
    #[serde(default)]
    #[schema(value_type = String)]
    pub surface_id: Option<String>,
    /// `X-Device-Id` of the request.
    #[serde(default)]
    #[schema(value_type = String)]
    pub device_id: Option<String>,
    /// `X-Run-Id` of the request.
    #[serde(default)]
    #[schema(value_type = String)]
    pub run_id: Option<String>,
    /// `X-Step-Id` of the request.
    #[serde(default)]
    #[schema(value_type = String)]
    pub step_id: Option<String>,
}

/// The request that published an event.
#[derive(Debug, Deserialize, ToSchema)]
#[cfg_attr(test, serde(deny_unknown_fields))]
pub struct Meta {
    /// Its id.
    pub request_id: String,
    /// That of the trace it was part of.
    pub trace_id: String,
}

/// Consecutive events, ascending.
#[derive(Debug, Deserialize, ToSchema)]
#[cfg_attr(test, serde(deny_unknown_fields))]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,
    /// Where the next page begins: `after` of the next request.
    #[schema(value_type = shapes::PageCursor)]
    pub cursor: String,
    /// Whether there is more behind it now.
    pub has_more: bool,
    /// The oldest event that is kept.
    #[schema(value_type = shapes::Cursor)]
    pub oldest: String,
    /// The newest; before `oldest` where there is none.
    #[schema(value_type = shapes::Cursor)]
    pub newest: String,
}

fn version() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([1]))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tambour_actors::cursor::{Incarnation, Mark};
    use tambour_actors::event::{self, EventType, Origin};
    use tambour_actors::frame::FrameEncoder;
    use tambour_actors::topic_key::{Env, Scope, Tenant, TopicKey};

    use super::*;

    fn read(topic: &str, kind: &str, data: &'static str, target: Option<u64>) -> Event {
        let scope = Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev };
        let key = TopicKey::parse(&scope, topic).unwrap();
        let encoder = FrameEncoder::new(&key, Mark::new(&key, Incarnation(7)));
        let routing = r#""actor_id":"alice","actor_type":"human","run_id":"r""#;
        let event = event::Event {
            seq: 12,
            time_ms: 1_795_329_605_123,
            kind: EventType::stored(kind).unwrap(),
            origin: Origin { routing: Bytes::from(routing), meta: Bytes::from(r#""request_id":"r","trace_id":"t""#) },
            data: Bytes::from_static(data.as_bytes()),
            target,
            taken: None,
        };
        let mut json = Vec::new();
        encoder.write_json(&event, &mut json);
        serde_json::from_slice(&json).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&json)))
    }

    #[test]
    fn the_document_knows_every_member_that_the_encoder_writes() {
        let note = read("thread/x", "note", "{\"a\":1}", None);
        assert_eq!((note.v, note.seq, &*note.kind, note.redacted), (1, 12, "note", false));
        assert_eq!((note.routing.thread_id.as_deref(), note.routing.run_id.as_deref()), (Some("x"), Some("r")));
        assert_eq!(read("canvas/x", "closed", "{}", None).routing.canvas_id.as_deref(), Some("x"));
        let append = read("thread/x", "append", "\"tok\"", Some(3));
        assert_eq!(append.data["data"], "tok");
        // An event without data is a redacted one.
        assert!(read("thread/x", "note", "", None).redacted);
    }
}
