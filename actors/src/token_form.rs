//! What looks like a token in a text, so that it can be left out where a text is said.
//!
//! Nothing here knows whether a token is good, and none is looked up: a token that ran out is left out, too.

use std::borrow::Cow;
use std::ops::Range;

/// What is said in the place of a token.
const IN_ITS_PLACE: &str = "***";
/// What stream tokens and service keys begin with.
const PREFIXES: [&str; 2] = ["tst_", "tsk_"];
/// Fewest characters behind a prefix that are taken for a token, or for the beginning of one.
const SECRET_BYTES_MIN: usize = 16;
/// What the header of a JWT begins with: `{"` in base64url (RFC 7519, section 3).
const JWT_BEGINS: &str = "eyJ";
/// Fewest characters of a JWT's header, and of what is behind it.
const JWT_PART_BYTES_MIN: usize = 10;

/// Whether a text has a token in it.
#[must_use]
pub fn holds_token(text: &str) -> bool {
    next(text, 0).is_some()
}

/// The text with every token left out.
#[must_use]
pub fn without_tokens(text: Cow<'static, str>) -> Cow<'static, str> {
    if !holds_token(&text) {
        return text;
    }
    let (mut said, mut from) = (String::with_capacity(text.len()), 0);
    while let Some(token) = next(&text, from) {
        said.push_str(&text[from..token.start]);
        said.push_str(IN_ITS_PLACE);
        from = token.end;
    }
    said.push_str(&text[from..]);
    said.into()
}

/// Where the next token is. Linear: no byte is looked at more than a few times.
fn next(text: &str, from: usize) -> Option<Range<usize>> {
    let is_boundary = |at: usize| at == 0 || !is_base64url(text.as_bytes()[at - 1]);
    text[from..].char_indices().map(|(at, _)| from + at).find_map(|at| {
        let rest = &text[at..];
        let bytes = match rest.get(..4) {
            Some(prefix) if PREFIXES.contains(&prefix) => {
                let secret = run(&rest[4..]);
                (secret >= SECRET_BYTES_MIN).then_some(4 + secret)
            }
            Some(begins) if begins.starts_with(JWT_BEGINS) && is_boundary(at) => jwt(rest),
            _ => None,
        };
        bytes.map(|bytes| at..at + bytes)
    })
}

/// How long the JWT is with which a text begins.
fn jwt(text: &str) -> Option<usize> {
    let header = run(text);
    let behind = text[header..].strip_prefix('.')?;
    let is_one = header >= JWT_PART_BYTES_MIN && run(behind) >= JWT_PART_BYTES_MIN;
    is_one.then(|| text.bytes().take_while(|&byte| byte == b'.' || is_base64url(byte)).count())
}

fn run(text: &str) -> usize {
    text.bytes().take_while(|&byte| is_base64url(byte)).count()
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "tst_JhS0z6q3m2y5dW8cR1tX4vB7nK9pL0aE_gU-fYiOqHs";
    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.95IwfTuC8TWVxFctZXVfQSKJdqPCz7fwSxuzKl2eiGw";

    #[track_caller]
    fn check(text: &str, said: &str) {
        assert_eq!(without_tokens(text.to_owned().into()), said);
        assert_eq!(holds_token(text), text != said, "{text}");
    }

    #[test]
    fn tokens_are_left_out() {
        let key = STREAM.replace("tst_", "tsk_");
        for token in [STREAM, &key, JWT, &JWT[..40], &STREAM[..24]] {
            check(token, "***");
            check(&format!("unknown field `{token}`, at column 3"), "unknown field `***`, at column 3");
            check(&format!("é{token} {token}é"), "é*** ***é");
            check(&format!("bearer.{token}"), "bearer.***");
        }
        check(&format!("x{STREAM}"), "x***");
    }

    #[test]
    fn other_texts_stay() {
        let unsigned = JWT.replace('.', "");
        for text in
            ["", "tst_", "tst_short", "eyJ", "eyJhbGciOiJIUzI1NiJ9", "eyJa.b.c", "a.b.c", &unsigned, "é", "ttst", "eyé"]
        {
            check(text, text);
        }
    }

    #[test]
    fn long_texts_are_looked_at_once() {
        for piece in ["eyJ", "eyJ.", "eyJaaaaaaaaaa.", "tst_", "tst_a ", "a"] {
            // Quadratic, this would take minutes.
            let text = piece.repeat(300_000);
            assert!(without_tokens(text.clone().into()).len() <= text.len());
        }
    }
}
