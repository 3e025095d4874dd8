//! TLS of runs: a certificate that openssl makes, and clients that trust it alone. What the clients' side costs is
//! theirs: it is in no figure but `load_us_per_delivery`.
//!
//! Which addresses speak TLS is known to the whole process, so that whoever connects need not ask.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use parking_lot::RwLock;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::BenchError;

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The hub that speaks TLS, if there is one, and how to speak with it.
static SPEAKER: RwLock<Option<(SocketAddr, Arc<ClientConfig>)>> = RwLock::new(None);

/// A certificate for 127.0.0.1 that signs itself, and its key.
#[derive(Debug)]
pub(crate) struct Pair {
    /// The certificate's file.
    pub(crate) cert: PathBuf,
    /// The key's file.
    pub(crate) key: PathBuf,
}

impl Pair {
    /// Makes both in a directory.
    ///
    /// # Errors
    /// When there is no openssl, or it fails.
    pub(crate) fn make(dir: &Path) -> Result<Self, BenchError> {
        let pair = Self { cert: dir.join("bench-cert.pem"), key: dir.join("bench-key.pem") };
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        openssl.args(["-days", "2", "-subj", "/CN=tambour-bench", "-addext", "subjectAltName=IP:127.0.0.1"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"]).arg(&pair.key);
        let made = openssl.arg("-out").arg(&pair.cert).stdin(Stdio::null()).output();
        let made =
            made.map_err(|error| BenchError::Usage(format!("--tls makes a certificate with openssl: {error}")))?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr).into_owned();
            return Err(BenchError::Usage(format!("--tls makes a certificate with openssl, which fails: {said}")));
        }
        Ok(pair)
    }

    /// From now on connections to this address are made over TLS.
    ///
    /// # Errors
    /// When the certificate can't be read again.
    pub(crate) fn speak(&self, addr: SocketAddr) -> Result<(), BenchError> {
        let unusable = |error: &dyn std::fmt::Display| BenchError::Usage(format!("{}: {error}", self.cert.display()));
        let certificate = CertificateDer::from_pem_file(&self.cert).map_err(|error| unusable(&error))?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate).map_err(|error| unusable(&error))?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .map_err(|error| unusable(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Each connection is a stranger's, as after a restart of everybody.
        config.resumption = Resumption::disabled();
        *SPEAKER.write() = Some((addr, Arc::new(config)));
        Ok(())
    }
}

/// Nobody listens at this address any more.
pub(crate) fn forget(addr: SocketAddr) {
    SPEAKER.write().take_if(|(speaker, _)| *speaker == addr);
}

/// A socket for an event loop, with TLS where its peer speaks it.
pub(crate) enum Stream {
    /// Without.
    Plain(TcpStream),
    /// With; its handshake is done.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Makes a connected socket one for an event loop. A handshake is made here, and waited for.
    ///
    /// # Errors
    /// What the kernel or TLS says.
    pub(crate) fn over(mut socket: std::net::TcpStream) -> io::Result<Self> {
        let peer = socket.peer_addr()?;
        let config = SPEAKER.read().as_ref().filter(|(addr, _)| *addr == peer).map(|(_, config)| config.clone());
        let nonblocking = |socket: std::net::TcpStream| {
            socket.set_nonblocking(true)?;
            Ok::<_, io::Error>(TcpStream::from_std(socket))
        };
        let Some(config) = config else { return Ok(Self::Plain(nonblocking(socket)?)) };
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut tls = ClientConnection::new(config, ServerName::from(peer.ip())).map_err(io::Error::other)?;
        while tls.is_handshaking() || tls.wants_write() {
            tls.complete_io(&mut socket)?;
        }
        Ok(Self::Tls(Box::new(StreamOwned::new(tls, nonblocking(socket)?))))
    }

    /// Whether a read that does not fill its buffer has read all that there is.
    pub(crate) fn short_is_all(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &mut stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Source for Stream {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.socket().register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.socket().reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket().deregister(registry)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::time::Instant;

    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection};

    use super::*;

    #[test]
    fn an_address_that_is_known_to_speak_tls_is_spoken_to_so() {
        let dir = tempfile::tempdir().unwrap();
        let pair = Pair { cert: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(&pair.cert, made.cert.pem()).unwrap();
        std::fs::write(&pair.key, made.signing_key.serialize_pem()).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::from_pem_file(&pair.key).unwrap())
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        // Sends back what it gets, over TLS and then without.
        let echo = std::thread::spawn(move || {
            let tls = ServerConnection::new(Arc::new(server)).unwrap();
            let mut first = StreamOwned::new(tls, listener.accept().unwrap().0);
            let mut bytes = vec![0; 100_000];
            first.read_exact(&mut bytes).unwrap();
            first.write_all(&bytes).unwrap();
            let mut second = listener.accept().unwrap().0;
            second.read_exact(&mut bytes[..10]).unwrap();
            second.write_all(&bytes[..10]).unwrap();
        });
        let said: Vec<u8> = (0..100_000_u32).map(|n| (n / 3) as u8).collect();
        let heard = |mut stream: Stream, bytes: usize| {
            let (mut sent, mut heard, began) = (0, Vec::new(), Instant::now());
            while heard.len() < bytes {
                assert!(began.elapsed() < PATIENCE, "{sent} sent, {} heard", heard.len());
                if sent < bytes {
                    sent += stream.write(&said[sent..bytes]).unwrap_or(0);
                }
                let mut piece = [0; 5_000];
                match stream.read(&mut piece) {
                    Ok(count) => heard.extend_from_slice(&piece[..count]),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
                }
            }
            heard
        };
        pair.speak(addr).unwrap();
        let secret = Stream::over(std::net::TcpStream::connect(addr).unwrap()).unwrap();
        assert!(!secret.short_is_all());
        forget(addr);
        let plain = Stream::over(std::net::TcpStream::connect(addr).unwrap()).unwrap();
        assert!(plain.short_is_all());
        assert!(heard(secret, said.len()) == said);
        assert_eq!(heard(plain, 10), said[..10]);
        echo.join().unwrap();
    }
}
