//! A hub in this process: the value that `tambour serve` runs, on a thread of its own.
//!
//! Every hub has its own directory, port and threads, so tests run side by side.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tambour::config::Settings;
use tambour::config::value::Secret;
use tambour::hub::Hub;
use tambour::identity::jwt::JwtVerifier;
use tambour::reload::Reloader;
use tambour::transport::tls::Certificates;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::WITHIN;
use super::tls;
use super::token::SECRET;

/// A hub that runs until it is dropped.
pub(crate) struct Running {
    addr: SocketAddr,
    reloader: Reloader,
    certificates: Option<Arc<Certificates>>,
    dir: Arc<TempDir>,
    settings: Settings,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// A hub with the defaults.
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// A hub with settings of the test's own.
    pub(crate) fn with(set: impl FnOnce(&mut Settings)) -> Self {
        let dir = Arc::new(TempDir::new().unwrap());
        let mut settings = Settings::default();
        settings.http.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        settings.http.admin_listen = settings.http.listen;
        // More than one, so that topics and their readers live on different threads.
        settings.http.workers = 2;
        settings.http.shutdown_seconds = 6;
        settings.store.data_dir = dir.path().to_owned();
        settings.auth.secret = Some(Secret::new(SECRET));
        unrated(&mut settings);
        set(&mut settings);
        Self::run(dir, settings)
    }

    fn run(dir: Arc<TempDir>, settings: Settings) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, readied) = mpsc::channel();
        let given = settings.clone();
        let thread = std::thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let verifier = JwtVerifier::from_settings(&given).unwrap();
                let hub = Hub::build(given, verifier, async |_| ()).await.unwrap();
                ready.send((hub.addr(), hub.reloader(), hub.certificates().cloned())).unwrap();
                let told = async move {
                    // Dropped or told: both mean to stop.
                    let _ = stopped.await;
                };
                hub.run(told).await.unwrap();
            });
        });
        let (addr, reloader, certificates) = readied.recv_timeout(WITHIN).expect("the hub starts");
        if let Some(file) = &settings.tls.cert_file {
            let certificate = CertificateDer::from_pem_file(file).unwrap();
            tls::speaks(addr, Arc::new(tls::client(&[certificate], rustls::ALL_VERSIONS)));
        }
        Self { addr, reloader, certificates, dir, settings, stop: Some(stop), thread: Some(thread) }
    }

    /// Where clients connect.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Gives it other settings while it runs, and says which of them changed.
    pub(crate) fn reload(&self, set: impl FnOnce(&mut Settings)) -> Vec<&'static str> {
        let mut settings = self.reloader.terms().settings.clone();
        set(&mut settings);
        let changes = self.reloader.reload(settings).unwrap();
        changes.iter().map(|change| change.name).collect()
    }

    /// Its certificate, if it speaks TLS.
    pub(crate) fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_deref()
    }

    /// Ends the hub, lets `meanwhile` have its directory, and starts it again, elsewhere.
    pub(crate) fn restart(mut self, meanwhile: impl FnOnce(&Path)) -> Self {
        self.end();
        meanwhile(self.dir.path());
        Self::run(self.dir.clone(), self.settings.clone())
    }

    fn end(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the hub's thread panicked");
            tls::forget(self.addr);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Takes away how often something may be done: tests are faster than anybody. Those of rates put them back.
fn unrated(settings: &mut Settings) {
    settings.rates.publish_per_minute = 0;
    settings.rates.action_per_minute = 0;
    settings.rates.bad_tokens_per_minute = 0;
    settings.session.messages_per_second = 0;
}
