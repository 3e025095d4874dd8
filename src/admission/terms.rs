//! What is in force: the settings, and what is made from them. A request takes them once and is judged by the
//! same ones to its end; a reload puts others in their place for those who come later.

use std::sync::Arc;

use parking_lot::RwLock;
use tambour_actors::outlet::line::Pace;
use tambour_actors::session::SessionLimits;

use super::rates::Rates;
use crate::config::{Session, Settings};
use crate::development;
use crate::identity::jwt::{JwtVerifier, KeyError};

/// What is in force.
#[derive(Debug)]
pub struct Terms {
    /// The settings.
    pub settings: Settings,
    /// Proves identities, with the key of these settings.
    pub verifier: JwtVerifier,
    /// How often something may be done, and what was counted.
    pub rates: Arc<Rates>,
    /// The key is the development secret, which the hub made for itself.
    pub is_development: bool,
    /// Limits of the sessions that begin under these settings.
    pub session: Arc<SessionLimits>,
}

impl Terms {
    /// Terms of settings and of the verifier that was made from them.
    #[must_use]
    pub fn new(settings: Settings, verifier: JwtVerifier) -> Self {
        let session = Arc::new(session_limits(&settings.session));
        let rates = Arc::new(Rates::new(&settings.rates));
        let kept = development::kept_secret(&settings.store.data_dir).ok().flatten();
        let is_development = settings.auth.secret.is_some() && settings.auth.secret == kept;
        Self { settings, verifier, rates, is_development, session }
    }

    /// Terms of other settings than those that are in force; reads the files of keys, and keeps the keys that were fetched.
    ///
    /// # Errors
    /// A key that can't be used.
    pub fn over(settings: Settings, running: &Self) -> Result<Self, KeyError> {
        let verifier = JwtVerifier::from_settings(&settings)?;
        verifier.take_over(&running.verifier);
        let rates = Rates::over(&settings.rates, &running.rates);
        Ok(Self { rates, ..Self::new(settings, verifier) })
    }
}

/// Where the terms are, for all workers.
#[derive(Debug)]
pub(super) struct InForce(RwLock<Arc<Terms>>);

impl InForce {
    pub(super) fn new(terms: Terms) -> Self {
        Self(RwLock::new(Arc::new(terms)))
    }

    /// Locked for as long as it takes to count one more holder.
    pub(super) fn get(&self) -> Arc<Terms> {
        self.0.read().clone()
    }

    pub(super) fn put(&self, terms: Terms) {
        let new = Arc::new(terms);
        let old = std::mem::replace(&mut *self.0.write(), new);
        // Behind the lock: the last holder frees a key and a cache of tokens.
        drop(old);
    }
}

fn session_limits(session: &Session) -> SessionLimits {
    // The table's limits keep each of them within an hour.
    let ms = |seconds: u64| u32::try_from(seconds * 1_000).unwrap_or(u32::MAX);
    SessionLimits {
        frame_bytes_max: session.frame_bytes_max,
        topics_max: session.topics_max,
        publishes_in_flight_max: session.publishes_in_flight_max,
        messages_per_second: session.messages_per_second,
        hello_timeout_ms: session.hello_timeout_ms,
        sse_retry_ms: session.sse_retry_ms,
        expiry_warning_ms: i64::try_from(session.expiry_warning_seconds * 1_000).unwrap_or(i64::MAX),
        pace: Pace {
            ws_ping_ms: ms(session.ws_ping_seconds),
            sse_comment_ms: ms(session.sse_comment_seconds),
            stall_ms: ms(session.stall_seconds),
        },
    }
}
