//! `tambour key create|list|rotate|revoke`: service keys of the tenant and env that the caller acts in.
//!
//! A token is printed once, by the command that had it made, and never again by any.

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use tambour_actors::principal::{Permission, Role};

use super::names::{key_id, permission, role};
use super::remote::{Hub, Remote};
use super::{CliError, print};

/// Keys that are asked for at once.
const PAGE: &str = "500";

/// Arguments of `tambour key`.
#[derive(Debug, clap::Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key, and print its id and its token: nobody can show the token again
    Create(CreateArgs),
    /// List the keys, one a line: id, actor type, role, expiry, name
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Give a key another token, and print it; the one before is good for a while still
    Rotate {
        /// Which: key:…
        #[arg(value_parser = key_id)]
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Revoke a key, at once
    Revoke {
        /// Which: key:…
        #[arg(value_parser = key_id)]
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// A name for people
    name: String,
    /// What kind of sender it is: agent or system
    #[arg(long, default_value = "agent", value_parser = ["agent", "system"])]
    actor_type: String,
    /// The key's role: owner, admin, member or viewer. (`--role` is yours, where a development token is made.)
    #[arg(long, default_value = "member", value_parser = role)]
    key_role: Role,
    /// A permission beside those of the role; may be repeated
    #[arg(long = "permission", value_name = "PERMISSION", value_parser = permission)]
    permissions: Vec<Permission>,
    /// When it expires, such as 2027-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Serialize)]
struct NewKey<'a> {
    name: &'a str,
    actor_type: &'a str,
    role: &'a str,
    permissions: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<&'a str>,
}

#[derive(Deserialize)]
struct Key {
    id: String,
    name: String,
    actor_type: String,
    role: String,
    expires_at: Option<String>,
}

#[derive(Deserialize)]
struct KeyList {
    keys: Vec<Key>,
    has_more: bool,
}

#[derive(Deserialize)]
struct WithToken {
    id: String,
    token: String,
}

/// Does what is asked for, and prints what came of it.
///
/// # Errors
/// What [`Hub::post`] fails with.
pub fn run(args: &KeyArgs) -> Result<(), CliError> {
    match &args.action {
        Action::Create(args) => {
            let key = NewKey {
                name: &args.name,
                actor_type: &args.actor_type,
                role: args.key_role.as_str(),
                permissions: args.permissions.iter().map(|permission| permission.as_str()).collect(),
                expires_at: args.expires_at.as_deref(),
            };
            let body = serde_json::to_vec(&key).map_err(|e| CliError::Failed(e.to_string()))?;
            tell(&Hub::new(&args.remote)?.post("/v1/keys", &body)?)
        }
        Action::List { remote } => list(&Hub::new(remote)?),
        Action::Rotate { id, remote } => tell(&Hub::new(remote)?.post(&format!("/v1/keys/{id}/rotate"), b"")?),
        Action::Revoke { id, remote } => {
            Hub::new(remote)?.delete(&format!("/v1/keys/{id}"))?;
            print(&format!("{id} is revoked\n"))
        }
    }
}

fn parsed<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T, CliError> {
    serde_json::from_slice(answer).map_err(|_| CliError::Failed("the answer is not a hub's".to_owned()))
}

fn tell(answer: &[u8]) -> Result<(), CliError> {
    let WithToken { id, token } = parsed(answer)?;
    print(&format!("id     {id}\ntoken  {token}\n"))
}

fn list(hub: &Hub) -> Result<(), CliError> {
    let mut after = String::new();
    loop {
        let answer = hub.get("/v1/keys", &[("limit", PAGE), ("after", &after)])?;
        let KeyList { keys, has_more } = parsed(&answer)?;
        for key in &keys {
            let expires_at = key.expires_at.as_deref().unwrap_or("never");
            print(&format!("{}\t{}\t{}\t{expires_at}\t{}\n", key.id, key.actor_type, key.role, key.name))?;
        }
        match keys.into_iter().last().filter(|_| has_more) {
            Some(last) => after = last.id,
            None => return Ok(()),
        }
    }
}
