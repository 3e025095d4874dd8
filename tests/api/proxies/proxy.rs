//! The real nginx and the real Caddy, started with the files in `deploy/` on free ports in front of a hub.
//!
//! Of those files only addresses, paths and what a test says are changed; a text that is not there any more fails
//! the test. Nothing is read from or written to the machine's own configuration.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::eventually;
use crate::support::http::{Answer, Ask, Connection};
use crate::support::process::{Guarded, clean, finished, own_host};

/// Which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Nginx,
    Caddy,
}

/// A text of the shipped file, and what a test puts in its place.
pub(super) type Change<S> = (&'static str, S);

impl Kind {
    /// The shipped file.
    pub(super) fn shipped(self) -> String {
        let name = match self {
            Self::Nginx => "deploy/nginx.conf",
            Self::Caddy => "deploy/Caddyfile",
        };
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
    }

    /// How long streams may go on when it is to leave, in the shipped file.
    pub(super) fn grace(self) -> &'static str {
        match self {
            Self::Nginx => "worker_shutdown_timeout 30s",
            Self::Caddy => "grace_period 30s",
        }
    }

    fn at_once(self) -> &'static str {
        match self {
            Self::Nginx => "TERM",
            Self::Caddy => "QUIT",
        }
    }

    /// What makes the hub's silence unbearable after some seconds. Caddy bears any.
    pub(super) fn impatient(self, seconds: u32) -> Vec<(&'static str, String)> {
        let times = ["proxy_read_timeout", "proxy_send_timeout"];
        match self {
            Self::Nginx => times.map(|time| (time, format!("{time} {seconds}s; # "))).to_vec(),
            Self::Caddy => Vec::new(),
        }
    }
}

/// A proxy that runs until it is dropped.
pub(super) struct Proxy {
    kind: Kind,
    dir: TempDir,
    process: Option<Guarded>,
    /// HTTP, so that a test sees the bytes. The shipped files have HTTPS only.
    pub(super) plain: SocketAddr,
    /// HTTPS, where HTTP/2 is.
    pub(super) tls: SocketAddr,
    /// Where nginx sends those who come by HTTP to HTTPS. (Caddy does so by itself, on port 80.)
    pub(super) redirect: SocketAddr,
}

impl Proxy {
    /// In front of a hub, as it is shipped.
    #[track_caller]
    pub(super) fn start(kind: Kind, hub: SocketAddr) -> Self {
        Self::with::<&str>(kind, hub, &[])
    }

    /// In front of a hub, with changes of the test's own.
    #[track_caller]
    pub(super) fn with<S: AsRef<str>>(kind: Kind, hub: SocketAddr, changes: &[Change<S>]) -> Self {
        let dir = TempDir::new().unwrap();
        let [plain, tls, redirect] = free();
        let place = dir.path().display().to_string();
        let text = changed(&kind.shipped(), changes);
        let text = match kind {
            Kind::Nginx => nginx(&text, &place, hub, [plain, tls, redirect]),
            Kind::Caddy => caddy(&text, plain),
        };
        std::fs::write(dir.path().join("config"), text).unwrap();
        let mut proxy = Self { kind, dir, process: None, plain, tls, redirect };
        if kind == Kind::Nginx {
            certificate(proxy.dir.path());
            // Its workers are another user.
            std::fs::set_permissions(proxy.dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        }
        std::fs::write(proxy.dir.path().join("hub"), hub.to_string()).unwrap();
        proxy.run();
        proxy
    }

    /// Starts it again, where it was.
    #[track_caller]
    pub(super) fn run(&mut self) {
        let place = self.dir.path();
        let config = place.join("config");
        let mut command = Command::new(if self.kind == Kind::Nginx { "nginx" } else { "caddy" });
        match self.kind {
            Kind::Nginx => command.arg("-e").arg(place.join("error")).args(["-g", "daemon off;", "-c"]).arg(config),
            Kind::Caddy => command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config),
        };
        let said = std::fs::File::options().create(true).append(true).open(place.join("said")).unwrap();
        // Debian keeps nginx where only root looks.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin"));
        command.env("HOME", place).env("XDG_DATA_HOME", place).env("XDG_CONFIG_HOME", place);
        command.env("TAMBOUR_HUB", std::fs::read_to_string(place.join("hub")).unwrap());
        command.env("TAMBOUR_SITE", format!("http://:{}, https://localhost:{}", self.plain.port(), self.tls.port()));
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        let child = command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}; tests/run installs it", self.kind));
        let mut process = Guarded(child);
        eventually("the proxy listens", || {
            let ended = process.0.try_wait().unwrap();
            assert!(ended.is_none(), "{:?} does not start: {}", self.kind, self.logs());
            // Caddy may listen before it has its certificate.
            let mut curl = self.curl(&Ask::new("GET", "/"));
            let answered = curl.args(["--output", "/dev/null", &self.url("/healthz")]).status().unwrap();
            (answered.success() && TcpStream::connect(self.plain).is_ok()).then_some(())
        });
        self.process = Some(process);
    }

    /// Ends it at once, as somebody does who is in a hurry: connections break.
    #[track_caller]
    pub(super) fn stop(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.signal(self.kind.at_once());
        process.ended();
    }

    /// Ends it as an update does: what it began may end by itself, for a while.
    #[track_caller]
    pub(super) fn leave(&mut self) {
        let process = self.process.as_ref().expect("it runs");
        process.signal(if self.kind == Kind::Nginx { "QUIT" } else { "TERM" });
    }

    /// Waits for its end.
    #[track_caller]
    pub(super) fn left(&mut self) {
        self.process.take().expect("it ran").ended();
    }

    /// Everything it logged.
    pub(super) fn logs(&self) -> String {
        let logs = ["said", "error", "access"].map(|name| std::fs::read_to_string(self.dir.path().join(name)));
        logs.into_iter().map(Result::unwrap_or_default).collect()
    }

    /// A `curl` that speaks HTTP/2 with it, with the headers of a request; [`Proxy::url`] has the addresses for it.
    pub(super) fn curl(&self, ask: &Ask) -> Command {
        // Its own limit of time would keep it from reading an answer while it waits for a body.
        let mut curl = Command::new("timeout");
        clean(&mut curl);
        curl.args(["30", "curl"]);
        curl.args([
            "--silent",
            "--show-error",
            "--max-time",
            "30",
            "--no-buffer",
            "--http2",
            "--insecure",
            "--resolve",
        ]);
        curl.arg(format!("localhost:{}:{}", self.tls.port(), self.tls.ip()));
        for (name, value) in &ask.headers {
            curl.args(["--header", &format!("{name}: {value}")]);
        }
        curl
    }

    /// A path as `curl` is told it.
    pub(super) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.tls.port())
    }

    /// Asks through it.
    #[track_caller]
    pub(super) fn ask(&self, ask: &Ask) -> Answer {
        ask.send(self.plain)
    }
}

impl Drop for Proxy {
    /// nginx takes its workers along when it is asked to end, and leaves them when it is killed.
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.signal(self.kind.at_once());
            let began = std::time::Instant::now();
            while began.elapsed().as_secs() < 10 && matches!(process.0.try_wait(), Ok(None)) {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    }
}

/// An answer of a proxy's own, which is not in the hub's description of itself.
#[track_caller]
pub(super) fn told(addr: SocketAddr, ask: &Ask) -> Answer {
    let mut connection = Connection::open(addr);
    connection.send(&ask.bytes());
    connection.answer()
}

/// So many addresses that nobody else has: the host is this proxy's own.
fn free<const COUNT: usize>() -> [SocketAddr; COUNT] {
    let host = own_host();
    // Held together, so that they differ.
    let held: [TcpListener; COUNT] = std::array::from_fn(|_| TcpListener::bind((host.as_str(), 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap())
}

/// Puts each text in the place of another, which must be there.
#[track_caller]
fn changed<S: AsRef<str>>(text: &str, changes: &[Change<S>]) -> String {
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in the shipped file");
        text.replace(from, to.as_ref())
    })
}

fn nginx(text: &str, place: &str, hub: SocketAddr, [plain, tls, redirect]: [SocketAddr; 3]) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String = temporary.iter().map(|name| format!("    {name}_temp_path {place}/{name};\n")).collect();
    changed(
        text,
        &[
            ("server 127.0.0.1:8080;", format!("server {hub};")),
            ("listen 80;", format!("listen {redirect};")),
            ("listen 443 ssl http2;", format!("listen {plain};\n        listen {tls} ssl http2;")),
            ("/etc/nginx/tambour", format!("{place}/tambour")),
            ("/run/nginx.pid", format!("{place}/pid")),
            ("/var/log/nginx/error.log", format!("{place}/error")),
            ("/var/log/nginx/access.log", format!("{place}/access")),
            ("\nhttp {\n", format!("\nhttp {{\n{temporary}")),
        ],
    )
}

fn caddy(text: &str, plain: SocketAddr) -> String {
    changed(
        text,
        &[
            (
                "listens.\n{\n",
                "listens.\n{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n".to_owned(),
            ),
            ("localhost} {\n", format!("localhost}} {{\n\tbind {}\n", plain.ip())),
        ],
    )
}

/// A certificate for tests, which nobody trusts.
#[track_caller]
fn certificate(dir: &Path) {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-newkey", "ec"]);
    command.args(["-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    command.arg("-keyout").arg(dir.join("tambour.key")).arg("-out").arg(dir.join("tambour.crt"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = finished(command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
