//! A reload: other settings for a hub that runs. No connection is dropped, and what is not accepted changes
//! nothing.
//!
//! Everything that is read again at a reload is read here, and nowhere else.

use std::sync::Arc;

use tambour_actors::topic::state::TopicLimits;

use crate::admission::Ground;
use crate::admission::terms::Terms;
use crate::config::{Change, Reload, Settings};
use crate::identity::jwt::KeyError;
use crate::store::sqlite::Room;
use crate::telemetry;
use crate::transport::tls::Certificates;

/// Reloads one hub. Clones reload the same one.
#[derive(Clone)]
pub struct Reloader(Arc<Ground>, Option<Arc<Certificates>>);

impl Reloader {
    /// For the hub that stands on this, and its certificate where it speaks TLS.
    #[must_use]
    pub fn new(ground: Arc<Ground>, certificates: Option<Arc<Certificates>>) -> Self {
        Self(ground, certificates)
    }

    /// What is in force now.
    #[must_use]
    pub fn terms(&self) -> Arc<Terms> {
        self.0.terms()
    }

    /// Puts other settings in force, as far as a running hub can have them, and says in the log and to the caller what
    /// became of each that differs. Files of keys are read again, also when their names are the same. One
    /// at a time.
    ///
    /// # Errors
    /// A key that can't be used; nothing has changed then.
    pub fn reload(&self, wanted: Settings) -> Result<Vec<Change>, KeyError> {
        let running = self.terms();
        let (settings, changes) = wanted.over(&running.settings);
        // First whatever can fail, then whatever takes effect.
        let terms = Terms::over(settings, &running)?;
        let settings = &terms.settings;
        self.0.directory.limit(topic_limits(settings), sleep_after_ms(settings));
        self.0.store.limit(room(settings));
        if changes.iter().any(|change| change.name == "log.level") {
            telemetry::set_level(&settings.log.level);
        }
        self.0.put_terms(terms);
        if let Some(certificates) = &self.1 {
            certificates.reload_if_changed();
        }
        for change in &changes {
            match change.reload {
                Reload::Live => tracing::info!("{change}"),
                Reload::Restart => tracing::warn!("{change}"),
            }
        }
        tracing::info!(changes = changes.len(), "the configuration and the keys were read again");
        Ok(changes)
    }
}

/// Limits of topics under these settings.
#[must_use]
pub(crate) fn topic_limits(settings: &Settings) -> TopicLimits {
    TopicLimits {
        tail_events: settings.topic.tail_events,
        tail_bytes: settings.topic.tail_bytes,
        backlog_bytes: settings.topic.backlog_bytes,
        delivery_bytes: settings.topic.delivery_bytes,
    }
}

/// How large the database may be.
#[must_use]
pub(crate) fn room(settings: &Settings) -> Room {
    let store = &settings.store;
    Room { file_bytes_max: Some(store.file_bytes_max).filter(|bytes| *bytes > 0), reserve_bytes: store.reserve_bytes }
}

/// After which time of nobody's interest a topic sleeps.
#[must_use]
pub(crate) fn sleep_after_ms(settings: &Settings) -> i64 {
    i64::try_from(settings.topic.sleep_after_seconds * 1_000).unwrap_or(i64::MAX)
}
