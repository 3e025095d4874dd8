//! Permits: room for a session, given back exactly once when the session ends, however it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the sessions that hold a permit.
#[derive(Debug, Clone, Default)]
pub struct Permits(Arc<AtomicUsize>);

/// Room for one session. Dropping it gives the room back.
#[derive(Debug)]
pub struct Permit(Arc<AtomicUsize>);

impl Permits {
    /// Takes room.
    #[must_use]
    pub fn take(&self) -> Permit {
        self.0.fetch_add(1, Ordering::Relaxed);
        Permit(self.0.clone())
    }

    /// How many sessions there are.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
