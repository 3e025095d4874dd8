//! A TLS connection seen from inside, over a real socket with a client of rustls' own: what waits in it, and how much.

use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream as ClientSocket};
use std::task::Waker;
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::*;

type Client = StreamOwned<ClientConnection, ClientSocket>;

/// Nothing here takes longer.
const WITHIN: Duration = Duration::from_secs(20);

/// Both ends of a connection; the client has said `first` with the end of its handshake.
async fn connected(first: &'static [u8]) -> (TlsStream, Client) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let client = std::thread::spawn(move || {
        let mut socket = ClientSocket::connect(addr).unwrap();
        socket.set_read_timeout(Some(WITHIN)).unwrap();
        let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from("localhost").unwrap()).unwrap();
        while client.is_handshaking() {
            client.write_tls(&mut socket).unwrap();
            client.read_tls(&mut socket).unwrap();
            client.process_new_packets().unwrap();
        }
        client.writer().write_all(first).unwrap();
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        socket.write_all(&bytes).unwrap();
        StreamOwned::new(client, socket)
    });
    let socket = listener.accept().unwrap().0;
    socket.set_nonblocking(true).unwrap();
    let mut stream = TlsStream::new(TcpStream::from_std(socket).unwrap(), Arc::new(server)).unwrap();
    tokio::time::timeout(WITHIN, poll_fn(|cx| stream.poll_handshake(cx))).await.unwrap().unwrap();
    (stream, client.join().unwrap())
}

fn run(test: impl AsyncFnOnce()) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
}

impl TlsStream {
    /// Bytes that it holds on to.
    fn holds(&self) -> usize {
        self.outgoing.bytes.capacity() + self.incoming.capacity() + self.text.bytes.capacity()
    }
}

#[test]
fn text_that_waits_is_ready_though_the_socket_is_not() {
    run(async || {
        let (mut stream, mut client) = connected(b"with the handshake").await;
        let mut into = [0; 8];
        let mut cx = Context::from_waker(Waker::noop());
        // The socket has nothing, and its readiness is used up.
        assert_eq!(stream.tcp.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        for expected in ["with the", " handsha", "ke"] {
            assert!(stream.poll_readable(&mut cx).is_ready());
            let read = stream.try_read(&mut into).unwrap();
            assert_eq!(&into[..read], expected.as_bytes());
        }
        assert!(stream.poll_readable(&mut cx).is_pending());
        client.write_all(b"later").unwrap();
        tokio::time::timeout(WITHIN, poll_fn(|cx| stream.poll_readable(cx))).await.unwrap().unwrap();
        assert_eq!(stream.try_read(&mut into).unwrap(), 5);
        assert_eq!(stream.try_read(&mut into).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(stream.holds(), 0, "an idle connection keeps nothing");
    });
}

#[test]
fn whatever_is_written_at_most_a_record_waits() {
    run(async || {
        let (mut stream, mut client) = connected(b"").await;
        let text: Vec<u8> = (0..5_000_000_u32).map(|n| (n / 7) as u8).collect();
        let expected = text.clone();
        let reader = std::thread::spawn(move || {
            // Nothing is read until the writer is stuck.
            client.sock.set_nodelay(true).unwrap();
            let mut go = [0];
            std::thread::park();
            let mut read = Vec::new();
            while read.len() < expected.len() {
                let mut piece = vec![0; 1 + read.len() % 30_000];
                let count = client.read(&mut piece).unwrap();
                read.extend_from_slice(&piece[..count]);
            }
            assert!(read == expected, "what was written is read, in order");
            assert_eq!(client.read(&mut go).unwrap(), 0, "and then a goodbye");
        });
        let (mut written, mut blocked) = (0, 0);
        while written < text.len() {
            // Long slices, short ones, and several.
            let end = text.len().min(written + 1 + written % 90_000);
            let (one, two) = text[written..end].split_at((end - written) / 3);
            match stream.try_write(&[IoSlice::new(one), IoSlice::new(two), IoSlice::new(&[])]) {
                Ok(accepted) => written += accepted,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    assert!(stream.unsent() > 0, "it is full because a record waits");
                    blocked += 1;
                    reader.thread().unpark();
                    tokio::time::timeout(WITHIN, poll_fn(|cx| stream.poll_writable(cx))).await.unwrap().unwrap();
                }
            }
            assert!(stream.unsent() <= RECORD_BYTES_MAX, "{} bytes wait", stream.unsent());
        }
        assert!(blocked > 0, "the socket was full");
        while let Err(error) = stream.try_write(&[]) {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            tokio::time::timeout(WITHIN, poll_fn(|cx| stream.poll_writable(cx))).await.unwrap().unwrap();
        }
        assert_eq!((stream.unsent(), stream.holds()), (0, 0));
        Socket::finish(&mut stream);
        reader.join().unwrap();
    });
}
