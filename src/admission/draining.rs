//! Whether the hub drains: looked at before anything is admitted, and waited for by what would hold it up.

use tokio::sync::watch;

/// Begins once and never ends.
#[derive(Debug, Default)]
pub struct Draining(watch::Sender<bool>);

impl Draining {
    /// The hub drains from now on.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Whether it drains.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves when it drains.
    pub async fn begun(&self) {
        // The sender is borrowed, so it lives.
        let _ = self.0.subscribe().wait_for(|begun| *begun).await;
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn who_waits_is_told() {
        let draining = Draining::default();
        let mut cx = Context::from_waker(Waker::noop());
        let mut begun = std::pin::pin!(draining.begun());
        assert_eq!((begun.as_mut().poll(&mut cx), draining.is_begun()), (Poll::Pending, false));
        draining.begin();
        assert_eq!((begun.as_mut().poll(&mut cx), draining.is_begun()), (Poll::Ready(()), true));
        assert_eq!(std::pin::pin!(draining.begun()).poll(&mut cx), Poll::Ready(()));
    }
}
