//! The hub's certificate and key: read from their files, checked, and read again when a file changes.
//!
//! A pair that is not good is refused at start and kept out later: the one before it goes on. What is here never speaks
//! to a client.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, RwLock};
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{InconsistentKeys, ServerConfig};

use crate::config;

/// Why there is no TLS, in words that say what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One file without the other.
    #[error("{given} is set and {missing} is not: TLS needs both, a certificate and its key; set both or neither")]
    Half {
        /// The setting that is there.
        given: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
    /// A file that can't be read.
    #[error("can't read {} ({setting}): {source}; name a file that the hub may read", path.display())]
    Unreadable {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file without what it is for.
    #[error(
        "{} (tls.cert_file) has no certificate in it: it must be PEM, with a part BEGIN CERTIFICATE ({detail})",
        path.display()
    )]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        detail: String,
    },
    /// A file without what it is for.
    #[error(
        "{} (tls.key_file) has no key in it: it must be PEM, with a part BEGIN PRIVATE KEY, BEGIN EC PRIVATE KEY or \
         BEGIN RSA PRIVATE KEY, and not encrypted ({detail})",
        path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        detail: String,
    },
    /// Two files that are not each other's.
    #[error(
        "the key in {} (tls.key_file) is not that of the first certificate in {} (tls.cert_file): put the hub's own \
         certificate first, those that certify it behind it, and the key that belongs to it into the other file",
        key.display(), cert.display()
    )]
    Mismatch {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// Files that can be read and not used.
    #[error("the certificate in {} and the key in {} can't be used: {detail}", cert.display(), key.display())]
    Unusable {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What rustls says.
        detail: String,
    },
}

/// What a file looks like from outside: when it was changed, how long it is, which one it is.
type Look = Option<(SystemTime, u64, u64)>;

/// The pair in force, and where it comes from.
pub struct Certificates {
    cert: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<ServerConfig>>,
    /// How the files looked when they were read last.
    read: Mutex<[Look; 2]>,
}

impl Certificates {
    /// Reads the pair that the settings name. `None`: they name none, and the hub speaks without TLS.
    ///
    /// # Errors
    /// Only one is named, or what they name is no certificate and its key.
    pub fn load(settings: &config::Tls) -> Result<Option<Arc<Self>>, TlsError> {
        let half = |given, missing| Err(TlsError::Half { given, missing });
        let (cert, key) = match (&settings.cert_file, &settings.key_file) {
            (None, None) => return Ok(None),
            (Some(_), None) => return half("--tls-cert (tls.cert_file)", "--tls-key (tls.key_file)"),
            (None, Some(_)) => return half("--tls-key (tls.key_file)", "--tls-cert (tls.cert_file)"),
            (Some(cert), Some(key)) => (cert.clone(), key.clone()),
        };
        let looks = [look(&cert), look(&key)];
        let current = RwLock::new(config_of(&cert, &key)?);
        Ok(Some(Arc::new(Self { cert, key, current, read: Mutex::new(looks) })))
    }

    /// What new connections are made with.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.current.read().clone()
    }

    /// Reads both files again, at once. New connections have the new pair; those that exist go on with what they
    /// have. Either outcome is logged here.
    ///
    /// # Errors
    /// The pair is not good: the one before it stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        // Looked at before it is read: what changes meanwhile looks different the next time.
        *self.read.lock() = self.look();
        match config_of(&self.cert, &self.key) {
            Ok(config) => {
                *self.current.write() = config;
                let cert = self.cert.display();
                tracing::info!(%cert, "new connections have the certificate that is in the file now");
                Ok(())
            }
            Err(error) => {
                tracing::error!(
                    %error,
                    "the new certificate is not taken, the old one goes on; put a good pair into the files, and it is \
                     taken by itself"
                );
                Err(error)
            }
        }
    }

    /// Reads both files again, if they look different. Its outcome is in the log.
    pub fn reload_if_changed(&self) {
        if *self.read.lock() != self.look() {
            let _ = self.reload();
        }
    }

    /// Looks at both files every so often, and reads them again when one has changed. Never returns.
    pub async fn watch(self: Arc<Self>, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            self.reload_if_changed();
        }
    }

    fn look(&self) -> [Look; 2] {
        [look(&self.cert), look(&self.key)]
    }
}

/// `None`: it can't be looked at, as while it is being replaced.
fn look(path: &Path) -> Look {
    let seen = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    let which = std::os::unix::fs::MetadataExt::ino(&seen);
    #[cfg(not(unix))]
    let which = 0;
    Some((seen.modified().ok()?, seen.len(), which))
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable { setting, path: path.to_owned(), source })
}

/// TLS 1.2 and 1.3 with one certificate, HTTP/1.1 in it, and tickets whose keys are this pair's alone: whoever
/// resumes has seen the certificate in force.
fn config_of(cert_file: &Path, key_file: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let no_certificate =
        |error: pem::Error| TlsError::NoCertificate { path: cert_file.to_owned(), detail: error.to_string() };
    let pem = read("tls.cert_file", cert_file)?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(no_certificate)?;
    if chain.is_empty() {
        return Err(no_certificate(pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_slice(&read("tls.key_file", key_file)?)
        .map_err(|error| TlsError::NoKey { path: key_file.to_owned(), detail: error.to_string() })?;
    let (cert, key_path) = (cert_file.to_owned(), key_file.to_owned());
    let unusable = |error: rustls::Error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch { cert, key: key_path },
        error => TlsError::Unusable { cert, key: key_path, detail: error.to_string() },
    };
    let make = || {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(rustls::ALL_VERSIONS)?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.ticketer = ring::Ticketer::new()?;
        Ok(Arc::new(config))
    };
    make().map_err(unusable)
}
