//! `tambour create thread/x`: makes a thread and prints its topic.
//!
//! It never takes an existing thread for its own: the hub's 409 is a refusal like any other.

use serde::Serialize;

use super::names::thread_id;
use super::remote::{Hub, Remote};
use super::{CliError, print};

/// Arguments of `tambour create`.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// What to create: thread/{id}
    #[arg(value_name = "TOPIC", value_parser = thread_id)]
    pub thread: String,
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
struct NewThread<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visibility: Option<&'a str>,
}

/// Creates the thread and prints `thread/{id}`.
///
/// # Errors
/// What [`Hub::post`] fails with.
pub fn run(args: &CreateArgs) -> Result<(), CliError> {
    let thread = NewThread { id: &args.thread, title: args.title.as_deref(), visibility: args.visibility.as_deref() };
    let body = serde_json::to_vec(&thread).map_err(|e| CliError::Failed(e.to_string()))?;
    Hub::new(&args.remote)?.post("/v1/threads", &body)?;
    print(&format!("thread/{}\n", args.thread))
}
