//! `tambour openapi`: the description of the HTTP interface, as `/openapi.json` serves it.
//!
//! It needs no hub and no settings: the document is part of the binary.

use crate::cli::{CliError, print};
use crate::openapi;

/// Prints the document.
///
/// # Errors
/// Standard output is closed.
pub fn run() -> Result<(), CliError> {
    print(openapi::text())
}
