//! `tambour health`: asks a hub whether it is alive and ready. A container's health check.
//!
//! It sends no token and needs none.

use std::time::Duration;

use super::error::Problem;
use super::names::hub_url;
use super::trust::Trust;
use super::{CliError, print, remote};

/// Arguments of `tambour health`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Address of the hub
    #[arg(long, env = "TAMBOUR_URL", default_value = "http://127.0.0.1:8080", value_parser = hub_url)]
    pub url: String,
    /// Whose certificate the hub's may be.
    #[command(flatten)]
    pub trust: Trust,
    /// How long to wait for each answer, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub timeout_ms: u64,
}

/// Asks `/healthz`, then `/readyz`.
///
/// # Errors
/// [`CliError::Unreachable`] without an answer, [`CliError::Failed`] when one is not 200, [`CliError::Refused`] when it
/// says why; what [`Trust::config`] fails with.
pub fn run(args: &Args) -> Result<(), CliError> {
    let within = Some(Duration::from_millis(args.timeout_ms));
    let agent = remote::agent(&args.url, &args.trust, |config| config.timeout_global(within))?;
    for path in ["/healthz", "/readyz"] {
        let url = format!("{}{path}", args.url);
        let mut answer = agent.get(&url).call().map_err(|error| match remote::lost(&args.url, &error) {
            // Nothing was asked that could have been done.
            CliError::AnswerLost { url, reason } => CliError::Unreachable { url, reason },
            other => other,
        })?;
        let status = answer.status().as_u16();
        if status != 200 {
            let said = answer.body_mut().read_to_vec().ok();
            if let Some(problem) = said.and_then(|said| serde_json::from_slice::<Problem>(&said).ok())
                && (400..500).contains(&status)
            {
                // Such as plain HTTP to a hub that speaks TLS.
                return Err(CliError::Refused(problem));
            }
            let what = if path == "/readyz" { "alive and not ready" } else { "not healthy" };
            return Err(CliError::Failed(format!("the hub is {what}: {url} answered {status}")));
        }
    }
    print("ready\n")
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    /// A server that answers one status per connection, and the exit code against it.
    #[track_caller]
    fn check(statuses: &[u16], expected: u8) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let code = std::thread::scope(|scope| {
            let server = scope.spawn(move || {
                for (status, path) in statuses.iter().zip(["/healthz", "/readyz"]) {
                    let (mut socket, _) = listener.accept().unwrap();
                    let head: Vec<_> = BufReader::new(socket.try_clone().unwrap())
                        .lines()
                        .map(Result::unwrap)
                        .take_while(|line| !line.is_empty())
                        .collect();
                    assert_eq!(head[0], format!("GET {path} HTTP/1.1"));
                    write!(socket, "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").unwrap();
                }
            });
            let code = run(&Args { url, trust: Trust::default(), timeout_ms: 10_000 })
                .map_or_else(|error| error.code(), |()| 0);
            server.join().unwrap();
            code
        });
        assert_eq!(code, expected, "{statuses:?}");
    }

    #[test]
    fn answers() {
        check(&[200, 200], 0);
        check(&[200, 503], 1);
        check(&[500], 1);
        check(&[302], 1);
    }

    #[test]
    fn no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // It accepts, and says nothing until the deadline.
        let code = |url: &str| {
            run(&Args { url: url.to_owned(), trust: Trust::default(), timeout_ms: 100 }).unwrap_err().code()
        };
        assert_eq!(code(&url), 4);
        drop(listener);
        assert_eq!(code(&url), 4);
    }
}
