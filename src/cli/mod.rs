//! The command line: arguments in, an exit code out. A subcommand is a file.
//!
//! Nothing here knows how a hub works; it hands over parsed arguments and prints what comes back.

pub mod answer;
pub mod audit;
pub mod backup;
pub mod bench;
pub mod config;
pub mod create;
pub mod error;
mod first_steps;
mod follow;
pub mod health;
pub mod key;
mod names;
pub mod openapi;
pub mod pretty;
pub mod publish;
pub mod remote;
pub mod restore;
pub mod serve;
mod signals;
pub mod sse_parser;
pub mod tail;
pub mod token;
pub mod trust;
mod upload;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use error::CliError;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  arguments or settings are not accepted
  3  the hub refused
  4  the hub is not reachable

Without a command the hub is served. Settings: `tambour config`, docs/configuration.md.";

/// An actor-based realtime hub: threads over WebSocket, SSE and HTTP, on disk, in one binary.
#[derive(Debug, Parser)]
#[command(name = "tambour", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the hub (also without a command)
    Serve(serve::Args),
    /// Print a development token
    Token(token::Args),
    /// Create a thread or a canvas
    Create(create::CreateArgs),
    /// Follow a thread or a canvas, live and through restarts of the hub
    Tail(tail::TailArgs),
    /// Publish to a thread or a canvas
    Publish(publish::PublishArgs),
    /// Answer what is said in a thread by a program's standard output, token by token
    Answer(answer::AnswerArgs),
    /// Make, list, rotate and revoke service keys
    Key(Box<key::KeyArgs>),
    /// Verify the audit, of a hub or in a data directory
    Audit(Box<audit::AuditArgs>),
    /// Ask a hub whether it is alive and ready
    Health(health::Args),
    /// Print the effective settings, secrets hidden
    Config(config::Args),
    /// Print the description of the HTTP interface (OpenAPI 3.1)
    Openapi,
    /// Write a backup of a hub's data to a file, also while the hub runs
    Backup(backup::Args),
    /// Make a data directory from a backup
    Restore(restore::Args),
    /// Load a hub and measure it from outside
    Bench(Box<bench::Args>),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        None => serve::run(&cli.serve),
        Some(Command::Serve(args)) => serve::run(&args),
        Some(Command::Token(args)) => token::run(&args),
        Some(Command::Create(args)) => create::run(&args),
        Some(Command::Tail(args)) => tail::run(&args),
        Some(Command::Publish(args)) => publish::run(&args),
        Some(Command::Answer(args)) => answer::run(args),
        Some(Command::Key(args)) => key::run(&args),
        Some(Command::Audit(args)) => audit::run(&args),
        Some(Command::Health(args)) => health::run(&args),
        Some(Command::Config(args)) => config::run(&args),
        Some(Command::Openapi) => openapi::run(),
        Some(Command::Backup(args)) => backup::run(&args),
        Some(Command::Restore(args)) => restore::run(&args),
        Some(Command::Bench(args)) => return bench::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

/// Prints to standard output, at once.
///
/// # Errors
/// [`CliError::OutputClosed`] when its reader has left, as with `| head`; [`CliError::Failed`] when it can't be written for
/// another reason.
pub fn print(text: &str) -> Result<(), CliError> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| CliError::of_output(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_the_command_when_none_is_given() {
        let parse = |args: &[&str]| Cli::try_parse_from([&["tambour"], args].concat());
        assert!(parse(&[]).unwrap().command.is_none());
        let cli = parse(&["--listen", "127.0.0.1:0", "--production"]).unwrap();
        assert!(cli.command.is_none() && cli.serve.settings.production);
        assert!(matches!(parse(&["serve", "--workers", "2"]).unwrap().command, Some(Command::Serve(_))));
        assert_eq!(parse(&["--nonsense"]).unwrap_err().exit_code(), 2);
        assert_eq!(parse(&["nonsense"]).unwrap_err().exit_code(), 2);
    }
}
