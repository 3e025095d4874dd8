//! Whom a command believes to be the hub that it speaks TLS with, and what it says when it does not.
//!
//! There is no way to leave the check out: who can't check a certificate sends a token to anybody.

use std::path::PathBuf;

use rustls::{CertificateError, InvalidMessage};
use ureq::tls::TlsConfig;

use super::CliError;
use crate::identity::authorities::{self, AuthoritiesError};

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
        authorities::tls(self.ca.as_deref()).map(Some).map_err(|error| match error {
            AuthoritiesError::NoList => {
                CliError::Failed(format!("{error}, or name the hub's certificate with --ca or TAMBOUR_CA"))
            }
            _ => CliError::Usage(format!("--ca {error}")),
        })
    }
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
