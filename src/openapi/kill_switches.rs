//! The documentation of the kill switch.

use serde_json::json;
use tambour_actors::refusal::Code;

use super::Doc;
use super::doc::{AUTHORITY, JSON, Typed};
use crate::control::kill_switch::model::{PutKillSwitch, ShownKillSwitch};
use crate::routes::RouteSpec;
use crate::transport::body::BODY_BYTES_MAX;

fn shown() -> Typed {
    Typed::of::<ShownKillSwitch>().example(
        "agents",
        "Agents only read",
        json!({
            "disabled_actions": [], "disable_autonomy": true, "disable_providers": [], "reason": "the agents run wild",
            "changed_by": "alice", "changed_at": "2026-11-22T13:25:14.219Z",
        }),
    )
}

/// `GET /v1/kill-switch`
pub fn show(_: &RouteSpec) -> Doc {
    Doc::new(AUTHORITY, "What is switched off")
        .says("In the tenant and env; everybody there may know. It can't be switched off itself.")
        .answers(200, "Now.", [(JSON, shown())])
}

/// `PUT /v1/kill-switch`
pub fn put(_: &RouteSpec) -> Doc {
    let asked = Typed::of::<PutKillSwitch>()
        .example("agents", "Agents only read", json!({ "disable_autonomy": true, "reason": "the agents run wild" }))
        .example("publishing", "Nobody publishes to threads", json!({ "disabled_actions": ["threads.publish"] }))
        .example("provider", "No work is started with a provider", json!({ "disable_providers": ["acme"] }))
        .example("nothing", "Everything is on again", json!({}));
    Doc::new(AUTHORITY, "Switch actions, agents or providers off and on")
        .says(
            "What is sent takes the place of all that was said before. On disk and in force before it is answered, for live \
             sessions within a second. What a higher role switched off stays in what a lower one sends, or it is 403.",
        )
        .body(&format!("At most {} KiB.", BODY_BYTES_MAX / 1024), [(JSON, asked)])
        .answers(200, "In force.", [(JSON, shown())])
        .refuses(&[Code::StoreUnavailable])
}
