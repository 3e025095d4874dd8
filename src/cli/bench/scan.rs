//! Cutting what a hub sends into frames and blocks, and finding the seq in an event. Reads a
//! frame's header and a few digits; never parses JSON, never copies.

use memchr::memmem;

/// Digits of a topic's number in its id.
const TOPIC_DIGITS: usize = 7;
/// Characters of a cursor in front of its seq: the mark and a dot.
const MARK_CHARS: usize = 17;
/// Added to the clock in an event's data, so that the number always has [`AT_DIGITS`] digits.
pub(crate) const AT_BASE: u64 = 100_000_000_000_000_000;
/// Digits of the clock in an event's data.
pub(crate) const AT_DIGITS: usize = 18;
/// The largest frame that is believed: a delivery is 64 KiB of data and a little around it.
const FRAME_BYTES_MAX: usize = 128 * 1024;

/// The id of the `index`th topic of a run: as long as all the others.
pub(crate) fn topic_id(index: usize) -> String {
    format!("b{index:07}")
}

/// How a reader is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Wire {
    /// WebSocket.
    Ws,
    /// Server-sent events.
    Sse,
}

impl Wire {
    /// `ws` or `sse`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Sse => "sse",
        }
    }
}

/// One piece of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A WS text frame's payload, or an SSE block without its empty line.
    Text(&'a [u8]),
    /// A WS ping, with its payload.
    Ping(&'a [u8]),
    /// A WS pong, or an SSE comment.
    Idle,
    /// A WS close, with its code.
    Close(u16),
}

/// What can't be part of a stream of the hub.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a stream of the hub: {0}")]
pub(crate) struct Garbled(pub(crate) &'static str);

/// The first piece of `buf` and the bytes it takes; `None` while it is incomplete.
///
/// # Errors
/// [`Garbled`] on a frame that no hub sends.
#[inline]
pub(crate) fn next(wire: Wire, buf: &[u8]) -> Result<Option<(Piece<'_>, usize)>, Garbled> {
    match wire {
        Wire::Ws => next_ws(buf),
        Wire::Sse => Ok(next_sse(buf)),
    }
}

#[inline]
fn next_ws(buf: &[u8]) -> Result<Option<(Piece<'_>, usize)>, Garbled> {
    let [first, second, ..] = *buf else { return Ok(None) };
    let (head, length) = match second {
        0..=125 => (2, usize::from(second)),
        126 => match buf.get(2..4) {
            Some(&[a, b]) => (4, usize::from(u16::from_be_bytes([a, b]))),
            _ => return Ok(None),
        },
        127 => match buf.get(2..10).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()) {
            Some(bytes) => (10, usize::try_from(u64::from_be_bytes(bytes)).unwrap_or(usize::MAX)),
            None => return Ok(None),
        },
        _ => return Err(Garbled("a masked frame")),
    };
    if length > FRAME_BYTES_MAX {
        return Err(Garbled("a frame beyond every limit"));
    }
    let Some(payload) = buf.get(head..head + length) else { return Ok(None) };
    let piece = match first {
        0x81 => Piece::Text(payload),
        0x89 => Piece::Ping(payload),
        0x8a => Piece::Idle,
        0x88 => Piece::Close(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))),
        _ => return Err(Garbled("neither text nor a control frame")),
    };
    Ok(Some((piece, head + length)))
}

#[inline]
fn next_sse(buf: &[u8]) -> Option<(Piece<'_>, usize)> {
    let end = memmem::find(buf, b"\n\n")?;
    let piece = if buf[0] == b':' { Piece::Idle } else { Piece::Text(&buf[..end]) };
    Some((piece, end + 2))
}

/// The end of an HTTP head, its empty line included.
pub(crate) fn head_end(buf: &[u8]) -> Option<usize> {
    memmem::find(buf, b"\r\n\r\n").map(|at| at + 4)
}

/// The status of an HTTP head; 0 when it is none.
pub(crate) fn status(head: &[u8]) -> u16 {
    let digits = head.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    digits.and_then(|digits| number(digits, 0)).map_or(0, |(status, _)| u16::try_from(status).unwrap_or_default())
}

/// The digits of `text` from `at`: their value and the place behind them. `None` without any.
#[inline]
pub(crate) fn number(text: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    let mut end = at;
    while let Some(digit) = text.get(end).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        end += 1;
    }
    (end > at).then_some((value, end))
}

/// Where in an event the seq and the topic's number stand. Topics of a run have ids of one
/// length, so both places are the same in all events: they are searched for once, and looked
/// for anew when the bytes around them are not those expected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    wire: Wire,
    /// In the feed a block's id is a place there, so the seq is that of the event's own id.
    of_feed: bool,
    seq_at: usize,
    topic_at: usize,
}

impl Shape {
    /// Knows nothing yet.
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire, of_feed: false, seq_at: usize::MAX, topic_at: usize::MAX }
    }

    /// The same of the feed, in which the events of one thread are.
    pub(crate) fn of_feed(wire: Wire) -> Self {
        Self { of_feed: true, ..Self::new(wire) }
    }

    /// The seq of an event; `None` when the piece is no event.
    #[inline]
    pub(crate) fn seq(&mut self, piece: &[u8]) -> Option<u64> {
        if let Some(seq) = self.seq_here(piece) {
            return Some(seq);
        }
        self.learn(piece)?;
        self.seq_here(piece)
    }

    /// The number of the event's topic, in a WS event whose seq was found.
    #[inline]
    pub(crate) fn topic(&self, piece: &[u8]) -> Option<usize> {
        let digits = piece.get(self.topic_at..)?.get(..TOPIC_DIGITS)?;
        let (topic, end) = number(digits, 0)?;
        (end == TOPIC_DIGITS).then_some(topic as usize)
    }

    #[inline]
    fn seq_here(&self, piece: &[u8]) -> Option<u64> {
        if piece.get(self.seq_at.wrapping_sub(1)) != Some(&b'.') {
            return None;
        }
        let (seq, end) = number(piece, self.seq_at)?;
        let behind = if self.wire == Wire::Ws || self.of_feed { b'"' } else { b'\n' };
        // Behind a WS `"` comes the next member, so that a seq's look-alike elsewhere is none.
        (piece.get(end) == Some(&behind) && seq > 0).then_some(seq)
    }

    #[cold]
    fn learn(&mut self, piece: &[u8]) -> Option<()> {
        let id: &[u8] = match self.wire {
            Wire::Ws if self.of_feed => {
                piece.starts_with(b"{\"t\":\"event\",\"topic\":\"feed\"").then_some(())?;
                b"\"id\":\""
            }
            Wire::Ws => {
                let prefix = b"{\"t\":\"event\",\"topic\":\"thread/b";
                piece.starts_with(prefix).then_some(())?;
                self.topic_at = prefix.len();
                b"\"id\":\""
            }
            Wire::Sse => {
                let hub_own: [&[u8]; 3] = [b"event: connected\n", b"event: gap\n", b"event: reconnect\n"];
                if hub_own.iter().any(|own| piece.starts_with(own)) {
                    return None;
                }
                if self.of_feed { b"\"id\":\"" } else { b"\nid: " }
            }
        };
        self.seq_at = memmem::find(piece, id)? + id.len() + MARK_CHARS;
        Some(())
    }
}

/// When the event was published, by the clock in its data.
#[inline]
pub(crate) fn published_ns(piece: &[u8]) -> Option<u64> {
    let at = memmem::find(piece, b"\"at\":")? + 5;
    number(piece, at).and_then(|(at, _)| at.checked_sub(AT_BASE))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An event as the hub writes it.
    pub(crate) fn event(wire: Wire, topic: usize, seq: u64, at_ns: u64) -> Vec<u8> {
        let id = format!("q83vEjRWeJCrze8B.{seq}");
        let at = AT_BASE + at_ns;
        let topic = topic_id(topic);
        let event = format!(
            r#"{{"v":1,"id":"{id}","seq":{seq},"type":"bench","time":"2026-11-22T06:40:05.123Z","routing":{{"tenant_id":"t_bench","env":"dev","thread_id":"{topic}","actor_id":"bench"}},"data":{{"at":{at},"pad":"\"seq\":99"}},"meta":{{"request_id":"1.2\"x"}}}}"#
        );
        match wire {
            Wire::Sse => format!("event: bench\nid: {id}\ndata: {event}\n\n").into_bytes(),
            Wire::Ws => {
                let text = format!(r#"{{"t":"event","topic":"thread/{topic}","event":{event}}}"#);
                text_frame(text.as_bytes())
            }
        }
    }

    /// A text frame as a server sends it.
    pub(crate) fn text_frame(payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x81];
        match payload.len() {
            0..=125 => frame.push(payload.len() as u8),
            126..=0xffff => {
                frame.push(126);
                frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(127);
                frame.extend((payload.len() as u64).to_be_bytes());
            }
        }
        frame.extend(payload);
        frame
    }

    /// What a stream's pieces are, as (topic, seq, clock) of its events; other pieces are 0.
    fn pieces(wire: Wire, stream: &[u8], cut: usize) -> Vec<(usize, u64, u64)> {
        let mut shape = Shape::new(wire);
        let mut found = Vec::new();
        let mut held = Vec::new();
        for part in [&stream[..cut], &stream[cut..]] {
            held.extend_from_slice(part);
            let mut used = 0;
            while let Some((piece, bytes)) = next(wire, &held[used..]).unwrap() {
                found.push(match piece {
                    Piece::Text(text) => shape.seq(text).map_or((0, 0, 0), |seq| {
                        (shape.topic(text).unwrap_or_default(), seq, published_ns(text).unwrap())
                    }),
                    _ => (0, 0, 0),
                });
                used += bytes;
            }
            held.drain(..used);
        }
        assert!(held.is_empty());
        found
    }

    #[test]
    fn a_stream_cut_at_every_byte_is_the_same() {
        for wire in [Wire::Ws, Wire::Sse] {
            let topic = |number| if wire == Wire::Ws { number } else { 0 };
            let mut stream = match wire {
                Wire::Ws => {
                    text_frame(br#"{"t":"subscribed","topic":"thread/b0000007","cursor":"q83vEjRWeJCrze8B.8"}"#)
                }
                Wire::Sse => b"event: connected\nid: q83vEjRWeJCrze8B.8\ndata: {}\nretry: 2000\n\n".to_vec(),
            };
            stream.extend(event(wire, 7, 9, 5));
            stream.extend(event(wire, 123, 10, 0));
            stream.extend(if wire == Wire::Ws { vec![0x89, 2, b'h', b'i'] } else { b": keep-alive\n\n".to_vec() });
            stream.extend(event(wire, 9_999_999, 12_345_678_901, 1 << 50));
            let all = [
                (0, 0, 0),
                (topic(7), 9, 5),
                (topic(123), 10, 0),
                (0, 0, 0),
                (topic(9_999_999), 12_345_678_901, 1 << 50),
            ];
            for cut in 0..=stream.len() {
                assert_eq!(pieces(wire, &stream, cut), all, "{wire:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn in_the_feed_the_seq_is_that_of_the_event() {
        for wire in [Wire::Ws, Wire::Sse] {
            let of_thread = String::from_utf8(event(Wire::Sse, 7, 9, 5)).unwrap();
            let (begin, end) = (of_thread.find(r#"{"v":1"#).unwrap(), of_thread.find(r#"x"}}"#).unwrap());
            let json = &of_thread[begin..end + 3];
            let of_feed = format!(r#"{json},"feed_id":"AAAAAAAAAAAAAAAA.77"}}"#);
            let piece = match wire {
                Wire::Ws => format!(r#"{{"t":"event","topic":"feed","event":{of_feed}}}"#),
                Wire::Sse => format!("event: bench\nid: AAAAAAAAAAAAAAAA.77\ndata: {of_feed}"),
            };
            assert_eq!(Shape::of_feed(wire).seq(piece.as_bytes()), Some(9), "{piece}");
            let places =
                ["id: AAAAAAAAAAAAAAAA.78", r#"{"t":"progress","topic":"feed","cursor":"AAAAAAAAAAAAAAAA.78"}"#];
            assert_eq!(places.map(|place| Shape::of_feed(wire).seq(place.as_bytes())), [None; 2]);
        }
    }

    #[test]
    fn frames_of_all_three_lengths() {
        for length in [0, 1, 125, 126, 127, 0xffff, 0x1_0000, FRAME_BYTES_MAX] {
            let frame = text_frame(&vec![b'x'; length]);
            let (piece, used) = next_ws(&frame).unwrap().unwrap();
            assert_eq!((piece, used), (Piece::Text(&vec![b'x'; length]), frame.len()));
            assert_eq!(next_ws(&frame[..frame.len() - 1]), Ok(None));
        }
    }

    #[test]
    fn control_frames() {
        assert_eq!(next_ws(&[0x88, 2, 0x11, 0x4e]), Ok(Some((Piece::Close(4430), 4))));
        assert_eq!(next_ws(&[0x88, 0]), Ok(Some((Piece::Close(1005), 2))));
        assert_eq!(next_ws(&[0x8a, 0]), Ok(Some((Piece::Idle, 2))));
    }

    #[test]
    fn what_no_hub_sends() {
        assert!(next_ws(&[0x81, 0x80]).is_err());
        assert!(next_ws(&[0x82, 0]).is_err());
        assert!(next_ws(&text_frame(&vec![0; FRAME_BYTES_MAX + 1])).is_err());
    }

    #[test]
    fn only_events_have_a_seq() {
        for text in [
            r#"{"t":"subscribed","topic":"thread/b0000007","cursor":"q83vEjRWeJCrze8B.8"}"#,
            r#"{"t":"welcome","connection_id":"x.1","request_id":"7"}"#,
            "",
        ] {
            let mut shape = Shape::new(Wire::Ws);
            assert_eq!(shape.seq(text.as_bytes()), None, "{text}");
            let known = event(Wire::Ws, 7, 3, 0);
            assert_eq!(shape.seq(&known[4..]), Some(3));
            assert_eq!(shape.seq(text.as_bytes()), None, "{text}");
        }
        for block in ["event: gap\nid: q83vEjRWeJCrze8B.8\ndata: {}", "event: refused\ndata: {}", "retry: 5"] {
            assert_eq!(Shape::new(Wire::Sse).seq(block.as_bytes()), None, "{block}");
        }
    }

    #[test]
    fn heads() {
        assert_eq!(head_end(b"HTTP/1.1 200 OK\r\n\r\nx"), Some(19));
        assert_eq!(head_end(b"HTTP/1.1 200 OK\r\n\r"), None);
        for (head, code) in [("HTTP/1.1 101 Switching", 101), ("HTTP/1.1 503 x", 503), ("SSH-2.0", 0), ("", 0)] {
            assert_eq!(status(head.as_bytes()), code);
        }
    }
}
