//! Percent-encoding (RFC 3986, section 2.1), undone strictly: what is not text is refused, never replaced.

/// The text behind an encoded one; `None` when a `%` stands before something else than two hex digits, or the
/// bytes are not UTF-8. In a query a `+` is a blank, in a path it is itself.
#[must_use]
pub fn decoded(text: &str, plus_is_blank: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    while let Some(byte) = rest.next() {
        match byte {
            b'+' if plus_is_blank => bytes.push(b' '),
            b'%' => bytes.push((digit(rest.next())? * 16 + digit(rest.next())?) as u8),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(decoded(text, true).as_deref(), expected, "{text}");
        check("", Some(""));
        check("a+b%2B%41%c3%A9", Some("a b+Aé"));
        for bad in ["%", "%4", "%4g", "%%41", "a%ff", "%c3"] {
            check(bad, None);
        }
        assert_eq!(decoded("a+b%2F", false).as_deref(), Some("a+b/"));
    }
}
