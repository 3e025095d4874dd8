//! `tambour publish thread/x`: publishes its argument, or each line of stdin, and prints the ids.
//!
//! Lines are sent as they come: a line never waits for a later one, and what is buffered already
//! goes along with it in one array. The next lines are read when these are on the hub's disk. It
//! never sends a line twice: when an answer is lost it says which lines are in doubt, and ends.
//! With `--ndjson` stdin is a body of lines already, and goes out as one.

use std::io::{BufRead, BufReader, Read as _, Write as _};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tambour_actors::cursor::Cursor;
use tambour_actors::event::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX, DATA_BYTES_MAX};

use super::names::{TopicName, topic};
use super::remote::{Hub, Remote};
use super::{CliError, print};

/// How much of stdin is read ahead, in bytes.
const STDIN_BUFFER_BYTES: usize = 256 * 1024;
/// What an event may need around its data in a request, in bytes: its type and the punctuation.
const EVENT_FRAME_BYTES_MAX: usize = 128;

/// Arguments of `tambour publish`.
#[derive(Debug, clap::Args)]
pub struct PublishArgs {
    /// Where to publish: thread/{id} or canvas/{id}
    #[arg(value_name = "TOPIC", value_parser = topic)]
    pub topic: TopicName,
    /// What to publish; without it, each line of stdin that is not empty
    pub text: Option<String>,
    /// The events' type
    #[arg(long = "type", value_name = "TYPE", default_value = "chat_message")]
    pub kind: String,
    /// The text, or each line, is the JSON of an event's data, not its text
    #[arg(long)]
    pub json: bool,
    /// Stdin is entries, one a line: {"type", "data"} or {"append": {"data"}}. Sent as they come, in one request; the ids of
    /// the first and the last event are printed at its end
    #[arg(long, conflicts_with_all = ["text", "kind", "json"])]
    pub ndjson: bool,
    /// Don't print the ids
    #[arg(short, long)]
    pub quiet: bool,
    /// Where the hub is, and as whom it is asked.
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Serialize)]
struct NewEvent<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    data: Box<RawValue>,
}

#[derive(Serialize)]
struct TextData<'a> {
    text: &'a str,
}

#[derive(Deserialize)]
struct Published {
    id: String,
}

#[derive(Deserialize)]
struct PublishedMany {
    count: u64,
    first: Published,
    last: Published,
}

/// Lines that are sent as one, and how the input went on behind them.
struct Lines {
    data: Vec<Box<RawValue>>,
    /// Number of the first and the last line taken, from 1.
    first: u64,
    last: u64,
    end: Option<InputEnd>,
}

enum InputEnd {
    Eof,
    Bad(String),
}

/// Publishes, and prints one id a line.
///
/// # Errors
/// What [`Hub::post`] fails with; [`CliError::Failed`] for a line that can't be an event.
pub fn run(args: &PublishArgs) -> Result<(), CliError> {
    let hub = Hub::new(&args.remote)?;
    let path = args.topic.events();
    if args.ndjson {
        return upload(args, &hub, &path);
    }
    if let Some(text) = &args.text {
        let data = event_data(text, args.json).map_err(CliError::Failed)?;
        return publish(args, &hub, &path, vec![data]);
    }
    let mut input = BufReader::with_capacity(STDIN_BUFFER_BYTES, std::io::stdin().lock());
    let mut line = 0;
    loop {
        let lines = next_lines(&mut input, line, args.json);
        line = lines.last;
        if !lines.data.is_empty() {
            publish(args, &hub, &path, lines.data).inspect_err(|failure| {
                if !matches!(failure, CliError::OutputClosed) {
                    // Whoever feeds us must know where to go on.
                    let _ = writeln!(std::io::stderr(), "lines {} to {}:", lines.first, lines.last);
                }
            })?;
        }
        match lines.end {
            None => {}
            Some(InputEnd::Eof) => return Ok(()),
            Some(InputEnd::Bad(reason)) => return Err(CliError::Failed(reason)),
        }
    }
}

/// Sends stdin as it comes.
fn upload(args: &PublishArgs, hub: &Hub, path: &str) -> Result<(), CliError> {
    let answer = hub.upload(path, std::io::stdin())?;
    let published: PublishedMany = serde_json::from_slice(&answer).map_err(|_| strange(hub))?;
    let PublishedMany { first, last, .. } = published;
    if args.quiet { Ok(()) } else { print(&format!("{}\n{}\n", first.id, last.id)) }
}

fn strange(hub: &Hub) -> CliError {
    CliError::Failed(format!("{} did not answer as a hub does", hub.url()))
}

/// Waits for a line, then takes along those that have come with it.
fn next_lines<R: std::io::Read>(input: &mut BufReader<R>, before: u64, json: bool) -> Lines {
    let mut lines = Lines { data: Vec::new(), first: before + 1, last: before, end: None };
    let mut bytes = 0;
    loop {
        match next_line(input, lines.last + 1, json) {
            Ok(None) => lines.end = Some(InputEnd::Eof),
            Err(reason) => lines.end = Some(InputEnd::Bad(reason)),
            Ok(Some(data)) => {
                lines.last += 1;
                if let Some(data) = data {
                    bytes += data.get().len() + EVENT_FRAME_BYTES_MAX;
                    lines.data.push(data);
                }
            }
        }
        let room =
            lines.data.len() < BATCH_EVENTS_MAX && bytes + DATA_BYTES_MAX + EVENT_FRAME_BYTES_MAX < BATCH_BYTES_MAX;
        let waits = !lines.data.is_empty() && !input.buffer().contains(&b'\n');
        if lines.end.is_some() || !room || waits {
            return lines;
        }
    }
}

/// `None` at the end of the input, `Some(None)` for an empty line.
fn next_line<R: std::io::Read>(
    input: &mut BufReader<R>,
    number: u64,
    json: bool,
) -> Result<Option<Option<Box<RawValue>>>, String> {
    let mut line = Vec::new();
    // One byte more than any line that could be published, so that a longer one is seen to be.
    let limit = DATA_BYTES_MAX as u64 + 2;
    input.take(limit).read_until(b'\n', &mut line).map_err(|e| format!("stdin: {e}"))?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    if line.len() > DATA_BYTES_MAX {
        return Err(format!("line {number} is longer than {DATA_BYTES_MAX} bytes"));
    }
    if line.is_empty() {
        return Ok(Some(None));
    }
    let text = String::from_utf8(line).map_err(|_| format!("line {number} is not UTF-8"))?;
    event_data(&text, json).map(|data| Some(Some(data))).map_err(|e| format!("line {number}: {e}"))
}

fn event_data(text: &str, json: bool) -> Result<Box<RawValue>, String> {
    let data =
        if json { text.to_owned() } else { serde_json::to_string(&TextData { text }).map_err(|e| e.to_string())? };
    let data = RawValue::from_string(data).map_err(|e| format!("not JSON: {e}"))?;
    if data.get().len() > DATA_BYTES_MAX {
        return Err(format!("an event's data is at most {DATA_BYTES_MAX} bytes of JSON"));
    }
    Ok(data)
}

fn publish(args: &PublishArgs, hub: &Hub, path: &str, data: Vec<Box<RawValue>>) -> Result<(), CliError> {
    let mut events: Vec<_> = data.into_iter().map(|data| NewEvent { kind: &args.kind, data }).collect();
    let single = events.len() == 1;
    let body = if single { serde_json::to_vec(&events.remove(0)) } else { serde_json::to_vec(&events) };
    let body = body.map_err(|e| CliError::Failed(e.to_string()))?;
    let answer = hub.post(path, &body)?;
    let ids = if single { one_id(&answer) } else { all_ids(&answer) };
    let ids = ids.ok_or_else(|| strange(hub))?;
    if args.quiet { Ok(()) } else { print(&(ids.join("\n") + "\n")) }
}

fn one_id(answer: &[u8]) -> Option<Vec<String>> {
    let published: Published = serde_json::from_slice(answer).ok()?;
    Some(vec![published.id])
}

/// The ids of an array that was appended as one: consecutive, so the first and the count say all.
fn all_ids(answer: &[u8]) -> Option<Vec<String>> {
    let published: PublishedMany = serde_json::from_slice(answer).ok()?;
    let first = Cursor::parse(&published.first.id).ok()?;
    let count = published.count.min(BATCH_EVENTS_MAX as u64);
    (0..count).map(|n| Some(first.mark.at(first.seq.checked_add(n)?).to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that gives one piece a read, as a pipe does.
    struct Pipe(std::collections::VecDeque<&'static str>);

    impl std::io::Read for Pipe {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let Some(piece) = self.0.pop_front() else { return Ok(0) };
            buffer[..piece.len()].copy_from_slice(piece.as_bytes());
            Ok(piece.len())
        }
    }

    /// What would be sent, request by request, and how the input ended.
    fn check(pieces: &[&'static str], json: bool, requests: &[&[&str]], end: &str) {
        let mut input = BufReader::with_capacity(STDIN_BUFFER_BYTES, Pipe(pieces.iter().copied().collect()));
        let mut sent: Vec<Vec<String>> = Vec::new();
        let mut line = 0;
        let ended = loop {
            let lines = next_lines(&mut input, line, json);
            line = lines.last;
            if !lines.data.is_empty() {
                sent.push(lines.data.iter().map(|d| d.get().to_owned()).collect());
            }
            match lines.end {
                None => {}
                Some(InputEnd::Eof) => break "eof".to_owned(),
                Some(InputEnd::Bad(reason)) => break reason,
            }
        };
        assert_eq!(sent, requests, "{pieces:?}");
        assert!(ended.starts_with(end), "{ended}");
    }

    #[test]
    fn a_line_never_waits_for_a_later_one() {
        check(&["a\n", "b\n"], false, &[&[r#"{"text":"a"}"#], &[r#"{"text":"b"}"#]], "eof");
        check(&["a\nb", "\n"], false, &[&[r#"{"text":"a"}"#], &[r#"{"text":"b"}"#]], "eof");
        check(&["a\nb\nc\n"], false, &[&[r#"{"text":"a"}"#, r#"{"text":"b"}"#, r#"{"text":"c"}"#]], "eof");
    }

    #[test]
    fn lines() {
        check(&[], false, &[], "eof");
        check(&["\n\r\n"], false, &[], "eof");
        check(&["a\r\n\nb"], false, &[&[r#"{"text":"a"}"#], &[r#"{"text":"b"}"#]], "eof");
        check(&["say \"hi\"\t\n"], false, &[&[r#"{"text":"say \"hi\"\t"}"#]], "eof");
        check(&["{\"n\":1}\n[2]\n"], true, &[&["{\"n\":1}", "[2]"]], "eof");
    }

    #[test]
    fn what_came_before_a_bad_line_is_sent() {
        check(&["1\n{oops\n3\n"], true, &[&["1"]], "line 2: not JSON");
    }

    #[test]
    fn long_lines_are_not_read_to_their_end() {
        for (bytes, good) in [(DATA_BYTES_MAX - 2, true), (DATA_BYTES_MAX, false), (DATA_BYTES_MAX * 3, false)] {
            let line = format!("\"{}\"\n", "x".repeat(bytes));
            let mut input = BufReader::new(line.as_bytes());
            let lines = next_lines(&mut input, 0, true);
            assert_eq!(lines.data.len(), usize::from(good), "{bytes}");
            assert_eq!(matches!(lines.end, Some(InputEnd::Bad(_))), !good, "{bytes}");
        }
    }

    #[test]
    fn the_ids_of_an_array_follow_from_the_first() {
        let answer =
            br#"{"count":3,"first":{"id":"q83vEjRWeJCrze8B.7","seq":7},"last":{"id":"q83vEjRWeJCrze8B.9","seq":9}}"#;
        let ids = all_ids(answer).unwrap();
        assert_eq!(ids, ["q83vEjRWeJCrze8B.7", "q83vEjRWeJCrze8B.8", "q83vEjRWeJCrze8B.9"]);
        assert_eq!(all_ids(b"{}"), None);
    }
}
