//! `tambour tail thread/x`: the topic, live, on stdout; one event a line.
//!
//! It resumes by itself from the last event that it printed, and ends when nothing can follow. What it has to
//! say about the connection goes to stderr; stdout has events only, each flushed as it comes.

use std::hash::{BuildHasher as _, Hasher as _};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use serde::Deserialize;

use super::CliError;
use super::names::{TopicName, topic};
use super::pretty::{pretty, printable};
use super::remote::{Hub, Remote};
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

/// Arguments of `tambour tail`.
#[derive(Debug, clap::Args)]
pub struct TailArgs {
    /// What to follow: thread/{id} or canvas/{id}
    #[arg(value_name = "TOPIC", value_parser = topic)]
    pub topic: TopicName,
    /// Begin just behind this event id, or at the oldest with `earliest`
    #[arg(long, value_name = "CURSOR", conflicts_with = "last")]
    pub after: Option<String>,
    /// Begin with the newest N events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=500))]
    pub last: Option<u16>,
    /// Print each event as one line of JSON
    #[arg(long)]
    pub json: bool,
    /// End after N events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Where the hub is, and as whom it is asked.
    #[command(flatten)]
    pub remote: Remote,
}

/// What one event meant for the stream it came on.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    GoOn,
    Done,
}

/// Follows the thread until it is closed or deleted, `--count` is reached, or nobody reads stdout.
///
/// # Errors
/// What [`Hub::stream`] fails with on the first connection; later ones only for a refusal.
pub fn run(args: &TailArgs) -> Result<(), CliError> {
    let hub = Hub::new(&args.remote)?;
    end_with_the_reader_of(std::io::stdout());
    let mut tail = Tail {
        out: std::io::stdout().lock(),
        json: args.json,
        left: args.count,
        cursor: String::new(),
        connected: false,
        waiting: false,
        attempts: 0,
        retry_ms: RETRY_DEFAULT_MS,
        silence: SILENCE_DEFAULT,
    };
    let path = args.topic.events();
    let mut query = Vec::new();
    query.extend(args.after.clone().map(|after| ("after", after)));
    query.extend(args.last.map(|last| ("last", last.to_string())));
    loop {
        // Where to begin was the first connection's question: from then on the cursor says it.
        let start = if tail.cursor.is_empty() { query.as_slice() } else { &[] };
        let reason = match hub.stream(&path, start, &tail.cursor, tail.silence) {
            Ok(None) => {
                note("the topic is closed");
                return Ok(());
            }
            Ok(Some(body)) => match tail.follow(body)? {
                Ok(()) => return Ok(()),
                Err(reason) => reason,
            },
            Err(failure) if tail.connected && may_pass(&failure) => failure.to_string(),
            Err(failure) => return Err(failure),
        };
        tail.wait(&reason);
    }
}

/// Ends the process as soon as nobody reads `out` any more. A write would tell too, but a quiet thread has none to
/// make. What can't be watched, such as a file, has no reader to lose.
fn end_with_the_reader_of(out: impl AsRawFd + Send + 'static) {
    std::thread::spawn(move || -> std::io::Result<()> {
        let mut poll = mio::Poll::new()?;
        poll.registry().register(&mut SourceFd(&out.as_raw_fd()), mio::Token(0), mio::Interest::WRITABLE)?;
        let mut events = mio::Events::with_capacity(1);
        loop {
            match poll.poll(&mut events, None) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error),
                _ if events.iter().any(|e| e.is_error() || e.is_write_closed()) => std::process::exit(0),
                _ => {}
            }
        }
    });
}

/// Whether the same request may succeed in a while, without anybody doing anything about it.
fn may_pass(failure: &CliError) -> bool {
    match failure {
        CliError::Unreachable { .. } | CliError::AnswerLost { .. } => true,
        CliError::Refused(problem) => matches!(problem.status, 429 | 500..=599),
        CliError::Failed(_) | CliError::Usage(_) | CliError::OutputClosed => false,
    }
}

fn note(text: &str) {
    // Nobody may read stderr, and that is no reason to stop.
    let _ = writeln!(std::io::stderr(), "tambour: {text}");
}

/// A reader of one thread, over any number of connections.
struct Tail<W> {
    out: W,
    json: bool,
    /// Events still wanted; `None`: all.
    left: Option<u64>,
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

impl<W: Write> Tail<W> {
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

    /// Prints an event of the thread, heeds one of the hub's own.
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
                self.print(&event.data).map_err(|e| CliError::of_output(&e))?;
                event.id.clone_into(&mut self.cursor);
                self.left = self.left.map(|left| left - 1);
                // Nothing is ever written behind `closed`, a type that only the hub can write.
                if name == "closed" || self.left == Some(0) {
                    return Ok(Step::Done);
                }
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
    }

    fn print(&mut self, data: &str) -> std::io::Result<()> {
        // A line break between JSON's tokens is white space; inside of strings there is none.
        let mut line = if self.json { data.replace(['\r', '\n'], " ") } else { pretty(data) };
        line.push('\n');
        self.out.write_all(line.as_bytes())?;
        self.out.flush()
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
fn retry_wait(retry_ms: u64, attempts: u32, chance: f64) -> Duration {
    let doubled = retry_ms.max(1).saturating_mul(1 << attempts.min(16));
    let base = doubled.min(RETRY_MAX_MS.max(retry_ms));
    Duration::from_millis(base).mul_f64(1.0 + chance.clamp(0.0, 1.0) / 2.0)
}

/// A number from 0 to 1, from the keys that the standard library draws for its hash maps.
fn chance() -> f64 {
    let drawn = std::hash::RandomState::new().build_hasher().finish();
    f64::from((drawn >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(json: bool, left: Option<u64>) -> Tail<Vec<u8>> {
        Tail {
            out: Vec::new(),
            json,
            left,
            cursor: String::new(),
            connected: false,
            waiting: false,
            attempts: 3,
            retry_ms: RETRY_DEFAULT_MS,
            silence: SILENCE_DEFAULT,
        }
    }

    const STREAM: &str = "event: connected\nid: m.0\ndata: {\"heartbeat_seconds\":10}\nretry: 150\n\n\
        event: gap\ndata: {\"reason\":\"trimmed\"}\n\n\
        event: chat_message\nid: m.1\ndata: {\"n\":1}\n\n: keep-alive\n\n\
        event: _error\nid: m.2\ndata: {\"n\":2}\n\n\
        event: chat_message\nid: m.3\ndata: {\"n\":3}\n";

    #[test]
    fn a_stream_that_breaks_is_resumed_behind_its_last_whole_event() {
        let mut tail = tail(true, None);
        assert!(matches!(tail.follow(STREAM.as_bytes()), Ok(Err(_))));
        assert_eq!(String::from_utf8_lossy(&tail.out), "{\"n\":1}\n{\"n\":2}\n");
        assert_eq!(tail.cursor, "m.2");
        assert_eq!((tail.retry_ms, tail.attempts, tail.silence), (150, 0, Duration::from_secs(30)));

        let rest =
            "event: connected\nid: m.2\ndata: {}\n\nevent: closed\nid: m.3\ndata: {\"n\":3}\n\nevent: x\ndata: {}\n\n";
        assert!(matches!(tail.follow(rest.as_bytes()), Ok(Ok(()))));
        assert_eq!(String::from_utf8_lossy(&tail.out), "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    }

    #[test]
    fn the_connection_alone_is_a_place_to_resume_from() {
        let mut tail = tail(true, None);
        let stream = STREAM.split_inclusive("\n\n").next().unwrap();
        assert!(matches!(tail.follow(stream.as_bytes()), Ok(Err(_))));
        assert_eq!(tail.cursor, "m.0");
    }

    #[test]
    fn a_count_ends_it() {
        let mut tail = tail(true, Some(1));
        assert!(matches!(tail.follow(STREAM.as_bytes()), Ok(Ok(()))));
        assert_eq!(String::from_utf8_lossy(&tail.out), "{\"n\":1}\n");
    }

    #[test]
    fn a_deleted_thread_ends_it() {
        let mut tail = tail(true, None);
        let stream = "event: subscription_ended\ndata: {\"reason\":\"deleted\"}\n\n";
        assert!(matches!(tail.follow(stream.as_bytes()), Ok(Ok(()))));
        assert!(tail.out.is_empty());
    }

    #[test]
    fn nobody_reads_the_output() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let Tail { json, left, cursor, connected, waiting, attempts, retry_ms, silence, .. } = tail(true, None);
        let mut closed = Tail { out: Closed, json, left, cursor, connected, waiting, attempts, retry_ms, silence };
        assert!(matches!(closed.follow(STREAM.as_bytes()), Err(CliError::OutputClosed)));
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
