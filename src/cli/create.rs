//! `tambour create thread/x`, `tambour create canvas/x`: makes a topic and prints its name.
//!
//! It never takes an existing topic for its own: the hub's 409 is a refusal like any other.

use serde::Serialize;

use super::names::{TopicName, topic};
use super::remote::{Hub, Remote};
use super::{CliError, print};

/// Arguments of `tambour create`.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// What to create: thread/{id} or canvas/{id}
    #[arg(value_name = "TOPIC", value_parser = topic)]
    pub topic: TopicName,
    /// A title for people
    #[arg(long)]
    pub title: Option<String>,
    /// Who may read it: private, team or public
    #[arg(long, value_parser = ["private", "team", "public"])]
    pub visibility: Option<String>,
    /// Where the hub is, and as whom it is asked.
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Serialize)]
struct NewTopic<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visibility: Option<&'a str>,
}

/// Creates the topic and prints `thread/{id}` or `canvas/{id}`.
///
/// # Errors
/// What [`Hub::post`] fails with.
pub fn run(args: &CreateArgs) -> Result<(), CliError> {
    let topic = NewTopic { id: &args.topic.id, title: args.title.as_deref(), visibility: args.visibility.as_deref() };
    let body = serde_json::to_vec(&topic).map_err(|e| CliError::Failed(e.to_string()))?;
    Hub::new(&args.remote)?.post(args.topic.collection(), &body)?;
    print(&format!("{}\n", args.topic))
}
