//! An issuer of tokens: private keys made by the test, and a real server that publishes the public ones, well or badly.
//!
//! It counts who asked, so that a test can say how often the hub did.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};

use super::token::claims;

/// A key that signs with ES256, and its name.
pub(crate) struct SigningKey {
    kid: String,
    key: EncodingKey,
}

impl SigningKey {
    /// A new one.
    pub(crate) fn make(kid: &str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        Self { kid: kid.to_owned(), key }
    }

    /// As its issuer publishes it.
    pub(crate) fn public(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.key, Algorithm::ES256).unwrap()).unwrap();
        jwk["kid"] = self.kid.clone().into();
        jwk
    }

    /// A token of its issuer.
    pub(crate) fn sign(&self, iss: &str, claims: &Value) -> String {
        let mut claims = claims.clone();
        claims["iss"] = iss.into();
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }

    /// A member's token of its issuer.
    pub(crate) fn token(&self, iss: &str, sub: &str) -> String {
        self.sign(iss, &claims(sub, "member"))
    }
}

/// A JWKS of keys.
pub(crate) fn jwks(keys: &[&SigningKey]) -> String {
    json!({"keys": keys.iter().map(|key| key.public()).collect::<Vec<_>>()}).to_string()
}

/// How the server behaves.
#[derive(Clone)]
pub(crate) enum Behaviour {
    /// It answers 200 with this body.
    Serves(String),
    /// It answers with this status, and (of a redirect) this place.
    Status(u16, String),
    /// It takes the request and says nothing.
    Hangs,
    /// It sends a body without an end.
    Floods,
}

/// A server of keys.
pub(crate) struct Publisher {
    addr: SocketAddr,
    behaviour: Arc<Mutex<Behaviour>>,
    asked: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
}

impl Publisher {
    /// One that publishes over http.
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        Self::over(behaviour, None)
    }

    /// One that publishes over https, for the name `localhost`.
    pub(crate) fn with_tls(behaviour: Behaviour, config: rustls::ServerConfig) -> Self {
        Self::over(behaviour, Some(Arc::new(config)))
    }

    fn over(behaviour: Behaviour, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let publisher =
            Self { addr, behaviour: Arc::new(Mutex::new(behaviour)), asked: Arc::default(), sent: Arc::default() };
        let (behaviour, asked, sent) = (publisher.behaviour.clone(), publisher.asked.clone(), publisher.sent.clone());
        // It ends with the process: a server that waits for nobody needs no word.
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (behaviour, asked, sent) = (behaviour.clone(), asked.clone(), sent.clone());
                let tls = tls.clone();
                std::thread::spawn(move || {
                    let answers = |stream: &mut dyn Stream| answer(stream, &behaviour, &asked, &sent);
                    match tls {
                        None => answers(&mut { socket }),
                        Some(config) => {
                            let connection = rustls::ServerConnection::new(config).unwrap();
                            answers(&mut rustls::StreamOwned::new(connection, socket));
                        }
                    }
                });
            }
        });
        publisher
    }

    /// Behaves otherwise from now on.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// Where its keys are.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/keys", self.addr)
    }

    /// The port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.addr.port()
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// How many bytes of bodies without an end it could send.
    pub(crate) fn flooded_bytes(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }
}

trait Stream: Read + Write {}

impl Stream for TcpStream {}
impl Stream for rustls::StreamOwned<rustls::ServerConnection, TcpStream> {}

fn answer(stream: &mut dyn Stream, behaviour: &Mutex<Behaviour>, asked: &AtomicUsize, sent: &AtomicUsize) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    asked.fetch_add(1, Ordering::SeqCst);
    let behaviour = behaviour.lock().unwrap().clone();
    // The hub may have hung up: it does not wait for ever.
    let _ = match behaviour {
        Behaviour::Serves(body) => stream.write_all(
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
                .as_bytes(),
        ),
        Behaviour::Status(status, place) => stream.write_all(
            format!("HTTP/1.1 {status} X\r\nLocation: {place}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes(),
        ),
        Behaviour::Hangs => stream.read(&mut byte).map(|_| ()),
        Behaviour::Floods => {
            let piece = vec![b' '; 64 * 1024];
            let mut written = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n{\"keys\":[");
            for _ in 0..16_000 {
                written = written.and_then(|()| stream.write_all(&piece));
                if written.is_err() {
                    break;
                }
                sent.fetch_add(piece.len(), Ordering::SeqCst);
            }
            written
        }
    };
}
