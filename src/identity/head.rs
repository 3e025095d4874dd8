//! How large the head of a request may be, beyond what the HTTP server itself takes (96 headers, 128 KiB).

use tambour_actors::refusal::{Code, Refusal};

/// Longest path and query together, in bytes: a token and 32 topics fit into it.
pub const TARGET_BYTES_MAX: usize = 16 * 1024;
/// Largest headers in bytes, names and values.
pub const HEADERS_BYTES_MAX: usize = 32 * 1024;
/// Most headers.
pub const HEADERS_MAX: usize = 64;

/// Checks the size of a head: how long its target is, and each header with its name.
///
/// # Errors
/// [`Code::TargetTooLong`], [`Code::HeadersTooLarge`].
pub fn check(target_bytes: usize, headers: impl Iterator<Item = usize>) -> Result<(), Refusal> {
    if target_bytes > TARGET_BYTES_MAX {
        let words = format!("path and query have at most {TARGET_BYTES_MAX} bytes");
        return Err(Refusal::new(Code::TargetTooLong, words));
    }
    let (count, bytes) = headers.fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes));
    if count > HEADERS_MAX || bytes > HEADERS_BYTES_MAX {
        let words = format!("a request has at most {HEADERS_MAX} headers of {HEADERS_BYTES_MAX} bytes together");
        return Err(Refusal::new(Code::HeadersTooLarge, words));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let of = |target, headers: &[usize]| check(target, headers.iter().copied()).map_err(|refusal| refusal.code);
        assert_eq!(of(TARGET_BYTES_MAX, &[1; HEADERS_MAX]), Ok(()));
        assert_eq!(of(0, &[HEADERS_BYTES_MAX]), Ok(()));
        assert_eq!(of(TARGET_BYTES_MAX + 1, &[]), Err(Code::TargetTooLong));
        assert_eq!(of(0, &[1; HEADERS_MAX + 1]), Err(Code::HeadersTooLarge));
        assert_eq!(of(0, &[HEADERS_BYTES_MAX, 1]), Err(Code::HeadersTooLarge));
    }
}
