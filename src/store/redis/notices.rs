//! What hubs on one Redis tell each other, heard for as long as somebody listens.
//!
//! Whatever is said while there is no connection is lost; the next keep of a token finds it out. Nothing is said from here.

use std::time::Duration;

use futures_util::StreamExt as _;
use redis::{Client, RedisError};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{sleep, timeout};

use super::scripts::{CHANNEL, REPLACED, REVOKED};
use super::{PATIENCE, from_hex, stream_of};
use crate::identity::stream_tokens::Notice;

/// How long behind a connection that broke another is tried.
const AGAIN: Duration = Duration::from_millis(250);

/// Hears until nobody listens.
pub(super) async fn listen(client: Client, heard: Sender<Notice>) {
    while !heard.is_closed() {
        tokio::select! {
            () = heard.closed() => return,
            ended = hear(&client, &heard) => if let Err(error) = ended {
                tracing::debug!(%error, "what other hubs say of stream tokens is not heard");
            },
        }
        sleep(AGAIN).await;
    }
}

/// Hears until the connection ends.
async fn hear(client: &Client, heard: &Sender<Notice>) -> Result<(), RedisError> {
    let connected = async {
        let mut connection = client.get_async_pubsub().await?;
        connection.subscribe(CHANNEL).await?;
        Ok::<_, RedisError>(connection)
    };
    let Ok(connected) = timeout(PATIENCE, connected).await else { return Ok(()) };
    let mut said = connected?.into_on_message();
    while let Some(message) = said.next().await {
        let text: String = message.get_payload()?;
        if let Some(notice) = parse(&text)
            && let Err(TrySendError::Full(_)) = heard.try_send(notice)
        {
            tracing::warn!("too much is said of stream tokens at once; the next keep finds it out");
        }
    }
    Ok(())
}

/// What a hub of another version says is passed over.
fn parse(text: &str) -> Option<Notice> {
    if let Some(stream) = text.strip_prefix(REPLACED) {
        return stream_of(stream).map(Notice::Replaced);
    }
    from_hex(text.strip_prefix(REVOKED)?).map(Notice::Revoked)
}
