//! Refusals: the one table of everything the hub says no to, with its code, HTTP status and
//! WebSocket close code.
//!
//! Every transport answers from this table, so one mistake has one name everywhere. A refusal's
//! `detail` is for the caller; what only the operator may know is logged where it happened and
//! never put here.

use std::borrow::Cow;

use crate::token_form::without_tokens;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $close:expr, $title:literal;)+) => {
        /// The name of a refusal. Clients may rely on [`Code::as_str`]; the numbers follow from it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name),+ }

        impl Code {
            /// Every code, for the documentation and for tests.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code as clients see it.
            #[must_use]
            pub fn as_str(self) -> &'static str { match self { $(Self::$name => $code),+ } }

            /// The HTTP status (RFC 9110, section 15).
            #[must_use]
            pub fn status(self) -> u16 { match self { $(Self::$name => $status),+ } }

            /// The close code (RFC 6455, section 7.4) of a WebSocket session that can't go on
            /// after this refusal; `None`: the session is told and goes on.
            #[must_use]
            pub fn close(self) -> Option<u16> { match self { $(Self::$name => $close),+ } }

            /// The close code of a session that ends with this refusal, whatever ended it.
            #[must_use]
            pub fn ends(self) -> u16 {
                match self.close() {
                    Some(code) => code,
                    None if self.status() == 403 => close::FORBIDDEN,
                    None => close::MALFORMED,
                }
            }

            /// What the code says, in a few words.
            #[must_use]
            pub fn title(self) -> &'static str { match self { $(Self::$name => $title),+ } }
        }
    };
}

/// Close codes of the WebSocket protocol, one meaning each.
pub mod close {
    /// The other side left, or the topic's stream ended as it should.
    pub const NORMAL: u16 = 1000;
    /// A binary frame: the protocol is text.
    pub const BINARY: u16 = 1003;
    /// The hub drains: connect again, elsewhere or later.
    pub const DRAIN: u16 = 1012;
    /// Not a frame of this protocol.
    pub const MALFORMED: u16 = 4400;
    /// No identity, or it ran out.
    pub const IDENTITY: u16 = 4401;
    /// Not allowed.
    pub const FORBIDDEN: u16 = 4403;
    /// The session's own topic is unknown or was deleted.
    pub const TOPIC: u16 = 4404;
    /// No `hello` in time.
    pub const HELLO_LATE: u16 = 4408;
    /// Another stream of the same token goes on in its place.
    pub const REPLACED: u16 = 4409;
    /// A frame or message over the limit.
    pub const TOO_LARGE: u16 = 4413;
    /// As many connections as there may be.
    pub const LIMIT: u16 = 4429;
    /// The reader accepted nothing for too long.
    pub const SLOW: u16 = 4430;
}

codes! {
    /// The hub is shutting down.
    Draining = "draining", 503, Some(close::DRAIN), "The hub is draining";
    /// The request can't be understood as HTTP for this route.
    RequestMalformed = "request.malformed", 400, Some(close::MALFORMED), "Malformed request";
    /// A stream request with a body, or with bytes behind its head.
    StreamBody = "request.stream_body", 400, Some(close::MALFORMED), "A stream request has no body and nothing behind it";
    /// Path and query are longer than any request needs.
    TargetTooLong = "request.target_too_long", 414, None, "Path and query too long";
    /// More headers, or larger ones, than any request needs.
    HeadersTooLarge = "request.headers_too_large", 431, None, "Headers too large";
    /// No such route.
    RouteUnknown = "route.unknown", 404, None, "No such route";
    /// The route exists, not with this method.
    MethodNotAllowed = "route.method", 405, None, "Method not allowed";
    /// A browser on an origin that is not on the list.
    OriginForbidden = "origin.forbidden", 403, None, "Origin not allowed";
    /// No token.
    TokenMissing = "auth.token_missing", 401, Some(close::IDENTITY), "No token";
    /// Not a token of the configured form, algorithm or claims.
    TokenInvalid = "auth.token_invalid", 401, Some(close::IDENTITY), "Token not accepted";
    /// Past its `exp`.
    TokenExpired = "auth.token_expired", 401, Some(close::IDENTITY), "Token expired";
    /// A good token that was taken back.
    TokenRevoked = "auth.token_revoked", 401, Some(close::IDENTITY), "Token revoked";
    /// A token of a kind that this route does not take.
    TokenTier = "auth.wrong_tier", 401, Some(close::IDENTITY), "Not the kind of token for this route";
    /// As many stream tokens of one parent as there may be were issued and never opened.
    TokenOutstanding = "token.outstanding", 429, None, "Too many stream tokens that were never opened";
    /// Where stream tokens are kept can't be asked.
    TokenStore = "token.store_unavailable", 503, None, "The store of stream tokens can't answer";
    /// The issuer's keys were never fetched.
    KeysUnavailable = "auth.keys_unavailable", 503, None, "The issuer's keys can't be had";
    /// Somebody who may has switched it off for this tenant and env.
    KillSwitch = "kill_switch.blocked", 403, None, "Switched off";
    /// The token names a key that is not known, and it is too early to ask its issuer for newer ones.
    SigningKeyUnknown = "auth.signing_key_unknown", 503, None, "The token's key is not known yet";
    /// The principal is suspended in this tenant and env.
    Suspended = "auth.suspended", 403, Some(close::FORBIDDEN), "Suspended";
    /// A renewal for somebody else.
    IdentityChanged = "auth.identity_changed", 403, Some(close::FORBIDDEN), "The new token is somebody else's";
    /// No tenant or env on a request that is no stream.
    ContextMissing = "context.missing", 400, Some(close::MALFORMED), "Tenant or env missing";
    /// No tenant or env on a stream request.
    StreamContextMissing = "context.missing", 403, Some(close::FORBIDDEN), "Tenant or env missing";
    /// A tenant or env of the wrong form.
    ContextMalformed = "context.malformed", 400, Some(close::MALFORMED), "Tenant or env malformed";
    /// The same thing said twice, differently.
    ContextMismatch = "context.mismatch", 400, Some(close::MALFORMED), "Tenant or env said twice, differently";
    /// The token is not good for this tenant or env.
    TenantMismatch = "auth.tenant_mismatch", 403, Some(close::FORBIDDEN), "Not a tenant or env of this token";
    /// The role may not do this.
    Forbidden = "permission.denied", 403, None, "Not allowed";
    /// More than the route takes.
    BodyTooLarge = "body.too_large", 413, None, "Body too large";
    /// Not JSON where JSON is asked for.
    BodyType = "body.type", 415, None, "Media type not accepted";
    /// Not all of it came within its time.
    BodyLate = "body.late", 408, None, "Body too slow";
    /// JSON, and not what the route takes.
    BodyInvalid = "body.invalid", 400, None, "Body not accepted";
    /// A query parameter, or its value, that the route does not take.
    QueryInvalid = "query.invalid", 400, None, "Query not accepted";
    /// A topic or principal id of the wrong form.
    NameInvalid = "name.invalid", 400, None, "Name not accepted";
    /// Not `[a-z][a-z0-9_.]{0,63}`.
    TypeInvalid = "type.invalid", 400, None, "Event type malformed";
    /// One of the hub's own names.
    TypeReserved = "type.reserved", 400, None, "Event type reserved";
    /// The data of a well-known type, and not what the catalogue says.
    DataInvalid = "data.invalid", 400, None, "Data of a well-known type not accepted";
    /// `data` over the limit.
    EventTooLarge = "event.too_large", 413, None, "Event too large";
    /// Unknown here, or somewhere this principal can't know of.
    TopicUnknown = "topic.unknown", 404, None, "No such topic";
    /// The key is taken.
    TopicExists = "topic.exists", 409, None, "The topic exists";
    /// No service key of that id in the caller's tenant and env.
    KeyUnknown = "key.unknown", 404, None, "No such service key";
    /// No session of that connection that this principal may know of.
    SessionUnknown = "session.unknown", 404, None, "No such session";
    /// The session was not found, and not every worker of the hub has said in time whom it has.
    SessionUnsure = "session.unsure", 503, None, "Whether there is such a session is not known";
    /// The topic is not where the writer expected it.
    ExpectMismatch = "expect.mismatch", 409, None, "The topic has moved on";
    /// The key was used for something else.
    IdempotencyMismatch = "idempotency.mismatch", 409, None, "The idempotency key was used for another body";
    /// No event of that id that could be meant.
    EventUnknown = "event.unknown", 404, None, "No such event";
    /// Somebody else's event.
    AppendForbidden = "append.forbidden", 403, None, "Only the sender of an event appends to it";
    /// Not a string.
    AppendNotText = "append.not_text", 400, None, "What is appended is a string";
    /// All appends to the event together are over the limit.
    AppendTooLarge = "append.too_large", 413, None, "The event has as much text as it takes";
    /// Nothing is written behind `closed`.
    TopicClosed = "topic.closed", 409, None, "The topic is closed";
    /// The topic has as much waiting as it takes.
    TopicBusy = "topic.busy", 503, None, "The topic is busy";
    /// Not a cursor.
    CursorMalformed = "cursor.malformed", 400, None, "Malformed cursor";
    /// A cursor that can't be honoured, on a page.
    CursorGone = "cursor.gone", 410, None, "The cursor can't be honoured";
    /// It may have happened or not.
    PublishUnknown = "publish.unknown", 503, None, "Whether it was published is not known";
    /// The store can't answer or can't write.
    StoreUnavailable = "store.unavailable", 503, None, "The store can't answer";
    /// The disk is full.
    StoreFull = "store.full", 507, None, "The disk is full";
    /// Our mistake.
    Internal = "internal", 500, None, "Internal error";
    /// Not a frame of this protocol.
    FrameMalformed = "frame.malformed", 400, Some(close::MALFORMED), "Malformed frame";
    /// A binary message.
    FrameBinary = "frame.binary", 400, Some(close::BINARY), "Binary frames are not accepted";
    /// A frame or message over the limit.
    FrameTooLarge = "frame.too_large", 413, Some(close::TOO_LARGE), "Frame too large";
    /// No `hello` within its time.
    HelloLate = "hello.late", 408, Some(close::HELLO_LATE), "No hello in time";
    /// A frame that needs an identity came before `hello`.
    HelloMissing = "hello.missing", 401, Some(close::IDENTITY), "The first frame is hello";
    /// The address has as many connections as it may.
    AddressConnections = "limit.connections_ip", 429, Some(close::LIMIT), "Too many connections of this address";
    /// The principal has.
    PrincipalConnections = "limit.connections_principal", 429, Some(close::LIMIT), "Too many connections of this principal";
    /// The tenant has, in this env.
    TenantConnections = "limit.connections_tenant", 429, Some(close::LIMIT), "Too many connections of this tenant";
    /// The hub has.
    AllConnections = "limit.connections", 503, Some(close::LIMIT), "Too many connections";
    /// The principal has as many bytes of bodies in hand as they may.
    PrincipalBodies = "limit.body_bytes_principal", 429, None, "Too many bytes of bodies of this principal";
    /// The hub has.
    AllBodies = "limit.body_bytes", 503, None, "Too many bytes of bodies";
    /// The tenant has as many keys, or as much said of its principals, as it may in an env.
    AuthorityLimit = "limit.authority", 429, None, "As many of these as there may be";
    /// More of it in 60 s than there may be.
    RateLimited = "rate.limited", 429, None, "Too often";
    /// The address has shown as many tokens as it may that are not accepted.
    BadTokens = "limit.bad_tokens", 429, Some(close::LIMIT), "Too many tokens that are not accepted";
    /// Another stream of the same token goes on in its place.
    Replaced = "session.replaced", 409, Some(close::REPLACED), "Another stream took over";
    /// Somebody who may do so ended the session.
    SessionEnded = "session.ended", 403, Some(close::FORBIDDEN), "The session was ended";
    /// The session has as many topics as it may.
    TopicLimit = "session.topics", 429, None, "Too many topics in one session";
    /// The session has sent more messages in a second than it may.
    SessionRate = "session.rate", 429, None, "Too many messages in one session";
    /// The session is subscribed to this topic.
    SubscribedAlready = "session.subscribed", 409, None, "Subscribed already";
    /// The session is not subscribed to this topic.
    NotSubscribed = "session.not_subscribed", 409, None, "Not subscribed";
}

/// Longest sentence of a refusal, in bytes.
pub const DETAIL_BYTES_MAX: usize = 1024;

/// A refusal: what is refused, and a sentence for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", code.as_str())]
pub struct Refusal {
    /// Which.
    pub code: Code,
    /// What the caller can do about it. Never an internal text.
    pub detail: Cow<'static, str>,
    /// Members of the answer beside the code and the detail (RFC 9457, section 3.2): `head`, `line`.
    pub more: Option<Box<serde_json::Map<String, serde_json::Value>>>,
}

impl Refusal {
    /// A refusal with a sentence for the caller.
    ///
    /// Of a sentence that repeats what was sent, as parsers do with a name that they do not know, the beginning is kept: at most
    /// [`DETAIL_BYTES_MAX`], and no token, wherever the caller put one.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut detail = detail.into();
        if detail.len() > DETAIL_BYTES_MAX {
            let end = detail.floor_char_boundary(DETAIL_BYTES_MAX - "…".len());
            detail = format!("{}…", &detail[..end]).into();
        }
        let detail = match detail {
            Cow::Borrowed(own) => Cow::Borrowed(own),
            said @ Cow::Owned(_) => without_tokens(said),
        };
        Self { code, detail, more: None }
    }

    /// The same with one more member in the answer.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<serde_json::Value>) -> Self {
        self.more.get_or_insert_default().insert(member.to_owned(), value.into());
        self
    }

    /// The answer when the store has no room for what is asked for.
    #[must_use]
    pub fn store_full() -> Self {
        Self::new(
            Code::StoreFull,
            "the store is full; nothing was written. Deleting threads makes room; whoever runs the hub raises \
             store.file_bytes_max, which is read again at SIGHUP, or makes room on the disk",
        )
    }

    /// The answer for a topic that is unknown, and for one that the caller may not know of:
    /// byte for byte the same.
    #[must_use]
    pub fn topic_unknown() -> Self {
        Self::new(
            Code::TopicUnknown,
            "there is no such topic in this tenant and env; topics are created, never implied",
        )
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::new(code, code.title())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_short_whatever_it_repeats() {
        let of = |text: &str| Refusal::new(Code::BodyInvalid, text.to_owned()).detail;
        let longest = "é".repeat(DETAIL_BYTES_MAX / 2);
        assert_eq!(of(&longest), longest);
        let cut = of(&(longest + "x"));
        assert!(cut.ends_with("é…") && (DETAIL_BYTES_MAX - 3..=DETAIL_BYTES_MAX).contains(&cut.len()), "{}", cut.len());
    }
}
