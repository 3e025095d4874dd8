//! Fetching an issuer's JWKS: one GET to a configured URL, within a time and a size.
//!
//! No redirect is followed and no proxy asked, so that what answers is what was configured. It blocks its thread.

use std::time::Duration;

use ureq::Agent;
use ureq::tls::TlsConfig;

use super::key_set::JWKS_BYTES_MAX;

/// How long a fetch may take, from the look-up of the name to the last byte.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no JWKS; for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// No answer, or too large a one.
    #[error("{0}")]
    NoAnswer(#[from] ureq::Error),
    /// An answer that is none of keys; redirects are not followed.
    #[error("it answers {0}")]
    Status(u16),
    /// An answer that is no JWKS.
    #[error("{0}")]
    NotJwks(&'static str),
    /// No thread to ask on.
    #[error("no thread: {0}")]
    NoThread(std::io::Error),
}

/// The body of the answer.
///
/// # Errors
/// There is none in time, it is not 200, or is larger than a JWKS may be.
pub(super) fn fetch(url: &str, tls: Option<TlsConfig>) -> Result<Vec<u8>, FetchError> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent("tambour")
        .timeout_global(Some(FETCH_TIMEOUT));
    if let Some(tls) = tls {
        config = config.tls_config(tls);
    }
    let mut answer = config.build().new_agent().get(url).header("Accept", "application/json").call()?;
    match answer.status().as_u16() {
        200 => Ok(answer.body_mut().with_config().limit(JWKS_BYTES_MAX as u64).read_to_vec()?),
        status => Err(FetchError::Status(status)),
    }
}
