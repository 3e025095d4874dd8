//! TLS for the tests' clients: certificates, who trusts which, and a socket that speaks TLS where the hub does.
//!
//! A hub that speaks TLS is made known by its address. So every client of the tests works with it unchanged.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned, SupportedProtocolVersion};
use tambour::config::Settings;
use tempfile::TempDir;

/// The name that all certificates of tests are for.
pub(crate) const NAME: &str = "localhost";

static SPEAKERS: LazyLock<Mutex<HashMap<SocketAddr, Arc<ClientConfig>>>> = LazyLock::new(Mutex::default);

/// From now on clients speak TLS with this address.
pub(crate) fn speaks(addr: SocketAddr, client: Arc<ClientConfig>) {
    SPEAKERS.lock().unwrap().insert(addr, client);
}

/// From now on they don't.
pub(crate) fn forget(addr: SocketAddr) {
    SPEAKERS.lock().unwrap().remove(&addr);
}

fn client_of(addr: SocketAddr) -> Option<Arc<ClientConfig>> {
    SPEAKERS.lock().unwrap().get(&addr).cloned()
}

/// Two files: a certificate that signs itself, and its key.
pub(crate) struct Pair {
    dir: TempDir,
}

impl Pair {
    /// For [`NAME`].
    pub(crate) fn make() -> Self {
        Self::of(NAME)
    }

    /// For [`NAME`] and a host.
    pub(crate) fn of(host: &str) -> Self {
        let pair = Self { dir: TempDir::new().unwrap() };
        let made = rcgen::generate_simple_self_signed([NAME.to_owned(), host.to_owned()]).unwrap();
        put(&pair.cert(), &made.cert.pem());
        put(&pair.key(), &made.signing_key.serialize_pem());
        pair
    }

    pub(crate) fn cert(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.dir.path().join("key.pem")
    }

    /// What is in the certificate's file now.
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.cert()).unwrap()
    }

    /// A client that trusts what is in the certificate's file now.
    pub(crate) fn client(&self) -> ClientConfig {
        client(&[self.der()], rustls::ALL_VERSIONS)
    }

    /// A server of the test's own with this pair.
    pub(crate) fn server(&self) -> ServerConfig {
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.der()], PrivateKeyDer::from_pem_file(self.key()).unwrap())
            .unwrap()
    }

    /// For a hub in this process.
    pub(crate) fn set(&self, settings: &mut Settings) {
        settings.tls.cert_file = Some(self.cert());
        settings.tls.key_file = Some(self.key());
    }

    /// For a hub in a process of its own.
    pub(crate) fn variables(&self) -> [(String, String); 2] {
        [("TAMBOUR__TLS__CERT_FILE", self.cert()), ("TAMBOUR__TLS__KEY_FILE", self.key())]
            .map(|(name, path)| (name.to_owned(), path.to_str().unwrap().to_owned()))
    }
}

/// Puts a text into the place of a file, whole at once.
pub(crate) fn put(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, path).unwrap();
}

/// A client that trusts these certificates and speaks these versions.
pub(crate) fn client(
    trusted: &[CertificateDer<'static>],
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    trusted.iter().for_each(|certificate| roots.add(certificate.clone()).unwrap());
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A client's side of a handshake that has not begun.
pub(crate) fn connection(client: Arc<ClientConfig>) -> ClientConnection {
    ClientConnection::new(client, ServerName::try_from(NAME).unwrap()).unwrap()
}

/// A socket, with TLS where its peer speaks it.
pub(crate) enum Channel {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Channel {
    /// Over a connected socket. A handshake is made with the first write or read.
    pub(crate) fn over(socket: TcpStream) -> Self {
        match socket.peer_addr().ok().and_then(client_of) {
            None => Self::Plain(socket),
            Some(client) => Self::Tls(Box::new(StreamOwned::new(connection(client), socket))),
        }
    }

    /// The socket below.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }

    /// The client's side of TLS.
    #[track_caller]
    pub(crate) fn tls(&mut self) -> &mut ClientConnection {
        match self {
            Self::Plain(_) => panic!("this socket speaks no TLS"),
            Self::Tls(stream) => &mut stream.conn,
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&mut self) {
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            // The hub may have closed the connection already, here and below.
            let _ = stream.flush();
        }
        let _ = self.tcp().shutdown(Shutdown::Write);
    }
}

impl Read for Channel {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Channel {
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
