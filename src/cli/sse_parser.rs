//! The text/event-stream parser (WHATWG HTML, section 9.2.6): bytes in, as they come from the
//! socket, events out.
//!
//! It never reads, waits or reconnects, and holds nothing but the block that is not complete yet.

/// Longest line, and largest `data` of one event, in bytes. An event's data is at most 64 KiB of
/// JSON, and the frame around it small; whatever is longer than this is no stream of a hub.
pub const BLOCK_BYTES_MAX: usize = 1024 * 1024;

/// The type of an event whose block names none.
const DEFAULT_NAME: &str = "message";
/// The byte order mark that one stream may begin with.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// One dispatched event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The `event` field, `message` when there was none.
    pub name: String,
    /// The `data` fields, joined by LF.
    pub data: String,
    /// The last event id at the moment of the dispatch: this block's `id`, or an earlier one.
    pub id: String,
}

/// A line or an event over [`BLOCK_BYTES_MAX`]. The stream can't be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line or an event of the stream is longer than {BLOCK_BYTES_MAX} bytes")]
pub struct BlockTooLong;

/// A parser for one connection. The next connection gets a new one: what an interrupted stream
/// left incomplete is discarded, as the standard asks.
#[derive(Debug, Default)]
pub struct SseParser {
    line: Vec<u8>,
    /// The last byte was CR: a LF that follows ends no second line.
    after_cr: bool,
    /// A first line was seen, so a byte order mark is no longer one.
    started: bool,
    name: String,
    data: String,
    has_data: bool,
    id_buffer: String,
    last_event_id: String,
    retry_ms: Option<u64>,
}

impl SseParser {
    /// A parser at the beginning of a stream that was asked for from `last_event_id` (empty: from
    /// nowhere), so that blocks without an id do not lose it.
    #[must_use]
    pub fn new(last_event_id: &str) -> Self {
        Self { id_buffer: last_event_id.to_owned(), last_event_id: last_event_id.to_owned(), ..Self::default() }
    }

    /// The id to resume from: of the last complete block that had one.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The newest `retry` of this stream, in milliseconds.
    #[must_use]
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// Takes the next bytes, cut anywhere, and returns the events that they complete.
    ///
    /// # Errors
    /// [`BlockTooLong`].
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, BlockTooLong> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|b| matches!(b, b'\r' | b'\n'));
            let (text, ended) = rest.split_at(end.unwrap_or(rest.len()));
            if self.line.len() + text.len() > BLOCK_BYTES_MAX {
                return Err(BlockTooLong);
            }
            self.line.extend_from_slice(text);
            let Some(terminator) = ended.first() else { break };
            self.after_cr = *terminator == b'\r';
            rest = &ended[1..];
            let line = std::mem::take(&mut self.line);
            events.extend(self.take_line(&line)?);
            self.line = line;
            self.line.clear();
        }
        Ok(events)
    }

    fn take_line(&mut self, line: &[u8]) -> Result<Option<SseEvent>, BlockTooLong> {
        let first = !std::mem::replace(&mut self.started, true);
        let line = if first { line.strip_prefix(BOM).unwrap_or(line) } else { line };
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let text = String::from_utf8_lossy(line);
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if self.data.len() + value.len() >= BLOCK_BYTES_MAX {
                    return Err(BlockTooLong);
                }
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.id_buffer),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                self.retry_ms = value.parse().ok().or(self.retry_ms);
            }
            // A comment (its field is empty) or a field of a later standard.
            _ => {}
        }
        Ok(None)
    }

    fn dispatch(&mut self) -> Option<SseEvent> {
        // The id counts even when the block has no data: that is how a place is moved forward.
        self.id_buffer.clone_into(&mut self.last_event_id);
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        if !std::mem::take(&mut self.has_data) {
            return None;
        }
        let name = if name.is_empty() { DEFAULT_NAME.to_owned() } else { name };
        Some(SseEvent { name, data, id: self.last_event_id.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one reading of a stream gives.
    #[derive(Debug, PartialEq, Eq)]
    struct Reading {
        events: Vec<(String, String, String)>,
        last_event_id: String,
        retry_ms: Option<u64>,
    }

    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Reading {
        let mut parser = SseParser::new("");
        let mut events = Vec::new();
        for piece in pieces {
            events.extend(parser.feed(piece).unwrap().into_iter().map(|e| (e.name, e.data, e.id)));
        }
        Reading { events, last_event_id: parser.last_event_id().to_owned(), retry_ms: parser.retry_ms() }
    }

    /// Checks a stream read whole, byte by byte, and cut in two at every place.
    fn check(stream: &[u8], events: &[(&str, &str, &str)], last_event_id: &str, retry_ms: Option<u64>) {
        let expected = Reading {
            events: events.iter().map(|(n, d, i)| ((*n).to_owned(), (*d).to_owned(), (*i).to_owned())).collect(),
            last_event_id: last_event_id.to_owned(),
            retry_ms,
        };
        let shown = String::from_utf8_lossy(stream);
        assert_eq!(read([stream]), expected, "whole: {shown:?}");
        assert_eq!(read(stream.chunks(1)), expected, "byte by byte: {shown:?}");
        for at in 0..=stream.len() {
            let (left, right) = stream.split_at(at);
            assert_eq!(read([left, right]), expected, "cut at {at}: {shown:?}");
            assert_eq!(read([left, b"", right]), expected, "cut at {at} with an empty read: {shown:?}");
        }
    }

    #[test]
    fn a_hubs_stream() {
        check(
            b"event: connected\nid: m.3\ndata: {\"a\":1}\nretry: 2000\n\n: keep-alive\n\nevent: chat_message\nid: m.4\ndata: {}\n\n",
            &[("connected", "{\"a\":1}", "m.3"), ("chat_message", "{}", "m.4")],
            "m.4",
            Some(2000),
        );
    }

    #[test]
    fn line_ends() {
        for end in ["\n", "\r", "\r\n"] {
            let stream = ["event:x", "data:1", "data: 2", "", "data:3", "", ""].join(end);
            check(stream.as_bytes(), &[("x", "1\n2", ""), ("message", "3", "")], "", None);
        }
        check(b"data:1\r\n\rdata:2\n\r\n", &[("message", "1", ""), ("message", "2", "")], "", None);
        check(b"data:1\r\rdata:2\r\r", &[("message", "1", ""), ("message", "2", "")], "", None);
    }

    #[test]
    fn the_byte_order_mark_counts_once() {
        check(b"\xEF\xBB\xBFdata:1\n\n", &[("message", "1", "")], "", None);
        check(b"\xEF\xBB\xBF\xEF\xBB\xBFdata:1\n\n", &[], "", None);
        check(b"data:1\n\xEF\xBB\xBFdata:2\n\n", &[("message", "1", "")], "", None);
        check(b"\xEF\xBB\xBF\n\ndata:1\n\n", &[("message", "1", "")], "", None);
    }

    #[test]
    fn fields() {
        check(b"data\n\n", &[("message", "", "")], "", None);
        check(b"data\ndata\n\n", &[("message", "\n", "")], "", None);
        check(b"data:\n\n", &[("message", "", "")], "", None);
        check(b"data:  two\n\n", &[("message", " two", "")], "", None);
        check(b"data:a:b\n\n", &[("message", "a:b", "")], "", None);
        check(b"Data:1\n data:2\nfoo:3\n:data:4\n\n", &[], "", None);
        check(b"event:a\nevent:b\ndata:1\n\n", &[("b", "1", "")], "", None);
        check(b"event:a\n\ndata:1\n\n", &[("message", "1", "")], "", None);
        check("data:\u{e9}\u{1F40E}\n\n".as_bytes(), &[("message", "\u{e9}\u{1F40E}", "")], "", None);
        check(b"data:\xFF\n\n", &[("message", "\u{FFFD}", "")], "", None);
    }

    #[test]
    fn ids() {
        check(b"id:1\ndata:a\n\ndata:b\n\n", &[("message", "a", "1"), ("message", "b", "1")], "1", None);
        check(b"id:1\n\n", &[], "1", None);
        check(b"id:1\ndata:a\n\nid\ndata:b\n\n", &[("message", "a", "1"), ("message", "b", "")], "", None);
        check(b"id:1\nid:2\0\ndata:a\n\n", &[("message", "a", "1")], "1", None);
    }

    #[test]
    fn what_is_incomplete_counts_for_nothing() {
        check(b"id:1\ndata:a\n\nid:2\ndata:b\n", &[("message", "a", "1")], "1", None);
        check(b"id:1\ndata:a\n\nid:2\ndata:b", &[("message", "a", "1")], "1", None);
    }

    #[test]
    fn retry_is_digits_only() {
        check(b"retry:150\n", &[], "", Some(150));
        check(b"retry: 150\n\n", &[], "", Some(150));
        for bad in ["retry:\n", "retry:-1\n", "retry:+1\n", "retry:1.5\n", "retry:1s\n", "retry:  1\n"] {
            check(bad.as_bytes(), &[], "", None);
        }
        check(b"retry:5\nretry:99999999999999999999\n", &[], "", Some(5));
    }

    #[test]
    fn the_id_that_was_asked_from_is_kept() {
        let mut parser = SseParser::new("m.7");
        assert_eq!(parser.last_event_id(), "m.7");
        let events = parser.feed(b": hello\n\ndata:a\n\n").unwrap();
        assert_eq!(events[0].id, "m.7");
        assert_eq!(parser.last_event_id(), "m.7");
    }

    #[test]
    fn lengths_are_bounded() {
        let mut parser = SseParser::new("");
        let piece = vec![b'x'; BLOCK_BYTES_MAX / 2];
        parser.feed(b"data:").unwrap();
        parser.feed(&piece).unwrap();
        assert_eq!(parser.feed(&piece), Err(BlockTooLong));

        let mut parser = SseParser::new("");
        let line = [b"data:".as_slice(), &piece, b"\n"].concat();
        parser.feed(&line).unwrap();
        assert_eq!(parser.feed(&line), Err(BlockTooLong));
    }
}
