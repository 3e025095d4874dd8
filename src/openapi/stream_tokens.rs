//! The documentation of stream tokens.

use serde_json::json;
use tambour_actors::refusal::Code;

use super::Doc;
use super::doc::{IDENTITY, JSON, Typed};
use crate::control::stream_tokens::model::{AskFor, AskToken, Issued};
use crate::routes::RouteSpec;

/// `POST /v1/stream-tokens`
pub fn create(_: &RouteSpec) -> Doc {
    let asked = Typed::of::<AskToken>()
        .and::<AskFor>()
        .example("plain", "To read whatever its maker may read", json!({}))
        .example("one", "To read one thread", json!({ "topics": ["thread/plan"], "ttl_seconds": 120 }))
        .example("write", "For a WebSocket that publishes", json!({ "rights": ["read", "write"], "single_use": true }));
    let issued = Typed::of::<Issued>().example(
        "issued",
        "Shown once",
        json!({
            "token": "tst_JhS0z6q3m2y5dW8cR1tX4vB7nK9pL0aE_gU-fYiOqHs", "expires_at": "2026-11-22T08:26:14.219Z",
            "expires_in": 60,
        }),
    );
    Doc::new(IDENTITY, "Make a token for streams")
        .says(
            "It opens streams and long polls by `?token=`, and nothing else, with the rights of its maker or less. While \
             a stream that it opened lives it lives, and `ttl_seconds` longer, until its maker's own token or key ends.",
        )
        .optional_body("What is left out is by default.", [(JSON, asked)])
        .answers(201, "The token. It is kept nowhere: what is stored is its SHA-256.", [(JSON, issued)])
        .refuses(&[
            Code::NameInvalid,
            Code::TopicUnknown,
            Code::Forbidden,
            Code::TokenOutstanding,
            Code::TokenStore,
            Code::StoreUnavailable,
        ])
}
