//! A topic followed by a command, over any number of connections: each event once, in order, and what the hub says of the
//! stream on stderr.
//!
//! It never looks into an event: whoever follows does.

use std::hash::{BuildHasher as _, Hasher as _};
use std::io::Write as _;
use std::time::Duration;

use serde::Deserialize;

use super::CliError;
use super::pretty::printable;
use super::remote::Hub;
use super::sse_parser::{SseEvent, SseParser};

/// Wait before the first reconnect when the hub never said `retry`.
const RETRY_DEFAULT_MS: u64 = 2_000;
/// Longest wait between two attempts, before jitter, unless the hub asks for a longer one.
const RETRY_MAX_MS: u64 = 30_000;
/// Silence after which a connection counts as dead until the hub has said how often it beats.
const SILENCE_DEFAULT: Duration = Duration::from_secs(35);
/// How many heartbeats may be missing.
const HEARTBEATS_MISSED_MAX: u64 = 3;
/// How much is read from the socket at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// What one event meant for who follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// More, please.
    GoOn,
    /// That was all.
    Done,
}

/// Who follows.
pub(super) trait Follower {
    /// The next event of the topic.
    ///
    /// # Errors
    /// What ends the command.
    fn event(&mut self, event: &SseEvent) -> Result<Step, CliError>;

    /// The stream is there, perhaps again.
    fn live(&mut self) {}
}

/// Says something on stderr.
pub(super) fn note(text: &str) {
    // Nobody may read stderr, and that is no reason to stop.
    let _ = writeln!(std::io::stderr(), "tambour: {text}");
}

/// Whether the same request may succeed in a while, without anybody doing anything about it.
pub(super) fn may_pass(failure: &CliError) -> bool {
    match failure {
        CliError::Unreachable { .. } | CliError::AnswerLost { .. } => true,
        CliError::Refused(problem) => matches!(problem.status, 429 | 500..=599),
        CliError::Failed(_) | CliError::Usage(_) | CliError::OutputClosed => false,
    }
}

/// A reader of one topic.
pub(super) struct Following<F> {
    follower: F,
    /// The id to resume from; empty before anything came.
    cursor: String,
    /// There was a stream once, so a hub that is away now is expected back.
    connected: bool,
    /// It was said that we wait, and not yet that we are back.
    waiting: bool,
    /// Attempts in a row without a stream.
    attempts: u32,
    retry_ms: u64,
    silence: Duration,
}

impl<F: Follower> Following<F> {
    /// Nothing is asked yet.
    pub(super) fn new(follower: F) -> Self {
        Self {
            follower,
            cursor: String::new(),
            connected: false,
            waiting: false,
            attempts: 0,
            retry_ms: RETRY_DEFAULT_MS,
            silence: SILENCE_DEFAULT,
        }
    }

    /// Follows until the topic is closed or deleted, or the follower is done. `query` says where it begins.
    ///
    /// # Errors
    /// What [`Hub::stream`] fails with on the first connection; later ones only for a refusal. What the follower fails with.
    pub(super) fn run(mut self, hub: &Hub, path: &str, query: &[(&str, String)]) -> Result<(), CliError> {
        loop {
            // Where to begin was the first connection's question: from then on the cursor says it.
            let start = if self.cursor.is_empty() { query } else { &[] };
            let reason = match hub.stream(path, start, &self.cursor, self.silence) {
                Ok(None) => {
                    note("the topic is closed");
                    return Ok(());
                }
                Ok(Some(body)) => match self.follow(body)? {
                    Ok(()) => return Ok(()),
                    Err(reason) => reason,
                },
                Err(failure) if self.connected && may_pass(&failure) => failure.to_string(),
                Err(failure) => return Err(failure),
            };
            self.wait(&reason);
        }
    }

    /// Reads one connection to its end. The inner error says why it ended although more may follow.
    fn follow(&mut self, mut body: impl std::io::Read) -> Result<Result<(), String>, CliError> {
        let mut parser = SseParser::new(&self.cursor);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) => return Ok(Err("the stream ended".to_owned())),
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Err(self.why_broken(error))),
            };
            let events = parser.feed(&buffer[..read]).map_err(|e| CliError::Failed(e.to_string()))?;
            if let Some(retry_ms) = parser.retry_ms() {
                self.retry_ms = retry_ms;
            }
            for event in events {
                if self.take(&event)? == Step::Done {
                    return Ok(Ok(()));
                }
            }
            parser.last_event_id().clone_into(&mut self.cursor);
        }
    }

    fn why_broken(&self, error: std::io::Error) -> String {
        match ureq::Error::from(error) {
            ureq::Error::Timeout(_) => format!("nothing heard for {} s, not even a heartbeat", self.silence.as_secs()),
            error => error.to_string(),
        }
    }

    /// Gives an event of the topic on, heeds one of the hub's own.
    fn take(&mut self, event: &SseEvent) -> Result<Step, CliError> {
        match event.name.as_str() {
            "connected" => self.connected(&event.data),
            "gap" => note(&format!("a gap: {}", printable(&event.data))),
            "subscription_ended" => {
                note(&format!("the stream ended for good: {}", printable(&event.data)));
                return Ok(Step::Done);
            }
            "reconnect" | "refused" | "token_expiring" | "replaced" => {
                note(&format!("{}: {}", event.name, printable(&event.data)));
            }
            name => {
                let step = self.follower.event(event)?;
                event.id.clone_into(&mut self.cursor);
                // Nothing is ever written behind `closed`, a type that only the hub can write.
                return Ok(if name == "closed" { Step::Done } else { step });
            }
        }
        Ok(Step::GoOn)
    }

    fn connected(&mut self, data: &str) {
        #[derive(Deserialize)]
        struct Connected {
            heartbeat_seconds: u64,
        }
        self.connected = true;
        self.attempts = 0;
        if let Ok(connected) = serde_json::from_str::<Connected>(data) {
            let beats = connected.heartbeat_seconds.max(1).saturating_mul(HEARTBEATS_MISSED_MAX);
            self.silence = Duration::from_secs(beats.min(24 * 3600));
        }
        if std::mem::take(&mut self.waiting) {
            note("connected again");
        }
        self.follower.live();
    }

    fn wait(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.waiting, true) {
            note(&format!("{reason}\ntambour: waiting for the hub to come back"));
        }
        let wait = retry_wait(self.retry_ms, self.attempts, chance());
        self.attempts = self.attempts.saturating_add(1);
        std::thread::sleep(wait);
    }
}

/// The wait before attempt `attempts + 1`: the hub's hint, doubled with each failure in a row, and up to a half more
/// by `chance` (0 to 1), so that those who lost a hub together don't come back together.
pub(super) fn retry_wait(retry_ms: u64, attempts: u32, chance: f64) -> Duration {
    let doubled = retry_ms.max(1).saturating_mul(1 << attempts.min(16));
    let base = doubled.min(RETRY_MAX_MS.max(retry_ms));
    Duration::from_millis(base).mul_f64(1.0 + chance.clamp(0.0, 1.0) / 2.0)
}

/// A number from 0 to 1, from the keys that the standard library draws for its hash maps.
pub(super) fn chance() -> f64 {
    let drawn = std::hash::RandomState::new().build_hasher().finish();
    f64::from((drawn >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Follower for Seen {
        fn event(&mut self, event: &SseEvent) -> Result<Step, CliError> {
            self.0.push(event.data.clone());
            Ok(Step::GoOn)
        }
    }

    const STREAM: &str = "event: connected\nid: m.0\ndata: {\"heartbeat_seconds\":10}\nretry: 150\n\n\
        event: gap\ndata: {\"reason\":\"trimmed\"}\n\n\
        event: chat_message\nid: m.1\ndata: {\"n\":1}\n\n: keep-alive\n\n\
        event: _error\nid: m.2\ndata: {\"n\":2}\n\n\
        event: chat_message\nid: m.3\ndata: {\"n\":3}\n";

    #[test]
    fn a_stream_that_breaks_is_resumed_behind_its_last_whole_event() {
        let mut following = Following { attempts: 3, ..Following::new(Seen::default()) };
        assert!(matches!(following.follow(STREAM.as_bytes()), Ok(Err(_))));
        assert_eq!(following.follower.0, ["{\"n\":1}", "{\"n\":2}"]);
        assert_eq!(following.cursor, "m.2");
        assert_eq!((following.retry_ms, following.attempts, following.silence), (150, 0, Duration::from_secs(30)));

        let rest =
            "event: connected\nid: m.2\ndata: {}\n\nevent: closed\nid: m.3\ndata: {\"n\":3}\n\nevent: x\ndata: {}\n\n";
        assert!(matches!(following.follow(rest.as_bytes()), Ok(Ok(()))));
        assert_eq!(following.follower.0, ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"]);
    }

    #[test]
    fn the_connection_alone_is_a_place_to_resume_from() {
        let mut following = Following { attempts: 3, ..Following::new(Seen::default()) };
        let stream = STREAM.split_inclusive("\n\n").next().unwrap();
        assert!(matches!(following.follow(stream.as_bytes()), Ok(Err(_))));
        assert_eq!(following.cursor, "m.0");
    }

    #[test]
    fn a_deleted_thread_ends_it() {
        let mut following = Following { attempts: 3, ..Following::new(Seen::default()) };
        let stream = "event: subscription_ended\ndata: {\"reason\":\"deleted\"}\n\n";
        assert!(matches!(following.follow(stream.as_bytes()), Ok(Ok(()))));
        assert!(following.follower.0.is_empty());
    }

    #[test]
    fn waits_grow_to_a_bound_and_keep_the_hubs_hint() {
        let ms = |retry, attempts, chance| retry_wait(retry, attempts, chance).as_millis();
        assert_eq!([ms(2000, 0, 0.0), ms(2000, 0, 1.0), ms(2000, 2, 0.0)], [2000, 3000, 8000]);
        assert_eq!([ms(2000, 99, 0.0), ms(2000, 99, 1.0)], [30_000, 45_000]);
        assert_eq!(ms(86_400_000, 5, 0.0), 86_400_000);
        assert!(ms(0, 0, 0.0) > 0);
    }

    #[test]
    fn only_what_may_pass_is_waited_for() {
        let refused = |status| {
            CliError::Refused(super::super::error::Problem {
                status,
                code: String::new(),
                detail: String::new(),
                request_id: String::new(),
                line: None,
                accepted: None,
            })
        };
        for (status, passes) in [(400, false), (401, false), (403, false), (404, false), (429, true), (503, true)] {
            assert_eq!(may_pass(&refused(status)), passes, "{status}");
        }
    }
}
