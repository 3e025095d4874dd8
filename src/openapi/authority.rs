//! The documentation of service keys, principals, revocations and sessions.

use serde_json::{Value, json};
use tambour_actors::refusal::Code;

use super::Doc;
use super::doc::{AUTHORITY, JSON, Typed};
use crate::control::authority::keys::ListQuery;
use crate::control::authority::model::{
    CreateKey, KeyList, PutPrincipal, Revoke, ShownKey, ShownPrincipal, ShownRevocation, TokenOnce,
};
use crate::control::authority::sessions::{self, Ended, SessionList, ShownReading, ShownSession};
use crate::routes::RouteSpec;
use crate::transport::body::BODY_BYTES_MAX;

fn body_words() -> String {
    format!("At most {} KiB.", BODY_BYTES_MAX / 1024)
}

const KEY: &str = "key:019ab0c4-7a3e-7cc0-8f0e-3d1c2b4a5968";

fn key() -> Value {
    json!({
        "id": KEY, "name": "summaries", "tenant_id": "t_demo", "env": "dev", "actor_type": "agent", "role": "member",
        "permissions": ["principals:act"], "created_by": "alice", "created_at": "2026-11-22T13:25:14.219Z",
    })
}

fn with_token() -> Typed {
    let mut example = key();
    example["token"] = json!("tsk_0000000000000000000000000000000000000000000");
    Typed::of::<TokenOnce<'_>>().and::<ShownKey>().example("key", "With a token that is none", example)
}

/// `POST /v1/keys`
pub fn create_key(_: &RouteSpec) -> Doc {
    let asked = Typed::of::<CreateKey>().example(
        "agent",
        "A program that acts for people",
        json!({ "name": "summaries", "actor_type": "agent", "role": "member", "permissions": ["principals:act"] }),
    );
    Doc::new(AUTHORITY, "Make a service key")
        .says("Its token is told this once. Nobody makes a key with more than they have themselves.")
        .body(&body_words(), [(JSON, asked)])
        .answers(201, "It is good from now on.", [(JSON, with_token())])
        .refuses(&[Code::AuthorityLimit, Code::StoreUnavailable])
}

/// `GET /v1/keys`
pub fn list_keys(_: &RouteSpec) -> Doc {
    let list = Typed::of::<KeyList>().and::<ShownKey>();
    let list = list.example("one", "One, and no more", json!({ "keys": [key()], "has_more": false }));
    Doc::new(AUTHORITY, "List service keys")
        .says("Those of the tenant and env, ascending by id. No token is in it.")
        .query::<ListQuery>()
        .answers(200, "A part of the list.", [(JSON, list)])
}

/// `POST /v1/keys/{key}/rotate`
pub fn rotate_key(_: &RouteSpec) -> Doc {
    Doc::new(AUTHORITY, "Give a service key another token")
        .says("The token before is good for `keys.rotation_grace_seconds` more; the one before that is not.")
        .answers(200, "With the other token.", [(JSON, with_token())])
        .refuses(&[Code::KeyUnknown, Code::StoreUnavailable])
}

/// `DELETE /v1/keys/{key}`
pub fn revoke_key(_: &RouteSpec) -> Doc {
    Doc::new(AUTHORITY, "Revoke a service key")
        .says("At once, and what was made from it: stream tokens, and the streams that they opened.")
        .answers(204, "It is gone.", [])
        .refuses(&[Code::KeyUnknown, Code::StoreUnavailable])
}

fn principal() -> Typed {
    Typed::of::<ShownPrincipal>().example(
        "suspended",
        "By an admin",
        json!({
            "sub": "bob", "state": "suspended", "authority": "admin", "changed_by": "alice",
            "changed_at": "2026-11-22T13:25:14.219Z",
        }),
    )
}

/// `GET /v1/principals/{sub}`
pub fn get_principal(_: &RouteSpec) -> Doc {
    Doc::new(AUTHORITY, "What is said of a principal beside their tokens")
        .says("Of whom nothing is said is `active`: the hub does not know who there is.")
        .answers(200, "Now.", [(JSON, principal())])
        .refuses(&[Code::NameInvalid])
}

/// `PUT /v1/principals/{sub}`
pub fn put_principal(_: &RouteSpec) -> Doc {
    let asked = Typed::of::<PutPrincipal>()
        .example("suspended", "They may not come in", json!({ "state": "suspended" }))
        .example("viewer", "They may only read", json!({ "state": "active", "role": "viewer" }));
    Doc::new(AUTHORITY, "Suspend a principal, or give them another role")
        .says(
            "In force at once, for their live sessions too. What a role says reaches nobody whose token gives a higher \
             one, and nobody gives a higher role than their own.",
        )
        .body(&body_words(), [(JSON, asked)])
        .answers(200, "In force.", [(JSON, principal())])
        .refuses(&[Code::NameInvalid, Code::KeyUnknown, Code::AuthorityLimit, Code::StoreUnavailable])
}

/// `POST /v1/revocations`
pub fn revoke(_: &RouteSpec) -> Doc {
    let asked = Typed::of::<Revoke>()
        .example("token", "One token", json!({ "jti": "5f0c", "expires_at": "2026-11-22T14:25:14Z" }))
        .example("everything", "All tokens of somebody, so far", json!({ "sub": "bob" }));
    Doc::new(AUTHORITY, "Revoke a token, or all tokens of somebody")
        .says("Say one of the two. Sessions end at once; a login that comes later is good. Tokens that give a higher role than the caller's are not reached.")
        .body(&body_words(), [(JSON, asked)])
        .answers(201, "In force.", [(JSON, Typed::of::<ShownRevocation>())])
        .refuses(&[Code::AuthorityLimit, Code::StoreUnavailable])
}

/// `GET /v1/sessions`
pub fn list_sessions(_: &RouteSpec) -> Doc {
    Doc::new(AUTHORITY, "List who is connected")
        .says("In the tenant and env, in the order in which they came. Without `sessions:read` one's own.")
        .query::<sessions::ListQuery>()
        .answers(
            200,
            "A part of the list.",
            [(JSON, Typed::of::<SessionList>().and::<ShownSession>().and::<ShownReading>())],
        )
        .refuses(&[Code::Forbidden])
}

/// `DELETE /v1/sessions`
pub fn end_sessions(_: &RouteSpec) -> Doc {
    Doc::new(AUTHORITY, "End sessions")
        .says("They are told `session.ended`, and may come back. One's own, or with `sessions:write` those of others.")
        .query::<sessions::EndQuery>()
        .answers(200, "How many there were.", [(JSON, Typed::of::<Ended>())])
        .refuses(&[Code::Forbidden, Code::StoreUnavailable])
}

/// `DELETE /v1/sessions/{connection_id}`
pub fn end_session(_: &RouteSpec) -> Doc {
    Doc::new(AUTHORITY, "End one session")
        .says(
            "It is told `session.ended`, and may come back. One's own, or with `sessions:write` those of others, but not of \
             who has a higher role. Without `sessions:read` what is not one's to end is told as what is not there.",
        )
        .answers(204, "It was told to end.", [])
        .refuses(&[Code::Forbidden, Code::SessionUnknown, Code::SessionUnsure, Code::StoreUnavailable])
}
