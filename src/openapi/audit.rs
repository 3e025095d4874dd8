//! The documentation of the audit.

use serde_json::{Value, json};
use tambour_actors::refusal::Code;
use utoipa::ToSchema as _;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};

use super::Doc;
use super::doc::{AUTHORITY, JSON, NDJSON, Typed};
use crate::control::audit::model::{AuditActor, AuditEntry, AuditHeadShown, AuditList, AuditVerdict, ListQuery};
use crate::routes::RouteSpec;

const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn entry() -> Value {
    json!({
        "seq": 2, "time": "2026-11-22T13:25:14.219Z", "tenant_id": "t_demo", "env": "dev",
        "actor": { "sub": "alice", "type": "human", "role": "admin" }, "action": "principals.put",
        "resource": "principal/bob", "outcome": "done", "request_id": "r-17",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "ip": "192.0.2.7",
        "before": { "state": "active", "role": null }, "after": { "state": "suspended", "role": null },
        "affected_count": 1, "prev": HASH, "hash": HASH,
    })
}

/// `GET /v1/audit`
pub fn list(_: &RouteSpec) -> Doc {
    let list = Typed::of::<AuditList>().and::<AuditEntry>().and::<AuditActor>();
    let list = list.example("one", "One, and no more", json!({ "entries": [entry()], "has_more": false }));
    Doc::new(AUTHORITY, "List what was done, and what was refused to whom")
        .says("Of the tenant and env, the newest first. An entry has every administrative change, and each 403 and `rate.limited` of a known principal, up to `audit.refusals_per_minute`. Events that are published are in their threads.")
        .query_of::<ListQuery>(&["actor", "action", "resource", "outcome", "since", "until", "limit", "before"])
        .answers(200, "A part of the list.", [(JSON, list)])
        .refuses(&[Code::StoreUnavailable])
}

/// `GET /v1/audit/verify`
pub fn verify(_: &RouteSpec) -> Doc {
    let verdict = Typed::of::<AuditVerdict>().and::<AuditHeadShown>().example(
        "whole",
        "Nothing is wrong",
        json!({ "ok": true, "entries": 2, "head": { "seq": 2, "hash": HASH } }),
    );
    Doc::new(AUTHORITY, "Verify the chain of entries")
        .says("Each entry has the hash of the one before it. Whoever keeps `head` elsewhere can tell whether the end was cut off.")
        .answers(200, "What was found.", [(JSON, verdict)])
        .refuses(&[Code::StoreUnavailable])
}

/// `GET /v1/audit/export`
pub fn export(_: &RouteSpec) -> Doc {
    let all = Typed::told(ArrayBuilder::new().items(Ref::from_schema_name(AuditEntry::name())));
    Doc::new(AUTHORITY, "Download the audit")
        .says("The oldest first, up to the newest when it begins: `ndjson`, `json`, or a table, `csv`, in which no cell is a formula. When the store fails meanwhile, the connection is cut.")
        .query_of::<ListQuery>(&["actor", "action", "resource", "outcome", "since", "until", "before", "format"])
        .answers(
            200,
            "The file.",
            [(NDJSON, Typed::of::<AuditEntry>()), (JSON, all), ("text/csv", Typed::told(ObjectBuilder::new().schema_type(Type::String)))],
        )
        .refuses(&[Code::StoreUnavailable])
}
