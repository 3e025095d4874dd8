//! `GET /v1/stream`: one SSE stream of several topics, which an `EventSource` resumes with one id.
//!
//! Every topic is checked, in the order of the names, before the first byte. What the id says is read in `composite`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use tambour_actors::composite::{Composite, STREAM_TOPICS_MAX, put_in_order};
use tambour_actors::frame::Wire;
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::gate::Right;
use tambour_actors::session::request;
use tambour_actors::session::{Wanted, Who};
use tambour_actors::topic::state::Start;
use tambour_actors::topic_key::{TopicKey, TopicKind};
use utoipa::IntoParams;

use super::read::behind_the_end;
use super::{Ready, hand_over, sse};
use crate::admission::standing::kill_switch::Doing;
use crate::admission::{Caller, Grant};
use crate::openapi::shapes;
use crate::problem::Problem;

/// The query. Unknown parameters are refused, so that a misspelt one is not silently ignored; identity's own are looked
/// at elsewhere.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Streaming {
    /// Which topics, with commas between them: 1 to 32, each once.
    #[param(value_type = shapes::TopicNames)]
    topics: String,
    /// Just behind this id of a stream of the same topics, or at the oldest events that are kept: `earliest`.
    #[param(value_type = shapes::CompositeOrEarliest, required = false)]
    after: Option<String>,
    /// As `Last-Event-ID`, which wins. It wins over `after` and `last`.
    #[param(value_type = shapes::CompositeOrEarliest, required = false)]
    last_event_id: Option<String>,
    /// In each topic, at so many events before the head.
    #[param(value_type = shapes::Last, required = false)]
    last: Option<u64>,
    /// Whether appends come folded into the events that they belong to.
    #[serde(default)]
    fold: bool,
    /// Whether blocks have an `event` line; without one, all of them reach `onmessage`.
    named: Option<bool>,
    /// Of a stream request: a stream token; where `auth.allow_jwt_in_query` is set, another. A header wins.
    #[serde(rename = "token")]
    #[param(value_type = String, required = false)]
    _token: Option<String>,
    /// Where that is set: the tenant. It must agree with the header's in any case.
    #[serde(rename = "tenant_id")]
    #[param(value_type = shapes::Tenant, required = false)]
    _tenant_id: Option<String>,
    /// Where that is set: the env. It must agree with the header's in any case.
    #[serde(rename = "env")]
    #[param(value_type = shapes::Env, required = false)]
    _env: Option<String>,
}

/// Where a stream of several topics starts.
#[derive(Debug, PartialEq, Eq)]
enum Begin {
    /// In each topic there.
    Each(Start),
    /// Where this id says; as it was given.
    Behind(Composite, String),
}

impl Streaming {
    /// The topics in the order of their names.
    fn keys(&self, caller: &Caller) -> Result<Vec<TopicKey>, Refusal> {
        let names: Vec<&str> = self.topics.split(',').collect();
        if names.len() > STREAM_TOPICS_MAX {
            return Err(Refusal::new(Code::QueryInvalid, format!("a stream has 1 to {STREAM_TOPICS_MAX} topics")));
        }
        let key = |name: &&str| TopicKey::parse(caller.scope(), name);
        let mut keys = names
            .iter()
            .map(key)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Refusal::new(Code::NameInvalid, error.to_string()))?;
        if keys.iter().any(|key| key.kind() == TopicKind::Feed) {
            return Err(Refusal::new(Code::QueryInvalid, "the feed is a stream by itself"));
        }
        if !put_in_order(&mut keys, |key| key) {
            return Err(Refusal::new(Code::QueryInvalid, "a topic is named twice"));
        }
        Ok(keys)
    }

    fn begin(&self, header: Option<&str>) -> Result<Begin, Refusal> {
        let after = self.last_event_id.as_deref().or(self.after.as_deref());
        // As elsewhere: a browser that reconnects repeats the query of its first request.
        let (after, last) = if header.is_some() { (header, None) } else { (after, self.last) };
        match after {
            Some(id) if id != "earliest" && last.is_none() => match Composite::parse(id) {
                Ok(composite) => Ok(Begin::Behind(composite, id.to_owned())),
                Err(error) => Err(Refusal::new(Code::CursorMalformed, error.to_string())),
            },
            after => request::start(after, last, Start::Head).map(Begin::Each),
        }
    }
}

/// The handler.
///
/// # Errors
/// What admission refuses, `query.invalid`, `name.invalid`, `cursor.malformed` also for an id of other topics;
/// `request.malformed` when no stream is asked for.
pub async fn open(
    caller: Caller,
    streaming: web::Query<Streaming>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let refused = |refusal| caller.problem(refusal);
    let begin = sse::header_id(&request).and_then(|id| streaming.begin(id)).map_err(refused)?;
    let keys = streaming.keys(&caller).map_err(refused)?;
    let mut grants = Vec::with_capacity(keys.len());
    for key in &keys {
        caller.allows(Doing::read(key.kind())).map_err(refused)?;
        grants.push(caller.grant(key, Right::Read).await?);
    }
    if !caller.context.takes_socket {
        return Err(refused(Refusal::new(Code::RequestMalformed, "this is a stream: Accept: text/event-stream")));
    }
    let mut id = Composite::new(grants.iter().map(|grant| (&grant.record.topic.key, grant.record.mark())));
    if let Begin::Behind(given, _) = &begin {
        if !given.same_topics(&id) {
            let detail = "this id is of a stream of other topics: ask for the same ones, or start with after=earliest";
            return Err(refused(Refusal::new(Code::CursorMalformed, detail)));
        }
        id = given.clone();
    }
    let start = |index: usize, grant: &Grant| match &begin {
        Begin::Each(start) => *start,
        Begin::Behind(id, _) => id.start(index, grant.record.mark()),
    };
    if all_behind_the_end(&grants, start).await? {
        return Ok(HttpResponse::NoContent().finish());
    }
    let mut topics = Vec::with_capacity(grants.len());
    for (index, grant) in grants.iter().enumerate() {
        let requested = match &begin {
            Begin::Each(_) => None,
            Begin::Behind(_, given) => Some(given.clone()),
        };
        let start = start(index, grant);
        topics.push(Wanted { topic: grant.topic().await?, start, requested, fold: streaming.fold, filter: None });
    }
    let wire = if streaming.named.unwrap_or(true) { Wire::Sse } else { Wire::SseUnnamed };
    let permit = caller.permit()?;
    let who = Who::Reader(caller.proved().await?);
    let ready = Ready { who, topics, composite: Some(Box::new(id)), wire, hold: permit };
    hand_over(&request, payload, sse::head(&request), ready)
}

/// Whether a reader has everything of every topic, `closed` too.
async fn all_behind_the_end(grants: &[Grant], start: impl Fn(usize, &Grant) -> Start) -> Result<bool, Problem> {
    for (index, grant) in grants.iter().enumerate() {
        if !behind_the_end(grant, start(index, grant)).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "AAAAAAAA~BBBBBB.3~CCCCCC.4";

    #[track_caller]
    fn check(query: &str, header: Option<&str>, expected: &Result<Begin, Code>) {
        let streaming = web::Query::<Streaming>::from_query(&format!("topics=thread/a{query}")).unwrap();
        assert_eq!(&streaming.begin(header).map_err(|refusal| refusal.code), expected, "{query} {header:?}");
    }

    #[test]
    fn where_a_stream_of_several_starts() {
        let behind = |id: &str| Ok(Begin::Behind(Composite::parse(id).unwrap(), id.to_owned()));
        let other = ID.replace('3', "9");
        check("", None, &Ok(Begin::Each(Start::Head)));
        check("&after=earliest", None, &Ok(Begin::Each(Start::Earliest)));
        check("&last=3", None, &Ok(Begin::Each(Start::Last(3))));
        check(&format!("&after={ID}"), None, &behind(ID));
        check(&format!("&last_event_id={ID}&after=earliest"), None, &behind(ID));
        check(&format!("&after={ID}&last=3"), Some(&other), &behind(&other));
        check(&format!("&after={ID}&last=3"), None, &Err(Code::QueryInvalid));
        check("&last=501", None, &Err(Code::QueryInvalid));
        check("&after=AAAAAAAAAAAAAAAA.1", None, &Err(Code::CursorMalformed));
        check("", Some("nonsense"), &Err(Code::CursorMalformed));
    }

    #[test]
    fn unknown_parameters_are_refused() {
        for query in ["", "topics=thread/a&limit=3", "topics=thread/a&named=no", "topic=thread/a"] {
            assert!(web::Query::<Streaming>::from_query(query).is_err(), "{query}");
        }
    }
}
