//! `tambour audit verify`: whether every entry of the audit is as it was written, and none is missing.
//!
//! In a data directory it reads the file, whether a hub runs on it or not, and every tenant and env that is in it; of a hub it
//! asks for the tenant and env that the caller acts in. It changes nothing.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Deserialize;
use tambour_actors::principal::Role;
use tambour_actors::topic_key::{Env, Scope, Tenant};

use super::names::{env, hub_url, tenant};
use super::remote::{Hub, Remote};
use super::trust::Trust;
use super::{CliError, print};
use crate::audit::chain::{Bad, Expected};
use crate::audit::entry::{hash, hex};
use crate::store::sqlite::{self, Verified};

/// Entries that are asked for at once where one is looked for.
const ONE: &str = "1";

/// Arguments of `tambour audit`.
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Verify the chain of entries; exit code 1 and the first bad one when it is broken
    Verify(VerifyArgs),
}

#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// The data directory, of a hub that runs or of one that is stopped
    #[arg(long, value_name = "DIR", conflicts_with = "url", required_unless_present = "url")]
    data: Option<PathBuf>,
    /// Address of the hub to ask instead
    #[arg(long, value_parser = hub_url)]
    url: Option<String>,
    /// Whose certificate the hub's may be.
    #[command(flatten)]
    trust: Trust,
    /// The tenant; without one every tenant and env of the directory
    #[arg(long, value_parser = tenant, requires = "env")]
    tenant: Option<Tenant>,
    /// The env: dev, staging or prod
    #[arg(long, value_parser = env, requires = "tenant")]
    env: Option<Env>,
    /// File that holds the token for the hub; else TAMBOUR_TOKEN is the token
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// An entry that is known from before, as this command printed it: its seq and its hash
    #[arg(long, value_name = "SEQ:HASH", value_parser = expected, requires = "tenant")]
    expect: Option<Expected>,
}

fn expected(text: &str) -> Result<Expected, String> {
    Expected::parse(text).ok_or_else(|| "say a seq, a colon and 64 hexadecimal digits".to_owned())
}

/// Does what is asked for, and prints what came of it.
///
/// # Errors
/// [`CliError::Failed`] when a chain is broken, or the directory can't be read; what [`Hub::get`] fails with.
pub fn run(args: &AuditArgs) -> Result<(), CliError> {
    let Action::Verify(args) = &args.action;
    let scope = args.tenant.clone().zip(args.env).map(|(tenant, env)| Scope { tenant, env });
    let found = match (&args.data, &args.url, scope) {
        (Some(dir), _, scope) => sqlite::verify(dir, scope.as_ref(), args.expect.as_ref())
            .map_err(|error| CliError::Failed(error.to_string()))?,
        (None, Some(url), Some(scope)) => vec![ask(args, url, scope)?],
        _ => return Err(CliError::Usage("say --tenant and --env of the hub's audit".to_owned())),
    };
    let mut broken = 0;
    for Verified { tenant, env, entries, hash, bad } in &found {
        match bad {
            None => print(&format!("{tenant}/{env}\tok\t{entries}:{hash}\n"))?,
            Some(bad) => {
                broken += 1;
                print(&format!("{tenant}/{env}\tbroken at {}\t{}\n", bad.seq, bad.why))?;
            }
        }
    }
    match broken {
        0 => Ok(()),
        1 => Err(CliError::Failed("the audit was changed".to_owned())),
        broken => Err(CliError::Failed(format!("{broken} audits were changed"))),
    }
}

#[derive(Deserialize)]
struct Head {
    hash: String,
}

#[derive(Deserialize)]
struct Verdict {
    entries: u64,
    head: Head,
    first_bad: Option<u64>,
    why: Option<String>,
}

#[derive(Deserialize)]
struct Entries<'a> {
    #[serde(borrow)]
    entries: Vec<&'a serde_json::value::RawValue>,
}

/// Asks a hub, and looks at the entry that is expected.
fn ask(args: &VerifyArgs, url: &str, scope: Scope) -> Result<Verified, CliError> {
    let (tenant, env) = (scope.tenant.to_string(), scope.env.to_string());
    let hub = Hub::new(&Remote {
        url: url.to_owned(),
        trust: args.trust.clone(),
        tenant: scope.tenant,
        env: scope.env,
        token_file: args.token_file.clone(),
        data: None,
        sub: "cli".to_owned(),
        role: Role::Owner,
    })?;
    let answer = hub.get("/v1/audit/verify", &[])?;
    let Verdict { entries, head, first_bad, why } = serde_json::from_slice(&answer).map_err(|_| not_a_hub())?;
    let mut bad = first_bad.map(|seq| Bad { seq, why: why.unwrap_or_default() });
    if let (None, Some(expected)) = (&bad, &args.expect) {
        bad = (!is_there(&hub, expected)?)
            .then(|| Bad { seq: expected.seq, why: "the entry is not the one that was expected".to_owned() });
    }
    Ok(Verified { tenant, env, entries, hash: head.hash, bad })
}

fn not_a_hub() -> CliError {
    CliError::Failed("the answer is not a hub's".to_owned())
}

/// Whether an entry that is known from before is there still: by its text, not by what the hub says its hash is.
fn is_there(hub: &Hub, expected: &Expected) -> Result<bool, CliError> {
    let before = (expected.seq + 1).to_string();
    let answer = hub.get("/v1/audit", &[("limit", ONE), ("before", &before)])?;
    let Entries { entries } = serde_json::from_slice(&answer).map_err(|_| not_a_hub())?;
    let text = entries.first().and_then(|shown| shown.get().rsplit_once(",\"hash\":"));
    Ok(text.is_some_and(|(text, _)| hex(&hash(&format!("{text}}}"))) == expected.hash))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Alone {
        #[command(flatten)]
        args: VerifyArgs,
    }

    #[test]
    fn what_is_verified_is_said() {
        let hash = "0".repeat(64);
        let is_good = |args: &str| Alone::try_parse_from(["x"].into_iter().chain(args.split_whitespace())).is_ok();
        for good in ["--data d", "--url http://h", "--data d --tenant t_demo --env dev"] {
            assert!(is_good(good), "{good}");
        }
        assert!(is_good(&format!("--data d --tenant t_demo --env dev --expect 7:{hash}")));
        for bad in ["", "--data d --url http://h", "--data d --tenant t_demo"] {
            assert!(!is_good(bad), "{bad}");
        }
        for bad in ["7", "0:", ":", "x:y", &format!("0:{hash}"), &format!("7:{hash}0")] {
            assert!(!is_good(&format!("--data d --tenant t_demo --env dev --expect {bad}")), "{bad}");
        }
    }
}
