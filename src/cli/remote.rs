//! How a subcommand reaches a hub: where it is, who calls, one request, and what went wrong.
//!
//! It never retries: what can be done again, and when, only the subcommand knows. Tokens go in
//! a header, never in a URL, and are never printed.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tambour_actors::topic_key::{Env, Scope, Tenant, TopicKey, TopicKind};
use ureq::http::Response;
use ureq::{Agent, Body};

use super::pretty::printable;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for the head of an answer. A publish is answered when it is on disk.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer that is read, in bytes; streams are not bounded.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// How long a development token made for one request is good for, in seconds.
const DEVELOPMENT_TTL_SECONDS: u64 = 3600;
/// The file of a data directory that holds the development secret.
const DEVELOPMENT_SECRET_FILE: &str = "development.secret";
/// The variable that may hold the token. There is no argument for it: everyone on a machine sees arguments.
const TOKEN_VARIABLE: &str = "TAMBOUR_TOKEN";

/// Where the hub is, and as whom it is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Remote {
    /// Address of the hub
    #[arg(long, env = "TAMBOUR_URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// Tenant to act in
    #[arg(long, default_value = "t_demo")]
    pub tenant: String,
    /// Env to act in: dev, staging or prod
    #[arg(long, default_value = "dev")]
    pub env: String,
    /// File that holds the token, read again for each connection; else TAMBOUR_TOKEN is the token
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "sub", "role"])]
    pub token_file: Option<PathBuf>,
    /// Data directory of a development hub, whose secret makes a token when none is given
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub data: PathBuf,
    /// Who to be, in a token made from the development secret
    #[arg(long, default_value = "cli")]
    pub sub: String,
    /// What to be, in a token made from the development secret: owner, admin, member or viewer
    #[arg(long, default_value = "member")]
    pub role: String,
}

/// Why a subcommand ended without having done what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// Exit code 1.
    Failed(String),
    /// The hub said no: exit code 3.
    Refused(Problem),
    /// No hub answers: exit code 4.
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What happened instead.
        reason: String,
    },
    /// The hub went away before it answered, so nobody knows whether it did what was asked: exit code 4.
    AnswerLost {
        /// Where it was.
        url: String,
        /// What happened instead.
        reason: String,
    },
    /// The reader of our output is gone. There is nobody to tell and nothing to do: exit code 0.
    OutputClosed,
}

/// What a hub says when it refuses (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The name of the refusal.
    pub code: String,
    /// What the caller can do about it.
    #[serde(default)]
    pub detail: String,
    /// What the hub's log knows the request by.
    #[serde(default)]
    pub request_id: String,
}

impl Failure {
    /// The exit code that scripts see: 0, 1, 3 or 4 (2 is a mistake in the arguments).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Failed(_) => 1,
            Self::Refused(_) => 3,
            Self::Unreachable { .. } | Self::AnswerLost { .. } => 4,
        }
    }

    /// Says on stderr what happened, and gives the process its exit code.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        if !matches!(self, Self::OutputClosed) {
            // Nobody may read stderr either, and that is no reason to panic.
            let _ = writeln!(std::io::stderr(), "tambour: {self}");
        }
        ExitCode::from(self.exit_code())
    }

    /// The failure of a write to stdout.
    #[must_use]
    pub fn of_output(error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::OutputClosed;
        }
        Self::Failed(format!("stdout: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text) => f.write_str(text),
            Self::Refused(problem) => write!(f, "refused: {problem}"),
            Self::Unreachable { url, reason } => write!(
                f,
                "no hub answers at {url} ({reason})\nstart one with: tambour serve\nor say where it is with --url or TAMBOUR_URL"
            ),
            Self::AnswerLost { url, reason } => {
                write!(f, "{url} went away before it answered ({reason}): it may or may not have done what was asked")
            }
            Self::OutputClosed => f.write_str("nobody reads the output"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, printable(&self.code))?;
        if !self.detail.is_empty() {
            write!(f, ": {}", printable(&self.detail))?;
        }
        if !self.request_id.is_empty() {
            write!(f, " (request {})", printable(&self.request_id))?;
        }
        Ok(())
    }
}

/// Parses the argument `thread/{id}` and gives the id.
///
/// # Errors
/// A sentence for the command line when the text is not the name of a thread.
pub fn thread_id(topic: &str) -> Result<String, String> {
    let tenant = Tenant::parse("t_demo").map_err(|e| e.to_string())?;
    let key = TopicKey::parse(&Scope { tenant, env: Env::Dev }, topic).map_err(|e| e.to_string())?;
    if key.kind() != TopicKind::Thread {
        return Err("only threads are served so far: thread/{id}".to_owned());
    }
    Ok(key.id().to_owned())
}

/// A hub to ask, with the arguments checked. One value keeps its connections open between requests.
pub struct Hub {
    agent: Agent,
    remote: Remote,
}

impl Hub {
    /// Checks the arguments; connects to nothing yet.
    ///
    /// # Errors
    /// [`Failure::Failed`] when URL, tenant or env don't have their form.
    pub fn new(remote: &Remote) -> Result<Self, Failure> {
        let mut remote = remote.clone();
        remote.url.truncate(remote.url.trim_end_matches('/').len());
        if !remote.url.starts_with("http://") {
            let url = printable(&remote.url);
            return Err(Failure::Failed(format!(
                "{url}: a hub's address begins with http:// (TLS is not built in yet)"
            )));
        }
        Tenant::parse(&remote.tenant).map_err(|e| Failure::Failed(format!("--tenant: {e}")))?;
        Env::parse(&remote.env).map_err(|e| Failure::Failed(format!("--env: {e}")))?;
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A proxy of the environment is for the web; a hub is reached as it is addressed.
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .build()
            .new_agent();
        Ok(Self { agent, remote })
    }

    /// The hub's address, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.remote.url
    }

    /// Posts JSON to a path and reads the answer of a success.
    ///
    /// # Errors
    /// [`Failure::Refused`], [`Failure::Unreachable`], [`Failure::AnswerLost`]; [`Failure::Failed`] when there is no token, or
    /// when whatever answered does not speak as a hub does.
    pub fn post(&self, path: &str, json: &[u8]) -> Result<Vec<u8>, Failure> {
        let request = self.agent.post(format!("{}{path}", self.remote.url)).content_type("application/json");
        let request = self.identify(request)?.header("Accept", "application/json");
        let answer = request.send(json).map_err(|e| self.lost(&e))?;
        let status = answer.status();
        let body = self.read(answer)?;
        if status.is_success() { Ok(body) } else { Err(self.refused(status.as_u16(), &body)) }
    }

    /// Opens an event stream: `Ok(None)` when the hub says that nothing will ever follow (204).
    /// Reads of the body give what has arrived, and fail when nothing arrives for `silence`.
    ///
    /// # Errors
    /// As [`Hub::post`].
    pub fn stream(
        &self,
        path: &str,
        query: &[(&str, String)],
        last_event_id: &str,
        silence: Duration,
    ) -> Result<Option<ureq::BodyReader<'static>>, Failure> {
        let mut request = self.identify(self.agent.get(format!("{}{path}", self.remote.url)))?;
        request =
            request.header("Accept", "text/event-stream").query_pairs(query.iter().map(|(k, v)| (*k, v.as_str())));
        if !last_event_id.is_empty() {
            request = request.header("Last-Event-ID", last_event_id);
        }
        let request = request.config().timeout_per_read(Some(silence)).build();
        let answer = request.call().map_err(|e| self.lost(&e))?;
        match answer.status().as_u16() {
            200 if is_event_stream(&answer) => Ok(Some(answer.into_body().into_reader())),
            204 => Ok(None),
            status => {
                let body = self.read(answer)?;
                Err(self.refused(status, &body))
            }
        }
    }

    fn identify<B>(&self, request: ureq::RequestBuilder<B>) -> Result<ureq::RequestBuilder<B>, Failure> {
        let token = self.token()?;
        // The text of the error would have the token in it.
        let bearer = ureq::http::HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| Failure::Failed("the token has characters that no token has".to_owned()))?;
        Ok(request
            .header("Authorization", bearer)
            .header("X-Tenant-Id", &self.remote.tenant)
            .header("X-Env", &self.remote.env))
    }

    /// A token as of now: one that was renewed in its file is found, and a made one is fresh.
    fn token(&self) -> Result<String, Failure> {
        let remote = &self.remote;
        if let Some(path) = &remote.token_file {
            let text =
                std::fs::read_to_string(path).map_err(|e| Failure::Failed(format!("{}: {e}", path.display())))?;
            return Ok(text.trim().to_owned());
        }
        if let Some(token) = std::env::var(TOKEN_VARIABLE).ok().filter(|t| !t.trim().is_empty()) {
            return Ok(token.trim().to_owned());
        }
        let path = remote.data.join(DEVELOPMENT_SECRET_FILE);
        let secret = std::fs::read_to_string(&path).map_err(|e| {
            Failure::Failed(format!(
                "no token: give --token-file or {TOKEN_VARIABLE}, or the data directory of a development hub with --data\n(a hub makes the secret at its first run; {}: {e})",
                path.display()
            ))
        })?;
        development_token(&secret, &remote.tenant, &remote.env, &remote.sub, &remote.role, DEVELOPMENT_TTL_SECONDS)
            .map_err(Failure::Failed)
    }

    fn read(&self, answer: Response<Body>) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        let mut reader = answer.into_body().into_reader().take(ANSWER_BYTES_MAX);
        reader.read_to_end(&mut body).map_err(|e| self.lost(&e.into()))?;
        Ok(body)
    }

    fn refused(&self, status: u16, body: &[u8]) -> Failure {
        match serde_json::from_slice(body) {
            Ok(problem) => Failure::Refused(problem),
            Err(_) => Failure::Failed(format!("{} answers {status}, and not as a hub does", self.remote.url)),
        }
    }

    fn lost(&self, error: &ureq::Error) -> Failure {
        let url = self.remote.url.clone();
        let reason = match error {
            ureq::Error::Io(e) => e.to_string(),
            other => other.to_string(),
        };
        match error {
            ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                Failure::Unreachable { url, reason }
            }
            ureq::Error::Io(e) if never_connected(e.kind()) => Failure::Unreachable { url, reason },
            ureq::Error::Io(_) | ureq::Error::Timeout(_) => Failure::AnswerLost { url, reason },
            _ => Failure::Failed(format!("{url}: {reason}")),
        }
    }
}

fn never_connected(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind as Kind;
    matches!(kind, Kind::ConnectionRefused | Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::AddrNotAvailable)
}

fn is_event_stream(answer: &Response<Body>) -> bool {
    answer.body().mime_type() == Some("text/event-stream")
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    tenant_ids: [&'a str; 1],
    role_map: std::collections::BTreeMap<&'a str, &'a str>,
    envs: [&'a str; 1],
    exp: u64,
}

/// A token signed with a development hub's secret.
fn development_token(
    secret: &str,
    tenant: &str,
    env: &str,
    sub: &str,
    role: &str,
    ttl_seconds: u64,
) -> Result<String, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| e.to_string())?.as_secs();
    let claims =
        Claims { sub, tenant_ids: [tenant], role_map: [(tenant, role)].into(), envs: [env], exp: now + ttl_seconds };
    let key = jsonwebtoken::EncodingKey::from_secret(secret.trim().as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_named_in_full() {
        assert_eq!(thread_id("thread/a.b:c-1"), Ok("a.b:c-1".to_owned()));
        for bad in ["welcome", "thread/", "thread/a/b", "thread/a b", "canvas/x", "room/x", ""] {
            assert!(thread_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn exit_codes() {
        let problem =
            Problem { status: 403, code: "permission.denied".into(), detail: "no".into(), request_id: String::new() };
        assert_eq!(Failure::Refused(problem.clone()).to_string(), "refused: 403 permission.denied: no");
        assert_eq!(Failure::Refused(problem).exit_code(), 3);
        assert_eq!(Failure::Unreachable { url: String::new(), reason: String::new() }.exit_code(), 4);
        assert_eq!(Failure::AnswerLost { url: String::new(), reason: String::new() }.exit_code(), 4);
        assert_eq!(Failure::Failed(String::new()).exit_code(), 1);
        assert_eq!(Failure::OutputClosed.exit_code(), 0);
    }
}
