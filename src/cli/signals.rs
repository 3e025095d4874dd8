//! What the process is told by signals: to stop, and to read its configuration again.

use std::io::{IsTerminal as _, stderr};

use futures_util::future::{LocalBoxFuture, pending, select_all};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::CliError;
use super::serve::{Args, wanted};
use crate::reload::Reloader;

/// Resolves at SIGTERM or SIGINT, and when the terminal is closed that the hub was started from, if it was.
pub(super) async fn told_to_stop(terminal: bool) {
    let once = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            // Without signals the process can only be killed, which loses nothing.
            Err(_) => pending().await,
        }
    };
    let told: [LocalBoxFuture<'_, ()>; 3] = [
        Box::pin(once(SignalKind::terminate())),
        Box::pin(once(SignalKind::interrupt())),
        Box::pin(terminal_gone(terminal)),
    ];
    select_all(told).await;
}

/// A closed terminal says SIGHUP as well. Nobody wants a hub that goes on without the window it was started in.
async fn terminal_gone(terminal: bool) {
    let Some(mut hangups) = hangups().filter(|_| terminal) else { return pending().await };
    // It may have gone while the hub was starting.
    while stderr().is_terminal() {
        hangups.recv().await;
    }
}

/// From here on SIGHUP does not end the process; the first of them is heard when the other future is polled.
pub(super) fn hangups() -> Option<Signal> {
    signal(SignalKind::hangup()).inspect_err(|error| tracing::warn!(%error, "SIGHUP will not be heard")).ok()
}

/// Reads the configuration again, from where it was read at the start, at each SIGHUP.
pub(super) async fn reload_at(hangups: Option<Signal>, args: Args, reloader: Reloader) {
    let Some(mut hangups) = hangups else { return };
    while hangups.recv().await.is_some() {
        let reloaded = wanted(&args, std::env::vars_os(), &reloader.terms().settings)
            .and_then(|settings| reloader.reload(settings).map_err(|error| CliError::Usage(error.to_string())));
        if let Err(error) = reloaded {
            tracing::error!(%error, "the configuration is not accepted; nothing has changed");
        }
    }
}
