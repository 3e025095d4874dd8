//! The server under test, as a process of its own: started on a data directory, asked for its
//! metrics, stopped. Talks to it only as any client could. Never measures.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};

use super::tls::{self, Pair};
use super::{BenchError, Common, ENV, TENANT};

/// How long a server may take until it listens: a million events may have to be looked at.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long a server may take to stop; the contract says 15 s.
const STOP_PATIENCE: Duration = Duration::from_secs(20);
/// What connections of a measured hub are limited to.
const CONNECTIONS_MAX: &str = "10000000";
/// The counter of commits, each of which is one fsync.
const COMMITS: &str = "tambour_store_commits_total";

/// A directory for the hub's data that is removed at the end.
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    /// An empty directory inside `parent`, or inside the system's directory for such.
    ///
    /// # Errors
    /// When it can't be made.
    pub(crate) fn new(parent: Option<&Path>) -> Result<Self, BenchError> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let moment = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let path = parent.join(format!("tambour-bench-{}-{moment}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} remains: {error}", self.0.display());
        }
    }
}

/// A running server. Dropping it stops it.
pub(crate) struct ServerProcess {
    child: Child,
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    metrics: Option<SocketAddr>,
    lines: Receiver<String>,
}

impl ServerProcess {
    /// Starts a command and waits for its `listening on http…` line.
    ///
    /// # Errors
    /// When it ends or stays silent instead; its last lines of stderr are in the error if
    /// `log` names the file that they went to.
    pub(crate) fn start(mut command: Command, log: Option<&Path>) -> Result<Self, BenchError> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            // Reads to the end, so that the server never waits for a full pipe.
            std::thread::spawn(move || {
                BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
            });
        }
        let mut server = Self { child, addr: SocketAddr::from(([127, 0, 0, 1], 0)), metrics: None, lines };
        let deadline = Instant::now() + START_PATIENCE;
        while let Ok(line) = server.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if let Some(addr) = address(&line, "metrics on http://") {
                server.metrics = Some(addr);
            } else if let Some(addr) =
                address(&line, "listening on http://").or_else(|| address(&line, "listening on https://"))
            {
                server.addr = addr;
                return Ok(server);
            }
        }
        let said = log.and_then(|log| std::fs::read_to_string(log).ok()).unwrap_or_default();
        let tail: Vec<_> = said.lines().rev().take(5).collect();
        Err(BenchError::Start(name, tail.into_iter().rev().collect::<Vec<_>>().join("\n")))
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to the server's stdin.
    ///
    /// # Errors
    /// When the server is gone.
    pub(crate) fn tell(&mut self, line: &str) -> Result<(), BenchError> {
        let stdin = self.child.stdin.as_mut().ok_or_else(|| BenchError::Late("stdin".into()))?;
        Ok(writeln!(stdin, "{line}")?)
    }

    /// The next line of the server's stdout.
    ///
    /// # Errors
    /// When none comes in time.
    pub(crate) fn hear(&self, patience: Duration) -> Result<String, BenchError> {
        self.lines.recv_timeout(patience).map_err(|_| BenchError::Late("a line of the server".into()))
    }

    /// How many transactions its store has committed; `None` when it does not say.
    pub(crate) fn commits(&self) -> Option<f64> {
        let mut stream = TcpStream::connect(self.metrics?).ok()?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        counter(&text, COMMITS)
    }
}

/// The sum of a counter over its labels, in the Prometheus text format.
fn counter(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with(['{', ' ']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok()).flatten()
    });
    values.reduce(|sum, value| sum + value)
}

fn address(line: &str, prefix: &str) -> Option<SocketAddr> {
    let rest = &line[line.find(prefix)? + prefix.len()..];
    rest.split(['/', ' ']).next()?.parse().ok()
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        tls::forget(self.addr);
        drop(self.child.stdin.take());
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself, which is what is wanted.
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + STOP_PATIENCE;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        eprintln!("the server did not stop within {} s and is killed", STOP_PATIENCE.as_secs());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A hub with the token of an owner of the bench's tenant.
pub(crate) struct Hub {
    /// Its process.
    pub(crate) server: ServerProcess,
    /// A token good for a day.
    pub(crate) token: String,
}

impl Hub {
    /// Starts a hub on a data directory, which may have been used before.
    ///
    /// # Errors
    /// When it does not start or has not made its development secret.
    pub(crate) fn start(common: &Common, data: &DataDir) -> Result<Self, BenchError> {
        Self::start_with(common, data, false)
    }

    /// The same, if it is wanted with TLS on the client address.
    ///
    /// # Errors
    /// As [`Hub::start`]; when no certificate can be made.
    pub(crate) fn start_with(common: &Common, data: &DataDir, tls: bool) -> Result<Self, BenchError> {
        let program = common.server.clone().map_or_else(std::env::current_exe, Ok)?;
        let log = data.0.with_extension("log");
        let mut command = Command::new(program);
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
            "--data",
        ]);
        command.arg(&data.0).stderr(std::fs::File::create(&log)?);
        // All its sessions are one principal's, from one address.
        for most in ["IP", "PRINCIPAL", "TENANT"].map(|of| format!("TAMBOUR__LIMITS__CONNECTIONS_PER_{of}_MAX")) {
            command.env(most, CONNECTIONS_MAX);
        }
        command.env("TAMBOUR__LIMITS__CONNECTIONS_MAX", CONNECTIONS_MAX);
        // And what is measured is how fast it is, not how fast it lets somebody be.
        for rate in ["RATES__PUBLISH_PER_MINUTE", "RATES__ACTION_PER_MINUTE", "SESSION__MESSAGES_PER_SECOND"] {
            command.env(format!("TAMBOUR__{rate}"), "0");
        }
        let pair = if tls { Some(Pair::make(&data.0)?) } else { None };
        if let Some(pair) = &pair {
            command.arg("--tls-cert").arg(&pair.cert).arg("--tls-key").arg(&pair.key);
        }
        for setting in &common.set {
            let (key, value) =
                setting.split_once('=').ok_or_else(|| BenchError::Usage(format!("--set {setting}: no =")))?;
            command.env(format!("TAMBOUR__{}", key.replace('.', "__").to_uppercase()), value);
        }
        let server = ServerProcess::start(command, Some(&log));
        // What it said is in the error, if it was one.
        let _ = std::fs::remove_file(&log);
        let server = server?;
        if let Some(pair) = &pair {
            pair.speak(server.addr)?;
        }
        let secret = std::fs::read_to_string(data.0.join("development.secret"))?;
        Ok(Self { server, token: token(secret.trim())? })
    }
}

fn token(secret: &str) -> Result<String, BenchError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = serde_json::json!({
        "sub": "bench", "tenant_ids": [TENANT], "role_map": {TENANT: "owner"}, "envs": [ENV], "exp": now + 86_400,
    });
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key)
        .map_err(|error| BenchError::Usage(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters() {
        let text = "# TYPE a_total counter\na_total 7\nb_total{x=\"1\"} 2\nb_total{x=\"2\"} 3.5\nb_total_more 9\n";
        assert_eq!(counter(text, "a_total"), Some(7.0));
        assert_eq!(counter(text, "b_total"), Some(5.5));
        assert_eq!(counter(text, "c_total"), None);
    }

    #[test]
    fn addresses() {
        let at = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        assert_eq!(address("listening on http://127.0.0.1:80", "listening on http://"), at(80));
        assert_eq!(address("metrics on http://127.0.0.1:81/metrics", "metrics on http://"), at(81));
        assert_eq!(address("hello", "listening on http://"), None);
    }

    #[test]
    fn a_server_that_ends_is_an_error_with_its_name() {
        match ServerProcess::start(Command::new("true"), None) {
            Err(BenchError::Start(name, _)) => assert_eq!(name, "true"),
            other => panic!("{:?}", other.err()),
        }
    }
}
