//! Whose certificates are believed where this program is the client of somebody's TLS.
//!
//! There is no way to leave the check out.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Why nobody's certificate can be checked.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// The file can't be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file has no certificate.
    #[error("{}: there is no certificate in it (PEM)", .0.display())]
    NoCertificate(PathBuf),
    /// The machine has no list.
    #[error("this machine has no list of authorities to check certificates with: install ca-certificates")]
    NoList,
}

/// TLS with those whose certificate an authority in the file has signed; without a file, an authority that this machine
/// trusts.
///
/// # Errors
/// The file is unreadable or empty; the machine has no list.
pub fn tls(file: Option<&Path>) -> Result<TlsConfig, AuthoritiesError> {
    let authorities = match file {
        Some(path) => of_file(path)?,
        None => of_machine()?,
    };
    let authorities = authorities.iter().map(|der| Certificate::from_der(der).to_owned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = RootCerts::Specific(Arc::new(authorities.collect()));
    Ok(TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider).build())
}

fn of_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, AuthoritiesError> {
    let pem = std::fs::read(path).map_err(|source| AuthoritiesError::Unreadable { path: path.to_owned(), source })?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(AuthoritiesError::NoCertificate(path.to_owned())),
    }
}

fn of_machine() -> Result<Vec<CertificateDer<'static>>, AuthoritiesError> {
    let certificates = rustls_native_certs::load_native_certs().certs;
    if certificates.is_empty() { Err(AuthoritiesError::NoList) } else { Ok(certificates) }
}
