//! Subjects: the form of a `sub`, and how one is read from a path.
//!
//! Whether there is somebody of that name nobody here knows: subjects are the issuer's.

use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::token_form::holds_token;

use super::jwt::SUB_BYTES_MAX;
use super::percent;

/// Whether a text can be somebody's subject. A token can't: subjects are listed, and are on events.
#[must_use]
pub fn is_sub(text: &str) -> bool {
    (1..=SUB_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control) && !holds_token(text)
}

/// The subject that the last segment of a path names. Taken from the path as it was sent, because the router
/// puts a character of its own in the place of bytes that are no text.
///
/// # Errors
/// `name.invalid`.
pub fn last_in(path: &str) -> Result<String, Refusal> {
    let segment = path.rsplit('/').next().unwrap_or_default();
    percent::decoded(segment, false).filter(|sub| is_sub(sub)).ok_or_else(|| {
        let detail = format!("a sub is 1 to {SUB_BYTES_MAX} bytes of text without control characters");
        Refusal::new(Code::NameInvalid, detail)
    })
}
