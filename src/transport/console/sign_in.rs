//! The console's sign-in at a hub that was started to try it out: a token of the demo's tenant for the page that this hub
//! itself serves to this machine.
//!
//! It signs nobody in whom it can't tell from somebody else's page, and nobody at all where the hub has a key of its own,
//! listens beyond this machine, or stands behind a proxy. The token is in the answer and nowhere else.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use tambour_actors::entry::present;
use tambour_actors::frame::time_text;
use tambour_actors::principal::Role;
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic::now_ms;
use utoipa::ToSchema;

use super::names_this_machine;
use crate::admission::Ground;
use crate::admission::terms::Terms;
use crate::development::{self, DEMO_ENV, DEMO_TENANT};
use crate::identity::jwt::{KEY_SUB_PREFIX, SUB_BYTES_MAX};
use crate::identity::source::HeaderSource;
use crate::identity::subject::is_sub;
use crate::openapi::shapes;
use crate::problem::Problem;
use crate::transport::body;

/// Largest body, in bytes: a `sub` of which every byte is escaped.
pub const BODY_BYTES_MAX: usize = 2 * 1024;
/// Whom it signs in who says no name.
const SUB_DEFAULT: &str = "ada";
/// The role that it gives: the console shows what admins see.
const ROLE: Role = Role::Admin;
/// How long the token is good, in seconds.
const TTL_SECONDS: u64 = 3_600;
/// What proxies add to requests. One of these: who asks is not who is connected.
const OF_PROXIES: [&str; 11] = [
    "cf-connecting-ip",
    "forwarded",
    "true-client-ip",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-real-ip",
];

/// Where and how the hub is served.
#[derive(Debug, Clone, Copy)]
pub struct Served {
    /// The client address, as it is bound.
    pub addr: SocketAddr,
    /// `http`, or `https` where the hub has a certificate.
    pub scheme: &'static str,
}

impl Served {
    /// Whether only this machine reaches it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        is_loopback(self.addr.ip())
    }
}

/// Somebody wants to be signed in: all that it depends on.
struct Asked<'a, H: ?Sized> {
    /// The hub is on its development secret, and not in production.
    is_development: bool,
    served: Served,
    /// Who is connected.
    peer: Option<IpAddr>,
    headers: &'a H,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// A token.
    SignIn,
    /// None: the page asks for one.
    AskForToken,
    /// It is not the hub's own page that asks.
    Foreign,
}

impl<H: HeaderSource + ?Sized> Asked<'_, H> {
    /// The rule. Where nobody is signed in there is nothing to refuse, so that comes first.
    fn verdict(&self) -> Verdict {
        let headers = self.headers;
        let is_direct = OF_PROXIES.iter().all(|name| headers.values(name).next().is_none());
        let is_here = self.served.is_local() && self.peer.is_some_and(is_loopback) && names_this_machine(headers);
        if !(self.is_development && is_here && is_direct) {
            return Verdict::AskForToken;
        }
        let (mut origins, mut hosts) = (headers.values("origin"), headers.values("host"));
        let (Some(origin), None, Some(host)) = (origins.next(), origins.next(), hosts.next()) else {
            return Verdict::Foreign;
        };
        // RFC 6454, section 4: the scheme, too. No proxy ends TLS here, so the hub knows its own.
        let own = [self.served.scheme.as_bytes(), b"://", host].concat();
        if origin.eq_ignore_ascii_case(&own) { Verdict::SignIn } else { Verdict::Foreign }
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// The body.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// As whom; left out: `ada`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = shapes::Sub, required = false)]
    sub: Option<String>,
}

/// Who is signed in.
#[derive(Serialize, ToSchema)]
pub struct SignedIn<'a> {
    /// A JWT, good for an hour.
    token: String,
    #[schema(value_type = shapes::Tenant)]
    tenant_id: &'static str,
    #[schema(value_type = shapes::Env)]
    env: &'static str,
    #[schema(value_type = shapes::Sub)]
    sub: &'a str,
    #[schema(value_type = shapes::Role)]
    role: &'static str,
    #[schema(value_type = shapes::Time)]
    expires_at: String,
}

impl SignIn {
    fn sub(&self) -> Result<&str, Refusal> {
        let sub = self.sub.as_deref().unwrap_or(SUB_DEFAULT);
        if is_sub(sub) && !sub.starts_with(KEY_SUB_PREFIX) {
            return Ok(sub);
        }
        let detail = format!("sub has 1 to {SUB_BYTES_MAX} bytes, no control characters, and is not a key's");
        Err(Refusal::new(Code::BodyInvalid, detail))
    }
}

/// `POST /console/sign-in`: a token of the demo's tenant, or 204: the page has to ask for one.
///
/// # Errors
/// `origin.forbidden`, `body.*`.
pub async fn sign_in(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let refused = |refusal| Problem::at(refusal, &request);
    let (ground, served) = (request.app_data::<Arc<Ground>>(), request.app_data::<Served>());
    let (Some(ground), Some(&served)) = (ground, served) else { return Err(refused(Code::Internal.into())) };
    let terms = ground.terms();
    let verdict = verdict(&request, &terms, served);
    if verdict == Verdict::Foreign {
        let detail = "only the page of this hub itself is signed in here, under the name that it was opened by";
        return Err(refused(Refusal::new(Code::OriginForbidden, detail)));
    }
    let asked = asked(&request, payload, &terms).await.map_err(refused)?;
    let sub = asked.sub().map_err(refused)?;
    let secret = terms.settings.auth.secret.as_ref().filter(|_| verdict == Verdict::SignIn);
    let Some(secret) = secret else {
        return Ok(HttpResponse::NoContent().insert_header((header::CACHE_CONTROL, "no-store")).finish());
    };
    let now_ms = now_ms();
    let signed_in = SignedIn {
        token: development::demo_token(secret, &terms.settings.auth, (sub, ROLE, TTL_SECONDS), now_ms),
        tenant_id: DEMO_TENANT,
        env: DEMO_ENV.as_str(),
        sub,
        role: ROLE.as_str(),
        expires_at: time_text((now_ms / 1_000).saturating_add_unsigned(TTL_SECONDS) * 1_000),
    };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(signed_in))
}

fn verdict(request: &HttpRequest, terms: &Terms, served: Served) -> Verdict {
    let headers: &HeaderMap = request.headers();
    let is_development = terms.is_development && !terms.settings.production;
    Asked { is_development, served, peer: request.peer_addr().map(|peer| peer.ip()), headers }.verdict()
}

async fn asked(request: &HttpRequest, payload: web::Payload, terms: &Terms) -> Result<SignIn, Refusal> {
    if body::is_absent(request) {
        return Ok(SignIn::default());
    }
    let within = Duration::from_millis(terms.settings.http.body_timeout_ms);
    body::parse(&body::read_small(request, payload, BODY_BYTES_MAX, within).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: [(&str, &str); 2] = [("host", "localhost:8080"), ("origin", "http://localhost:8080")];

    fn served(addr: &str, scheme: &'static str) -> Served {
        Served { addr: addr.parse().unwrap(), scheme }
    }

    fn here() -> Asked<'static, [(&'static str, &'static str)]> {
        let peer = Some(IpAddr::from([127, 0, 0, 1]));
        Asked { is_development: true, served: served("127.0.0.1:8080", "http"), peer, headers: &PAGE }
    }

    #[test]
    fn where_the_hub_signs_in() {
        use Verdict::{AskForToken, Foreign, SignIn};
        assert_eq!(here().verdict(), SignIn);
        assert_eq!(Asked { is_development: false, ..here() }.verdict(), AskForToken);
        for (addr, scheme, expected) in [
            ("127.9.0.1:1", "http", SignIn),
            ("[::1]:8080", "http", SignIn),
            ("[::ffff:127.0.0.1]:8080", "http", SignIn),
            ("127.0.0.1:8080", "https", Foreign),
            ("0.0.0.0:8080", "http", AskForToken),
            ("[::]:8080", "http", AskForToken),
            ("192.0.2.1:8080", "http", AskForToken),
        ] {
            assert_eq!(Asked { served: served(addr, scheme), ..here() }.verdict(), expected, "{addr} {scheme}");
        }
        for (peer, expected) in [
            (Some("::ffff:127.0.0.1"), SignIn),
            (Some("::1"), SignIn),
            (Some("192.0.2.7"), AskForToken),
            (None, AskForToken),
        ] {
            let peer = peer.map(|ip| ip.parse().unwrap());
            assert_eq!(Asked { peer, ..here() }.verdict(), expected, "{peer:?}");
        }
    }

    #[test]
    fn whom_it_signs_in() {
        use Verdict::{AskForToken, Foreign, SignIn};
        #[track_caller]
        fn check(headers: &[(&str, &str)], scheme: &'static str, expected: Verdict) {
            let asked = Asked { served: served("127.0.0.1:8080", scheme), headers, ..here() };
            assert_eq!(asked.verdict(), expected, "{headers:?}");
        }
        fn page<'a>(host: &'a str, origin: &'a str) -> [(&'static str, &'a str); 2] {
            [("host", host), ("origin", origin)]
        }
        for (host, origin, scheme) in [
            ("localhost:8080", "http://localhost:8080", "http"),
            ("localhost:8080", "http://LOCALHOST:8080", "http"),
            ("127.0.0.1:9", "http://127.0.0.1:9", "http"),
            ("[::1]:8080", "http://[::1]:8080", "http"),
            ("localhost", "https://localhost", "https"),
        ] {
            check(&page(host, origin), scheme, SignIn);
        }
        for origin in [
            "http://localhost:8081",
            "http://localhost",
            "https://localhost:8080",
            "http://127.0.0.1:8080",
            "http://evil.example",
            "http://localhost:8080.evil.example",
            "http://localhost:8080/",
            "localhost:8080",
            "null",
            "",
        ] {
            check(&page("localhost:8080", origin), "http", Foreign);
        }
        check(&PAGE[..1], "http", Foreign);
        check(&[PAGE[0], PAGE[1], PAGE[1]], "http", Foreign);
        // Names that are not this machine's, whatever page says so.
        for host in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "192.0.2.1:8080", ""] {
            let origin = format!("http://{host}");
            check(&page(host, &origin), "http", AskForToken);
        }
        check(&[PAGE[0], PAGE[0], PAGE[1]], "http", AskForToken);
        check(&PAGE[1..], "http", AskForToken);
        for name in OF_PROXIES {
            check(&[PAGE[0], PAGE[1], (name, "127.0.0.1")], "http", AskForToken);
            check(&[PAGE[0], ("origin", "https://hub.example"), (name, "")], "http", AskForToken);
        }
    }

    #[test]
    fn as_whom() {
        let of = |body: &str| {
            let asked: SignIn = body::parse(body.as_bytes()).map_err(|refusal| refusal.code)?;
            asked.sub().map(str::to_owned).map_err(|refusal| refusal.code)
        };
        assert_eq!(of("{}").as_deref(), Ok("ada"));
        assert_eq!(of(r#"{"sub":"bob|7"}"#).as_deref(), Ok("bob|7"));
        for bad in [
            r#"{"sub":""}"#,
            r#"{"sub":"a\nb"}"#,
            r#"{"sub":"key:1"}"#,
            r#"{"sub":7}"#,
            r#"{"sub":null}"#,
            r#"{"role":"owner"}"#,
            "[]",
            "x",
        ] {
            assert_eq!(of(bad), Err(Code::BodyInvalid), "{bad}");
        }
        let longest = format!(r#"{{"sub":"{}"}}"#, r"\u0061".repeat(SUB_BYTES_MAX));
        assert!(longest.len() <= BODY_BYTES_MAX && of(&longest).is_ok());
        assert_eq!(of(&format!(r#"{{"sub":"{}"}}"#, "a".repeat(SUB_BYTES_MAX + 1))), Err(Code::BodyInvalid));
    }
}
