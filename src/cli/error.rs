//! Why a command ended without having done what it was asked: one type, and the one way out of the process.
//!
//! It never decides what is tried again.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use serde::Deserialize;

use super::pretty::printable;
use crate::config::layers::SettingsError;

/// Why a command failed; each has its exit code.
#[derive(Debug)]
pub enum CliError {
    /// It did not work: exit code 1.
    Failed(String),
    /// Arguments or settings are not accepted: exit code 2, as for unknown arguments.
    Usage(String),
    /// The hub said no: exit code 3.
    Refused(Problem),
    /// No hub answers: exit code 4.
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What happened instead.
        reason: String,
    },
    /// The hub went away before it answered, so nobody knows whether it did what was asked: exit code 4.
    AnswerLost {
        /// Where it was.
        url: String,
        /// What happened instead.
        reason: String,
    },
    /// The reader of our output is gone. There is nobody to tell and nothing to do: exit code 0.
    OutputClosed,
}

/// What a hub says when it refuses (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The name of the refusal.
    pub code: String,
    /// What the caller can do about it.
    #[serde(default)]
    pub detail: String,
    /// What the hub's log knows the request by.
    #[serde(default)]
    pub request_id: String,
    /// Which line of an upload was refused.
    pub line: Option<u64>,
    /// How many lines of an upload are written.
    pub accepted: Option<u64>,
}

impl CliError {
    /// The exit code: 0 nobody listens, 1 failed, 2 usage, 3 refused, 4 not reachable.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 3,
            Self::Unreachable { .. } | Self::AnswerLost { .. } => 4,
        }
    }

    /// The failure of a write to standard output.
    #[must_use]
    pub fn of_output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::OutputClosed;
        }
        Self::Failed(format!("can't print: {error}"))
    }

    /// Says on standard error what happened, and gives the process its exit code.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        if !matches!(self, Self::OutputClosed) {
            // Nobody may read standard error either, and that is no reason to panic.
            let _ = writeln!(io::stderr(), "tambour: {self}");
        }
        ExitCode::from(self.code())
    }
}

impl From<SettingsError> for CliError {
    fn from(error: SettingsError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl std::error::Error for CliError {}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text) | Self::Usage(text) => f.write_str(text),
            Self::Refused(problem) => write!(f, "refused: {problem}"),
            Self::Unreachable { url, reason } => write!(
                f,
                "no hub answers at {url} ({reason})\nstart one with: tambour serve\nor say where it is with --url or TAMBOUR_URL"
            ),
            Self::AnswerLost { url, reason } => {
                write!(f, "{url} went away before it answered ({reason}): it may or may not have done what was asked")
            }
            Self::OutputClosed => f.write_str("nobody reads the output"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, printable(&self.code))?;
        if !self.detail.is_empty() {
            write!(f, ": {}", printable(&self.detail))?;
        }
        if let (Some(line), Some(accepted)) = (self.line, self.accepted) {
            write!(f, " (line {line}; {accepted} written)")?;
        }
        if !self.request_id.is_empty() {
            write!(f, " (request {})", printable(&self.request_id))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes() {
        let problem = |more: serde_json::Value| -> Problem {
            let mut problem = serde_json::json!({ "status": 403, "code": "permission.denied", "detail": "no" });
            problem.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value(problem).unwrap()
        };
        let upload = CliError::Refused(problem(serde_json::json!({ "line": 3, "accepted": 2, "request_id": "r" })));
        assert_eq!(upload.to_string(), "refused: 403 permission.denied: no (line 3; 2 written) (request r)");
        let problem = problem(serde_json::json!({}));
        assert_eq!(CliError::Refused(problem.clone()).to_string(), "refused: 403 permission.denied: no");
        assert_eq!(CliError::Refused(problem).code(), 3);
        assert_eq!(CliError::Unreachable { url: String::new(), reason: String::new() }.code(), 4);
        assert_eq!(CliError::AnswerLost { url: String::new(), reason: String::new() }.code(), 4);
        assert_eq!(CliError::Usage(String::new()).code(), 2);
        assert_eq!(CliError::Failed(String::new()).code(), 1);
        assert_eq!(CliError::of_output(&io::ErrorKind::BrokenPipe.into()).code(), 0);
        assert_eq!(CliError::of_output(&io::ErrorKind::StorageFull.into()).code(), 1);
    }
}
