//! The key that verifies tokens: loaded once at the start, and refused there if it is weak, of
//! the wrong kind, or not the one thing that is configured.
//!
//! No key, and no path to one, is ever taken from a token.

use std::path::{Path, PathBuf};

use jsonwebtoken::{AlgorithmFamily, DecodingKey};

use crate::config::Auth;
use crate::config::value::{Algorithm, Secret};

/// Shortest secret in bytes: the output of HS256 (RFC 7518, section 3.2).
pub const SECRET_BYTES_MIN: usize = 32;
/// Smallest RSA modulus in bits (RFC 7518, section 3.3).
pub const RSA_BITS_MIN: usize = 2_048;
/// Largest RSA modulus in bits that the verifier computes with.
pub const RSA_BITS_MAX: usize = 4_096;

/// Why a key can't be used. Each says what to do; none repeats the key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No key is configured.
    #[error("no key: set auth.secret_file (HS256, HS384, HS512) or auth.public_key_file (all other algorithms)")]
    Missing,
    /// More than one key is configured.
    #[error("{0} and {1} are both set: keep one")]
    Twice(&'static str, &'static str),
    /// A secret for a public-key algorithm, or the reverse.
    #[error("auth.algorithm is {algorithm:?}, which needs {needed}, but {given} is set", algorithm = algorithm.0)]
    Kind {
        /// The configured algorithm.
        algorithm: Algorithm,
        /// The setting it needs.
        needed: &'static str,
        /// The setting that is there.
        given: &'static str,
    },
    /// The file can't be read.
    #[error("can't read {setting} {}: {source}", path.display())]
    Unreadable {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The secret is too short to be one.
    #[error("{0} has {1} bytes; it needs at least 32: `openssl rand -hex 32` makes a good one")]
    Short(&'static str, usize),
    /// The file has no public key, or not of the algorithm's kind.
    #[error("auth.public_key_file {}: {what}", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Where the configured key is.
pub(crate) enum KeySource<'a> {
    /// In `auth.secret`.
    Secret(&'a Secret),
    /// In the file of `auth.secret_file`.
    SecretFile(&'a Path),
    /// In the file of `auth.public_key_file`.
    PublicKeyFile(&'a Path),
}

impl<'a> KeySource<'a> {
    /// The one key that is configured; `None` without one.
    pub(crate) fn of(auth: &'a Auth) -> Result<Option<Self>, KeyError> {
        let given = [
            auth.secret.as_ref().map(KeySource::Secret),
            auth.secret_file.as_deref().map(KeySource::SecretFile),
            auth.public_key_file.as_deref().map(KeySource::PublicKeyFile),
        ];
        let mut given = given.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(one), Some(two)) => Err(KeyError::Twice(one.setting(), two.setting())),
            (one, _) => Ok(one),
        }
    }

    fn setting(&self) -> &'static str {
        match self {
            Self::Secret(_) => "auth.secret",
            Self::SecretFile(_) => "auth.secret_file",
            Self::PublicKeyFile(_) => "auth.public_key_file",
        }
    }

    fn is_secret(&self) -> bool {
        !matches!(self, Self::PublicKeyFile(_))
    }
}

/// Loads the configured key for the configured algorithm.
pub(super) fn load(auth: &Auth) -> Result<DecodingKey, KeyError> {
    let source = KeySource::of(auth)?.ok_or(KeyError::Missing)?;
    let algorithm = auth.algorithm;
    if algorithm.takes_secret() != source.is_secret() {
        let needed = if algorithm.takes_secret() { "auth.secret_file or auth.secret" } else { "auth.public_key_file" };
        return Err(KeyError::Kind { algorithm, needed, given: source.setting() });
    }
    match source {
        KeySource::Secret(secret) => shared("auth.secret", secret.expose()),
        KeySource::SecretFile(path) => shared("auth.secret_file", read("auth.secret_file", path)?.trim()),
        KeySource::PublicKeyFile(path) => {
            let pem = read("auth.public_key_file", path)?;
            public(algorithm.0, &pem).map_err(|what| KeyError::NotAKey { path: path.to_owned(), what })
        }
    }
}

fn read(setting: &'static str, path: &Path) -> Result<String, KeyError> {
    std::fs::read_to_string(path).map_err(|source| KeyError::Unreadable { setting, path: path.to_owned(), source })
}

fn shared(setting: &'static str, secret: &str) -> Result<DecodingKey, KeyError> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(KeyError::Short(setting, secret.len()));
    }
    Ok(DecodingKey::from_secret(secret.as_bytes()))
}

fn public(algorithm: jsonwebtoken::Algorithm, pem: &str) -> Result<DecodingKey, &'static str> {
    if pem.contains("PRIVATE KEY-----") {
        return Err("it is a private key; give the hub the public one: `openssl pkey -in KEY -pubout`");
    }
    if pem.contains("BEGIN CERTIFICATE-----") {
        return Err("it is a certificate; take the key out: `openssl x509 -in CERT -pubkey -noout`");
    }
    let pem = pem.trim().as_bytes();
    let key = match algorithm.family() {
        AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem),
        AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem),
        AlgorithmFamily::Ed => DecodingKey::from_ed_pem(pem),
        AlgorithmFamily::Hmac => return Err("the algorithm takes a secret"),
    };
    let wrong = "it is not a PEM public key of the kind that auth.algorithm asks for";
    let key = key.map_err(|_| wrong)?;
    let bytes = key.try_get_as_bytes().map_err(|_| wrong)?;
    match algorithm.family() {
        AlgorithmFamily::Rsa => match rsa_modulus_bits(bytes) {
            Some(RSA_BITS_MIN..=RSA_BITS_MAX) => {}
            Some(_) => return Err("RSA keys have 2048 to 4096 bits"),
            None => return Err(wrong),
        },
        AlgorithmFamily::Ed if bytes.len() != 32 => return Err(wrong),
        _ => {}
    }
    // Verifying anything shows whether the key's curve is the algorithm's.
    jsonwebtoken::crypto::verify("AA", b"", &key, algorithm).map_err(|_| wrong)?;
    Ok(key)
}

/// The size of the modulus of a PKCS#1 public key: `SEQUENCE { INTEGER n, INTEGER e }`.
fn rsa_modulus_bits(der: &[u8]) -> Option<usize> {
    let (sequence, _) = der_element(0x30, der)?;
    let (modulus, rest) = der_element(0x02, sequence)?;
    der_element(0x02, rest)?;
    let first = modulus.iter().position(|byte| *byte != 0)?;
    Some((modulus.len() - first) * 8 - modulus[first].leading_zeros() as usize)
}

/// The content of a DER element, and what is behind it.
fn der_element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, length], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    if found == tag { rest.split_at_checked(length) } else { None }
}
