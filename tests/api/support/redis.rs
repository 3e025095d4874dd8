//! A real Redis of a test's own: on a free port of the loopback, with a directory of its own, ended with the test.
//!
//! It writes to disk before it answers, so that one that was killed knows what it knew.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take to answer.
const WITHIN: Duration = Duration::from_secs(30);

/// A server that runs until it is dropped.
pub(crate) struct RedisServer {
    addr: SocketAddr,
    dir: TempDir,
    child: Child,
}

impl RedisServer {
    /// Starts one.
    #[track_caller]
    pub(crate) fn start() -> Self {
        for _ in 0..20 {
            let dir = TempDir::new().unwrap();
            let addr = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
            let child = spawn(addr, &dir);
            let mut server = Self { addr, dir, child };
            // A port that was free a moment ago may be somebody else's by now: then the next is tried.
            if server.answers() {
                return server;
            }
        }
        panic!("there is no port for redis-server");
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}/", self.addr)
    }

    /// Kills it, as a crash would.
    pub(crate) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was, with what it knew.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        let began = Instant::now();
        loop {
            self.child = spawn(self.addr, &self.dir);
            if self.answers() {
                return;
            }
            assert!(began.elapsed() < WITHIN, "redis-server does not start again");
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Asks it something; the answer as it comes, a line for each part.
    #[track_caller]
    pub(crate) fn command(&self, words: &[&str]) -> String {
        self.ask(words).expect("redis-server answers")
    }

    fn ask(&self, words: &[&str]) -> std::io::Result<String> {
        let mut connection = TcpStream::connect(self.addr)?;
        connection.set_read_timeout(Some(WITHIN))?;
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        connection.write_all(request.as_bytes())?;
        let (mut reader, mut parts, mut left) = (BufReader::new(connection), Vec::new(), 1_usize);
        while left > 0 {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim_end();
            left -= 1;
            match (line.get(..1), line.get(1..).and_then(|rest| rest.parse().ok())) {
                (Some("*"), Some(count)) => left += count,
                (Some("$"), Some(bytes)) => {
                    let bytes: usize = bytes;
                    let mut text = vec![0; bytes + 2];
                    reader.read_exact(&mut text)?;
                    parts.push(String::from_utf8_lossy(&text).trim_end().to_owned());
                }
                _ => parts.push(line.to_owned()),
            }
        }
        Ok(parts.join("\n"))
    }

    /// Whether it comes up; `false` when it ended.
    #[track_caller]
    fn answers(&mut self) -> bool {
        let began = Instant::now();
        loop {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if self.ask(&["PING"]).is_ok_and(|answer| answer == "+PONG") {
                return true;
            }
            assert!(began.elapsed() < WITHIN, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have been stopped by the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn spawn(addr: SocketAddr, dir: &TempDir) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--bind", &addr.ip().to_string(), "--port", &addr.port().to_string()]);
    command.args(["--dir", dir.path().to_str().unwrap(), "--save", "", "--appendonly", "yes"]);
    command.args(["--appendfsync", "always", "--daemonize", "no"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("redis-server is installed: tests/run installs it")
}
