//! The hub: put together from its rooms, as a value with addresses that runs until it is told to stop.
//!
//! `tambour serve` and the tests build the same value. Nothing here decides anything about a request.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Actor as _;
use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_server::{Server, ServerHandle};
use actix_service::{ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use tambour_actors::directory::{self, Directory, Seat};
use tambour_actors::log::appender::Appender;
use tambour_actors::log::{EventLog, Topics, Unavailable};
use tambour_actors::outlet::worker::Worker;
use tambour_actors::outlet::{self};
use tambour_actors::topic::messages::ToOutlet;
use tambour_actors::topic::now_ms;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::admission::leases::Leases;
use crate::admission::rates::Rates;
use crate::admission::standing::Standing;
use crate::admission::terms::Terms;
use crate::admission::{Gatekeeper, Ground};
use crate::config::token_store::TokenStore;
use crate::config::{Settings, Tokens};
use crate::control::stats::samples::Samples;
use crate::identity::jwt::JwtVerifier;
use crate::identity::stream_tokens::StreamTokens;
use crate::problem;
use crate::reload::{Reloader, room, sleep_after_ms, topic_limits};
use crate::retention;
use crate::routes::{OfPath, ROUTES};
use crate::store::redis::RedisTokens;
use crate::store::sqlite::{OpenError, SqliteStore, StoreSettings};
use crate::telemetry;
use crate::transport::Station;
use crate::transport::console::sign_in::Served;
use crate::transport::cors;
use crate::transport::socket::{Stream, Tap, close_behind};
use crate::transport::sse::spare_event_sources;
use crate::transport::tls::{self, Certificates, TlsError};

/// How many connections the kernel keeps for us before they are accepted.
const BACKLOG: i32 = 4_096;
/// Clients of a draining hub come back spread over this time.
const RECONNECT_SPREAD_MS: u64 = 5_000;
/// How long a body is read past that was refused unread. A socket that is closed with bytes unread resets its
/// connection, and the refusal is lost on its way: a proxy says 502 in its place.
const LINGER: Duration = Duration::from_secs(5);
/// How often a directory looks for topics that nobody used, and the hub for keys that are to be fetched again.
const SWEEP: Duration = Duration::from_secs(1);

/// Why a hub can't start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// What is said of identities can't be read.
    #[error("what the store says of identities can't be read: {0}")]
    Standing(#[from] Unavailable),
    /// An address.
    #[error("can't listen on {addr}: {source}; name another with {setting}")]
    Listen {
        /// Which.
        addr: SocketAddr,
        /// The setting that names it.
        setting: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Where stream tokens are to be kept.
    #[error("{0}")]
    Tokens(String),
    /// The server's threads.
    #[error("the server can't start: {0}")]
    Server(#[from] std::io::Error),
}

/// A hub that listens.
pub struct Hub {
    at: Served,
    admin_addr: SocketAddr,
    handle: ServerHandle,
    served: JoinHandle<std::io::Result<()>>,
    ground: Arc<Ground>,
    certificates: Option<Arc<Certificates>>,
}

impl Hub {
    /// Opens the store, starts the workers and listens. Must be called in an actix system. What comes `first` is done
    /// before anybody is served.
    ///
    /// # Errors
    /// What keeps the hub from starting, in words for its operator.
    pub async fn build(
        settings: Settings,
        verifier: JwtVerifier,
        first: impl AsyncFnOnce(&SqliteStore),
    ) -> Result<Self, BuildError> {
        let certificates = Certificates::load(&settings.tls)?;
        let listener = listen(settings.http.listen, "--listen (http.listen)")?;
        let admin = listen(settings.http.admin_listen, "--admin-listen (http.admin_listen)")?;
        let (addr, admin_addr) = (listener.local_addr()?, admin.local_addr()?);
        let store = SqliteStore::open(
            &settings.store.data_dir,
            &StoreSettings {
                readers: settings.store.readers,
                mmap_bytes: settings.store.mmap_bytes,
                room: room(&settings),
                ..StoreSettings::default()
            },
        )?;
        first(&store).await;
        let workers = match settings.http.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let log: Arc<dyn EventLog> = Arc::new(store.clone());
        let topics: Arc<dyn Topics> = Arc::new(store.clone());
        let directory = Directory::new(directory::Ground {
            log: log.clone(),
            topics,
            feeds: Some(Arc::new(store.clone())),
            limits: topic_limits(&settings),
            sleep_after_ms: sleep_after_ms(&settings),
            workers,
        });
        let shutdown_seconds = settings.http.shutdown_seconds;
        let standing = Standing::of(store.standing().await?, now_ms());
        let leases =
            Leases::new(token_store(&settings.tokens, &store)?, Duration::from_secs(settings.tokens.keep_seconds));
        let terms = Terms::new(settings, verifier);
        let ground = Arc::new(Ground::new(terms, directory.clone(), store, standing, leases));
        let at = Served { addr, scheme: if certificates.is_some() { "https" } else { "http" } };
        let samples: web::Data<Samples> = Arc::new(Samples::new(ground.clone())).into();
        let server = {
            let (ground, admin_ground, admin_samples) = (ground.clone(), ground.clone(), samples.clone());
            let certificates = certificates.clone();
            let metrics = telemetry::install_metrics();
            Server::build()
                .workers(workers)
                .disable_signals()
                .shutdown_timeout(shutdown_seconds.min(5))
                .listen("clients", listener, move || {
                    let station = station(&ground, log.clone());
                    clients(&ground, station, (at, samples.clone()), certificates.clone())
                })?
                .listen("admin", admin, move || {
                    let (ground, samples, metrics) = (admin_ground.clone(), admin_samples.clone(), metrics.clone());
                    let scrape = move || {
                        let (ground, samples, metrics) = (ground.clone(), samples.clone(), metrics.clone());
                        async move { telemetry::exposition(&metrics, &ground, &*samples.latest().await) }
                    };
                    let app = App::new()
                        .route("/metrics", web::get().to(scrape))
                        .route("/healthz", web::get().to(crate::transport::health::healthz));
                    HttpService::build().h1(map_config(app, |()| AppConfig::default())).tcp()
                })?
                .run()
        };
        // The workers start when the server is polled.
        let handle = server.handle();
        let served = actix_rt::spawn(server);
        while !directory.complete() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if let Some(certificates) = certificates.clone() {
            // This thread serves nobody, so that a slow disk holds nobody up. It ends with the hub's system.
            actix_rt::spawn(certificates.watch(Duration::from_secs(ground.terms().settings.tls.reload_seconds)));
        }
        actix_rt::spawn(retention::run(ground.clone()));
        actix_rt::spawn(ground.leases.clone().run());
        actix_rt::spawn(ground.clone().end_tokens());
        actix_rt::spawn(keep_keys(ground.clone()));
        actix_rt::spawn(forget_rates(ground.clone()));
        Ok(Self { at, admin_addr, handle, served, ground, certificates })
    }

    /// Where clients connect.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.at.addr
    }

    /// Where and how it is served.
    #[must_use]
    pub fn at(&self) -> Served {
        self.at
    }

    /// Where `/metrics` is.
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// What gives this hub other settings while it runs.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        Reloader::new(self.ground.clone(), self.certificates.clone())
    }

    /// The certificate of the client address, where it speaks TLS.
    #[must_use]
    pub fn certificates(&self) -> Option<&Arc<Certificates>> {
        self.certificates.as_ref()
    }

    /// Runs until `shutdown`, then drains: nothing new is admitted, every stream is told to come back,
    /// writes in flight finish.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> std::io::Result<()> {
        let Self { handle, served, ground, .. } = self;
        let permits = &ground.permits;
        shutdown.await;
        ground.draining.begin();
        tracing::info!(sessions = permits.held(), "draining");
        ground.directory.outlets().send_all(|| ToOutlet::Drain { spread_ms: RECONNECT_SPREAD_MS });
        let most = Duration::from_secs(ground.terms().settings.http.shutdown_seconds.saturating_sub(5).max(1));
        let gone = async {
            while permits.held() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(most, gone).await.is_err() {
            tracing::warn!(sessions = permits.held(), "some clients did not take their goodbye");
        }
        // The same URLs go on where the hub is next.
        ground.leases.give_back().await;
        ground.directory.close();
        handle.stop(true).await;
        let served = served.await.unwrap_or(Ok(()));
        ground.store.close();
        served
    }
}

/// Where stream tokens are kept.
fn token_store(settings: &Tokens, store: &SqliteStore) -> Result<Arc<dyn StreamTokens>, BuildError> {
    match (settings.store, &settings.redis_url) {
        (TokenStore::Embedded, _) => Ok(Arc::new(store.clone())),
        (TokenStore::Redis, Some(url)) => Ok(Arc::new(RedisTokens::new(url.expose()).map_err(BuildError::Tokens)?)),
        (TokenStore::Redis, None) => {
            Err(BuildError::Tokens("tokens.store is redis, and tokens.redis_url is not set".to_owned()))
        }
    }
}

/// Has the keys of issuers fetched when it is time, for as long as the hub's system lives.
async fn keep_keys(ground: Arc<Ground>) {
    loop {
        ground.terms().verifier.refresh(Instant::now());
        tokio::time::sleep(SWEEP).await;
    }
}

/// Forgets what was counted against rates long enough ago, for as long as the hub's system lives.
async fn forget_rates(ground: Arc<Ground>) {
    loop {
        tokio::time::sleep(Rates::SWEEP).await;
        ground.terms().rates.sweep();
    }
}

fn listen(addr: SocketAddr, setting: &'static str) -> Result<TcpListener, BuildError> {
    let open = || {
        let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from(socket))
    };
    open().map_err(|source| BuildError::Listen { addr, setting, source })
}

/// Starts what lives on one worker's thread, and seats it.
fn station(ground: &Arc<Ground>, log: Arc<dyn EventLog>) -> Rc<Station> {
    let directory = &ground.directory;
    let worker = directory.seat_next(|index| {
        let worker = Worker::new(index, directory.clone());
        outlet::start(&worker);
        (Seat { arbiter: actix_rt::Arbiter::current(), appender: Appender::new(log).start() }, worker)
    });
    let (sweeper, index) = (directory.clone(), worker.index);
    actix_rt::spawn(async move {
        loop {
            tokio::time::sleep(SWEEP).await;
            sweeper.sweep(index);
        }
    });
    let gate = Rc::new(Gatekeeper(ground.clone()));
    Rc::new(Station { worker, gate, ground: ground.clone() })
}

/// The HTTP service of one worker, over sockets that sessions can take over.
fn clients(
    ground: &Arc<Ground>,
    station: Rc<Station>,
    (at, samples): (Served, web::Data<Samples>),
    certificates: Option<Arc<Certificates>>,
) -> impl actix_service::ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()> + use<>
{
    let terms = ground.terms();
    let settings = &terms.settings.http;
    let body_bytes_max = settings.body_bytes_max;
    let app = App::new()
        .wrap(from_fn(spare_event_sources))
        .wrap(from_fn(problem::render))
        .wrap(from_fn(cors::share))
        .wrap(from_fn(close_behind))
        .app_data(ground.clone())
        .app_data(station)
        .app_data(at)
        .app_data(samples)
        .configure(|config| problem::extractors(config, body_bytes_max))
        .configure(resources)
        .default_service(problem::route_unknown());
    let http = HttpService::build()
        .keep_alive(Duration::from_secs(settings.keep_alive_seconds))
        .client_request_timeout(Duration::from_millis(settings.request_timeout_ms))
        .client_disconnect_timeout(LINGER)
        .on_connect_ext(|tap: &Tap, connection| {
            connection.insert(tap.take_over());
        })
        .h1(map_config(app, |()| AppConfig::default()));
    let within = Duration::from_millis(settings.request_timeout_ms);
    fn_service(move |socket: TcpStream| {
        let config = certificates.as_ref().map(|certificates| certificates.config());
        async move {
            let peer = socket.peer_addr().ok();
            let stream = match config {
                None => Stream::Plain(socket),
                Some(config) => {
                    let accepted = tls::accept(socket, config, within).await;
                    Stream::Tls(Box::new(accepted.map_err(DispatchError::Io)?))
                }
            };
            Ok::<_, DispatchError>((Tap::new(stream), peer))
        }
    })
    .and_then(http)
}

/// Registers the table of routes: one resource for each path, 405 for methods that it does not have.
fn resources(config: &mut web::ServiceConfig) {
    let mut paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
    paths.dedup();
    for path in paths {
        let mut resource = web::resource(path).app_data(OfPath(path));
        let mut methods = Vec::new();
        for route in ROUTES.iter().filter(|route| route.path == path) {
            methods.extend(route.methods().iter().map(ToString::to_string));
            resource = resource.route((route.route)());
        }
        let allow: &'static str = methods.join(", ").leak();
        resource = resource.route(cors::preflight(allow));
        config.service(resource.default_service(problem::method_not_allowed(allow)));
    }
}
