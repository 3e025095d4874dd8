//! The real binary as a process: started, watched, killed, started again on the same address.
//!
//! A process never outlives the value here.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::eventually;
use super::http::Ask;
use super::tls::{self, Pair};
use super::token::SECRET;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_tambour");

/// A command of the binary with an environment of its own.
pub(crate) fn tambour(args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    clean(&mut command);
    command.args(args);
    command
}

/// Takes away what the surroundings might tell the binary.
pub(crate) fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TAMBOUR")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
}

/// Runs a command to its end, at the latest at the deadline.
#[track_caller]
pub(crate) fn finished(mut command: Command) -> Output {
    let mut child = Guarded(command.spawn().unwrap());
    let (stdout, stderr) = (child.0.stdout.take().unwrap(), child.0.stderr.take().unwrap());
    let reads = |mut pipe: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).map(|_| bytes)
        })
    };
    let (out, err) = (reads(Box::new(stdout)), reads(Box::new(stderr)));
    let status = child.ended();
    Output { status, stdout: out.join().unwrap().unwrap(), stderr: err.join().unwrap().unwrap() }
}

/// How often something may be done: always. Tests are faster than anybody.
const UNRATED: [(&str, &str); 4] = [
    ("TAMBOUR__RATES__PUBLISH_PER_MINUTE", "0"),
    ("TAMBOUR__RATES__ACTION_PER_MINUTE", "0"),
    ("TAMBOUR__RATES__BAD_TOKENS_PER_MINUTE", "0"),
    ("TAMBOUR__SESSION__MESSAGES_PER_SECOND", "0"),
];

/// A child that does not outlive the test.
pub(crate) struct Guarded(pub(crate) Child);

impl Guarded {
    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        eventually("the process ends", || self.0.try_wait().unwrap())
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address that nobody else takes while a hub is down: each has its own host in 127.0.0.0/8.
pub(crate) fn own_host() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let (pid, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    format!("127.{}.{}.{}", 1 + pid % 250, pid / 250 % 256, 1 + count % 250)
}

/// A hub as a process.
pub(crate) struct Process {
    pub(crate) child: Guarded,
    pub(crate) addr: SocketAddr,
    /// The same as it says it.
    pub(crate) url: String,
    /// Where its `/metrics` is.
    pub(crate) admin: SocketAddr,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Process {
    /// Starts a hub on a directory. `listen` is an address of [`own_host`], with port 0 the first time.
    #[track_caller]
    pub(crate) fn start(data: &Path, listen: &str, variables: &[(&str, &str)]) -> Self {
        Self::spawn(Command::new(BINARY), data, listen, variables)
    }

    /// Starts a hub that gets everything else, its key too, from a file of settings.
    #[track_caller]
    pub(crate) fn configured(data: &Path, listen: &str, file: &Path) -> Self {
        let mut command = tambour(&["serve", "--config", file.to_str().unwrap(), "--listen", listen]);
        command.args(["--admin-listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]).envs(UNRATED);
        Self::launch(command)
    }

    /// Starts a hub on a directory that speaks TLS, as every client of the tests then does with it.
    #[track_caller]
    pub(crate) fn with_tls(data: &Path, listen: &str, pair: &Pair, variables: &[(&str, &str)]) -> Self {
        let of_pair = pair.variables();
        let of_pair = of_pair.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let variables: Vec<_> = of_pair.chain(variables.iter().copied()).collect();
        let hub = Self::start(data, listen, &variables);
        tls::speaks(hub.addr, Arc::new(pair.client()));
        hub
    }

    /// Starts a hub by a command that ends with the binary.
    #[track_caller]
    pub(crate) fn spawn(mut command: Command, data: &Path, listen: &str, variables: &[(&str, &str)]) -> Self {
        clean(&mut command);
        command.args(["serve", "--listen", listen, "--admin-listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]);
        command.env("TAMBOUR__AUTH__SECRET", SECRET).envs(UNRATED).envs(variables.iter().copied());
        Self::launch(command)
    }

    #[track_caller]
    fn launch(mut command: Command) -> Self {
        let mut child = Guarded(command.spawn().unwrap());
        let said = Arc::new(Mutex::new(Vec::new()));
        let (mut stderr, heard) = (child.0.stderr.take().unwrap(), said.clone());
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut piece) {
                heard.lock().unwrap().extend_from_slice(&piece[..read]);
            }
        });
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map_while(Result::ok);
        let admin =
            lines.find_map(|line| Some(line.strip_prefix("metrics on http://")?.strip_suffix("/metrics")?.to_owned()));
        let url = lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
        let (Some(admin), Some(url)) = (admin, url) else {
            child.ended();
            panic!("the hub does not start: {}", String::from_utf8_lossy(&said.lock().unwrap()));
        };
        // What it prints later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let addr = url.split_once("://").unwrap().1.parse().unwrap();
        Self { child, addr, url, admin: admin.parse().unwrap(), said }
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.0.kill().unwrap();
        self.child.0.wait().unwrap();
    }

    /// Sends it SIGHUP, and waits until its log says something once more.
    #[track_caller]
    pub(crate) fn reload_until(&self, says: &str) {
        let before = self.said().matches(says).count();
        self.child.signal("HUP");
        eventually(says, || (self.said().matches(says).count() > before).then_some(()));
    }

    /// How many sessions it has.
    #[track_caller]
    pub(crate) fn sessions(&self) -> u64 {
        let metrics = Ask::new("GET", "/metrics").send(self.admin).text();
        let line = metrics.lines().find(|line| line.starts_with("tambour_sessions ")).expect("the hub counts sessions");
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Its log so far.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    /// Its resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }
}
