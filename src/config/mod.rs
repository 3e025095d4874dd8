//! Settings: one typed value, laid down in layers: defaults, a TOML file, variables
//! `TAMBOUR__SECTION__KEY`, flags. A setting has one name everywhere.
//!
//! The table below is the only place that knows a setting: its type, default, limits, words, and
//! what a reload does with it. The commented file in `config/` and the page in `docs/` are checked against it.
//! This file never reads a file, a variable or a clock: [`layers`] does the reading.

pub mod claim;
pub mod issuers;
pub mod key;
pub mod key_url;
pub mod layers;
pub mod network;
pub mod print;
pub mod rates;
pub mod reload;
mod roles;
pub mod token_store;
pub mod value;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;

use tambour_actors::principal::Permission;
use tambour_actors::topic_key::{Env, Tenant};

use claim::ClaimPath;
pub use key::Key;
use key_url::KeyUrl;
use layers::{Layers, SettingsError};
use network::Network;
use rates::ActionRate;
pub use reload::{Change, Reload};
use token_store::{RedisUrl, TokenStore};
use value::{Accepts, Algorithm, LogFilter, LogFormat, Secret, Setting, WebOrigin};

macro_rules! settings {
    ($($(#[doc = $section_doc:literal])+ $section:ident: $Section:ident {
        $($(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr, $accepts:expr, $reload:ident;)+
    })+) => {
        $($(#[doc = $section_doc])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $Section { $($(#[doc = $doc])+ pub $key: $type),+ })+

        /// Everything that can be set.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Settings {
            /// Refuse what is only good for development: the development secret, keys that
            /// do not say which envs they are good for.
            pub production: bool,
            $($(#[doc = $section_doc])+ pub $section: $Section),+
        }

        /// Every setting, in the order of the file.
        pub const KEYS: &[Key] = &[
            Key {
                name: "production",
                words: &[
                    " Refuse what is only good for development: the development secret, keys that",
                    " do not say which envs they are good for.",
                ],
                accepts: || bool::describe(&Accepts::Any),
                default: || false.to_toml(),
                reload: Reload::Restart,
            },
            $($(Key {
                name: concat!(stringify!($section), ".", stringify!($key)),
                words: &[$($doc),+],
                accepts: || <$type as Setting>::describe(&$accepts),
                default: || { let default: $type = $default; default.to_toml() },
                reload: Reload::$reload,
            }),+),+
        ];

        /// The words of each section, in the order of the file.
        pub const SECTIONS: &[(&str, &[&str])] = &[$((stringify!($section), &[$($section_doc),+])),+];

        impl Settings {
            /// Takes every setting from the uppermost layer that has it, and checks it.
            ///
            /// # Errors
            /// The first value that is of the wrong type or out of its range, with its origin.
            pub fn resolve(layers: &Layers) -> Result<Self, SettingsError> {
                Ok(Self {
                    production: layers.get("production", || false, &Accepts::Any)?,
                    $($section: $Section { $($key: layers.get(
                        concat!(stringify!($section), ".", stringify!($key)), || $default, &$accepts,
                    )?),+ }),+
                })
            }

            /// These settings as a hub that runs with others can have them: what needs a restart stays as it
            /// is. Everything that differs is told, both kinds.
            #[must_use]
            pub fn over(mut self, running: &Self) -> (Self, Vec<Change>) {
                let mut changes = Vec::new();
                changes.extend(Change::of("production", Reload::Restart, &running.production, &mut self.production));
                $($(changes.extend(Change::of(
                    concat!(stringify!($section), ".", stringify!($key)),
                    Reload::$reload,
                    &running.$section.$key,
                    &mut self.$section.$key,
                ));)+)+
                (self, changes)
            }

            /// Every setting's name and value as TOML; `None` where it is not set.
            #[must_use]
            pub fn values(&self) -> Vec<(&'static str, Option<toml::Value>)> {
                vec![
                    ("production", self.production.to_toml()),
                    $($((concat!(stringify!($section), ".", stringify!($key)), self.$section.$key.to_toml())),+),+
                ]
            }
        }
    };
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const DAY_SECONDS: u64 = 86_400;
/// More than any disk holds.
const BYTES_MAX: u64 = 1024 * 1024 * 1024 * MIB;
/// More than any log has.
const COUNT_MAX: u64 = 1_000_000_000_000_000;

/// Longest TTL of a stream token that can be allowed.
pub const TOKEN_TTL_SECONDS_MAX: u64 = 300;

/// Numbers from the first to the second, both included.
const fn range(min: u64, max: u64) -> Accepts {
    Accepts::Range(min, max)
}

settings! {
    /// The HTTP side: addresses, workers, what a request may be.
    http: Http {
        /// Address and port that clients connect to. Port 0 takes a free one.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)), Accepts::Any, Restart;
        /// Address and port of `/metrics`. Keep it off the public network: it asks for no token.
        admin_listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 9464)), Accepts::Any, Restart;
        /// Worker threads; 0 takes one per core. A topic lives on one of them.
        workers: usize = 0, range(0, 256), Restart;
        /// Origins whose pages may use the hub, as a browser sends them: `https://chat.example`.
        /// With none, only pages of the hub's own host may. Requests without an `Origin` always pass.
        allowed_origins: Vec<WebOrigin> = Vec::new(), Accepts::Any, Live;
        /// Proxies whose `X-Forwarded-For` is believed where connections of an address are counted. Of
        /// anybody else it is not looked at.
        trusted_proxies: Vec<Network> = Vec::new(), Accepts::Any, Live;
        /// Largest body of a request, in bytes.
        body_bytes_max: usize = 8 * 1024 * 1024, range(KIB, 64 * MIB), Live;
        /// Time a client has to send the head of a request, in milliseconds.
        request_timeout_ms: u64 = 5_000, range(100, 120_000), Restart;
        /// Time a client has to send the body of a request, in milliseconds; then 408 `body.late`.
        body_timeout_ms: u64 = 30_000, range(100, 600_000), Live;
        /// How long nothing may come of an NDJSON body, in seconds; then 408 `body.late`. All of it may take as long as it
        /// takes.
        ndjson_idle_seconds: u64 = 300, range(1, 3_600), Live;
        /// How long an idle HTTP connection is kept for the next request, in seconds.
        keep_alive_seconds: u64 = 75, range(1, 3_600), Restart;
        /// How long a drain may take before the process exits, in seconds.
        shutdown_seconds: u64 = 15, range(1, 300), Restart;
    }
    /// TLS on the client address: with both files https and wss, without them http and ws.
    tls: Tls {
        /// A PEM file with the hub's certificate, and behind it those that certify it.
        cert_file: Option<PathBuf> = None, Accepts::Any, Restart;
        /// A PEM file with the key of that certificate, not encrypted.
        key_file: Option<PathBuf> = None, Accepts::Any, Restart;
        /// How often both files are looked at, in seconds. A pair that changed is for new connections.
        reload_seconds: u64 = 2, range(1, DAY_SECONDS), Restart;
    }
    /// What is on disk.
    store: Store {
        /// The data directory; made when it is missing. One hub per directory.
        data_dir: PathBuf = PathBuf::from("./data"), Accepts::Any, Restart;
        /// Connections that read the log beside the one that writes.
        readers: usize = 2, range(1, 64), Restart;
        /// Bytes of the database that a reader maps into memory; 0 maps nothing.
        mmap_bytes: u64 = 0, range(0, 1_099_511_627_776), Restart;
        /// Largest database file, in bytes; 0 takes what the disk holds. When it is full, writers get 507
        /// `store.full` and readers go on. The write-ahead log beside it is not part of it.
        file_bytes_max: u64 = 0, range(0, 17_592_186_040_320), Live;
        /// Bytes that the file may grow further, behind 256 KiB for deletes, by stopping whoever fills it: suspending,
        /// revoking, the kill switch, what admins take away. Without `file_bytes_max` there is no reserve.
        reserve_bytes: u64 = 16 * 1024 * 1024, range(1_048_576, 1_099_511_627_776), Live;
    }
    /// Which events are kept: all, or in each topic the newest. The newest one always is.
    retention: Retention {
        /// How often it is looked for events that are kept no longer, in seconds.
        every_seconds: u64 = 60, range(1, DAY_SECONDS), Live;
        /// Most events of a thread; 0 is no limit.
        thread_count_max: u64 = 0, range(0, COUNT_MAX), Live;
        /// How long events of a thread are kept, in seconds; 0 is no limit.
        thread_age_seconds: u64 = 0, range(0, 100 * 366 * DAY_SECONDS), Live;
        /// Most bytes of events of a thread: of their types, data, routing and meta; 0 is no limit.
        thread_bytes_max: u64 = 0, range(0, BYTES_MAX), Live;
        /// Most events of a canvas; 0 is no limit.
        canvas_count_max: u64 = 0, range(0, COUNT_MAX), Live;
        /// How long events of a canvas are kept, in seconds; 0 is no limit.
        canvas_age_seconds: u64 = 0, range(0, 100 * 366 * DAY_SECONDS), Live;
        /// Most bytes of events of a canvas, counted as those of a thread; 0 is no limit.
        canvas_bytes_max: u64 = 0, range(0, BYTES_MAX), Live;
    }
    /// Who is believed: the key that verifies tokens, and what a token must say.
    auth: Auth {
        /// The one algorithm that tokens are signed with. A token never chooses it.
        algorithm: Algorithm = Algorithm::default(), Accepts::Any, Live;
        /// The secret of HS256, HS384 or HS512: at least 32 bytes. Better from a variable or a file.
        secret: Option<Secret> = None, Accepts::Any, Live;
        /// A file with that secret; white space around it is not part of it.
        secret_file: Option<PathBuf> = None, Accepts::Any, Live;
        /// A PEM file with the public key of the other algorithms.
        public_key_file: Option<PathBuf> = None, Accepts::Any, Live;
        /// A JWKS file with public keys, of which a token's `kid` names one. Needs `auth.issuer`.
        jwks_file: Option<PathBuf> = None, Accepts::Any, Live;
        /// Where the issuer publishes its JWKS. Needs `auth.issuer`. Fetched without redirects or a proxy; keys that were
        /// fetched stay while it can't be reached.
        jwks_url: Option<KeyUrl> = None, Accepts::Any, Live;
        /// A PEM file with the authority that the certificate of `auth.jwks_url` is signed by; else those that this machine
        /// trusts.
        jwks_ca_file: Option<PathBuf> = None, Accepts::Any, Live;
        /// How often a JWKS is fetched again, in seconds; besides, when a token names a key that is not known, at most once a
        /// minute.
        jwks_refresh_seconds: u64 = 300, range(1, DAY_SECONDS), Live;
        /// A TOML file with more issuers, each with its key, and the tenants it may speak for.
        issuers_file: Option<PathBuf> = None, Accepts::Any, Live;
        /// What `iss` must be; a token without it is refused. Not set: `iss` is not looked at.
        issuer: Option<String> = None, Accepts::Any, Live;
        /// What `aud` must be or contain; a token without it is refused. Not set: a token that
        /// has an `aud` was made for somebody else and is refused.
        audience: Option<String> = None, Accepts::Any, Live;
        /// The envs that the key is good for. None: what the token's `envs` says, and without that all.
        envs: Vec<Env> = Vec::new(), Accepts::Any, Live;
        /// Refuse tokens without an `envs` claim. In production either this or `auth.envs` is needed.
        envs_claim_required: bool = false, Accepts::Any, Live;
        /// How far clocks may differ where `exp` and `nbf` are checked, in seconds.
        leeway_seconds: u64 = 30, range(0, 300), Live;
        /// Where a token says whom it is about.
        claim_sub: ClaimPath = ClaimPath::named("sub"), Accepts::Any, Live;
        /// Where it says their address.
        claim_email: ClaimPath = ClaimPath::named("email"), Accepts::Any, Live;
        /// Where it says its tenants: a list, or one as a text.
        claim_tenant_ids: ClaimPath = ClaimPath::named("tenant_ids"), Accepts::Any, Live;
        /// Where it says the role: an object by tenant, or a role or a list of roles (the highest counts) for all of them.
        claim_role_map: ClaimPath = ClaimPath::named("role_map"), Accepts::Any, Live;
        /// Where it says permission keys: an object by tenant, or a list for all of them.
        claim_permissions: ClaimPath = ClaimPath::named("permissions"), Accepts::Any, Live;
        /// Where it says its envs: a list, or one as a text.
        claim_envs: ClaimPath = ClaimPath::named("envs"), Accepts::Any, Live;
        /// Let stream requests take the token, tenant and env from the query. URLs end up in logs.
        allow_jwt_in_query: bool = false, Accepts::Any, Live;
    }
    /// Roles: which permission keys each has. Owners and admins have every one.
    roles: Roles {
        /// Of a viewer.
        viewer: Vec<Permission> = vec![Permission::ThreadsRead, Permission::CanvasesRead, Permission::FeedRead], Accepts::Any, Live;
        /// Of a member.
        member: Vec<Permission> = vec![
            Permission::ThreadsRead,
            Permission::ThreadsWrite,
            Permission::CanvasesRead,
            Permission::CanvasesWrite,
            Permission::FeedRead,
        ], Accepts::Any, Live;
    }
    /// Service keys.
    keys: Keys {
        /// How long the token that a key had before it was rotated is good still, in seconds.
        rotation_grace_seconds: u64 = 3_600, range(0, 30 * DAY_SECONDS), Live;
    }
    /// Stream tokens: what opens a stream by its URL alone, for a short time.
    tokens: Tokens {
        /// Where they are kept: `embedded`, in the data directory, or `redis`, where several hubs share them.
        store: TokenStore = TokenStore::Embedded, Accepts::Any, Restart;
        /// The Redis: `redis://user:password@host:6379/0`. Better from a variable.
        redis_url: Option<RedisUrl> = None, Accepts::Any, Restart;
        /// How long a token lives that no stream holds, in seconds, where its maker does not say.
        ttl_seconds: u64 = 60, range(1, TOKEN_TTL_SECONDS_MAX), Live;
        /// How long one may be asked to live, in seconds.
        ttl_seconds_max: u64 = TOKEN_TTL_SECONDS_MAX, range(1, TOKEN_TTL_SECONDS_MAX), Live;
        /// Tokens of one parent that were made and never opened; above it 429 `token.outstanding`.
        outstanding_max: usize = 10, range(1, 10_000), Live;
        /// The same of all that a service key made for people whom it signs in, each of whom has as many as a parent.
        outstanding_per_key_max: usize = 1_000, range(1, 1_000_000), Live;
        /// How long a token lives at most, whatever holds it, in seconds. It never outlives its parent.
        life_max_seconds: u64 = 43_200, range(1, 30 * DAY_SECONDS), Live;
        /// How often the store is told which tokens live, in seconds.
        keep_seconds: u64 = 5, range(1, 60), Restart;
    }
    /// Topics: what each keeps in memory and how much may wait.
    topic: Topic {
        /// Newest events that a topic keeps encoded in memory.
        tail_events: usize = 256, range(1, 65_536), Live;
        /// Most bytes of them; whichever limit is met first counts.
        tail_bytes: usize = 1024 * 1024, range(64 * KIB, 256 * MIB), Live;
        /// Bytes that may wait for the disk in one topic; then publishers get 503 `topic.busy`.
        backlog_bytes: usize = 4 * 1024 * 1024, range(64 * KIB, 256 * MIB), Live;
        /// Bytes that go to a worker's sessions in one delivery.
        delivery_bytes: usize = 256 * 1024, range(KIB, 16 * MIB), Live;
        /// How long a topic stays in memory without a reader or writer, in seconds.
        sleep_after_seconds: u64 = 300, range(1, DAY_SECONDS), Live;
    }
    /// Sessions: one per WebSocket or SSE connection.
    session: Session {
        /// Largest WebSocket message from a client, in bytes.
        frame_bytes_max: usize = 256 * 1024, range(KIB, 16 * MIB), Live;
        /// Topics that one session may subscribe to.
        topics_max: usize = 128, range(1, 4_096), Live;
        /// Publishes of one session that may be unanswered; then it is not read from.
        publishes_in_flight_max: usize = 64, range(1, 4_096), Live;
        /// Time until `hello` must have come, in milliseconds.
        hello_timeout_ms: u64 = 5_000, range(100, 60_000), Live;
        /// Between two WebSocket pings, in seconds. Two without a sign of life end the session.
        ws_ping_seconds: u64 = 25, range(1, 3_600), Live;
        /// Between two SSE comments, in seconds.
        sse_comment_seconds: u64 = 10, range(1, 3_600), Live;
        /// How long a reader may accept nothing before it is cut, in seconds.
        stall_seconds: u64 = 30, range(1, 3_600), Live;
        /// Messages that a client may send in a second, on average, and at once; above it `session.rate`. 0 is no limit.
        messages_per_second: u64 = 50, range(0, 1_000_000), Live;
        /// What SSE clients are told to wait before they reconnect, in milliseconds.
        sse_retry_ms: u64 = 2_000, range(100, 3_600_000), Live;
        /// How long before its token's expiry a session is told, in seconds.
        expiry_warning_seconds: u64 = 60, range(0, 3_600), Live;
    }
    /// How many connections there may be at once: sessions over WebSocket and SSE, long polls, and NDJSON uploads; and how
    /// much of bodies in hand.
    limits: Limits {
        /// Of one IPv4 address, or one /64 of IPv6; above it 429 `limit.connections_ip`.
        connections_per_ip_max: usize = 1_000, range(1, 10_000_000), Live;
        /// Of one principal; above it 429 `limit.connections_principal`.
        connections_per_principal_max: usize = 50, range(1, 10_000_000), Live;
        /// Of one tenant in one env; above it 429 `limit.connections_tenant`.
        connections_per_tenant_max: usize = 10_000, range(1, 10_000_000), Live;
        /// Of the whole hub; above it 503 `limit.connections`.
        connections_max: usize = 100_000, range(1, 10_000_000), Live;
        /// Bytes of bodies in hand at once, of one principal; above it 429 `limit.body_bytes_principal`.
        held_body_bytes_per_principal_max: usize = 64 * 1024 * 1024, range(8 * MIB, BYTES_MAX), Live;
        /// Of the whole hub; above it 503 `limit.body_bytes`.
        held_body_bytes_max: usize = 256 * 1024 * 1024, range(8 * MIB, BYTES_MAX), Live;
    }
    /// How often something may be done. Each limit lets as many pass at once as in 60 s, and then one after the other.
    rates: Rates {
        /// Publishes of a principal in 60 s; above it 429 `rate.limited`. A request or a frame is one, whatever is in it. 0 is no
        /// limit.
        publish_per_minute: u64 = 600, range(0, 10_000_000), Live;
        /// Each other action of a tenant in an env in 60 s; above it 429 `rate.limited`. 0 is no limit.
        action_per_minute: u64 = 100, range(0, 10_000_000), Live;
        /// Part of each action's rate that one principal may use, in percent, and at least one; above it 429
        /// `rate.limited`, while others of the tenant go on. 100: all of it.
        principal_share_percent: u64 = 50, range(1, 100), Live;
        /// Actions with a rate of their own in 60 s: `threads.create=20`. 0 is no limit.
        actions: Vec<ActionRate> = Vec::new(), Accepts::Any, Live;
        /// Tokens of an address in 60 s that are not accepted; above it 429 `limit.bad_tokens` in the place of 401. 0 is no limit.
        bad_tokens_per_minute: u64 = 5, range(0, 10_000_000), Live;
    }
    /// The audit: what was done beside publishing, and what was refused to whom.
    audit: Audit {
        /// Refusals of one principal in 60 s that have an entry each; more are counted in the next entry.
        refusals_per_minute: usize = 10, range(1, 1_000), Live;
    }
    /// Live numbers: `/v1/stats`.
    stats: Stats {
        /// Tenants that are told the numbers of the whole hub, too: by those, each tells how much the others do. The tenant of the
        /// demo is, on the development secret.
        operator_tenants: Vec<Tenant> = Vec::new(), Accepts::Any, Live;
    }
    /// Logs, on standard error.
    log: Log {
        /// A level, or levels per module: `info,tambour=debug`.
        level: LogFilter = LogFilter::default(), Accepts::Any, Live;
        /// `pretty`, `json`, or `auto`: pretty on a terminal, else JSON.
        format: LogFormat = LogFormat::Auto, Accepts::Any, Restart;
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::resolve(&Layers::default()).expect("the table's defaults are within its own limits")
    }
}
