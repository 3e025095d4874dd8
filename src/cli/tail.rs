//! `tambour tail thread/x`: the topic, live, on stdout; one event a line.
//!
//! It resumes by itself from the last event that it printed, and ends when nothing can follow. What it has to
//! say about the connection goes to stderr; stdout has events only, each flushed as it comes.

use std::io::Write;
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;

use super::CliError;
use super::follow::{Follower, Following, Step};
use super::names::{TopicName, topic};
use super::pretty::pretty;
use super::remote::{Hub, Remote};
use super::sse_parser::SseEvent;

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

/// Follows the thread until it is closed or deleted, `--count` is reached, or nobody reads stdout.
///
/// # Errors
/// What [`Following::run`] fails with.
pub fn run(args: &TailArgs) -> Result<(), CliError> {
    let hub = Hub::new(&args.remote)?;
    end_with_the_reader_of(std::io::stdout());
    let tail = Tail { out: std::io::stdout().lock(), json: args.json, left: args.count };
    let mut query = Vec::new();
    query.extend(args.after.clone().map(|after| ("after", after)));
    query.extend(args.last.map(|last| ("last", last.to_string())));
    Following::new(tail).run(&hub, &args.topic.events(), &query)
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

/// Prints events.
struct Tail<W> {
    out: W,
    json: bool,
    /// Events still wanted; `None`: all.
    left: Option<u64>,
}

impl<W: Write> Follower for Tail<W> {
    fn event(&mut self, event: &SseEvent) -> Result<Step, CliError> {
        let data = &event.data;
        // A line break between JSON's tokens is white space; inside of strings there is none.
        let mut line = if self.json { data.replace(['\r', '\n'], " ") } else { pretty(data) };
        line.push('\n');
        self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush()).map_err(|e| CliError::of_output(&e))?;
        self.left = self.left.map(|left| left - 1);
        Ok(if self.left == Some(0) { Step::Done } else { Step::GoOn })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> SseEvent {
        SseEvent { name: "chat_message".to_owned(), data: "{\"n\":\r1}".to_owned(), id: "m.1".to_owned() }
    }

    #[test]
    fn a_count_ends_it() {
        let mut tail = Tail { out: Vec::new(), json: true, left: Some(2) };
        assert_eq!(tail.event(&event()).unwrap(), Step::GoOn);
        assert_eq!(tail.event(&event()).unwrap(), Step::Done);
        assert_eq!(String::from_utf8_lossy(&tail.out), "{\"n\": 1}\n{\"n\": 1}\n");
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
        let mut tail = Tail { out: Closed, json: true, left: None };
        assert!(matches!(tail.event(&event()), Err(CliError::OutputClosed)));
    }
}
