//! Tokens: whoever can't sign gets in with nothing, and no token has a second spelling.

use std::collections::HashSet;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tambour::identity::context::Tier;
use tambour::identity::jwt::TOKEN_BYTES_MAX;
use tambour::identity::stream_tokens;

use crate::claims::{NOW, VERIFIER, signed};
use crate::harness::{self, Target, within};

/// The tokens that the issuer made: of different people, so that parts of one and another can be put together.
static MADE: LazyLock<Vec<String>> = LazyLock::new(|| {
    let claims = |sub: &str, role: &str| {
        format!(r#"{{"sub":"{sub}","exp":{},"tenant_ids":["t_demo"],"role_map":{{"t_demo":"{role}"}}}}"#, NOW + 60)
    };
    [("a", "member"), ("ab", "owner"), ("abc", "viewer")]
        .map(|(sub, role)| signed(br#"{"alg":"HS256","typ":"JWT"}"#, claims(sub, role).as_bytes()))
        .into()
});

/// A digit names a token that was made; everything else is as it stands.
fn written_out(input: &[u8]) -> String {
    let mut text = String::new();
    for part in String::from_utf8_lossy(input).split_inclusive(['<', '>']) {
        let index = part.strip_suffix('>').and_then(|name| name.parse::<usize>().ok());
        match index.and_then(|index| MADE.get(index)) {
            Some(token) => text.push_str(token),
            None => text.push_str(part.trim_end_matches('<')),
        }
    }
    text
}

fn any_token(input: &[u8]) -> String {
    let known: HashSet<_> = MADE.iter().collect();
    let text = written_out(input);
    let verified = within(256 * TOKEN_BYTES_MAX, || VERIFIER.verify(&text, NOW * 1_000));
    assert_eq!(verified.is_ok(), known.contains(&text), "{text}");
    if let Err(refusal) = &verified {
        let parts = text.split('.').filter(|part| part.len() > 8);
        assert!(parts.into_iter().all(|part| !refusal.detail.contains(part)), "{refusal} repeats the token");
    }
    let digest = within(256, || stream_tokens::digest(&text));
    let canonical = text.strip_prefix("tst_").and_then(|rest| URL_SAFE_NO_PAD.decode(rest).ok());
    let canonical = canonical.filter(|random| random.len() == 32).map(|random| URL_SAFE_NO_PAD.encode(random));
    assert_eq!(
        digest.is_some(),
        canonical.as_deref() == text.get(4..) && canonical.is_some(),
        "a second spelling: {text}"
    );
    assert!(digest.is_none() || Tier::of(&text) == Tier::Stream);
    format!(
        "{:?} {} {}",
        Tier::of(&text),
        digest.is_some(),
        verified.map_or_else(|no| no.detail.into_owned(), |_| "good".into())
    )
}

/// Each bit of each token counts.
fn any_bit(input: &[u8]) -> String {
    let number = input.iter().fold(0_usize, |number, byte| number.wrapping_mul(251).wrapping_add(usize::from(*byte)));
    let token = &MADE[number % MADE.len()];
    let mut bytes = token.clone().into_bytes();
    let at = number / MADE.len() % bytes.len();
    bytes[at] ^= 1 << (number / 7 % 7);
    let changed = String::from_utf8(bytes).expect("ASCII stays ASCII");
    assert!(VERIFIER.verify(&changed, NOW * 1_000).is_err(), "{changed} is good, and was never made");
    at.to_string()
}

#[test]
fn tokens() {
    let words: &[&[u8]] = &[
        b"<0>",
        b"<1>",
        b"<2>",
        b".",
        b"=",
        b" ",
        b"tst_",
        b"tsk_",
        b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        b"B",
        b"eyJhbGciOiJub25lIn0",
        b"eyJhbGciOiJIUzI1NiJ9",
        b"eyJhbGciOiJIUzI1NiIsImNyaXQiOlsiYiJdfQ",
        b"e30",
        b"\xc3\xa9",
    ];
    harness::run(&Target { name: "tokens", words, bytes_max: 10 * 1024, check: any_token });
}

#[test]
fn bits() {
    harness::run(&Target { name: "bits", words: &[], bytes_max: 16, check: any_bit });
}
