//! Whom a command believes to be the hub that it speaks TLS with, and what it says when it does not.
//!
//! There is no way to leave the check out: who can't check a certificate sends a token to anybody.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, InvalidMessage};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::CliError;

/// Whose certificates are believed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Trust {
    /// For an https URL: a PEM file with the authority that the hub's certificate is signed by, or the certificate
    /// itself; else the authorities that this machine trusts
    #[arg(long, value_name = "FILE", env = "TAMBOUR_CA")]
    pub ca: Option<PathBuf>,
}

impl Trust {
    /// What is needed to speak to `url`: nothing without TLS.
    ///
    /// # Errors
    /// [`CliError::Usage`] for a file without certificates, [`CliError::Failed`] when this machine knows no authority.
    pub fn config(&self, url: &str) -> Result<Option<TlsConfig>, CliError> {
        if !url.starts_with("https://") {
            return Ok(None);
        }
        let authorities = match &self.ca {
            Some(path) => from_file(path)?,
            None => from_machine()?,
        };
        let authorities = authorities.iter().map(|der| Certificate::from_der(der).to_owned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = RootCerts::Specific(Arc::new(authorities.collect()));
        Ok(Some(TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider).build()))
    }
}

fn from_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, CliError> {
    let pem = std::fs::read(path).map_err(|error| CliError::Usage(format!("--ca {}: {error}", path.display())))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(CliError::Usage(format!("--ca {}: there is no certificate in it (PEM)", path.display()))),
    }
}

fn from_machine() -> Result<Vec<CertificateDer<'static>>, CliError> {
    let certificates = rustls_native_certs::load_native_certs().certs;
    if certificates.is_empty() {
        let words = "this machine has no list of authorities to check the hub's certificate with: name the hub's with --ca \
                     or TAMBOUR_CA, or install ca-certificates";
        return Err(CliError::Failed(words.to_owned()));
    }
    Ok(certificates)
}

/// Why there is no TLS with a hub, and what to do about it.
pub(super) fn explain(url: &str, error: &rustls::Error) -> CliError {
    CliError::Failed(match error {
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
            return CliError::Usage(format!("{url} does not speak TLS: its address begins with http://"));
        }
        // But for the first: by another one of the same name.
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        ) => format!(
            "the certificate of {url} is signed by nobody who is trusted here: name the file of its authority with --ca or \
             TAMBOUR_CA"
        ),
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!("the certificate of {url} is not for that name: use the one that it is for ({error})"),
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            format!("the certificate of {url} has expired: its operator must renew it ({error})")
        }
        // What `openssl req -x509` makes when nobody tells it otherwise.
        rustls::Error::InvalidCertificate(CertificateError::Other(other))
            if format!("{other:?}").contains("CaUsedAs") =>
        {
            format!(
                "the certificate of {url} is an authority's own: make one for the hub alone (openssl req -x509 … -addext \
                 basicConstraints=critical,CA:FALSE)"
            )
        }
        rustls::Error::InvalidCertificate(_) => format!("the certificate of {url} is not accepted: {error}"),
        error => format!("no TLS with {url}: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_nothing_is_read() {
        let trust = Trust { ca: Some("/nowhere".into()) };
        assert!(trust.config("http://127.0.0.1:1").unwrap().is_none());
        let error = trust.config("https://127.0.0.1:1").unwrap_err();
        assert!(error.code() == 2 && error.to_string().contains("/nowhere"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, "hello").unwrap();
        let error = Trust { ca: Some(path) }.config("https://127.0.0.1:1").unwrap_err();
        assert!(error.code() == 2 && error.to_string().contains("no certificate in it"), "{error}");
    }
}
