//! What an error of the engine means to a caller. It never decides what is done about it.

use rusqlite::{Error, ErrorCode, ffi};
use tambour_actors::log::Unavailable;

/// Whether there is no room: on the disk, or below the largest size that the settings allow.
pub(super) fn is_full(error: &Error) -> bool {
    let Error::SqliteFailure(failure, _) = error else { return false };
    // The index of the write-ahead log is a file, too; that it can't grow has a code of its own.
    failure.code == ErrorCode::DiskFull || failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE
}

/// The error of a transaction that would use more than its class may.
pub(super) fn no_room() -> Error {
    Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), Some("more than writes of this class may use".to_owned()))
}

/// Whether the engine is well, and what was asked met rows that are not as this hub writes them: then it is one caller's
/// failure, and nobody else's.
pub(super) fn is_of_rows(error: &Error) -> bool {
    match error {
        Error::SqliteFailure(failure, _) => failure.code == ErrorCode::ConstraintViolation,
        _ => true,
    }
}

/// The answer to whoever asked for what failed.
pub(super) fn unavailable(error: &Error) -> Unavailable {
    Unavailable { full: is_full(error), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let full = |code| is_full(&Error::SqliteFailure(ffi::Error::new(code), None));
        assert!(is_full(&no_room()) && full(ffi::SQLITE_FULL) && full(ffi::SQLITE_IOERR_SHMSIZE));
        assert!(!full(ffi::SQLITE_IOERR_WRITE) && !full(ffi::SQLITE_CORRUPT) && !full(ffi::SQLITE_BUSY));
        assert!(!is_full(&Error::QueryReturnedNoRows));
        let of_rows = |code| is_of_rows(&Error::SqliteFailure(ffi::Error::new(code), None));
        assert!(of_rows(ffi::SQLITE_CONSTRAINT_PRIMARYKEY) && is_of_rows(&Error::QueryReturnedNoRows));
        assert!(!of_rows(ffi::SQLITE_FULL) && !of_rows(ffi::SQLITE_IOERR_WRITE) && !of_rows(ffi::SQLITE_CORRUPT));
    }
}
