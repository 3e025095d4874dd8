//! How a subcommand reaches a hub: where it is, who calls, one request, and what went wrong.
//!
//! It never retries: what can be done again, and when, only the subcommand knows. Tokens go in
//! a header, never in a URL, and are never printed.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use tambour_actors::principal::Role;
use tambour_actors::topic::now_ms;
use tambour_actors::topic_key::{Env, Tenant};
use ureq::config::ConfigBuilder;
use ureq::http::Response;
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector as _, DefaultConnector};
use ureq::{Agent, Body, SendBody};

use super::CliError;
use super::names::{env, hub_url, role, sub, tenant};
use super::serve::{SettingsArgs, needs_development_secret};
use super::trust::{Trust, explain};
use super::upload::{Answered, Lines, Watching};
use crate::config::Settings;
use crate::development::{self, TokenFor};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for the head of an answer. A publish is answered when it is on disk.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer that is read, in bytes; streams are not bounded.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// How long a development token made for one request is good for, in seconds.
const DEVELOPMENT_TTL_SECONDS: u64 = 3600;
/// The variable that may hold the token. There is no argument for it: everyone on a machine sees arguments.
const TOKEN_VARIABLE: &str = "TAMBOUR_TOKEN";

/// Where the hub is, and as whom it is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Remote {
    /// Address of the hub
    #[arg(long, env = "TAMBOUR_URL", default_value = "http://127.0.0.1:8080", value_parser = hub_url)]
    pub url: String,
    /// Whose certificate the hub's may be.
    #[command(flatten)]
    pub trust: Trust,
    /// Tenant to act in
    #[arg(long, default_value = "t_demo", value_parser = tenant)]
    pub tenant: Tenant,
    /// Env to act in: dev, staging or prod
    #[arg(long, default_value = "dev", value_parser = env)]
    pub env: Env,
    /// File that holds the token, read again for each connection; else TAMBOUR_TOKEN is the token
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "sub", "role"])]
    pub token_file: Option<PathBuf>,
    /// Data directory of a development hub, whose secret makes a token when none is given [default: ./data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// Who to be, in a token made from the development secret
    #[arg(long, default_value = "cli", value_parser = sub)]
    pub sub: String,
    /// What to be, in a token made from the development secret: owner, admin, member or viewer
    #[arg(long, default_value = "member", value_parser = role)]
    pub role: Role,
}

/// The HTTP client of every command: no redirects, and no proxy, because a hub is reached as it is addressed.
///
/// # Errors
/// What [`Trust::config`] fails with.
pub(super) fn agent(
    url: &str,
    trust: &Trust,
    timeouts: impl FnOnce(ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope>,
) -> Result<Agent, CliError> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None);
    if let Some(tls) = trust.config(url)? {
        config = config.tls_config(tls);
    }
    Ok(timeouts(config).build().new_agent())
}

/// A hub to ask. One value keeps its connections open between requests.
pub struct Hub {
    agent: Agent,
    remote: Remote,
}

impl Hub {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// What [`Trust::config`] fails with.
    pub fn new(remote: &Remote) -> Result<Self, CliError> {
        let agent = agent(&remote.url, &remote.trust, |config| {
            config.timeout_connect(Some(CONNECT_TIMEOUT)).timeout_recv_response(Some(ANSWER_TIMEOUT))
        })?;
        Ok(Self { agent, remote: remote.clone() })
    }

    /// The hub's address, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.remote.url
    }

    /// Posts JSON to a path and reads the answer of a success.
    ///
    /// # Errors
    /// [`CliError::Refused`], [`CliError::Unreachable`], [`CliError::AnswerLost`]; [`CliError::Failed`] when there is no token, or
    /// when whatever answered does not speak as a hub does.
    pub fn post(&self, path: &str, json: &[u8]) -> Result<Vec<u8>, CliError> {
        let request = self.agent.post(format!("{}{path}", self.remote.url)).content_type("application/json");
        let request = self.identify(request)?.header("Accept", "application/json");
        let answer = request.send(json).map_err(|e| lost(&self.remote.url, &e))?;
        self.finished(answer)
    }

    /// Gets a path and reads the answer of a success.
    ///
    /// # Errors
    /// As [`Hub::post`].
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<u8>, CliError> {
        let request = self.agent.get(format!("{}{path}", self.remote.url)).query_pairs(query.iter().copied());
        let request = self.identify(request)?.header("Accept", "application/json");
        self.finished(request.call().map_err(|e| lost(&self.remote.url, &e))?)
    }

    /// Deletes a path.
    ///
    /// # Errors
    /// As [`Hub::post`].
    pub fn delete(&self, path: &str) -> Result<Vec<u8>, CliError> {
        let request = self.agent.delete(format!("{}{path}", self.remote.url));
        let request = self.identify(request)?.header("Accept", "application/json");
        self.finished(request.call().map_err(|e| lost(&self.remote.url, &e))?)
    }

    /// Posts lines to a path as they come from the input, and reads the answer of a success. A refusal may come before the
    /// input ends.
    ///
    /// # Errors
    /// As [`Hub::post`].
    pub fn upload(&self, path: &str, input: impl Read + Send + 'static) -> Result<Vec<u8>, CliError> {
        let answered = Answered::default();
        let connector = DefaultConnector::new().chain(Watching(answered.clone()));
        let agent = Agent::with_parts(self.agent.config().clone(), connector, DefaultResolver::default());
        let request = agent.post(format!("{}{path}", self.remote.url)).content_type("application/x-ndjson");
        let request = self.identify(request)?.header("Accept", "application/json");
        let mut lines = Lines::of(input, answered);
        let answer = request.send(SendBody::from_reader(&mut lines)).map_err(|e| lost(&self.remote.url, &e))?;
        self.finished(answer)
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
    ) -> Result<Option<ureq::BodyReader<'static>>, CliError> {
        let mut request = self.identify(self.agent.get(format!("{}{path}", self.remote.url)))?;
        request =
            request.header("Accept", "text/event-stream").query_pairs(query.iter().map(|(k, v)| (*k, v.as_str())));
        if !last_event_id.is_empty() {
            request = request.header("Last-Event-ID", last_event_id);
        }
        let request = request.config().timeout_per_read(Some(silence)).build();
        let answer = request.call().map_err(|e| lost(&self.remote.url, &e))?;
        match answer.status().as_u16() {
            200 if is_event_stream(&answer) => Ok(Some(answer.into_body().into_reader())),
            204 => Ok(None),
            status => {
                let body = self.read(answer)?;
                Err(self.refused(status, &body))
            }
        }
    }

    fn identify<B>(&self, request: ureq::RequestBuilder<B>) -> Result<ureq::RequestBuilder<B>, CliError> {
        let token = self.token()?;
        // The text of the error would have the token in it.
        let bearer = ureq::http::HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| CliError::Failed("the token has characters that no token has".to_owned()))?;
        Ok(request
            .header("Authorization", bearer)
            .header("X-Tenant-Id", self.remote.tenant.as_str())
            .header("X-Env", self.remote.env.as_str()))
    }

    /// A token as of now: one that was renewed in its file is found, and a made one is fresh.
    fn token(&self) -> Result<String, CliError> {
        let remote = &self.remote;
        if let Some(path) = &remote.token_file {
            let text =
                std::fs::read_to_string(path).map_err(|e| CliError::Failed(format!("{}: {e}", path.display())))?;
            return Ok(text.trim().to_owned());
        }
        if let Some(token) = std::env::var(TOKEN_VARIABLE).ok().filter(|t| !t.trim().is_empty()) {
            return Ok(token.trim().to_owned());
        }
        development_token(remote)
    }

    fn finished(&self, answer: Response<Body>) -> Result<Vec<u8>, CliError> {
        let status = answer.status();
        let body = self.read(answer)?;
        if status.is_success() { Ok(body) } else { Err(self.refused(status.as_u16(), &body)) }
    }

    fn read(&self, answer: Response<Body>) -> Result<Vec<u8>, CliError> {
        let mut body = Vec::new();
        let mut reader = answer.into_body().into_reader().take(ANSWER_BYTES_MAX);
        reader.read_to_end(&mut body).map_err(|e| lost(&self.remote.url, &e.into()))?;
        Ok(body)
    }

    /// What an answer means that is no success. A proxy whose hub is away says so by status, in words of its own.
    fn refused(&self, status: u16, body: &[u8]) -> CliError {
        let url = self.remote.url.clone();
        match serde_json::from_slice(body) {
            Ok(problem) => CliError::Refused(problem),
            Err(_) if matches!(status, 502..=504) => {
                CliError::AnswerLost { url, reason: format!("somebody before it answers {status}") }
            }
            Err(_) => CliError::Failed(format!("{url} answers {status}, and not as a hub does")),
        }
    }
}

/// Why a hub gave no answer.
pub(super) fn lost(url: &str, error: &ureq::Error) -> CliError {
    if let Some(error) = of_tls(error) {
        return explain(url, error);
    }
    let url = url.to_owned();
    let reason = match error {
        ureq::Error::Io(e) => e.to_string(),
        other => other.to_string(),
    };
    match error {
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
            CliError::Unreachable { url, reason }
        }
        ureq::Error::Io(e) if never_connected(e.kind()) => CliError::Unreachable { url, reason },
        ureq::Error::Io(_) | ureq::Error::Timeout(_) => CliError::AnswerLost { url, reason },
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => CliError::Usage(format!("--url {url}: {reason}")),
        _ => CliError::Failed(format!("{url}: {reason}")),
    }
}

/// What TLS has to say, where that is why.
fn of_tls(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

fn never_connected(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind as Kind;
    matches!(kind, Kind::ConnectionRefused | Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::AddrNotAvailable)
}

fn is_event_stream(answer: &Response<Body>) -> bool {
    answer.body().mime_type() == Some("text/event-stream")
}

/// A token signed with a development hub's secret, which must be there: only the hub and `tambour token` make one.
fn development_token(remote: &Remote) -> Result<String, CliError> {
    let given = SettingsArgs { data: remote.data.clone(), ..SettingsArgs::default() };
    let settings = Settings::resolve(&given.layers(std::env::vars_os())?)?;
    let data_dir = &settings.store.data_dir;
    let ways = format!("give --token-file or {TOKEN_VARIABLE}");
    if !needs_development_secret(&settings)? {
        return Err(CliError::Usage(format!("this hub has a key of its own, so the token must be its: {ways}")));
    }
    let kept = development::kept_secret(data_dir).map_err(|error| CliError::Failed(error.to_string()))?;
    let secret = kept.ok_or_else(|| {
        let missing = data_dir.join(development::SECRET_FILE);
        CliError::Failed(format!(
            "no token: {ways}, or the data directory of a development hub with --data\n(a hub makes its secret at its first run; {} is not there)",
            missing.display()
        ))
    })?;
    let asked = TokenFor {
        tenant: &remote.tenant,
        env: remote.env,
        sub: &remote.sub,
        role: remote.role,
        ttl_seconds: DEVELOPMENT_TTL_SECONDS,
        issuer: settings.auth.issuer.as_deref(),
        audience: settings.auth.audience.as_deref(),
    };
    Ok(development::token(&secret, &asked, now_ms()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        remote: Remote,
    }

    fn parse(args: &str) -> Result<Remote, clap::Error> {
        Alone::try_parse_from(["x"].into_iter().chain(args.split_whitespace())).map(|alone| alone.remote)
    }

    #[test]
    fn wrong_names_are_usage_errors() {
        assert!(parse("--url http://127.0.0.1:1/ --tenant t_x --env stage").is_ok());
        assert!(parse("--url https://hub.example --ca ca.pem").is_ok());
        for bad in ["--url 127.0.0.1:1", "--url ftp://x", "--tenant demo", "--env x", "--role root", "--sub="] {
            assert_eq!(parse(bad).unwrap_err().exit_code(), 2, "{bad}");
        }
    }

    #[test]
    fn a_client_makes_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("nothing here");
        let remote = Remote { data: Some(data.to_str().unwrap().to_owned()), ..parse("").unwrap() };
        let error = development_token(&remote).unwrap_err();
        assert_eq!(error.code(), 1);
        assert!(error.to_string().contains("--data") && !data.exists(), "{error}");
        development::secret(&data).unwrap();
        assert!(development_token(&remote).is_ok());
    }
}
