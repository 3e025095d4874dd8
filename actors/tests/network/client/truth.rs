//! What all clients of a test have seen together, and what the log has lost. It never judges: a client does.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tambour_actors::cursor::{Cursor, Mark};
use tambour_actors::event::Seq;

use crate::hub::Hub;

/// What all clients of a test know together.
#[derive(Clone, Default)]
pub(crate) struct Truth {
    /// The data of every event that anybody saw.
    pub(super) seen: Arc<Mutex<HashMap<Cursor, String>>>,
    trimmed: Arc<Mutex<HashMap<Mark, Seq>>>,
}

impl Truth {
    pub(crate) fn of(hub: &Hub) -> Self {
        Self { seen: Arc::default(), trimmed: hub.trimmed.clone() }
    }

    /// The data of an event, if anybody saw it.
    pub(crate) fn data(&self, cursor: Cursor) -> Option<String> {
        self.seen.lock().get(&cursor).cloned()
    }

    pub(super) fn trimmed(&self, mark: Mark) -> Seq {
        self.trimmed.lock().get(&mark).copied().unwrap_or(0)
    }
}
