//! What can stop a run. Lost or doubled events don't: they are results.

use super::scan::Garbled;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The kernel said no.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Something did not come in its time.
    #[error("gave up waiting: {0}")]
    Late(String),
    /// The hub refused what a run needs.
    #[error("refused: {0}")]
    Refused(String),
    /// Bytes that are not the hub's protocol.
    #[error(transparent)]
    Garbled(#[from] Garbled),
    /// An event of a topic that its reader is not subscribed to.
    #[error("an event came to a reader of other topics")]
    Foreign,
    /// A thread of the generator died.
    #[error("a thread of the load generator panicked")]
    ThreadPanicked,
    /// The server did not start.
    #[error("{0} did not start: {1}")]
    Start(String, String),
    /// The arguments can't be honoured.
    #[error("{0}")]
    Usage(String),
}
