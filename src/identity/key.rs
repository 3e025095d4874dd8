//! The keys that verify tokens: loaded at the start, and refused there if one is weak, of
//! the wrong kind, or not the one thing that is configured.
//!
//! No key, and no path to one, is ever taken from a token.

use std::path::{Path, PathBuf};

use jsonwebtoken::{AlgorithmFamily, DecodingKey};

use super::authorities::AuthoritiesError;
use super::key_set::KeySet;
use crate::config::Auth;
use crate::config::issuers::IssuersError;
use crate::config::key_url::KeyUrl;
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
    #[error(
        "no key: set auth.secret_file (HS256, HS384, HS512) or auth.public_key_file, auth.jwks_file or auth.jwks_url (all \
         other algorithms)"
    )]
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
    /// A JWKS without the name of its issuer: it may hold keys that sign for anybody.
    #[error("{0} needs auth.issuer: the `iss` of the tokens that these keys sign")]
    NoIssuer(&'static str),
    /// The file is no JWKS.
    #[error("auth.jwks_file {}: {what}", path.display())]
    NotJwks {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A JWKS that is fetched without protection.
    #[error("production takes no key from {0}: auth.jwks_url begins with https://")]
    Unprotected(String),
    /// Nobody's certificate can be checked.
    #[error("auth.jwks_url can't be asked: auth.jwks_ca_file {0}")]
    Authorities(#[from] AuthoritiesError),
    /// The file of issuers.
    #[error(transparent)]
    Issuers(#[from] IssuersError),
    /// Two issuers can't be told apart.
    #[error("auth.issuer is {0:?} twice: an issuer has one entry")]
    SameIssuer(String),
    /// With other issuers in a file, that of `auth` must say who it is.
    #[error("auth.issuer is needed beside auth.issuers_file: tokens are told apart by their `iss`")]
    Nameless,
    /// A key of production that would be good for every env.
    #[error("production must know which envs the key of {0:?} is good for: set envs, or envs_claim_required = true")]
    NoEnvs(String),
    /// One of the file of issuers.
    #[error("issuer {0:?}: {1}")]
    Of(String, Box<KeyError>),
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
    /// In the file of `auth.jwks_file`.
    JwksFile(&'a Path),
    /// At `auth.jwks_url`.
    JwksUrl(&'a KeyUrl),
}

/// Keys as they are loaded.
pub(super) enum Loaded {
    /// They are here.
    Here(KeySet),
    /// They are fetched.
    There(KeyUrl),
}

impl<'a> KeySource<'a> {
    /// The one key that is configured; `None` without one.
    pub(crate) fn of(auth: &'a Auth) -> Result<Option<Self>, KeyError> {
        let given = [
            auth.secret.as_ref().map(KeySource::Secret),
            auth.secret_file.as_deref().map(KeySource::SecretFile),
            auth.public_key_file.as_deref().map(KeySource::PublicKeyFile),
            auth.jwks_file.as_deref().map(KeySource::JwksFile),
            auth.jwks_url.as_ref().map(KeySource::JwksUrl),
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
            Self::JwksFile(_) => "auth.jwks_file",
            Self::JwksUrl(_) => "auth.jwks_url",
        }
    }

    fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_) | Self::SecretFile(_))
    }

    fn is_jwks(&self) -> bool {
        matches!(self, Self::JwksFile(_) | Self::JwksUrl(_))
    }
}

/// Loads the configured key for the configured algorithm; a JWKS that is elsewhere is not fetched here.
pub(super) fn load(auth: &Auth) -> Result<Loaded, KeyError> {
    let source = KeySource::of(auth)?.ok_or(KeyError::Missing)?;
    let algorithm = auth.algorithm;
    if algorithm.takes_secret() != source.is_secret() {
        let needed = match algorithm.takes_secret() {
            true => "auth.secret_file or auth.secret",
            false => "auth.public_key_file, auth.jwks_file or auth.jwks_url",
        };
        return Err(KeyError::Kind { algorithm, needed, given: source.setting() });
    }
    if source.is_jwks() && auth.issuer.is_none() {
        return Err(KeyError::NoIssuer(source.setting()));
    }
    let here = |key| Loaded::Here(KeySet::one(key));
    match source {
        KeySource::Secret(secret) => shared("auth.secret", secret.expose()).map(here),
        KeySource::SecretFile(path) => shared("auth.secret_file", read("auth.secret_file", path)?.trim()).map(here),
        KeySource::PublicKeyFile(path) => {
            let pem = read("auth.public_key_file", path)?;
            let key = public(algorithm.0, &pem).map_err(|what| KeyError::NotAKey { path: path.to_owned(), what });
            key.map(here)
        }
        KeySource::JwksFile(path) => {
            let not_jwks = |what| KeyError::NotJwks { path: path.to_owned(), what };
            let set = KeySet::parse(read("auth.jwks_file", path)?.as_bytes(), algorithm, 0).map_err(not_jwks)?;
            if set.len() == 0 {
                return Err(not_jwks("none of its keys is a public one for auth.algorithm"));
            }
            Ok(Loaded::Here(set))
        }
        KeySource::JwksUrl(url) => Ok(Loaded::There(url.clone())),
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
        AlgorithmFamily::Rsa => match der_modulus(bytes).and_then(modulus_bits) {
            Some(RSA_BITS_MIN..=RSA_BITS_MAX) => {}
            Some(_) => return Err("RSA keys have 2048 to 4096 bits"),
            None => return Err(wrong),
        },
        AlgorithmFamily::Ed if bytes.len() != 32 => return Err(wrong),
        _ => {}
    }
    checked(key, algorithm).ok_or(wrong)
}

/// The key, if it is one that the algorithm can compute with: verifying anything shows whether its curve is the
/// algorithm's.
pub(super) fn checked(key: DecodingKey, algorithm: jsonwebtoken::Algorithm) -> Option<DecodingKey> {
    jsonwebtoken::crypto::verify("AA", b"", &key, algorithm).ok()?;
    Some(key)
}

/// The size of an RSA modulus.
pub(super) fn modulus_bits(modulus: &[u8]) -> Option<usize> {
    let first = modulus.iter().position(|byte| *byte != 0)?;
    Some((modulus.len() - first) * 8 - modulus[first].leading_zeros() as usize)
}

/// The modulus of a PKCS#1 public key: `SEQUENCE { INTEGER n, INTEGER e }`.
fn der_modulus(der: &[u8]) -> Option<&[u8]> {
    let (sequence, _) = der_element(0x30, der)?;
    let (modulus, rest) = der_element(0x02, sequence)?;
    der_element(0x02, rest)?;
    Some(modulus)
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
